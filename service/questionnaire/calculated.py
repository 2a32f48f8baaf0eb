"""Values that a Questionnaire calculates: worked out on a response, or told as a sum that others can follow.

A calculated value is written as precisely as its question can hold it: to its maxDecimalPlaces, else to the
digits to which it is compared (constraints.py). What cannot be evaluated has no value.

A sum is plain where its expression only adds up answers, or the weights of chosen options, that paths over
linkIds name. Every other expression needs FHIRPath.

Source: SDC calculatedExpression; SDC expressions page, weight() (`ordinal()` before SDC 4); FHIRPath N1,
sections 5.7 sum() and 6.6 (+).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any, Final

from service.datatypes.answers import Answer, AnswersByLink, Quantity
from service.fhir.json import Json
from service.questionnaire.constraints import SIGNIFICANT_DIGITS, calculated_answers
from service.questionnaire.expressions import Evaluation, FormExpressions, Undecided
from service.questionnaire.fhirpath import Expression
from service.questionnaire.fhirpath_syntax import syntax_tree
from service.questionnaire.items import Item
from service.questionnaire.pairing import PairedResponse

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


@dataclass(frozen=True, slots=True)
class Term:
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
