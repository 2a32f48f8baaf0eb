"""What is known of a person, as lines; and deletion for good, of records that are named.

People are known only as references in index entries: a record that names a person in none is not found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, false, func, or_, select

from service.storage.bounded import after
from service.storage.criteria import AnyReference, ReferenceTo
from service.storage.faults import translated
from service.storage.predicates import Condition, matches
from service.storage.records import Name
from service.storage.tables import RECORD, TEXT_ENTRY
from service.storage.transaction import Transaction

_BATCH = 500  # names in one statement
_NAME = (RECORD.c.type, RECORD.c.id)
_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")  # in JSON a raw line end is white space


def named(
    connection: Connection, parameters: Sequence[str], person: Sequence[AnyReference]
) -> Sequence[Name]:
    """Returns each record of which one version refers to the person, and the person's own, in order."""
    query = select(*_NAME).where(_refers(parameters, person)).distinct().order_by(*_NAME)
    return _pairs(connection.execute(query))


def lines(connection: Connection, name: Name) -> list[bytes]:
    """Returns the versions of one record that have a body, oldest first, one line of NDJSON each."""
    query = select(RECORD.c.body).where(RECORD.c.type == name[0], RECORD.c.id == name[1])
    bodies = connection.execute(query.order_by(RECORD.c.version)).scalars()
    return [bytes(body).translate(_LINE_ENDS) + b"\n" for body in bodies if body]


class Erasure(Transaction):
    """Finds and deletes on one connection on which alone is written; see protocol.Erasing."""

    def named(self, parameters: Sequence[str], person: Sequence[AnyReference]) -> Sequence[Name]:
        """Returns each record of which one version refers to the person, and the person's own, in order."""
        self.flush()
        with translated():
            return named(self._connection, parameters, person)

    def beginning(self, type: str, prefix: str) -> Sequence[Name]:  # noqa: A002 - the words of the record
        """Returns the records of the type whose id begins so, in order."""
        these = (RECORD.c.type == type, RECORD.c.id >= prefix, RECORD.c.id < (after(prefix) or ""))
        return _pairs(self._run(select(*_NAME).where(*these).distinct().order_by(*_NAME)))

    def unchanged(self, type: str, *, since: int, limit: int) -> Sequence[Name]:  # noqa: A002
        """Returns records of the type that were last changed before the moment, oldest first."""
        old = (RECORD.c.type == type, RECORD.c.current == 1, RECORD.c.updated < since)
        return _pairs(self._run(select(*_NAME).where(*old).order_by(RECORD.c.updated).limit(limit)))

    def count(self, names: Collection[Name]) -> Mapping[str, int]:
        """Returns how many versions of these records there are, by type."""
        query = select(func.count()).select_from(RECORD)
        found = ((type_, self._run(query.where(these)).scalar_one()) for type_, these in _batches(names))
        return _added(found)

    def erase(self, names: Collection[Name]) -> Mapping[str, int]:
        """Deletes all versions of these records; returns how many that were, by type."""
        self.flush()
        done = ((type_, self._run(delete(RECORD).where(these)).rowcount) for type_, these in _batches(names))
        return _added(done)


def _pairs(rows: Iterable[Sequence[Any]]) -> Sequence[Name]:
    return [(row[0], row[1]) for row in rows]


def _refers(parameters: Sequence[str], person: Sequence[AnyReference]) -> Condition:
    refers = or_(false(), *(matches(parameter, each) for parameter in parameters for each in person))
    keys = select(TEXT_ENTRY.c.record).where(refers)
    own = [each for each in person if isinstance(each, ReferenceTo) and each.type is not None]
    itself = (and_(RECORD.c.type == each.type, RECORD.c.id == each.id) for each in own)
    return or_(RECORD.c.key.in_(keys), *itself)


def _batches(names: Collection[Name]) -> Iterator[tuple[str, Condition]]:
    """Yields conditions that hold for some of the records of one type, and that type."""
    for of_type in sorted({of_type for of_type, _ in names}):
        ids = sorted({of_id for each, of_id in names if each == of_type})
        for first in range(0, len(ids), _BATCH):
            yield of_type, and_(RECORD.c.type == of_type, RECORD.c.id.in_(ids[first : first + _BATCH]))


def _added(counts: Iterator[tuple[str, int]]) -> Mapping[str, int]:
    total: dict[str, int] = {}
    for of_type, count in counts:
        total[of_type] = total.get(of_type, 0) + count
    return {of_type: count for of_type, count in total.items() if count}
