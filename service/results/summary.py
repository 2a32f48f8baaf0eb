"""What a clinician reads: step and date, what was reported, what was denied, what is not known, in few lines.

The narrative of a RiskAssessment and the printable text are both made from these lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from html import escape
from typing import Final, NamedTuple

import orjson

from service.datatypes.answers import AnswersByLink, Coding
from service.fhir.chart import ChartValue
from service.guidance import Guidance
from service.guidance.conditions import Condition, Group, Is
from service.guidance.model import Written
from service.guidance.result import Due, Fired, Result
from service.results import wording
from service.results.values import AnswerTexts, in_words, lowered, score_words
from service.results.wording import Assessment, by_when

LONGEST_NARRATIVE: Final = 1536
"""Bytes of the XHTML of a narrative."""

_CUT: Final = frozenset({"Findings", "Contradictions", "Reported", "Chart", "Answered no", "Not known"})
"""The lines of a narrative that are cut where there is too little room."""


class Line(NamedTuple):
    """One line: what it is about, and the parts that it lists."""

    label: str
    parts: Sequence[str]


class Summary:
    """Writes the summaries of one guidance's results."""

    def __init__(self, guidance: Guidance, texts: AnswerTexts) -> None:
        self._written = guidance.written
        self._texts = texts
        self._signs = _signs(guidance.written)
        self._gates = {link: question.enabled_by for link, question in guidance.form.questions.items()}
        self._no = guidance.written.words.get("no")
        self._heading = f'<div xmlns="http://www.w3.org/1999/xhtml"><p><b>{_xhtml(guidance.written.identity.title)}</b></p>'
        identity = guidance.written.identity
        self._review = f"{identity.review}. Decision support, not a diagnosis. {identity.canonical}"

    def lines(self, assessment: Assessment) -> list[Line]:
        """Returns every line that has something to say, in the order in which they are read."""
        result, answers = assessment.result, assessment.all_answers
        found = (
            Line("Step", [self.step(assessment)]),
            Line("Reported", self._texts.labelled(self._written.summary, answers)),
            Line(
                "Findings", [self.reason(fired, assessment) for fired in wording.main_reasons(result.fired)]
            ),
            Line("Scores", [score_words(total) for total in result.totals]),
            Line(
                "Contradictions", [contradiction.says.to_clinician for contradiction in result.contradictions]
            ),
            Line("Chart", [self._chart_value(value) for value in assessment.chart.printed]),
            Line("Answered no", list(self._negatives(assessment))),
            Line("Not known", list(self._unknown(result))),
            Line("Patterns", list(self._patterns(result))),
            Line("Review", [self._review]),
        )
        return [line for line in found if line.parts]

    def text(self, assessment: Assessment) -> str:
        """Returns the lines as plain text."""
        return "".join(f"{label}: {'; '.join(parts)}.\n" for label, parts in self.lines(assessment))

    def step(self, assessment: Assessment) -> str:
        """Returns the step, its dates and whom they are for."""
        result = assessment.result
        heading = wording.tier_heading(result.tiers, result.tier)
        known, authored = result.tiers[result.tier.at_least], assessment.context.authored
        dates = [self._date(due, authored, is_now=known.overlay) for due in wording.dates(result)]
        if dates:
            return f"{heading}: {'; the step itself '.join(dates)}"
        if result.recheck is not None:
            return f"{heading}: {wording.look_again(result.recheck, authored)}"
        return f"{heading}. {known.target}"

    def _date(self, due: Due, authored: str | None, *, is_now: bool) -> str:
        """Returns until when and whom a reason is for; a step that is for now says so itself."""
        addressee = self._written.addressees.get(due.to)
        whom = "" if addressee is None else addressee.to_clinician
        when = "" if is_now and whom else by_when(due.days, authored)
        return ", ".join(part for part in (when, whom) if part)

    def reason(self, fired: Fired, assessment: Assessment) -> str:
        """Returns what a rule says, with the answers that stand behind it."""
        said = fired.rule.says.to_clinician.rstrip(".")
        shown = self._texts.said(fired.rule.shows, assessment.all_answers, assessment.result.totals)
        unsure = ["not sure"] if fired.unsure and fired.rule.says.patient_unsure else []
        behind = "; ".join((*unsure, *shown))
        return f"{said} ({behind})" if behind else said

    def _chart_value(self, value: ChartValue) -> str:
        """Returns a value of the chart with its unit and its date, and why it was not used, if it was not."""
        known = " ".join(
            part for part in (self._texts.labels[value.link_id], value.value, value.unit) if part
        )
        dated = f"{known}, {in_words(value.date) if value.date else 'no date'}"
        return f"{dated} (left out: {value.left_out})" if value.left_out else dated

    def _negatives(self, assessment: Assessment) -> Iterator[str]:
        """Yields the questions whose warning signs were all denied, there or by a no that closed them."""
        findings, answers = assessment.result.findings, assessment.all_answers
        denied: dict[str, None] = {}
        for link, names in self._signs.items():
            if all(findings[name] == "absent" for name in names):
                asked = (
                    (link,) if link in answers else filter(partial(self._is_no, answers), self._gates[link])
                )
                denied.update(dict.fromkeys(asked))
        yield from (self._texts.labels[link] for link in denied)

    def _is_no(self, answers: AnswersByLink, link: str) -> bool:
        return any(isinstance(answer, Coding) and answer.code == self._no for answer in answers.get(link, ()))

    def _unknown(self, result: Result) -> Iterator[str]:
        for question in result.open:
            label = self._texts.labels[question.link_id]
            yield f"{label} (not sure)" if question.unsure else label

    def _patterns(self, result: Result) -> Iterator[str]:
        for risk in result.risks:
            if risk.listed:
                level = wording.level_words(self._written.ladder(risk.outcome), risk.level)
                yield f"{risk.outcome.display}: {lowered(level)}"

    def narrative(self, assessment: Assessment) -> bytes:
        """Returns the XHTML div as a JSON string, not longer than LONGEST_NARRATIVE."""
        lines = [Line(label, [_xhtml(part) for part in parts]) for label, parts in self.lines(assessment)]
        room = LONGEST_NARRATIVE - len(self._heading.encode()) - len("</div>")
        div = "".join([self._heading, *_fitted(lines, room), "</div>"])
        return orjson.dumps(div)


