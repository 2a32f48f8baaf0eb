"""Observations that fill in questions: SDC populate.html#obs-pop, observationLinkPeriod; R4 Observation."""

from typing import Any

import pytest
from populate_requests import (
    CODE,
    LOINC,
    NOW,
    SUBJECT,
    answers,
    asking,
    bundle,
    initially,
    issues,
    launching,
    linked,
    observation,
    origins,
    populated,
    populator,
    variable,
)
from small_forms import CANONICAL, SYSTEM, UCUM, compiled, form

from service.fhir.extensions import LAUNCH_CONTEXT
from service.questionnaire.chart_answers import ChartQuery, chart_queries, launch_contexts

Json = dict[str, Any]

NAMED = {"name": "questionnaire", "valueCanonical": CANONICAL}
UNIT = {"url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unit"}
POTASSIUM = {"id": "k", "type": "quantity", "raw": linked()}


def units(*codes: str) -> list[Json]:
    listed: list[Json] = form({"id": "a", "type": "quantity", "units": codes})["item"][0]["extension"]
    return listed


def filled(*observations: Json, items: tuple[Json, ...] = (POTASSIUM,)) -> Json:
    return populated(populator(form(*items)), asking(NAMED, data=bundle(*observations)))


def number(answer: Json) -> Any:
    return answers(answer).get("k", {}).get("value")


def left_out(answer: Json) -> list[str]:
    return [issue.partition("not filled in: ")[2] for issue in issues(answer)]


def test_an_observation_answers_the_question_with_its_code() -> None:
    """Questions with the extension and a matching code; where it comes from, and the date of what it says."""
    answer = filled(observation())
    value = {"value": 4.1, "unit": "mmol/L", "system": UCUM, "code": "mmol/L"}
    assert (answers(answer), issues(answer)) == ({"k": value}, [])
    assert origins(answer) == {"k": ["Observation/o1", "2026-11-20"]}


def test_a_question_without_a_period_is_not_filled_in() -> None:
    """The code alone is metadata: observationLinkPeriod must also be included."""
    item = {"id": "k", "type": "quantity", "raw": {"code": linked()["code"]}}
    answer = filled(observation(), items=(item,))
    assert (answers(answer), issues(answer)) == ({}, [])


def test_a_question_that_takes_several_answers_is_not_filled_in() -> None:
    """This mechanism can only be used for non-repeating items."""
    answer = filled(observation(), items=(POTASSIUM | {"repeats": True},))
    assert (answers(answer), issues(answer)) == ({}, [])


@pytest.mark.parametrize(
    ("date", "taken"),
    [
        ("2026-11-29", True),
        ("2026-11-29T09:00:00+01:00", True),
        ("2026-08-31", True),
        ("2026-08-30", False),
        ("2026-08", False),
        ("2026-09", True),
        ("2026", False),
        ("2026-11-30", True),
        ("2026-12-01", False),
        ("2036-11-20", False),
    ],
)
def test_the_period_ends_when_the_response_is_written(date: str, *, taken: bool) -> None:
    """Within the period before authored; certainly so where the date is partial. One day later is a zone."""
    answer = filled(observation(effectiveDateTime=date))
    assert (number(answer) is not None) is taken
    assert bool(issues(answer)) is not taken


@pytest.mark.parametrize(
    "effective",
    [
        {"effectivePeriod": {"start": "2026-11-01", "end": "2026-11-20"}},
        {"effectiveInstant": "2026-11-20T08:00:00Z"},
        {"issued": "2026-11-20T08:00:00Z"},
    ],
)
def test_the_date_may_stand_in_any_of_its_elements(effective: Json) -> None:
    assert number(filled(observation(effectiveDateTime=None, **effective))) == 4.1


def test_a_value_without_a_date_is_left_out() -> None:
    """No date, no window: nobody knows whether it is within the period."""
    assert left_out(filled(observation(effectiveDateTime=None))) == ["the value has no date."]


