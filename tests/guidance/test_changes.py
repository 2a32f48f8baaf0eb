"""What would change the step: against every small change on the fixture, and against the engine."""

import random
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import partial
from itertools import combinations, product
from typing import Any

import dated_headache
import headache
import pytest
from examples import IN_CI, examples
from headache import NO, NOT_SURE, VALUES, YES, local
from hypothesis import given
from hypothesis import strategies as st
from patients_by_chance import by_chance, pair_of

from service.catalogue import Pair
from service.datatypes.answers import Answer, Answers, Quantity
from service.datatypes.days import day_before
from service.guidance import Guidance, changes
from service.guidance.changes import Change, Changes, Replies, lowering, raising
from service.guidance.floor import other_answers
from service.guidance.result import Interval

Values = tuple[Answer, ...]
ALONE = {"head-side": NOT_SURE, "tense-where": local("nowhere")}
"""Options of the lists of the fixture that exclude the others."""


def takes(link_id: str, values: Values) -> bool:
    return len(values) == 1 or ALONE.get(link_id) not in values


REPLIES = Replies(headache.asked, takes, None)


def found_in(direction: Any, answers: Answers, trials: int = 100_000) -> Changes:
    found: Changes = direction(dated_headache.guidance(), answers, REPLIES, trials)
    return found


def told(found: Changes) -> set[frozenset[Change]]:
    return {frozenset(one.changes) for one in found.found}


# In examples.


def changed(**named: Any) -> frozenset[Change]:
    return frozenset(Change(name.replace("_", "-"), value) for name, value in named.items())


CALM = headache.respond(**headache.CALM)


def test_the_answer_that_fires_is_the_one_to_be_changed() -> None:
    strong = found_in(lowering, headache.respond(**{**headache.CALM, "neck_stiff": YES}))
    assert told(strong) == {changed(neck_stiff=(NO,))}
    assert [one.tier for one in strong.found] == [Interval(0, 0)]


def test_two_reasons_have_both_to_go() -> None:
    iron = Quantity(Decimal(3), "ug/L")
    both = found_in(lowering, headache.respond(**{**headache.CALM, "strength": 8, "ferritin": iron}))
    assert {tuple(change.link_id for change in one.changes) for one in both.found} == {
        ("strength", "ferritin")
    }
    assert both.finished


def test_while_much_is_open_the_step_is_lower_once_that_is_answered_too() -> None:
    partial = found_in(lowering, headache.respond(sudden=True))
    assert told(partial) == {changed(head_pain=(NO,), sudden=(False,), neck_stiff=(NO,))}
    assert partial.finished


def test_nothing_is_below_the_lowest_step_or_above_the_highest() -> None:
    assert found_in(lowering, CALM) == Changes((), 0, finished=True)
    assert found_in(raising, headache.respond(sudden=True, neck_stiff=YES)) == Changes((), 0, finished=True)


def test_an_option_that_excludes_the_others_takes_their_place() -> None:
    """Tense in two places is strain; nowhere is one answer, and the places are two."""
    search = changes._Search(dated_headache.guidance(), CALM, REPLIES, 1)
    question = headache.form().questions["tense-where"]
    before = (local("neck"), local("back"))
    listed = search._list("tense-where")
    assert listed is not None
    costs = dict(search._lists(question, listed, before, 2))
    assert costs[local("nowhere"),] == 1
    assert costs[local("neck"),] == 1
    assert costs[local("neck"), local("back"), local("hands")] == 1
    assert not any(len(values) > 1 and local("nowhere") in values for values in costs)
    assert dict(search._lists(question, listed, (local("nowhere"),), 2))[before] == 1 + 1


def test_a_search_that_would_try_too_many_responses_says_that_it_is_not_finished() -> None:
    found = found_in(raising, CALM, 3)
    assert (found.within, found.finished) == (0, False)


# Against every change of up to two answers, on the fixture.


def others(guidance: Guidance, link: str, before: Values) -> Iterator[tuple[Values, int]]:
    """Every other answer to a question, with how many answers it changes."""
    question = guidance.form.questions[link]
    if not question.repeats:
        yield from ((values, 1) for values in other_answers(question, guidance, str) if values != before)
        return
    options = [option.coding for option in question.options]
    for size in range(1, len(options) + 1):
        for few in combinations(options, size):
            ticked, alone = set(before) - {ALONE.get(link)}, ALONE.get(link) in few
            if few != before and takes(link, few):
                yield few, 1 if alone else len(ticked ^ set(few))


