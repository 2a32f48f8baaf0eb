"""Every way of adding points: options, numbers, conditions, multiplied, negative or reversed."""

import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

import headache
import pytest
from examples import IN_CI, examples
from hypothesis import given
from hypothesis import strategies as st
from reference_evaluator import Reference

from service.datatypes.answers import UNREAD, Answer, Answers, AnswersByLink, Coding, Quantity
from service.datatypes.form import Form, Option, Question
from service.datatypes.values import replace
from service.errors import GuidanceError
from service.guidance import Guidance, load
from service.guidance.result import Result, Total
from service.proofs import prove

NUMBERS = Question("tally", "How many?", "integer", (), order=99, numbers=((0, None), (1, None), (5, None)))
WEIGHED = Question(
    "grade", "Which grade?", "choice", (), order=98, numbers=((1, Decimal(-2)), (2, Decimal(3)), (9, None))
)
TICKED = Question(
    "signs",
    "Which of these?",
    "choice",
    tuple(
        Option(Coding("urn:signs", code), code, weight)
        for code, weight in (("a", Decimal(3)), ("b", Decimal(2)), ("calm", Decimal(-1)), ("unsure", None))
    ),
    order=97,
    repeats=True,
)
NIGHTS = Question("nights", "How many?", "integer", (), order=95, repeats=True)
AGAIN = replace(TICKED, link_id="in-each-limb", order=96, is_asked_again=True)
PARTS: list[Any] = [
    "breaks",
    {"answer": "tense", "times": 2},
    {"answer": "tense-jaw", "reversed": True},
    {"answer": "strength", "from": 0, "to": 8, "times": Decimal("-0.5")},
    {"answer": "screen-hours", "from": 0, "to": 24, "reversed": True},
    {"answer": "tally"},
    {"answer": "grade", "times": -1},
    {"answer": "signs", "times": 2},
    {"when": "gets-worse", "points": 2},
    {"when": {"all": [{"answer": "sudden", "is": True}, {"not": "mild-pain"}]}, "points": -3},
    {"when": "tense-and-worse", "points": 1},
]
BANDS = [
    {"band": "few", "from": -100, "to": 0, "display": "Few"},
    {"band": "many", "from": Decimal("0.1"), "to": 100, "display": "Many"},
]


def form() -> Form:
    questions = {question.link_id: question for question in (NUMBERS, WEIGHED, TICKED, AGAIN, NIGHTS)}
    return Form(headache.CANONICAL, {**headache.form().questions, **questions})


def documents(**score: Any) -> dict[str, Any]:
    """The fixture with one more score, `load`, which a recorded finding reads."""
    found = headache.documents()
    entry = {"score": "load", "display": "Load", "sum-of": PARTS, "bands": BANDS, "sources": ["S003"]}
    found["scores"].append(entry | score)
    first = entry | score
    seen = {"score": "load", "band": first["bands"][-1]["band"]}
    found["findings"].append(
        {"finding": "loaded", "kind": "recorded", "means": "Load.", "when": seen, "sources": ["S003"]}
    )
    return found


def loaded(**score: Any) -> Guidance:
    return load(documents(**score), form())


OWN = ("tally", "grade", "signs")


def respond(given: AnswersByLink | None = None, **named: Any) -> Answers:
    """The same as that of the fixture; the questions that it does not have are always asked."""
    more = {link: (value,) for link, value in named.items() if link in OWN}
    more |= {link: values for link, values in (given or {}).items() if link in OWN}
    rest = {link: values for link, values in (given or {}).items() if link not in OWN}
    found = headache.respond(rest, **{link: value for link, value in named.items() if link not in OWN})
    return replace(found, given={**found.given, **more})


def total_of(result: Result) -> Total:
    return next(total for total in result.totals if total.score.name == "load")


def signs(*codes: str) -> tuple[Coding, ...]:
    return tuple(Coding("urn:signs", code) for code in codes)


