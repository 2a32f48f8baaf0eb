"""What the patient is told: the step of care, its reasons, open questions and advice, in plain text."""

from __future__ import annotations

from service.fhir.wording import NOT_ASSESSABLE, is_assessable
from service.guidance import Guidance
from service.guidance.result import Result

_PRELIMINARY = (
    "This is the least that we advise from what is known so far. Some questions are still open, and "
    "their answers could make it more urgent."
)
_SO_FAR = "Not settled yet. So far"
_OPEN = "Questions that are still open, in this order:"
_WHY = "Why:"
_ADVICE = "What you can do:"


def patient_summary(guidance: Guidance, result: Result) -> str:
    """Returns the text for the patient, one paragraph or list entry to a line.

    Only wording that the guidance marks as the patient's is used; where a rule or a piece of advice has
    none, it is left out here and stands in the clinician's part.
    """
    tier = result.tiers[result.tier.at_least]
    assessable = is_assessable(result.tier)
    if result.tier.settled or not assessable:
        lines = [f"{tier.display if assessable else NOT_ASSESSABLE}. {tier.target}.", tier.says.patient]
    else:
        lines = [f"{_SO_FAR}: {tier.display}. {tier.target}.", _PRELIMINARY]
    lines += [each.says.patient for each in result.contradictions]
    if result.open and not result.tier.settled:
        lines.append(_OPEN)
        lines += _numbered([guidance.form.questions[each.link_id].text for each in result.open])
    lines += _listed(_WHY, [each.rule.says.patient for each in result.fired])
    lines += _listed(_ADVICE, [each.says.patient for each in result.advice])
    return "\n".join([line for line in lines if line])


def _numbered(texts: list[str]) -> list[str]:
    return [f"{number}. {text}" for number, text in enumerate(texts, 1)]


def _listed(heading: str, texts: list[str]) -> list[str]:
    """Returns the heading and each text once; nothing where there is no text."""
    said = [f"- {text}" for text in dict.fromkeys(texts) if text]
    return [heading, *said] if said else []
