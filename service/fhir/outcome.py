"""Writes problems as an OperationOutcome: one issue each, in the words that the problem brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from service.errors import Problem
from service.fhir import kinds
from service.fhir.definitions import AS_WRITTEN, PROBLEM_KIND, Canonicals

# Which FHIR issue-type every kind of fault has, wherever in the service it is reported.
#
# A test holds this table and the kinds that the code uses together, and the published CodeSystem too.
#
# Source: http://hl7.org/fhir/R4/valueset-issue-type.html

ISSUE_TYPE: Final[Mapping[str, str]] = MappingProxyType(
    {
        # bodies and structure (fhir/)
        "encoding": "structure",
        "json": "structure",
        "json-shape": "structure",
        "repeated-property": "structure",
        "number": "value",
        "character": "value",
        "empty": "structure",
        "null": "structure",
        "depth": "too-costly",
        "body-size": "too-long",
        "string-size": "too-long",
        "resource-type": "structure",
        "unknown-property": "structure",
        "missing": "required",
        "datatype": "structure",
        "format": "value",
        "code": "code-invalid",
        "choice": "structure",
        "invariant": "invariant",
        "reference": "not-found",
        "contained": "invariant",
        "narrative": "value",
        "modifier-extension": "not-supported",
        "implicit-rules": "not-supported",
        "parameter": "invalid",
        "chart-subject": "business-rule",
        "chart-ignored": "informational",
        "more-problems": "informational",
        # answers and questionnaires (questionnaire/)
        "response-type": "structure",
        "response-status": "code-invalid",
        "canonical-missing": "required",
        "canonical-unknown": "not-found",
        "canonical-mismatch": "business-rule",
        "canonical-unversioned": "informational",
        "form-status": "business-rule",
        "form-period": "business-rule",
        "too-costly": "too-costly",
        "malformed": "structure",
        "link-id-missing": "required",
        "item-unknown": "not-found",
        "item-misplaced": "structure",
        "item-order": "structure",
        "item-repeated": "structure",
        "item-text": "informational",
        "group-answer": "structure",
        "display-answer": "structure",
        "item-nesting": "structure",
        "answer-empty": "required",
        "answer-several-values": "structure",
        "answer-type": "structure",
        "answer-format": "value",
        "answer-option": "code-invalid",
        "answer-duplicate": "duplicate",
        "answer-exclusive": "business-rule",
        "value-set-unreachable": "not-supported",
        "value-set-uncertain": "not-supported",
        "value-set-unknown": "not-found",
        "parameter-unsupported": "not-supported",
        "expansion-size": "too-costly",
        "required": "required",
        "too-few": "required",
        "too-many": "business-rule",
        "disabled-item": "business-rule",
        "too-long": "too-long",
        "too-short": "value",
        "below-minimum": "value",
        "above-maximum": "value",
        "not-comparable": "value",
        "decimal-places": "value",
        "pattern": "value",
        "pattern-time": "timeout",
        "unit-missing": "value",
        "unit-option": "code-invalid",
        "url-syntax": "value",
        "reference-syntax": "value",
        "reference-type": "value",
        "reference-contained": "not-found",
        "attachment-type": "value",
        "attachment-type-missing": "required",
        "attachment-size": "too-long",
        "attachment-size-unknown": "incomplete",
        "attachment-data": "value",
        "attachment-size-mismatch": "value",
        "attachment-hash-mismatch": "value",
        "constraint": "invariant",
        "constraint-undecided": "incomplete",
        "expression-failed": "exception",
        "expression-time": "timeout",
        "expression-unavailable": "not-supported",
        "calculated-differs": "business-rule",
        "calculated-missing": "business-rule",
        "initial-differs": "business-rule",
        "lint-shape": "structure",
        "lint-identity": "required",
        "lint-link-id": "required",
        "lint-type": "code-invalid",
        "lint-deep": "too-costly",
        "que-0": "invariant",
        "que-1": "invariant",
        "que-2": "invariant",
        "que-3": "invariant",
        "que-4": "invariant",
        "que-5": "invariant",
        "que-6": "invariant",
        "que-7": "invariant",
        "que-8": "invariant",
        "que-9": "invariant",
        "que-10": "invariant",
        "que-11": "invariant",
        "que-12": "invariant",
        "que-13": "invariant",
        "enable-when-unknown": "not-found",
        "enable-when-later": "business-rule",
        "enable-when-trigger": "business-rule",
        "enable-when-operator": "code-invalid",
        "enable-when-answer": "value",
        "enable-when-cycle": "business-rule",
        "enable-when-both": "business-rule",
        "option-code": "required",
        "option-duplicate": "duplicate",
        "option-type": "business-rule",
        "options-missing": "business-rule",
        "weight-disagreement": "business-rule",
        "limit-contradiction": "business-rule",
        "limit-value": "value",
        "occurs-required": "business-rule",
        "pattern-invalid": "value",
        "expression-invalid": "value",
        "expression-language": "not-supported",
        "calculated-initial": "business-rule",
        # which questionnaire, which status
        "questionnaire-missing": "required",
        "questionnaire-unknown": "not-found",
        "questionnaire-version": "not-found",
        "status-not-scorable": "business-rule",
        "profile-unknown": "not-supported",
        # HTTP (web/)
        "accept": "not-supported",
        "body-incomplete": "structure",
        "content-encoding": "not-supported",
        "content-type": "not-supported",
        "expectation": "not-supported",
        "header-size": "too-long",
        "http": "structure",
        "id-unknown": "not-found",
        "internal": "exception",
        "method": "not-supported",
        "operation-unknown": "not-supported",
        "query": "invalid",
        "route-unknown": "not-found",
        "search-modifier": "not-supported",
        "search-parameter": "not-supported",
        "search-value": "value",
        "transfer-coding": "not-supported",
        "type-unknown": "not-supported",
        "processed": "informational",
        # what is stored (repository/)
        "stored": "informational",
        "id-mismatch": "invalid",
        "subsetted": "incomplete",
        "version-unknown": "not-found",
        "version-conflict": "conflict",
        "multiple-matches": "multiple-matches",
        "if-match": "invalid",
        "if-none-exist": "invalid",
        "store-busy": "lock-error",
        "store-unavailable": "transient",
        "store-full": "no-store",
        # searches (search/)
        "search-cursor": "invalid",
        # Bundles (web/)
        "bundle-type": "not-supported",
        "bundle-entry": "invalid",
        "bundle-size": "too-costly",
        "bundle-duplicate": "duplicate",
        "bundle-reference": "not-supported",
    }
)


MOST_ISSUES: Final = 1000
"""A body can have more faults than anyone would read; the rest is counted, not listed."""

_ALL_OK: Final = {"severity": "information", "code": "informational", "diagnostics": "No problem was found."}


def operation_outcome(problems: Sequence[Problem], canonicals: Canonicals = AS_WRITTEN) -> dict[str, Any]:
    """Returns the OperationOutcome; without any problem it says so."""
    system = canonicals.restated(PROBLEM_KIND)
    issues = [_issue(problem, system) for problem in problems[:MOST_ISSUES]] or [dict(_ALL_OK)]
    left_out = len(problems) - MOST_ISSUES
    if left_out > 0:
        more = Problem(kinds.MORE, f"{left_out} further problems are not listed.", "", "information")
        issues.append(_issue(more, system))
    return {"resourceType": "OperationOutcome", "issue": issues}


def _issue(problem: Problem, system: str) -> dict[str, Any]:
    issue: dict[str, Any] = {
        "severity": problem.severity,
        "code": ISSUE_TYPE.get(problem.kind, "processing"),
        "details": {"coding": [{"system": system, "code": problem.kind}]},
        "diagnostics": problem.text,
    }
    return issue | {"expression": [problem.expression]} if problem.expression else issue
