"""How the lint words a fault."""

from __future__ import annotations

from service.errors import Problem
from service.questionnaire.severity import severity


def problem(kind: str, path: str, expected: str, level: str = "") -> Problem:
    """Returns a fault of the Questionnaire at a FHIRPath; `level` overrides the usual severity."""
    return Problem(kind, f"{expected[:1].upper()}{expected[1:]}.", path, level or severity(kind))
