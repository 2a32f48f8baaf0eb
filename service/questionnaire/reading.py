"""Reads the items of a Questionnaire, whatever shape they are in, into compiled items.

What is wrong with a Questionnaire is said by the lint; reading never raises. An item without
linkId, or with a linkId that was read before, is left out with everything below it.

Source: FHIR R4 Questionnaire; SDC extensions named in `extensions.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from service.guidance.answers import Answer, Coding
from service.questionnaire import extensions as ext
from service.questionnaire.conditions import OPERATORS
from service.questionnaire.item import Condition, Item
from service.questionnaire.limit_reading import limits_of
from service.questionnaire.options import options_of
from service.questionnaire.value_sets import ValueSets
from service.questionnaire.values import answer_in

DEEPEST = 64
"""Levels of items that are read; HL7's own forms stay under ten."""


def items_of(resource: Mapping[str, Any], value_sets: ValueSets) -> dict[str, Item]:
    """Returns all items by linkId, in document order, parents before children."""
    reading = _Reading(value_sets, list(ext.mappings(resource.get("contained"))))
    reading.read(resource, parent=None, path="Questionnaire", depth=0)
    return reading.items


class _Reading:
    """One pass over the items, counting their order."""

    def __init__(self, value_sets: ValueSets, contained: list[Mapping[str, Any]]) -> None:
        self.value_sets = value_sets
        self.contained = contained
        self.items: dict[str, Item] = {}

    def read(
        self, source: Mapping[str, Any], *, parent: str | None, path: str, depth: int
    ) -> tuple[str, ...]:
        """Reads the children of `source` and returns their linkIds."""
        children: list[str] = []
        listed = source.get("item")
        for index, child in enumerate(listed if isinstance(listed, list) and depth < DEEPEST else []):
            link = ext.text(child.get("linkId")) if isinstance(child, Mapping) else ""
            if not link or link in self.items:
                continue
            children.append(link)
            here = f"{path}.item[{index}]"
            self.items[link] = self._item(child, link, parent=parent, path=here)
            below = self.read(child, parent=link, path=here, depth=depth + 1)
            self.items[link] = replace(self.items[link], children=below, end=len(self.items))
        return tuple(children)

    def _item(self, source: Mapping[str, Any], link: str, *, parent: str | None, path: str) -> Item:
        low, high = _occurs(source)
        order = len(self.items)
        return Item(
            link_id=link,
            text=ext.text(source.get("text")),
            type=ext.text(source.get("type")),
            parent=parent,
            order=order,
            end=order + 1,
            path=path,
            required=source.get("required") is True,
            repeats=source.get("repeats") is True,
            read_only=source.get("readOnly") is True,
            low=low,
            high=high,
            options=options_of(source, self.value_sets, self.contained),
            limits=limits_of(source, self.value_sets, self.contained),
            conditions=_conditions(source),
            any_condition=source.get("enableBehavior") == "any",
            enable_expression=_expression(source, ext.ENABLE_WHEN_EXPRESSION),
            codes=_codes(source),
            initial=_initial(source),
            translations=_translations(source),
            source=source,
        )


def _occurs(source: Mapping[str, Any]) -> tuple[int, int | None]:
    low = _count(ext.value(source, ext.MIN_OCCURS))
    high = _count(ext.value(source, ext.MAX_OCCURS))
    if source.get("repeats") is not True:
        high = 1
    return max(low or 0, 1 if source.get("required") is True else 0), high


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _conditions(source: Mapping[str, Any]) -> tuple[Condition, ...]:
    """The conditions that can be evaluated; the lint names the others."""
    found = []
    for one in ext.mappings(source.get("enableWhen")):
        question, operator, expected = (
            ext.text(one.get("question")),
            one.get("operator"),
            answer_in(one, "answer"),
        )
        if expected is not None and question and operator in OPERATORS:
            found.append(Condition(question, operator, expected[1]))
    return tuple(found)


def _expression(source: Mapping[str, Any], url: str) -> str:
    found = ext.value(source, url)
    return ext.text(found.get("expression")) if isinstance(found, Mapping) else ""


def _codes(source: Mapping[str, Any]) -> tuple[Coding, ...]:
    return tuple(
        Coding(ext.text(code.get("system")), ext.text(code.get("code")))
        for code in ext.mappings(source.get("code"))
    )


def _initial(source: Mapping[str, Any]) -> tuple[Answer, ...]:
    selected = (one for one in ext.mappings(source.get("answerOption")) if one.get("initialSelected") is True)
    found = (answer_in(one, "value") for one in (*ext.mappings(source.get("initial")), *selected))
    return tuple(one[1] for one in found if one is not None)


def _translations(source: Mapping[str, Any]) -> frozenset[str]:
    beside = source.get("_text")
    extensions = ext.extensions(beside, ext.TRANSLATION) if isinstance(beside, Mapping) else ()
    return frozenset(ext.text(ext.value(extension, "content")) for extension in extensions)
