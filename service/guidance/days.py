"""Dates as the guidance reads them: days before the response was written, and quantities derived from them.

A quantity with a comparator is a stretch of days, as a partial date is. Differences are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from service.datatypes.answers import UNREAD, Answer, Answers, AnswersByLink, Days, Quantity, Unread
from service.datatypes.days import ANY_DAYS, day_of, days_before
from service.datatypes.ucum import converted
from service.guidance.options import DAY


@dataclass(frozen=True, slots=True)
class DerivedQuantity:
    """A derived quantity, ready to be calculated.

    Args:
        of: one date, or two quantities of which the second is taken from the first.
        sources: linkIds of the questions that it follows from.
        units: the unit of a plain number, by linkId of those that have one.
    """

    name: str
    of: tuple[str, ...]
    sources: frozenset[str]
    units: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DatesRead:
    """What a guidance reads of dates.

    Args:
        links: linkIds of its questions for a date.
        derived: the derived quantities, each after those that it follows from.
        shut_by: by linkId of a question, the quantities that follow from it.
    """

    links: frozenset[str]
    derived: tuple[DerivedQuantity, ...]
    shut_by: Mapping[str, frozenset[str]] = field(init=False, repr=False)
    _sources: frozenset[str] = field(init=False, repr=False)
    _may_be_undated: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Lays out once what every response asks for: for most of them there is nothing to work out."""
        sources = frozenset().union(*[derived.sources for derived in self.derived])
        shut_by = {
            link_id: frozenset(derived.name for derived in self.derived if link_id in derived.sources)
            for link_id in sources
        }
        undated = any(self.links.isdisjoint(derived.sources) for derived in self.derived)
        object.__setattr__(self, "shut_by", shut_by)
        object.__setattr__(self, "_sources", sources)
        object.__setattr__(self, "_may_be_undated", undated)

    def in_days(self, answers: Answers) -> Answers:
        """Returns the answers with each date as days before the response was written."""
        if self.links.isdisjoint(answers.given) and not answers.ignored and not answers.chart:
            return answers
        stated = answers.given, answers.ignored, answers.chart
        given, ignored, chart = [self._in_days(part, answers.authored) for part in stated]
        return Answers(given, answers.closed, ignored, chart, answers.authored, answers.earlier)

    def _in_days(self, answers: AnswersByLink, authored: str) -> AnswersByLink:
        if self.links.isdisjoint(answers):
            return answers
        day = day_of(authored)
        found = dict(answers)
        for link_id in self.links.intersection(answers):
            found[link_id] = tuple(
                days_before(value, day) if isinstance(value, str) else value for value in answers[link_id]
            )
        return found

    def derive(self, given: AnswersByLink, closed: frozenset[str]) -> tuple[AnswersByLink, frozenset[str]]:
        """Returns the answers with the derived ones, and the closed questions with the derived ones.

        Args:
            given: answers that count, dates as days. closed: linkIds that are not asked for certain.
        """
        shut = (self._sources & closed).difference(given)
        if shut:
            closed = closed.union(*[self.shut_by[link_id] for link_id in shut])
        if self._may_be_undated or not self.links.isdisjoint(given):
            return {**given, **self._derived(given)}, closed
        return given, closed

    def exact(self, given: AnswersByLink) -> Iterator[str]:
        """Yields the questions behind what is derived whose answer is one number of days."""
        for derived in self.derived:
            for name in derived.sources.intersection(derived.of, given):
                days = [_as_days(value, derived.units.get(name, "")) for value in given[name]]
                if len(days) == 1 and isinstance(days[0], Days) and days[0].low == days[0].high is not None:
                    yield name

    def _derived(self, given: AnswersByLink) -> AnswersByLink:
        found: dict[str, tuple[Answer, ...]] = {}
        for derived in self.derived:
            if derived.sources <= given.keys():
                parts = [given[name] if name in given else found[name] for name in derived.of]
                found[derived.name] = tuple(_worked_out(derived, parts))
        return found


def _worked_out(derived: DerivedQuantity, parts: list[tuple[Answer, ...]]) -> Iterable[Answer]:
    """Yields the quantity for each combination of the answers that it is derived from."""
    spans = [
        [_as_days(value, derived.units.get(name, "")) for value in values]
        for name, values in zip(derived.of, parts, strict=True)
    ]
    if len(spans) == 1:
        return dict.fromkeys(spans[0])
    return dict.fromkeys(_difference(first, second) for first in spans[0] for second in spans[1])


def _as_days(value: Answer, unit: str) -> Days | Unread:
    """Returns an answer as days; one that cannot be counted in days may be any number of them."""
    if isinstance(value, Days | Unread):
        return value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        value = Quantity(Decimal(value), unit)
    if not isinstance(value, Quantity):
        return ANY_DAYS
    edge = converted(value.value, unit if value.unit == "1" and unit else value.unit, DAY)
    if edge is None:
        return ANY_DAYS
    if value.comparator in ("<", "<="):
        return Days(None, edge, is_high_open=value.comparator == "<")
    if value.comparator in (">", ">="):
        return Days(edge, None, is_low_open=value.comparator == ">")
    return Days(edge, edge)


def _difference(first: Days | Unread, second: Days | Unread) -> Days | Unread:
    """Subtracts the second from the first; an end is open if it is open in either."""
    if isinstance(first, Unread) or isinstance(second, Unread):
        return UNREAD
    low = None if first.low is None or second.high is None else first.low - second.high
    high = None if first.high is None or second.low is None else first.high - second.low
    return Days(
        low,
        high,
        low is not None and (first.is_low_open or second.is_high_open),
        high is not None and (first.is_high_open or second.is_low_open),
    )
