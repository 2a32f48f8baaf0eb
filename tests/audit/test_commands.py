"""`python -m service audit`: whether the trail is whole, and its feed; and erasure in it (AU16)."""

import json
import re

import pytest
from audit_trail import event, links, verdict, written
from fhir.resources.R4B.auditevent import AuditEvent
from sqlalchemy import create_engine, text

from service import cli
from service.fhir.primitives import ID
from service.retention.erasure import EventStamp, Periods, erase, expire, of_person, person_from
from service.search import PERSON
from service.storage.entries import Reference
from service.storage.model import (
    Draft,
)

BASE = "https://guidance.example.org/fhir"
DAY = 24 * 60 * 60 * 1_000_000


@pytest.fixture
def command(url, monkeypatch, capsys):
    """Returns a function that runs the command: exit code, lines of JSON, and what else was said."""
    monkeypatch.setenv("SERVICE_STORE_URL", url)
    monkeypatch.setenv("SERVICE_BASE_URL", BASE)

    def run(*arguments):
        capsys.readouterr()
        code = cli.main(["audit", *arguments])
        out, notes = capsys.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], notes

    return run


def test_a_trail_that_is_whole_exits_with_0_and_prints_its_end(store, command):
    written(store, event(), event())
    written(store, event(), tenant="north")
    code, lines, _ = command("--verify")
    assert code == 0
    assert [(line["tenant"], line["seq"], line["entries"], line["whole"]) for line in lines] == [
        ("", 2, 2, True),
        ("north", 1, 1, True),
    ]
    assert lines[0]["hash"] == links(store)[-1].hash.hex()


def test_a_trail_that_is_not_whole_exits_with_1_and_says_where(store, command, tamper):
    written(store, event(), event(), event())
    tamper("DELETE FROM chain_entry WHERE seq = 2")
    code, (line,), _ = command("--verify")
    assert code == 1
    assert (line["whole"], line["faultCount"]) == (False, 1)
    assert (line["faults"][0]["seq"], line["faults"][0]["kind"]) == (3, "missing")


def test_what_was_printed_before_is_what_the_trail_is_held_against(store, command, tamper, tmp_path):
    written(store, event(), event())
    written(store, event(), tenant="gone")
    kept = tmp_path / "anchors.ndjson"
    kept.write_text("".join(json.dumps(line) + "\n" for line in command("--verify")[1]))
    written(store, event())
    assert command("--verify", "--anchors", str(kept))[0] == 0
    tamper(*(f"DELETE FROM {table} WHERE tenant = 'gone'" for table in ("chain_entry", "chain_head")))
    tamper("DELETE FROM chain_part WHERE tenant = 'gone'")
    assert command("--verify")[0] == 0
    code, lines, _ = command("--verify", "--anchors", str(kept))
    assert code == 1
    assert [line["tenant"] for line in lines if not line["whole"]] == ["gone"]


def test_a_trail_is_not_held_against_a_file_in_which_nothing_stands(store, command, tmp_path):
    """Such as one that was begun anew: nobody is to think that the trail was compared."""
    kept = tmp_path / "anchors.ndjson"
    kept.touch()
    assert command("--verify", "--anchors", str(kept)) == (0, [], "")
    written(store, event())
    code, lines, notes = command("--verify", "--anchors", str(kept))
    assert (code, lines) == (2, [])
    assert "--anchors: expected a file of lines" in notes


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--verify", "--tenant", "canary"), "--tenant"),
        (("--since", "canary"), "--since"),
        (("--since", "2026-01-31"), "--since"),
        (("--verify", "--anchors", "canary"), "--anchors"),
        (("--verify", "--anchors", __file__), "--anchors"),
    ],
)
def test_what_cannot_be_run_exits_with_2_and_repeats_nothing(store, command, arguments, expected):
    code, lines, notes = command(*arguments)
    assert (code, lines) == (2, [])
    assert expected in notes
    assert "canary" not in notes


def test_without_a_store_it_cannot_be_run(command, monkeypatch):
    monkeypatch.setenv("SERVICE_STORE_URL", "none")
    assert command("--verify")[0] == 2


