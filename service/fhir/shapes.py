"""The shapes of R4: the datatypes and resources that are read, as tables made from `r4.txt`, and invariants.

The other resources of R4, which are only made, stand in `r4_resources.txt`; a shape of theirs is read when it
is asked for. A line of either file is `Type = name:type ...`; `*` marks a list, `!` a required element, `|` a
choice of types, `{a|b}` the codes of a required binding, `@` a reference to another type's elements,
`Reference(A|B)` a Reference to these types alone. `extension` is allowed on every type but Bundle and
`modifierExtension` on none, so neither is written down. What the tables cannot say, the invariants do: plain
functions of one object each.

Source: StructureDefinitions of R4 4.0.1; the text of each invariant names its constraint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from service.datatypes.values import replace
from service.fhir.dates import compare, is_date_time
from service.fhir.json import Json, MutableJson
from service.fhir.primitives import PRIMITIVES
from service.fhir.xhtml import NARRATIVE_EXPECTED, is_narrative


class Fault(NamedTuple):
    """A broken invariant; `element` is the child that it names, or empty for the object itself."""

    kind: str
    expected: str
    element: str = ""


Faults = tuple[Fault, ...]

Rule = Callable[[Json], Faults]


LOCAL: Final = "local"
MENTION: Final = "mention"
_MENTIONS: Final = MappingProxyType({"uri": MENTION, "url": MENTION})


class Element(msgspec.Struct, frozen=True):
    """One JSON property.

    Args:
        name: its name in FHIRPath: `value` for `valueString`.
        shape: the type whose shape its value has; empty for a primitive.
        many: whether it is an array.
        types: the Python types that a decoded value of it has.
        accepts: tells whether a value of these types is right; None if the type says it all.
        expected: what it should be, in words.
        fault: the kind of fault where it is not.
        local: LOCAL where `#id` refers to a contained resource, MENTION where it may, else empty.
        primitive: the name of its type where that is primitive; else empty.
    """

    name: str
    shape: str
    many: bool
    types: frozenset[type]
    accepts: Callable[[Any], object] | None
    expected: str
    fault: str
    local: str = ""
    primitive: str = ""


class Shape(msgspec.Struct, frozen=True):
    """The properties of one type.

    Args:
        elements: by JSON name, `_name` siblings of primitives included.
        required: FHIRPath name and the JSON names of which one must be there.
        choices: the same for elements of which at most one may be there.
        rule: its invariants, or None.
        targets: of a Reference, the types that it may lead to, empty for any; else None.
    """

    elements: Mapping[str, Element]
    required: tuple[tuple[str, frozenset[str]], ...] = ()
    choices: tuple[tuple[str, frozenset[str]], ...] = ()
    rule: Rule | None = None
    targets: frozenset[str] | None = None


# The tables.

_ELEMENT = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z0-9]*)(?P<choice>\[x\])?:(?P<type>[^*!{]+)(?P<marks>[*!]*)(?:\{(?P<codes>.*)\})?"
)
_SEPARATOR = re.compile(r"\|(?![^()]*\))")
_ANY: Final = (
    "base64Binary|boolean|canonical|code|date|dateTime|decimal|id|instant|integer|markdown|oid|positiveInt|string|time|"
    "unsignedInt|uri|url|uuid|Address|Age|Annotation|Attachment|CodeableConcept|Coding|ContactPoint|Count|Distance|"
    "Duration|HumanName|Identifier|Money|Period|Quantity|Range|Ratio|Reference|SampledData|Signature|Timing|"
    "ContactDetail|Contributor|DataRequirement|Expression|ParameterDefinition|RelatedArtifact|TriggerDefinition|"
    "UsageContext|Dosage|Meta"
)
_OF_RESOURCE: Final = "meta:Meta"
_OF_DOMAIN_RESOURCE: Final = "text:Narrative"
"""By these a whole resource is told from a part of one, and one that may have extensions from others."""


@cache
def shapes() -> Mapping[str, Shape]:
    """Returns the shape of every type by name; read once, from the file beside this module."""
    found = {name: shape_of(name, body) for name, body in _lines("r4.txt").items()}
    found |= {name: replace(found["Reference"], targets=targets) for name, targets in _references(found)}
    found["Element"] = Shape({"id": _primitive("id", "string", many=False), "extension": _EXTENSION})
    return found


@cache
def _lines(file: str) -> Mapping[str, str]:
    return _read(file)


def _read(file: str) -> Mapping[str, str]:
    """Reads a file beside this module: its lines by the name of the type."""
    text = Path(__file__).with_name(file).read_text("utf-8")
    entries = re.sub(r"\n +", " ", text).splitlines()
    return {name: body for name, _, body in (entry.partition(" = ") for entry in entries)}


@cache
def resource_types() -> frozenset[str]:
    """Returns the types of resource that R4 has, without the two abstract ones."""
    found = {**_lines("r4.txt"), **_read("r4_resources.txt")}
    return frozenset(name for name, body in found.items() if f" {_OF_RESOURCE} " in f" {body} ")


def shape_named(name: str) -> Shape | None:
    """Returns the shape of any type of R4: a datatype, a resource, a part of one; None for no such type.

    Args:
        name: as `Element.shape` has it, such as `Patient`, `Patient.contact` or `Reference(Patient|Group)`.
    """
    return shapes().get(name) or (
        _made(name) if name in _lines("r4_resources.txt") or name.startswith("Reference(") else None
    )


@cache
def _made(name: str) -> Shape:
    if name.startswith("Reference("):
        targets = frozenset(name.removeprefix("Reference(").removesuffix(")").split("|"))
        return replace(shapes()["Reference"], targets=targets)
    return shape_of(name, _lines("r4_resources.txt")[name])


def in_order(value: Json, type_name: str) -> MutableJson:
    """Returns an object with its members in the order of R4, without what is empty in it.

    Args:
        value: a resource, or an element of one.
        type_name: as `shape_named` takes it; what it does not name stands at the end as it is.
    """
    shape = shape_named(type_name)
    elements = {} if shape is None else shape.elements
    found: MutableJson = {"resourceType": value["resourceType"]} if "resourceType" in value else {}
    for name in (*(each for each in elements if each in value), *value):
        if name not in found:
            member = _member_in_order(value[name], elements.get(name))
            found |= {} if member in ({}, []) else {name: member}
    return found


def _member_in_order(member: Any, element: Element | None) -> Any:
    if element is None or not element.shape:
        return member
    if isinstance(member, list):
        listed = [_member_in_order(one, element) for one in member]
        return [one for one in listed if one != {}]
    is_resource = element.shape == "Resource" and isinstance(member, dict)
    named = str(member.get("resourceType")) if is_resource else element.shape
    return in_order(member, named) if isinstance(member, dict) else member


def _references(found: Mapping[str, Shape]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yields the name of each Reference that elements have, with the types that it may lead to."""
    yield "Reference", frozenset()
    elements = (element for shape in found.values() for element in shape.elements.values())
    for name in sorted({element.shape for element in elements if element.shape.startswith("Reference(")}):
        yield name, frozenset(name.removeprefix("Reference(").removesuffix(")").split("|"))


