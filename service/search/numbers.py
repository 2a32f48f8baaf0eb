"""Numbers as stretches: what is asked with two decimals is found wherever it rounds to them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from service.storage import Comparison, RangeIs, whole

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?")
_ROUNDED: Final = ("eq", "ne")
_TENTH: Final = Decimal("0.1")
_NONE: Final = 0  # no end of a stretch is open here


def number_range(comparison: Comparison, text: str) -> RangeIs | None:
    """Returns what the number in a query asks for, or None where the text is no number.

    `eq` and `ne` mean all that rounds to the digits given, `ap` a tenth of the number more or less;
    the other prefixes mean the number itself.

    Source: FHIR R4 search.html 3.1.1.4.6
    """
    if not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    if comparison == "ap":
        tenth = abs(number) * _TENTH
        return RangeIs(comparison, _floor(number - tenth), _ceiling(number + tenth))
    half = _half_of_last_digit(number) if comparison in _ROUNDED else Decimal(0)
    low = _floor(number - half)
    return RangeIs(comparison, low, max(low, _ceiling(number + half) - bool(half)))


def _half_of_last_digit(number: Decimal) -> Decimal:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # noqa: S101 - neither infinite nor NaN
    return Decimal((0, (5,), exponent - 1))


def _floor(number: Decimal) -> int:
    return whole(number, _NONE, up=False)


def _ceiling(number: Decimal) -> int:
    return whole(number, _NONE, up=True)