def test_the_feed_is_valid_audit_events_oldest_first(store, command):
    written(store, event(), event(status=403, patient={}, references=[]), event(status=503))
    code, lines, _ = command()
    assert code == 0
    for line in lines:
        AuditEvent.model_validate_json(json.dumps(line))
    read, denied, failed = lines
    assert (read["type"]["code"], read["subtype"][0]["code"], read["action"], read["outcome"]) == (
        "rest",
        "read",
        "R",
        "0",
    )
    user, client = read["agent"]
    assert user["who"]["identifier"] == {"system": "https://ehr.example.org", "value": "practitioner-canary"}
    assert client["who"]["identifier"]["value"] == "growth-chart"
    assert client["network"] == {"address": "192.0.2.7", "type": "2"}
    what = [entity["what"] for entity in read["entity"]]
    assert what[:2] == [
        {"reference": "Patient/canary"},
        {"reference": "QuestionnaireResponse/q/_history/1"},
    ]
    assert what[2] == {"identifier": {"value": "0af7651916cd43dd8448eb211c80319c"}}
    assert (denied["type"]["code"], denied["outcome"]) == ("110113", "4")
    assert failed["outcome"] == "8"


def test_the_feed_begins_where_it_is_asked_to(store, command):
    written(store, event(), now=1_000_000)
    written(store, event(), now=2_000_000)
    written(store, event(), tenant="north", now=3_000_000)
    later = command("--since", "1970-01-01T00:00:02Z")[1]
    assert [line["id"].partition(".")[2] for line in later] == ["2", "1"]
    north = command("--tenant", "north")[1]
    assert north == later[1:]
    assert north[0]["source"]["site"] == "north"


def test_two_entries_never_share_an_id(store, command):
    """However long and alike the names of tenants are: whoever reads the feed leaves out known ids."""
    tenants = ("", "trail", "trail.1", "x" * 63 + "a", "x" * 63 + "b", "X" * 63 + "b", "x" * 63)
    for tenant in tenants:
        written(store, event(), event(), tenant=tenant)
    ids = [line["id"] for line in command()[1]]
    assert all(re.fullmatch(ID, each) for each in ids)
    assert len(set(ids)) == len(ids) == 2 * len(tenants)
    assert [line["id"] for line in command()[1]] == ids


def test_the_feed_has_more_than_one_page(store, command):
    written(store, *(event() for _ in range(501)))
    assert len(command()[1]) == 501


# Erasure: what is left is no word of whom it was about, and a chain that is whole.


def erased(store, *names, identifiers=()):
    person = person_from(names, identifiers, BASE)
    stamp = EventStamp("e", 6000, BASE)
    return erase(store, [of_person(person)], stamp, person=person)


def test_erasure_takes_the_person_out_and_leaves_the_chain_whole(store, command):
    written(store, event(), event(patient={"reference": "Patient/other"}, references=[]))
    before = [link.hash for link in links(store)]
    erased(store, "Patient/canary")
    assert [link.hash for link in links(store)][:2] == before
    code, (line,), _ = command("--verify")
    assert (code, line["erased"], line["entries"]) == (0, 1, 3)
    first, second, third = command()[1]
    left = json.dumps([first, third])
    assert "Patient/canary" not in left
    assert "QuestionnaireResponse/q" not in left
    assert "practitioner-canary" in left, "who it was that looked stays"
    assert second["entity"][0]["what"] == {"reference": "Patient/other"}
    assert third["type"]["code"] == "destroy"


def test_nothing_in_the_tables_knows_the_person_any_more(store, tamper, url):
    written(store, event())
    erased(store, "Patient/canary")
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        rows = [
            str([bytes(cell) if isinstance(cell, memoryview) else cell for cell in row])
            for table in ("chain_entry", "chain_part", "chain_name", "chain_head")
            for row in connection.execute(text(f"SELECT * FROM {table}"))
        ]
    engine.dispose()
    assert "practitioner-canary" in str(rows)
    assert "Patient/canary" not in str(rows)


