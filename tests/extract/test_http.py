"""`$extract` over HTTP: its routes on the type and on one response, who reaches which, what it may cost."""

import orjson
import pytest
from extract_requests import HEAD, asking, code, coded, issues, parameters, part
from small_forms import ENCODE, form, response
from tenants_with_tokens import API, by, registry_of

from service import app
from service.settings import Settings

FHIR = "application/fhir+json"
TYPE = "/fhir/QuestionnaireResponse"
ANY = f"{TYPE}/$extract"
STANDARD = "http://hl7.org/fhir/uv/sdc/OperationDefinition/QuestionnaireResponse-extract"
CANARY = "canary"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "service.db"
    return app.create_app(Settings(store_url=f"sqlite:///{store}")).test_client()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A service that asks for tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    settings = Settings(
        store_url=f"sqlite:///{folder / 'service.db'}", ehrs_file=registry_of(folder, "north"), base_url=API
    )
    return app.create_app(settings)


@pytest.fixture(scope="module")
def marked(root):
    """The published Questionnaire with one question that is to be extracted."""
    document = orjson.loads((root / "questionnaires" / "muscle-twitching.json").read_bytes())
    question = next(item for item in document["item"][0]["item"] if item["type"] == "choice")
    question["code"] = [code("marked", asking())]
    return document


@pytest.fixture(scope="module")
def sample(root):
    return orjson.loads((root / "samples" / "plain-eyelid.json").read_bytes())


def post(client, path, body=b"", **headers):
    data = body if isinstance(body, bytes) else ENCODE(body)
    return client.post(path, data=data, headers={"Content-Type": FHIR} | headers)


def of_small(given, **head):
    """Parameters with a small form and a response to it."""
    small = form(coded("q", asking(), type="string"))
    return parameters(questionnaire_response=response(small, given, **(HEAD | head)), questionnaire=small)


def test_the_type_answers_parameters(client):
    answer = post(client, ANY, of_small({"q": "words"}))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, FHIR)
    assert answer.headers["Cache-Control"] == "no-store"
    (entry,) = part(orjson.loads(answer.data), "return")["entry"]
    assert entry["resource"]["valueString"] == "words"


def test_a_published_form_that_asks_for_nothing_is_a_success_with_a_warning(client, sample):
    answer = post(client, ANY, sample)
    assert answer.status_code == 200
    assert issues(orjson.loads(answer.data))[-1] == "extract-nothing"


def test_a_stored_response_is_extracted_by_get_and_by_post(client, sample, marked):
    """SDC: the operation is there on the type and on one response."""
    location = post(client, TYPE, sample).headers["Location"]
    path = f"{TYPE}/{location.split('/')[-3]}/$extract"
    for answer in (client.get(path), post(client, path), client.post(path)):
        assert answer.status_code == 200
        assert issues(orjson.loads(answer.data))[-1] == "extract-nothing"
    answer = post(client, path, parameters(questionnaire=marked))
    (entry,) = part(orjson.loads(answer.data), "return")["entry"]
    assert entry["resource"]["derivedFrom"] == [
        {"reference": path.removeprefix("/fhir/").removesuffix("/$extract")}
    ]
    assert entry["resource"]["valueCodeableConcept"]["coding"]
    assert len(orjson.loads(client.get("/fhir/QuestionnaireResponse").data)["entry"]) == 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (ANY, b"", 400),
        (ANY, b"{", 400),
        (ANY, {"resourceType": "Patient"}, 400),
        (ANY, of_small({"q": CANARY}, status="entered-in-error"), 422),
        (ANY, of_small({"q": CANARY}, subject={"reference": f"Practitioner/{CANARY}"}), 422),
        (ANY, of_small({"q": CANARY}, authored=CANARY), 400),
        (f"{TYPE}/unknown/$extract", b"", 404),
    ],
)
def test_what_cannot_be_extracted_is_an_outcome_that_repeats_nothing(client, path, body, status):
    answer = post(client, path, body)
    outcome = orjson.loads(answer.data)
    assert (answer.status_code, outcome["resourceType"]) == (status, "OperationOutcome")
    assert CANARY not in answer.text


