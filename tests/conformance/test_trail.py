"""A response, its result and its trail are all there or none is; the result follows its response."""

import json

import pytest
from fhir_client import issues_of, matches, result_of
from sample_responses import SYSTEM, answered, identified, new_value, response, sample, small

TYPE = "QuestionnaireResponse"
SAMPLES = (
    "plain-eyelid",
    "contradictory",
    "empty",
    "partial",
    "professional-with-labs",
    "progressive-weakness",
)
OWN = ("id", "meta", "basis")


def ones(before, after):
    return {kind: after[kind] - before[kind] for kind in after}


@pytest.mark.parametrize("like", SAMPLES)
def test_a_create_stores_one_response_one_result_one_provenance_and_one_audit_event(ehr, trail, like):
    before = ehr.totals()
    created = ehr.create(response(like=like))
    assert ones(before, ehr.totals()) == {TYPE: 1, "RiskAssessment": 1, "Provenance": 1, "AuditEvent": 1}
    assert [len(ids) for ids in trail(created["id"]).values()] == [1, 1, 1, 1]


REFUSED = [
    ({"resourceType": TYPE}, {}),
    ({"resourceType": "Patient"}, {}),
    (b"{", {}),
    (small(status="nonsense"), {}),
    (small(questionnaire="https://other.example.org/Questionnaire/x|1"), {}),
    (small(item=[{"linkId": "no-such-question"}]), {}),
    (answered(response(), "concerns", "worry", {"valueString": "much"}), {}),
    (answered(response(), "concerns", "worry"), {}),
    (response(modifierExtension=[{"url": "https://ehr.example.org/not", "valueBoolean": True}]), {}),
    (small(), {"if_none_exist": "foo=1"}),
    (small(), {"accept": "image/png"}),
    (small(), {"content_type": "text/plain"}),
]


@pytest.mark.parametrize(("body", "headers"), REFUSED)
def test_a_refused_create_or_update_stores_nothing(ehr, kept, body, headers):
    before = ehr.totals()
    refused = ehr.post(TYPE, body, **headers)
    issues_of(refused, 400, 406, 412, 415, 422)
    if "if_none_exist" not in headers:
        changed = body | {"id": kept.id} if isinstance(body, dict) else body
        issues_of(ehr.put(kept.at, changed, **headers), 400, 406, 415, 422)
    assert ehr.totals() == before
    assert ehr.read(kept.at) == kept.response


def history_of(ehr, where):
    bundle = ehr.read(f"{where}/_history")
    assert bundle["type"] == "history"
    return [each["resource"] for each in bundle["entry"]]


def test_an_amended_response_has_a_new_version_of_its_result(ehr, kept, trail):
    before = ehr.totals()
    worse = kept.response | {"item": response(like="progressive-weakness")["item"], "status": "amended"}
    answer = ehr.put(kept.at, worse)
    assert answer.status == 200
    assert ones(before, ehr.totals()) == {TYPE: 0, "RiskAssessment": 0, "Provenance": 1, "AuditEvent": 1}
    at = f"RiskAssessment/{kept.risk['id']}"
    now = ehr.read(at)
    assert result_of(answer).endswith(at)
    assert now["meta"]["versionId"] == "2"
    assert now["prediction"] != kept.risk["prediction"]
    assert ehr.read(f"{at}/_history/1") == kept.risk
    assert history_of(ehr, at) == [now, kept.risk]
    assert [each["meta"]["versionId"] for each in history_of(ehr, kept.at)] == ["2", "1"]


def test_a_response_entered_in_error_retracts_its_result(ehr, kept):
    answer = ehr.put(kept.at, kept.response | {"status": "entered-in-error"})
    assert (answer.status, answer.json["status"]) == (200, "entered-in-error")
    retracted = ehr.read(f"RiskAssessment/{kept.risk['id']}")
    assert (retracted["status"], retracted["meta"]["versionId"]) == ("entered-in-error", "2")
    assert "prediction" not in retracted
    assert kept.risk["mitigation"] not in str(retracted)
    assert ehr.read(f"RiskAssessment/{kept.risk['id']}/_history/1") == kept.risk
    assert [each["id"] for each in matches(ehr.search(f"{TYPE}?_id={kept.id}&status=entered-in-error"))] == [
        kept.id
    ]


def test_a_response_entered_in_error_can_be_set_right(ehr, kept):
    ehr.put(kept.at, kept.response | {"status": "entered-in-error"})
    assert ehr.put(kept.at, kept.response | {"status": "amended"}).status == 200
    again = ehr.read(f"RiskAssessment/{kept.risk['id']}")
    assert (again["status"], again["meta"]["versionId"]) == (kept.risk["status"], "3")
    assert again["prediction"] == kept.risk["prediction"]


