"""Parameters of operations: the inputs that an operation declares, and the body that `$assess` is sent.

The inputs of `$expand` and its like are primitive values, in a query string or in a Parameters
resource; they are read by their declaration. `$assess` takes a QuestionnaireResponse, or Parameters
that hold one and chart data.

Source: R4 operations.html#request, parameters.html; OperationDefinition QuestionnaireResponse-assess
in `definitions/`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from service.errors import Malformed, NotScorable, Problem
from service.fhir.extensions import mappings, text
from service.fhir.json import Json
from service.fhir.primitives import PRIMITIVES

Values = Mapping[str, tuple[Any, ...]]

EVERYWHERE: Final = frozenset(("_format", "_pretty", "_summary", "_elements"))
"""Parameters of every query string; they are no parameters of an operation."""

MOST_PARAMETERS: Final = 100
"""The most parameters in a body, as many as in a query string."""

# The inputs that an operation declares.

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}", re.ASCII)
_WHOLE: Final = re.compile(r"-?[0-9]{1,10}", re.ASCII)
_TRUTH: Final = {"true": True, "false": False}
_ROOT: Final = "Parameters"
_PROPERTIES: Final = frozenset(("resourceType", "id", "meta", "language", "parameter"))
_BESIDE: Final = ("id", "extension", "name")
_URLS: Final = ("valueUri", "valueCanonical", "valueUrl")


@dataclass(frozen=True, slots=True)
class Input:
    """A parameter as the operation declares it; `type` is a primitive datatype of R4."""

    name: str
    type: str
    repeats: bool = False


class SentParameter(NamedTuple):
    """A parameter as it was sent.

    Args:
        name: empty if it has none that can be read.
        element: that holds its value, such as `valueUri`; empty in a query string.
        value: as it stands there; None cannot be read.
        at: FHIRPath of the parameter; empty in a query string.
    """

    name: str
    element: str
    value: object
    at: str = ""


def parameters_in_query(pairs: Iterable[tuple[str, str]]) -> list[SentParameter]:
    """Returns the parameters of a query string in order; one without a value is not stated."""
    return [SentParameter(name, "", text) for name, text in pairs if text and name not in EVERYWHERE]


def parameters_in_body(resource: Json) -> list[SentParameter]:
    """Returns the parameters in a body that `json.read` has read.

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
    return [_sent(entry, f"{_ROOT}.parameter[{index}]") for index, entry in enumerate(entries)]


def values_of(
    sent: Sequence[SentParameter], declared: Iterable[Input], refused: AbstractSet[str] = frozenset()
) -> Values:
    """Returns the values of the parameters that were sent, by name, in order.

    Args:
        sent: what was sent.
        declared: what the operation takes.
        refused: names of parameters that R4 declares and that are not supported.

    Raises:
        Malformed: parameters that are unknown, repeated or of the wrong type; each is named.
        NotScorable: parameters that are not supported.
    """
    known = {declaration.name: declaration for declaration in declared}
    problems = [*_unknown(sent, {*known, *refused}), *_repeated(sent, known), *_wrong(sent, known)]
    if problems:
        raise Malformed(*problems)
    not_supported = [_not_supported(parameter) for parameter in sent if parameter.name in refused]
    if not_supported:
        raise NotScorable(*not_supported)
    values: dict[str, tuple[Any, ...]] = {}
    for parameter in sent:
        value = _value(parameter, known[parameter.name].type)
        values[parameter.name] = (*values.get(parameter.name, ()), value)
    return values


def _sent(entry: object, at: str) -> SentParameter:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return SentParameter("", "", None, at)
    elements = [name for name in entry if name not in _BESIDE]
    value = entry[elements[0]] if len(elements) == 1 else None
    return SentParameter(entry["name"], elements[0] if elements else "none", value, at)


def _unknown(sent: Sequence[SentParameter], names: AbstractSet[str]) -> Iterator[Problem]:
    for parameter in sent:
        if parameter.name not in names:
            expected = ", ".join(sorted(names))
            yield Problem("parameter", f"{_label(parameter.name)}: expected one of {expected}.", parameter.at)


def _label(name: object) -> str:
    is_name = isinstance(name, str) and _NAME.fullmatch(name)
    return f"Parameter {name}" if is_name else "Parameter without a proper name"


