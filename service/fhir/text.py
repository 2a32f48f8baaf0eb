"""The result as plain text for the patient."""

from __future__ import annotations

from service.fhir.summary import patient_summary
from service.guidance import Guidance
from service.guidance.result import Result


def patient_text(guidance: Guidance, result: Result) -> str:
    """Returns title, summary and intended use, in lines; nothing that is meant for clinicians only."""
    identity = guidance.written.identity
    parts = (identity.title, patient_summary(guidance, result), identity.intended_use.patient)
    return "\n\n".join(part for part in parts if part) + "\n"
