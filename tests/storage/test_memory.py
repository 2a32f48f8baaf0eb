"""A store in memory: filled when it is made, read by every process on its own, changed by none."""

import gc
import os
import sqlite3

import pytest

from service.storage.entries import Token
from service.storage.model import (
    Draft,
    Search,
    StoreUnavailable,
)
from service.storage.opening import store_in_memory

DRAFTS = [Draft("Note", of_id, 7, b"{}", [Token("p", of_id)]) for of_id in ("a", "b")]


@pytest.fixture
def store():
    made = store_in_memory(DRAFTS)
    yield made
    made.close()


def ids(store):
    with store.reading() as view:
        return [record.id for record in view.search(Search("Note")).records]


def test_it_holds_the_first_version_of_each_record(store):
    with store.reading() as view:
        record = view.read("Note", "a")
        assert (record.id, record.version, record.updated, record.body) == ("a", 1, 7, b"{}")
        assert view.read_version("Note", "a", 1) == record
        assert view.history("Note", "a", limit=5).records == (record,)
        assert view.read("Note", "c") is None


def test_nobody_changes_it(store):
    with pytest.raises(StoreUnavailable), store.writing() as transaction:
        transaction.create(Draft("Note", "c", 7, b"{}"))
    store.scrub()
    assert ids(store) == ["a", "b"]


def test_it_is_there_again_after_it_was_closed(store):
    assert ids(store) == ["a", "b"]
    store.close()
    assert ids(store) == ["a", "b"]


def test_what_nobody_has_any_more_is_closed():
    """Python 3.13 warns of connections that are left to the garbage collection."""
    made = store_in_memory(DRAFTS)
    with made._connected().engine.connect() as connection:
        driver = connection.connection.driver_connection
    driver.execute("SELECT 1").close()
    del made
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        driver.execute("SELECT 1")


def test_a_forked_process_opens_a_copy_of_its_own(store):
    assert ids(store) == ["a", "b"]
    own = store._connected().engine
    child = os.fork()
    if child == 0:
        try:
            is_there = ids(store) == ["a", "b"] and store._connected().engine is not own
            os._exit(0 if is_there else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
