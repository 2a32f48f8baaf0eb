"""The floor under the length of a form: how many questions a person cannot be spared.

A question counts where an answer to it alone, all others as they are, changes the step, its date or a level.
Whoever leaves such a question out can get another result, so that a form can be no shorter than that.

Every option is tried alone, and all options of a list together; a number on both sides of every parameter
that it is compared with, and on it; a date as many days before the response as the parameters count, and a
day more and less. An answer that opens further questions changes the result where those could change it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from service.datatypes.answers import Answer, AnswersByLink, Quantity
from service.datatypes.form import Question
from service.datatypes.ucum import converted
from service.guidance.answer_tables import AnswerTable, Exact
from service.guidance.loading import Guidance
from service.guidance.options import CHOICES, DAY, PLAIN, units_of, unsure_codings
from service.guidance.result import Result


@dataclass(frozen=True, slots=True)
class Floor:
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
    """Returns an exact number as it is written, as near as it can be."""
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
