"""The errors of the database drivers as errors of this room, without the values that drivers quote."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.storage.errors import StoreBusy, StoreFault, StoreFull, StoreUnavailable, VersionConflict

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
def translated() -> Iterator[None]:
    """Raises what the block raises, but what SQLAlchemy raises as an error of this room.

    The original is not chained: drivers write values and statements into their messages.
    """
    try:
        yield
    except PoolTimeout:
        raise fault(StoreBusy) from None
    except DBAPIError as error:
        raise fault(_kind(error)) from None


def fault(kind: type[StoreFault]) -> StoreFault:
    """Returns an error of the kind with its text."""
    return kind(_TEXT[kind])


def _kind(error: DBAPIError) -> type[StoreFault]:
    if isinstance(error, DataError | IntegrityError | ProgrammingError):
        return StoreFault
    code = getattr(error.orig, "sqlite_errorcode", None)
    if isinstance(code, int):
        return _SQLITE.get(code & 0xFF, StoreUnavailable)
    return _POSTGRESQL.get(getattr(error.orig, "sqlstate", None) or "", StoreUnavailable)
