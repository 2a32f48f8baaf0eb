"""Limits that a Questionnaire computes for each response: how many answers, how long, how large.

Before the answers are judged, each occurrence gets the limits that hold for it. One that cannot be
computed is undecided: it limits nothing, and is named where there is something to limit.

Source: extensions cqf-calculatedValue and cqf-expression on the value of minValue, maxValue, minLength,
maxDecimalPlaces, maxSize, minOccurs, maxOccurs, minQuantity and maxQuantity, and on maxLength, required
and repeats; SDC behavior page, Value constraints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from service.datatypes.answers import Answer, Quantity
from service.errors import Problem
from service.questionnaire.expressions import Evaluation, ParsedExpression, Undecided
from service.questionnaire.items import Item
from service.questionnaire.pairing import Occurrence, PairedResponse, value_elements
from service.questionnaire.problems import problem
from service.questionnaire.values import computed_answer

_WORDS: Mapping[str, str] = {
    "min_value": "the minimum",
    "max_value": "the maximum",
    "min_quantity": "the minimum",
    "max_quantity": "the maximum",
    "min_length": "the minimum length",
    "max_length": "the maximum length",
    "max_decimal_places": "the number of decimal places",
    "max_size": "the maximum size",
    "min_occurs": "the least number of answers",
    "max_occurs": "the greatest number of answers",
    "required": "whether an answer is required",
    "repeats": "whether there may be several answers",
}
_OF_NUMBER = frozenset({"min_occurs", "max_occurs", "required", "repeats"})
_ELEMENTS: Mapping[str, tuple[str, ...]] = {
    "min_quantity": ("valueQuantity",),
    "max_quantity": ("valueQuantity",),
    "max_size": ("valueDecimal",),
    "required": ("valueBoolean",),
    "repeats": ("valueBoolean",),
}
_BY_TYPE = frozenset({"min_value", "max_value"})
_ALSO: Mapping[str, tuple[str, ...]] = {
    "date": ("valueDateTime",),
    "integer": ("valueDecimal",),
    "quantity": ("valueDecimal",),
}
"""Elements of which a limit may be, beside those of the answers, by type of item."""


def computed_limit_problems(evaluation: Evaluation, paired: PairedResponse) -> Iterator[Problem]:
    """Gives each occurrence the limits that are computed for it; yields those that are undecided."""
    for link, limits in evaluation.expressions.limits.items():
        for occurrence in paired.by_link[link] if link is not None else ():
            if occurrence.enabled is not False or occurrence.response_answers:
                yield from _limited(evaluation, occurrence, limits)


def _limited(
    evaluation: Evaluation, occurrence: Occurrence, limits: tuple[ParsedExpression, ...]
) -> Iterator[Problem]:
    for declared, expression in limits:
        name = declared.name
        if name not in _OF_NUMBER and not occurrence.response_answers:
            continue
        found = _limit(name, occurrence.item, evaluation.values(expression, occurrence))
        if isinstance(found, Undecided):
            item = occurrence.item
            words = f"{item.label}: {_WORDS[name]} was not checked, because {found.reason}."
            yield problem("limit-undecided", words, occurrence.path, item.text)
        occurrence.item = _with_limit(occurrence.item, name, found)


def _limit(name: str, item: Item, values: list[Any] | Undecided) -> Answer | Undecided:
    """Returns the computed value of a limit, in a type that fits it, or why there is none."""
    if isinstance(values, Undecided):
        return values
    if not values:
        return Undecided("its expression has no result")
    elements = _ELEMENTS.get(name, ("valueInteger",))
    if name in _BY_TYPE:
        elements = (*value_elements(item), *_ALSO.get(item.type, ()))
    found = computed_answer(values[0], elements) if len(values) == 1 else None
    is_negative = elements == ("valueInteger",) and isinstance(found, int) and found < 0
    return Undecided("its result does not fit") if found is None or is_negative else found


def _with_limit(item: Item, name: str, found: Any) -> Item:
    """Returns an item with one limit more; an undecided one may only permit."""
    known = None if isinstance(found, Undecided) else found
    if name == "required":
        return replace(item, min_occurs=max(item.min_occurs, 1)) if known else item
    if name == "min_occurs":
        return replace(item, min_occurs=max(item.min_occurs, known or 0))
    if name == "max_occurs":
        return replace(item, max_occurs=known)
    if name == "repeats":
        return replace(item, repeats=False, max_occurs=1) if known is False else item
    if known is None:
        return item
    return replace(item, limits=replace(item.limits, **{name: known}, **_of_quantity(name, known)))


def _of_quantity(name: str, found: Any) -> dict[str, Any]:
    """Returns the limit of a quantity that minValue or maxValue sets, if it is one."""
    beside = {"min_value": "min_quantity", "max_value": "max_quantity"}.get(name)
    return {beside: found} if beside is not None and isinstance(found, Quantity) else {}
