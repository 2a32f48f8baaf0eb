"""MedplumClient (npm @medplum/core) works with the service as it comes."""

import pytest
import requests
from patience import PATIENCE_S

KIND = "QuestionnaireResponse"


@pytest.fixture(scope="module")
def steps(npm, response):
    bodies = {name: response() for name in ("first", "conditional", "batched")}
    value_set = "https://guidance.example.org/fhir/ValueSet/body-regions"
    return npm("medplum", valueSet=value_set, **bodies)


@pytest.fixture(scope="module")
def made(steps):
    """The response that the client created first."""
    return steps["createResource"].result


def resources(bundle):
    return [entry["resource"] for entry in bundle["entry"]]


def test_its_accept_header_and_its_own_header_are_taken(steps):
    """CN03 CO01."""
    headers = steps["readResource"].sent[0]["headers"]
    assert headers["accept"] == "application/fhir+json, */*; q=0.1"
    assert headers["x-medplum"] == "extended"
    assert steps["readResource"].sent[0]["answer"]["content-type"] == "application/fhir+json"


def test_a_browser_would_let_it_send_its_headers(service, steps):
    """CO01: what the client sends, but for what browsers send by themselves."""
    sent = steps["createResourceIfNoneExist"].sent[0]["headers"]
    asked = {"x-medplum", "content-type", "if-none-exist"}
    assert asked <= sent.keys()
    headers = {"Origin": service.origin, "Access-Control-Request-Method": "POST"}
    headers |= {"Access-Control-Request-Headers": ",".join(sorted(asked))}
    answer = requests.options(f"{service.base}/{KIND}", headers=headers, timeout=PATIENCE_S)
    allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert answer.ok
    assert answer.headers["Access-Control-Allow-Origin"] == service.origin
    assert asked <= set(allowed)


def test_it_finds_a_form_by_its_canonical(steps):
    """RD08."""
    assert steps["readCanonical"].result == steps["readResource"].result


def test_it_creates_once_if_none_exists(steps):
    """CR07 CR08."""
    once, again = (steps[f"createResourceIfNoneExist{more}"] for more in ("", " again"))
    assert (once.status, again.status) == (201, 200)
    assert "if-none-exist" in once.sent[0]["headers"]
    assert again.result == once.result


def test_it_updates_and_reads_every_version(steps, made):
    """CR14 RD05."""
    assert steps["updateResource"].result["meta"]["versionId"] == "2"
    history = steps["readHistory"].result
    assert history["type"] == "history"
    assert [each["meta"]["versionId"] for each in resources(history)] == ["2", "1"]
    assert len(resources(steps["readHistory of one"].result)) == 1
    assert steps["readVersion"].result == made


def test_it_searches_with_the_result(steps, made):
    """RD08 RD12."""
    response, risk = resources(steps["search"].result)
    assert (response["id"], risk["resourceType"]) == (made["id"], "RiskAssessment")
    assert steps["searchOne"].result == risk


def test_it_reaches_every_page_from_the_parameters_of_the_next_link(steps):
    """RD18: the client keeps the query of the link and makes the path itself."""
    step = steps["searchResourcePages"]
    ids = [id_ for page in step.result for id_ in page]
    assert len(step.sent) == len(ids) >= 2
    assert len(set(ids)) == len(ids)


def test_it_validates(steps):
    """OP01."""
    valid, invalid = (steps[f"validateResource{more}"] for more in ("", " that is not valid"))
    assert (valid.status, invalid.status) == (200, 200)
    assert [issue["severity"] for issue in valid.result["issue"]] == ["information"]
    assert "error" in [issue["severity"] for issue in invalid.result["issue"]]


def test_it_expands_a_value_set(steps):
    """OP03."""
    assert steps["valueSetExpand"].result["expansion"]["contains"]


def test_its_batch_is_answered_one_by_one(steps, made):
    """BU02."""
    answer = steps["executeBatch"].result
    assert answer["type"] == "batch-response"
    assert [entry["response"]["status"][:3] for entry in answer["entry"]] == ["200", "201", "404"]
    assert answer["entry"][0]["resource"]["id"] == made["id"]


def test_its_transaction_finds_what_is_there_already(steps):
    """BU04 CR08."""
    (entry,) = steps["executeBatch of a transaction"].result["entry"]
    existing = steps["createResourceIfNoneExist"].result["id"]
    assert entry["response"]["status"][:3] == "200"
    assert f"/{existing}/_history/" in entry["response"]["location"]


def test_the_batches_that_it_makes_by_itself_are_answered(steps, made):
    """BU02: reads that come together are sent as one batch."""
    step = steps["reads that it batches by itself"]
    form, response, outcome = step.result
    assert [request["method"] for request in step.sent] == ["POST"]
    assert (form["id"], response["id"]) == ("muscle-twitching", made["id"])
    assert outcome["issue"][0]["code"] == "not-found"


def test_what_is_not_offered_is_refused(steps):
    """CR15."""
    assert steps["deleteResource"].refused_with == (405, "not-supported")
