"""The fast path: one walk that proves a common, valid response, or says nothing at all.

It agrees with the full check: whatever it accepts has no problem there, and yields the same
answers. Whatever is not plainly fine is None, and the full check finds the words.

The response comes as typed structs: attributes as FHIR names the elements, unset ones are
`msgspec.UNSET`. Whoever made them has proved that they are what the JSON says, that an answer has
one value[x] at most, and that dates and texts are well-formed. The walk is written for speed: coded
answers, which are most, are read in the loop itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from service.guidance.answers import Answer, Answers
from service.questionnaire.gates import Gates
from service.questionnaire.plans import Plan, Plans


def accept(plans: Plans, gates: Gates, items: Sequence[Any], *, complete: bool) -> Answers | None:
    """Returns the answers of a response that is plainly valid, else None.

    Args:
        items: top-level items of the response; `complete`: its status demands completeness.
    """
    walk = _Walk(plans, gates)
    if not walk.items(items, -1):
        return None
    disabled, closed = gates.states(walk.true, walk.known)
    answered = sum(walk.answered)
    if answered & disabled or (complete and _is_missing(plans, answered, disabled)):
        return None
    return Answers(walk.given, closed)


def _is_missing(plans: Plans, answered: int, disabled: int) -> bool:
    if plans.always & ~answered & ~disabled:
        return True
    return any(
        not demand.item & disabled
        and not demand.needed & answered
        and (not demand.holder or demand.holder & answered)
        for demand in plans.demands
    )


class _Walk:
    """The state of one walk: answers by linkId, and bits of items and conditions."""

    __slots__ = ("answered", "by_link", "gates", "given", "known", "last", "true")

    def __init__(self, plans: Plans, gates: Gates) -> None:
        self.by_link = plans.by_link
        self.gates = gates
        self.given: dict[str, tuple[Answer, ...]] = {}
        self.answered: list[int] = []
        self.true = self.known = 0
        self.last = -1

    def items(self, items: Sequence[Any], parent: int) -> bool:  # noqa: C901, PLR0911 - the one hot loop
        """Walks siblings; their order must rise, so no linkId comes twice. False: needs the full check."""
        by_link = self.by_link
        for item in items:
            plan = by_link.get(item.linkId)
            if plan is None or plan.parent != parent or plan.order <= self.last:
                return False
            text = item.text
            if text is not UNSET and text != plan.text:
                return False
            self.last = plan.order
            answers = item.answer
            nested = item.item
            if answers is UNSET:
                if nested is not UNSET and not (plan.container and self.items(nested, plan.order)):
                    return False
            elif nested is not UNSET:
                return False
            elif plan.coded is not None and len(answers) == 1:
                answer = answers[0]
                coding = answer.valueCoding
                option = plan.coded.get(coding.code) if coding is not UNSET else None
                if option is None or option.system != coding.system:
                    return False
                self.given[plan.link] = option.answers
                self.answered.append(plan.bit)
                if plan.asked:
                    self.true |= option.true
                    self.known |= option.known
                if answer.item is not UNSET and not self.items(answer.item, plan.order):
                    return False
            elif not self.answers(plan, answers):
                return False
        return True

    def answers(self, plan: Plan, answers: Sequence[Any]) -> bool:
        """Reads the answers of one question, other than a single option. False: needs the full check."""
        if plan.slow or not plan.low <= len(answers) <= plan.high:
            return False
        given = self.coded(plan, answers) if plan.coded is not None else self.typed(plan, answers)
        if not given:
            return False
        self.given[plan.link] = given
        self.answered.append(plan.bit)
        for answer in answers:
            if answer.item is not UNSET and not (len(answers) == 1 and self.items(answer.item, plan.order)):
                return False
        return True

    def coded(self, plan: Plan, answers: Sequence[Any]) -> tuple[Answer, ...]:
        """Several answers that are options, by system and code; nothing where one is not plainly fine."""
        found: tuple[Answer, ...] = ()
        for answer in answers:
            coding = answer.valueCoding
            option = plan.coded.get(coding.code) if plan.coded and coding is not UNSET else None
            if option is None or option.system != coding.system:
                return ()
            if option.exclusive or option.answers[0] in found:
                return ()
            found += option.answers
            self.true |= option.true
            self.known |= option.known
        return found

    def typed(self, plan: Plan, answers: Sequence[Any]) -> tuple[Answer, ...]:
        """Answers of any other plain type, within their limits; nothing where one is not plainly fine."""
        found: list[Answer] = []
        for answer in answers:
            value = getattr(answer, plan.element)
            read = None if value is UNSET else plan.read(value)
            if read is None:
                return ()
            found.append(read)
        given = tuple(found)
        if plan.asked:
            true, known = self.gates.bits(plan.link, given)
            self.true |= true
            self.known |= known
        return given
