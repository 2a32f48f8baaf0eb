"""Every possible response as variables of the solver: one for each answer that makes a difference.

A question has one variable for each of its options, or for each interval of a number that the
parameters cut and each range that may lie in several of them; one for *open*; and, where it is asked
under a condition, one for *hidden*. Exactly one of them holds, except that a question with several
answers may have several options.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain

import z3

from service.datatypes.answers import Answer
from service.guidance import Guidance
from service.guidance.answer_tables import AnswerTable, Verdict
from service.guidance.conditions import Answered, AskedWhen, Condition, Group, Is, Measured, links_of, walk
from service.guidance.graph import ASKED, Atom
from service.guidance.options import codings_of
from service.guidance.quantities import sources_of


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


@dataclass(frozen=True, slots=True)
class PossibleAnswer:
    """One answer: words for it, what it says to the tests, its weight in scores, and its variable."""

    words: str
    verdict: Verdict
    mask: int
    weight: Decimal | None
    holds: z3.BoolRef


@dataclass(frozen=True, slots=True)
class AnswerSpace:
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
