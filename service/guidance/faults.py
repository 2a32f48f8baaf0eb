"""A fault of the mapping files: where it stands and what was expected, and the words that checks share."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from service.guidance.conditions import Place
from service.guidance.model import Written

Fault = tuple[str, Place, str]
"""The file, the place in it, and what was expected there."""

Expected = Iterator[tuple[Place, str]]
"""What is wrong with one entry: keys below it, and what was expected."""


def unknown(name: str, known: Collection[str]) -> str:
    """Returns what was expected where `name` is not known."""
    return f"expected one of: {', '.join(known)}" if known else f"{name} is not known; none is defined"


def not_in_the_questionnaire(link_id: str) -> str:
    """Returns what was expected where no question has this linkId."""
    return f"expected the linkId of a question; {link_id} is not in the questionnaire"


def parameter_faults(name: str, edge: str, keys: Place, written: Written) -> Expected:
    """Yields what is wrong with the use of a parameter where one with this edge belongs."""
    parameter = written.parameters.get(name)
    if parameter is None:
        yield (*keys, "parameter"), f"expected a parameter of guidance.yaml; {name} is not one"
    elif parameter.edge != edge:
        expected = f"expected a parameter with the edge {edge}; that of {name} is {parameter.edge}"
        yield (*keys, "parameter"), expected
