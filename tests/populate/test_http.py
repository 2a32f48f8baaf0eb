"""`$populate` over HTTP: its routes and headers, what it may cost, and that nobody's words come back."""

import io
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from populate_requests import answers, asking, bundle, context, initially, launching, observation, part
from small_forms import form

from service import app
from service.settings import Settings

Json = dict[str, Any]

FHIR = "application/fhir+json"
ONE, ANY = "/fhir/Questionnaire/muscle-twitching/$populate", "/fhir/Questionnaire/$populate"
CANARY = "canary"
PATIENT: Json = {
    "resourceType": "Patient",
    "id": CANARY,
    "birthDate": "1980-01-01",
    "name": [{"family": CANARY}],
}
STANDARD = "http://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-populate"


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return app.create_app(Settings(store_url="none")).test_client()


def post(client: FlaskClient, path: str, body: Any, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return client.post(path, data=data, headers={"Content-Type": FHIR} | headers)


def test_both_levels_answer_parameters(client: FlaskClient) -> None:
    """Questionnaire/$populate and Questionnaire/[id]/$populate, both by POST."""
    named = {"name": "questionnaire", "valueReference": {"reference": "Questionnaire/muscle-twitching"}}
    for path, body in ((ONE, asking()), (ANY, asking(named))):
        answer = post(client, path, body)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == FHIR
        assert answer.headers["Cache-Control"] == "no-store"
        assert part(orjson.loads(answer.data), "response")["resourceType"] == "QuestionnaireResponse"


def test_the_response_is_dated_by_the_clock_of_the_server(client: FlaskClient) -> None:
    """No parameter says when it is written: now, in UTC, to the second."""
    authored = part(orjson.loads(post(client, ONE, asking()).data), "response")["authored"]
    assert len(authored) == len("2026-11-29T10:00:00Z")
    assert authored.endswith("Z")


def test_the_texts_come_in_the_language_that_the_caller_prefers(client: FlaskClient) -> None:
    answer = post(client, ONE, asking(), **{"Accept-Language": "de-CH, en;q=0.5"})
    assert answer.headers["Content-Language"] == "de"
    assert answer.headers["Vary"].startswith("Accept, Accept-Language")
    assert part(orjson.loads(answer.data), "response")["language"] == "de"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (ONE, b"", 400),
        (ONE, b"{", 400),
        (ONE, b"[]", 400),
        (ONE, PATIENT, 400),
        (ANY, asking(), 400),
        ("/fhir/Questionnaire/unknown/$populate", asking(), 404),
        (ANY, asking({"name": "questionnaire", "valueCanonical": "urn:canary"}), 404),
        (ONE, asking({"name": "dataEndpoint", "valueUri": "https://canary.example.org"}), 422),
        (ONE, asking(context("patient", PATIENT)), 422),
        (ONE, asking(subject={"reference": "Device/canary"}), 422),
    ],
)
def test_what_cannot_be_populated_is_an_outcome(
    client: FlaskClient, path: str, body: Any, status: int
) -> None:
    """If the questionnaire cannot be populated at all the operation fails, with an OperationOutcome."""
    answer = post(client, path, body)
    outcome = orjson.loads(answer.data)
    assert (answer.status_code, outcome["resourceType"]) == (status, "OperationOutcome")
    assert all(issue["diagnostics"] for issue in outcome["issue"])
    assert CANARY not in answer.text


def test_other_methods_and_media_types_are_refused(client: FlaskClient) -> None:
    assert client.get(ONE).status_code == 405
    assert post(client, ONE, asking(), **{"Content-Type": "text/plain"}).status_code == 415
    assert post(client, ONE, asking(), Accept="text/html").status_code == 406


