"""Parameters of operations: the inputs that one declares, what `$assess` is sent, and what `$populate` is.

The inputs of `$expand` and its like are primitive values, in a query string or in a Parameters
resource; they are read by their declaration. `$assess` takes a QuestionnaireResponse, or Parameters
that hold one and chart data; `$populate` takes a Questionnaire, or Parameters that hold or name one.

Source: R4 operations.html#request, parameters.html; OperationDefinition QuestionnaireResponse-assess
in `definitions/`; SDC 4.0 OperationDefinition Questionnaire-populate, parameters and sdc-pop1; SDC 3.0
(canonical, questionnaireRef); populate.html#service (content).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

import msgspec

from service.errors import Malformed, NotScorable, Problem
from service.fhir.extensions import mappings, text
from service.fhir.json import Json
from service.fhir.primitives import PRIMITIVES
from service.fhir.structure import is_of_type

Values = Mapping[str, tuple[Any, ...]]

EVERYWHERE: Final = frozenset(("_format", "_pretty", "_summary", "_elements"))
"""Parameters of every query string; they are no parameters of an operation."""

MOST_PARAMETERS: Final = 100
"""The most parameters in a body, as many as in a query string."""

_ROOT: Final = "Parameters"
_BESIDE: Final = frozenset({"id", "extension", "name"})

# The parameters of a body, each with its name (empty if it has none that can be read) and its FHIRPath.

_Entry = tuple[str, Json, str]


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _named(listed: Iterable[object], path: str) -> Iterator[_Entry]:
    for index, entry in enumerate(listed):
        found = entry if isinstance(entry, Mapping) else {}
        yield text(found.get("name")), found, f"{path}[{index}]"


def _held(entry: Json) -> tuple[str, Any]:
    """Returns name and value of the one element that holds a parameter's value; empty if there is not one."""
    elements = [name for name in entry if name not in _BESIDE]
    return (elements[0], entry[elements[0]]) if len(elements) == 1 else ("", None)


# The inputs that an operation declares.

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}", re.ASCII)
_WHOLE: Final = re.compile(r"-?[0-9]{1,10}", re.ASCII)
_TRUTH: Final = {"true": True, "false": False}
_PROPERTIES: Final = frozenset(("resourceType", "id", "meta", "language", "parameter"))
_URLS: Final = ("valueUri", "valueCanonical", "valueUrl")


class Input(msgspec.Struct, frozen=True):
    """A parameter as the operation declares it; `type` is a primitive datatype of R4."""

    name: str
    type: str
    repeats: bool = False


