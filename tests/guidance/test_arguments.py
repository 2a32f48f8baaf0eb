"""Minimal reasons against brute force on the fixture, and against the engine on served guidance."""

import random
from collections.abc import Iterator
from decimal import Decimal
from itertools import combinations
from typing import Any

import dated_headache
import headache
import pytest
from examples import IN_CI, examples
from headache import NO, NOT_SURE, YES, local
from hypothesis import given
from patients_by_chance import by_chance, pair_of

from service import catalogue
from service.datatypes.answers import Answers, Quantity
from service.guidance import Guidance, arguments
from service.guidance.arguments import Minimal
from service.guidance.result import Result

LINKS = tuple(headache.VALUES)


def reasons(guidance: Guidance, answers: Answers) -> dict[str, Minimal]:
    return {found.of: found for found in guidance.minimal_reasons(answers, enabled=headache.asked)}


def sets_of(guidance: Guidance, of: str = "tier", **answers: Any) -> list[tuple[str, ...]]:
    """The minimal reasons for the step or a level, for answers by linkId."""
    return [*reasons(guidance, headache.respond(**answers))[of].sets]


# What forces what, in examples.


def test_what_fires_the_step_alone_is_a_reason_and_what_fires_less_is_none(guidance: Guidance) -> None:
    assert sets_of(guidance, sudden=True, ferritin=Quantity(Decimal(3), "ug/L")) == [("sudden",)]


def test_two_signs_that_count_together_are_one_reason(guidance: Guidance) -> None:
    """Two of three are enough, so that there are three reasons."""
    signs = {"screen_hours": Decimal(9), "breaks": local("never"), "strength": 5}
    assert sets_of(guidance, **signs) == [
        ("strength", "screen-hours"),
        ("strength", "breaks"),
        ("screen-hours", "breaks"),
    ]


def test_an_answer_stands_with_the_one_that_led_to_its_question(guidance: Guidance) -> None:
    side = {"head_side": local("left"), "strength": 5}
    assert sets_of(guidance, head_pain=YES, **side) == [("head-pain", "head-side", "strength")]


def test_at_the_mildest_step_whatever_rules_something_out_is_needed(guidance: Guidance) -> None:
    """Two signs count only together, so that one of two answers is enough to rule each pair out."""
    found = sets_of(guidance, **headache.CALM)
    needed = {"head-pain", "sudden", "neck-stiff", "strength", "ferritin"}
    others = [("screen-hours", "breaks"), ("worse", "tense")]
    assert {frozenset(each) for each in found} == {
        frozenset(needed | {one, other}) for one in others[0] for other in others[1]
    }


def test_a_level_that_could_still_be_worse_than_the_mildest_has_no_reason(guidance: Guidance) -> None:
    assert "tension" not in reasons(guidance, headache.respond(sudden=True))
    assert "eyes" not in reasons(guidance, headache.respond(**headache.CALM)), "no report names it"


def test_a_step_that_is_not_assessable_has_no_reason(guidance: Guidance) -> None:
    assert "tier" not in reasons(guidance, headache.respond())


def test_a_contradiction_is_a_reason_with_both_of_its_answers(guidance: Guidance) -> None:
    """Strong pain at the back counts as a stiff neck; not tense and strong pain as tension."""
    back = {"head_pain": YES, "head_side": local("back"), "strength": 8}
    assert sets_of(guidance, **back) == [("head-pain", "head-side", "strength")]
    assert sets_of(guidance, "tension", tense=NO, strength=8) == [("strength", "tense")]


def test_an_answer_to_a_question_that_is_not_asked_is_a_reason_where_it_counts(guidance: Guidance) -> None:
    """No pain, but since a day: it counts as long, as nobody has checked."""
    since = Quantity(Decimal(1), "d")
    found = sets_of(guidance, head_pain=NO, head_since=since, checked=NO)
    assert found == [("head-pain", "head-since", "checked")]


def test_not_sure_is_a_reason_where_it_counts(guidance: Guidance) -> None:
    assert sets_of(guidance, neck_stiff=NOT_SURE) == [("neck-stiff",)]


# Against brute force: all parts of a response that could be sent, on the fixture.


def parts_of(answers: Answers) -> Iterator[tuple[frozenset[str], Answers]]:
    """Every part of a response that is one itself, the smallest first: what counts there counts here."""
    raw = {**answers.ignored, **answers.given}
    links = [link for link in LINKS if link in raw or link in answers.chart]
    for size in range(len(links) + 1):
        for few in combinations(links, size):
            part = part_of(answers, few)
            if part.ignored.keys() <= answers.ignored.keys():
                yield frozenset(few), part


