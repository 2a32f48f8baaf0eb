"""The whole service, composed from the questionnaires and mappings of the project."""

import orjson
import pytest

from service import app
from service.settings import ROOT

SAMPLE = (ROOT / "samples" / "plain-eyelid.json").read_bytes()
JSON = {"Content-Type": "application/fhir+json"}


def post(real, body, headers=JSON):
    return real.post("/fhir/QuestionnaireResponse/$assess", data=body, headers=headers)


def test_the_sample_is_assessed(real):
    answer = post(real, SAMPLE)
    assert answer.status_code == 200
    assert orjson.loads(answer.data)["resourceType"] == "RiskAssessment"
    assert answer.headers["X-Guidance"]


@pytest.mark.parametrize(
    ("detail", "kind"),
    [("risk", "RiskAssessment"), ("full", "RiskAssessment"), ("bundle", "Bundle"), ("", "RiskAssessment")],
)
def test_more_of_the_result_can_be_asked_for(real, detail, kind):
    path = f"/fhir/QuestionnaireResponse/$assess?_detail={detail}"
    answer = real.post(path, data=SAMPLE, headers=JSON)
    assert (answer.status_code, answer.json["resourceType"]) == (200, kind)
    is_short = len(answer.data) == len(post(real, SAMPLE).data)
    assert is_short is (detail in ("", "risk"))


def test_the_detail_in_the_address_goes_before_the_one_in_the_body(real):
    entries = [
        {"name": "questionnaire-response", "resource": orjson.loads(SAMPLE)},
        {"name": "_detail", "valueCode": "bundle"},
    ]
    body = orjson.dumps({"resourceType": "Parameters", "parameter": entries})
    assert post(real, body).json["resourceType"] == "Bundle"
    answer = real.post("/fhir/QuestionnaireResponse/$assess?_detail=risk", data=body, headers=JSON)
    assert answer.json["resourceType"] == "RiskAssessment"


def test_a_detail_that_there_is_not_is_refused_with_an_outcome(real, is_outcome):
    refused = [real.post("/fhir/QuestionnaireResponse/$assess?_detail=all", data=SAMPLE, headers=JSON)]
    entries = [
        {"name": "questionnaire-response", "resource": orjson.loads(SAMPLE)},
        {"name": "_detail", "valueCode": "all"},
    ]
    refused.append(post(real, orjson.dumps({"resourceType": "Parameters", "parameter": entries})))
    for answer in refused:
        assert answer.status_code == 400
        is_outcome(answer)


def test_the_same_response_gives_the_same_bytes(real):
    assert post(real, SAMPLE).data == post(real, SAMPLE).data


def test_a_named_questionnaire_is_found_and_can_be_read(real):
    url, _, version = orjson.loads(SAMPLE)["questionnaire"].partition("|")
    found = orjson.loads(real.get("/fhir/Questionnaire", query_string={"url": url, "version": version}).data)
    assert found["total"] == 1
    read = real.get(f"/fhir/Questionnaire/{found['entry'][0]['resource']['id']}")
    assert orjson.loads(read.data) == found["entry"][0]["resource"]
    assert read.headers["ETag"] == f'W/"{orjson.loads(read.data)["meta"]["versionId"]}"'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"resourceType":"Patient"}', 400),
        (b"[" * 5000, 400),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, 400),
        (b'{"resourceType":"QuestionnaireResponse","status":"completed"}', 422),
        (b'{"a":"' + b"x" * 1_100_000 + b'"}', 413),
    ],
)
def test_a_body_that_cannot_be_assessed_is_refused_with_an_outcome(real, is_outcome, body, status):
    answer = post(real, body)
    assert answer.status_code == status
    is_outcome(answer)


def test_every_published_resource_can_be_read_and_found(real):
    statement = orjson.loads(real.get("/fhir/metadata").data)
    for resource in statement["rest"][0]["resource"]:
        if not resource.get("interaction"):
            continue
        bundle = orjson.loads(real.get(f"/fhir/{resource['type']}").data)
        for entry in bundle.get("entry", ()):
            path = entry["fullUrl"].replace("http://127.0.0.1:8000", "")
            assert orjson.loads(real.get(path).data) == entry["resource"]


def test_every_operation_of_our_own_has_its_published_definition(real):
    statement = orjson.loads(real.get("/fhir/metadata").data)
    operations = [each for one in statement["rest"][0]["resource"] for each in one.get("operation", ())]
    own = [each for each in operations if not each["definition"].startswith("http://hl7.org/")]
    assert own
    for operation in own:
        found = real.get("/fhir/OperationDefinition", query_string={"url": operation["definition"]})
        assert orjson.loads(found.data)["total"] == 1


def test_gunicorn_gets_the_application_of_the_environment(monkeypatch):
    monkeypatch.setenv("SERVICE_BASE_URL", "https://fhir.example.org/r4")
    answer = app.from_environment().test_client().get("/fhir/Questionnaire")
    assert orjson.loads(answer.data)["link"][0]["url"] == "https://fhir.example.org/r4/Questionnaire"


def test_an_application_for_an_address_that_others_reach_is_not_made_before_it_is_told(monkeypatch):
    monkeypatch.setenv("SERVICE_HOST", "192.0.2.1")
    with pytest.raises(SystemExit, match="SERVICE_OPEN=true"):
        app.from_environment()
    monkeypatch.setenv("SERVICE_OPEN", "true")
    assert app.from_environment().test_client().get("/healthz").status_code == 200


def test_a_service_that_must_not_start_ends_with_a_line_per_fault(monkeypatch):
    monkeypatch.setenv("SERVICE_PORT", "x")
    monkeypatch.setenv("SERVICE_WORKERS", "x")
    with pytest.raises(SystemExit) as stopped:
        app.from_environment()
    assert str(stopped.value.code).count("error: SERVICE_") == 2
