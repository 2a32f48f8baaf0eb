"""Reads what `$assess` is sent: a QuestionnaireResponse, or Parameters with one and with chart data.

Source: R4 operations.html; OperationDefinition QuestionnaireResponse-assess in `definitions/`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from service.errors import Malformed, NotScorable, Problem
from service.fhir.json import Json
from service.fhir.primitives import PRIMITIVES

# Reads the input parameters of an operation, from a query string or from Parameters, by their declaration.
#
# Source: R4 operations.html#request; parameters.html.

Values = Mapping[str, tuple[Any, ...]]

EVERYWHERE: Final = frozenset(("_format", "_pretty", "_summary", "_elements"))
"""Parameters of every query string; they are no parameters of an operation."""

MOST_PARAMETERS: Final = 100
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


class SentParameter(NamedTuple):
    """A parameter as it was sent: its name, the element that holds its value, the value, and its FHIRPath.

    In a query string there is neither an element nor a FHIRPath. A value of None cannot be read.
    """

    name: str
    element: str
    value: object
    at: str = ""


def parameters_in_query(pairs: Iterable[tuple[str, str]]) -> list[SentParameter]:
    """Returns the parameters of a query string in order; one without a value is not stated."""
    return [SentParameter(name, "", text) for name, text in pairs if text and name not in EVERYWHERE]


def parameters_in_body(resource: Json) -> list[SentParameter]:
    """Returns the parameters in a body that `body.read` has read.

    Raises:
        Malformed: it is no Parameters resource, or holds too many.
    """
    entries = resource.get("parameter", [])
    if resource.get("resourceType") != _ROOT:
        raise Malformed(Problem("resource-type", "resourceType: expected Parameters."))
    if not resource.keys() <= _PROPERTIES or not isinstance(entries, list):
        text = "Parameters: expected only id, meta, language and a list of parameters."
        raise Malformed(Problem("unknown-property", text, _ROOT))
    if len(entries) > MOST_PARAMETERS:
        raise Malformed(
            Problem("parameter", f"Parameters: expected at most {MOST_PARAMETERS} parameters.", _ROOT)
        )
    return [_entry(each, f"{_ROOT}.parameter[{index}]") for index, each in enumerate(entries)]


def values_of(
    given: Sequence[SentParameter], declared: Iterable[Input], refused: AbstractSet[str] = frozenset()
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


def _entry(entry: object, at: str) -> SentParameter:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return SentParameter("", "", None, at)
    elements = [name for name in entry if name not in _BESIDE]
    value = entry[elements[0]] if len(elements) == 1 else None
    return SentParameter(entry["name"], elements[0] if elements else "none", value, at)


def _unknown(given: Sequence[SentParameter], names: AbstractSet[str]) -> Iterator[Problem]:
    for each in given:
        if each.name not in names:
            expected = ", ".join(sorted(names))
            yield Problem("parameter", f"{_shown(each.name)}: expected one of {expected}.", each.at)


def _shown(name: str) -> str:
    return f"Parameter {name}" if _NAME.fullmatch(name) else "Parameter without a proper name"


def _repeated(given: Sequence[SentParameter], known: Mapping[str, Input]) -> Iterator[Problem]:
    seen: set[str] = set()
    for each in given:
        if each.name in seen and each.name in known and not known[each.name].repeats:
            yield Problem("parameter", f"Parameter {each.name}: expected at most once.", each.at)
        seen.add(each.name)


def _wrong(given: Sequence[SentParameter], known: Mapping[str, Input]) -> Iterator[Problem]:
    for each in given:
        datatype = known[each.name].type if each.name in known else ""
        if datatype and not _is(datatype, _read(each, datatype)):
            text = f"Parameter {each.name}: expected {datatype}, {PRIMITIVES[datatype].expected}."
            yield Problem("parameter", text, each.at)


def _is(kind: str, value: object) -> bool:
    primitive = PRIMITIVES[kind]
    return type(value) in primitive.kinds and (primitive.accepts is None or bool(primitive.accepts(value)))


def _read(given: SentParameter, kind: str) -> object:
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


def _not_supported(given: SentParameter) -> Problem:
    text = f"Parameter {given.name}: it is not supported here. Expected: the operation without it."
    return Problem("parameter-unsupported", text, given.at)


RESPONSE: Final = "questionnaire-response"
DATA: Final = "data"

_MEMBERS = frozenset({"id", "extension", "name", "resource"})


@dataclass(frozen=True, slots=True)
class ResourceAt:
    """A resource and its FHIRPath in the body."""

    resource: Json
    at: str


@dataclass(frozen=True, slots=True)
class AssessInput:
    """What was sent.

    Args:
        response: the QuestionnaireResponse, not yet checked.
        at: its FHIRPath in the body.
        data: Observations from the chart, not yet checked.
    """

    response: Json
    at: str
    data: tuple[ResourceAt, ...] = ()


def assess_input(resource: Json) -> AssessInput:
    """Returns the response and the chart data in a body that `body.read` has read.

    Raises:
        Malformed: another resource; or Parameters with a parameter missing, repeated, unknown or of the
            wrong kind. Each problem names the parameter.
    """
    named = resource.get("resourceType")
    if named == "QuestionnaireResponse":
        return AssessInput(resource, "QuestionnaireResponse")
    if named != _ROOT:
        text = "resourceType: expected QuestionnaireResponse, or Parameters that hold one."
        raise Malformed(Problem("resource-type", text))
    entries = list(_entries(resource))
    problems = [*_head_faults(resource), *_faults(entries), *_counted(entries)]
    if problems:
        raise Malformed(*problems)
    (response,) = (
        ResourceAt(each["resource"], f"{at}.resource") for each, at in entries if each["name"] == RESPONSE
    )
    return AssessInput(response.resource, response.at, tuple(_data(entries)))


def _entries(resource: Json) -> Iterator[tuple[Any, str]]:
    parameters = resource.get("parameter")
    for index, each in enumerate(parameters if isinstance(parameters, list) else ()):
        yield each, f"{_ROOT}.parameter[{index}]"


def _head_faults(resource: Json) -> Iterator[Problem]:
    if not resource.keys() <= _PROPERTIES:
        yield Problem(
            "unknown-property", "Parameters: expected only id, meta, language and parameter.", _ROOT
        )
    if not isinstance(resource.get("parameter"), list):
        yield Problem("parameter", f"Parameters: expected the parameter {RESPONSE}.", _ROOT)


def _faults(entries: list[tuple[Any, str]]) -> Iterator[Problem]:
    for each, at in entries:
        name = each.get("name") if isinstance(each, dict) else None
        if name not in (RESPONSE, DATA):
            text = f"{_named(name)}: expected a parameter named {RESPONSE} or {DATA}."
            yield Problem("parameter", text, at)
        elif not each.keys() <= _MEMBERS or not isinstance(each.get("resource"), dict):
            yield Problem("parameter", f"Parameter {name}: expected a resource and nothing else.", at)
        elif name == DATA:
            yield from _data_faults(each["resource"], f"{at}.resource")


def _named(name: object) -> str:
    return (
        f"Parameter {name}"
        if isinstance(name, str) and _NAME.fullmatch(name)
        else "Parameter without a proper name"
    )


def _counted(entries: list[tuple[Any, str]]) -> Iterator[Problem]:
    names = Counter(
        each.get("name") for each, _ in entries if isinstance(each, dict) and type(each.get("name")) is str
    )
    if entries and names[RESPONSE] != 1:
        found = "is missing" if names[RESPONSE] == 0 else "stands more than once"
        yield Problem("parameter", f"Parameter {RESPONSE} {found}. Expected: exactly one.", _ROOT)


def _data_faults(resource: Json, at: str) -> Iterator[Problem]:
    placed = list(_unpacked(resource, at))
    if placed and all(each.resource.get("resourceType") == "Observation" for each in placed):
        return
    if placed or resource.get("resourceType") != "Bundle" or "entry" in resource:
        yield Problem("parameter", f"Parameter {DATA}: expected an Observation, or a Bundle of them.", at)


def _unpacked(resource: Json, at: str) -> Iterator[ResourceAt]:
    """Yields the resource itself, or what a Bundle holds; an entry without resource yields an empty one."""
    if resource.get("resourceType") != "Bundle":
        yield ResourceAt(resource, at)
        return
    entries = resource.get("entry")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        inner = entry.get("resource") if isinstance(entry, dict) else None
        yield ResourceAt(inner if isinstance(inner, dict) else {}, f"{at}.entry[{index}].resource")


def _data(entries: list[tuple[Any, str]]) -> Iterator[ResourceAt]:
    for each, at in entries:
        if each["name"] == DATA:
            yield from _unpacked(each["resource"], f"{at}.resource")
