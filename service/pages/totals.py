"""Totals of a form: what it calculates is kept with the answers, and told to the script where it can follow.

The service evaluates every calculatedExpression when a page is sent. A browser has no FHIRPath: what is a
plain sum of answers is told to the script as numbers, and is immediate; any other value is empty from the
first change on until the page is sent.

Source:
    SDC calculatedExpression; docs/form.md, How authors shape a form.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
import orjson

from service.datatypes.answers import Answer, AnswersByLink
from service.datatypes.values import replace
from service.fhir.json import Json
from service.pages.plan import fitting, in_order
from service.pages.reading import Control
from service.pages.state import FormState
from service.questionnaire import CompiledQuestionnaire, Item
from service.questionnaire.constraints import Term

_PLACES: Final = 8
"""Most decimal places of a total whose question does not limit them."""
_NOT_FOLLOWED: Final = "[0,[]]"
"""A total that the script cannot work out."""


def with_calculated(
    state: FormState, compiled: CompiledQuestionnaire, written: Callable[[FormState], Json]
) -> FormState:
    """Returns a state with all values that its form calculates, those based on other ones too.

    Args:
        written: gives the response of a state.
    """
    for _ in range(len(compiled.calculates) + 1):
        kept = {link: given for link, given in state.answers.items() if link not in compiled.calculates}
        answers = in_order({**kept, **compiled.calculated(written(state))}, compiled)
        before, state = state, fitting(replace(state, answers=answers), compiled)
        if state.answers == before.answers:
            break
    return state


class Total(msgspec.Struct, frozen=True):
    """One calculated value as the script sees it.

    Args:
        places: most decimal places.
        terms: of a plain sum; empty for any other calculation.
        numbers: what each option adds, by question: by answer, and by what the browser sends.
    """

    places: int
    terms: tuple[Term, ...]
    numbers: Mapping[str, tuple[Mapping[Answer, Decimal], Mapping[str, float]]]

    def on(self, answers: AnswersByLink, shown: Collection[str]) -> str:
        """Returns how it is worked out on a page that shows these questions, as JSON; empty if it is fixed.

        `[places, [[needed, part, ...], ...]]`: the term is void without exactly one value if it is needed;
        a part is a number, or `[linkId, numbers by value or null]`.
        """
        if not self.terms:
            return _NOT_FOLLOWED
        if not any(link in shown for term in self.terms for link in term.links):
            return ""
        terms = [[int(not term.is_sum), *self._parts(term, answers, shown)] for term in self.terms]
        return orjson.dumps([self.places, terms]).decode()

    def _parts(self, term: Term, answers: AnswersByLink, shown: Collection[str]) -> Iterator[Any]:
        for link in term.links:
            by_answer, by_value = self.numbers.get(link, ({}, {}))
            if link in shown:
                yield [link, by_value if term.of_weights else None]
                continue
            for answer in answers.get(link, ()):
                number = by_answer.get(answer) if term.of_weights else answer
                if isinstance(number, int | Decimal):
                    yield float(number)


def totals_of(compiled: CompiledQuestionnaire, controls: Mapping[str, Control]) -> Mapping[str, Total]:
    """Returns the values that a form calculates, by linkId."""
    return {
        link: _total(compiled.items[link], terms, compiled, controls)
        for link, terms in compiled.calculates.items()
    }


def _total(
    item: Item, terms: tuple[Term, ...], compiled: CompiledQuestionnaire, controls: Mapping[str, Control]
) -> Total:
    links = {link for term in terms for link in term.links}
    if links & compiled.calculates.keys() or item.type not in ("integer", "decimal"):
        return Total(0, (), {})
    numbers = {link: _numbers(controls[link]) for link in links}
    if item.type == "integer":
        added = {number for by_answer, _ in numbers.values() for number in by_answer.values()}
        plain = {link for term in terms if not term.of_weights for link in term.links}
        is_whole = all(number == number.to_integral_value() for number in added)
        of_decimals = any(compiled.items[link].type == "decimal" for link in plain)
        return Total(0, terms, numbers) if is_whole and not of_decimals else Total(0, (), {})
    places = item.limits.max_decimal_places
    return Total(_PLACES if places is None else places, terms, numbers)


def _numbers(control: Control) -> tuple[Mapping[Answer, Decimal], Mapping[str, float]]:
    """Returns the weights of options, by answer and by the value that the browser sends."""
    choices = {} if control.item.options is None else control.item.options.choices
    weights = {answer: choice.weight for answer, choice in choices.items() if choice.weight is not None}
    sent = {
        option.value: float(weights[option.answer]) for option in control.options if option.answer in weights
    }
    return weights, sent
