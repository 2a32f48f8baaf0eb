"""Checks a Questionnaire itself: every problem, with its place.

Source: FHIR R4 Questionnaire, invariants que-0 to que-13 (StructureDefinition 4.0.1), enableWhen,
answerOption; questionnaire-enable-operator; extensions minValue, maxValue, minLength, regex, minOccurs,
maxOccurs, itemWeight and ordinalValue; SDC minQuantity and the SDC expressions page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal

from service.datatypes.answers import Answer, Coding, Quantity, Uncoded
from service.datatypes.spelling import folded
from service.errors import Problem
from service.fhir import extensions as ext
from service.fhir.extensions import mappings, text
from service.fhir.json import Json
from service.fhir.outcome import severity
from service.questionnaire.enable_when import evaluation_order, needed_links
from service.questionnaire.expressions import (
    CALCULATED,
    CONSTRAINT,
    FHIRPATH,
    VARIABLE,
    DeclaredExpression,
    declared_expressions,
)
from service.questionnaire.fhirpath import parse_expression
from service.questionnaire.fhirpath_syntax import NotParsed
from service.questionnaire.items import DISPLAY, GROUP, MAX_DEPTH, OPERATORS, TYPES, Item, items_of
from service.questionnaire.pattern import PatternInvalid, compile_pattern
from service.questionnaire.values import ELEMENTS, answer_in, compare_answers
from service.terminology.code_systems import weights_disagree
from service.terminology.value_sets import ValueSets

_NAME = re.compile(r"[A-Z][A-Za-z0-9_]{0,254}")
PUBLICATION_STATUSES = frozenset({"draft", "active", "retired", "unknown"})
_CHOICES = ("choice", "open-choice")
_NUMBERS = frozenset({"integer", "decimal", "quantity"})
_ORDERED = frozenset(["integer", "decimal", "date", "dateTime", "time", "string", "text", "quantity"])
_WITH_OPTIONS = frozenset(
    {"choice", "open-choice", "decimal", "integer", "date", "dateTime", "time", "string", "quantity"}
)
_WITH_LENGTH = frozenset(["boolean", "decimal", "integer", "string", "text", "url", "open-choice"])
_OPTION_ELEMENTS = ("valueInteger", "valueDate", "valueTime", "valueString", "valueCoding", "valueReference")


def lint(resource: Json, value_sets: ValueSets | None = None) -> tuple[Problem, ...]:
    """Returns every problem of a Questionnaire of any shape; never raises for what it contains."""
    items = items_of(resource, value_sets or ValueSets())
    return lint_items(resource, items, evaluation_order(items)[1])


def lint_items(resource: Json, items: Mapping[str, Item], circular: tuple[str, ...]) -> tuple[Problem, ...]:
    """Returns every problem of a Questionnaire whose items have been read.

    Args:
        circular: linkIds whose conditions depend on each other, or on such items.
    """
    return (
        *_identity_problems(resource),
        *_item_problems(resource),
        *_display_of_options_problems(items),
        *_condition_problems(items, circular),
        *_expression_problems(resource, items),
    )


def _identity_problems(resource: Json) -> Iterator[Problem]:
    if resource.get("resourceType") != "Questionnaire":
        yield _problem("lint-identity", "Questionnaire", "expected resourceType Questionnaire")
    if ":" not in text(resource.get("url")):
        yield _problem("lint-identity", "Questionnaire.url", "expected an absolute url", "warning")
    if not text(resource.get("version")):
        yield _problem("lint-identity", "Questionnaire.version", "expected a version", "warning")
    if text(resource.get("status")) not in PUBLICATION_STATUSES:
        expected = f"expected one of {', '.join(sorted(PUBLICATION_STATUSES))}"
        yield _problem("lint-identity", "Questionnaire.status", expected)
    name = resource.get("name")
    if name is not None and not _NAME.fullmatch(text(name)):
        yield _problem("que-0", "Questionnaire.name", "expected a name that can be an identifier")


def _item_problems(resource: Json) -> Iterator[Problem]:
    """Yields problems of all items as they stand, unreadable ones included."""
    seen: dict[str, str] = {}
    pending: list[tuple[object, str, int]] = [(resource, "Questionnaire", 0)]
    while pending:
        source, path, depth = pending.pop()
        if not isinstance(source, Mapping):
            yield _problem("lint-shape", path, "expected an object")
            continue
        if depth > MAX_DEPTH:
            yield _problem("lint-deep", path, f"expected at most {MAX_DEPTH} levels of items")
            continue
        if depth > 0:
            yield from _item(source, path, seen)
        children = source.get("item", [])
        if not isinstance(children, list):
            yield _problem("lint-shape", f"{path}.item", "expected an array")
            continue
        below = [(child, f"{path}.item[{index}]", depth + 1) for index, child in enumerate(children)]
        pending.extend(reversed(below))


def _item(source: Json, path: str, seen: dict[str, str]) -> Iterator[Problem]:
    link = text(source.get("linkId"))
    if not link:
        yield _problem("lint-link-id", path, "expected a linkId; the item and all below it are left out")
    elif link in seen:
        yield _problem("que-2", path, f"expected a linkId of its own; the same one stands at {seen[link]}")
    seen.setdefault(link, path)
    if text(source.get("type")) not in TYPES:
        yield _problem("lint-type", path, f"expected a type, one of {', '.join(sorted(TYPES))}")
    yield from _invariant_problems(source, path)
    yield from _option_problems(source, path)
    yield from _limit_problems(source, path)


def _problem(kind: str, path: str, expected: str, level: str = "") -> Problem:
    """Returns a problem of the Questionnaire; `level` overrides the severity that its kind usually has."""
    return Problem(kind, f"{expected[:1].upper()}{expected[1:]}.", path, level or severity(kind))


# enableWhen: what it names, how it compares, and whether it runs in a circle.


def _condition_problems(items: Mapping[str, Item], circular: tuple[str, ...]) -> Iterator[Problem]:
    """Yields problems of all conditions."""
    for item in items.values():
        conditions = list(mappings(item.source.get("enableWhen")))
        if conditions and item.enable_expression:
            yield _problem(
                "enable-when-both", item.path, "expected enableWhen or enableWhenExpression, not both"
            )
        for index, condition in enumerate(conditions):
            yield from _problems_of_condition(condition, f"{item.path}.enableWhen[{index}]", item, items)
    for link in _in_circles(circular, items):
        yield _problem(
            "enable-when-cycle",
            items[link].path,
            f"{items[link].label}: expected conditions that do not run in a circle",
        )


def _problems_of_condition(
    source: Json, path: str, item: Item, items: Mapping[str, Item]
) -> Iterator[Problem]:
    question = items.get(text(source.get("question")))
    if question is None:
        expected = f"{item.label}: expected question to be the linkId of a question"
        yield _problem("enable-when-unknown", path, expected)
        return
    if not question.answerable or question is item:
        yield _problem(
            "enable-when-trigger", path, "expected question to be another item that can be answered"
        )
        return
    if question.order > item.order:
        yield _problem(
            "enable-when-later", path, f"expected a question that comes before; {question.label} comes later"
        )
    yield from _comparison_problems(source, path, question)


def _comparison_problems(source: Json, path: str, question: Item) -> Iterator[Problem]:
    operator, found = text(source.get("operator")), answer_in(source, "answer")
    if operator not in OPERATORS:
        yield _problem("enable-when-operator", path, f"expected operator to be one of {', '.join(OPERATORS)}")
    elif operator == "exists":
        if found is None or found[0] != "valueBoolean":
            yield _problem("que-7", path, "expected answerBoolean beside operator exists")
        return
    elif operator not in ("=", "!=") and question.type not in _ORDERED:
        yield _problem("enable-when-operator", path, "expected = or != for a question of this type")
    if found is None:
        expected = f"expected answer[x], with a value that {question.label} can have"
        yield _problem("enable-when-answer", path, expected)
    elif not _is_possible(question, *found):
        yield _problem("enable-when-answer", path, f"expected an answer that {question.label} can have")


def _is_possible(question: Item, name: str, answer: Answer) -> bool:
    options = question.options
    if options is None:
        numbers = {"valueInteger", "valueDecimal"}
        return name in ELEMENTS.get(question.type, ()) or (
            question.type in ("decimal", "integer") and name in numbers
        )
    if name not in options.elements:
        return False
    return options.open or options.membership(answer).is_member is not False


def _in_circles(circular: tuple[str, ...], items: Mapping[str, Item]) -> list[str]:
    """Returns the items that are part of a circle, without those that only depend on one."""
    among = set(circular)
    needs = {link: needed_links(items[link]) & among for link in circular}
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


# Expressions that do not parse, or that cannot be evaluated here.


def _expression_problems(resource: Json, items: Mapping[str, Item]) -> Iterator[Problem]:
    """Yields problems of all expressions."""
    for declared in declared_expressions(resource, items):
        if declared.language != FHIRPATH:
            what = f"expected an expression in {FHIRPATH}; {declared.role} is not evaluated here"
            yield _problem("expression-language", declared.path, what)
        else:
            yield from _problems_of_expression(declared)
        item = items[declared.link] if declared.link is not None else None
        if item is not None and declared.role == CALCULATED and item.source.get("initial") is not None:
            what = "expected no initial value beside calculatedExpression"
            yield _problem("calculated-initial", declared.path, what)


def _problems_of_expression(declared: DeclaredExpression) -> Iterator[Problem]:
    try:
        parse_expression(declared.text)
    except NotParsed as fault:
        yield _problem("expression-invalid", declared.path, f"{declared.role}: expected {fault}")
    if declared.role == VARIABLE and not declared.name:
        yield _problem("expression-invalid", declared.path, "variable: expected a name")
    if declared.role == CONSTRAINT and not declared.human:
        what = "constraint: expected words for people (human)"
        yield _problem("expression-invalid", declared.path, what, "warning")


# The invariants of one item, as far as they need nothing but the item. que-2 (unique linkIds) and que-7
# (exists takes a boolean) are checked with the items they concern.


def _invariant_problems(source: Json, path: str) -> Iterator[Problem]:
    """Yields the invariants that an item breaks."""
    type_ = text(source.get("type"))
    yield from _type_problems(source, type_ if type_ in TYPES else "", path)
    if type_ == DISPLAY:
        yield from _display_problems(source, path)
    initial = source.get("initial")
    if initial is not None and type_ in (GROUP, DISPLAY):
        yield _problem("que-8", path, "expected no initial value on a group or display item")
    if source.get("answerOption") is not None and initial is not None:
        yield _problem(
            "que-11", path, "expected initialSelected on an option, not initial beside answerOption"
        )
    if isinstance(initial, list) and len(initial) > 1 and source.get("repeats") is not True:
        yield _problem("que-13", path, "expected one initial value, because the question does not repeat")
    conditions = source.get("enableWhen")
    count = len(conditions) if isinstance(conditions, list) else 0
    if count > 1 and source.get("enableBehavior") not in ("all", "any"):
        yield _problem(
            "que-12",
            path,
            "expected enableBehavior (all or any) beside several enableWhen",
            "error" if count > 2 else "warning",
        )


def _type_problems(source: Json, type_: str, path: str) -> Iterator[Problem]:
    children = source.get("item")
    options, value_set = source.get("answerOption"), source.get("answerValueSet")
    if type_ == GROUP and not children:
        yield _problem("que-1", path, "expected items in a group")
    if type_ == DISPLAY and children:
        yield _problem("que-1", path, "expected no items below a display item")
    if options is not None and value_set is not None:
        yield _problem("que-4", path, "expected answerOption or answerValueSet, not both")
    if (options is not None or value_set is not None) and type_ not in _WITH_OPTIONS:
        yield _problem("que-5", path, f"expected no list of answers on an item of type {type_ or 'none'}")
    if source.get("maxLength") is not None and type_ not in _WITH_LENGTH:
        yield _problem("que-10", path, f"expected no maxLength on an item of type {type_ or 'none'}")


def _display_problems(source: Json, path: str) -> Iterator[Problem]:
    if source.get("code") is not None:
        yield _problem("que-3", path, "expected no code on a display item")
    if source.get("required") is not None or source.get("repeats") is not None:
        yield _problem("que-6", path, "expected neither required nor repeats on a display item")
    if source.get("readOnly") is not None:
        yield _problem("que-9", path, "expected no readOnly on a display item")


# Limits that cannot be met, or that do not fit the type of their item.


def _limit_problems(source: Json, path: str) -> Iterator[Problem]:
    """Yields problems of the limits of one item."""
    yield from _occurrence_problems(source, path)
    yield from _pattern_problems(source, path)
    yield from _range_problems(source, path, ext.MIN_VALUE, ext.MAX_VALUE)
    yield from _range_problems(source, path, ext.MIN_QUANTITY, ext.MAX_QUANTITY)
    low, high = ext.value(source, ext.MIN_LENGTH), source.get("maxLength")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield _problem("limit-contradiction", path, "expected minLength to be at most maxLength")


def _occurrence_problems(source: Json, path: str) -> Iterator[Problem]:
    low, high = ext.value(source, ext.MIN_OCCURS), ext.value(source, ext.MAX_OCCURS)
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield _problem("limit-contradiction", path, "expected minOccurs to be at most maxOccurs")
    if isinstance(low, int) and low > 0 and source.get("required") is not True:
        yield _problem("occurs-required", path, "expected required: true beside minOccurs")
    several = any(isinstance(count, int) and count > 1 for count in (low, high))
    if several and source.get("repeats") is not True:
        yield _problem(
            "occurs-required", path, "expected repeats: true beside minOccurs or maxOccurs above 1"
        )


def _pattern_problems(source: Json, path: str) -> Iterator[Problem]:
    pattern = text(ext.value(source, ext.REGEX))
    if not pattern:
        return
    try:
        compile_pattern(pattern)
    except PatternInvalid as fault:
        yield _problem("pattern-invalid", path, f"expected {fault}")


def _range_problems(source: Json, path: str, low_url: str, high_url: str) -> Iterator[Problem]:
    ends: list[Answer] = []
    for url in (low_url, high_url):
        for extension in ext.extensions(source, url):
            found = answer_in(extension, "value")
            if found is None or not _fits(text(source.get("type")), *found):
                yield _problem(
                    "limit-value", path, f"expected {url.rpartition('/')[2]} in the type of the item"
                )
            else:
                ends.append(found[1])
    if len(ends) == 2 and (compare_answers(ends[0], ends[1]) or 0) > 0:
        yield _problem("limit-contradiction", path, "expected the minimum to be at most the maximum")


def _fits(type_: str, name: str, limit: Answer) -> bool:
    if type_ in _NUMBERS and isinstance(limit, int | Decimal | Quantity):
        return type_ == "quantity" or not isinstance(limit, Quantity)
    return name in ELEMENTS.get(type_, ()) or (type_ == "dateTime" and name == "valueDate")


# The answers that an item lists.


def _option_problems(source: Json, path: str) -> Iterator[Problem]:
    """Yields problems of the options of one item."""
    type_ = text(source.get("type"))
    listed = source.get("answerOption")
    if type_ in _CHOICES:
        known = listed or source.get("answerValueSet") or ext.value(source, ext.ANSWER_EXPRESSION)
        if not known:
            yield _problem("options-missing", path, "expected answerOption or answerValueSet on a choice")
    seen: set[Answer] = set()
    for index, option in enumerate(mappings(listed)):
        yield from _problems_of_option(option, type_, f"{path}.answerOption[{index}]", seen)


def _problems_of_option(option: Json, type_: str, path: str, seen: set[Answer]) -> Iterator[Problem]:
    coding = option.get("valueCoding")
    found = answer_in(option, "value")
    if found is None:
        yield _problem("option-code", path, "expected a value; a Coding with a code")
        return
    name, answer = found
    if isinstance(answer, Uncoded):
        what = "expected a code; without one no condition of a guidance can name the option"
        yield _problem("option-code", path, what, "warning")
    allowed = _OPTION_ELEMENTS if type_ in _CHOICES else ELEMENTS.get(type_, ())
    if name not in allowed:
        yield _problem("option-type", path, f"expected {' or '.join(allowed) or 'no option'}")
    if answer in seen:
        yield _problem("option-duplicate", path, "expected each option once")
    seen.add(answer)
    if weights_disagree(option, coding if isinstance(coding, Mapping) else {}):
        yield _problem(
            "weight-disagreement", path, "expected itemWeight and ordinalValue to be the same number"
        )


def _display_of_options_problems(items: Mapping[str, Item]) -> Iterator[Problem]:
    """Yields options whose display is none of the names that the code system has for their code."""
    for item in items.values():
        options, listed = item.options, mappings(item.source.get("answerOption"))
        for index, option in enumerate(listed if options is not None else ()):
            found, coding = answer_in(option, "value"), option.get("valueCoding")
            if options is None or found is None or not isinstance(found[1], Coding):
                continue
            shown, names = text(dict(coding or {}).get("display")), options.value_sets.names(found[1])
            if shown and names and folded(shown) not in map(folded, names):
                path = f"{item.path}.answerOption[{index}].value.display"
                yield _problem("display-wrong", path, f"expected the display “{names[0]}” with this code")


# What a form that people fill in here cannot show.

_NOT_SHOWN: Mapping[str, str] = {
    "attachment": "a file cannot be attached",
    "reference": "a record cannot be pointed at",
}
_NOT_REPEATED = frozenset({"boolean", "date", "dateTime", "time", "quantity"})


def not_shown(items: Mapping[str, Item]) -> tuple[str, ...]:
    """Returns why a Questionnaire cannot be shown as a form: a line each, empty if it can."""
    return tuple(f"{item.link_id}: {reason}" for item in items.values() for reason in _obstacles(item, items))


def _obstacles(item: Item, items: Mapping[str, Item]) -> Iterator[str]:
    if item.type in _NOT_SHOWN:
        yield _NOT_SHOWN[item.type]
    if item.repeats and (item.type == GROUP or item.type in _NOT_REPEATED):
        yield f"several of type {item.type} cannot be filled in"
    if item.answerable and item.min_occurs > 1 and not item.repeats:
        yield "several answers are expected (minOccurs), and it does not repeat"
    below = (items[link].type for link in item.children)
    if item.answerable and item.repeats and any(kind != DISPLAY for kind in below):
        yield "what stands below a question that repeats cannot be filled in"
    if item.enable_expression:
        yield "enableWhenExpression is not evaluated while somebody fills in a form"
    if item.type in ("choice", "open-choice") and (item.options is None or not item.options.choices):
        yield "its options are not known"
