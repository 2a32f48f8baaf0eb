"""The page that says why: which answers alone lead to the step, what would change it, and on what it rests.

It is asked for from the result, which stays as fast as it was, and worked out apart. Each reason leads to its
answer in the form. Who reads what:

- Whoever has filled in the form reads the smallest set of answers that alone leads to the step, and which
  answers would make it more urgent.
- What would make it less urgent is shown only where a health professional has filled in the form: nobody is
  taught how to answer for a milder result, or told that they would be fine if.
- The doctor reads every reason with the statements of the source beside it, and all smallest sets, of the
  levels too.

There is no such page at a safety step, where nothing leads on, nor while nothing can be said yet: there a
single answer more could be told as a result.

Source: design/architecture.md, "The engine in five ideas", 3; guidance/clinical-decisions.md, sections 1, 6.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from service.datatypes.answers import Answer, AnswersByLink, Quantity
from service.datatypes.values import replace
from service.guidance.floor import decimal_of, other_answers
from service.guidance.options import NUMBERS, units_of, unsure_codings
from service.guidance.reasons import TIER
from service.pages.model import Row
from service.pages.templates import render
from service.results.phrases import AnswerTexts, is_assessable

if TYPE_CHECKING:
    from service.assess import Scored
    from service.catalogue import Pair
    from service.datatypes.form import Question
    from service.guidance.answer_tables import Exact
    from service.guidance.arguments import Minimal
    from service.guidance.changes import Changes, Counterfactual
    from service.guidance.model import Outcome, Rule, Statement
    from service.guidance.result import Interval, Result
    from service.pages.fields import Fields
    from service.pages.model import Frame
    from service.results import Assessment, Why

MOST_SETS: Final = 5
"""So many smallest sets of answers are shown of a step or level, of long ones one; the others are counted."""
MOST_UNFOLDED: Final = 6
"""A set of more answers is folded: who reads it has a minute."""
MOST_BESIDE: Final = 2
"""So many statements stand beside a reason; the others are folded below them."""
MOST_CHANGES: Final = 40
"""So many changes are shown in one direction; the others are counted."""


class Enough(NamedTuple):
    """What alone leads to the step, or to the level of an outcome.

    Args:
        what: the step or the level, in words.
        sets: rows of each set, the smallest first; none if there are too many to be found.
        number: of all sets, those that are not shown included.
    """

    what: str
    sets: tuple[tuple[Row, ...], ...]
    number: int

    @property
    def further(self) -> int:
        """How many sets are not shown."""
        return self.number - len(self.sets)


class Leading(NamedTuple):
    """Changes that lead to one step: each is the rows of the answers that would be others.

    Args:
        is_now: they can lead to a safety step.
    """

    step: str
    is_now: bool
    changes: tuple[tuple[Row, ...], ...]


class Direction(NamedTuple):
    """What would make the step more urgent, or less.

    Args:
        groups: by step, the most urgent first. further: how many changes are not shown.
        within: up to how many answers every change was looked at.
        is_whole: whether the search came to its end.
    """

    groups: tuple[Leading, ...]
    further: int
    within: int
    is_whole: bool


class Reason(NamedTuple):
    """A rule that holds: its words, where it leads, the answers it rests on, and the statements it cites."""

    says: str
    leads: str
    rows: tuple[Row, ...]
    statements: Sequence[Statement]

    @property
    def beside(self) -> Sequence[Statement]:
        """The statements that are shown at once."""
        return self.statements[:MOST_BESIDE]

    @property
    def further(self) -> Sequence[Statement]:
        """The statements that are folded."""
        return self.statements[MOST_BESIDE:]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the template writes.

    Args:
        status: of the response. step: with its date, as the result has it.
        enough: what alone leads to the step; None if that is not known.
        higher: more urgent. lower: less urgent; None if only a patient reads it.
        all_enough: of the step and of every level. reasons: of both.
    """

    frame: Frame
    status: str
    step: str
    enough: Enough | None
    higher: Direction
    lower: Direction | None
    all_enough: tuple[Enough, ...]
    reasons: tuple[Reason, ...]
    most_unfolded: int = MOST_UNFOLDED


def is_explained(result: Result) -> bool:
    """Says whether there is a page of reasons: a safety step shows no link to anything else."""
    return is_assessable(result.tier) and not result.tiers[result.tier.at_least].overlay


