"""Readers of one plain answer for the fast path: typed and within every limit, or None.

Limits are brought into the shape of the answer once, at start: whole numbers for integers, and for
quantities one pair of bounds per unit. What cannot be prepared (dates with limits, quantities
without listed units) is read and tried by the code of the full check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from math import ceil, floor
from typing import Any

from msgspec import UNSET

from service.guidance.answers import Answer, Quantity
from service.guidance.units import comparable, converted
from service.questionnaire.item import Item, Limits
from service.questionnaire.limits import limit_faults
from service.questionnaire.values import ELEMENTS, LARGEST_INTEGER, READERS, NotWellFormed

Reader = Callable[[Any], Answer | None]
"""Takes the value of an answer struct; None where the answer is not plainly fine."""

_Bounds = tuple[Decimal | None, Decimal | None]


def reader_of(item: Item) -> Reader:
    """Returns the reader for the answers of an item."""
    if item.type == "integer":
        return _whole_numbers(item)
    if item.type == "quantity":
        return _quantities(item)
    if item.type in ("string", "text"):
        return _texts(item)
    return _by_full_rules(item)


def _whole_numbers(item: Item) -> Reader:
    smallest, largest = _number(item.limits.low), _number(item.limits.high)
    if smallest != item.limits.low or largest != item.limits.high:
        return _by_full_rules(item)
    low = -LARGEST_INTEGER - 1 if smallest is None else ceil(smallest)
    high = LARGEST_INTEGER if largest is None else floor(largest)

    def read(value: Any) -> Answer | None:
        return value if low <= value <= high else None

    return read


def _number(limit: Answer | None) -> int | Decimal | None:
    return limit if isinstance(limit, int | Decimal) and not isinstance(limit, bool) else None


def _texts(item: Item) -> Reader:
    if item.limits.low is not None or item.limits.high is not None:
        return _by_full_rules(item)
    low = item.limits.min_length or 0
    high = item.limits.max_length

    def read(value: Any) -> Answer | None:
        fits = low <= len(value) and (high is None or len(value) <= high)
        return value if fits and value and not value.isspace() else None

    return read


def _quantities(item: Item) -> Reader:
    bounds = _bounds_by_unit(item.limits)
    if bounds is None:
        return _by_full_rules(item)
    systems = {unit.code: unit.system for unit in item.limits.units}

    def read(value: Any) -> Answer | None:
        amount, code = value.value, value.code
        found = bounds.get(code)
        if found is None or amount is UNSET or value.system != systems[code] or not amount.is_finite():
            return None
        low, high = found
        if (low is not None and amount < low) or (high is not None and amount > high):
            return None
        return Quantity(amount, code)

    return read


def _bounds_by_unit(limits: Limits) -> Mapping[str, _Bounds] | None:
    """Bounds in each unit of the question, or None where they cannot be prepared."""
    plain = any(one is not None for one in (limits.decimal_places, _number(limits.low), _number(limits.high)))
    codes = [unit.code for unit in limits.units]
    if plain or limits.open_units or not codes or len(set(codes)) < len(codes):
        return None
    bounds: dict[str, _Bounds] = {}
    for code in codes:
        low, high = limits.low_quantity, limits.high_quantity
        if not all(limit is None or comparable(limit.unit, code) for limit in (low, high)):
            return None
        bounds[code] = (_in_unit(low, code, ROUND_CEILING), _in_unit(high, code, ROUND_FLOOR))
    return bounds


def _in_unit(limit: Quantity | None, code: str, rounding: str) -> Decimal | None:
    """The limit in another unit, rounded inward: what lies between is left to the full check."""
    exact = converted(limit.value, limit.unit, code) if limit is not None else None
    if exact is None:
        return None
    with localcontext(prec=28, rounding=rounding):
        return Decimal(exact.numerator) / Decimal(exact.denominator)


def _by_full_rules(item: Item) -> Reader:
    if item.type == "quantity":
        return lambda value: _quantity_by_full_rules(item, value)
    from_json = next((READERS[name] for name in ELEMENTS.get(item.type, ())), None)

    def read(value: Any) -> Answer | None:
        try:
            answer = from_json(value) if from_json is not None else None
        except NotWellFormed:
            return None
        return None if answer is None or any(True for _ in limit_faults(item, answer)) else answer

    return read


def _quantity_by_full_rules(item: Item, value: Any) -> Answer | None:
    if value.value is UNSET or not value.value.is_finite():
        return None
    answer = Quantity(value.value, "" if value.code is UNSET else value.code)
    system = "" if value.system is UNSET else value.system
    return None if any(True for _ in limit_faults(item, answer, system)) else answer