VALUES: dict[str, tuple[tuple[Answer, ...], ...]] = {
    **headache.VALUES,
    "tally": ((0,), (1,), (5,), (7,)),
    "grade": ((1,), (2,), (9,)),
    "signs": tuple(
        signs(*codes) for codes in (("a",), ("calm", "a"), ("a", "unsure"), ("unsure",), ("b", "b"))
    ),
}
GUIDANCE = loaded()
DOCUMENTS = documents()
for band in DOCUMENTS["scores"][0]["bands"]:
    band |= {key: 2.5 for key in ("from", "to") if band[key] == {"parameter": "band-edge"}}


@st.composite
def responses(draw: st.DrawFn) -> Answers:
    places = {link: draw(st.sampled_from(("open", "given", "given"))) for link in VALUES}
    return respond(
        {link: draw(st.sampled_from(VALUES[link])) for link, place in places.items() if place == "given"}
    )


@examples(200)
@given(responses())
def test_every_way_of_adding_is_what_the_naive_evaluator_says(answers: Answers) -> None:
    result = GUIDANCE.evaluate(answers)
    reference = Reference(DOCUMENTS, GUIDANCE.form, answers)
    total = total_of(result)
    assert (Fraction(total.at_least), Fraction(total.at_most)) == reference.total("load")
    assert (
        result.findings["loaded"]
        == {True: "present", False: "absent", None: "unknown"}[reference.finding("loaded")]
    )


@examples(100)
@given(responses(), st.randoms(use_true_random=False))
def test_a_sum_of_a_complete_response_lies_in_the_range_of_the_partial_one(
    answers: Answers, chance: random.Random
) -> None:
    before = total_of(GUIDANCE.evaluate(answers))
    rest = {link: chance.choice(values) for link, values in VALUES.items()}
    after = total_of(GUIDANCE.evaluate(respond({**rest, **answers.ignored, **answers.given})))
    assert before.at_least <= after.at_least <= after.at_most <= before.at_most


def test_a_forced_finding_adds_its_points():
    # not tense and strong pain contradict each other: tense-and-worse then counts as present
    calm = respond(tense=headache.NO, worse=headache.NO, strength=7)
    mild = respond(tense=headache.NO, worse=headache.NO, strength=1)
    parts = [{"when": "tense-and-worse", "points": 5}]
    guidance = loaded(**{"sum-of": parts})
    assert total_of(guidance.evaluate(calm)).value == 5
    assert total_of(guidance.evaluate(mild)).value == 0
    assert guidance.evaluate(calm).findings["loaded"] == "present"


def test_a_forced_finding_adds_its_points_where_it_is_no_more_than_an_answer():
    # pain at the back and strong pain contradict each other: the neck then counts as stiff
    guidance = loaded(**{"sum-of": [{"when": "stiff-neck", "points": 5}]})
    back = {"head_pain": headache.YES, "head_side": headache.local("back"), "neck_stiff": headache.NO}
    assert total_of(guidance.evaluate(respond(**back, strength=7))).value == 5
    assert total_of(guidance.evaluate(respond(**back, strength=1))).value == 0


def test_an_answer_to_a_closed_question_makes_findings_worse_and_adds_no_points():
    sums = {"sum-of": ["tense", "tense-jaw", {"when": "jaw", "points": 4}]}
    found = documents(**sums)
    jaw = {"finding": "jaw", "kind": "alarm", "means": "Jaw.", "when": {"answer": "tense-jaw", "is": "a-lot"}}
    found["findings"].append(jaw | {"origin": "project", "sources": []})
    found["rules"][0]["when"] = {"any": [found["rules"][0]["when"], "jaw"]}
    guidance = load(found, form())
    closed = guidance.evaluate(respond(tense=headache.NO, tense_jaw=headache.local("a-lot")))
    without = guidance.evaluate(respond(tense=headache.NO))
    assert (closed.findings["jaw"], without.findings["jaw"]) == ("present", "absent")
    assert closed.tier.at_least > without.tier.at_least
    assert total_of(closed) == total_of(without)
    assert total_of(closed).value == 0


