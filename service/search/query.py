"""Reads a query: the search to run, and how much of each match is returned.

Parameters that are not known are left out, as FHIR asks, and stand in no link to the result; a caller
who prefers strict handling has them refused. Those that were likely meant to name a person are always
refused: left out, they would find everybody's. For the same reason a search among what is stored is
refused where criteria were sent and none of them took effect.

Source: FHIR R4 search.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from hashlib import sha256
from typing import Final, Literal
from urllib.parse import parse_qsl

import msgspec

from service.datatypes.values import replace
from service.errors import Malformed, Problem
from service.search.elements import ELEMENTS, Shape, Summary
from service.search.entries import split, unescaped
from service.search.parameters import STORED, SearchParameter, includes_of, parameters_of, revincludes_of
from service.search.values import EXPECTED, is_type, values_of
from service.storage.model import (
    AnyCriterion,
    BadPosition,
    Criterion,
    IdIs,
    Missing,
    Position,
    RangeIs,
    Search,
    Sort,
    UpdatedIs,
    decode_position,
    encode_position,
)

Pairs = Sequence[tuple[str, str]]
"""Names and values of a query, decoded, in their order."""

MOST_CRITERIA: Final = 50
"""Most parameters that narrow a search, and most values of them that are neither codes nor references."""

MOST_VALUES: Final = 500
"""Most values of all parameters together. A longer statement costs more than what it finds, or is refused."""

_TOO_LARGE: Final = Problem(
    "search-value",
    f"Expected at most {MOST_CRITERIA} parameters with at most {MOST_VALUES} values, "
    f"of which at most {MOST_CRITERIA} are neither codes nor references.",
)
LAYOUT: Final = ("_format", "_pretty")
"""Parameters that say how the answer is written."""

_MOST_PARAMETERS: Final = 100
_PLAIN_NAME = re.compile(r"[A-Za-z_.:-]{1,40}")
NAMES: Final = ("_sort", "_count", "_summary", "_elements", "_total", "_include", "_revinclude", "_cursor")
"""Parameters that say what comes back."""

_NO_CRITERIA: Final = frozenset((*NAMES, *LAYOUT, "_contained", "_containedType"))
"""What narrows no search; the last two are R4's as well, and not offered here."""


class Query(msgspec.Struct, frozen=True):
    """A search as it was asked.

    Args:
        base: public FHIR base.
        search: what the store is asked.
        used: the pairs that took part, in order, and those about the form of the answer; links repeat them.
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


def query_from(kind: str, pairs: Pairs, *, strict: bool, base: str) -> Query:
    """Returns the query that pairs of names and values ask for.

    Args:
        kind: type of resource.
        pairs: decoded; one with an empty value is ignored.
        strict: refuse what is not known rather than leave it out.
        base: public FHIR base.

    Raises:
        Malformed: names, modifiers or values that cannot be read, all of them; or, among what is stored,
            criteria of which none takes effect.

    Source: FHIR R4 search.html 3.1.1.3
    """
    query = _understood(kind, pairs, strict=strict, base=base)
    if kind in STORED and not query.search.criteria:
        faults = list(_nothing_narrows(kind, pairs))
        if faults:
            raise Malformed(*faults)
    return query


def shape_from(kind: str, pairs: Pairs, *, strict: bool, base: str) -> Shape:
    """Returns how much is wanted of a resource that is read alone, where criteria narrow nothing.

    Arguments and errors are those of `query_from`.
    """
    return _understood(kind, pairs, strict=strict, base=base).shape


def _understood(kind: str, pairs: Pairs, *, strict: bool, base: str) -> Query:
    """Returns the query; unknown parameters are left out, unless strict; raises Malformed."""
    used_pairs = [pair for pair in pairs if pair[1] and pair[0] not in LAYOUT]
    faults: list[Problem] = []
    found = list(_criteria(kind, used_pairs, base, faults))
    results = _Results(kind, used_pairs, strict=strict)
    faults += dict.fromkeys(results.faults)
    faults += _unknown_parameters(kind, used_pairs, strict=strict)
    faults += _nobody_named(kind, pairs)
    if faults:
        raise Malformed(*faults)
    criteria = tuple(criterion for _, criterion in found)
    search = Search(
        kind,
        criteria,
        results.sort or _order_of(criteria),
        results.count,
        total=results.total,
        exact=results.exact,
    )
    used = tuple(pair for pair, _ in found)
    bound = (*used, *(pair for pair in results.used if pair[0] == "_sort"))
    after = position_of(results.cursor, search, bound) if results.cursor else None
    return Query(
        base=base,
        search=replace(search, after=after),
        used=(*used, *results.used, *_layout(pairs)),
        bound=bound,
        cursor=results.cursor,
        shape=results.shape,
        includes=results.includes,
    )


def _order_of(criteria: Sequence[AnyCriterion]) -> tuple[Sort, ...]:
    """Returns the order where none is asked for: what changed in some time comes in the order of its changes.

    Who asks for that asks page by page for what is new, and by id nobody knows where it begins.
    """
    return (Sort("updated"),) if any(isinstance(found, UpdatedIs) for found in criteria) else ()


def _layout(pairs: Pairs) -> Iterator[tuple[str, str]]:
    """Yields the parameters about the form of the answer, which the next page has to repeat."""
    last = dict(pairs)
    return ((name, last[name]) for name in LAYOUT if last.get(name))


def condition_from(kind: str, text: str, *, base: str) -> Search:
    """Returns the search of a conditional create, or of a conditional reference.

    It must say something, and all of it must be understood. It returns at most two matches, which is enough
    to tell whether there is none, one or several.

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
    return Search(kind, tuple(criterion for _, criterion in found), limit=2)


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
    split_names = [(pair, *pair[0].partition(":")[::2]) for pair in pairs]  # pair, name, modifier
    criteria = [criterion for criterion in split_names if criterion[1] in known]
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
    costly = sum(size for size, kind in sizes if kind not in ("token", "reference"))
    return len(sizes) > MOST_CRITERIA or values > MOST_VALUES or costly > MOST_CRITERIA