def test_the_capability_statement_and_its_definition_name_the_operation(client: FlaskClient) -> None:
    """R4 CapabilityStatement.rest.resource.operation: a subset has a definition of its own, with base."""
    statement = orjson.loads(client.get("/fhir/metadata").data)
    [kind] = [one for one in statement["rest"][0]["resource"] if one["type"] == "Questionnaire"]
    [named] = [one for one in kind["operation"] if one["name"] == "populate"]
    found = orjson.loads(client.get(f"/fhir/OperationDefinition?url={named['definition']}").data)
    definition = found["entry"][0]["resource"]
    assert (definition["base"], definition["code"]) == (STANDARD, "populate")
    assert (definition["system"], definition["type"], definition["instance"]) == (False, True, True)
    declared = {(one["name"], one["use"], one["min"], one["max"]) for one in definition["parameter"]}
    assert declared == {
        ("identifier", "in", 0, "1"),
        ("questionnaire", "in", 0, "1"),
        ("subject", "in", 0, "1"),
        ("context", "in", 0, "*"),
        ("data", "in", 0, "1"),
        ("local", "in", 0, "1"),
        ("response", "out", 1, "1"),
        ("issues", "out", 0, "1"),
    }


def test_nothing_that_was_sent_is_logged_or_stands_in_an_issue(client: FlaskClient, log: io.StringIO) -> None:
    subject = {"reference": f"Patient/{CANARY}"}
    broken = [
        observation(CANARY, subject=subject),
        observation(unit=CANARY, subject=subject),
        observation(status=CANARY, subject=subject, effectiveDateTime=CANARY),
        observation(id=CANARY, subject={"reference": "Patient/other-canary"}),
        observation(valueQuantity=None, valueString=CANARY, subject=subject, focus=[subject]),
    ]
    body = asking(
        context("patient", PATIENT | {"birthDate": CANARY}),
        context(CANARY, {"resourceType": "Basic", "id": CANARY}),
        context("encounter", {"reference": f"Encounter/{CANARY}"}),
        context("user", {"resourceType": "Practitioner", "id": CANARY, "active": CANARY}),
        subject=subject,
        data=bundle(*broken),
    )
    answer = post(client, ONE, body)
    assert answer.status_code == 200
    document = orjson.loads(answer.data)
    told = str(part(document, "issues")).replace("Context canary:", "Context:")
    assert part(document, "issues")["issue"]
    assert CANARY not in told
    assert CANARY not in log.getvalue()


COSTLY = {
    "a pattern without end": "('a' + 'a').replaceMatches('(a+)+$', 'b').length()",
    "a list that doubles": "(1 | 2).repeat($this + 1).count()",
    "deep nesting": "iif(" * 60 + "true" + ", 1, 2)" * 60,
    "a long sum": " + ".join(["1"] * 3000),
}


@pytest.mark.slow
@pytest.mark.parametrize("expression", COSTLY.values(), ids=COSTLY.keys())
def test_a_costly_expression_ends_and_harms_nobody(client: FlaskClient, expression: str) -> None:
    """A Questionnaire that was sent is not ours: what its expressions may take is limited."""
    item = {"id": "a", "type": "integer", "raw": {"extension": [initially(expression)]}}
    sent = {"name": "questionnaire", "resource": form(item, extension=launching(("patient", "Patient")))}
    answer = post(client, ANY, asking(sent))
    assert answer.status_code in (200, 422)
    assert client.get("/healthz").status_code == 200


def test_words_of_a_questionnaire_that_was_sent_are_not_repeated(client: FlaskClient) -> None:
    item = {
        "id": f"my {CANARY}",
        "type": "integer",
        "raw": {"extension": [initially(f"%{CANARY}"), initially("'x'")], "text": CANARY},
    }
    sent = {"name": "questionnaire", "resource": form(item)}
    issues = part(orjson.loads(post(client, ANY, asking(sent)).data), "issues")
    assert CANARY not in str(issues).replace(f"%{CANARY} is not at hand", "")
    assert "Item at this place" in str(issues)


def test_a_thousand_observations_are_read_within_the_limits(client: FlaskClient) -> None:
    many = [
        observation(4, id=f"o{number}", effectiveDateTime=f"2026-11-{1 + number % 28:02}")
        for number in range(1000)
    ]
    answer = post(client, ONE, asking(data=bundle(*many)))
    assert answer.status_code == 200
    assert "lab-potassium" in answers(orjson.loads(answer.data)) or part(orjson.loads(answer.data), "issues")


def test_what_is_larger_than_a_body_may_be_is_refused(client: FlaskClient) -> None:
    answer = post(client, ONE, b" " * (2 * 1024 * 1024 + 1))
    assert answer.status_code == 413
