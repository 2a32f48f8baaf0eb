"""The response laid over the Questionnaire: every item there is, and every item there could be.

One walk over the parsed response pairs each response item with its Questionnaire item and
reads the answers. An item that is absent is there as an empty occurrence (unless it is a display
item, which nothing asks for), so that all later checks treat absent and empty alike. The walk goes
only where the Questionnaire goes, so hostile nesting ends where the form ends.

Source: FHIR R4 QuestionnaireResponse.item; SDC validation rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.datatypes.answers import Answer
from service.errors import Problem
from service.fhir.outcome import severity
from service.questionnaire.items import DISPLAY, GROUP, Item
from service.questionnaire.values import ELEMENTS, READERS, NotWellFormed

# Reads the answers of one response item: value, type and format, with every fault in words.

_NAMES: Mapping[str, str] = {
    "valueBoolean": "true or false",
    "valueDecimal": "a decimal number",
    "valueInteger": "a whole number",
    "valueDate": "a date",
    "valueDateTime": "a date with or without time",
    "valueTime": "a time",
    "valueString": "a text",
    "valueUri": "a url",
    "valueCoding": "a coded answer",
    "valueQuantity": "a quantity",
    "valueReference": "a reference",
    "valueAttachment": "an attachment",
}

Report = Callable[[str, str, str], None]
"""Takes kind, FHIRPath and text of a fault."""


@dataclass(frozen=True, slots=True)
class Given:
    """One answer as it stands in the response.

    Args:
        value: its JSON value; None with `has_value` False where it only holds items.
        answer: the same typed, or None where it has the wrong type or format.
        nested: the items inside it, unread.
    """

    path: str
    has_value: bool
    value: Any = None
    answer: Answer | None = None
    nested: Any = None


def answers_of(item: Item, path: str, raw: object, report: Report) -> Iterator[Given]:
    """Yields every answer of one response item, in order."""
    if raw is not None and not isinstance(raw, list):
        report("malformed", path, f"{item.label}: expected answer to be an array.")
    for index, source in enumerate(raw if isinstance(raw, list) else []):
        here = f"{path}.answer[{index}]"
        if isinstance(source, Mapping):
            yield _one(item, here, source, report)
        else:
            report("malformed", here, f"{item.label}: expected an answer to be an object.")


def _one(item: Item, path: str, source: Mapping[str, Any], report: Report) -> Given:
    names = [key for key in source if key.startswith("value")]
    nested = source.get("item")
    if not names:
        if nested is None and not any(key.startswith("_value") for key in source):
            report("answer-empty", path, f"{item.label}: expected a value in the answer.")
        return Given(path, has_value=False, nested=nested)
    if len(names) > 1:
        report("answer-several-values", path, f"{item.label}: expected one value[x], found {len(names)}.")
        return Given(path, has_value=True, nested=nested)
    value = source[names[0]]
    answer = _typed(item, path, names[0], value, report)
    return Given(path, has_value=True, value=value, answer=answer, nested=nested)


def _typed(item: Item, path: str, name: str, value: object, report: Report) -> Answer | None:
    expected = elements_of(item)
    if name not in expected:
        words = " or ".join(f"{_NAMES[one]} ({one})" for one in expected if one in _NAMES)
        report("answer-type", path, f"{item.label}: expected {words or 'no answer'}.")
        return None
    try:
        return READERS[name](value)
    except NotWellFormed as fault:
        report("answer-format", path, f"{item.label}: expected {fault} ({name}).")
        return None


def elements_of(item: Item) -> tuple[str, ...]:
    """Returns the element names that may carry an answer of this item."""
    if item.type in ("choice", "open-choice") and item.options is not None:
        return item.options.types
    return ELEMENTS.get(item.type, ())


MOST = 200_000
"""Occurrences, empty ones included, beyond which a response is not checked further."""

_LONGEST_TEXT = 200
"""Characters of the response's own wording that a message repeats."""


