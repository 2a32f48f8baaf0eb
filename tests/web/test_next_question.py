"""`$next-question` over HTTP: question by question to the result of the full form."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from case_responses import answers_by_link, questions_of, response_of
from flask.testing import FlaskClient
from interviews import begun, interviewed

from service import app, cli
from service.assess import Assessor
from service.catalogue import Catalogue, Pair
from service.errors import NotScorable
from service.fhir.json import BodyLimits
from service.fhir.resource_models import faults_in
from service.settings import Settings

Json = dict[str, Any]
PATH = "/fhir/Questionnaire/$next-question"
FHIR = {"Content-Type": "application/fhir+json"}
ADAPTIVE = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-questionnaireAdaptive"


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


Walked = Callable[[str], list[Json]]
"""All that comes back for the person of a worked case, by its name; asked once."""


@pytest.fixture(scope="module")
def walked(real: FlaskClient, pair: Pair) -> Walked:
    return cache(lambda name: list(steps(real, pair, name)))


@pytest.mark.parametrize(
    "name", [pytest.param("plain-eyelid-three-days", marks=pytest.mark.slow), "body-wide-for-months"]
)
def test_question_by_question_the_result_is_that_of_the_full_form(
    real: FlaskClient, pair: Pair, walked: Walked, name: str
) -> None:
    case = next(case for case in pair.guidance.cases if case.name == name)
    responses = walked(name)
    counts = [len(asked(response)) for response in responses]
    assert counts[:-1] == list(range(1, len(counts)))
    assert [response["status"] for response in responses[:-1]] == ["in-progress"] * (len(counts) - 1)
    last = responses[-1]
    assert (last["status"], counts[-1]) == ("completed", counts[-2])
    expected = interviewed(pair, case)
    assert sorted(asked(last)) == sorted(expected.asked)
    verdicts = [predictions(real, body) for body in (last, response_of(pair, case))]
    assert verdicts[0] == verdicts[1]


def predictions(client: FlaskClient, response: Json) -> list[Any]:
    """The step and the levels of a result, each with its interval."""
    answer = client.post("/fhir/QuestionnaireResponse/$assess", json=response, headers=FHIR)
    assert answer.status_code == 200, answer.get_data(as_text=True)[:500]
    kept = ("outcome", "qualitativeRisk", "whenPeriod")
    return [{key: one.get(key) for key in kept} for one in answer.get_json()["prediction"]]


# What comes back is scored as it is: by the Questionnaire that the contained one is derived from.

RESPONSES = "/fhir/QuestionnaireResponse"


@pytest.fixture(scope="module")
def completed(walked: Walked) -> Json:
    """What an interview ends with, of somebody whom it asks many questions."""
    return walked("plain-eyelid-three-days")[-1]


@pytest.fixture(scope="module")
def assessor(served: Catalogue) -> Assessor:
    """Does all in this process, however large it is."""
    return Assessor(served, BodyLimits(body_bytes=1 << 20))


@pytest.fixture(scope="module")
def storing(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    store = tmp_path_factory.mktemp("store") / "service.db"
    return app.create_app(Settings(store_url=f"sqlite:///{store}")).test_client()


def post(client: FlaskClient, path: str, body: Any, status: int = 200) -> Json:
    answer = client.post(path, json=body, headers=FHIR)
    assert answer.status_code == status, answer.get_data(as_text=True)[:600]
    found: Json = answer.get_json()
    return found


def in_progress(response: Json, canonical: str) -> Json:
    """The same response to the published Questionnaire, as somebody who is not finished sends it."""
    found = {**response, "questionnaire": canonical, "status": "in-progress"}
    return {name: value for name, value in found.items() if name != "contained"}


def test_what_comes_back_is_scored_as_it_is_and_the_result_is_final(
    real: FlaskClient, pair: Pair, completed: Json
) -> None:
    found = post(real, f"{RESPONSES}/$assess?_detail=full", completed)
    before = post(real, f"{RESPONSES}/$assess?_detail=full", in_progress(completed, pair.compiled.canonical))
    assert (completed["questionnaire"], found["status"], before["status"]) == (
        "#asked",
        "final",
        "preliminary",
    )
    assert {key for key in found if found[key] != before[key]} <= {"status", "text", "contained", "extension"}
    assert list(faults_in(found)) == []


def test_what_was_not_asked_is_unknown_and_never_a_no(real: FlaskClient, pair: Pair) -> None:
    """Who ends the interview after the first question has no final result, whatever the status says."""
    first = ask(real, begun(pair.compiled.canonical))
    ended = {**first, "status": "completed"}
    found = post(real, f"{RESPONSES}/$assess", ended)
    alike = post(real, f"{RESPONSES}/$assess", in_progress(first, pair.compiled.canonical))
    assert found["status"] == "preliminary"
    assert found["prediction"] == alike["prediction"]
    assert "If the open questions change nothing" in str(found["prediction"])


def altered(response: Json, link: str, **more: Any) -> Json:
    """The response with an item of its contained Questionnaire changed."""
    copied: Json = deepcopy(response)
    waiting = [copied["contained"][0]]
    while waiting:
        item = waiting.pop()
        waiting += item.get("item", [])
        if item.get("linkId") == link:
            item.update(more)
            return copied
    raise AssertionError(link)


def test_a_contained_questionnaire_that_asks_something_else_is_refused(
    real: FlaskClient, assessor: Assessor, completed: Json
) -> None:
    body = altered(completed, asked(completed)[0], text="Else?")
    outcome = post(real, f"{RESPONSES}/$assess", body, 422)
    assert [issue["details"]["coding"][0]["code"] for issue in outcome["issue"]] == ["item-text"]
    assert refused(real, {**body, "status": "in-progress"}) == ["item-text"]
    with pytest.raises(NotScorable):
        assessor.assess_body(json.dumps(body).encode())


def test_it_is_stored_as_it_comes_and_scored_explained_and_compared(
    storing: FlaskClient, pair: Pair, completed: Json
) -> None:
    created = post(storing, RESPONSES, completed, 201)
    of_id = created["id"]
    assert {name: created[name] for name in completed} == completed
    risk = storing.get(f"/fhir/RiskAssessment/{of_id}").get_json()
    assert risk["prediction"] == post(storing, f"{RESPONSES}/$assess", completed)["prediction"]
    why = storing.get(f"/fhir/RiskAssessment/{of_id}/$explain").get_json()
    assert why["parameter"] == post(storing, f"{RESPONSES}/$explain", completed)["parameter"]
    mistaken = {"resourceType": "Questionnaire", "id": "asked", "status": "active"}
    post(storing, RESPONSES, {**completed, "status": "entered-in-error", "contained": [mistaken]}, 201)
    later = {**completed, "authored": "2027-03-01T10:00:00Z"}
    later_id = post(storing, RESPONSES, later, 201)["id"]
    found = storing.get(f"{RESPONSES}/{later_id}/$assess?_earlier=stored").get_json()
    assert [entry["reference"].rpartition("/")[2] for entry in found["basis"]] == [later_id, of_id]


def test_an_earlier_one_that_asked_something_else_is_not_compared(
    assessor: Assessor, completed: Json
) -> None:
    later = {**completed, "authored": "2027-03-01T10:00:00Z"}
    (form,) = completed["contained"]
    older = {**form, "derivedFrom": [f"{form['derivedFrom'][0].partition('|')[0]}|0.0.1"]}
    for earlier, compared, reason in (
        (completed, 2, ""),
        (altered(completed, asked(completed)[0], text="Else?"), 1, "do not fit the questionnaire"),
        ({**completed, "contained": [older]}, 1, "a version of the questionnaire that is not known"),
    ):
        sent = [json.dumps(one).encode() for one in (later, earlier)]
        found = assessor.assess_body(sent[0], "full", earlier=(sent[1],)).body.decode()
        assert (len(json.loads(found)["basis"]), reason in found) == (compared, True)


def test_the_command_line_assesses_it_as_it_comes(
    completed: Json, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "completed.json"
    file.write_text(json.dumps(completed))
    assert cli.main(["assess", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "final"


def test_one_that_was_stopped_is_checked_and_not_scored(storing: FlaskClient, completed: Json) -> None:
    stopped = {**completed, "status": "stopped"}
    of_id = post(storing, RESPONSES, stopped, 201)["id"]
    assert storing.get(f"/fhir/RiskAssessment/{of_id}").status_code == 404
    post(storing, RESPONSES, altered(stopped, asked(stopped)[0], text="Else?"), 422)


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
    other_kind = [{"resourceType": "Patient", "id": "asked"}]
    assert refused(real, {**body, "contained": other_kind}) == ["canonical-unknown"]
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
