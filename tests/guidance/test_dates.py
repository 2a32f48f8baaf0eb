"""When and for whom: latest dates, addressees, the time to look again, safety steps, rows not done."""

from decimal import Decimal
from typing import Any

import dated_headache
import headache
import pytest
from headache import CALM, NO, NOT_SURE, YES, entry, local, respond

from service.datatypes.answers import Quantity
from service.guidance import Guidance, load
from service.guidance.result import Due, Fired, Result


def result_of(**answers: Any) -> Result:
    return dated_headache.guidance().evaluate(respond(**answers))


def calm_but(**answers: Any) -> Result:
    return result_of(**{name: value for name, value in (CALM | answers).items() if value is not None})


def pain_for(value: str, unit: str = "d", comparator: str = "") -> dict[str, Any]:
    return {
        "head_pain": YES,
        "head_side": local("back"),
        "head_since": Quantity(Decimal(value), unit, comparator),
    }


def told(due: Due | None) -> tuple[int, str, str] | None:
    return None if due is None else (due.days, due.to, due.rule.name)


def reason(result: Result, name: str) -> Fired:
    return next(fired for fired in result.fired if fired.rule.name == name)


def test_every_reason_has_its_own_date_else_that_of_its_step() -> None:
    result = calm_but(**pain_for("20") | {"tense": YES, "worse": YES})
    assert [(fired.rule.name, fired.days, fired.to) for fired in result.fired] == [
        ("worse-soon", 3, "desk-doctor"),
        ("long-pain-plans", 60, "eye-doctor"),
        ("signs-plan", 30, "desk-doctor"),
    ]


def test_the_date_is_the_earliest_of_all_reasons_and_that_of_the_step_stands_beside_it() -> None:
    documents = dated_headache.documents()
    entry(documents, "long-pain-plans")["within"] = {"parameter": "within-sooner"}
    entry(documents, "worse-soon")["within"] = {"parameter": "within-soon"}
    documents["guidance"]["parameters"].pop("within-later")
    result = load(documents, headache.form()).evaluate(respond(**CALM | pain_for("20") | {"worse": YES}))
    assert told(result.due) == (3, "eye-doctor", "long-pain-plans")
    assert told(result.step_due) == (7, "desk-doctor", "worse-soon")


def test_of_equal_dates_that_of_the_highest_step_counts() -> None:
    documents = dated_headache.documents()
    documents["guidance"]["parameters"]["within-plan"]["value"] = 7
    result = load(documents, headache.form()).evaluate(respond(**CALM | {"strength": 9, "neck_stiff": YES}))
    assert told(result.due) == told(result.step_due) == (7, "desk-doctor", "alarms-soon")


def test_nothing_that_fired_has_no_date() -> None:
    result = calm_but()
    assert (result.due, result.step_due, result.date_settled) == (None, None, True)


def test_a_guidance_without_dates_has_none_and_settles_with_its_step(guidance: Any) -> None:
    result = guidance.evaluate(respond(**CALM | {"sudden": True}))
    assert (result.due, result.step_due, result.date_settled, result.recheck) == (None, None, True, None)
    assert reason(result, "alarms-soon").days is None


def test_a_redirect_changes_whom_its_step_is_for_and_nothing_else() -> None:
    left = pain_for("1") | {"head_side": local("left"), "strength": 9}
    result = calm_but(**left)
    assert told(result.due) == (30, "head-doctor", "signs-plan")
    assert reason(result, "signs-plan").to == "head-doctor"
    both = calm_but(**left | {"head_side": [local("left"), local("front")]})
    assert told(both.due) == (30, "eye-doctor", "signs-plan")


def test_a_redirect_leaves_other_steps_and_reasons_with_an_addressee_of_their_own() -> None:
    result = calm_but(**pain_for("20") | {"head_side": local("left"), "neck_stiff": YES})
    assert reason(result, "alarms-soon").to == "desk-doctor"
    assert reason(result, "long-pain-plans").to == "eye-doctor"


def test_a_date_is_not_settled_while_an_open_question_could_bring_it_forward() -> None:
    result = calm_but(**pain_for("1") | {"neck_stiff": YES, "sudden": False, "worse": None, "tense": YES})
    assert (result.tier.settled, result.date_settled, result.settled) == (True, False, False)
    first = result.open[0]
    assert (first.link_id, first.moves) == ("worse", ("date", "tension"))


def test_a_question_that_could_only_bring_a_later_reason_leaves_the_date_settled() -> None:
    result = calm_but(neck_stiff=YES, strength=None)
    assert result.date_settled
    assert all("date" not in question.moves for question in result.open)


def test_at_the_highest_safety_step_no_question_is_open_although_levels_are_not_settled() -> None:
    result = result_of(sudden=True, neck_stiff=YES)
    assert (result.tier.settled, result.date_settled, result.settled) == (True, True, False)
    assert result.open == ()