def test_a_chart_value_that_is_worse_than_the_answer_makes_findings_worse_and_adds_no_points():
    """A sum is that of the answers; a chart value is in it where the question was not answered."""
    parts = [{"answer": "strength", "from": 0, "to": 8}, {"when": "strong-pain", "points": 4}]
    guidance = loaded(**{"sum-of": parts})
    beside = guidance.evaluate(respond(strength=1, chart={"strength": (7,)}))
    alone = guidance.evaluate(respond(chart={"strength": (7,)}))
    assert [result.findings["strong-pain"] for result in (beside, alone)] == ["present", "present"]
    assert [total_of(result).value for result in (beside, alone)] == [1, 11]
    assert [one.name for one in beside.contradictions] == ["unfit-strength"]


@pytest.mark.parametrize(
    ("ticked", "ends"),
    [
        (("a",), (3, 3)),
        (("a", "unsure"), (2, 5)),
        (("a", "b", "unsure"), (4, 5)),
        (("a", "b", "calm", "unsure"), (4, 4)),
        (("unsure",), (-1, 5)),
        (("a", "a"), (3, 3)),
        (("calm", "calm"), (-1, -1)),
    ],
)
def test_not_sure_in_a_list_is_about_what_is_not_ticked_and_an_option_counts_once(ticked, ends):
    guidance = loaded(**{"sum-of": ["signs"]})
    total = total_of(guidance.evaluate(respond({"signs": signs(*ticked)})))
    assert (total.at_least, total.at_most) == ends
    assert total.value == (ends[0] if ends[0] == ends[1] else None)


def test_an_answer_that_cannot_be_read_takes_back_nothing_that_is_ticked():
    guidance = loaded(**{"sum-of": ["signs"]})
    total = total_of(guidance.evaluate(respond({"signs": (*signs("b"), UNREAD)})))
    assert (total.at_least, total.at_most) == (1, 5)


@pytest.mark.parametrize(("values", "ends"), [((2, 7), (2, 7)), ((7, 7), (7, 7)), ((2, UNREAD), (0, 8))])
def test_several_values_of_the_chart_for_one_answer_are_not_added_up(values, ends):
    guidance = loaded(**{"sum-of": [{"answer": "strength", "from": 0, "to": 8}]})
    total = total_of(guidance.evaluate(respond(chart={"strength": values})))
    assert (total.at_least, total.at_most) == ends


def test_a_range_in_place_of_a_number_and_a_number_outside_leave_the_question_open():
    guidance = loaded(**{"sum-of": [{"answer": "strength", "from": 2, "to": 8}]})
    for answer in (Quantity(Decimal(3), "1", ">"), 9):
        total = total_of(guidance.evaluate(respond(strength=answer)))
        assert (total.at_least, total.at_most, total.value) == (2, 8, None)


def test_the_question_behind_a_condition_is_open_while_it_may_add_points():
    guidance = loaded(
        **{
            "sum-of": [{"when": "one-sided", "points": 3}],
            "kind": "trigger",
            "bands": [
                {"band": "none", "from": 0, "to": 2, "display": "None"},
                {"band": "some", "from": 3, "to": 3, "display": "Some", "tier": "plan"},
            ],
        }
    )
    result = guidance.evaluate(respond(head_pain=headache.YES))
    assert "head-side" in [question.link_id for question in result.open]


# ---- What is reported while something is missing ----------------------------------------------------

FOUR = ["breaks", "tense", {"answer": "tally"}, {"answer": "grade"}]
MISSING = {
    "breaks": headache.local("never"),  # 3
    "tense": headache.YES,  # 2
    "tally": 5,
}


