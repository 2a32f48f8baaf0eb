"""`$next-question` over HTTP: question by question to the result of the full form."""

from collections.abc import Iterator
from typing import Any

import pytest
from case_responses import answers_by_link, questions_of, response_of
from flask.testing import FlaskClient
from interviews import begun, interviewed

from service import catalogue
from service.catalogue import Pair
from service.fhir.resource_models import faults_in
from service.settings import ROOT

Json = dict[str, Any]
PATH = "/fhir/Questionnaire/$next-question"
FHIR = {"Content-Type": "application/fhir+json"}
ADAPTIVE = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-questionnaireAdaptive"


@pytest.fixture(scope="module")
def pair() -> Pair:
    (found,) = catalogue.read(ROOT / "questionnaires", ROOT / "mappings").pairs.values()
    return found


def ask(client: FlaskClient, body: Any, status: int = 200) -> Json:
    answer = client.post(PATH, json=body, headers=FHIR)
    assert answer.status_code == status, answer.get_data(as_text=True)[:600]
    found: Json = answer.get_json()
    return found


def refused(client: FlaskClient, body: Any, status: int = 422) -> list[str]:
    outcome = ask(client, body, status)
    return [issue["details"]["coding"][0]["code"] for issue in outcome["issue"]]


def asked(response: Json) -> list[str]:
    """LinkIds of the questions in the contained Questionnaire."""
    (form,) = response["contained"]
    items = questions_of({"item": form.get("item", [])})
    return [link for link, item in items.items() if item["type"] not in ("group", "display")]


def steps(client: FlaskClient, pair: Pair, name: str) -> Iterator[Json]:
    """Yields what comes back for the person of a worked case, who answers what was asked."""
    case = next(case for case in pair.guidance.cases if case.name == name)
    full = response_of(pair, case)
    response = begun(pair.compiled.canonical, subject=full["subject"], authored=full["authored"])
    while response["status"] == "in-progress":
        response = ask(client, response)
        yield response
        items = list(_kept(full["item"], asked(response)))
        response = {**response, "item": items} if items else response


def _kept(items: list[Json], links: list[str]) -> Iterator[Json]:
    for item in items:
        below = list(_kept(item.get("item", []), links))
        if below:
            yield {**item, "item": below}
        elif item["linkId"] in links:
            yield item


@pytest.mark.parametrize("name", ["plain-eyelid-three-days", "body-wide-for-months"])
def test_question_by_question_the_result_is_that_of_the_full_form(
    real: FlaskClient, pair: Pair, name: str
) -> None:
    case = next(case for case in pair.guidance.cases if case.name == name)
    responses = list(steps(real, pair, name))
    counts = [len(asked(response)) for response in responses]
    assert counts[:-1] == list(range(1, len(counts)))
    assert [response["status"] for response in responses[:-1]] == ["in-progress"] * (len(counts) - 1)
    last = responses[-1]
    assert (last["status"], counts[-1]) == ("completed", counts[-2])
    expected = interviewed(pair, case)
    assert sorted(asked(last)) == sorted(expected.asked)
    short = {**last, "questionnaire": pair.compiled.canonical, "status": "in-progress", "contained": []}
    del short["contained"]
    verdicts = [predictions(real, body) for body in (short, response_of(pair, case))]
    assert verdicts[0] == verdicts[1]


def predictions(client: FlaskClient, response: Json) -> list[Any]:
    """The step and the levels of a result, each with its interval."""
    answer = client.post("/fhir/QuestionnaireResponse/$assess", json=response, headers=FHIR)
    assert answer.status_code == 200, answer.get_data(as_text=True)[:500]
    kept = ("outcome", "qualitativeRisk", "whenPeriod")
    return [{key: one.get(key) for key in kept} for one in answer.get_json()["prediction"]]


def test_an_emergency_ends_it_at_once(real: FlaskClient, pair: Pair) -> None:
    (case,) = [case.name for case in pair.guidance.cases if case.expect.tier == ("emergency",) * 2][:1]
    last = list(steps(real, pair, case))[-1]
    assert last["status"] == "completed"
    assert len(asked(last)) <= 4


def test_what_comes_back_is_written_from_the_questionnaire_that_is_served(
    real: FlaskClient, pair: Pair
) -> None:
    body = begun(pair.compiled.canonical, identifier={"system": "urn:a", "value": "b"})
    body["contained"][0]["title"] = "Another title"
    response = ask(real, body)
    (form,) = response["contained"]
    assert form["title"] == pair.compiled.resource["title"]
    assert form["extension"] == [{"url": ADAPTIVE, "valueBoolean": True}]
    assert (form["id"], form["derivedFrom"]) == ("asked", [pair.compiled.canonical])
    assert response["identifier"] == body["identifier"]
    served = questions_of(pair.compiled.resource)
    (link,) = asked(response)
    assert questions_of(form)[link]["text"] == served[link]["text"]
    assert list(faults_in(response)) == []


def test_it_comes_in_parameters_too_and_values_of_the_chart_count(real: FlaskClient, pair: Pair) -> None:
    response = begun(pair.compiled.canonical)
    parameter = [{"name": "questionnaire-response", "resource": response}]
    assert ask(real, {"resourceType": "Parameters", "parameter": parameter}) == ask(real, response)


def test_a_question_that_was_asked_is_not_asked_again_without_an_answer(
    real: FlaskClient, pair: Pair
) -> None:
    first = ask(real, begun(pair.compiled.canonical))
    second = ask(real, first)
    assert set(asked(first)) < set(asked(second))
    assert answers_by_link(second) == {}


def test_what_cannot_be_asked_is_refused_by_name(real: FlaskClient, pair: Pair) -> None:
    body = begun(pair.compiled.canonical)
    for status in ("completed", "amended", "stopped", "entered-in-error"):
        assert refused(real, {**body, "status": status}) == ["status-not-scorable"]
    alone = {key: value for key, value in body.items() if key != "contained"}
    assert refused(real, {**alone, "questionnaire": pair.compiled.canonical}) == ["canonical-unknown"]
    without = {key: value for key, value in body.items() if key not in ("questionnaire", "contained")}
    assert refused(real, without) == ["canonical-missing"]
    (form,) = body["contained"]
    plain = {key: value for key, value in form.items() if key != "derivedFrom"}
    assert refused(real, {**body, "contained": [plain]}) == ["canonical-missing"]
    other = {**form, "derivedFrom": ["https://elsewhere.example.org/Questionnaire/q|1"]}
    assert refused(real, {**body, "contained": [other]}) == ["canonical-unknown"]
    wrong = {"linkId": "completed-by", "answer": [{"valueString": "CANARY"}]}
    assert refused(real, {**body, "item": [{"linkId": "start", "item": [wrong]}]}) == ["answer-type"]
    assert refused(real, {"resourceType": "Patient"}, 400) == ["resource-type"]
    parameter = [
        {"name": "questionnaire-response", "resource": body},
        {"name": "_detail", "valueCode": "full"},
    ]
    assert refused(real, {"resourceType": "Parameters", "parameter": parameter}, 400) == ["parameter"]
