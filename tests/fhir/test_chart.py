"""Values from the chart: whose they are, which question they answer, which one counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from math import inf
from typing import Any

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from service.datatypes.answers import UNREAD, Answer, Coding, Quantity
from service.datatypes.form import Form, Option, Question
from service.datatypes.ucum import Conversion
from service.fhir.chart import ChartValue, ChartValues, chart_values
from service.fhir.extensions import DATA_ABSENT_REASON
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


def posted(*observations: dict[str, Any], subject: Any = PATIENT, authored: str = "") -> AssessInput:
    response = {"resourceType": "QuestionnaireResponse", "status": "completed", "subject": subject}
    response |= {"authored": authored} if authored else {}
    if subject is None:
        del response["subject"]
    data = tuple(
        ResourceAt(observation, f"Parameters.parameter[{n}].resource")
        for n, observation in enumerate(observations, 1)
    )
    return AssessInput(response, "Parameters.parameter[0].resource", data)


@dataclass(frozen=True)
class Reader:
    """A guidance for one question: below `low` is what it is about."""

    low: Quantity | None = None
    dates: Mapping[str, str] = field(default_factory=dict)
    factors: tuple[Conversion, ...] = ()
    others: tuple[Coding, ...] = ()

    def chart_date(self, link_id: str) -> str:
        return self.dates.get(link_id, "")

    def conversions(self, _: str) -> tuple[Conversion, ...]:
        return self.factors

    def other_codes(self, link_id: str) -> tuple[Coding, ...]:
        return self.others if link_id == "salt" else ()

    def reads(self, _: str) -> bool:
        return self.low is not None

    def decides(self, _: str, answer: Answer) -> bool:
        if self.low is None or not isinstance(answer, Quantity) or not answer.comparator:
            return True
        return answer.value >= self.low.value if answer.comparator in (">", ">=") else self.raises(_, answer)

    def raises(self, _: str, answer: Answer) -> bool:
        if self.low is None or not isinstance(answer, Quantity) or answer.unit != self.low.unit:
            return False
        return answer.comparator in ("", "<", "<=") and answer.value < self.low.value


NO_GUIDANCE = Reader()


def found(form: Any, *observations: dict[str, Any], reader: Reader = NO_GUIDANCE, **more: Any) -> ChartValues:
    return chart_values(posted(*observations, **more), form, reader)


def asked(name: str, type_: str, *units: str, **more: Any) -> Question:
    return Question(name, name, type_, more.pop("options", ()), 0, (Coding(LOINC, name),), units, **more)


OPTIONS = tuple(
    Option(Coding("urn:o", code), code, translations=("d", f"{code} {code}")) for code in ("a", "b", "c")
)
EVERY_TYPE = Form(
    "https://example.org/fhir/Questionnaire/types|1",
    {
        question.link_id: question
        for question in (
            asked("hours", "decimal", "h"),
            asked("length", "quantity", "d", "h"),
            asked("any-unit", "quantity"),
            asked("age", "integer", "a"),
            asked("nights", "integer", "/wk"),
            asked("score", "integer"),
            asked("share", "decimal"),
            asked("mixed", "decimal", "h", "min"),
            asked("local", "decimal", ""),
            asked("one", "choice", options=OPTIONS),
            asked("several", "choice", options=OPTIONS, repeats=True),
            asked("open", "open-choice", options=OPTIONS),
            asked("truth", "boolean"),
            asked("day", "date"),
            asked("moment", "dateTime"),
            asked("hour", "time"),
            asked("word", "string"),
            asked("words", "text"),
            asked("site", "url"),
        )
    },
)


def observed(name: str, **more: Any) -> dict[str, Any]:
    return crp(code={"coding": [{"system": LOINC, "code": name}]}, **({"valueQuantity": None} | more))


def measured(value: Any, code: str, comparator: str | None = None) -> dict[str, Any]:
    written = {"value": value, "system": UCUM, "code": code}
    return {"valueQuantity": written | ({"comparator": comparator} if comparator else {})}


def called(code: str, display: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "valueCodeableConcept": {"coding": [{"system": "urn:o", "code": code, "display": display or code}]}
        | more
    }


@pytest.mark.parametrize(
    "said",
    [called("a", "A"), called("a", "d"), called("a", text="A  a"), called("a", "another name", text="x")],
)
def test_an_option_may_go_by_any_name_that_is_not_anothers(said):
    assert found(EVERY_TYPE, observed("one", **said)).answers == {"one": (Coding("urn:o", "a"),)}


def test_a_name_of_another_option_does_not_take_back_what_raises_the_result():
    class Alarmed(Reader):
        def raises(self, _: str, answer: Answer) -> bool:
            return answer == Coding("urn:o", "a")

    chart = found(EVERY_TYPE, observed("one", **called("a", "b")), reader=Alarmed())
    assert chart.answers == {"one": (Coding("urn:o", "a"),)}


def coded(*codes: str) -> dict[str, Any]:
    return {"valueCodeableConcept": {"coding": [{"system": "urn:o", "code": code} for code in codes]}}


@pytest.mark.parametrize(
    ("name", "said", "answers"),
    [
        ("hours", measured(450, "min"), (Decimal("7.5"),)),
        ("hours", measured(Decimal("7.50"), "h"), (Decimal("7.50"),)),
        ("hours", measured(Decimal("0.25"), "d"), (Decimal(6),)),
        ("hours", measured(100, "min"), (Decimal("1.666666666666666666666666667"),)),
        ("hours", measured(450, "min", "<"), (Quantity(Decimal("7.5"), "1", "<"),)),
        ("hours", measured(3, "h", ">="), (Quantity(Decimal(3), "1", ">="),)),
        ("length", measured(2, "d"), (Quantity(Decimal(2), "d"),)),
        ("length", measured(90, "min"), (Quantity(Decimal(90), "min"),)),
        ("length", measured(90, "min", "<="), (Quantity(Decimal(90), "min", "<="),)),
        ("any-unit", measured(5, "furlong"), (Quantity(Decimal(5), "furlong"),)),
        ("age", measured(40, "a"), (40,)),
        ("age", measured(480, "mo"), (40,)),
        ("age", measured(Decimal("40.0"), "a"), (40,)),
        ("age", measured(40, "a", ">"), (Quantity(Decimal(40), "1", ">"),)),
        ("nights", measured(1, "/d"), (7,)),
        ("score", {"valueInteger": 7}, (7,)),
        ("score", measured(7, "1"), (7,)),
        ("score", measured(7, "{score}"), (7,)),
        ("share", {"valueInteger": 7}, (Decimal(7),)),
        ("share", measured(Decimal("0.5"), "1"), (Decimal("0.5"),)),
        ("one", coded("b"), (Coding("urn:o", "b"),)),
        ("one", coded("x", "b", "b"), (Coding("urn:o", "b"),)),
        ("several", coded("b"), (Coding("urn:o", "b"), UNREAD)),
        ("open", coded("c"), (Coding("urn:o", "c"),)),
        ("truth", {"valueBoolean": False}, (False,)),
        ("day", {"valueDateTime": "2026-01-05"}, ("2026-01-05",)),
        ("moment", {"valueDateTime": "2026-01-05T10:00:00Z"}, ("2026-01-05T10:00:00Z",)),
        ("hour", {"valueTime": "10:00:00"}, ("10:00:00",)),
        ("word", {"valueString": "calm"}, ("calm",)),
        ("words", {"valueString": "calm"}, ("calm",)),
    ],
)
def test_a_value_is_read_in_the_type_and_the_unit_of_its_question(name, said, answers):
    chart = found(EVERY_TYPE, observed(name, **said))
    assert chart.answers == {name: answers}
    assert [type(answer) for answer in chart.answers[name]] == [type(answer) for answer in answers]
    assert [problem.kind for problem in chart.problems] == ["answer-range"] * ("comparator" in str(said))
    assert chart.unusable == frozenset()


@pytest.mark.parametrize(
    ("name", "said", "reason"),
    [
        ("hours", measured(450, "kg"), "cannot be converted to the question's"),
        ("hours", measured(450, "1"), "cannot be converted to the question's"),
        ("hours", measured(450, "bells"), "cannot be converted to the question's"),
        ("hours", {"valueInteger": 7}, "no unit, and its question has"),
        ("hours", {"valueString": "7 h"}, "no quantity"),
        ("hours", {"valueQuantity": {"value": 7}}, "not coded in UCUM"),
        ("hours", {"valueQuantity": {"value": 7, "unit": "h"}}, "not coded in UCUM"),
        ("length", measured(2, "kg"), "cannot be converted to one of the question's"),
        ("length", {"valueInteger": 2}, "no quantity"),
        ("age", measured(Decimal("40.5"), "a"), "no whole number"),
        ("age", measured(50, "mo"), "no whole number"),
        ("age", measured(2**31, "a"), "no whole number"),
        ("age", measured(Decimal("1E+99"), "a"), "no whole number"),
        ("age", {"valueInteger": 40}, "no unit, and its question has"),
        ("score", measured(7, "h"), "it has a unit, and its question names none"),
        ("share", measured(50, "%"), "it has a unit, and its question names none"),
        ("share", measured(5, "bells"), "it has a unit, and its question names none"),
        ("mixed", measured(5, "h"), "several units"),
        ("local", measured(5, "h"), "cannot be converted"),
        ("local", measured(5, "1"), "cannot be converted"),
        ("one", coded("x"), "not one option"),
        ("one", coded("a", "b"), "not one option"),
        ("one", {"valueCodeableConcept": {"text": "a"}}, "not one option"),
        ("one", called("a", "B"), "by the name of another option"),
        ("one", called("a", text="b  b"), "by the name of another option"),
        ("one", {"valueString": "a"}, "not of the type"),
        ("truth", coded("a"), "not of the type"),
        ("truth", {"valueString": "true"}, "not of the type"),
        ("day", {"valueDateTime": "2026-01-05T10:00:00Z"}, "not of the type"),
        ("moment", {"valueTime": "10:00:00"}, "not of the type"),
        ("hour", {"valueDateTime": "2026-01-05"}, "not of the type"),
        ("word", {"valueBoolean": True}, "not of the type"),
        ("site", {"valueString": "https://example.org"}, "takes no value"),
        ("score", {"dataAbsentReason": {"text": "declined"}}, "why its value is missing"),
    ],
)
def test_a_value_that_does_not_fit_its_question_is_left_out_and_named(name, said, reason):
    chart = found(EVERY_TYPE, observed(name, **said))
    assert (chart.answers, chart.basis, chart.unusable) == ({}, (), {name})
    ((kind, severity, text, at),) = [(p.kind, p.severity, p.text, p.expression) for p in chart.problems]
    assert (kind, severity, at) == ("chart-ignored", "information", "Parameters.parameter[1].resource")
    assert reason in text
    assert "7" not in text
    assert "declined" not in text


def test_a_range_that_is_used_is_named_once_and_one_that_is_not_is_not():
    old = observed("hours", **measured(3, "h", ">"))
    new = observed("hours", **measured(4, "h", "<"), effectiveDateTime="2026-02-01", id="o2")
    both = {"coding": [{"system": LOINC, "code": "hours"}, {"system": LOINC, "code": "length"}]}
    problems = found(EVERY_TYPE, old, new | {"code": both}).problems
    assert [(p.kind, p.severity, p.expression) for p in problems] == [
        ("answer-range", "warning", "Parameters.parameter[2].resource")
    ]
    assert "4" not in problems[0].text


def panel(*components: dict[str, Any], **more: Any) -> dict[str, Any]:
    return observed("a-panel", component=list(components), **more)


def part(name: str, **said: Any) -> dict[str, Any]:
    return {"code": {"coding": [{"system": LOINC, "code": name}]}, **said}


def test_the_components_of_a_panel_are_read_like_observations():
    chart = found(EVERY_TYPE, panel(part("hours", **measured(450, "min")), part("truth", valueBoolean=True)))
    assert chart.answers == {"hours": (Decimal("7.5"),), "truth": (True,)}
    assert (chart.basis, chart.problems) == (({"reference": "Observation/o1"},), ())


def test_a_component_has_the_date_of_its_panel():
    older = observed("hours", **measured(1, "h"), id="a")
    newer = panel(part("hours", **measured(2, "h")), effectiveDateTime="2026-01-06", id="b")
    for sent in ((older, newer), (newer, older)):
        assert found(EVERY_TYPE, *sent).answers == {"hours": (Decimal(2),)}


@pytest.mark.parametrize(
    ("more", "component", "reason"),
    [
        ({"status": "preliminary"}, part("hours", **measured(2, "h")), "status"),
        ({}, part("hours", dataAbsentReason={"text": "lost"}), "why its value is missing"),
        ({}, part("hours", **measured(2, "kg")), "cannot be converted"),
    ],
)
def test_a_component_that_cannot_be_used_is_named_at_its_place(more, component, reason):
    chart = found(EVERY_TYPE, panel(part("truth", valueBoolean=True), component, **more))
    last = chart.problems[-1]
    assert last.expression == "Parameters.parameter[1].resource.component[1]"
    assert reason in last.text
    assert "hours" in chart.unusable


def test_a_panel_with_a_value_and_a_code_that_nobody_asks_for_is_named_beside_its_components():
    chart = found(EVERY_TYPE, panel(part("truth", valueBoolean=True), valueString="all well"))
    assert list(chart.answers) == ["truth"]
    assert [problem.expression for problem in chart.problems] == ["Parameters.parameter[1].resource"]


def test_a_newer_value_that_cannot_be_used_leaves_unknown_what_an_older_one_denies():
    older, newer = measured(8, "h"), measured(3, "kg")
    sent = observed("hours", **older), observed("hours", **newer, effectiveDateTime="2026-02-01", id="o2")
    assert found(EVERY_TYPE, *sent).answers == {"hours": (Decimal(8), UNREAD)}
    sent = observed("hours", **newer), observed("hours", **older, effectiveDateTime="2026-02-01", id="o2")
    assert found(EVERY_TYPE, *sent).answers == {"hours": (Decimal(8),)}


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
    measured = {"value": Decimal("7.40"), "system": UCUM, "code": "[pH]"}
    chart = found(form, crp(code=code, valueQuantity=measured))
    assert str(chart.answers["ph"]) == "(Decimal('7.40'),)"


def test_without_chart_data_nothing_is_found(form):
    assert chart_values(posted(), form, NO_GUIDANCE) == ChartValues()
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
        ({"valueQuantity": {"value": 5, "system": UCUM, "code": "mmol/L"}}, "cannot be converted"),
        ({"valueQuantity": {"value": 5, "system": UCUM, "code": "furlong"}}, "cannot be converted"),
        ({"valueQuantity": None, "dataAbsentReason": {"text": "lost"}}, "why its value is missing"),
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


def test_an_observation_that_answers_two_questions_is_named_once():
    code = {"coding": [{"system": LOINC, "code": "hours"}, {"system": LOINC, "code": "length"}]}
    chart = found(EVERY_TYPE, crp(code=code, valueQuantity={"value": 450, "system": UCUM, "code": "min"}))
    assert (sorted(chart.answers), len(chart.basis)) == (["hours", "length"], 1)


def test_what_gives_no_usable_value_leaves_its_question_unknown(form):
    assert found(form, crp(1, status="preliminary")).unusable == {"crp"}
    assert found(form, crp(1, status="entered-in-error")).unusable == frozenset()
    assert found(form, crp(), crp(1, status="preliminary")).unusable == frozenset()


# Which of several values count, with which dates.

LAB = Form(
    "https://example.org/fhir/Questionnaire/lab|1",
    {
        question.link_id: question
        for question in (
            asked("salt", "quantity", "mmol/L"),
            Question("salt-date", "When?", "date", (), 1),
            Question("salt-moment", "When?", "dateTime", (), 2),
        )
    },
)
READER = Reader(
    Quantity(Decimal("3.5"), "mmol/L"),
    {"salt": "salt-date"},
    (Conversion("mg/dL", "mmol/L", Fraction("0.5")), Conversion("meq/L", "mmol/L", Fraction("0.25"))),
)


def salt(value: Any, day: str | None = "2026-01-05", **more: Any) -> dict[str, Any]:
    unit_, comparator = more.pop("unit", "mmol/L"), more.pop("comparator", None)
    moment = {} if day is None else {"effectiveDateTime": day}
    named = f"o{value}-{'' if day is None else day[:10]}"
    stated = {"effectiveDateTime": None, "id": named, **measured(value, unit_, comparator), **moment}
    return observed("salt", **(stated | more))


def amount(value: Any, comparator: str = "", unit: str = "mmol/L") -> Quantity:
    return Quantity(Decimal(value), unit, comparator)


OLDER, NEWER = "2026-01-05", "2026-02-01"
EVE, MORNING = "2026-01-04", f"{OLDER}T08:00:00Z"
SINCE_EVE = {"effectivePeriod": {"start": EVE, "end": NEWER}}
UNTIL_NEWER = {"effectivePeriod": {"end": NEWER}}
TIMING = {"effectiveTiming": {"event": [EVE]}}
ISSUED = {"issued": f"{NEWER}T08:00:00Z"}


@pytest.mark.parametrize(
    ("observations", "values", "dates"),
    [
        ([salt(4)], (amount(4),), (OLDER,)),
        ([salt(3), salt(4, NEWER)], (amount(4),), (NEWER,)),
        ([salt(4), salt(3, NEWER)], (amount(3),), (NEWER,)),
        ([salt(4), salt(3)], {amount(4), amount(3)}, (OLDER,)),
        ([salt(4), salt(4, id="again")], (amount(4),), (OLDER,)),
        ([salt(4, issued=f"{NEWER}T08:00:00Z"), salt(3)], {amount(4), amount(3)}, (OLDER,)),
        ([salt(4), salt(5, NEWER, unit="kg")], (amount(4), UNREAD), (OLDER, UNREAD)),
        ([salt(3), salt(5, NEWER, unit="kg")], (amount(3), UNREAD), (OLDER, UNREAD)),
        ([salt(4), salt(5, unit="kg", id="same")], (amount(4), UNREAD), (OLDER, UNREAD)),
        ([salt(4), salt(5, status="preliminary")], (amount(4),), (OLDER,)),
        ([salt(4, NEWER), salt(5, unit="kg")], (amount(4),), (NEWER,)),
        ([salt(4), salt(5, NEWER, status="preliminary")], (amount(4), UNREAD), (OLDER, UNREAD)),
        ([salt(4), salt(3, NEWER, status="preliminary")], (amount(3),), (NEWER,)),
        ([salt(4), salt(3, NEWER, status="registered")], (amount(4), UNREAD), (OLDER, UNREAD)),
        ([salt(4), salt(3, NEWER, status="entered-in-error")], (amount(4),), (OLDER,)),
        ([salt(4), salt(3, NEWER, comparator=">")], (amount(3, ">"), amount(4)), (NEWER, OLDER)),
        ([salt(3), salt(3, NEWER, comparator=">")], (amount(3, ">"), amount(3)), (NEWER, OLDER)),
        ([salt(3), salt(4, NEWER, comparator=">")], (amount(4, ">"),), (NEWER,)),
        ([salt(4), salt(3, NEWER, comparator="<")], (amount(3, "<"),), (NEWER,)),
        ([salt(3, comparator=">"), salt(2, NEWER, comparator=">")], (amount(2, ">"),), (NEWER,)),
        ([salt(3, comparator=">"), salt(2, NEWER, unit="kg")], (amount(3, ">"), UNREAD), (OLDER, UNREAD)),
        ([salt(4), salt(3, None)], (amount(4), UNREAD), (OLDER, UNREAD)),
        ([salt(4), salt(5, None, unit="kg")], (amount(4), UNREAD), (OLDER, UNREAD)),
        # A vaguer date may mean a later moment: what is worse, or cannot be read, is not older for certain.
        ([salt(4, MORNING), salt(3)], (amount(4), UNREAD), (OLDER, UNREAD)),
        ([salt(4, MORNING), salt(3, "2026-01")], (amount(4), UNREAD), (OLDER, UNREAD)),
        ([salt(4, MORNING), salt(5, unit="kg")], (amount(4), UNREAD), (OLDER, UNREAD)),
        ([salt(4, MORNING), salt(3, comparator=">")], (amount(4), UNREAD), (OLDER, UNREAD)),
        ([salt(4), salt(3, None, comparator=">")], (amount(4), UNREAD), (OLDER, UNREAD)),
        ([salt(4), salt(3, EVE, comparator=">")], (amount(4),), (OLDER,)),
        ([salt(4), salt(3, None, effectivePeriod={"start": EVE})], (amount(4), UNREAD), (OLDER, UNREAD)),
        ([salt(4), salt(3, None, effectivePeriod={"start": EVE, "end": EVE})], (amount(4),), (OLDER,)),
        # So may what counts as newer: a period began before, and what was issued was measured before that.
        ([salt(4, None, **SINCE_EVE), salt(3)], (amount(4), UNREAD), (NEWER, UNREAD)),
        ([salt(4, None, **UNTIL_NEWER), salt(3)], (amount(4), UNREAD), (NEWER, UNREAD)),
        ([salt(4, None, **ISSUED), salt(3)], (amount(4), UNREAD), (NEWER, UNREAD)),
        ([salt(4, None, **ISSUED, **TIMING), salt(3)], (amount(4), UNREAD), (NEWER, UNREAD)),
        ([salt(4, None, **SINCE_EVE), salt(5, unit="kg")], (amount(4), UNREAD), (NEWER, UNREAD)),
        ([salt(4, None, **SINCE_EVE), salt(3, "2026-01-03")], (amount(4),), (NEWER,)),
        ([salt(3, None, **SINCE_EVE), salt(4)], (amount(3),), (NEWER,)),
        ([salt(3, MORNING), salt(4)], (amount(3),), (OLDER,)),
        # A day may be one of any zone: in the west it is still the eve when it is morning in UTC.
        ([salt(4, MORNING), salt(3, EVE)], (amount(4), UNREAD), (OLDER, UNREAD)),
        ([salt(4, "2026-01-06T01:00:00Z"), salt(3)], (amount(4), UNREAD), ("2026-01-06", UNREAD)),
        ([salt(4), salt(3, f"{EVE}T10:00:00Z")], (amount(4), UNREAD), (OLDER, UNREAD)),
        ([salt(4), salt(5, f"{EVE}T10:00:00Z", unit="kg")], (amount(4), UNREAD), (OLDER, UNREAD)),
        ([salt(4), salt(3, f"{EVE}T09:59:59Z")], (amount(4),), (OLDER,)),
        ([salt(4, f"{OLDER}T12:00:00Z"), salt(3, EVE)], (amount(4),), (OLDER,)),
        ([salt(4), salt(3, EVE)], (amount(4),), (OLDER,)),
        ([salt(3), salt(4, None)], (amount(3),), (OLDER,)),
        ([salt(4, "2026")], (amount(4),), ("2026",)),
        ([salt(4, f"{OLDER}T23:30:00-05:00")], (amount(4),), (OLDER,)),
        ([salt(8, unit="mg/dL")], (amount(8, unit="mg/dL"),), (OLDER,)),
        ([salt(80, unit="mg/L")], (amount(80, unit="mg/L"),), (OLDER,)),
        ([salt(16, unit="meq/L")], (amount(16, unit="meq/L"),), (OLDER,)),
    ],
)
def test_the_newest_usable_value_counts_and_a_newer_one_that_does_not_decide_takes_back_nothing(
    observations, values, dates
):
    for sent in (observations, observations[::-1]):
        answers = found(LAB, *sent, reader=READER).answers
        assert answers["salt-date"] == dates
        same = set(answers["salt"]) if isinstance(values, set) else answers["salt"]
        assert same == values


@pytest.mark.parametrize(
    "system",
    ["https://loinc.org", "http://www.loinc.org/", "HTTP://LOINC.org", "urn:oid:2.16.840.1.113883.6.1", None],
)
def test_a_code_whose_system_is_written_otherwise_raises_and_never_denies(system):
    """Documents that were converted name code systems by their OIDs; some programs name none."""
    coding = {"system": system, "code": "salt"} if system else {"code": "salt"}
    for value, answers in ((3, (amount(3),)), (4, None)):
        values = found(LAB, salt(value) | {"code": {"coding": [coding]}}, reader=READER)
        assert values.answers.get("salt") == answers
        assert ("salt" in values.unusable) is (answers is None)
        assert [problem.reason for problem in values.problems] == ["system"] * (answers is None)
    older = salt(4, EVE)
    assert (
        found(LAB, salt(4) | {"code": {"coding": [coding]}}, older, reader=READER).answers["salt"][-1]
        is UNREAD
    )


def test_a_code_of_another_system_is_another_code():
    other = salt(3) | {"code": {"coding": [{"system": "urn:other", "code": "salt"}]}}
    assert found(LAB, other, reader=READER).answers == {}


def in_blood(value: int, when: str = "2026-01-05", system: str = LOINC) -> dict[str, Any]:
    return salt(value, when) | {"id": "b", "code": {"coding": [{"system": system, "code": "salt-in-blood"}]}}


@pytest.mark.parametrize(
    ("older", "newer", "answers"),
    [
        (salt(4, EVE), in_blood(2), (amount(4), UNREAD)),
        (salt(4, EVE), in_blood(4, system="https://loinc.org"), (amount(4), UNREAD)),
        (salt(3, EVE), in_blood(4), (amount(3), UNREAD)),
        (in_blood(2, EVE), salt(4), (amount(4),)),
    ],
)
def test_a_newer_value_of_the_same_that_was_measured_otherwise_denies_and_takes_back_nothing(
    older, newer, answers
):
    """Charts have potassium in blood beside potassium in serum, by another code."""
    reader = replace(READER, others=(Coding(LOINC, "salt-in-blood"),))
    for sent in ((older, newer), (newer, older)):
        values = found(LAB, *sent, reader=reader)
        assert values.answers["salt"] == answers
        assert [problem.reason for problem in values.problems] == ["other-code"]
    values = found(LAB, in_blood(2), reader=reader)
    assert (values.answers, values.unusable) == ({}, {"salt", "salt-date"})


def test_what_has_the_code_of_a_question_too_is_a_value_of_it():
    reader = replace(READER, others=(Coding(LOINC, "salt-in-blood"),))
    both = {"coding": [*in_blood(4)["code"]["coding"], *salt(4)["code"]["coding"]]}
    values = found(LAB, salt(4) | {"code": both}, reader=reader)
    assert (values.answers["salt"], values.problems) == ((amount(4),), ())


@pytest.mark.parametrize("later", [salt(4, status="entered-in-error"), salt(3, EVE, status="corrected")])
def test_of_a_value_that_is_there_in_several_versions_none_denies(later):
    """A page of a search may have it as it was, and the next page as it was corrected meanwhile."""
    first, second = (
        one | {"id": "one", "meta": {"versionId": version}} for version, one in (("1", salt(4)), ("2", later))
    )
    for sent in ((first, second), (second, first)):
        values = found(LAB, *sent, reader=READER)
        assert amount(4) not in values.answers.get("salt", ())
        assert "salt" in values.unusable or UNREAD in values.answers["salt"]
    assert found(LAB, first, first, reader=READER).answers["salt"] == (amount(4),)


@pytest.mark.parametrize(
    ("date", "authored", "days"),
    [
        ("2026-01-05T23:30:00Z", "2026-01-20T10:00:00+01:00", ("2026-01-05", "2026-01-06")),
        ("2026-01-05T22:30:60Z", "2026-01-20T10:00:00+01:00", ("2026-01-05",)),
        ("2026-01-05T02:00:60.5Z", "2026-01-20T10:00:00-08:00", ("2026-01-05", "2026-01-04")),
        ("2026-01-05T23:30:00Z", "2026-01-20", ("2026-01-05",)),
        ("2026-01-05", "2026-01-20T10:00:00+01:00", ("2026-01-05",)),
        ("0001-01-01T00:00:00Z", "2026-01-20T10:00:00-08:00", ("0001-01-01",)),
    ],
)
def test_the_day_of_a_moment_is_that_of_the_zone_of_the_response_too(date, authored, days):
    """Many servers write all moments in UTC: where it was measured, a day may have begun already."""
    sent = AssessInput({"authored": authored}, "", (ResourceAt(salt(3, date), "data"),))
    assert chart_values(sent, LAB, READER).answers["salt-date"] == days


@st.composite
def dated(draw: st.DrawFn) -> tuple[dict[str, Any], float, float]:
    """The date of a value in any way, and the first and the last day of January that it can mean."""
    day, before = draw(st.integers(5, 25)), draw(st.integers(0, 4))
    start, end = f"2026-01-{day - before:02}", f"2026-01-{day:02}"
    ways = [
        ({"effectiveDateTime": end}, day, day),
        ({"effectiveDateTime": f"{end}T12:00:00Z"}, day, day),
        ({"effectiveInstant": f"{end}T12:00:00Z"}, day, day),
        ({"effectiveDateTime": "2026-01"}, 1, 31),
        ({"effectivePeriod": {"start": start, "end": end}}, day - before, day),
        ({"effectivePeriod": {"start": start}}, day - before, inf),
        ({"effectivePeriod": {"end": end}}, -inf, day),
        ({"issued": f"{end}T12:00:00Z"}, -inf, day),
        ({"effectiveTiming": {"event": [start]}, "issued": f"{end}T12:00:00Z"}, -inf, day),
        ({}, -inf, inf),
    ]
    return draw(st.sampled_from(ways))


@examples(300)
@given(
    st.lists(st.tuples(st.sampled_from([3, 4]), st.sampled_from(["", ">"]), dated()), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_a_value_denies_only_what_was_certainly_measured_before_it(measured_, chance):
    """In whatever order they come; 3 is the worse one, and more than 3 may be."""
    sent = [
        salt(value, None, id=f"o{n}", comparator=sign, **when)
        for n, (value, sign, (when, _, _)) in enumerate(measured_)
    ]
    answers = found(LAB, *sent, reader=READER).answers["salt"]
    chance.shuffle(sent)
    assert set(found(LAB, *sent, reader=READER).answers["salt"]) == set(answers)
    if {UNREAD, amount(3), amount(3, ">")}.intersection(answers):
        return
    after = [first for value, _, (_, first, _) in measured_ if value == 4]
    assert all(last < max(after) for value, _, (_, _, last) in measured_ if value == 3)


MISSING = {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": "unknown"}]}
HIGH = {"interpretation": [{"coding": [{"code": "H"}]}]}


def of(**quantity: Any) -> dict[str, Any]:
    return {"valueQuantity": {"value": 4, "system": UCUM, "code": "mmol/L"} | quantity}


def range_(low: Any = None, high: Any = None, code: str = "mmol/L", **more: Any) -> dict[str, Any]:
    ends = {"low": low, "high": high}
    stated = {
        name: {"value": end, "system": UCUM, "code": code} if code else {"value": end}
        for name, end in ends.items()
        if end is not None
    }
    return {"referenceRange": [stated | more]}


def in_words(text: str) -> dict[str, Any]:
    return {"referenceRange": [{"text": text}]}


def labelled(code: str, kind: str = "security") -> dict[str, Any]:
    return {"meta": {kind: [{"system": "urn:any", "code": code}]}}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (of(unit="mg/dL"), "unit-named"),
        (of(unit="µmol/l"), "unit-named"),
        (of(unit="mEq/L"), "unit-named"),
        (of(extension=MISSING["extension"]), "value-and-reason"),
        (of(_code=MISSING), "value-and-reason"),
        (of(_comparator=MISSING), "value-and-reason"),
        (of(_unit=MISSING, unit="mmol/L"), "value-and-reason"),
        (MISSING, "value-and-reason"),
        ({"_status": MISSING}, "value-and-reason"),
        ({"_effectiveDateTime": MISSING}, "value-and-reason"),
        ({"code": {"coding": [{"system": LOINC, "code": "salt", "_code": MISSING}]}}, "value-and-reason"),
        (HIGH, "flagged"),
        ({"interpretation": [{"text": "Critical High"}]}, "flagged"),
        ({"interpretation": [{"coding": [{"code": "N"}]}, {"text": "LL"}]}, "flagged"),
        ({"interpretation": [{"coding": [{"code": "N", "display": "High"}]}]}, "flagged"),
        ({"interpretation": [{"coding": [{"system": "urn:any", "code": "1"}], "text": "low"}]}, "flagged"),
        ({"interpretation": [{"text": "deutlich erhöht"}]}, "interpretation"),
        ({"interpretation": [{"coding": [{"code": "N"}]}, {"text": "siehe Kommentar"}]}, "interpretation"),
        ({"interpretation": [{"coding": [{"system": "urn:any", "code": "N"}]}]}, "interpretation"),
        ({"interpretation": [{"coding": [{"code": "H>"}]}]}, "interpretation"),
        ({"interpretation": [{"coding": [{"code": "N"}, {"system": "urn:any", "code": "LOW"}]}]}, "flagged"),
        (range_(3, Decimal("3.9")), "flagged"),
        (range_(Decimal("4.1")), "flagged"),
        (range_(high=Decimal("3.9"), code=""), "flagged"),
        (range_(150, 200, "mg/dL", type={"coding": [{"code": "normal"}]}), "flagged"),
        (range_(1, 2, type={"text": "Normal Range"}), "flagged"),
        (range_(1, 2, appliesTo=[{"text": "women"}]), "flagged"),
        (range_(1, 2, age={"low": {"value": 18}}), "flagged"),
        (in_words("1.5 - 3.9"), "flagged"),
        (in_words("1,5-3,9 mmol/L"), "flagged"),
        (in_words("<3.9"), "flagged"),
        (in_words("< 4"), "flagged"),
        (in_words("> 4.0 mmol/L"), "flagged"),
        (in_words("≥ 4.1 mmol/L"), "flagged"),
        (labelled("MASKED"), "altered"),
        (labelled("SUBSETTED", "tag"), "altered"),
    ],
)
def test_a_value_that_its_own_observation_casts_doubt_on_denies_nothing(more, reason):
    chart = found(LAB, salt(4) | more, reader=READER)
    assert (chart.answers, chart.unusable) == ({}, {"salt", "salt-date"})
    assert [problem.reason for problem in chart.problems if problem.kind == "chart-ignored"] == [reason]
    older = found(LAB, salt(5, EVE), salt(4) | more, reader=READER)
    assert older.answers["salt"] == (amount(5), UNREAD)


@pytest.mark.parametrize("more", [HIGH, labelled("MASKED"), range_(4, 5)])
def test_such_a_value_counts_where_it_raises_the_result(more):
    assert found(LAB, salt(3, **more), reader=READER).answers["salt"] == (amount(3),)


@pytest.mark.parametrize(
    "more",
    [
        of(unit="mmol/l"),
        of(unit="salt units"),
        of(unit="mmol"),
        of(_unit=MISSING),
        {"interpretation": [{"coding": [{"code": "N"}], "text": "im Normbereich"}]},
        {"interpretation": [{"coding": [{"system": "urn:any", "code": "1"}, {"code": "ND"}]}]},
        {"interpretation": [{"coding": [{"system": "urn:any", "code": "1", "display": "Normal"}]}]},
        {"interpretation": [MISSING]},
        range_(3, 5),
        range_(6, 8, "mg/dL"),
        range_(30, 50, "kg"),
        range_(1, 2, type={"coding": [{"code": "treatment"}]}),
        {"referenceRange": [*range_(1, 2)["referenceRange"], *range_(3, 5)["referenceRange"]]},
        {
            "referenceRange": [
                *range_(1, 2, appliesTo=[{"text": "children"}])["referenceRange"],
                *range_(3, 5, appliesTo=[{"text": "adults"}])["referenceRange"],
            ]
        },
        in_words("3.5 to 5"),
        in_words("<= 4"),
        in_words("> 3"),
        in_words("1 - 2 mg/dL"),
        in_words("1 - 2 in children"),
        in_words("see comment"),
        labelled("R"),
        labelled("HTEST", "tag"),
    ],
)
def test_a_value_that_nothing_speaks_against_counts(more):
    assert found(LAB, salt(4) | more, reader=READER).answers["salt"] == (amount(4),)


@pytest.mark.parametrize(("more", "reason"), [({"focus": [PATIENT]}, "focus"), (labelled("HTEST"), "test")])
def test_a_value_that_is_not_about_the_person_is_named_and_says_nothing(more, reason):
    chart = found(LAB, salt(5), salt(3, NEWER, **more), reader=READER)
    assert chart.answers["salt"] == (amount(5),)
    assert [problem.reason for problem in chart.problems] == [reason]


def test_a_value_that_was_made_for_a_test_counts_in_a_test():
    sent = posted(salt(4, **labelled("HTEST")))
    sent.response.update(labelled("HTEST"))
    assert chart_values(sent, LAB, READER).answers["salt"] == (amount(4),)


def test_a_value_that_is_called_abnormal_fills_in_what_the_guidance_asks_nothing_of():
    assert found(LAB, salt(4, **HIGH)).answers["salt"] == (amount(4),)


def test_what_is_said_of_a_panel_holds_for_its_components():
    chart = found(EVERY_TYPE, panel(part("truth", valueBoolean=True), **MISSING))
    assert (chart.answers, chart.unusable) == ({}, {"truth"})
    own = [{}, {"interpretation": [{"coding": [{"code": "N"}]}]}]
    for said, answers in zip(own, ({}, {"salt": (amount(4),)}), strict=True):
        chart = found(LAB, panel(part("salt", **of(), **said), **HIGH), reader=READER)
        assert {link: values for link, values in chart.answers.items() if link == "salt"} == answers


def test_a_question_for_a_moment_takes_date_and_time():
    reader = Reader(dates={"salt": "salt-moment"})
    moment = "2026-01-05T23:30:00-05:00"
    assert found(LAB, salt(4, moment), reader=reader).answers["salt-moment"] == (moment,)


@pytest.mark.parametrize(
    "observations",
    [[salt(4, unit="kg")], [salt(4, status="preliminary")], [salt(4, unit="kg"), salt(3, NEWER, unit="kg")]],
)
def test_where_no_value_can_be_used_neither_the_value_nor_its_date_is_known(observations):
    chart = found(LAB, *observations, reader=READER)
    assert (chart.answers, chart.unusable) == ({}, {"salt", "salt-date"})


def test_of_a_value_without_a_date_only_the_date_is_unknown():
    chart = found(LAB, salt(3, None), reader=READER)
    assert (chart.answers, chart.unusable) == ({"salt": (amount(3),)}, {"salt-date"})


def test_values_are_printed_as_they_were_sent_and_so_is_what_was_left_out():
    grams = {"valueQuantity": {"value": Decimal("7.50"), "unit": "drops", "comparator": ">"}}
    sent = salt(Decimal("3.10"), unit="meq/L"), salt(0, NEWER, id="drops", **grams), salt(5, "2025-01-01")
    assert found(LAB, *sent, reader=READER).printed == (
        ChartValue("salt", "3.10", "meq/L", OLDER, ""),
        ChartValue("salt", "> 7.50", "drops", NEWER, "unit-not-ucum"),
    )


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ({"valueBoolean": False}, "false"),
        ({"valueInteger": 7}, "7"),
        ({"valueString": "calm"}, "calm"),
        ({"valueCodeableConcept": {"coding": [{"system": "urn:o", "code": "b", "display": "Bee"}]}}, "Bee"),
        ({"valueCodeableConcept": {"coding": [{"system": "urn:o", "code": "b"}]}}, "b"),
        ({"valueCodeableConcept": {"text": "Words", "coding": [{"system": "urn:o", "code": "b"}]}}, "Words"),
        ({"dataAbsentReason": {"text": "lost"}}, ""),
    ],
)
def test_a_value_of_any_type_is_printed(said, value):
    (printed,) = found(EVERY_TYPE, observed("one", **said)).printed
    assert (printed.link_id, printed.value, printed.unit) == ("one", value, "")


@pytest.mark.parametrize(("day", "late"), [("2026-01-06", False), ("2026-01-07", True), ("2027", True)])
def test_a_value_from_after_the_response_is_refused(day, late):
    problems = found(LAB, salt(4, day), reader=READER, authored="2026-01-05T08:00:00Z").problems
    assert [problem.kind for problem in problems] == ["date-after-authored"] * late
    assert all(problem.severity == "error" for problem in problems)
    undated = Reader(READER.low)
    assert found(LAB, salt(4, day), reader=undated, authored="2026-01-05T08:00:00Z").problems == ()
    void = salt(4, day, status="entered-in-error")
    kinds = [problem.kind for problem in found(LAB, void, reader=READER, authored="2026-01-05").problems]
    assert kinds == ["chart-ignored"]


def test_a_value_beside_an_answer_brings_its_date_only_where_it_is_worse():
    given = {"salt": (amount(4),)}
    for value, beside in ((4, {"salt"}), (3, {"salt", "salt-date"})):
        chart = found(LAB, salt(value), reader=READER)
        assert chart.beside(given, READER).keys() == beside
        assert chart.beside({}, READER) == chart.answers
