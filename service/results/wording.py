"""The words of a result that are the service's own, and what its two readers are told by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Final, NamedTuple

from service.datatypes.answers import Answers, AnswersByLink
from service.errors import Problem
from service.fhir.chart import ChartValues
from service.fhir.json import Json
from service.fhir.response_context import ResponseContext
from service.guidance.model import Level, Tier
from service.guidance.result import Due, Fired, Interval, Result
from service.results.values import day_after, lowered, span

LANGUAGE: Final = "en"
"""The language of all words below."""

NOT_ASSESSABLE: Final = "Not assessable yet"
ASK_FIRST: Final = "Questions that are still open, in the order in which they should be asked"
IGNORED: Final = "Answers that did not count, because other answers close these questions"
INTENDED_USE: Final = "Intended use"
IF_UNCHANGED: Final = "If the open questions change nothing: "
"""Stands before the reason for a level that is not settled: nothing open is read as a no."""
TRIAGE: Final = "Questionnaire triage by software, not an examination"
NEEDS_EVALUATION: Final = "Needs evaluation"
NO_RULE: Final = "No rule for this outcome holds."
STEP_OF_CARE: Final = "Step of care"
REFERRAL: Final = "Referral proposed"
NO_REFERRAL: Final = "The amended answers ask for no referral; an earlier proposal is revoked."
RESULT_TEXT: Final = "Result of a questionnaire, for patient and clinician"
FOR_THE_PATIENT: Final = "FOR THE PATIENT"
FOR_THE_CLINICIAN: Final = "FOR THE CLINICIAN"

SIDES: Final[Mapping[str, tuple[str, str]]] = {
    "left": ("matches", ""),
    "right": ("", "matches"),
    "both": ("matches", "matches"),
    "neither": ("", ""),
    "not-done": ("not done", "not done"),
    "open": ("open", "open"),
    "informs-only": ("for information", "for information"),
}
"""What the two cells of a table's row say, by the state of the row."""

_NO_CHART: Final = ChartValues()


class Assessment(NamedTuple):
    """A scored response: everything that an output is made from.

    Args:
        result: what the guidance makes of the answers.
        answers: the answers, those of the chart included.
        context: whom and what the response is about.
        chart: values from the chart that count beside the answers; they become `basis`.
        problems: warnings about the response; they become notes.
    """

    result: Result
    answers: Answers
    context: ResponseContext
    chart: ChartValues = _NO_CHART
    problems: tuple[Problem, ...] = ()

    @property
    def all_answers(self) -> AnswersByLink:
        """The answers that count, by linkId: those of the response, then those of the chart."""
        given, chart = self.answers.given, self.answers.chart
        return {**chart, **given} if chart else given


class Numbers(NamedTuple):
    """Telephone numbers that results name; empty ones are not named."""

    emergency: str = ""
    crisis: str = ""

    def behind(self, kind: str) -> str:
        """Returns the sentence with a number, `emergency` or `crisis`; empty where there is none."""
        named = {"emergency": ("Emergency number", self.emergency), "crisis": ("Crisis line", self.crisis)}
        title, number = named.get(kind, ("", ""))
        return f"{title}: {number}." if number else ""


def narrative(*paragraphs: str) -> Json:
    """Returns a narrative of these paragraphs."""
    written = "".join(f"<p>{escape(text, quote=False)}</p>" for text in paragraphs)
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{written}</div>'}


def is_assessable(tier: Interval) -> bool:
    """Returns whether more is known than the lowest step, or no open question could raise it."""
    return tier.settled or tier.at_least > 0


def tier_heading(tiers: tuple[Tier, ...], tier: Interval) -> str:
    """Returns the step of care in one line: settled, at least, or not assessable yet."""
    least, most = tiers[tier.at_least].display, tiers[tier.at_most].display
    if tier.settled:
        return least
    if not is_assessable(tier):
        return f"{NOT_ASSESSABLE}; open questions could raise it to: {most}"
    return f"At least: {least}; open questions could raise it to: {most}"


def level_words(ladder: tuple[Level, ...], level: Interval) -> str:
    """Returns a level, or the two ends that it can still lie between."""
    least, most = ladder[level.at_least].display, ladder[level.at_most].display
    return least if level.settled else f"between {lowered(least)} and {lowered(most)}, not settled"


def quoted(texts: Iterable[str]) -> str:
    """Returns texts in quotation marks, with commas between them."""
    return ", ".join(f"\u201c{text}\u201d" for text in texts)


def by_when(days: int, authored: str | None) -> str:
    """Returns a latest date: `today`, `by 12 December 2026`, or `within 2 weeks` of an unknown day."""
    if days == 0:
        return "today"
    day = day_after(authored, days)
    return f"by {day}" if day else f"within {span(days)}"


def look_again(days: int, authored: str | None) -> str:
    """Returns when to look again: on a day, or after a time where the day of the response is not known."""
    day = day_after(authored, days)
    return f"look again on {day}" if day else f"look again in {span(days)}"


def is_step_later(result: Result) -> bool:
    """Returns whether the step has a date of its own that is later than the earliest of all reasons."""
    due, step = result.due, result.step_due
    return due is not None and step is not None and step.days > due.days


def dates(result: Result) -> tuple[Due, ...]:
    """Returns the earliest date, and behind it the step's own where that is later."""
    found = (result.due, result.step_due if is_step_later(result) else None)
    return tuple(due for due in found if due is not None)


def main_reasons(result: Result) -> list[Fired]:
    """Returns the rules that fired without those that another one contains.

    Where reasons have dates, one that has none is a reason for its own step only: "you answered no to
    every warning sign" is none to see a doctor.
    """
    step = result.tiers[result.tier.at_least].code
    is_dated = result.due is not None
    listed = [one for one in result.fired if not is_dated or one.days is not None or one.rule.tier == step]
    names = {reason.rule.name for reason in listed}
    return [reason for reason in listed if names.isdisjoint(reason.rule.beside)]
