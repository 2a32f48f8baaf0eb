"""Problems as an OperationOutcome, one issue each, and the kinds of problem that there are.

A kind of problem is a code of the CodeSystem that the service publishes about itself, in
`definitions/`. That file says which issue-type and which usual severity a kind has; no table in the
code repeats it. The code names a kind by the code itself, where the problem is made:
`Problem("answer-type", ...)`. It is what clients see, so a search for it finds both ends, and a test
holds the codes in the code and those in the CodeSystem together.

Source: http://hl7.org/fhir/R4/operationoutcome.html; http://hl7.org/fhir/R4/valueset-issue-type.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Final, NamedTuple

from service.errors import Problem
from service.fhir.definitions import AS_WRITTEN, FOLDER, PROBLEM_KIND, Canonicals
from service.fhir.json import Json, MutableJson, read_published

MOST_ISSUES: Final = 1000
"""A body can have more faults than anyone would read; the rest is counted, not listed."""

_MORE: Final = "more-problems"
_ALL_OK: Final = {"severity": "information", "code": "informational", "diagnostics": "No problem was found."}


class ProblemKind(NamedTuple):
    """What the CodeSystem says of a kind of problem: codes of issue-type and of issue-severity."""

    issue_type: str
    severity: str


_LONGEST_TEXT: Final = 2000
"""Characters of an issue's text; a form can have more units or codes than anyone would read."""

_TURNS_TEXT = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Controls that show a text in another order than it is written in; a form may bring them."""

_UNKNOWN: Final = ProblemKind("processing", "error")


@cache
def problem_kinds() -> Mapping[str, ProblemKind]:
    """Returns every kind of problem by its code; read once, from the published CodeSystem."""
    system = read_published((FOLDER / "CodeSystem-problem-kind.json").read_bytes())
    return MappingProxyType({concept["code"]: _kind_of(concept) for concept in system["concept"]})


def _kind_of(concept: Json) -> ProblemKind:
    properties = {stated["code"]: stated["valueCode"] for stated in concept["property"]}
    return ProblemKind(properties["issue-type"], properties["severity"])


def severity(kind: str) -> str:
    """Returns the severity that a problem of this kind has unless its place says otherwise."""
    return problem_kinds().get(kind, _UNKNOWN).severity


def operation_outcome(
    problems: Sequence[Problem],
    canonicals: Canonicals = AS_WRITTEN,
    said: Callable[[Problem], str] | None = None,
) -> MutableJson:
    """Returns the OperationOutcome; without any problem it says so.

    Args:
        said: what people are told of a problem, in their language.
    """
    system = canonicals.restated(PROBLEM_KIND)
    named = [problem for problem in problems if problem.kind != _MORE]
    listed, left_out = named[:MOST_ISSUES], named[MOST_ISSUES:]
    issues = [_issue(problem, system, said) for problem in listed] or [dict(_ALL_OK)]
    uncounted = sum(problem.count for problem in problems if problem.kind == _MORE)
    if left_out or uncounted:
        number = f"At least {len(left_out) + uncounted}" if uncounted else f"{len(left_out)}"
        text = f"{number} further problems are not listed."
        issues.append(_issue(Problem(_MORE, text, severity=_beyond(listed, left_out)), system, None))
    return {"resourceType": "OperationOutcome", "issue": issues}


def _beyond(listed: Sequence[Problem], left_out: Sequence[Problem]) -> str:
    """Returns the worst severity of the problems left out, if it is worse than all that are listed."""
    severities = {problem.severity for problem in listed}, {problem.severity for problem in left_out}
    for level in ("fatal", "error", "warning"):
        if level in severities[0]:
            break
        if level in severities[1]:
            return level
    return "information"


def _issue(problem: Problem, system: str, said: Callable[[Problem], str] | None) -> MutableJson:
    details: MutableJson = {"coding": [{"system": system, "code": problem.kind}]}
    if said is not None:
        details["text"] = _shown(said(problem))
    issue: MutableJson = {
        "severity": problem.severity,
        "code": problem_kinds().get(problem.kind, _UNKNOWN).issue_type,
        "details": details,
        "diagnostics": _shown(problem.text),
    }
    return issue | {"expression": [problem.expression]} if problem.expression else issue


def _shown(text: str) -> str:
    return _TURNS_TEXT.sub("", text)[:_LONGEST_TEXT]
