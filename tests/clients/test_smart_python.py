"""The SMART client for Python (PyPI fhirclient) works with the service as it comes.

It reads every resource into models that refuse what R4 does not know, so each test also shows that
what we send is R4. Checks CS01, CR01, CR05, CR12, CR14, RD08, RD10, RD24.
"""

import pytest
import requests
from fhirclient import client
from fhirclient.models.bundle import Bundle
from fhirclient.models.questionnaire import Questionnaire
from fhirclient.models.questionnaireresponse import QuestionnaireResponse
from fhirclient.models.riskassessment import RiskAssessment
from fhirclient.server import FHIRNotFoundException

FORM = "https://guidance.example.org/fhir/Questionnaire/muscle-twitching"


@pytest.fixture
def smart(service):
    return client.FHIRClient({"app_id": "tests", "api_base": service.base})


@pytest.fixture
def server(smart):
    smart.prepare()
    return smart.server


@pytest.fixture
def stored(server, response):
    """A response as the client got it back from its create."""
    return QuestionnaireResponse(QuestionnaireResponse(response()).create(server))


def test_the_client_gets_ready_from_the_capability_statement_without_credentials(smart, wire):
    """CS01."""
    assert smart.prepare() is True
    assert smart.server.capabilityStatement.fhirVersion == "4.0.1"
    assert wire[0].request.headers["Accept-Charset"] == "UTF-8"
    assert wire[0].headers["Content-Type"] == "application/fhir+json"


def test_a_questionnaire_is_read_into_the_models(server):
    """RD01."""
    form = Questionnaire.read("muscle-twitching", server)
    assert (form.url, form.version) == (FORM, "1.1.0")


def test_a_questionnaire_is_found_by_its_canonical(server):
    """RD08."""
    found = Questionnaire.where({"url": FORM, "version": "1.1.0"}).perform_resources_iter(server)
    assert [form.id for form in found] == ["muscle-twitching"]


def test_an_unknown_id_is_the_clients_own_not_found(server):
    """RD03."""
    with pytest.raises(FHIRNotFoundException):
        QuestionnaireResponse.read("no-such-id", server)


@pytest.mark.parametrize(
    "sample",
    [
        "plain-eyelid",
        "progressive-weakness",
        "contradictory",
        "partial",
        "empty",
        "professional-with-labs",
    ],
)
def test_every_sample_is_created_and_read_back(server, response, wire, sample):
    """CR01 CR03."""
    sent = QuestionnaireResponse(response(sample))
    made = QuestionnaireResponse(sent.create(server))
    read = QuestionnaireResponse.read(made.id, server)
    assert wire[-2].status_code == 201
    assert wire[-2].headers["Location"] == f"{server.base_uri}{made.relativePath()}/_history/1"
    assert read.as_json() == made.as_json()
    assert sent.as_json() == {name: read.as_json()[name] for name in sent.as_json()}


def test_a_create_with_return_minimal_has_no_body_and_says_where(server, response, wire):
    """CR05."""
    server.session.headers["Prefer"] = "return=minimal"
    assert QuestionnaireResponse(response()).create(server) is None
    assert (wire[-1].status_code, wire[-1].content) == (201, b"")
    assert wire[-1].headers["ETag"] == 'W/"1"'
    assert QuestionnaireResponse.read_from(wire[-1].headers["Location"], server).id


def test_responses_are_searched_by_patient_and_reference(server, stored):
    """RD12."""
    patient = stored.subject.reference
    for struct in ({"patient": patient}, {"subject": patient}, {"patient": patient.partition("/")[2]}):
        found = QuestionnaireResponse.where(struct).perform_resources_iter(server)
        assert [each.id for each in found] == [stored.id]


def test_every_page_of_a_search_is_reached_by_its_next_link(server, response):
    """RD18."""
    patient = response()["subject"]
    made = {QuestionnaireResponse(response(subject=patient)).create(server)["id"] for _ in range(5)}
    asked = QuestionnaireResponse.where({"subject": patient["reference"], "_count": "2"})
    pages = [[entry.resource.id for entry in page.entry] for page in asked.perform_iter(server)]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert {id_ for page in pages for id_ in page} == made


def test_the_result_is_where_the_link_of_the_create_points(server, response, wire):
    """CR01."""
    made = QuestionnaireResponse(response()).create(server)
    risk = RiskAssessment.read_from(wire[-1].links["related"]["url"], server)
    assert risk.basis[0].reference == f"QuestionnaireResponse/{made['id']}"


def test_the_result_comes_with_the_response_by_revinclude(server, stored):
    """RD08."""
    asked = QuestionnaireResponse.where({"_id": stored.id}).include("basis", RiskAssessment, reverse=True)
    page = next(asked.perform_iter(server))
    assert [(entry.resource.resource_type, entry.search.mode) for entry in page.entry] == [
        ("QuestionnaireResponse", "match"),
        ("RiskAssessment", "include"),
    ]


def test_the_result_is_found_by_its_basis(server, stored):
    """RD12."""
    found = RiskAssessment.where({"basis": stored.relativePath()}).perform_resources_iter(server)
    assert [each.basis[0].reference for each in found] == [stored.relativePath()]


def test_an_update_makes_the_next_version(server, stored, wire):
    """CR14."""
    stored.status = "amended"
    server.session.headers["If-Match"] = 'W/"1"'
    assert stored.update(server)["meta"]["versionId"] == "2"
    assert wire[-1].headers["ETag"] == 'W/"2"'
    with pytest.raises(requests.HTTPError, match="412"):
        stored.update(server)


def test_an_update_of_an_unknown_id_creates_nothing(server, response):
    """CR13."""
    body = QuestionnaireResponse(response() | {"id": "chosen-by-the-client"})
    with pytest.raises(FHIRNotFoundException):
        body.update(server)


def test_a_transaction_goes_to_the_base_with_a_slash(server, response, wire):
    """RD24 BU04."""
    request = {"method": "POST", "url": "QuestionnaireResponse"}
    entry = {
        "fullUrl": "urn:uuid:7b5b9ae0-5c3e-4c5c-9a63-0c8a5e1d2f10",
        "resource": response(),
        "request": request,
    }
    asked = Bundle({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    answer = Bundle(asked.create(server))
    assert wire[-1].url == server.base_uri
    assert answer.type == "transaction-response"
    assert answer.entry[0].response.status.startswith("201")