def _unknown_parameters(kind: str, pairs: Pairs, *, strict: bool) -> Iterator[Problem]:
    """Yields the unknown parameters as problems."""
    known = (*parameters_of(kind), *NAMES)
    of_persons = "patient" in known
    for name in dict.fromkeys(name for name, _ in pairs):
        first, colon, _ = name.partition(":")
        if first in NAMES and colon:
            yield Problem("search-modifier", f"Parameter {first}: expected no modifier.")
        elif first not in known and (strict or (of_persons and means_a_person(name))):
            expected = f"Expected one of {', '.join(known)}."
            yield Problem("search-parameter", f"{in_words(name)} is not known here. {expected}")


def _nobody_named(kind: str, pairs: Pairs) -> Iterator[Problem]:
    """Yields criteria without a value: if they were left out, as in R4, everybody would be found."""
    if "patient" in parameters_of(kind):
        for name in dict.fromkeys(name for name, value in pairs if says_nothing(name, value)):
            yield Problem("search-value", f"Parameter {name.partition(':')[0]}: expected a value.")


def _nothing_narrows(kind: str, pairs: Pairs) -> Iterator[Problem]:
    """Yields a problem for each criterion that was sent, if none of them took effect.

    R4 asks to leave out what is not known and what has no value. Where nothing else is left, a caller who
    asked for one person's responses would get those of everybody.
    """
    known = parameters_of(kind)
    alone = "nothing else narrows the search, which would find everybody's"
    for name in dict.fromkeys(name for name, _ in pairs):
        first = name.partition(":")[0]
        if first in known:
            yield Problem("search-value", f"Parameter {first}: expected a value: {alone}.")
        elif first not in _NO_CRITERIA:
            expected = f"Expected one of {', '.join(known)}."
            yield Problem("search-parameter", f"{in_words(name)} is not known here, and {alone}. {expected}")


def in_words(name: str) -> str:
    """Names a parameter in a fault, unless the name could hold something else, such as a value."""
    return f"Parameter {name}" if _PLAIN_NAME.fullmatch(name) else "A parameter"


# Search parameters of a query as the criteria of a search.

_TRUTH = {"true": True, "false": False}


def criterion_from(parameter: SearchParameter, modifier: str, text: str, base: str) -> AnyCriterion | None:
    """Returns the criterion of one `name:modifier=value`; None if the value is empty or blank.

    Args:
        parameter: the parameter that the name stands for.
        modifier: what stands behind the colon, or empty.
        text: the value, decoded; its escapes are still in it.
        base: public FHIR base.

    Raises:
        Malformed: the modifier or the value cannot be read.
    """
    _check_modifier(parameter, modifier)
    alternatives = [part for part in split(text, ",") if part.strip()]
    if not alternatives:
        return None
    if modifier == "missing":
        return Missing(parameter.name, _truth(parameter, text))
    if parameter.name == "_id":
        return IdIs(tuple(unescaped(part) for part in alternatives))
    found = [values_of(parameter, modifier, part, base) for part in alternatives]
    values = tuple(value for several in found if several is not None for value in several)
    if None in found:
        raise _value_fault(parameter, modifier)
    if parameter.name == "_lastUpdated":
        return UpdatedIs(tuple(value for value in values if isinstance(value, RangeIs)))
    name = f"{parameter.name}:exact" if modifier == "exact" else parameter.name
    return Criterion(name, values, negated=modifier == "not")


