"""Compares a record's index entries with criteria as the databases do, text cut for text cut.

`storage/predicates.py` and `storage/queries.py` say the same in SQL; a test holds them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.storage import (
    AnyCriterion,
    Criterion,
    Entry,
    IdIs,
    Missing,
    Position,
    RangeIs,
    Record,
    ReferenceTo,
    ReferenceToIdentifier,
    ReferenceToUrl,
    Sort,
    StringIs,
    TokenIs,
    UpdatedIs,
    UriIs,
    Value,
)
from service.storage.model import HIGHEST, LOWEST, ranges, texts
from service.storage.sql import bounded, prefix

# As storage.entries names the parts of a reference.
_URL, _IDENTIFIER = ":url", ":identifier"


@dataclass(frozen=True, slots=True)
class Indexed:
    """A record and what it is found by.

    Args:
        record: the record.
        texts: (system, value) by parameter.
        ranges: (low, high) by parameter.
    """

    record: Record
    texts: Mapping[str, Sequence[tuple[str, str]]]
    ranges: Mapping[str, Sequence[tuple[int, int]]]


def indexed(record: Record, entries: Sequence[Entry]) -> Indexed:
    """Returns the record with its index."""
    by_text: dict[str, list[tuple[str, str]]] = {}
    by_range: dict[str, list[tuple[int, int]]] = {}
    for entry in entries:
        for parameter, system, value in texts(entry):
            by_text.setdefault(parameter, []).append((bounded(system), bounded(value)))
        for parameter, low, high in ranges(entry):
            by_range.setdefault(parameter, []).append((low, high))
    return Indexed(record, by_text, by_range)


def holds(criterion: AnyCriterion, of: Indexed) -> bool:
    """Whether the record meets the criterion."""
    match criterion:
        case IdIs(ids):
            return of.record.id in [bounded(each) for each in ids]
        case UpdatedIs(stretches):
            updated = of.record.updated
            return any(_stands(updated, updated, each) for each in stretches)
        case Missing(parameter, missing):
            names = (parameter, parameter + _URL, parameter + _IDENTIFIER)
            return missing != any(name in of.texts or name in of.ranges for name in names)
        case Criterion(negated=negated):  # pragma: no branch - there is no other kind
            return negated != any(_has(criterion.parameter, value, of) for value in criterion.any_of)


def place_of(of: Indexed, sort: Sequence[Sort]) -> Position:
    """Returns where the record stands in the order."""
    return (*(part for key in sort for part in _parts(of, key)), of.record.id)


def directions(sort: Sequence[Sort]) -> list[bool]:
    """Returns for each part of a position whether the largest comes first."""
    found: list[bool] = []
    for key in sort:
        found += [key.descending] if key.by in ("id", "updated") else [False, key.descending]
    return [*found, False]


def is_beyond(place: Position, after: Position, descending: Sequence[bool]) -> bool:
    """Whether a place comes later in the order than another one of the same order."""
    pairs: Iterator[tuple[Any, Any, bool]] = zip(place, after, descending, strict=True)
    here, there, down = next((each for each in pairs if each[0] != each[1]), ("", "", False))
    return here < there if down else here > there


def _parts(of: Indexed, key: Sort) -> tuple[int | str, ...]:
    if key.by == "id":
        return (of.record.id,)
    if key.by == "updated":
        return (of.record.updated,)
    first = max if key.descending else min
    if key.by == "text":
        values = [value for _, value in of.texts.get(key.parameter, ())]
        return (0, first(values)) if values else (1, "")
    ends = [high if key.descending else low for low, high in of.ranges.get(key.parameter, ())]
    return (0, first(ends)) if ends else (1, 0)


def _has(parameter: str, value: Value, of: Indexed) -> bool:
    match value:
        case RangeIs():
            return any(_stands(low, high, value) for low, high in of.ranges.get(parameter, ()))
        case TokenIs(code, system):
            return _has_pair(of, parameter, code, system)
        case ReferenceTo(of_id, of_type):
            return _has_pair(of, parameter, of_id, of_type)
        case ReferenceToUrl(url):
            return _has_pair(of, parameter + _URL, url, "")
        case ReferenceToIdentifier(text, system):
            return _has_pair(of, parameter + _IDENTIFIER, text, system)
        case UriIs(text, match) | StringIs(text, match):  # pragma: no branch - there is no other kind
            return any(_reads(each, text, match) for _, each in of.texts.get(parameter, ()))


def _has_pair(of: Indexed, parameter: str, value: str | None, system: str | None) -> bool:
    wanted = tuple(None if text is None else bounded(text) for text in (system, value))
    found = of.texts.get(parameter, ())
    return any(all(want in (None, has) for want, has in zip(wanted, pair, strict=True)) for pair in found)


def _reads(value: str, text: str, match: str) -> bool:
    if match == "exact":
        return value == bounded(text)
    part = prefix(text)
    return part in value if match == "contains" else value.startswith(part)


def _stands(low: int, high: int, to: RangeIs) -> bool:
    """FHIR R4 search.html 3.1.1.4.5: ge and le count a stretch that is contained too."""
    start, end = (max(LOWEST, min(HIGHEST, each)) for each in (to.low, to.high))
    contained = start <= low and high <= end
    return {
        "eq": contained,
        "ne": not contained,
        "gt": high > end,
        "lt": low < start,
        "ge": high > end or contained,
        "le": low < start or contained,
        "sa": low > end,
        "eb": high < start,
        "ap": low <= end and high >= start,
    }[to.comparison]
