"""Updates, versions and the verbs that are not offered, checks CR12 to CR15."""

import pytest
from fhir_client import PUBLISHED, STORED, issues_of, matches, result_of
from sample_responses import answered, response, small

TYPE = "QuestionnaireResponse"


@pytest.mark.parametrize("id_", [None, "other", "", 1, "bad_id!"])
def test_cr12_an_update_must_name_its_own_id(ehr, kept, id_):
    document = {key: value for key, value in kept.response.items() if key != "id"}
    issues_of(ehr.put(kept.at, document if id_ is None else document | {"id": id_}), 400)
    assert ehr.read(kept.at) == kept.response


def test_cr12_an_update_must_name_its_own_type(ehr, kept):
    issues_of(ehr.put(kept.at, {"resourceType": "Patient", "id": kept.id}), 400)


def test_cr13_an_update_creates_nothing(ehr):
    before = ehr.totals()
    issues_of(ehr.put(f"{TYPE}/no-such-id", response(id="no-such-id")), 404, 405)
    issues_of(ehr.put(f"{TYPE}/no-such-id", response(id="no-such-id"), if_match='W/"1"'), 404, 405, 412)
    assert ehr.totals() == before


def test_cr14_a_stale_tag_is_refused_and_the_current_one_accepted(ehr, kept):
    amended = kept.response | {"status": "amended"}
    first = ehr.put(kept.at, amended, if_match='W/"1"')
    assert (first.status, first.headers["ETag"], first.json["meta"]["versionId"]) == (200, 'W/"2"', "2")
    before = ehr.totals()
    issues_of(ehr.put(kept.at, kept.response, if_match='W/"1"'), 412)
    assert ehr.totals() == before
    assert ehr.read(kept.at) == first.json
    assert ehr.put(kept.at, amended, if_match='W/"2"').headers["ETag"] == 'W/"3"'


@pytest.mark.parametrize(
    "tag", ['W/"2"', 'W/"0"', 'W/"abc"', 'W/""', "garbage", 'W/"1', "1x", f'W/"{"9" * 40}"', ""]
)
def test_cr14_a_tag_that_is_not_the_current_one_changes_nothing(ehr, kept, tag):
    issues_of(ehr.put(kept.at, kept.response | {"status": "amended"}, if_match=tag), 400, 412)
    assert ehr.read(kept.at) == kept.response


def test_cr14_an_update_without_a_tag_makes_the_next_version(ehr, kept):
    answer = ehr.put(kept.at, kept.response | {"status": "amended"})
    assert (answer.status, answer.headers["ETag"]) == (200, 'W/"2"')
    assert answer.json["meta"]["lastUpdated"] >= kept.response["meta"]["lastUpdated"]


def test_cr14_a_client_does_not_choose_the_version_of_an_update(ehr, kept):
    theirs = kept.response | {"meta": {"versionId": "77", "lastUpdated": "2001-01-01T00:00:00Z"}}
    meta = ehr.put(kept.at, theirs).json["meta"]
    assert meta["versionId"] == "2"
    assert meta["lastUpdated"] > "2026"


@pytest.mark.parametrize("kind", [*PUBLISHED, *STORED])
@pytest.mark.parametrize("method", ["DELETE", "PATCH", "POST", "PUT"])
def test_cr15_verbs_that_are_not_offered_on_an_instance_are_named(ehr, one_of_each, kind, method):
    if (kind, method) == (TYPE, "PUT"):
        return
    where = f"{kind}/{one_of_each[kind]}"
    answer = ehr.ask(method, where, ehr.read(where))
    issues_of(answer, 405)
    allowed = {each.strip() for each in answer.headers["Allow"].split(",")}
    assert "GET" in allowed
    assert method not in allowed


@pytest.mark.parametrize("kind", [*PUBLISHED, *STORED])
@pytest.mark.parametrize("method", ["DELETE", "PATCH", "PUT", "POST"])
def test_cr15_verbs_that_are_not_offered_on_a_type_are_named(ehr, kind, method):
    if (kind, method) == (TYPE, "POST"):
        return
    answer = ehr.ask(method, f"{kind}?_id=x", small())
    issues_of(answer, 405)
    assert method not in answer.headers["Allow"]


@pytest.mark.parametrize("tail", ["/_history", "/_history/1"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_cr15_versions_cannot_be_changed(ehr, known, method, tail):
    answer = ehr.ask(method, known.at + tail, known.response)
    issues_of(answer, 405)
    assert method not in answer.headers["Allow"]


def test_a_response_can_be_scored_again_after_it_was_amended(ehr, kept):
    worse = answered(kept.response, "concerns", "worry", {"valueInteger": 9}) | {"status": "amended"}
    answer = ehr.put(kept.at, worse)
    assert ehr.read(result_of(answer))["meta"]["versionId"] == "2"
    assert matches(ehr.search(f"RiskAssessment?basis={kept.at}"))[0]["meta"]["versionId"] == "2"
