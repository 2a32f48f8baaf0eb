"""HAPI's generic client works with the service as it comes: every interaction that is offered.

test_hapi_requests.py sends what is special about it without Java.
"""

import pytest

pytestmark = pytest.mark.slow

KIND = "QuestionnaireResponse"
EITHER = (
    "application/fhir+xml;q=1.0, application/fhir+json;q=1.0, "
    "application/xml+fhir;q=0.9, application/json+fhir;q=0.9"
)


@pytest.fixture(scope="module")
def steps(hapi, service, response, client_steps):
    first = response()
    bodies = {name: response() for name in ("conditional", "transacted", "undone")}
    bodies |= {"first": first, "second": response(subject=first["subject"]), "valueSet": "body-regions"}
    return client_steps(hapi("Generic", service.base, bodies=bodies))


@pytest.fixture(scope="module")
def made(steps):
    """The response that the client created first."""
    return steps["create"].result


def resources(bundle):
    return [entry["resource"] for entry in bundle.get("entry", [])]


def test_it_asks_for_xml_or_json_and_gets_json(steps):
    """CN04."""
    _, request = steps["read"].sent
    assert request["headers"]["accept"] == EITHER
    assert request["answer"]["content-type"] == "application/fhir+json"
    assert steps["read"].result["id"] == "muscle-twitching"


def test_it_asks_for_json_by_format_and_is_refused_xml(steps):
    """CN07 CN08."""
    assert steps["read as JSON"].sent[0]["path"].endswith("?_format=json")
    assert steps["read as JSON"].result == steps["read"].result
    assert steps["read as XML"].refused_with == (406, "not-supported")


def test_it_reads_the_capability_statement_before_anything_else(steps):
    """CS01 CS02: it goes on only where fhirVersion is its own."""
    assert steps["read"].sent[0]["path"].endswith("/fhir/metadata")
    assert steps["capabilities"].result["fhirVersion"] == "4.0.1"


def test_it_finds_a_form_by_its_canonical(steps):
    """RD08."""
    assert [form["id"] for form in resources(steps["search by canonical"].result)] == ["muscle-twitching"]


def test_it_creates(steps, made):
    """CR01 CR05."""
    assert steps["create"].status == 201
    assert made["meta"]["versionId"] == "1"
    assert steps["create with return=minimal"].result.endswith("/_history/1")


def test_it_creates_conditionally(steps):
    """CR07 CR08."""
    once, again = (steps[f"conditional create{more}"] for more in ("", " again"))
    assert (once.status, again.status) == (201, 200)
    assert again.result == once.result


def test_its_own_way_to_say_the_condition_is_refused_and_creates_nothing(steps):
    """CR10: it sends a whole url, where R4 has only what follows the question mark."""
    step = steps["conditional create as a whole url"]
    assert step.sent[0]["headers"]["if-none-exist"].startswith("http://")
    assert step.refused_with[0] == 400
    assert steps["what the whole url made"].result["total"] == 0


def test_it_reads_versions_and_only_what_changed(steps, made):
    """RD05 RD07."""
    assert steps["vread"].result == made
    assert steps["read if changed"].sent[0]["headers"]["if-none-match"] == '"1"'
    assert (steps["read if changed"].status, steps["read if changed"].result) == (304, None)
    assert steps["read of an unknown id"].refused_with == (404, "not-found")


def test_it_updates_the_version_that_it_knows(steps):
    """CR14."""
    assert steps["update"].sent[0]["headers"]["if-match"] == 'W/"1"'
    assert steps["update"].result["meta"]["versionId"] == "2"
    assert steps["update of an old version"].refused_with == (412, "conflict")


def test_it_reads_the_history(steps):
    """RD05."""
    versions = [each["meta"]["versionId"] for each in resources(steps["history"].result)]
    assert versions == ["2", "1"]


def test_what_is_not_offered_is_refused(steps):
    """CR15."""
    for step in ("delete", "conditional update", "search by GET with _search"):
        assert steps[step].refused_with == (405, "not-supported")


def test_it_loads_every_page(steps, made):
    """RD18."""
    ids = steps["every page"].result
    assert len(steps["every page"].sent) == len(set(ids)) == 2
    assert made["id"] in ids


def test_it_searches_by_post_and_by_date(steps):
    """RD10 RD13 RD21."""
    by_post, by_date = steps["search by POST"], steps["search by date"]
    assert by_post.sent[0]["method"] == "POST"
    assert by_post.result["total"] == by_date.result["total"] == 2


def test_it_gets_the_result_with_the_response(steps, made):
    """RD08 RD12."""
    modes = [entry["search"]["mode"] for entry in steps["search with the result"].result["entry"]]
    assert modes == ["match", "include"]
    (risk,) = resources(steps["search by basis"].result)
    assert risk["basis"][0]["reference"] == f"{KIND}/{made['id']}"


def test_it_counts_without_reading(steps):
    """RD19."""
    counted = steps["search with a total of its own"].result
    assert counted["total"] == 2
    assert "entry" not in counted


def test_it_calls_operations(steps):
    """OP01 OP03."""
    assert steps["$validate"].result["issue"][0]["severity"] == "information"
    assert steps["$assess"].result["resourceType"] == "RiskAssessment"
    assert steps["$expand"].result["expansion"]["contains"]


def test_its_bundles_are_answered(steps, made):
    """BU02 BU04."""
    statuses = {
        step: [entry["response"]["status"][:3] for entry in steps[step].result["entry"]]
        for step in ("batch", "transaction")
    }
    assert statuses == {"batch": ["200", "400"], "transaction": ["201", "200"]}
    assert resources({"entry": steps["batch"].result["entry"][:1]})[0]["id"] == made["id"]