def shape_of(type_name: str, body: str) -> Shape:
    """Returns the shape that one line of `r4.txt`, or of a file like it, writes.

    Raises:
        ValueError: a word of it is not an element.
    """
    elements: dict[str, Element] = {}
    required, choices = [], []
    for text in body.split():
        match = _ELEMENT.fullmatch(text)
        if match is None:
            raise ValueError(f"r4.txt: {type_name}: not an element: {text}")
        made = dict(_elements(match))
        elements.update(made)
        if "!" in match["marks"]:
            required.append((match["name"], frozenset(made)))
        if match["choice"]:
            choices.append((match["name"], frozenset(made)))
    is_resource = _OF_RESOURCE in body.split()
    if is_resource:
        elements["resourceType"] = _primitive("resourceType", "code", many=False)
    if not is_resource or _OF_DOMAIN_RESOURCE in body.split():
        elements["extension"] = _EXTENSION
    return Shape(elements, tuple(required), tuple(choices), INVARIANTS.get(type_name))


def _elements(match: re.Match[str]) -> Iterator[tuple[str, Element]]:
    name, many = match["name"], "*" in match["marks"]
    for type_name in _SEPARATOR.split(_ANY if match["type"] == "any" else match["type"]):
        chosen = type_name.partition("(")[0]
        json_name = name + chosen[0].upper() + chosen[1:] if match["choice"] else name
        if type_name in PRIMITIVES:
            yield json_name, _primitive(name, type_name, many=many, codes=match["codes"])
            yield f"_{json_name}", _complex(name, "Element", many=many)
        else:
            yield json_name, _complex(name, type_name.removeprefix("@"), many=many)


def _complex(name: str, type_name: str, *, many: bool) -> Element:
    if type_name == "xhtml":
        types = frozenset({str})
        return Element(name, "", many, types, is_narrative, NARRATIVE_EXPECTED, fault="narrative")
    return Element(name, type_name, many, frozenset({dict}), None, "an object", fault="datatype")