def _check_modifier(parameter: SearchParameter, modifier: str) -> None:
    if modifier and modifier not in parameter.modifiers and not _is_target(parameter, modifier):
        known = [f":{name}" for name in parameter.modifiers]
        if _takes_types(parameter):
            known.append(":<type of resource>")
        expected = f"expected one of the modifiers {', '.join(known)}" if known else "expected no modifier"
        raise Malformed(Problem("search-modifier", f"Parameter {parameter.name}: {expected}."))


def _takes_types(parameter: SearchParameter) -> bool:
    return parameter.type == "reference" and not parameter.canonical


def _is_target(parameter: SearchParameter, modifier: str) -> bool:
    if not _takes_types(parameter):
        return False
    return modifier in parameter.targets if parameter.targets else is_type(modifier)


def _truth(parameter: SearchParameter, text: str) -> bool:
    if text not in _TRUTH:
        raise Malformed(
            Problem("search-value", f"Parameter {parameter.name}:missing: expected true or false.")
        )
    return _TRUTH[text]


def _value_fault(parameter: SearchParameter, modifier: str) -> Malformed:
    expected = EXPECTED.get(modifier) or EXPECTED[parameter.type]
    return Malformed(Problem("search-value", f"Parameter {parameter.name}: expected {expected}."))


# The parameters of a query that say what comes back: how many, in which order, how much of each.
#
# Source: FHIR R4 search.html 3.1.1.5

LONGEST_PAGE: Final = 100

_WHOLE = re.compile(r"[0-9]{1,9}")
_SUMMARIES: Final[Mapping[str, Summary]] = {"true": "true", "text": "text", "data": "data", "false": ""}
_TOTALS: Final = {"none": False, "estimate": True, "accurate": True}
_RECORD: Final[Mapping[str, Sort]] = {"_id": Sort("id"), "_lastUpdated": Sort("updated")}
_ENTRY: Final[Mapping[str, Literal["range", "date"]]] = {"date": "date", "number": "range"}


class Include(msgspec.Struct, frozen=True):
    """What comes along with the matches: `source:parameter`, those of one type only where `target` says so.

    With `reverse` it is what refers to the matches, else what they refer to.
    """

    source: str
    parameter: str
    target: str
    reverse: bool


class _Results:
    """What comes back of a search; of most parameters the last value counts.

    Args:
        kind: type of resource.
        pairs: of the query; those that do not say what comes back are passed over.
        strict: refuse keys, elements and includes that are not known rather than leave them out.
    """

    def __init__(self, kind: str, pairs: Pairs, *, strict: bool) -> None:
        self._kind, self._strict = kind, strict
        self._texts = {name: [value for other, value in pairs if other == name] for name in NAMES}
        self.used: list[tuple[str, str]] = []  # what took part, as a link repeats it; without the cursor
        self.faults: list[Problem] = []
        self.sort, count, self.shape, total = self._sort(), self._count(), self._shape(), self._total()
        self.includes = (
            *self._includes("_include", includes_of(kind)),
            *self._includes("_revinclude", revincludes_of(kind)),
        )
        total_only = ("_summary", "count") in self.used
        self.count = 0 if total_only else count
        self.total = total or total_only or count == 0
        self.exact = self.count == 0 or ("_total", "accurate") in self.used
        self.cursor = self._last("_cursor")

    def _sort(self) -> tuple[Sort, ...]:
        chosen: dict[str, str] = {}
        for key in (key for text in self._texts["_sort"] for key in text.split(",") if key):
            if self._is_key(key):
                chosen.setdefault(key.removeprefix("-"), key)
        self._note("_sort", ",".join(chosen.values()))
        return tuple(self._key(key) for key in chosen.values())

    def _count(self) -> int:
        text = self._last("_count")
        if text and not _WHOLE.fullmatch(text):
            self._refuse("search-value", "_count", "a whole number up to nine digits")
            return LONGEST_PAGE
        count = min(int(text), LONGEST_PAGE) if text else LONGEST_PAGE
        self._note("_count", str(count) if text else "")
        return count

    def _shape(self) -> Shape:
        elements = self._elements()
        text = self._last("_summary")
        if text not in ("", "count", *_SUMMARIES):
            self._refuse("search-value", "_summary", "one of true, text, data, count, false")
        if text == "text" and (self._texts["_include"] or self._texts["_revinclude"]):
            self._refuse(
                "search-value", "_summary", "another value than text beside _include and _revinclude"
            )
        if elements and text != "count":
            return Shape("", elements)
        self._note("_summary", text)
        return Shape(_SUMMARIES.get(text, ""))

    def _total(self) -> bool:
        text = self._last("_total")
        if text and text not in _TOTALS:
            self._refuse("search-value", "_total", "one of none, estimate, accurate")
        self._note("_total", text)
        return _TOTALS.get(text, True)

    def _includes(self, name: str, offered: Sequence[str]) -> Iterator[Include]:
        for text in dict.fromkeys(self._texts[name]):
            source, parameter, target = [*text.split(":", 2), "", ""][:3]
            if f"{source}:{parameter}" in offered:
                self._note(name, text)
                yield Include(source, parameter, target, reverse=name == "_revinclude")
            else:
                self._left_out(name, f"one of {', '.join(offered)}" if offered else "nothing for this type")

    def _elements(self) -> tuple[str, ...]:
        names = [name.strip() for text in self._texts["_elements"] for name in text.split(",")]
        known = tuple(dict.fromkeys(name for name in names if name in ELEMENTS[self._kind]))
        if set(names) - {*known, ""}:
            self._left_out("_elements", "names of elements of the resource itself")
        self._note("_elements", ",".join(known))
        return known

    def _is_key(self, text: str) -> bool:
        known = text.removeprefix("-") in parameters_of(self._kind)
        if not known:
            self._left_out("_sort", f"names among {', '.join(parameters_of(self._kind))}")
        return known

    def _key(self, text: str) -> Sort:
        name, descending = text.removeprefix("-"), text.startswith("-")
        if name in _RECORD:
            return Sort(_RECORD[name].by, descending=descending)
        return Sort(_ENTRY.get(parameters_of(self._kind)[name].type, "text"), name, descending)

    def _last(self, name: str) -> str:
        return self._texts[name][-1] if self._texts[name] else ""

    def _note(self, name: str, text: str) -> None:
        if text:
            self.used.append((name, text))

    def _refuse(self, kind: str, name: str, expected: str) -> None:
        self.faults.append(Problem(kind, f"Parameter {name}: expected {expected}."))

    def _left_out(self, name: str, expected: str) -> None:
        if self._strict:
            self._refuse("search-parameter", name, expected)


