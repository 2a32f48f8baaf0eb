"""The R4 datatypes and resources that are read, as tables made from `r4.txt`.

A line of `r4.txt` is `Type = name:type ...`; `*` marks a list, `!` a required element, `|` a choice
of types, `{a|b}` the codes of a required binding, `@` a reference to another type's elements.
`extension` is allowed on every type but Bundle and `modifierExtension` on none, so neither is written down.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from service.fhir import kinds
from service.fhir.invariants import INVARIANTS, Faults
from service.fhir.primitives import PRIMITIVES
from service.fhir.xhtml import NARRATIVE_EXPECTED, is_narrative

_ELEMENT = re.compile(
    r"(?P<name>[A-Za-z]+)(?P<choice>\[x\])?:(?P<type>[^*!{]+)(?P<marks>[*!]*)(?:\{(?P<codes>.*)\})?"
)
_ANY: Final = (
    "base64Binary|boolean|canonical|code|date|dateTime|decimal|id|instant|integer|markdown|oid|positiveInt|string|time|"
    "unsignedInt|uri|url|uuid|Address|Age|Annotation|Attachment|CodeableConcept|Coding|ContactPoint|Count|Distance|"
    "Duration|HumanName|Identifier|Money|Period|Quantity|Range|Ratio|Reference|SampledData|Signature|Timing|"
    "ContactDetail|Contributor|DataRequirement|Expression|ParameterDefinition|RelatedArtifact|TriggerDefinition|"
    "UsageContext|Dosage|Meta"
)
_RESOURCES = ("QuestionnaireResponse", "Observation", "Bundle")


Rule = Callable[[Mapping[str, Any]], Faults]


@dataclass(frozen=True, slots=True)
class Element:
    """One JSON property.

    Args:
        name: its name in FHIRPath: `value` for `valueString`.
        shape: the type whose shape its value has; empty for a primitive.
        many: whether it is an array.
        types: the Python types that a decoded value of it has.
        accepts: tells whether a value of these types is right; None where the type says it all.
        expected: what it should be, in words.
        fault: the kind of fault where it is not.
        local: whether it may refer to a contained resource (`#id`).
        primitive: the name of its type where that is primitive; else empty.
    """

    name: str
    shape: str
    many: bool
    types: frozenset[type]
    accepts: Callable[[Any], object] | None
    expected: str
    fault: str
    local: bool = False
    primitive: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """The properties of one type.

    Args:
        elements: by JSON name, `_name` siblings of primitives included.
        required: FHIRPath name and the JSON names of which one must be there.
        choices: the same for elements of which at most one may be there.
        rule: its invariants, or None.
    """

    elements: Mapping[str, Element]
    required: tuple[tuple[str, frozenset[str]], ...] = ()
    choices: tuple[tuple[str, frozenset[str]], ...] = ()
    rule: Rule | None = None


@cache
def shapes() -> Mapping[str, Shape]:
    """Returns the shape of every type by name; read once, from the file beside this module."""
    text = Path(__file__).with_name("r4.txt").read_text("utf-8")
    entries = re.sub(r"\n +", " ", text).splitlines()
    found = {name: shape_of(name, body) for name, _, body in (entry.partition(" = ") for entry in entries)}
    found["Element"] = Shape({"id": _primitive("id", "string", many=False), "extension": _EXTENSION})
    return found


def shape_of(type_name: str, body: str) -> Shape:
    """Returns the shape that one line of `r4.txt` writes.

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
    if type_name in _RESOURCES:
        elements["resourceType"] = _primitive("resourceType", "code", many=False)
    if type_name != "Bundle":
        elements["extension"] = _EXTENSION
    return Shape(elements, tuple(required), tuple(choices), INVARIANTS.get(type_name))


def _elements(match: re.Match[str]) -> Iterator[tuple[str, Element]]:
    name, many = match["name"], "*" in match["marks"]
    for kind in (_ANY if match["type"] == "any" else match["type"]).split("|"):
        json_name = name + kind[0].upper() + kind[1:] if match["choice"] else name
        if kind in PRIMITIVES:
            yield json_name, _primitive(name, kind, many=many, codes=match["codes"])
            yield f"_{json_name}", _complex(name, "Element", many=many)
        else:
            yield json_name, _complex(name, kind.removeprefix("@"), many=many)


def _complex(name: str, type_name: str, *, many: bool) -> Element:
    if type_name == "xhtml":
        types = frozenset({str})
        return Element(name, "", many, types, is_narrative, NARRATIVE_EXPECTED, kinds.NARRATIVE)
    return Element(name, type_name, many, frozenset({dict}), None, "an object", kinds.DATATYPE)


def _primitive(name: str, type_name: str, *, many: bool, codes: str | None = None) -> Element:
    types, accepts, expected = PRIMITIVES[type_name]
    if codes is not None:
        allowed = frozenset(codes.split("|"))
        accepts, expected = allowed.__contains__, "one of the codes " + ", ".join(sorted(allowed))
    local = type_name == "canonical" or name == "reference"
    fault = kinds.FORMAT if codes is None else kinds.CODE
    return Element(name, "", many, types, accepts, expected, fault, local, type_name)


_EXTENSION: Final = _complex("extension", "Extension", many=True)
