"""Answer values: from JSON to typed answers, and how two of them compare.

Source: FHIR R4 datatypes.html (primitive formats); FHIRPath N1 section 6.2 on comparing dates of
different precision: where the precision does not allow an answer, there is none (None here).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from service.datatypes.answers import Answer, Coding, Quantity
from service.datatypes.ucum import converted
from service.fhir.dates import compare, compare_times, is_date, is_date_time, is_time

ELEMENTS: Mapping[str, tuple[str, ...]] = {
    "boolean": ("valueBoolean",),
    "decimal": ("valueDecimal",),
    "integer": ("valueInteger",),
    "date": ("valueDate",),
    "dateTime": ("valueDateTime",),
    "time": ("valueTime",),
    "string": ("valueString",),
    "text": ("valueString",),
    "url": ("valueUri",),
    "choice": ("valueCoding",),
    "open-choice": ("valueCoding", "valueString"),
    "attachment": ("valueAttachment",),
    "reference": ("valueReference",),
    "quantity": ("valueQuantity",),
}
"""Elements that carry an answer, by item type."""

LARGEST_INTEGER = 2**31 - 1


class NotWellFormed(ValueError):
    """The JSON value has the right element name and is not written as FHIR writes that type."""


def _boolean(value: object) -> Answer:
    if not isinstance(value, bool):
        raise NotWellFormed("true or false")
    return value


def _integer(value: object) -> Answer:
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not -LARGEST_INTEGER - 1 <= value <= LARGEST_INTEGER
    ):
        raise NotWellFormed("a whole number of at most 32 bits")
    return value


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | float):
        raise NotWellFormed("a decimal number")
    exact = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    if not exact.is_finite():
        raise NotWellFormed("a finite decimal number")
    return exact


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise NotWellFormed("a text that is not blank")
    return value


def _formatted(is_well_formed: Callable[[str], bool], expected: str) -> Callable[[object], Answer]:
    def read(value: object) -> str:
        if not isinstance(value, str) or not is_well_formed(value):
            raise NotWellFormed(expected)
        return value

    return read


def _coding(value: object) -> Answer:
    if not isinstance(value, Mapping):
        raise NotWellFormed("a Coding object")
    code, system = value.get("code"), value.get("system", "")
    if not isinstance(system, str) or not isinstance(code, str) or not code:
        raise NotWellFormed("a Coding with system and code")
    return Coding(system, code)


def _quantity(value: object) -> Answer:
    if not isinstance(value, Mapping):
        raise NotWellFormed("a Quantity object")
    code = value.get("code", "")
    if not isinstance(code, str):
        raise NotWellFormed("a Quantity whose code is a text")
    return Quantity(_decimal(value.get("value")), code)


def _reference(value: object) -> Answer:
    if not isinstance(value, Mapping):
        raise NotWellFormed("a Reference object")
    named = value.get("reference")
    if named is None and ("identifier" in value or "display" in value):
        return ""
    return _text(named)


def _attachment(value: object) -> Answer:
    if not isinstance(value, Mapping):
        raise NotWellFormed("an Attachment object")
    url = value.get("url", "")
    return url if isinstance(url, str) else ""


READERS: Mapping[str, Callable[[object], Answer]] = {
    "valueBoolean": _boolean,
    "valueDecimal": _decimal,
    "valueInteger": _integer,
    "valueDate": _formatted(is_date, "a date: YYYY, YYYY-MM or YYYY-MM-DD"),
    "valueDateTime": _formatted(is_date_time, "a date, or a date with a time (seconds) and a time zone"),
    "valueTime": _formatted(is_time, "a time: hh:mm:ss"),
    "valueString": _text,
    "valueUri": _text,
    "valueCoding": _coding,
    "valueQuantity": _quantity,
    "valueReference": _reference,
    "valueAttachment": _attachment,
}
"""Reads the JSON value of one element; raises NotWellFormed with what was expected."""


def answer_in(element: Mapping[str, Any], prefix: str) -> tuple[str, Answer] | None:
    """Returns (element name, answer) of `answer[x]`, `value[x]` or `initial.value[x]`; None if unreadable."""
    for key, value in element.items():
        if not key.startswith(prefix):
            continue
        name = "value" + key[len(prefix) :]
        if name in READERS:
            try:
                return name, READERS[name](value)
            except NotWellFormed:
                return None
    return None


def compare_answers(a: Answer, b: Answer) -> int | None:
    """Returns -1, 0 or 1 as `a` is less than, equal to or greater than `b`; None if that is not known.

    Quantities are compared after exact conversion of `b`, dates and times on the digits that
    both have, texts by code points. Values of different types do not compare.
    """
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        other = _in_unit(b, a.unit)
        return None if other is None else _sign(a.value, other)
    if isinstance(a, Coding) or isinstance(b, Coding) or isinstance(a, bool) or isinstance(b, bool):
        return 0 if type(a) is type(b) and a == b else None
    if isinstance(a, str) and isinstance(b, str):
        return _order_of_texts(a, b)
    if isinstance(a, int | Decimal) and isinstance(b, int | Decimal):
        return _sign(a, b)
    return None


@lru_cache(maxsize=1024)
def _in_unit(quantity: Quantity, unit: str) -> Fraction | None:
    """Converts a limit or an expected answer, which comes again and again, so the result is kept."""
    return converted(quantity.value, quantity.unit, unit)


def answers_equal(a: Answer, b: Answer) -> bool | None:
    """Returns whether two answers are equal; None if units or precision do not allow to tell."""
    if isinstance(a, bool) or isinstance(b, bool) or isinstance(a, Coding) or isinstance(b, Coding):
        return type(a) is type(b) and a == b
    found = compare_answers(a, b)
    if found is None:
        return None if type(a) is type(b) else False
    return found == 0


def _sign(a: Any, b: Any) -> int:
    return int(a > b) - int(a < b)


def _order_of_texts(a: str, b: str) -> int | None:
    if is_date_time(a) and is_date_time(b):
        return compare(a, b)
    return compare_times(a, b) if is_time(a) and is_time(b) else _sign(a, b)
