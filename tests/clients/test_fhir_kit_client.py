"""npm fhir-kit-client works with the service as it comes: every interaction that is offered."""

import pytest

KIND = "QuestionnaireResponse"


@pytest.fixture(scope="module")
def steps(npm, response):
    first = response()
    more = ("conditional", "batched", "transacted", "undone")
    bodies = {name: response() for name in more}
    second = response(subject=first["subject"])
    return npm("fhir-kit-client", first=first, second=second, valueSet="body-regions", **bodies)


@pytest.fixture(scope="module")
def made(steps):
    """The response that the client created first."""
    return steps["create"].result["body"]


def resources(bundle):
    return [entry["resource"] for entry in bundle.get("entry", [])]


def test_it_reads_the_capability_statement(steps):
    """CS01."""
    assert steps["capabilityStatement"].result["fhirVersion"] == "4.0.1"


def test_it_learns_that_there_is_no_smart_server_from_clean_refusals(steps):
    """CS08 ER01: of the three places that it asks, the statement answers and the others are not there."""
    assert steps["smartAuthMetadata"].result == {}
    assert {request["path"].removeprefix("/fhir") for request in steps["smartAuthMetadata"].sent} == {
        "/metadata",
        "/.well-known/smart-configuration",
        "/.well-known/openid-configuration",
    }
    for document in ("smart-configuration", "openid-configuration"):
        assert steps[f"well-known {document}"].refused_with[0] == 404


def test_it_creates(steps, made):
    """CR01."""
    created = steps["create"].result
    assert (created["status"], created["etag"]) == (201, 'W/"1"')
    assert created["location"].endswith(f"/{KIND}/{made['id']}/_history/1")


def test_it_creates_with_a_minimal_answer(steps):
    """CR05."""
    created = steps["create with return=minimal"].result
    assert (created["status"], created["body"], created["etag"]) == (201, {}, 'W/"1"')
    assert created["location"]


def test_it_reads_the_current_and_an_old_version(steps, made):
    """RD01 RD05."""
    assert steps["read"].result == steps["vread"].result == made


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ("vread of an unknown version", "not-found"),
        ("read of an unknown id", "not-found"),
        ("read of an unknown type", "not-supported"),
    ],
)
def test_it_is_told_what_is_not_there(steps, step, code):
    """RD03 RD04 RD05."""
    assert steps[step].refused_with == (404, code)


def test_it_updates_the_version_that_it_knows(steps):
    """CR12 CR14."""
    updated = steps["update"].result
    assert (updated["status"], updated["etag"]) == (200, 'W/"2"')
    assert steps["update of an old version"].refused_with == (412, "conflict")
    assert steps["update with another id"].refused_with[0] == 400


def test_it_reads_the_history_of_the_response_and_of_its_result(steps):
    """RD05: newest first, each with the request that made it."""
    for step in ("history", "history of the result"):
        bundle = steps[step].result
        assert (bundle["type"], bundle["total"]) == ("history", 2)
        assert [each["meta"]["versionId"] for each in resources(bundle)] == ["2", "1"]
    requests = [entry["request"]["method"] for entry in steps["history"].result["entry"]]
    assert requests == ["PUT", "POST"]


def test_it_searches_by_post_as_by_get_and_turns_the_page(steps):
    """RD10 RD18."""
    by_get, by_post = steps["search"].result, steps["search by POST"].result
    assert resources(by_get) == resources(by_post)
    assert by_get["total"] == by_post["total"] == 2
    pages = resources(by_get) + resources(steps["next page"].result)
    assert len({each["id"] for each in pages}) == 2


def test_it_gets_the_result_with_the_response(steps, made):
    """RD08."""
    bundle = steps["search with the result"].result
    assert [entry["search"]["mode"] for entry in bundle["entry"]] == ["match", "include"]
    assert steps["resolve"].result["id"] == made["id"]


def test_a_strict_search_names_what_is_not_known(steps):
    """RD16."""
    assert steps["strict search"].refused_with[0] == 400


def test_it_creates_conditionally(steps):
    """CR07 CR08."""
    once, again = (steps[f"conditional create{more}"].result for more in ("", " again"))
    assert (once["status"], again["status"]) == (201, 200)
    assert again["body"] == once["body"]
    assert again["etag"] == once["etag"]


def test_it_calls_operations(steps):
    """OP01 OP03."""
    assert steps["$assess"].result["resourceType"] == "RiskAssessment"
    assert "id" not in steps["$assess"].result
    for step, severity in (("$validate", "information"), ("$validate of what is not valid", "error")):
        assert steps[step].status == 200
        assert steps[step].result["issue"][0]["severity"] == severity
    assert steps["$expand"].result["expansion"]["contains"]


def test_its_batch_goes_to_the_base_with_a_slash_and_is_answered_one_by_one(steps, made):
    """RD24 BU02."""
    assert steps["batch"].sent[0]["path"] == "/fhir/"
    answer = steps["batch"].result
    assert answer["type"] == "batch-response"
    responses = [entry["response"] for entry in answer["entry"]]
    assert [each["status"][:3] for each in responses] == ["200", "201", "422"]
    assert resources({"entry": answer["entry"][:1]})[0]["id"] == made["id"]
    assert responses[2]["outcome"]["resourceType"] == "OperationOutcome"


def test_its_transaction_is_done(steps, made):
    """BU04."""
    answer = steps["transaction"].result
    assert answer["type"] == "transaction-response"
    created, read = (entry["response"] for entry in answer["entry"])
    assert (created["status"][:3], created["etag"]) == ("201", 'W/"1"')
    assert created["location"]
    assert read["status"][:3] == "200"


def test_its_transaction_with_a_fault_leaves_nothing(steps):
    """BU03."""
    status, _ = steps["transaction with a fault"].refused_with
    assert status in (400, 422)
    assert steps["search for what was undone"].result["total"] == 0


def test_what_is_not_offered_is_refused(steps):
    """CR15."""
    assert steps["delete"].refused_with == (405, "not-supported")