def test_other_methods_and_media_types_are_refused(client):
    assert client.get(ANY).status_code == 405
    assert post(client, ANY, of_small({}), **{"Content-Type": "text/plain"}).status_code == 415
    assert post(client, ANY, of_small({}), Accept="text/html").status_code == 406


def test_without_a_store_there_are_no_responses_to_call_it_on(sample):
    client = app.create_app(Settings(store_url="none")).test_client()
    assert post(client, ANY, sample).status_code == 200
    assert client.get(f"{TYPE}/{sample['id']}/$extract").status_code == 404


def test_answers_stand_in_no_line_of_the_log(client, log):
    assert post(client, ANY, of_small({"q": CANARY}, id=CANARY)).status_code == 200
    assert log.getvalue()
    assert CANARY not in log.getvalue()


def test_a_form_that_was_sent_may_take_no_more_than_its_limits(client):
    """What comes with a form of its own is done in a child; what it may take there is limited."""
    endless = {"id": "a", "regex": "(a+)+$", "type": "string"}
    costly = form(endless, coded("q", asking(), type="string"))
    sent = response(costly, {"a": "a" * 5000 + "b", "q": "x"}, **HEAD)
    answer = post(client, ANY, parameters(questionnaire_response=sent, questionnaire=costly))
    assert answer.status_code in (200, 422)
    assert client.get("/healthz").status_code == 200


def test_the_capability_statement_and_its_definition_name_the_operation(client):
    statement = orjson.loads(client.get("/fhir/metadata").data)
    (kind,) = (one for one in statement["rest"][0]["resource"] if one["type"] == "QuestionnaireResponse")
    (named,) = (one for one in kind["operation"] if one["name"] == "extract")
    found = orjson.loads(client.get(f"/fhir/OperationDefinition?url={named['definition']}").data)
    definition = found["entry"][0]["resource"]
    assert (definition["base"], definition["code"], definition["affectsState"]) == (
        STANDARD,
        "extract",
        False,
    )
    assert (definition["system"], definition["type"], definition["instance"]) == (False, True, True)
    declared = {(one["name"], one["use"], one["min"], one["max"]) for one in definition["parameter"]}
    assert declared == {
        ("questionnaire-response", "in", 0, "1"),
        ("questionnaire", "in", 0, "1"),
        ("return", "out", 0, "1"),
        ("issues", "out", 0, "1"),
    }


def test_the_type_asks_for_create_and_one_response_for_read(guarded, sample):
    client = guarded.test_client()
    stored = post(client, TYPE, sample, **by("user/*.cruds")).headers["Location"].split("/")[-3]
    one = f"{TYPE}/{stored}/$extract"
    assert client.get(one).status_code == 401
    for scope, on_type, on_one in (
        ("user/QuestionnaireResponse.c", 200, 403),
        ("user/QuestionnaireResponse.r", 403, 200),
        ("user/Observation.cruds", 403, 403),
    ):
        assert post(client, ANY, sample, **by(scope)).status_code == on_type
        assert client.get(one, headers=by(scope)).status_code == on_one
        assert post(client, one, **by(scope)).status_code == on_one


def test_a_token_for_one_patient_reaches_no_response_of_another(guarded, sample):
    """AU12: refused where it was sent, and as if it were not there where it is stored."""
    client = guarded.test_client()
    stored = post(client, TYPE, sample, **by("user/*.cruds")).headers["Location"].split("/")[-3]
    one, scope = f"{TYPE}/{stored}/$extract", "patient/QuestionnaireResponse.cr"
    assert client.get(one, headers=by(scope, "example")).status_code == 200
    assert client.get(one, headers=by(scope, "other")).status_code == 404
    assert post(client, ANY, sample, **by(scope, "example")).status_code == 200
    assert post(client, ANY, sample, **by(scope, "other")).status_code == 403
