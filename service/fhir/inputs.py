"""Reads the input parameters of an operation, from a query string or from Parameters, by their declaration.

Source: R4 operations.html#request; parameters.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from service.errors import Malformed, NotScorable, Problem
from service.fhir import kinds
from service.fhir.primitives import PRIMITIVES

Json = Mapping[str, Any]
Values = Mapping[str, tuple[Any, ...]]

EVERYWHERE: Final = frozenset(("_format", "_pretty", "_summary", "_elements"))
"""Parameters of every query string; they are no parameters of an operation."""

MOST: Final = 100
"""The most parameters in a body, as many as in a query string."""

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}", re.ASCII)
_WHOLE: Final = re.compile(r"-?[0-9]{1,10}", re.ASCII)
_TRUTH: Final = {"true": True, "false": False}
_ROOT: Final = "Parameters"
_PROPERTIES: Final = frozenset(("resourceType", "id", "meta", "language", "parameter"))
_BESIDE: Final = ("id", "extension", "name")
_URLS: Final = ("valueUri", "valueCanonical", "valueUrl")


@dataclass(frozen=True, slots=True)
class Input:
    """A parameter as the operation declares it.

    Args:
        name: of the parameter.
        type: primitive datatype of R4.
        repeats: whether it may stand more than once.
    """

    name: str
    type: str
    repeats: bool = False


class Given(NamedTuple):
    """A parameter as it was sent: its name, the element that holds its value, the value, and its FHIRPath.

    In a query string there is neither an element nor a FHIRPath. A value of None cannot be read.
    """

    name: str
    element: str
    value: object
    at: str = ""


def given_in_query(pairs: Iterable[tuple[str, str]]) -> list[Given]:
    """Returns the parameters of a query string in order; one without a value is not stated."""
    return [Given(name, "", text) for name, text in pairs if text and name not in EVERYWHERE]


def given_in_parameters(resource: Json) -> list[Given]:
    """Returns the parameters in a body that `body.read` has read.

    Raises:
        Malformed: it is no Parameters resource, or holds too many.
    """
    entries = resource.get("parameter", [])
    if resource.get("resourceType") != _ROOT:
        raise Malformed(Problem(kinds.RESOURCE_TYPE, "resourceType: expected Parameters."))
    if not resource.keys() <= _PROPERTIES or not isinstance(entries, list):
        text = "Parameters: expected only id, meta, language and a list of parameters."
        raise Malformed(Problem(kinds.UNKNOWN_PROPERTY, text, _ROOT))
    if len(entries) > MOST:
        raise Malformed(Problem(kinds.PARAMETER, f"Parameters: expected at most {MOST} parameters.", _ROOT))
    return [_entry(each, f"{_ROOT}.parameter[{index}]") for index, each in enumerate(entries)]


def values_of(
    given: Sequence[Given], declared: Iterable[Input], refused: AbstractSet[str] = frozenset()
) -> Values:
    """Returns the values of the parameters that were sent, by name, in order.

    Args:
        given: what was sent.
        declared: what the operation takes.
        refused: names of parameters that R4 declares and that are not supported.

    Raises:
        Malformed: parameters that are unknown, repeated or of the wrong type; each is named.
        NotScorable: parameters that are not supported.
    """
    known = {each.name: each for each in declared}
    problems = [*_unknown(given, {*known, *refused}), *_repeated(given, known), *_wrong(given, known)]
    if problems:
        raise Malformed(*problems)
    not_supported = [_not_supported(each) for each in given if each.name in refused]
    if not_supported:
        raise NotScorable(*not_supported)
    values: dict[str, tuple[Any, ...]] = {}
    for each in given:
        values[each.name] = (*values.get(each.name, ()), _read(each, known[each.name].type))
    return values


def _entry(entry: object, at: str) -> Given:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return Given("", "", None, at)
    elements = [name for name in entry if name not in _BESIDE]
    value = entry[elements[0]] if len(elements) == 1 else None
    return Given(entry["name"], elements[0] if elements else "none", value, at)


def _unknown(given: Sequence[Given], names: AbstractSet[str]) -> Iterator[Problem]:
    for each in given:
        if each.name not in names:
            expected = ", ".join(sorted(names))
            yield Problem(kinds.PARAMETER, f"{_shown(each.name)}: expected one of {expected}.", each.at)


def _shown(name: str) -> str:
    return f"Parameter {name}" if _NAME.fullmatch(name) else "Parameter without a proper name"


def _repeated(given: Sequence[Given], known: Mapping[str, Input]) -> Iterator[Problem]:
    seen: set[str] = set()
    for each in given:
        if each.name in seen and each.name in known and not known[each.name].repeats:
            yield Problem(kinds.PARAMETER, f"Parameter {each.name}: expected at most once.", each.at)
        seen.add(each.name)


def _wrong(given: Sequence[Given], known: Mapping[str, Input]) -> Iterator[Problem]:
    for each in given:
        kind = known[each.name].type if each.name in known else ""
        if kind and not _is(kind, _read(each, kind)):
            text = f"Parameter {each.name}: expected {kind}, {PRIMITIVES[kind].expected}."
            yield Problem(kinds.PARAMETER, text, each.at)


def _is(kind: str, value: object) -> bool:
    primitive = PRIMITIVES[kind]
    return type(value) in primitive.kinds and (primitive.accepts is None or bool(primitive.accepts(value)))


def _read(given: Given, kind: str) -> object:
    """Returns the value, as JSON has it where it came in a query string; None where it cannot be one."""
    if given.element:
        elements = _URLS if kind in ("uri", "canonical") else (f"value{kind[0].upper()}{kind[1:]}",)
        return given.value if given.element in elements else None
    text = str(given.value)
    if kind == "boolean":
        return _TRUTH.get(text)
    if kind == "integer":
        return int(text) if _WHOLE.fullmatch(text) else None
    return text


def _not_supported(given: Given) -> Problem:
    text = f"Parameter {given.name}: it is not supported here. Expected: the operation without it."
    return Problem("parameter-unsupported", text, given.at)
