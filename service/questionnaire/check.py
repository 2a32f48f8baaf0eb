"""The full check: every fault of a response, and the answers that count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.errors import Problem
from service.guidance.answers import Answer, Answers
from service.questionnaire.answer_checks import Setting, answer_problems
from service.questionnaire.evaluation import Evaluation
from service.questionnaire.item import DISPLAY, Item
from service.questionnaire.logic import Logic
from service.questionnaire.occurrences import Occurrence, Paired, TooCostly, paired
from service.questionnaire.presence import presence_problems
from service.questionnaire.reach import settle
from service.questionnaire.rules import initial_problems, rule_problems
from service.questionnaire.severity import applying, severity


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
