"""Dates are days before the response was written, and quantities follow from them."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from operator import ge, gt, le, lt
from typing import Any

import headache
import pytest
from desk_dates import AUTHORED, WEEK, WRITTEN, documents, form
from examples import examples
from headache import YES
from hypothesis import given
from hypothesis import strategies as st

from service.datatypes.answers import UNREAD, Answer, Answers, Quantity
from service.errors import GuidanceError
from service.guidance import Guidance, load
from service.guidance.result import Result

LOADED: list[Guidance] = []


def guidance() -> Guidance:
    if not LOADED:
        LOADED.append(load(documents(), form()))
    return LOADED[0]


def result(given: Mapping[str, Any], authored: str = WRITTEN, closed: frozenset[str] = frozenset()) -> Result:
    answers = {link: (value,) for link, value in given.items()}
    return guidance().evaluate(Answers({"head-pain": (YES,), **answers}, closed, authored=authored))


@pytest.mark.parametrize(
    ("written", "within", "long_before"),
    [
        ("2026-03-10", "present", "absent"),
        ("2026-03-11", "present", "absent"),
        ("2026-03-03", "present", "absent"),
        ("2026-03-02", "absent", "present"),
        ("2025", "absent", "present"),
        ("2026-02", "absent", "present"),
        ("2026-03", "unknown", "unknown"),
        ("2026", "unknown", "unknown"),
    ],
)
def test_a_date_is_so_many_days_before_the_response_was_written(
    written: str, within: str, long_before: str
) -> None:
    findings = result({"seen-on": written}).findings
    assert (findings["within-a-week"], findings["long-before"]) == (within, long_before)
    assert findings["has-a-date"] == "present"


@pytest.mark.parametrize("authored", ["", "2026", "2026-03"])
def test_a_date_decides_nothing_where_nobody_knows_on_which_day_the_response_was_written(
    authored: str,
) -> None:
    findings = result({"seen-on": "2020-01-01"}, authored).findings
    assert findings["within-a-week"] == findings["long-before"] == "unknown"
    assert findings["has-a-date"] == "present"


@pytest.mark.parametrize("authored", ["2026-03-10", "2026-03-10T00:00:00Z", "2026-03-10T23:59:59.5-11:00"])
def test_days_are_counted_in_the_calendar_as_both_dates_are_written(authored: str) -> None:
    assert result({"exam-at": "2026-03-03T00:00:00Z"}, authored).findings["old-exam"] == "absent"
    assert result({"exam-at": "2026-03-02T23:59:59+14:00"}, authored).findings["old-exam"] == "present"


def days(number: str, unit: str = "d", comparator: str = "") -> Quantity:
    return Quantity(Decimal(number), unit, comparator)


@pytest.mark.parametrize(
    ("since", "seen_on", "later", "unsure"),
    [
        (days("14"), "2026-03-03", "present", "absent"),
        (days("13.9"), "2026-03-03", "absent", "absent"),
        (days("2", "wk"), "2026-03-03", "present", "absent"),
        (days("1", "mo"), "2026-02-14", "absent", "absent"),  # 30.4375 d - 24 d
        (days("1", "mo"), "2026-02-15", "present", "absent"),
        (days("14", "d", ">"), "2026-03-03", "present", "absent"),
        (days("14", "d", "<="), "2026-03-03", "unknown", "present"),
        (days("14", "d", "<"), "2026-03-03", "absent", "absent"),
        (days("3", "d", ">"), "2026-03-03", "unknown", "present"),
        (days("20"), "2026-03", "present", "absent"),
        (days("15"), "2026-03", "unknown", "present"),
        (days("5"), "2026-03", "absent", "absent"),
        (days("5", "kg"), "2026-03-03", "unknown", "present"),
        ("about a month", "2026-03-03", "unknown", "present"),
        (days("14"), UNREAD, "unknown", "unknown"),
        (None, "2026-03-03", "unknown", "unknown"),
        (days("14"), None, "unknown", "unknown"),
    ],
)
def test_a_difference_is_what_both_quantities_allow(
    since: Any, seen_on: Any, later: str, unsure: str
) -> None:
    given = {"head-since": since, "seen-on": seen_on}
    findings = result({link: value for link, value in given.items() if value is not None}).findings
    assert (findings["seen-a-week-later"], findings["unsure-how-long"]) == (later, unsure)


@pytest.mark.parametrize("closed", ["head-since", "seen-on"])
def test_what_follows_from_a_question_that_was_rightly_not_asked_is_absent(closed: str) -> None:
    findings = result({}, closed=frozenset({closed})).findings
    assert (findings["seen-a-week-later"], findings["unsure-how-long"]) == ("absent", "absent")


INSIDE = {"<": lt, "<=": le, ">=": ge, ">": gt}
COMPARATORS = ("", *INSIDE)
SMALL, LARGE = Decimal("0.001"), Decimal(10000)


@examples(600)
@given(
    st.integers(0, 30),
    st.sampled_from(COMPARATORS),
    st.sampled_from(("d", "wk")),
    st.dates(date(2026, 1, 20), AUTHORED),
    st.sampled_from((4, 7, 10)),
)
def test_a_difference_holds_for_all_that_a_range_and_a_partial_date_allow(
    number: int, comparator: str, unit: str, day: date, digits: int
) -> None:
    written = day.isoformat()[:digits]
    found = result({"head-since": days(str(number), unit, comparator), "seen-on": written}).findings
    edge = Decimal(number * (7 if unit == "wk" else 1))
    steps = {"": (0,), "<": (-SMALL, -LARGE), "<=": (0, -LARGE), ">=": (0, LARGE), ">": (SMALL, LARGE)}
    near = [length for length in (-SMALL, 0, SMALL) if comparator]
    lengths = {edge + step for step in steps[comparator]}
    lengths |= {
        length
        for seen in _days_of(written)
        for step in near
        if INSIDE[comparator](length := WEEK + (AUTHORED - seen).days + step, edge)
    }
    reached = {length - (AUTHORED - seen).days >= WEEK for seen in _days_of(written) for length in lengths}
    wanted = "unknown" if len(reached) == 2 else "present" if reached == {True} else "absent"
    assert found["seen-a-week-later"] == wanted
    assert found["unsure-how-long"] == ("present" if wanted == "unknown" else "absent")


def _days_of(text: str) -> list[date]:
    """Every day that a date can mean, up to the one on which the response was written and the next."""
    found = (AUTHORED + timedelta(1 - step) for step in range(800))
    return [day for day in found if day.isoformat().startswith(text)]


def test_reasons_and_open_questions_name_the_questions_behind_a_derived_quantity() -> None:
    written = documents()
    rule = {"rule": "later", "kind": "trigger", "when": "seen-a-week-later", "tier": "soon"}
    more = {"says": {"clinician": "Later."}, "origin": "project", "sources": []}
    written["rules"].insert(0, {**rule, **more})
    loaded = load(written, form())
    calm = {"sudden": (False,), "neck-stiff": (headache.NO,), "worse": (headache.NO,), "strength": (0,)}
    known: dict[str, tuple[Answer, ...]] = {**calm, "head-pain": (YES,), "head-since": (days("13"),)}
    open_ = loaded.evaluate(Answers(known, authored=WRITTEN)).open
    assert "seen-on" in [question.link_id for question in open_]
    fired = loaded.evaluate(Answers({**known, "seen-on": ("2026-03-10",)}, authored=WRITTEN)).fired
    assert [one.answers for one in fired if one.rule.name == "later"] == [("head-since", "seen-on")]
    vague = loaded.evaluate(Answers({**known, "seen-on": ("2026-03",)}, authored=WRITTEN)).open
    assert [(question.link_id, question.unsure) for question in vague if question.unsure] == [
        ("seen-on", True)
    ]
    both = loaded.evaluate(
        Answers({**known, "head-since": (days("5", "d", ">"),), "seen-on": ("2026-03",)}, authored=WRITTEN)
    )
    assert [question.link_id for question in both.open if question.unsure] == ["head-since", "seen-on"]


def test_a_plain_number_is_in_the_unit_that_its_question_names() -> None:
    written = documents(grown={"difference": ["age", "exam-age"]})
    entry = {"kind": "recorded", "means": "Of this test.", "origin": "project", "sources": []}
    when = {"answer": "grown", "at-least": {"parameter": "week-of-exams"}}
    written["findings"].append({"finding": "grown-up", "when": when, **entry})
    loaded = load(written, form())
    for years, wanted in ((0, "absent"), (1, "present")):
        answers = Answers({"age": (years,), "exam-at": (AUTHORED.isoformat(),)}, authored=WRITTEN)
        assert loaded.evaluate(answers).findings["grown-up"] == wanted


def test_the_same_response_gives_the_same_result_whatever_the_day_is_today() -> None:
    given = {"seen-on": "1999-12-31"}
    assert result(given, "2000-01-07").findings["within-a-week"] == "present"
    assert result(given, "2000-01-08").findings["within-a-week"] == "absent"


def test_a_date_that_is_late_is_told_from_one_that_is_not() -> None:
    for written, late in (("2026-03-11", False), ("2026-03-12", True), ("2026", False), ("2027", True)):
        answers = Answers({"seen-on": (written,)}, authored=WRITTEN)
        assert guidance().reads_late_date(answers) is late
    assert guidance().reads_late_date(Answers({"seen-on": ("2030-01-01",)})) is False


@pytest.mark.parametrize(
    ("derived", "expected"),
    [
        ({"note": {"days-before-authored": "seen-on"}}, "derived.note: expected a name that is no linkId"),
        ({"x": {"days-before-authored": "note"}}, "derived.x.days-before-authored: expected the linkId of a"),
        ({"x": {"days-before-authored": "seen-age"}}, "derived.x.days-before-authored: expected the linkId"),
        ({"x": {"difference": ["strength", "seen-age"]}}, "derived.x.difference[0]: expected a question for"),
        ({"x": {"difference": ["later", "seen-age"]}}, "derived.x.difference[0]: expected the linkId of a"),
        ({"x": {"difference": ["seen-age"]}}, "derived.x.difference: expected the first and the second"),
        ({"x": {}}, "derived.x: expected either days-before-authored: a date, or difference"),
        ({"x": {"difference": ["head-since", "seen-age"]}}, "derived.x: nothing reads it"),
    ],
)
def test_a_derived_quantity_that_cannot_be_worked_out_is_refused(
    derived: dict[str, Any], expected: str
) -> None:
    with pytest.raises(GuidanceError) as refused:
        load(documents(**derived), form())
    assert any(f"guidance.yaml: {expected}" in fault for fault in refused.value.faults)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (
            {"answer": "exam-age", "answered": True},
            "expected a comparison with a parameter: exam-age is derived",
        ),
        ({"answer": "seen-on", "at-least": {"parameter": "strong"}}, "expected a unit comparable with d"),
        ({"answer": "seen-on", "is": "yes"}, "expected a question with options; this one is of type date"),
    ],
)
def test_a_condition_on_a_date_or_a_derived_quantity_compares_days(when: Any, expected: str) -> None:
    written = documents()
    written["findings"][-1] |= {"when": when}
    with pytest.raises(GuidanceError, match=expected):
        load(written, form())


# Dates and ranges in worked cases, and what a chart must know of the guidance.


def case_with(answers: dict[str, Any], **more: Any) -> Guidance:
    written = documents()
    written["cases"] = [{"case": "one", "about": "One.", "answers": answers, "expect": {}, **more}]
    return load(written, form())


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ({"seen-on": "2026-10-20"}, "2026-10-20"),
        ({"seen-on": "2026-10"}, "2026-10"),
        ({"exam-at": "2026"}, "2026"),
        ({"seen-on": "12 d ago"}, "2026-10-20"),
        ({"seen-on": "0 d ago"}, "2026-11-01"),
        ({"seen-on": "2026-11-02"}, "2026-11-02"),
        ({"head-since": "> 3 d"}, Quantity(Decimal(3), "d", ">")),
        ({"head-since": "<= 1.5 wk"}, Quantity(Decimal("1.5"), "wk", "<=")),
        ({"strength": ">= 7"}, Quantity(Decimal(7), "1", ">=")),
        ({"screen-hours": "< 8.5"}, Quantity(Decimal("8.5"), "1", "<")),
    ],
)
def test_a_worked_case_writes_dates_and_ranges(written: dict[str, Any], answer: Answer) -> None:
    (case,) = case_with(written).cases
    assert list(case.answers.values()) == [(answer,)]


def test_days_ago_are_reckoned_from_the_day_of_the_case() -> None:
    (case,) = case_with({"seen-on": "1 d ago"}, authored="2024-03-01").cases
    assert (case.authored, case.answers["seen-on"]) == ("2024-03-01", ("2024-02-29",))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"seen-on": "yesterday"}, "answers.seen-on: expected a date such as 2026-10-20"),
        ({"seen-on": "2026-02-30"}, "answers.seen-on: expected a date such as 2026-10-20"),
        ({"seen-on": 20261020}, "answers.seen-on: expected a date such as 2026-10-20"),
        ({"seen-on": "2026-11-03"}, "answers.seen-on: expected a date at most one day after 2026-11-01"),
        ({"strength": "7"}, "answers.strength: expected a whole number"),
        ({"head-since": ">3 d"}, "answers.head-since: expected a number and a unit in quotes"),
    ],
)
def test_a_date_or_range_that_is_none_is_refused(written: dict[str, Any], expected: str) -> None:
    with pytest.raises(GuidanceError, match=f"cases.yaml: one.{expected}"):
        case_with(written)


@pytest.mark.parametrize("authored", ["2026-02-30", "2026-02", "today"])
def test_the_day_of_a_case_is_a_whole_date(authored: str) -> None:
    with pytest.raises(GuidanceError, match=r"one\.authored: expected a day"):
        case_with({}, authored=authored)


@pytest.mark.parametrize(
    ("link_id", "answer", "decides", "raises"),
    [
        ("ferritin", Quantity(Decimal(10), "ug/L"), True, True),
        ("ferritin", Quantity(Decimal(20), "ug/L"), True, False),
        ("ferritin", Quantity(Decimal(10), "ug/L", ">"), False, False),
        ("ferritin", Quantity(Decimal(15), "ug/L", ">="), True, False),
        ("ferritin", Quantity(Decimal(10), "kg"), False, False),
        ("head-since", Quantity(Decimal(20), "d"), True, True),
        ("nobody-asks", "anything", True, False),
    ],
)
def test_a_chart_is_told_what_a_value_decides_and_whether_it_raises_the_result(
    link_id: str, answer: Answer, decides: bool, raises: bool
) -> None:
    assert (guidance().decides(link_id, answer), guidance().raises(link_id, answer)) == (decides, raises)


def test_a_chart_is_told_where_dates_go_and_what_converts() -> None:
    written = documents()
    written["guidance"]["chart"] = {"ferritin": {"date": "seen-on", "conversions": []}}
    loaded = load(written, form())
    assert (loaded.chart_date("ferritin"), loaded.chart_date("head-since")) == ("seen-on", "")
    assert (loaded.conversions("ferritin"), loaded.conversions("head-since")) == ((), ())
