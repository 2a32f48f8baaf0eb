"""The few sentences that the service itself says around the words of the guidance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from service.guidance.model import Outcome, Tier
from service.guidance.result import Interval

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
    """False while all that is known is the lowest step and open questions could raise it."""
    return tier.settled or tier.at_least > 0


def tier_heading(tiers: tuple[Tier, ...], tier: Interval) -> str:
    """Returns the step of care in one line: settled, at least, or not assessable yet."""
    least, most = tiers[tier.at_least].display, tiers[tier.at_most].display
    if tier.settled:
        return least
    if not is_assessable(tier):
        return f"{NOT_ASSESSABLE}; open questions could raise it to: {most}"
    return f"At least: {least}; open questions could raise it to: {most}"


def level_words(outcome: Outcome, level: Interval) -> str:
    """Returns a level, or the two ends that it can still lie between."""
    least, most = outcome.levels[level.at_least].display, outcome.levels[level.at_most].display
    return least if level.settled else f"between {_lowered(least)} and {_lowered(most)}, not settled"


def quoted(texts: Iterable[str]) -> str:
    """Returns texts in quotation marks, with commas between them."""
    return ", ".join(f"\u201c{text}\u201d" for text in texts)


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