def reported(missing: Any, *left_out: str) -> tuple[Decimal | None, bool, bool]:
    given = {link: value for link, value in {**MISSING, "grade": 2}.items() if link not in left_out}
    result = loaded(**{"sum-of": FOUR, "missing": missing}).evaluate(respond(**given))
    total = total_of(result)
    return total.value, total.estimated, total.refused


@pytest.mark.parametrize("rule", ["interval", "refuse", {"prorate": {"at-most": 1}}])
def test_a_complete_sum_is_reported_whatever_the_rule(rule: Any) -> None:
    assert reported(rule) == (Decimal(13), False, False)


def test_an_interval_has_no_number_and_is_not_refused():
    assert reported("interval", "grade") == (None, False, False)


def test_a_sum_is_refused_where_one_part_is_missing():
    assert reported("refuse", "grade") == (None, False, True)


def test_a_prorated_sum_is_the_sum_at_the_mean_of_what_is_answered_rounded_half_up():
    assert reported({"prorate": {"at-most": 1}}, "grade") == (Decimal("13.3"), True, False)  # 10 * 4 / 3
    assert reported({"prorate": {"at-most": 2}}, "grade", "tally") == (Decimal("10.0"), True, False)


def test_a_prorated_sum_is_refused_beyond_its_limit():
    assert reported({"prorate": {"at-most": 1}}, "grade", "tally") == (None, False, True)


def test_rules_read_the_range_and_not_the_prorated_number():
    guidance = loaded(**{"sum-of": FOUR, "missing": {"prorate": {"at-most": 1}}})
    total = total_of(guidance.evaluate(respond(**MISSING)))
    assert (total.at_least, total.at_most) == (8, 13)


# ---- Bands that carry tier, level and text ----------------------------------------------------------


def banded(tiers: dict[str, str], levels: dict[str, str] | None = None, **more: Any) -> Guidance:
    names = list(tiers)
    bands = [
        {"band": name, "from": place * 5, "to": place * 5 + 4, "display": name.title()}
        | ({"tier": tier} if tier else {})
        | ({"level": levels[name]} if levels else {})
        for place, (name, tier) in enumerate(tiers.items())
    ]
    bands[-1]["to"] = len(names) * 5
    found = documents(**{"sum-of": TWENTY, "bands": bands, "kind": "trigger", **more})
    found["rules"] = [rule for rule in found["rules"] if rule.get("tier") != "plan"]
    found["guidance"]["exceptions"] = []
    found["cases"] = []
    for name in ("low-iron", "several-signs", "strong-pain", "tense-and-worse", "long-pain", "was-checked"):
        next(one for one in found["findings"] if one["finding"] == name)["kind"] = "recorded"
    return load(found, form())


TWENTY = [{"answer": "strength", "from": 0, "to": 4}, {"answer": "screen-hours", "from": 0, "to": 16}]
LADDER = {"minimal": "", "mild": "plan", "moderate": "soon", "severe": "now"}


def tier_of(guidance: Guidance, **answers: Any) -> tuple[str, str]:
    codes = [tier.code for tier in guidance.written.tiers]
    calm = {
        "head-pain": (headache.NO,),
        "sudden": (False,),
        "neck-stiff": (headache.NO,),
        "worse": (headache.NO,),
    }
    result = guidance.evaluate(respond(calm, **answers))
    return codes[result.tier.at_least], codes[result.tier.at_most]


def test_an_open_question_between_two_bands_leaves_the_lower_of_their_tiers():
    guidance = banded(LADDER)
    assert tier_of(guidance, screen_hours=Decimal(8)) == ("plan", "soon")  # 8 to 12
    assert tier_of(guidance, screen_hours=Decimal(8), strength=1) == ("plan", "plan")
    assert tier_of(guidance, screen_hours=Decimal(3)) == ("rest", "plan")  # 3 to 7


