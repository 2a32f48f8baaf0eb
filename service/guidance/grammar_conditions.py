"""Reads a condition from plain YAML values: words and lists, no expressions and no numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from marshmallow import ValidationError, fields

from service.guidance.conditions import (
    COMPARISONS,
    Answered,
    AtLevel,
    AtTier,
    Condition,
    Group,
    InBand,
    Is,
    Measured,
    Named,
    Scored,
    Switch,
)
from service.guidance.grammar_fields import Data

Readers = Mapping[str, Callable[["Written"], Condition]]
"""By its first word, what reads a condition."""


class Written(NamedTuple):
    """A condition as it is written: the mapping, its first word, and what reads conditions inside it."""

    value: Mapping[str, Any]
    word: str
    readers: Readers


_GROUPS = ("any", "all", "none")
_EXPECTED = "expected the name of a finding, or a mapping that starts with one of: "


class ConditionField(fields.Field[Any]):
    """A condition; `extra` are words beyond those of a finding (`tier-at-least` ..., for advice)."""

    def __init__(self, *, extra: bool = False, **options: Any) -> None:
        messages = {
            "required": "is missing; expected a condition here",
            "null": "expected a condition, not null",
        }
        super().__init__(error_messages=dict(messages), **options)
        self.readers = {**_READERS, **_RESULT_READERS} if extra else _READERS

    def _deserialize(self, value: Any, attr: str | None, data: Data, **options: Any) -> Condition:
        return condition_from(value, self.readers)


def condition_from(value: Any, readers: Readers) -> Condition:
    """The condition that `value` writes.

    Raises:
        ValidationError: with the messages nested as the keys of `value` are.
    """
    if isinstance(value, str):
        return Named(value)
    if isinstance(value, dict):
        for word, reader in readers.items():
            if word in value:
                return reader(Written(value, word, readers))
    raise ValidationError(_EXPECTED + ", ".join(readers))


def _group(written: Written) -> Condition:
    _only(written.value, written.word)
    return Group(written.word, _parts(written, written.word))


def _not(written: Written) -> Condition:
    value, word, readers = written
    _only(value, word)
    try:
        return Group(word, (condition_from(value[word], readers),))
    except ValidationError as error:
        raise ValidationError({word: error.messages}) from error


def _at_least(written: Written) -> Condition:
    _only(written.value, "at-least", "of")
    return Group("at-least", _parts(written, "of"), _parameter(written.value, "at-least"))


def _parts(written: Written, word: str) -> tuple[Condition, ...]:
    listed = written.value.get(word)
    if not isinstance(listed, list) or listed == []:
        raise ValidationError({word: ["expected a list of conditions"]})
    parts: list[Condition] = []
    faults: dict[int, Any] = {}
    for index, part in enumerate(listed):
        try:
            parts.append(condition_from(part, written.readers))
        except ValidationError as error:
            faults[index] = error.messages
    if faults:
        raise ValidationError({word: faults})
    return tuple(parts)


def _answer(written: Written) -> Condition:
    value = written.value
    link_id = _text(value, "answer")
    if "is" in value:
        _only(value, "answer", "is")
        return Is(link_id, _options(value["is"]))
    if "answered" in value:
        _only(value, "answer", "answered")
        if value["answered"] is not True:
            raise ValidationError({"answered": ["expected true"]})
        return Answered(link_id)
    comparison = _comparison(value, "answer", "is, answered, ")
    return Measured(link_id, comparison, _parameters(value, comparison))


def _score(written: Written) -> Condition:
    value = written.value
    score = _text(value, "score")
    if "band" in value:
        _only(value, "score", "band")
        bands = _listed(value["band"])
        if not _all_text(bands):
            raise ValidationError({"band": ["expected the name of a band, or a list of them"]})
        return InBand(score, tuple(bands))
    comparison = _comparison(value, "score", "band, ")
    return Scored(score, comparison, _parameter(value, comparison))


def _switch(written: Written) -> Condition:
    return Switch(_parameter({"": written.value}, ""))


def _at_tier(written: Written) -> Condition:
    _only(written.value, written.word)
    return AtTier(written.word.removeprefix("tier-"), _text(written.value, written.word))


def _at_level(written: Written) -> Condition:
    _only(written.value, "level")
    level = written.value["level"]
    if not isinstance(level, dict) or set(level) != {"outcome", "at-least"} or not _all_text(level.values()):
        raise ValidationError({"level": ["expected {outcome: an outcome, at-least: a level}"]})
    return AtLevel(level["outcome"], level["at-least"])


def _comparison(value: Mapping[str, Any], first: str, others: str) -> str:
    found = [word for word in value if word in COMPARISONS]
    if len(found) != 1:
        raise ValidationError(f"expected exactly one of: {others}{', '.join(COMPARISONS)}")
    _only(value, first, found[0])
    return found[0]


def _parameters(value: Mapping[str, Any], word: str) -> tuple[str, ...]:
    written = value[word]
    if isinstance(written, dict) and set(written) == {"parameters"}:
        names = written["parameters"]
        if isinstance(names, list) and len(names) > 1 and _all_text(names):
            return tuple(names)
        raise ValidationError({word: {"parameters": ["expected a list of two or more parameters"]}})
    return (_parameter(value, word),)


def _parameter(value: Mapping[str, Any], word: str) -> str:
    written = value[word]
    if isinstance(written, dict) and set(written) == {"parameter"} and isinstance(written["parameter"], str):
        return str(written["parameter"])
    fault = ["expected {parameter: name}; every number is a parameter of guidance.yaml"]
    raise ValidationError({word: fault} if word else fault)


def _options(written: Any) -> tuple[str | bool, ...]:
    words = _listed(written)
    if not words or not all(isinstance(word, str | bool) for word in words):
        raise ValidationError({"is": ["expected an option, a list of options, or true or false"]})
    return tuple(words)


def _listed(written: Any) -> list[Any]:
    return written if isinstance(written, list) else [written]


def _all_text(values: Any) -> bool:
    return all(isinstance(value, str) for value in values) and len(values) > 0


def _text(value: Mapping[str, Any], word: str) -> str:
    if not isinstance(value[word], str):
        raise ValidationError({word: ["expected a name"]})
    return str(value[word])


def _only(value: Mapping[str, Any], *words: str) -> None:
    faults: dict[Any, Any] = {
        key: [f"unknown key; expected only: {', '.join(words)}"] for key in value if key not in words
    }
    if faults:
        raise ValidationError(faults)


_READERS: Readers = {
    "answer": _answer,
    "score": _score,
    **dict.fromkeys(_GROUPS, _group),
    "not": _not,
    "at-least": _at_least,
    "parameter": _switch,
}
_RESULT_READERS: Readers = {
    "tier-at-least": _at_tier,
    "tier-at-most": _at_tier,
    "level": _at_level,
}
