"""deploy/kubernetes.yaml fits the service: probes, rights, times and settings. No cluster is asked."""

from typing import Any

import pytest
import yaml

from service.settings import from_environment


@pytest.fixture(scope="module")
def manifests(root) -> dict[str, Any]:
    documents = yaml.safe_load_all((root / "deploy/kubernetes.yaml").read_text())
    return {document["kind"]: document for document in documents}


@pytest.fixture(scope="module")
def pod(manifests) -> dict[str, Any]:
    return manifests["Deployment"]["spec"]["template"]


@pytest.fixture(scope="module")
def container(pod) -> dict[str, Any]:
    (only,) = pod["spec"]["containers"]
    return only


@pytest.fixture
def settings(container, tmp_path):
    """The settings of the manifest, with files of secrets in place of those of the cluster."""
    given = {variable["name"]: variable["value"] for variable in container["env"]}
    secrets = {
        "SERVICE_STORE_URL_FILE": "postgresql://u:p@db/guidance",
        "SERVICE_FORM_KEYS_FILE": "k" * 32,
        "SERVICE_FEEDBACK_KEY_FILE": "f" * 32,
    }
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret)
        given[name] = str(tmp_path / name)
    return from_environment(given | {"SERVICE_HOST": "0.0.0.0"})


def test_the_settings_are_taken(settings):
    assert settings.open
    assert settings.base_url.startswith("https://")


def test_what_is_selected_is_what_is_deployed(manifests, pod, container):
    labels = pod["metadata"]["labels"]
    assert manifests["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["Service"]["spec"]["selector"] == labels
    assert manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    (port,) = manifests["Service"]["spec"]["ports"]
    assert port["targetPort"] in [named["name"] for named in container["ports"]]


def test_each_probe_asks_what_it_is_for(container):
    paths = {
        kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")
    }
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


def test_it_is_given_the_time_that_it_takes_to_stop(settings, pod, container):
    needed = settings.drain_s + 1 + settings.graceful_timeout_s
    assert pod["spec"]["terminationGracePeriodSeconds"] > needed
    readiness = container["readinessProbe"]
    assert readiness["periodSeconds"] * readiness["failureThreshold"] < settings.drain_s


def test_it_may_write_nowhere_and_has_no_rights(pod, container):
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"]["securityContext"]["runAsUser"] == 10001
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["volumes"][0]["secret"]["defaultMode"] == 0o440
