"""A Search as one SELECT: its criteria as conditions, where it starts, its order, and where it goes on.

What a criterion means is written here once; tests compare it with a reference in plain Python. Statements are
put together as text: SQLAlchemy takes longer to build one out of objects than a database does to answer it.
Nothing that a caller says stands in the text; every value is bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

from service.storage.entries import HIGHEST, LOWEST, NO_DATE
from service.storage.model import (
    ALWAYS,
    AnyCriterion,
    Criterion,
    IdIs,
    Missing,
    Period,
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
from service.storage.rows import Sql

# Texts cut to what every database can keep in an index, so that equal texts stay equal.

LONGEST = 700  # bytes; PostgreSQL refuses an index row above 2,712, and one row holds two texts and two names
_MARK = "\x01"


def bounded(text: str) -> str:
    """Returns the text itself, or its beginning and hash if it is too long.

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
    """Returns the beginning that all bounded texts share whose originals begin with this text."""
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


# Pieces of statements.

NOTHING = Sql("")


def joined(separator: str, pieces: Iterable[Sql]) -> Sql:
    """Returns the pieces one after the other."""
    texts: list[str] = []
    values: list[Any] = []
    for piece in pieces:
        texts.append(piece.text)
        values += piece.values
    return Sql(separator.join(texts), tuple(values))


def filled(template: str, *pieces: Sql) -> Sql:
    """Fills the braces of a template with the pieces, in their order."""
    values = [value for piece in pieces for value in piece.values]
    return Sql(template.format(*(piece.text for piece in pieces)), tuple(values))


def all_of(conditions: Iterable[Sql]) -> Sql:
    """Returns the condition that all of these hold; there may be none."""
    found = joined(" AND ", conditions)
    return found if found.text else Sql("1 = 1")


def any_of(conditions: Iterable[Sql]) -> Sql:
    """Returns the condition that one of these holds, in parentheses; there may be none."""
    found = [*conditions]
    return filled("({})", joined(" OR ", found)) if found else Sql("1 = 0")


def among(column: str, values: Sequence[Any]) -> Sql:
    """Returns the condition that a column has one of the values."""
    return Sql(f"{column} IN ({', '.join('?' * len(values))})", tuple(values)) if values else Sql("1 = 0")


def selected(columns: Sql, tables: str, conditions: Iterable[Sql], end: Sql = NOTHING) -> Sql:
    """Returns a query."""
    return filled("SELECT {} FROM {} WHERE {}{}", columns, Sql(tables), all_of(conditions), end)


def _not(condition: Sql) -> Sql:
    return filled("NOT ({})", condition)


# Criteria as conditions on the entry tables and on the record.

_SUFFIX = {ReferenceToUrl: ":url", ReferenceToIdentifier: ":identifier"}  # as `texts` names them


def holds(criterion: AnyCriterion, of_type: str) -> Sql:
    """Returns the condition that the row of `record` meets the criterion."""
    match criterion:
        case IdIs(ids):
            return among("record.id", [bounded(of_id) for of_id in ids])
        case UpdatedIs(relations):
            # Not the column itself, so that no index is entered by it here: see _updated_within.
            updated = "(record.updated + 0)"
            return any_of(_stands(updated, updated, relation) for relation in relations)
        case Missing(parameter, missing):
            return _not(_has_any(parameter)) if missing else _has_any(parameter)
        case Criterion(negated=negated):  # pragma: no branch - there is no other kind
            found = filled("EXISTS ({})", _entries(criterion, of_type, Sql("{0}.record = record.key")))
            return _not(found) if negated else found


def _table_of(criterion: Criterion) -> str:
    return "range_entry" if isinstance(criterion.any_of[0], RangeIs) else "text_entry"


def _entries(criterion: Criterion, of_type: str, *conditions: Sql) -> Sql:
    """Returns a query of the record keys of every entry that meets the criterion, old versions included.

    Args:
        criterion: what the entries have to meet.
        of_type: the type of their records.
        conditions: more that have to hold, in which {0} stands for the table.
    """
    table = _table_of(criterion)
    more = (Sql(condition.text.format(table), condition.values) for condition in conditions)
    these = (Sql(f"{table}.type = ?", (of_type,)), any_of(_alternatives(criterion)), *more)
    return selected(Sql(f"{table}.record"), table, these)