def part_of(answers: Answers, links: Any) -> Answers:
    raw = {**answers.ignored, **answers.given}
    return headache.respond(
        {link: values for link, values in raw.items() if link in links},
        chart={link: values for link, values in answers.chart.items() if link in links},
    )


def forces(result: Result, reason: Minimal) -> bool:
    """Whether a result has, for certain, what a minimal reason is for."""
    if reason.of == "tier":
        return result.tier.at_least >= reason.rank and (reason.rank > 0 or result.tier.settled)
    [risk] = [risk for risk in result.risks if risk.outcome.code == reason.of]
    last = len(risk.outcome.levels) - 1
    if risk.outcome.worse == "lower":
        return risk.level.at_most <= reason.rank and (reason.rank < last or risk.level.settled)
    return risk.level.at_least >= reason.rank and (reason.rank > 0 or risk.level.settled)


def by_brute_force(guidance: Guidance, answers: Answers, reason: Minimal) -> set[frozenset[str]]:
    found: set[frozenset[str]] = set()
    for links, part in parts_of(answers):
        if not any(smaller <= links for smaller in found) and forces(guidance.evaluate(part), reason):
            found.add(links)
    return found


@examples(200)
@given(headache.few_answers())
def test_minimal_reasons_are_those_that_brute_force_finds(answers: Answers) -> None:
    guidance = dated_headache.guidance()
    found = reasons(guidance, answers)
    assert found.keys() >= {"tier"} or guidance.evaluate(answers).tier.at_least == 0
    for reason in found.values():
        assert reason.finished
        assert {frozenset(each) for each in reason.sets} == by_brute_force(guidance, answers, reason), reason


SUMMED = ("tense", "tense-jaw", "tense-where", "breaks", "strength", "worse")


@examples(150)
@given(headache.few_answers(SUMMED, 6))
def test_sums_are_forced_by_what_brute_force_finds(answers: Answers) -> None:
    guidance = dated_headache.guidance()
    for reason in reasons(guidance, answers).values():
        assert {frozenset(each) for each in reason.sets} == by_brute_force(guidance, answers, reason), reason


def test_too_many_sets_are_not_finished_and_none_is_shown(
    guidance: Guidance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "MOST", 2)
    found = reasons(guidance, headache.respond(**headache.CALM))
    assert (found["tier"].sets, found["tier"].finished) == ((), False)
    assert reasons(guidance, headache.respond(sudden=True))["tier"].finished


# On the guidance that is served: every worked patient, and patients by chance, against the engine.


def whole(pair: catalogue.Pair, answers: Answers) -> None:
    """Each reason forces, is a response of its own, and forces no longer without one of its answers."""
    raw = {**answers.ignored, **answers.given}

    def part(links: set[str]) -> Answers:
        chart = {link: values for link, values in answers.chart.items() if link in links}
        own = {link: values for link, values in raw.items() if link in links}
        return pair.compiled.answers_of(own, chart=chart, authored=answers.authored)

    for reason in pair.guidance.minimal_reasons(answers, enabled=pair.compiled.enabled):
        assert reason.finished
        for links in map(set, reason.sets[:8]):
            assert part(links).ignored.keys() <= answers.ignored.keys(), (reason, links)
            assert forces(pair.guidance.evaluate(part(links)), reason), (reason, links)
            for link in links:
                fewer = links - {link}
                while unasked := part(fewer).ignored.keys() - answers.ignored.keys():
                    fewer -= unasked
                assert not forces(pair.guidance.evaluate(part(fewer)), reason), (reason, links, link)


FOLDERS = {"muscle-twitching": "", "workday-strain": "tests/second_pair"}


@pytest.mark.slow
@pytest.mark.parametrize("slug", FOLDERS)
def test_reasons_of_worked_patients_force_and_cannot_do_without_one_answer(slug: str) -> None:
    pair = pair_of(FOLDERS[slug], slug)
    cases = [*pair.guidance.cases]
    for case in cases if IN_CI else cases[::40]:
        whole(pair, pair.compiled.answers_of(case.answers, chart=case.chart, authored=case.authored))


@pytest.mark.parametrize("seed", range(45 if IN_CI else 9))
def test_reasons_of_patients_by_chance_force_and_cannot_do_without_one_answer(seed: int) -> None:
    pair, chance = pair_of("", "muscle-twitching"), random.Random(seed)
    whole(pair, by_chance(pair, chance, well=(0, 0.7, 0.95)[seed % 3], open_=(0, 0, 0.3)[seed // 3 % 3]))
