"""Every possible response as variables of the solver: one for each answer that makes a difference.

A question has one variable for each of its options, or for each interval of a number that the
parameters cut and each range that may lie in several of them; one for *open*; and, where it is asked
under a condition, one for *hidden*. Exactly one of them holds, except that a question with several
answers may have several options. The sums of scores follow from these variables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

import msgspec
import z3

from service.datatypes.answers import Answer
from service.guidance import Guidance
from service.guidance.answer_tables import AnswerTable, Exact, Verdict
from service.guidance.conditions import Answered, AskedWhen, Condition, Group, Is, Measured, links_of, walk
from service.guidance.graph import ASKED, Atom
from service.guidance.options import PLAIN, codings_of
from service.guidance.quantities import sources_of
from service.guidance.score_tables import ScoreTable
from service.guidance.scores import ZERO, Line, Weights


def all_of(*formulas: z3.BoolRef) -> z3.BoolRef:
    """Returns `z3.And` of truth values.

    That looks for a sort that numbers and truth values have in common, which takes longer than to prove
    what comes of it.
    """
    return z3.BoolRef(z3.Z3_mk_and(z3.main_ctx().ref(), len(formulas), _array(formulas)))


def any_of(*formulas: z3.BoolRef) -> z3.BoolRef:
    """Returns `z3.Or` of truth values."""
    return z3.BoolRef(z3.Z3_mk_or(z3.main_ctx().ref(), len(formulas), _array(formulas)))


def _array(formulas: tuple[z3.BoolRef, ...]) -> object:
    return (z3.Ast * len(formulas))(*[formula.as_ast() for formula in formulas])


class PossibleAnswer(msgspec.Struct, frozen=True):
    """One answer: words for it, what it says to the tests, its weight in scores, and its variable."""

    words: str
    verdict: Verdict
    mask: int
    weight: Decimal | None
    holds: z3.BoolRef


class AnswerSpace(msgspec.Struct, frozen=True):
    """All that can be answered to one question; exactly one of `answers`, `open` and `hidden` holds.

    Where a question takes several answers, several of `answers` may hold.
    """

    table: AnswerTable
    answers: tuple[PossibleAnswer, ...]
    by_answer: Mapping[Answer, z3.BoolRef]
    open: z3.BoolRef
    hidden: z3.BoolRef

    def sets(self, bit: int, atom: Atom) -> z3.BoolRef:
        """Whether what is answered (or left open) sets this bit of an atom."""
        found = [answer.holds for answer in self.answers if answer.mask >> bit & 1]
        if self.table.unanswered >> bit & 1:
            found.append(self.open)
        if atom.undecided != ASKED or not self.table.takes_several:
            return any_of(*found)
        test = self.table.numbers[atom.test]
        decided = [answer.holds for answer in self.answers if answer.verdict.present & test]
        return all_of(any_of(*found), z3.Not(any_of(*decided)))


def spaces_of(guidance: Guidance, asked: AskedWhen) -> dict[str, AnswerSpace]:
    """Returns the answers to every question that counts, or that decides whether one is asked, by linkId."""
    tables = dict(guidance.compiled.answers.by_link)
    waiting = [link_id for link_id in tables if link_id in asked]
    while waiting:
        deciding = [link_id for link_id in _links(asked[waiting.pop()]) if link_id not in tables]
        for link_id in deciding:  # no condition of the guidance reads it
            tables[link_id] = AnswerTable(guidance.form.questions[link_id], 0, (), guidance.written)
        waiting += [link_id for link_id in deciding if link_id in asked]
    return {link_id: _space(link_id, table) for link_id, table in tables.items()}


def rules_of(spaces: Mapping[str, AnswerSpace], guidance: Guidance, asked: AskedWhen) -> Iterator[z3.BoolRef]:
    """Yields the constraints between the variables: one answer each, and when a question is hidden.

    While a question is open, those that it decides may be answered: it may have an answer that cannot be
    read, or decides nothing, and then it is undecided whether they are asked.
    """
    for link_id, space in spaces.items():
        answers = [answer.holds for answer in space.answers]
        if space.table.takes_several:
            answers = [z3.Or(answers)]
        yield z3.PbEq([(variable, 1) for variable in (*answers, space.open, space.hidden)], 1)
        if space.table.is_derived:
            sources = [spaces[source] for source in sources_of(link_id, guidance.written)]
            yield space.hidden == z3.Or([source.hidden for source in sources])
            yield z3.Implies(z3.Not(space.hidden), space.open == z3.Or([source.open for source in sources]))
            continue
        if link_id not in asked:
            yield z3.Not(space.hidden)
            continue
        is_asked = _is_asked(asked[link_id], spaces, guidance)
        decided = z3.Not(z3.Or([spaces[deciding].open for deciding in _links(asked[link_id])]))
        yield space.hidden == z3.And(z3.Not(is_asked), decided)


def _space(link_id: str, table: AnswerTable) -> AnswerSpace:
    """Returns one variable for each option, and one for all other answers that set the same bits."""
    weights: dict[Answer, Decimal | None] = {
        option.coding: option.weight for option in table.question.options
    }
    options: dict[Answer, PossibleAnswer] = {}
    others: dict[Verdict, PossibleAnswer] = {}
    ranges = ((words, None, verdict) for words, verdict in table.ranges())
    for words, answer, verdict in chain(table.cases(), ranges):
        weight = None if answer is None else weights.get(answer)
        variable = z3.Bool(f"{link_id} = {words}")
        possible = PossibleAnswer(words, verdict, table.mask_of(verdict), weight, variable)
        if answer is None:
            others.setdefault(verdict, possible)
        else:
            options[answer] = possible
    return AnswerSpace(
        table=table,
        answers=(*options.values(), *others.values()),
        by_answer={answer: possible.holds for answer, possible in options.items()},
        open=z3.Bool(f"{link_id} open"),
        hidden=z3.Bool(f"{link_id} hidden"),
    )


def _is_asked(condition: Condition, spaces: Mapping[str, AnswerSpace], guidance: Guidance) -> z3.BoolRef:
    if isinstance(condition, Group):
        parts = [_is_asked(part, spaces, guidance) for part in condition.parts]
        found = z3.And(parts) if condition.word == "all" else z3.Or(parts)
        return z3.Not(found) if condition.word in ("none", "not") else found
    if isinstance(condition, Is):
        return z3.Or(
            [spaces[condition.link_id].by_answer[answer] for answer in _answers(condition, guidance)]
        )
    if not isinstance(condition, Answered | Measured):
        raise TypeError("a question is asked by what is answered: expected groups of Is and Answered")
    space = spaces[condition.link_id]
    answered = z3.Not(z3.Or(space.open, space.hidden))
    return answered if isinstance(condition, Answered) else z3.And(answered, z3.FreshBool(condition.link_id))


def _answers(condition: Is, guidance: Guidance) -> Iterator[Answer]:
    question = guidance.form.questions[condition.link_id]
    for word in condition.words:
        if isinstance(word, bool):
            yield word
        else:
            yield from codings_of(question, word, guidance.written.words)


def _links(condition: Condition) -> Iterator[str]:
    for _, part in walk(condition, ()):
        yield from links_of(part, {})


# Scores: every way in which an answer has points.
#
# Points of conditions are no part of a sum: those follow from the values of nodes (`encoding.py`).


Ends = tuple[z3.ArithRef, z3.ArithRef]
"""The least and the most that a score can be."""


class Sum(NamedTuple):
    """What the questions of a score add at least and at most, and what holds between the variables.

    Args:
        parts: by linkId, what one question adds at least and at most.
    """

    ends: Ends
    rules: tuple[z3.BoolRef, ...]
    parts: Mapping[str, Ends]


class _Added(NamedTuple):
    """What one question adds: whether that is unknown, and at least and at most how much where it is not."""

    unknown: z3.BoolRef
    ends: Ends
    rules: tuple[z3.BoolRef, ...] = ()


def number(value: Exact | int) -> z3.RatNumRef:
    """Returns a number of the guidance as one of the solver."""
    return z3.RealVal(str(value))


def total_of(table: ScoreTable, spaces: Mapping[str, AnswerSpace], free: str = "") -> Sum:
    """Returns the sum of the questions of a score; `free` names two ends that may be anything instead."""
    parts, rules = dict[str, Ends](), list[z3.BoolRef]()
    for weights in table.weights:
        added = _added(weights, spaces[weights.link_id])
        least, most = added.ends
        least = z3.If(added.unknown, number(weights.least), least)
        parts[weights.link_id] = least, z3.If(added.unknown, number(weights.most), most)
        rules += added.rules
    if free:
        return Sum((z3.Real(f"least of {free}"), z3.Real(f"most of {free}")), tuple(rules), parts)
    low, high = (z3.Sum([number(0), *(part[end] for part in parts.values())]) for end in (0, 1))
    return Sum((low, high), tuple(rules), parts)


def _added(weights: Weights, space: AnswerSpace) -> _Added:
    held = space.by_answer.items()
    known = [(holds, weights.by_answer[answer]) for answer, holds in held if answer in weights.by_answer]
    unweighed = [holds for answer, holds in held if answer not in weights.by_answer]
    others = _of_numbers(weights, space)
    unknown = z3.Or([*unweighed, others.unknown])
    if weights.of_ticks:
        ticked = z3.Or([holds for holds, _ in known])
        ends = _ticked(known, unknown, min), _ticked(known, unknown, max)
        return _Added(z3.Or(space.open, z3.And(unknown, z3.Not(ticked))), ends)
    low, high = others.ends
    if weights.several:
        parts = [z3.If(holds, number(points), number(0)) for holds, points in known]
        ends = z3.Sum([low, *parts]), z3.Sum([high, *parts])
    else:
        known.sort(key=itemgetter(1))
        ends = _last(known[::-1], low), _last(known, high)
    return _Added(z3.Or(space.open, unknown), ends, others.rules)


def _ticked(
    known: Iterable[tuple[z3.BoolRef, Decimal]],
    unknown: z3.BoolRef,
    end: Callable[[Decimal, Decimal], Decimal],
) -> z3.ArithRef:
    """Returns an end of what ticked options add; while it is unknown, the others may be ticked as well."""
    parts = [
        z3.If(holds, number(points), z3.If(unknown, number(end(points, ZERO)), number(0)))
        for holds, points in known
    ]
    return z3.Sum([number(0), *parts])


def _last(known: Iterable[tuple[z3.BoolRef, Decimal]], otherwise: z3.ArithRef) -> z3.ArithRef:
    """Returns the points of the last of these options that is chosen."""
    found = otherwise
    for holds, points in known:
        found = z3.If(holds, number(points), found)
    return found


def _of_numbers(weights: Weights, space: AnswerSpace) -> _Added:
    """Returns the points of answers that are not options: those of a number by its value, else none."""
    coded = [holds.get_id() for holds in space.by_answer.values()]
    others = [answer for answer in space.answers if answer.holds.get_id() not in coded]
    given = z3.Or([answer.holds for answer in others])
    known = [(answer, points) for answer, points in weights.by_answer.items() if isinstance(answer, int)]
    if weights.line is None and not known:
        return _Added(given, (number(0), number(0)))
    value, is_range = _variable(space.table), z3.Bool(f"{weights.link_id} is a range")
    rules = [
        z3.Implies(answer.holds, z3.Or(is_range, _within(space.table, answer.mask, value)))
        for answer in others
    ]
    outside, points = _on_the_line(weights.line, value) if weights.line else _by_number(known, value)
    unknown, added = z3.And(given, z3.Or(is_range, outside)), z3.If(given, points, number(0))
    return _Added(unknown, (added, added), tuple(rules))


def _on_the_line(line: Line, value: z3.ArithRef) -> tuple[z3.BoolRef, z3.ArithRef]:
    """Returns whether a number lies outside the range, and what it adds inside."""
    low, high, factor, offset = map(number, line)
    return z3.Or(value < low, value > high), offset + factor * value


def _by_number(known: list[tuple[int, Decimal]], value: z3.ArithRef) -> tuple[z3.BoolRef, z3.ArithRef]:
    """Returns whether a number is none of the options, and what it adds as one of them."""
    outside = z3.And([value != number(option) for option, _ in known])
    return outside, z3.Sum(
        [z3.If(value == number(option), number(added), number(0)) for option, added in known]
    )


def _variable(table: AnswerTable) -> z3.ArithRef:
    """Returns the number that is answered; the same in every score."""
    name = f"{table.question.link_id} value"
    return z3.Real(name) if table.question.type == "decimal" else z3.ToReal(z3.Int(name))


def _within(table: AnswerTable, mask: int, value: z3.ArithRef) -> z3.BoolRef:
    """Whether a number lies in one of the cases of its question that set these bits."""
    scale = table.scale(PLAIN)
    return z3.Or([_case(scale.points, case, value) for case, sets in enumerate(scale.masks) if sets == mask])


def _case(points: tuple[Exact, ...], case: int, value: z3.ArithRef) -> z3.BoolRef:
    """Whether a number lies in one case of a scale: 2k + 1 is point k itself, 2k lies below it."""
    place = case // 2
    if case % 2:
        return value == number(points[place])
    above = [value > number(points[place - 1])] if place > 0 else []
    below = [value < number(points[place])] if place < len(points) else []
    return z3.And(above + below)
