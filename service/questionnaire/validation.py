"""Any QuestionnaireResponse against any Questionnaire: the whole validator as one function."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from service.errors import Problem
from service.fhir import extensions as ext
from service.fhir.dates import is_date_time
from service.fhir.extensions import text
from service.fhir.outcome import severity
from service.questionnaire.compiled import Compiled, compile_leniently, find_form
from service.questionnaire.expressions import time_limit
from service.questionnaire.severity import STATUSES, applying, strictly
from service.questionnaire.values import order
from service.terminology.value_sets import ValueSets

# Whether a response brings along a form that has something to run: expressions or patterns.

_RUN: Final = frozenset(
    (
        ext.VARIABLE,
        ext.CONSTRAINT,
        ext.TARGET_CONSTRAINT,
        ext.ENABLE_WHEN_EXPRESSION,
        ext.CALCULATED_EXPRESSION,
        ext.INITIAL_EXPRESSION,
        ext.REGEX,
    )
)
"""Extensions whose content is evaluated or compiled."""


def carries_code(response: Mapping[str, Any]) -> bool:
    """Whether the response names a contained form, and what it contains has an expression or a pattern.

    It looks into every contained resource and at every depth: sooner once too often than not once.
    """
    if not ext.text(response.get("questionnaire")).startswith("#"):
        return False
    pending: list[Any] = [response.get("contained")]
    while pending:
        element = pending.pop()
        if isinstance(element, Mapping):
            if ext.text(element.get("url")) in _RUN:
                return True
            pending.extend(element.values())
        elif isinstance(element, list):
            pending.extend(element)
    return False


# What the head of a response must agree on with its form: type, status, canonical and period.
#
# Source: FHIR R4 QuestionnaireResponse; Questionnaire.status and effectivePeriod.


def response_problems(response: Mapping[str, Any]) -> Iterator[Problem]:
    """Yields what is wrong with the head of a response, whatever form it answers."""
    if response.get("resourceType") != "QuestionnaireResponse":
        yield _problem(
            "response-type", "QuestionnaireResponse", "Expected resourceType QuestionnaireResponse."
        )
    if text(response.get("status")) not in STATUSES:
        expected = ", ".join(sorted(STATUSES))
        yield _problem(
            "response-status", "QuestionnaireResponse.status", f"Expected status, one of {expected}."
        )


def form_problems(response: Mapping[str, Any], form: Compiled) -> Iterator[Problem]:
    """Yields where the response and its form do not go together."""
    yield from _canonical_problems(response, form)
    status = text(form.resource.get("status"))
    if status != "active":
        words = f"Expected an active Questionnaire; the status of this one is {status or 'missing'}."
        yield _problem("form-status", "QuestionnaireResponse.questionnaire", words)
    period, authored = form.resource.get("effectivePeriod"), text(response.get("authored"))
    if isinstance(period, Mapping) and is_date_time(authored):
        yield from _period_problems(period, authored)


def _canonical_problems(response: Mapping[str, Any], form: Compiled) -> Iterator[Problem]:
    place = "QuestionnaireResponse.questionnaire"
    url, _, version = text(response.get("questionnaire")).partition("|")
    form_url, form_version = text(form.resource.get("url")), text(form.resource.get("version"))
    if not url:
        yield _problem("canonical-missing", place, f"Expected questionnaire: {form.canonical}.")
    elif url.startswith("#"):
        return
    elif url != form_url or (version and version != form_version):
        yield _problem("canonical-mismatch", place, f"Expected questionnaire: {form.canonical}.")
    elif not version and form_version:
        yield _problem(
            "canonical-unversioned", place, f"Expected questionnaire with its version: {form.canonical}."
        )


def _period_problems(period: Mapping[str, Any], authored: str) -> Iterator[Problem]:
    for end, too_far in (("start", -1), ("end", 1)):
        limit = text(period.get(end))
        if is_date_time(limit) and order(authored, limit) == too_far:
            words = f"Expected a date within the effectivePeriod of the Questionnaire ({end} {limit})."
            yield _problem("form-period", "QuestionnaireResponse.authored", words)


def _problem(kind: str, path: str, words: str) -> Problem:
    return Problem(kind, words, path, severity(kind))


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