def test_below_the_highest_safety_step_only_unanswered_questions_of_a_higher_one_are_open() -> None:
    documents = dated_headache.documents()
    documents["guidance"]["tiers"][2]["overlay"] = True
    two_steps = load(documents, headache.form())
    (question,) = two_steps.evaluate(respond(neck_stiff=YES)).open
    assert (question.link_id, question.moves, question.unsure) == ("sudden", ("tier",), False)
    below = two_steps.evaluate(respond(neck_stiff=NO, strength=9))
    assert {"date", "tension"} <= {target for question in below.open for target in question.moves}


def test_the_questions_of_safety_steps_are_those_that_their_rules_read() -> None:
    assert load(dated_headache.documents(), headache.form()).safety_questions == {"sudden", "neck-stiff"}


def test_at_a_safety_step_a_question_answered_with_not_sure_is_not_asked_again() -> None:
    documents = dated_headache.documents()
    documents["guidance"]["tiers"][2]["overlay"] = True
    entry(documents, "overlay-alarm")["when"]["all"].append({"answer": "tense", "is": "yes"})
    two_steps = load(documents, headache.form())
    unsure = two_steps.evaluate(respond(neck_stiff=YES, sudden=True, tense=NOT_SURE))
    assert (unsure.tier, unsure.open) == ((2, 3), ())
    (asked,) = two_steps.evaluate(respond(neck_stiff=YES, sudden=True)).open
    assert asked.link_id == "tense"


@pytest.mark.parametrize(
    ("answers", "days"),
    [
        (pain_for("3"), 11),
        (pain_for("13.5"), 1),
        (pain_for("14"), 1),
        (pain_for("1", "wk"), 7),
        (pain_for("36", "h"), 13),
        (pain_for("4", "d", "<="), 10),
        (pain_for("5", "d", "<"), 9),
        ({}, 90),
    ],
)
def test_the_time_to_look_again_is_a_day_after_it_began_as_long_as_that_lies_ahead(
    answers: dict[str, Any], days: int
) -> None:
    result = calm_but(**answers)
    assert (result.tier, result.recheck) == ((0, 0), days)


def test_where_the_day_is_past_or_has_no_end_the_time_to_look_again_counts_from_the_response() -> None:
    documents = dated_headache.documents()
    documents["guidance"]["parameters"]["again-on-day"]["value"] = 5
    early = load(documents, headache.form())
    assert early.evaluate(respond(**CALM | pain_for("6"))).recheck == 90
    assert early.evaluate(respond(**CALM | pain_for("4"))).recheck == 1
    documents["rules"] = [rule for rule in documents["rules"] if rule["rule"] != "long-pain-plans"]
    documents["guidance"]["parameters"].pop("within-later")
    documents["guidance"]["exceptions"] = documents["cases"] = []
    entry(documents, "was-checked")["kind"] = "recorded"
    never_long = load(documents, headache.form())
    assert never_long.evaluate(respond(**CALM | pain_for("1", "d", ">"))).recheck == 90


def test_there_is_no_time_to_look_again_at_another_step_or_while_the_step_is_open() -> None:
    assert calm_but(strength=9).recheck is None
    assert calm_but(sudden=None).recheck is None


def test_a_reason_says_whether_it_rests_on_an_answer_of_not_sure() -> None:
    assert reason(calm_but(neck_stiff=NOT_SURE), "alarms-soon").unsure
    assert not reason(calm_but(neck_stiff=YES), "alarms-soon").unsure
    assert not reason(calm_but(neck_stiff=NOT_SURE, sudden=True), "alarms-soon").unsure
    assert reason(calm_but(**pain_for("1") | {"worse": NOT_SURE}), "worse-soon").unsure
    assert not reason(calm_but(head_pain=YES, worse=YES, tense=NOT_SURE), "worse-soon").unsure


def test_an_option_that_is_ticked_beside_not_sure_is_sure() -> None:
    documents = dated_headache.documents()
    entry(documents, "at-the-front")["kind"] = "alarm"
    entry(documents, "now-on-overlay")["when"] = "at-the-front"
    entry(documents, "overlay-alarm")["kind"] = "recorded"
    guidance = load(documents, headache.form())
    for side, unsure in (([local("front"), NOT_SURE], False), ([local("back"), NOT_SURE], True)):
        result = guidance.evaluate(respond(head_pain=YES, head_side=side))
        assert reason(result, "now-on-overlay").unsure is unsure


