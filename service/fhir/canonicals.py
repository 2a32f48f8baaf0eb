"""The canonical urls of what this service defines itself."""

from __future__ import annotations

from typing import Final

BASE: Final = "https://guidance.example.org/fhir"
"""Reserved for examples: whoever owns a domain replaces it, here and in the definition files."""

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
