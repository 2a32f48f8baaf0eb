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
    """Says that `name` is not known, and which names are."""
    return f"expected one of: {', '.join(known)}" if known else f"{name} is not known; none is defined"


def what_it_is(name: str, written: Written, link_ids: Collection[str]) -> str:
    """Says what a name is if it is not a finding, such as `a step (tier)`; empty if it is unknown."""
    named = {
        "a step (tier) of guidance.yaml": [tier.code for tier in written.tiers],
        "an outcome of guidance.yaml": [outcome.code for outcome in written.outcomes],
        "a parameter of guidance.yaml: write {parameter: NAME}": written.parameters,
        "a rule of rules.yaml": [rule.name for rule in written.rules],
        "a score of scores.yaml: write {score: NAME, band: ...}": [score.name for score in written.scores],
        "a question: write {answer: NAME, is: ...}": link_ids,
    }
    found = next((thing for thing, names in named.items() if name in names), "")
    return found.replace("NAME", name)


def not_in_the_questionnaire(link_id: str) -> str:
    """Says that no question has this linkId."""
    return f"expected the linkId of a question; {link_id} is not in the questionnaire"


def parameter_faults(name: str, edge: str, keys: Place, written: Written) -> Expected:
    """Yields the faults of a parameter that is used where one with this edge belongs."""
    parameter = written.parameters.get(name)
    if parameter is None:
        yield (*keys, "parameter"), f"expected a parameter of guidance.yaml; {name} is not one"
    elif parameter.edge != edge:
        expected = f"expected a parameter with the edge {edge}; that of {name} is {parameter.edge}"
        yield (*keys, "parameter"), expected
