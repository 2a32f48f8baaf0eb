"""What a call brings of a chart, and what a card makes of it (CH03, CH07, CH11; the guidance, Chart values).

Laboratory values count as they do for `$assess`. Conditions and medicines answer no question: they are named.
"""

import copy
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from service import app
from service.assess import Outlined
from service.cds_hooks import CdsService, Reading, Triggers, brought_by
from service.errors import Malformed
from service.fhir.json import BodyLimits
from service.questionnaire import compile_leniently
from service.sandbox import Sandbox
from service.settings import Settings
from service.terminology import value_sets_from

ROOT = Path(__file__).resolve().parents[2]
VIEW = "/cds-services/muscle-twitching-patient-view"
SUBJECT = {"reference": "Patient/example"}


def sample(name: str) -> dict[str, Any]:
    return orjson.loads((ROOT / f"samples/{name}.json").read_bytes())


CHART = sample("parameters-with-chart-data")["parameter"]
(RESPONSE,) = (found["resource"] for found in CHART if found["name"] == "questionnaire-response")
POTASSIUM, TSH = (found["resource"] for found in CHART if found["name"] == "data")


def searchset(*resources: Any) -> dict[str, Any]:
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries}


def potassium(value: float, date: str = "2026-11-18", **members: Any) -> dict[str, Any]:
    changed = copy.deepcopy(POTASSIUM) | {"effectiveDateTime": date} | members
    changed["valueQuantity"]["value"] = value
    return changed


def call_of(**prefetch: Any) -> dict[str, Any]:
    keys = ["patient", "responses", "laboratory", "conditions", "observations"]
    return {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/example", "patientId": "example"},
        "prefetch": dict.fromkeys(keys) | prefetch,
    }


@pytest.fixture(scope="module")
def application():
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    return app.create_app(Settings(store_url="none"), lambda: now)


@pytest.fixture(scope="module")
def client(application):
    return application.test_client()


@pytest.fixture
def card(client):
    """Returns the one card of a call that brings a response and these laboratory values."""

    def ask(*laboratory: Any, response: Any = RESPONSE, **prefetch: Any) -> dict[str, Any]:
        body = call_of(responses=searchset(response), laboratory=searchset(*laboratory), **prefetch)
        answer = client.post(VIEW, json=body)
        assert answer.status_code == 200, answer.data
        (found,) = answer.json["cards"]
        return found

    return ask


def plain(card: dict[str, Any]) -> str:
    return card["detail"].replace("\\", "")


def test_every_question_that_a_chart_answers_is_in_the_template_of_laboratory_values_ch03(client):
    (view, _) = client.get("/cds-services").json["services"]
    template = view["prefetch"]["laboratory"]
    assert template.startswith("Observation?patient={{context.patientId}}&code=http://loinc.org|2823-3,")
    assert template.count("http://loinc.org|") == 19
    assert "http://loinc.org|6298-4," in template
    assert view["prefetch"]["patient"] == "Patient/{{context.patientId}}"


def test_a_laboratory_value_counts_as_it_does_for_assess(card, client):
    """Nothing but the chart gives this result: without it a calm response has no card yet."""
    calm = call_of(responses=searchset(RESPONSE))
    assert client.post(VIEW, json=calm).json == {"cards": []}
    found = card(POTASSIUM, TSH)
    assert "Chart: potassium 3.1 millimole per liter, 18 November 2026" in plain(found)
    body = {"resourceType": "Parameters", "parameter": CHART}
    assessed = client.post("/fhir/QuestionnaireResponse/$assess", json=body).json
    (kept, *_) = found["suggestions"]
    assert kept["actions"][0]["resource"]["prediction"] == assessed["prediction"]
    assert {"reference": "Observation/potassium-example"} in kept["actions"][0]["resource"]["basis"]


def test_potassium_in_blood_leaves_open_what_an_older_one_in_serum_denies(card, client):
    serum = potassium(4.1)
    body = call_of(responses=searchset(RESPONSE), laboratory=searchset(serum))
    assert client.post(VIEW, json=body).json == {"cards": []}
    coding = {"system": "http://loinc.org", "code": "6298-4"}
    blood = potassium(7.1, "2026-11-19", id="blood", code={"coding": [coding]})
    found = card(serum, blood, TSH)
    assert "potassium 7.1 millimole per liter, 19 November 2026 (left out: it was measured in" in plain(found)
    assert "Not known: potassium" in plain(found)


