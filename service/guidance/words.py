"""Option words of the mapping files, and the codings that they stand for in one question."""

from __future__ import annotations

from collections.abc import Mapping

from service.guidance.answers import Coding
from service.guidance.form import Question

NOT_SURE = "not-sure"
"""The alias whose option makes an answer unknown (or present, where a finding says so)."""

CHOICES = ("choice", "open-choice")
NUMBERS = ("integer", "decimal", "quantity")


def codings_of(question: Question, word: str, words: Mapping[str, str]) -> tuple[Coding, ...]:
    """The question's options that `word` names, by its alias or else by its code; may be empty."""
    by_alias = _with_code(question, words[word]) if word in words else ()
    return by_alias or _with_code(question, word)


def unsure_codings(question: Question, words: Mapping[str, str]) -> tuple[Coding, ...]:
    """The question's options that mean not sure; may be empty."""
    return _with_code(question, words[NOT_SURE]) if NOT_SURE in words else ()


def _with_code(question: Question, code: str) -> tuple[Coding, ...]:
    return tuple(option.coding for option in question.options if option.coding.code == code)
