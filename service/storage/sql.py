"""A Search as one SELECT: its criteria as conditions, where it starts, its order, and where it goes on.

What a criterion means is written here once; tests compare it with a reference in plain Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, case, func, literal_column, not_, or_, select, true

from service.storage.entries import HIGHEST, LOWEST
from service.storage.model import (
    AnyCriterion,
    Criterion,
    IdIs,
    Missing,
    Position,
    RangeIs,
    ReferenceTo,
    ReferenceToIdentifier,
    ReferenceToUrl,
    Search,
    Sort,
    StringIs,
    TokenIs,
    UpdatedIs,
    UriIs,
    Value,
)
from service.storage.schema import RANGE_ENTRY, RECORD, TEXT_ENTRY

# Texts cut to what every database can keep in an index, so that equal texts stay equal.

LONGEST = 700  # bytes; PostgreSQL refuses an index row above 2,712, and one row holds two texts and two names
_MARK = "\x01"


def bounded(text: str) -> str:
    """Returns the text itself, or its beginning and hash where it is too long.

    A text that no database keeps (it holds NUL or half a character) becomes its hash alone.
    """
    if text.isascii() and len(text) <= LONGEST and "\0" not in text:
        return text
    data = text.encode("utf-8", "surrogatepass")
    if b"\0" in data or not _is_well_formed(text):
        return _MARK + sha256(data).hexdigest()
    if len(data) <= LONGEST:
        return text
    return data[:LONGEST].decode("utf-8", "ignore") + _MARK + sha256(data).hexdigest()


def prefix(text: str) -> str:
    """Returns what every bounded text begins with whose original begins with this text."""
    kept = bounded(text)
    return kept if kept == text or kept.startswith(_MARK) else kept.rpartition(_MARK)[0]


def after(text: str) -> str | None:
    """Returns the least text that is greater than all that begin with this one; None if there is none."""
    for place in range(len(text) - 1, -1, -1):
        point = ord(text[place])
        if point < 0x10FFFF:
            return text[:place] + chr(0xE000 if point == 0xD7FF else point + 1)
    return None


def _is_well_formed(text: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in text)


# Criteria as SQL conditions on the entry tables and on the record.

Condition = ColumnElement[bool]
_SUFFIX = {ReferenceToUrl: ":url", ReferenceToIdentifier: ":identifier"}  # as `texts` names them


def holds(criterion: AnyCriterion, of_type: str) -> Condition:
    """Returns the condition that the row of RECORD meets the criterion."""
    match criterion:
        case IdIs(ids):
            return RECORD.c.id.in_([bounded(of_id) for of_id in ids])
        case UpdatedIs(relations):
            return or_(*(_stands(RECORD.c.updated, RECORD.c.updated, relation) for relation in relations))
        case Missing(parameter, missing):
            return not_(_has_any(parameter)) if missing else _has_any(parameter)
        case Criterion(negated=negated):  # pragma: no branch - there is no other kind
            found = _of_this_record(entries(criterion, of_type))
            return not_(found) if negated else found


def entries(criterion: Criterion, of_type: str) -> Select[Any]:
    """Returns a query of the record keys of every entry that meets the criterion, old versions included."""
    table = RANGE_ENTRY if isinstance(criterion.any_of[0], RangeIs) else TEXT_ENTRY
    return select(table.c.record).where(table.c.type == of_type, or_(*_alternatives(criterion)))


def matches(parameter: str, value: Value) -> Condition:
    """Returns the condition that a row of the entry table of the value's kind meets it."""
    name = parameter + _SUFFIX.get(type(value), "")
    if isinstance(value, RangeIs):
        return and_(RANGE_ENTRY.c.parameter == name, _stands(RANGE_ENTRY.c.low, RANGE_ENTRY.c.high, value))
    return and_(TEXT_ENTRY.c.parameter == name, _reads(value))


def _alternatives(criterion: Criterion) -> Iterator[Condition]:
    """Yields the conditions of which a row must meet one; codes and references are looked up as lists.

    A statement with a hundred ORs takes longer to write than to run, and SQLite refuses several hundred.
    """
    lists: dict[tuple[str, str | None], list[str]] = {}
    for value in criterion.any_of:
        match value:
            case TokenIs(str(code), system) | ReferenceTo(code, system):
                lists.setdefault((criterion.parameter, system), []).append(bounded(code))
            case _:
                yield matches(criterion.parameter, value)
    for (name, system), codes in lists.items():
        conditions = [TEXT_ENTRY.c.parameter == name, TEXT_ENTRY.c.value.in_(codes)]
        yield and_(*conditions, *([] if system is None else [TEXT_ENTRY.c.system == bounded(system)]))


def _of_this_record(query: Select[Any]) -> Condition:
    return query.where(query.selected_columns.record == RECORD.c.key).correlate(RECORD).exists()


