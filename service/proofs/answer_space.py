"""Every possible response as variables of the solver: one for each answer that makes a difference.

A question has one variable for each of its options, or for each interval of a number that the
parameters cut; one for *open*; and, where it is asked under a condition, one for *hidden*.
Exactly one of them holds, except that a question with several answers may have several options.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

import z3

from service.datatypes.answers import Answer
from service.guidance import Guidance
from service.guidance.conditions import Answered, Condition, Group, Is, Measured
from service.guidance.graph import codings_of
from service.guidance.readings import Reading, Settings

Asked = Mapping[str, Condition]
"""By linkId, when a question is asked: groups of `Is` (by option code) and `Answered`; absent is always.

A `Measured` stands for a comparison that the solver leaves open: it may hold or not once its
question is answered. That only adds responses, so what is proved stays proved.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One answer: words for it, the bits that it sets, its weight in scores, and its variable."""

    words: str
    mask: int
    weight: Decimal | None
    holds: z3.BoolRef


@dataclass(frozen=True, slots=True)
class Space:
    """The answers to one question. `open` and `hidden` are true where it is neither answered nor ..."""

    reading: Reading
    cases: tuple[Case, ...]
    by_answer: Mapping[Answer, z3.BoolRef]
    open: z3.BoolRef
    hidden: z3.BoolRef

    def sets(self, bit: int) -> z3.BoolRef:
        """Whether what is answered (or left open) sets this bit."""
        found = [case.holds for case in self.cases if case.mask >> bit & 1]
        if self.reading.unanswered >> bit & 1:
            found.append(self.open)
        return z3.Or(found)


def spaces_of(guidance: Guidance, asked: Asked) -> dict[str, Space]:
    """The answers to every question that counts, or that decides whether one is asked, by linkId."""
    readings = dict(guidance.compiled.readings.by_link)
    waiting = [link_id for link_id in readings if link_id in asked]
    while waiting:
        gates = [link_id for link_id in _links(asked[waiting.pop()]) if link_id not in readings]
        readings |= {link_id: _silent(guidance, link_id) for link_id in gates}
        waiting += [link_id for link_id in gates if link_id in asked]
    return {link_id: _space(link_id, reading) for link_id, reading in readings.items()}


def _silent(guidance: Guidance, link_id: str) -> Reading:
    """The table of a question that no condition of the guidance reads."""
    header = guidance.draft.header
    return Reading(guidance.form.questions[link_id], 0, (), Settings(header.words, header.parameters))


def rules_of(spaces: Mapping[str, Space], guidance: Guidance, asked: Asked) -> Iterator[z3.BoolRef]:
    """Yields what holds between the variables: one answer each, and when a question is asked."""
    for link_id, space in spaces.items():
        answers = [case.holds for case in space.cases]
        if space.reading.question.repeats:
            answers = [z3.Or(answers)]
        yield z3.PbEq([(each, 1) for each in (*answers, space.open, space.hidden)], 1)
        if link_id not in asked:
            yield z3.Not(space.hidden)
            continue
        shown = _shown(asked[link_id], spaces, guidance)
        decided = z3.Not(z3.Or([spaces[gate].open for gate in _links(asked[link_id])]))
        yield space.hidden == z3.And(z3.Not(shown), decided)
        yield z3.Implies(z3.Not(shown), z3.Or(space.open, space.hidden))


def _space(link_id: str, reading: Reading) -> Space:
    """One variable for each option, and one for all other answers that set the same bits."""
    weights: dict[Answer, Decimal | None] = {
        option.coding: option.weight for option in reading.question.options
    }
    by_answer: dict[Answer, Case] = {}
    by_mask: dict[int, Case] = {}
    for words, answer, mask in reading.cases():
        variable = z3.Bool(f"{link_id} = {words}")
        if answer is None:
            by_mask.setdefault(mask, Case(words, mask, None, variable))
        else:
            by_answer[answer] = Case(words, mask, weights.get(answer), variable)
    return Space(
        reading=reading,
        cases=(*by_answer.values(), *by_mask.values()),
        by_answer={answer: case.holds for answer, case in by_answer.items()},
        open=z3.Bool(f"{link_id} open"),
        hidden=z3.Bool(f"{link_id} hidden"),
    )


def _shown(condition: Condition, spaces: Mapping[str, Space], guidance: Guidance) -> z3.BoolRef:
    if isinstance(condition, Group):
        parts = [_shown(part, spaces, guidance) for part in condition.parts]
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
            yield from codings_of(question, word, guidance.draft.header.words)


def _links(condition: Condition) -> Iterator[str]:
    if isinstance(condition, Group):
        for part in condition.parts:
            yield from _links(part)
    elif isinstance(condition, Answered | Is | Measured):
        yield condition.link_id
