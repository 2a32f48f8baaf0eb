"""The text for the patient: what to do, by when, why, what the answers look like, and what helps.

At most `MOST_WORDS` words stand before "Read more". Whatever the guidance says, the step, its date, one
reason and the emergency line are among them; the rest follows as far as there is room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from service.guidance import Guidance
from service.guidance.model import Advice
from service.guidance.reasons import DATE, TIER
from service.guidance.result import Fired, Result, Risk
from service.results.phrases import FIRST_PART, AnswerTexts, Phrases, beside, first_sentences, is_assessable
from service.results.wording import (
    Assessment,
    Numbers,
    behind,
    changes,
    is_step_later,
    main_reasons,
)

MOST_WORDS: Final = 200
"""Words before "Read more"."""
MOST_REASONS: Final = 4
MOST_THINGS: Final = 3
MOST_ASKED: Final = 5
MOST_NEXT: Final = 2
_MORE_URGENT: Final = frozenset({TIER, DATE})
LONGEST_IN_SHORT: Final = 300
"""Characters of the text in `mitigation`."""


class Section(NamedTuple):
    """A heading, which may be empty, and the lines below it."""

    heading: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The section as it is printed; several lines under a heading are a list."""
        mark = "- " if self.heading and len(self.lines) > 1 else ""
        return "\n".join(
            (*((self.heading,) if self.heading else ()), *(f"{mark}{line}" for line in self.lines))
        )


class PatientText:
    """Writes the texts of one guidance's results.

    `title` stands above a text, and `use` (what it is for, and its review) at its end.

    Args:
        guidance: whose results are told.
        texts: says answers in words.
        phrases: of the language.
        numbers: telephone numbers of the country.
    """

    def __init__(self, guidance: Guidance, texts: AnswerTexts, phrases: Phrases, numbers: Numbers) -> None:
        identity = guidance.written.identity
        self.phrases = phrases
        self._written = guidance.written
        self._questions = guidance.form.questions
        self._texts = texts
        self.numbers = numbers
        self.title = identity.patient_title or identity.title
        review = phrases.say("patient.review", review=identity.review)
        self.use = f"{identity.intended_use.patient} {review}"

    def text(self, assessment: Assessment) -> str:
        """Returns the whole text; nothing in it is meant for clinicians only."""
        first, more = self.sections(assessment)
        parts = [Section("", (self.title,)), *first]
        parts += [Section("", (self.phrases["patient.read-more"],)), *more] if more else []
        return "\n\n".join(part.text for part in (*parts, Section("", (self.use,)))) + "\n"

    def in_short(self, assessment: Assessment) -> str:
        """Returns what to do and by when, in at most LONGEST_IN_SHORT characters."""
        return first_sentences("\n".join(self._what_to_do(assessment)), LONGEST_IN_SHORT)

    def sections(self, assessment: Assessment) -> tuple[list[Section], list[Section]]:
        """Returns what stands before "Read more", and what stands behind it."""
        told = _Told(self, assessment)
        result = assessment.result
        if result.tiers[result.tier.at_least].overlay:
            return told.now(), []
        return told.first(), told.more()

    # What to do, and by when.

    def _what_to_do(self, assessment: Assessment) -> Iterator[str]:
        result = assessment.result
        tier = self.phrases.known(result.tiers, result.tier)
        yield " ".join(self._dated_step(assessment))
        number = self.numbers.behind(tier.number, self.phrases)
        is_least = _is_open(result)
        addressee = None if result.step_due is None else self._written.addressees.get(result.step_due.to)
        own = "" if addressee is None else addressee.step
        words = self.phrases["patient.so-far"] if is_least else own or tier.says.patient
        yield f"{words} {number}".strip()

    def _dated_step(self, assessment: Assessment) -> Iterator[str]:
        """Yields the step with its date; before it, what is due earlier and for whom."""
        result, authored = assessment.result, assessment.context.authored
        tier, due = self.phrases.known(result.tiers, result.tier), result.step_due
        if _is_open(result):
            yield self.phrases["patient.not-settled"]
        if result.due is not None and is_step_later(result):
            yield self._see(result.due.to, self.phrases.by_when(result.due.days, authored))
        if tier.overlay:
            yield f"{tier.display}."
        elif due is not None:
            when = self.phrases.by_when(due.days, authored)
            is_usual = due.to in ("", tier.to)
            said = self.phrases.say("patient.step-by", step=tier.display, when=when) if is_usual else ""
            yield said or self._see(due.to, when)
        elif result.recheck is not None:
            again = self.phrases.look_again(result.recheck, authored)
            yield f"{tier.display}. {again[:1].upper()}{again[1:]}."
        else:
            yield f"{tier.display}. {tier.target}."

    def _see(self, to: str, when: str) -> str:
        addressee = self._written.addressees.get(to)
        if addressee is None:
            return self.phrases.say("patient.advice-by", when=when)
        return self.phrases.say("patient.see-by", addressee=addressee.patient, when=when)

    # Why, what it looks like, what helps.

    def reason(self, fired: Fired, assessment: Assessment) -> str:
        """Returns why, in words for what was answered, with the answers; empty where there are no words."""
        says = fired.rule.says
        words = says.patient_unsure if fired.unsure and says.patient_unsure else says.patient
        shown = "; ".join(behind(fired, assessment, self._texts))
        return f"{beside(words.rstrip('.'), shown, FIRST_PART)}." if words and shown else words

    def changes(self, assessment: Assessment) -> Iterator[str]:
        """Yields what is worse than in earlier responses: the question, what was answered then, and now."""
        for change in changes(assessment, self._texts):
            question = self.question(change.link_id) or self._texts.labels[change.link_id]
            yield self.phrases.say("patient.changed", question=question, **change.said(self.phrases))

    def look(self, risk: Risk) -> str:
        """Returns what the answers look like, by the rule that decided the level or else by the outcome."""
        deciding = risk.fired[0].rule.says.patient if risk.fired else ""
        return deciding or risk.outcome.says.patient

    def question(self, link: str) -> str:
        """Returns a question as it is asked; empty where it has no words."""
        return self._questions[link].text

    def said(self, advice: Advice) -> str:
        """Returns a piece of advice for the patient, with the number to call where it names one."""
        return f"{advice.says.patient} {self.numbers.behind(advice.number, self.phrases)}".strip()

    def what_to_do(self, assessment: Assessment) -> tuple[str, ...]:
        """Returns the step, its dates and what it means."""
        return tuple(self._what_to_do(assessment))