def with_changes(answers: Answers, new: Mapping[str, Values]) -> Answers | None:
    """The response with other answers; what they hide is gone, and what did not fit before stays."""
    given = {**answers.given, **{link: values for link, values in new.items() if values}}
    shown, _ = headache.asked(given)
    if not all(link in shown for link, values in new.items() if values):
        return None
    kept = {link: values for link, values in given.items() if link in shown}
    still = {link: values for link, values in answers.ignored.items() if link not in new}
    return headache.respond({**still, **kept}, chart=answers.chart)


def by_brute_force(answers: Answers, size: int) -> Iterator[tuple[frozenset[Change], Interval]]:
    """Every change of so many answers, with the step that it leads to."""
    guidance = dated_headache.guidance()
    moves = {link: [*others(guidance, link, answers.given.get(link, ()))] for link in VALUES}
    for link in answers.ignored:
        moves[link].append(((), 1))
    for number in range(1, size + 1):
        for links in combinations(VALUES, number):
            for chosen in product(*(moves[link] for link in links)):
                if sum(cost for _, cost in chosen) == size:
                    new = {link: values for link, (values, _) in zip(links, chosen, strict=True)}
                    response = with_changes(answers, new)
                    if response is not None:
                        yield frozenset(map(Change._make, new.items())), guidance.evaluate(response).tier


@st.composite
def settled(draw: st.DrawFn) -> Answers:
    """A whole response with a few answers that are not calm."""
    links = draw(st.lists(st.sampled_from(list(VALUES)), unique=True, max_size=4))
    few = {link: draw(st.sampled_from(VALUES[link])) for link in links}
    return headache.respond({**CALM.given, **few})


def holds_to_brute_force(answers: Answers, most: int) -> None:
    tier = dated_headache.guidance().evaluate(answers).tier
    lower, higher = found_in(lowering, answers), found_in(raising, answers)
    assert lower.finished
    assert higher.finished
    for found, is_wanted in (
        (lower, lambda after: after.at_most < tier.at_least),
        (higher, lambda after: after.at_least > tier.at_least),
    ):
        smaller: set[frozenset[Change]] = set()
        for size in range(1, min(most, found.within) + 1):
            expected = {
                one: after
                for one, after in by_brute_force(answers, size)
                if is_wanted(after) and not any(is_part(answers, less, one) for less in smaller)
            }
            reported = {frozenset(one.changes): one.tier for one in found.found}
            assert expected == {one: reported[one] for one in reported if cost(answers, one) == size}
            smaller |= expected.keys()


def is_part(answers: Answers, less: frozenset[Change], more: frozenset[Change]) -> bool:
    """Whether a larger change does all that a smaller one does, in a list option by option."""
    by_link = dict(more)
    return all(
        link in by_link and done(answers, link, values) <= done(answers, link, by_link[link])
        for link, values in less
    )


def done(answers: Answers, link: str, values: Values) -> set[Any]:
    """What is done to a question: the options of a list that are clicked, one by one; else the answer."""
    if not dated_headache.guidance().form.questions[link].repeats or not values:
        return {values}
    if ALONE.get(link) in values:
        return {ALONE[link]}
    return (set(answers.given.get(link, ())) - {ALONE.get(link)}) ^ set(values)


def cost(answers: Answers, one: frozenset[Change]) -> int:
    """How many answers a change changes."""
    guidance = dated_headache.guidance()
    found = 0
    for link, values in one:
        before = answers.given.get(link, ())
        found += dict(others(guidance, link, before)).get(values, 1) if values else 1
    return found


@examples(150)
@given(headache.few_answers(most=16) | settled())
def test_changes_of_one_answer_are_those_that_brute_force_finds(answers: Answers) -> None:
    holds_to_brute_force(answers, 1)


@examples(12)
@given(settled())
def test_changes_of_two_answers_are_those_that_brute_force_finds(answers: Answers) -> None:
    holds_to_brute_force(answers, 2)