def test_a_row_is_not_done_where_neither_side_matches_and_its_condition_holds() -> None:
    def row(**answers: Any) -> tuple[str, tuple[int, ...]]:
        (table,) = calm_but(**answers).tables
        return table.rows[0].state, (table.left, table.right, table.answered, table.open, table.not_done)

    assert row() == ("not-done", (0, 0, 1, 0, 1))
    assert row(checked=YES) == ("neither", (0, 0, 2, 0, 0))
    assert row(checked=NOT_SURE) == ("open", (0, 0, 1, 1, 0))
    assert row(**pain_for("1") | {"head_side": local("left")}) == ("left", (1, 0, 2, 0, 0))
    assert row(head_pain=None) == ("not-done", (0, 0, 0, 1, 1))


def faults_of(expect: dict[str, Any], **more: Any) -> tuple[str, ...]:
    documents = dated_headache.documents()
    documents["cases"] = [documents["cases"][0] | {"expect": expect, **more}]
    (case,) = load(documents, headache.form()).cases
    return case.faults(dated_headache.guidance().evaluate(headache.respond(case.answers)))


@pytest.mark.parametrize(
    ("expect", "faults"),
    [
        ({"date": None, "recheck": 90, "tables": {"tension-or-eyes": {"not-done": 1}}}, ()),
        ({"date": 14}, ("date: expected 14 days, found none",)),
        ({"to": "eye-doctor"}, ("to: expected eye-doctor, found nobody",)),
        ({"recheck": None}, ("recheck: expected none, found 90 days",)),
        (
            {"tables": {"tension-or-eyes": {"not-done": 2}}},
            ("tables: tension-or-eyes: expected not-done 2, found 1",),
        ),
    ],
)
def test_a_case_says_when_and_for_whom(expect: dict[str, Any], faults: tuple[str, ...]) -> None:
    assert faults_of(expect) == faults


def test_a_case_is_answered_on_a_day_that_it_names_or_inherits() -> None:
    documents = dated_headache.documents()
    documents["cases"] = [
        {"case": name, "about": "Somebody.", "expect": {"tier": ["rest", "now"]}, **more}
        for name, more in (
            ("first", {}),
            ("second", {"authored": "2025-12-31"}),
            ("third", {"like": "second"}),
        )
    ]
    days = [case.authored for case in load(documents, headache.form()).cases]
    assert days == ["2026-11-01", "2025-12-31", "2025-12-31"]


# What does not fit the other answers counts for a safety step as a not sure, never as a yes.


def with_an_unsure_sign(parts: list[Any]) -> Guidance:
    """The desk with two safety steps: all parts for the higher one, one of them unsure for the lower."""
    documents = dated_headache.documents()
    documents["guidance"]["tiers"][2]["overlay"] = True
    entry(documents, "stiff-neck").pop("not-sure")
    entry(documents, "overlay-alarm")["when"]["all"][1:] = parts
    entry(documents, "worse-soon")["when"] = {"unsure": "overlay-alarm"}
    for name in ("gets-worse", "no-pain"):
        entry(documents, name)["kind"] = "recorded"
    return load(documents, headache.form())


def test_a_contradiction_is_for_a_safety_step_a_not_sure_and_never_a_yes() -> None:
    guidance = with_an_unsure_sign(["sudden-pain", "stiff-neck"])
    clash = CALM | pain_for("1") | {"strength": 9, "sudden": True}
    result = guidance.evaluate(respond(**clash))
    assert "wrong-side" in [contradiction.name for contradiction in result.contradictions]
    assert result.findings["overlay-alarm"] == "present"
    assert (result.tier, result.due and result.due.days) == ((2, 3), 3)
    sign = reason(result, "worse-soon")
    assert (sign.unsure, sign.answers) == (True, ("head-side", "strength", "tense"))
    assert guidance.evaluate(respond(**clash | {"neck_stiff": YES})).tier == (3, 3)
    assert guidance.evaluate(respond(**clash | {"neck_stiff": NOT_SURE})).tier == (2, 3)


def test_below_a_safety_step_the_same_contradiction_counts_as_a_yes() -> None:
    guidance = with_an_unsure_sign(["strong-pain", "stiff-neck"])
    clash = CALM | pain_for("1") | {"strength": 9}
    result = guidance.evaluate(respond(**clash))
    assert (result.tier, reason(result, "worse-soon").unsure) == ((2, 3), True)
    assert not any(fired.rule.tier == "now" for fired in result.fired)


def test_an_answer_to_a_closed_question_is_for_a_safety_step_a_not_sure() -> None:
    guidance = with_an_unsure_sign(["sudden-pain", "one-sided"])
    closed = respond(**CALM | {"sudden": True}, head_side=local("left"))
    result = guidance.evaluate(closed)
    assert (result.tier, reason(result, "worse-soon").unsure) == ((2, 3), True)
    assert [contradiction.name for contradiction in result.contradictions] == ["unfit-head-side"]
    open_again = respond(**CALM | {"head_pain": YES, "sudden": True}, head_side=local("left"))
    assert guidance.evaluate(open_again).tier == (3, 3)
