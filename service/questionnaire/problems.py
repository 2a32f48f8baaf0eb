"""The problems of a response: how severe each is, and which count, given the status of the response.

How severe a kind of problem usually is, the CodeSystem says that the service publishes.

Completed and amended responses are checked in full. In-progress and stopped ones are not asked to
be complete. Of entered-in-error ones only the structure is checked.

Source: SDC validation of QuestionnaireResponse; org.hl7.fhir.core#1841 (required on stopped responses).
"""

from __future__ import annotations

from collections.abc import Iterable

from service.datatypes.values import replace
from service.errors import Problem
from service.fhir.outcome import severity

STATUSES = frozenset({"in-progress", "completed", "amended", "entered-in-error", "stopped"})

COMPLETE_STATUSES = frozenset({"completed", "amended"})
"""Statuses in which a response must be complete."""

_OF_COMPLETENESS = frozenset({"required", "too-few", "calculated-missing"})
_OF_STRUCTURE = frozenset(
    {
        *("response-type", "response-status", "canonical-missing", "canonical-unknown", "canonical-mismatch"),
        *("malformed", "link-id-missing", "item-unknown", "item-misplaced", "item-order", "item-repeated"),
        *("group-answer", "display-answer", "item-nesting", "answer-empty", "answer-several-values"),
        *("answer-type", "answer-format", "too-costly"),
    }
)


def problem(kind: str, text: str, path: str, about: str = "") -> Problem:
    """Returns a problem at a FHIRPath, with the severity that its kind usually has.

    Args:
        about: the text of the question that it is about; results in other languages name it.
    """
    return Problem(kind, text, path, severity(kind), about=about)


def problems_for_status(problems: Iterable[Problem], status: str) -> tuple[Problem, ...]:
    """Returns the problems that count for a response of this status.

    An unknown status counts as completed, so that a misspelt one hides nothing.
    """
    if status == "entered-in-error":
        return tuple(found for found in problems if found.kind in _OF_STRUCTURE)
    if status in ("in-progress", "stopped"):
        return tuple(_lenient(found) for found in problems if found.kind not in _OF_COMPLETENESS)
    return tuple(problems)


def _lenient(found: Problem) -> Problem:
    """Constraints must hold before a response counts as complete; until then they are a warning."""
    return replace(found, severity="warning") if found.kind == "constraint" else found


def disabled_items_as_errors(problems: Iterable[Problem], status: str) -> tuple[Problem, ...]:
    """Returns the problems with answers of disabled items raised to errors where the response is complete."""
    raised = status in COMPLETE_STATUSES
    return tuple(
        replace(found, severity="error") if raised and found.kind == "disabled-item" else found
        for found in problems
    )
