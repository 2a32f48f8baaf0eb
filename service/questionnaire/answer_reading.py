"""Reads the answers of one response item: value, type and format, with every fault in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.guidance.answers import Answer
from service.questionnaire.item import Item
from service.questionnaire.values import ELEMENTS, READERS, NotWellFormed

_NAMES: Mapping[str, str] = {
    "valueBoolean": "true or false",
    "valueDecimal": "a decimal number",
    "valueInteger": "a whole number",
    "valueDate": "a date",
    "valueDateTime": "a date with or without time",
    "valueTime": "a time",
    "valueString": "a text",
    "valueUri": "a url",
    "valueCoding": "a coded answer",
    "valueQuantity": "a quantity",
    "valueReference": "a reference",
    "valueAttachment": "an attachment",
}

Report = Callable[[str, str, str], None]
"""Takes kind, FHIRPath and text of a fault."""


@dataclass(frozen=True, slots=True)
class Given:
    """One answer as it stands in the response.

    Args:
        value: its JSON value; None with `has_value` False where it only holds items.
        answer: the same typed, or None where it has the wrong type or format.
        nested: the items inside it, unread.
    """

    path: str
    has_value: bool
    value: Any = None
    answer: Answer | None = None
    nested: Any = None


def answers_of(item: Item, path: str, raw: object, report: Report) -> Iterator[Given]:
    """Yields every answer of one response item, in order."""
    if raw is not None and not isinstance(raw, list):
        report("malformed", path, f"{item.label}: expected answer to be an array.")
    for index, source in enumerate(raw if isinstance(raw, list) else []):
        here = f"{path}.answer[{index}]"
        if isinstance(source, Mapping):
            yield _one(item, here, source, report)
        else:
            report("malformed", here, f"{item.label}: expected an answer to be an object.")


def _one(item: Item, path: str, source: Mapping[str, Any], report: Report) -> Given:
    names = [key for key in source if key.startswith("value")]
    nested = source.get("item")
    if not names:
        if nested is None and not any(key.startswith("_value") for key in source):
            report("answer-empty", path, f"{item.label}: expected a value in the answer.")
        return Given(path, has_value=False, nested=nested)
    if len(names) > 1:
        report("answer-several-values", path, f"{item.label}: expected one value[x], found {len(names)}.")
        return Given(path, has_value=True, nested=nested)
    value = source[names[0]]
    answer = _typed(item, path, names[0], value, report)
    return Given(path, has_value=True, value=value, answer=answer, nested=nested)


def _typed(item: Item, path: str, name: str, value: object, report: Report) -> Answer | None:
    expected = elements_of(item)
    if name not in expected:
        words = " or ".join(f"{_NAMES[one]} ({one})" for one in expected if one in _NAMES)
        report("answer-type", path, f"{item.label}: expected {words or 'no answer'}.")
        return None
    try:
        return READERS[name](value)
    except NotWellFormed as fault:
        report("answer-format", path, f"{item.label}: expected {fault} ({name}).")
        return None


def elements_of(item: Item) -> tuple[str, ...]:
    """Returns the element names that may carry an answer of this item."""
    if item.type in ("choice", "open-choice") and item.options is not None:
        return item.options.types
    return ELEMENTS.get(item.type, ())
