"""The narrative: step and date, what was reported, what was denied and what is not known, in few lines.

The narrative of a RiskAssessment and the printable text are both made from these lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from operator import itemgetter
from typing import Final, NamedTuple

import orjson

from service.datatypes.answers import Coding
from service.datatypes.form import Question
from service.fhir.chart import ChartValue
from service.guidance import Guidance
from service.guidance.conditions import Condition, Group, Is, Named
from service.guidance.model import Level, Outcome, Written
from service.guidance.result import Due, Fired, Interval, Result
from service.results import wording
from service.results.extensions import by_level
from service.results.phrases import AnswerTexts, Phrases, as_sent, beside
from service.results.wording import Assessment

MOST_CHANGES: Final = 4
"""So many answers that got worse are told in the line; the rest is counted, and told to the patient."""

LONGEST_NARRATIVE: Final = 1536
"""Bytes of the XHTML of a narrative."""

_LINES: Final = (
    *("step", "since", "reported", "findings", "scores", "contradictions", "chart", "answered-no"),
    *("not-known", "patterns", "review"),
)
_CUT: Final = frozenset(
    {"since", "findings", "contradictions", "reported", "chart", "answered-no", "not-known"}
)
"""The lines of a narrative that are cut where there is too little room."""
_MOST_VALUES: Final = 20
"""Values of the chart that are spelled out where there is room for them."""
_SENTENCES: Final = frozenset({"findings", "contradictions"})
"""The lines whose parts the guidance wrote: a semicolon between them would look like one of its own."""


class Line(NamedTuple):
    """One line of a summary.

    Args:
        label: what it is about.
        parts: what it lists, without a full stop at the end.
        is_cut: whether it is cut where there is no room.
        are_sentences: whether each part is a sentence of its own.
    """

    label: str
    parts: Sequence[str]
    is_cut: bool = False
    are_sentences: bool = False

    @property
    def said(self) -> str:
        """The parts one behind the other, without a full stop at the end."""
        if self.are_sentences:
            return ". ".join(part[:1].upper() + part[1:] for part in self.parts)
        return "; ".join(self.parts)


class Summary:
    """Writes the summaries of one guidance's results."""

    def __init__(self, guidance: Guidance, texts: AnswerTexts, phrases: Phrases) -> None:
        self._written = guidance.written
        self._texts = texts
        self._phrases = phrases
        self._signs = _signs(guidance, texts.labels)
        self._masks: list[tuple[int, _Sign]] = []
        self._levels = by_level(guidance.written, self._pattern)
        self._labels = {about: phrases[f"clinician.{about}"] for about in _LINES}
        identity = guidance.written.identity
        self._heading = f"{wording.opening(phrases.language)}<p><b>{_xhtml(identity.title)}</b></p>"
        self._room = LONGEST_NARRATIVE - len(self._heading.encode()) - len("</div>")
        self._review = f"{identity.review}. {phrases['clinician.not-a-diagnosis']} {identity.canonical}"

    def lines(self, assessment: Assessment) -> list[Line]:
        """Returns every line that has something to say, in the order in which they are read."""
        return self._lines(assessment, self.chart(assessment))

    def _lines(self, assessment: Assessment, chart: Sequence[str]) -> list[Line]:
        result, answers, levels = assessment.result, assessment.all_answers, self._levels
        found = {
            "step": [self.step(assessment)],
            "since": list(self._since(assessment)),
            "reported": self._texts.labelled(self._written.summary, answers),
            "findings": [self.reason(fired, assessment) for fired in wording.main_reasons(result)],
            "scores": [self._phrases.score(total) for total in result.totals],
            "contradictions": [one.says.to_clinician.rstrip(".") for one in result.contradictions],
            "chart": chart,
            "answered-no": self._negatives(assessment),
            "not-known": list(self._unknown(result)),
            "patterns": [levels[risk.outcome.code, risk.level] for risk in result.risks if risk.listed],
            "review": [self._review],
        }
        return [
            Line(self._labels[about], parts, about in _CUT, about in _SENTENCES)
            for about, parts in found.items()
            if parts
        ]

    def chart(self, assessment: Assessment) -> list[str]:
        """Returns the first values of the chart, and how many there are beside them."""
        values = self._chart(assessment)
        rest = len(values) - _MOST_VALUES
        return [*values[:_MOST_VALUES], *([self._more(rest)] if rest > 0 else [])]

    def _chart(self, assessment: Assessment) -> list[str]:
        """Returns the values of the chart: those that count, then the newest of each that was left out."""
        found: list[tuple[bool, int, str]] = []
        places: dict[tuple[str, bool], int] = {}
        for value in assessment.chart.printed:
            of = value.link_id, bool(value.left_out)
            place = places[of] = places.get(of, -1) + 1
            found.append((bool(value.left_out), place, self._chart_value(value)))
        return [said for _, _, said in sorted(found, key=itemgetter(0, 1))]

    def text(self, assessment: Assessment) -> str:
        """Returns the lines as plain text."""
        return "".join(f"{line.label}: {line.said}.\n" for line in self.lines(assessment))

    def step(self, assessment: Assessment) -> str:
        """Returns the step, its dates and whom they are for."""
        return self.steps(assessment)[0]

    def steps(self, assessment: Assessment) -> tuple[str, ...]:
        """Returns the step with its dates, then shorter: with the first of them, with none."""
        result = assessment.result
        known, authored = self._phrases.known(result.tiers, result.tier), assessment.context.authored
        bare = self._phrases.step(result.tiers, result.tier)
        dates = [self._date(due, authored, is_now=known.overlay) for due in wording.dates(result)]
        if dates:
            own = [self._phrases.say("clinician.own-date", when=when) for when in dates[1:]]
            is_open = result.tier.settled and not result.date_settled
            sooner = [self._phrases["clinician.earlier-date"]] if is_open else []
            told = ("; ".join((dates[0], *own, *sooner)), "; ".join((dates[0], *sooner)))
            return *[self._phrases.step(result.tiers, result.tier, when) for when in told], bare
        if result.recheck is not None:
            again = self._phrases.look_again(result.recheck, authored)
            return self._phrases.step(result.tiers, result.tier, again), bare
        return f"{bare}. {known.target}", bare

    def _date(self, due: Due, authored: str | None, *, is_now: bool) -> str:
        """Returns until when and whom a reason is for; a step that is for now says so itself."""
        addressee = self._written.addressees.get(due.to)
        whom = "" if addressee is None else addressee.to_clinician
        when = "" if is_now and whom else self._phrases.by_when(due.days, authored)
        return ", ".join(part for part in (when, whom) if part)

    def reason(self, fired: Fired, assessment: Assessment) -> str:
        """Returns what a rule says, with the answers that stand behind it."""
        said = fired.rule.says.to_clinician.rstrip(".")
        shown = wording.behind(fired, assessment, self._texts)
        is_unsure = fired.unsure and fired.rule.says.patient_unsure
        unsure = [self._phrases["clinician.not-sure"]] if is_unsure else []
        behind = "; ".join((*unsure, *shown))
        return beside(said, behind) if behind else said

    def _since(self, assessment: Assessment) -> Iterator[str]:
        """Yields what is worse than in earlier responses, with what those were; nothing without any."""
        phrases, texts = self._phrases, self._texts
        changes = wording.changes(assessment, texts)
        for change in changes[:MOST_CHANGES]:
            label = texts.labels[change.link_id]
            yield phrases.say("clinician.changed", label=label, **change.said(phrases))
        if len(changes) > MOST_CHANGES:
            yield self._more(len(changes) - MOST_CHANGES)
        if assessment.earlier:
            dates = (phrases.date(earlier.context.authored or "") for earlier in assessment.earlier)
            yield phrases.say("clinician.compared", dates=", ".join(dict.fromkeys(dates)))

    def _chart_value(self, value: ChartValue) -> str:
        """Returns a value of the chart with its unit and its date, and why it was not used, if it was not."""
        phrases = self._phrases
        sent = (as_sent(value.value), as_sent(value.unit))
        known = " ".join(part for part in (self._texts.labels[value.link_id], *sent) if part)
        dated = f"{known}, {phrases.date(value.date) if value.date else phrases['clinician.no-date']}"
        if not value.left_out:
            return dated
        reason = phrases[f"left-out.{value.left_out}"]
        return phrases.say("clinician.left-out", value=dated, reason=reason)

    def _negatives(self, assessment: Assessment) -> list[str]:
        """Returns the questions whose warning signs were all denied, there or by a no that closed them."""
        findings, answers = assessment.result.findings, assessment.all_answers
        if not self._masks:  # the same for every response, so they are made for the first one only
            self._masks = [(findings.mask(sign.findings), sign) for sign in self._signs]
        denied: dict[str, None] = {}
        for mask, sign in self._masks:
            if findings.are_absent(mask):
                given = answers.get(sign.link, ())
                if given and (not sign.denials or sign.denials.issuperset(given)):
                    denied[sign.label] = None
                for gate, no, label in sign.gates:
                    if no in answers.get(gate, ()) and sign.link not in answers:
                        denied[label] = None
        return list(denied)

    def _unknown(self, result: Result) -> Iterator[str]:
        for question in result.open:
            label = self._texts.labels[question.link_id]
            yield self._phrases.say("clinician.not-sure-of", label=label) if question.unsure else label

    def _pattern(self, outcome: Outcome, ladder: tuple[Level, ...], level: Interval) -> str:
        return f"{outcome.display}: {self._phrases.lowered(self._phrases.level(ladder, level))}"

    def narrative(self, assessment: Assessment) -> bytes:
        """Returns the XHTML div as a JSON string, not longer than LONGEST_NARRATIVE.

        What marks texts that the language lacks comes on top.
        """
        lines = self._lines(assessment, self._chart(assessment))
        paragraphs = [_paragraph(line) for line in lines]
        if len("".join(paragraphs).encode()) > self._room:
            paragraphs = _fitted(lines, self._room, self._more)
        div = "".join([self._heading, *paragraphs, "</div>"])
        return orjson.dumps(self._phrases.with_languages(div))

    def _more(self, number: int) -> str:
        return self._phrases.say("clinician.and-more", number=number)


