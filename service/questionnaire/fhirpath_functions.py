"""FHIRPath functions that the library lacks, or has in a form that fails on answers.

`weight()` and its older name `ordinal()` come from SDC; `sum()` and its kin fail in the library on
values that come from a resource; regular expressions run within a time limit here.

Source: SDC expressions page (weight, ordinal); FHIRPath N1 section 5.6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from service.questionnaire.pattern import matches, replaced

Weigher = Callable[[Any], Decimal | None]
"""Takes the JSON value of an answer (or the answer) and returns its weight."""


class NotANumber(Exception):
    """A function that adds or compares numbers was given something else."""


def own_functions(weigh: Weigher) -> dict[str, dict[str, Any]]:
    """Returns the table of functions that the library takes beside its own."""
    alone: dict[int, list[str]] = {0: []}
    return {
        "weight": {"fn": partial(_weights, weigh), "arity": alone},
        "ordinal": {"fn": partial(_weights, weigh), "arity": alone},
        "sum": {"fn": lambda inputs: sum(_numbers(inputs)), "arity": alone},
        "min": {"fn": lambda inputs: min(_numbers(inputs), default=[]), "arity": alone},
        "max": {"fn": lambda inputs: max(_numbers(inputs), default=[]), "arity": alone},
        "avg": {"fn": _average, "arity": alone},
        "matches": {"fn": _matches, "arity": {1: ["String"]}},
        "replaceMatches": {"fn": _replaced, "arity": {2: ["String", "String"]}},
    }


def known_functions() -> set[str]:
    """Returns the names of all functions that can be called."""
    from fhirpathpy.engine.invocations import invocation_registry

    return {*invocation_registry, *own_functions(lambda _: None)}


def _weights(weigh: Weigher, inputs: Sequence[Any]) -> list[Decimal]:
    return [found for found in map(weigh, inputs) if found is not None]


def _numbers(inputs: Sequence[Any]) -> list[Any]:
    if not all(isinstance(one, int | Decimal) and not isinstance(one, bool) for one in inputs):
        raise NotANumber
    return list(inputs)


def _average(inputs: Sequence[Any]) -> Any:
    return sum(_numbers(inputs)) / Decimal(len(inputs)) if inputs else []


def _matches(inputs: Sequence[Any], pattern: Any) -> list[bool]:
    return [matches(pattern, str(inputs[0]), whole=False)] if inputs and isinstance(pattern, str) else []


def _replaced(inputs: Sequence[Any], pattern: Any, by: Any) -> list[str]:
    if not inputs or not isinstance(pattern, str) or not isinstance(by, str):
        return []
    return [replaced(pattern, by, str(inputs[0]))]
