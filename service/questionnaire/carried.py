"""Whether a response brings along a form that has something to run: expressions or patterns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from service.questionnaire import extensions as ext

_RUN: Final = frozenset(
    (
        ext.VARIABLE,
        ext.CONSTRAINT,
        ext.TARGET_CONSTRAINT,
        ext.ENABLE_WHEN_EXPRESSION,
        ext.CALCULATED_EXPRESSION,
        ext.INITIAL_EXPRESSION,
        ext.REGEX,
    )
)
"""Extensions whose content is evaluated or compiled."""


def carries_code(response: Mapping[str, Any]) -> bool:
    """Whether the response names a contained form, and what it contains has an expression or a pattern.

    It looks into every contained resource and at every depth: sooner once too often than not once.
    """
    if not ext.text(response.get("questionnaire")).startswith("#"):
        return False
    pending: list[Any] = [response.get("contained")]
    while pending:
        element = pending.pop()
        if isinstance(element, Mapping):
            if ext.text(element.get("url")) in _RUN:
                return True
            pending.extend(element.values())
        elif isinstance(element, list):
            pending.extend(element)
    return False
