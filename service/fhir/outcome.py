"""Writes problems as an OperationOutcome: one issue each, in the words that the problem brings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from service.errors import Problem
from service.fhir import kinds
from service.fhir.canonicals import AS_WRITTEN, PROBLEM_KIND, Canonicals
from service.fhir.issue_types import ISSUE_TYPE

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
