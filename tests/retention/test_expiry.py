"""`python -m service expire`: what was last changed too long ago ends, with all that belongs to it."""

import io
import json
from collections import Counter

import pytest
from fhir_client import BASE, STORED

from service.retention import commands, erasure
from service.retention.commands import Console
from service.settings import Settings
from service.storage.model import Draft

DAY = 24 * 60 * 60 * 1_000_000
START = 1_700_000_000_000_000
FAMILY = {"QuestionnaireResponse": 1, "RiskAssessment": 1, "Provenance": 1}


def moved(store, of_id, version, updated):
    """Stores a version of a response with what is made of it, as the service does."""
    with store.writing() as transaction:
        write = transaction.create if version == 1 else transaction.update
        for kind in ("QuestionnaireResponse", "RiskAssessment"):
            write(Draft(kind, of_id, updated, b"{}"))
        for kind in ("Provenance", "AuditEvent"):
            transaction.create(Draft(kind, f"{of_id}.{version}", updated, b"{}"))


@pytest.fixture
def expire(url):
    """Returns a function that runs the command so many days after the start; it returns the counts."""

    def run(days, responses=0, audit=0):
        terms = {"retention_days": responses, "audit_retention_days": audit}
        settings = Settings(store_url=url, base_url=BASE, **terms)
        out, now = io.BytesIO(), START + days * DAY
        console = Console(settings=settings, out=out, notes=io.StringIO(), now=now)
        assert commands.expire(console) == 0
        return json.loads(out.getvalue())

    return run


def there(store):
    with store.erasing() as transaction:
        everything = [name for kind in STORED for name in transaction.unchanged(kind, since=2**62, limit=99)]
    return {f"{kind}/{of_id}" for kind, of_id in everything}


def family(of_id, *versions):
    trail = {f"{kind}/{of_id}.{each}" for kind in ("Provenance", "AuditEvent") for each in versions}
    return {f"QuestionnaireResponse/{of_id}", f"RiskAssessment/{of_id}"} | trail


def test_a_response_ends_with_its_result_and_the_provenance_of_all_its_versions(store, expire):
    moved(store, "old", 1, START - 300 * DAY)
    moved(store, "old", 2, START)
    moved(store, "new", 1, START + 3 * DAY)
    assert expire(102, responses=100) == dict.fromkeys(FAMILY, 2)
    assert there(store) == {"AuditEvent/old.1", "AuditEvent/old.2"} | family("new", 1)


def test_a_response_that_was_changed_keeps_all_of_its_trail(store, expire):
    """The Provenance of a version that is long past lives as long as the response does."""
    moved(store, "x", 1, START - 300 * DAY)
    moved(store, "x", 2, START)
    assert expire(100, responses=100) == {}
    assert there(store) == family("x", 1, 2)


def test_the_trail_of_another_response_with_a_longer_id_is_left_alone(store, expire):
    moved(store, "x", 1, START)
    moved(store, "x.1", 1, START + 5 * DAY)
    moved(store, "x.y", 1, START + 5 * DAY)
    moved(store, "xx", 1, START + 5 * DAY)
    assert expire(101, responses=100) == FAMILY
    assert there(store) == {"AuditEvent/x.1"} | family("x.1", 1) | family("x.y", 1) | family("xx", 1)


def test_audit_records_have_a_term_of_their_own(store, expire):
    moved(store, "x", 1, START - 300 * DAY)
    moved(store, "x", 2, START)
    assert expire(100, audit=200) == {"AuditEvent": 1}
    assert there(store) == family("x", 1, 2) - {"AuditEvent/x.1"}
    assert expire(100, responses=50, audit=50) == dict.fromkeys(FAMILY, 2) | {"AuditEvent": 1}
    assert there(store) == set()


def test_without_a_term_everything_is_kept(store, expire):
    moved(store, "x", 1, 0)
    assert expire(30_000) == {}
    assert there(store) == family("x", 1)


def test_many_responses_end_in_several_transactions(store, expire, monkeypatch):
    monkeypatch.setattr(erasure, "_BATCH", 2)
    for number in range(5):
        moved(store, f"x{number}", 1, START)
    moved(store, "kept", 1, START + DAY)
    assert expire(2, responses=1, audit=1) == dict.fromkeys(STORED, 5)
    assert there(store) == family("kept", 1)
    with store.reading() as view:
        told = [json.loads(link.body)["counts"] for link in view.links_after(0, limit=99)]
    assert sum(map(Counter, told), Counter()) == Counter(dict.fromkeys(STORED, 5))
    assert len(told) == 6


def test_what_is_not_deleted_after_all_is_not_recorded(store, expire, monkeypatch):
    """The entry is in the transaction that deletes: what goes before a fault is told, the rest is not."""
    monkeypatch.setattr(erasure, "_BATCH", 2)
    for number in range(4):
        moved(store, f"x{number}", 1, START)
    left = [erasure.records_expiry_link]

    def once(*given):
        return left.pop()(*given)

    monkeypatch.setattr(erasure, "records_expiry_link", once)
    with pytest.raises(IndexError):
        expire(2, responses=1)
    assert len([name for name in there(store) if name.startswith("QuestionnaireResponse")]) == 2
    with store.reading() as view:
        (link,) = view.links_after(0, limit=99)
    assert json.loads(link.body)["counts"] == dict.fromkeys(FAMILY, 2)


def test_what_the_service_stored_ends_and_what_it_stored_later_stays(on_sqlite, person, monkeypatch, capsys):
    """The command as cron runs it, on what the service has stored."""
    from service import cli

    document = on_sqlite.ehr.create(person.named())
    monkeypatch.setenv("SERVICE_STORE_URL", on_sqlite.url)
    monkeypatch.setenv("SERVICE_RETENTION_DAYS", "1")
    capsys.readouterr()
    assert cli.main(["expire"]) == 0
    assert json.loads(capsys.readouterr().out) == {}
    assert on_sqlite.ehr.get(f"QuestionnaireResponse/{document['id']}").status == 200
