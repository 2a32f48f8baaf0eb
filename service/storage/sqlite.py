"""SQLite: a file in WAL mode, synchronous FULL, or memory. Everything that waits here waits in Python.

SQLite itself would stop the whole process while it waits for a lock, all greenlets with it. So its own
time-out is short, writers of one process queue at a lock of Python, and those of several try again.
A gevent worker replaces the locks and pauses of the standard library after this module was imported, so
both are looked up when they are needed.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import uniform
from sqlite3 import SQLITE_BUSY, SQLITE_CANTOPEN, SQLITE_READONLY
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from service.storage.database import StoreLimits, fault, translated
from service.storage.model import StoreBusy, StoreUnavailable
from service.storage.rows import Sql

_NOT_WRITABLE = (SQLITE_CANTOPEN, SQLITE_READONLY)
_OWN_WAIT_S = 0.02
_SETTINGS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA journal_size_limit = 67108864",
)


class _Sqlite:
    """What databases in a file and in memory have in common: one writes at a time."""

    def __init__(self, limits: StoreLimits) -> None:
        self._limits = limits
        self._turn = threading.Lock()

    def reader(self, engine: Engine) -> Engine:
        """Returns the engine with transactions that see one moment."""
        # The moment is that of the first statement, which is the one that may have to wait.
        return engine.execution_options(begin=("BEGIN", "SELECT 1 FROM sqlite_master LIMIT 1"))

    def writer(self, engine: Engine) -> Engine:
        """Returns the engine with transactions that write: they take the lock before they read."""
        return engine.execution_options(begin=("BEGIN IMMEDIATE",))

    def migrator(self, engine: Engine) -> Engine:
        """Returns the engine with transactions that may make a table anew, which entries refer to.

        Source: https://www.sqlite.org/lang_altertable.html#otheralter
        """
        return engine.execution_options(begin=("PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE"))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Waits until no other thread or greenlet of this process writes."""
        turn = self._turn
        if not turn.acquire(timeout=self._limits.lock_s):
            raise fault(StoreBusy)
        try:
            yield
        finally:
            turn.release()

    def claiming(self, name: str, parts: Collection[str] = ()) -> Sequence[Sql]:
        """Returns nothing: there is one writing transaction at a time."""
        return ()

    def exclude(self, connection: Connection) -> None:
        """Does nothing: there is one writing transaction at a time."""

    def _engine(self, connect: Callable[[], sqlite3.Connection], connections: int) -> Engine:
        # Of this process: a lock from before the worker was patched would stop all of its greenlets.
        self._turn = threading.Lock()
        engine = create_engine(
            "sqlite://",
            creator=connect,
            hide_parameters=True,
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=self._limits.connect_s,
        )
        event.listen(engine, "begin", self._begin)
        return engine

    def _begin(self, connection: Connection) -> None:
        # To the driver itself: what SQLAlchemy sets up for a statement takes longer than these do.
        driver = connection.connection.cursor()
        self._execute(driver.execute, *connection.get_execution_options()["begin"])

    def _execute(self, execute: Callable[[str], Any], *statements: str) -> None:
        """Executes statements one after the other, each once others leave the lock that it needs."""
        deadline = self._deadline()
        for statement in statements:
            while not _done(execute, statement):
                _pause(deadline)

    def _deadline(self) -> float:
        return time.monotonic() + self._limits.lock_s


