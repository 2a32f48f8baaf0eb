"""Units: a parameter must be comparable with what the question can answer, and the other way round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.guidance.form import Question
from service.guidance.model import Parameter
from service.guidance.readings import PLAIN
from service.guidance.units import comparable, unit


def unit_faults(question: Question, parameters: Sequence[Parameter]) -> Iterator[str]:
    """Yields what was expected of the units of one comparison; `parameters` have numbers."""
    units = _answered_in(question)
    for parameter in parameters:
        if units and not any(comparable(parameter.unit, each) for each in units):
            expected = f"expected a unit comparable with {', '.join(units)}"
            yield f"{expected}; that of {parameter.name} is {parameter.unit}"
    for each in units:
        if parameters and not any(comparable(parameter.unit, each) for parameter in parameters):
            yield f"expected a parameter comparable with {each}, in which the question may be answered"


def plain(parameter: Parameter) -> bool:
    """Whether the parameter is a plain number, such as `1` or `{score}`."""
    return comparable(parameter.unit, PLAIN) and unit(parameter.unit) == unit(PLAIN)


def _answered_in(question: Question) -> tuple[str, ...]:
    """The units of the question's answers; none where it does not say."""
    return question.units if question.type == "quantity" else (PLAIN,)
