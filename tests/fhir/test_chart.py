"""Values from the chart: whose they are, which question they answer, which one counts."""

from decimal import Decimal
from typing import Any

import pytest

from service.datatypes.answers import Quantity
from service.fhir.chart import ChartValues, chart_values
from service.fhir.parameters import AssessInput, ResourceAt

PATIENT = {"reference": "Patient/p1"}
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"


def crp(value: Any = 12, **more: Any) -> dict[str, Any]:
    stated = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "1988-5"}]},
        "subject": PATIENT,
        "effectiveDateTime": "2026-01-05T10:00:00Z",
        "valueQuantity": {"value": value, "system": UCUM, "code": "mg/L"},
    }
    return {name: each for name, each in (stated | more).items() if each is not None}


def posted(*observations: dict[str, Any], subject: Any = PATIENT) -> AssessInput:
    response = {"resourceType": "QuestionnaireResponse", "status": "completed", "subject": subject}
    if subject is None:
        del response["subject"]
    data = tuple(
        ResourceAt(observation, f"Parameters.parameter[{n}].resource")
        for n, observation in enumerate(observations, 1)
    )
    return AssessInput(response, "Parameters.parameter[0].resource", data)


def found(form: Any, *observations: dict[str, Any], **more: Any) -> ChartValues:
    return chart_values(posted(*observations, **more), form)


def value(form: Any, *observations: dict[str, Any]) -> Any:
    return found(form, *observations).answers["crp"][0].value


def test_a_value_is_found_by_the_code_of_its_question(form):
    chart = found(form, crp(Decimal("12.0")))
    assert chart.answers == {"crp": (Quantity(Decimal("12.0"), "mg/L"),)}
    assert str(chart.answers["crp"][0].value) == "12.0"
    assert chart.basis == ({"reference": "Observation/o1"},)
    assert chart.problems == ()


def test_a_question_for_a_number_gets_the_number(form):
    code = {"coding": [{"system": "urn:x", "code": "2746-6"}, {"system": LOINC, "code": "2746-6"}]}
    chart = found(form, crp(Decimal("7.40"), code=code))
    assert str(chart.answers["ph"]) == "(Decimal('7.40'),)"


def test_without_chart_data_nothing_is_found(form):
    assert chart_values(posted(), form) == ChartValues()
    assert ChartValues().basis == ()


@pytest.mark.parametrize(
    "newer",
    [
        {"effectiveDateTime": "2026-01-05T11:00:01+01:00"},
        {"effectiveDateTime": None, "effectiveInstant": "2026-01-06T00:00:00Z"},
        {"effectiveDateTime": None, "effectivePeriod": {"start": "2026-01-01", "end": "2026-01-06"}},
        {"effectiveDateTime": None, "effectivePeriod": {"start": "2026-01-06"}},
        {"effectiveDateTime": None, "issued": "2026-01-06T00:00:00Z"},
        {"effectiveDateTime": "2026-02"},
        {"effectiveDateTime": "2027"},
        {"effectiveDateTime": "2026-01-05T10:00:60Z"},
        {"issued": "2026-01-06T00:00:00Z"},
        {"id": "o2"},
    ],
)
def test_op06_the_newest_counts_in_whatever_order_they_come(form, newer):
    old, new = crp(1), crp(2, **newer)
    assert value(form, old, new) == value(form, new, old) == 2


