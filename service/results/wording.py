"""What every output of a result is made from, and what its two readers are told in common."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final, NamedTuple

from service.datatypes.answers import Answers, AnswersByLink
from service.errors import Problem
from service.fhir.chart import ChartValues
from service.fhir.json import Json
from service.fhir.response_context import ResponseContext
from service.guidance.conditions import Answered
from service.guidance.result import Due, Fired, Result
from service.languages import ENGLISH
from service.results.phrases import AnswerTexts, Phrases

SIDES: Final[Mapping[str, tuple[str, str]]] = {
    "left": ("matches", ""),
    "right": ("", "matches"),
    "both": ("matches", "matches"),
    "neither": ("", ""),
    "not-done": ("not-done", "not-done"),
    "open": ("open", "open"),
    "informs-only": ("informs-only", "informs-only"),
}
"""What the two cells of a table's row say, by the state of the row: keys of `states`."""

_NO_CHART: Final = ChartValues()


class EarlierResponse(NamedTuple):
    """An earlier response of the same person that the response was compared with.

    Args:
        context: which response it is, and when it was written.
        answers: what is known by it, in the questionnaire of the response.
    """

    context: ResponseContext
    answers: Answers


class Assessment(NamedTuple):
    """A scored response: everything that an output is made from.

    Args:
        result: what the guidance makes of the answers.
        answers: the answers, those of the chart included.
        context: whom and what the response is about.
        chart: values from the chart that count beside the answers; they become `basis`.
        problems: warnings about the response; they become notes.
        earlier: those that it was compared with, as `answers.earlier` has them; they become `basis`.
    """

    result: Result
    answers: Answers
    context: ResponseContext
    chart: ChartValues = _NO_CHART
    problems: tuple[Problem, ...] = ()
    earlier: tuple[EarlierResponse, ...] = ()

    @property
    def all_answers(self) -> AnswersByLink:
        """The answers that count, by linkId: those of the response, then those of the chart."""
        given, chart = self.answers.given, self.answers.chart
        return {**chart, **given} if chart else given


class Numbers(NamedTuple):
    """Telephone numbers that results name; empty ones are not named."""

    emergency: str = ""
    crisis: str = ""

    def behind(self, kind: str, phrases: Phrases) -> str:
        """Returns the sentence with a number, `emergency` or `crisis`; empty where there is none."""
        number = self._asdict().get(kind, "")
        return phrases.say(f"numbers.{kind}", number=number) if number else ""


def opening(language: str) -> str:
    """Returns the tag with which a narrative begins; it names its language, unless that is English.

    Source:
        R4 narrative.html#lang: `lang` and `xml:lang` say it to those who read the XHTML alone.
    """
    stated = "" if language == ENGLISH else f' lang="{language}" xml:lang="{language}"'
    return f'<div xmlns="http://www.w3.org/1999/xhtml"{stated}>'


def narrative(language: str, *paragraphs: str) -> Json:
    """Returns a narrative of these paragraphs."""
    written = "".join(f"<p>{escape(text, quote=False)}</p>" for text in paragraphs)
    return {"status": "generated", "div": f"{opening(language)}{written}</div>"}


class Changed(NamedTuple):
    """A question whose answer got worse: what was answered then, when that was, and what is answered now.

    Args:
        was_closed: another answer of then had closed it, such as a no to what it asks the details of.
    """

    link_id: str
    before: str
    authored: str
    now: str
    was_closed: bool

    def said(self, phrases: Phrases) -> dict[str, str]:
        """Returns the parts of a sentence about it."""
        nothing = phrases["results.did-not-apply" if self.was_closed else "results.no-answer"]
        return {"before": self.before or nothing, "date": phrases.date(self.authored), "now": self.now}


def changes(assessment: Assessment, texts: AnswerTexts) -> list[Changed]:
    """Returns what got worse since earlier responses, in form order."""
    answers, found = assessment.all_answers, []
    for link, place in assessment.result.changes:
        earlier = assessment.earlier[place]
        then, authored = earlier.answers, earlier.context.authored or ""
        before, now = texts.plainly(link, then.given), texts.plainly(link, answers)
        found.append(Changed(link, before, authored, now, link in then.closed))
    return found


def behind(fired: Fired, assessment: Assessment, texts: AnswerTexts) -> list[str]:
    """Returns the answers behind a reason in words; last, those that do not fit and counted as the worse."""
    shows, answers = fired.rule.shows, assessment.answers
    said = texts.said(shows, assessment.all_answers, assessment.result.totals)
    for contradiction in assessment.result.contradictions:
        match contradiction.between:
            case (Answered(link),) if link in shows and (link in answers.given or link in answers.ignored):
                unfit = answers.ignored if link in answers.ignored else answers.chart
                said += texts.said((link,), unfit)
    return said


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

    What is sure is not contained in what somebody was not sure about.

    Where reasons have dates, one that has none is a reason for its own step only: "you answered no to
    every warning sign" is none to see a doctor.
    """
    step = result.tiers[result.tier.at_least].code
    is_dated = result.due is not None
    listed = [one for one in result.fired if not is_dated or one.days is not None or one.rule.tier == step]
    names = {reason.rule.name for reason in listed}
    sure = {reason.rule.name for reason in listed if not reason.unsure}
    return [one for one in listed if (names if one.unsure else sure).isdisjoint(one.rule.beside)]
