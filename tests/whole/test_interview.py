"""The short interview over the guidance that is served: the result of the full form, with fewer questions."""

from functools import partial

import pytest
from examples import IN_CI
from interviews import interviewed, random_patients

from service.catalogue import Pair
from service.check import floor_of_case
from service.datatypes.answers import AnswersByLink

EVERY = 6 if IN_CI else 18
"""Of the worked cases, every so many."""


@pytest.mark.parametrize("start", range(3))
def test_worked_patients_have_the_result_of_the_full_form(pair: Pair, start: int) -> None:
    chosen = pair.guidance.cases[start :: 3 * EVERY]
    assert [case.name for case in chosen if not interviewed(pair, case).agrees] == []


@pytest.mark.parametrize("start", range(0, 60 if IN_CI else 20, 20))
def test_random_patients_have_the_result_of_the_full_form(pair: Pair, start: int) -> None:
    patients = random_patients(pair, range(start, start + 20))
    assert [patient.name for patient in patients if not interviewed(pair, patient).agrees] == []


def test_whoever_may_look_after_themselves_is_asked_hardly_more_than_can_matter(pair: Pair) -> None:
    """An answer that opens another question does not change the result alone; so one or two may be more."""
    cases = [case for case in pair.guidance.cases if case.floor]
    for case in cases:
        found = interviewed(pair, case)
        floor = floor_of_case(case, pair)
        assert set(floor.changing) <= set(found.asked)
        assert len(found.asked) - len(floor.changing) <= MOST_BEYOND, case.name


MOST_BEYOND = 1


def test_nothing_is_asked_but_what_was_said_to_be_ahead(pair: Pair) -> None:
    for case in pair.guidance.cases[:: 10 * EVERY]:
        told = partial(pair.compiled.answers_of, chart=case.chart, authored=case.authored)
        given: AnswersByLink = {}
        allowed = set(pair.compiled.items)
        for place, link in enumerate(asked := interviewed(pair, case).asked):
            ahead = pair.guidance.questions_ahead(told(given), asked[:place])
            assert link in ahead.now
            assert {*ahead.now, *ahead.later} <= allowed, case.name
            allowed = {*ahead.now, *ahead.later}
            given = {**given, **({link: case.answers[link]} if link in case.answers else {})}


def test_at_an_emergency_nothing_more_is_asked(pair: Pair) -> None:
    safety = pair.guidance.safety_questions
    emergencies = [case for case in pair.guidance.cases if case.expect.tier == ("emergency", "emergency")]
    for case in emergencies[::12]:
        found = interviewed(pair, case)
        assert set(found.asked) <= safety | {"completed-by"}
