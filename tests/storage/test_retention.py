"""Export and erasure of a person, and the end of what is old."""

import json
from pathlib import Path

import pytest

from service.storage import (
    Criterion,
    Draft,
    Reference,
    ReferenceTo,
    ReferenceToIdentifier,
    ReferenceToUrl,
    Search,
    StoreBusy,
    Token,
    TokenIs,
)
from service.storage import retention as retention_module

CANARY = "canary-30517"
PARAMETERS = ("patient", "subject")
PERSON = (
    ReferenceTo("1", "Person"),
    ReferenceToUrl("http://there/Person/1"),
    ReferenceToIdentifier(CANARY, "urn:s"),
)


def draft(of_type, of_id, *entries, body=None, updated=1, deleted=False):
    default = b'{"id": "%s"}' % of_id.encode()
    return Draft(of_type, of_id, updated, default if body is None else body, entries, deleted)


def about(person):
    return Reference("patient", "Person", person)


@pytest.fixture
def filled(store):
    with store.writing() as transaction:
        transaction.create(draft("Note", "a", about("1"), body=b'{"n":\r\n1}'))
        transaction.create(draft("Note", "b", about("2")))
        transaction.create(draft("Note", "c", Reference("subject", url="http://there/Person/1")))
        transaction.create(draft("Note", "d", Reference("subject", identifier=("urn:s", CANARY))))
        transaction.create(draft("Note", "e", Reference("author", "Person", "1")))
        transaction.create(draft("Log", "a", about("1"), Token("what", "seen")))
        transaction.create(draft("Person", "1"))
        transaction.create(draft("Note", "moved", about("1")))
    with store.writing() as transaction:
        transaction.update(draft("Note", "a", about("1")))
        transaction.update(draft("Note", "moved", about("2")))
    with store.writing() as transaction:
        transaction.update(draft("Note", "a", body=b"", deleted=True))
    return store


def left(store):
    with store.reading() as view:
        kinds = ("Note", "Log", "Person")
        return {kind: "".join(record.id for record in view.search(Search(kind)).records) for kind in kinds}


def test_export_holds_every_version_of_everything_about_the_person(filled):
    lines = list(filled.export(PARAMETERS, PERSON))
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    values = [json.loads(line) for line in lines]
    ids = [value.get("id", value.get("n")) for value in values]
    assert ids == ["a", 1, "a", "c", "d", "moved", "moved", "1"]


def test_erasure_deletes_and_counts_every_version_of_everything_about_the_person(filled):
    assert filled.erase(PARAMETERS, PERSON) == {"Note": 7, "Log": 1, "Person": 1}
    assert left(filled) == {"Note": "be", "Log": "", "Person": ""}
    assert list(filled.export(PARAMETERS, PERSON)) == []
    with filled.reading() as view:
        assert view.read("Note", "a") is None
        assert view.read_version("Note", "moved", 1) is None
        found = view.search(Search("Log", (Criterion("what", (TokenIs("seen"),)),)))
        assert found.records == ()


def test_erasure_of_a_person_that_is_not_known_deletes_nothing(filled):
    before = left(filled)
    assert filled.erase(PARAMETERS, [ReferenceTo("9", "Person")]) == {}
    assert filled.erase(PARAMETERS, []) == {}
    assert left(filled) == before


def test_an_erased_id_may_be_given_again(filled):
    filled.erase(PARAMETERS, PERSON)
    with filled.writing() as transaction:
        assert transaction.create(draft("Note", "a")).version == 1


def test_nothing_of_an_erased_person_stays_in_the_files_of_sqlite(sqlite_url, open_one):
    store = open_one(sqlite_url)
    person = Reference("patient", "Person", CANARY)
    for number in range(30):
        with store.writing() as transaction:
            body = CANARY.encode() * (1 + 200 * (number % 3))
            transaction.create(
                draft("Note", str(number), person, Token("code", f"{CANARY}-{number}"), body=body)
            )
            transaction.create(draft("Note", f"other{number}", body=b"kept" * 1000))
    folder = Path(sqlite_url.removeprefix("sqlite:///")).parent
    assert CANARY.encode() in bytes_in(folder)
    assert store.erase(PARAMETERS, [ReferenceTo(CANARY, "Person")]) == {"Note": 30}
    store.scrub()
    assert CANARY.encode() not in bytes_in(folder)
    assert b"kept" in bytes_in(folder)


def bytes_in(folder):
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_a_reader_that_keeps_the_log_from_being_emptied_is_waited_for_and_told(sqlite_url, open_one):
    store = open_one(sqlite_url)
    with store.reading() as view:
        view.read("Note", "a")
        with store.writing() as transaction:
            transaction.create(draft("Note", "a"))
        with pytest.raises(StoreBusy):
            store.scrub()
    store.scrub()


def test_scrubbing_leaves_what_is_stored(filled):
    before = left(filled)
    filled.scrub()
    assert left(filled) == before


def test_what_was_last_changed_before_a_moment_ends_with_all_its_versions(store, monkeypatch):
    monkeypatch.setattr(retention_module, "_BATCH", 2)
    with store.writing() as transaction:
        for number in range(5):
            transaction.create(draft("Note", f"old{number}", about("1"), updated=10))
        transaction.create(draft("Note", "changed", updated=10))
        transaction.create(draft("Note", "gone", updated=10))
        transaction.create(draft("Log", "old", updated=10))
    with store.writing() as transaction:
        transaction.update(draft("Note", "changed", updated=20))
        transaction.update(draft("Note", "gone", updated=11, deleted=True))
    assert store.expire("Note", before=20) == 7
    assert left(store) == {"Note": "changed", "Log": "old", "Person": ""}
    assert store.expire("Note", before=20) == 0
    with store.reading() as view:
        assert view.read("Note", "gone") is None
        assert view.history("Note", "changed", limit=5).total == 2
