"""Who may call CDS services, over HTTP: signed for the endpoint, and once at all workers (CF04 to CF09)."""

import copy
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import orjson
import pytest
from cds_calls import VIEW, call_of, sample, searchset
from client_jwts import ISSUER, KEYS, OTHER_ISSUER, OTHER_P384, RSA, jwk, signed
from gunicorn_server import Answer, post
from loopback_servers import QuietHandler, listening
from running_service import running

from service import app
from service.errors import SettingsError
from service.settings import Settings

CANARY = "canary-7f3a"
HOST = "https://forms.example.org"
FEEDBACK = f"{VIEW}/feedback"
RESULT = call_of(responses=searchset(sample("progressive-weakness")))
NORTH, SOUTH = ISSUER, OTHER_ISSUER
GOOD = {
    "card": "4e0a3a1e-3283-4575-ab82-028d55fe2719",
    "outcome": "overridden",
    "overrideReason": {"userComment": CANARY},
    "outcomeTimestamp": "2026-11-21T10:05:31Z",
}
REGISTRY = """
ehrs:
  - issuer: https://ehr.example.org/fhir
    tenant: north
    cds-clients:
      - issuer: {north}
        jwks-url: {keys}/north
  - issuer: https://ehr.example.net/fhir
    tenant: south
    cds-clients:
      - issuer: {south}
        jwks-url: {keys}/south
"""


@pytest.fixture(scope="module")
def keys():
    """Serves the keys of two clients; yields the url, and the paths that were asked for."""
    asked = []

    class Keys(QuietHandler):
        def do_GET(self):
            asked.append(self.path)
            known = {"/north": KEYS, "/south": [jwk(OTHER_P384, "p384")]}
            self.tell(orjson.dumps({"keys": known.get(self.path, [])}))

    with listening(Keys) as server:
        yield f"http://127.0.0.1:{server.server_port}", asked


@pytest.fixture(scope="module")
def registry(keys, tmp_path_factory):
    path = tmp_path_factory.mktemp("registry") / "ehrs.yaml"
    path.write_text(REGISTRY.format(keys=keys[0], north=NORTH, south=SOUTH))
    return path


@pytest.fixture(scope="module")
def client(registry, tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}"
    settings = Settings(
        store_url=url, ehrs_file=registry, base_url=f"{HOST}/fhir", public_form=False, feedback_key="k" * 32
    )
    return app.create_app(settings).test_client()


def by(issuer=NORTH, path=VIEW, **changed):
    """Returns the header of one new call."""
    key = {} if issuer == NORTH else {"key": OTHER_P384}
    token = signed(f"{HOST}{path}", time.time(), **{"iss": issuer, **key, **changed})
    return {"Authorization": f"Bearer {token}"}


def cards_for(client, body=RESULT, **who):
    answer = client.post(VIEW, json=body, headers=by(**who))
    assert answer.status_code == 200, answer.data
    return answer.json["cards"]


def test_a_client_gets_cards_cf04(client):
    assert len(cards_for(client)) == 1
    assert len(cards_for(client, key=RSA, algorithm="RS384", header={"kid": "rsa"})) == 1


def test_discovery_is_for_everybody(client):
    assert client.get("/cds-services").status_code == 200


@pytest.mark.parametrize("path", [VIEW, FEEDBACK])
def test_who_does_not_say_who_they_are_is_refused_cf05(client, path):
    answer = client.post(path, json={"feedback": [GOOD]})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    "changed",
    [
        {"key": OTHER_P384},
        {"header": {"kid": CANARY}},
        {"header": {"typ": "at+jwt"}},
        {"header": {"jku": f"http://127.0.0.1:1/{CANARY}"}},
        {"iss": f"https://{CANARY}.example.org"},
        {"aud": HOST},
        {"aud": f"http://localhost{VIEW}"},
        {"aud": f"{HOST}{FEEDBACK}"},
        {"exp": int(time.time()) - 86_400},
        {"exp": int(time.time()) + 86_400},
        {"jti": None},
    ],
)
def test_a_bad_jwt_is_refused_and_told_nowhere_cf05_cf06_cf07_cf08(client, keys, caplog, changed):
    answer = client.post(VIEW, json=RESULT, headers=by(**changed), base_url="http://localhost")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="fhir", error="invalid_token"'
    assert CANARY not in answer.text + caplog.text
    assert {*keys[1]} <= {"/north", "/south"}


