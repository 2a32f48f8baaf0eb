"""Dates and values of the chart, from the bytes of a request to its result."""

from pathlib import Path
from shutil import copytree
from typing import Any

import orjson
import pytest

from service import catalogue
from service.assess import Assessor
from service.errors import NotScorable
from service.fhir.json import BodyLimits
from service.results import FULL

Json = dict[str, Any]
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
CANONICAL = "https://guidance.example.org/fhir/Questionnaire/workday-strain|2.1.0"
SYSTEM = "https://guidance.example.org/fhir/CodeSystem/workday-strain-answers"
CALM = ("tense", "rushed", "sleep-work", "short-temper", "no-break", "concentration", "drained")
AUTHORED = "2026-03-10T09:00:00Z"


def _option(code: str) -> Json:
    url = "http://hl7.org/fhir/StructureDefinition/questionnaire-unitOption"
    return {"url": url, "valueCoding": {"system": UCUM, "code": code, "display": code}}


QUESTIONS = [
    {
        "linkId": "salt",
        "text": "Salt in the blood",
        "type": "quantity",
        "code": [{"system": LOINC, "code": "2951-2"}],
        "extension": [_option("mmol/L"), _option("mg/dL")],
    },
    {"linkId": "salt-on", "text": "Measured on", "type": "date"},
    {"linkId": "since", "text": "How long?", "type": "quantity", "extension": [_option("d"), _option("wk")]},
    {"linkId": "seen-at", "text": "Seen on", "type": "dateTime"},
]
PARAMETERS = """parameters:
  salt-low: {value: 3, unit: mmol/L, edge: less than, means: Low., origin: project, sources: []}
  a-week: {value: 7, unit: d, edge: at most, means: Recent., origin: project, sources: []}
  after: {value: 0, unit: d, edge: more than, means: Later., origin: project, sources: []}
derived:
  seen-age: {days-before-authored: seen-at}
  seen-after: {difference: [since, seen-age]}
chart:
  salt:
    date: salt-on
    conversions:
      - {from: mg/dL, to: mmol/L, factor: "0.5", source: Invented.}
      - {from: meq/L, to: mmol/L, factor: "0.25", source: Invented.}
"""
SHARED = "kind: strain, means: Of this test, origin: project, sources: []"
FINDINGS = f"""
- {{finding: low-salt, {SHARED}, when: {{answer: salt, less-than: {{parameter: salt-low}}}}}}
- {{finding: recent-salt, {SHARED}, when: {{answer: salt-on, at-most: {{parameter: a-week}}}}}}
- {{finding: low-now, {SHARED}, when: {{all: [low-salt, recent-salt]}}}}
- {{finding: seen-later, {SHARED}, when: {{answer: seen-after, more-than: {{parameter: after}}}}}}
"""
RULE = "kind: strain, says: {clinician: Of this test.}, origin: project, sources: []"
RULES = f"""
- {{rule: low-now-acts, {RULE}, when: low-now, tier: act}}
- {{rule: low-talks, {RULE}, when: {{any: [low-salt, {{unsure: low-now}}]}}, tier: talk}}
- {{rule: seen-talks, {RULE}, when: seen-later, tier: talk}}
"""

CASES = """
- case: low-and-recent
  about: A low value of this week, once as a number and once as a range.
  authored: 2026-03-10
  answers: {salt: 5.9 mg/dL, salt-on: 7 d ago}
  expect: {fires: [low-now-acts]}
- case: range
  about: The same.
  like: low-and-recent
  answers: {salt: "< 3 mmol/L"}
  expect: {fires: [low-now-acts]}
- case: older
  about: One day older, and only the month is known of the other date.
  like: low-and-recent
  answers: {salt-on: 2026-03-02, since: 40 d, seen-at: 2026-02}
  expect: {fires: [low-talks, seen-talks], not-fires: [low-now-acts]}
"""