def test_the_least_serious_of_all_bands_needs_a_total_that_cannot_leave_it():
    guidance = banded({"minimal": "plan", "mild": "plan", "moderate": "soon", "severe": "now"})
    assert tier_of(guidance) == ("rest", "now")
    assert tier_of(guidance, screen_hours=Decimal(3)) == ("plan", "plan")  # 3 to 7: both of the same tier
    assert tier_of(guidance, screen_hours=Decimal(8)) == ("plan", "soon")


def test_a_low_total_may_be_the_serious_one():
    guidance = banded({"severe": "now", "moderate": "soon", "mild": "plan", "fine": ""})
    assert tier_of(guidance, screen_hours=Decimal(4)) == ("soon", "now")  # 4 to 8
    assert tier_of(guidance, screen_hours=Decimal(15), strength=1) == ("rest", "rest")


def test_a_band_says_its_own_words_or_the_name_of_score_and_band():
    rules = {rule.name: rule for rule in banded(LADDER).written.rules}
    assert rules["load-mild"].says.clinician == "Load: Mild"
    assert rules["load-mild"].kind == "trigger"
    assert "load-minimal" not in rules
    assert rules["load-mild"].shows == ("load",)
    assert rules["load-mild"].beside == ("load-moderate", "load-severe")


def test_bands_give_levels_from_the_highest_down_and_the_lowest_says_otherwise():
    levels = {"minimal": "low", "mild": "middle", "moderate": "high", "severe": "high"}
    found = documents(
        **{
            "sum-of": [
                {"answer": "strength", "from": 0, "to": 4},
                {"answer": "screen-hours", "from": 0, "to": 16},
            ],
            "kind": "trigger",
            "outcome": "weight",
            "bands": [
                {
                    "band": name,
                    "from": place * 5,
                    "to": place * 5 + 4 + place // 3,
                    "display": name,
                    "level": level,
                }
                for place, (name, level) in enumerate(levels.items())
            ],
        }
    )
    outcome = {
        "outcome": "weight",
        "display": "Weight",
        "levels": ["low", "middle", "high"],
        "listed": "always",
    }
    words = {"patient": "Weight.", "clinician": "Weight.", "origin": "project", "sources": []}
    found["guidance"]["outcomes"].append(outcome | words)
    guidance = load(found, form())

    def level(**answers: Any) -> tuple[int, int]:
        result = guidance.evaluate(respond(**answers))
        return next(tuple(risk.level) for risk in result.risks if risk.outcome.code == "weight")

    assert level() == (0, 2)
    assert level(screen_hours=Decimal(8)) == (1, 2)
    assert level(screen_hours=Decimal(11)) == (2, 2)
    assert level(screen_hours=Decimal(0), strength=4) == (0, 0)


# ---- Proofs follow every way of adding --------------------------------------------------------------


def proved(parts: list[Any], bands: list[Any], only_if: Any) -> list[str]:
    found = documents(**{"sum-of": parts, "bands": bands})
    found["guidance"]["promises"] = [
        {"promise": "tried", "tier": "rest", "only-if": only_if},
        {"promise": "none", "never-lowers-tier": ["recorded"]},
    ]
    return [proof.line for proof in prove(load(found, form())).failed if "tried" in proof.line]


MOST: list[tuple[Any, Any]] = [
    ({"answer": "strength", "from": 0, "to": 4}, 4),
    ({"answer": "screen-hours", "from": 0, "to": 4, "reversed": True}, 4),
    ({"answer": "breaks", "reversed": True}, 3),
    ({"answer": "tense", "times": 2}, 4),
    ({"answer": "tally", "times": Decimal("0.5")}, Decimal("2.5")),
    ({"answer": "grade", "times": -1}, 2),
    ({"when": "new-glasses", "points": 4}, 4),
]