def _entered(criterion: Criterion, of_type: str, tenant: str) -> Sql:
    """Returns a query as `_entries` does, of ranges without OR: an index by one of their ends is entered.

    Where it returns some that do not meet the criterion, `holds` has to tell.
    """
    if not isinstance(criterion.any_of[0], RangeIs):
        return _entries(criterion, of_type)
    ends = [_ends(value) for value in criterion.any_of if isinstance(value, RangeIs)]
    columns = ("range_entry.low", [low for low, _ in ends]), ("range_entry.high", [high for _, high in ends])
    within = (
        _within(column, min(least for least, _ in pairs), max(most for _, most in pairs))
        for column, pairs in columns
    )
    parts = "range_entry.type = ? AND range_entry.tenant = ? AND range_entry.parameter = ?"
    these = Sql(parts, (of_type, tenant, criterion.parameter))
    return selected(Sql("range_entry.record"), "range_entry", (these, *within))


def _is_entered(value: Value) -> bool:
    """Returns whether an index leads to the entries that meet the value, and to no others."""
    match value:
        case TokenIs(code):
            return code is not None
        case StringIs(match=match):
            return match != "contains"
        case _:
            return True


def matches(parameter: str, value: Value) -> Sql:
    """Returns the condition that a row of the entry table of the value's kind meets it."""
    name = (parameter + _SUFFIX.get(type(value), ""),)
    if isinstance(value, RangeIs):
        stands = _stands("range_entry.low", "range_entry.high", value)
        return filled("({} AND {})", Sql("range_entry.parameter = ?", name), stands)
    return filled("({} AND {})", Sql("text_entry.parameter = ?", name), _reads(value))


def _alternatives(criterion: Criterion) -> Iterator[Sql]:
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
        found = filled(
            "({} AND {})", Sql("text_entry.parameter = ?", (name,)), among("text_entry.value", codes)
        )
        if system is not None:
            found = filled("({} AND {})", found, Sql("text_entry.system = ?", (bounded(system),)))
        yield found


def _has_any(parameter: str) -> Sql:
    names = (parameter, *(parameter + suffix for suffix in _SUFFIX.values()))
    return any_of(
        filled(
            "EXISTS ({})",
            selected(Sql(f"{table}.record"), table, (among(f"{table}.parameter", names), of_this)),
        )
        for table in ("text_entry", "range_entry")
        for of_this in (Sql(f"{table}.record = record.key"),)
    )


def _reads(value: Value) -> Sql:
    match value:
        case TokenIs(code, system) | ReferenceTo(code, system) | ReferenceToIdentifier(code, system):
            return _pair(code, system)
        case ReferenceToUrl(url):
            return _pair(url, "")
        case UriIs(text, match) | StringIs(text, match):
            return _text(text, match)
        case _:
            raise TypeError(f"{type(value).__name__} is not looked up among texts")


def _pair(value: str | None, system: str | None) -> Sql:
    columns = (("text_entry.value = ?", value), ("text_entry.system = ?", system))
    return all_of(Sql(column, (bounded(text),)) for column, text in columns if text is not None)


def _text(text: str, match: str) -> Sql:
    if match == "exact":
        return Sql("text_entry.value = ?", (bounded(text),))
    low = prefix(text)
    if match == "contains":
        plain = low.replace("/", "//").replace("%", "/%").replace("_", "/_")
        return Sql("text_entry.value LIKE ? ESCAPE '/'", (f"%{plain}%",))
    high = after(low)
    if high is None:
        return Sql("text_entry.value >= ?", (low,))
    return Sql("text_entry.value >= ? AND text_entry.value < ?", (low, high))


