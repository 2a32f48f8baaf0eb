"""The parameters of a query that say what comes back: how many, in which order, how much of each.

Source: FHIR R4 search.html 3.1.1.5
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from service.errors import Problem
from service.search.elements import ELEMENTS
from service.search.shape import Shape, Summary
from service.search.tables import includes_of, parameters_of, revincludes_of
from service.storage import Sort

LONGEST_PAGE: Final = 100

Pairs = Sequence[tuple[str, str]]

_WHOLE = re.compile(r"[0-9]{1,9}")
_SUMMARIES: Final[Mapping[str, Summary]] = {"true": "true", "text": "text", "data": "data", "false": ""}
_TOTALS: Final = {"none": False, "estimate": True, "accurate": True}
_RECORD: Final[Mapping[str, Sort]] = {"_id": Sort("id"), "_lastUpdated": Sort("updated")}
_RANGES: Final = frozenset(("date", "number"))


@dataclass(frozen=True, slots=True)
class Include:
    """What comes along with the matches: `source:parameter`, those of one type only where `target` says so.

    With `reverse` it is what refers to the matches, else what they refer to.
    """

    source: str
    parameter: str
    target: str
    reverse: bool


@dataclass(frozen=True, slots=True)
class Results:
    """What comes back.

    Args:
        count: longest page; 0 asks for the total alone.
        sort: order of the matches.
        total: whether they are counted.
        shape: how much of each.
        includes: what comes along.
        cursor: where the page starts, as a link of the page before said; empty for the first.
        used: the pairs that took part, as a link repeats them; without the cursor.
        faults: what could not be read.
    """

    count: int
    sort: tuple[Sort, ...]
    total: bool
    shape: Shape
    includes: tuple[Include, ...]
    cursor: str
    used: tuple[tuple[str, str], ...]
    faults: tuple[Problem, ...]


@dataclass(frozen=True)
class _Reader:
    """Reads the values of each parameter, and notes what took part and what was wrong."""

    kind: str
    strict: bool
    given: Mapping[str, Sequence[str]]
    used: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Problem] = field(default_factory=list)

    def sort(self) -> tuple[Sort, ...]:
        chosen: dict[str, str] = {}
        for key in (each for text in self.given["_sort"] for each in text.split(",") if each):
            if self._is_key(key):
                chosen.setdefault(key.removeprefix("-"), key)
        self._note("_sort", ",".join(chosen.values()))
        return tuple(self._key(each) for each in chosen.values())

    def count(self) -> int:
        text = self._last("_count")
        if text and not _WHOLE.fullmatch(text):
            self._refuse("search-value", "_count", "a whole number up to nine digits")
            return LONGEST_PAGE
        count = min(int(text), LONGEST_PAGE) if text else LONGEST_PAGE
        self._note("_count", str(count) if text else "")
        return count

    def shape(self) -> Shape:
        elements = self._elements()
        text = self._last("_summary")
        if text not in ("", "count", *_SUMMARIES):
            self._refuse("search-value", "_summary", "one of true, text, data, count, false")
        if text == "text" and (self.given["_include"] or self.given["_revinclude"]):
            self._refuse(
                "search-value", "_summary", "another value than text beside _include and _revinclude"
            )
        if elements and text != "count":
            return Shape("", elements)
        self._note("_summary", text)
        return Shape(_SUMMARIES.get(text, ""))

    def total(self) -> bool:
        text = self._last("_total")
        if text and text not in _TOTALS:
            self._refuse("search-value", "_total", "one of none, estimate, accurate")
        self._note("_total", text)
        return _TOTALS.get(text, True)

    def includes(self, name: str, offered: Sequence[str]) -> Iterator[Include]:
        for text in dict.fromkeys(self.given[name]):
            source, parameter, target = [*text.split(":", 2), "", ""][:3]
            if f"{source}:{parameter}" in offered:
                self._note(name, text)
                yield Include(source, parameter, target, reverse=name == "_revinclude")
            else:
                self._left_out(name, f"one of {', '.join(offered)}" if offered else "nothing for this type")

    def cursor(self) -> str:
        return self._last("_cursor")

    def _elements(self) -> tuple[str, ...]:
        asked = [each.strip() for text in self.given["_elements"] for each in text.split(",")]
        known = tuple(dict.fromkeys(each for each in asked if each in ELEMENTS[self.kind]))
        if set(asked) - {*known, ""}:
            self._left_out("_elements", "names of elements of the resource itself")
        self._note("_elements", ",".join(known))
        return known

    def _is_key(self, text: str) -> bool:
        known = text.removeprefix("-") in parameters_of(self.kind)
        if not known:
            self._left_out("_sort", f"names among {', '.join(parameters_of(self.kind))}")
        return known

    def _key(self, text: str) -> Sort:
        name, descending = text.removeprefix("-"), text.startswith("-")
        if name in _RECORD:
            return Sort(_RECORD[name].by, descending=descending)
        by_range = parameters_of(self.kind)[name].type in _RANGES
        return Sort("range" if by_range else "text", name, descending)

    def _last(self, name: str) -> str:
        return self.given[name][-1] if self.given[name] else ""

    def _note(self, name: str, text: str) -> None:
        if text:
            self.used.append((name, text))

    def _refuse(self, kind: str, name: str, expected: str) -> None:
        self.faults.append(Problem(kind, f"Parameter {name}: expected {expected}."))

    def _left_out(self, name: str, expected: str) -> None:
        if self.strict:
            self._refuse("search-parameter", name, expected)


NAMES: Final = (
    "_sort",
    "_count",
    "_summary",
    "_elements",
    "_total",
    "_include",
    "_revinclude",
    "_cursor",
)


def results_from(kind: str, pairs: Pairs, *, strict: bool) -> Results:
    """Returns what comes back of a search.

    Args:
        kind: type of resource.
        pairs: those of the query whose names are in NAMES; of most names the last one counts.
        strict: refuse keys, elements and includes that are not known rather than leave them out.
    """
    given = {name: [text for each, text in pairs if each == name] for name in NAMES}
    reader = _Reader(kind, strict, given)
    sort, count, shape, total = reader.sort(), reader.count(), reader.shape(), reader.total()
    includes = (
        *reader.includes("_include", includes_of(kind)),
        *reader.includes("_revinclude", revincludes_of(kind)),
    )
    alone = ("_summary", "count") in reader.used
    return Results(
        count=0 if alone else count,
        sort=sort,
        total=total or alone or count == 0,
        shape=shape,
        includes=includes,
        cursor=reader.cursor(),
        used=tuple(reader.used),
        faults=tuple(dict.fromkeys(reader.faults)),
    )
