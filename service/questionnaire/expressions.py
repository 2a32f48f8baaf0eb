"""The FHIRPath expressions of a Questionnaire: found, parsed once, and evaluated on a response.

All expressions of one response share one budget of time. Variables are evaluated on first use, once
per occurrence of the item that declares them, and are seen by that item and everything below it. What
reads a launch context (`%patient`) or a query cannot be evaluated from a response alone: then the result
is `Undecided`, with the reason, and never guessed.

Source: SDC expressions page (variables, %resource, %context, %questionnaire, %qitem); extensions
variable, targetConstraint, questionnaire-constraint, enableWhenExpression, calculatedExpression,
initialExpression, cqf-calculatedValue and cqf-expression (limits that are computed).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import chain
from time import monotonic
from types import MappingProxyType
from typing import Any

import msgspec

from service.datatypes.answers import Answer, Coding
from service.fhir import extensions as ext
from service.fhir.extensions import mappings, text
from service.fhir.json import Json
from service.questionnaire.fhirpath import (
    Expression,
    MemberOf,
    NotEvaluated,
    OutOfTime,
    Surroundings,
    data_of,
    item_node,
    parse_expression,
)
from service.questionnaire.fhirpath_syntax import NotParsed, Tree, trees_by_shape
from service.questionnaire.items import Item
from service.questionnaire.pairing import Occurrence, PairedResponse
from service.sandbox import time_limit
from service.terminology.code_systems import weight
from service.terminology.value_sets import ValueSets

TIME_LIMIT_S = 5.0
"""Time for all expressions of one response together."""

VARIABLE = "variable"
CONSTRAINT = "constraint"
ENABLE_WHEN = "enableWhenExpression"
CALCULATED = "calculatedExpression"
INITIAL = "initialExpression"
LIMIT = "limit"

FHIRPATH = "text/fhirpath"

_ROLES = {
    ext.VARIABLE: VARIABLE,
    ext.ENABLE_WHEN_EXPRESSION: ENABLE_WHEN,
    ext.CALCULATED_EXPRESSION: CALCULATED,
    ext.INITIAL_EXPRESSION: INITIAL,
}

_LIMITS = {
    ext.MIN_VALUE: "min_value",
    ext.MAX_VALUE: "max_value",
    ext.MIN_QUANTITY: "min_quantity",
    ext.MAX_QUANTITY: "max_quantity",
    ext.MIN_LENGTH: "min_length",
    ext.MAX_DECIMAL_PLACES: "max_decimal_places",
    ext.MAX_SIZE: "max_size",
    ext.MIN_OCCURS: "min_occurs",
    ext.MAX_OCCURS: "max_occurs",
}
_LIMITING_ELEMENTS = {"maxLength": "max_length", "required": "required", "repeats": "repeats"}


# Every expression that a Questionnaire declares, wherever it stands and whatever it is for.


class DeclaredExpression(msgspec.Struct, frozen=True):
    """One expression as it stands in the Questionnaire.

    Args:
        link: linkId of its item, None at the root. path: where it stands.
        role: one of the constants above. name: of a variable, the key of a constraint, or which limit it is.
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


class Undecided(msgspec.Struct, frozen=True):
    """A rule that is neither satisfied nor violated; `reason` says why, without any answer."""

    reason: str


_OUT_OF_TIME = Undecided("the expressions of the form took too long")

Usable = Expression | Undecided
"""An expression, or why it can never be evaluated here."""

_NOTHING_GIVEN: Mapping[str, Any] = MappingProxyType({})

ParsedExpression = tuple[DeclaredExpression, Usable]


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
    for name, value in _computed_limits(source):
        yield _declared(link, path, LIMIT, {**value, "name": name})


