"""The engine against a second, naive evaluator, on random responses."""

import random
from collections.abc import Mapping
from typing import Any

import dated_headache
import headache
import pytest
from examples import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from reference_evaluator import Reference

from service.datatypes.answers import Answer, Answers, Quantity
from service.guidance import Guidance
from service.guidance.result import Result

WORDS = {True: "present", False: "absent", None: "unknown"}


@st.composite
def responses(draw: st.DrawFn) -> Answers:
    """Any response: every question answered or not, some of them from the chart."""
    raw: dict[str, tuple[Answer, ...]] = {}
    chart: dict[str, tuple[Answer, ...]] = {}
    for link_id, values in headache.VALUES.items():
        place = draw(st.sampled_from(("open", "given", "given", "given", "chart")))
        if place != "open":
            (raw if place == "given" else chart)[link_id] = draw(st.sampled_from(values))
    return headache.respond(raw, chart=chart if draw(st.booleans()) else {})


@examples(250)
@given(responses())
def test_every_part_of_the_result_is_what_the_naive_evaluator_says(answers: Answers) -> None:
    guidance, documents = _loaded()
    result = guidance.evaluate(answers)
    reference = Reference(documents, guidance.form, answers)
    codes = [tier.code for tier in result.tiers]
    assert (codes[result.tier.at_least], codes[result.tier.at_most]) == reference.tier()
    for risk in result.risks:
        names = risk.outcome.levels
        ends = names[risk.level.at_least], names[risk.level.at_most]
        assert ends == reference.level(risk.outcome.code)
    assert dict(result.findings) == {name: WORDS[reference.finding(name)] for name in result.findings}
    assert sorted(fired.rule.name for fired in result.fired) == sorted(reference.fired())
    assert (result.due and result.due.days) == reference.due()
    assert (result.step_due and result.step_due.days) == reference.due(tier=codes[result.tier.at_least])
    assert result.date_settled == (result.tier.settled and reference.due() == reference.due(possible=True))
    assert [contradiction.name for contradiction in result.contradictions] == reference.contradictions()
    assert [advice.name for advice in result.advice] == reference.advice()
    (total,) = result.totals
    assert (total.at_least, total.at_most) == reference.total("strain")
    assert total.bands == tuple(reference.band("strain", end) for end in reference.total("strain"))
    (table,) = documents["comparisons"]
    assert [tally.state for tally in result.tables[0].rows] == [reference.row(row) for row in table["rows"]]


@examples(120)
@given(responses(), st.randoms(use_true_random=False))
def test_every_completion_lands_inside_the_interval(answers: Answers, chance: random.Random) -> None:
    guidance, _ = _loaded()
    before = guidance.evaluate(answers)
    earliest = soonest(answers)
    for _ in range(5):
        after = guidance.evaluate(completed(answers, chance))
        assert before.tier.at_least <= after.tier.at_least <= after.tier.at_most <= before.tier.at_most
        assert earliest <= days_of(after) <= days_of(before)
        assert not before.date_settled or days_of(after) == days_of(before)
        for outer, inner in zip(before.risks, after.risks, strict=True):
            assert outer.level.at_least <= inner.level.at_least <= inner.level.at_most <= outer.level.at_most
        for outer, inner in zip(before.totals, after.totals, strict=True):
            assert outer.at_least <= inner.at_least <= inner.at_most <= outer.at_most
        assert {name for name, state in before.findings.items() if state == "present"} <= {
            name for name, state in after.findings.items() if state == "present"
        }


@examples(120)
@given(responses(), st.randoms(use_true_random=False))
def test_only_open_questions_that_are_listed_can_move_the_result(
    answers: Answers, chance: random.Random
) -> None:
    guidance, _ = _loaded()
    before = guidance.evaluate(answers)
    assume(not before.tiers[before.tier.at_least].overlay)
    listed = {question.link_id for question in before.open}
    others = {link_id for link_id in headache.VALUES if link_id not in listed}
    after = guidance.evaluate(completed(answers, chance, others))
    assert after.tier == before.tier
    assert days_of(after) == days_of(before)
    assert [risk.level for risk in after.risks] == [risk.level for risk in before.risks]


@examples(120)
@given(responses(), st.randoms(use_true_random=False))
def test_at_a_safety_step_only_open_questions_that_are_listed_can_move_the_step(
    answers: Answers, chance: random.Random
) -> None:
    guidance, _ = _loaded()
    before = guidance.evaluate(answers)
    assume(before.tiers[before.tier.at_least].overlay)
    listed = {question.link_id for question in before.open}
    others = {link_id for link_id in headache.VALUES if link_id not in listed}
    after = guidance.evaluate(completed(answers, chance, others))
    assert (after.tier, days_of(after)) == (before.tier, days_of(before))


def days_of(result: Result) -> float:
    """The date of a result; none is later than any."""
    return result.due.days if result.due else LATEST


def soonest(answers: Answers) -> float:
    """The earliest date that the result could still come to."""
    guidance, documents = _loaded()
    found = Reference(documents, guidance.form, answers).due(possible=True)
    return LATEST if found is None else found


LATEST = float("inf")


@pytest.mark.parametrize("seed", range(40))
def test_both_ends_of_an_interval_are_reached_by_some_completion(seed: int) -> None:
    guidance, _ = _loaded()
    chance = random.Random(seed)
    known = {link_id: values for link_id, values in CERTAIN.items() if chance.random() < 0.6}
    partial = headache.respond({link_id: chance.choice(values) for link_id, values in known.items()})
    before = guidance.evaluate(partial)
    ends: set[int] = set()
    dates: set[float] = set()
    wanted = {days_of(before), soonest(partial)}
    for _ in range(3000):
        after = guidance.evaluate(completed(partial, chance, CERTAIN.keys(), CERTAIN))
        ends |= {after.tier.at_least, after.tier.at_most}
        dates.add(days_of(after))
        if ends >= set(before.tier) and dates >= wanted:
            break
    assert (ends >= set(before.tier), dates >= wanted) == (True, True)


def _is_unsure(answer: Answer) -> bool:
    if isinstance(answer, Quantity):
        return answer.comparator != "" or answer.unit == "mol"
    return answer in (headache.NOT_SURE, "my own words")


CERTAIN = {
    link_id: [value for value in values if not any(_is_unsure(answer) for answer in value)]
    for link_id, values in headache.VALUES.items()
}
"""Answers that leave nothing unknown: no not sure, no free text, no range, no unit without a meaning."""


def completed(
    answers: Answers,
    chance: random.Random,
    link_ids: Any = tuple(headache.VALUES),
    values: Mapping[str, Any] = headache.VALUES,
) -> Answers:
    """The response with every open question among `link_ids` answered by chance, in the order of the form."""
    raw = {**answers.ignored, **answers.given}
    for link_id in headache.VALUES:
        shown, _ = headache.asked(raw)
        if link_id in link_ids and link_id not in raw and link_id in shown and link_id not in answers.chart:
            raw[link_id] = chance.choice(values[link_id])
    return headache.respond(raw, chart=answers.chart)


_LOADED: list[tuple[Guidance, dict[str, Any]]] = []


def _loaded() -> tuple[Guidance, dict[str, Any]]:
    if not _LOADED:
        documents = dated_headache.documents()
        for band in documents["scores"][0]["bands"]:
            band |= {key: 2.5 for key in ("from", "to") if band[key] == {"parameter": "band-edge"}}
        _LOADED.append((dated_headache.guidance(), documents))
    return _LOADED[0]
