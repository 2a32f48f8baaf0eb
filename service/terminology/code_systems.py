"""Concepts of a code system that is at hand, whole or filtered.

Source: FHIR R4 codesystem.html; filter operators of valueset-filter-operator.html; properties of
concept-properties.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from service.fhir.extensions import ITEM_WEIGHT, OLD_ORDINAL_VALUES, ORDINAL_VALUE, mappings, text, values

# The weight of an option: itemWeight, else ordinalValue, else the names it had before.
#
# Source: http://hl7.org/fhir/StructureDefinition/itemWeight (replaces ordinalValue, FHIR-28611).

_BY_PREFERENCE = (ITEM_WEIGHT, ORDINAL_VALUE, *OLD_ORDINAL_VALUES)


def weight(*elements: Mapping[str, Any]) -> Decimal | None:
    """Returns the preferred weight that any of the elements (option, coding, concept) carries."""
    return next(_weights(elements), None)


def weights_disagree(*elements: Mapping[str, Any]) -> bool:
    """Whether the elements carry weights of different value."""
    return len(set(_weights(elements))) > 1


def _weights(elements: tuple[Mapping[str, Any], ...]) -> Iterator[Decimal]:
    for url in _BY_PREFERENCE:
        for element in elements:
            for found in values(element, url):
                if isinstance(found, int | Decimal) and not isinstance(found, bool):
                    yield Decimal(found)
                elif isinstance(found, float):
                    yield Decimal(str(found))


Concept = Mapping[str, Any]

_INACTIVE: Final = ("inactive", "retired")
_OPERATORS: Final = ("is-a", "descendent-of", "is-not-a", "in")


class Placed(NamedTuple):
    """A concept, and the codes that it stands below, the nearest last."""

    concept: Concept
    above: tuple[str, ...] = ()


def filtered(resource: Mapping[str, Any], filters: Sequence[Mapping[str, Any]]) -> list[Placed] | None:
    """Returns the concepts that pass all filters, or None where a filter is not understood."""
    found = list(concepts_of(resource))
    for one in filters:
        operator, value = text(one.get("op")), text(one.get("value"))
        if one.get("property") in ("concept", "code") and operator in _OPERATORS:
            found = [placed for placed in found if _passes(operator, value, placed)]
        elif operator == "=":
            found = [each for each in found if _property(each.concept, text(one.get("property"))) == value]
        else:
            return None
    return found


def concepts_of(resource: Mapping[str, Any]) -> Iterator[Placed]:
    """Yields every concept of a code system, in its order, parents before what stands below them."""
    pending = [Placed(concept) for concept in mappings(resource.get("concept"))][::-1]
    while pending:
        concept, above = placed = pending.pop()
        yield placed
        below = (*above, text(concept.get("code")))
        pending.extend([Placed(child, below) for child in mappings(concept.get("concept"))][::-1])


def is_abstract(concept: Concept) -> bool:
    """Whether the concept only leads to others: nobody may choose it."""
    return _property(concept, "notSelectable") == "true"


def is_inactive(concept: Concept) -> bool:
    """Whether the code system has given the concept up."""
    return _property(concept, "inactive") == "true" or _property(concept, "status") in _INACTIVE


def _passes(operator: str, value: str, placed: Placed) -> bool:
    code, above = text(placed.concept.get("code")), placed.above
    if operator == "in":
        return code in {part.strip() for part in value.split(",")}
    if operator == "is-a":
        return code == value or value in above
    if operator == "descendent-of":
        return value in above
    return code != value and value not in above


def _property(concept: Concept, name: str) -> str | None:
    for one in mappings(concept.get("property")):
        if one.get("code") == name:
            return next((_written(found) for key, found in one.items() if key.startswith("value")), None)
    return None


def _written(value: object) -> str:
    """Returns the value of a property as filters write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
