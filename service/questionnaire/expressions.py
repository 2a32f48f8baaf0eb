"""The FHIRPath expressions of a Questionnaire: found, parsed once, and evaluated on a response.

All expressions of one response share one budget of time. Variables are evaluated on first use, once
per occurrence of the item that declares them, and are seen by that item and everything below it. What
reads a launch context (`%patient`) or a query cannot be evaluated from a response alone: that is said,
as information, and never guessed.

Source: SDC expressions page (variables, %resource, %context, %questionnaire, %qitem); extensions
variable, targetConstraint, questionnaire-constraint, enableWhenExpression, calculatedExpression,
initialExpression.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic
from typing import Any

from service.datatypes.answers import Answer, Coding
from service.errors import Problem
from service.fhir import extensions as ext
from service.fhir.extensions import text
from service.questionnaire.fhirpath import (
    Expression,
    NotAtHand,
    NotEvaluated,
    NotParsed,
    OutOfTime,
    data_of,
    item_node,
    parse_expression,
)
from service.questionnaire.items import Item
from service.questionnaire.pairing import Occurrence, PairedResponse
from service.questionnaire.problems import problem
from service.sandbox import time_limit
from service.terminology.code_systems import weight

TIME_LIMIT_S = 5.0
"""Time for all expressions of one response together."""

VARIABLE = "variable"
CONSTRAINT = "constraint"
ENABLE_WHEN = "enableWhenExpression"
CALCULATED = "calculatedExpression"
INITIAL = "initialExpression"

FHIRPATH = "text/fhirpath"

_ROLES = {
    ext.VARIABLE: VARIABLE,
    ext.ENABLE_WHEN_EXPRESSION: ENABLE_WHEN,
    ext.CALCULATED_EXPRESSION: CALCULATED,
    ext.INITIAL_EXPRESSION: INITIAL,
}


# Every expression that a Questionnaire declares, wherever it stands and whatever it is for.


@dataclass(frozen=True, slots=True)
class DeclaredExpression:
    """One expression as it stands in the Questionnaire.

    Args:
        link: linkId of its item, None at the root. path: where it stands.
        role: one of the constants above. name: variable name or key of a constraint.
        severity, human: of a constraint: how bad it is where it does not hold, and the author's words for it.
    """

    link: str | None
    path: str
    role: str
    language: str
    text: str
    name: str = ""
    severity: str = "error"
    human: str = ""


ParsedExpression = tuple[DeclaredExpression, Expression]


def declared_expressions(
    resource: Mapping[str, Any], items: Mapping[str, Item]
) -> Iterator[DeclaredExpression]:
    """Yields all expressions, those of the root first, then item by item in document order."""
    yield from _declared_by(None, "Questionnaire", resource)
    for item in items.values():
        yield from _declared_by(item.link_id, item.path, item.source)


def _declared_by(link: str | None, path: str, source: Mapping[str, Any]) -> Iterator[DeclaredExpression]:
    for url, role in _ROLES.items():
        for value in ext.values(source, url):
            yield _declared(link, path, role, value if isinstance(value, Mapping) else {})
    for url in (ext.CONSTRAINT, ext.TARGET_CONSTRAINT):
        for extension in ext.extensions(source, url):
            yield _declared_constraint(link, path, extension)


def _declared(link: str | None, path: str, role: str, value: Mapping[str, Any]) -> DeclaredExpression:
    language, expression, name = (text(value.get(key)) for key in ("language", "expression", "name"))
    return DeclaredExpression(link, path, role, language, expression, name)


def _declared_constraint(link: str | None, path: str, extension: Mapping[str, Any]) -> DeclaredExpression:
    """The older form has its expression as a string, the newer one as an Expression."""
    found = ext.value(extension, "expression")
    typed = found if isinstance(found, Mapping) else {"language": FHIRPATH, "expression": found}
    severity = text(ext.value(extension, "severity"))
    return DeclaredExpression(
        link,
        path,
        CONSTRAINT,
        text(typed.get("language")),
        text(typed.get("expression")),
        text(ext.value(extension, "key")),
        severity if severity in ("error", "warning") else "error",
        text(ext.value(extension, "human")),
    )


# The same, parsed once and sorted by what they are for.


@dataclass(frozen=True, slots=True)
class FormExpressions:
    """What is evaluated of a Questionnaire, by linkId; None stands for the whole Questionnaire.

    Args:
        resource: the Questionnaire, for `%questionnaire`.
        variables: in order.
        weights: of options by answer, where all questions agree.
    """

    resource: Mapping[str, Any] = field(repr=False)
    variables: Mapping[str | None, tuple[ParsedExpression, ...]]
    constraints: Mapping[str | None, tuple[ParsedExpression, ...]]
    enable_when: Mapping[str | None, Expression]
    calculated: Mapping[str | None, Expression]
    initial: Mapping[str | None, Expression]
    weights: Mapping[Answer, Decimal]


def compile_expressions(resource: Mapping[str, Any], items: Mapping[str, Item]) -> FormExpressions | None:
    """Returns the form's expressions, or None where it has none that a check must evaluate.

    Expressions that do not parse, or are in another language, are left out; the lint names them.
    """
    parsed = [
        (declared, expression)
        for declared in declared_expressions(resource, items)
        if (expression := _parsed(declared)) is not None
    ]
    if not any(declared.role != VARIABLE for declared, _ in parsed):
        return None
    return FormExpressions(
        resource=resource,
        variables=_all_of_role(VARIABLE, parsed),
        constraints=_all_of_role(CONSTRAINT, parsed),
        enable_when=_of_role(ENABLE_WHEN, parsed),
        calculated=_of_role(CALCULATED, parsed),
        initial=_of_role(INITIAL, parsed),
        weights=_weights(items),
    )


def _parsed(declared: DeclaredExpression) -> Expression | None:
    try:
        return parse_expression(declared.text) if declared.language == FHIRPATH else None
    except NotParsed:
        return None


def _of_role(role: str, parsed: Iterable[ParsedExpression]) -> dict[str | None, Expression]:
    return {declared.link: expression for declared, expression in parsed if declared.role == role}


def _all_of_role(
    role: str, parsed: Iterable[ParsedExpression]
) -> dict[str | None, tuple[ParsedExpression, ...]]:
    found: dict[str | None, tuple[ParsedExpression, ...]] = {}
    for declared, expression in parsed:
        if declared.role == role:
            found[declared.link] = (*found.get(declared.link, ()), (declared, expression))
    return found


def _weights(items: Mapping[str, Item]) -> dict[Answer, Decimal]:
    found: dict[Answer, set[Decimal]] = {}
    for item in items.values():
        for answer, choice in item.options.choices.items() if item.options is not None else ():
            if choice.weight is not None:
                found.setdefault(answer, set()).add(choice.weight)
    return {answer: next(iter(weights)) for answer, weights in found.items() if len(weights) == 1}


# Evaluated on one response.


class Evaluation:
    """The expressions of one Questionnaire on one response; collects what could not be evaluated.

    Once `out_of_time`, nothing is evaluated any more, and every result is None.
    """

    def __init__(
        self, expressions: FormExpressions, response: Mapping[str, Any], paired: PairedResponse
    ) -> None:
        self.expressions = expressions
        self.response = response
        self.problems: list[Problem] = []
        self.out_of_time = False
        self._deadline = monotonic() + TIME_LIMIT_S
        self._variables_by_occurrence: dict[int, dict[str, Any]] = {}
        self._weights = {
            id(found.value): options.choices[found.answer].weight
            for occurrence in paired.occurrences()
            if (options := occurrence.item.options) is not None
            for found in occurrence.response_answers
            if found.answer is not None and found.answer in options.choices
        }

    def values(self, expression: Expression, occurrence: Occurrence | None) -> list[Any] | None:
        """Returns the JSON values of an expression, or None where it could not be evaluated.

        Args:
            occurrence: whose expression it is; None for the whole Questionnaire.
        """
        if self.out_of_time:
            return None
        try:
            variables = self._variables_seen_by(occurrence)
            return [data_of(node) for node in self._nodes(expression, occurrence, variables)]
        except OutOfTime as fault:
            self.out_of_time = True
            words = f"expected expressions that end within {TIME_LIMIT_S:g} s: {fault}."
            self._report("expression-time", occurrence, words)
        except NotAtHand as fault:
            self._report("expression-unavailable", occurrence, f"an expression was not evaluated: {fault}.")
        except NotEvaluated as fault:
            self._report("expression-failed", occurrence, f"an expression of the form failed: {fault}.")
        return None

    def truth(self, expression: Expression, occurrence: Occurrence | None) -> bool | None:
        """Returns the truth of an expression, None where it is empty or could not be evaluated."""
        values = self.values(expression, occurrence)
        if not values:
            return None
        return values[0] if len(values) == 1 and isinstance(values[0], bool) else len(values) == 1 or None

    def _report(self, kind: str, occurrence: Occurrence | None, words: str) -> None:
        path, label = path_and_label(occurrence)
        self.problems.append(problem(kind, f"{label}{words}", path))

    def _nodes(
        self, expression: Expression, occurrence: Occurrence | None, variables: Mapping[str, Any]
    ) -> list[Any]:
        focus = _focus(occurrence) if occurrence is not None else self.response
        known = {
            **variables,
            "resource": self.response,
            "rootResource": self.response,
            "questionnaire": self.expressions.resource,
            "context": focus,
            "qitem": occurrence.item.source if occurrence is not None else [],
        }
        with time_limit(max(0.0, self._deadline - monotonic()), OutOfTime):
            return expression.nodes(focus, known, self._weight)

    def _variables_seen_by(self, occurrence: Occurrence | None) -> dict[str, Any]:
        """Returns the variables seen from an occurrence, evaluated from the root down."""
        owners: list[Occurrence | None] = []
        while occurrence is not None:
            owners.append(occurrence)
            occurrence = occurrence.container.owner
        owners.append(None)
        known: dict[str, Any] = {}
        for owner in reversed(owners):
            link = owner.item.link_id if owner is not None else None
            if link in self.expressions.variables:
                known = self._variables_declared_by(owner, link, known)
        return known

    def _variables_declared_by(
        self, owner: Occurrence | None, link: str | None, known: dict[str, Any]
    ) -> dict[str, Any]:
        if id(owner) not in self._variables_by_occurrence:
            variables = dict(known)
            for declared, expression in self.expressions.variables[link]:
                try:
                    variables[declared.name] = self._nodes(expression, owner, variables)
                except OutOfTime:
                    raise
                except NotEvaluated:
                    variables.pop(declared.name, None)
            self._variables_by_occurrence[id(owner)] = variables
        return self._variables_by_occurrence[id(owner)]

    def _weight(self, value: Any) -> Decimal | None:
        """Returns the weight of an answer: on the answer itself, else on the option of its question."""
        if not isinstance(value, Mapping):
            return None
        inner = next((found for key, found in value.items() if key.startswith("value")), value)
        own = weight(value, inner if isinstance(inner, Mapping) else {})
        if own is not None or not isinstance(inner, Mapping):
            return own
        if id(inner) in self._weights:
            return self._weights[id(inner)]
        return self.expressions.weights.get(Coding(text(inner.get("system")), text(inner.get("code"))))


def path_and_label(occurrence: Occurrence | None) -> tuple[str, str]:
    """Returns where a problem with an expression stands, and how its message begins."""
    if occurrence is None:
        return "QuestionnaireResponse", ""
    return occurrence.path, f"{occurrence.item.label}: "


def _focus(occurrence: Occurrence) -> Any:
    link_id = occurrence.item.link_id
    return item_node(occurrence.source if occurrence.source is not None else {"linkId": link_id})