class SentParameter(NamedTuple):
    """A parameter as it was sent.

    Args:
        name: empty if it has none that can be read.
        element: that holds its value, such as `valueUri`; `none` where not one does; empty in a query string.
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
    sent = ((name, *_held(entry), at) for name, entry, at in _named(entries, f"{_ROOT}.parameter"))
    return [SentParameter(name, element or "none", value, at) for name, element, value, at in sent]


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


def _unknown(sent: Sequence[SentParameter], names: AbstractSet[str]) -> Iterator[Problem]:
    for parameter in sent:
        if parameter.name not in names:
            expected = ", ".join(sorted(names))
            yield Problem("parameter", f"{_label(parameter.name)}: expected one of {expected}.", parameter.at)


def _label(name: str) -> str:
    return f"Parameter {name}" if _NAME.fullmatch(name) else "Parameter without a proper name"


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

_FAILED: Final = frozenset({"error", "fatal"})
_NOT_ALL: Final = frozenset({"incomplete", "suppressed", "throttled", "timeout", "too-costly", "transient"})
"""Codes of issue-type by which a server says that it left something out, or could not look everywhere."""
_NEWEST_FIRST: Final = re.compile(r"[?&]_sort=-date(?:[&,]|$)")
_MEMBERS = _BESIDE | {"resource"}
_OF_DETAIL = _BESIDE | {"valueCode"}


class ResourceAt(msgspec.Struct, frozen=True):
    """A resource and its FHIRPath in the body.

    Args:
        is_of_page: it was found on a page of a search of which others are missing, as `is_page` says.
    """

    resource: Json
    at: str
    is_of_page: bool = False


class AssessInput(msgspec.Struct, frozen=True):
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
    entries = list(_named(_listed(resource.get("parameter")), f"{_ROOT}.parameter"))
    problems = [*_head_faults(resource), *_faults(entries), *_counted(entries)]
    if problems:
        raise Malformed(*problems)
    (response,) = (
        ResourceAt(entry["resource"], f"{at}.resource") for name, entry, at in entries if name == RESPONSE
    )
    detail = "".join(entry["valueCode"] for name, entry, _ in entries if name == DETAIL)
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


def _head_faults(resource: Json) -> Iterator[Problem]:
    if not resource.keys() <= _PROPERTIES:
        yield Problem(
            "unknown-property", "Parameters: expected only id, meta, language and parameter.", _ROOT
        )
    if not isinstance(resource.get("parameter"), list):
        yield Problem("parameter", f"Parameters: expected the parameter {RESPONSE}.", _ROOT)


def _faults(entries: Iterable[_Entry]) -> Iterator[Problem]:
    for name, entry, at in entries:
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


def _counted(entries: list[_Entry]) -> Iterator[Problem]:
    names = Counter(name for name, _, _ in entries)
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
    if found or resource.get("resourceType") != "Bundle" or not _listed(resource.get("entry", [{}])):
        yield unfit_parameter(name, f"{called}, or a Bundle of them", at)


def is_page(bundle: Json) -> bool:
    """Whether a Bundle is of a search of which something newer may be missing.

    Source: R4 http.html#paging (link next); search.html#sort (link self says what was done).
    """
    links = {text(link.get("relation")): text(link.get("url")) for link in mappings(bundle.get("link"))}
    has_newer = bool(links.get("next")) and _NEWEST_FIRST.search(links.get("self", "")) is None
    return has_newer or says_part(bundle)


def says_part(bundle: Json) -> bool:
    """Whether a Bundle says of itself that not all is in it that was looked for.

    Source: R4 search.html#mode (outcome); ValueSet issue-type.
    """
    inside = mappings([entry.get("resource") for entry in mappings(bundle.get("entry"))])
    issues = (issue for one in inside if is_outcome(one) for issue in mappings(one.get("issue")))
    return any(issue.get("severity") in _FAILED or issue.get("code") in _NOT_ALL for issue in issues)


def is_outcome(resource: object) -> bool:
    """Whether something says how an operation went; in what a search found it is no result."""
    return isinstance(resource, Mapping) and resource.get("resourceType") == "OperationOutcome"


def resources_in(resource: Json, at: str) -> Iterator[ResourceAt]:
    """Yields the resource itself, or what a Bundle holds; an entry without resource yields an empty one."""
    if resource.get("resourceType") != "Bundle":
        yield ResourceAt(resource, at)
        return
    entries, of_page = resource.get("entry"), is_page(resource)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        inner = entry.get("resource") if isinstance(entry, dict) else None
        if resource.get("type") != "searchset" or not is_outcome(inner):
            place = f"{at}.entry[{index}].resource"
            yield ResourceAt(inner if isinstance(inner, dict) else {}, place, of_page)


def _resources(entries: Iterable[_Entry], wanted: str) -> Iterator[ResourceAt]:
    for name, entry, at in entries:
        if name == wanted:
            yield from resources_in(entry["resource"], f"{at}.resource")


# What `$populate` is sent: the Questionnaire, the subject, and resources to take answers from.
#
# The parameters are those of SDC 4.0; their names in SDC 3.0 and before are taken as well. Everything that
# answers come from is in the body: a server that the data could be fetched from is refused, never asked.


_URIS: Final = ("valueCanonical", "valueUri", "valueUrl")
_REFERENCE: Final = "valueReference"

_TAKEN: Final[Mapping[str, tuple[str, ...]]] = {
    "identifier": ("valueIdentifier",),
    "questionnaire": (*_URIS, _REFERENCE, "resource"),
    "canonical": _URIS,
    "questionnaireRef": (_REFERENCE,),
    "subject": (_REFERENCE,),
    "context": ("part",),
    "content": (_REFERENCE, "resource"),
    "data": ("resource",),
    "local": ("valueBoolean",),
}
"""Where each parameter has its value; the names of older versions included."""

_NOT_ASKED: Final = ("dataEndpoint", "contentEndpoint", "terminologyEndpoint")
_OF_CONTEXT: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("valueString", "valueCode", "valueId"),
    "content": (_REFERENCE, "resource"),
}
_REPEATS: Final = frozenset({"context", "content"})
_NAMES_OF_FORM: Final = frozenset({"identifier", "questionnaire", "canonical", "questionnaireRef"})

_ABOUT: Final = ("subject", "patient", "beneficiary", "for", "individual")
"""Elements of resources of R4 by which they say whom they are about."""

_EXPECTED: Final[Mapping[str, str]] = {
    "valueIdentifier": "a valueIdentifier",
    "valueCanonical": "a valueCanonical",
    _REFERENCE: "a valueReference",
    "resource": "a resource",
    "part": "the parts name and content",
    "valueBoolean": "true or false as valueBoolean",
    "valueString": "a valueString",
}


class Content(msgspec.Struct, frozen=True):
    """One resource that was sent, or a reference to one.

    Args:
        value: the resource; of a reference the Reference.
        at: its FHIRPath in the body.
    """

    value: Json
    at: str
    is_reference: bool = False


class PopulateInput(msgspec.Struct, frozen=True):
    """What was sent.

    Args:
        canonical: of the Questionnaire, as `url|version` or url; empty if it is named otherwise.
        id: of the Questionnaire on this server; empty if it is named otherwise.
        identifier: of the Questionnaire; None if it is named otherwise.
        form: the Questionnaire itself; None if it was not sent.
        subject: Reference to whom the response is about; None if nobody is named.
        contexts: by name of the launch context or variable, in the order in which they were sent.
        loose: content that names no context.
        data: all resources of the Bundle.
        is_local: what the server knows of the subject is wanted too.
    """

    canonical: str = ""
    id: str = ""
    identifier: Json | None = None
    form: Json | None = None
    subject: Json | None = None
    contexts: Mapping[str, tuple[Content, ...]] = msgspec.field(default_factory=dict)
    loose: tuple[Content, ...] = ()
    data: tuple[ResourceAt, ...] = ()
    is_local: bool = False


def populate_input(body: Json, *, names_form: bool = True) -> PopulateInput:
    """Reads the parameters of `$populate`.

    Args:
        body: Parameters, or a Questionnaire alone.
        names_form: it must name the Questionnaire; where the path does, what it says of it is passed over.

    Raises:
        Malformed: another resource; a parameter that is missing, repeated, unknown or of the wrong kind.
        NotScorable: it names a server that data should be fetched from.
    """
    kind = body.get("resourceType")
    if kind == "Questionnaire":
        return PopulateInput(form=body) if names_form else PopulateInput()
    if kind != _ROOT:
        expected = "resourceType: expected Parameters, or a Questionnaire."
        raise Malformed(Problem("resource-type", expected))
    entries = list(_populate_entries(body))
    problems = [*_populate_faults(entries), *_stated_twice(entries), *_contexts_repeated(entries)]
    problems += _form_faults(entries) if names_form else []
    if problems:
        raise Malformed(*problems)
    refused = [_endpoint(name, at) for name, _, at in entries if name in _NOT_ASKED]
    if refused:
        raise NotScorable(*refused)
    return _input(entries, names_form=names_form)


def unpacked(resource: Json, at: str) -> Iterator[ResourceAt]:
    """Yields a resource, or what is in a Bundle and in the Bundles in it; anything else is passed over."""
    pending = [ResourceAt(resource, at)]
    while pending:
        found = pending.pop()
        if found.resource.get("resourceType") != "Bundle":
            yield found
            continue
        of_page = is_page(found.resource)
        inside = [
            ResourceAt(entry["resource"], f"{found.at}.entry[{index}].resource", of_page)
            for index, entry in enumerate(_listed(found.resource.get("entry")))
            if isinstance(entry, Mapping) and isinstance(entry.get("resource"), Mapping)
        ]
        pending.extend(reversed(inside))


def _populate_entries(body: Json) -> Iterator[_Entry]:
    listed = body.get("parameter", [])
    if not isinstance(listed, list) or len(listed) > MOST_PARAMETERS:
        expected = f"Parameters: expected a list of at most {MOST_PARAMETERS} parameters."
        raise Malformed(Problem("parameter", expected, _ROOT))
    yield from _named(listed, f"{_ROOT}.parameter")


def _parts(entry: Json, at: str) -> list[_Entry]:
    return list(_named(_listed(entry.get("part")), f"{at}.part"))


def _input(entries: list[_Entry], *, names_form: bool) -> PopulateInput:
    named = _form_named(entries) if names_form else {}
    values = {name: _held(entry)[1] for name, entry, _ in entries}
    contexts = dict(_context(entry, at) for name, entry, at in entries if name == "context")
    return PopulateInput(
        subject=values.get("subject"),
        contexts=contexts,
        loose=tuple(_content(entry, at) for name, entry, at in entries if name == "content"),
        data=tuple(
            found
            for name, entry, at in entries
            if name == "data"
            for found in unpacked(entry["resource"], f"{at}.resource")
        ),
        is_local=values.get("local") is True,
        **named,
    )


def _context(entry: Json, at: str) -> tuple[str, tuple[Content, ...]]:
    parts = _parts(entry, at)
    name = next(_held(part)[1] for of, part, _ in parts if of == "name")
    return name, tuple(_content(part, place) for of, part, place in parts if of == "content")


def _content(entry: Json, at: str) -> Content:
    element, value = _held(entry)
    return Content(value, f"{at}.{'resource' if element == 'resource' else 'value'}", element == _REFERENCE)


def _form_named(entries: list[_Entry]) -> dict[str, Any]:
    name, entry, _ = next(found for found in entries if found[0] in _NAMES_OF_FORM)
    element, value = _held(entry)
    if element == "resource":
        return {"form": value}
    if name == "identifier":
        return {"identifier": value}
    if element != _REFERENCE:
        return {"canonical": value}
    literal = text(value.get("reference"))
    if not literal:
        return {"identifier": value.get("identifier", {})}
    is_here = literal.startswith("Questionnaire/")
    return {"id": literal.split("/")[1]} if is_here else {"canonical": literal}


# Faults.


def _populate_faults(entries: list[_Entry]) -> Iterator[Problem]:
    for name, entry, at in entries:
        if name in _NOT_ASKED:
            continue
        if name not in _TAKEN:
            known = ", ".join(name for name in _TAKEN if name not in ("canonical", "questionnaireRef"))
            yield Problem("parameter", f"Parameters: expected only parameters named {known}.", at)
        elif not _is_held(entry, _TAKEN[name]):
            yield unfit_parameter(name, _expected(_TAKEN[name]), at)
        elif name == "context":
            yield from _context_faults(entry, at)
        elif name == "data" and entry["resource"].get("resourceType") != "Bundle":
            yield unfit_parameter("data", "a Bundle", at)


def _expected(elements: tuple[str, ...]) -> str:
    return " or ".join(_EXPECTED[element] for element in elements if element in _EXPECTED)


def _is_held(entry: Json, elements: tuple[str, ...]) -> bool:
    element, value = _held(entry)
    if element not in elements:
        return False
    if element in ("resource", "part"):
        return isinstance(value, Mapping if element == "resource" else list)
    if element == "valueBoolean":
        return isinstance(value, bool)
    if element in (_REFERENCE, "valueIdentifier"):
        return isinstance(value, Mapping) and is_of_type(value, element.removeprefix("value"))
    return isinstance(value, str)


def _context_faults(entry: Json, at: str) -> Iterator[Problem]:
    parts = _parts(entry, at)
    counted = Counter(name for name, _, _ in parts)
    if counted["name"] != 1 or not counted["content"] or counted.keys() - _OF_CONTEXT.keys():
        yield unfit_parameter("context", "one part name, and content", at)
        return
    for name, part, place in parts:
        if not _is_held(part, _OF_CONTEXT[name]):
            yield unfit_parameter(f"context, part {name}", _expected(_OF_CONTEXT[name]), place)


def _stated_twice(entries: list[_Entry]) -> Iterator[Problem]:
    counted = Counter(name for name, _, _ in entries if name in _TAKEN)
    for name, count in counted.items():
        if count > 1 and name not in _REPEATS:
            yield unfit_parameter(name, "at most once", _ROOT)


def _contexts_repeated(entries: list[_Entry]) -> Iterator[Problem]:
    """Yields that a context stands twice (sdc-pop1)."""
    names: Counter[str] = Counter()
    for of, entry, at in entries:
        stated = next((_held(part)[1] for name, part, _ in _parts(entry, at) if name == "name"), None)
        if of == "context" and isinstance(stated, str):
            names[stated] += 1
    if any(count > 1 for count in names.values()):
        yield unfit_parameter("context", "each name once (sdc-pop1)", _ROOT)


def _form_faults(entries: list[_Entry]) -> Iterator[Problem]:
    count = sum(name in _NAMES_OF_FORM for name, _, _ in entries)
    if count != 1:
        expected = "Parameters: expected exactly one of questionnaire and identifier."
        yield Problem("parameter", expected, _ROOT)
    for name, entry, at in entries:
        if name == "questionnaire" and "resource" in entry and not _is_form(entry["resource"]):
            yield unfit_parameter(name, "the resource to be a Questionnaire", at)


def _is_form(resource: object) -> bool:
    return isinstance(resource, Mapping) and resource.get("resourceType") == "Questionnaire"


def _endpoint(name: str, at: str) -> Problem:
    words = (
        f"Parameter {name}: no other server is asked here. "
        "Expected: the resources themselves, in context or data."
    )
    return Problem("parameter-unsupported", words, at)


def resources_by_reference(sent: PopulateInput) -> dict[str, Json]:
    """Returns the resources by `Type/id`, to follow references; if two have the same, neither."""
    found: dict[str, Json] = {}
    ambiguous: set[str] = set()
    contents = [content for listed in (*sent.contexts.values(), sent.loose) for content in listed]
    inside = [
        resource.resource
        for content in contents
        if not content.is_reference
        for resource in unpacked(content.value, content.at)
    ]
    for resource in (*inside, *(found.resource for found in sent.data)):
        key = f"{text(resource.get('resourceType'))}/{text(resource.get('id'))}"
        if found.setdefault(key, resource) != resource:
            ambiguous.add(key)
    return {key: resource for key, resource in found.items() if key not in ambiguous}


def subjects_of(resource: Json) -> tuple[object, ...]:
    """Returns the References by which a resource says whom it is about, whatever stands in their place."""
    named = [resource[name] for name in _ABOUT if name in resource]
    return tuple(one for found in named for one in (found if isinstance(found, list) else [found]))
