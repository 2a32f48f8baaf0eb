"""Opens stores: those that a URL names, and one in memory. No other module knows every kind of database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from service.errors import SettingsError, StartupError
from service.storage import schema
from service.storage.database import Database, StoreLimits, translated
from service.storage.model import Draft, Store
from service.storage.postgresql import PostgreSql
from service.storage.schema import METADATA, Migration
from service.storage.sqlite import SqliteFile, SqliteInMemory, serialized
from service.storage.store import SqlStore, Transaction

_EXPECTED = "Expected none, sqlite:///path/of/a/file, or postgresql://user:password@host/database."
_ENDED = (
    "The store: the process that brings its schema up to date was ended before it was done. The schema is as"
    " it was before; see whether memory is short, and start again."
)


def open_store(
    url: str, limits: StoreLimits | None = None, *, append_only: Collection[str] = ()
) -> Store | None:
    """Returns the store that the URL names; None for `none`. Nothing is connected yet.

    Args:
        url: `none`, `sqlite:///relative` or `sqlite:////absolute` path, or a PostgreSQL URL.
        limits: how long to wait for what.
        append_only: types whose records are created, read and erased, but never updated.

    Raises:
        SettingsError: the URL is none of these; the URL itself is not repeated.
    """
    database = _database(url, limits)
    return None if database is None else SqlStore(database, append_only)


def store_in_memory(drafts: Sequence[Draft]) -> Store:
    """Returns a store of records that never change.

    The database is made here and now. Each process opens a copy of it in its own memory, on first use: that
    takes less than a millisecond, and nothing is shared between processes.
    """
    empty = SqliteInMemory(None, StoreLimits())
    engine = empty.engine()
    try:
        with translated(), empty.writer(engine).begin() as connection:
            METADATA.create_all(connection)
            transaction = Transaction(connection, empty, "", ())
            for draft in drafts:
                transaction.create(draft)
            transaction.flush()
        return SqlStore(SqliteInMemory(serialized(engine), StoreLimits()))
    finally:
        engine.dispose()


def migrate(url: str, limits: StoreLimits | None = None) -> Migration | None:
    """Creates the file and the schema if they are missing, and brings the schema up to date.

    Safe to be called by several processes at once: one does it. Returns what it found and what is there
    now; None if the URL is `none`.

    Raises:
        SettingsError: the URL is not understood.
        StartupError: the schema is newer than this program.
        StoreFault: the database cannot be reached or changed.
    """
    database = _database(url, limits)
    if database is None:
        return None
    database.prepare()
    return schema.migrate(database)


def migrate_before_fork(url: str, limits: StoreLimits | None = None) -> Migration | None:
    """Does what `migrate` does, in a process that workers will be forked from.

    The driver of PostgreSQL decides how it waits when it is imported. Before a worker has replaced the
    waiting of the standard library, it would decide for waits that stop all requests of the worker. So this
    process must not import it, and a child does what is to be done.

    Raises:
        StartupError: as `migrate` does, or the child was ended before it was done.
        SettingsError, StoreFault: as `migrate` does.
    """
    if not isinstance(_database(url, limits), PostgreSql):
        return migrate(url, limits)
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as apart:
        try:
            return apart.submit(migrate, url, limits).result()
        except BrokenProcessPool:
            raise StartupError([_ENDED]) from None


def check(url: str, limits: StoreLimits | None = None) -> None:
    """Returns if the database has the schema of this program; the service must not start otherwise.

    Raises:
        SettingsError: the URL is not understood.
        StartupError: the schema is older or newer, or there is none.
        StoreFault: the database cannot be reached.
    """
    database = _database(url, limits)
    if database is not None:
        schema.check(database)


def place_of(url: str) -> str:
    """Returns which store a URL leads to, as a digest; the same for another user, password or option."""
    parts = make_url(url)
    named = (parts.get_backend_name(), parts.host, parts.port, parts.database)
    return sha256(repr(named).encode()).hexdigest()


def _database(url: str, limits: StoreLimits | None) -> Database | None:
    if url == "none":
        return None
    limits = limits or StoreLimits()
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError([_EXPECTED]) from None
    if parts.drivername == "sqlite" and parts.database and not parts.query:
        return SqliteFile(Path(parts.database), limits)
    if parts.drivername in ("postgresql", "postgresql+psycopg"):
        return PostgreSql(parts, limits)
    raise SettingsError([_EXPECTED])
