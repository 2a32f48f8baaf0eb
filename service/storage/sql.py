"""A Search as one SELECT: its criteria as conditions, where it starts, its order, and where it goes on.

What a criterion means is written here once; tests compare it with a reference in plain Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, case, func, literal_column, not_, or_, select, true

from service.storage.entries import HIGHEST, LOWEST, NO_DATE
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
    is_by_date,
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
            # Not the column itself, so that no index is entered by it here: see _updated_within.
            updated = RECORD.c.updated + literal_column("0")
            return or_(*(_stands(updated, updated, relation) for relation in relations))
        case Missing(parameter, missing):
            return not_(_has_any(parameter)) if missing else _has_any(parameter)
        case Criterion(negated=negated):  # pragma: no branch - there is no other kind
            found = _of_this_record(entries(criterion, of_type))
            return not_(found) if negated else found


def entries(criterion: Criterion, of_type: str) -> Select[Any]:
    """Returns a query of the record keys of every entry that meets the criterion, old versions included."""
    table = RANGE_ENTRY if isinstance(criterion.any_of[0], RangeIs) else TEXT_ENTRY
    return select(table.c.record).where(table.c.type == of_type, or_(*_alternatives(criterion)))


def _entered(criterion: Criterion, of_type: str, tenant: str) -> Select[Any]:
    """Returns a query as `entries` does, of ranges without OR: an index by one of their ends is entered.

    Where it returns some that do not meet the criterion, `holds` has to tell.
    """
    if not isinstance(criterion.any_of[0], RangeIs):
        return entries(criterion, of_type)
    ends = [_ends(value) for value in criterion.any_of if isinstance(value, RangeIs)]
    columns = (RANGE_ENTRY.c.low, [low for low, _ in ends]), (RANGE_ENTRY.c.high, [high for _, high in ends])
    within = [
        _within(column, min(least for least, _ in pairs), max(most for _, most in pairs))
        for column, pairs in columns
    ]
    these = (RANGE_ENTRY.c.type == of_type, RANGE_ENTRY.c.tenant == tenant)
    return select(RANGE_ENTRY.c.record).where(*these, RANGE_ENTRY.c.parameter == criterion.parameter, *within)


def _is_entered(value: Value) -> bool:
    """Returns whether an index leads to the entries that meet the value, and to no others."""
    match value:
        case TokenIs(code):
            return code is not None
        case StringIs(match=match):
            return match != "contains"
        case _:
            return True


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


_Ends = tuple[tuple[int, int], tuple[int, int]]


def _ends(to: RangeIs) -> _Ends:
    """Returns between which numbers the low and the high end are of a range in the relation asked for."""
    start, end = (max(LOWEST, min(HIGHEST, end)) for end in (to.low, to.high))
    least_low = {"eq": start, "sa": end}.get(to.comparison, LOWEST)
    most_low = {"eq": end, "le": end, "ap": end, "lt": start, "eb": start}.get(to.comparison, HIGHEST)
    least_high = {"eq": start, "ge": start, "ap": start, "gt": end, "sa": end}.get(to.comparison, LOWEST)
    most_high = {"eq": end, "eb": start}.get(to.comparison, HIGHEST)
    return (least_low, most_low), (least_high, most_high)


def _within(column: ColumnElement[int], low: int, high: int) -> Condition:
    """Returns the condition that a number is in a range; an end that is open is not said."""
    ends = ((low, LOWEST, column >= low), (high, HIGHEST, column <= high))
    return and_(true(), *(condition for end, is_open, condition in ends if end != is_open))


# What a search reads, in which order, and where it goes on.

VERSION_COLUMNS = tuple(RECORD.c[name] for name in ("type", "id", "version", "updated", "deleted", "body"))
# A bound value would hide from SQLite that the partial index fits.
_ONE: ColumnElement[int] = literal_column("1")
# The records once more, where those that a search starts with are looked up in a query of their own.
_STARTED = RECORD.alias("started")
Start = Criterion | UpdatedIs
# An expression that is never null, and whether the largest comes first.
_Ordered = tuple[ColumnElement[Any], bool]


def page(search: Search, tenant: str, start: Start | None, last: Position | None = None) -> Select[Any]:
    """Returns the query of one row more than the page holds; the columns of the position come last.

    Args:
        search: what is looked for.
        tenant: whose records.
        start: the criterion whose records are walked first; None walks the records in their order.
        last: the place behind which nothing is looked at.
    """
    order = _order(search.sort)
    query = _matching(search, tenant, start, *VERSION_COLUMNS, *(expression for expression, _ in order))
    if start is None and not _is_by_id(search):
        query = query.where(*_updated_within(search, RECORD))
    if search.after is not None:
        query = query.where(_beyond(order, search.after))
    if last is not None:
        query = query.where(_up_to(order, last))
    return query.order_by(*_keys(order)).limit(search.limit + 1)


def total(search: Search, tenant: str, start: Start | None) -> Select[Any]:
    """Returns the query of the number of matches on all pages."""
    return _matching(search, tenant, start, func.count()).where(*_updated_within(search, RECORD))


_WALKED = ((), (("id", False),), (("id", True),), (("updated", False),), (("updated", True),))


def is_walked(search: Search) -> bool:
    """Returns whether an index has the records in the order of the search."""
    return is_by_date(search.sort) or tuple((key.by, key.descending) for key in search.sort) in _WALKED


def place_ahead(search: Search, tenant: str, number: int) -> Select[Any]:
    """Returns the query of two places: of the last of so many records behind the page's start, and the next.

    By id, older versions count as well: the index has them side by side, and nothing else is read.

    Args:
        search: one that `is_walked`.
        tenant: whose records.
        number: how many.
    """
    order = _order(search.sort)
    query = select(*(expression for expression, _ in order))
    query = query.where(RECORD.c.type == search.type, RECORD.c.tenant == tenant)
    if not _is_by_id(search):
        query = query.where(RECORD.c.current == _ONE, *_updated_within(search, RECORD))
    if search.after is not None:
        query = query.where(_beyond(order, search.after))
    return query.order_by(*_keys(order)).offset(number - 1).limit(2)


# A walk in the order of a date: first through the dates, then through the records that have none.

_DATED = RANGE_ENTRY.alias("dated")


def page_by_date(search: Search, tenant: str, *, absent: bool, last: Position | None) -> Select[Any]:
    """Returns the query that `page` returns, of the records with a date or of those without.

    Args:
        search: one that is sorted by a date alone.
        tenant: whose records.
        absent: whether those without are asked for.
        last: the place, among these, behind which nothing is looked at.
    """
    # That type and tenant are those of the record as well need not be said: the entry is to be found first.
    query = _current(search, None, *VERSION_COLUMNS, *_place_by_date(search, absent=absent))
    query = query.where(RECORD.c.key == _DATED.c.record, *_dates(search, tenant, absent=absent))
    if last is not None:
        query = query.where(_up_to(_date_order(search), last[1:]))
    return query.order_by(*_keys(_date_order(search))).limit(search.limit + 1)


def place_ahead_by_date(search: Search, tenant: str, *, absent: bool, number: int) -> Select[Any]:
    """Returns the query that `place_ahead` returns, among the records with a date or those without."""
    query = select(*_place_by_date(search, absent=absent)).where(*_dates(search, tenant, absent=absent))
    return query.order_by(*_keys(_date_order(search))).offset(number - 1).limit(2)


def _place_by_date(search: Search, *, absent: bool) -> list[ColumnElement[Any]]:
    return [literal_column("1" if absent else "0"), _date(search), _DATED.c.record]


def _date(search: Search) -> ColumnElement[Any]:
    return _DATED.c.high if search.sort[0].descending else _DATED.c.low


def _date_order(search: Search) -> list[_Ordered]:
    down = search.sort[0].descending
    return [(_date(search), down), (_DATED.c.record, down)]


def _dates(search: Search, tenant: str, *, absent: bool) -> Iterator[Condition]:
    """Yields what enters the index where the page starts, and leaves it where no date can meet the search."""
    key = search.sort[0]
    yield and_(_DATED.c.type == search.type, _DATED.c.tenant == tenant)
    yield _DATED.c.parameter == key.parameter + (NO_DATE if absent else "")
    if search.after is not None and search.after[0] == absent:
        yield _beyond(_date_order(search), search.after[1:])
    for criterion in search.criteria:
        if isinstance(criterion, Criterion) and criterion.parameter == key.parameter and not absent:
            yield from _ends_within(criterion, key)


def _ends_within(criterion: Criterion, key: Sort) -> Iterator[Condition]:
    values = [value for value in criterion.any_of if isinstance(value, RangeIs)]
    if values and not criterion.negated:
        ends = [_ends(value)[key.descending] for value in values]
        column = _DATED.c.high if key.descending else _DATED.c.low
        yield _within(column, min(least for least, _ in ends), max(most for _, most in ends))


def _is_by_id(search: Search) -> bool:
    return not search.sort or search.sort[0].by == "id"


def points_at_few(criterion: Criterion) -> bool:
    """Returns whether the entries that meet the criterion are few, however many records there are."""
    return isinstance(criterion.any_of[0], ReferenceTo)


def starts(search: Search) -> list[Start]:
    """Returns the criteria whose records may be walked first, the most promising first."""
    if is_by_ids(search):
        return []
    criteria = [found for found in search.criteria if isinstance(found, Criterion) and not found.negated]
    ordered = sorted(criteria, key=points_at_few, reverse=True)
    if not search.bounded:
        return [*ordered]
    times = [found for found in search.criteria if isinstance(found, UpdatedIs)]
    return [*(found for found in ordered if all(map(_is_entered, found.any_of))), *times]


def is_by_ids(search: Search) -> bool:
    """Returns whether the search names ids, by which the records themselves are found."""
    return any(isinstance(criterion, IdIs) for criterion in search.criteria)


def size(search: Search, tenant: str, start: Start, most: int) -> Select[Any]:
    """Returns the query of the number of records that may meet the criterion; it stops counting at `most`."""
    return select(func.count()).select_from(_keys_of(start, search, tenant).limit(most).subquery())


def position(row: Row[Any]) -> Position:
    """Returns where a row of `page` stands in its order."""
    return tuple(row[len(VERSION_COLUMNS) :])


def _matching(search: Search, tenant: str, start: Start | None, *columns: Any) -> Select[Any]:
    current = _current(search, start, *columns).where(RECORD.c.tenant == tenant)
    if start is None:
        return current.where(RECORD.c.type == search.type)
    return current.where(RECORD.c.key.in_(_keys_of(start, search, tenant)))


def _current(search: Search, start: Start | None, *columns: Any) -> Select[Any]:
    left = (criterion for criterion in search.criteria if not _is_said(start, criterion))
    others = (holds(criterion, search.type) for criterion in left)
    return select(*columns).where(*others, RECORD.c.current == _ONE, RECORD.c.deleted == 0)


def _is_said(start: Start | None, criterion: AnyCriterion) -> bool:
    """Returns whether what the search starts with is exactly what meets the criterion."""
    return criterion is start and isinstance(start, Criterion) and not isinstance(start.any_of[0], RangeIs)


def _keys_of(start: Start, search: Search, tenant: str) -> Select[Any]:
    """Returns a query of keys, in which all are that meet the criterion; old versions and others are too."""
    if isinstance(start, Criterion):
        return _entered(start, search.type, tenant)
    found = _STARTED
    of_type = (found.c.type == search.type, found.c.tenant == tenant, found.c.current == _ONE)
    return select(found.c.key).where(*of_type, *_updated_within(search, found))


def _updated_within(search: Search, record: Any) -> Iterator[Condition]:
    """Yields what bounds the moment of the last change, without OR: an index by it is entered there.

    A walk by id must not be given it: the database might take that index, and sort all that it finds.
    """
    for criterion in search.criteria:
        if isinstance(criterion, UpdatedIs):
            ends = [_ends(relation) for relation in criterion.any_of]
            low = min(max(low, high) for (low, _), (high, _) in ends)
            high = max(min(low, high) for (_, low), (_, high) in ends)
            yield _within(record.c.updated, low, high)


def _order(sort: Sequence[Sort]) -> list[_Ordered]:
    keys = [expression for key in sort for expression in _expressions(key)]
    return [*keys, (RECORD.c.key, sort[0].descending) if is_by_date(sort) else (RECORD.c.id, False)]


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


def _keys(order: Sequence[_Ordered]) -> Iterator[ColumnElement[Any]]:
    return (expression.desc() if down else expression.asc() for expression, down in order)


def _up_to(order: Sequence[_Ordered], place: Position) -> Condition:
    """Returns the condition that a row does not come after the place."""
    (expression, down), value = order[0], place[0]
    return and_(expression >= value if down else expression <= value, not_(_beyond(order, place)))


def _beyond(order: Sequence[_Ordered], place: Position) -> Condition:
    """Returns the condition that a row comes after the place, key by key."""
    (expression, down), value = order[0], place[0]
    past = expression < value if down else expression > value
    if len(order) == 1:
        return past
    # Said once more without OR, so that an index in this order is entered at the place.
    not_before = expression <= value if down else expression >= value
    return and_(not_before, or_(past, _beyond(order[1:], place[1:])))