class WhyPage:
    """Writes why the results of one guidance are as they are, in one language."""

    def __init__(self, pair: Pair, fields: Fields) -> None:
        self.language = pair.guidance.language
        self._pair = pair
        self._fields = fields
        self._texts = AnswerTexts(pair.guidance, pair.renderer.patient.phrases)
        self._unsure = {
            link: frozenset(unsure_codings(question, pair.guidance.written.words))
            for link, question in pair.guidance.form.questions.items()
        }

    def html(
        self, scored: Scored, why: Why, frame: Frame, *, pages: Mapping[str, str], is_clinician: bool
    ) -> str:
        """Returns the page.

        Args:
            scored: the response; of this pair.
            why: what argues for its result; nothing if that took too much.
            frame: what every page has around its content.
            pages: by linkId, the page of the form on which a question is asked.
            is_clinician: whether a health professional has filled in the form.
        """
        assessment = scored.assessment()
        plain = _Words(self._pair, assessment, self._fields, pages)
        brief = _Words(self._pair, assessment, self._fields, pages, texts=self._texts)
        changes = _Changes(self._pair, self._fields, brief if is_clinician else plain)
        higher = why.higher if is_clinician else replace(why.higher, found=tuple(self._sure(why.higher)))
        shown = Shown(
            frame=frame,
            status=assessment.context.status,
            step=self._pair.renderer.patient.what_to_do(assessment)[0],
            enough=next((plain.enough(found) for found in why.minimal if found.of == TIER), None),
            higher=changes.shown(higher),
            lower=changes.shown(why.lower) if is_clinician else None,
            all_enough=tuple(map(brief.enough, why.minimal)),
            reasons=tuple(self._reasons(assessment, brief)),
        )
        return render("why.html", self.language, page=shown)

    def _sure(self, higher: Changes) -> Iterator[Counterfactual]:
        """Yields the changes by which something becomes true; who is not sure is told what to do apart."""
        for one in higher.found:
            if not any(self._unsure[change.link_id].intersection(change.answers) for change in one.changes):
                yield one

    def _reasons(self, assessment: Assessment, words: _Words) -> Iterator[Reason]:
        """Yields every rule that fired: for the step, then for each level that a report names."""
        result, summary = assessment.result, self._pair.renderer.summary
        steps = {tier.code: tier.display for tier in result.tiers}
        fired = [(one, steps.get(one.rule.tier, "")) for one in result.fired]
        for risk in result.risks:
            outcome, levels = risk.outcome, risk.outcome.levels
            ranked = [(one, levels.index(one.rule.level)) for one in risk.fired if risk.listed]
            fired += [(one, words.level(outcome, rank)) for one, rank in ranked]
        for one, leads in fired:
            cited = self._cited(one.rule)
            yield Reason(summary.reason(one, assessment), leads, words.rows(one.answers), cited)

    def _cited(self, rule: Rule) -> Sequence[Statement]:
        cited = frozenset(rule.sources)
        return [found for found in self._pair.guidance.written.statements if found.id in cited]


class _Words:
    """Writes the answers of one response, each with the page of the form on which it was given.

    Args:
        texts: says them in short; without it, questions and answers are those of the form.
    """

    def __init__(
        self,
        pair: Pair,
        assessment: Assessment,
        fields: Fields,
        pages: Mapping[str, str],
        texts: AnswerTexts | None = None,
    ) -> None:
        self._phrases = pair.renderer.patient.phrases
        self._written = pair.guidance.written
        self._fields = fields
        self._pages = pages
        self._texts = texts
        self.answers: AnswersByLink = {**assessment.answers.ignored, **assessment.all_answers}

    def row(self, link: str, said: tuple[str, ...]) -> Row:
        """Returns a question with answers to it."""
        name = self._fields.label(link) if self._texts is None else self._texts.labels[link]
        return Row(name, said, self._pages.get(link, ""), "")

    def rows(self, links: Iterable[str]) -> tuple[Row, ...]:
        """Returns questions with their answers."""
        return tuple(self.row(link, self.said(link, self.answers.get(link, ()))) for link in links)

    def said(self, link: str, answers: tuple[Answer, ...]) -> tuple[str, ...]:
        """Returns answers in words."""
        said = self._fields.said(link, answers)
        if self._texts is not None:
            said = tuple(self._texts.plainly(link, {link: (answer,)}) for answer in answers)
        return said or (self._phrases["results.no-answer"],)

    def level(self, outcome: Outcome, rank: int) -> str:
        """Returns an outcome with one of its levels."""
        named = self._written.ladder(outcome)[rank].display
        return f"{outcome.display}: {self._phrases.lowered(named)}"

    def enough(self, found: Minimal) -> Enough:
        """Returns the answers that alone lead to the step, or to the level of an outcome."""
        outcomes = (outcome for outcome in self._written.outcomes if outcome.code == found.of)
        step = self._written.tiers[found.rank].display if found.of == TIER else ""
        what = step or next(self.level(outcome, found.rank) for outcome in outcomes)
        is_long = any(len(links) > MOST_UNFOLDED for links in found.sets[:1])
        sets = tuple(map(self.rows, found.sets[: 1 if is_long else MOST_SETS]))
        return Enough(what, sets, len(found.sets))


