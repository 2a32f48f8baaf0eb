"""Index entries: what a record is found by. The caller reads them out of the body; a store never does."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from msgspec import Struct

DECIMALS = 9  # places of a number that searches tell apart
LOWEST, HIGHEST = -(2**63) + 1, 2**63 - 1


NO_DATE = ":none"
"""What stands behind the name of a parameter where a record has no date of it."""

Text = tuple[str, str, str]
"""What a record is found by: parameter, system and value."""
Range = tuple[str, int, int]
"""What a record is found by: parameter, and the least and the greatest number of a range."""


class Entry(Struct, frozen=True, gc=False):
    """What a record is found by: texts, or a range."""

    def texts(self) -> tuple[Text, ...]:
        """Returns each text that the entry is found by."""
        return ()

    def ranges(self) -> tuple[Range, ...]:
        """Returns the range that the entry covers, if it is one."""
        return ()


class Token(Entry, frozen=True, gc=False):
    """A code; `system` is empty where the code has none."""

    parameter: str
    code: str
    system: str = ""

    def texts(self) -> tuple[Text, ...]:
        """Returns the code."""
        return ((self.parameter, self.system, self.code),)


class Reference(Entry, frozen=True, gc=False):
    """A reference: to a record by type and id, to a place by url, by identifier, or several of these.

    Args:
        parameter: name of the search parameter.
        type, id: both set, or both empty.
        url: absolute url or canonical; empty if there is none.
        identifier: (system, value); the system may be empty.
    """

    parameter: str
    type: str = ""
    id: str = ""
    url: str = ""
    identifier: tuple[str, str] | None = None

    def texts(self) -> tuple[Text, ...]:
        """Returns the text for each of these ways to refer."""
        found: list[Text] = []
        if self.id:
            found.append((self.parameter, self.type, self.id))
        if self.url:
            found.append((f"{self.parameter}:url", "", self.url))
        if self.identifier is not None:
            found.append((f"{self.parameter}:identifier", *self.identifier))
        return tuple(found)


class Uri(Entry, frozen=True, gc=False):
    """A uri, compared letter by letter."""

    parameter: str
    value: str

    def texts(self) -> tuple[Text, ...]:
        """Returns the uri."""
        return ((self.parameter, "", self.value),)


class String(Entry, frozen=True, gc=False):
    """A text, folded by the caller in the same way here and in searches."""

    parameter: str
    value: str

    def texts(self) -> tuple[Text, ...]:
        """Returns the text."""
        return ((self.parameter, "", self.value),)


class Date(Entry, frozen=True, gc=False):
    """A range of time in microseconds since 1970 UTC, both ends included; an open end is None."""

    parameter: str
    low: int | None
    high: int | None

    def ranges(self) -> tuple[Range, ...]:
        """Returns the range, in which nothing is open."""
        low, high = self.low, self.high
        return ((self.parameter, LOWEST if low is None else low, HIGHEST if high is None else high),)


class Absent(Entry, frozen=True, gc=False):
    """That the record has no Date of this parameter: records in the order of a date end with those."""

    parameter: str

    def ranges(self) -> tuple[Range, ...]:
        """Returns a range that no date is compared with."""
        return ((self.parameter + NO_DATE, 0, 0),)


class Number(Entry, frozen=True, gc=False):
    """A range of numbers, both ends included; an open end is None. Nine decimals are told apart."""

    parameter: str
    low: Decimal | None
    high: Decimal | None

    def ranges(self) -> tuple[Range, ...]:
        """Returns the range in units of the ninth decimal, in which nothing is open."""
        ends = whole(self.low, LOWEST, up=False), whole(self.high, HIGHEST, up=True)
        return ((self.parameter, *ends),)


def whole(number: Decimal | None, otherwise: int, *, up: bool) -> int:
    """Returns the number in units of the ninth decimal, rounded up or down; what is too large is cut."""
    if number is None:
        return otherwise
    scaled = number.scaleb(DECIMALS).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return max(LOWEST, min(HIGHEST, int(scaled)))
