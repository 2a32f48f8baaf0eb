"""Answer values: from JSON to typed answers, and how two of them compare.

A quantity with a comparator is a range. It compares as all of its values do; where they differ, there
is no answer.

Source: FHIR R4 datatypes.html (primitive formats; Quantity.comparator, a modifier element; Coding.code,
0..1); FHIRPath N1 section 6.2 on comparing dates of different precision: where the precision does not
allow an answer, there is none (None here).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from operator import eq, ge, gt, le, lt
from typing import Any, NamedTuple

from service.datatypes.answers import Answer, Coding, Quantity, Uncoded, Unread
from service.datatypes.ucum import LONGEST_CODE, converted
from service.fhir.dates import compare, compare_times, is_date, is_date_time, is_time, sign

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

COMPARATORS = ("<", "<=", ">=", ">")
"""Codes of Quantity.comparator."""

_INSIDE: Mapping[str, Callable[[Fraction, Fraction], bool]] = {"": eq, "<": lt, "<=": le, ">=": ge, ">": gt}
"""Whether a number belongs to the range that a comparator and an edge make."""

_NUMBERS = (int, Decimal)
_UNORDERED = (bool, Coding, Uncoded, Unread)
_NAMELESS = Uncoded("", "")


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
    if not isinstance(value, dict):
        raise NotWellFormed("a Coding object")
    code, system, display = value.get("code", ""), value.get("system", ""), value.get("display", "")
    if not (isinstance(code, str) and isinstance(system, str) and isinstance(display, str)):
        raise NotWellFormed("a Coding: system, code and display as texts")
    if code:
        return Coding(system, code)
    if value.keys() <= {"id"}:
        raise NotWellFormed("a Coding with a system, a code or a display")
    return Uncoded(system, display)


def _quantity(value: object) -> Answer:
    if not isinstance(value, dict):
        raise NotWellFormed("a Quantity object")
    code, comparator = value.get("code", ""), value.get("comparator", "")
    if not isinstance(code, str):
        raise NotWellFormed("a Quantity whose code is a text")
    if comparator not in ("", *COMPARATORS):
        raise NotWellFormed(f"a Quantity whose comparator is one of {' '.join(COMPARATORS)}")
    return Quantity(_decimal(value.get("value")), code, comparator)


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
                answer = READERS[name](value)
            except NotWellFormed:
                return None
            return None if answer == _NAMELESS else (name, answer)
    return None


def computed_answer(value: object, elements: Iterable[str]) -> Answer | None:
    """Returns a computed value as one of these elements carries it, or None where none of them can.

    A whole number is an integer, however it came about: `14.0` is the integer 14.
    """
    found = computed_element(value, elements)
    return None if found is None else found[1]


def computed_element(value: object, elements: Iterable[str]) -> tuple[str, Answer] | None:
    """Returns the element that carries a computed value, and the answer, as `computed_answer` reads it."""
    for element in elements:
        try:
            answer = READERS[element](_as_whole(value) if element == "valueInteger" else value)
        except NotWellFormed:
            continue
        if not isinstance(answer, Uncoded):
            return element, answer
    return None


def _as_whole(value: object) -> object:
    """Returns a decimal number that is whole, and of the size of an integer, as an int."""
    is_small = isinstance(value, Decimal) and value.is_finite() and abs(value) <= LARGEST_INTEGER
    return int(value) if is_small and isinstance(value, Decimal) and value == int(value) else value


def compare_answers(a: Answer, b: Answer) -> int | None:
    """Returns -1, 0 or 1 as `a` is less than, equal to or greater than `b`; None if that is not known.

    Quantities are compared after exact conversion of `b`, dates and times on the digits that
    both have, texts by code points. Values of different types do not compare.
    """
    signs = possible_signs(a, b)
    return signs[0] if len(signs) == 1 else None


def possible_signs(a: Answer, b: Answer) -> tuple[int, ...]:
    """Returns every sign (-1, 0, 1) that a comparison of the two may have; several where one is a range.

    Nothing where the two cannot be compared.
    """
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        return _signs_of_quantities(a, b)
    if isinstance(a, _UNORDERED) or isinstance(b, _UNORDERED):
        return (0,) if type(a) is type(b) and a == b and not isinstance(a, Unread) else ()
    if isinstance(a, str) and isinstance(b, str):
        order = _order_of_texts(a, b)
        return () if order is None else (order,)
    if isinstance(a, _NUMBERS) and isinstance(b, _NUMBERS):
        return (sign(a, b),)
    return ()


def _signs_of_quantities(a: Quantity, b: Quantity) -> tuple[int, ...]:
    other = _in_unit(b, a.unit) if len(a.unit) <= LONGEST_CODE else converted(b.value, b.unit, a.unit)
    if other is None:
        return ()
    if not a.comparator and not b.comparator:
        return (sign(a.value, other),)
    first, second = _Range(Fraction(a.value), a.comparator), _Range(other, b.comparator)
    possible = (first.can_be_below(second), first.can_equal(second), second.can_be_below(first))
    return tuple(one for one, can_be in zip((-1, 0, 1), possible, strict=True) if can_be)


class _Range(NamedTuple):
    """All numbers on one side of an edge; without a comparator the edge alone."""

    edge: Fraction
    comparator: str

    def holds(self, number: Fraction) -> bool:
        return _INSIDE[self.comparator](number, self.edge)

    def can_be_below(self, other: _Range) -> bool:
        without_end = self.comparator[:1] == "<" or other.comparator[:1] == ">"
        return without_end or self.edge < other.edge

    def can_equal(self, other: _Range) -> bool:
        """Returns whether both hold a number: if so, one of their edges, one between or one beyond them."""
        low, high = sorted((self.edge, other.edge))
        tried = (low - 1, low, (low + high) / 2, high, high + 1)
        return any(self.holds(number) and other.holds(number) for number in tried)


@lru_cache(maxsize=1024)
def _in_unit(quantity: Quantity, unit: str) -> Fraction | None:
    """Converts a limit or an expected answer, which comes again and again, so the result is kept."""
    return converted(quantity.value, quantity.unit, unit)


def answers_equal(a: Answer, b: Answer) -> bool | None:
    """Returns whether two answers are equal; None if units or precision do not allow to tell."""
    if isinstance(a, Unread) or isinstance(b, Unread):
        return None
    if isinstance(a, _UNORDERED) or isinstance(b, _UNORDERED):
        return type(a) is type(b) and a == b
    signs = possible_signs(a, b)
    if 0 not in signs:
        return None if not signs and type(a) is type(b) else False
    return True if len(signs) == 1 else None


def _order_of_texts(a: str, b: str) -> int | None:
    if is_date_time(a) and is_date_time(b):
        return compare(a, b)
    return compare_times(a, b) if is_time(a) and is_time(b) else sign(a, b)
