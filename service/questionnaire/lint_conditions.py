"""Faults of enableWhen: what it names, how it compares, and whether it runs in a circle.

Source: FHIR R4 Questionnaire.item.enableWhen; que-7; questionnaire-enable-operator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from service.errors import Problem
from service.guidance.answers import Answer, Coding
from service.questionnaire.conditions import OPERATORS
from service.questionnaire.extensions import mappings, text
from service.questionnaire.item import Item
from service.questionnaire.lint_report import problem
from service.questionnaire.values import ELEMENTS, answer_in

_ORDERED = frozenset(["integer", "decimal", "date", "dateTime", "time", "string", "text", "quantity"])


def condition_problems(items: Mapping[str, Item], circular: tuple[str, ...]) -> Iterator[Problem]:
    """Yields faults of all conditions."""
    for item in items.values():
        conditions = list(mappings(item.source.get("enableWhen")))
        if conditions and item.enable_expression:
            yield problem(
                "enable-when-both", item.path, "expected enableWhen or enableWhenExpression, not both"
            )
        for index, one in enumerate(conditions):
            yield from _of_condition(one, f"{item.path}.enableWhen[{index}]", item, items)
    for link in _in_circles(circular, items):
        yield problem(
            "enable-when-cycle",
            items[link].path,
            f"{items[link].label}: expected conditions that do not run in a circle",
        )


def _of_condition(
    source: Mapping[str, Any], path: str, item: Item, items: Mapping[str, Item]
) -> Iterator[Problem]:
    trigger = items.get(text(source.get("question")))
    if trigger is None:
        yield problem("enable-when-unknown", path, "expected question to be the linkId of a question")
        return
    if not trigger.answerable or trigger is item:
        yield problem(
            "enable-when-trigger", path, "expected question to be another item that can be answered"
        )
        return
    if trigger.order > item.order:
        yield problem(
            "enable-when-later", path, f"expected a question that comes before; {trigger.label} comes later"
        )
    yield from _comparison_problems(source, path, trigger)


def _comparison_problems(source: Mapping[str, Any], path: str, trigger: Item) -> Iterator[Problem]:
    operator, found = text(source.get("operator")), answer_in(source, "answer")
    if operator not in OPERATORS:
        yield problem("enable-when-operator", path, f"expected operator to be one of {', '.join(OPERATORS)}")
    elif operator == "exists":
        if found is None or found[0] != "valueBoolean":
            yield problem("que-7", path, "expected answerBoolean beside operator exists")
        return
    elif operator not in ("=", "!=") and trigger.type not in _ORDERED:
        yield problem("enable-when-operator", path, f"expected = or != for a question of type {trigger.type}")
    if found is None:
        yield problem("enable-when-answer", path, "expected answer[x]")
    elif not _is_possible(trigger, *found):
        yield problem("enable-when-answer", path, f"expected an answer that {trigger.label} can have")


def _is_possible(trigger: Item, name: str, answer: Answer) -> bool:
    options = trigger.options
    if options is None:
        numbers = {"valueInteger", "valueDecimal"}
        return name in ELEMENTS.get(trigger.type, ()) or (
            trigger.type in ("decimal", "integer") and name in numbers
        )
    if name not in options.types:
        return False
    if options.unreachable or (isinstance(answer, Coding) and answer.system in options.uncertain):
        return True
    return answer in options.choices or options.open


def _in_circles(circular: tuple[str, ...], items: Mapping[str, Item]) -> list[str]:
    """Leaves out items that only depend on a circle and are not part of one."""
    among = set(circular)
    needs = {link: _needs(items[link]) & among for link in circular}
    needed = Counter(link for found in needs.values() for link in found)
    outside = [link for link in circular if needed[link] == 0]
    left = set(among)
    while outside:
        link = outside.pop()
        left.discard(link)
        for need in needs[link]:
            needed[need] -= 1
            if needed[need] == 0:
                outside.append(need)
    return [link for link in circular if link in left]


def _needs(item: Item) -> set[str]:
    return {*(condition.question for condition in item.conditions), item.parent or ""} - {item.link_id}