def test_what_the_person_answered_is_not_replaced_by_a_better_value(card):
    response = sample("professional-with-labs")
    answered = card(response=response)
    better = card(potassium(4.2, response["authored"][:10]), response=response)
    assert better["summary"] == answered["summary"]


def test_a_value_measured_after_the_response_is_named_and_reassures_nobody(card, client):
    found = card(potassium(4.2, "2026-11-30"))
    assert "(left out: it was measured after the response was written)" in plain(found)
    both = plain(card(potassium(3.1, id="low"), potassium(4.2, "2026-11-30")))
    assert "Hypokalaemia (3.1 mmol/L" in both


def test_a_value_that_is_no_observation_leaves_the_rest_as_it_is(card):
    broken = POTASSIUM | {"status": 7}
    assert "(left out: it is no Observation of R4)" in plain(card(broken))
    assert "Hypokalaemia (3.1 mmol/L" in plain(card(POTASSIUM, broken))


def test_the_uuid_changes_with_the_values_and_with_nothing_else_of_the_chart(card):
    first, again, other = (
        card(found)["uuid"] for found in (POTASSIUM, POTASSIUM | {"id": "x"}, potassium(3.2))
    )
    assert first == again != other


RECORDED = {
    "resourceType": "Condition",
    "id": "x",
    "subject": SUBJECT,
    "code": {
        "coding": [{"system": "http://snomed.info/sct", "code": "37340000"}],
        "text": "<i>As recorded</i>",
    },
}


def test_a_condition_that_the_form_asks_about_is_named_and_not_counted(card):
    without = card(POTASSIUM)
    found = card(POTASSIUM, conditions=searchset(RECORDED))
    assert "not counted in the result: &lt;i&gt;As recorded&lt;/i&gt;" in plain(found)
    assert found["summary"] == without["summary"]
    over = RECORDED | {"clinicalStatus": {"coding": [{"code": "resolved"}]}}
    assert card(POTASSIUM, conditions=searchset(over)) == without


def test_a_condition_that_the_form_asks_about_is_no_reason_to_offer_it(client):
    assert client.post(VIEW, json=call_of(conditions=searchset(RECORDED))).json == {"cards": []}


@pytest.mark.parametrize("died", [{"deceasedBoolean": True}, {"deceasedDateTime": "2026-11-01"}])
def test_there_is_no_card_about_a_person_who_has_died(client, died):
    body = call_of(responses=searchset(sample("progressive-weakness")))
    assert len(client.post(VIEW, json=body).json["cards"]) == 1
    body["prefetch"]["patient"] = {"resourceType": "Patient", "id": "example"} | died
    assert client.post(VIEW, json=body).json == {"cards": []}


FORM = {
    "resourceType": "Questionnaire",
    "url": "https://forms.example.org/Questionnaire/medicines",
    "status": "active",
    "item": [
        {
            "linkId": "a",
            "type": "boolean",
            "code": [{"system": "http://www.whocc.no/atc", "code": "N03AX16"}],
        },
        {"linkId": "b", "type": "boolean", "code": [{"system": "http://snomed.info/sct", "code": "1"}]},
        {"linkId": "c", "type": "integer", "code": [{"system": "http://loinc.org", "code": "30525-0"}]},
    ],
}


@pytest.fixture
def asking():
    """The service of a form that asks about a medicine."""
    compiled = compile_leniently(FORM, value_sets_from(()), is_quoted=True)
    pair = SimpleNamespace(compiled=compiled, guidance=None)
    return CdsService("x", "patient-view", pair, Triggers())


ATC = {"coding": FORM["item"][0]["code"]}
OTHER = {"coding": [{"system": "http://www.whocc.no/atc", "code": "N02BE01"}]}
ORDER = {"resourceType": "MedicationRequest", "subject": SUBJECT, "status": "active"}
EHR = "https://ehr.example.org/fhir"


def medication(code: Any = ATC, of_id: str = "m", **members: Any) -> dict[str, Any]:
    return {"resourceType": "Medication", "id": of_id, "code": code} | members


def referring(reference: Any, *contained: Any, **members: Any) -> dict[str, Any]:
    return ORDER | {"medicationReference": reference, "contained": [*contained]} | members


def recorded(asking: CdsService, *resources: Any) -> tuple[str, ...]:
    body = call_of(medicines=searchset(*resources)) | {"fhirServer": EHR}
    return brought_by(orjson.dumps(body), asking, BodyLimits(100_000, 50)).brought.recorded


