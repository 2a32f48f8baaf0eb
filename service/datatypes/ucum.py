"""Exact conversion of measured values between UCUM units, and what these are called; no float anywhere.

A unit code is read as the UCUM grammar says (products, quotients, exponents, prefixes,
annotations in braces) and becomes a factor and the exponents of its base units. Two codes are
comparable when the exponents are equal; a code that is not understood is comparable with itself
only, so that an unknown unit never passes for a number.

Every known unit is written in terms of other units, so that one table (`units.csv`) holds the definitions
as UCUM gives them and nothing is rounded. Units that differ from their base by an offset (degrees
Celsius and Fahrenheit) stand in a table of their own.

Three departures from UCUM, all on the safe side: an amount of substance (`mol`) is a base of its
own, so that `mmol/L` is never taken for a plain number; an equivalent (`eq`) is a base of its own, since
how much of a substance it is depends on the charge of the ion; an arbitrary unit (`[IU]`) is a base of its
own, as UCUM section 24 asks.

Source: The Unified Code for Units of Measure, version 2.1, sections 2-46; https://ucum.org/ucum.
`unit_names.json` says where its names are from (Unicode CLDR, in some forty languages), and
`scripts/unit_names.py` makes it.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from service.datatypes.spelling import folded

SYSTEM = "http://unitsofmeasure.org"
"""The code system of UCUM in FHIR."""

# The units that this service knows.

BASES = ("m", "s", "g", "rad", "K", "C", "cd", "mol", "eq")
"""Base units. Anything else that is not defined below is unknown, never a number."""

ARBITRARY = (
    "[IU]", "[arb'U]", "[USP'U]", "[CFU]", "[PFU]", "[Amb'a'1'U]", "[EU]", "[ELU]", "[GPL'U]", "[MPL'U]",
)  # fmt: skip
"""Units defined by a procedure: comparable with themselves only."""

PREFIXES: Mapping[str, int] = MappingProxyType(
    {
        "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
        "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24,
    }
)  # fmt: skip
"""Powers of ten by metric prefix."""

_TABLE = tuple(csv.DictReader(Path(__file__).with_name("units.csv").read_text("utf-8").splitlines()))
METRIC = frozenset({*BASES, "[IU]", "[arb'U]", *(row["code"] for row in _TABLE if row["metric"] == "yes")})
"""Atoms that take a metric prefix."""

DEFINED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {row["code"]: (row["factor"], row["unit"]) for row in _TABLE}
)
"""Atom to (factor, unit term): one `wk` is 7 `d`."""

OFFSET: Mapping[str, tuple[Fraction, Fraction]] = MappingProxyType(
    {
        "Cel": (Fraction(1), Fraction("273.15")),
        "[degF]": (Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
    }
)
"""Scales with their own zero: kelvins are `value * factor + offset`. They stand alone in a code."""

# How a code is read.

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


def unit(code: str) -> Unit | None:
    """Returns what a UCUM code means; None if it is not understood, or its scale has an offset."""
    if not 0 < len(code) <= LONGEST_CODE or not code.isascii():  # no such text is kept
        return None
    return _meaning(code)


@lru_cache(maxsize=2048)
def _meaning(code: str) -> Unit | None:
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
    """Returns `value` of unit `source` in unit `target`, exactly; None if the two cannot be compared.

    Degrees Celsius, degrees Fahrenheit and kelvin convert as temperatures, with their zero points.
    """
    exact = Fraction(value)
    if source == target:
        return exact
    old, new = _scale(source), _scale(target)
    if old is None or new is None or old.unit.powers != new.unit.powers:
        return None
    return (exact * old.unit.factor + old.offset - new.offset) / new.unit.factor


class Conversion(NamedTuple):
    """A factor between units that UCUM keeps apart, for one analyte: a `source` is `factor` of `target`.

    An amount of substance has another mass for every substance, and another charge for every ion.
    """

    source: str
    target: str
    factor: Fraction


def convertible(a: str, b: str, conversions: Iterable[Conversion] = ()) -> bool:
    """Whether a value in unit `a` can be brought into unit `b`, by UCUM or by one of the conversions."""
    return comparable(a, b) or any(
        (comparable(a, known.source) and comparable(known.target, b))
        or (comparable(a, known.target) and comparable(known.source, b))
        for known in conversions
    )


def brought_to(
    value: Decimal | int | Fraction, source: str, target: str, conversions: Iterable[Conversion] = ()
) -> Fraction | None:
    """Converts as `converted` does, else by the first of the guidance's conversions that fits."""
    direct = converted(value, source, target)
    if direct is not None:
        return direct
    for known in conversions:
        for begins, ends, factor in (
            (known.source, known.target, known.factor),
            (known.target, known.source, 1 / known.factor),
        ):
            between = converted(value, source, begins)
            if between is not None and comparable(ends, target):
                return converted(between * factor, ends, target)
    return None


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


