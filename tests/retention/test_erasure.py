"""`python -m service erase`: what is stored about a person is gone, and nothing of anybody else."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fhir_client import BASE, STORED

FOUR = dict.fromkeys(STORED, 1)
TWICE = dict.fromkeys(STORED, 2)


def counts(done, code=0):
    assert done.code == code
    return json.loads(done.out)


def erasures(ehr):
    return ehr.found("AuditEvent?type=destroy")


def test_without_yes_nothing_is_erased_and_the_versions_are_counted(ehr, command, person):
    first = ehr.create(person.named())
    ehr.put(f"QuestionnaireResponse/{first['id']}", first)
    before = erasures(ehr)
    done = command("erase", person.reference)
    assert counts(done, code=1) == TWICE
    assert done.notes == "Nothing was deleted: --yes deletes so many versions, for good.\n"
    assert len(command("export", person.reference).out.splitlines()) == 8
    assert erasures(ehr) == before


def test_everything_about_the_person_is_erased_and_the_rest_stays(ehr, command, person, somebody):
    other = somebody()
    kept = ehr.create(other.named())
    first = ehr.create(person.named())
    ehr.put(f"QuestionnaireResponse/{first['id']}", first)
    of_id = first["id"]
    gone = [f"QuestionnaireResponse/{of_id}", f"RiskAssessment/{of_id}"]
    gone += [f"{kind}/{of_id}.{version}" for kind in ("Provenance", "AuditEvent") for version in (1, 2)]
    assert {ehr.get(where).status for where in gone} == {200}
    done = command("erase", person.reference, "--yes")
    assert (counts(done), done.notes) == (TWICE, "")
    assert {ehr.get(where).status for where in gone} == {404}
    assert ehr.get(f"{gone[0]}/_history/1").status == 404
    assert command("export", person.reference).out == ""
    for kind in ("QuestionnaireResponse", "RiskAssessment"):
        assert ehr.total(f"{kind}?subject={person.reference}") == 0
        assert ehr.found(f"{kind}?subject={other.reference}") == [kept["id"]]
    assert len(command("export", other.reference).out.splitlines()) == 4


@pytest.mark.parametrize("yes", [[], ["--yes"]])
def test_who_was_named_wrongly_is_not_taken_for_somebody_erased(ehr, command, person, yes):
    ehr.create(person.named())
    for named in ([f"{person.reference}-mistyped"], ["--response", "mistyped"]):
        done = command("erase", *named, *yes)
        assert counts(done, code=0 if yes else 1) == {}
        assert done.notes == "No record refers to what was named: check it.\n"


def test_the_next_response_of_an_erased_person_is_a_new_one(ehr, command, person):
    ehr.create(person.named())
    command("erase", person.reference, "--yes")
    ehr.create(person.named())
    assert counts(command("erase", person.reference), code=1) == FOUR


@pytest.mark.parametrize("whose", ["first", "second"])
def test_a_response_that_was_filed_under_two_people_is_erased_for_each(ehr, command, somebody, whose):
    """Whatever was made of its versions goes too, so that nothing is left that points nowhere."""
    first, second = somebody(), somebody()
    document = ehr.create(first.named())
    changed = {**document, "subject": {"reference": second.reference}}
    assert ehr.put(f"QuestionnaireResponse/{document['id']}", changed).status == 200
    erased, other = (first, second) if whose == "first" else (second, first)
    assert counts(command("erase", erased.reference, "--yes")) == TWICE
    assert command("export", other.reference).out == ""


def test_the_same_person_under_several_names_is_erased_at_once(ehr, command, person):
    ehr.create(person.named())
    ehr.create(person.named(subject={"identifier": person.identifier}))
    named = ["--identifier", "|".join(person.identifier.values()), f"{BASE}/{person.reference}"]
    assert counts(command("erase", "--yes", *named)) == TWICE


def test_a_response_about_nobody_is_erased_by_its_id(ehr, command, person, somebody):
    ehr.create(somebody().named())
    kept = ehr.create(person.named(subject={"display": "somebody"}))
    gone = ehr.create(person.named(subject=None))
    assert counts(command("erase", "--response", gone["id"]), code=1) == FOUR
    assert counts(command("erase", "--response", gone["id"], "--yes")) == FOUR
    assert ehr.get(f"RiskAssessment/{gone['id']}").status == 404
    assert ehr.get(f"AuditEvent/{kept['id']}.1").status == 200
    assert counts(command("erase", "--response", gone["id"], "--yes")) == {}


def test_a_response_and_a_person_are_erased_together(ehr, command, person, somebody):
    ehr.create(person.named())
    gone = ehr.create(somebody().named(subject=None))
    assert counts(command("erase", person.reference, "--response", gone["id"], "--yes")) == TWICE


def test_what_is_left_of_a_response_without_a_result_is_erased_too(ehr, command, person):
    """A response that was created as entered-in-error has no result."""
    document = ehr.create(person.named(status="entered-in-error"))
    left = {"QuestionnaireResponse": 1, "Provenance": 1, "AuditEvent": 1}
    assert counts(command("erase", person.reference, "--yes")) == left
    assert ehr.get(f"Provenance/{document['id']}.1").status == 404


@pytest.fixture
def erasure(ehr, command, person):
    """What is recorded of the erasure of a person."""
    ehr.create(person.named())
    before = erasures(ehr)
    command("erase", person.reference, "--yes")
    [made] = set(erasures(ehr)) - set(before)
    return ehr.read(f"AuditEvent/{made}")


def test_an_erasure_leaves_a_record_that_says_how_much_and_not_whose(erasure):
    versions = {each["type"]["code"]: each["detail"][0]["valueString"] for each in erasure["entity"]}
    assert versions == dict.fromkeys(STORED, "1")
    assert "canary" not in json.dumps(erasure)
    assert erasure["agent"][0]["who"] == {"display": "Operator, by the command erase"}


@pytest.mark.parametrize("kept", ["on_sqlite"], indirect=True)
def test_the_record_of_an_erasure_is_right(erasure, union):
    assert union([erasure]) == [[]]


def test_an_erasure_of_nothing_leaves_no_record(ehr, command, person):
    before = erasures(ehr)
    assert counts(command("erase", person.reference, "--yes")) == {}
    assert erasures(ehr) == before


def files(place):
    folder = Path(place.url.removeprefix("sqlite:///")).parent
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kept", ["on_sqlite"], indirect=True)
def test_no_byte_of_an_erased_person_stays_in_the_files_of_sqlite(kept, command, somebody):
    """Not the id, nor the identifier, nor the answers; those of others are all there."""
    people = [somebody() for _ in range(8)]
    for number, person in enumerate(people * 3):
        subject = {"reference": person.reference, "identifier": person.identifier}
        document = kept.ehr.create(person.named(subject=subject, like=LIKE[number % len(LIKE)]))
        if number % 2:
            kept.ehr.put(f"QuestionnaireResponse/{document['id']}", document)
    found = files(kept)
    assert all(word in found for person in people for word in words(person))
    for person in people[::2]:
        assert counts(command("erase", person.reference, "--yes"))
    found = files(kept)
    assert [person for person in people[::2] if any(word in found for word in words(person))] == []
    assert all(word in found for person in people[1::2] for word in words(person))


LIKE = ("plain-eyelid", "progressive-weakness", "professional-with-labs")


def words(person):
    texts = (person.reference.removeprefix("Patient/"), person.identifier["value"], person.answer)
    return [text.encode() for text in texts]


def test_nothing_of_the_person_is_in_what_the_command_says(ehr, command, person, caplog):
    ehr.create(person.named(subject={"reference": person.reference, "identifier": person.identifier}))
    identifier = "|".join(person.identifier.values())
    for more in ((), ("--yes",), ("--yes",)):
        done = command("erase", person.reference, "--identifier", identifier, *more)
        assert "canary" not in done.out + done.notes + caplog.text


@pytest.mark.parametrize("kept", ["on_sqlite"], indirect=True)
def test_files_that_could_not_be_cleaned_are_cleaned_by_the_same_command(kept, command, person, monkeypatch):
    monkeypatch.setenv("SERVICE_STORE_TIMEOUT_S", "1")
    kept.ehr.create(person.named())
    with closing(sqlite3.connect(kept.url.removeprefix("sqlite:///"), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM record LIMIT 1").fetchone()
        done = command("erase", person.reference, "--yes")
        assert counts(done, code=2) == FOUR
        assert "It was deleted, but files of the database may still hold it" in done.notes
        assert person.answer.encode() in files(kept)
    assert counts(command("erase", person.reference, "--yes")) == {}
    assert person.answer.encode() not in files(kept)
