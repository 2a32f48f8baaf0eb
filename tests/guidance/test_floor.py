"""The floor: which questions of a person can each alone change the step, its date or a level."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import headache
from headache import NO, YES, local

from service.datatypes.answers import AnswersByLink, Quantity
from service.datatypes.form import Form, Question
from service.guidance import Guidance, load
from service.guidance.floor import Floor, floor_of

DAY = date(2026, 11, 1)

CALM: AnswersByLink = {
    "head-pain": (NO,),
    "sudden": (False,),
    "neck-stiff": (NO,),
    "worse": (NO,),
    "strength": (1,),
    "screen-hours": (Decimal(2),),
    "breaks": (local("often"),),
    "tense": (NO,),
    "tense-where": (local("nowhere"),),
    "glasses": (local("old"),),
    "ferritin": (Quantity(Decimal(50), "ug/L"),),
    "checked": (NO,),
}
"""Somebody with nothing at all; the note is left out."""


def date_before(days: int) -> str:
    return (DAY - timedelta(days=days)).isoformat()


def floor(guidance: Guidance, given: AnswersByLink) -> Floor:
    asked, _ = headache.asked(given)
    return floor_of(
        guidance,
        given,
        asked=asked,
        result_of=lambda answers: guidance.evaluate(headache.respond(answers)),
        date_before=date_before,
    )


def changing(given: AnswersByLink, guidance: Guidance | None = None) -> tuple[str, ...]:
    return floor(guidance or headache.guidance(), given).changing


def test_what_is_asked_is_what_the_answers_leave_enabled_whether_answered_or_not(guidance: Guidance) -> None:
    found = floor(guidance, CALM)
    assert found.asked == (*[link for link in CALM if link != "checked"], "note", "checked")
    assert floor(guidance, {**CALM, "tense": (YES,)}).asked.count("tense-jaw") == 1


def test_a_question_counts_where_one_answer_to_it_changes_the_step_or_a_level(guidance: Guidance) -> None:
    """Pain on one side, much screen work or few breaks alone are no second sign; a note is only recorded."""
    assert changing(CALM, guidance) == ("head-pain", "sudden", "neck-stiff", "strength", "tense", "ferritin")


def test_a_second_sign_makes_the_question_behind_it_count(guidance: Guidance) -> None:
    busy = {**CALM, "screen-hours": (Decimal(9),)}
    assert set(changing(busy, guidance)) - set(changing(CALM, guidance)) == {"breaks", "glasses"}


def test_a_number_is_tried_on_every_parameter_and_on_both_sides_of_it(guidance: Guidance) -> None:
    """Strength is compared with 2 and 7; hours with 6 and 14 days, in the first unit of the question."""
    assert tried("strength", guidance) == [1, 8, 4, 2, 7]
    hours = [3, 337, 171, 6, 336]
    assert tried("head-since", guidance) == [Quantity(Decimal(number), "h") for number in hours]


def tried(link_id: str, guidance: Guidance) -> list[Any]:
    """The answers to a question that are tried."""
    found: list[Any] = []

    def result_of(answers: AnswersByLink) -> Any:
        found.extend(answers.get(link_id, ()))
        return guidance.evaluate(headache.respond(CALM))

    given = {link: answers for link, answers in CALM.items() if link != link_id}
    floor_of(guidance, given, asked={link_id}, result_of=result_of, date_before=date_before)
    return found


def test_several_options_of_a_list_are_tried_together(guidance: Guidance) -> None:
    """Neither place alone says anything; both together do."""
    documents: dict[str, Any] = headache.documents()
    [rule] = [each for each in documents["rules"] if each["rule"] == "signs-plan"]
    rule["when"]["any"].append({"all": [{"answer": "tense-where", "is": code} for code in ("neck", "back")]})
    assert "tense-where" not in changing(CALM, guidance)
    assert "tense-where" in changing(CALM, load(documents, headache.form()))


def test_a_question_that_can_only_bring_the_date_forward_counts() -> None:
    planned = {**CALM, "head-pain": (YES,), "head-side": (local("back"),), "strength": (8,)}
    planned["head-since"] = (Quantity(Decimal(2), "d"),)
    assert "head-since" not in changing(planned)
    assert "head-since" in changing(planned, dated())


def dated() -> Guidance:
    """The fixture with a later date for the step than for long pain."""
    documents: dict[str, Any] = headache.documents()
    for name, days in (("plan-within", 42), ("sooner", 7)):
        means = {"means": "A latest date.", "origin": "project", "sources": []}
        documents["guidance"]["parameters"][name] = {"value": days, "unit": "d", "edge": "at most", **means}
    documents["guidance"]["tiers"][1]["within"] = {"parameter": "plan-within"}
    [rule] = [each for each in documents["rules"] if each["rule"] == "long-pain-plans"]
    rule["within"] = {"parameter": "sooner"}
    return load(documents, headache.form())


def test_a_date_is_tried_around_the_days_that_the_parameters_count() -> None:
    """Those of the fixture are 6 hours and 14 days; the day itself counts as well."""
    question = Question("seen-on", "When were you seen?", "date", (), order=len(headache.questions()))
    form = Form(headache.CANONICAL, {**headache.form().questions, "seen-on": question})
    guidance = load(headache.documents(), form)
    assert tried("seen-on", guidance) == [
        "2026-11-01",
        "2026-10-31",
        "2026-10-19",
        "2026-10-18",
        "2026-10-17",
    ]