@pytest.mark.parametrize(
    ("period", "taken"),
    [
        ({"value": 3, "system": UCUM, "code": "mo"}, True),
        ({"value": 1, "system": UCUM, "code": "wk"}, False),
        ({"value": 200, "system": UCUM, "code": "a"}, True),
        ({"value": 10**12, "system": UCUM, "code": "a"}, True),
        ({"value": 240, "system": UCUM, "code": "h"}, True),
        ({"value": 90, "unit": "d"}, False),
        ({"value": 90, "system": UCUM, "code": "mg"}, False),
        ({"value": -90, "system": UCUM, "code": "d"}, False),
        ({"value": "canary"}, False),
        ("canary", False),
    ],
)
def test_a_period_is_a_duration_in_ucum(period: Any, *, taken: bool) -> None:
    raw = linked()
    raw["extension"][0]["valueDuration"] = period
    item = {"id": "k", "type": "quantity", "raw": raw}
    body = asking({"name": "questionnaire", "resource": form(item)}, data=bundle(observation()))
    assert (number(populated(populator(), body)) is not None) is taken


def test_the_most_recent_value_is_filled_in_whatever_the_order() -> None:
    older = observation(5.5, id="older", effectiveDateTime="2026-11-01")
    newer = observation(4.1, id="newer", effectiveDateTime="2026-11-20T07:00:00Z")
    for listed in ([older, newer], [newer, older]):
        answer = filled(*listed)
        assert (number(answer), issues(answer)) == (4.1, [])
        assert origins(answer)["k"][0] == "Observation/newer"


@pytest.mark.parametrize("status", ["final", "amended", "corrected"])
def test_a_value_that_stays_is_filled_in(status: str) -> None:
    """Systems SHALL filter to status final, amended or corrected."""
    assert number(filled(observation(status=status))) == 4.1


@pytest.mark.parametrize("status", ["preliminary", "registered", "unknown"])
def test_a_value_that_may_still_change_is_left_out_and_an_older_one_with_it(status: str) -> None:
    """What an older value would deny may no longer be so; clinical-decisions, section 3."""
    newer = observation(6.8, id="newer", status=status)
    answer = filled(newer)
    assert left_out(answer) == ["the status of the value is not final, amended or corrected."]
    older = observation(4.1, id="older", effectiveDateTime="2026-11-01")
    answer = filled(newer, older)
    assert number(answer) is None
    assert "a newer value cannot be used, and an older one may no longer hold." in left_out(answer)
    assert number(filled(newer, observation(effectiveDateTime="2026-11-21"))) == 4.1
    vaguer = observation(6.8, status=status, effectiveDateTime="2026-11")
    assert number(filled(vaguer, older | {"effectiveDateTime": "2026-11-01T07:00:00Z"})) is None


@pytest.mark.parametrize("status", ["final", "preliminary"])
def test_where_a_value_without_a_date_may_be_the_newest_a_dated_one_is_left_out_too(status: str) -> None:
    undated = observation(6.8, status=status, effectiveDateTime=None)
    answer = filled(undated, observation(4.1))
    assert number(answer) is None
    assert left_out(answer) == [
        "a newer value cannot be used, and an older one may no longer hold.",
        "the value has no date.",
    ]


NOON = "2026-11-10T12:00:00Z"
UNDECIDED = [
    {"status": "registered", "effectiveDateTime": "2026-11-05"},
    {"status": "registered", "effectiveDateTime": None, "effectivePeriod": {"start": "2026-11-01"}},
    {"effectiveDateTime": "2026"},
    {"effectiveDateTime": None, "effectivePeriod": {"start": "2020-01-01"}},
    {"effectiveDateTime": "2026-12-24"},
    {"canary": 1},
]


@pytest.mark.parametrize("undecided", UNDECIDED)
def test_a_value_of_a_period_is_left_out_where_one_that_is_not_read_may_be_newer(undecided: Json) -> None:
    """It was measured at any time of its period; clinical-decisions, section 3, Chart values."""
    period = {"effectiveDateTime": None, "effectivePeriod": {"start": "2026-11-01", "end": NOON}}
    answer = filled(observation(6.8, **undecided), observation(4.1, id="whole", **period))
    assert number(answer) is None
    assert left_out(answer)[0] == "a newer value cannot be used, and an older one may no longer hold."