def _xhtml(text: str) -> str:
    return escape(text, quote=False)


def _fitted(lines: Sequence[Line], room: int) -> list[str]:
    """Returns the lines as paragraphs in at most so many bytes; each that has to be cut says what is missing.

    The lines that may be cut share the room that the others leave; what a short one does not need is
    there for the longer ones.
    """
    paragraphs = {line.label: _paragraph(line, line.parts) for line in lines}
    length = {label: len(text.encode()) for label, text in paragraphs.items()}
    room -= sum(length[label] for label in length if label not in _CUT)
    flexible = sorted((line for line in lines if line.label in _CUT), key=lambda line: length[line.label])
    for place, line in enumerate(flexible):
        share = room // (len(flexible) - place)
        if length[line.label] > share:
            paragraphs[line.label] = _within(line, share)
        room -= len(paragraphs[line.label].encode())
    return list(paragraphs.values())


def _within(line: Line, room: int) -> str:
    """Returns a line with as many of its parts as there is room for; nothing where there is none."""
    for count in range(len(line.parts), -1, -1):
        more = len(line.parts) - count
        parts = [*line.parts[:count], *([f"and {more} more"] if more else [])]
        text = _paragraph(line, parts)
        if len(text.encode()) <= room:
            return text
    return ""


def _paragraph(line: Line, parts: Sequence[str]) -> str:
    return f"<p><b>{line.label}:</b> {'; '.join(parts)}.</p>"


def _signs(written: Written) -> Mapping[str, tuple[str, ...]]:
    """Returns by linkId the warning signs that one answer can make present: findings of a red-flag kind."""
    asked: dict[str, list[str]] = {}
    for finding in written.findings:
        for link in _alone(finding.when) if written.kinds[finding.kind] else ():
            asked.setdefault(link, []).append(finding.name)
    return {link: tuple(names) for link, names in asked.items()}


def _alone(condition: Condition) -> Iterator[str]:
    """Yields the questions of which one answer alone makes the condition hold."""
    if isinstance(condition, Is):
        yield condition.link_id
    if isinstance(condition, Group) and condition.word == "any":
        for part in condition.parts:
            yield from _alone(part)
