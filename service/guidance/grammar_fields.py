"""Strict fields for mapping files: each takes exactly one kind of value and says what it expected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

from marshmallow import Schema, ValidationError, fields, validates_schema

from service.guidance.answers import Coding

Data = Mapping[str, Any] | None
T = TypeVar("T")

_MISSING: dict[str, Any] = {"required": "is missing; expected it here", "null": "expected a value, not null"}


class Shape(Schema):
    """A mapping with exactly the keys that are declared; the message of an unknown key lists them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        known = ", ".join(field.data_key or name for name, field in self.fields.items())
        self.error_messages = {
            **self.error_messages,
            "unknown": f"unknown key; expected one of: {known}",
            "type": f"expected a mapping with the keys: {known}",
        }


class Part(fields.Nested):
    """A mapping inside a mapping, or with `many` a list of them."""

    def __init__(self, shape: type[Shape], **options: Any) -> None:
        messages = {**_MISSING, "type": "expected a list of mappings"}
        super().__init__(shape, error_messages=messages, **options)


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
        """The value as it is kept."""
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


class CodingShape(Shape):
    """`{system, code, display}`; the display is for the reader of the file and is optional."""

    system = Text(required=True)
    code = Word(required=True)
    display = Text()


def coding_from(data: Mapping[str, str]) -> Coding:
    """The coding of a loaded `CodingShape`."""
    return Coding(data["system"], data["code"])


def codings_from(data: Any) -> tuple[Coding, ...]:
    """The codings of a list of loaded `CodingShape`s; absent is none."""
    return tuple(coding_from(each) for each in data or ())
