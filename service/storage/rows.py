"""Reads and inserts rows by statements that go to the driver as they are; those that insert are written once.

SQLAlchemy would take longer for them than the database does: it goes through the parameters of each row for
defaults and conversions, of which these tables have none, and sets up each execution. So what comes out of
here are errors of the drivers; `translated` knows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, Table

Values = tuple[Any, ...]
"""A value for every column of a table, in their order."""


class Sql(NamedTuple):
    """A statement, or a piece of one: a question mark stands for each of the values."""

    text: str
    values: Values = ()


def fetched(connection: Connection, statement: Sql) -> Sequence[Any]:
    """Returns all rows that a statement reads.

    Raises:
        Exception: of the driver.
    """
    cursor = connection.connection.cursor()
    text = statement.text if connection.dialect.name == "sqlite" else _for_psycopg(statement.text)
    cursor.execute(text, statement.values)
    return cursor.fetchall()


@lru_cache(maxsize=512)  # searches of one shape have one text
def _for_psycopg(text: str) -> str:
    return text.replace("?", "%s")


_AT_ONCE = 16  # rows of one statement with values; a driver keeps a statement for each number of rows


def insert_rows(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Inserts rows, if there are any.

    Args:
        connection: of a transaction that writes.
        table: one whose columns have no defaults, and hold texts, numbers and bytes.
        rows: their values.

    Raises:
        Exception: of the driver.
    """
    if not rows:
        return
    cursor, dialect = connection.connection.cursor(), connection.dialect
    if dialect.name == "sqlite":
        cursor.executemany(_of_values(dialect, table), rows)
    elif len(rows) == 1:
        cursor.execute(_of_values(dialect, table), rows[0])
    else:
        # One statement for the server, however many rows: it plans and answers once.
        cursor.execute(_of_arrays(dialect, table), [list(column) for column in zip(*rows, strict=True)])


def insert_keyed(
    connection: Connection, table: Table, rows: Sequence[Values], told_apart: tuple[str, ...]
) -> list[int]:
    """Inserts rows whose first column is a key that the database gives.

    Args:
        connection, table: as in `insert_rows`.
        rows: their values, without the key.
        told_apart: names of columns that tell these rows apart.

    Returns:
        The key of each row.

    Raises:
        Exception: of the driver.
    """
    cursor, dialect = connection.connection.cursor(), connection.dialect
    if dialect.name == "sqlite":
        # Row by row: for several rows in one statement it keeps a journal of its own.
        statement = _of_values(dialect, table, 1, keyed=True)
        return [cursor.execute(statement, row).lastrowid for row in rows]
    names = [column.name for column in table.columns][1:]
    places = [names.index(name) for name in told_apart]
    keys: dict[Values, int] = {}
    for first in range(0, len(rows), _AT_ONCE):
        some = rows[first : first + _AT_ONCE]
        statement = _of_values(dialect, table, len(some), keyed=True)
        # They come back in any order.
        returned = cursor.execute(f"{statement} RETURNING key, {', '.join(told_apart)}", _flat(some))
        keys |= {tuple(names): key for key, *names in returned.fetchall()}
    return [keys[tuple(row[place] for place in places)] for row in rows]


def _flat(rows: Sequence[Values]) -> list[Any]:
    return list(chain.from_iterable(rows))


@lru_cache
def _of_values(dialect: Dialect, table: Table, rows: int = 1, *, keyed: bool = False) -> str:
    names = [column.name for column in table.columns][keyed:]
    value = "?" if dialect.name == "sqlite" else "%s"
    row = f"({', '.join([value] * len(names))})"
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {', '.join([row] * rows)}"  # noqa: S608


@lru_cache
def _of_arrays(dialect: Dialect, table: Table) -> str:
    """Returns the statement of PostgreSQL that takes an array of values for each column."""
    types = {column.name: column.type.compile(dialect).partition(" ")[0] for column in table.columns}
    arrays = ", ".join(f"%s::{kind}[]" for kind in types.values())
    return f"INSERT INTO {table.name} ({', '.join(types)}) SELECT * FROM unnest({arrays})"  # noqa: S608
