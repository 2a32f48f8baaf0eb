"""Examples for Kubernetes fit its schemas, the service and Spark. No cluster is asked.

deploy/kubernetes.yaml is the service; the image and the Job that score a population stand in docs/scaling.md.
"""

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

from service import cli
from service.bulk.report import Report
from service.bulk.spark import SparkJob
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


# A population on Spark.


@pytest.fixture(scope="module")
def scaling(root) -> str:
    return (root / "docs/scaling.md").read_text()


@pytest.fixture(scope="module")
def job(scaling) -> dict[str, Any]:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", scaling, re.MULTILINE | re.DOTALL)
    return yaml.safe_load(block)


@pytest.fixture(scope="module")
def driver(job) -> dict[str, Any]:
    (only,) = job["spec"]["template"]["spec"]["containers"]
    return only


@pytest.fixture(scope="module")
def image(scaling) -> list[list[str]]:
    """The last stage of the image: each instruction as its words."""
    (block,) = re.findall(r"^```dockerfile\n(.*?)^```$", scaling, re.MULTILINE | re.DOTALL)
    lines = [line.split() for line in block.replace("\\\n", " ").splitlines() if line]
    return lines[max(place for place, line in enumerate(lines) if line[0] == "FROM") :]


def words_of(image: list[list[str]], instruction: str) -> list[list[str]]:
    return [line[1:] for line in image if line[0] == instruction]


def settings_of_spark(driver) -> list[str]:
    """The arguments that Spark is given, with a value for each variable."""
    told = next(one["value"] for one in driver["env"] if one["name"] == "PYSPARK_SUBMIT_ARGS")
    return shlex.split(re.sub(r"\$\((\w+)\)", r"\1", told))


def test_the_schemas_of_kubernetes_take_every_example(manifests, job):
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed (scripts/install --test)"
    )
    for document in (*manifests.values(), job):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_a_variable_stands_before_those_that_name_it(driver, container):
    """What is defined behind it is not put in: the value then has the name itself."""
    for variables in (driver["env"], container["env"]):
        known: set[str] = set()
        for variable in variables:
            assert set(re.findall(r"\$\((\w+)\)", variable.get("value", ""))) <= known
            known.add(variable["name"])


def test_the_image_holds_what_it_is_made_from_and_what_runs_in_it(image, scaling, root, driver):
    locked = re.search(r"^pyspark==(\S+)", (root / "requirements-spark.txt").read_text(), re.MULTILINE)
    assert f"FROM apache/spark:{locked[1]} AS spark" in scaling
    sent = (root / ".dockerignore").read_text().splitlines()
    for path in ("scripts/install", "requirements-spark.txt", "service", "questionnaires", "mappings"):
        assert f"!{path}" in sent
        assert (root / path).exists()
    folders = [folder for (folder,) in words_of(image, "WORKDIR")]
    (here,) = words_of(image, "COPY")[-1:]
    assert here == [".", "."]
    assert driver["workingDir"] == folders[0]
    assert ["scripts/install", "--spark", f"{folders[0]}/.venv"] in words_of(image, "RUN")
    (variables,) = ([word.split("=", 1) for word in line] for line in words_of(image, "ENV"))
    assert dict(variables) == {
        "SPARK_HOME": "/opt/spark",
        "PATH": f"{folders[0]}/.venv/bin:$PATH",
        "PYSPARK_PYTHON": f"{folders[0]}/.venv/bin/python",
    }


def test_the_user_of_the_image_has_a_name_and_may_write_where_executors_unpack(image):
    """Java without a name of its user knows no home, and Spark without a home does not start."""
    ((user,),) = words_of(image, "USER")
    assert any("useradd" in line and line[-1] == user for line in words_of(image, "RUN"))
    folders = [folder for (folder,) in words_of(image, "WORKDIR")]
    assert folders[-1] == "/opt/spark/work-dir"
    assert ["--from=spark", f"--chown={user}", "/opt/spark", "/opt/spark"] in words_of(image, "COPY")


def test_the_job_starts_the_command_on_spark(driver, monkeypatch):
    jobs: list[SparkJob] = []

    def score(wanted: SparkJob, _: object) -> Report:
        jobs.append(wanted)
        return Report(0, 0, 0, 0, (), ())

    monkeypatch.setattr("service.bulk.spark.score_on_spark", score)
    assert driver["command"][:3] == ["python", "-m", "service"]
    assert cli.main(driver["command"][3:]) == 0
    folders = ("s3a://lake/responses/", "s3a://lake/scored.parquet")
    assert jobs == [SparkJob("k8s://https://kubernetes.default.svc", *folders)]


def test_executors_are_those_of_the_job(driver):
    given = settings_of_spark(driver)
    assert given[-1] == "pyspark-shell"
    settings = dict(value.split("=", 1) for name, value in pairwise(given) if name == "--conf")
    assert settings["spark.kubernetes.container.image"] == driver["image"]
    assert settings["spark.kubernetes.driver.pod.name"] == "POD_NAME"
    assert settings["spark.kubernetes.namespace"] == "POD_NAMESPACE"
    assert settings["spark.driver.host"] == "POD_IP"
    if settings["spark.network.crypto.enabled"] == "true":
        assert settings["spark.authenticate"] == "true", "nothing is encrypted between processes without it"


def classes_in(jar: Path) -> bytes:
    with ZipFile(jar) as archive:
        return b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".class"))


def test_spark_knows_what_it_is_given(driver, root):
    folders = list(Path(root / ".venv-spark").glob("lib/python3*/site-packages/pyspark/jars"))
    if not folders:
        pytest.skip("Spark is not on this machine (scripts/install --spark)")
    known = re.compile("spark-(core|kubernetes|network)")
    classes = b"".join(classes_in(jar) for jar in folders[0].glob("spark-*.jar") if known.match(jar.name))
    given = settings_of_spark(driver)
    names = [value.split("=")[0] for name, value in pairwise(given) if name == "--conf"]
    assert [name for name in names if name.encode() not in classes] == []
    (hadoop,) = folders[0].glob("hadoop-client-api-*.jar")
    version = hadoop.stem.removeprefix("hadoop-client-api-")
    assert given[:2] == ["--packages", f"org.apache.hadoop:hadoop-aws:{version}"]