@pytest.mark.parametrize("date", [None, "2025", "2026-01", "2026-01-05", "2026-01-05T09:58:60Z"])
def test_a_value_without_a_date_or_with_a_vaguer_one_is_older(form, date):
    assert value(form, crp(1), crp(2, effectiveDateTime=date, id="o2")) == 1


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"status": "preliminary"}, "status"),
        ({"status": "entered-in-error"}, "status"),
        ({"valueQuantity": None}, "no quantity"),
        ({"valueQuantity": None, "valueString": "high"}, "no quantity"),
        ({"valueQuantity": {"unit": "mg/L"}}, "no quantity"),
        ({"valueQuantity": {"value": 5, "comparator": "<", "system": UCUM, "code": "mg/L"}}, "limit"),
        ({"valueQuantity": {"value": 5, "unit": "mg/L"}}, "UCUM"),
        ({"valueQuantity": {"value": 5, "system": "urn:x", "code": "mg/L"}}, "UCUM"),
        ({"valueQuantity": {"value": 5, "system": UCUM}}, "UCUM"),
        ({"code": {"coding": [{"system": LOINC, "code": "other"}]}}, "no question"),
        ({"code": {"coding": [{"system": "urn:x", "code": "1988-5"}]}}, "no question"),
        ({"code": {"text": "CRP"}}, "no question"),
    ],
)
def test_what_gives_no_value_is_left_out_and_said(form, more, reason):
    chart = found(form, crp(**more))
    assert (chart.answers, chart.basis) == ({}, ())
    ((kind, severity, text, at),) = [(p.kind, p.severity, p.text, p.expression) for p in chart.problems]
    assert (kind, severity, at) == ("chart-ignored", "information", "Parameters.parameter[1].resource")
    assert reason in text


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"reference": "Patient/p2"}, PATIENT),
        (
            {"reference": "https://a.example/fhir/Patient/p1"},
            {"reference": "https://b.example/fhir/Patient/p1"},
        ),
        ({"reference": "Patient/xp1"}, {"reference": "p1"}),
        ({"reference": "#p1"}, {"reference": "https://a.example/#p1"}),
        ({"reference": "urn:x:1"}, {"reference": "https://a.example/urn:x:1"}),
        (
            {"identifier": {"system": "urn:s", "value": "1"}},
            {"identifier": {"system": "urn:s", "value": "2"}},
        ),
        ({"identifier": {"value": "1"}}, {"identifier": {"system": "urn:s", "value": "1"}}),
        ({"identifier": {"value": "1"}}, PATIENT),
        (PATIENT, {"identifier": {"value": "1"}}),
    ],
)
def test_a_value_that_is_not_provably_about_the_same_person_is_an_error(form, theirs, ours):
    contained = [{"resourceType": "Patient", "id": "p1"}] if theirs.get("reference") == "#p1" else None
    chart = found(form, crp(subject=theirs, contained=contained), subject=ours)
    assert chart.answers == {}
    assert [(p.kind, p.severity) for p in chart.problems] == [("chart-subject", "error")]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (PATIENT, PATIENT),
        ({"reference": "Patient/p1/_history/3"}, {"reference": "https://a.example/fhir/Patient/p1"}),
        ({"reference": "https://a.example/fhir/Patient/p1"}, PATIENT),
        (
            {"identifier": {"system": "urn:s", "value": "1"}},
            {"identifier": {"system": "urn:s", "value": "1"}, "display": "x"},
        ),
        (None, PATIENT),
        (PATIENT, None),
        ({"display": "Somebody"}, PATIENT),
        (PATIENT, {"display": "Somebody"}),
    ],
)
def test_a_value_about_the_same_person_or_nobody_named_counts(form, theirs, ours):
    chart = found(form, crp(subject=theirs), subject=ours)
    assert (list(chart.answers), chart.problems) == (["crp"], ())


def test_an_observation_that_is_not_r4_is_an_error_with_its_path(form):
    chart = found(form, crp(valueString="x"), crp(status="done"), crp(dataAbsentReason={"text": "x"}))
    assert chart.answers == {}
    assert [(p.kind, p.expression) for p in chart.problems] == [
        ("choice", "Parameters.parameter[1].resource.value"),
        ("code", "Parameters.parameter[2].resource.status"),
        ("invariant", "Parameters.parameter[3].resource"),
    ]


@pytest.mark.parametrize(
    ("more", "reference"),
    [
        ({}, {"reference": "Observation/o1"}),
        (
            {
                "id": None,
                "identifier": [
                    {"system": "urn:s"},
                    {"system": "urn:s", "value": "1", "assigner": {"display": "x"}},
                ],
            },
            {"type": "Observation", "identifier": {"system": "urn:s", "value": "1"}},
        ),
        (
            {"id": None, "identifier": [{"system": "urn:s"}]},
            {"type": "Observation", "display": "An observation sent with the response, without id"},
        ),
        (
            {"id": None},
            {"type": "Observation", "display": "An observation sent with the response, without id"},
        ),
    ],
)
def test_the_basis_names_an_observation_as_well_as_it_can(form, more, reference):
    assert found(form, crp(**more)).basis == (reference,)


def test_an_observation_that_answers_two_questions_is_named_once(form):
    code = {"coding": [{"system": LOINC, "code": "1988-5"}, {"system": LOINC, "code": "2746-6"}]}
    chart = found(form, crp(code=code))
    assert (sorted(chart.answers), len(chart.basis)) == (["crp", "ph"], 1)


def test_what_gives_no_usable_value_leaves_its_question_unknown(form):
    assert found(form, crp(1, status="preliminary")).unusable == {"crp"}
    assert found(form, crp(1, status="entered-in-error")).unusable == frozenset()
    assert found(form, crp(), crp(1, status="preliminary")).unusable == frozenset()
