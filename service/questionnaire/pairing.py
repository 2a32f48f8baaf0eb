"""Pairs the items of a response with those of its Questionnaire, the missing ones included.

One walk over the parsed response pairs each response item with its Questionnaire item and
reads the answers. An item that is absent is there as an empty occurrence (unless it is a display
item, which nothing asks for), so that all later checks treat absent and empty alike. The walk goes
only where the Questionnaire goes, so hostile nesting ends where the form ends.

Source: FHIR R4 QuestionnaireResponse.item; SDC validation rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Protocol

import msgspec

from service.datatypes.answers import UNREAD, Answer, Uncoded
from service.datatypes.spelling import spelled
from service.errors import Problem, ProblemList
from service.fhir import extensions as ext
from service.fhir.json import Json
from service.questionnaire.items import DISPLAY, GROUP, Item
from service.questionnaire.problems import problem
from service.questionnaire.values import ELEMENTS, READERS, NotWellFormed

MAX_OCCURRENCES = 200_000
"""Occurrences, empty ones included, beyond which a response is not checked further."""

MAX_OCCURRENCES_HERE = 1_000
"""The same where other requests wait meanwhile: a response with more is checked in a child."""


class ResponseAnswer(msgspec.Struct, eq=False):
    """One answer as it stands in the response.

    Args:
        value: its JSON value; None with `has_value` False where it only holds items.
        answer: the same typed, UNREAD where it says nothing that can be read, or None where it has the
            wrong type or format.
        nested: the items inside it, unread.
    """

    path: str
    has_value: bool
    value: Any = None
    answer: Answer | None = None
    nested: Any = None


class Container(msgspec.Struct, eq=False):
    """A place in the response where items stand: the top, a group, or the inside of one answer."""

    path: str
    owner: Occurrence | None = None
    by_link: dict[str, list[Occurrence]] = msgspec.field(default_factory=dict)


class Occurrence(msgspec.Struct, eq=False):
    """One item in one place.

    Args:
        path: its FHIRPath, or that of the place where it is missing.
        position, end: its place in the walk, and that of the first occurrence after all inside it.
        source: as it stands in the response, None where it is absent.
        response_answers: its answers that have a value, wrong ones included.
        answers: the well-formed ones, typed.
        containers: where its own items stand: one for a group, one per answer for a question.
        in_use: it, or anything in it, is answered.
        can_be_answered: a question in it is enabled for sure, and so is what holds that question.
        enabled: by FHIR's rules, None where that is undecided.
        certain: 1 enabled and -1 disabled whatever is still answered, 0 neither.
    """

    item: Item
    container: Container
    path: str
    position: int
    source: Json | None
    end: int = 0
    response_answers: list[ResponseAnswer] = msgspec.field(default_factory=list)
    answers: tuple[Answer, ...] = ()
    containers: list[Container] = msgspec.field(default_factory=list)
    in_use: bool = False
    can_be_answered: bool = False
    enabled: bool | None = True
    certain: int = 1

    @property
    def present(self) -> bool:
        """Whether it stands in the response."""
        return self.source is not None


class PairedResponse(msgspec.Struct):
    """The whole response: the top container, all occurrences, and problems of structure.

    Args:
        by_link: the occurrences by linkId. occurrences: the same, in the order of the Questionnaire.
    """

    top: Container
    by_link: dict[str, list[Occurrence]]
    occurrences: list[Occurrence]
    problems: tuple[Problem, ...]


class TooCostly(Exception):
    """The response repeats groups so often that checking it would take too long."""


def pair(
    response: Json, items: Mapping[str, Item], top: tuple[str, ...], most: int = MAX_OCCURRENCES
) -> PairedResponse:
    """Lays a response over the items of a Questionnaire.

    Args:
        response: the parsed QuestionnaireResponse, of any shape.
        items: by linkId.
        top: linkIds of the top-level items.
        most: occurrences that there may be.

    Raises:
        TooCostly: there are more.
    """
    pairing = _Pairing(items, most)
    container = Container("QuestionnaireResponse")
    pairing.check_head(response)
    pairing.fill(container, top, response.get("item"))
    occurrences = [*chain.from_iterable(pairing.by_link.values())]
    return PairedResponse(container, pairing.by_link, occurrences, pairing.problems.listed())


class _Pairing:
    """The state of the walk: occurrences so far, by linkId, problems, and spellings of texts by linkId."""

    def __init__(self, items: Mapping[str, Item], most: int) -> None:
        self.items = items
        self.most = most
        self.by_link: dict[str, list[Occurrence]] = {link: [] for link in items}
        self.problems = ProblemList()
        self.spellings: dict[str, frozenset[str]] = {}
        self.count = 0
        self.values = 0
        """Answers with a value so far."""

    def check_head(self, response: Json) -> None:
        """Finds what the head of a response states and says to be missing."""
        for place in absent_at_head(response):
            words = "Expected what a response states, or the reason why it is missing, not both."
            self._report("answer-absent-value", place, words)

    def fill(self, container: Container, links: tuple[str, ...], raw: object) -> None:
        """Pairs the items that stand in one container, then adds empty occurrences for the absent ones."""
        if raw is not None and not isinstance(raw, list):
            self._report("malformed", container.path, "Expected: item is an array of items.")
        last = -1
        for index, source in enumerate(raw if isinstance(raw, list) else []):
            path = f"{container.path}.item[{index}]"
            item = self._known_item(source, container, path)
            if item is None:
                continue
            if item.order < last:
                words = f"{item.label}: expected items in the order of the Questionnaire."
                self._report("item-order", path, words)
            last = max(last, item.order)
            if item.link_id in container.by_link and not (item.type == GROUP and item.repeats):
                self._report("item-repeated", path, _expected_once(item))
            self._add(item, container, path, source)
        for link in links:
            if link not in container.by_link and self.items[link].type != DISPLAY:
                self._add(self.items[link], container, container.path, None)

    def _report(self, kind: str, path: str, words: str, about: str = "") -> None:
        self.problems.keep(problem(kind, words, path, about))

    def _known_item(self, source: object, container: Container, path: str) -> Item | None:
        if not isinstance(source, dict):
            self._report("malformed", path, "Expected: an item is an object.")
            return None
        link = source.get("linkId")
        if not isinstance(link, str) or not link:
            self._report("link-id-missing", path, "Expected: linkId, naming an item of the Questionnaire.")
            return None
        item = self.items.get(link)
        if item is None:
            self._report("item-unknown", path, "Expected: linkId is one of the Questionnaire's.")
            return None
        if item.parent != (container.owner.item.link_id if container.owner is not None else None):
            self._report("item-misplaced", path, f"{item.label}: expected {self._place(item)}.")
            return None
        return item

    def _place(self, item: Item) -> str:
        return (
            f"under {self.items[item.parent].label}"
            if item.parent is not None
            else "at the top of the response"
        )

    def _add(self, item: Item, container: Container, path: str, source: Json | None) -> None:
        self.count += 1
        if self.count > self.most:
            raise TooCostly(f"at most {self.most} items, empty ones of repeated groups included")
        occurrence = Occurrence(item, container, path, self.count, source)
        container.by_link.setdefault(item.link_id, []).append(occurrence)
        self.by_link[item.link_id].append(occurrence)
        values = self.values
        if source is not None:
            self._check_structure(occurrence, source)
        if not item.answerable:
            self._descend(occurrence, path, source.get("item") if source is not None else None)
        elif source is None:
            self._add_unanswered(occurrence)
        else:
            self._read_question(occurrence, source)
        if source is not None and self.values > values and ext.is_said_absent(source):
            words = f"{item.label}: expected an answer, or the reason why it is missing, not both."
            self._report("answer-absent-value", path, words)
        occurrence.end = self.count + 1

    def _read_question(self, occurrence: Occurrence, source: Json) -> None:
        item = occurrence.item
        for found in read_answers(item, occurrence.path, source.get("answer"), self._report):
            if found.has_value:
                self.values += found.answer is not UNREAD
                occurrence.response_answers.append(found)
                _set_in_use(occurrence)
            if found.nested is not None or (found.has_value and item.children):
                self._descend(occurrence, found.path, found.nested)
        occurrence.answers = tuple(
            found.answer for found in occurrence.response_answers if found.answer is not None
        )
        self._add_unanswered(occurrence)

    def _add_unanswered(self, occurrence: Occurrence) -> None:
        """Adds empty occurrences for the items inside a question that has no answer to hold them."""
        if not occurrence.containers and occurrence.item.children:
            self._descend(occurrence, occurrence.path, None)

    def _descend(self, occurrence: Occurrence, path: str, raw: object) -> None:
        container = Container(path, occurrence)
        occurrence.containers.append(container)
        self.fill(container, occurrence.item.children, raw)

    def _check_structure(self, occurrence: Occurrence, source: Json) -> None:
        item, path = occurrence.item, occurrence.path
        text = source.get("text")
        if isinstance(text, str) and text != item.text and text not in item.translations:
            self._check_text(item, path, text)
        if item.type == GROUP and "answer" in source:
            words = f"{item.label}: expected no answer, because this is a group."
            self._report("group-answer", path, words)
        if item.type == DISPLAY and ("answer" in source or "item" in source):
            words = f"{item.label}: expected no answer and no items: this is a text."
            self._report("display-answer", path, words)
        if "item" in source and item.answerable:
            words = f"{item.label}: expected its items inside an answer, not beside it."
            self._report("item-nesting", path, words)

    def _check_text(self, item: Item, path: str, sent: str) -> None:
        """Finds a text that is not the item's in any language: another question may have been answered.

        Case, space, punctuation and the item's prefix do not count.
        """
        if item.link_id not in self.spellings:
            self.spellings[item.link_id] = frozenset(map(spelled, item.wordings))
        known = self.spellings[item.link_id]
        if known and spelled(sent) not in known:
            self._report("item-text", path, _expected_text(item))
        elif not known:
            words = f"item {item.name}: not decided whether this is its text, because the form has none here."
            self._report("item-text-undecided", path, words)


_STATED_AT_HEAD: Mapping[str, tuple[str, ...]] = {
    "questionnaire": (),
    "status": (),
    "authored": (),
    "subject": ("reference", "identifier"),
}
"""What a result rests on beside the answers; of what is no primitive, the elements that say it."""


def absent_at_head(response: Json) -> Iterator[str]:
    """Yields the FHIRPath of what a response states and says to be missing, its items aside."""
    for name, parts in _STATED_AT_HEAD.items():
        stated = response.get(name)
        if isinstance(stated, dict):
            is_absent = ext.is_said_absent(stated) and not stated.keys().isdisjoint(parts)
        else:
            is_absent = stated is not None and ext.says_why_absent(response.get(f"_{name}"))
        if is_absent:
            yield f"QuestionnaireResponse.{name}"
    if ext.says_why_absent(response) and "item" in response:
        yield "QuestionnaireResponse"


def _expected_text(item: Item) -> str:
    """Says what the text of an item should be, in our words, never in those of the response."""
    if not item.text or not item.is_quoted:
        return f"item {item.name}: expected the text of the Questionnaire, or none."
    return f"item {item.name}: expected the text {item.label}, or none."


def _set_in_use(answered: Occurrence) -> None:
    """Says of an occurrence, and of all that hold it, that they are in use."""
    occurrence: Occurrence | None = answered
    while occurrence is not None and not occurrence.in_use:
        occurrence.in_use = True
        occurrence = occurrence.container.owner


def _expected_once(item: Item) -> str:
    if item.type == GROUP:
        return f"{item.label}: expected once, because the group does not repeat."
    return f"{item.label}: expected one item; several answers of a question stand in one item."


# The answers of one response item: value, type and format, with every fault in words.

_VALUES = frozenset({"code", "value", "reference", "identifier", "data", "url"})
"""Elements that hold what an answer says, where it is no primitive."""

_NEEDED = _VALUES | {"system", "comparator"}
"""Elements without which nobody knows what these say, where it is said that they are missing."""

_ELEMENT_NAMES: Mapping[str, str] = {
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


class Report(Protocol):
    """Takes kind, FHIRPath and words of a problem, and the text of the question that it is about."""

    def __call__(self, kind: str, path: str, words: str, about: str = "") -> None:
        """Takes one problem."""
        ...


def read_answers(item: Item, path: str, raw: object, report: Report) -> Iterator[ResponseAnswer]:
    """Yields every answer of one response item, in order."""
    if raw is not None and not isinstance(raw, list):
        report("malformed", path, f"{item.label}: expected answer to be an array.")
    for index, source in enumerate(raw if isinstance(raw, list) else []):
        here = f"{path}.answer[{index}]"
        if isinstance(source, dict):
            yield _read_answer(item, here, source, report)
        else:
            report("malformed", here, f"{item.label}: expected an answer to be an object.")


def _read_answer(item: Item, path: str, source: Json, report: Report) -> ResponseAnswer:
    elements = [key for key in source if key.startswith("value")]
    nested = source.get("item")
    if len(elements) > 1:
        words = f"{item.label}: expected one value[x], found {len(elements)}."
        report("answer-several-values", path, words)
        return ResponseAnswer(path, has_value=True, nested=nested)
    element = elements[0] if elements else _element_without_value(source)
    if not element:
        if nested is None and not any(key.startswith("_value") for key in source):
            report("answer-empty", path, f"{item.label}: expected a value in the answer.")
        if nested is not None and ext.says_why_absent(source):
            report("answer-absent-value", path, f"{item.label}: expected no items in a missing answer.")
        return ResponseAnswer(path, has_value=False, nested=nested)
    value = source.get(element)
    answer = (
        _answer(item, path, element, source, report) if _is_of_type(item, path, element, report) else None
    )
    return ResponseAnswer(path, has_value=True, value=value, answer=answer, nested=nested)


def _element_without_value(source: Json) -> str:
    """Returns the element of a primitive for which there is only a reason why its value is missing."""
    names = (key[1:] for key in source if key.startswith("_value"))
    return next((name for name in names if ext.says_why_absent(source.get(f"_{name}"))), "")


def _is_of_type(item: Item, path: str, element: str, report: Report) -> bool:
    expected = value_elements(item)
    if element in expected:
        return True
    words = " or ".join(f"{_ELEMENT_NAMES[name]} ({name})" for name in expected if name in _ELEMENT_NAMES)
    report("answer-type", path, f"{item.label}: expected {words or 'no answer'}.")
    return False


def _answer(item: Item, path: str, element: str, source: Json, report: Report) -> Answer | None:
    """Returns the answer typed; None where it is a fault.

    Source:
        FHIR R4 element.html, ele-1: an element may have extensions alone; extension data-absent-reason.
    """
    value = source.get(element)
    if _says_why_missing(source, element, value):
        return _missing(item, path, value, report)
    try:
        answer = READERS[element](value)
    except NotWellFormed as fault:
        report("answer-format", path, f"{item.label}: expected {fault} ({element}).")
        return None
    return _named(item, path, answer, report) if isinstance(answer, Uncoded) else answer


def _says_why_missing(source: Json, element: str, value: object) -> bool:
    """Returns whether it is said in a value, of a part that it needs or states, or beside them."""
    if isinstance(value, dict) and (
        ext.says_why_absent(value) or any(name in value or name in _NEEDED for name in ext.said_absent(value))
    ):
        return True
    return (value is None or len(source) > 1) and (
        ext.says_why_absent(source.get(f"_{element}")) or ext.says_why_absent(source)
    )


def _missing(item: Item, path: str, value: object, report: Report) -> Answer | None:
    """Returns an answer that says why its value is missing."""
    stated = value.keys() & _VALUES if isinstance(value, dict) else value is not None
    if stated:
        words = f"{item.label}: expected a value, or the reason why it is missing, not both."
        report("answer-absent-value", path, words)
        return None
    words = f"{item.label}: the answer only says why it is missing, so the question counts as not answered."
    report("answer-absent", path, words, item.text)
    return UNREAD


def _named(item: Item, path: str, answer: Uncoded, report: Report) -> Answer:
    """Returns what a Coding without a code stands for: an option, a text of one's own, or nothing."""
    if item.options is not None and answer in item.options.choices:
        return answer
    if item.type == "open-choice" and answer.display.strip() and "valueString" in value_elements(item):
        return answer.display
    words = f"{item.label}: expected a code; without one the question counts as not answered."
    report("answer-uncoded", path, words, item.text)
    return UNREAD


def value_elements(item: Item) -> tuple[str, ...]:
    """Returns the names of the elements that may carry an answer of this item."""
    if item.type in ("choice", "open-choice") and item.options is not None:
        return item.options.elements
    return ELEMENTS.get(item.type, ())
