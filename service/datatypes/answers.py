"""The answers of one response, by linkId: the only thing that the guidance reads."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple

import msgspec


class Coding(NamedTuple):
    """One coded answer; two codings are the same only if both parts are equal."""

    system: str
    code: str


class Uncoded(msgspec.Struct, frozen=True):
    """An option of the form that has no code: it is known by its display, with or without a system."""

    system: str
    display: str


class Quantity(NamedTuple):
    """A measured value with its UCUM unit code.

    With a comparator (`<`, `<=`, `>=` or `>`) it is no value but a range: every number on that side of
    `value`. A range of plain numbers has the unit `1`.
    """

    value: Decimal
    unit: str
    comparator: str = ""


class Days(NamedTuple):
    """A stretch of days that a date, or what follows from one, may mean; None is without an end.

    It stands for a date among the answers that a guidance reads: the days before the response was written.
    An end that is `open` does not belong to it.
    """

    low: Fraction | int | None = None
    high: Fraction | int | None = None
    is_low_open: bool = False
    is_high_open: bool = False


class Unread(Enum):
    """The answer that stands there and says nothing that can be read."""

    UNREAD = "unread"


UNREAD = Unread.UNREAD
"""Stands for a Coding without a code that is no option, or for a reason why the value is missing.

A question that has only such answers is not answered. Beside other answers it leaves unknown whatever
those do not say.
"""

Answer = Coding | Uncoded | Quantity | Days | Unread | bool | int | Decimal | str
"""One answer. Dates, times, texts, urls and references are `str`."""

AnswersByLink = Mapping[str, tuple[Answer, ...]]
"""Answers by linkId; what is not answered is absent."""

_NOTHING: AnswersByLink = MappingProxyType({})


class Answers(msgspec.Struct, frozen=True):
    """What one response says.

    Args:
        given: answers by linkId of items that are enabled; unanswered is absent, never zero or empty.
        closed: linkIds of items that are hidden *for certain*: an answer that was given hid them
            (or hid a parent). An item whose enabling question is itself unanswered is not closed.
        ignored: answers that were sent for items which are not enabled. They never count, except
            where the guidance names a contradiction that reads them.
        chart: values from the chart by linkId, used where `given` has none, asked or not.
        authored: when the response was written, as it says; empty if it does not. Dates are reckoned
            from here, never from the clock.
        earlier: what earlier responses of the same person say, the newest first. What nobody found out
            is open there, not closed: only what was denied can be new now.
    """

    given: AnswersByLink
    closed: frozenset[str] = frozenset()
    ignored: AnswersByLink = msgspec.field(default_factory=lambda: _NOTHING)
    chart: AnswersByLink = msgspec.field(default_factory=lambda: _NOTHING)
    authored: str = ""
    earlier: tuple[Answers, ...] = ()
