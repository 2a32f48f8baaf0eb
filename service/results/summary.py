"""What a clinician reads: step and date, what was reported, what was denied, what is not known, in few lines.

The narrative of a RiskAssessment and the printable text are both made from these lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final, NamedTuple

import orjson

from service.datatypes.answers import Coding
from service.datatypes.form import Question
from service.fhir.chart import ChartValue
from service.guidance import Guidance
from service.guidance.conditions import Condition, Group, Is
from service.guidance.model import Level, Outcome
from service.guidance.result import Due, Fired, Interval, Result
from service.results import wording
from service.results.extensions import by_level
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
        self._signs = _signs(guidance, texts.labels)
        self._masks: list[tuple[int, _Sign]] = []
        self._levels = by_level(guidance.written, _pattern)
        self._heading = f'<div xmlns="http://www.w3.org/1999/xhtml"><p><b>{_xhtml(guidance.written.identity.title)}</b></p>'
        identity = guidance.written.identity
        self._review = f"{identity.review}. Decision support, not a diagnosis. {identity.canonical}"

    def lines(self, assessment: Assessment) -> list[Line]:
        """Returns every line that has something to say, in the order in which they are read."""
        result, answers, levels = assessment.result, assessment.all_answers, self._levels
        found = (
            Line("Step", [self.step(assessment)]),
            Line("Reported", self._texts.labelled(self._written.summary, answers)),
            Line("Findings", [self.reason(fired, assessment) for fired in wording.main_reasons(result)]),
            Line("Scores", [score_words(total) for total in result.totals]),
            Line(
                "Contradictions", [contradiction.says.to_clinician for contradiction in result.contradictions]
            ),
            Line("Chart", [self._chart_value(value) for value in assessment.chart.printed]),
            Line("Answered no", self._negatives(assessment)),
            Line("Not known", list(self._unknown(result))),
            Line(
                "Patterns",
                [levels[risk.outcome.code, risk.level] for risk in result.risks if risk.listed],
            ),
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

    def _negatives(self, assessment: Assessment) -> list[str]:
        """Returns the questions whose warning signs were all denied, there or by a no that closed them."""
        findings, answers = assessment.result.findings, assessment.all_answers
        if not self._masks:  # the same for every response, so they are made for the first one only
            self._masks = [(findings.mask(sign.findings), sign) for sign in self._signs]
        denied: dict[str, None] = {}
        for mask, sign in self._masks:
            if findings.are_absent(mask):
                if sign.link in answers:
                    denied[sign.label] = None
                for gate, no, label in sign.gates:
                    if no in answers.get(gate, ()) and sign.link not in answers:
                        denied[label] = None
        return list(denied)

    def _unknown(self, result: Result) -> Iterator[str]:
        for question in result.open:
            label = self._texts.labels[question.link_id]
            yield f"{label} (not sure)" if question.unsure else label

    def narrative(self, assessment: Assessment) -> bytes:
        """Returns the XHTML div as a JSON string, not longer than LONGEST_NARRATIVE."""
        lines = self.lines(assessment)
        room = LONGEST_NARRATIVE - len(self._heading.encode()) - len("</div>")
        div = "".join([self._heading, *_fitted(lines, room), "</div>"])
        return orjson.dumps(div)


def _pattern(outcome: Outcome, ladder: tuple[Level, ...], level: Interval) -> str:
    return f"{outcome.display}: {lowered(wording.level_words(ladder, level))}"


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
    return f"<p><b>{line.label}:</b> {_xhtml('; '.join(parts))}.</p>"


class _Sign(NamedTuple):
    """A question that asks for warning signs.

    Args:
        link, label: its linkId, and its name in few words.
        findings: of a red-flag kind, that one answer to it makes present.
        gates: the questions that can close it: linkId, the answer no, and a name in few words.
    """

    link: str
    label: str
    findings: tuple[str, ...]
    gates: tuple[tuple[str, Coding, str], ...]


def _signs(guidance: Guidance, labels: Mapping[str, str]) -> list[_Sign]:
    """Returns the questions that ask for warning signs, in the order of the findings."""
    written, questions = guidance.written, guidance.form.questions
    asked: dict[str, list[str]] = {}
    for finding in written.findings:
        for link in _alone(finding.when) if written.kinds[finding.kind] else ():
            asked.setdefault(link, []).append(finding.name)
    no = written.words.get("no")
    return [
        _Sign(link, labels[link], tuple(names), tuple(_gates(questions[link], questions, labels, no)))
        for link, names in asked.items()
    ]


def _gates(
    question: Question, questions: Mapping[str, Question], labels: Mapping[str, str], no: str | None
) -> Iterator[tuple[str, Coding, str]]:
    for gate in question.enabled_by:
        for option in questions[gate].options:
            if option.coding.code == no:
                yield gate, option.coding, labels[gate]


def _alone(condition: Condition) -> Iterator[str]:
    """Yields the questions of which one answer alone makes the condition hold."""
    if isinstance(condition, Is):
        yield condition.link_id
    if isinstance(condition, Group) and condition.word == "any":
        for part in condition.parts:
            yield from _alone(part)