def unfit_parameter(name: str, expected: str, at: str = "") -> Problem:
    """Returns the problem of a parameter that is not as expected."""
    return Problem("parameter", f"Parameter {name}: expected {expected}.", at)


def _repeated(sent: Sequence[SentParameter], known: Mapping[str, Input]) -> Iterator[Problem]:
    seen: set[str] = set()
    for parameter in sent:
        if parameter.name in seen and parameter.name in known and not known[parameter.name].repeats:
            yield unfit_parameter(parameter.name, "at most once", parameter.at)
        seen.add(parameter.name)


def _wrong(sent: Sequence[SentParameter], known: Mapping[str, Input]) -> Iterator[Problem]:
    for parameter in sent:
        datatype = known[parameter.name].type if parameter.name in known else ""
        if datatype and not _is(datatype, _value(parameter, datatype)):
            yield unfit_parameter(
                parameter.name, f"{datatype}, {PRIMITIVES[datatype].expected}", parameter.at
            )


def _is(datatype: str, value: object) -> bool:
    primitive = PRIMITIVES[datatype]
    return type(value) in primitive.kinds and (primitive.accepts is None or bool(primitive.accepts(value)))


def _value(parameter: SentParameter, datatype: str) -> object:
    """Returns the value, as JSON has it where it came in a query string; None if it cannot be one."""
    if parameter.element:
        own = f"value{datatype[0].upper()}{datatype[1:]}"
        elements = _URLS if datatype in ("uri", "canonical") else (own,)
        return parameter.value if parameter.element in elements else None
    text = str(parameter.value)
    if datatype == "boolean":
        return _TRUTH.get(text)
    if datatype == "integer":
        return int(text) if _WHOLE.fullmatch(text) else None
    return text


def _not_supported(parameter: SentParameter) -> Problem:
    text = f"Parameter {parameter.name}: it is not supported here. Expected: the operation without it."
    return Problem("parameter-unsupported", text, parameter.at)


# What `$assess` is sent.

RESPONSE: Final = "questionnaire-response"
EARLIER: Final = "earlier"
DATA: Final = "data"
DETAIL: Final = "_detail"

_NEWEST_FIRST: Final = re.compile(r"[?&]_sort=-date(?:[&,]|$)")
_MEMBERS = frozenset({"id", "extension", "name", "resource"})
_OF_DETAIL = frozenset({"id", "extension", "name", "valueCode"})


@dataclass(frozen=True, slots=True)
class ResourceAt:
    """A resource and its FHIRPath in the body.

    Args:
        is_of_page: it was found on a page of a search of which others are missing, as `is_page` says.
    """

    resource: Json
    at: str
    is_of_page: bool = False


@dataclass(frozen=True, slots=True)
class AssessInput:
    """What was sent.

    Args:
        response: the QuestionnaireResponse, not yet checked.
        at: its FHIRPath in the body.
        data: Observations from the chart, not yet checked.
        detail: how much of the result is wanted, not yet checked; empty if nothing is said.
        earlier: earlier responses of the same person, not yet checked.
        leaves_out: data that is no Observation of R4, or was measured after the response, is left out and
            named; nobody chose it for this response. So is an earlier response that is none of R4. Otherwise
            they are refused.
    """

    response: Json
    at: str
    data: tuple[ResourceAt, ...] = ()
    detail: str = ""
    leaves_out: bool = False
    earlier: tuple[ResourceAt, ...] = ()


