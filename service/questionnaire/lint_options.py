"""Faults in the answers that an item lists.

Source: FHIR R4 Questionnaire.item.answerOption; extensions itemWeight and ordinalValue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from service.errors import Problem
from service.guidance.answers import Answer
from service.questionnaire.extensions import ANSWER_EXPRESSION, mappings, text, value
from service.questionnaire.lint_report import problem
from service.questionnaire.values import ELEMENTS, answer_in
from service.questionnaire.weights import weights_disagree

_PERMITTED = ("valueInteger", "valueDate", "valueTime", "valueString", "valueCoding", "valueReference")


def option_problems(source: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Yields faults of the options of one item."""
    type_ = text(source.get("type"))
    listed = source.get("answerOption")
    if type_ in ("choice", "open-choice"):
        known = listed or source.get("answerValueSet") or value(source, ANSWER_EXPRESSION)
        if not known:
            yield problem("options-missing", path, "expected answerOption or answerValueSet on a choice")
    seen: set[Answer] = set()
    for index, option in enumerate(mappings(listed)):
        yield from _of_option(option, type_, f"{path}.answerOption[{index}]", seen)


def _of_option(option: Mapping[str, Any], type_: str, path: str, seen: set[Answer]) -> Iterator[Problem]:
    coding = option.get("valueCoding")
    found = answer_in(option, "value")
    if found is None:
        yield problem("option-code", path, "expected a value; a Coding with a code")
        return
    name, answer = found
    allowed = _PERMITTED if type_ in ("choice", "open-choice") else ELEMENTS.get(type_, ())
    if name not in allowed:
        yield problem("option-type", path, f"expected {' or '.join(allowed) or 'no option'}")
    if answer in seen:
        yield problem("option-duplicate", path, "expected each option once")
    seen.add(answer)
    if weights_disagree(option, coding if isinstance(coding, Mapping) else {}):
        yield problem(
            "weight-disagreement", path, "expected itemWeight and ordinalValue to be the same number"
        )
