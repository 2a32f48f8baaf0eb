"""Worse since earlier responses: what one of them denied and what holds now."""

from copy import deepcopy
from functools import cache
from typing import Any

import headache
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from reference_evaluator import Reference

from service.datatypes.answers import Answer, Answers
from service.datatypes.values import replace
from service.errors import GuidanceError
from service.guidance import Guidance, load
from service.guidance.result import Result

FINDING = {
    "finding": "newly-bad",
    "kind": "trigger",
    "means": "Something is new.",
    "when": {
        "new-since-earlier": [
            "stiff-neck",
            "gets-worse",
            "tense-and-worse",
            {"answer": "head-side", "is": "left"},
            {"answer": "strength", "at-least": {"parameter": "strong"}},
            {"score": "strain", "band": ["some", "much"]},
            {"not": "at-the-front"},
        ]
    },
    "origin": "project",
    "sources": [],
}
RULE = {
    "rule": "newly-bad-soon",
    "kind": "trigger",
    "when": "newly-bad",
    "tier": "soon",
    "says": {"clinician": "New."},
    "origin": "project",
    "sources": [],
}


WORDS = {True: "present", False: "absent", None: "unknown"}
LATEST = float("inf")


@st.composite
def responses(draw: st.DrawFn) -> Answers:
    """Any response: every question answered or not."""
    raw: dict[str, tuple[Answer, ...]] = {}
    for link_id, values in headache.VALUES.items():
        if draw(st.sampled_from((False, True, True, True))):
            raw[link_id] = draw(st.sampled_from(values))
    return headache.respond(raw)


def days_of(result: Result) -> float:
    """The date of a result; none is later than any."""
    return result.due.days if result.due else LATEST


def documents() -> dict[str, Any]:
    """The fixture with a rule on what is new since earlier responses."""
    found = deepcopy(headache.documents())
    found["findings"].append(FINDING)
    found["rules"].append(RULE)
    return found


@cache
def comparing() -> Guidance:
    return load(documents(), headache.form())


@examples(200)
@given(responses(), st.lists(responses(), max_size=3))
def test_what_is_new_is_what_the_naive_evaluator_says(answers: Answers, earlier: list[Answers]) -> None:
    guidance = comparing()
    sent = replace(answers, earlier=tuple(earlier))
    result = guidance.evaluate(sent)
    reference = Reference(documents(), guidance.form, sent)
    codes = [tier.code for tier in result.tiers]
    assert (codes[result.tier.at_least], codes[result.tier.at_most]) == reference.tier()
    assert dict(result.findings) == {name: WORDS[reference.finding(name)] for name in result.findings}
    assert sorted(fired.rule.name for fired in result.fired) == sorted(reference.fired())
    assert (result.due and result.due.days) == reference.due()
    assert not result.changes or reference.finding("newly-bad") is True


@examples(200)
@given(responses(), st.lists(responses(), min_size=1, max_size=3))
def test_earlier_responses_never_lower_the_step_and_more_of_them_never_take_anything_back(
    answers: Answers, earlier: list[Answers]
) -> None:
    guidance = comparing()
    alone = guidance.evaluate(answers)
    some = guidance.evaluate(replace(answers, earlier=tuple(earlier[1:])))
    every = guidance.evaluate(replace(answers, earlier=tuple(earlier)))
    for before, after in ((alone, some), (some, every)):
        assert before.tier.at_least <= after.tier.at_least
        assert before.tier.at_most <= after.tier.at_most
        assert days_of(after) <= days_of(before)
    turned = guidance.evaluate(replace(answers, earlier=tuple(reversed(earlier))))
    assert (turned.tier, turned.due, turned.fired) == (every.tier, every.due, every.fired)


@examples(100)
@given(responses())
def test_without_earlier_responses_nothing_is_different(answers: Answers) -> None:
    ours, before = comparing().evaluate(answers), headache.guidance().evaluate(answers)
    assert replace(ours, findings=before.findings) == before
    assert dict(ours.findings) == dict(before.findings)


def test_unknown_before_is_no_denial(respond: Any) -> None:
    now = respond({"head-side": (headache.local("left"),)})
    assert comparing().evaluate(now).findings["one-sided"] == "present"
    silent = replace(now, earlier=(respond({}),))
    assert comparing().evaluate(silent).changes == ()
    assert comparing().evaluate(silent).findings["newly-bad"] == "absent"
    assert "newly-bad" not in comparing().evaluate(now).findings


def test_the_newest_earlier_response_that_denied_it_is_named(respond: Any) -> None:
    yes, no = {**headache.CALM, "neck_stiff": headache.YES}, {**headache.CALM, "neck_stiff": headache.NO}
    now, with_it, without = (respond(**named) for named in (yes, yes, no))
    result = comparing().evaluate(replace(now, earlier=(with_it, without, without)))
    assert result.changes == (("neck-stiff", 1),)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["stiff-neck", "stiff-neck"], "expected each condition once"),
        (["newly-bad"], "expected a condition on answers and scores, without earlier responses"),
        ([{"new-since-earlier": ["stiff-neck"]}], "expected a condition on answers and scores"),
        ([], "expected a list of conditions"),
        ("stiff-neck", "expected a list of conditions"),
    ],
)
def test_a_condition_that_earlier_responses_cannot_deny_is_refused(parts: Any, expected: str) -> None:
    broken = documents()
    broken["findings"].append({**FINDING, "finding": "another", "when": {"new-since-earlier": parts}})
    broken["rules"].append({**RULE, "rule": "another-soon", "when": "another"})
    with pytest.raises(GuidanceError) as refused:
        load(broken, headache.form())
    assert any("another.when" in fault and expected in fault for fault in refused.value.faults)
