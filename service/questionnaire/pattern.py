"""Regular expressions of a Questionnaire, each run within a time limit.

The standard library cannot stop a regular expression; the `regex` package can.

Source: http://hl7.org/fhir/StructureDefinition/regex. The whole text must match, as the
reference validator has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import regex  # type: ignore[import-untyped]

SECONDS = 0.1
LONGEST = 2_000
"""Characters of a pattern."""


class PatternInvalid(ValueError):
    """The pattern is too long or not a regular expression."""


class PatternTooSlow(Exception):
    """The pattern took too long on this text, so it is not known whether it matches."""


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """Compiles a pattern.

    Raises:
        PatternInvalid: it is too long or not a regular expression.
    """
    if len(pattern) > LONGEST:
        raise PatternInvalid(f"a pattern of at most {LONGEST} characters")
    try:
        return regex.compile(pattern, regex.DOTALL)
    except (regex.error, RecursionError, OverflowError) as fault:
        raise PatternInvalid("a regular expression") from fault


@dataclass(slots=True)
class Patience:
    """How many patterns may still take too long in one response, before none is tried any more."""

    left: int = 5

    def fits(self, pattern: str, text: str) -> bool:
        """Whether the whole text matches.

        Raises:
            PatternInvalid, PatternTooSlow: see there.
        """
        if self.left == 0:
            raise PatternTooSlow
        try:
            return matches(pattern, text, whole=True)
        except PatternTooSlow:
            self.left -= 1
            raise


def matches(pattern: str, text: str, *, whole: bool) -> bool:
    """Whether the pattern matches all of the text (`whole`), or somewhere in it.

    Raises:
        PatternInvalid, PatternTooSlow: see there.
    """
    found = compiled(pattern)
    try:
        return (found.fullmatch if whole else found.search)(text, timeout=SECONDS) is not None
    except TimeoutError as fault:
        raise PatternTooSlow from fault


def replaced(pattern: str, by: str, text: str) -> str:
    """Returns the text with every match replaced; `$1` stands for the first group.

    Raises:
        PatternInvalid, PatternTooSlow: see there.
    """
    template = regex.sub(r"\$(\d+)", r"\\\1", by)
    try:
        return str(compiled(pattern).sub(template, text, timeout=SECONDS))
    except TimeoutError as fault:
        raise PatternTooSlow from fault
