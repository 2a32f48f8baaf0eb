"""Each worked case of the guidance is a test with its own name."""

from pathlib import Path

import pytest

from service import catalogue
from service.catalogue import Pair

_ROOT = Path(__file__).resolve().parent.parent.parent
_NAMES = [
    case.name
    for pair in catalogue.read(_ROOT / "questionnaires", _ROOT / "mappings").pairs.values()
    for case in pair.guidance.cases
]


@pytest.mark.parametrize("name", _NAMES)
def test_case(name: str, pair: Pair) -> None:
    (case,) = (each for each in pair.guidance.cases if each.name == name)
    assert catalogue.failures(case, pair.guidance, pair.compiled) == ()


def test_there_are_many_cases_and_they_fire_every_rule(pair: Pair) -> None:
    fired: set[str] = set()
    for case in pair.guidance.cases:
        result = catalogue.outcome_of(case, pair.guidance, pair.compiled)
        fired |= {each.rule.name for each in result.fired}
        fired |= {each.rule.name for risk in result.risks for each in risk.fired}
    assert len(_NAMES) >= 60
    assert {rule.name for rule in pair.guidance.written.rules} - fired == set()
