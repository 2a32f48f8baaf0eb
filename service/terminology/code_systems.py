"""Code systems: their concepts, whole or filtered, what is known of a concept, and its weight.

Source: FHIR R4 codesystem.html; filter operators of valueset-filter-operator.html; properties of
concept-properties; http://hl7.org/fhir/StructureDefinition/itemWeight (replaces ordinalValue, FHIR-28611).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple

from service.fhir.extensions import (
    ITEM_WEIGHT,
    OLD_ORDINAL_VALUES,
    ORDINAL_VALUE,
    mappings,
    text,
    translations,
    values,
)

Concept = Mapping[str, Any]
Filter = Mapping[str, Any]

_CODE: Final = ("concept", "code")
"""Names of the property that is the code itself."""

_FLAGS: Final = ("inactive", "notSelectable")
"""Properties that are false where a concept does not state them."""

_BUILT_IN: Final = frozenset((*_FLAGS, "status", "parent", "child"))
_INACTIVE_STATUSES: Final = ("inactive", "retired")
_WEIGHT_EXTENSIONS: Final = (ITEM_WEIGHT, ORDINAL_VALUE, *OLD_ORDINAL_VALUES)
"""By preference."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Ancestor:
    """A code that has others below it in its code system, with its own ancestors."""

    code: str
    above: Ancestor | None = None


class ConceptInTree(NamedTuple):
    """A concept, and the nearest code that it stands below."""

    concept: Concept
    above: Ancestor | None = None


class Passing(NamedTuple):
    """The codes that pass filters: these, or with `others` all but these."""

    codes: frozenset[str]
    others: bool = False


def concepts_of(code_system: Mapping[str, Any]) -> Iterator[ConceptInTree]:
    """Yields every concept of a code system, in its order, parents before their children."""
    pending = [ConceptInTree(concept) for concept in mappings(code_system.get("concept"))][::-1]
    while pending:
        concept, above = found = pending.pop()
        yield found
        if concept.get("concept"):
            own = Ancestor(text(concept.get("code")), above)
            pending.extend([ConceptInTree(child, own) for child in mappings(concept["concept"])][::-1])


class CodeSystem:
    """A CodeSystem resource with its concepts by code, and its hierarchy.

    Args:
        resource: the CodeSystem.
        is_complete: it has every concept that there is.
        ignores_case: codes that differ in case are the same.
    """

    def __init__(self, resource: Mapping[str, Any]) -> None:
        self.resource = resource
        self.version = text(resource.get("version"))
        self.content = text(resource.get("content"))
        self.is_complete = self.content == "complete"
        self.ignores_case = resource.get("caseSensitive") is False

    @cached_property
    def concepts(self) -> Mapping[str, ConceptInTree]:
        """The concepts by code, in order."""
        return {text(found.concept.get("code")): found for found in concepts_of(self.resource)}

    def code(self, written: str) -> str:
        """Returns a code as the code system writes it."""
        if not self.ignores_case or written in self.concepts:
            return written
        return self._by_folded_code.get(written.casefold(), written)

    def names(self, code: str) -> tuple[str, ...]:
        """Returns the names of a code, its display first; none if the code is not known here."""
        found = self.concepts.get(self.code(code))
        return names_in(found.concept) if found is not None else ()

    def passing(self, filters: Sequence[Filter]) -> tuple[Passing, bool]:
        """Returns the codes that pass all filters that are understood, and whether all are."""
        understood = [passing for filter_ in filters if (passing := self._passing(filter_)) is not None]
        named = sorted((passing.codes for passing in understood if not passing.others), key=len)
        left_out = frozenset().union(*(passing.codes for passing in understood if passing.others))
        if named:
            codes = Passing(named[0].intersection(*named[1:]) - left_out)
        else:
            codes = Passing(left_out, others=True)
        return codes, len(understood) == len(filters)

    def places(self, passing: Passing) -> list[ConceptInTree]:
        """Returns the concepts with these codes, in order; a few cost no more than they are."""
        if passing.others:
            return [found for code, found in self.concepts.items() if code not in passing.codes]
        known = passing.codes & self._places.keys()
        return [self.concepts[code] for code in sorted(known, key=self._places.__getitem__)]

    def _passing(self, filter_: Filter) -> Passing | None:
        """Returns the codes that pass a filter; None if it is not supported."""
        name, operator, value = (text(filter_.get(key)) for key in ("property", "op", "value"))
        if name in _CODE:
            return self._of_codes(operator, value)
        if name not in _BUILT_IN and name not in self._properties:
            return None
        return self._of_property(name, operator, value)

    def _of_codes(self, operator: str, value: str) -> Passing | None:
        code = self.code(value)
        if operator in ("in", "not-in"):
            listed = frozenset(self.code(part.strip()) for part in value.split(","))
            return Passing(listed, others=operator == "not-in")
        if operator in ("is-a", "is-not-a"):
            return Passing(self._below(code) | {code}, others=operator == "is-not-a")
        if operator == "descendent-of":
            return Passing(self._below(code))
        if operator == "generalizes":
            return Passing(self._above(code) | {code})
        return Passing(frozenset((code,))) if operator == "=" else None

    def _of_property(self, name: str, operator: str, value: str) -> Passing | None:
        by_value = self._properties.get(name, {})
        if operator == "exists" and value in ("true", "false"):
            return Passing(frozenset().union(*by_value.values()), others=value == "false")
        if operator == "in":
            listed = {part.strip() for part in value.split(",")}
            return Passing(frozenset().union(*(by_value[part] for part in listed & by_value.keys())))
        if operator != "=":
            return None
        if name in _FLAGS and value == "false":
            return Passing(frozenset(by_value.get("true", ())), others=True)
        in_tree = self._children.get(value, ()) if name == "parent" else ()
        return Passing(frozenset((*by_value.get(value, ()), *in_tree)))

    def _below(self, code: str) -> frozenset[str]:
        return _reached(code, self._children)

    def _above(self, code: str) -> frozenset[str]:
        return _reached(code, self._parents)

    @cached_property
    def _by_folded_code(self) -> Mapping[str, str]:
        return {code.casefold(): code for code in self.concepts}

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {code: place for place, code in enumerate(self.concepts)}

    @cached_property
    def _properties(self) -> Mapping[str, Mapping[str, set[str]]]:
        """Codes by the name and the value of their properties; declared properties without values too."""
        declared = mappings(self.resource.get("property"))
        found: dict[str, dict[str, set[str]]] = {text(entry.get("code")): {} for entry in declared}
        for code, (concept, _) in self.concepts.items():
            for entry in mappings(concept.get("property")):
                for value in _values(entry):
                    found.setdefault(text(entry.get("code")), {}).setdefault(value, set()).add(code)
        return found

    @cached_property
    def _children(self) -> Mapping[str, set[str]]:
        """Codes by the code right above them, as the tree and the properties `parent` and `child` say."""
        found: dict[str, set[str]] = {}
        for code, (_, above) in self.concepts.items():
            if above is not None:
                found.setdefault(above.code, set()).add(code)
        for parent, codes in self._properties.get("parent", {}).items():
            found.setdefault(parent, set()).update(codes)
        for child, codes in self._properties.get("child", {}).items():
            for code in codes:
                found.setdefault(code, set()).add(child)
        return found

    @cached_property
    def _parents(self) -> Mapping[str, set[str]]:
        found: dict[str, set[str]] = {}
        for parent, children in self._children.items():
            for child in children:
                found.setdefault(child, set()).add(parent)
        return found


