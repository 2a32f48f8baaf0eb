"""The parameters of `$populate`: the Questionnaire, the subject, and resources to take answers from.

The parameters are those of SDC 4.0; their names in SDC 3.0 and before are taken as well. Everything that
answers come from is in the body: a server that the data could be fetched from is refused, never asked.

Source: SDC 4.0 OperationDefinition Questionnaire-populate, parameters and sdc-pop1; SDC 3.0 (canonical,
questionnaireRef); populate.html#service (content).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from service.errors import Malformed, NotScorable, Problem
from service.fhir.extensions import text
from service.fhir.json import Json
from service.fhir.parameters import MOST_PARAMETERS, ResourceAt, is_page, unfit_parameter
from service.fhir.structure import is_of_type

_ROOT: Final = "Parameters"
_BESIDE: Final = frozenset({"id", "extension", "name"})
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


@dataclass(frozen=True, slots=True)
class Content:
    """One resource that was sent, or a reference to one.

    Args:
        value: the resource; of a reference the Reference.
        at: its FHIRPath in the body.
    """

    value: Json
    at: str
    is_reference: bool = False


@dataclass(frozen=True, slots=True)
class PopulateInput:
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
    contexts: Mapping[str, tuple[Content, ...]] = field(default_factory=dict)
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
    entries = list(_entries(body))
    problems = [*_faults(entries), *_repeated(entries), *_contexts_repeated(entries)]
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
        inside = [
            ResourceAt(entry["resource"], f"{found.at}.entry[{index}].resource", is_page(found.resource))
            for index, entry in enumerate(_listed(found.resource.get("entry")))
            if isinstance(entry, Mapping) and isinstance(entry.get("resource"), Mapping)
        ]
        pending.extend(reversed(inside))


# Reading: (name, entry, FHIRPath) of each parameter.

_Entry = tuple[str, Json, str]


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _entries(body: Json) -> Iterator[_Entry]:
    listed = body.get("parameter", [])
    if not isinstance(listed, list) or len(listed) > MOST_PARAMETERS:
        expected = f"Parameters: expected a list of at most {MOST_PARAMETERS} parameters."
        raise Malformed(Problem("parameter", expected, _ROOT))
    yield from _named(listed, f"{_ROOT}.parameter")


def _named(listed: Iterable[object], path: str) -> Iterator[_Entry]:
    for index, entry in enumerate(listed):
        found = entry if isinstance(entry, Mapping) else {}
        yield text(found.get("name")), found, f"{path}[{index}]"


def _parts(entry: Json, at: str) -> list[_Entry]:
    return list(_named(_listed(entry.get("part")), f"{at}.part"))


def _held(entry: Json) -> tuple[str, Any]:
    """Returns name and value of the one element that holds a parameter's value; empty if there is not one."""
    elements = [name for name in entry if name not in _BESIDE]
    return (elements[0], entry[elements[0]]) if len(elements) == 1 else ("", None)


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


def _faults(entries: list[_Entry]) -> Iterator[Problem]:
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


def _repeated(entries: list[_Entry]) -> Iterator[Problem]:
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