@pytest.mark.parametrize(
    ("undecided", "taken"),
    [
        ({"effectiveDateTime": "2026-11-05"}, True),
        ({"effectiveDateTime": "2026-11-10"}, False),
        ({"effectiveDateTime": NOON}, False),
        ({"effectiveDateTime": NOON, "focus": [{"reference": "Patient/child"}]}, True),
        ({"effectiveDateTime": "2020-01-01", "status": "final"}, True),
    ],
)
def test_a_value_of_a_moment_is_left_out_where_one_that_is_not_read_is_not_certainly_older(
    undecided: Json, *, taken: bool
) -> None:
    passed_over = observation(6.8, **({"status": "registered"} | undecided))
    answer = filled(passed_over, observation(4.1, effectiveDateTime=NOON))
    assert (number(answer) is not None) is taken


@pytest.mark.parametrize(
    "named",
    [{"code": "k"}, {"system": "https://loinc.org", "code": "k"}, {"system": f"{LOINC}/", "code": "k"}],
)
def test_a_value_whose_code_system_is_written_otherwise_is_left_out_and_an_older_one_with_it(
    named: Json,
) -> None:
    newer = observation(6.8, id="newer") | {"code": {"coding": [{**named, "code": CODE}]}}
    answer = filled(newer, observation(4.1, effectiveDateTime="2026-11-01"))
    assert number(answer) is None
    assert len(left_out(answer)) == 2


def test_a_value_that_is_there_in_several_versions_is_left_out() -> None:
    first, second = ({"meta": {"versionId": version}} for version in "12")
    withdrawn = observation(4.1, status="entered-in-error", **second)
    answer = filled(observation(4.1, **first), withdrawn)
    assert number(answer) is None
    assert left_out(answer) == ["there is another version of it beside it."]
    assert number(filled(observation(4.1, **first), observation(4.1, **first))) == 4.1


NEXT = {"relation": "next", "url": "https://example.org/Observation?page=2"}
SORTED = {"relation": "self", "url": "https://example.org/Observation?code=k&_sort=-date&_count=1"}
CHANGED = {"relation": "self", "url": "https://example.org/Observation?code=k&_sort=-_lastUpdated"}


@pytest.mark.parametrize(
    ("links", "taken"), [([NEXT], False), ([SORTED, NEXT], True), ([SORTED], True), ([CHANGED, NEXT], False)]
)
def test_a_page_of_a_search_fills_in_nothing_where_the_next_one_may_have_a_newer_value(
    links: list[Json], *, taken: bool
) -> None:
    page = bundle(observation()) | {"type": "searchset", "link": links}
    answer = populated(populator(form(POTASSIUM)), asking(NAMED, data=page))
    assert (number(answer) is not None) is taken
    because = "it is from a search of which not all is there, and nothing in it raises the result."
    assert left_out(answer) == ([] if taken else [because])


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_a_value_that_never_was_says_nothing(status: str) -> None:
    void = observation(6.8, id="void", status=status)
    assert (answers(filled(void)), issues(filled(void))) == ({}, [])
    assert number(filled(void, observation(effectiveDateTime="2026-11-01"))) == 4.1


def test_a_value_about_somebody_else_than_its_subject_is_left_out() -> None:
    """Systems SHALL check Observation.focus, as for the heart rate of a fetus."""
    answer = filled(observation(focus=[{"reference": "Patient/child"}]))
    assert left_out(answer) == ["the value is about somebody or something else than its subject (focus)."]