def test_medicines_that_a_form_asks_about_are_prefetched_and_named_ch03(asking):
    templates = asking.prefetch()
    assert templates["medicines"] == (
        "MedicationRequest?patient={{context.patientId}}&status=active,on-hold&_sort=-authoredon&_count=50"
    )
    assert templates["conditions"].count("|") == 1
    assert "laboratory" not in templates
    order = ORDER | {"medicationCodeableConcept": ATC}
    other = OTHER | {"text": "other"}
    ended = order | {"status": "completed"}
    assert recorded(asking, order, ORDER | {"medicationCodeableConcept": other}, ended) == ("N03AX16",)


@pytest.mark.parametrize(
    "resources",
    [
        (referring({"reference": "#m"}, medication(of_id="other", code={}), medication()),),
        (referring({"reference": "Medication/m"}), medication()),
        (medication(), referring({"reference": f"{EHR}/Medication/m"})),
        (medication(), referring({"reference": "Medication/m/_history/2"})),
    ],
)
def test_a_medicine_that_an_order_refers_to_is_followed_ch03(asking, resources):
    assert recorded(asking, *resources) == ("N03AX16",)
    changed = orjson.loads(orjson.dumps(resources).replace(orjson.dumps(ATC), orjson.dumps(OTHER)))
    assert recorded(asking, *changed) == ()
    ended = orjson.loads(orjson.dumps(resources).replace(b'"active"', b'"stopped"'))
    assert recorded(asking, *ended) == ()


@pytest.mark.parametrize(
    ("resources", "name"),
    [
        ((referring({"reference": "Medication/m", "display": "As shown"}),), "As shown"),
        ((referring({"reference": "Medication/m"}),), "Medication/m"),
        ((referring({"reference": "Medication/n"}), medication()), "Medication/n"),
        ((referring({"reference": "https://other.example.org/Medication/m"}), medication()), "https://other"),
        ((referring({"reference": "#m"}, medication({"text": "In words"})),), "In words"),
        ((referring({"reference": "#m"}, medication({"coding": [{"display": "x"}]})),), "x"),
        ((referring({"reference": "#m"}, {"resourceType": "Substance", "id": "m", "code": ATC}),), "m"),
        ((referring({"reference": "#"}),), "Medication"),
        ((referring({"reference": "Medication/m"}), medication(), medication(OTHER)), "Medication/m"),
        ((referring({"reference": "#m"}, medication(OTHER), medication()),), "m"),
        ((referring({"identifier": {"value": "1"}}),), "Medication"),
        ((referring("Medication/m"), medication()), "Medication"),
        ((ORDER,), "Medication"),
        ((ORDER | {"medicationCodeableConcept": {"text": "In words"}},), "In words"),
    ],
)
def test_an_order_whose_code_is_not_there_is_named_since_unknown_is_not_no(asking, resources, name):
    (found,) = recorded(asking, *resources)
    assert found.startswith(name)


def test_nothing_but_medicines_comes_along_and_nowhere_else(asking):
    for key, stray in (("medicines", {"resourceType": "Patient", "id": "x"}), ("conditions", medication())):
        body = call_of(**{"medicines": None, key: searchset(stray)})
        with pytest.raises(Malformed, match=key):
            brought_by(orjson.dumps(body), asking, BodyLimits(100_000, 50))


CODE = {"system": "http://snomed.info/sct", "code": "37340000"}


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ({"coding": [CODE]}, "37340000"),
        ({"coding": [CODE | {"display": "As coded"}]}, "As coded"),
        ({"coding": ["x", CODE], "text": 7}, "37340000"),
        ([{"coding": [CODE]}, "x"], "37340000"),
        ({"coding": [CODE], "text": "x" * 1000}, "x" * 100),
    ],
)
def test_a_condition_of_any_shape_is_named_by_what_it_has_ch05(card, code, name):
    found = card(POTASSIUM, conditions=searchset(RECORDED | {"code": code}))
    assert f"result: {name}." in plain(found)


def test_much_of_a_chart_is_read_and_scored_apart_since_others_wait_meanwhile_ch14(card, monkeypatch):
    apart, call = [], Sandbox.call

    def noted(sandbox, work, kind):
        apart.append(kind)
        return call(sandbox, work, kind)

    monkeypatch.setattr(Sandbox, "call", noted)
    few = card(POTASSIUM, TSH)
    assert apart == []
    many = card(POTASSIUM, *(TSH | {"id": f"tsh-{number}"} for number in range(100)))
    assert apart == [Reading, Outlined]
    assert many["summary"] == few["summary"]
