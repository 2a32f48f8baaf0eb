"""The options of a question by word, and its units, as mapping files name them."""

from __future__ import annotations

from collections.abc import Mapping

from service.datatypes.answers import Coding
from service.datatypes.form import Question

CHOICES = ("choice", "open-choice")
"""Types of questions that have options."""

NUMBERS = ("integer", "decimal", "quantity")
"""Types of questions whose answers can be compared with a parameter."""

DATES = ("date", "dateTime")
"""Types of questions whose answers are compared as days before the response was written."""

DAY = "d"
"""The unit of those days, and of what is derived from them."""

NOT_SURE = "not-sure"
"""The alias whose option makes an answer unknown (or present, where a finding says so)."""

PLAIN = "1"
"""The unit of a plain number."""


def codings_of(question: Question, word: str, words: Mapping[str, str]) -> tuple[Coding, ...]:
    """Returns the options that `word` names, by its alias or else by its code; may be empty.

    Args:
        words: option codes by alias, as guidance.yaml has them.
    """
    by_alias = _with_code(question, words[word]) if word in words else ()
    return by_alias or _with_code(question, word)


def unsure_codings(question: Question, words: Mapping[str, str]) -> tuple[Coding, ...]:
    """Returns the options that mean not sure; may be empty."""
    return _with_code(question, words[NOT_SURE]) if NOT_SURE in words else ()


def _with_code(question: Question, code: str) -> tuple[Coding, ...]:
    return tuple(option.coding for option in question.options if option.coding.code == code)


def units_of(question: Question) -> tuple[str, ...]:
    """Returns the units of the question's answers; none if it does not say."""
    if question.type in DATES:
        return (DAY,)
    return question.units if question.type == "quantity" else (PLAIN,)
