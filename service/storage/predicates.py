"""Criteria as SQL conditions on the entry tables and on the record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, not_, or_, select, true

from service.storage.bounded import after, bounded, prefix
from service.storage.criteria import (
    AnyCriterion,
    Criterion,
    IdIs,
    Missing,
    RangeIs,
    ReferenceTo,
    ReferenceToIdentifier,
    ReferenceToUrl,
    StringIs,
    TokenIs,
    UpdatedIs,
    UriIs,
    Value,
)
from service.storage.entries import HIGHEST, LOWEST
from service.storage.tables import RANGE_ENTRY, RECORD, TEXT_ENTRY

Condition = ColumnElement[bool]
_SUFFIX = {ReferenceToUrl: ":url", ReferenceToIdentifier: ":identifier"}  # as entries.texts names them


def holds(criterion: AnyCriterion, of_type: str) -> Condition:
    """Returns the condition that the row of RECORD meets the criterion."""
    match criterion:
        case IdIs(ids):
            return RECORD.c.id.in_([bounded(each) for each in ids])
        case UpdatedIs(stretches):
            return or_(*(_stands(RECORD.c.updated, RECORD.c.updated, each) for each in stretches))
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
        case TokenIs(code, system):
            return _pair(code, system)
        case ReferenceTo(code, system) | ReferenceToIdentifier(code, system):
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
    """FHIR R4 search.html 3.1.1.4.5: ge and le count a stretch that is contained too."""
    # That the low end is not above `to.high` follows from containment; it bounds the walk of the index.
    start, end = (max(LOWEST, min(HIGHEST, each)) for each in (to.low, to.high))
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