@dataclass(slots=True, eq=False)
class Scope:
    """A place in the response where items stand: the top, a group, or the inside of one answer."""

    path: str
    owner: Occurrence | None = None
    by_link: dict[str, list[Occurrence]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Occurrence:
    """One item in one place.

    Args:
        path: its FHIRPath, or that of the place where it is missing.
        position, end: its place in the walk, and that of the first occurrence after all inside it.
        source: as it stands in the response, None where it is absent.
        given: its answers that have a value, wrong ones included. answers: the well-formed ones, typed.
        scopes: where its own items stand: one for a group, one per answer for a question.
        enabled: by FHIR's rules. certain: 1 open and -1 closed for certain, 0 neither.
    """

    item: Item
    scope: Scope
    path: str
    position: int
    source: Mapping[str, Any] | None
    end: int = 0
    given: list[Given] = field(default_factory=list)
    answers: tuple[Answer, ...] = ()
    scopes: list[Scope] = field(default_factory=list)
    enabled: bool = True
    certain: int = 1

    @property
    def present(self) -> bool:
        """Whether it stands in the response."""
        return self.source is not None

    @property
    def in_use(self) -> bool:
        """Whether it, or anything in it, is answered."""
        return bool(self.given) or any(
            below.in_use for scope in self.scopes for found in scope.by_link.values() for below in found
        )


@dataclass(slots=True)
class Paired:
    """The whole response: the top scope, occurrences by linkId, and faults of shape."""

    top: Scope
    by_link: dict[str, list[Occurrence]]
    problems: list[Problem]
    count: int

    def occurrences(self) -> Iterator[Occurrence]:
        """Yields every occurrence, in the order of the Questionnaire."""
        for found in self.by_link.values():
            yield from found


class TooCostly(Exception):
    """The response repeats groups so often that checking it would take too long."""


def paired(response: Mapping[str, Any], items: Mapping[str, Item], top: tuple[str, ...]) -> Paired:
    """Lays a response over the items of a form.

    Args:
        response: the parsed QuestionnaireResponse, of any shape.
        top: linkIds of the top-level items.

    Raises:
        TooCostly: there are more than MOST occurrences.
    """
    pairing = _Pairing(items)
    scope = Scope("QuestionnaireResponse")
    pairing.fill(scope, top, response.get("item"))
    return Paired(scope, pairing.by_link, pairing.problems, pairing.count)


class _Pairing:
    """The state of the walk: occurrences so far, by linkId, and faults."""

    def __init__(self, items: Mapping[str, Item]) -> None:
        self.items = items
        self.by_link: dict[str, list[Occurrence]] = {link: [] for link in items}
        self.problems: list[Problem] = []
        self.count = 0

    def problem(self, kind: str, path: str, text: str) -> None:
        self.problems.append(Problem(kind, text, path, severity(kind)))

    def fill(self, scope: Scope, links: tuple[str, ...], raw: object) -> None:
        """Pairs the items that stand in one scope, then adds empty occurrences for the absent ones."""
        if raw is not None and not isinstance(raw, list):
            self.problem("malformed", scope.path, "Expected: item is an array of items.")
        last = -1
        for index, source in enumerate(raw if isinstance(raw, list) else []):
            path = f"{scope.path}.item[{index}]"
            item = self._known(source, scope, path)
            if item is None:
                continue
            if item.order < last:
                self.problem(
                    "item-order", path, f"{item.label}: expected items in the order of the Questionnaire."
                )
            last = max(last, item.order)
            if item.link_id in scope.by_link and not (item.type == GROUP and item.repeats):
                self.problem("item-repeated", path, _once(item))
            self.occurrence(item, scope, path, source)
        for link in links:
            if link not in scope.by_link and self.items[link].type != DISPLAY:
                self.occurrence(self.items[link], scope, scope.path, None)

    def _known(self, source: object, scope: Scope, path: str) -> Item | None:
        if not isinstance(source, Mapping):
            self.problem("malformed", path, "Expected: an item is an object.")
            return None
        link = source.get("linkId")
        if not isinstance(link, str) or not link:
            self.problem("link-id-missing", path, "Expected: linkId, naming an item of the Questionnaire.")
            return None
        item = self.items.get(link)
        if item is None:
            self.problem("item-unknown", path, "Expected: linkId is one of the Questionnaire's.")
            return None
        if item.parent != (scope.owner.item.link_id if scope.owner is not None else None):
            self.problem("item-misplaced", path, f"{item.label}: expected {self._place(item)}.")
            return None
        return item

    def _place(self, item: Item) -> str:
        return (
            f"under {self.items[item.parent].label}"
            if item.parent is not None
            else "at the top of the response"
        )

    def occurrence(self, item: Item, scope: Scope, path: str, source: Mapping[str, Any] | None) -> None:
        self.count += 1
        if self.count > MOST:
            raise TooCostly(f"at most {MOST} items, empty ones of repeated groups included")
        here = Occurrence(item, scope, path, self.count, source)
        scope.by_link.setdefault(item.link_id, []).append(here)
        self.by_link[item.link_id].append(here)
        if source is not None:
            self._shape(here, source)
        if item.answerable and source is None:
            self._unanswered(here)
        elif item.answerable:
            self._question(here, source or {})
        else:
            self._inside(here, path, (source or {}).get("item"))
        here.end = self.count + 1

    def _question(self, here: Occurrence, source: Mapping[str, Any]) -> None:
        for answer in answers_of(here.item, here.path, source.get("answer"), self.problem):
            if answer.has_value:
                here.given.append(answer)
            if answer.nested is not None or (answer.has_value and here.item.children):
                self._inside(here, answer.path, answer.nested)
        here.answers = tuple(one.answer for one in here.given if one.answer is not None)
        self._unanswered(here)

    def _unanswered(self, here: Occurrence) -> None:
        if not here.scopes and here.item.children:
            self._inside(here, here.path, None)

    def _inside(self, here: Occurrence, path: str, raw: object) -> None:
        scope = Scope(path, here)
        here.scopes.append(scope)
        self.fill(scope, here.item.children, raw)

    def _shape(self, here: Occurrence, source: Mapping[str, Any]) -> None:
        item, path = here.item, here.path
        text = source.get("text")
        if isinstance(text, str) and text != item.text and text not in item.translations:
            shown = f"“{text[:_LONGEST_TEXT]}”"
            self.problem(
                "item-text", path, f"{item.label}: the response words the question differently: {shown}."
            )
        if item.type == GROUP and "answer" in source:
            self.problem("group-answer", path, f"{item.label}: expected no answer, because this is a group.")
        if item.type == DISPLAY and ("answer" in source or "item" in source):
            self.problem(
                "display-answer", path, f"{item.label}: expected no answer and no items: this is a text."
            )
        if item.answerable and "item" in source:
            self.problem(
                "item-nesting", path, f"{item.label}: expected its items inside an answer, not beside it."
            )


def _once(item: Item) -> str:
    if item.type == GROUP:
        return f"{item.label}: expected once, because the group does not repeat."
    return f"{item.label}: expected one item; several answers of a question stand in one item."
