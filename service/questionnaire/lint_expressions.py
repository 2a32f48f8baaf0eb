"""Expressions of a Questionnaire that do not parse, or that cannot be evaluated here.

Source: SDC expressions page; FHIRPath N1 grammar.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from service.errors import Problem
from service.questionnaire.declared import CALCULATED, CONSTRAINT, FHIRPATH, VARIABLE, Declared, declared
from service.questionnaire.fhirpath import NotParsed, parsed
from service.questionnaire.item import Item
from service.questionnaire.lint_report import problem


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
