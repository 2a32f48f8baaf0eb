"""A Search as one SELECT: where it starts, its order, and the place after which it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, case, func, literal_column, or_, select

from service.storage.criteria import Criterion, IdIs, Position, ReferenceTo, Search, Sort
from service.storage.predicates import Condition, entries, holds
from service.storage.tables import RANGE_ENTRY, RECORD, TEXT_ENTRY

VERSION_COLUMNS = (
    RECORD.c.type,
    RECORD.c.id,
    RECORD.c.version,
    RECORD.c.updated,
    RECORD.c.deleted,
    RECORD.c.body,
)
# A bound value would hide from SQLite that the partial index fits.
_ONE: ColumnElement[int] = literal_column("1")
# An expression that is never null, and whether the largest comes first.
_Ordered = tuple[ColumnElement[Any], bool]


def page(search: Search, start: Criterion | None) -> Select[Any]:
    """Returns the query of one row more than the page holds; the columns of the position come last.

    Args:
        search: what is looked for.
        start: the criterion whose entries are walked first; None walks the records in their order.
    """
    order = _order(search.sort)
    query = _matching(search, start, *VERSION_COLUMNS, *(expression for expression, _ in order))
    if search.after is not None:
        query = query.where(_beyond(order, search.after))
    keys = (expression.desc() if down else expression.asc() for expression, down in order)
    return query.order_by(*keys).limit(search.limit + 1)


def total(search: Search, start: Criterion | None) -> Select[Any]:
    """Returns the query of the number of matches on all pages."""
    return _matching(search, start, func.count())


def points_at_few(criterion: Criterion) -> bool:
    """Returns whether the entries that meet the criterion are few, however many records there are."""
    return isinstance(criterion.any_of[0], ReferenceTo)


def starts(search: Search) -> list[Criterion]:
    """Returns the criteria whose entries may be walked first, the most promising first."""
    if any(isinstance(each, IdIs) for each in search.criteria):
        return []  # the records themselves are found by it
    usable = [each for each in search.criteria if isinstance(each, Criterion) and not each.negated]
    return sorted(usable, key=points_at_few, reverse=True)


def size(of_type: str, criterion: Criterion, most: int) -> Select[Any]:
    """Returns the query of the number of entries that meet the criterion; it stops counting at `most`."""
    return select(func.count()).select_from(entries(criterion, of_type).limit(most).subquery())


def position(row: Row[Any]) -> Position:
    """Returns where a row of `page` stands in its order."""
    return tuple(row[len(VERSION_COLUMNS) :])


def _matching(search: Search, start: Criterion | None, *columns: Any) -> Select[Any]:
    others = (holds(each, search.type) for each in search.criteria if each is not start)
    current = select(*columns).where(*others, RECORD.c.current == _ONE, RECORD.c.deleted == 0)
    if start is None:
        return current.where(RECORD.c.type == search.type)
    return current.where(RECORD.c.key.in_(entries(start, search.type)))


def _order(sort: Sequence[Sort]) -> list[_Ordered]:
    keys = [each for key in sort for each in _expressions(key)]
    return [*keys, (RECORD.c.id, False)]


def _expressions(key: Sort) -> list[_Ordered]:
    if key.by in ("id", "updated"):
        return [(RECORD.c[key.by], key.descending)]
    value = _first_value(key)
    nothing: int | str = "" if key.by == "text" else 0
    return [(case((value.is_(None), 1), else_=0), False), (func.coalesce(value, nothing), key.descending)]


def _first_value(key: Sort) -> ColumnElement[Any]:
    table = TEXT_ENTRY if key.by == "text" else RANGE_ENTRY
    column = table.c.value if key.by == "text" else table.c.high if key.descending else table.c.low
    first = func.max(column) if key.descending else func.min(column)
    chosen = select(first).where(table.c.record == RECORD.c.key, table.c.parameter == key.parameter)
    return chosen.correlate(RECORD).scalar_subquery()


def _beyond(order: Sequence[_Ordered], place: Position) -> Condition:
    """Returns the condition that a row comes after the place, key by key."""
    (expression, down), value = order[0], place[0]
    past = expression < value if down else expression > value
    if len(order) == 1:
        return past
    # Said once more without OR, so that an index in this order is entered at the place.
    not_before = expression <= value if down else expression >= value
    return and_(not_before, or_(past, _beyond(order[1:], place[1:])))