def _stands(low: str, high: str, to: RangeIs) -> Sql:
    """Returns the condition that a range is in the relation that is asked for; ge and le hold if contained.

    Source: FHIR R4 search.html 3.1.1.4.5.
    """
    # That the low end is not above `to.high` follows from containment; it bounds the walk of the index.
    start, end = (max(LOWEST, min(HIGHEST, end)) for end in (to.low, to.high))
    contained = Sql(f"({low} >= ? AND {low} <= ? AND {high} <= ?)", (start, end, end))
    more, less = Sql(f"{high} > ?", (end,)), Sql(f"{low} < ?", (start,))
    conditions = {
        "eq": contained,
        "ne": _not(contained),
        "gt": more,
        "lt": less,
        "ge": any_of((more, contained)),
        "le": any_of((less, contained)),
        "sa": Sql(f"{low} > ?", (end,)),
        "eb": Sql(f"{high} < ?", (start,)),
        "ap": Sql(f"({low} <= ? AND {high} >= ?)", (end, start)),
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


def _within(column: str, low: int, high: int) -> Sql:
    """Returns the condition that a number is in a range; an open end is left out."""
    ends = ((low, LOWEST, f"{column} >= ?"), (high, HIGHEST, f"{column} <= ?"))
    return all_of(Sql(condition, (end,)) for end, is_open, condition in ends if end != is_open)


# What a search reads, in which order, and where it goes on.

VERSION = Sql("record.type, record.id, record.version, record.updated, record.deleted, record.body")
VERSION_COLUMNS = VERSION.text.count(",") + 1
Start = Criterion | UpdatedIs
# An expression that is never null, and whether the largest comes first.
_Ordered = tuple[Sql, bool]


def page(search: Search, tenant: str, start: Start | None, last: Position | None = None) -> Sql:
    """Returns the query of one row more than the page holds; the columns of the position come last.

    Args:
        search: what is looked for.
        tenant: whose records.
        start: the criterion whose records are walked first; None walks the records in their order.
        last: the place behind which nothing is looked at.
    """
    order = _order(search.sort)
    these = [*_matching(search, tenant, start)]
    if start is None and not _is_by_id(search):
        these += _updated_within(search, "record")
    if search.after is not None:
        these.append(_beyond(order, search.after))
    if last is not None:
        these.append(_up_to(order, last))
    columns = joined(", ", (VERSION, *(expression for expression, _ in order)))
    return selected(columns, "record", these, _end(order, search.limit + 1))


def total(search: Search, tenant: str, start: Start | None) -> Sql:
    """Returns the query of the number of matches on all pages."""
    these = (*_matching(search, tenant, start), *_updated_within(search, "record"))
    return selected(Sql("count(*)"), "record", these)


_WALKED = ((), (("id", False),), (("id", True),), (("updated", False),), (("updated", True),))


def is_walked(search: Search) -> bool:
    """Returns whether an index has the records in the order of the search."""
    return is_by_date(search.sort) or tuple((key.by, key.descending) for key in search.sort) in _WALKED


def place_ahead(search: Search, tenant: str, number: int) -> Sql:
    """Returns the query of two places: of the last of so many records behind the page's start, and the next.

    By id, older versions count as well: the index has them side by side, and nothing else is read.

    Args:
        search: one that `is_walked`.
        tenant: whose records.
        number: how many.
    """
    order = _order(search.sort)
    these = [Sql("record.type = ? AND record.tenant = ?", (search.type, tenant))]
    if not _is_by_id(search):
        these += [Sql("record.current = 1"), *_updated_within(search, "record")]
    if search.after is not None:
        these.append(_beyond(order, search.after))
    columns = joined(", ", (expression for expression, _ in order))
    return selected(columns, "record", these, _end(order, 2, number - 1))


# A walk in the order of a date: first through the dates, then through the records that have none.


def page_by_date(search: Search, tenant: str, *, absent: bool, last: Position | None) -> Sql:
    """Returns the query that `page` returns, of the records with a date or of those without.

    Args:
        search: one that is sorted by a date alone.
        tenant: whose records.
        absent: whether those without are asked for.
        last: the place, among these, behind which nothing is looked at.
    """
    # That type and tenant are those of the record as well need not be said: the entry is to be found first.
    order = _date_order(search)
    dates = _dates(search, tenant, absent=absent)
    these = [*_current(search, None), Sql("record.key = dated.record"), *dates]
    if last is not None:
        these.append(_up_to(order, last[1:]))
    columns = joined(", ", (VERSION, _place_by_date(search, absent=absent)))
    return selected(columns, "record, range_entry AS dated", these, _end(order, search.limit + 1))


def place_ahead_by_date(search: Search, tenant: str, *, absent: bool, number: int) -> Sql:
    """Returns the query that `place_ahead` returns, among the records with a date or those without."""
    these = _dates(search, tenant, absent=absent)
    columns, end = _place_by_date(search, absent=absent), _end(_date_order(search), 2, number - 1)
    return selected(columns, "range_entry AS dated", these, end)


def _place_by_date(search: Search, *, absent: bool) -> Sql:
    return Sql(f"{absent:d}, {_date(search)}, dated.record")


def _date(search: Search) -> str:
    return "dated.high" if search.sort[0].descending else "dated.low"


def _date_order(search: Search) -> list[_Ordered]:
    down = search.sort[0].descending
    return [(Sql(_date(search)), down), (Sql("dated.record"), down)]


def _dates(search: Search, tenant: str, *, absent: bool) -> Iterator[Sql]:
    """Yields bounds so that the index is read from the start of the page to the last date that can match."""
    key = search.sort[0]
    yield Sql("dated.type = ? AND dated.tenant = ?", (search.type, tenant))
    yield Sql("dated.parameter = ?", (key.parameter + (NO_DATE if absent else ""),))
    if search.after is not None and search.after[0] == absent:
        yield _beyond(_date_order(search), search.after[1:])
    for criterion in search.criteria:
        if isinstance(criterion, Criterion) and criterion.parameter == key.parameter and not absent:
            yield from _ends_within(criterion, key)


def _ends_within(criterion: Criterion, key: Sort) -> Iterator[Sql]:
    values = [value for value in criterion.any_of if isinstance(value, RangeIs)]
    if values and not criterion.negated:
        ends = [_ends(value)[key.descending] for value in values]
        column = "dated.high" if key.descending else "dated.low"
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


def size(search: Search, tenant: str, start: Start, most: int) -> Sql:
    """Returns the query of the number of records that may meet the criterion; it stops counting at `most`."""
    keys = _keys_of(start, search, tenant)
    return filled("SELECT count(*) FROM ({}{}) AS found", keys, Sql(" LIMIT ?", (most,)))


def position(row: Sequence[Any]) -> Position:
    """Returns the position of a row of `page` in its order."""
    return tuple(row[VERSION_COLUMNS:])


def _matching(search: Search, tenant: str, start: Start | None) -> Iterator[Sql]:
    yield from _current(search, start)
    yield Sql("record.tenant = ?", (tenant,))
    if start is None:
        yield Sql("record.type = ?", (search.type,))
    else:
        yield filled("record.key IN ({})", _keys_of(start, search, tenant))


def _current(search: Search, start: Start | None) -> Iterator[Sql]:
    left = (criterion for criterion in search.criteria if not _is_said(start, criterion))
    yield from (holds(criterion, search.type) for criterion in left)
    # A bound value would hide from SQLite that the partial index fits.
    yield Sql("record.current = 1 AND record.deleted = 0")


def _is_said(start: Start | None, criterion: AnyCriterion) -> bool:
    """Returns whether what the search starts with is exactly what meets the criterion."""
    return criterion is start and isinstance(start, Criterion) and not isinstance(start.any_of[0], RangeIs)


def _keys_of(start: Start, search: Search, tenant: str) -> Sql:
    """Returns a query of keys, in which all are that meet the criterion; old versions and others are too."""
    if isinstance(start, Criterion):
        return _entered(start, search.type, tenant)
    # The records once more, where those that a search starts with are looked up in a query of their own.
    of_type = "started.type = ? AND started.tenant = ? AND started.current = 1"
    these = (Sql(of_type, (search.type, tenant)), *_updated_within(search, "started"))
    return selected(Sql("started.key"), "record AS started", these)


def _updated_within(search: Search, record: str) -> Iterator[Sql]:
    """Yields bounds of the last change, without OR, so that an index by it is used.

    A walk by id must not be given it: the database might take that index, and sort all that it finds.
    """
    for criterion in search.criteria:
        if isinstance(criterion, UpdatedIs):
            ends = [_ends(relation) for relation in criterion.any_of]
            low = min(max(low, high) for (low, _), (high, _) in ends)
            high = max(min(low, high) for (_, low), (_, high) in ends)
            yield _within(f"{record}.updated", low, high)


def _order(sort: Sequence[Sort]) -> list[_Ordered]:
    keys = [expression for key in sort for expression in _expressions(key)]
    last = (Sql("record.key"), sort[0].descending) if is_by_date(sort) else (Sql("record.id"), False)
    return [*keys, last]


def _expressions(key: Sort) -> list[_Ordered]:
    if key.by in ("id", "updated"):
        return [(Sql(f"record.{key.by}"), key.descending)]
    value = _first_value(key)
    nothing = "''" if key.by == "text" else "0"
    return [
        (filled("CASE WHEN {} IS NULL THEN 1 ELSE 0 END", value), False),
        (filled(f"coalesce({{}}, {nothing})", value), key.descending),
    ]


def _first_value(key: Sort) -> Sql:
    table = "text_entry" if key.by == "text" else "range_entry"
    column = "value" if key.by == "text" else "high" if key.descending else "low"
    first = Sql(f"{'max' if key.descending else 'min'}({table}.{column})")
    these = (Sql(f"{table}.record = record.key"), Sql(f"{table}.parameter = ?", (key.parameter,)))
    return filled("({})", selected(first, table, these))


def _end(order: Sequence[_Ordered], limit: int, offset: int = 0) -> Sql:
    """Returns the end of a query: its order, limit and offset."""
    keys = joined(", ", (filled("{} DESC" if down else "{}", expression) for expression, down in order))
    rows = Sql(" LIMIT ? OFFSET ?", (limit, offset)) if offset else Sql(" LIMIT ?", (limit,))
    return filled(" ORDER BY {}{}", keys, rows)


def _up_to(order: Sequence[_Ordered], place: Position) -> Sql:
    """Returns the condition that a row does not come after the place."""
    (expression, down), value = order[0], place[0]
    not_after = filled("{} >= {}" if down else "{} <= {}", expression, Sql("?", (value,)))
    return filled("({} AND {})", not_after, _not(_beyond(order, place)))


def _beyond(order: Sequence[_Ordered], place: Position) -> Sql:
    """Returns the condition that a row comes after the place, key by key."""
    (expression, down), value = order[0], Sql("?", (place[0],))
    past = filled("{} < {}" if down else "{} > {}", expression, value)
    if len(order) == 1:
        return past
    # Said once more without OR, so that an index in this order is entered at the place.
    not_before = filled("{} <= {}" if down else "{} >= {}", expression, value)
    return filled("({} AND {})", not_before, any_of((past, _beyond(order[1:], place[1:]))))


# The versions of one record.

_THIS = "record.tenant = ? AND record.type = ? AND record.id = ?"
_WAS_FOLLOWED = (
    "EXISTS (SELECT 1 FROM record AS following WHERE following.tenant = record.tenant"
    " AND following.type = record.type AND following.id = record.id"
    " AND following.version = record.version + 1 AND following.updated <= ?)"
)


def this(tenant: str, name: tuple[str, str]) -> Sql:
    """Returns the condition that a row is a version of the record with this type and id."""
    return Sql(_THIS, (tenant, name[0], bounded(name[1])))


def within(period: Period) -> Sql:
    """Returns the condition that a version was the current one in some moment of the period."""
    if period == ALWAYS:
        return Sql("1 = 1")
    text = f"record.updated >= ? AND record.updated <= ? AND NOT {_WAS_FOLLOWED}"
    return Sql(text, (period.since, period.high, period.low))


def versions(conditions: Iterable[Sql], limit: int) -> Sql:
    """Returns the query of versions that meet the conditions, newest first."""
    end = Sql(" ORDER BY record.version DESC LIMIT ?", (limit,))
    return selected(VERSION, "record", conditions, end)


def count_of_versions(conditions: Iterable[Sql]) -> Sql:
    """Returns the query of their number."""
    return selected(Sql("count(*)"), "record", conditions)
