"""The short interview over the guidance that is served: the result of the full form, with fewer questions."""

from functools import partial
from pathlib import Path
from random import Random

import pytest
from examples import IN_CI
from interviews import interviewed, random_patients, told_in
from patients_by_chance import by_chance

from service.catalogue import Pair, read
from service.check import floor_of_case, least_of_case
from service.datatypes.answers import AnswersByLink
from service.datatypes.values import replace
from service.guidance.bits import UNKNOWN, certain, union
from service.guidance.reasons import Undecided, _doubtful, _unsure
from service.guidance.state import State, state_of
from service.guidance.tables import Compiled

EVERY = 6 if IN_CI else 36
"""Of the worked cases, every so many."""


@pytest.mark.parametrize("start", range(3))
def test_worked_patients_have_the_result_of_the_full_form(pair: Pair, start: int) -> None:
    chosen = pair.guidance.cases[start :: 3 * EVERY]
    assert [case.name for case in chosen if not interviewed(pair, case).agrees] == []


@pytest.mark.parametrize("start", range(0, 60 if IN_CI else 20, 20))
def test_random_patients_have_the_result_of_the_full_form(pair: Pair, start: int) -> None:
    patients = random_patients(pair, range(start, start + 20))
    assert [patient.name for patient in patients if not interviewed(pair, patient).agrees] == []


@pytest.mark.slow
def test_whoever_may_look_after_themselves_is_asked_as_few_questions_as_any_interview_can_do_with(
    pair: Pair,
) -> None:
    """One more than the floor: two answers that change the result together, or one that opens another."""
    cases = [case for case in pair.guidance.cases if case.floor]
    for case in cases:
        found = interviewed(pair, case)
        floor = floor_of_case(case, pair)
        assert set(floor.changing) <= set(found.asked)
        assert len(found.asked) == least_of_case(case, pair, floor) == len(floor.changing) + 1, case.name


@pytest.mark.slow
def test_no_worked_patient_is_asked_fewer_questions_than_every_interview_has_to_ask(pair: Pair) -> None:
    for case in pair.guidance.cases[:: 2 * EVERY]:
        least = least_of_case(case, pair, floor_of_case(case, pair))
        assert 0 < least <= len(interviewed(pair, case).asked), case.name


def test_of_somebody_who_leaves_questions_open_nothing_more_is_claimed(pair: Pair) -> None:
    case = next(case for case in pair.guidance.cases if case.floor)
    open_ = replace(case, answers={"completed-by": case.answers["completed-by"]})
    floor = floor_of_case(open_, pair)
    assert least_of_case(open_, pair, floor) <= len(floor.changing)


def test_groups_of_questions_do_not_overlap(root: Path) -> None:
    """Nobody with a score of two steps can be told by fewer than one of each two questions that are left."""
    folder = root / "tests" / "instruments"
    served = read(folder / "questionnaires", folder / "mappings")
    (wells,) = (pair for pair in served.pairs.values() if pair.slug == "wells-dvt")
    case = wells.guidance.cases[0]
    asked = interviewed(wells, case).asked
    assert (least_of_case(case, wells, floor_of_case(case, wells)), len(asked)) == (4, 8)


def test_nothing_is_asked_but_what_was_said_to_be_ahead(pair: Pair) -> None:
    for case in pair.guidance.cases[:: 10 * EVERY]:
        told = partial(told_in, case, pair)
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


def found_plainly(compiled: Compiled, state: State, node: int) -> int:
    """The open questions in the undecided parts of a node, by a walk that remembers and skips nothing."""
    fitting, doubted, worst = state.worlds
    is_overlay = compiled.worse.overlay >> 2 * node & 1
    doubts, worse = _doubtful(compiled, state)
    open_ = state.open | _unsure(compiled, state)
    mask = 0
    for bits, doubtful in ((fitting, ()), (doubted, doubts) if is_overlay else (worst, worse)):
        reached: set[int] = set()
        waiting = [node]
        while waiting:
            one = waiting.pop()
            if bits >> 2 * one & 3 == UNKNOWN and one not in reached:
                reached.add(one)
                support = compiled.support.of_node[one]
                waiting += [*support.deep, *(place // 2 for place, _ in support.atoms)]
        mask |= union(compiled.support.reads[one] for one in reached) & open_
        mask |= union(questions for sets, questions in doubtful if sets & certain(reached))
    return mask


@pytest.mark.parametrize("open_", [0.2, 0.5, 0.8])
def test_undecided_rules_have_the_open_questions_that_a_plain_walk_finds(pair: Pair, open_: float) -> None:
    compiled, chance = pair.guidance.compiled, Random(f"{open_}")
    by_doubts = 0
    for _ in range(20 if IN_CI else 7):
        state = state_of(compiled, by_chance(pair, chance, open_=open_))
        undecided = Undecided(compiled, state)
        rules = [table.node for table in compiled.block.rules]
        assert [undecided.of([node]) for node in rules] == [
            found_plainly(compiled, state, node) for node in rules
        ]
        by_doubts += bool(state.possible)
    assert by_doubts
