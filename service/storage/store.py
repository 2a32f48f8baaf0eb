"""The store: views and transactions on connections that each process makes on first use."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection, Engine, select

from service.storage import retention
from service.storage.criteria import AnyReference
from service.storage.database import Database
from service.storage.faults import translated
from service.storage.retention import Erasure
from service.storage.tables import RECORD
from service.storage.transaction import Transaction
from service.storage.view import View

_ANY = select(RECORD.c.key).limit(1)


class _Engines(NamedTuple):
    process: int
    engine: Engine
    reader: Engine
    writer: Engine


class SqlStore:
    """A store in a database; see protocol.Store."""

    def __init__(self, database: Database, append_only: Collection[str] = ()) -> None:
        self._database = database
        self._append_only = frozenset(append_only)
        self._engines: _Engines | None = None
        self._lock = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[View]:
        """Opens a view of one moment."""
        with self._read() as connection:
            yield View(connection, self._database)

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """Opens a transaction, stored when the block ends and undone when it raises."""
        with self._write() as connection:
            transaction = Transaction(connection, self._database, self._append_only)
            yield transaction
            transaction.flush()

    def ping(self) -> None:
        """Raises StoreUnavailable or StoreBusy unless the database answers."""
        with self._read() as connection:
            connection.execute(_ANY)

    def export(self, parameters: Sequence[str], person: Sequence[AnyReference]) -> Iterator[bytes]:
        """Yields all versions of all records that refer to the person, one line of NDJSON each."""
        # A transaction for each record: a slow reader of the lines holds no connection.
        with self._read() as connection:
            found = retention.named(connection, parameters, person)
        for name in found:
            with self._read() as connection:
                lines = retention.lines(connection, name)
            yield from lines

    @contextmanager
    def erasing(self) -> Iterator[Erasure]:
        """Opens a transaction beside which no other one writes."""
        with self._write() as connection:
            self._database.exclude(connection)
            transaction = Erasure(connection, self._database, self._append_only)
            yield transaction
            transaction.flush()

    def scrub(self) -> None:
        """Removes what was deleted from the files of the database, as far as the database can."""
        with translated():
            self._database.scrub(self._connected().engine)

    def close(self) -> None:
        """Closes the connections of this process."""
        with self._lock:
            if self._engines is not None and self._engines.process == os.getpid():
                self._engines.engine.dispose()
            self._engines = None

    def _connected(self) -> _Engines:
        """Returns the engines of this process: what a parent process has opened is left alone."""
        engines = self._engines
        if engines is not None and engines.process == os.getpid():
            return engines
        with self._lock:
            return self._make()

    def _make(self) -> _Engines:
        engines = self._engines
        if engines is not None and engines.process == os.getpid():
            return engines  # another thread was first
        if engines is not None:
            engines.engine.dispose(close=False)
        engine = self._database.engine()
        made = _Engines(os.getpid(), engine, self._database.reader(engine), self._database.writer(engine))
        self._engines = made
        return made

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with translated(), _transaction(self._connected().reader) as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with translated(), self._database.turn(), _transaction(self._connected().writer) as connection:
            yield connection


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        try:
            with connection.begin():
                yield connection
        except Exception:
            raise
        except BaseException:
            # A greenlet that is stopped leaves its connection in the middle of an answer.
            connection.invalidate()
            raise