# Names of parameters that must not be left out of a search: they were meant to narrow it to a person.
#
# R4 asks to leave out what is not known. `?patinet=1` and `?subject.identifier=1` would then find the
# responses of everybody, so they are refused whatever handling is preferred.

PERSONAL: Final = ("patient", "subject")
"""Parameters that name a person: without a value they would name everybody."""

_ALIKE: Final = 0.8  # `patients`, `patinet`, `subject_id` are; `part-of`, `object`, `status` are not
_NARROWING: Final = ("_has", "_filter", "_query", "_list")


def means_a_person(name: str) -> bool:
    """Returns whether a parameter that is not known was likely meant to name a patient or subject.

    A chain may end at a person whatever it begins with, and a filter may name one.

    Args:
        name: as it came, chain and modifier included.

    Source:
        R4 search.html 3.1.1.3 lets a server refuse; clinical safety asks for it here.
    """
    first = name[:64].partition(":")[0].lower()
    steps = [first, *first.split(".")]
    return first in _NARROWING or any(
        SequenceMatcher(None, step, name).ratio() >= _ALIKE for step in steps for name in PERSONAL
    )


def says_nothing(name: str, value: str) -> bool:
    """Returns whether a parameter that names a person comes without a name."""
    return name.partition(":")[0] in PERSONAL and not value.replace(",", "").strip()


# Cursors: where the next page starts, as text for a link that no client has to understand.
#
# A cursor is bound to its query by a digest. It gives no right to anything: the criteria of the query
# hold on every page, whatever the cursor says.

_DIGITS: Final = 16
_LEAST, _MOST = -(2**63), 2**63 - 1


def cursor_of(position: Position, kind: str, pairs: Pairs) -> str:
    """Returns the cursor of a position among what the pairs find and order."""
    text = encode_position(position)
    return f"{_digest(text, kind, pairs)}{text}"


def position_of(cursor: str, search: Search, pairs: Pairs) -> Position:
    """Returns the position that a cursor names.

    Raises:
        Malformed: it was not made for this search, or was changed.
    """
    digest, text = cursor[:_DIGITS], cursor[_DIGITS:]
    if digest == _digest(text, search.type, pairs):
        try:
            position = decode_position(text, search)
        except (BadPosition, RecursionError):
            position = ()
        if position and all(_can_be_stored(value) for value in position):
            return position
    raise Malformed(
        Problem("search-cursor", "Parameter _cursor: expected the cursor of a link to a page of this search.")
    )


def _digest(text: str, kind: str, pairs: Pairs) -> str:
    whole = json.dumps([text, kind, list(pairs)])
    return sha256(whole.encode()).hexdigest()[:_DIGITS]


def _can_be_stored(value: int | str) -> bool:
    """Returns whether a database takes the value: anybody can compute a digest."""
    if isinstance(value, int):
        return _LEAST <= value <= _MOST
    return "\0" not in value and not any(0xD800 <= ord(character) <= 0xDFFF for character in value)
