"""What the stores need to know of a database: how to connect, how to lock, how to clean up."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
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

    def turn(self) -> AbstractContextManager[None]:
        """Waits until this process may begin to write. Raises StoreBusy."""

    def claim(self, connection: Connection, name: str) -> None:
        """Holds the lock of this name until the transaction ends."""

    def exclude(self, connection: Connection) -> None:
        """Lets no other transaction write until this one, which has done nothing yet, ends."""

    def scrub(self, engine: Engine) -> None:
        """Removes deleted rows from the files of the database, as far as it can."""
