"""Any QuestionnaireResponse against any Questionnaire: the whole validator as one function."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from service.errors import Problem
from service.questionnaire.compiled import Compiled, compile_leniently
from service.questionnaire.extensions import text
from service.questionnaire.header import form_problems, response_problems
from service.questionnaire.resolution import find_form
from service.questionnaire.severity import applying, strictly
from service.questionnaire.time_limit import time_limit
from service.questionnaire.value_sets import ValueSets

SECONDS = 10.0
"""Time for a form that a response brings along, compiling it included."""


def validate(
    response: Mapping[str, Any],
    questionnaire: Mapping[str, Any] | Compiled | None = None,
    value_sets: ValueSets | None = None,
    *,
    forms: Iterable[Compiled] = (),
) -> tuple[Problem, ...]:
    """Returns everything that is wrong with a response, faults of shape first; never raises for its content.

    It reads the items and the head of the response. Datatypes elsewhere (identifiers, references of
    the subject, extensions) are not its matter; `fhir/` checks those.

    Args:
        response: parsed QuestionnaireResponse of any shape; numbers are int or Decimal.
        questionnaire: the form, compiled once or as a resource. Where it is None, the response names
            its form: `#id` of a contained Questionnaire, or a canonical among `forms`.
        value_sets: ValueSets and CodeSystems at hand, beside the fixed ones of R4.
        forms: compiled forms that canonicals are looked up in.

    Returns:
        Problems as the status of the response has them: completed and amended in full, in-progress
        and stopped without completeness, entered-in-error structure only. An answer for an item
        that is not enabled is an error in a completed or amended response, else a warning.
        Faults of the form itself are warnings with an expression that begins with `Questionnaire`.
    """
    known = value_sets or ValueSets()
    if questionnaire is None and text(response.get("questionnaire")).startswith("#"):
        return _within_time(response, known)
    return _validated(response, _form(response, questionnaire, known, forms))


class _TookTooLong(Exception):
    """A form that came with the response takes too much time."""


def _within_time(response: Mapping[str, Any], value_sets: ValueSets) -> tuple[Problem, ...]:
    """Validates against the contained form. Anybody may send one, so the time for it is limited."""
    try:
        with time_limit(SECONDS, _TookTooLong):
            return _validated(response, find_form(response, (), value_sets))
    except _TookTooLong:
        words = f"Expected a contained Questionnaire that can be checked within {SECONDS:g} s."
        return (Problem("too-costly", words, "QuestionnaireResponse.contained"),)


def _validated(response: Mapping[str, Any], form: Compiled | Problem) -> tuple[Problem, ...]:
    status = text(response.get("status"))
    if isinstance(form, Problem):
        return applying((*response_problems(response), form), status)
    head = (*response_problems(response), *form_problems(response, form))
    checked = form.check(response, status)
    return (*applying(head, status), *strictly(checked.problems, status), *_of_the_form(form))


def _form(
    response: Mapping[str, Any],
    questionnaire: Mapping[str, Any] | Compiled | None,
    value_sets: ValueSets,
    forms: Iterable[Compiled],
) -> Compiled | Problem:
    if questionnaire is None:
        return find_form(response, forms, value_sets)
    return (
        questionnaire if isinstance(questionnaire, Compiled) else compile_leniently(questionnaire, value_sets)
    )


def _of_the_form(form: Compiled) -> Iterator[Problem]:
    """Errors of the form: they are not the response's fault, but what they touch was not checked."""
    return (replace(problem, severity="warning") for problem in form.lint if problem.severity == "error")
