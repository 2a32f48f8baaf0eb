"""The short interview has the result of the full form, and asks nothing that cannot matter."""

import random
from collections.abc import Collection, Mapping
from itertools import product

import dated_headache
import headache
import pytest
from examples import examples
from headache import NO, NOT_SURE, YES, local
from hypothesis import given
from hypothesis import strategies as st
from interviews import verdict

from service.datatypes.answers import Answer, AnswersByLink
from service.guidance import Guidance
from service.guidance.result import Result

Patient = Mapping[str, tuple[Answer, ...]]
"""What somebody would answer to every question; a question that is left out stays without an answer."""


def form_of(patient: Patient) -> AnswersByLink:
    """What the patient answers in the full form, which asks in the order of the form."""
    given: AnswersByLink = {}
    for link_id in headache.VALUES:
        if link_id in patient and link_id in headache.asked(given)[0]:
            given = {**given, link_id: patient[link_id]}
    return given


def interview(guidance: Guidance, patient: Patient, known: Collection[str] = ()) -> tuple[list[str], Result]:
    """The questions that the interview asks, and its result; those that are `known` it takes for asked."""
    given: AnswersByLink = {}
    asked: list[str] = []
    while True:
        answers = headache.respond(given)
        shown, _ = headache.asked(given)
        following = [link for link in guidance.next_questions(answers, (*asked, *known)) if link in shown]
        if not following:
            return asked, guidance.evaluate(answers)
        asked.append(following[0])
        if following[0] in patient:
            given = {**given, following[0]: patient[following[0]]}


def differs(guidance: Guidance, patient: Patient, known: Collection[str] = ()) -> bool:
    full = guidance.evaluate(headache.respond(form_of(patient)))
    return verdict(interview(guidance, patient, known)[1]) != verdict(full)


SEVERAL: dict[str, tuple[tuple[Answer, ...] | None, ...]] = {
    "head-pain": ((YES,), (NO,), (NOT_SURE,)),
    "head-side": ((local("left"),), (local("front"), local("back"))),
    "sudden": ((True,), (False,)),
    "neck-stiff": ((YES,), (NO,)),
    "worse": ((NO,), (NOT_SURE,)),
    "strength": ((1,), (8,)),
    "tense": ((YES,), (NO,), None),
}
"""Answers to some questions; all patterns of them are tried."""
CALM: dict[str, tuple[Answer, ...]] = {
    name.replace("_", "-"): (value,) for name, value in headache.CALM.items()
} | {"tense-jaw": (local("a-lot"),)}


def patterns() -> list[Patient]:
    found = []
    for values in product(*SEVERAL.values()):
        chosen = dict(zip(SEVERAL, values, strict=True))
        patient = {**CALM, **{link: value for link, value in chosen.items() if value is not None}}
        found.append({link: value for link, value in patient.items() if chosen.get(link, ()) is not None})
    return found


def test_every_pattern_of_answers_has_the_result_of_the_full_form() -> None:
    guidance = dated_headache.guidance()
    assert [patient for patient in patterns() if differs(guidance, patient)] == []


@st.composite
def patients(draw: st.DrawFn) -> Patient:
    """Anybody: whatever can be answered, and questions that they would leave out."""
    found: dict[str, tuple[Answer, ...]] = {}
    for link_id, values in headache.VALUES.items():
        if draw(st.integers(0, 4)):
            found[link_id] = draw(st.sampled_from(values))
    return found


@examples(300)
@given(patients())
def test_any_patient_has_the_result_of_the_full_form(patient: Patient) -> None:
    assert not differs(dated_headache.guidance(), patient)


@examples(200)
@given(patients())
def test_nothing_is_asked_but_what_was_said_to_be_ahead(patient: Patient) -> None:
    """Whoever is told how many questions are left at most is told the truth, from the first on."""
    guidance = dated_headache.guidance()
    given: AnswersByLink = {}
    asked: list[str] = []
    allowed = set(headache.VALUES)
    while True:
        ahead = guidance.questions_ahead(headache.respond(given), asked)
        assert set(ahead.now) | set(ahead.later) <= allowed
        assert not set(ahead.now) & set(ahead.later)
        allowed = {*ahead.now, *ahead.later}
        following = [link for link in ahead.now if link in headache.asked(given)[0]]
        if not following:
            return
        asked.append(following[0])
        if following[0] in patient:
            given = {**given, following[0]: patient[following[0]]}


def test_whoever_is_calm_is_asked_what_could_matter_and_nothing_else(guidance: Guidance) -> None:
    asked, result = interview(guidance, CALM)
    assert result.settled
    assert set(asked) < set(headache.asked(CALM)[0])
    assert "note" not in asked  # nothing reads it


def test_a_safety_step_is_asked_for_first_and_ends_the_interview() -> None:
    guidance = dated_headache.guidance()
    (first, *_), _ = interview(guidance, CALM)
    assert first in guidance.safety_questions == {"sudden", "neck-stiff"}
    asked, result = interview(guidance, {**CALM, "sudden": (True,), "neck-stiff": (YES,)})
    assert (result.tiers[result.tier.at_least].code, asked) == ("now", ["sudden", "neck-stiff"])


@pytest.mark.parametrize("left_out", ["head-pain", "sudden", "strength", "tense", "ferritin"])
def test_no_question_can_be_left_out_of_the_list(left_out: str) -> None:
    """Taken for asked, each question of somebody calm makes another result for some patient."""
    chance = random.Random(7)
    guidance = headache.guidance()
    for _ in range(2000):
        patient = {**CALM, left_out: chance.choice(headache.VALUES[left_out])}
        for link_id in chance.sample(sorted(headache.VALUES), 3):
            patient[link_id] = chance.choice(headache.VALUES[link_id])
        if differs(guidance, patient, [left_out]):
            return
    raise AssertionError(f"{left_out} was never missed")
