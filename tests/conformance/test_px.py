"""Several processes and many callers at once, checks PX01, PX02 and PX05."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from fhir_client import FHIR, ORIGIN, issues_of, matches
from gunicorn_server import post
from patience import PATIENCE_S
from running_service import running
from sample_responses import SYSTEM, identified, new_value, strain

TYPE = "QuestionnaireResponse"
MANY = 20


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ehr(request, database):
    with running(database(request.param)) as (server, caller):
        caller.port = server.port
        yield caller


def at_once(action, number=MANY):
    """Runs the action in as many threads, all of which begin at the same moment."""
    start = Barrier(number)

    def begun(place):
        start.wait(PATIENCE_S)
        return action(place)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(begun, range(number)))


def test_px01_of_many_conditional_creates_at_once_one_creates(ehr):
    value = new_value()
    document = strain(identifier=identified(value))
    condition = f"identifier={SYSTEM}|{value}"
    before = ehr.totals()
    answers = at_once(lambda _: ehr.post(TYPE, document, if_none_exist=condition))
    statuses = [each.status for each in answers]
    assert statuses.count(201) == 1
    assert set(statuses) <= {200, 201, 409, 412}
    assert {each.json["id"] for each in answers if each.status < 300} == set(ehr.found(f"{TYPE}?{condition}"))
    assert all(after - before[kind] == 1 for kind, after in ehr.totals().items())


def test_px01_of_many_transactions_with_one_condition_one_creates(ehr):
    value = new_value()
    request = {"method": "POST", "url": TYPE, "ifNoneExist": f"identifier={SYSTEM}|{value}"}
    entry = {"resource": strain(identifier=identified(value)), "request": request}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    answers = at_once(lambda _: ehr.post("", bundle))
    assert {each.status for each in answers} <= {200, 409, 412}
    statuses = [each.json["entry"][0]["response"]["status"][:3] for each in answers if each.status == 200]
    assert statuses.count("201") == 1
    assert ehr.total(f"{TYPE}?identifier={SYSTEM}|{value}") == 1


def test_px01_a_create_that_is_sent_again_after_a_lost_connection_creates_nothing_twice(ehr):
    for _ in range(5):
        value = new_value()
        document = strain(identifier=identified(value))
        condition = f"identifier={SYSTEM}|{value}"
        raw = post(json.dumps(document).encode(), f"If-None-Exist: {condition}", path=f"/fhir/{TYPE}")
        with socket.create_connection(("127.0.0.1", ehr.port), timeout=PATIENCE_S) as lost:
            lost.sendall(raw)
        answers = [ehr.post(TYPE, document, if_none_exist=condition) for _ in range(3)]
        assert {each.status for each in answers} <= {200, 201}
        assert ehr.total(f"{TYPE}?{condition}") == 1


def test_px01_different_conditions_at_once_all_create(ehr):
    values = [new_value() for _ in range(MANY)]

    def create(place):
        condition = f"identifier={SYSTEM}|{values[place]}"
        return ehr.post(TYPE, strain(identifier=identified(values[place])), if_none_exist=condition)

    assert {each.status for each in at_once(create)} == {201}


def test_px02_of_many_updates_of_one_version_one_is_made(ehr):
    created = ehr.create(strain())
    at = f"{TYPE}/{created['id']}"
    changes = [
        created | {"status": "amended", "authored": f"2026-06-{place + 1:02}"} for place in range(MANY)
    ]
    answers = at_once(lambda place: ehr.put(at, changes[place], if_match='W/"1"'))
    statuses = [each.status for each in answers]
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 409, 412}
    now = ehr.read(at)
    assert now["meta"]["versionId"] == "2"
    assert now["authored"] == changes[statuses.index(200)]["authored"]
    assert ehr.read(f"RiskAssessment/{created['id']}")["meta"]["versionId"] == "2"
    issues_of(ehr.get(f"{at}/_history/3"), 404)


def test_px02_updates_that_name_no_version_follow_each_other_and_none_is_lost(ehr):
    created = ehr.create(strain())
    at = f"{TYPE}/{created['id']}"
    dates = [f"2026-06-{place + 1:02}" for place in range(8)]
    answers = at_once(lambda place: ehr.put(at, created | {"authored": dates[place]}), 8)
    done = [each for each in answers if each.status == 200]
    assert {each.status for each in answers} <= {200, 409, 412}
    versions = ehr.read(f"{at}/_history")["entry"]
    assert len(versions) == 1 + len(done)
    kept = {each["resource"]["authored"] for each in versions}
    assert kept == {created["authored"], *(each.json["authored"] for each in done)}


def test_px05_mixed_requests_at_once_get_what_they_get_one_by_one(ehr):
    first, second = (ehr.create(strain()) for _ in range(2))
    calls = [
        lambda: ehr.get(f"{TYPE}/{first['id']}", accept="application/json"),
        lambda: ehr.get(f"{TYPE}/{second['id']}?_pretty=true"),
        lambda: ehr.get(f"{TYPE}?subject={second['subject']['reference']}", accept="text/json"),
        lambda: ehr.get(
            f"RiskAssessment?subject={first['subject']['reference']}&_summary=true", origin=ORIGIN
        ),
        lambda: ehr.get("metadata", accept="image/png"),
        lambda: ehr.post(f"{TYPE}/$assess", second, x_request_id="theirs"),
        lambda: ehr.post(f"{TYPE}/$assess", first, prefer="return=minimal"),
        lambda: ehr.post(f"{TYPE}/$assess?_format=xml", first),
        lambda: ehr.post(f"{TYPE}/$assess?_format=application/json&_pretty=true", second),
        lambda: ehr.post(TYPE, b"{", origin="https://stranger.example.org"),
    ]
    alone = [seen(call()) for call in calls]
    together = at_once(lambda place: [seen(call()) for call in turned(calls, place)], 16)
    for place, answers in enumerate(together):
        assert answers == turned(alone, place)


def turned(listed, place):
    """Returns the same in another order for each caller."""
    start = place % len(listed)
    return listed[start:] + listed[:start]


def seen(answer):
    own = ("Date", "X-Request-Id", "Connection")
    return (
        answer.status,
        answer.data,
        sorted((name, value) for name, value in answer.headers.items() if name not in own),
    )


def test_px05_every_answer_has_a_number_of_its_own(ehr):
    asked = lambda _: [ehr.get("metadata", x_request_id="same").headers for _ in range(10)]  # noqa: E731
    headers = [each for some in at_once(asked, 8) for each in some]
    assert len({each["X-Request-Id"] for each in headers}) == 80
    assert {each["X-Correlation-Id"] for each in headers} == {"same"}


def test_px05_every_page_of_every_caller_is_its_own(ehr):
    def paged(place):
        document = strain(f"Patient/px-{place}-{new_value()}")
        ids = [ehr.create(document)["id"] for _ in range(3)]
        found = ehr.found(f"{TYPE}?patient={document['subject']['reference']}&_count=1")
        return sorted(ids) == sorted(found)

    assert all(at_once(paged, 8))


def test_the_type_of_a_served_answer_is_fhir_json(ehr):
    assert ehr.get("metadata").headers["Content-Type"].partition(";")[0] == FHIR
    assert matches(ehr.search(f"{TYPE}?_id=none")) == []
