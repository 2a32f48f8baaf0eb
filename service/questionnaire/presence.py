"""How often items are answered: required, minOccurs, maxOccurs and repeats, only while enabled.

The rules of `required.py`, for forms in which items occur several times.
"""

from __future__ import annotations

from collections.abc import Iterator

from service.errors import Problem
from service.questionnaire.item import DISPLAY, GROUP, Item
from service.questionnaire.occurrences import Occurrence, Scope
from service.questionnaire.severity import severity


def presence_problems(scope: Scope) -> list[Problem]:
    """Returns every fault of number in a scope that is in use, and in all scopes in use below it."""
    return [problem for found in scope.by_link.values() for problem in _of_item(found[0].item, found, scope)]


def _of_item(item: Item, found: list[Occurrence], scope: Scope) -> list[Problem]:
    enabled = [one for one in found if one.enabled]
    if not enabled or item.type == DISPLAY:
        return []
    if item.type != GROUP:
        answered = [one for one in enabled if one.given]
        return [problem for one in answered or enabled[:1] for problem in _of_question(one)]
    if item.repeats:
        return _of_repeating_group(item, enabled, scope)
    return _of_group(enabled[0], scope)


def _of_group(here: Occurrence, scope: Scope) -> list[Problem]:
    below = _below(here)
    if not below and here.item.low > 0 and not here.in_use and _can_be_answered(here):
        return [_problem("required", scope.path, f"{here.item.label}: expected an answer in this group.")]
    return below


def _of_repeating_group(item: Item, enabled: list[Occurrence], scope: Scope) -> list[Problem]:
    used = [one for one in enabled if one.in_use]
    problems = [problem for one in used for problem in _below(one)]
    present = sum(one.present for one in enabled)
    if len(used) < item.low and _can_be_answered(enabled[0]):
        problems.append(_too_few(item, len(used), scope.path, "occurrences"))
    if item.high is not None and present > item.high:
        problems.append(_too_many(item, scope.path, "occurrences"))
    return problems


def _of_question(here: Occurrence) -> Iterator[Problem]:
    item, count = here.item, len(here.given)
    if count < item.low:
        path = here.scope.path if count == 0 else here.path
        yield _too_few(item, count, path, "answers")
    if item.high is not None and count > item.high:
        yield _too_many(item, here.path, "answers")
    if count:
        yield from _below(here)


def _below(here: Occurrence) -> list[Problem]:
    return [problem for scope in here.scopes for problem in presence_problems(scope)]


def _can_be_answered(here: Occurrence) -> bool:
    """Whether a group has any question; one that holds only texts cannot be demanded."""
    return any(
        found[0].item.answerable or _can_be_answered(found[0])
        for scope in here.scopes
        for found in scope.by_link.values()
    )


def _too_few(item: Item, count: int, path: str, what: str) -> Problem:
    if count == 0 and item.low == 1:
        return _problem(
            "required", path, f"{item.label}: expected an answer, because the question is required."
        )
    kind = "required" if count == 0 else "too-few"
    return _problem(kind, path, f"{item.label}: expected at least {item.low} {what}.")


def _too_many(item: Item, path: str, what: str) -> Problem:
    if not item.repeats:
        return _problem(
            "too-many", path, f"{item.label}: expected one answer, because the question does not repeat."
        )
    return _problem("too-many", path, f"{item.label}: expected at most {item.high} {what}.")


def _problem(kind: str, path: str, text: str) -> Problem:
    return Problem(kind, text, path, severity(kind))
