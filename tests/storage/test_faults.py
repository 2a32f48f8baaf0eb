"""Databases that are full, locked, lost or exhausted: said quickly, and over without a restart."""

import os
import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError, InvalidRequestError, OperationalError, ProgrammingError

from service.storage import postgresql
from service.storage.database import StoreLimits, translated
from service.storage.entries import Token
from service.storage.model import (
    Draft,
    RangeIs,
    StoreBusy,
    StoreFault,
    StoreFull,
    StoreUnavailable,
    VersionConflict,
)
from service.storage.sql import _reads

SECRET = "canary-4711"
ONE = StoreLimits(connect_s=0.2, lock_s=0.2, connections=1)


def create(store, of_id="a", body=b"{}"):
    with store.writing() as transaction:
        return transaction.create(Draft("Note", of_id, 1, body, [Token("code", of_id)]))


def reads(store, of_id="a"):
    with store.reading() as view:
        return view.read("Note", of_id) is not None


def path_of(url):
    return Path(url.removeprefix("sqlite:///"))


@contextmanager
def locked_sqlite(url):
    with sqlite3.connect(path_of(url), isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    other.close()


@contextmanager
def locked_postgresql(url):
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE record IN ACCESS EXCLUSIVE MODE")
        yield


def locked(url):
    return locked_sqlite(url) if url.startswith("sqlite") else locked_postgresql(url)


def test_a_locked_database_is_busy_until_it_is_free(store, url):
    with locked(url), pytest.raises(StoreBusy) as refused:
        create(store)
    assert refused.value.retry_after_s > 0
    create(store)
    assert reads(store)


def test_a_store_waits_for_a_lock_that_comes_free_in_time(url, open_one):
    store = open_one(url, StoreLimits(lock_s=30))
    held = locked(url)
    held.__enter__()
    writer = threading.Thread(target=create, args=(store,))
    writer.start()
    held.__exit__(None, None, None)
    writer.join()
    assert reads(store)


def test_readers_go_on_while_sqlite_is_locked(sqlite_url, open_one):
    store = open_one(sqlite_url)
    create(store)
    with locked_sqlite(sqlite_url):
        assert reads(store)


def test_a_second_writer_of_the_same_process_is_told_that_the_store_is_busy(sqlite_url, open_one):
    store = open_one(sqlite_url)
    with store.writing(), pytest.raises(StoreBusy), store.writing():
        pass
    create(store)


def test_a_store_whose_connections_are_all_in_use_is_busy(url, open_one):
    store = open_one(url, ONE)
    with store.reading(), pytest.raises(StoreBusy):
        store.ping()
    store.ping()


def test_a_row_that_another_transaction_changes_is_waited_for_and_then_in_conflict(postgresql_url, open_one):
    first, second = open_one(postgresql_url), open_one(postgresql_url)
    create(first)
    with first.writing() as transaction:
        assert transaction.read_to_update("Note", "a").version == 1
        with pytest.raises(StoreBusy), second.writing() as late:
            late.update(Draft("Note", "a", 2, b"2"), expected=1)
        transaction.update(Draft("Note", "a", 2, b"2"))
    with pytest.raises(VersionConflict), second.writing() as late:
        late.update(Draft("Note", "a", 2, b"3"), expected=1)


def test_a_full_disk_stores_nothing_and_passes_with_the_space(sqlite_url, open_one):
    store = open_one(sqlite_url, ONE)
    create(store)
    limit_pages(store, 30)
    with pytest.raises(StoreFull) as refused:
        create(store, "big", os.urandom(500_000))
    assert refused.value.retry_after_s > 0
    assert reads(store)
    assert not reads(store, "big")
    limit_pages(store, 1_000_000)
    create(store, "big", os.urandom(500_000))
    assert reads(store, "big")


def limit_pages(store, pages):
    with store._connected().reader.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


def test_a_file_that_is_gone_is_unavailable_until_it_is_back(sqlite_url, open_one):
    store, path = open_one(sqlite_url), path_of(sqlite_url)
    create(store)
    store.scrub()
    path.rename(path.with_suffix(".away"))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            create(store, "b")
    assert not path.exists()
    path.with_suffix(".away").rename(path)
    assert reads(store)
    create(store, "b")


def test_a_file_that_was_replaced_is_read_anew(sqlite_url, open_one, sqlite_template):
    store, path = open_one(sqlite_url), path_of(sqlite_url)
    create(store)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(sqlite_template.read_bytes())
    store.scrub()
    fresh.rename(path)
    for side in ("-wal", "-shm"):
        Path(f"{path}{side}").unlink(missing_ok=True)
    assert not reads(store)


def test_a_damaged_file_is_unavailable(sqlite_url, open_one):
    path_of(sqlite_url).write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreUnavailable):
        reads(open_one(sqlite_url))


def test_a_server_that_stopped_is_unavailable_until_it_is_back(postgresql_server, postgresql_url, open_one):
    store = open_one(postgresql_url)
    create(store)
    postgresql_server.stop()
    try:
        for _ in range(2):
            with pytest.raises(StoreUnavailable) as refused:
                store.ping()
            assert postgresql_server.password not in str(refused.value)
    finally:
        postgresql_server.start()
    assert reads(store)


def test_a_connection_that_is_lost_in_a_transaction_undoes_it(postgresql_url, open_one):
    store = open_one(postgresql_url)
    with pytest.raises(StoreUnavailable), store.writing() as transaction:  # noqa: PT012 - what happens in it
        transaction.create(Draft("Note", "a", 1, b"{}"))
        end_all_connections(postgresql_url)
        transaction.create(Draft("Note", "b", 1, b"{}"))
    assert not reads(store)
    create(store)