def any_of(alternatives: Iterable[Passing]) -> Passing:
    """Returns the codes that pass one of several filters; an exclusion is never expanded."""
    named: set[str] = set()
    left_out: frozenset[str] | None = None
    for passing in alternatives:
        if not passing.others:
            named |= passing.codes
        else:
            left_out = passing.codes if left_out is None else left_out & passing.codes
    return Passing(frozenset(named)) if left_out is None else Passing(left_out - named, others=True)


def _reached(start: str, steps: Mapping[str, set[str]]) -> frozenset[str]:
    """Returns all codes that steps lead to from a code; the code itself only if they run in a circle."""
    reached: set[str] = set()
    pending = [start]
    while pending:
        more = steps.get(pending.pop(), set()) - reached
        reached |= more
        pending.extend(more)
    return frozenset(reached)


def is_abstract(concept: Concept) -> bool:
    """Returns whether the concept only groups others and cannot be chosen itself."""
    return _property(concept, "notSelectable") == "true"


def is_inactive(concept: Concept) -> bool:
    """Returns whether the code system no longer uses the concept."""
    return _property(concept, "inactive") == "true" or _property(concept, "status") in _INACTIVE_STATUSES


def names_in(element: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the display of a concept, or of a code in a value set, and its designations."""
    further = (text(designation.get("value")) for designation in designations(element))
    return tuple(filter(None, (text(element.get("display")), *further)))


def designations(element: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Returns the designations of a concept, or of a code in a value set, and translations of its display."""
    return (*mappings(element.get("designation")), *translations(element, "display"))


def _property(concept: Concept, name: str) -> str | None:
    for entry in mappings(concept.get("property")):
        if entry.get("code") == name:
            return next(_values(entry), None)
    return None


def _values(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yields the value of a property, as filters write it."""
    for key, value in entry.items():
        if key.startswith("value"):
            code = value.get("code") if isinstance(value, Mapping) else value
            yield str(code).lower() if isinstance(code, bool) else str(code)


def weight(*elements: Mapping[str, Any]) -> Decimal | None:
    """Returns the preferred weight that any of the elements (option, coding, concept) carries."""
    return next(_weights(elements), None)


def weights_disagree(*elements: Mapping[str, Any]) -> bool:
    """Returns whether the elements carry weights of different value."""
    return len(set(_weights(elements))) > 1


def _weights(elements: tuple[Mapping[str, Any], ...]) -> Iterator[Decimal]:
    for url in _WEIGHT_EXTENSIONS:
        for element in elements:
            for found in values(element, url):
                if isinstance(found, int | Decimal) and not isinstance(found, bool):
                    yield Decimal(found)
                elif isinstance(found, float):
                    yield Decimal(str(found))