def test_who_sent_requests_is_erased_by_issuer_and_subject(store, command):
    written(store, event())
    erased(store, identifiers=["https://ehr.example.org|practitioner-canary"])
    left = json.dumps(command()[1])
    assert "practitioner-canary" not in left
    assert "192.0.2.7" not in left
    assert "Patient/canary" in left
    assert command("--verify")[0] == 0


def test_a_patient_known_by_an_identifier_is_erased_by_it(store, command):
    identifier = {"system": "urn:mrn", "value": "canary-7"}
    written(store, event(patient={"identifier": identifier}, references=[]))
    erased(store, identifiers=["urn:mrn|canary-7"])
    assert "canary-7" not in json.dumps(command()[1])


def test_another_tenant_keeps_what_it_knows(store, command):
    written(store, event(), tenant="north")
    erased(store, "Patient/canary")
    assert "Patient/canary" in json.dumps(command()[1])


def test_erasure_of_somebody_unknown_leaves_no_entry(store):
    written(store, event())
    erased(store, "Patient/nobody")
    assert len(links(store)) == 1


def test_a_large_erasure_is_told_in_several_entries(store, command):
    written(store, *(event() for _ in range(501)))
    erased(store, "Patient/canary")
    found = verdict(store)
    assert (found.faults, found.entries, found.emptied) == ([], 503, 501)


def test_old_entries_expire_with_the_period_of_audit_records(store, command):
    written(store, event(), now=DAY)
    written(store, event(), now=9 * DAY)
    expire(store, Periods(0, 5), 10 * DAY)
    code, (line,), _ = command("--verify")
    assert (code, line["expired"], line["entries"]) == (0, 1, 2)
    expire(store, Periods(0, 0), 90 * DAY)
    assert len(links(store)) == 2


def test_the_end_of_responses_is_recorded_for_each_tenant_and_names_nobody(store, command):
    """What a term has ended is told as what a person has: how much of what, and nothing of whose it was."""
    for tenant, number in (("", 1), ("north", 2)):
        with store.writing(tenant) as transaction:
            for each in range(number):
                transaction.create(Draft("QuestionnaireResponse", f"canary-{each}", DAY, b"{}"))
    expire(store, Periods(5, 0), 10 * DAY)
    code, lines, _ = command()
    assert code == 0
    assert b"canary" not in json.dumps(lines).encode()
    assert [line["entity"][-1]["detail"] for line in lines] == [
        [{"type": "QuestionnaireResponse versions deleted", "valueString": number}] for number in "12"
    ]
    for line in lines:
        AuditEvent.model_validate_json(json.dumps(line))
        assert (line["type"]["code"], line["action"]) == ("destroy", "D")
    assert [verdict(store, tenant).faults for tenant in ("", "north")] == [[], []]
    expire(store, Periods(5, 0), 10 * DAY)
    assert [len(links(store, tenant)) for tenant in ("", "north")] == [1, 1]


def test_an_export_is_recorded_and_names_whose_data_left(store, monkeypatch, capsys, command):
    subject = [Reference(PERSON, "Patient", "canary")]
    with store.writing() as transaction:
        transaction.create(Draft("QuestionnaireResponse", "q", 1000, b"{}", subject))
    assert cli.main(["export", "Patient/nobody"]) == 0
    assert cli.main(["export", "Patient/canary", "--identifier", "urn:mrn|7"]) == 0
    (line,) = command()[1]
    AuditEvent.model_validate_json(json.dumps(line))
    assert line["type"]["code"] == "110106"
    what = [entity["what"] for entity in line["entity"] if "what" in entity]
    assert {"reference": "Patient/canary"} in what
    assert {"identifier": {"system": "urn:mrn", "value": "7"}} in what


def test_results_that_leave_are_an_export_that_names_nobody(store, command, tmp_path):
    with store.writing() as transaction:
        transaction.create(Draft("QuestionnaireResponse", "canary", 1000, b"{}"))
    assert cli.main(["rescore", str(tmp_path / "out.ndjson"), "--workers", "1"]) == 1
    (line,) = command()[1]
    AuditEvent.model_validate_json(json.dumps(line))
    assert line["type"]["code"] == "110106"
    assert line["entity"][-1]["detail"] == [{"type": "resource", "valueString": "RiskAssessment"}]
    assert "canary" not in json.dumps(line)
