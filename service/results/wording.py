"""The words of a result: what the service adds to the words of the guidance, and the text for the patient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from service.guidance import Guidance
from service.guidance.model import Level, Tier
from service.guidance.result import Interval, Result

NOT_ASSESSABLE: Final = "Not assessable yet"
ASK_FIRST: Final = "Questions that are still open, in the order in which they should be asked"
IGNORED: Final = "Answers that did not count, because other answers close these questions"
INTENDED_USE: Final = "Intended use"
IF_UNCHANGED: Final = "If the open questions change nothing: "
"""Stands before the reason for a level that is not settled: nothing open is read as a no."""

SIDES: Final[Mapping[str, tuple[str, str]]] = {
    "left": ("matches", ""),
    "right": ("", "matches"),
    "both": ("matches", "matches"),
    "neither": ("", ""),
    "open": ("open", "open"),
    "informs-only": ("for information", "for information"),
}
"""What the two cells of a table's row say, by the state of the row."""


def is_assessable(tier: Interval) -> bool:
    """Returns whether more is known than the lowest step, or no open question could raise it."""
    return tier.settled or tier.at_least > 0


def tier_heading(tiers: tuple[Tier, ...], tier: Interval) -> str:
    """Returns the step of care in one line: settled, at least, or not assessable yet."""
    least, most = tiers[tier.at_least].display, tiers[tier.at_most].display
    if tier.settled:
        return least
    if not is_assessable(tier):
        return f"{NOT_ASSESSABLE}; open questions could raise it to: {most}"
    return f"At least: {least}; open questions could raise it to: {most}"


def level_words(ladder: tuple[Level, ...], level: Interval) -> str:
    """Returns a level, or the two ends that it can still lie between."""
    least, most = ladder[level.at_least].display, ladder[level.at_most].display
    return least if level.settled else f"between {_lowered(least)} and {_lowered(most)}, not settled"


def quoted(texts: Iterable[str]) -> str:
    """Returns texts in quotation marks, with commas between them."""
    return ", ".join(f"\u201c{text}\u201d" for text in texts)


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


# What the patient is told: the step of care, its reasons, open questions and advice, in plain text.

_PRELIMINARY = (
    "This is the least that we advise from what is known so far. Some questions are still open, and "
    "their answers could make it more urgent."
)


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
        lines = [f"Not settled yet. So far: {tier.display}. {tier.target}.", _PRELIMINARY]
    lines += [contradiction.says.patient for contradiction in result.contradictions]
    if result.open and not result.tier.settled:
        texts = [guidance.form.questions[question.link_id].text for question in result.open]
        lines.append("Questions that are still open, in this order:")
        lines += [f"{number}. {text}" for number, text in enumerate(texts, 1)]
    lines += _listed("Why:", [fired.rule.says.patient for fired in result.fired])
    lines += _listed("What you can do:", [advice.says.patient for advice in result.advice])
    return "\n".join([line for line in lines if line])


def _listed(heading: str, texts: list[str]) -> list[str]:
    """Returns the heading and each text once; nothing where there is no text."""
    said = [f"- {text}" for text in dict.fromkeys(texts) if text]
    return [heading, *said] if said else []


def patient_text(guidance: Guidance, result: Result) -> str:
    """Returns title, summary and intended use, in lines; nothing that is meant for clinicians only."""
    identity = guidance.written.identity
    parts = (identity.title, patient_summary(guidance, result), identity.intended_use.patient)
    return "\n\n".join(part for part in parts if part) + "\n"
