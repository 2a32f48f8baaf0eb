"""The full check: every fault of a response, and the answers that count."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.datatypes.answers import Answer, Answers
from service.errors import Problem
from service.fhir.outcome import severity
from service.questionnaire.answer_checks import Setting, answer_problems
from service.questionnaire.constraints import initial_problems, rule_problems
from service.questionnaire.enable_when import holds, wants_silence
from service.questionnaire.expressions import Evaluation, Logic
from service.questionnaire.items import DISPLAY, GROUP, Condition, Item
from service.questionnaire.pairing import Occurrence, Paired, Scope, TooCostly, paired
from service.questionnaire.severity import applying

# How often items are answered: required, minOccurs, maxOccurs and repeats, only while enabled.
#
# The rules of `required.py`, for forms in which items occur several times.


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


# Which occurrences are enabled, and which are open or closed for certain.
#
# The same rules as `gates.py`, for forms in which items occur several times. Where the question of
# a condition occurs several times, the nearest one counts: first an ancestor, then the last one
# before, then the first one after.
#
# Source: FHIR R4 Questionnaire.item.enableWhen.question.

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


@dataclass(frozen=True, slots=True)
class Checked:
    """What a response says and what is wrong with it.

    Args:
        problems: every fault, in the order of the response; warnings included.
        answers: answers of enabled items; those of disabled items stand under `ignored`.
    """

    problems: tuple[Problem, ...]
    answers: Answers


@dataclass(frozen=True, slots=True)
class Rules:
    """What the check needs of a compiled form; `ordered` has triggers before what they gate."""

    items: Mapping[str, Item]
    top: tuple[str, ...]
    ordered: tuple[Item, ...]
    logic: Logic | None = None


def check(rules: Rules, response: Mapping[str, Any], status: str) -> Checked:
    """Checks a parsed QuestionnaireResponse of any shape; never raises for what it contains.

    Args:
        status: decides which faults count; see `severity.py`.
    """
    try:
        laid = paired(response, rules.items, rules.top)
    except TooCostly as fault:
        return Checked((_refusal(fault),), Answers({}))
    evaluation = Evaluation(rules.logic, response, laid) if rules.logic is not None else None
    settle(laid, rules.items, rules.ordered, _enabling(evaluation))
    problems = [*_shape_problems(laid), *presence_problems(laid.top)]
    setting = Setting(response)
    for occurrence in laid.occurrences():
        if occurrence.enabled:
            problems.extend(answer_problems(occurrence, setting))
        elif occurrence.given:
            problems.append(_disabled(occurrence))
    problems.extend(initial_problems(laid.occurrences()))
    if evaluation is not None:
        problems.extend(rule_problems(evaluation, laid))
        problems.extend(evaluation.problems)
    return Checked(applying(problems, status), _answers(laid))


def _refusal(fault: TooCostly) -> Problem:
    return Problem("too-costly", f"Expected {fault}.", "QuestionnaireResponse", severity("too-costly"))


def _enabling(evaluation: Evaluation | None) -> Callable[[Occurrence], bool]:
    """Decides enableWhenExpression; one that fails leaves its item open, and its failure is reported."""
    if evaluation is None:
        return lambda _: True
    return lambda here: _holds(evaluation, here)


def _holds(evaluation: Evaluation, here: Occurrence) -> bool:
    expression = evaluation.logic.enabling.get(here.item.link_id)
    if expression is None:
        return True
    before = len(evaluation.problems)
    truth = evaluation.truth(expression, here)
    return truth is True or evaluation.out_of_time or len(evaluation.problems) > before


def _shape_problems(laid: Paired) -> Iterator[Problem]:
    """Faults of shape, without the answers of disabled items, which do not count at all."""
    off = {given.path for one in laid.occurrences() if not one.enabled for given in one.given}
    return (problem for problem in laid.problems if problem.expression not in off)


def _disabled(here: Occurrence) -> Problem:
    text = f"{here.item.label}: expected no answer, because the condition of this question is not met."
    return Problem("disabled-item", text, here.path, severity("disabled-item"))


def _answers(laid: Paired) -> Answers:
    given: dict[str, list[Answer]] = {}
    ignored: dict[str, list[Answer]] = {}
    closed = set()
    for link, found in laid.by_link.items():
        for one in found:
            if one.answers:
                (given if one.enabled else ignored).setdefault(link, []).extend(one.answers)
        if found and max(one.certain for one in found) < 0 and found[0].item.type != DISPLAY:
            closed.add(link)
    return Answers(_frozen(given), frozenset(closed), _frozen(ignored))


def _frozen(answers: dict[str, list[Answer]]) -> dict[str, tuple[Answer, ...]]:
    return {link: tuple(said) for link, said in answers.items()}
