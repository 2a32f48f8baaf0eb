"""Whether one typed answer keeps to the limits of its question; every fault, in words.

Both paths use this: the fast one asks only whether there is any fault at all.

Source: FHIR R4 Questionnaire.item.maxLength; extensions minLength, minValue, maxValue,
maxDecimalPlaces, questionnaire-unitOption; SDC minQuantity, maxQuantity.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from service.guidance.answers import Answer, Quantity
from service.questionnaire.item import Item, Limits
from service.questionnaire.values import order

Fault = tuple[str, str]
"""Kind, and what was expected."""

_TEXTS = frozenset({"string", "text", "url", "open-choice"})


def limit_faults(item: Item, answer: Answer, unit_system: str = "") -> Iterator[Fault]:
    """Yields (kind, expectation) for every limit that the answer passes.

    Args:
        unit_system: `system` of a quantity, empty where it has none.
    """
    limits = item.limits
    if isinstance(answer, Quantity):
        yield from _unit_faults(limits, answer.unit, unit_system)
        yield from _range_faults(answer, limits.low_quantity, limits.high_quantity)
        yield from _number_faults(limits, answer.value)
    elif isinstance(answer, str):
        yield from _length_faults(item, answer)
        yield from _range_faults(answer, limits.low, limits.high)
    elif isinstance(answer, Decimal):
        yield from _range_faults(answer, limits.low, limits.high)
        yield from _places_faults(limits, answer)
    elif isinstance(answer, int) and not isinstance(answer, bool):
        yield from _range_faults(answer, limits.low, limits.high)


def _length_faults(item: Item, answer: str) -> Iterator[Fault]:
    limits = item.limits
    if item.type not in _TEXTS:
        return
    if limits.max_length is not None and len(answer) > limits.max_length:
        yield "too-long", f"at most {limits.max_length} characters"
    if limits.min_length is not None and len(answer) < limits.min_length:
        yield "too-short", f"at least {limits.min_length} characters"


def _range_faults(answer: Answer, low: Answer | None, high: Answer | None) -> Iterator[Fault]:
    if low is not None:
        found = order(answer, low)
        if found is None:
            yield "not-comparable", f"a value that can be compared with the minimum {written(low)}"
        elif found < 0:
            yield "below-minimum", f"at least {written(low)}"
    if high is not None:
        found = order(answer, high)
        if found is None:
            yield "not-comparable", f"a value that can be compared with the maximum {written(high)}"
        elif found > 0:
            yield "above-maximum", f"at most {written(high)}"


def _number_faults(limits: Limits, value: Decimal) -> Iterator[Fault]:
    """Plain numbers as limits of a quantity hold for its value, in whatever unit it has."""
    yield from _range_faults(value, _plain(limits.low), _plain(limits.high))
    yield from _places_faults(limits, value)


def _plain(limit: Answer | None) -> Answer | None:
    return limit if isinstance(limit, int | Decimal) and not isinstance(limit, bool) else None


def _places_faults(limits: Limits, value: Decimal) -> Iterator[Fault]:
    places = limits.decimal_places
    exponent = value.as_tuple().exponent
    if places is not None and isinstance(exponent, int) and -exponent > places:
        yield "decimal-places", f"at most {places} decimal places"


def _unit_faults(limits: Limits, code: str, system: str) -> Iterator[Fault]:
    if not limits.units or limits.open_units:
        return
    expected = "one of the units " + ", ".join(unit.code for unit in limits.units)
    if not code:
        yield "unit-missing", f"a unit code, {expected}"
    elif not any(unit.code == code and system in ("", unit.system) for unit in limits.units):
        yield "unit-option", expected


def written(limit: Answer) -> str:
    """A limit as people read it: a quantity with its unit."""
    return f"{limit.value} {limit.unit}".strip() if isinstance(limit, Quantity) else str(limit)
