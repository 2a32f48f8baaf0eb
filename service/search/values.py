"""One value of a query as the values that a store compares entries with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Final, cast

from service.fhir.dates import time_range
from service.fhir.primitives import is_id
from service.search.entries import TYPE, folded, split, target_of, unescaped
from service.search.parameters import SearchParameter
from service.storage.entries import whole
from service.storage.model import (
    Comparison,
    RangeIs,
    ReferenceTo,
    ReferenceToIdentifier,
    ReferenceToUrl,
    StringIs,
    TokenIs,
    UriIs,
    Value,
)

# Numbers as ranges: what is asked with two decimals is found wherever it rounds to them.

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?")
# No end of a range is open here.
_floor, _ceiling = partial(whole, otherwise=0, up=False), partial(whole, otherwise=0, up=True)


def number_range(comparison: Comparison, text: str) -> RangeIs | None:
    """Returns the range that a number in a query stands for; None if the text is not a number.

    `eq` and `ne` mean all that rounds to the digits given, `ap` a tenth of the number more or less;
    the other prefixes mean the number itself.

    Source: FHIR R4 search.html 3.1.1.4.6
    """
    if not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    if comparison == "ap":
        tenth = abs(number) / 10
        return RangeIs(comparison, _floor(number - tenth), _ceiling(number + tenth))
    half = _half_of_last_digit(number) if comparison in ("eq", "ne") else Decimal(0)
    low = _floor(number - half)
    return RangeIs(comparison, low, max(low, _ceiling(number + half) - bool(half)))


def _half_of_last_digit(number: Decimal) -> Decimal:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # noqa: S101 - neither infinite nor NaN
    return Decimal((0, (5,), exponent - 1))


Values = tuple[Value, ...]

_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)", re.DOTALL)

EXPECTED: Final[Mapping[str, str]] = {
    "token": "a code, or system|code",
    "reference": "an id, a type with an id such as Patient/123, or a url",
    "date": "a date such as 2026-01-31, behind one of eq ne lt gt ge le sa eb ap or none",
    "number": "a number, behind one of eq ne lt gt ge le sa eb ap or none",
    "identifier": "an identifier as value or system|value",
}
"""What a value should be, by type of parameter or by modifier; any text is a string or a uri."""


def values_of(parameter: SearchParameter, modifier: str, text: str, base: str) -> Values | None:
    """Returns the values of which an entry must have one, or None where the text cannot be read.

    Args:
        parameter: what is searched for.
        modifier: one of the parameter's, a resource type for a reference, or empty.
        text: one alternative of the query, its escapes still in it.
        base: public FHIR base.
    """
    match parameter.type:
        case "token":
            return _tokens(text, parameter.system)
        case "reference":
            return _references(parameter, modifier, text, base)
        case "date":
            return _dates(text)
        case "string":
            return (_text(modifier, unescaped(text)),)
        case "uri":
            return _uris(modifier, unescaped(text))
        case "number":  # pragma: no branch - there is no other type
            found = number_range(*_prefixed(text))
            return None if found is None else (found,)


def is_type(text: str) -> bool:
    """Returns whether the text looks like the name of a resource type."""
    return re.fullmatch(TYPE, text) is not None


def _tokens(text: str, implied: str) -> Values | None:
    system, code = _pair(text)
    if code:
        # A code whose element implies its system stands there without one.
        return (TokenIs(code, implied if system == "" else system),)
    return (TokenIs(None, system),) if system else None


def _references(parameter: SearchParameter, modifier: str, text: str, base: str) -> Values | None:
    if modifier == "identifier":
        system, value = _pair(text)
        return (ReferenceToIdentifier(value, system),) if value else None
    named = unescaped(text)
    if parameter.canonical:
        return (ReferenceToUrl(named),)
    if is_id(named):
        return (ReferenceTo(named, modifier or parameter.only or None),)
    target = target_of(named, base)
    if modifier and (modifier != target.type or not target.id):
        return None
    return (ReferenceTo(target.id, target.type) if target.id else ReferenceToUrl(target.url),)


def _dates(text: str) -> Values | None:
    found = date_range(text)
    return None if found is None else (found,)


def date_range(text: str) -> RangeIs | None:
    """Returns the range that a date in a query stands for; None if the text is not a date."""
    comparison, rest = _prefixed(text)
    found = time_range(rest)
    if found is None:
        return None
    low, high = found
    # About a month means that month and the ones beside it: no clock is asked.
    margin = high - low + 1 if comparison == "ap" else 0
    return RangeIs(comparison, low - margin, high + margin)


def _text(modifier: str, text: str) -> Value:
    if modifier == "exact":
        return StringIs(text, "exact")
    return StringIs(folded(text), "contains" if modifier == "contains" else "starts")


def _uris(modifier: str, text: str) -> Values:
    if modifier != "below":
        return (UriIs(text),)
    if "|" in text:  # a version and those below it: of 1 also 1.0, but not 10
        return UriIs(text), UriIs(f"{text}.", "starts")
    return (UriIs(text, "starts"),)


def _pair(text: str) -> tuple[str | None, str]:
    """Returns system and code; the system is None where nothing is said of it."""
    system, *rest = split(text, "|")
    return (unescaped(system), unescaped("|".join(rest))) if rest else (None, unescaped(system))


def _prefixed(text: str) -> tuple[Comparison, str]:
    match = _PREFIX.fullmatch(text)
    assert match is not None  # noqa: S101 - the rest may be anything
    return cast("Comparison", match[1] or "eq"), match[2]