def _primitive(name: str, type_name: str, *, many: bool, codes: str | None = None) -> Element:
    types, accepts, expected = PRIMITIVES[type_name]
    if codes is not None:
        allowed = frozenset(codes.split("|"))
        accepts, expected = allowed.__contains__, "one of the codes " + ", ".join(sorted(allowed))
    local = LOCAL if type_name == "canonical" or name == "reference" else _MENTIONS.get(type_name, "")
    fault = "format" if codes is None else "code"
    return Element(name, "", many, types, accepts, expected, fault, local, type_name)


_EXTENSION: Final = _complex("extension", "Extension", many=True)


# The invariants.


def _unless(holds: object, expected: str) -> Faults:
    return () if holds else (Fault("invariant", expected),)


def _rule(holds: Callable[[Json], object], expected: str) -> Rule:
    """Returns the invariant that `holds` of every object of a type."""
    return lambda element: _unless(holds(element), expected)


def _beside(name: str, other: str, expected: str) -> Rule:
    """Returns the invariant that `name` never stands without `other`."""
    return _rule(lambda element: name not in element or other in element, expected)


def has_value(members: Json) -> bool:
    """Returns whether some value[x] stands in an answer, a parameter or an extension."""
    return any(name[:5] == "value" or name[:6] == "_value" for name in members)


def _resource(resource: Json) -> Faults:
    if "implicitRules" not in resource and "_implicitRules" not in resource:
        return ()
    return (Fault("implicit-rules", "no implicit rules, since none are understood", "implicitRules"),)


def _with_status(resource: Json) -> Faults:
    """What is not known to be final or withdrawn is not read: a status decides what all the rest means."""
    is_lacking = "_status" in resource and "status" not in resource
    lacking = Fault("missing", "a status with a value, since it decides what the rest means", "status")
    return (*_resource(resource), *([lacking] if is_lacking else ()))


def _ratio(ratio: Json) -> Faults:
    together = ("numerator" in ratio) == ("denominator" in ratio)
    filled = "numerator" in ratio or "extension" in ratio
    return _unless(together and filled, "numerator and denominator, or an extension (rat-1)")


def _period(period: Json) -> Faults:
    start, end = period.get("start"), period.get("end")
    if not isinstance(start, str) or not isinstance(end, str):
        return ()
    backwards = is_date_time(start) and is_date_time(end) and compare(start, end) == 1
    return _unless(not backwards, "a start that is not after the end (per-1)")


def _range(interval: Json) -> Faults:
    low, high = _measured(interval.get("low")), _measured(interval.get("high"))
    if low is None or high is None or low[1] != high[1]:
        return ()
    return _unless(low[0] <= high[0], "a low end that is not above the high end (rng-2)")


def _measured(quantity: object) -> tuple[Decimal, object] | None:
    """Returns value and unit code of a quantity, or None where it has no value."""
    value = quantity.get("value") if isinstance(quantity, dict) else None
    if type(value) is not int and type(value) is not Decimal:
        return None
    return Decimal(value), quantity.get("code") if isinstance(quantity, dict) else None


_QUANTITY = _beside("code", "system", "a system beside the unit's code (qty-3)")
_MEASUREMENT = _rule(
    lambda element: "dataAbsentReason" not in element or not has_value(element),
    "no dataAbsentReason beside a value (obs-6)",
)

INVARIANTS: Final[Mapping[str, Callable[[Json], Faults]]] = MappingProxyType(
    {
        "Bundle": _resource,
        "QuestionnaireResponse": _with_status,
        "QuestionnaireResponse.item": _rule(
            lambda item: "answer" not in item or "item" not in item,
            "either answers or nested items, not both (qrs-1)",
        ),
        "Observation": lambda observation: _with_status(observation) + _MEASUREMENT(observation),
        "Observation.component": _MEASUREMENT,
        "Observation.referenceRange": _rule(
            lambda interval: interval.keys() & {"low", "high", "text"}, "low, high or text (obs-3)"
        ),
        "Extension": _rule(
            lambda extension: has_value(extension) != ("extension" in extension),
            "either a value or nested extensions (ext-1)",
        ),
        **dict.fromkeys(("Quantity", "Age", "Count", "Distance", "Duration"), _QUANTITY),
        "Attachment": _beside("data", "contentType", "a contentType beside the data (att-1)"),
        "ContactPoint": _beside("value", "system", "a system beside the value (cpt-2)"),
        "Ratio": _ratio,
        "Period": _period,
        "Range": _range,
    }
)