class _Told:
    """What one patient is told: every line once, the most important ones first."""

    def __init__(self, text: PatientText, assessment: Assessment) -> None:
        result = assessment.result
        self._text = text
        self._result = result
        self._head = Section("", text.what_to_do(assessment))
        step = result.tiers[result.tier.at_least]
        own = [fired for fired in main_reasons(result) if not step.overlay or fired.rule.tier == step.code]
        self._reasons = _once(text.reason(fired, assessment) for fired in own)
        self._since = _once(text.changes(assessment))
        self._clashes = _once(contradiction.says.patient for contradiction in result.contradictions)
        is_assessed = is_assessable(result.tier)
        asked = [question for question in result.open if not (is_assessed and question.unsure)]
        self._asked = _once(text.question(question.link_id) for question in asked)
        likest = _likest_first(result)
        self._looks = _once(map(text.look, likest))
        self._is_like_any = bool(likest) and likest[0].level.at_least > 0
        advice = [one for one in result.advice if one.says.patient]
        known = [one for one in advice if one not in result.precautions]
        self._emergency = _emergency_line(advice, known)
        safety = [one for one in known if one.group == "safety" and one is not self._emergency]
        self._safety = [one for one in safety if one.number != "emergency"]
        self._signs = [text.said(one) for one in safety if one.number == "emergency"]
        self_care = [one for one in advice if one.group == "self-care"]
        # What is there only because its question is open comes last; another emergency line is not said.
        unknown = [one for one in advice if one not in known and one.number != "emergency"]
        self._things = _once(map(text.said, (*self._safety, *self_care, *unknown)))
        self._come_back = _once(text.said(one) for one in advice if one.group == "come-back")
        self._visit = _once(text.said(one) for one in advice if one.group == "visit")
        self._rest = _once(text.said(one) for one in advice if one.group in ("work-up", "information"))
        # What every report names is told by its look; what something points to explains itself as well.
        pointed = [risk.outcome for risk in result.risks if risk.listed and risk.outcome.listed_from]
        self._rest += _once(outcome.says.patient for outcome in pointed)

    def now(self) -> list[Section]:
        """Returns what to do now and why, and nothing else."""
        urgent = [self._text.said(one) for one in self._safety if one.when is not None]
        sections = (
            self._head,
            Section("", tuple(urgent)),
            self._section("why", tuple(self._reasons[:MOST_REASONS])),
            self._line(),
        )
        return [section for section in sections if section.lines]

    def first(self) -> list[Section]:
        """Returns what stands before "Read more"; what is taken here is not told again behind it."""
        line, tier = self._line(), self._result.tier
        room = _Room(MOST_WORDS - sum(_words(part.text) for part in (self._head, line)) - _TITLE)
        reasons = room.taken(self._reasons, MOST_REASONS, at_least=1)
        since = room.taken(self._since, MOST_REASONS)
        is_assessed = is_assessable(tier)
        asked = room.taken(self._asked, 0 if is_assessed else MOST_ASKED, at_least=0)
        clashes = room.taken(self._clashes, MOST_REASONS)
        # While nothing is assessable, no likeness stands beside the questions to comfort anybody.
        looks = room.taken(self._looks, 1 if is_assessed and self._is_like_any else 0)
        self._rest = [line for line in self._rest if line not in looks and line not in self._looks]
        again = room.taken(self._come_back, MOST_NEXT)  # what to watch for has the room first
        visit = room.taken(self._visit, 1)
        things = room.taken(self._things, MOST_THINGS)
        sections = (
            self._head,
            self._section("answer-first", asked),
            self._section("why", reasons),
            self._section("since", since),
            self._section("check", clashes),
            self._section("looks", looks),
            self._section("things", things),
            self._section("come-back", visit + again),
            line,
        )
        return [section for section in sections if section.lines]

    def more(self) -> list[Section]:
        """Returns what was not told before."""
        is_settled = self._result.date_settled
        sections = (
            self._section("still-open", () if is_settled else tuple(self._asked)),
            self._section("more-reasons", tuple(self._reasons)),
            self._section("since", tuple(self._since)),
            self._section("check", tuple(self._clashes)),
            self._section("more-things", tuple(self._things)),
            self._section("come-back", (*self._visit, *self._come_back)),
            self._section("compared", tuple(self._looks)),
            self._section("good-to-know", tuple(self._rest)),
            self._section("emergency", tuple(self._signs)),
        )
        return [section for section in sections if section.lines]

    def _section(self, key: str, lines: tuple[str, ...]) -> Section:
        return Section(self._text.phrases[f"patient.{key}"], lines)

    def _line(self) -> Section:
        """Returns the emergency line, unless the step itself says it."""
        tier = self._result.tiers[self._result.tier.at_least]
        line = self._emergency
        is_said = line is None or tier.number == "emergency"
        return self._section("emergency", () if is_said or line is None else (self._text.said(line),))


