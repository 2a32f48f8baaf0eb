"""What the engine makes of single responses to the fixture guidance."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import headache
import pytest
from headache import CALM, NO, NOT_SURE, YES, entry, local

from service.datatypes.answers import Answers, Coding, Quantity
from service.guidance import Guidance, load
from service.guidance.result import Result

Respond = Callable[..., Answers]


def tier_of(result: Result) -> tuple[str, str]:
    return result.tiers[result.tier.at_least].code, result.tiers[result.tier.at_most].code


def fired_in(result: Result) -> dict[str, tuple[str, ...]]:
    return {fired.rule.name: fired.answers for fired in result.fired}


def test_nothing_answered_leaves_everything_possible(guidance: Guidance, respond: Respond) -> None:
    result = guidance.evaluate(respond())
    assert tier_of(result) == ("rest", "now")
    assert not result.settled
    assert set(result.findings.values()) == {"unknown", "absent"}
    assert result.findings["never-there"] == "absent"


def test_a_complete_calm_response_is_settled_at_the_lowest_tier(guidance: Guidance, respond: Respond) -> None:
    result = guidance.evaluate(respond(**CALM))
    assert tier_of(result) == ("rest", "rest")
    assert (result.settled, result.open, result.fired) == (True, (), ())


def test_false_and_zero_are_answers(guidance: Guidance, respond: Respond) -> None:
    result = guidance.evaluate(respond(sudden=False, strength=0))
    assert result.findings["sudden-pain"] == "absent"
    assert result.findings["mild-pain"] == "present"


def test_an_empty_list_of_answers_is_unknown_not_no(guidance: Guidance) -> None:
    result = guidance.evaluate(Answers({"neck-stiff": ()}))
    assert result.findings["stiff-neck"] == "unknown"


def test_answers_to_questions_that_nothing_reads_are_passed_over(guidance: Guidance) -> None:
    assert guidance.evaluate(Answers({"lunch": (YES,)})) == guidance.evaluate(Answers({}))


def test_not_sure_is_unknown_unless_the_finding_says_present(guidance: Guidance, respond: Respond) -> None:
    result = guidance.evaluate(
        respond(neck_stiff=NOT_SURE, tense=NOT_SURE, head_pain=NOT_SURE, worse=NOT_SURE)
    )
    assert result.findings["stiff-neck"] == "present"
    assert result.findings["no-pain"] == "unknown"
    assert result.findings["said-not-sure"] == "present"


def test_a_finding_that_names_not_sure_itself_or_reads_a_number_may_also_say_present() -> None:
    documents = headache.documents()
    for name in ("said-not-sure", "long-pain"):
        entry(documents, name)["not-sure"] = "present"
    present = load(documents, headache.form())
    assert present.evaluate(headache.respond(worse=NOT_SURE)).findings["said-not-sure"] == "present"
    assert present.evaluate(headache.respond(worse=NO)).findings["said-not-sure"] == "absent"
    assert present.evaluate(Answers({})).findings["long-pain"] == "unknown"


def test_not_sure_beside_options_leaves_the_others_unknown(guidance: Guidance, respond: Respond) -> None:
    result = guidance.evaluate(respond(head_pain=YES, head_side=[local("back"), NOT_SURE]))
    assert result.findings["one-sided"] == "unknown"
    assert result.findings["at-the-front"] == "present"


def test_a_hidden_question_is_absent_and_an_open_gate_leaves_it_unknown(
    guidance: Guidance, respond: Respond
) -> None:
    assert guidance.evaluate(respond(head_pain=NO)).findings["one-sided"] == "absent"
    assert guidance.evaluate(respond()).findings["one-sided"] == "unknown"


def test_free_text_beside_options_may_mean_any_of_them(guidance: Guidance, respond: Respond) -> None:
    assert guidance.evaluate(respond(glasses="blue ones")).findings["new-glasses"] == "unknown"
    foreign = Coding("http://example.org/other", "new")
    assert guidance.evaluate(respond(glasses=foreign)).findings["new-glasses"] == "unknown"


@pytest.mark.parametrize(
    ("value", "unit", "state"),
    [
        ("14", "d", "absent"),
        ("14.000001", "d", "present"),
        ("2", "wk", "absent"),
        ("336", "h", "absent"),
        ("336.5", "h", "present"),
        ("0.4", "mo", "absent"),
        ("0.46", "mo", "present"),
        ("20160", "min", "absent"),
        ("20161", "min", "present"),
        ("1", "kg", "unknown"),
        ("1", "no unit at all", "unknown"),
    ],
)
def test_durations_are_compared_exactly_in_any_unit_of_time(
    guidance: Guidance, value: str, unit: str, state: str
) -> None:
    answers = Answers({"head-pain": (YES,), "head-since": (Quantity(Decimal(value), unit),)})
    assert guidance.evaluate(answers).findings["long-pain"] == state


@pytest.mark.parametrize(
    ("value", "unit", "state"),
    [
        ("14.9", "ug/L", "present"),
        ("15", "ng/mL", "absent"),
        ("1.49", "ug/dL", "present"),
        ("0.033", "nmol/L", "present"),
        ("0.034", "nmol/L", "absent"),
        ("0.00004", "umol/L", "absent"),
        ("5", "[IU]/L", "unknown"),
    ],
)
def test_the_parameter_with_a_comparable_unit_is_used(
    guidance: Guidance, value: str, unit: str, state: str
) -> None:
    answers = Answers({"ferritin": (Quantity(Decimal(value), unit),)})
    assert guidance.evaluate(answers).findings["low-iron"] == state


@pytest.mark.parametrize("value", [True, "7", YES])
def test_an_answer_of_another_type_is_unknown_for_a_number(guidance: Guidance, value: Any) -> None:
    assert guidance.evaluate(Answers({"strength": (value,)})).findings["strong-pain"] == "unknown"


def test_several_numbers_count_as_beyond_if_one_is(guidance: Guidance) -> None:
    assert guidance.evaluate(Answers({"strength": (1, 9)})).findings["strong-pain"] == "present"


def test_fired_rules_stand_by_tier_then_priority_then_file(guidance: Guidance, respond: Respond) -> None:
    answers = respond(
        head_pain=YES,
        worse=YES,
        neck_stiff=YES,
        strength=9,
        head_since=Quantity(Decimal(1), "mo"),
        checked=NO,
    )
    assert list(fired_in(guidance.evaluate(answers))) == [
        "worse-soon",
        "alarms-soon",
        "long-pain-plans",
        "signs-plan",
    ]


def test_a_fired_rule_names_the_answers_that_made_it_hold(guidance: Guidance, respond: Respond) -> None:
    answers = respond(
        head_pain=YES,
        worse=YES,
        neck_stiff=YES,
        strength=9,
        head_since=Quantity(Decimal(1), "mo"),
        checked=NO,
        tense=NO,
    )
    fired = fired_in(guidance.evaluate(answers))
    assert fired["worse-soon"] == ("head-pain", "worse")
    assert fired["alarms-soon"] == ("neck-stiff",)
    assert fired["long-pain-plans"] == ("head-since", "checked")


def test_a_counted_finding_names_only_the_parts_that_hold(guidance: Guidance, respond: Respond) -> None:
    calm = CALM | {"breaks": local("never"), "screen_hours": Decimal(9)}
    fired = fired_in(guidance.evaluate(respond(**calm)))
    assert fired == {"signs-plan": ("screen-hours", "breaks")}


def test_a_finding_that_only_a_contradiction_forces_is_present_and_names_both_answers(
    guidance: Guidance, respond: Respond
) -> None:
    answers = respond(**CALM, head_since=Quantity(Decimal(1), "h"))
    result = guidance.evaluate(answers)
    assert result.findings["long-pain"] == "present"
    assert [contradiction.name for contradiction in result.contradictions] == ["no-pain-but-since"]
    assert fired_in(result)["long-pain-plans"] == ("head-pain", "head-since", "checked")


def test_an_answer_that_a_contradiction_reads_did_count(guidance: Guidance, respond: Respond) -> None:
    answers = respond(
        **CALM, head_since=Quantity(Decimal(1), "h"), tense_jaw=local("a-lot"), head_side=local("left")
    )
    assert guidance.evaluate(answers).ignored == ("tense-jaw",)


def test_an_ignored_answer_that_raises_nothing_counts_for_nothing(
    guidance: Guidance, respond: Respond
) -> None:
    result = guidance.evaluate(respond(**CALM, tense_jaw=local("a-lot")))
    assert result.ignored == ("tense-jaw",)
    assert result.contradictions == ()
    assert tier_of(result) == tier_of(guidance.evaluate(respond(**CALM)))


def test_an_ignored_answer_that_is_worse_counts_and_is_named(guidance: Guidance, respond: Respond) -> None:
    result = guidance.evaluate(respond(**CALM, head_side=local("left")))
    assert result.findings["one-sided"] == "present"
    assert result.ignored == ()
    assert [contradiction.name for contradiction in result.contradictions] == ["unfit-head-side"]


def test_an_ignored_answer_gives_way_to_the_chart_and_to_what_nothing_reads(guidance: Guidance) -> None:
    since = (Quantity(Decimal(1), "h"),)
    answers = Answers(
        {"head-pain": (NO,)},
        closed=frozenset({"head-since"}),
        ignored={"lunch": (YES,), "head-since": since},
        chart={"head-since": since},
    )
    result = guidance.evaluate(answers)
    assert [contradiction.name for contradiction in result.contradictions] == ["no-pain-but-since"]
    assert result.ignored == ("lunch",)


def test_a_contradiction_that_is_still_possible_keeps_the_worse_finding_possible(
    guidance: Guidance, respond: Respond
) -> None:
    calm = {name: value for name, value in CALM.items() if name != "strength"} | {"head_pain": YES}
    result = guidance.evaluate(respond(**calm, head_side=local("back"), head_since=Quantity(Decimal(1), "d")))
    assert result.findings["stiff-neck"] == "unknown"
    assert tier_of(result) == ("rest", "soon")
    assert [question.link_id for question in result.open] == ["strength"]


def test_a_contradiction_that_reads_a_finding_is_scored_by_the_worse(
    guidance: Guidance, respond: Respond
) -> None:
    result = guidance.evaluate(respond(**CALM | {"strength": 8}))
    assert [contradiction.name for contradiction in result.contradictions] == ["calm-but-strong"]
    assert result.findings["strained"] == "present"
    (tension, _) = result.risks
    assert tension.level == (2, 2)


def test_the_first_rule_of_an_outcome_that_holds_decides(guidance: Guidance, respond: Respond) -> None:
    (tension, eyes) = guidance.evaluate(respond(**CALM)).risks
    assert [fired.rule.name for fired in tension.fired] == ["tension-low"]
    assert [fired.rule.name for fired in eyes.fired] == ["eyes-else"]
    assert eyes.fired[0].answers == ()


def test_later_rules_for_the_same_level_stand_after_the_one_that_decides(
    guidance: Guidance, respond: Respond
) -> None:
    answers = respond(
        **CALM | {"head_pain": YES}, head_since=Quantity(Decimal(1), "h"), head_side=local("left")
    )
    (tension, _) = guidance.evaluate(answers).risks
    assert [fired.rule.name for fired in tension.fired] == ["tension-low", "tension-short"]


def test_a_rule_for_absence_names_the_answers_below_it(guidance: Guidance, respond: Respond) -> None:
    (tension, _) = guidance.evaluate(respond(**CALM)).risks
    assert tension.fired[0].answers == ("sudden", "neck-stiff", "strength")


def test_an_outcome_is_listed_always_or_from_its_level_upward(guidance: Guidance, respond: Respond) -> None:
    tension, eyes = guidance.evaluate(respond(**CALM)).risks
    assert (tension.listed, eyes.listed) == (True, False)
    _, eyes = guidance.evaluate(respond(**CALM | {"glasses": local("new"), "screen_hours": Decimal(9)})).risks
    assert eyes.listed


def test_open_questions_stand_with_red_flags_first_then_in_the_order_of_the_form(
    guidance: Guidance, respond: Respond
) -> None:
    result = guidance.evaluate(respond())
    links = [question.link_id for question in result.open]
    assert links[:2] == ["sudden", "neck-stiff"]
    rest = [guidance.form.questions[link_id].order for link_id in links[2:]]
    assert rest == sorted(rest)
    assert [question.red_flag for question in result.open[:3]] == [True, True, False]


def test_an_open_question_says_what_it_can_move(guidance: Guidance, respond: Respond) -> None:
    calm = {name: value for name, value in CALM.items() if name not in ("sudden", "screen_hours")}
    result = guidance.evaluate(respond(**calm | {"glasses": local("new")}))
    assert [(question.link_id, question.moves) for question in result.open] == [
        ("sudden", ("tier", "tension")),
        ("screen-hours", ("eyes",)),
    ]


def test_a_question_that_can_move_nothing_any_more_is_not_asked(guidance: Guidance, respond: Respond) -> None:
    result = guidance.evaluate(respond(sudden=True, neck_stiff=YES))
    assert tier_of(result) == ("now", "now")
    assert "tier" not in {target for question in result.open for target in question.moves}
    assert "checked" not in {question.link_id for question in result.open}


def test_an_undecided_rule_that_would_only_say_what_follows_anyway_opens_no_question(
    guidance: Guidance, respond: Respond
) -> None:
    calm = {name: value for name, value in CALM.items() if name not in ("sudden", "tense_where")}
    result = guidance.evaluate(respond(**calm | {"breaks": local("rarely")}))
    (tension, _) = result.risks
    assert (result.findings["strained"], tension.level) == ("unknown", (0, 1))
    assert [question.link_id for question in result.open] == ["sudden"]


def test_a_question_that_may_still_be_hidden_gives_way_to_the_one_that_decides_that(
    guidance: Guidance, respond: Respond
) -> None:
    calm = {name: value for name, value in CALM.items() if name not in ("tense", "head_pain")}
    result = guidance.evaluate(respond(**calm | {"head_pain": YES}, head_side=local("left")))
    assert [question.link_id for question in result.open] == ["head-since", "tense"]
    result = guidance.evaluate(respond(**calm | {"head_pain": YES, "tense": YES}, head_side=local("left")))
    assert [question.link_id for question in result.open] == ["head-since", "tense-jaw"]


def test_a_question_answered_with_not_sure_is_open_and_marked_so(
    guidance: Guidance, respond: Respond
) -> None:
    result = guidance.evaluate(respond(**CALM | {"tense": NOT_SURE, "worse": YES}, note="x"))
    assert not result.settled
    assert [(question.link_id, question.unsure) for question in result.open] == [("tense", True)]


def test_a_chart_value_counts_beside_an_answer_only_where_it_is_worse(
    guidance: Guidance, respond: Respond
) -> None:
    worse = guidance.evaluate(respond(**CALM, chart={"strength": (9,)}))
    assert worse.findings["strong-pain"] == "present"
    assert "unfit-strength" in [contradiction.name for contradiction in worse.contradictions]
    better = guidance.evaluate(respond(**CALM | {"strength": 9}, chart={"strength": (1,)}))
    assert better.findings["strong-pain"] == "present"
    assert "unfit-strength" not in [contradiction.name for contradiction in better.contradictions]


def test_a_chart_value_stands_in_where_nothing_is_answered(guidance: Guidance, respond: Respond) -> None:
    chart = {"strength": (9,), "sudden": (True,)}
    calm = {name: value for name, value in CALM.items() if name != "strength"}
    assert guidance.evaluate(respond(**calm, chart=chart)).findings["strong-pain"] == "present"


def test_a_chart_value_counts_for_a_question_that_is_hidden(guidance: Guidance, respond: Respond) -> None:
    chart = {"head-since": (Quantity(Decimal(1), "mo"),)}
    result = guidance.evaluate(respond(**CALM, chart=chart))
    assert result.findings["long-pain"] == "present"


def test_a_table_says_for_each_row_which_side_it_matches(guidance: Guidance, respond: Respond) -> None:
    answers = respond(
        **CALM | {"head_pain": YES, "strength": 8, "tense": YES}, head_side=[local("left"), local("front")]
    )
    (table,) = guidance.evaluate(answers).tables
    assert [row.state for row in table.rows] == ["both", "left", "informs-only"]
    assert (table.left, table.right, table.answered, table.open) == (2, 1, 2, 0)
    (table,) = guidance.evaluate(respond()).tables
    assert [row.state for row in table.rows] == ["open", "open", "informs-only"]
    assert (table.left, table.right, table.answered, table.open) == (0, 0, 0, 2)
    (table,) = guidance.evaluate(respond(**CALM)).tables
    assert [row.state for row in table.rows] == ["neither", "neither", "informs-only"]
    (table,) = guidance.evaluate(
        respond(head_pain=YES, head_side=local("front"), head_since=Quantity(Decimal(1), "h"))
    ).tables
    assert [row.state for row in table.rows] == ["right", "open", "informs-only"]


def test_a_score_is_an_interval_while_questions_are_open(guidance: Guidance, respond: Respond) -> None:
    (total,) = guidance.evaluate(respond()).totals
    assert (total.at_least, total.at_most, total.bands, total.answered) == (-1, 9, ("little", "much"), 0)
    (total,) = guidance.evaluate(respond(breaks=local("rarely"), tense=NO)).totals
    assert (total.at_least, total.at_most, total.answered) == (Decimal("0.5"), Decimal("3.5"), 2)


def test_not_sure_has_no_weight_and_leaves_the_score_open(guidance: Guidance, respond: Respond) -> None:
    (total,) = guidance.evaluate(respond(**CALM | {"tense": NOT_SURE})).totals
    assert (total.at_least, total.at_most, total.answered) == (0, 2, 2)


def test_several_answers_add_their_weights(guidance: Guidance, respond: Respond) -> None:
    (total,) = guidance.evaluate(
        respond(**CALM | {"tense_where": [local("neck"), local("hands"), local("back")]})
    ).totals
    assert total.at_least == total.at_most == 1


def test_a_hidden_question_adds_nothing(guidance: Guidance, respond: Respond) -> None:
    (total,) = guidance.evaluate(respond(**CALM | {"tense": YES})).totals
    assert (total.at_least, total.at_most) == (2, 4)
    (total,) = guidance.evaluate(respond(**CALM)).totals
    assert (total.at_least, total.at_most) == (0, 0)


def test_a_rule_on_a_score_names_the_questions_of_the_score(guidance: Guidance, respond: Respond) -> None:
    answers = respond(
        **CALM | {"breaks": local("never"), "tense": YES, "strength": 5}, tense_jaw=local("a-lot")
    )
    (tension, _) = guidance.evaluate(answers).risks
    assert [fired.rule.name for fired in tension.fired] == ["tension-high"]
    assert tension.fired[0].answers == ("breaks", "tense", "tense-jaw", "tense-where")


def test_advice_that_applies_comes_first_then_general_advice(guidance: Guidance, respond: Respond) -> None:
    def advised(**answers: Any) -> list[str]:
        return [advice.name for advice in guidance.evaluate(respond(**answers)).advice]

    assert advised(**CALM) == ["when-calm", "always-move"]
    assert advised(**CALM | {"sudden": True}) == ["ask-help", "when-soon", "always-move"]
    assert advised(**CALM | {"breaks": local("never")}) == ["when-calm", "take-breaks", "always-move"]


def test_safety_advice_is_shown_while_its_condition_is_unknown(guidance: Guidance, respond: Respond) -> None:
    result = guidance.evaluate(respond())
    assert [advice.name for advice in result.advice] == ["ask-help", "always-move"]
    assert [advice.name for advice in result.precautions] == ["ask-help"]
    assert guidance.evaluate(respond(**CALM | {"sudden": True})).precautions == ()


def test_the_same_answers_give_an_equal_result(guidance: Guidance, respond: Respond) -> None:
    assert guidance.evaluate(respond(**CALM)) == headache.guidance().evaluate(respond(**CALM))
    assert guidance.evaluate(respond(**CALM)) != guidance.evaluate(respond(**CALM | {"sudden": True}))


def test_the_states_of_findings_can_be_shown(guidance: Guidance, respond: Respond) -> None:
    findings = guidance.evaluate(respond(**CALM)).findings
    assert len(findings) == len(guidance.written.findings)
    assert "'no-pain': 'present'" in repr(findings)


def test_a_guidance_without_outcomes_scores_and_tables_is_evaluated() -> None:
    documents = headache.documents()
    kept = {"sudden-pain", "stiff-neck"}
    documents["findings"] = [finding for finding in documents["findings"] if finding["finding"] in kept]
    documents["rules"] = [rule for rule in documents["rules"] if rule["rule"] == "alarms-soon"]
    header = documents["guidance"]
    header |= {"outcomes": [], "levels": {}, "exceptions": [], "promises": [], "parameters": {}}
    header["tiers"] = [tier for tier in header["tiers"] if tier["tier"] in ("rest", "soon")]
    documents |= {"comparisons": [], "advice": [], "contradictions": [], "cases": []}
    documents["sources"] = documents["sources"][:1]
    del documents["scores"]
    small = load(documents, headache.form())
    result = small.evaluate(Answers({"sudden": (True,)}))
    assert (result.risks, result.tables, result.totals, result.advice) == ((), (), (), ())
    assert (result.settled, tier_of(result)) == (True, ("soon", "soon"))
    assert [question.link_id for question in small.evaluate(Answers({})).open] == ["sudden", "neck-stiff"]


def test_an_answer_to_a_closed_question_counts_where_it_makes_a_level_worse(respond: Respond) -> None:
    documents = headache.documents()
    entry(documents, "eyes-high")["when"] = {"answer": "head-side", "is": "front"}
    for name in ("new-glasses", "at-the-front"):
        entry(documents, name)["kind"] = "recorded"
    documents["guidance"]["outcomes"][1]["worse"] = "higher"
    result = load(documents, headache.form()).evaluate(respond(**CALM, head_side=local("front")))
    _, eyes = result.risks
    assert eyes.level == (1, 1)
    assert [contradiction.name for contradiction in result.contradictions] == ["unfit-head-side"]
    assert [fired.answers for fired in eyes.fired] == [("head-side",)]
    for worse in ("lower", None):
        documents["guidance"]["outcomes"][1] |= {"worse": worse}
        documents["guidance"]["outcomes"][1] = {
            key: value for key, value in documents["guidance"]["outcomes"][1].items() if value is not None
        }
        result = load(documents, headache.form()).evaluate(respond(**CALM, head_side=local("front")))
        _, eyes = result.risks
        assert (eyes.level, result.ignored) == ((0, 0), ("head-side",))


def test_answers_that_do_not_fit_lift_no_step_or_level_that_holds_without_them(respond: Respond) -> None:
    documents = headache.documents()
    entry(documents, "signs-plan")["when"] = {"all": ["strong-pain", {"not": "one-sided"}]}
    entry(documents, "tension-low")["when"] = {"any": ["long-pain", "one-sided"]}
    entry(documents, "eyes-high")["when"]["any"].append("one-sided")
    for outcome in documents["guidance"]["outcomes"]:
        outcome["worse"] = "higher"
    for name in ("several-signs", "low-iron", "nothing-bad", "mild-pain"):
        entry(documents, name)["kind"] = "recorded"
    documents["contradictions"] = [entry(documents, "no-pain-but-since")]
    documents["cases"] = []
    guidance = load(documents, headache.form())
    fits = respond(**CALM | {"strength": 9})
    unfit = respond(**CALM | {"strength": 9}, head_side=local("left"))
    for answers in (fits, unfit):
        result = guidance.evaluate(answers)
        assert tier_of(result) == ("plan", "plan")
        assert result.risks[0].level == (1, 1)
    assert result.findings["one-sided"] == "present"
    assert result.risks[1].level == (1, 1)


def test_what_a_contradiction_makes_worse_holds_for_every_outcome(respond: Respond) -> None:
    documents = headache.documents()
    entry(documents, "wrong-side")["worse"] = ["stiff-neck", "much-screen"]
    answers = respond(
        **CALM | {"head_pain": YES, "strength": 9, "glasses": local("new")},
        head_side=local("back"),
        head_since=Quantity(Decimal(1), "d"),
    )
    result = load(documents, headache.form()).evaluate(answers)
    assert [contradiction.name for contradiction in result.contradictions] == [
        "calm-but-strong",
        "wrong-side",
    ]
    assert tier_of(result) == ("soon", "soon")
    assert result.risks[1].level == (1, 1)
