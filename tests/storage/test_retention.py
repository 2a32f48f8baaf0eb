"""Export and erasure of a person, and the end of what is old."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import psycopg
import pytest

from service.storage import store as retention_module
from service.storage.database import StoreLimits
from service.storage.entries import Reference, Token
from service.storage.model import (
    Criterion,
    Draft,
    ReferenceTo,
    ReferenceToIdentifier,
    ReferenceToUrl,
    Search,
    StoreBusy,
    StoreUnavailable,
    TokenIs,
)

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


def erase(store, person):
    with store.erasing() as transaction:
        return transaction.erase(transaction.named(PARAMETERS, person))


def test_erasure_deletes_and_counts_every_version_of_everything_about_the_person(filled):
    with filled.erasing() as transaction:
        found = transaction.named(PARAMETERS, PERSON)
        notes = [("Note", of_id) for of_id in ("a", "c", "d", "moved")]
        assert found == [("Log", "a"), *notes, ("Person", "1")]
        assert transaction.count(found) == {"Note": 7, "Log": 1, "Person": 1}
    assert erase(filled, PERSON) == {"Note": 7, "Log": 1, "Person": 1}
    assert left(filled) == {"Note": "be", "Log": "", "Person": ""}
    assert list(filled.export(PARAMETERS, PERSON)) == []
    with filled.reading() as view:
        assert view.read("Note", "a") is None
        assert view.read_version("Note", "moved", 1) is None
        found = view.search(Search("Log", (Criterion("what", (TokenIs("seen"),)),)))
        assert found.records == ()


def test_erasure_of_a_person_that_is_not_known_deletes_nothing(filled):
    before = left(filled)
    assert erase(filled, [ReferenceTo("9", "Person")]) == {}
    assert erase(filled, []) == {}
    assert left(filled) == before


def test_an_erasure_that_fails_deletes_nothing(filled):
    before = left(filled)
    with pytest.raises(ValueError, match="64 characters"), filled.erasing() as transaction:  # noqa: PT012 - both
        assert transaction.erase([("Note", "a")]) == {"Note": 3}
        transaction.create(draft("Note", ""))
    assert left(filled) == before


def test_an_erased_id_may_be_given_again(filled):
    erase(filled, PERSON)
    with filled.writing() as transaction:
        assert transaction.create(draft("Note", "a")).version == 1


def test_what_an_erasure_creates_is_found_and_can_be_erased_by_it(store):
    with store.erasing() as transaction:
        transaction.create(draft("Note", "a", about("1")))
        assert transaction.named(PARAMETERS, PERSON) == [("Note", "a")]
        assert transaction.erase([("Note", "a")]) == {"Note": 1}
        transaction.create(draft("Note", "b", about("1")))
    assert left(store) == {"Note": "b", "Log": "", "Person": ""}
    assert len(list(store.export(PARAMETERS, PERSON))) == 1


def test_many_records_are_counted_and_erased_in_several_statements(store, monkeypatch):
    monkeypatch.setattr(retention_module, "_BATCH", 2)
    names = [("Note", str(number)) for number in range(5)]
    with store.writing() as transaction:
        for _, of_id in names:
            transaction.create(draft("Note", of_id))
        transaction.create(draft("Note", "kept"))
    with store.erasing() as transaction:
        assert transaction.count([*names, ("Note", "none"), ("Log", "none")]) == {"Note": 5}
        assert transaction.erase(names) == {"Note": 5}
    assert left(store)["Note"] == "kept"


def test_records_are_found_by_the_beginning_of_their_id(store):
    with store.writing() as transaction:
        for of_id in ("a", "a.1", "a.10", "a-1", "A.1", "b.1", "a/1"):
            transaction.create(draft("Note", of_id))
        transaction.create(draft("Log", "a.1"))
    with store.erasing() as transaction:
        assert transaction.beginning("Note", "a.") == [("Note", "a.1"), ("Note", "a.10")]
        assert transaction.beginning("Note", "c") == []


def test_nobody_writes_beside_an_erasure_and_everybody_reads(url, open_one):
    erasing, other = open_one(url), open_one(url)
    with erasing.erasing() as transaction:
        transaction.create(draft("Note", "a"))
        with pytest.raises(StoreBusy), other.writing() as late:
            late.create(draft("Note", "b"))
        with pytest.raises(StoreBusy), other.writing() as late:
            late.read_to_update("Note", "a")
        assert left(other) == {"Note": "", "Log": "", "Person": ""}
    with other.writing() as late:
        late.create(draft("Note", "b"))
    assert left(other)["Note"] == "ab"


def test_an_erasure_waits_for_those_who_write(url, open_one):
    erasing, other = open_one(url), open_one(url)
    with other.writing() as transaction:
        transaction.create(draft("Note", "a", about("1")))
        with pytest.raises(StoreBusy):
            erase(erasing, PERSON)
    assert erase(erasing, PERSON) == {"Note": 1}


@pytest.mark.parametrize("seed", [1, 6])
def test_nothing_of_an_erased_person_stays_in_the_files_of_sqlite(sqlite_url, open_one, seed):
    """Rows move between pages as others come and go, and leave copies there; with these seeds some do."""
    store, chance = open_one(sqlite_url), Random(seed)
    persons = [f"canary-{number:03d}x" for number in range(60)]
    for _ in range(10):
        with store.writing() as transaction:
            for _ in range(60):
                transaction.create(random_note(chance, chance.choice(persons)))
    gone, kept = persons[::2], persons[1::2]
    for person in chance.sample(gone, len(gone)):
        assert erase(store, [ReferenceTo(person, "Person")])
    store.scrub()
    found = bytes_in(Path(sqlite_url.removeprefix("sqlite:///")).parent)
    assert [person for person in gone if person.encode() in found] == []
    assert [person for person in kept if person.encode() not in found] == []


def random_note(chance, person):
    reference = Reference("patient", "Person", person, identifier=("urn:s", f"id-{person}"))
    entries = [reference, Token("other", f"{chance.random()}")]
    of_id = f"{chance.getrandbits(64):x}"
    return draft("Note", of_id, *entries, body=person.encode() * chance.choice([20, 60, 200]))


def test_what_is_written_anew_is_written_beside_the_store(sqlite_url, open_one, tmp_path):
    """A container may have no other folder to write to, and the common one is less private."""
    folder = tmp_path / "o'clock"
    folder.mkdir()
    path = (tmp_path / "store.db").rename(folder / "store.db")
    store = open_one(f"sqlite:///{path}")
    store.scrub()
    with closing(sqlite3.connect(":memory:")) as connection:  # the setting is that of the process
        assert connection.execute("PRAGMA temp_store_directory").fetchone() == (str(folder),)


def test_scrubbing_waits_for_a_writer_and_says_that_it_cannot(sqlite_url, open_one):
    store, other = open_one(sqlite_url), open_one(sqlite_url)
    with other.writing() as transaction:
        transaction.create(draft("Note", "a"))
        with pytest.raises(StoreBusy):
            store.scrub()
    store.scrub()


def test_a_file_that_cannot_be_written_anew_is_told(sqlite_url, open_one):
    store = open_one(sqlite_url, StoreLimits(connections=1))
    with store._connected().reader.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailable):
        store.scrub()


def test_samples_that_postgresql_took_of_erased_values_are_replaced(postgresql_url, open_one):
    store = open_one(postgresql_url)
    with store.writing() as transaction:
        for number in range(50):
            transaction.create(draft("Note", f"gone{number}", about(CANARY)))
            transaction.create(draft("Note", f"kept{number}", about("other")))
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        samples = "SELECT count(*) FROM pg_stats WHERE most_common_vals::text LIKE '%%canary-%%'"
        connection.execute("ANALYZE text_entry")
        assert connection.execute(samples).fetchone() == (1,)
        erase(store, [ReferenceTo(CANARY, "Person")])
        store.scrub()
        assert connection.execute(samples).fetchone() == (0,)


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


def test_what_was_last_changed_before_a_moment_is_found_oldest_first(store):
    with store.writing() as transaction:
        for of_id, updated in (("new", 20), ("old", 12), ("older", 10), ("changed", 5), ("gone", 5)):
            transaction.create(draft("Note", of_id, updated=updated))
        transaction.create(draft("Log", "old", updated=10))
    with store.writing() as transaction:
        transaction.update(draft("Note", "changed", updated=20))
        transaction.update(draft("Note", "gone", updated=11, deleted=True))
    with store.erasing() as transaction:
        found = transaction.unchanged("Note", since=20, limit=5)
        assert found == [("Note", "older"), ("Note", "gone"), ("Note", "old")]
        assert transaction.unchanged("Note", since=20, limit=1) == found[:1]
        assert transaction.unchanged("Note", since=10, limit=5) == []