@pytest.mark.parametrize(
    "broken",
    [
        {"valueQuantity": None},
        {"valueQuantity": None, "dataAbsentReason": {"text": "canary"}},
        {"valueQuantity": {"value": 4, "unit": "canary"}},
        {"valueQuantity": {"value": 4, "system": UCUM, "code": "canary"}},
        {"valueQuantity": None, "valueString": "canary"},
        {"valueQuantity": {"value": 4, "comparator": "<", "system": UCUM, "code": "mmol/L"}},
        {"valueQuantity": {"value": "canary"}},
        {"status": "canary"},
        {"effectiveDateTime": "canary"},
        {"code": "canary"},
        {"component": "canary"},
        {"canary": 1},
    ],
)
def test_a_value_that_cannot_be_used_is_left_out_and_the_reason_is_said(broken: Json) -> None:
    """An Observation might not have a value; units that do not convert: choose not to populate."""
    item = {"id": "k", "type": "quantity", "raw": linked(extension=units("mmol/L"))}
    answer = filled(observation(**broken), items=(item,))
    assert answers(answer) == {}
    assert len(issues(answer)) == (0 if broken.get("code") else 1)
    assert "canary" not in str(issues(answer))


@pytest.mark.parametrize("broken", [{"comparator": "<"}, {"code": "kg"}, {"system": "urn:x"}])
def test_an_older_value_is_not_filled_in_where_a_newer_one_cannot_be_used(broken: Json) -> None:
    item = {"id": "k", "type": "quantity", "raw": linked(extension=units("mmol/L"))}
    newer = observation(id="newer")
    newer["valueQuantity"] = newer["valueQuantity"] | broken
    older = observation(3.9, effectiveDateTime="2026-11-01")
    answer = filled(newer, older, items=(item,))
    assert answers(answer) == {}
    assert left_out(answer)[0] == "a newer value cannot be used, and an older one may no longer hold."
    assert len(left_out(answer)) == 2


def test_different_values_of_one_moment_are_left_out_and_the_same_value_is_not() -> None:
    twice = filled(observation(), observation(4.2, id="o2"))
    assert left_out(twice) == ["there are several values of one moment."]
    same = filled(observation(), observation(id="o2"))
    assert number(same) == 4.1
    assert len(origins(same)["k"]) == 2


@pytest.mark.parametrize(
    ("unit", "value", "permitted", "expected"),
    [
        ("mmol/L", 4.1, ("mmol/L",), (4.1, "mmol/L")),
        ("mol/L", 0.0041, ("mmol/L",), (4.1, "mmol/L")),
        ("umol/L", 4100, ("mol/L", "mmol/L"), (0.0041, "mol/L")),
        ("umol/L", 4100, ("mol/L", "umol/L"), (4100, "umol/L")),
        ("m", 1, ("[in_i]",), (39.370079, "[in_i]")),
        ("Cel", 37, ("[degF]",), (98.6, "[degF]")),
    ],
)
def test_a_value_is_brought_to_a_unit_of_the_question(
    unit: str, value: Any, permitted: tuple[str, ...], expected: tuple[Any, str]
) -> None:
    """If units are constrained, the system can convert; without an end as a decimal, to eight digits."""
    item = {"id": "k", "type": "quantity", "raw": linked(extension=units(*permitted))}
    found = answers(filled(observation(value, unit), items=(item,)))["k"]
    assert (found["value"], found["code"]) == expected


def test_a_usual_unit_permits_others() -> None:
    usual = [UNIT | {"valueCoding": {"system": UCUM, "code": "mg", "display": "milligram"}}]
    item = {"id": "k", "type": "quantity", "raw": linked(extension=usual)}
    assert answers(filled(observation(1, "g"), items=(item,)))["k"] == {
        "value": 1000,
        "unit": "milligram",
        "system": UCUM,
        "code": "mg",
    }


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("boolean", {"valueBoolean": False}, False),
        ("integer", {"valueInteger": 3}, 3),
        ("decimal", {"valueQuantity": {"value": 3.5, "system": UCUM, "code": "1"}}, 3.5),
        ("string", {"valueString": "words"}, "words"),
        ("text", {"valueString": "words"}, "words"),
        ("date", {"valueDateTime": "2026-01-01"}, "2026-01-01"),
        ("dateTime", {"valueDateTime": "2026-01-01T10:00:00Z"}, "2026-01-01T10:00:00Z"),
        ("time", {"valueTime": "10:00:00"}, "10:00:00"),
    ],
)
def test_a_value_of_each_type_is_filled_in(type_: str, value: Json, expected: Any) -> None:
    """Type of question: value[x] that fits it; a Quantity may fill a number."""
    item = {"id": "k", "type": type_, "raw": linked()}
    answer = filled(observation(**{"valueQuantity": None} | value), items=(item,))
    assert (answers(answer), issues(answer)) == ({"k": expected}, [])