def _computed_limits(source: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the name of each limit that is computed, and the Expression that does it."""
    for url, name in _LIMITS.items():
        for extension in ext.extensions(source, url):
            found = ext.computed_value(extension)
            if found is not None:
                yield name, found
    for element, name in _LIMITING_ELEMENTS.items():
        found = ext.computed(source.get(f"_{element}"))
        if found is not None:
            yield name, found


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
        variables: in order. limits: the limits that are computed.
        weights: of options by answer, where all questions agree.
        member_of: whether a code is in a value set, for `memberOf()`.
        is_quoted: whether messages may repeat the words of the form.
    """

    resource: Mapping[str, Any] = field(repr=False)
    variables: Mapping[str | None, tuple[ParsedExpression, ...]]
    constraints: Mapping[str | None, tuple[ParsedExpression, ...]]
    limits: Mapping[str | None, tuple[ParsedExpression, ...]]
    enable_when: Mapping[str | None, Usable]
    calculated: Mapping[str | None, Usable]
    initial: Mapping[str | None, Usable]
    weights: Mapping[Answer, Decimal]
    member_of: MemberOf
    is_quoted: bool = True


def compile_expressions(
    resource: Mapping[str, Any], items: Mapping[str, Item], value_sets: ValueSets, *, is_quoted: bool = True
) -> FormExpressions | None:
    """Returns the form's expressions, or None where it has none that a check must evaluate.

    Expressions that do not parse, or are in another language, are undecided; the lint names them.
    """
    declared = list(declared_expressions(resource, items))
    if not any(_is_checked(expression, items) for expression in declared):
        return None
    return all_expressions(resource, items, value_sets, is_quoted=is_quoted)


def trees_of(
    forms: Iterable[tuple[Mapping[str, Any], Mapping[str, Item]]],
) -> dict[str, Tree]:
    """Returns the syntax trees of all expressions of some Questionnaires, as `know` takes them."""
    declared = chain.from_iterable(declared_expressions(resource, items) for resource, items in forms)
    return trees_by_shape(found.text for found in declared if found.language == FHIRPATH)


def all_expressions(
    resource: Mapping[str, Any], items: Mapping[str, Item], value_sets: ValueSets, *, is_quoted: bool = True
) -> FormExpressions:
    """Returns the form's expressions, those included that no check evaluates."""
    parsed = [(declared, _parsed(declared)) for declared in declared_expressions(resource, items)]
    return FormExpressions(
        resource=resource,
        variables=_all_of_role(VARIABLE, parsed),
        constraints=_all_of_role(CONSTRAINT, parsed),
        limits=_all_of_role(LIMIT, parsed),
        enable_when=_of_role(ENABLE_WHEN, parsed),
        calculated=_of_role(CALCULATED, parsed),
        initial=_of_role(INITIAL, parsed),
        weights=_weights(items),
        member_of=membership(value_sets.with_contained(resource)),
        is_quoted=is_quoted,
    )


def _is_checked(declared: DeclaredExpression, items: Mapping[str, Item]) -> bool:
    """Returns whether a check evaluates it: a variable serves others, and an initial value may be changed."""
    if declared.role == INITIAL:
        return declared.link is not None and items[declared.link].read_only
    return declared.role != VARIABLE


def _parsed(declared: DeclaredExpression) -> Usable:
    if declared.language != FHIRPATH:
        return Undecided(f"its expression is not in {FHIRPATH}")
    try:
        return parse_expression(declared.text)
    except NotParsed:
        return Undecided("its expression cannot be read")


def _of_role(role: str, parsed: Iterable[ParsedExpression]) -> dict[str | None, Usable]:
    return {declared.link: expression for declared, expression in parsed if declared.role == role}


def _all_of_role(
    role: str, parsed: Iterable[ParsedExpression]
) -> dict[str | None, tuple[ParsedExpression, ...]]:
    found: dict[str | None, list[ParsedExpression]] = {}
    for declared, expression in parsed:
        if declared.role == role:
            found.setdefault(declared.link, []).append((declared, expression))
    return {link: tuple(listed) for link, listed in found.items()}


def _weights(items: Mapping[str, Item]) -> dict[Answer, Decimal]:
    found: dict[Answer, set[Decimal]] = {}
    lists = {id(item.options): item.options for item in items.values() if item.options is not None}
    for options in lists.values():  # items on one value set share its options
        for answer, choice in options.choices.items():
            if choice.weight is not None:
                found.setdefault(answer, set()).add(choice.weight)
    return {answer: next(iter(weights)) for answer, weights in found.items() if len(weights) == 1}


# Whether a code is in a value set, in three values.


def membership(value_sets: ValueSets) -> MemberOf:
    """Returns the function behind `memberOf()`: for a code, a Coding or a CodeableConcept.

    Source: http://hl7.org/fhir/R4/fhirpath.html#functions, memberOf.
    """
    return partial(_is_member, value_sets)


def _is_member(value_sets: ValueSets, canonical: str, value: Any) -> bool | None:
    if isinstance(value, Mapping) and isinstance(value.get("coding"), list):
        found = {_has_coding(value_sets, canonical, coding) for coding in mappings(value["coding"])}
        return True if True in found else None if None in found else False
    if isinstance(value, Mapping):
        return _has_coding(value_sets, canonical, value)
    return _has_code(value_sets, canonical, text(value))


def _has_coding(value_sets: ValueSets, canonical: str, coding: Mapping[str, Any]) -> bool | None:
    system, code = text(coding.get("system")), text(coding.get("code"))
    found = value_sets.membership(canonical, Coding(system, code)).is_member
    return found if found or (code and system) else None


def _has_code(value_sets: ValueSets, canonical: str, code: str) -> bool | None:
    """Returns whether a bare code is one of the value set, which must be of one code system only."""
    codes = value_sets.codes(canonical)
    systems = {*codes.systems, *(coding.system for coding in codes.said)}
    if codes.anywhere is not None or len(systems) != 1:
        return None
    return _has_coding(value_sets, canonical, {"system": next(iter(systems)), "code": code})


# Evaluated on one response.


class Evaluation:
    """The expressions of one Questionnaire on one response.

    Once `out_of_time`, nothing is evaluated any more, and every result is undecided.

    Args:
        given: nodes of launch contexts and results of queries, by name; a variable that the form computes
            goes before one of the same name.
    """

    def __init__(
        self,
        expressions: FormExpressions,
        response: Mapping[str, Any],
        paired: PairedResponse,
        given: Mapping[str, Any] = _NOTHING_GIVEN,
    ) -> None:
        self.expressions = expressions
        self.response = response
        self._given = given
        self.out_of_time = False
        self._deadline = monotonic() + TIME_LIMIT_S
        self._variables_by_occurrence: dict[int, dict[str, Any]] = {}
        self._surroundings = Surroundings(
            resource=response,
            authored=text(response.get("authored")),
            weight_of=self._weight,
            member_of=expressions.member_of,
        )
        self._weights = {
            id(found.value): options.choices[found.answer].weight
            for occurrence in paired.occurrences
            if (options := occurrence.item.options) is not None
            for found in occurrence.response_answers
            if found.answer is not None and found.answer in options.choices
        }

    def values(self, expression: Usable, occurrence: Occurrence | None) -> list[Any] | Undecided:
        """Returns the JSON values of an expression, or why it could not be evaluated.

        Args:
            occurrence: whose expression it is; None for the whole Questionnaire.
        """
        if isinstance(expression, Undecided):
            return expression
        if self.out_of_time:
            return _OUT_OF_TIME
        try:
            variables = self._variables_seen_by(occurrence)
            return [data_of(node) for node in self._nodes(expression, occurrence, variables)]
        except OutOfTime:
            self.out_of_time = True
            return _OUT_OF_TIME
        except NotEvaluated as fault:
            return Undecided(str(fault))

    def truth(self, expression: Usable, occurrence: Occurrence | None) -> bool | Undecided | None:
        """Returns the truth of an expression, None if its result is empty, or why it is not known.

        Source: FHIRPath N1, section 4.5, Singleton Evaluation of Collections.
        """
        values = self.values(expression, occurrence)
        if isinstance(values, Undecided):
            return values
        if len(values) > 1:
            return Undecided("its expression has more than one result")
        return values[0] if values and isinstance(values[0], bool) else bool(values) or None

    def nodes_at(
        self, expression: Expression, focus: Any, variables: Mapping[str, Any], item: Json | None
    ) -> list[Any]:
        """Returns the nodes of an expression that stands outside the rules of the form, for another focus.

        Args:
            focus: the response, a node, or a list of nodes.
            variables: nodes or values by name; the variables of the form are not seen.
            item: of the Questionnaire, for `%qitem`; None at its root.

        Raises:
            NotEvaluated: as `Expression.nodes` has it; once time is up, all that follows is refused too.
        """
        if self.out_of_time:
            raise OutOfTime(_OUT_OF_TIME.reason)
        context = self._known(focus, [] if item is None else item)
        try:
            with time_limit(max(0.0, self._deadline - monotonic()), OutOfTime):
                return expression.nodes(focus, {**variables, **context}, self._surroundings)
        except OutOfTime:
            self.out_of_time = True
            raise

    def _known(self, focus: Any, qitem: Any) -> dict[str, Tree]:
        return {
            "resource": self.response,
            "rootResource": self.response,
            "questionnaire": self.expressions.resource,
            "context": focus,
            "qitem": qitem,
        }

    def _nodes(
        self, expression: Expression, occurrence: Occurrence | None, variables: Mapping[str, Any]
    ) -> list[Any]:
        focus = _focus(occurrence) if occurrence is not None else self.response
        known = {
            **{name: self._given[name] for name in expression.variables & self._given.keys()},
            **{name: variables[name] for name in expression.variables & variables.keys()},
            **self._known(focus, occurrence.item.source if occurrence is not None else []),
        }
        with time_limit(max(0.0, self._deadline - monotonic()), OutOfTime):
            return expression.nodes(focus, known, self._surroundings)

    def _variables_seen_by(self, occurrence: Occurrence | None) -> dict[str, Tree]:
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
    ) -> dict[str, Tree]:
        if id(owner) not in self._variables_by_occurrence:
            variables = dict(known)
            for declared, expression in self.expressions.variables[link]:
                variables.pop(declared.name, None)
                if isinstance(expression, Expression):
                    with _not_at_hand_where_it_fails():
                        variables[declared.name] = self._nodes(expression, owner, variables)
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


@contextmanager
def _not_at_hand_where_it_fails() -> Iterator[None]:
    """Lets those who read a variable find out that it has no value; time that is up ends all."""
    try:
        yield
    except OutOfTime:
        raise
    except NotEvaluated:
        return


def path_and_label(occurrence: Occurrence | None) -> tuple[str, str]:
    """Returns where a problem with an expression stands, and how its message begins."""
    if occurrence is None:
        return "QuestionnaireResponse", ""
    return occurrence.path, f"{occurrence.item.label}: "


def _focus(occurrence: Occurrence) -> Any:
    link_id = occurrence.item.link_id
    return item_node(occurrence.source if occurrence.source is not None else {"linkId": link_id})
