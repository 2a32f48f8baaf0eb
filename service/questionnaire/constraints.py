"""What a Questionnaire demands beyond single answers: constraints, calculated and fixed initial values.

A constraint that is true is satisfied. One that is false is a problem of the severity that its
author gave it. An empty result is neither: it is reported as information, because answers
that it reads are missing.

Source: targetConstraint and questionnaire-constraint; SDC calculatedExpression, initialExpression;
aehrc/smart-forms#1954 on constraints read the wrong way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from service.datatypes.answers import Answer, Coding, Quantity, Uncoded, Unread
from service.errors import Problem
from service.questionnaire.expressions import Evaluation, ParsedExpression, path_and_label
from service.questionnaire.pairing import Occurrence, PairedResponse, value_elements
from service.questionnaire.problems import problem
from service.questionnaire.values import READERS, NotWellFormed, answers_equal


def constraint_problems(evaluation: Evaluation, paired: PairedResponse) -> Iterator[Problem]:
    """Yields what expressions find wrong; only items that are enabled are looked at."""
    expressions = evaluation.expressions
    yield from _constraints(evaluation, None, expressions.constraints.get(None, ()))
    for link in {**expressions.constraints, **expressions.calculated, **expressions.initial}:
        for occurrence in paired.by_link[link] if link is not None else ():
            if not occurrence.enabled:
                continue
            if occurrence.present:
                yield from _constraints(evaluation, occurrence, expressions.constraints.get(link, ()))
            yield from _calculated(evaluation, occurrence)
            yield from _initial_expression(evaluation, occurrence)


def initial_problems(occurrences: Iterable[Occurrence]) -> Iterator[Problem]:
    """Yields read-only items whose answers differ from the initial values of the form."""
    for occurrence in occurrences:
        item = occurrence.item
        is_fixed = item.read_only and item.initial and occurrence.enabled
        if is_fixed and occurrence.response_answers and not _equal(occurrence.answers, item.initial):
            yield _initial_differs(occurrence)


def _constraints(
    evaluation: Evaluation, occurrence: Occurrence | None, constraints: Sequence[ParsedExpression]
) -> Iterator[Problem]:
    path, label = path_and_label(occurrence)
    for constraint, expression in constraints:
        before = len(evaluation.problems)
        truth = evaluation.truth(expression, occurrence)
        words = constraint.human or "a rule of the form must hold"
        key = f" ({constraint.name})" if constraint.name else ""
        if truth is False:
            yield Problem("constraint", f"{label}{words}{key}", path, constraint.severity)
        elif truth is None and len(evaluation.problems) == before and not evaluation.out_of_time:
            undecided = f"{label}not decided, because answers that it reads are missing: {words}{key}"
            yield problem("constraint-undecided", undecided, path)


def _calculated(evaluation: Evaluation, occurrence: Occurrence) -> Iterator[Problem]:
    expression = evaluation.expressions.calculated.get(occurrence.item.link_id)
    if expression is None:
        return
    expected = _answers(occurrence, evaluation.values(expression, occurrence))
    if not expected:
        return
    label = occurrence.item.label
    if not occurrence.response_answers:
        words = f"{label}: expected the calculated value to be in the response."
        yield problem("calculated-missing", words, occurrence.path)
    elif not _equal(occurrence.answers, expected):
        words = f"{label}: expected the value that the form calculates."
        yield problem("calculated-differs", words, occurrence.path)


def _initial_expression(evaluation: Evaluation, occurrence: Occurrence) -> Iterator[Problem]:
    expression = evaluation.expressions.initial.get(occurrence.item.link_id)
    if expression is None or not occurrence.item.read_only or not occurrence.response_answers:
        return
    expected = _answers(occurrence, evaluation.values(expression, occurrence))
    if expected and not _equal(occurrence.answers, expected):
        yield _initial_differs(occurrence)


def _initial_differs(occurrence: Occurrence) -> Problem:
    words = f"{occurrence.item.label}: expected the initial value, because the item is read-only."
    return problem("initial-differs", words, occurrence.path)


def _answers(occurrence: Occurrence, values: list[Any] | None) -> tuple[Answer, ...] | None:
    """Returns the results of an expression in the type of the item; None where they do not fit it."""
    found = []
    for value in values or ():
        for element in value_elements(occurrence.item):
            try:
                answer = READERS[element](value)
            except NotWellFormed:
                continue
            if not isinstance(answer, Uncoded):
                found.append(answer)
                break
    return tuple(found) if values and len(found) == len(values) else None


def _equal(given: Sequence[Answer], expected: Sequence[Answer]) -> bool:
    """Returns whether both have the same answers, in whatever order."""
    left = list(expected)
    for answer in given:
        match = next((candidate for candidate in left if _alike(answer, candidate)), None)
        if match is None:
            return False
        left.remove(match)
    return not left


def _alike(a: Answer, b: Answer) -> bool:
    """Returns whether an answer is the expected one, or may be: what cannot be known is no difference."""
    if isinstance(a, Unread) or (isinstance(a, Quantity) and a.comparator):
        return answers_equal(a, b) is not False
    if isinstance(a, Coding | Quantity) or isinstance(b, Coding | Quantity):
        return answers_equal(a, b) is True
    return a == b or answers_equal(a, b) is True
