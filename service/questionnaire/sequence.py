"""An order of items in which every question comes before the items that it gates.

Source: Kahn's algorithm; https://doi.org/10.1145/368996.369025
"""

from __future__ import annotations

from collections.abc import Mapping

from service.questionnaire.item import Item


def sequence(items: Mapping[str, Item]) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Returns all items with parents and triggers first, and the linkIds whose conditions run in a circle.

    A trigger that stands inside a gated group depends on that group as well. Items in a circle
    follow at the end in document order.
    """
    waiting = {link: _needs(item, items) for link, item in items.items()}
    followers: dict[str, list[str]] = {link: [] for link in items}
    for link, needs in waiting.items():
        for need in needs:
            followers[need].append(link)
    open_ = {link: len(needs) for link, needs in waiting.items()}
    ready = [link for link, count in open_.items() if count == 0][::-1]
    ordered: list[Item] = []
    while ready:
        link = ready.pop()
        ordered.append(items[link])
        for follower in reversed(followers[link]):
            open_[follower] -= 1
            if open_[follower] == 0:
                ready.append(follower)
    placed = {item.link_id for item in ordered}
    circular = tuple(link for link in items if link not in placed)
    return (*ordered, *(items[link] for link in circular)), circular


def _needs(item: Item, items: Mapping[str, Item]) -> set[str]:
    needs = {condition.question for condition in item.conditions if condition.question in items}
    if item.parent is not None:
        needs.add(item.parent)
    return needs - {item.link_id}
