"""Reads and searches on one connection."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, CursorResult, Executable, Row, Select, bindparam, func, select

from service.storage import queries
from service.storage.bounded import bounded
from service.storage.criteria import Criterion, Search
from service.storage.database import Database
from service.storage.faults import translated
from service.storage.records import History, Page, Record
from service.storage.tables import RECORD

_THIS = (RECORD.c.type == bindparam("type"), RECORD.c.id == bindparam("id"))
_VERSIONS = select(*queries.VERSION_COLUMNS).where(*_THIS).order_by(RECORD.c.version.desc())
_CURRENT = _VERSIONS.limit(1)
_THAT_VERSION = _VERSIONS.where(RECORD.c.version == bindparam("version"))
_PAST = _VERSIONS.where(RECORD.c.version < bindparam("before")).limit(bindparam("limit"))
_COUNT = select(func.count()).select_from(RECORD).where(*_THIS)
_HIGHEST_VERSION = 2**31 - 1
_MANY = 1000  # entries from which a criterion is no good place to start


class View:
    """Reads and searches on one connection; see protocol.Reading."""

    def __init__(self, connection: Connection, database: Database) -> None:
        self._connection = connection
        self._database = database

    def read(self, type: str, id: str) -> Record | None:  # noqa: A002 - the words of the record
        """Returns the current version, a tombstone too."""
        return self._one(_CURRENT, type=type, id=bounded(id))

    def read_version(self, type: str, id: str, version: int) -> Record | None:  # noqa: A002
        """Returns that version."""
        if not 0 < version <= _HIGHEST_VERSION:
            return None
        return self._one(_THAT_VERSION, type=type, id=bounded(id), version=version)

    def history(self, type: str, id: str, *, limit: int, before: int | None = None) -> History:  # noqa: A002
        """Returns versions below `before`, newest first."""
        key = {"type": type, "id": bounded(id)}
        below = _HIGHEST_VERSION if before is None else before
        rows = self._run(_PAST, key | {"before": below, "limit": limit + 1}).all()
        records = tuple(_record(row) for row in rows[:limit])
        total = self._run(_COUNT, key).scalar_one()
        return History(records, total, records[-1].version if len(rows) > limit else None)

    def search(self, search: Search) -> Page:
        """Returns one page of what the search finds."""
        start = self._start(search)
        total = self._run(queries.total(search, start)).scalar_one() if search.total else None
        if search.limit == 0:
            return Page((), total)
        rows = self._run(queries.page(search, start)).all()
        found = rows[: search.limit]
        more = queries.position(found[-1]) if len(rows) > search.limit else None
        return Page(tuple(_record(row) for row in found), total, more)

    def _start(self, search: Search) -> Criterion | None:
        """Returns the criterion with the fewest entries, as far as that is worth to know."""
        candidates = queries.starts(search)
        if candidates and (not self._database.probes or queries.points_at_few(candidates[0])):
            return candidates[0]
        for candidate in candidates:
            if self._run(queries.size(search.type, candidate, _MANY)).scalar_one() < _MANY:
                return candidate
        return None

    def _one(self, query: Select[Any], **key: Any) -> Record | None:
        row = self._run(query, key).one_or_none()
        return None if row is None else _record(row)

    def _run(self, statement: Executable, values: Any = None) -> CursorResult[Any]:
        with translated():
            return self._connection.execute(statement, values)


def _record(row: Row[Any]) -> Record:
    of_type, of_id, version, updated, deleted, body = row[: len(queries.VERSION_COLUMNS)]
    return Record(of_type, of_id, version, updated, bool(deleted), bytes(body))
