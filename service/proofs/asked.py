"""When the questions of a questionnaire are asked, in the words of the guidance's conditions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from service.guidance.answers import Coding
from service.guidance.conditions import Answered, Condition, Group, Is, Measured
from service.questionnaire import Compiled
from service.questionnaire.item import Condition as EnableWhen
from service.questionnaire.item import Item

if TYPE_CHECKING:
    from service.proofs.answer_space import Asked


def asked_by(compiled: Compiled) -> Asked:
    """By linkId of every question with a condition (of its own or of what it stands in): when it is asked."""
    asked: dict[str, Condition] = {}
    for link_id in compiled.form.questions:
        parts = tuple(_conditions(compiled, compiled.items[link_id]))
        if parts:
            asked[link_id] = Group("all", parts)
    return asked


def _conditions(compiled: Compiled, item: Item) -> Iterator[Condition]:
    if item.conditions:
        word = "any" if item.any_condition else "all"
        yield Group(word, tuple(_condition(compiled, each) for each in item.conditions))
    if item.parent is not None:
        yield from _conditions(compiled, compiled.items[item.parent])


def _condition(compiled: Compiled, when: EnableWhen) -> Condition:
    answered = Answered(when.question)
    if when.operator == "exists":
        return answered if when.expected is True else Group("not", (answered,))
    if when.operator == "=" and isinstance(when.expected, bool):
        return Is(when.question, (when.expected,))
    codings = [option.coding for option in compiled.form.questions[when.question].options]
    if when.operator in ("=", "!=") and isinstance(when.expected, Coding):
        wanted = [coding.code for coding in codings if (coding == when.expected) is (when.operator == "=")]
        return Is(when.question, tuple(wanted))
    return Measured(when.question, when.operator, ())
