"""What the head of a response must agree on with its form: type, status, canonical and period.

Source: FHIR R4 QuestionnaireResponse; Questionnaire.status and effectivePeriod.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from service.errors import Problem
from service.questionnaire.compiled import Compiled
from service.questionnaire.extensions import text
from service.questionnaire.severity import STATUSES, severity
from service.questionnaire.values import is_date_time, order


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
