"""The SMART client for JavaScript (npm fhirclient) works with the service as it comes.

It sends and accepts `application/json` and nothing else.
"""

import pytest


@pytest.fixture(scope="module")
def steps(npm, response):
    first = response()
    return npm("fhirclient", first=first, second=response(subject=first["subject"]))


def test_it_asks_for_and_gets_application_json_only(steps):
    """CN02 CN09."""
    sent = [request for step in steps.values() for request in step.sent]
    assert {request["headers"]["accept"] for request in sent} == {"application/json"}
    assert {request["headers"].get("content-type", "application/json") for request in sent} == {
        "application/json"
    }
    kinds = {request["answer"].get("content-type") for request in sent if request["status"] < 300}
    assert kinds <= {"application/json", None}


def test_it_knows_the_release_from_the_capability_statement(steps):
    """CS02."""
    assert steps["release"].result == 4


def test_it_reads_a_form_and_finds_it_by_canonical(steps):
    """RD01 RD08."""
    read, found = steps["read"].result, steps["search by canonical"].result
    assert [entry["resource"] for entry in found["entry"]] == [read]


def test_it_creates(steps):
    """CR01."""
    assert steps["create"].status == 201
    assert steps["create"].result["meta"]["versionId"] == "1"


def test_it_fetches_by_itself_what_a_minimal_answer_left_out(steps):
    """CR05: the client follows Location, which is the version that was made."""
    step = steps["create with return=minimal"]
    location = step.sent[0]["answer"]["location"]
    assert [request["method"] for request in step.sent] == ["POST", "GET"]
    assert location.endswith(f"{step.sent[1]['path']}")
    assert step.result["meta"]["versionId"] == "1"


def test_it_sees_why_nothing_is_there(steps):
    """RD03 ER01."""
    assert '"resourceType": "OperationOutcome"' in steps["read of what is not there"].error["message"]


def test_it_walks_all_pages(steps):
    """RD18."""
    step = steps["resources over pages"]
    made = {steps[name].result["id"] for name in ("create", "create with return=minimal")}
    assert len(step.result) == len(step.sent) == 2
    assert set(step.result) == made


def test_it_updates_and_is_refused_for_an_old_version(steps):
    """CR14."""
    assert steps["update"].result["meta"]["versionId"] == "2"
    assert steps["update of an old version"].status == 412
    assert '"code": "conflict"' in steps["update of an old version"].error["message"]


def test_it_resolves_the_response_that_a_result_rests_on(steps):
    """CR01."""
    (resolved,) = steps["references"].result.values()
    assert resolved["id"] == steps["create"].result["id"]


def test_what_is_not_offered_is_refused_with_the_methods_that_are(steps):
    """CR15."""
    step = steps["delete"]
    assert step.status == 405
    assert "DELETE" not in step.sent[0]["answer"]["allow"]
    assert '"code": "not-supported"' in step.error["message"]
