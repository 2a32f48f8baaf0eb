"""Public SMART clients find the authorisation server of a service with access control, and bring its tokens.

The authorisation server is a real one (npm `oidc-provider`), the clients are npm `fhirclient` and
npm `fhir-kit-client`; the service runs in one process.
"""

from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from gunicorn_server import serving
from patience import PATIENCE_S
from token_server import TokenServer, registry, running_tokens

from benchmarks.http import free_port

APP = "service.app:from_environment()"
FHIR = "application/fhir+json"
PATIENT = "patient/QuestionnaireResponse.crus"
PROGRAM = "system/*.cruds"
SCOPES = ("launch/patient", PATIENT, "patient/*.rs", PROGRAM)
OTHER = "https://other.example.org/fhir"


class Controlled:
    """The service, and the authorisation server whose tokens it takes."""

    def __init__(self, base: str, server: TokenServer) -> None:
        self.base = base
        self.server = server

    def asked(self, token: str, path: str = "QuestionnaireResponse", body: dict | None = None):
        """Sends a search, or a body to be stored, with a token."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": FHIR}
        if body is None:
            return requests.get(f"{self.base}/{path}", headers=headers, timeout=PATIENCE_S)
        return requests.post(f"{self.base}/{path}", json=body, headers=headers, timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def controlled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("controlled")
    port = free_port()
    base = f"http://127.0.0.1:{port}/fhir"
    with running_tokens(base, SCOPES, patient="p1") as server:
        settings = {"WORKERS": "1", "STORE_URL": f"sqlite:///{folder}/store.db", "BASE_URL": base}
        settings["EHRS_FILE"] = str(registry(folder, server, base))
        with serving(APP, port=port, **settings) as served:
            yield Controlled(base, server)
    assert [line for line in served.log if '"failed"' in line or "Traceback" in line] == []


@pytest.fixture(scope="module")
def steps(npm, controlled):
    return npm("smart", base=controlled.base, token=controlled.server.for_program(PROGRAM))


def test_fhirclient_sends_people_to_the_authorisation_server(steps, controlled):
    """CS08 CS09: it reads smart-configuration, and asks with PKCE since S256 is offered."""
    step = steps["fhirclient authorize"]
    asked = [request["path"] for request in step.sent if request["path"].startswith("/fhir")]
    assert asked == ["/fhir/.well-known/smart-configuration"] * len(asked) != []
    place = urlsplit(step.result)
    assert f"{place.scheme}://{place.netloc}{place.path}" == f"{controlled.server.url}/auth"
    query = parse_qs(place.query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["aud"] == [controlled.base]


def test_fhir_kit_client_finds_both_endpoints(steps, controlled):
    """CS06 CS08: in smart-configuration and in the CapabilityStatement."""
    said = steps["fhir-kit-client smartAuthMetadata"].result
    found = {name: said[name] for name in ("authorizeUrl", "tokenUrl")}
    url = controlled.server.url
    assert found == {"authorizeUrl": f"{url}/auth", "tokenUrl": f"{url}/token"}


@pytest.mark.parametrize("client", ["fhirclient", "fhir-kit-client"])
def test_a_client_gets_in_with_a_token_alone(steps, client):
    """AU01."""
    assert steps[f"{client} with a token"].result["resourceType"] == "Bundle"
    refused = steps[f"{client} without a token"]
    assert refused.status == 401
    assert refused.sent[-1]["answer"]["www-authenticate"].startswith("Bearer realm=")
    assert "error" not in refused.sent[-1]["answer"]["www-authenticate"]


def test_an_app_of_one_patient_and_a_program_each_see_what_is_theirs(controlled, response):
    """AU11 AU12: a program reads what the app of a patient stored; that patient sees nobody else."""
    server = controlled.server
    person, program = server.for_person(PATIENT), server.for_program(PROGRAM)
    own = response(subject={"reference": "Patient/p1"})
    made = controlled.asked(person, body=own)
    assert made.status_code == 201
    assert controlled.asked(program, f"QuestionnaireResponse/{made.json()['id']}").status_code == 200
    other = controlled.asked(program, body=response())
    assert other.status_code == 201
    assert controlled.asked(person, f"QuestionnaireResponse/{other.json()['id']}").status_code == 404
    assert [entry["resource"]["id"] for entry in controlled.asked(person).json()["entry"]] == [
        made.json()["id"]
    ]
    assert controlled.asked(person, body=response()).status_code == 403


def test_a_token_for_another_service_is_refused(controlled):
    """AU04: the same program, the same scopes, the same key."""
    answer = controlled.asked(controlled.server.for_program(PROGRAM, OTHER))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_tokens_of_a_withdrawn_key_are_refused(controlled):
    """AU07: the first token of the new key has the set fetched again, which has the old key no more."""
    withdrawn = controlled.server.for_program(PROGRAM), controlled.server.for_person(PATIENT)
    controlled.server.rotate()
    assert controlled.asked(controlled.server.for_program(PROGRAM)).status_code == 200
    assert [controlled.asked(token).status_code for token in withdrawn] == [401, 401]