class _Changes:
    """Says which answers lead to another step, by step, with the answers to one question together."""

    def __init__(self, pair: Pair, fields: Fields, words: _Words) -> None:
        self._guidance = pair.guidance
        self._fields = fields
        self._phrases = pair.renderer.patient.phrases
        self._words = words
        self._tiers = pair.guidance.written.tiers

    def shown(self, found: Changes) -> Direction:
        """Returns the changes in one direction; the step that can become the most urgent comes first."""
        by_step: dict[Interval, list[Counterfactual]] = {}
        for one in found.found:
            by_step.setdefault(one.tier, []).append(one)
        groups, left = [], MOST_CHANGES
        for tier in sorted(by_step, key=lambda tier: (tier.at_most, tier.at_least), reverse=True):
            rows = (*self._single(by_step[tier]), *self._joint(by_step[tier]))
            is_now = self._tiers[tier.at_most].overlay
            groups += [Leading(self._step(tier), is_now, rows[:left])] if left > 0 else []
            left -= len(rows)
        return Direction(tuple(groups), max(-left, 0), found.within, found.finished)

    def _step(self, tier: Interval) -> str:
        most, least = self._tiers[tier.at_most].display, self._tiers[tier.at_least].display
        return most if tier.settled else self._phrases.say("form.why.depends", most=most, least=least)

    def _single(self, found: Iterable[Counterfactual]) -> Iterator[tuple[Row, ...]]:
        """Yields a row for each question of which another answer is enough, with all such answers."""
        by_link: dict[str, list[tuple[Answer, ...]]] = {}
        for one in found:
            if len(one.changes) == 1:
                by_link.setdefault(one.changes[0].link_id, []).append(one.changes[0].answers)
        for link, many in by_link.items():
            yield (self._words.row(link, tuple(dict.fromkeys(self._all_said(link, many)))),)

    def _joint(self, found: Iterable[Counterfactual]) -> Iterator[tuple[Row, ...]]:
        """Yields the rows of each change of several answers."""
        for one in found:
            if len(one.changes) > 1:
                yield tuple(
                    self._words.row(link, tuple(self._all_said(link, [answers])))
                    for link, answers in one.changes
                )

    def _all_said(self, link: str, many: Sequence[tuple[Answer, ...]]) -> Iterator[str]:
        """Yields in words what a question would be answered instead: of a list only what is ticked anew."""
        question, before = self._guidance.form.questions[link], self._words.answers.get(link, ())
        if question.type in NUMBERS and all(many):
            yield from self._ranges(question, [answers[0] for answers in many])
            return
        for answers in many:
            new = tuple(answer for answer in answers if answer not in before)
            yield ", ".join(self._words.said(link, new or answers))

    def _ranges(self, question: Question, values: Sequence[Answer]) -> Iterator[str]:
        """Yields the ranges that numbers stand for, as far as the guidance tells numbers apart."""
        scale = self._guidance.compiled.answers.by_link[question.link_id].scale(units_of(question)[0])
        tried = sorted({scale.case(_number(one)) for (one,) in other_answers(question, self._guidance, str)})
        found = {scale.case(_number(value)) for value in values}
        for is_found, cases in groupby(tried, found.__contains__):
            if is_found:
                run = [*cases]
                yield self._range(question.link_id, _ends(scale.points, run[0], run[-1]))

    def _range(self, link: str, ends: Sequence[tuple[str, Decimal]]) -> str:
        """Returns a range in words: "more than 21 days", "at least 3, less than 7"."""
        question = self._guidance.form.questions[link]
        unit = units_of(question)[0]
        said = []
        for comparator, value in ends:
            answer = Quantity(value, unit) if question.type == "quantity" else value
            (words,) = self._fields.said(link, (answer,))
            said.append(self._phrases.compared(comparator, words))
        return ", ".join(said)


def _number(answer: Answer) -> Decimal | int:
    value = answer.value if isinstance(answer, Quantity) else answer
    return value if isinstance(value, Decimal | int) else Decimal(0)


def _ends(points: Sequence[Exact], first: int, last: int) -> list[tuple[str, Decimal]]:
    """Returns the ends of a range of cases, which alternate: below the first point, on it, above it ..."""
    if first == last and first % 2:
        return [("", decimal_of(points[first // 2]))]
    ends = []
    if first:
        at = (first - 1) // 2
        ends.append((">=" if first % 2 else ">", decimal_of(points[at])))
    if last < 2 * len(points):
        ends.append(("<=" if last % 2 else "<", decimal_of(points[last // 2])))
    return ends
