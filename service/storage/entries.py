"""Index entries: what a record is found by. The caller reads them out of the body; a store never does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

DECIMALS = 9  # places of a number that searches tell apart
LOWEST, HIGHEST = -(2**63) + 1, 2**63 - 1


@dataclass(frozen=True, slots=True)
class Token:
    """A code; `system` is empty where the code has none."""

    parameter: str
    code: str
    system: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference: to a record by type and id, to a place by url, by identifier, or several of these.

    Args:
        parameter: name of the search parameter.
        type, id: both set, or both empty.
        url: absolute url or canonical; empty where there is none.
        identifier: (system, value); the system may be empty.
    """

    parameter: str
    type: str = ""
    id: str = ""
    url: str = ""
    identifier: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Uri:
    """A uri, compared letter by letter."""

    parameter: str
    value: str


@dataclass(frozen=True, slots=True)
class String:
    """A text, folded by the caller in the same way here and in searches."""

    parameter: str
    value: str


@dataclass(frozen=True, slots=True)
class Date:
    """A stretch of time in microseconds since 1970 UTC, both ends included; an open end is None."""

    parameter: str
    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class Number:
    """A stretch of numbers, both ends included; an open end is None. Nine decimals are told apart."""

    parameter: str
    low: Decimal | None
    high: Decimal | None


Entry = Token | Reference | Uri | String | Date | Number


def texts(entry: Entry) -> Iterator[tuple[str, str, str]]:
    """Yields (parameter, system, value) for each text that the entry is found by."""
    match entry:
        case Token(parameter, code, system):
            yield parameter, system, code
        case Uri(parameter, value) | String(parameter, value):
            yield parameter, "", value
        case Reference():
            yield from _reference_texts(entry)


def ranges(entry: Entry) -> Iterator[tuple[str, int, int]]:
    """Yields (parameter, low, high) for the stretch that the entry covers, if it is one."""
    match entry:
        case Date(parameter, low, high):
            yield parameter, LOWEST if low is None else low, HIGHEST if high is None else high
        case Number(parameter, least, most):
            yield parameter, whole(least, LOWEST, up=False), whole(most, HIGHEST, up=True)


def whole(number: Decimal | None, otherwise: int, *, up: bool) -> int:
    """Returns the number in units of the ninth decimal, rounded up or down; what is too large is cut."""
    if number is None:
        return otherwise
    scaled = number.scaleb(DECIMALS).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return max(LOWEST, min(HIGHEST, int(scaled)))


def _reference_texts(entry: Reference) -> Iterator[tuple[str, str, str]]:
    if entry.id:
        yield entry.parameter, entry.type, entry.id
    if entry.url:
        yield f"{entry.parameter}:url", "", entry.url
    if entry.identifier is not None:
        yield f"{entry.parameter}:identifier", *entry.identifier
