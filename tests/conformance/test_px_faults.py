"""A server that is stopped and a store that goes away, checks PX03 and PX04."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from fhir_client import ORIGIN, issues_of, path_of
from patience import PATIENCE_S
from running_service import running
from sample_responses import SYSTEM, new_value, strain

TYPE = "QuestionnaireResponse"
MANY = 20


class Restarted:
    """A service that was stopped under load and started again on the same store."""

    def __init__(self, url):
        self.url = url
        self.acknowledged = set()
        self.ehr = None


@pytest.fixture(scope="module")
def restarted(database):
    again = Restarted(database("sqlite"))
    with running(again.url, WORKERS="2", DRAIN_S="1") as (server, ehr):
        again.acknowledged = set(stopped_under_load(server, ehr))
    with running(again.url, WORKERS="2", STORE_TIMEOUT_S="1") as (_, again.ehr):
        yield again


def stopped_under_load(server, ehr):
    """Stops a server that is writing; returns the ids of all that it said it had written."""
    with ThreadPoolExecutor(5) as pool:
        writers = [pool.submit(written, ehr) for _ in range(5)]
        while ehr.total(TYPE) < MANY:
            pass
        server.process.terminate()
        while ehr.get("/readyz").status == 200:
            pass
        assert ehr.get("/healthz").status == 200
        assert ehr.post(TYPE, strain()).status == 201
        acknowledged = [id_ for each in writers for id_ in each.result(PATIENCE_S)]
    assert server.process.wait(PATIENCE_S) == 0
    return acknowledged


def written(ehr):
    """Writes until nobody listens any more."""
    made = []
    while True:
        try:
            answer = ehr.post(TYPE, strain(), prefer="return=minimal")
        except OSError:
            return made
        assert answer.status in (201, 503)
        if answer.status == 201:
            made.append(path_of(answer.headers["Location"]).split("/")[3])


def test_px03_what_was_acknowledged_before_a_stop_is_there_after_a_start(restarted):
    ehr = restarted.ehr
    stored = set(ehr.found(f"{TYPE}?_count=100&_elements=id"))
    assert len(restarted.acknowledged) >= MANY - 6
    assert restarted.acknowledged <= stored
    assert set(ehr.totals().values()) == {len(stored)}
    assert set(ehr.found("RiskAssessment?_count=100&_elements=id")) == stored


TRANSIENT = {"transient", "lock-error", "timeout", "no-store"}
"""The code that says that something passes, and the codes that R4 puts below it."""


def refused_for_now(answer):
    issues = issues_of(answer, 503)
    assert {each["code"] for each in issues} <= TRANSIENT
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    text = answer.data.decode().lower()
    assert not any(
        word in text for word in ("sqlite", "postgres", "psycopg", "sqlalchemy", "127.0.0.1", "password")
    )


def everything_waits(ehr, at, union):
    """Asks everything that needs the store; says so, and serves the rest."""
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": {"method": "GET", "url": at}}],
    }
    asked = (
        lambda: ehr.get(at, origin=ORIGIN),
        lambda: ehr.get(TYPE, origin=ORIGIN),
        lambda: ehr.post(TYPE, strain(), origin=ORIGIN),
        lambda: ehr.post(TYPE, strain(), origin=ORIGIN, if_none_exist=f"identifier={SYSTEM}|{new_value()}"),
        lambda: ehr.get(f"{at}/_history/1", origin=ORIGIN),
        lambda: ehr.post("", bundle, origin=ORIGIN),
    )
    for ask in asked:
        answer = ask()
        refused_for_now(answer)
        assert {each["code"] for each in answer.json["issue"]} == {"transient"}
    assert union([answer.json]) == [[]]
    assert ehr.get("metadata").status == 200
    assert ehr.get("Questionnaire").status == 200
    assert ehr.post(f"{TYPE}/$assess", strain()).status == 200
    assert ehr.get("/healthz").status == 200
    assert ehr.get("/readyz").status == 503


def everything_works(ehr, at):
    assert ehr.get(at).status == 200
    assert ehr.post(TYPE, strain()).status == 201
    assert ehr.get("/readyz").status == 200


def recovered(ehr):
    """Waits for each worker to see the store again; the patience of the test run is the limit."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends and any(ehr.get("/readyz").status != 200 for _ in range(6)):
        pass


def test_px04_a_file_that_is_away_is_said_to_be_and_comes_back_without_a_restart(restarted, union):
    ehr, path = restarted.ehr, Path(restarted.url.removeprefix("sqlite:///"))
    at = f"{TYPE}/{ehr.create(strain())['id']}"
    files = [each for each in path.parent.iterdir() if each.name.startswith(path.name)]
    away = path.parent / "away"
    away.mkdir()
    for each in files:
        each.rename(away / each.name)
    everything_waits(ehr, at, union)
    for each in files:
        (away / each.name).rename(each)
    recovered(ehr)
    everything_works(ehr, at)


def test_px04_a_locked_file_is_waited_for_and_then_said_to_be_busy(restarted):
    ehr = restarted.ehr
    at = f"{TYPE}/{ehr.create(strain())['id']}"
    with closing(sqlite3.connect(restarted.url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused_for_now(ehr.post(TYPE, strain(), origin=ORIGIN))
        assert ehr.get(at).status == 200
        other.execute("ROLLBACK")
    everything_works(ehr, at)


def test_px04_a_server_that_stopped_is_said_to_be_away_and_comes_back_without_a_restart(
    database, postgresql_server, union
):
    with running(database("postgresql"), WORKERS="2", STORE_TIMEOUT_S="1") as (_, ehr):
        at = f"{TYPE}/{ehr.create(strain())['id']}"
        postgresql_server.stop()
        try:
            everything_waits(ehr, at, union)
        finally:
            postgresql_server.start()
        recovered(ehr)
        everything_works(ehr, at)
