"""What a Questionnaire demands and works out by expressions: constraints, limits, calculated values.

A constraint that is true is satisfied. One that is false is a problem of the severity that its
author gave it. An empty result is neither: it is undecided, because answers that it reads are missing.

A calculated value is compared as precisely as the question can hold it: to its maxDecimalPlaces, else to
eight significant digits, which is the least that FHIRPath promises of a decimal. Quantities are compared
after conversion.

Source: targetConstraint and questionnaire-constraint; SDC calculatedExpression, initialExpression, weight()
(`ordinal()` before SDC 4);
FHIRPath N1, Decimal; aehrc/smart-forms#1954 on constraints read the wrong way round. Limits: extensions
cqf-calculatedValue and cqf-expression on the values of limits, and on maxLength, required and repeats; SDC
behavior page, Value constraints.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any, Final

import msgspec

from service.datatypes.answers import Answer, AnswersByLink, Quantity
from service.datatypes.ucum import converted
from service.datatypes.values import replace
from service.errors import Problem
from service.fhir.json import Json
from service.questionnaire.expressions import (
    DeclaredExpression,
    Evaluation,
    FormExpressions,
    ParsedExpression,
    Undecided,
    Usable,
    path_and_label,
)
from service.questionnaire.fhirpath import Expression
from service.questionnaire.fhirpath_syntax import syntax_tree
from service.questionnaire.items import Item
from service.questionnaire.pairing import Occurrence, PairedResponse, value_elements
from service.questionnaire.problems import problem
from service.questionnaire.values import answers_equal, computed_answer

SIGNIFICANT_DIGITS = 8
"""To which calculated values are compared where the question has no maxDecimalPlaces."""

_EXACT = Context(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN)


def constraint_problems(evaluation: Evaluation, paired: PairedResponse) -> Iterator[Problem]:
    """Yields the problems that expressions find or cannot decide; disabled items are not looked at."""
    expressions = evaluation.expressions
    yield from _constraints(evaluation, None, expressions.constraints.get(None, ()))
    for link in {**expressions.constraints, **expressions.calculated, **expressions.initial}:
        for occurrence in paired.by_link[link] if link is not None else ():
            if not _is_looked_at(occurrence):
                continue
            if occurrence.present:
                yield from _constraints(evaluation, occurrence, expressions.constraints.get(link, ()))
            yield from _calculated(evaluation, occurrence)
            yield from _initial_expression(evaluation, occurrence)


def _is_looked_at(occurrence: Occurrence) -> bool:
    """Returns whether an item is enabled; where that is undecided, an answer is judged and nothing else."""
    return occurrence.enabled is True or (occurrence.enabled is None and occurrence.in_use)


def initial_problems(occurrences: Iterable[Occurrence]) -> Iterator[Problem]:
    """Yields read-only items whose answers differ from the initial values of the form."""
    for occurrence in occurrences:
        item = occurrence.item
        is_fixed = item.read_only and item.initial and occurrence.enabled is not False
        if is_fixed and occurrence.response_answers and _agree(occurrence, item.initial) is False:
            yield _initial_differs(occurrence)


def _constraints(
    evaluation: Evaluation, occurrence: Occurrence | None, constraints: Sequence[ParsedExpression]
) -> Iterator[Problem]:
    path, label = path_and_label(occurrence)
    about = "" if occurrence is None else occurrence.item.text
    for constraint, expression in constraints:
        truth = evaluation.truth(expression, occurrence)
        words, key = _words(constraint) if evaluation.expressions.is_quoted else (_A_RULE, "")
        if truth is False:
            yield Problem("constraint", f"{label}{words}{key}", path, constraint.severity, about=about)
        elif truth is not True:
            reason = truth.reason if truth is not None else "answers that it reads are missing"
            undecided = f"{label}not decided, because {reason}: {words}{key}"
            yield problem("constraint-undecided", undecided, path, about)


_A_RULE = "a rule of the form must hold"


def _words(constraint: DeclaredExpression) -> tuple[str, str]:
    """Returns the text of a constraint by its author, and its key in brackets."""
    return constraint.human or _A_RULE, f" ({constraint.name})" if constraint.name else ""


# Calculated values, and initial values that nobody may change.


def _calculated(evaluation: Evaluation, occurrence: Occurrence) -> Iterator[Problem]:
    expression = evaluation.expressions.calculated.get(occurrence.item.link_id)
    if expression is None:
        return
    expected = calculated_answers(evaluation, expression, occurrence)
    if isinstance(expected, Undecided):
        yield _undecided(occurrence, expected.reason)
    elif not occurrence.response_answers:
        if expected:
            words = "expected the calculated value to be in the response"
            yield _problem("calculated-missing", words, occurrence)
    elif not expected:
        yield _undecided(occurrence, "the calculation has no result")
    else:
        agree = _agree(occurrence, expected)
        if agree is None:
            yield _undecided(occurrence, "unit or precision do not allow to compare it")
        elif not agree:
            yield _problem("calculated-differs", "expected the value that the form calculates", occurrence)


def _undecided(occurrence: Occurrence, reason: str) -> Problem:
    return _problem("calculated-undecided", f"the calculated value was not compared: {reason}", occurrence)


def _problem(kind: str, words: str, occurrence: Occurrence) -> Problem:
    """Returns a problem of an item; it begins with the name of that, and is about its text."""
    item = occurrence.item
    return problem(kind, f"{item.label}: {words}.", occurrence.path, item.text)


def _initial_expression(evaluation: Evaluation, occurrence: Occurrence) -> Iterator[Problem]:
    expression = evaluation.expressions.initial.get(occurrence.item.link_id)
    if expression is None or not occurrence.item.read_only or not occurrence.response_answers:
        return
    expected = calculated_answers(evaluation, expression, occurrence)
    if isinstance(expected, Undecided):
        yield _undecided(occurrence, expected.reason)
    elif expected and _agree(occurrence, expected) is False:
        yield _initial_differs(occurrence)


def _initial_differs(occurrence: Occurrence) -> Problem:
    words = "expected the initial value, because the item is read-only"
    return _problem("initial-differs", words, occurrence)


def calculated_answers(
    evaluation: Evaluation, expression: Usable, occurrence: Occurrence
) -> tuple[Answer, ...] | Undecided:
    """Returns the results of an expression in the type of its item, or why there are none."""
    values = evaluation.values(expression, occurrence)
    if isinstance(values, Undecided):
        return values
    elements = value_elements(occurrence.item)
    found = [computed_answer(value, elements) for value in values]
    if None in found:
        return Undecided("its result does not fit the type of the question")
    return tuple(answer for answer in found if answer is not None)


def _agree(occurrence: Occurrence, expected: Sequence[Answer]) -> bool | None:
    """Returns whether the answers are those expected, in whatever order; None if that is undecided."""
    item, undecided = occurrence.item, False
    if len(occurrence.answers) != len(expected):
        return False
    given, left = _without_the_same(item, occurrence.answers, expected)
    for answer in given:
        verdicts = [_is_same(item, answer, candidate) for candidate in left]
        if True not in verdicts and None not in verdicts:
            return False
        undecided = undecided or True not in verdicts
        del left[verdicts.index(True if True in verdicts else None)]
    return None if undecided else True


def _without_the_same(
    item: Item, given: Sequence[Answer], expected: Sequence[Answer]
) -> tuple[list[Answer], list[Answer]]:
    """Returns both without the answers that they share: the rest is compared pair by pair."""
    both = Counter(given) & Counter(expected)
    same = Counter({answer: count for answer, count in both.items() if _is_same(item, answer, answer)})
    return [*(Counter(given) - same).elements()], [*(Counter(expected) - same).elements()]


def _is_same(item: Item, given: Answer, expected: Answer) -> bool | None:
    """Returns whether an answer is the expected one, to the precision of its question."""
    if isinstance(given, Quantity) and isinstance(expected, Quantity):
        if given.comparator or expected.comparator:
            return answers_equal(given, expected)
        exact = converted(expected.value, expected.unit, given.unit)
        if exact is None:
            return None
        with localcontext(_EXACT):
            return _is_close(item, given.value, Decimal(exact.numerator) / Decimal(exact.denominator))
    if isinstance(given, Decimal) and isinstance(expected, int | Decimal):
        return _is_close(item, given, Decimal(expected))
    if isinstance(given, str) and given == expected:
        return True
    return answers_equal(given, expected)


def _is_close(item: Item, given: Decimal, expected: Decimal) -> bool:
    """Returns whether a number is the expected one, rounded to the precision of its question."""
    places = item.limits.max_decimal_places
    last = -places if places is not None else expected.adjusted() - SIGNIFICANT_DIGITS + 1
    with localcontext(_EXACT):
        return abs(given - expected) <= Decimal(5).scaleb(last - 1)


# Limits that a form computes for each response: how many answers, how long, how large.
#
# Before the answers are judged, each occurrence gets the limits that hold for it. One that cannot be
# computed is undecided: it limits nothing, and is named where there is something to limit.


_WORDS: Mapping[str, str] = {
    "min_value": "the minimum",
    "max_value": "the maximum",
    "min_quantity": "the minimum",
    "max_quantity": "the maximum",
    "min_length": "the minimum length",
    "max_length": "the maximum length",
    "max_decimal_places": "the number of decimal places",
    "max_size": "the maximum size",
    "min_occurs": "the least number of answers",
    "max_occurs": "the greatest number of answers",
    "required": "whether an answer is required",
    "repeats": "whether there may be several answers",
}
_OF_NUMBER = frozenset({"min_occurs", "max_occurs", "required", "repeats"})
_ELEMENTS: Mapping[str, tuple[str, ...]] = {
    "min_quantity": ("valueQuantity",),
    "max_quantity": ("valueQuantity",),
    "max_size": ("valueDecimal",),
    "required": ("valueBoolean",),
    "repeats": ("valueBoolean",),
}
_BY_TYPE = frozenset({"min_value", "max_value"})
_ALSO: Mapping[str, tuple[str, ...]] = {
    "date": ("valueDateTime",),
    "integer": ("valueDecimal",),
    "quantity": ("valueDecimal",),
}
"""Elements of which a limit may be, beside those of the answers, by type of item."""


def computed_limit_problems(evaluation: Evaluation, paired: PairedResponse) -> Iterator[Problem]:
    """Gives each occurrence the limits that are computed for it; yields those that are undecided."""
    for link, limits in evaluation.expressions.limits.items():
        for occurrence in paired.by_link[link] if link is not None else ():
            if occurrence.enabled is not False or occurrence.response_answers:
                yield from _limited(evaluation, occurrence, limits)


def _limited(
    evaluation: Evaluation, occurrence: Occurrence, limits: tuple[ParsedExpression, ...]
) -> Iterator[Problem]:
    for declared, expression in limits:
        name = declared.name
        if name not in _OF_NUMBER and not occurrence.response_answers:
            continue
        found = _limit(name, occurrence.item, evaluation.values(expression, occurrence))
        if isinstance(found, Undecided):
            words = f"{_WORDS[name]} was not checked, because {found.reason}"
            yield _problem("limit-undecided", words, occurrence)
        occurrence.item = _with_limit(occurrence.item, name, found)


def _limit(name: str, item: Item, values: list[Any] | Undecided) -> Answer | Undecided:
    """Returns the computed value of a limit, in a type that fits it, or why there is none."""
    if isinstance(values, Undecided):
        return values
    if not values:
        return Undecided("its expression has no result")
    elements = _ELEMENTS.get(name, ("valueInteger",))
    if name in _BY_TYPE:
        elements = (*value_elements(item), *_ALSO.get(item.type, ()))
    found = computed_answer(values[0], elements) if len(values) == 1 else None
    is_negative = elements == ("valueInteger",) and isinstance(found, int) and found < 0
    return Undecided("its result does not fit") if found is None or is_negative else found


def _with_limit(item: Item, name: str, found: Any) -> Item:
    """Returns an item with one limit more; an undecided one may only permit."""
    known = None if isinstance(found, Undecided) else found
    if name == "required":
        return replace(item, min_occurs=max(item.min_occurs, 1)) if known else item
    if name == "min_occurs":
        return replace(item, min_occurs=max(item.min_occurs, known or 0))
    if name == "max_occurs":
        return replace(item, max_occurs=known)
    if name == "repeats":
        return replace(item, repeats=False, max_occurs=1) if known is False else item
    if known is None:
        return item
    return replace(item, limits=replace(item.limits, **{name: known}, **_of_quantity(name, known)))


def _of_quantity(name: str, found: Any) -> dict[str, Any]:
    """Returns the limit of a quantity that minValue or maxValue sets, if it is one."""
    beside = {"min_value": "min_quantity", "max_value": "max_quantity"}.get(name)
    return {beside: found} if beside is not None and isinstance(found, Quantity) else {}


# Values that a form calculates: worked out on a response, or told as a sum that others can follow.
#
# A calculated value is written as precisely as its question can hold it: to its maxDecimalPlaces, else to the
# digits to which it is compared. What cannot be evaluated has no value. A sum is plain where its expression
# only adds up answers, or the weights of chosen options, that paths over linkIds name.


_SHORT: Final = Context(prec=SIGNIFICANT_DIGITS, rounding=ROUND_HALF_UP)
_WIDE: Final = Context(prec=60, rounding=ROUND_HALF_UP)


def calculated_values(expressions: FormExpressions, response: Json, paired: PairedResponse) -> AnswersByLink:
    """Returns the values that a form calculates from a response, by linkId: one for each item."""
    evaluation = Evaluation(expressions, response, paired)
    found: dict[str, tuple[Answer, ...]] = {}
    for link, expression in expressions.calculated.items():
        occurrences = paired.by_link.get(link, []) if link is not None else []
        for occurrence in occurrences[:1]:
            values = calculated_answers(evaluation, expression, occurrence)
            if not isinstance(values, Undecided) and values:
                found[occurrence.item.link_id] = tuple(_rounded(occurrence.item, value) for value in values)
    return found


def _rounded(item: Item, answer: Answer) -> Answer:
    if isinstance(answer, Quantity):
        return answer._replace(value=_rounded_number(item, answer.value))
    return _rounded_number(item, answer) if isinstance(answer, Decimal) else answer


def _rounded_number(item: Item, number: Decimal) -> Decimal:
    """Returns a number in as many digits as its question holds, without noughts at the end."""
    places = item.limits.max_decimal_places
    with localcontext(_WIDE):
        if places is None:
            exact = _SHORT.plus(number)
        else:
            exact = number.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
        return exact.quantize(Decimal(1)) if exact == exact.to_integral_value() else exact.normalize()


# Sums that need no FHIRPath.


class Term(msgspec.Struct, frozen=True):
    """One term of a sum.

    Args:
        links: of the questions whose answers it adds up.
        of_weights: the weights of what was chosen; else the numbers that were given.
        is_sum: nought without an answer; else it takes exactly one answer, and there is no total without it.
    """

    links: tuple[str, ...]
    of_weights: bool
    is_sum: bool


_NUMERIC: Final = ("integer", "decimal")
_START: Final = re.compile(r"%`(?:resource|rootResource)`")
_LINK: Final = r"(?:\$this\.)?linkId='[^'\\]+'"
_STEP: Final = re.compile(
    rf"\.(?:(item)|(descendants)\(\)|(repeat)\(item\)|(where)\((?:(?P<same>{_LINK}(?:or{_LINK})*)"
    r"|linkIdin\((?P<among>'[^'\\]+'(?:\|'[^'\\]+')*)\))\)|(answer)|(value)|(ordinal|weight)\(\)|(sum)\(\))"
)
_BRACKETED: Final = re.compile(r"^\((%.*)\)(\.sum\(\))$")
_QUOTED: Final = re.compile(r"'([^'\\]+)'")
_ORDER: Final = re.compile(r"i[wird]*a(?:v|v?(?P<weights>o))(?P<sum>s)?")
"""Steps by their first letters: items, then their answers, then what is made of these."""


def plain_sum(expression: Expression, items: Mapping[str, Item]) -> tuple[Term, ...]:
    """Returns the terms that an expression adds up; none if it does anything else."""
    terms = [_term(text, items) for text in _texts_added(syntax_tree(expression.text))]
    return tuple(term for term in terms if term is not None) if None not in terms else ()


def _texts_added(tree: Any) -> Iterator[str]:
    """Yields the texts of the terms that a tree adds up, without brackets around all of it."""
    children = tree.get("children", ())
    is_sum = tree.get("type") == "AdditiveExpression" and set(tree["terminalNodeText"]) == {"+"}
    through = tree.get("type") in (None, "TermExpression", "ParenthesizedTerm") and len(children) == 1
    is_bracket = not tree.get("text") or str(tree["text"]).startswith("(")
    if is_sum or (through and is_bracket):
        for child in children:
            yield from _texts_added(child)
    else:
        yield str(tree.get("text", ""))


def _term(text: str, items: Mapping[str, Item]) -> Term | None:
    """Returns the term that a path is; None if it is no path of this kind."""
    text = _BRACKETED.sub(r"\1\2", text)
    start = _START.match(text)
    place = start.end() if start is not None else len(text)
    links: tuple[str, ...] | None = None
    steps = ""
    while place < len(text):
        found = _STEP.match(text, place)
        if found is None:
            return None
        name = next(filter(None, found.group(1, 2, 3, 4, 7, 8, 9, 10)))
        links = _stepped(name, _QUOTED.findall(found[0]), links, items)
        steps += {"descendants": "id", "repeat": "ir", "weight": "o"}.get(name, name[0])
        place = found.end()
    order = _ORDER.fullmatch(steps)
    if order is None or not links or ("d" in steps and "w" not in steps):
        return None
    if order["weights"]:
        links = tuple(link for link in links if items[link].options is not None)
    term = Term(links, order["weights"] is not None, order["sum"] is not None)
    return term if _adds_up(term, items) else None


def _stepped(
    name: str, named: Iterable[str], links: tuple[str, ...] | None, items: Mapping[str, Item]
) -> tuple[str, ...]:
    """Returns the items at which a path is after a step; None stands for the response itself."""
    if name == "where":
        wanted = frozenset(named)
        return tuple(link for link in links or () if link in wanted)
    if name == "answer":
        return tuple(link for link in links or () if items[link].answerable)
    if name == "item":
        return tuple(_inside(links, items))
    if name in ("repeat", "descendants"):
        below: tuple[str, ...] = tuple(_inside(links, items, through_answers=name == "descendants"))
        return (*below, *(_stepped(name, (), below, items) if below else ()))
    return links or ()


def _inside(
    links: tuple[str, ...] | None, items: Mapping[str, Item], *, through_answers: bool = False
) -> Iterator[str]:
    """Yields the items right below others; what stands in an answer is not an item of its question."""
    if links is None:
        yield from (link for link, item in items.items() if item.parent is None)
        return
    for link in links:
        if through_answers or not items[link].answerable:
            yield from items[link].children


def _adds_up(term: Term, items: Mapping[str, Item]) -> bool:
    """Returns whether a term is of numbers or of options, and a sum or of one answer."""
    found = [items[link] for link in term.links]
    if not found or (not term.is_sum and (len(found) > 1 or found[0].repeats)):
        return False
    return term.of_weights or all(item.type in _NUMERIC and item.options is None for item in found)
