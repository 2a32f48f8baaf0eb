"""Inserts rows by a statement that is built once for each kind of database.

Executed as usual, SQLAlchemy goes through the parameters of each row anew, for defaults and conversions; the
tables that many rows go to at a time have none of either. What it makes of the statement itself is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Table, insert

_Row = Mapping[str, Any]


def insert_rows(connection: Connection, table: Table, rows: Sequence[_Row]) -> None:
    """Inserts rows, if there are any.

    Args:
        connection: of a transaction that writes.
        table: one whose columns have no defaults, and hold texts, numbers and bytes.
        rows: each with a value for every column.

    Raises:
        SQLAlchemyError: as for any other statement.
    """
    if not rows:
        return
    statement, parameters = _prepared(connection.dialect, table)
    sent = [parameters(row) for row in rows]
    connection.exec_driver_sql(statement, sent if len(sent) > 1 else sent[0])


@lru_cache
def _prepared(dialect: Dialect, table: Table) -> tuple[str, Callable[[_Row], Any]]:
    """Returns the statement, and what makes of a row what the driver takes: a tuple, or the row itself."""
    compiled = insert(table).compile(dialect=dialect)
    names = compiled.positiontup
    return str(compiled), dict if names is None else itemgetter(*names)
