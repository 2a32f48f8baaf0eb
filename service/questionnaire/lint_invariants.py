"""The invariants que-1 to que-13 of one item, as far as they need nothing but the item.

que-2 (unique linkIds) and que-7 (exists takes a boolean) are checked with the items they concern.

Source: FHIR R4 Questionnaire StructureDefinition 4.0.1, Questionnaire.item constraints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from service.errors import Problem
from service.questionnaire.extensions import text
from service.questionnaire.item import DISPLAY, GROUP
from service.questionnaire.lint_report import problem

_WITH_OPTIONS = frozenset(
    {"choice", "open-choice", "decimal", "integer", "date", "dateTime", "time", "string", "quantity"}
)
_WITH_LENGTH = frozenset(["boolean", "decimal", "integer", "string", "text", "url", "open-choice"])


def invariant_problems(source: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Yields the invariants that an item breaks."""
    type_ = text(source.get("type"))
    yield from _of_type(source, type_, path)
    if type_ == DISPLAY:
        yield from _of_display(source, path)
    initial = source.get("initial")
    if initial is not None and type_ in (GROUP, DISPLAY):
        yield problem("que-8", path, "expected no initial value on a group or display item")
    if source.get("answerOption") is not None and initial is not None:
        yield problem(
            "que-11", path, "expected initialSelected on an option, not initial beside answerOption"
        )
    if isinstance(initial, list) and len(initial) > 1 and source.get("repeats") is not True:
        yield problem("que-13", path, "expected one initial value, because the question does not repeat")
    conditions = source.get("enableWhen")
    count = len(conditions) if isinstance(conditions, list) else 0
    if count > 1 and source.get("enableBehavior") not in ("all", "any"):
        yield problem(
            "que-12",
            path,
            "expected enableBehavior (all or any) beside several enableWhen",
            "error" if count > 2 else "warning",
        )


def _of_type(source: Mapping[str, Any], type_: str, path: str) -> Iterator[Problem]:
    children = source.get("item")
    options, value_set = source.get("answerOption"), source.get("answerValueSet")
    if type_ == GROUP and not children:
        yield problem("que-1", path, "expected items in a group")
    if type_ == DISPLAY and children:
        yield problem("que-1", path, "expected no items below a display item")
    if options is not None and value_set is not None:
        yield problem("que-4", path, "expected answerOption or answerValueSet, not both")
    if (options is not None or value_set is not None) and type_ not in _WITH_OPTIONS:
        yield problem("que-5", path, f"expected no list of answers on an item of type {type_ or 'none'}")
    if source.get("maxLength") is not None and type_ not in _WITH_LENGTH:
        yield problem("que-10", path, f"expected no maxLength on an item of type {type_ or 'none'}")


def _of_display(source: Mapping[str, Any], path: str) -> Iterator[Problem]:
    if source.get("code") is not None:
        yield problem("que-3", path, "expected no code on a display item")
    if source.get("required") is not None or source.get("repeats") is not None:
        yield problem("que-6", path, "expected neither required nor repeats on a display item")
    if source.get("readOnly") is not None:
        yield problem("que-9", path, "expected no readOnly on a display item")
