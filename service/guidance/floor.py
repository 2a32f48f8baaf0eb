"""The floor under the length of a form: how many questions a person cannot be spared.

A question counts where an answer to it alone, all others as they are, changes the step, its date or a level.
Whoever leaves such a question out can get another result, so that a form can be no shorter than that.

Every option is tried alone, and all options of a list together; a number on both sides of every parameter
that it is compared with, and on it; a date as many days before the response as the parameters count, and a
day more and less. An answer that opens further questions changes the result where those could change it.

An interview may stop sooner than the form ends, but not sooner than these questions are asked; and of several
that change the result only together, it has to ask one. That bounds every interview (`Interviewed.groups`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from decimal import Decimal
from itertools import islice, pairwise, product

import msgspec

from service.datatypes.answers import Answer, AnswersByLink, Quantity
from service.datatypes.form import Question
from service.datatypes.ucum import converted
from service.guidance.answer_tables import AnswerTable, Exact
from service.guidance.loading import Guidance
from service.guidance.options import CHOICES, DAY, PLAIN, units_of, unsure_codings
from service.guidance.result import Result


class Floor(msgspec.Struct, frozen=True):
    """The questions that a person was asked, and those of them that can change the result, in form order."""

    asked: tuple[str, ...]
    changing: tuple[str, ...]


def floor_of(
    guidance: Guidance,
    given: AnswersByLink,
    *,
    asked: Collection[str],
    result_of: Callable[[AnswersByLink], Result],
    date_before: Callable[[int], str],
) -> Floor:
    """Returns which questions a person was asked, and which of them can change the result.

    Args:
        given: what the person answered, by linkId.
        asked: linkIds of the questions that these answers leave enabled.
        result_of: makes a result of answers, with questions hidden as in a real response.
        date_before: makes the date so many days before the response.
    """
    before = _verdict(result_of(given))
    met = [question for link_id, question in guidance.form.questions.items() if link_id in asked]
    changing = [
        question.link_id
        for question in met
        if any(
            _verdict(result_of({**given, question.link_id: answers})) != before
            for answers in other_answers(question, guidance, date_before)
        )
    ]
    return Floor(tuple(question.link_id for question in met), tuple(changing))


_MOST_TRIED = 20_000
"""So many ways of answering several questions are tried; where none has another result, none is claimed."""


class Interviewed(msgspec.Struct, frozen=True):
    """A person whom an interview asks, and what others would answer whom it could take for the same.

    Args:
        guidance: what decides.
        given: what the person answers in full, by linkId.
        enabled: returns the questions that answers leave enabled.
        goes_on: whether the short interview asks a person of these answers anything more.
        result_of, date_before: as `floor_of` takes them.
    """

    guidance: Guidance
    given: AnswersByLink
    enabled: Callable[[AnswersByLink], Collection[str]]
    goes_on: Callable[[AnswersByLink], bool]
    result_of: Callable[[AnswersByLink], Result]
    date_before: Callable[[int], str]

    def groups(self, floor: Floor) -> tuple[tuple[str, ...], ...]:
        """Returns groups of questions of each of which every interview with this person must ask one.

        Whoever answers the questions of one group otherwise, and all others alike, has another result. To an
        interview that asks none of the group both are the same, so it is wrong about one of them. No two
        groups share a question: an interview that is right about everybody asks this person at least as many
        questions as there are groups, whatever its order.

        Args:
            floor: of the same person.

        Returns:
            The groups, those of one question of the floor first.
        """
        found: list[tuple[str, ...]] = [(link,) for link in floor.changing if self._has_another((link,))]
        pool = [link for link in floor.asked if (link,) not in found]
        while self.goes_on(self._without(pool)) and (group := self._smallest(pool)):
            found += [group] if self._has_another(group) else []
            pool = [link for link in pool if link not in group]
        return tuple(found)

    def _smallest(self, links: Collection[str]) -> tuple[str, ...]:
        """Returns those of the questions that keep the interview going, none of which can be answered too.

        There are none where it goes on with all of them answered, as where others were left open.
        """
        kept = tuple(links)
        for link in links:
            fewer = tuple(other for other in kept if other != link)
            kept = fewer if self.goes_on(self._without(fewer)) else kept
        return kept

    def _has_another(self, links: Collection[str]) -> bool:
        """Whether other answers to these questions lead to another result.

        They have to leave enabled whatever could be asked without them.
        """
        before, reachable = _told(self.result_of(self.given)), set(self.enabled(self._without(links)))
        return any(
            _told(self.result_of(other)) != before and reachable <= set(self.enabled(other))
            for other in islice(self._others(links), _MOST_TRIED)
        )

    def _others(self, links: Collection[str]) -> Iterator[AnswersByLink]:
        """Yields other answers to these questions, alone and with an answer to a question that they open."""
        known = {*self.enabled(self.given), *links}
        for way in product(*(tuple(self._answers(link)) for link in links)):
            other = {**self.given, **dict(zip(links, way, strict=True))}
            yield other
            for opened in set(self.enabled(other)) & self.guidance.form.questions.keys() - known:
                yield from ({**other, opened: answers} for answers in self._answers(opened))

    def _answers(self, link: str) -> Iterator[tuple[Answer, ...]]:
        return other_answers(self.guidance.form.questions[link], self.guidance, self.date_before)

    def _without(self, links: Collection[str]) -> AnswersByLink:
        return {link: answers for link, answers in self.given.items() if link not in links}


def _told(result: Result) -> tuple[object, ...]:
    """Returns the end of an interview; at a safety step, only that step."""
    return (result.tier,) if result.tiers[result.tier.at_least].overlay else _verdict(result)


def _verdict(result: Result) -> tuple[object, ...]:
    """Returns the step, its dates and the levels."""
    due = [None if one is None else one.days for one in (result.due, result.step_due)]
    return (result.tier, *due, *[risk.level for risk in result.risks])


def other_answers(
    question: Question, guidance: Guidance, date_before: Callable[[int], str]
) -> Iterator[tuple[Answer, ...]]:
    """Yields answers that differ in what the guidance, or the form, makes of them."""
    if question.type in CHOICES:
        codings = [option.coding for option in question.options]
        yield from ((coding,) for coding in codings)
        if question.repeats:
            unsure = unsure_codings(question, guidance.written.words)
            yield tuple(coding for coding in codings if coding not in unsure)
    elif question.type == "boolean":
        yield from ((False,), (True,))
    elif question.type == "date":
        yield from _dates(guidance, date_before)
    elif question.type in ("integer", "decimal", "quantity"):
        table = guidance.compiled.answers.by_link.get(question.link_id)
        yield from _numbers(question, table) if table is not None else ()
    else:
        yield ("text",)


def _numbers(question: Question, table: AnswerTable) -> Iterator[tuple[Answer, ...]]:
    unit = next(iter(units_of(question)), PLAIN)
    for value in _around(table.scale(unit).points):
        if question.type == "quantity":
            yield (Quantity(value, unit),)
        else:
            yield (int(value) if question.type == "integer" else value,)


def _around(points: tuple[Exact, ...]) -> Iterator[Decimal]:
    """Yields the points, a number between two neighbours, and one at either end; none is negative."""
    if points:
        yield decimal_of(points[0]) / 2
        yield decimal_of(points[-1]) + 1
    for before, after in pairwise(points):
        yield (decimal_of(before) + decimal_of(after)) / 2
    yield from map(decimal_of, points)


def decimal_of(value: Exact) -> Decimal:
    """Returns the Decimal nearest to an exact number."""
    return value if isinstance(value, Decimal) else Decimal(value.numerator) / Decimal(value.denominator)


def _dates(guidance: Guidance, date_before: Callable[[int], str]) -> Iterator[tuple[Answer, ...]]:
    """Yields dates on both sides of every number of days that the guidance knows."""
    spans = {0}
    for parameter in guidance.written.parameters.values():
        if isinstance(parameter.value, bool):
            continue
        days = converted(Decimal(parameter.value), parameter.unit, DAY)
        if days is not None:
            spans |= {max(0, int(days) + apart) for apart in (-1, 0, 1)}
    yield from ((date_before(days),) for days in sorted(spans))