def _xhtml(text: str) -> str:
    return escape(text, quote=False)


def _fitted(lines: Sequence[Line], room: int, more: Callable[[int], str]) -> list[str]:
    """Returns the lines as paragraphs in at most so many bytes; each that has to be cut says what is missing.

    The lines that may be cut share the room that the others leave; what a short one does not need is
    there for the longer ones.

    Args:
        lines: in the order in which they are read.
        room: in bytes.
        more: says how many parts are left out.
    """
    paragraphs = {line.label: _paragraph(line) for line in lines}
    length = {label: len(text.encode()) for label, text in paragraphs.items()}
    room -= sum(length[line.label] for line in lines if not line.is_cut)
    flexible = sorted((line for line in lines if line.is_cut), key=lambda line: length[line.label])
    for place, line in enumerate(flexible):
        share = room // (len(flexible) - place)
        if length[line.label] > share:
            paragraphs[line.label] = _within(line, share, more)
        room -= len(paragraphs[line.label].encode())
    return list(paragraphs.values())


def _within(line: Line, room: int, more: Callable[[int], str]) -> str:
    """Returns a line with as many of its parts as there is room for; nothing where there is none."""
    for count in range(len(line.parts), -1, -1):
        rest = len(line.parts) - count
        parts = [*line.parts[:count], *([more(rest)] if rest else [])]
        text = _paragraph(line._replace(parts=parts))
        if len(text.encode()) <= room:
            return text
    return ""


