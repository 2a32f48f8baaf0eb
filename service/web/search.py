"""Reads the parameters of a search on published resources.

Source:
    R4 search.html: comma means OR, a repeated parameter AND, an empty value is ignored.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.errors import Malformed, Problem
from service.web.call import Query

Resource = Mapping[str, Any]
Test = Callable[[Resource, str], bool]

LONGEST_PAGE = 100

_PAGING = ("_count", "_offset")
_COUNT_ALONE = ("_summary", "count")
_QUIET = ("_format", "_pretty")
_WHOLE = re.compile(r"[0-9]{1,9}")
_SEPARATOR = re.compile(r"(?<!\\),")
_ESCAPED = re.compile(r"\\([\\,|$])")
_STATUS_SYSTEM = "http://hl7.org/fhir/publication-status"


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One search parameter: name, FHIR type, what it means, and its test by modifier ("" for none)."""

    name: str
    type: str
    documentation: str
    tests: Mapping[str, Test]


@dataclass(frozen=True, slots=True)
class Criterion:
    """A test that one of several alternative values must pass."""

    test: Test
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """A search as it was asked.

    Args:
        criteria: all must hold.
        used: the pairs that took part, in order: they make the self link.
        count: most matches on a page; 0 asks for the total alone.
        offset: number of matches before this page.
    """

    criteria: tuple[Criterion, ...]
    used: Query
    count: int
    offset: int

    def finds(self, resource: Resource) -> bool:
        """Whether the resource meets every criterion."""
        return all(any(each.test(resource, value) for value in each.values) for each in self.criteria)


def search_from(query: Query, *, strict: bool) -> Search:
    """Returns the search that a query string asks for.

    Args:
        query: decoded pairs in order.
        strict: refuse what is not known (`Prefer: handling=strict`) rather than leave it out.

    Raises:
        Malformed: values or modifiers that cannot be read, all of them.
    """
    asked = [(name, value) for name, value in query if value and name not in _QUIET]
    faults = [fault for name, value in asked for fault in _faults(name, value, strict=strict)]
    if faults:
        raise Malformed(*faults)
    used = tuple(pair for pair in asked if _is_known(*pair))
    numbers = {name: int(value) for name, value in used if name in _PAGING}
    count = 0 if _COUNT_ALONE in used else numbers.get("_count", LONGEST_PAGE)
    return Search(_criteria(used), used, min(count, LONGEST_PAGE), numbers.get("_offset", 0))


def is_strict(prefer: str | None) -> bool:
    """Whether a Prefer header asks to refuse parameters that are not known."""
    return prefer is not None and "handling=strict" in re.split(r"[;,\s]+", prefer.lower())


def _is_known(name: str, value: str) -> bool:
    return name.partition(":")[0] in PARAMETERS or name in _PAGING or (name, value) == _COUNT_ALONE


def _faults(name: str, value: str, *, strict: bool) -> Iterator[Problem]:
    base, _, modifier = name.partition(":")
    if base in PARAMETERS:
        if modifier not in PARAMETERS[base].tests:
            known = ", ".join(sorted(filter(None, PARAMETERS[base].tests))) or "none"
            yield Problem("search-modifier", f"Parameter {base}: expected one of the modifiers: {known}.")
    elif name in _PAGING:
        if not _WHOLE.fullmatch(value):
            yield Problem("search-value", f"Parameter {name}: expected a whole number up to nine digits.")
    elif strict and not _is_known(name, value):
        expected = ", ".join((*PARAMETERS, *_PAGING, "_summary=count"))
        yield Problem("search-parameter", f"A parameter is not known here. Expected: {expected}.")


def _criteria(used: Query) -> tuple[Criterion, ...]:
    criteria = []
    for name, value in used:
        base, _, modifier = name.partition(":")
        if base in PARAMETERS:
            criteria.append(Criterion(PARAMETERS[base].tests[modifier], _alternatives(value)))
    return tuple(criteria)


def _alternatives(value: str) -> tuple[str, ...]:
    return tuple(_ESCAPED.sub(r"\1", part) for part in _SEPARATOR.split(value))


def _equal(element: str) -> Test:
    return lambda resource, asked: resource.get(element) == asked


def _starts(element: str) -> Test:
    return lambda resource, asked: _folded(resource.get(element, "")).startswith(_folded(asked))


def _contains(element: str) -> Test:
    return lambda resource, asked: _folded(asked) in _folded(resource.get(element, ""))


def _folded(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _is_canonical(resource: Resource, asked: str) -> bool:
    url, _, version = asked.partition("|")
    return resource.get("url") == url and version in ("", resource.get("version"))


def _is_status(resource: Resource, asked: str) -> bool:
    system, _, code = asked.rpartition("|")
    return system in ("", _STATUS_SYSTEM) and resource.get("status") == code


def _text(element: str) -> Mapping[str, Test]:
    return {"": _starts(element), "exact": _equal(element), "contains": _contains(element)}


PARAMETERS: Mapping[str, SearchParameter] = {
    each.name: each
    for each in (
        SearchParameter("_id", "token", "Logical id.", {"": _equal("id")}),
        SearchParameter("url", "uri", "Canonical url; `url|version` finds one version.", {"": _is_canonical}),
        SearchParameter("version", "token", "Business version.", {"": _equal("version")}),
        SearchParameter("name", "string", "Name, from its beginning.", _text("name")),
        SearchParameter("title", "string", "Title, from its beginning.", _text("title")),
        SearchParameter("status", "token", "Publication status.", {"": _is_status}),
    )
}
