"""Which occurrences are enabled, and which are open or closed for certain.

The same rules as `gates.py`, for forms in which items occur several times. Where the question of
a condition occurs several times, the nearest one counts: first an ancestor, then the last one
before, then the first one after.

Source: FHIR R4 Questionnaire.item.enableWhen.question.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping

from service.questionnaire.conditions import holds, wants_silence
from service.questionnaire.item import Condition, Item
from service.questionnaire.occurrences import Occurrence, Paired, Scope

Expressed = Callable[[Occurrence], bool]
"""Whether the enableWhenExpression of an occurrence holds; empty and false are both False."""


def settle(paired: Paired, items: Mapping[str, Item], ordered: Iterable[Item], expressed: Expressed) -> None:
    """Sets `enabled` and `certain` of every occurrence.

    Args:
        ordered: all items, triggers and parents before what depends on them.
    """
    for item in ordered:
        for occurrence in paired.by_link[item.link_id]:
            _settle(occurrence, items, paired, expressed)


def _settle(here: Occurrence, items: Mapping[str, Item], paired: Paired, expressed: Expressed) -> None:
    item, owner = here.item, here.scope.owner
    now, certain = True, 1
    if item.conditions:
        verdicts = [_verdict(condition, here, items, paired) for condition in item.conditions]
        now = (any if item.any_condition else all)(verdict[0] for verdict in verdicts)
        certain = (max if item.any_condition else min)(verdict[1] for verdict in verdicts)
    if item.enable_expression:
        now, certain = now and expressed(here), min(certain, 0)
    if owner is not None:
        now, certain = now and owner.enabled, min(certain, owner.certain)
    here.enabled, here.certain = now, certain


def _verdict(
    condition: Condition, here: Occurrence, items: Mapping[str, Item], paired: Paired
) -> tuple[bool, int]:
    """Returns whether the condition holds now, and 1, -1 or 0 as it is true, false or open for good."""
    silent = wants_silence(condition)
    trigger = items.get(condition.question)
    found, may_multiply = _nearest(trigger, here, paired) if trigger is not None else (None, False)
    if trigger is None or found is None:
        return silent, 0
    answers = found.answers if found.enabled else ()
    verdict = holds(condition, answers, trigger.type)
    if found.certain < 0:
        return verdict is True, _sign(verdict=silent)
    if not answers or verdict is None or may_multiply or (found.certain == 0 and verdict is not silent):
        return verdict is True, 0
    return verdict, _sign(verdict=verdict)


def _sign(*, verdict: bool) -> int:
    return 1 if verdict else -1


def _nearest(trigger: Item, here: Occurrence, paired: Paired) -> tuple[Occurrence | None, bool]:
    """Returns the nearest occurrence of the trigger, and whether further ones could come nearer."""
    found = paired.by_link[trigger.link_id]
    if len(found) == 1 and found[0].scope is here.scope:
        return found[0], False
    scope = here.scope
    while scope.owner is not None and not _contains(scope.owner.item, trigger):
        scope = scope.owner.scope
    if scope.owner is not None and scope.owner.item is trigger:
        return scope.owner, False
    first, end = (scope.owner.position, scope.owner.end) if scope.owner is not None else (0, paired.count + 1)
    low, high = (bisect_left(found, place, key=_position) for place in (first, end))
    before = bisect_left(found, here.position, low, high, key=_position)
    if low == high:
        return None, False
    nearest = found[before - 1] if before > low else found[before]
    return nearest, _repeats_below(scope, nearest)


def _position(occurrence: Occurrence) -> int:
    return occurrence.position


def _contains(item: Item, other: Item) -> bool:
    return item.order <= other.order < item.end


def _repeats_below(scope: Scope, occurrence: Occurrence) -> bool:
    owner = occurrence.scope.owner
    while owner is not None and owner is not scope.owner:
        if owner.item.repeats:
            return True
        owner = owner.scope.owner
    return False