def test_a_number_is_in_the_unit_that_the_form_names() -> None:
    """Quantity to integer or decimal, provided that questionnaire-unit is present."""
    hours = [UNIT | {"valueCoding": {"system": UCUM, "code": "h"}}]
    item = {"id": "k", "type": "decimal", "raw": linked(extension=hours)}
    assert answers(filled(observation(450, "min"), items=(item,))) == {"k": 7.5}
    ranged = observation(450, "min")
    ranged["valueQuantity"] = ranged["valueQuantity"] | {"comparator": ">"}
    assert left_out(filled(ranged, items=(item,))) == ["the value has a comparator, so that it is a range."]


def test_a_coded_value_is_the_option_that_it_names() -> None:
    item = {"id": "k", "options": ["yes", "no"], "raw": linked()}
    coded = {"coding": [{"system": SYSTEM, "code": "yes", "display": "sent"}]}
    answer = filled(observation(valueQuantity=None, valueCodeableConcept=coded), items=(item,))
    assert answers(answer) == {"k": {"system": SYSTEM, "code": "yes", "display": "Yes"}}
    other = {"coding": [{"system": SYSTEM, "code": "canary"}]}
    answer = filled(observation(valueQuantity=None, valueCodeableConcept=other), items=(item,))
    assert left_out(answer) == ["its code is not one option of the question."]


def test_a_value_outside_the_limits_of_its_question_is_left_out() -> None:
    limits = form({"id": "a", "type": "quantity", "maxQuantity": "5 mmol/L"})["item"][0]["extension"]
    item = {"id": "k", "type": "quantity", "raw": linked(extension=[*limits, *units("mmol/L")])}
    assert left_out(filled(observation(5.1), items=(item,))) == [
        "a value does not fit the question (above-maximum)."
    ]
    assert number(filled(observation(5), items=(item,))) == 5


def test_a_component_answers_the_question_with_its_code() -> None:
    """Observation.component: a panel with one value for each question."""
    quantity = observation()["valueQuantity"]
    panel = observation(
        code="24326-1",
        valueQuantity=None,
        component=[
            {
                "code": {"coding": [{"system": LOINC, "code": "2951-2"}]},
                "valueQuantity": quantity | {"value": 140},
            },
            {"code": {"coding": [{"system": LOINC, "code": "2823-3"}]}, "valueQuantity": quantity},
            {"code": {"coding": [{"system": LOINC, "code": "canary"}]}, "valueQuantity": quantity},
        ],
    )
    sodium = {"id": "na", "type": "quantity", "raw": linked("2951-2")}
    answer = filled(panel, items=(POTASSIUM, sodium))
    assert {link: value["value"] for link, value in answers(answer).items()} == {"k": 4.1, "na": 140}
    assert issues(answer) == []
    assert origins(answer)["na"] == ["Observation/o1", "2026-11-20"]


PANEL = {"id": "g", "raw": linked("24326-1"), "items": [POTASSIUM]}


def test_below_a_panel_its_components_and_members_answer_and_nothing_else() -> None:
    """If a parent item has the context of an Observation, matching SHALL be limited to what it holds."""
    member = observation(3.9, id="member", effectiveDateTime="2026-11-10")
    newer = observation(4.4, id="newer", effectiveDateTime="2026-11-28")
    members = [{"reference": "Observation/member"}]
    panel = observation(code="24326-1", id="panel", valueQuantity=None, hasMember=members)
    assert number(filled(panel, member, newer, items=(PANEL,))) == 3.9
    inside = {
        "code": {"coding": [{"system": LOINC, "code": "2823-3"}]},
        "valueQuantity": newer["valueQuantity"],
    }
    holding = observation(code="24326-1", id="panel", valueQuantity=None, component=[inside])
    assert number(filled(holding, member, items=(PANEL,))) == 4.4
    assert (
        number(filled(panel | {"hasMember": [{"reference": "Observation/x"}]}, newer, items=(PANEL,))) is None
    )


