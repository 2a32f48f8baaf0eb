"""Worked cases: how they are read, and what they say when the result is not what they expect."""

from decimal import Decimal
from typing import Any

import headache
import pytest

from service.datatypes.answers import Answers, Quantity
from service.guidance import Guidance, load
from service.guidance.cases import Case

CASES = {case.name: case for case in headache.guidance().cases}


def answers_of(case: Case) -> Answers:
    return headache.respond(case.answers, chart=case.chart)


@pytest.mark.parametrize("name", CASES)
def test_worked_case_gets_what_it_expects(guidance: Guidance, name: str) -> None:
    result = guidance.evaluate(answers_of(CASES[name]))
    assert CASES[name].faults(result) == ()


def test_a_case_holds_answers_as_a_response_would() -> None:
    calm = CASES["all-calm"]
    assert calm.answers["head-pain"] == (headache.NO,)
    assert calm.answers["sudden"] == (False,)
    assert calm.answers["strength"] == (1,)
    assert calm.answers["screen-hours"] == (Decimal(2),)
    assert calm.answers["ferritin"] == (Quantity(Decimal(40), "ug/L"),)
    assert CASES["free-text"].answers["glasses"] == ("very old ones",)
    assert calm.status == "completed"
    assert CASES["open-alarm"].status == "in-progress"


def test_a_case_like_another_changes_only_what_it_says() -> None:
    calm, alike = CASES["all-calm"], CASES["open-alarm"]
    assert dict(alike.answers) == {key: value for key, value in calm.answers.items() if key != "sudden"}
    assert alike.expect.settled is False


def test_a_case_like_another_takes_its_chart_but_not_its_expectations() -> None:
    documents = headache.documents()
    documents["cases"].append(
        {"case": "again", "about": "Again.", "like": "from-the-chart", "expect": {"tier": "plan"}}
    )
    again = load(documents, headache.form()).cases[-1]
    assert again.chart == CASES["from-the-chart"].chart
    assert again.expect.fires == ()


def test_answers_to_hidden_questions_are_ignored_not_lost() -> None:
    answers = answers_of(CASES["hidden-answer"])
    assert set(answers.ignored) == {"head-since"}
    assert "head-since" in answers.closed


def faults_of(guidance: Guidance, expect: dict[str, Any], answers: Answers | None = None) -> tuple[str, ...]:
    documents = headache.documents()
    documents["cases"] = [documents["cases"][0] | {"expect": expect}]
    case: Case = load(documents, headache.form()).cases[0]
    return case.faults(guidance.evaluate(answers or answers_of(case)))


@pytest.mark.parametrize(
    ("expect", "fault"),
    [
        ({"tier": "plan"}, "tier: expected plan, found rest"),
        ({"tier": ["rest", "soon"]}, "tier: expected rest to soon, found rest"),
        ({"tension": "high"}, "tension: expected high, found low"),
        ({"settled": False}, "settled: expected false, found true"),
        ({"fires": ["alarms-soon"]}, "fires: expected alarms-soon, which did not fire"),
        ({"not-fires": ["tension-low"]}, "not-fires: expected that tension-low does not fire, but it did"),
        ({"open": ["sudden"]}, "open: expected sudden among the open questions, found none"),
        ({"contradictions": ["wrong-side"]}, "contradictions: expected wrong-side, found none"),
        ({"tables": {"tension-or-eyes": {"left": 2}}}, "tables: tension-or-eyes: expected left 2, found 0"),
        ({"score": {"strain": 3}}, "score: strain: expected 3, found 0"),
        ({"score": {"strain": [0, 3]}}, "score: strain: expected 0 to 3, found 0"),
    ],
)
def test_what_a_case_does_not_get_is_said_in_words(
    guidance: Guidance, expect: dict[str, Any], fault: str
) -> None:
    assert faults_of(guidance, expect) == (fault,)


def test_a_case_that_expects_no_open_question_gets_them_named(guidance: Guidance) -> None:
    answers = answers_of(CASES["open-alarm"])
    assert faults_of(guidance, {"open": []}, answers) == ("open: expected no open question, found sudden",)


def test_a_case_expects_open_questions_in_their_order(guidance: Guidance) -> None:
    faults = faults_of(guidance, {"open": ["worse", "sudden"]}, Answers({}))
    assert faults[0].startswith("open: expected the order worse, sudden, found sudden, neck-stiff")
    assert faults_of(guidance, {"open": ["sudden", "worse"]}, Answers({})) == ()
