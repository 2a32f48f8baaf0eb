"""The canonical urls of what this service defines itself, and the domain that they begin with.

Files and constants name the domain that is reserved for examples. Whoever owns a domain sets it as
`SERVICE_CANONICAL_BASE`, and everything that is read or written names that one instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeVar

Value = TypeVar("Value")

DOMAIN: Final = "https://guidance.example.org"
"""What the canonical urls in our files and in the constants below begin with: reserved for examples."""

BASE: Final = f"{DOMAIN}/fhir"

PROBLEM_KIND: Final = f"{BASE}/CodeSystem/problem-kind"

ASSESSMENT_TIER: Final = f"{BASE}/StructureDefinition/assessment-tier"
COMPARISON: Final = f"{BASE}/StructureDefinition/comparison"
CONTRADICTION: Final = f"{BASE}/StructureDefinition/contradiction"
GUIDANCE_CANONICAL: Final = f"{BASE}/StructureDefinition/guidance-canonical"
GUIDANCE_HASH: Final = f"{BASE}/StructureDefinition/guidance-hash"
IGNORED_ANSWER: Final = f"{BASE}/StructureDefinition/ignored-answer"
LEVEL_INTERVAL: Final = f"{BASE}/StructureDefinition/level-interval"
OPEN_QUESTION: Final = f"{BASE}/StructureDefinition/open-question"
REASON: Final = f"{BASE}/StructureDefinition/reason"
SCORE: Final = f"{BASE}/StructureDefinition/score"

RISK_ASSESSMENT_BASIS: Final = f"{BASE}/SearchParameter/RiskAssessment-basis"


@dataclass(frozen=True, slots=True)
class Canonicals:
    """Canonical urls of one deployment.

    Args:
        domain: what they begin with, without a slash at its end.
    """

    domain: str = DOMAIN

    def restated(self, value: Value) -> Value:
        """Returns a constant of this module, or what a file says, with the domain of the deployment.

        Args:
            value: text, number, true, false or None, or lists and dicts of such; it is not changed.
        """
        return value if self.domain == DOMAIN else self._restated(value)

    def _restated(self, value: object) -> Any:
        if isinstance(value, str):
            return value.replace(f"{DOMAIN}/", f"{self.domain}/")
        if isinstance(value, list):
            return [self._restated(each) for each in value]
        if isinstance(value, dict):
            return {name: self._restated(each) for name, each in value.items()}
        return value


AS_WRITTEN: Final = Canonicals()
"""Those of our files as they stand: nothing is restated."""
