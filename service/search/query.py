"""A query as it was asked, read: what is looked for, and what comes back of it.

Parameters that are not known are left out, as FHIR asks, and stand in no link to the result; a caller
who prefers strict handling has them refused. Those that were likely meant to name a person are always
refused (misspelt.py): left out, they would find everybody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl

from service.errors import Malformed, Problem
from service.search import results
from service.search.criteria import criterion_from
from service.search.cursors import position_of
from service.search.misspelt import means_a_person, says_nothing
from service.search.results import Include, Pairs, results_from
from service.search.shape import Shape
from service.search.tables import parameters_of
from service.storage import AnyCriterion, Search

MOST_CRITERIA: Final = 50
"""Most parameters that narrow a search, and most values of them that are neither codes nor references."""

MOST_VALUES: Final = 500
"""Most values of all parameters together. A longer statement costs more than what it finds, or is refused."""

_TOO_LARGE: Final = Problem(
    "search-value",
    f"Expected at most {MOST_CRITERIA} parameters with at most {MOST_VALUES} values, "
    f"of which at most {MOST_CRITERIA} are neither codes nor references.",
)
_QUIET: Final = ("_format", "_pretty")
_MOST_PARAMETERS: Final = 100
_SPEAKING = re.compile(r"[A-Za-z_.:-]{1,40}")


@dataclass(frozen=True, slots=True)
class Query:
    """A search as it was asked.

    Args:
        base: public FHIR base.
        search: what the store is asked.
        used: the pairs that took part, in order; links repeat them.
        bound: those of them that a cursor belongs to.
        cursor: where this page starts; empty for the first.
        shape: how much of each resource is wanted.
        includes: what comes along with the matches.
    """

    base: str
    search: Search
    used: tuple[tuple[str, str], ...]
    bound: tuple[tuple[str, str], ...]
    cursor: str
    shape: Shape
    includes: tuple[Include, ...]

    @property
    def kind(self) -> str:
        """The type of resource that is searched."""
        return self.search.type


def query_from(kind: str, pairs: Sequence[tuple[str, str]], *, strict: bool, base: str) -> Query:
    """Returns the query that pairs of names and values ask for.

    Args:
        kind: type of resource.
        pairs: decoded; one with an empty value is ignored.
        strict: refuse what is not known rather than leave it out.
        base: public FHIR base.

    Raises:
        Malformed: names, modifiers or values that cannot be read, all of them.

    Source: FHIR R4 search.html 3.1.1.3
    """
    asked = [pair for pair in pairs if pair[1] and pair[0] not in _QUIET]
    faults: list[Problem] = []
    found = list(_criteria(kind, asked, base, faults))
    result = results_from(kind, [pair for pair in asked if pair[0] in results.NAMES], strict=strict)
    faults += result.faults
    faults += _strange(kind, asked, strict=strict)
    faults += _unnamed(kind, pairs)
    if faults:
        raise Malformed(*faults)
    search = Search(kind, tuple(each for _, each in found), result.sort, result.count, total=result.total)
    used = tuple(pair for pair, _ in found)
    bound = (*used, *(pair for pair in result.used if pair[0] == "_sort"))
    after = position_of(result.cursor, search, bound) if result.cursor else None
    return Query(
        base=base,
        search=replace(search, after=after),
        used=(*used, *result.used),
        bound=bound,
        cursor=result.cursor,
        shape=result.shape,
        includes=result.includes,
    )


def condition_from(kind: str, text: str, *, base: str) -> Search:
    """Returns the search of a conditional create; it must say something, and all of it must be understood.

    Args:
        kind: type of resource.
        text: If-None-Exist: what follows the question mark of a search, percent-encoded.
        base: public FHIR base.

    Raises:
        Malformed: there is no criterion, or one that cannot be used; no part of it is left out.

    Source: FHIR R4 http.html#ccreate
    """
    pairs = _decoded(text.strip().removeprefix("?"))
    faults: list[Problem] = []
    found = list(_criteria(kind, pairs, base, faults))
    if not faults and (not pairs or len(found) < len(pairs)):
        expected = f"search parameters with values, among {', '.join(parameters_of(kind))}"
        faults.append(Problem("if-none-exist", f"If-None-Exist: expected {expected}."))
    if faults:
        raise Malformed(*(replace(fault, kind="if-none-exist") for fault in faults))
    return Search(kind, tuple(each for _, each in found), limit=2)


def _decoded(text: str) -> Pairs:
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        expected = f"at most {_MOST_PARAMETERS} parameters in UTF-8, percent-encoded"
        raise Malformed(Problem("if-none-exist", f"If-None-Exist: expected {expected}.")) from None


def _criteria(
    kind: str, pairs: Pairs, base: str, faults: list[Problem]
) -> Iterator[tuple[tuple[str, str], AnyCriterion]]:
    """Yields the pairs that are criteria, and adds what is wrong with them to the faults."""
    known = parameters_of(kind)
    named = [(pair, *pair[0].partition(":")[::2]) for pair in pairs]
    criteria = [each for each in named if each[1] in known]
    if _is_too_large([(pair[1].count(",") + 1, known[name].type) for pair, name, _ in criteria]):
        faults.append(_TOO_LARGE)
        return
    for pair, name, modifier in criteria:
        try:
            criterion = criterion_from(known[name], modifier, pair[1], base)
        except Malformed as fault:
            faults += fault.problems
            continue
        if criterion is not None:
            yield pair, criterion


def _is_too_large(sizes: Sequence[tuple[int, str]]) -> bool:
    values = sum(size for size, _ in sizes)
    costly = sum(size for size, type_ in sizes if type_ not in ("token", "reference"))
    return len(sizes) > MOST_CRITERIA or values > MOST_VALUES or costly > MOST_CRITERIA


def _strange(kind: str, pairs: Pairs, *, strict: bool) -> Iterator[Problem]:
    """Yields what is wrong with parameters that are neither criteria nor understood otherwise."""
    known = (*parameters_of(kind), *results.NAMES)
    of_persons = "patient" in known
    for name in dict.fromkeys(name for name, _ in pairs):
        first, colon, _ = name.partition(":")
        if first in results.NAMES and colon:
            yield Problem("search-modifier", f"Parameter {first}: expected no modifier.")
        elif first not in known and (strict or (of_persons and means_a_person(name))):
            expected = f"Expected one of {', '.join(known)}."
            yield Problem("search-parameter", f"{_named(name)} is not known here. {expected}")


def _unnamed(kind: str, pairs: Pairs) -> Iterator[Problem]:
    """Yields what names nobody: R4 leaves out what has no value, and everybody would be found."""
    if "patient" in parameters_of(kind):
        for name in dict.fromkeys(name for name, value in pairs if says_nothing(name, value)):
            yield Problem("search-value", f"Parameter {name.partition(':')[0]}: expected a value.")


def _named(name: str) -> str:
    """Names a parameter, unless it could be anything else than a name."""
    return f"Parameter {name}" if _SPEAKING.fullmatch(name) else "A parameter"