# On the guidance that is served: each change leads to the step that it says, as the engine has it.


def holds_to_the_engine(pair: Pair, answers: Answers) -> None:
    compiled = pair.compiled
    before = partial(day_before, answers.authored)
    replies = Replies(compiled.enabling(), compiled.takes, before, compiled.opens)
    now = pair.guidance.evaluate(answers).tier
    lower, higher = (direction(pair.guidance, answers, replies) for direction in (lowering, raising))
    for one in (*lower.found, *higher.found):
        given = {**answers.given, **{change.link_id: change.answers for change in one.changes}}
        enabled, _ = compiled.enabled(given)
        kept = {link: values for link, values in given.items() if values and link in enabled}
        new = {change.link_id for change in one.changes}
        still = {link: values for link, values in answers.ignored.items() if link not in new}
        response = compiled.answers_of({**still, **kept}, chart=answers.chart, authored=answers.authored)
        assert all(compiled.takes(change.link_id, change.answers) for change in one.changes if change.answers)
        assert pair.guidance.evaluate(response).tier == one.tier
    assert all(one.tier.at_most < now.at_least for one in lower.found)
    assert all(one.tier.at_least > now.at_least for one in higher.found)


@pytest.mark.parametrize("seed", range(24 if IN_CI else 6))
def test_changes_of_patients_by_chance_lead_where_they_say(seed: int) -> None:
    chance = random.Random(seed)
    pair = pair_of("", "muscle-twitching")
    holds_to_the_engine(pair, by_chance(pair, chance, well=(0, 0.7, 0.95, 1)[seed % 4]))


def test_changes_of_worked_patients_lead_where_they_say() -> None:
    pair = pair_of("", "muscle-twitching")
    cases = pair.guidance.cases[:: 4 if IN_CI else 36]
    for case in cases:
        holds_to_the_engine(
            pair, pair.compiled.answers_of(case.answers, chart=case.chart, authored=case.authored)
        )


def test_three_parts_recorded_normal_allow_self_care() -> None:
    """An examination whose strength, bulk and reflexes were not tested sets nothing aside."""
    pair = pair_of("", "muscle-twitching")
    name = "normal-examination-since-onset-lifts-duration-and-several-areas"
    case = next(case for case in pair.guidance.cases if case.name == name)
    parts = ("exam-strength", "exam-bulk", "reflexes")
    normal = {part: case.answers[part] for part in parts}
    form = pair.guidance.form.questions
    tested = {part: (next(o.coding for o in form[part].options if "not" in o.coding.code),) for part in parts}
    answers = pair.compiled.answers_of({**case.answers, **tested}, authored=case.authored)
    before = partial(day_before, case.authored)
    replies = Replies(pair.compiled.enabling(), pair.compiled.takes, before, pair.compiled.opens)
    found = lowering(pair.guidance, answers, replies)
    [one] = [one for one in found.found if {change.link_id for change in one.changes} == set(parts)]
    assert dict(one.changes) == normal
    assert one.tier == Interval(1, 1)


@pytest.mark.parametrize("seed", range(1, 9 if IN_CI else 4))
@pytest.mark.parametrize(("direction", "most"), [(lowering, 2), (raising, 1)])
def test_no_answer_that_would_change_the_step_is_left_untried(
    monkeypatch: pytest.MonkeyPatch, direction: Any, most: int, seed: int
) -> None:
    pair = pair_of("", "muscle-twitching")
    answers = by_chance(pair, random.Random(seed), well=(0.5, 0.9, 0.95)[seed % 3], open_=0.3 * (seed > 5))
    before = partial(day_before, answers.authored)
    replies = Replies(pair.compiled.enabling(), pair.compiled.takes, before, pair.compiled.opens)
    monkeypatch.setattr(changes, "MOST_ANSWERS", most)
    few = direction(pair.guidance, answers, replies, 100_000)
    monkeypatch.setattr(changes._Search, "_may_help", lambda *_, **__: True)
    monkeypatch.setattr(changes._Search, "_opens", lambda _self, _link_id, values: values)
    monkeypatch.setattr(changes._Ways, "of", lambda self, *_, **__: self.every)
    every = direction(pair.guidance, answers, replies, 100_000)
    assert few == every
