"""`python -m service export`: everything that is stored about a person, and nothing of anybody else."""

import json
import os
from collections import Counter
from contextlib import suppress

import pytest
from fhir_client import BASE

FOUR = {"QuestionnaireResponse": 1, "RiskAssessment": 1, "Provenance": 1, "AuditEvent": 1}


def lines(done):
    assert done.code == 0
    return [json.loads(line) for line in done.out.splitlines()]


def kinds(done):
    return Counter(each["resourceType"] for each in lines(done))


def test_an_export_has_every_version_of_everything_about_the_person(ehr, command, person, somebody):
    ehr.create(somebody().named())
    first = ehr.create(person.named())
    second = ehr.put(f"QuestionnaireResponse/{first['id']}", {**first, "status": "amended"}).json
    done = command("export", person.reference)
    assert kinds(done) == {kind: 2 * number for kind, number in FOUR.items()}
    assert [each for each in lines(done) if each["resourceType"] == first["resourceType"]] == [first, second]
    assert done.notes == ""


def contained(somebody):
    patient = {"resourceType": "Patient", "id": "p", "identifier": [somebody.identifier]}
    return {"contained": [patient], "subject": {"reference": "#p"}}


WAYS = {
    "as subject": lambda one: {"subject": {"reference": one.reference}},
    "as author": lambda one: {"subject": None, "author": {"reference": one.reference}},
    "as source": lambda one: {"subject": None, "source": {"reference": one.reference}},
    "by a version": lambda one: {"subject": {"reference": f"{one.reference}/_history/3"}},
    "by our own address": lambda one: {"subject": {"reference": f"{BASE}/{one.reference}"}},
    "by identifier": lambda one: {"subject": {"identifier": one.identifier}},
    "by a contained patient": contained,
}
BY_IDENTIFIER = ("by identifier", "by a contained patient")


@pytest.mark.parametrize("way", WAYS)
def test_a_person_is_found_however_a_response_names_the_person(ehr, command, person, way):
    ehr.create(person.named(**WAYS[way](person)))
    system, value = person.identifier.values()
    if way in BY_IDENTIFIER:
        assert kinds(command("export", "--identifier", f"{system}|{value}")) == FOUR
        assert kinds(command("export", "--identifier", f"|{value}")) == {}
        return
    assert kinds(command("export", person.reference)) == FOUR
    assert kinds(command("export", f"{BASE}/{person.reference}")) == FOUR
    assert kinds(command("export", f"https://elsewhere.example.org/{person.reference}")) == {}


def test_a_person_of_another_server_is_found_by_that_address_alone(ehr, command, person):
    url = f"https://elsewhere.example.org/fhir/{person.reference}"
    ehr.create(person.named(subject={"reference": url}))
    assert kinds(command("export", url)) == FOUR
    assert kinds(command("export", person.reference)) == {}


def test_a_response_that_was_stored_under_another_base_is_still_found(ehr, command, person, monkeypatch):
    """What is our own address now was a foreign one then, and is found as such."""
    later = "https://later.example.org/fhir"
    ehr.create(person.named(subject={"reference": f"{later}/{person.reference}"}))
    monkeypatch.setenv("SERVICE_BASE_URL", later)
    assert kinds(command("export", person.reference)) == FOUR
    assert kinds(command("export", f"{later}/{person.reference}")) == FOUR


def test_the_same_person_under_several_names_is_exported_once(ehr, command, person):
    ehr.create(person.named(subject={"reference": person.reference, "identifier": person.identifier}))
    ehr.create(person.named(subject={"identifier": person.identifier}))
    identifier = "|".join(person.identifier.values())
    done = command("export", person.reference, "--identifier", identifier, f"{BASE}/{person.reference}")
    assert kinds(done) == dict.fromkeys(FOUR, 2)


def test_nothing_is_known_of_a_person_whom_nobody_named(command, person):
    done = command("export", person.reference)
    assert (done.code, done.out, done.notes) == (0, "", "Nothing refers to this person.\n")


def test_an_export_to_a_file_is_for_its_owner_alone(ehr, command, person, tmp_path):
    ehr.create(person.named())
    path = tmp_path / "export.ndjson"
    done = command("export", person.reference, "--output", str(path))
    assert (done.code, done.out, done.notes) == (0, "", "")
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().splitlines()) == 4
    assert path.read_text() == command("export", person.reference).out


@pytest.mark.parametrize(
    ("place", "fault"), [("there", "a file that does not exist yet"), ("none/x", "No such file or directory")]
)
def test_a_file_that_cannot_be_made_is_exit_code_2_and_not_named(command, person, tmp_path, place, fault):
    (tmp_path / "there").write_text("precious")
    done = command("export", person.reference, "--output", str(tmp_path / place))
    assert (done.code, done.out) == (2, "")
    assert fault in done.notes
    assert str(tmp_path) not in done.notes
    assert (tmp_path / "there").read_text() == "precious"


def test_of_an_export_that_fails_no_half_file_is_left(ehr, command, person, tmp_path, monkeypatch):
    ehr.create(person.named())
    full = OSError(28, "No space left on device")
    monkeypatch.setattr("service.storage.store.SqlStore.export", lambda *_: fails(full))
    done = command("export", person.reference, "--output", str(tmp_path / "x"))
    assert (done.code, done.notes) == (2, "error: --output: No space left on device.\n")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_of_the_result_that_stops_reading_ends_it_quietly(ehr, command, person, monkeypatch):
    ehr.create(person.named())
    read, write = os.pipe()
    os.close(read)
    with suppress(BrokenPipeError), os.fdopen(write, "w") as unread:
        monkeypatch.setattr("sys.stdout", unread)
        done = command("export", person.reference)
    assert (done.code, done.notes) == (141, "")


def fails(error):
    yield b"{}\n"
    raise error