@pytest.mark.parametrize(("part", "most"), MOST if IN_CI else MOST[1:2])
def test_no_response_is_found_above_the_most_that_a_part_can_add_and_one_is_found_at_it(
    part: Any, most: Decimal
) -> None:
    above = {"few": (-9, most), "many": (most + Decimal("0.1"), 9)}
    at = {"few": (-9, most - Decimal("0.1")), "many": (most, 9)}
    few = {"score": "load", "band": "few"}
    for ends, failures in ((above, 0), (at, 1)):
        bands = [
            {"band": name, "from": low, "to": high, "display": name} for name, (low, high) in ends.items()
        ]
        assert len(proved([part], bands, few)) == failures


# ---- What is refused --------------------------------------------------------------------------------

RAISED = [{**band, "tier": "plan"} for band in BANDS]
GRADED = [{**band, "level": "low"} for band in BANDS]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"answer": "strength"}, "[0]: expected {answer: ..., from: ..., to: ...}"),
        (
            {"answer": "breaks", "from": 0, "to": 2},
            "[0]: expected from and to only with a question for a number",
        ),
        ({"answer": "breaks", "times": 0}, "[0].times: expected a number other than 0"),
        ({"answer": "strength", "from": 3}, "[0].from: expected from and to together"),
        ({"answer": "strength", "from": 3, "to": 3}, "[0].to: expected a number above from"),
        ({"answer": "breaks", "points": 3}, "[0].points: expected a number beside when"),
        ({"when": "one-sided"}, "[0].points: expected a number beside when"),
        ({"points": 1}, "[0].answer: expected either answer"),
        ({"when": "one-sided", "points": 1, "times": 2}, "[0].when: expected nothing but points beside it"),
        ({"when": "nothing", "points": 1}, "[0].when: expected the name of a finding"),
        ({"when": "strained", "points": 1}, "[0].when: expected a condition that rests on no score"),
        ({"answer": "tense-where", "reversed": True}, "[0]: expected a question that takes one answer"),
        ({"answer": "nights", "from": 0, "to": 9}, "[0]: expected a question that takes one answer"),
        ({"answer": "in-each-limb"}, "[0]: expected a question that is not below a group or question that"),
        (5, "[0]: expected a code"),
    ],
)
def test_a_fault_of_a_part_is_told_with_its_place(part: Any, words: str) -> None:
    assert f"scores.yaml: load.sum-of{words}" in faults_of({"sum-of": [part]})


@pytest.mark.parametrize(
    ("score", "words"),
    [
        ({"missing": "guess"}, "missing: expected interval, refuse, or {prorate"),
        ({"missing": {"prorate": {"at-most": 0}}}, "missing: expected interval, refuse, or {prorate"),
        ({"missing": {"prorate": {"at-most": 1}}}, "missing: expected prorate only where all parts are"),
        (
            {"sum-of": ["breaks", "tense"], "missing": {"prorate": {"at-most": 2}}},
            "missing.prorate.at-most: expected at most 1",
        ),
        ({"outcome": "tension"}, "outcome: expected an outcome where bands have levels, and only there"),
        ({"bands": RAISED}, "kind: is missing"),
        ({"bands": RAISED, "kind": "trigger"}, "bands: expected bands of different tiers"),
        (
            {"bands": [BANDS[0], {**BANDS[1], "tier": "up"}], "kind": "trigger"},
            "bands.many.tier: expected one of: rest",
        ),
        ({"kind": "unheard"}, "kind: expected one of: alarm"),
        (
            {"bands": [{**GRADED[0], "level": "top"}, GRADED[1]], "outcome": "tension"},
            "bands.few.level: expected one of: low, middle, high",
        ),
        ({"bands": GRADED, "outcome": "fear"}, "outcome: expected one of: tension"),
    ],
)
def test_a_fault_of_a_score_is_told_with_its_place(score: dict[str, Any], words: str) -> None:
    assert f"scores.yaml: load.{words}" in faults_of(score)


def faults_of(score: dict[str, Any]) -> str:
    with pytest.raises(GuidanceError) as caught:
        loaded(**score)
    return "\n".join(caught.value.faults)