class _Room:
    """The words that are left before "Read more"."""

    def __init__(self, words: int) -> None:
        self._left = words

    def taken(self, lines: list[str], most: int, *, at_least: int = 0) -> tuple[str, ...]:
        """Takes lines from the front as long as there is room, and returns them; `lines` keeps the others."""
        taken: list[str] = []
        for line in lines[:most]:
            cost = _words(line) + (0 if taken else _HEADING)
            if cost <= self._left or len(taken) < at_least:
                taken.append(line)
                self._left -= cost
        lines[:] = [line for line in lines if line not in taken]
        return tuple(taken)


_HEADING: Final = 5
"""Words of the longest heading."""
_TITLE: Final = 8
"""Words of a title."""


def _words(text: str) -> int:
    return len(text.split())


def _once(lines: Iterable[str]) -> list[str]:
    return [line for line in dict.fromkeys(lines) if line]


def _likest_first(result: Result) -> list[Risk]:
    """Returns the settled outcomes that a report names: those highest on their own ladder first.

    Of equal ones, those come first that are named only because something points to them.
    """

    def height(risk: Risk) -> tuple[float, bool]:
        return -risk.level.at_least / max(1, len(risk.outcome.levels) - 1), not risk.outcome.listed_from

    return sorted((risk for risk in result.risks if risk.listed and risk.level.settled), key=height)


def _is_open(result: Result) -> bool:
    """Returns whether there is a step already that open questions could make more urgent, or due earlier.

    What stays open because of an answer of not sure is named among the reasons, and at a safety step
    nobody is asked to go on.
    """
    is_overlay = result.tiers[result.tier.at_least].overlay
    if result.date_settled or is_overlay or not is_assessable(result.tier):
        return False
    return any(not _MORE_URGENT.isdisjoint(one.moves) and not one.unsure for one in result.open)


def _emergency_line(advice: Sequence[Advice], known: Sequence[Advice]) -> Advice | None:
    """Returns what to watch for in an emergency: the last piece that names the emergency number.

    One that holds for this patient comes before one that always holds, and one whose condition is open
    stands in for nothing else.
    """
    named = [one for one in advice if one.group == "safety" and one.number == "emergency"]
    own = [one for one in named if one.when is not None and one in known]
    general = [one for one in advice if one.group == "safety" and one.when is None]
    fitting = own or [one for one in named if one.when is None] or general or named
    return next(reversed(fitting), None)
