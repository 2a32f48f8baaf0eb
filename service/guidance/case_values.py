"""Answers of worked cases, from words to answer values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from service.guidance.answers import Answer, Quantity
from service.guidance.form import Question
from service.guidance.words import CHOICES, codings_of

_QUANTITY = re.compile(r"(?P<value>-?[0-9]+(?:\.[0-9]+)?) (?P<unit>\S+)")


class NotAnAnswer(Exception):
    """The words are not an answer to this question; the text says what was expected."""


def answers_from(question: Question, written: Any, words: Mapping[str, str]) -> tuple[Answer, ...]:
    """The answers that a case writes for a question: one value, or a list of values.

    Raises:
        NotAnAnswer: with what was expected instead.
    """
    values = written if isinstance(written, list) else [written]
    if not values or (len(values) > 1 and not question.repeats):
        raise NotAnAnswer("expected one answer" if values else "expected at least one answer, or null")
    return tuple(_answer(question, value, words) for value in values)


def _answer(question: Question, value: Any, words: Mapping[str, str]) -> Answer:
    if question.type in CHOICES:
        return _coded(question, value, words)
    if question.type == "boolean":
        return _checked(value, "true or false", isinstance(value, bool))
    if question.type in ("integer", "decimal"):
        return _plain(question, value)
    if question.type == "quantity":
        return quantity_from(question, value)
    return _checked(value, "a text in quotes", isinstance(value, str))


def _coded(question: Question, value: Any, words: Mapping[str, str]) -> Answer:
    codings = codings_of(question, value, words) if isinstance(value, str) else ()
    if codings:
        return codings[0]
    codes = ", ".join(option.coding.code for option in question.options)
    return _checked(value, f"one of: {codes}", question.type == "open-choice" and isinstance(value, str))


def _plain(question: Question, value: Any) -> Answer:
    if question.type == "integer":
        return _checked(value, "a whole number", isinstance(value, int) and not isinstance(value, bool))
    _checked(value, "a number", isinstance(value, int | Decimal) and not isinstance(value, bool))
    return Decimal(value)


def quantity_from(question: Question, value: Any) -> Quantity:
    """The measured value that `"3 d"` writes, in a unit that the question allows."""
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or (question.units and match["unit"] not in question.units):
        units = ", ".join(question.units) or "a UCUM unit"
        raise NotAnAnswer(f'expected a number and a unit in quotes, such as "3 d"; units: {units}')
    return Quantity(Decimal(match["value"]), match["unit"])


def _checked(value: Answer, expected: str, right: object) -> Answer:
    if not right:
        raise NotAnAnswer(f"expected {expected}")
    return value