def test_the_host_header_says_nothing_cf07(client):
    answer = client.post(VIEW, json=RESULT, headers=by(), base_url="http://10.0.0.7:8000")
    assert answer.status_code == 200
    forged = by(aud=f"https://evil.example.org{VIEW}")
    assert (
        client.post(VIEW, json=RESULT, headers=forged, base_url="https://evil.example.org").status_code == 401
    )


def test_feedback_has_its_own_url_cf07(client):
    answer = client.post(FEEDBACK, json={"feedback": [GOOD]}, headers=by(path=FEEDBACK))
    assert answer.status_code == 200
    assert client.post(FEEDBACK, json={"feedback": [GOOD]}, headers=by(path=VIEW)).status_code == 401


def test_a_jwt_of_a_client_opens_nothing_else(client):
    for path in ("/fhir/QuestionnaireResponse", "/fhir/Questionnaire"):
        answer = client.get(path, headers=by(path=path))
        assert answer.status_code == 401


def test_a_call_is_taken_once_whatever_became_of_it_cf09(client):
    header = by()
    assert client.post(VIEW, json={}, headers=header).status_code == 400
    assert client.post(VIEW, json=RESULT, headers=header).status_code == 401


def test_another_issuer_may_have_the_same_jti_cf09(client):
    assert len(cards_for(client, jti="the same")) == 1
    assert len(cards_for(client, issuer=SOUTH, jti="the same")) == 1


def test_tenants_override_their_own_cards_only(client):
    body = copy.deepcopy(RESULT)
    body["prefetch"]["responses"]["entry"][0]["resource"]["authored"] = "2026-11-20"
    (north,), (south,) = cards_for(client, body), cards_for(client, body, issuer=SOUTH)
    assert north["uuid"] != south["uuid"]
    for card in (north, south):
        header = by(issuer=SOUTH, path=FEEDBACK)
        item = GOOD | {"card": card["uuid"]}
        assert client.post(FEEDBACK, json={"feedback": [item]}, headers=header).status_code == 200
    assert cards_for(client, body) == [north]
    assert cards_for(client, body, issuer=SOUTH) == []


def test_clients_need_a_store_that_remembers_cf09(registry):
    with pytest.raises(SettingsError) as refused:
        app.create_app(Settings(store_url="none", ehrs_file=registry))
    assert any("SERVICE_STORE_URL: expected a store" in fault for fault in refused.value.faults)


def test_a_key_that_is_missing_is_told_at_the_start(registry, sqlite_url, caplog):
    app.create_app(Settings(store_url=sqlite_url, ehrs_file=registry, public_form=False))
    assert "SERVICE_FEEDBACK_KEY is not set" in caplog.text


def test_one_jwt_at_many_workers_of_two_machines_is_taken_once_cf09(registry, sqlite_url):
    """Two servers of two workers each share the store; nothing of what was sent stands in their logs."""
    given = {"EHRS_FILE": str(registry), "BASE_URL": f"{HOST}/fhir", "WORKERS": "2", "PUBLIC_FORM": "false"}
    with ExitStack() as stack:
        servers = [stack.enter_context(running(sqlite_url, **given))[0] for _ in range(2)]
        listed = servers[0].ask(b"GET /cds-services HTTP/1.1\r\nHost: x\r\n\r\n").document["services"]
        path = f"/cds-services/{listed[0]['id']}/feedback"
        body = json.dumps({"feedback": [GOOD]}).encode()

        def send(number: int, header: str) -> Answer:
            return servers[number % 2].ask(post(body, header, path=path))

        for nonce in (f"{CANARY}-1", f"{CANARY}-2"):
            header = f"Authorization: {by(path=path, jti=nonce, sub=CANARY)['Authorization']}"
            with ThreadPoolExecutor(12) as pool:
                answers = [*pool.map(lambda number, h=header: send(number, h), range(24))]
            assert sorted(answer.status for answer in answers) == [200] + [401] * 23
            assert all(CANARY.encode() not in answer.body for answer in answers)
    for server in servers:
        log = "".join(server.log)
        assert '"status": 401' in log or '"status":401' in log
        assert CANARY not in log
        assert GOOD["card"] not in log
