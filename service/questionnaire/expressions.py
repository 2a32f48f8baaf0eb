"""Evaluates the expressions of a form on one response, within one budget of time.

Variables are evaluated on first use, once per occurrence of the item that declares them, and are
seen by that item and everything below it. What reads a launch context (`%patient`) or a query
cannot be evaluated from a response alone: that is said, as information, and never guessed.

Source: SDC expressions page (variables, %resource, %context, %questionnaire, %qitem).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic
from types import FrameType
from typing import Any

from service.datatypes.answers import Answer, Coding
from service.errors import Problem
from service.fhir import extensions as ext
from service.fhir.extensions import text
from service.fhir.outcome import severity
from service.questionnaire.fhirpath import (
    Expression,
    NotAtHand,
    NotEvaluated,
    NotParsed,
    OutOfTime,
    data_of,
    item_node,
    parsed,
)
from service.questionnaire.items import Item
from service.questionnaire.pairing import Occurrence, Paired
from service.terminology.code_systems import weight

# A limit on the time that Python code may take, for forms and expressions that anybody may send.


@contextmanager
def time_limit(seconds: float, raising: type[Exception]) -> Iterator[None]:
    """Stops the Python code of this block, once the time is up, by raising an error in the midst of it.

    It hooks function calls, so it works in any thread, needs no signal, and cannot stop a single
    long call into C. Blocks may be nested; while an inner one runs, its own limit holds.
    """
    deadline = monotonic() + seconds

    def tick(_: FrameType, event: str, __: object) -> None:  # pragma: no cover - never traced itself
        if event == "call" and monotonic() > deadline:
            sys.setprofile(None)
            raise raising("it took too long")

    before = sys.getprofile()
    sys.setprofile(tick)
    try:
        yield
    finally:
        sys.setprofile(before)


# Every expression that a Questionnaire declares, wherever it stands and whatever it is for.
#
# Source: SDC extensions variable, targetConstraint, questionnaire-constraint, enableWhenExpression,
# calculatedExpression, initialExpression.

VARIABLE = "variable"
CONSTRAINT = "constraint"
ENABLE_WHEN = "enableWhenExpression"
CALCULATED = "calculatedExpression"
INITIAL = "initialExpression"

_PLAIN = {
    ext.VARIABLE: VARIABLE,
    ext.ENABLE_WHEN_EXPRESSION: ENABLE_WHEN,
    ext.CALCULATED_EXPRESSION: CALCULATED,
    ext.INITIAL_EXPRESSION: INITIAL,
}
FHIRPATH = "text/fhirpath"


@dataclass(frozen=True, slots=True)
class Declared:
    """One expression as it stands in the Questionnaire.

    Args:
        link: linkId of its item, None at the root. path: where it stands.
        role: one of the constants above. name: variable name or key of a constraint.
        severity, human: of a constraint.
    """

    link: str | None
    path: str
    role: str
    language: str
    text: str
    name: str = ""
    severity: str = "error"
    human: str = ""


def declared(resource: Mapping[str, Any], items: Mapping[str, Item]) -> Iterator[Declared]:
    """Yields all expressions, those of the root first, then item by item in document order."""
    yield from _of_element(None, "Questionnaire", resource)
    for item in items.values():
        yield from _of_element(item.link_id, item.path, item.source)


def _of_element(link: str | None, path: str, source: Mapping[str, Any]) -> Iterator[Declared]:
    for url, role in _PLAIN.items():
        for found in ext.values(source, url):
            yield _plain(link, path, role, found if isinstance(found, Mapping) else {})
    for extension in ext.extensions(source, ext.CONSTRAINT):
        yield _constraint(link, path, extension)
    for extension in ext.extensions(source, ext.TARGET_CONSTRAINT):
        yield _constraint(link, path, extension)


def _plain(link: str | None, path: str, role: str, source: Mapping[str, Any]) -> Declared:
    language = ext.text(source.get("language"))
    return Declared(
        link, path, role, language, ext.text(source.get("expression")), ext.text(source.get("name"))
    )


def _constraint(link: str | None, path: str, extension: Mapping[str, Any]) -> Declared:
    """The older form has its expression as a string, the newer one as an Expression."""
    found = ext.value(extension, "expression")
    typed = found if isinstance(found, Mapping) else {"language": FHIRPATH, "expression": found}
    severity = ext.text(ext.value(extension, "severity"))
    return Declared(
        link,
        path,
        CONSTRAINT,
        ext.text(typed.get("language")),
        ext.text(typed.get("expression")),
        ext.text(ext.value(extension, "key")),
        severity if severity in ("error", "warning") else "error",
        ext.text(ext.value(extension, "human")),
    )


# The expressions of one Questionnaire, parsed once and sorted by what they are for.


@dataclass(frozen=True, slots=True)
class Constraint:
    """A rule that must be true; `key` and `human` are the author's name and words for it."""

    key: str
    severity: str
    human: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class Logic:
    """What is evaluated of a form, by linkId; None stands for the whole form.

    Args:
        resource: the Questionnaire, for `%questionnaire`.
        variables: in order, with their names.
        weights: of options by answer, where all questions agree.
    """

    resource: Mapping[str, Any] = field(repr=False)
    variables: Mapping[str | None, tuple[tuple[str, Expression], ...]]
    constraints: Mapping[str | None, tuple[Constraint, ...]]
    enabling: Mapping[str | None, Expression]
    calculated: Mapping[str | None, Expression]
    initial: Mapping[str | None, Expression]
    weights: Mapping[Answer, Decimal]


def logic_of(resource: Mapping[str, Any], items: Mapping[str, Item]) -> Logic | None:
    """Returns the form's expressions, or None where it has none that a check must evaluate.

    Expressions that do not parse, or are in another language, are left out; the lint names them.
    """
    readable = [
        (one, expression) for one in declared(resource, items) if (expression := _parsed(one)) is not None
    ]
    if not any(one.role != VARIABLE for one, _ in readable):
        return None
    return Logic(
        resource=resource,
        variables=_variables(readable),
        constraints=_constraints(readable),
        enabling={one.link: expression for one, expression in readable if one.role == ENABLE_WHEN},
        calculated={one.link: expression for one, expression in readable if one.role == CALCULATED},
        initial={one.link: expression for one, expression in readable if one.role == INITIAL},
        weights=_weights(items),
    )


def _parsed(one: Declared) -> Expression | None:
    try:
        return parsed(one.text) if one.language == FHIRPATH else None
    except NotParsed:
        return None


_Readable = list[tuple[Declared, Expression]]


def _variables(readable: _Readable) -> dict[str | None, tuple[tuple[str, Expression], ...]]:
    found: dict[str | None, tuple[tuple[str, Expression], ...]] = {}
    for one, expression in readable:
        if one.role == VARIABLE:
            found[one.link] = (*found.get(one.link, ()), (one.name, expression))
    return found


def _constraints(readable: _Readable) -> dict[str | None, tuple[Constraint, ...]]:
    found: dict[str | None, tuple[Constraint, ...]] = {}
    for one, expression in readable:
        if one.role == CONSTRAINT:
            rule = Constraint(one.name, one.severity, one.human, expression)
            found[one.link] = (*found.get(one.link, ()), rule)
    return found


def _weights(items: Mapping[str, Item]) -> dict[Answer, Decimal]:
    seen: dict[Answer, set[Decimal]] = {}
    for item in items.values():
        for answer, choice in item.options.choices.items() if item.options is not None else ():
            if choice.weight is not None:
                seen.setdefault(answer, set()).add(choice.weight)
    return {answer: next(iter(found)) for answer, found in seen.items() if len(found) == 1}


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
