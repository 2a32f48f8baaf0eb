"""What is wrong with a Questionnaire itself: every fault, with its place.

Source: FHIR R4 Questionnaire, invariants que-0 to que-13; SDC profiles for expressions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from service.datatypes.answers import Answer, Coding, Quantity
from service.errors import Problem
from service.fhir import extensions as ext
from service.fhir.extensions import ANSWER_EXPRESSION, mappings, text, value
from service.fhir.outcome import severity
from service.questionnaire.enable_when import sequence
from service.questionnaire.expressions import CALCULATED, CONSTRAINT, FHIRPATH, VARIABLE, Declared, declared
from service.questionnaire.fhirpath import NotParsed, parsed
from service.questionnaire.items import DEEPEST, DISPLAY, GROUP, OPERATORS, TYPES, Item, items_of
from service.questionnaire.pattern import PatternInvalid, compiled
from service.questionnaire.values import ELEMENTS, answer_in, order
from service.terminology.code_systems import weights_disagree
from service.terminology.value_sets import ValueSets

# How the lint words a fault.


def problem(kind: str, path: str, expected: str, level: str = "") -> Problem:
    """Returns a fault of the Questionnaire at a FHIRPath; `level` overrides the usual severity."""
    return Problem(kind, f"{expected[:1].upper()}{expected[1:]}.", path, level or severity(kind))


# Faults of enableWhen: what it names, how it compares, and whether it runs in a circle.
#
# Source: FHIR R4 Questionnaire.item.enableWhen; que-7; questionnaire-enable-operator.

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


# Expressions of a Questionnaire that do not parse, or that cannot be evaluated here.
#
# Source: SDC expressions page; FHIRPath N1 grammar.


def expression_problems(resource: Mapping[str, Any], items: Mapping[str, Item]) -> Iterator[Problem]:
    """Yields faults of all expressions."""
    for one in declared(resource, items):
        if one.language != FHIRPATH:
            what = f"expected an expression in {FHIRPATH}; {one.role} is not evaluated here"
            yield problem("expression-language", one.path, what)
        else:
            yield from _of_expression(one)
        if (
            one.role == CALCULATED
            and one.link is not None
            and items[one.link].source.get("initial") is not None
        ):
            yield problem(
                "calculated-initial", one.path, "expected no initial value beside calculatedExpression"
            )


def _of_expression(one: Declared) -> Iterator[Problem]:
    try:
        parsed(one.text)
    except NotParsed as fault:
        yield problem("expression-invalid", one.path, f"{one.role}: expected {fault}")
    if one.role == VARIABLE and not one.name:
        yield problem("expression-invalid", one.path, "variable: expected a name")
    if one.role == CONSTRAINT and not one.human:
        yield problem(
            "expression-invalid", one.path, "constraint: expected words for people (human)", "warning"
        )


# The invariants que-1 to que-13 of one item, as far as they need nothing but the item.
#
# que-2 (unique linkIds) and que-7 (exists takes a boolean) are checked with the items they concern.
#
# Source: FHIR R4 Questionnaire StructureDefinition 4.0.1, Questionnaire.item constraints.

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


# Limits that cannot be met, or that do not fit the type of their item.
#
# Source: extensions minValue, maxValue, minLength, regex, minOccurs, maxOccurs; SDC minQuantity.

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


# Faults in the answers that an item lists.
#
# Source: FHIR R4 Questionnaire.item.answerOption; extensions itemWeight and ordinalValue.

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


_NAME = re.compile(r"[A-Z][A-Za-z0-9_]{0,254}")
_STATUSES = frozenset({"draft", "active", "retired", "unknown"})


def lint(resource: Mapping[str, Any], value_sets: ValueSets | None = None) -> tuple[Problem, ...]:
    """Returns every fault of a Questionnaire of any shape; never raises for what it contains."""
    items = items_of(resource, value_sets or ValueSets())
    return lint_with(resource, items, sequence(items)[1])


def lint_with(
    resource: Mapping[str, Any], items: Mapping[str, Item], circular: tuple[str, ...]
) -> tuple[Problem, ...]:
    """Returns every fault of a Questionnaire whose items have been read.

    Args:
        circular: linkIds whose conditions depend on each other, or on such items.
    """
    return (
        *_identity_problems(resource),
        *_item_problems(resource),
        *condition_problems(items, circular),
        *expression_problems(resource, items),
    )


def _identity_problems(resource: Mapping[str, Any]) -> Iterator[Problem]:
    if resource.get("resourceType") != "Questionnaire":
        yield problem("lint-identity", "Questionnaire", "expected resourceType Questionnaire")
    if ":" not in text(resource.get("url")):
        yield problem("lint-identity", "Questionnaire.url", "expected an absolute url", "warning")
    if not text(resource.get("version")):
        yield problem("lint-identity", "Questionnaire.version", "expected a version", "warning")
    if text(resource.get("status")) not in _STATUSES:
        yield problem(
            "lint-identity", "Questionnaire.status", f"expected one of {', '.join(sorted(_STATUSES))}"
        )
    name = resource.get("name")
    if name is not None and not _NAME.fullmatch(text(name)):
        yield problem("que-0", "Questionnaire.name", "expected a name that can be an identifier")


def _item_problems(resource: Mapping[str, Any]) -> Iterator[Problem]:
    """Walks the items as they stand, unreadable ones included."""
    seen: dict[str, str] = {}
    pending: list[tuple[object, str, int]] = [(resource, "Questionnaire", 0)]
    while pending:
        source, path, depth = pending.pop()
        if not isinstance(source, Mapping):
            yield problem("lint-shape", path, "expected an object")
            continue
        if depth > DEEPEST:
            yield problem("lint-deep", path, f"expected at most {DEEPEST} levels of items")
            continue
        if depth > 0:
            yield from _one(source, path, seen)
        children = source.get("item", [])
        if not isinstance(children, list):
            yield problem("lint-shape", f"{path}.item", "expected an array")
            continue
        below = [(child, f"{path}.item[{index}]", depth + 1) for index, child in enumerate(children)]
        pending.extend(reversed(below))


def _one(source: Mapping[str, Any], path: str, seen: dict[str, str]) -> Iterator[Problem]:
    link = text(source.get("linkId"))
    if not link:
        yield problem("lint-link-id", path, "expected a linkId; the item and all below it are left out")
    elif link in seen:
        yield problem("que-2", path, f"expected a linkId of its own; {link} stands at {seen[link]} as well")
    seen.setdefault(link, path)
    if text(source.get("type")) not in TYPES:
        yield problem("lint-type", path, f"expected a type, one of {', '.join(sorted(TYPES))}")
    yield from invariant_problems(source, path)
    yield from option_problems(source, path)
    yield from limit_problems(source, path)
