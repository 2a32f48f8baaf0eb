"""Regular expressions of a Questionnaire, each run within a time limit.

The standard library cannot stop a regular expression; the `regex` package can.

Source: http://hl7.org/fhir/StructureDefinition/regex. The whole text must match, as the
reference validator has it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
import regex  # type: ignore[import-untyped]

TIME_LIMIT_S = 0.1
MAX_LENGTH = 2_000
"""Characters of a pattern."""


class PatternInvalid(ValueError):
    """The pattern is too long or not a regular expression."""


class PatternTooSlow(Exception):
    """The pattern took too long on this text, so it is not known whether it matches."""


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Any:
    """Compiles a pattern.

    Raises:
        PatternInvalid: it is too long or not a regular expression.
    """
    if len(pattern) > MAX_LENGTH:
        raise PatternInvalid(f"a pattern of at most {MAX_LENGTH} characters")
    try:
        return regex.compile(pattern, regex.DOTALL)
    except (regex.error, RecursionError, OverflowError) as fault:
        raise PatternInvalid("a regular expression") from fault


class PatternBudget(msgspec.Struct):
    """How many patterns may still take too long in one response, before none is tried any more."""

    left: int = 5

    def matches(self, pattern: str, text: str) -> bool:
        """Returns whether the whole text matches.

        Raises:
            PatternInvalid: the pattern cannot be used.
            PatternTooSlow: it takes too long, or too many have done so before.
        """
        if self.left == 0:
            raise PatternTooSlow
        try:
            return matches(pattern, text, whole=True)
        except PatternTooSlow:
            self.left -= 1
            raise


def matches(pattern: str, text: str, *, whole: bool) -> bool:
    """Returns whether the pattern matches all of the text (`whole`), or somewhere in it.

    Raises:
        PatternInvalid: the pattern cannot be used.
        PatternTooSlow: it takes too long on this text.
    """
    found = compile_pattern(pattern)
    try:
        return (found.fullmatch if whole else found.search)(text, timeout=TIME_LIMIT_S) is not None
    except TimeoutError as fault:
        raise PatternTooSlow from fault


def replace_matches(pattern: str, by: str, text: str) -> str:
    """Returns the text with every match replaced; `$1` stands for the first group.

    Raises:
        PatternInvalid: the pattern cannot be used.
        PatternTooSlow: it takes too long on this text.
    """
    template = regex.sub(r"\$(\d+)", r"\\\1", by)
    try:
        return str(compile_pattern(pattern).sub(template, text, timeout=TIME_LIMIT_S))
    except TimeoutError as fault:
        raise PatternTooSlow from fault
