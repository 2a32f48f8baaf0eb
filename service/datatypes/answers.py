"""The answers of one response, by linkId: what the guidance reads and the only thing it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple


class Coding(NamedTuple):
    """One coded answer; two codings are the same only if both parts are equal."""

    system: str
    code: str


class Quantity(NamedTuple):
    """A measured value with its UCUM unit code."""

    value: Decimal
    unit: str


Answer = Coding | Quantity | bool | int | Decimal | str
"""One answer. Dates, times, texts, urls and references are `str`."""

AnswersByLink = Mapping[str, tuple[Answer, ...]]
"""Answers by linkId; what is not answered is absent."""

_NOTHING: AnswersByLink = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Answers:
    """What one response says.

    Args:
        given: answers by linkId of items that are enabled; unanswered is absent, never zero or empty.
        closed: linkIds of items that are hidden *for certain*: an answer that was given hid them
            (or hid a parent). An item whose enabling question is itself unanswered is not closed.
        ignored: answers that were sent for items which are not enabled. They never count, except
            where the guidance names a contradiction that reads them.
        chart: values from the chart by linkId, used where `given` has none, asked or not.
    """

    given: AnswersByLink
    closed: frozenset[str] = frozenset()
    ignored: AnswersByLink = field(default_factory=lambda: _NOTHING)
    chart: AnswersByLink = field(default_factory=lambda: _NOTHING)
