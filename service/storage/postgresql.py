"""PostgreSQL through psycopg 3, which waits for the server in Python: greenlets go on meanwhile.

psycopg decides how it waits when it is imported; a store imports it with its first connection, after a
gevent worker has replaced the standard library's waiting by its own. So no process that workers are forked
from may import it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from hashlib import sha256
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from service.storage.database import StoreLimits
from service.storage.rows import Sql
from service.storage.schema import METADATA, RECORD

# For statements of SQLAlchemy: those that read are planned anew each time (see `Sql`), writes are prepared.
_PREPARE = "prepare_threshold"
_OFTEN = 5  # runs of a statement after which psycopg prepares it
_IDLE_S = 5.0  # after which a connection is asked whether it still works, which takes a round trip


class PostgreSql:
    """A server of PostgreSQL, 13 or later."""

    probes = False

    def __init__(self, url: URL, limits: StoreLimits) -> None:
        self._url = url.set(drivername="postgresql+psycopg")
        self._limits = limits

    def prepare(self) -> None:
        """Does nothing: the database is made by whoever runs the server."""

    def engine(self) -> Engine:
        """Makes an engine; nothing is connected yet."""
        engine = create_engine(
            self._url,
            hide_parameters=True,
            pool_size=self._limits.connections,
            max_overflow=0,
            pool_timeout=self._limits.connect_s,
            connect_args=self._connect_args(),
        )
        event.listen(engine, "do_connect", _connect)
        event.listen(engine, "begin", _prepare_as_asked)
        event.listen(engine, "checkin", _note_end)
        event.listen(engine, "checkout", partial(_check, engine.dialect))
        return engine

    def reader(self, engine: Engine) -> Engine:
        """Returns the engine with transactions that see one moment and change nothing."""
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True, _PREPARE: None}
        return engine.execution_options(**options)

    def writer(self, engine: Engine) -> Engine:
        """Returns the engine with transactions that write; each statement sees what is committed by then."""
        return engine.execution_options(isolation_level="READ COMMITTED", **{_PREPARE: _OFTEN})

    def migrator(self, engine: Engine) -> Engine:
        """Returns the engine with transactions that change the schema, as any other that writes."""
        return self.writer(engine)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Does not wait: the server orders writers by the rows that they change."""
        yield

    def claiming(self, name: str, parts: Collection[str] = ()) -> Sequence[Sql]:
        """Returns the statement that holds the lock of this name, or of these parts of it, until the end.

        Whoever holds parts holds the whole together with others, so it waits for who holds the whole alone.
        Parts are locked in one order, whatever the order in which they are named: no two wait for each other.
        """
        alone = sorted({_number(f"{name}\n\n{part}") for part in parts}) or [_number(name)]
        shared = (_number(name),) if parts else ()
        locks = ["pg_advisory_xact_lock_shared(?)"] * len(shared) + ["pg_advisory_xact_lock(?)"] * len(alone)
        return (Sql(f"SELECT {', '.join(locks)}", (*shared, *alone), planned=True),)

    def exclude(self, connection: Connection) -> None:
        """Lets no other transaction write, or lock a row, until this one ends."""
        connection.exec_driver_sql(f"LOCK TABLE {RECORD.name} IN EXCLUSIVE MODE")

    def scrub(self, engine: Engine) -> None:
        """Frees the space of deleted rows, and replaces the planner's samples, which may hold deleted values.

        Bytes of what was deleted may stay in free space of the tables, in the log and in backups.
        """
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            # On this connection only, which is closed when the block ends.
            connection.detach()
            connection.exec_driver_sql("SET statement_timeout = 0")
            for table in METADATA.sorted_tables:
                connection.exec_driver_sql(f"VACUUM (ANALYZE) {table.name}")

    def _connect_args(self) -> dict[str, Any]:
        lock_ms, statement_ms = round(self._limits.lock_s * 1000), round(self._limits.statement_s * 1000)
        return {
            "connect_timeout": max(2, round(self._limits.connect_s)),  # libpq waits two seconds at least
            "tcp_user_timeout": statement_ms,
            "application_name": "questionnaire-guidance-service",
            "options": f"-c lock_timeout={lock_ms} -c statement_timeout={statement_ms}"
            " -c idle_in_transaction_session_timeout=60000 -c timezone=UTC",
        }


def _connect(dialect: Any, _entry: Any, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
    kind = dialect.loaded_dbapi.Connection
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("select"):
        kind = _sending_at_once(kind, monkey.get_original("select", "select"))
    return kind.connect(*arguments, **options)


@cache
def _sending_at_once(kind: Any, select: Callable[..., Any]) -> Any:
    """Returns a kind of connection that waits for answers only, and not before each statement that it sends.

    gevent's own `select` lets other greenlets go on even where nothing has to be waited for. Meanwhile the
    lock that the statement before has got is held.

    Args:
        kind: psycopg's connection.
        select: the standard library's function, which waits for all greenlets.
    """

    class Sending(kind):  # type: ignore[misc]
        def wait(self, generator: Any, *args: Any, **options: Any) -> Any:
            if self.pgconn.pipeline_status:
                generator = _sent_at_once(generator, self.pgconn.socket, select)
            return super().wait(generator, *args, **options)

    return Sending


_WRITE = 2  # psycopg.waiting.Wait.W and Ready.W


def _sent_at_once(generator: Any, socket: int, select: Callable[..., Any]) -> Generator[int, int, Any]:
    try:
        wanted = next(generator)
        while True:
            free = wanted & _WRITE and select((), (socket,), (), 0)[1]
            wanted = generator.send(_WRITE if free else (yield wanted))
    except StopIteration as end:
        return end.value


def _prepare_as_asked(connection: Connection) -> None:
    _driver(connection).prepare_threshold = connection.get_execution_options().get(_PREPARE, _OFTEN)


def _note_end(_connection: Any, entry: ConnectionPoolEntry) -> None:
    entry.info["used"] = time.monotonic()


def _check(dialect: Dialect, connection: Any, entry: ConnectionPoolEntry, _proxy: Any) -> None:
    """Makes the pool connect anew if the server has closed the connection meanwhile.

    What a server that stops has sent is here already, its end last: to see that, nothing is sent. Of a server
    that went without a word, only a question tells; one is asked where the last answer is some time ago.

    Source: https://www.postgresql.org/docs/current/libpq-async.html (PQconsumeInput)
    """
    used = entry.info.get("used")
    try:
        # The first reads what the server said last, the second that there is no more to come.
        connection.pgconn.consume_input()
        connection.pgconn.consume_input()
        if used is not None and time.monotonic() - used > _IDLE_S:
            dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error:
        raise InvalidatePoolError from None


def _number(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8], signed=True)


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection
