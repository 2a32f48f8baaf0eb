"""The fields of mapping files: each takes exactly one kind of value and says what it expected.

A condition is such a field too: words and lists, no expressions and no numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, NamedTuple, TypeVar

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema

from service.datatypes.answers import Coding
from service.guidance.conditions import (
    COMPARISONS,
    NEWLY,
    Answered,
    AtLevel,
    AtTier,
    Condition,
    Group,
    InBand,
    Is,
    Measured,
    Named,
    Newly,
    Scored,
    Switch,
    Unsure,
)

# Words, numbers, lists and mappings.

Data = Mapping[str, Any] | None
T = TypeVar("T")

_MISSING: dict[str, Any] = {"required": "is missing; expected it here", "null": "expected a value, not null"}


class Shape(Schema):
    """A mapping with exactly the keys that are declared; the message of an unknown key lists them.

    An entry becomes what `makes` says, by default a dict. A field has the name of the member that it
    fills, and as `data_key` the key of the file where that is another.
    """

    makes: ClassVar[type[Any]] = dict

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        known = ", ".join(field.data_key or name for name, field in self.fields.items())
        self.error_messages = {
            **self.error_messages,
            "unknown": f"unknown key; expected one of: {known}",
            "type": f"expected a mapping with the keys: {known}",
        }

    @post_load
    def _made(self, data: dict[str, Any], **_: Any) -> Any:
        return self.makes(**self._members(data))

    def _members(self, data: dict[str, Any]) -> dict[str, Any]:
        """Returns the members of the object that is made, from the values of an entry by field."""
        return data


def names_one(value: Any, key: str) -> bool:
    """Whether a value is a mapping of this key alone to a text, such as `{parameter: name}`."""
    return isinstance(value, dict) and set(value) == {key} and isinstance(value[key], str)


class Part(fields.Nested):
    """A mapping inside a mapping, or with `many` a list of them, which loads to a tuple."""

    def __init__(self, shape: type[Shape], **options: Any) -> None:
        messages = {**_MISSING, "type": "expected a list of mappings"}
        super().__init__(shape, error_messages=messages, **options)

    def _deserialize(self, *arguments: Any, **options: Any) -> Any:
        loaded = super()._deserialize(*arguments, **options)
        return tuple(loaded) if self.many else loaded


class Strict(fields.Field[T]):
    """A field that takes one kind of value, by default any; `expected` says which."""

    expected: ClassVar[str] = "expected a value"

    def __init__(self, **options: Any) -> None:
        super().__init__(error_messages=_MISSING, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Data, **options: Any) -> Any:
        if not self._takes(value):
            raise ValidationError(self.expected)
        return self._read(value)

    def _takes(self, value: Any) -> bool:
        """Whether `value` is of this kind."""
        return True

    def _read(self, value: Any) -> Any:
        """Returns the value in the form in which it is kept."""
        return value


class Text(Strict[str]):
    """One or more words for a reader; not empty, without the spaces around it."""

    expected = "expected text (in quotes, if need be)"

    def _takes(self, value: Any) -> bool:
        return isinstance(value, str) and value.strip() != ""

    def _read(self, value: Any) -> str:
        return str(value).strip()


class Name(Strict[str]):
    """A name in small letters, digits and hyphens, such as `new-weakness`."""

    expected = "expected a name in small letters, digits and hyphens"
    pattern: ClassVar[re.Pattern[str]] = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")

    def _takes(self, value: Any) -> bool:
        return isinstance(value, str) and self.pattern.fullmatch(value) is not None


class Word(Name):
    """A code or linkId: no space at either end, and no two together."""

    expected = "expected a code"
    pattern = re.compile(r"\S+(?: \S+)*")


class StatementId(Name):
    """The number of a statement of the source, such as S012."""

    expected = "expected the number of a statement, such as S012"
    pattern = re.compile(r"[A-Z]+[0-9]+")


class Number(Strict[Decimal]):
    """A whole or decimal number; true and false are not numbers."""

    expected = "expected a number"

    def _takes(self, value: Any) -> bool:
        return isinstance(value, int | Decimal) and not isinstance(value, bool)

    def _read(self, value: Any) -> Any:
        return Decimal(value)


class NumberOrSwitch(Number):
    """A number, or true or false for a switch."""

    expected = "expected a number, or true or false for a switch"

    def _takes(self, value: Any) -> bool:
        return isinstance(value, bool) or super()._takes(value)

    def _read(self, value: Any) -> Any:
        return value if isinstance(value, bool) else super()._read(value)


class Factor(Strict[Fraction]):
    """A number above zero, as a text in quotes or as a number; it is kept exactly."""

    expected = "expected a number above zero"
    pattern: ClassVar[re.Pattern[str]] = re.compile(r"[0-9]+(?:\.[0-9]+)?")

    def _takes(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
            return False
        return self.pattern.fullmatch(str(value)) is not None and Fraction(str(value)) > 0

    def _read(self, value: Any) -> Fraction:
        return Fraction(str(value))


class ParameterName(Strict[str]):
    """`{parameter: name}`; loads to the name."""

    expected = "expected {parameter: name}; every number is a parameter of guidance.yaml"

    def _takes(self, value: Any) -> bool:
        return names_one(value, "parameter")

    def _read(self, value: Any) -> str:
        return str(value["parameter"])


class Choice(Strict[str]):
    """One of the words that are listed; the message lists them."""

    def __init__(self, *words: str, **options: Any) -> None:
        super().__init__(**options)
        self.words = words
        self.expected = f"expected one of: {', '.join(words)}"  # type: ignore[misc]  # each choice has its own

    def _takes(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.words


class OnlyTrue(Strict[bool]):
    """The value true, where a key only says that something is so."""

    expected = "expected true"

    def _takes(self, value: Any) -> bool:
        return value is True


class TrueOrFalse(Strict[bool]):
    """The value true or false, and nothing that only looks like it."""

    expected = "expected true or false"

    def _takes(self, value: Any) -> bool:
        return isinstance(value, bool)


class Anything(Strict[Any]):
    """Any value; it is read later, by something that knows more."""


class ListOf(fields.List[Any]):
    """A list; loads to a tuple in the order of the file."""

    def __init__(self, inner: fields.Field[Any], *, may_be_empty: bool = False, **options: Any) -> None:
        messages = {**_MISSING, "invalid": "expected a list, in [ ] or with hyphens"}
        super().__init__(inner, error_messages=messages, **options)
        self.may_be_empty = may_be_empty

    def _deserialize(self, value: Any, attr: str | None, data: Data, **options: Any) -> Any:
        if value == [] and not self.may_be_empty:
            raise ValidationError("expected at least one entry")
        return tuple(super()._deserialize(value, attr, data, **options))


class ByName(fields.Dict):
    """A mapping from names of the author's choice to entries."""

    def __init__(self, **options: Any) -> None:
        super().__init__(error_messages={**_MISSING, "invalid": "expected a mapping of names"}, **options)

    def _deserialize(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super()._deserialize(*arguments, **options)  # type: ignore[no-untyped-call]  # theirs
        except ValidationError as error:
            raise ValidationError(_without_key_and_value(error.messages)) from error


def _without_key_and_value(messages: Any) -> Any:
    """Drops the words `key` and `value` that marshmallow puts between a name and its faults."""
    if not isinstance(messages, dict):
        return messages
    return {name: faults.get("value", faults.get("key")) for name, faults in messages.items()}


class Sourced(Shape):
    """An entry that rests on statements of the source, or is marked as the project's own choice."""

    origin = Choice("article", "project", load_default="article")
    sources = ListOf(StatementId(), may_be_empty=True, required=True)

    @validates_schema
    def _rests_on_something(self, data: Mapping[str, Any], **_: Any) -> None:
        if not data["sources"] and data["origin"] == "article":
            raise ValidationError("expected at least one statement, or origin: project", "sources")


class CodeShape(Shape):
    """`{system, code, display}`; the display is optional."""

    system = Text(required=True)
    code = Word(required=True)
    display = Text(load_default="")


class CodingShape(CodeShape):
    """A coding, whose display is for the reader of the file only."""

    makes = Coding

    def _members(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"system": data["system"], "code": data["code"]}


# Conditions.

Readers = Mapping[str, Callable[["_Entry"], Condition]]
"""By its first word, what reads a condition."""


class _Entry(NamedTuple):
    """A condition in a file: the mapping, its first word, and the reader of conditions inside it."""

    value: Mapping[str, Any]
    word: str
    readers: Readers


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
    """Returns the condition that `value` writes.

    Raises:
        ValidationError: with the messages nested as the keys of `value` are.
    """
    if isinstance(value, str):
        return Named(value)
    if isinstance(value, dict):
        for word, reader in readers.items():
            if word in value:
                return reader(_Entry(value, word, readers))
    raise ValidationError(_EXPECTED + ", ".join(readers))


def _group(entry: _Entry) -> Condition:
    _only(entry.value, entry.word)
    return Group(entry.word, _parts(entry, entry.word))


def _not(entry: _Entry) -> Condition:
    return Group(entry.word, (_one(entry),))


def _unsure(entry: _Entry) -> Condition:
    return Unsure(_one(entry))


def _newly(entry: _Entry) -> Condition:
    _only(entry.value, entry.word)
    return Newly(_parts(entry, entry.word))


def _one(entry: _Entry) -> Condition:
    """Returns the one condition that stands under the word of another."""
    value, word, readers = entry
    _only(value, word)
    try:
        return condition_from(value[word], readers)
    except ValidationError as error:
        raise ValidationError({word: error.messages}) from error


def _at_least(entry: _Entry) -> Condition:
    _only(entry.value, "at-least", "of")
    return Group("at-least", _parts(entry, "of"), _parameter(entry.value, "at-least"))


def _parts(entry: _Entry, word: str) -> tuple[Condition, ...]:
    listed = entry.value.get(word)
    if not isinstance(listed, list) or listed == []:
        raise ValidationError({word: ["expected a list of conditions"]})
    parts: list[Condition] = []
    faults: dict[int, Any] = {}
    for index, part in enumerate(listed):
        try:
            parts.append(condition_from(part, entry.readers))
        except ValidationError as error:
            faults[index] = error.messages
    if faults:
        raise ValidationError({word: faults})
    return tuple(parts)


def _answer(entry: _Entry) -> Condition:
    value = entry.value
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


def _score(entry: _Entry) -> Condition:
    value = entry.value
    score = _text(value, "score")
    if "band" in value:
        _only(value, "score", "band")
        bands = _listed(value["band"])
        if not _all_text(bands):
            raise ValidationError({"band": ["expected the name of a band, or a list of them"]})
        return InBand(score, tuple(bands))
    comparison = _comparison(value, "score", "band, ")
    return Scored(score, comparison, _parameter(value, comparison))


def _switch(entry: _Entry) -> Condition:
    return Switch(_parameter({"": entry.value}, ""))


def _at_tier(entry: _Entry) -> Condition:
    _only(entry.value, entry.word)
    return AtTier(entry.word.removeprefix("tier-"), _text(entry.value, entry.word))


def _at_level(entry: _Entry) -> Condition:
    _only(entry.value, "level")
    level = entry.value["level"]
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
    if names_one(written, "parameter"):
        return str(written["parameter"])
    raise ValidationError({word: [ParameterName.expected]} if word else [ParameterName.expected])


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
    **dict.fromkeys(("any", "all", "none"), _group),
    "not": _not,
    "unsure": _unsure,
    NEWLY: _newly,
    "at-least": _at_least,
    "parameter": _switch,
}
_RESULT_READERS: Readers = {"tier-at-least": _at_tier, "tier-at-most": _at_tier, "level": _at_level}
