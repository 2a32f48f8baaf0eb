"""Code systems: their concepts, whole or filtered, what is known of a concept, and its weight.

Source: FHIR R4 codesystem.html; filter operators of valueset-filter-operator.html; properties of
concept-properties; http://hl7.org/fhir/StructureDefinition/itemWeight (replaces ordinalValue, FHIR-28611).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from service.fhir.extensions import ITEM_WEIGHT, OLD_ORDINAL_VALUES, ORDINAL_VALUE, mappings, text, values

Concept = Mapping[str, Any]
Filter = Mapping[str, Any]

_HIERARCHY_OPERATORS: Final = ("is-a", "descendent-of", "is-not-a", "in")
_INACTIVE_STATUSES: Final = ("inactive", "retired")
_WEIGHT_EXTENSIONS: Final = (ITEM_WEIGHT, ORDINAL_VALUE, *OLD_ORDINAL_VALUES)
"""By preference."""


class ConceptInTree(NamedTuple):
    """A concept, and the codes that it stands below, the nearest last."""

    concept: Concept
    ancestors: tuple[str, ...] = ()


def concepts_of(code_system: Mapping[str, Any]) -> Iterator[ConceptInTree]:
    """Yields every concept of a code system, in its order, parents before their children."""
    pending = [ConceptInTree(concept) for concept in mappings(code_system.get("concept"))][::-1]
    while pending:
        concept, ancestors = found = pending.pop()
        yield found
        path = (*ancestors, text(concept.get("code")))
        pending.extend([ConceptInTree(child, path) for child in mappings(concept.get("concept"))][::-1])


def filtered_concepts(
    code_system: Mapping[str, Any], filters: Sequence[Filter]
) -> list[ConceptInTree] | None:
    """Returns the concepts that pass all filters, or None where a filter is not understood."""
    found = list(concepts_of(code_system))
    for filter_ in filters:
        name, operator, value = (text(filter_.get(key)) for key in ("property", "op", "value"))
        if name in ("concept", "code") and operator in _HIERARCHY_OPERATORS:
            found = [candidate for candidate in found if _passes(operator, value, candidate)]
        elif operator == "=":
            found = [candidate for candidate in found if _property(candidate.concept, name) == value]
        else:
            return None
    return found


def _passes(operator: str, value: str, candidate: ConceptInTree) -> bool:
    code, ancestors = text(candidate.concept.get("code")), candidate.ancestors
    if operator == "in":
        return code in {part.strip() for part in value.split(",")}
    if operator == "is-a":
        return code == value or value in ancestors
    if operator == "descendent-of":
        return value in ancestors
    return code != value and value not in ancestors


def is_abstract(concept: Concept) -> bool:
    """Returns whether the concept only groups others and cannot be chosen itself."""
    return _property(concept, "notSelectable") == "true"


def is_inactive(concept: Concept) -> bool:
    """Returns whether the code system no longer uses the concept."""
    return _property(concept, "inactive") == "true" or _property(concept, "status") in _INACTIVE_STATUSES


def _property(concept: Concept, name: str) -> str | None:
    for entry in mappings(concept.get("property")):
        if entry.get("code") == name:
            return next((_as_text(value) for key, value in entry.items() if key.startswith("value")), None)
    return None


def _as_text(value: object) -> str:
    """Returns the value of a property as filters write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


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
