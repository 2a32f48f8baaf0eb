"""What expressions demand of a response: constraints, calculated values, fixed initial values.

A constraint that is true is satisfied. One that is false is a fault of the severity that its
author gave it. An empty result is neither: it is reported as information, because answers
that it reads are missing.

Source: targetConstraint and questionnaire-constraint; SDC calculatedExpression, initialExpression;
aehrc/smart-forms#1954 on constraints read the wrong way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from service.datatypes.answers import Answer, Coding, Quantity
from service.errors import Problem
from service.fhir.outcome import severity
from service.questionnaire.expressions import Constraint, Evaluation
from service.questionnaire.pairing import Occurrence, Paired, elements_of
from service.questionnaire.values import READERS, NotWellFormed, same


def rule_problems(evaluation: Evaluation, laid: Paired) -> Iterator[Problem]:
    """Yields what expressions find wrong; only items that are enabled are looked at."""
    logic = evaluation.logic
    yield from _constraints(evaluation, None, logic.constraints.get(None, ()))
    for link in {**logic.constraints, **logic.calculated, **logic.initial}:
        for here in laid.by_link[link] if link is not None else ():
            if not here.enabled:
                continue
            if here.present:
                yield from _constraints(evaluation, here, logic.constraints.get(link, ()))
            yield from _calculated(evaluation, here)
            yield from _initial_expression(evaluation, here)


def initial_problems(occurrences: Iterable[Occurrence]) -> Iterator[Problem]:
    """Yields read-only items whose answers differ from the initial values of the form."""
    for here in occurrences:
        item = here.item
        if (
            item.read_only
            and item.initial
            and here.enabled
            and here.given
            and not _equal(here.answers, item.initial)
        ):
            yield _problem(
                "initial-differs", here, "expected the initial value, because the item is read-only"
            )


def _constraints(
    evaluation: Evaluation, here: Occurrence | None, rules: Sequence[Constraint]
) -> Iterator[Problem]:
    path, label = (here.path, f"{here.item.label}: ") if here is not None else ("QuestionnaireResponse", "")
    for rule in rules:
        before = len(evaluation.problems)
        truth = evaluation.truth(rule.expression, here)
        words = rule.human or "a rule of the form must hold"
        key = f" ({rule.key})" if rule.key else ""
        if truth is False:
            yield Problem("constraint", f"{label}{words}{key}", path, rule.severity)
        elif truth is None and len(evaluation.problems) == before and not evaluation.out_of_time:
            undecided = f"{label}not decided, because answers that it reads are missing: {words}{key}"
            yield Problem("constraint-undecided", undecided, path, severity("constraint-undecided"))


def _calculated(evaluation: Evaluation, here: Occurrence) -> Iterator[Problem]:
    expression = evaluation.logic.calculated.get(here.item.link_id)
    expected = _answers(here, evaluation.values(expression, here)) if expression is not None else None
    if not expected:
        return
    if not here.given:
        yield _problem("calculated-missing", here, "expected the calculated value to be in the response")
    elif not _equal(here.answers, expected):
        yield _problem("calculated-differs", here, "expected the value that the form calculates")


def _initial_expression(evaluation: Evaluation, here: Occurrence) -> Iterator[Problem]:
    expression = evaluation.logic.initial.get(here.item.link_id)
    if expression is None or not here.item.read_only or not here.given:
        return
    expected = _answers(here, evaluation.values(expression, here))
    if expected and not _equal(here.answers, expected):
        yield _problem("initial-differs", here, "expected the initial value, because the item is read-only")


def _answers(here: Occurrence, values: list[Any] | None) -> tuple[Answer, ...] | None:
    """Results of an expression in the type of the item; None where they do not fit it."""
    found = []
    for value in values or ():
        for name in elements_of(here.item):
            try:
                found.append(READERS[name](value))
                break
            except NotWellFormed:
                continue
    return tuple(found) if values and len(found) == len(values) else None


def _equal(given: Sequence[Answer], expected: Sequence[Answer]) -> bool:
    left = list(expected)
    for answer in given:
        match = next((one for one in left if _alike(answer, one)), None)
        if match is None:
            return False
        left.remove(match)
    return not left


def _alike(a: Answer, b: Answer) -> bool:
    if isinstance(a, Coding | Quantity) or isinstance(b, Coding | Quantity):
        return same(a, b) is True
    return a == b or same(a, b) is True


def _problem(kind: str, here: Occurrence, expected: str) -> Problem:
    return Problem(kind, f"{here.item.label}: {expected}.", here.path, severity(kind))
