"""Schemathesis finds no request by which the service and its OpenAPI document part.

Not among the checks is `positive_data_acceptance`: a schema cannot say which response its questionnaire
allows, nor what a date in a query looks like, and a body that the schema takes may be refused for that.
"""

import json
import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
import requests
from patience import LONG_PATIENCE_S, PATIENCE_S

pytestmark = pytest.mark.slow

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ensure_resource_availability",
    "use_after_free",
)
REPEATABLE = ("--generation-deterministic", "--no-shrink", "--no-color", "--continue-on-failure")
BOUNDED = ("--max-examples", "5", "--request-timeout", str(PATIENCE_S), "--warnings", "off")


@pytest.fixture(scope="module")
def origin(service):
    return "http://" + urlsplit(service.base).netloc


@pytest.fixture(scope="module")
def document(origin):
    return requests.get(f"{origin}/openapi.json", timeout=PATIENCE_S).json()


@pytest.fixture(scope="module")
def configuration(service, document, response):
    """A file that names ids which exist, so that more is asked than what is not there."""
    made = requests.post(f"{service.base}/QuestionnaireResponse", json=response(), timeout=PATIENCE_S).json()[
        "id"
    ]
    ids = {"QuestionnaireResponse": made, "RiskAssessment": made}
    ids |= dict.fromkeys(("Provenance", "AuditEvent"), f"{made}.1")
    for kind in {
        match[1] for match in map(re.compile(r"/fhir/(\w+)/\{id\}$").match, document["paths"]) if match
    }:
        if kind not in ids:
            found = requests.get(f"{service.base}/{kind}?_count=1", timeout=PATIENCE_S).json()
            ids[kind] = found["entry"][0]["resource"]["id"]
    lines = [
        f'[[operations]]\ninclude-path-regex = "^/fhir/{kind}/.id."\n'
        f'parameters = {{ id = "{id_}", version = "1" }}\n'
        for kind, id_ in sorted(ids.items())
    ]
    file = service.folder / "schemathesis.toml"
    file.write_text("\n".join(lines))
    return file


@pytest.fixture(scope="module")
def run(origin, service, configuration):
    """Runs schemathesis on a document, returns its exit code and what it printed."""

    def on(document, *options):
        file = service.folder / "openapi.json"
        file.write_text(json.dumps(document))
        command = [
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file",
            str(configuration),
            "run",
            str(file),
        ]
        command += ["--url", origin, "--checks", ",".join(CHECKS), *REPEATABLE, *BOUNDED, *options]
        done = subprocess.run(
            command, check=False, cwd=service.folder, capture_output=True, text=True, timeout=LONG_PATIENCE_S
        )
        return done.returncode, done.stdout + done.stderr

    return on


def test_every_operation_answers_as_the_document_says(run, document):
    """RB11 ER01 CR15."""
    operations = sum(
        method in methods for methods in document["paths"].values() for method in ("get", "post", "put")
    )
    code, printed = run(document, "--phases", "examples,coverage,fuzzing,stateful")
    assert code == 0, printed
    assert f"Tested: {operations}\n" in printed
    assert int(re.search(r"(\d+) generated", printed)[1]) > 2000


def test_a_document_that_says_less_is_found_out(run, document):
    """What shows that the test above could fail."""
    path = "/fhir/Questionnaire/{id}"
    refusals = {
        status: answer
        for status, answer in document["paths"][path]["get"]["responses"].items()
        if status != "406"
    }
    poorer = document["paths"][path]["get"] | {"responses": refusals}
    paths = {path: document["paths"][path] | {"get": poorer}}
    code, printed = run(document | {"paths": paths}, "--phases", "coverage")
    assert code == 1
    assert "Undocumented status code" in printed, printed