@pytest.mark.parametrize("status", ["stopped", "entered-in-error"])
def test_a_response_that_is_not_to_be_scored_is_stored_without_a_result_or_refused(ehr, status):
    before = ehr.totals()
    answer = ehr.post(TYPE, response(status=status))
    if answer.status == 201:
        assert ones(before, ehr.totals()) == {TYPE: 1, "RiskAssessment": 0, "Provenance": 1, "AuditEvent": 1}
        assert "RiskAssessment" not in str(answer.headers.getlist("Link"))
    else:
        issues_of(answer, 422)
        assert ehr.totals() == before


def test_the_result_mirrors_whether_the_response_is_finished(ehr):
    status = {}
    for state, like in (
        ("in-progress", "partial"),
        ("completed", "plain-eyelid"),
        ("amended", "plain-eyelid"),
    ):
        status[state] = ehr.read(result_of(ehr.post(TYPE, response(like=like, status=state))))["status"]
    assert status["in-progress"] == "preliminary"
    assert {status["completed"], status["amended"]} <= {"final", "amended"}


def test_the_trail_names_what_was_made_of_what(ehr, trail, kept):
    ids = trail(kept.id)
    provenance = ehr.read(f"Provenance/{ids['Provenance'][0]}")
    targets = " ".join(each["reference"] for each in provenance["target"])
    assert kept.at in targets
    assert f"RiskAssessment/{kept.risk['id']}" in targets
    event = ehr.read(f"AuditEvent/{ids['AuditEvent'][0]}")
    assert (event["action"], event["outcome"]) == ("C", "0")
    assert kept.at in str(event["entity"])


def test_every_version_has_its_own_trail(ehr, trail, kept):
    ehr.put(kept.at, kept.response | {"status": "amended"})
    ids = trail(kept.id)
    assert [len(ids[kind]) for kind in ("Provenance", "AuditEvent")] == [2, 2]
    assert {ehr.read(f"AuditEvent/{each}")["action"] for each in ids["AuditEvent"]} == {"C", "U"}


def test_a_trail_carries_no_answers(ehr, trail, kept):
    ids = trail(kept.id)
    for kind in ("Provenance", "AuditEvent"):
        text = json.dumps(ehr.read(f"{kind}/{ids[kind][0]}"))
        assert "linkId" not in text
        assert "worry" not in text


@pytest.mark.parametrize("like", SAMPLES)
def test_a_stored_result_is_what_assess_says_of_the_same_body(ehr, like):
    document = response(like=like, identifier=identified(new_value()))
    stored = ehr.read(result_of(ehr.post(TYPE, document)))
    assessed = ehr.post(f"{TYPE}/$assess", document).json
    assert {key: value for key, value in stored.items() if key not in OWN} == {
        key: value for key, value in assessed.items() if key not in OWN
    }
    assert "id" not in assessed


@pytest.mark.parametrize("like", SAMPLES)
def test_a_stored_result_is_what_assess_says_of_the_stored_response_whatever_the_order_of_members(ehr, like):
    created = ehr.create(response(like=like))
    stored = ehr.search(f"RiskAssessment?basis={TYPE}/{created['id']}")["entry"][0]["resource"]
    assessed = ehr.post(f"{TYPE}/$assess", dict(reversed(created.items()))).json
    own = ("id", "meta")
    assert {key: value for key, value in stored.items() if key not in own} == {
        key: value for key, value in assessed.items() if key not in own
    }


def test_an_update_is_scored_as_a_create_of_the_same_answers(ehr, kept):
    other = response(like="progressive-weakness", subject=kept.response["subject"])
    created = ehr.read(result_of(ehr.post(TYPE, other)))
    updated = ehr.read(result_of(ehr.put(kept.at, other | {"id": kept.id})))
    assert updated["prediction"] == created["prediction"]
    assert updated["text"] == created["text"]


def test_a_result_is_reached_from_its_response_by_link_search_and_include(ehr, kept):
    by_link = result_of(kept.answer)
    by_search = ehr.found(f"RiskAssessment?basis={kept.at}")
    by_include = ehr.search(
        f"{TYPE}?identifier={SYSTEM}|{kept.response['identifier']['value']}&_revinclude=RiskAssessment:basis"
    )
    assert [f"RiskAssessment/{each}" for each in by_search] == [by_link.partition("/r4/")[2]]
    assert by_include["entry"][1]["resource"] == kept.risk


def test_a_patient_has_the_results_of_all_responses(ehr, kept):
    patient = kept.patient
    ehr.create(response(patient))
    assert ehr.total(f"RiskAssessment?patient={patient}") == 2
    assert ehr.total(f"RiskAssessment?subject={patient}&risk=high") in (0, 1, 2)


def test_samples_are_what_readers_of_the_project_try_first(ehr):
    created = ehr.create(sample("plain-eyelid"))
    assert created["id"] != "plain-eyelid"
