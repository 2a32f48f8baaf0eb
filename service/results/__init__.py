"""A result as RiskAssessment, Bundle, text and explanation, and the codes that it names; no HTTP, no SQL."""

from service.results.code_system import code_system, missing_codes
from service.results.explanation import Why, explained, explanation
from service.results.phrases import Phrases, digits, phrases_in
from service.results.renderer import BUNDLE, DETAILS, FULL, RISK, Renderer
from service.results.risk_assessment import (
    guidance_hash_in,
    guidance_in,
    indented,
    language_in,
    result_name,
    withdrawn,
)
from service.results.wording import Assessment, EarlierResponse, Numbers

__all__ = [
    "BUNDLE",
    "DETAILS",
    "FULL",
    "RISK",
    "Assessment",
    "EarlierResponse",
    "Numbers",
    "Phrases",
    "Renderer",
    "Why",
    "code_system",
    "digits",
    "explained",
    "explanation",
    "guidance_hash_in",
    "guidance_in",
    "indented",
    "language_in",
    "missing_codes",
    "phrases_in",
    "result_name",
    "withdrawn",
]
