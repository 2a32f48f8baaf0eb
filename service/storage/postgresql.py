"""PostgreSQL through psycopg 3, which waits for the server in Python: greenlets go on meanwhile.

psycopg decides how it waits when it is imported; a store imports it with its first connection, after a
gevent worker has replaced the standard library's waiting by its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, func, select

from service.storage.database import Limits
from service.storage.tables import METADATA


class PostgreSql:
    """A server of PostgreSQL, 13 or later."""

    probes = False

    def __init__(self, url: URL, limits: Limits) -> None:
        self._url = url.set(drivername="postgresql+psycopg")
        self._limits = limits

    def prepare(self) -> None:
        """Does nothing: the database is made by whoever runs the server."""

    def engine(self) -> Engine:
        """Makes an engine; nothing is connected yet."""
        return create_engine(
            self._url,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=self._limits.connections,
            max_overflow=0,
            pool_timeout=self._limits.connect_s,
            connect_args=self._connect_args(),
        )

    def reader(self, engine: Engine) -> Engine:
        """Returns the engine with transactions that see one moment and change nothing."""
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def writer(self, engine: Engine) -> Engine:
        """Returns the engine with transactions that write; each statement sees what is committed by then."""
        return engine.execution_options(isolation_level="READ COMMITTED")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Does not wait: the server orders writers by the rows that they change."""
        yield

    def claim(self, connection: Connection, name: str) -> None:
        """Holds the lock of this name until the transaction ends."""
        number = int.from_bytes(sha256(name.encode()).digest()[:8], signed=True)
        connection.execute(select(func.pg_advisory_xact_lock(number)))

    def scrub(self, engine: Engine) -> None:
        """Frees the space of deleted rows. Their bytes may stay in the server's log and in backups."""
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            # On this connection only, which is closed when the block ends.
            connection.detach()
            connection.exec_driver_sql("SET statement_timeout = 0")
            for table in METADATA.sorted_tables:
                connection.exec_driver_sql(f"VACUUM {table.name}")

    def _connect_args(self) -> dict[str, Any]:
        lock_ms, statement_ms = round(self._limits.lock_s * 1000), round(self._limits.statement_s * 1000)
        return {
            "connect_timeout": max(2, round(self._limits.connect_s)),  # libpq waits two seconds at least
            "tcp_user_timeout": statement_ms,
            "application_name": "questionnaire-guidance-service",
            "options": f"-c lock_timeout={lock_ms} -c statement_timeout={statement_ms}"
            " -c idle_in_transaction_session_timeout=60000 -c timezone=UTC",
        }
