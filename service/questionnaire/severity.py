"""Which problems count, and how much, given the status of the response.

How severe a kind of problem usually is, the CodeSystem says that the service publishes.

Completed and amended responses are checked in full. In-progress and stopped ones are not asked to
be complete. Of entered-in-error ones only the structure is checked.

Source: SDC validation of QuestionnaireResponse; org.hl7.fhir.core#1841 (required on stopped responses).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from service.errors import Problem
from service.questionnaire.items import COMPLETE

STATUSES = frozenset({"in-progress", "completed", "amended", "entered-in-error", "stopped"})

_OF_COMPLETENESS = frozenset({"required", "too-few", "calculated-missing"})
_OF_STRUCTURE = frozenset(
    {
        "response-type",
        "response-status",
        "canonical-missing",
        "canonical-unknown",
        "canonical-mismatch",
        "malformed",
        "link-id-missing",
        "item-unknown",
        "item-misplaced",
        "item-order",
        "item-repeated",
        "group-answer",
        "display-answer",
        "item-nesting",
        "answer-empty",
        "answer-several-values",
        "answer-type",
        "answer-format",
        "too-costly",
    }
)


def applying(problems: Iterable[Problem], status: str) -> tuple[Problem, ...]:
    """Returns the problems that count for a response of this status.

    An unknown status counts as completed, so that a misspelt one hides nothing.
    """
    if status == "entered-in-error":
        return tuple(problem for problem in problems if problem.kind in _OF_STRUCTURE)
    if status in ("in-progress", "stopped"):
        return tuple(_lenient(problem) for problem in problems if problem.kind not in _OF_COMPLETENESS)
    return tuple(problems)


def _lenient(problem: Problem) -> Problem:
    """Constraints must hold before a response counts as complete; until then they are a warning."""
    return replace(problem, severity="warning") if problem.kind == "constraint" else problem


def strictly(problems: Iterable[Problem], status: str) -> tuple[Problem, ...]:
    """Returns the problems with answers of disabled items raised to errors where the response is complete."""
    raised = status in COMPLETE
    return tuple(
        replace(problem, severity="error") if raised and problem.kind == "disabled-item" else problem
        for problem in problems
    )
