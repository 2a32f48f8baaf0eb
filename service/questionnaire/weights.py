"""The weight of an option: itemWeight, else ordinalValue, else the names it had before.

Source: http://hl7.org/fhir/StructureDefinition/itemWeight (replaces ordinalValue, FHIR-28611).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from service.questionnaire.extensions import ITEM_WEIGHT, OLD_ORDINAL_VALUES, ORDINAL_VALUE, values

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