# What units are called, so that the text of a quantity can be held against the code of its unit.
#
# A name may stand for several units (`m` is a metre, a minute, a month): it contradicts a code only where
# none of them is the code's. A text that names nothing known says nothing.


Names = Mapping[str, frozenset[str]]
"""Codes of units by their names, as these are written and folded."""

_LONGEST_PLURAL = 2
_SHORTEST_STEM = 3
_OPTIONAL_PLURAL = re.compile(r"\(\w{1,2}\)\Z")


def names_another(code: str, name: str, conversions: Iterable[Conversion] = ()) -> bool:
    """Whether the text of a unit names another unit than its UCUM code: nobody knows which one was meant.

    Args:
        code: a UCUM code; of one that is not understood nothing is said.
        name: as people read it, in any language. The numerator alone is a short form of the code.
        conversions: by which a unit may be the same amount as another one for this analyte.
    """
    if not name or name == code or (unit(code) is None and code not in ("Cel", "[degF]")):
        return False
    named = units_named(name)
    meant = (code, code.partition("/")[0])
    return bool(named) and not any(_is_same(one, own, conversions) for one in named for own in meant)


def _is_same(one: str, other: str, conversions: Iterable[Conversion]) -> bool:
    return one == other or all(brought_to(number, one, other, conversions) == number for number in (0, 1))


def units_named(name: str) -> frozenset[str]:
    """Returns the UCUM codes that a text may stand for: a name, or two with a slash between them."""
    over, slash, under = name.partition("/")
    if not slash:
        return codes_by(_names(), name)
    above = frozenset([""]) if over.strip() in ("", "1") else codes_by(_names(), over)
    return frozenset(f"{one}/{other}" for one in above for other in codes_by(_names(), under))


def codes_by(names: Names, name: str) -> frozenset[str]:
    """Returns the codes that have a name: as it is written, else folded, else without the end of a plural."""
    return next(filter(None, (names.get(spelling) for spelling in _spellings(name))), frozenset())


def _spellings(name: str) -> Iterator[str]:
    """Yields a name without its full stop: as it is written, folded, and without the end of a plural."""
    yield name.strip().rstrip(".")
    shown = folded(name).rstrip(".")
    yield shown
    yield _OPTIONAL_PLURAL.sub("", shown)
    for letters in range(1, _LONGEST_PLURAL + 1):
        if len(shown) - letters >= _SHORTEST_STEM:
            yield shown[:-letters]


def names_of(named: Iterable[tuple[str, str]]) -> Names:
    """Returns the codes by every name of pairs of a code and a name."""
    found: dict[str, set[str]] = {}
    for code, name in named:
        for spelling in (name, name.rstrip("."), folded(name).rstrip(".")):
            found.setdefault(spelling, set()).add(code)
    return {name: frozenset(codes) for name, codes in found.items()}


@cache
def _names() -> Names:
    known = json.loads(Path(__file__).with_name("unit_names.json").read_text("utf-8"))
    listed = (*known["names"].items(), *known["symbols"].items())
    return names_of((code, name) for code, names in listed for name in (code, *names))