@pytest.mark.parametrize(
    "change",
    [{"status": "preliminary"}, {"effectiveDateTime": "2026-01-01"}, {"canary": 1}, {"focus": [SUBJECT]}],
)
def test_a_panel_that_is_not_usable_binds_nothing(change: Json) -> None:
    panel = observation(code="24326-1", id="panel", valueQuantity=None) | change
    assert number(filled(panel, observation(), items=(PANEL,))) == 4.1


def test_the_newest_panel_counts_and_an_item_without_a_period_is_none() -> None:
    values = {date: observation(4 + day, id=date) for day, date in enumerate(("2026-11-01", "2026-11-05"))}
    panels = [
        observation(
            code="24326-1",
            id=f"panel-{date}",
            valueQuantity=None,
            effectiveDateTime=date,
            hasMember=[{"reference": f"Observation/{date}"}],
        )
        for date in reversed(values)
    ]
    assert number(filled(*panels, *values.values(), items=(PANEL,))) == 5
    plain = {"id": "g", "raw": {"code": PANEL["raw"]["code"]}, "items": [POTASSIUM]}
    assert number(filled(*panels, observation(9), items=(plain,))) == 9


def test_any_of_several_codes_of_a_question_finds_a_value() -> None:
    """Multiple item.code: each is an acceptable Observation.code; the system belongs to the code."""
    item = {"id": "k", "type": "quantity", "raw": linked()}
    item["raw"]["code"].append({"system": LOINC, "code": "6298-4"})
    assert number(filled(observation(code="6298-4"), items=(item,))) == 4.1
    local = {"coding": [{"system": "urn:local", "code": "x"}, {"system": LOINC, "code": "6298-4"}]}
    assert number(filled(observation() | {"code": local}, items=(item,))) == 4.1
    assert answers(filled(observation() | {"code": {"coding": [{"code": "6298-4"}]}}, items=(item,))) == {}


def test_two_questions_with_one_code_are_both_filled_in_each_in_its_period() -> None:
    week = {"id": "w", "type": "quantity", "raw": linked(days=7)}
    answer = filled(observation(), items=(POTASSIUM, week))
    assert list(answers(answer)) == ["k"]
    assert [issue.partition(":")[0] for issue in issues(answer)] == ["populate-left-out"]
    assert left_out(answer) == ["the value is older than the period of the question."]


def test_initial_values_and_closed_questions_go_before_a_chart() -> None:
    first = {"id": "a", "type": "boolean", "initial": False}
    closed = POTASSIUM | {"when": ["a", "=", True]}
    answer = filled(observation(), items=(first, closed))
    assert answers(answer) == {"a": False}
    assert issues(answer) == ["populate-closed: Item k: not filled in: other answers close the question."]


def test_an_observation_without_an_id_is_named_by_its_identifier() -> None:
    known = [{"system": "urn:lab", "value": "7"}]
    body = asking(NAMED, data=bundle(observation(id=None, identifier=known)))
    item = populated(populator(form(POTASSIUM)), body)["parameter"][0]["resource"]["item"][0]
    source = item["answer"][0]["extension"][0]["extension"][0]["valueReference"]
    assert source == {"type": "Observation", "identifier": known[0]}


def test_a_thousand_observations_are_read() -> None:
    many = [
        observation(
            4 + number / 1000,
            id=f"o{number}",
            effectiveDateTime=f"2026-{9 + number % 3:02}-{1 + number % 28:02}",
        )
        for number in range(1000)
    ]
    answer = filled(*many, observation(9.9, id="newest", effectiveDateTime="2026-11-29"))
    assert number(answer) == 9.9


def test_of_many_resources_that_nobody_asks_for_none_is_named() -> None:
    others = [observation(id=f"o{number}", code=f"canary-{number}") for number in range(200)]
    conditions = [
        {"resourceType": "Condition", "id": f"c{number}", "subject": SUBJECT} for number in range(200)
    ]
    assert issues(filled(*others, *conditions)) == []


# The searches that a form asks for: SDC launchContext, x-fhir-query variables, observationLinkPeriod.