def assess_input(resource: Json) -> AssessInput:
    """Returns the response and the chart data in a body that `json.read` has read.

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
        ResourceAt(entry["resource"], f"{at}.resource") for entry, at in entries if entry["name"] == RESPONSE
    )
    detail = "".join(entry["valueCode"] for entry, _ in entries if entry["name"] == DETAIL)
    data, earlier = (tuple(_resources(entries, name)) for name in (DATA, EARLIER))
    return AssessInput(response.resource, response.at, data, detail, earlier=earlier)


def earlier_responses(resources: Iterable[Json]) -> tuple[ResourceAt, ...]:
    """Returns the responses that these resources are, or hold as Bundles; each is named by its place.

    Raises:
        Malformed: one is neither.
    """
    placed = [(resource, f"{EARLIER}[{place}]") for place, resource in enumerate(resources)]
    problems = [problem for resource, at in placed for problem in _other_kind(resource, EARLIER, at)]
    if problems:
        raise Malformed(*problems)
    return tuple(one for resource, at in placed for one in resources_in(resource, at))


def _entries(resource: Json) -> Iterator[tuple[Any, str]]:
    parameters = resource.get("parameter")
    for index, entry in enumerate(parameters if isinstance(parameters, list) else ()):
        yield entry, f"{_ROOT}.parameter[{index}]"


def _head_faults(resource: Json) -> Iterator[Problem]:
    if not resource.keys() <= _PROPERTIES:
        yield Problem(
            "unknown-property", "Parameters: expected only id, meta, language and parameter.", _ROOT
        )
    if not isinstance(resource.get("parameter"), list):
        yield Problem("parameter", f"Parameters: expected the parameter {RESPONSE}.", _ROOT)


def _faults(entries: list[tuple[Any, str]]) -> Iterator[Problem]:
    for entry, at in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        if name == DETAIL:
            yield from _detail_faults(entry, at)
        elif name not in (RESPONSE, DATA, EARLIER):
            text = f"{_label(name)}: expected a parameter named {RESPONSE}, {DATA}, {EARLIER} or {DETAIL}."
            yield Problem("parameter", text, at)
        elif not entry.keys() <= _MEMBERS or not isinstance(entry.get("resource"), dict):
            yield unfit_parameter(name, "a resource and nothing else", at)
        elif name != RESPONSE:
            yield from _other_kind(entry["resource"], name, f"{at}.resource")


def _detail_faults(entry: Json, at: str) -> Iterator[Problem]:
    if not entry.keys() <= _OF_DETAIL or not isinstance(entry.get("valueCode"), str):
        yield unfit_parameter(DETAIL, "a valueCode and nothing else", at)


def _counted(entries: list[tuple[Any, str]]) -> Iterator[Problem]:
    names = Counter(
        entry.get("name")
        for entry, _ in entries
        if isinstance(entry, dict) and type(entry.get("name")) is str
    )
    if entries and names[RESPONSE] != 1:
        found = "is missing" if names[RESPONSE] == 0 else "stands more than once"
        yield Problem("parameter", f"Parameter {RESPONSE} {found}. Expected: exactly one.", _ROOT)
    if names[DETAIL] > 1:
        yield Problem("parameter", f"Parameter {DETAIL} stands more than once. Expected: at most one.", _ROOT)


_KINDS: Final = {
    DATA: ("Observation", "an Observation"),
    EARLIER: ("QuestionnaireResponse", "a QuestionnaireResponse"),
}


def _other_kind(resource: Json, name: str, at: str) -> Iterator[Problem]:
    """Yields that a parameter holds another resource than one of its kind, or a Bundle of these."""
    kind, called = _KINDS[name]
    found = list(resources_in(resource, at))
    if found and all(one.resource.get("resourceType") == kind for one in found):
        return
    if found or resource.get("resourceType") != "Bundle" or "entry" in resource:
        yield unfit_parameter(name, f"{called}, or a Bundle of them", at)


def is_page(bundle: Json) -> bool:
    """Whether a Bundle is a page of a search whose next one may hold something newer.

    Source: R4 http.html#paging (link next); search.html#sort (link self says what was done).
    """
    links = {text(link.get("relation")): text(link.get("url")) for link in mappings(bundle.get("link"))}
    return bool(links.get("next")) and _NEWEST_FIRST.search(links.get("self", "")) is None


def resources_in(resource: Json, at: str) -> Iterator[ResourceAt]:
    """Yields the resource itself, or what a Bundle holds; an entry without resource yields an empty one."""
    if resource.get("resourceType") != "Bundle":
        yield ResourceAt(resource, at)
        return
    entries = resource.get("entry")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        inner = entry.get("resource") if isinstance(entry, dict) else None
        place = f"{at}.entry[{index}].resource"
        yield ResourceAt(inner if isinstance(inner, dict) else {}, place, is_page(resource))


def _resources(entries: list[tuple[Any, str]], name: str) -> Iterator[ResourceAt]:
    for entry, at in entries:
        if entry["name"] == name:
            yield from resources_in(entry["resource"], f"{at}.resource")