class SqliteFile(_Sqlite):
    """A file of SQLite; `migrate` creates it, a store never does."""

    probes = True

    def __init__(self, path: Path, limits: StoreLimits) -> None:
        super().__init__(limits)
        self._path = path

    def prepare(self) -> None:
        """Creates the file and its folder, for their owner alone, and has it keep a log of changes.

        Raises:
            StoreUnavailable: the file cannot be created or is not one of SQLite.
            StoreBusy: others use it as if it kept none.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
        except OSError:
            raise fault(StoreUnavailable) from None
        engine = self.engine()
        try:
            with translated(), engine.execution_options(begin=()).connect() as connection:
                self._execute(connection.exec_driver_sql, "PRAGMA journal_mode = WAL")
        finally:
            engine.dispose()

    def engine(self) -> Engine:
        """Makes an engine; nothing is connected yet."""
        engine = self._engine(self._connect, self._limits.connections)
        event.listen(engine, "connect", self._note_file)
        event.listen(engine, "checkout", self._check_file)
        return engine

    def scrub(self, engine: Engine) -> None:
        """Writes the file anew without what was deleted, and empties the log of changes.

        secure_delete puts zeros where a row is. It does not reach the copies that stay behind in free
        space of a page when its rows are shared out among several.
        """
        folder = str(self._path.parent.resolve()).replace("'", "''")
        with engine.execution_options(begin=()).connect() as connection:
            run = connection.exec_driver_sql
            # Not in /var/tmp: what is left is as private as what goes, and that folder may be read-only.
            run(f"PRAGMA temp_store_directory = '{folder}'")
            self._execute(run, "VACUUM")
            deadline = self._deadline()
            while run("PRAGMA wal_checkpoint(TRUNCATE)").scalar_one():
                _pause(deadline)

    def _connect(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _NOT_WRITABLE or not self._path.exists():
                raise
            raise StoreUnavailable(
                "The file of the store, or the log beside it, cannot be written."
            ) from None

    def _connected(self) -> sqlite3.Connection:
        # mode=rw: a file that is gone is an error, not a new and empty store.
        connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=rw",
            uri=True,
            timeout=_OWN_WAIT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._execute(
                connection.execute, *_SETTINGS
            )  # some read the file, which others may just recover or close
        except BaseException:
            connection.close()
            raise
        return connection

    def _note_file(self, _connection: Any, entry: ConnectionPoolEntry) -> None:
        entry.info["file"] = self._file()

    def _check_file(self, _connection: Any, entry: ConnectionPoolEntry, _proxy: Any) -> None:
        # What is written to a file that another one has replaced is lost.
        if entry.info["file"] != self._file():
            raise DisconnectionError

    def _file(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


class SqliteInMemory(_Sqlite):
    """A database of SQLite in the memory of each process that opens it, on one connection.

    Args:
        image: what `serialized` returned: each process reads a copy of it, and none can change it.
            None for an empty database that can be written to.
        limits: how long to wait for the connection.
    """

    probes = False  # with so few records every start is a good one

    def __init__(self, image: bytes | None, limits: StoreLimits) -> None:
        super().__init__(limits)
        self._image = image

    def prepare(self) -> None:
        """Does nothing: the database is made with its connection."""

    def engine(self) -> Engine:
        """Makes an engine; nothing is connected yet."""
        return self._engine(self._connect, 1)

    def scrub(self, engine: Engine) -> None:
        """Does nothing: there is no file."""

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        if self._image is not None:
            connection.deserialize(self._image)
            connection.execute("PRAGMA query_only = ON")
        return connection


def serialized(engine: Engine) -> bytes:
    """Returns all of a database in memory."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - that is how `_connect` made it
        return driver.serialize()


def _done(execute: Callable[[str], Any], statement: str) -> bool:
    """Executes the statement; returns False if others hold the lock that it needs."""
    try:
        execute(statement)
    except (sqlite3.OperationalError, OperationalError) as error:
        driver_error = error.orig if isinstance(error, OperationalError) else error
        if getattr(driver_error, "sqlite_errorcode", 0) & 0xFF == SQLITE_BUSY:
            return False
        raise
    return True


def _pause(deadline: float) -> None:
    """Lets others go on for a moment; of several that wait, not all come back at the same time."""
    if time.monotonic() > deadline:
        raise fault(StoreBusy)
    time.sleep(uniform(0.0005, 0.005))  # noqa: S311 - nothing secret hangs on it
