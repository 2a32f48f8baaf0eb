"""Searches as the contract of a store defines them, in plain Python: what every database must find."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.storage.entries import HIGHEST, LOWEST
from service.storage.model import (
    AnyCriterion,
    Criterion,
    Draft,
    IdIs,
    Missing,
    Page,
    Position,
    RangeIs,
    Record,
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
from service.storage.sql import bounded, prefix

_URL, _IDENTIFIER = ":url", ":identifier"
Place = tuple[Position, Record]


@dataclass(frozen=True)
class Indexed:
    """A record and its number in the order of storing; its (system, value) and (low, high) by parameter."""

    number: int
    record: Record
    texts: Mapping[str, Sequence[tuple[str, str]]]
    ranges: Mapping[str, Sequence[tuple[int, int]]]


class ReferenceSearch:
    """Searches drafts, each in its first version."""

    def __init__(self, drafts: Iterable[Draft]) -> None:
        self._records = [indexed(*each) for each in enumerate(drafts)]

    def search(self, search: Search) -> Page:
        found = self._found(search)
        total = len(found) if search.total else None
        if search.limit == 0:
            return Page((), total)
        down, after = directions(search.sort), search.after
        rest = found if after is None else [place for place in found if is_beyond(place[0], after, down)]
        page = rest[: search.limit]
        more = page[-1][0] if len(rest) > search.limit else None
        return Page(tuple(record for _, record in page), total, more)

    def _found(self, search: Search) -> list[Place]:
        of_type = (record for record in self._records if record.record.type == search.type)
        found = [record for record in of_type if all(holds(each, record) for each in search.criteria)]
        ordered = [(place_of(record, search.sort), record.record) for record in found]
        for part, down in reversed(list(enumerate(directions(search.sort)))):
            ordered.sort(key=_part_of_place(part), reverse=down)
        return ordered


def _part_of_place(part: int) -> Callable[[Place], Any]:
    return lambda place: place[0][part]


def indexed(number: int, draft: Draft) -> Indexed:
    by_text: dict[str, list[tuple[str, str]]] = {}
    by_range: dict[str, list[tuple[int, int]]] = {}
    for entry in draft.entries:
        for parameter, system, value in entry.texts():
            by_text.setdefault(parameter, []).append((bounded(system), bounded(value)))
        for parameter, low, high in entry.ranges():
            by_range.setdefault(parameter, []).append((low, high))
    record = Record(draft.type, draft.id, 1, draft.updated, deleted=False, body=draft.body)
    return Indexed(number, record, by_text, by_range)


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
        case Criterion(negated=negated):
            return negated != any(_has(criterion.parameter, value, of) for value in criterion.any_of)


def place_of(of: Indexed, sort: Sequence[Sort]) -> Position:
    """Returns where the record stands in the order."""
    last = of.number if is_by_date(sort) else of.record.id
    return (*(part for key in sort for part in _parts(of, key)), last)


def directions(sort: Sequence[Sort]) -> list[bool]:
    """Returns for each part of a position whether the largest comes first."""
    found: list[bool] = []
    for key in sort:
        found += [key.descending] if key.by in ("id", "updated") else [False, key.descending]
    return [*found, is_by_date(sort) and sort[0].descending]


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
        case UriIs(text, match) | StringIs(text, match):
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