def _has_any(parameter: str) -> Condition:
    names = (parameter, *(parameter + suffix for suffix in _SUFFIX.values()))
    tables = (TEXT_ENTRY, RANGE_ENTRY)
    queries = (select(table.c.record).where(table.c.parameter.in_(names)) for table in tables)
    return or_(*(_of_this_record(query) for query in queries))


def _reads(value: Value) -> Condition:
    match value:
        case TokenIs(code, system) | ReferenceTo(code, system) | ReferenceToIdentifier(code, system):
            return _pair(code, system)
        case ReferenceToUrl(url):
            return _pair(url, "")
        case UriIs(text, match) | StringIs(text, match):
            return _text(text, match)
        case _:
            raise TypeError(f"{type(value).__name__} is not looked up among texts")


def _pair(value: str | None, system: str | None) -> Condition:
    columns = ((TEXT_ENTRY.c.value, value), (TEXT_ENTRY.c.system, system))
    return and_(true(), *(column == bounded(text) for column, text in columns if text is not None))


def _text(text: str, match: str) -> Condition:
    value = TEXT_ENTRY.c.value
    if match == "exact":
        return value == bounded(text)
    if match == "contains":
        return value.contains(prefix(text), autoescape=True)
    low, high = prefix(text), after(prefix(text))
    return value >= low if high is None else and_(value >= low, value < high)


def _stands(low: ColumnElement[int], high: ColumnElement[int], to: RangeIs) -> Condition:
    """Returns the condition that a range is in the relation that is asked for; ge and le hold if contained.

    Source: FHIR R4 search.html 3.1.1.4.5.
    """
    # That the low end is not above `to.high` follows from containment; it bounds the walk of the index.
    start, end = (max(LOWEST, min(HIGHEST, end)) for end in (to.low, to.high))
    contained = and_(low >= start, low <= end, high <= end)
    conditions: dict[str, Condition] = {
        "eq": contained,
        "ne": not_(contained),
        "gt": high > end,
        "lt": low < start,
        "ge": or_(high > end, contained),
        "le": or_(low < start, contained),
        "sa": low > end,
        "eb": high < start,
        "ap": and_(low <= end, high >= start),
    }
    return conditions[to.comparison]


# What a search reads, in which order, and where it goes on.

VERSION_COLUMNS = tuple(RECORD.c[name] for name in ("type", "id", "version", "updated", "deleted", "body"))
# A bound value would hide from SQLite that the partial index fits.
_ONE: ColumnElement[int] = literal_column("1")
# An expression that is never null, and whether the largest comes first.
_Ordered = tuple[ColumnElement[Any], bool]


def page(search: Search, tenant: str, start: Criterion | None) -> Select[Any]:
    """Returns the query of one row more than the page holds; the columns of the position come last.

    Args:
        search: what is looked for.
        tenant: whose records.
        start: the criterion whose entries are walked first; None walks the records in their order.
    """
    order = _order(search.sort)
    query = _matching(search, tenant, start, *VERSION_COLUMNS, *(expression for expression, _ in order))
    if search.after is not None:
        query = query.where(_beyond(order, search.after))
    keys = (expression.desc() if down else expression.asc() for expression, down in order)
    return query.order_by(*keys).limit(search.limit + 1)


def total(search: Search, tenant: str, start: Criterion | None) -> Select[Any]:
    """Returns the query of the number of matches on all pages."""
    return _matching(search, tenant, start, func.count())


def points_at_few(criterion: Criterion) -> bool:
    """Returns whether the entries that meet the criterion are few, however many records there are."""
    return isinstance(criterion.any_of[0], ReferenceTo)


def starts(search: Search) -> list[Criterion]:
    """Returns the criteria whose entries may be walked first, the most promising first."""
    if any(isinstance(criterion, IdIs) for criterion in search.criteria):
        return []  # the records themselves are found by it
    criteria = (criterion for criterion in search.criteria if isinstance(criterion, Criterion))
    indexed = (criterion for criterion in criteria if not criterion.negated)
    return sorted(indexed, key=points_at_few, reverse=True)


def size(of_type: str, criterion: Criterion, most: int) -> Select[Any]:
    """Returns the query of the number of entries that meet the criterion; it stops counting at `most`."""
    return select(func.count()).select_from(entries(criterion, of_type).limit(most).subquery())


def position(row: Row[Any]) -> Position:
    """Returns where a row of `page` stands in its order."""
    return tuple(row[len(VERSION_COLUMNS) :])


def _matching(search: Search, tenant: str, start: Criterion | None, *columns: Any) -> Select[Any]:
    others = (holds(criterion, search.type) for criterion in search.criteria if criterion is not start)
    current = select(*columns).where(
        *others, RECORD.c.tenant == tenant, RECORD.c.current == _ONE, RECORD.c.deleted == 0
    )
    if start is None:
        return current.where(RECORD.c.type == search.type)
    return current.where(RECORD.c.key.in_(entries(start, search.type)))


def _order(sort: Sequence[Sort]) -> list[_Ordered]:
    keys = [expression for key in sort for expression in _expressions(key)]
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
