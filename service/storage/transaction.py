"""Writes on one connection; all of them are stored together, or none."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.storage import queries
from service.storage.bounded import bounded
from service.storage.criteria import Search
from service.storage.database import Database
from service.storage.entries import ranges, texts
from service.storage.errors import AlreadyExists, AppendOnly, StoreFault, UnknownRecord, VersionConflict
from service.storage.faults import fault, translated
from service.storage.records import Draft, Page, Record
from service.storage.tables import RANGE_ENTRY, RECORD, TEXT_ENTRY
from service.storage.view import View

# The rows come back in any order, so each brings what tells it from the others.
_INSERT_ALL = insert(RECORD).returning(RECORD.c.key, RECORD.c.type, RECORD.c.id)
_INSERT, _INSERT_TEXTS, _INSERT_RANGES = insert(RECORD), insert(TEXT_ENTRY), insert(RANGE_ENTRY)
_THIS = (RECORD.c.type == bindparam("of_type"), RECORD.c.id == bindparam("of_id"))
_RETIRE = (
    update(RECORD)
    .where(*_THIS, RECORD.c.version == bindparam("expected"), RECORD.c.current == 1)
    .values(current=0)
)
_LATEST = select(*queries.VERSION_COLUMNS).where(*_THIS).order_by(RECORD.c.version.desc()).limit(1)
_LOCK = _LATEST.with_for_update()
_LONGEST_NAME = 64


class Transaction(View):
    """Reads, searches and writes on one connection; see protocol.Writing."""

    def __init__(self, connection: Connection, database: Database, append_only: Collection[str]) -> None:
        super().__init__(connection, database)
        self._append_only = append_only
        self._texts: list[dict[str, Any]] = []
        self._ranges: list[dict[str, Any]] = []

    def create(self, draft: Draft) -> Record:
        """Stores version 1."""
        return self._insert(draft, 1, AlreadyExists("A record of this type and id exists."))

    def create_all(self, drafts: Sequence[Draft]) -> tuple[Record, ...]:
        """Stores version 1 of several records with one statement."""
        rows = [_row(draft, 1) for draft in drafts]
        with translated():
            try:
                stored = self._connection.execute(_INSERT_ALL, rows).all()
            except IntegrityError:
                raise AlreadyExists("A record of one of these types and ids exists.") from None
        keys = {(of_type, of_id): key for key, of_type, of_id in stored}
        for draft in drafts:
            self._index(draft, keys[draft.type, draft.id])
        return tuple(_record(draft, 1) for draft in drafts)

    def update(self, draft: Draft, *, expected: int | None = None) -> Record:
        """Stores the version after `expected`, or after the current one whichever that is."""
        if draft.type in self._append_only:
            raise AppendOnly("Records of this type are never changed.")
        version = self._current_version(draft) if expected is None else expected
        key = {"of_type": draft.type, "of_id": draft.id, "expected": version}
        if self._run(_RETIRE, key).rowcount == 0:
            raise self._no_such_version(draft)
        return self._insert(draft, version + 1, fault(VersionConflict))

    def read_to_update(self, type: str, id: str) -> Record | None:  # noqa: A002 - the words of the record
        """Returns the current version; until this transaction ends no other one changes it."""
        key = {"of_type": type, "of_id": bounded(id)}
        locked, latest = None, self._one(_LOCK, **key)
        while latest is not None and latest != locked:
            # PostgreSQL waits for the lock of a row, and then returns it though a later version is there.
            locked, latest = latest, self._one(_LOCK, **key)
        return latest

    def claim(self, search: Search) -> Page:
        """Returns what the search finds; until this transaction ends no other one may claim the type."""
        with translated():
            self._database.claim(self._connection, search.type)
        return self.search(search)

    def search(self, search: Search) -> Page:
        """Returns one page of what the search finds, what this transaction wrote included."""
        self.flush()
        return super().search(search)

    def flush(self) -> None:
        """Writes the entries of the records that were stored so far, all in one go."""
        for statement, rows in ((_INSERT_TEXTS, self._texts), (_INSERT_RANGES, self._ranges)):
            if rows:
                self._run(statement, rows)
                rows.clear()

    def _current_version(self, draft: Draft) -> int:
        current = self.read_to_update(draft.type, draft.id)
        if current is None:
            raise self._no_such_version(draft)
        return current.version

    def _no_such_version(self, draft: Draft) -> StoreFault:
        if self.read(draft.type, draft.id) is None:
            return UnknownRecord("There is no record of this type and id.")
        return fault(VersionConflict)

    def _insert(self, draft: Draft, version: int, taken: StoreFault) -> Record:
        with translated():
            try:
                result = self._connection.execute(_INSERT, _row(draft, version))
            except IntegrityError:
                raise taken from None
        key = result.inserted_primary_key
        assert key is not None  # noqa: S101 - both databases return it
        self._index(draft, key[0])
        return _record(draft, version)

    def _index(self, draft: Draft, key: int) -> None:
        named = {each: None for entry in draft.entries for each in texts(entry)}
        covered = {each: None for entry in draft.entries for each in ranges(entry)}
        of = {"record": key, "type": draft.type}
        for parameter, system, value in named:
            self._texts.append(
                {**of, "parameter": parameter, "system": bounded(system), "value": bounded(value)}
            )
        for parameter, low, high in covered:
            self._ranges.append({**of, "parameter": parameter, "low": low, "high": high})


def _record(draft: Draft, version: int) -> Record:
    return Record(draft.type, draft.id, version, draft.updated, draft.deleted, draft.body)


def _row(draft: Draft, version: int) -> dict[str, Any]:
    return {
        "type": _name(draft.type),
        "id": _name(draft.id),
        "version": version,
        "updated": draft.updated,
        "deleted": int(draft.deleted),
        "current": 1,
        "body": draft.body,
    }


def _name(text: str) -> str:
    if not text or len(text) > _LONGEST_NAME or bounded(text) != text:
        raise ValueError("Expected a type and an id of 1 to 64 characters.")
    return text
