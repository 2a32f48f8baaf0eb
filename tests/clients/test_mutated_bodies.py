"""Whatever becomes of a body on its way, the answer is a resource or an OperationOutcome, check RB11.

Every sample is mutated and sent to everything that takes a body, on the whole service and its store.
"""

import json
from pathlib import Path
from random import Random

import json_mutations
import orjson
import pytest

from service import app
from service.sandbox import Sandbox
from service.settings import Settings

RESPONSE = "/fhir/QuestionnaireResponse"
ABSENT = "/fhir/QuestionnaireResponse/no-such-id"
FHIR = "application/fhir+json"
HEADERS = (
    {},
    {"Prefer": "return=minimal"},
    {"Prefer": "return=OperationOutcome; handling=strict"},
    {"If-None-Exist": "identifier=a%7Cb"},
    {"If-Match": 'W/"1"'},
    {"If-Match": "*"},
    {"Content-Type": "application/json; charset=utf-8"},
)
PAGE_BYTES = 4096


@pytest.fixture
def client(tmp_path):
    settings = Settings(store_url=f"sqlite:///{tmp_path}/store.db")
    return app.create_app(settings).test_client()


@pytest.fixture
def requests(root, client):
    """Every kind of request that takes a body: method, path, right body."""
    paths = (path for path in (root / "samples").glob("*.json") if "." not in path.stem)
    samples = [json.loads(path.read_bytes()) for path in sorted(paths)]
    responses = [each for each in samples if each["resourceType"] == "QuestionnaireResponse"]
    made = client.post(RESPONSE, json=responses[0], headers={"Content-Type": FHIR}).get_json()["id"]
    kinds = [
        ("POST", f"{RESPONSE}/{operation}", each)
        for operation in ("$assess", "$validate")
        for each in samples
    ]
    for each in responses:
        kinds.append(("POST", RESPONSE, each))
        kinds.append(("PUT", f"{RESPONSE}/{made}", each | {"id": made}))
        kinds.append(("PUT", ABSENT, each | {"id": "no-such-id"}))
        kinds.append(("POST", "/fhir/Questionnaire/$process-response", each))
        kinds += [("POST", "/fhir", bundle(kind, each, made)) for kind in ("batch", "transaction")]
    return kinds


def bundle(kind, response, made):
    """A Bundle with a create, an update, a read and a search."""
    link = "urn:uuid:0b0d1f0a-0000-4000-8000-000000000001"
    entries = [
        {
            "fullUrl": link,
            "resource": response,
            "request": {"method": "POST", "url": "QuestionnaireResponse"},
        },
        {
            "resource": response | {"id": made, "partOf": [{"reference": link}]},
            "request": {"method": "PUT", "url": f"QuestionnaireResponse/{made}"},
        },
        {"request": {"method": "GET", "url": f"RiskAssessment/{made}", "ifNoneMatch": 'W/"1"'}},
        {"request": {"method": "GET", "url": "QuestionnaireResponse?status=completed&_count=1"}},
    ]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def send_mutated(client, requests, random, count):
    """Sends so many mutated bodies; returns how often each status was answered."""
    statuses = {}
    for _ in range(count):
        method, path, body = random.choice(requests)
        data = json_mutations.mutated(body, random)
        headers = {"Content-Type": FHIR} | random.choice(HEADERS)
        answer = client.open(path, method=method, data=data, headers=headers)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        check(answer, f"{method} {path} {headers}: {data[:2000]!r}")
    return statuses


def check(answer, sent):
    """Whether the answer is one that a client can read."""
    assert answer.status_code < 500, sent
    if answer.data:
        kind = orjson.loads(answer.data)["resourceType"]
        assert (kind == "OperationOutcome") or answer.status_code < 400, sent
    else:
        assert answer.status_code in (200, 201), sent


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def test_mutated_bodies_are_answered(client, requests):
    """RB11, what a minute allows to everybody."""
    statuses = send_mutated(client, requests, Random(1), 600)
    assert {200, 201, 400, 422} <= statuses.keys()


@pytest.mark.slow
@pytest.mark.no_cover
def test_ten_thousand_mutated_bodies_are_answered_and_leave_no_memory_behind(client, requests, monkeypatch):
    """RB11; all in this process, as whatever a child leaves behind is gone with it."""
    monkeypatch.setattr(Sandbox, "small_or_apart", lambda _self, _size, work, *_: work(apart=True))
    monkeypatch.setattr(Sandbox, "run", lambda _self, work: work())
    random = Random(2)
    send_mutated(client, requests, random, 2_000)
    before = resident_bytes()
    statuses = send_mutated(client, requests, random, 8_000)
    assert {200, 201, 400, 404, 412, 422} <= statuses.keys()
    assert resident_bytes() - before < 32 * 1024 * 1024