def queries(*items: Json, extension: list[Json] | None = None, authored: str = NOW) -> list[ChartQuery]:
    return list(chart_queries(compiled(form(*items, extension=extension or [])), authored, None))


def item(link: str, code: str, days: int = 90, **more: Any) -> Json:
    return {"id": link, "type": "quantity", "raw": linked(code, days, **more)}


def test_a_form_that_asks_for_nothing_needs_no_search() -> None:
    code_alone = {"id": "a", "type": "quantity", "raw": {"code": linked()["code"]}}
    assert queries(code_alone, {"id": "b", "raw": {"extension": [initially("1")]}}) == []


def test_a_period_below_zero_is_none() -> None:
    assert queries(item("a", "1", -90)) == []
    assert len(queries(item("a", "1", 0))) == 1


def test_each_launch_context_is_read_the_user_by_its_reference() -> None:
    contexts = launching(("patient", "Patient"), ("encounter", "Encounter"), ("user", "Practitioner"))
    assert queries(extension=contexts) == [
        ChartQuery("patient", "Patient/{{%patient.id}}"),
        ChartQuery("encounter", "Encounter/{{%encounter.id}}"),
        ChartQuery("user", "{{%user}}"),
    ]


def test_a_context_may_be_named_by_an_id_and_one_without_a_name_is_none() -> None:
    """The name was an id before SDC 3.0."""
    older = {"url": "name", "valueId": "patient"}, {"url": "type", "valueCode": "Patient"}
    form_of = {"extension": [{"url": LAUNCH_CONTEXT, "extension": list(older)}, {"url": LAUNCH_CONTEXT}]}
    assert launch_contexts(form_of) == {"patient": frozenset({"Patient"})}


def test_a_variable_that_is_a_search_is_one_unless_an_app_could_not_fill_it_in() -> None:
    """A page has no FHIRPath: only ids of launch contexts can stand in the braces."""
    plain = variable("conditions", "Condition?patient={{%patient.id}}&_count=50")
    computed = variable("recent", "Condition?recorded-date=ge{{today() - 1 year}}")
    assert queries(extension=[plain, computed]) == [
        ChartQuery("conditions", "Condition?patient={{%patient.id}}&_count=50")
    ]


def test_questions_of_one_period_share_a_search_and_each_period_has_its_own() -> None:
    found = queries(item("a", "1"), item("b", "2"), item("c", "3", 7), item("d", "1"))
    assert [query for _, query in found] == [
        "Observation?patient={{%patient.id}}&code=http://loinc.org%7C1,http://loinc.org%7C2&date=ge2026-08-31&_sort=-date",
        "Observation?patient={{%patient.id}}&code=http://loinc.org%7C3&date=ge2026-11-22&_sort=-date",
    ]


def test_many_codes_make_several_searches() -> None:
    found = queries(*(item(f"q{number}", str(number)) for number in range(45)))
    assert [query.count("%7C") for _, query in found] == [20, 20, 5]


def test_a_period_longer_than_all_dates_has_no_first_day() -> None:
    [(_, query)] = queries(item("a", "1", 10**9))
    assert "date=" not in query
    [(_, query)] = queries(item("a", "1"), authored="")
    assert "date=" not in query.replace("_sort=-date", "")


def test_codes_are_written_so_that_they_cannot_be_taken_for_more_of_the_search() -> None:
    odd = item("a", "1") | {"raw": linked(code="1") | {"code": [{"system": SYSTEM, "code": "a,b|c&d=e"}]}}
    [(_, query)] = queries(odd)
    assert f"code={SYSTEM}%7Ca%5C%2Cb%5C%7Cc%26d%3De&date" in query
    without = item("a", "1") | {"raw": linked(code="1") | {"code": [{"code": "x"}]}}
    [(_, query)] = queries(without)
    assert "code=x&date" in query


def test_a_panel_above_a_question_is_searched_too() -> None:
    [(_, query)] = queries({"id": "g", "raw": linked("24326-1"), "items": [item("a", "1")]})
    assert "code=http://loinc.org%7C24326-1,http://loinc.org%7C1&" in query