@pytest.fixture(scope="module")
def assessor(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Assessor:
    """A service for the second pair with questions for a laboratory value and for dates."""
    folder = Path(copytree(root / "tests" / "second_pair", tmp_path_factory.mktemp("dates") / "pair"))
    form = folder / "questionnaires" / "workday-strain.json"
    resource = orjson.loads(form.read_bytes())
    resource["item"] += QUESTIONS
    form.write_bytes(orjson.dumps(resource))
    mapping = folder / "mappings" / "workday-strain"
    head = mapping / "guidance.yaml"
    head.write_text(head.read_text().replace("parameters: {}\n", PARAMETERS))
    (mapping / "cases.yaml").write_text(CASES)
    for name, more in (("findings", FINDINGS), ("rules", RULES)):
        path = mapping / f"{name}.yaml"
        path.write_text(path.read_text().rstrip() + more)
    return Assessor(catalogue.read(folder / "questionnaires", folder / "mappings"), BodyLimits())


def response(authored: str = AUTHORED, **answers: Json) -> Json:
    never = [{"valueCoding": {"system": SYSTEM, "code": "never"}}]
    calm = {"linkId": "strain", "item": [{"linkId": link, "answer": never} for link in CALM]}
    more = [
        {"linkId": question["linkId"], "answer": [answers[named]]}
        for question in QUESTIONS
        if (named := str(question["linkId"]).replace("-", "_")) in answers
    ]
    stated = {"resourceType": "QuestionnaireResponse", "questionnaire": CANONICAL, "status": "completed"}
    return {**stated, **({"authored": authored} if authored else {}), "item": [calm, *more]}


def amount(value: float, code: str = "mmol/L", **more: str) -> Json:
    return {"value": value, "system": UCUM, "code": code, **more}


def salt(value: float, day: str | None = "2026-03-09", code: str = "mmol/L", **more: Any) -> Json:
    comparator = {"comparator": more.pop("comparator")} if "comparator" in more else {}
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "2951-2"}]},
        **({} if day is None else {"effectiveDateTime": day}),
        "valueQuantity": amount(value, code, **comparator),
        **more,
    }


def with_chart(answered: Json, *observations: Json) -> Json:
    named = [{"name": "data", "resource": observation} for observation in observations]
    first = {"name": "questionnaire-response", "resource": answered}
    return {"resourceType": "Parameters", "parameter": [first, *named]}


def tier(assessor: Assessor, sent: Json) -> tuple[str, str]:
    document = orjson.loads(assessor.assess_body(orjson.dumps(sent), FULL).body)
    (found,) = (each for each in document["extension"] if each["url"].endswith("/assessment-tier"))
    codes = {part["url"]: part["valueCoding"]["code"] for part in found["extension"][:2]}
    return codes["at-least"], codes["at-most"]


NOTHING, TALK, ACT = ("nothing", "nothing"), ("talk", "talk"), ("act", "act")
LOW = {"valueQuantity": amount(2)}
SINCE = {"valueQuantity": amount(0, "d")}


@pytest.mark.parametrize(
    ("authored", "answers", "wanted"),
    [
        (AUTHORED, {"salt": LOW, "salt_on": {"valueDate": "2026-03-03"}}, ACT),
        (AUTHORED, {"salt": LOW, "salt_on": {"valueDate": "2026-03-02"}}, TALK),
        (AUTHORED, {"salt": LOW, "salt_on": {"valueDate": "2026-03"}}, ("talk", "act")),
        (AUTHORED, {"salt": LOW}, ("talk", "act")),
        ("", {"salt": LOW, "salt_on": {"valueDate": "2026-03-02"}}, ("talk", "act")),
        ("2026-03", {"salt": LOW, "salt_on": {"valueDate": "2026-03-02"}}, ("talk", "act")),
        (AUTHORED, {"salt": {"valueQuantity": amount(5.9, "mg/dL")}}, ("talk", "act")),
        (AUTHORED, {"salt": {"valueQuantity": amount(6, "mg/dL")}}, NOTHING),
        (
            AUTHORED,
            {"since": {"valueQuantity": amount(1, "wk")}, "seen_at": {"valueDateTime": "2026-03-04"}},
            TALK,
        ),
    ],
)
def test_both_ways_in_reckon_dates_from_the_response(
    assessor: Assessor, authored: str, answers: Json, wanted: tuple[str, str]
) -> None:
    if "salt" not in answers or answers["salt"] != LOW:
        answers = {"salt": {"valueQuantity": amount(4)}, **answers}
    if "seen_at" not in answers:
        answers = {**answers, "seen_at": {"valueDateTime": "2026-03-10"}, "since": SINCE}
    sent = response(authored, **answers)
    data = orjson.dumps(sent)
    accepted, full = assessor.accepted(data), assessor.scored(data)
    assert accepted is not None
    assert accepted.answers == full.answers
    assert accepted.document() == full.document()
    assert tier(assessor, sent) == wanted