def _paragraph(line: Line) -> str:
    return f"<p><b>{line.label}:</b> {_xhtml(line.said)}.</p>"


class _Sign(NamedTuple):
    """A question that asks for warning signs.

    Args:
        link, label: its linkId, and its name in few words.
        findings: that one answer to it makes present: warning signs and, where no answer of its own denies
            them all, what else is a reason for a step.
        denials: the answers that deny all of it, none where any can: in a list those that say so, else all
            but those by which nothing was found out.
        gates: the questions that can close it: linkId, the answer no, and a name in few words.
    """

    link: str
    label: str
    findings: tuple[str, ...]
    denials: frozenset[Coding]
    gates: tuple[tuple[str, Coding, str], ...]


def _signs(guidance: Guidance, labels: Mapping[str, str]) -> list[_Sign]:
    """Returns the questions that ask for warning signs, in the order of the findings."""
    written, questions = guidance.written, guidance.form.questions
    reasons = {rule.when.finding for rule in written.rules if rule.tier and isinstance(rule.when, Named)}
    asked: dict[str, list[str]] = {}
    beside: dict[str, list[str]] = {}
    for finding in written.findings:
        is_sign = written.kinds[finding.kind]
        for link in _alone(finding.when) if is_sign or finding.name in reasons else ():
            (asked if is_sign else beside).setdefault(link, []).append(finding.name)
    no, found = written.words.get("no"), []
    for link, names in asked.items():
        question = questions[link]
        denials = _denials(question, written)
        others = () if question.repeats and denials else beside.get(link, ())
        gates = tuple(_gates(question, questions, labels, no))
        found.append(_Sign(link, labels[link], (*names, *others), denials, gates))
    return found


def _denials(question: Question, written: Written) -> frozenset[Coding]:
    nothing = written.not_known.get(question.link_id, ())
    listed = ("no", "none") if question.repeats else nothing
    codes = {written.words.get(word, word) for word in listed}
    codings = [option.coding for option in question.options if listed]
    return frozenset(coding for coding in codings if (coding.code in codes) == question.repeats)


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
