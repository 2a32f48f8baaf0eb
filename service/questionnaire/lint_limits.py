"""Limits that cannot be met, or that do not fit the type of their item.

Source: extensions minValue, maxValue, minLength, regex, minOccurs, maxOccurs; SDC minQuantity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from service.errors import Problem
from service.guidance.answers import Answer, Quantity
from service.questionnaire import extensions as ext
from service.questionnaire.lint_report import problem
from service.questionnaire.pattern import PatternInvalid, compiled
from service.questionnaire.values import ELEMENTS, answer_in, order

_NUMBERS = frozenset({"integer", "decimal", "quantity"})


def limit_problems(source: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Yields faults of the limits of one item."""
    yield from _occurrence_problems(source, path)
    yield from _pattern_problems(source, path)
    yield from _range_problems(source, path, ext.MIN_VALUE, ext.MAX_VALUE)
    yield from _range_problems(source, path, ext.MIN_QUANTITY, ext.MAX_QUANTITY)
    low, high = ext.value(source, ext.MIN_LENGTH), source.get("maxLength")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield problem("limit-contradiction", path, "expected minLength to be at most maxLength")


def _occurrence_problems(source: Mapping[str, Any], path: str) -> Iterator[Problem]:
    low, high = ext.value(source, ext.MIN_OCCURS), ext.value(source, ext.MAX_OCCURS)
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield problem("limit-contradiction", path, "expected minOccurs to be at most maxOccurs")
    if isinstance(low, int) and low > 0 and source.get("required") is not True:
        yield problem("occurs-required", path, "expected required: true beside minOccurs")
    several = any(isinstance(count, int) and count > 1 for count in (low, high))
    if several and source.get("repeats") is not True:
        yield problem("occurs-required", path, "expected repeats: true beside minOccurs or maxOccurs above 1")


def _pattern_problems(source: Mapping[str, Any], path: str) -> Iterator[Problem]:
    pattern = ext.text(ext.value(source, ext.REGEX))
    if not pattern:
        return
    try:
        compiled(pattern)
    except PatternInvalid as fault:
        yield problem("pattern-invalid", path, f"expected {fault}")


def _range_problems(source: Mapping[str, Any], path: str, low_url: str, high_url: str) -> Iterator[Problem]:
    ends: list[Answer] = []
    for url in (low_url, high_url):
        for extension in ext.extensions(source, url):
            found = answer_in(extension, "value")
            if found is None or not _fits(ext.text(source.get("type")), *found):
                yield problem(
                    "limit-value", path, f"expected {url.rpartition('/')[2]} in the type of the item"
                )
            else:
                ends.append(found[1])
    if len(ends) == 2 and (order(ends[0], ends[1]) or 0) > 0:
        yield problem("limit-contradiction", path, "expected the minimum to be at most the maximum")


def _fits(type_: str, name: str, limit: Answer) -> bool:
    if type_ in _NUMBERS and isinstance(limit, int | Decimal | Quantity):
        return type_ == "quantity" or not isinstance(limit, Quantity)
    return name in ELEMENTS.get(type_, ()) or (type_ == "dateTime" and name == "valueDate")
