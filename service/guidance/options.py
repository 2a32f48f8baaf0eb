"""What a question offers to a guidance: its options by word, their weights in a score, its units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from service.datatypes.answers import Answer, Coding
from service.datatypes.form import Question

CHOICES = ("choice", "open-choice")
"""Types of questions that have options."""

NUMBERS = ("integer", "decimal", "quantity")
"""Types of questions whose answers can be compared with a parameter."""

NOT_SURE = "not-sure"
"""The alias whose option makes an answer unknown (or present, where a finding says so)."""

PLAIN = "1"
"""The unit of a plain number."""

DAY = "d"
"""The unit of dates that are counted from the response."""

ZERO = Decimal(0)


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
    """Returns the units of the question's answers; none where it does not say."""
    return question.units if question.type == "quantity" else (PLAIN,)


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of one question: by answer, and the least and most that it can add when open."""

    link_id: str
    by_answer: Mapping[Answer, Decimal]
    least: Decimal
    most: Decimal


def weights_of(question: Question) -> Weights:
    """Returns what the answers of a question add to a score; one option at least must have a weight."""
    by_answer: dict[Answer, Decimal] = {
        option.coding: option.weight for option in question.options if option.weight is not None
    }
    known = list(by_answer.values())
    if question.repeats:
        least = sum((weight for weight in known if weight < ZERO), ZERO) or min(known)
        most = sum((weight for weight in known if weight > ZERO), ZERO) or max(known)
    else:
        least, most = min(known), max(known)
    if question.enabled_by:
        least, most = min(least, ZERO), max(most, ZERO)
    return Weights(question.link_id, by_answer, least, most)
