"""Answer patterns of two versions: the counts are those of every pattern tried, the examples are true."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import pytest
import small_forms
import small_guidances
from examples import examples
from hypothesis import Phase, given
from hypothesis import strategies as st

from service.authoring.diagrams import GuidanceDiagrams
from service.authoring.editions import between, editions_in
from service.authoring.pattern_changes import (
    DATE,
    NO_DATE,
    STEP,
    Count,
    PatternChanges,
    evaluated,
    pattern_changes,
    said,
    short,
)
from service.authoring.patterns import AnsweredQuestion, Bounds, Space, Version, spread
from service.catalogue import Pair
from service.datatypes.answers import Answer, AnswersByLink
from service.settings import ROOT, Settings

NODES = 1 << 20
DAYS = {"quantity": {"valueQuantity": {"value": 14, "code": "d", "system": small_forms.UCUM}}}
PLACES = {"old": "tests/muscle_twitching_1_0_0", "new": "mappings/muscle-twitching"}


# Every pattern, by trying them all: nothing here asks a diagram.


def choices(question: AnsweredQuestion) -> Iterator[tuple[Answer, ...]]:
    """Yields everything that may be answered together to a question."""
    most = len(question.answers) if question.most is None else question.most
    for count in range((most if question.several else 1) + 1):
        for together in combinations(question.answers, count):
            if count < 2 or question.exclusive.isdisjoint(together):
                yield together


def every_pattern(space: Space) -> Iterator[tuple[AnswersByLink, tuple[AnswersByLink, ...]]]:
    """Yields every pattern with what each version is given of it: the first questions decide about others."""
    links = sorted(space.questions, key=lambda link: (link not in decisive(space), link))
    deciding = [list(choices(space.questions[link])) for link in links if link in decisive(space)]
    for first in product(*deciding):
        known = {link: values for link, values in zip(links, first, strict=False) if values}
        asked = [asked_by(version, known) for version in space.versions]
        if all(fits(space, asked, link, values) for link, values in known.items()):
            rest = [
                [values for values in choices(space.questions[link]) if fits(space, asked, link, values)]
                for link in links[len(first) :]
            ]
            for more in product(*rest):
                others = {
                    link: values for link, values in zip(links[len(first) :], more, strict=True) if values
                }
                pattern = known | others
                yield pattern, tuple(version.answers(pattern) for version in space.versions)


def decisive(space: Space) -> set[str]:
    """Returns the questions that decide whether others are asked."""
    forms = [pair.guidance.form.questions.values() for pair in space.pairs]
    return {link for questions in forms for question in questions for link in question.enabled_by}


def fits(space: Space, asked: list[frozenset[str]], link: str, values: tuple[Answer, ...]) -> bool:
    """Whether each of these answers is asked for by a version that can take it."""
    sides = list(zip(space.versions, asked, strict=True))
    return all(
        any(link in shown and version.takes(link, value) for version, shown in sides) for value in values
    )


def asked_by(version: Version, pattern: AnswersByLink) -> frozenset[str]:
    shown, _ = version.pair.compiled.enabled(version.answers(pattern))
    return shown


def tried(
    space: Space,
) -> tuple[int, dict[str, Counter[tuple[str, str]]], dict[tuple[str, str, str], list[int]]]:
    """Returns how many patterns there are, what they come to, and how many questions each answers."""
    total, counts, lengths = 0, dict[str, Counter[tuple[str, str]]](), dict[tuple[str, str, str], list[int]]()
    for pattern, taken in every_pattern(space):
        total += 1
        old, new = (evaluated(pair, answers) for pair, answers in zip(space.pairs, taken, strict=True))
        for what in (STEP, DATE, "pattern"):
            come = said(old, what), said(new, what)
            counts.setdefault(what, Counter())[come] += 1
            lengths.setdefault((what, *come), []).append(len(pattern))
    return total, counts, lengths


def counted(found: PatternChanges) -> Mapping[str, Mapping[tuple[str, str], int]]:
    return {
        matrix.what: {
            (old, new): int(count.exact) for old, row in matrix.counts.items() for new, count in row.items()
        }
        for matrix in found.matrices
    }


RULES = (
    tuple(small_guidances.RULES),
    ("now-both", "soon-two", "plan-lasts"),
    ("now-both", "soon-heavy", "plan-unsure"),
)
VERSIONS: dict[str, Any] = {
    "rules": st.sampled_from(RULES),
    "dated": st.booleans(),
    "contradicts": st.booleans(),
    "numbers": st.fixed_dictionaries(
        {"long": st.sampled_from([14, 21]), "strong": st.sampled_from([6, 7]), "two": st.sampled_from([1, 2])}
    ),
    "items": st.fixed_dictionaries(
        {},
        optional={
            "tired": st.just(
                {"options": [{"code": "much", "weight": 3}, {"code": "little", "weight": 1}, "new"]}
            ),
            "side": st.just(
                {"options": ["left", "unsure"], "when": [["pain", "!=", "no"], ["tired", "=", "much"]]}
            ),
            "since": st.just({"type": "quantity", "units": ["d"], "when": ["tired", "exists", False]}),
            "strength": st.just({"type": "integer", "min": 1, "max": 8, "when": ["since", ">", DAYS]}),
        },
    ),
}
ONE_SIDE = {"side": {"options": ["left", "unsure"]}, "tired": {"options": [{"code": "much", "weight": 2}]}}
SINCE = {"type": "quantity", "units": ["d"], "when": ["tired", "exists", False]}
LINE = {"answer": "strength", "from": 0, "to": 10}
MANY_PATTERNS = ("dates", "kinds-of-questions")
PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "dates": (
        {"derives": True, "numbers": {"old": 14, "later": 2}, "items": ONE_SIDE},
        {"derives": True, "numbers": {"old": 14, "later": 0}, "items": ONE_SIDE, "rules": RULES[1]},
    ),
    "one-of-several": ({}, {"items": {"side": {"options": ["left", "unsure"]}}, "numbers": {"two": 1}}),
    "no-points": (
        {"rules": RULES[2]},
        {"items": {"tired": {"options": [{"code": "much", "weight": 1}, "little"]}}},
    ),
    "asked-while-unanswered": (
        {"items": {"since": SINCE}},
        {
            "items": {
                "tired": {
                    "options": [{"code": "much", "weight": 2}, {"code": "little", "weight": 1}],
                    "when": [["pain", "exists", False], ["strength", ">", 7]],
                    "enableBehavior": "any",
                },
                "since": SINCE,
                "strength": {"type": "integer", "when": ["pain", "!=", "no"]},
            }
        },
    ),
    "kinds-of-questions": (
        {},
        {
            "items": {
                "asks": {"type": "boolean"},
                "note": {"type": "string"},
                "since": {"type": "quantity", "units": ["d"], "when": ["asks", "=", True]},
                "strength": {"type": "integer", "max": 8, "when": ["note", "exists", True]},
            }
        },
    ),
    "slider": ({"adds": LINE}, {"adds": LINE | {"reversed": True}}),
    "group": (
        {"group": {"when": ["pain", "=", "yes"]}},
        {"group": {"when": ["pain", "exists", False]}, "items": {"side": {"options": ["left", "unsure"]}}},
    ),
}


def assert_counted_as_tried(old: dict[str, Any], new: dict[str, Any]) -> None:
    pairs = small_guidances.pair(**old), small_guidances.pair(**new)
    total, counts, lengths = tried(Space(pairs, NODES))
    found = pattern_changes(*pairs, examples=10, nodes=NODES)
    assert int(found.patterns) == total
    assert counted(found) == counts
    for change in found.changes:
        assert {(example.old, example.new) for example in change.examples} == {(change.old, change.new)}
        least = sorted(lengths[change.what, change.old, change.new])[:10]
        assert [len(example.answers) for example in change.examples] == least


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in MANY_PATTERNS else name for name in PAIRS]
)
def test_the_counts_and_the_plainest_patterns_are_those_of_every_pattern_tried(name: str) -> None:
    assert_counted_as_tried(*PAIRS[name])


@examples(8, phases=[Phase.generate])
@given(old=st.fixed_dictionaries(VERSIONS), new=st.fixed_dictionaries(VERSIONS))
def test_any_two_versions_are_counted_as_if_every_pattern_were_tried(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert_counted_as_tried(old, new)


# Two versions as large as they come: patterns drawn at random, and the examples of every kind of change.


@pytest.fixture(scope="module")
def two_versions() -> tuple[Pair, Pair]:
    pairs = [
        editions_in(ROOT / place, Settings())[0].pair
        for place in ("tests/muscle_twitching_1_0_0", "mappings/muscle-twitching")
    ]
    assert pairs[0] is not None
    assert pairs[1] is not None
    return pairs[0], pairs[1]


def drawn(space: Space, chance: random.Random) -> AnswersByLink:
    """Returns a pattern: some questions with an answer, those that nobody asks left out."""
    often = chance.choice((0.05, 0.3, 0.9))
    found = {}
    for link, question in space.questions.items():
        if chance.random() < often:
            first = chance.choice(question.answers)
            found[link] = (first,)
    while True:
        asked = [asked_by(version, found) for version in space.versions]
        kept = {link: values for link, values in found.items() if fits(space, asked, link, values)}
        if kept == found:
            return found
        found = kept


def test_the_diagrams_say_of_a_pattern_what_its_evaluation_says(two_versions: tuple[Pair, Pair]) -> None:
    space, chance = Space(two_versions, 1 << 22), random.Random(13)
    versions = [GuidanceDiagrams(version) for version in space.versions]
    told = [dict(tables(diagrams)) for diagrams in versions]
    for _ in range(60):
        pattern = drawn(space, chance)
        at = [(place, answer in pattern.get(link, ())) for place, (link, answer) in enumerate(space.places)]
        assert space.valid.eval(at)
        for version, found in zip(space.versions, told, strict=True):
            result = evaluated(version.pair, version.answers(pattern))
            for what, by_words in found.items():
                assert [words for words, where in by_words.items() if where.eval(at)] == [said(result, what)]


def tables(diagrams: GuidanceDiagrams) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield STEP, diagrams.steps()
    yield (
        DATE,
        {NO_DATE if days is None else f"day {days}": where for days, where in diagrams.dates().items()},
    )
    for outcome in diagrams.guidance.written.outcomes:
        levels = diagrams.levels(outcome).items()
        yield outcome.code, {between(level, outcome.levels): where for level, where in levels}


# The report, and where nothing can be counted.


def test_questions_options_and_expressions_that_do_not_match_are_named() -> None:
    without = {"options": [{"code": "left"}, "unsure"], "repeats": True}
    old = small_guidances.pair(
        items={"side": without, "tired": {"options": [{"code": "much", "weight": 2}, "little"]}}
    )
    new = small_guidances.pair(
        derives=True, items={"tired": {"options": [{"code": "much", "weight": 2}, "none"]}}
    )
    found = pattern_changes(old, new, nodes=NODES)
    assert found.unmatched == (
        "options of the old version only: tired=little",
        "questions of the new version only: test",
        "options of the new version only: side=neither, tired=none",
    )


def test_what_expressions_of_the_form_decide_is_named() -> None:
    strength = {"type": "integer", "enable": "%resource.item.exists()", "calculated": "3"}
    found = pattern_changes(
        small_guidances.pair(), small_guidances.pair(items={"strength": strength}), nodes=NODES
    )
    assert found.unmatched == (
        "asked by an expression, counted as always asked (new): strength",
        "calculated by the form, counted as answered freely (new): strength",
    )


def test_a_change_is_told_with_its_plainest_patients_and_the_rules_that_fire() -> None:
    old, new = small_guidances.pair(), small_guidances.pair(rules=("now-both", "soon-heavy", "plan-unsure"))
    found = pattern_changes(old, new, examples=2, nodes=NODES)
    lines = list(found.lines())
    at = next(place for place, line in enumerate(lines) if line.startswith("step: plan -> rest (lower), "))
    assert lines[at + 1 : at + 4] == [
        "  1. Question pain? [pain]: Yes; Question since? [since]: 15 d; Question tired? [tired]: little",
        "       old: plan-lasts",
        "       new: no rule",
    ]
    assert sum(line.startswith("  3.") for line in lines) == 0
    assert "  old \\ new" in "\n".join(lines)
    assert next(change.moved for change in found.changes) == "lower"


def test_answers_are_told_in_words_and_which_version_was_given_them() -> None:
    since = {"type": "quantity", "units": ["d"], "when": [["asks", "=", True], ["note", "exists", True]]}
    new = small_guidances.pair(
        items={"asks": {"type": "boolean"}, "note": {"type": "string"}, "since": since}
    )
    text = "\n".join(pattern_changes(small_guidances.pair(), new, nodes=NODES).lines())
    assert "Question asks? [asks]: yes; Question note? [note]: any text" in text
    assert "answered so in the new version only: Question asks? [asks]" in text
    assert "  questions of the new version only: asks, note\n" in text


def test_a_date_is_sooner_or_later_and_no_date_is_the_latest() -> None:
    old, new = small_guidances.pair(), small_guidances.pair(dated=False)
    moves = {
        (change.old, change.new): change.moved for change in pattern_changes(old, new, nodes=NODES).changes
    }
    assert moves["day 7", "no date"] == "later"
    back = pattern_changes(new, old, nodes=NODES).changes
    assert {change.moved for change in back if change.what == DATE and change.old == "no date"} == {"sooner"}


def test_large_numbers_are_told_by_their_first_digits() -> None:
    assert short(1234567) == "1 234 567"
    assert short(12345 * 10**20) == "1.234e24"
    assert Count(str(10**20), 1e-9).words == "1.000e20"
    assert Count("25", 0.25).words == "25 (25.000%)"


def test_more_nodes_than_allowed_are_refused() -> None:
    with pytest.raises(MemoryError):
        pattern_changes(small_guidances.pair(), small_guidances.pair(), nodes=64)


def test_numbers_stand_for_their_classes() -> None:
    cuts = [Fraction(5), Fraction(6), Fraction(8)]
    assert spread(cuts, Bounds(), whole=True) == [4, 5, 6, 7, 8, 9]
    assert spread(cuts, Bounds(), whole=False) == [4, 5, Fraction(11, 2), 6, 7, 8, 9]
    assert spread(cuts, Bounds(Fraction(5), Fraction(8)), whole=True) == [5, 6, 7, 8]
    assert spread([Fraction(1, 2)], Bounds(Fraction(0), Fraction(1)), whole=False) == [
        Fraction(1, 4),
        Fraction(1, 2),
        1,
    ]
    assert spread([], Bounds(Fraction(3)), whole=True) == [3]
