"""What the store needs of a database: how to connect, lock and clean up, and what its errors mean.

Drivers quote values and statements in their errors; the errors of this room repeat none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.storage.model import StoreBusy, StoreFault, StoreFull, StoreUnavailable, VersionConflict
from service.storage.rows import Sql


class StoreLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long a store waits before it gives up, in seconds, and how many connections it keeps.

    Args:
        connect_s: for a connection to be made, or to come free in the pool.
        lock_s: for a lock that another transaction holds.
        statement_s: for one statement (PostgreSQL).
        connections: most connections of one process.
    """

    connect_s: float = 3
    lock_s: float = 3
    statement_s: float = 10
    connections: int = 10


class Database(Protocol):
    """One kind of database."""

    probes: bool
    """Whether a search must be told where to start, because the planner keeps no statistics."""

    def prepare(self) -> None:
        """Makes what must be there before the first connection."""

    def engine(self) -> Engine:
        """Makes an engine; nothing is connected yet."""

    def reader(self, engine: Engine) -> Engine:
        """Returns the engine with transactions that see one moment and change nothing."""

    def writer(self, engine: Engine) -> Engine:
        """Returns the engine with transactions that write."""

    def migrator(self, engine: Engine) -> Engine:
        """Returns the engine with transactions that may make any table anew."""

    def turn(self) -> AbstractContextManager[None]:
        """Waits until this process may begin to write. Raises StoreBusy."""

    def claiming(self, name: str, parts: Collection[str] = ()) -> Sequence[Sql]:
        """Returns statements that hold the lock of this name, or of these parts of it, until the end."""

    def exclude(self, connection: Connection) -> None:
        """Lets no other transaction write until this one, which has done nothing yet, ends."""

    def scrub(self, engine: Engine) -> None:
        """Removes deleted rows from the files of the database, as far as it can."""


# Errors of the drivers as errors of this room.

# Primary result codes, https://www.sqlite.org/rescode.html
_SQLITE: Mapping[int, type[StoreFault]] = {
    sqlite3.SQLITE_BUSY: StoreBusy,
    sqlite3.SQLITE_LOCKED: StoreBusy,
    sqlite3.SQLITE_FULL: StoreFull,
}
# PostgreSQL manual, appendix A.
_POSTGRESQL: Mapping[str, type[StoreFault]] = {
    "40001": VersionConflict,  # serialization_failure
    "40P01": StoreBusy,  # deadlock_detected
    "53100": StoreFull,  # disk_full
    "53300": StoreBusy,  # too_many_connections
    "55P03": StoreBusy,  # lock_not_available
    "57014": StoreBusy,  # query_canceled: a time-out of a statement
}
_TEXT: Mapping[type[StoreFault], str] = {
    StoreFault: "The database refused the statement.",
    StoreBusy: "The store is busy.",
    StoreFull: "The store has no space left.",
    StoreUnavailable: "The store cannot be reached.",
    VersionConflict: "The record was changed by another transaction.",
}


@contextmanager
def translated(taken: StoreFault | None = None) -> Iterator[None]:
    """Raises errors of SQLAlchemy and of drivers as errors of this room, and all others as they are.

    The original is not chained: drivers write values and statements into their messages.

    Args:
        taken: what to raise where the database has such a row already; None for a StoreFault.
    """
    try:
        yield
    except PoolTimeout:
        raise fault(StoreBusy) from None
    except Exception as error:
        kinds, code = _of_driver(error)
        if not kinds:
            raise
        if taken is not None and "IntegrityError" in kinds:
            raise taken from None
        raise fault(_kind(kinds, code)) from None


def fault(kind: type[StoreFault]) -> StoreFault:
    """Returns an error of the kind with its text."""
    return kind(_TEXT[kind])


_OURS = frozenset(("DataError", "IntegrityError", "ProgrammingError"))
_DRIVERS = ("psycopg", "sqlite3")


def _of_driver(error: Exception) -> tuple[frozenset[str], int | str | None]:
    """Returns the kinds of a driver's error, as PEP 249 names them, and its code; of any other error none.

    SQLAlchemy raises the driver's error as one of its own, which is named like it.
    """
    found = error.orig if isinstance(error, DBAPIError) else error
    if found is error and type(error).__module__.partition(".")[0] not in _DRIVERS:
        return frozenset(), None
    kinds = frozenset(kind.__name__ for kind in type(error).__mro__)
    return kinds, getattr(found, "sqlite_errorcode", None) or getattr(found, "sqlstate", None)


def _kind(kinds: frozenset[str], code: int | str | None) -> type[StoreFault]:
    if kinds & _OURS:
        return StoreFault
    if isinstance(code, int):
        return _SQLITE.get(code & 0xFF, StoreUnavailable)
    return _POSTGRESQL.get(code or "", StoreUnavailable)
