"""Reads and inserts rows by statements that go to the driver as they are; those that insert are written once.

SQLAlchemy would take longer for them than the database does: it goes through the parameters of each row for
defaults and conversions, of which these tables have none, and sets up each execution. So what comes out of
here are errors of the drivers; `translated` knows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, Table

Values = tuple[Any, ...]
"""A value for every column of a table, in their order."""


class Sql(NamedTuple):
    """A statement, or a piece of one: a question mark stands for each of the values.

    Args:
        text: the statement.
        values: in the order of the question marks.
        planned: whether PostgreSQL may plan it once for all values. To such a plan a person and the status
            that all have look alike, so no search is one of these.
    """

    text: str
    values: Values = ()
    planned: bool = False


class Rows(NamedTuple):
    """Rows to insert, if there are any, into a table of texts, numbers and bytes without defaults."""

    table: Table
    values: Sequence[Values]


def fetched(connection: Connection, statement: Sql) -> Sequence[Any]:
    """Returns all rows that a statement reads.

    Raises:
        Exception: of the driver.
    """
    return run_all(connection, (statement,))


@lru_cache(maxsize=512)  # searches of one shape have one text
def _for_psycopg(text: str) -> str:
    return text.replace("?", "%s")


_AT_ONCE = 16  # rows of one statement with values; a driver keeps a statement for each number of rows


def run_all(connection: Connection, statements: Iterable[Sql | Rows]) -> Sequence[Any]:
    """Runs one statement after the other; returns all rows that the last one reads.

    PostgreSQL is sent all of them at once (pipeline mode): whoever holds a lock waits for its answer once.
    Values go beside the texts, never in them: the server logs the text of a statement that fails.

    Raises:
        Exception: of the driver; what stands behind the statement that failed was not run.
    """
    wanted = [statement for statement in statements if isinstance(statement, Sql) or statement.values]
    if not wanted:
        return ()
    run = _run_on_sqlite if connection.dialect.name == "sqlite" else _run_on_postgresql
    return run(connection, wanted)


def run_and_commit(connection: Connection, statements: Iterable[Sql | Rows]) -> None:
    """Runs statements as `run_all` does; on PostgreSQL the transaction ends with the last of them.

    Who waits for a lock of it need not wait until this process has had its turn to say so.
    """
    wanted = [statement for statement in statements if isinstance(statement, Sql) or statement.values]
    if wanted and connection.dialect.name != "sqlite":
        wanted.append(Sql("COMMIT", planned=True))
    run_all(connection, wanted)


def _run_on_sqlite(connection: Connection, statements: Iterable[Sql | Rows]) -> Sequence[Any]:
    cursor = connection.connection.cursor()
    for statement in statements:
        if isinstance(statement, Sql):
            cursor.execute(statement.text, statement.values)
        else:
            cursor.executemany(_of_values(connection.dialect, statement.table), statement.values)
    return cursor.fetchall()


def _run_on_postgresql(connection: Connection, statements: Sequence[Sql | Rows]) -> Sequence[Any]:
    driver: Any = connection.connection.dbapi_connection
    cursor = driver.cursor()
    # Pipeline mode takes more processor time than a single answer is worth.
    with driver.pipeline() if len(statements) > 1 else nullcontext():
        for statement in statements:
            cursor = driver.cursor()
            text, values, planned = _for_server(connection.dialect, statement)
            cursor.execute(text, values, prepare=None if planned else False)
    return () if cursor.description is None else list(cursor.fetchall())


def _for_server(dialect: Dialect, statement: Sql | Rows) -> Sql:
    if isinstance(statement, Sql):
        return statement._replace(text=_for_psycopg(statement.text))
    if len(statement.values) == 1:
        return Sql(_of_values(dialect, statement.table), statement.values[0], planned=True)
    # One statement for the server, however many rows: it plans and answers once.
    columns = tuple(list(column) for column in zip(*statement.values, strict=True))
    return Sql(_of_arrays(dialect, statement.table), columns, planned=True)


def insert_keyed(
    connection: Connection, table: Table, rows: Sequence[Values], told_apart: tuple[str, ...]
) -> list[int]:
    """Inserts rows whose first column is a key that the database gives.

    Args:
        connection: of a transaction that writes.
        table: as in `Rows`.
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
