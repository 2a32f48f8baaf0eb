"""What units are called, so that the text of a quantity can be held against the code of its unit.

The words come from the Unicode CLDR, in some forty languages, long and short, singular and plural; symbols as
laboratories write them beside them. A name may stand for several units (`m` is a metre, a minute, a month):
it contradicts a code only where none of them is the code's. A text that names nothing known says nothing.

Source: `unit_names.json`, which says where its names are from; `scripts/unit_names.py` makes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from service.datatypes.spelling import folded
from service.datatypes.ucum import Conversion, brought_to, unit

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
