"""One item of a compiled Questionnaire: what it asks and what an answer must keep to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from service.guidance.answers import Answer, Coding, Quantity

GROUP = "group"
DISPLAY = "display"
TYPES = frozenset(
    {
        "group",
        "display",
        "boolean",
        "decimal",
        "integer",
        "date",
        "dateTime",
        "time",
        "string",
        "text",
        "url",
        "choice",
        "open-choice",
        "attachment",
        "reference",
        "quantity",
    }
)
"""FHIR R4 item-type, without the abstract `question`."""

COMPLETE = frozenset({"completed", "amended"})
"""Statuses in which a response must be complete."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One permitted answer; `exclusive` forbids any other answer beside it."""

    answer: Answer
    display: str
    weight: Decimal | None = None
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """The permitted answers of a question.

    Args:
        choices: by answer; a coding is found by system and code.
        types: element names that may carry an answer, such as `valueCoding`.
        open: an answer outside `choices` is allowed (open-choice).
        value_set: canonical of the answerValueSet, or empty.
        uncertain: code systems of which some unlisted codes may belong to the value set.
        unreachable: the value set could not be expanded at all.
    """

    choices: Mapping[Answer, Choice]
    types: tuple[str, ...] = ("valueCoding",)
    open: bool = False
    value_set: str = ""
    uncertain: frozenset[str] = frozenset()
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on one answer; None where there is none. `low` and `high` are both included."""

    min_length: int | None = None
    max_length: int | None = None
    low: Answer | None = None
    high: Answer | None = None
    low_quantity: Quantity | None = None
    high_quantity: Quantity | None = None
    decimal_places: int | None = None
    pattern: str = ""
    units: tuple[Coding, ...] = ()
    open_units: bool = False
    mime_types: tuple[str, ...] = ()
    max_bytes: int | None = None
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """One enableWhen: `question operator expected`. For `exists` the expected answer is a bool."""

    question: str
    operator: str
    expected: Answer


@dataclass(frozen=True, slots=True)
class Item:
    """One item, with everything that never changes between responses.

    Args:
        parent: linkId of the item it stands under, or None at the top.
        order: position in the whole questionnaire, from 0, parents before children.
        end: one more than the order of its last descendant.
        initial: initial answers, and options that are selected at first.
        translations: the text in other languages.
        low, high: how many answers (or occurrences, for a group) there must be at least, when it is
            there at all, and at most; `high` None means any number.
        conditions: enableWhen; all must hold unless `any_condition`.
        source: the item as published, for expressions and definitions.
    """

    link_id: str
    text: str
    type: str
    parent: str | None
    order: int
    end: int
    path: str
    required: bool = False
    repeats: bool = False
    read_only: bool = False
    low: int = 0
    high: int | None = 1
    options: Options | None = None
    limits: Limits = Limits()
    conditions: tuple[Condition, ...] = ()
    any_condition: bool = False
    enable_expression: str = ""
    children: tuple[str, ...] = ()
    codes: tuple[Coding, ...] = ()
    initial: tuple[Answer, ...] = ()
    translations: frozenset[str] = frozenset()
    source: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def answerable(self) -> bool:
        """Whether the item can carry answers."""
        return self.type not in (GROUP, DISPLAY)

    @property
    def label(self) -> str:
        """How messages name the item: its text, else its linkId."""
        return f"“{self.text}”" if self.text else f"item {self.link_id}"
