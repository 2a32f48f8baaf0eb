"""Stores by URL."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from service.errors import SettingsError
from service.storage import schema
from service.storage.database import Database, Limits
from service.storage.model import Store
from service.storage.postgresql import PostgreSql
from service.storage.schema import Migration
from service.storage.sqlite import Sqlite
from service.storage.store import SqlStore

NONE = "none"
_EXPECTED = "Expected none, sqlite:///path/of/a/file, or postgresql://user:password@host/database."


def open_store(url: str, limits: Limits | None = None, *, append_only: Collection[str] = ()) -> Store | None:
    """Returns the store that the URL names; None for `none`. Nothing is connected yet.

    Args:
        url: `none`, `sqlite:///relative` or `sqlite:////absolute` path, or a PostgreSQL URL.
        limits: how long to wait for what.
        append_only: types whose records are created, read and erased, but never updated.

    Raises:
        SettingsError: the URL is none of these; the URL itself is not repeated.
    """
    database = _database(url, limits or Limits())
    return None if database is None else SqlStore(database, append_only)


def migrate(url: str, limits: Limits | None = None) -> Migration | None:
    """Creates the file and the schema where they are missing, and brings the schema up to date.

    Safe to be called by several processes at once: one does it. Returns what it found and what is there
    now; None where the URL is `none`.

    Raises:
        SettingsError: the URL is not understood.
        StartupError: the schema is newer than this program.
        StoreFault: the database cannot be reached or changed.
    """
    database = _database(url, limits or Limits())
    if database is None:
        return None
    database.prepare()
    return schema.migrate(database)


def check(url: str, limits: Limits | None = None) -> None:
    """Returns if the database has the schema of this program; the service must not start otherwise.

    Raises:
        SettingsError: the URL is not understood.
        StartupError: the schema is older or newer, or there is none.
        StoreFault: the database cannot be reached.
    """
    database = _database(url, limits or Limits())
    if database is not None:
        schema.check(database)


def _database(url: str, limits: Limits) -> Database | None:
    if url == NONE:
        return None
    parts = _parts(url)
    if parts.drivername == "sqlite" and parts.database and not parts.query:
        return Sqlite(Path(parts.database), limits)
    if parts.drivername in ("postgresql", "postgresql+psycopg"):
        return PostgreSql(parts, limits)
    raise SettingsError([_EXPECTED])


def _parts(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError([_EXPECTED]) from None
