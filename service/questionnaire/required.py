"""What a complete response must answer.

`required` (or minOccurs) of an item counts wherever the item is enabled and its container is in
use. The whole form is in use. A group that does not repeat is in use where its own container
is, whether or not it stands in the response, because SDC treats absent and empty items alike. An
occurrence of a repeating group is in use once it holds an answer; so is the inside of a question,
once the question is answered. A required group must hold at least one answer.

Source: FHIR R4 Questionnaire.item.required; SDC rules for absent and empty items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service.questionnaire.item import DISPLAY, GROUP, Item


@dataclass(frozen=True, slots=True)
class Demand:
    """One required item, in item bits.

    Args:
        item: the item itself.
        needed: one of these must be answered.
        holder: one of these must be answered before the demand counts; 0 for always.
    """

    item: int
    needed: int
    holder: int


def demands_of(items: Mapping[str, Item]) -> tuple[Demand, ...]:
    """Returns every demand of a form in which each item occurs at most once."""
    answerable = sum(1 << item.order for item in items.values() if item.answerable)
    return tuple(
        Demand(1 << item.order, needed, _holder(item, items))
        for item in items.values()
        if item.low > 0 and item.type != DISPLAY and (needed := _needed(item) & answerable)
    )


def _needed(item: Item) -> int:
    return subtree(item) if item.type == GROUP else 1 << item.order


def _holder(item: Item, items: Mapping[str, Item]) -> int:
    parent = items[item.parent] if item.parent is not None else None
    while parent is not None:
        if parent.type != GROUP:
            return 1 << parent.order
        if parent.repeats:
            return subtree(parent)
        parent = items[parent.parent] if parent.parent is not None else None
    return 0


def subtree(item: Item) -> int:
    """Returns the bits of an item and everything below it."""
    return (1 << item.end) - (1 << item.order)
