"""Checks that a body is a QuestionnaireResponse of R4, whatever questionnaire it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.errors import Problem
from service.fhir.structure import check as check_structure


def check(resource: Mapping[str, Any], at: str = "QuestionnaireResponse") -> tuple[Problem, ...]:
    """Returns every structural fault; an empty tuple when the resource is R4.

    Args:
        resource: an object that `body.read` has read (nothing empty, no name twice).
        at: FHIRPath of the response in the body, where it is not the body itself.
    """
    return check_structure(resource, "QuestionnaireResponse", at)
