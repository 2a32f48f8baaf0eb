"""What is known of a person, as lines; and deletion, of a person or of what is old.

Both know people only as references in index entries: a record that names a person in none is not found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, and_, delete, false, func, or_, select, tuple_

from service.storage.criteria import AnyReference, ReferenceTo
from service.storage.predicates import Condition, matches
from service.storage.tables import RECORD, TEXT_ENTRY

_BATCH = 500
_NAME = (RECORD.c.type, RECORD.c.id)
_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")  # in JSON a raw line end is white space


Person = Sequence[AnyReference]


def names(connection: Connection, parameters: Sequence[str], person: Person) -> list[tuple[str, str]]:
    """Returns type and id of each record of which one version refers to the person, in order."""
    rows = connection.execute(select(*_NAME).where(_of(parameters, person)).distinct().order_by(*_NAME))
    return [(of_type, of_id) for of_type, of_id in rows]


def lines(connection: Connection, of_type: str, of_id: str) -> list[bytes]:
    """Returns the versions of one record that have a body, oldest first, one line of NDJSON each."""
    query = select(RECORD.c.body).where(RECORD.c.type == of_type, RECORD.c.id == of_id)
    bodies = connection.execute(query.order_by(RECORD.c.version)).scalars()
    return [bytes(body).translate(_LINE_ENDS) + b"\n" for body in bodies if body]


def erase(connection: Connection, parameters: Sequence[str], person: Person) -> Mapping[str, int]:
    """Deletes every version of the records that refer to the person; returns versions by type."""
    found = select(*_NAME).where(_of(parameters, person)).distinct().subquery()
    doomed = tuple_(*_NAME).in_(select(found))
    counts = connection.execute(select(RECORD.c.type, func.count()).where(doomed).group_by(RECORD.c.type))
    by_type = {row[0]: row[1] for row in counts}
    connection.execute(delete(RECORD).where(doomed))
    return by_type


def expire(connection: Connection, of_type: str, before: int) -> tuple[int, int]:
    """Deletes some records that were last changed before the moment; returns how many, and their versions."""
    old = (RECORD.c.type == of_type, RECORD.c.current == 1, RECORD.c.updated < before)
    # Locked, so that a record that is changed just now is not found old.
    query = select(RECORD.c.id).where(*old).order_by(RECORD.c.updated).limit(_BATCH).with_for_update()
    ids = list(connection.execute(query).scalars())
    if not ids:
        return 0, 0
    done = connection.execute(delete(RECORD).where(RECORD.c.type == of_type, RECORD.c.id.in_(ids)))
    return len(ids), done.rowcount


def _of(parameters: Sequence[str], person: Person) -> Condition:
    refers = or_(false(), *(matches(parameter, each) for parameter in parameters for each in person))
    keys = select(TEXT_ENTRY.c.record).where(refers)
    own = [each for each in person if isinstance(each, ReferenceTo) and each.type is not None]
    itself = (and_(RECORD.c.type == each.type, RECORD.c.id == each.id) for each in own)
    return or_(RECORD.c.key.in_(keys), *itself)
