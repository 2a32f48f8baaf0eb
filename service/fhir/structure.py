"""Checks a decoded resource against the shapes of R4: properties, datatypes, choices, codes, invariants.

It is R4 that is checked here, whatever questionnaire a response answers. Every fault is collected
with its FHIRPath, in one pass without recursion, linear in the size of the body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from service.datatypes.values import replace
from service.errors import Problem, ProblemList
from service.fhir.extensions import mappings, text
from service.fhir.json import Json, Place, is_name, problem_at
from service.fhir.references import contained_types, reference_fault
from service.fhir.shapes import LOCAL, Element, Shape, resource_types, shape_named, shapes
from service.fhir.xhtml import NARRATIVE_EXPECTED, is_narrative, links_in

_CHECKED: Final = frozenset({"QuestionnaireResponse", "Observation"})
_NOT_CONTAINED: Final = frozenset({"versionId", "lastUpdated", "security"})
_OF_REFERENCE: Final = frozenset({"id", "extension", "reference", "type", "identifier", "display"})
_ASIDE: Final = frozenset({"basedOn", "partOf"})
"""References that no result repeats: a target of another type is a warning, and the response is taken."""

_CHANGES_MEANING: Final = frozenset({"modifierExtension", "implicitRules"})


def check_response(resource: Json, at: str = "QuestionnaireResponse") -> tuple[Problem, ...]:
    """Returns every structural fault; an empty tuple when the resource is R4.

    Args:
        resource: an object that `json.read` has read (nothing empty, no name twice).
        at: FHIRPath of the response in the body, where it is not the body itself.
    """
    return check_structure(resource, "QuestionnaireResponse", at)


def check_structure(resource: Json, resource_type: str, at: str) -> tuple[Problem, ...]:
    """Returns every structural fault of `resource`, the outermost first.

    Args:
        resource: an object that `json.read` has read, or a resource inside one.
        resource_type: `QuestionnaireResponse`, `Observation` or `Bundle`.
        at: FHIRPath of the resource in the body; paths of faults go on from there.
    """
    if resource.get("resourceType") != resource_type:
        return (Problem("resource-type", f"resourceType: expected {resource_type}.", at),)
    return _Check(at).run(resource, resource_type)


def check_made(resource: Json) -> tuple[Problem, ...]:
    """Returns every structural fault of a resource that was made here, whatever its type.

    What it contains is checked as deep. Of types that are not read here, elements, cardinality, datatypes,
    codes of required bindings and targets of References are checked, their further invariants are not.
    """
    named = str(resource.get("resourceType"))
    if named not in resource_types():
        return (Problem("resource-type", "resourceType: expected a type of resource that R4 has.", named),)
    return _Check(named, shape_named).run(resource, named)


def is_of_type(value: Json, type_name: str) -> bool:
    """Returns whether a value of a datatype has the structure that R4 gives it."""
    return not _Check(type_name).run(value, type_name)


class _Check:
    """One pass over one resource.

    Args:
        root: its FHIRPath.
        shape_named: returns shapes of types; None if only those that are read here are known.
    """

    def __init__(self, root: str, shape_named: Callable[[str], Shape | None] | None = None) -> None:
        self._root = root
        self._shape = shape_named or shapes().get
        self._knows_all = shape_named is not None
        self._problems = ProblemList()
        self._pending: list[tuple[Json, str, Place]] = []
        self._local: list[tuple[str, Place]] = []
        self._pointed: set[str] = set()
        self._backward: set[Place] = set()
        self._contained: dict[str, Place] = {}
        self._aimed: list[tuple[Json, frozenset[str], Place]] = []

    def run(self, resource: Json, resource_type: str) -> tuple[Problem, ...]:
        """Returns the faults."""
        shape_of_type, pending = self._shape, self._pending
        pending.append((resource, resource_type, None))
        for value, type_name, place in pending:  # grows while it is read
            shape = shape_of_type(type_name)
            if shape is None:
                self._scan(value, place)
            else:
                self._members(value, shape.elements, place)
                self._as_a_whole(value, shape, place)
        self._local_references(resource)
        self._targets(resource)
        return self._problems.listed()

    def _members(self, value: Json, elements: Mapping[str, Element], place: Place) -> None:
        for name, member in value.items():
            element = elements.get(name)
            if element is None:
                self._unknown(name, place)
            elif element.many:
                self._many(member, element, place)
            elif type(member) not in element.types:
                self._wrong(element, (place, element.name, None))
            elif element.shape:
                self._pending.append((member, element.shape, (place, element.name, None)))
            elif element.accepts is not None and not element.accepts(member):
                self._wrong(element, (place, element.name, None))
            elif element.local and member[0] == "#":
                self._point(member, (place, element.name, None), must=element.local is LOCAL)

    def _many(self, members: object, element: Element, place: Place) -> None:
        if type(members) is not list:
            self._report("datatype", (place, element.name, None), "an array")
            return
        for index, member in enumerate(members):
            here = (place, element.name, index)
            if member is None:
                continue  # json.read has seen its sibling
            if type(member) not in element.types:
                self._wrong(element, here)
            elif element.shape == "Resource":
                self._resource(member, here)
            elif element.shape:
                self._pending.append((member, element.shape, here))
            elif element.accepts is not None and not element.accepts(member):
                self._wrong(element, here)
            elif element.local and member[0] == "#":
                self._point(member, here, must=False)

    def _as_a_whole(self, value: Json, shape: Shape, place: Place) -> None:
        for name, names in shape.required:
            if names.isdisjoint(value):
                self._report("missing", place, f"the element {name}, which is required")
        if len(value) > 1:
            for name, names in shape.choices:
                if len({present.removeprefix("_") for present in names & value.keys()}) > 1:
                    self._report("choice", (place, name, None), f"only one {name}[x]")
        if shape.targets is not None:
            self._aimed.append((value, shape.targets, place))
        if shape.rule is not None:
            for fault in shape.rule(value):
                here = (place, fault.element, None) if fault.element else place
                self._report(fault.kind, here, fault.expected)

    def _wrong(self, element: Element, place: Place) -> None:
        self._report(element.fault, place, element.expected)

    def _unknown(self, name: str, place: Place) -> None:
        here = (place, name, None)
        if name == "modifierExtension":
            self._report("modifier-extension", here, "no modifier extension, since none is understood")
        elif is_name(name):
            self._report("unknown-property", here, "only properties that R4 defines; this is not one")
        else:
            self._report("unknown-property", place, "only properties that R4 defines")

    def _resource(self, member: Json, place: Place) -> None:
        """Checks a contained resource; of a type that is not read here, only what must not be missed."""
        named = member.get("resourceType")
        if not isinstance(named, str) or named not in resource_types():
            self._report("resource-type", place, "a resource with a resourceType of R4")
            return
        self._pending.append((member, named if self._knows_all or named in _CHECKED else "Resource", place))
        identity, meta = member.get("id"), member.get("meta")
        if isinstance(identity, str):
            if f"#{identity}" in self._contained:
                self._report("contained", place, "an id that no other contained resource has")
            self._contained[f"#{identity}"] = place
        else:
            self._report("contained", place, "an id, so that it can be referred to (dom-3)")
        if "contained" in member:
            self._report("contained", place, "no contained resource inside a contained one (dom-2)")
        if isinstance(meta, dict) and not _NOT_CONTAINED.isdisjoint(meta):
            self._report("contained", place, "no version, date or security label in meta (dom-4, dom-5)")

    def _scan(self, value: Json, place: Place) -> None:
        """Looks through a resource of another type for what changes the meaning, and for local references."""
        for name, member in value.items():
            if name in _CHANGES_MEANING:
                here = (place, name, None)
                self._report("modifier-extension", here, "nothing that changes the meaning")
            if name == "div" and isinstance(member, str) and not is_narrative(member):
                self._report("narrative", (place, name, None), NARRATIVE_EXPECTED)
            for index, entry in enumerate(member) if type(member) is list else ((None, member),):
                if isinstance(entry, dict):
                    self._pending.append((entry, "Resource", (place, name, index)))
                elif type(entry) is str and entry[:1] == "#":
                    self._point(entry, (place, name, index), must=_is_reference(value, name))

    def _point(self, target: str, place: Place, *, must: bool) -> None:
        """Notes a text that begins with #: a local reference, or one that may be something else.

        R4 says of `Reference.reference` that it must lead somewhere (ref-1), and of any canonical, uri or
        url that it may (dom-3). Of other types it is not known which texts those are.
        """
        self._pointed.add(target)
        if must and target == "#":
            self._backward.add(_outermost(place))
        elif must:
            self._local.append((target, place))

    def _local_references(self, resource: Json) -> None:
        """Checks that every local reference has its resource, and the other way round (ref-1, dom-3)."""
        for target, place in self._local:
            if target not in self._contained:
                self._report("reference", place, "a reference to a resource contained here (ref-1)")
        unused = {
            target: place
            for target, place in self._contained.items()
            if target not in self._pointed and place not in self._backward
        }
        named = _named_in_narratives(resource) if unused else frozenset()
        for target, place in unused.items():
            if target not in named:
                self._report("contained", place, "to be referred to from this resource (dom-3)")

    def _targets(self, resource: Json) -> None:
        """Checks what every Reference says of its target against what may stand there."""
        inside = contained_types(resource) if self._aimed else {}
        for reference, targets, place in self._aimed:
            fault = reference_fault(reference, inside, targets)
            if fault is not None:
                here = (place, fault.element, None) if fault.element else place
                is_aside = not fault.element and place is not None and place[1] in _ASIDE
                self._report(fault.kind, here, fault.expected, "warning" if is_aside else "error")

    def _report(self, kind: str, place: Place, expected: str, severity: str = "error") -> None:
        if self._problems.has_room(kind, severity):
            found = problem_at(self._root, place, kind, expected)
            self._problems.append(found if severity == "error" else replace(found, severity=severity))


def _is_reference(members: Json, name: str) -> bool:
    """Says whether a text is the `reference` of an object that looks like a Reference."""
    return name == "reference" and {member.removeprefix("_") for member in members} <= _OF_REFERENCE


def _outermost(place: Place) -> Place:
    """Returns the member of the resource that a place is in: of a contained one, its own place."""
    while place is not None and place[0] is not None:
        place = place[0]
    return place


def _named_in_narratives(resource: Json) -> frozenset[str]:
    """Returns the links and images in the narratives of a resource and of those contained in it.

    Source: R4 narrative.html (an image may be a contained resource, `src="#pic"`).
    """
    holders = (resource, *mappings(resource.get("contained")))
    narratives = (holder["text"] for holder in holders if isinstance(holder.get("text"), dict))
    divs = (text(narrative.get("div")) for narrative in narratives)
    return frozenset(link for div in divs for link in links_in(div))
