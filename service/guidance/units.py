"""Exact conversion of measured values between UCUM units; no float anywhere.

A unit code is read as the UCUM grammar says (products, quotients, exponents, prefixes,
annotations in braces) and becomes a factor and the exponents of its base units. Two codes are
comparable when the exponents are equal; a code that is not understood is comparable with itself
only, so that an unknown unit never passes for a number.

Source: The Unified Code for Units of Measure, version 2.1, sections 2-26; https://ucum.org/ucum
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from service.guidance.unit_table import ARBITRARY, BASES, DEFINED, METRIC, OFFSET, PREFIXES

LONGEST_CODE = 64
"""Characters; a longer code is not read at all."""

_LARGEST_EXPONENT = 99
_TOKEN = re.compile(
    r"(?P<open>\()|(?P<close>\))|(?P<mul>[./])|(?P<note>\{[^{}]*\})|(?P<unit>(?:\[[^\]]*\]|[^\[\](){}./])+)"
)
_SIMPLE = re.compile(r"(?P<atom>10[*^]|.*?[^0-9+-]|)(?P<exponent>[+-]?[0-9]+)?", re.DOTALL)


class Unit(NamedTuple):
    """A unit as a multiple of base units; `powers` holds (base, exponent) in order, zeros left out."""

    factor: Fraction
    powers: tuple[tuple[str, int], ...]


class _Scale(NamedTuple):
    """A unit and where its zero lies, in base units."""

    unit: Unit
    offset: Fraction


_KELVIN = (("K", 1),)


class _Unreadable(Exception):
    """The code is not a unit that this service knows."""


@lru_cache(maxsize=2048)
def unit(code: str) -> Unit | None:
    """What a UCUM code means, or None where it is not understood or stands on a scale with an offset."""
    if not 0 < len(code) <= LONGEST_CODE or not code.isascii():
        return None
    try:
        return _term(_tokens(code), top=True)
    except _Unreadable:
        return None


def comparable(a: str, b: str) -> bool:
    """Whether a value in unit `a` can be compared with one in unit `b`; equal codes always can."""
    if a == b:
        return True
    first, second = _scale(a), _scale(b)
    return first is not None and second is not None and first.unit.powers == second.unit.powers


def converted(value: Decimal | int | Fraction, source: str, target: str) -> Fraction | None:
    """`value` of unit `source` in unit `target`, exactly; None where the two cannot be compared.

    Degrees Celsius, degrees Fahrenheit and kelvin convert as temperatures, with their zero points.
    """
    exact = Fraction(value)
    if source == target:
        return exact
    old, new = _scale(source), _scale(target)
    if old is None or new is None or old.unit.powers != new.unit.powers:
        return None
    return (exact * old.unit.factor + old.offset - new.offset) / new.unit.factor


def _scale(code: str) -> _Scale | None:
    if code in OFFSET:
        factor, offset = OFFSET[code]
        return _Scale(Unit(factor, _KELVIN), offset)
    known = unit(code)
    return _Scale(known, Fraction(0)) if known is not None else None


def _tokens(code: str) -> list[tuple[str, str]]:
    found = [(str(match.lastgroup), match.group()) for match in _TOKEN.finditer(code)]
    if "".join(text for _, text in found) != code:
        raise _Unreadable
    return found[::-1]


def _term(tokens: list[tuple[str, str]], *, top: bool) -> Unit:
    """Reads one term from the end of the reversed token list; `top` forbids a closing bracket."""
    result, sign = Unit(Fraction(1), ()), 1
    if tokens and tokens[-1] == ("mul", "/"):
        tokens.pop()
        sign = -1
    while True:
        result = _times(result, _component(tokens), sign)
        if not tokens:
            if top:
                return result
            raise _Unreadable
        kind, text = tokens.pop()
        if kind == "close" and not top:
            return result
        if kind != "mul":
            raise _Unreadable
        sign = 1 if text == "." else -1


def _component(tokens: list[tuple[str, str]]) -> Unit:
    if not tokens:
        raise _Unreadable
    kind, text = tokens.pop()
    if kind == "note":
        return Unit(Fraction(1), ())
    if kind == "open":
        return _term(tokens, top=False)
    if kind != "unit":
        raise _Unreadable
    if tokens and tokens[-1][0] == "note":
        tokens.pop()
    return _simple(text)


def _simple(text: str) -> Unit:
    if text.isdigit():
        number = int(text)
        if number == 0:
            raise _Unreadable
        return Unit(Fraction(number), ())
    match = _SIMPLE.fullmatch(text)
    if match is None:
        raise _Unreadable
    exponent = int(match["exponent"] or 1)
    if not 0 < abs(exponent) <= _LARGEST_EXPONENT:
        raise _Unreadable
    return _power(_atom(match["atom"]), exponent)


def _atom(symbol: str) -> Unit:
    exact = _defined(symbol)
    if exact is not None:
        return exact
    for length in (1, 2):
        prefix, rest = symbol[:length], symbol[length:]
        known = _defined(rest) if prefix in PREFIXES and rest in METRIC else None
        if known is not None:
            return Unit(known.factor * Fraction(10) ** PREFIXES[prefix], known.powers)
    raise _Unreadable


def _defined(symbol: str) -> Unit | None:
    if symbol in BASES or symbol in ARBITRARY:
        return Unit(Fraction(1), ((symbol, 1),))
    if symbol not in DEFINED:
        return None
    factor, term = DEFINED[symbol]
    meaning = unit(term)
    return None if meaning is None else Unit(Fraction(factor) * meaning.factor, meaning.powers)


def _times(a: Unit, b: Unit, sign: int) -> Unit:
    powers: dict[str, int] = dict(a.powers)
    for base, exponent in b.powers:
        powers[base] = powers.get(base, 0) + sign * exponent
    return Unit(a.factor * b.factor**sign, _ordered(powers))


def _power(base: Unit, exponent: int) -> Unit:
    return Unit(base.factor**exponent, _ordered({name: power * exponent for name, power in base.powers}))


def _ordered(powers: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((base, exponent) for base, exponent in powers.items() if exponent))
