"""PostgreSQL through psycopg 3, which waits for the server in Python: greenlets go on meanwhile.

psycopg decides how it waits when it is imported; a store imports it with its first connection, after a
gevent worker has replaced the standard library's waiting by its own. So no process that workers are forked
from may import it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, select

from service.storage.database import StoreLimits
from service.storage.schema import METADATA, RECORD

# A prepared search is planned without its values, so the one person and the status that all have look
# alike, and the plan may start at the status. Searches are planned anew each time, writes are prepared.
_PREPARE = "prepare_threshold"
_OFTEN = 5  # runs of a statement after which psycopg prepares it


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
            pool_pre_ping=True,
            pool_size=self._limits.connections,
            max_overflow=0,
            pool_timeout=self._limits.connect_s,
            connect_args=self._connect_args(),
        )
        event.listen(engine, "begin", _prepare_as_asked)
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

    def claim(self, connection: Connection, name: str) -> None:
        """Holds the lock of this name until the transaction ends."""
        _driver(connection).prepare_threshold = None
        number = int.from_bytes(sha256(name.encode()).digest()[:8], signed=True)
        connection.execute(select(func.pg_advisory_xact_lock(number)))

    def exclude(self, connection: Connection) -> None:
        """Lets no other transaction write, or lock a row, until this one ends."""
        connection.exec_driver_sql(f"LOCK TABLE {RECORD.name} IN EXCLUSIVE MODE")

    def scrub(self, engine: Engine) -> None:
        """Frees the space of deleted rows, and takes samples of what is left in place of older ones.

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


def _prepare_as_asked(connection: Connection) -> None:
    _driver(connection).prepare_threshold = connection.get_execution_options().get(_PREPARE, _OFTEN)


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection
