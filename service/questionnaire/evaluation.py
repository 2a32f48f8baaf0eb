"""Evaluates the expressions of a form on one response, within one budget of time.

Variables are evaluated on first use, once per occurrence of the item that declares them, and are
seen by that item and everything below it. What reads a launch context (`%patient`) or a query
cannot be evaluated from a response alone: that is said, as information, and never guessed.

Source: SDC expressions page (variables, %resource, %context, %questionnaire, %qitem).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from time import monotonic
from typing import Any

from service.errors import Problem
from service.guidance.answers import Coding
from service.questionnaire.extensions import text
from service.questionnaire.fhirpath import (
    Expression,
    NotAtHand,
    NotEvaluated,
    OutOfTime,
    data_of,
    item_node,
)
from service.questionnaire.logic import Logic
from service.questionnaire.occurrences import Occurrence, Paired
from service.questionnaire.severity import severity
from service.questionnaire.time_limit import time_limit
from service.questionnaire.weights import weight

SECONDS = 5.0
"""Time for all expressions of one response together."""


class Evaluation:
    """The expressions of one form on one response; collects what could not be evaluated.

    Once `out_of_time`, nothing is evaluated any more, and every result is None.
    """

    def __init__(self, logic: Logic, response: Mapping[str, Any], laid: Paired) -> None:
        self.logic = logic
        self.response = response
        self.problems: list[Problem] = []
        self._deadline = monotonic() + SECONDS
        self.out_of_time = False
        self._scoped: dict[int, dict[str, Any]] = {}
        self._weights = {
            id(given.value): options.choices[given.answer].weight
            for one in laid.occurrences()
            if (options := one.item.options) is not None
            for given in one.given
            if given.answer is not None and given.answer in options.choices
        }

    def values(self, expression: Expression, here: Occurrence | None) -> list[Any] | None:
        """Returns the JSON values of an expression, or None where it could not be evaluated.

        Args:
            here: the occurrence whose expression it is; None for the whole form.
        """
        if self.out_of_time:
            return None
        path, label = (
            (here.path, f"{here.item.label}: ") if here is not None else ("QuestionnaireResponse", "")
        )
        try:
            return [data_of(node) for node in self._nodes(expression, here, self._variables(here))]
        except OutOfTime as fault:
            self.out_of_time = True
            self._report(
                "expression-time",
                path,
                f"{label}expected expressions that end within {SECONDS:g} s: {fault}.",
            )
        except NotAtHand as fault:
            self._report("expression-unavailable", path, f"{label}an expression was not evaluated: {fault}.")
        except NotEvaluated as fault:
            self._report("expression-failed", path, f"{label}an expression of the form failed: {fault}.")
        return None

    def truth(self, expression: Expression, here: Occurrence | None) -> bool | None:
        """Returns the truth of an expression, None where it is empty or could not be evaluated."""
        values = self.values(expression, here)
        if not values:
            return None
        return values[0] if len(values) == 1 and isinstance(values[0], bool) else len(values) == 1 or None

    def _report(self, kind: str, path: str, words: str) -> None:
        self.problems.append(Problem(kind, words, path, severity(kind)))

    def _nodes(
        self, expression: Expression, here: Occurrence | None, variables: Mapping[str, Any]
    ) -> list[Any]:
        focus = _focus(here) if here is not None else self.response
        known = {
            **variables,
            "resource": self.response,
            "rootResource": self.response,
            "questionnaire": self.logic.resource,
            "context": focus,
            "qitem": here.item.source if here is not None else [],
        }
        with time_limit(max(0.0, self._deadline - monotonic()), OutOfTime):
            return expression.nodes(focus, known, self._weigh)

    def _variables(self, here: Occurrence | None) -> dict[str, Any]:
        """Variables seen from an occurrence, evaluated from the root down."""
        chain: list[Occurrence | None] = [None]
        above: list[Occurrence | None] = []
        while here is not None:
            above.append(here)
            here = here.scope.owner
        known: dict[str, Any] = {}
        for place in chain + above[::-1]:
            link = place.item.link_id if place is not None else None
            if link in self.logic.variables:
                known = self._declared(place, link, known)
        return known

    def _declared(self, place: Occurrence | None, link: str | None, known: dict[str, Any]) -> dict[str, Any]:
        if id(place) not in self._scoped:
            scoped = dict(known)
            for name, expression in self.logic.variables[link]:
                try:
                    scoped[name] = self._nodes(expression, place, scoped)
                except OutOfTime:
                    raise
                except NotEvaluated:
                    scoped.pop(name, None)
            self._scoped[id(place)] = scoped
        return self._scoped[id(place)]

    def _weigh(self, value: Any) -> Decimal | None:
        """The weight of an answer: on the answer itself, else on the option of its question."""
        if not isinstance(value, Mapping):
            return None
        inner = next((found for key, found in value.items() if key.startswith("value")), value)
        own = weight(value, inner if isinstance(inner, Mapping) else {})
        if own is not None or not isinstance(inner, Mapping):
            return own
        if id(inner) in self._weights:
            return self._weights[id(inner)]
        return self.logic.weights.get(Coding(text(inner.get("system")), text(inner.get("code"))))


def _focus(here: Occurrence) -> Any:
    return item_node(here.source if here.source is not None else {"linkId": here.item.link_id})