def end_all_connections(url):
    with psycopg.connect(url) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )


class Stopped(BaseException):
    """What gevent throws into a greenlet that has no time left."""


@pytest.mark.parametrize("idle_s", [60, 0], ids=["used a moment ago", "idle for long"])
def test_connections_that_the_server_has_closed_are_made_anew_and_nobody_notices(
    postgresql_url, open_one, monkeypatch, idle_s
):
    monkeypatch.setattr(postgresql, "_IDLE_S", idle_s)
    store = open_one(postgresql_url)
    create(store)
    end_all_connections(postgresql_url)
    assert reads(store)
    end_all_connections(postgresql_url)
    create(store, "b")
    assert reads(store, "b")


@pytest.mark.parametrize(("idle_s", "asked"), [(60, 0), (-1, 2)])
def test_only_a_server_that_has_not_answered_for_some_time_is_asked_whether_it_is_there(
    postgresql_url, open_one, monkeypatch, idle_s, asked
):
    monkeypatch.setattr(postgresql, "_IDLE_S", idle_s)
    asks = []
    monkeypatch.setattr(PGDialect_psycopg, "do_ping", lambda _dialect, connection: asks.append(connection))
    store = open_one(postgresql_url)
    create(store)
    assert reads(store)
    assert reads(store)
    assert len(asks) == asked


def test_a_transaction_that_is_stopped_from_outside_is_undone_and_its_connection_closed(url, open_one):
    store = open_one(url, ONE)
    with pytest.raises(Stopped), store.writing() as transaction:  # noqa: PT012 - what happens in it
        transaction.create(Draft("Note", "a", 1, b"{}"))
        raise Stopped
    assert not reads(store)
    create(store)


def test_a_forked_process_makes_connections_of_its_own(store):
    create(store)
    child = os.fork()
    if child == 0:
        try:
            create(store, "from-child")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    create(store, "from-parent")
    assert reads(store, "from-child")
    assert reads(store, "from-parent")


def test_a_store_that_a_parent_process_opened_is_opened_anew(store, monkeypatch):
    create(store)
    before = store._connected().engine
    its_connections = before.pool
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert store._connected().engine is not before
    assert reads(store)
    its_connections.dispose()
    store.close()


def test_no_error_repeats_what_was_to_be_stored(store, caplog):
    create(store, SECRET)
    with pytest.raises(StoreFault) as refused:
        create(store, SECRET)
    assert SECRET not in str(refused.value)
    assert refused.value.__suppress_context__
    assert SECRET not in caplog.text


class Refused(Exception):
    """A driver's error."""

    def __init__(self, **codes):
        super().__init__(SECRET)
        self.__dict__.update(codes)


@pytest.mark.parametrize(
    ("wrapper", "codes", "expected"),
    [
        (OperationalError, {"sqlstate": "53100"}, StoreFull),
        (OperationalError, {"sqlstate": "40001"}, VersionConflict),
        (OperationalError, {"sqlstate": "40P01"}, StoreBusy),
        (OperationalError, {"sqlstate": "57P01"}, StoreUnavailable),
        (OperationalError, {"sqlstate": None}, StoreUnavailable),
        (OperationalError, {"sqlite_errorcode": sqlite3.SQLITE_IOERR | 3 << 8}, StoreUnavailable),
        (OperationalError, {"sqlite_errorcode": sqlite3.SQLITE_BUSY | 1 << 8}, StoreBusy),
        (ProgrammingError, {"sqlstate": "42P01"}, StoreFault),
        (DBAPIError, {}, StoreUnavailable),
    ],
)
def test_errors_of_drivers_become_errors_of_the_store(wrapper, codes, expected):
    with pytest.raises(StoreFault) as refused, translated():
        raise wrapper("SELECT", {}, Refused(**codes))
    assert type(refused.value) is expected
    assert SECRET not in str(refused.value)


def of_sqlite(kind, code):
    error = kind(SECRET)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (of_sqlite(sqlite3.OperationalError, sqlite3.SQLITE_FULL), StoreFull),
        (of_sqlite(sqlite3.OperationalError, sqlite3.SQLITE_BUSY | 2 << 8), StoreBusy),
        (of_sqlite(sqlite3.DatabaseError, sqlite3.SQLITE_CORRUPT), StoreUnavailable),
        (of_sqlite(sqlite3.IntegrityError, sqlite3.SQLITE_CONSTRAINT), StoreFault),
        (psycopg.errors.DiskFull(SECRET), StoreFull),
        (psycopg.errors.UniqueViolation(SECRET), StoreFault),
        (psycopg.OperationalError(SECRET), StoreUnavailable),
    ],
)
def test_errors_that_come_from_a_driver_as_they_are_become_errors_of_the_store_too(error, expected):
    with pytest.raises(StoreFault) as refused, translated():
        raise error
    assert type(refused.value) is expected
    assert SECRET not in str(refused.value)
    assert refused.value.__suppress_context__


def test_an_error_of_nobody_in_the_store_stays_what_it_is():
    for error in (KeyError(), InvalidRequestError("x")):
        with pytest.raises(type(error)), translated(StoreFull("x")):
            raise error


def test_threads_that_come_first_at_the_same_time_share_their_connections(store):
    first = store._connected()
    assert store._make() is first


def test_a_stretch_is_not_looked_up_among_texts():
    with pytest.raises(TypeError, match="RangeIs"):
        _reads(RangeIs("eq", 1, 1))