@pytest.mark.parametrize(
    ("link_id", "answer", "is_late"),
    [
        ("salt_on", {"valueDate": "2026-03-11"}, False),
        ("salt_on", {"valueDate": "2026-03-12"}, True),
        ("salt_on", {"valueDate": "2026"}, False),
        ("salt_on", {"valueDate": "2027"}, True),
        ("seen_at", {"valueDateTime": "2026-03-12T00:00:00+14:00"}, True),
    ],
)
def test_a_date_more_than_a_day_after_the_response_is_refused(
    assessor: Assessor, link_id: str, answer: Json, is_late: bool
) -> None:
    data = orjson.dumps(response(**{link_id: answer}))
    assert (assessor.accepted(data) is None) is is_late
    if not is_late:
        assert assessor.assess_body(data).body
        return
    with pytest.raises(NotScorable) as refused:
        assessor.assess_body(data)
    (problem,) = refused.value.problems
    assert problem.kind == "date-after-authored"
    assert problem.expression == "QuestionnaireResponse.item[1].answer[0]"
    assert orjson.dumps(problem.text).find(b"2026") == -1


@pytest.mark.parametrize(
    ("observations", "wanted"),
    [
        ([salt(2)], ACT),
        ([salt(2, "2026-03-02")], TALK),
        ([salt(2, None)], ("talk", "act")),
        ([salt(4)], NOTHING),
        ([salt(2, "2026-03-08"), salt(4)], NOTHING),
        ([salt(4, "2026-03-08"), salt(2)], ACT),
        ([salt(4), salt(2)], ACT),
        ([salt(5.9, code="mg/dL")], ACT),
        ([salt(11, code="meq/L")], ACT),
        ([salt(12, code="meq/L")], NOTHING),
        ([salt(4, "2026-03-08"), salt(2, code="kg")], ("nothing", "act")),
        ([salt(2, "2026-02-08"), salt(4, code="kg")], ("talk", "act")),
        ([salt(2, "2026-03-08"), salt(4, status="preliminary")], ACT),
        ([salt(4, "2026-03-08"), salt(2, status="preliminary")], ACT),
        ([salt(2, "2026-02-08"), salt(2.5, comparator=">")], ACT),
        ([salt(4, "2026-02-08"), salt(2.5, comparator=">")], ("talk", "act")),
        ([salt(2.5, comparator=">")], ("talk", "act")),
        ([salt(2, "2026-02-08"), salt(3, comparator=">")], NOTHING),
    ],
)
def test_values_of_the_chart_count_by_their_moment(
    assessor: Assessor, observations: list[Json], wanted: tuple[str, str]
) -> None:
    calm = response(since=SINCE, seen_at={"valueDateTime": "2026-03-10"})
    for place, observation in enumerate(observations):
        observation["id"] = f"o{place}"
    sent = [with_chart(calm, *order) for order in (observations, observations[::-1])]
    assert [tier(assessor, one) for one in sent] == [wanted, wanted]


def test_a_value_from_after_the_response_is_refused(assessor: Assessor) -> None:
    with pytest.raises(NotScorable) as refused:
        tier(assessor, with_chart(response(), salt(2, "2026-03-12")))
    (problem,) = refused.value.problems
    assert (problem.kind, problem.expression) == ("date-after-authored", "Parameters.parameter[1].resource")


def test_values_are_at_hand_as_they_were_sent(assessor: Assessor) -> None:
    sent = with_chart(response(), salt(11, code="meq/L"), salt(4, "2026-02-01", code="kg"))
    printed = assessor.scored(orjson.dumps(sent)).chart.printed
    assert [(one.value, one.unit, one.date, bool(one.left_out)) for one in printed] == [
        ("11", "meq/L", "2026-03-09", False),
        ("4", "kg", "2026-02-01", True),
    ]


def test_a_value_beside_an_answer_counts_with_its_date_where_it_is_worse(assessor: Assessor) -> None:
    more = {"since": SINCE, "seen_at": {"valueDateTime": "2026-03-10"}}
    high = response(salt={"valueQuantity": amount(4)}, **more)
    assert tier(assessor, with_chart(high, salt(2))) == ACT
    assert tier(assessor, with_chart(high, salt(5))) == NOTHING
    low = response(salt=LOW, **more)
    assert tier(assessor, with_chart(low, salt(4))) == ("talk", "act")
