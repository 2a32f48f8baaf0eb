"""The expressions of one Questionnaire, parsed once and sorted by what they are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from service.guidance.answers import Answer
from service.questionnaire.declared import (
    CALCULATED,
    CONSTRAINT,
    ENABLE_WHEN,
    FHIRPATH,
    INITIAL,
    VARIABLE,
    Declared,
    declared,
)
from service.questionnaire.fhirpath import Expression, NotParsed, parsed
from service.questionnaire.item import Item


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
