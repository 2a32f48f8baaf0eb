"""Batches and transactions, checks BU01 to BU04."""

import pytest
from fhir_client import BASE, issues_of
from request_bundles import TYPE, bundle, create, entry, id_in, statuses, urn
from sample_responses import SYSTEM, identified, new_patient, new_value, response, small


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_bu01_what_is_declared_is_answered_and_what_is_not_is_refused(ehr, stateless, kind):
    for each in (ehr, stateless):
        rest = each.read("metadata")["rest"][0]
        answer = each.post("", bundle(kind, entry("GET", "metadata")))
        if kind in {code["code"] for code in rest.get("interaction", ())}:
            assert (answer.status, answer.json["type"]) == (200, f"{kind}-response")
        else:
            issues_of(answer, 400)


@pytest.mark.parametrize(
    "kind",
    ["searchset", "history", "collection", "document", "message", "batch-response", "x", 1, None],
)
def test_bu01_other_bundles_are_refused_and_nothing_is_stored(ehr, kind):
    before = ehr.totals()
    issues_of(ehr.post("", bundle(kind, create())), 400)
    assert ehr.totals() == before


def test_bu02_each_entry_of_a_batch_stands_alone(ehr, union):
    patient = new_patient()
    answer = ehr.post(
        "",
        bundle(
            "batch",
            create(small(patient)),
            create({"resourceType": TYPE, "status": "nonsense"}),
            entry("GET", f"{TYPE}/none"),
            entry("GET", "metadata"),
            entry("DELETE", f"{TYPE}/none"),
            entry("GET", f"{TYPE}?patient={new_patient()}"),
            entry("GET", "Patient/1"),
        ),
    )
    assert (answer.status, answer.json["type"]) == (200, "batch-response")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == "application/fhir+json"
    assert statuses(answer) == [201, 400, 404, 200, 405, 200, 404]
    entries = answer.json["entry"]
    for number, each in enumerate(entries):
        if number in (1, 2, 4, 6):
            assert each["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert entries[3]["resource"]["resourceType"] == "CapabilityStatement"
    assert entries[5]["resource"]["type"] == "searchset"
    assert ehr.found(f"{TYPE}?patient={patient}") == [id_in(entries[0])]
    assert ehr.read(f"{TYPE}/{id_in(entries[0])}") == entries[0]["resource"]
    assert union([answer.json]) == [[]]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_bu02_a_bundle_without_entries_is_answered_by_one_without(ehr, kind):
    answer = ehr.post("", {"resourceType": "Bundle", "type": kind})
    assert (answer.status, answer.json) == (200, {"resourceType": "Bundle", "type": f"{kind}-response"})


BAD = [
    create({"resourceType": TYPE, "status": "nonsense"}),
    create(small(questionnaire="https://other.example.org/Questionnaire/x|1")),
    entry("GET", f"{TYPE}/none"),
    entry("PUT", f"{TYPE}/none", small(id="none")),
    entry("DELETE", f"{TYPE}/none"),
    entry("POST", "Patient", {"resourceType": "Patient"}),
    entry("GET", "Patient/1"),
    create(ifNoneExist="foo=1"),
]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("bad", BAD)
def test_bu03_one_bad_entry_stops_the_whole_transaction(ehr, bad, place):
    patient = new_patient()
    good = [create(small(patient)), create(small(patient), urn())]
    before = ehr.totals()
    answer = ehr.post("", bundle("transaction", *good[:place], bad, *good[place:]))
    assert 400 <= answer.status < 500
    issues_of(answer, answer.status)
    assert ehr.totals() == before
    assert ehr.found(f"{TYPE}?patient={patient}") == []


def test_bu03_a_transaction_whose_update_is_stale_changes_nothing(ehr, kept):
    before = ehr.totals()
    amended = kept.response | {"status": "amended"}
    answer = ehr.post("", bundle("transaction", create(), entry("PUT", kept.at, amended, ifMatch='W/"7"')))
    issues_of(answer, 412)
    assert ehr.totals() == before
    assert ehr.read(kept.at) == kept.response


def test_bu03_the_fault_names_the_entry_at_fault(ehr):
    answer = ehr.post(
        "", bundle("transaction", create(), create({"resourceType": TYPE, "status": "nonsense"}))
    )
    assert any(
        "entry[1]" in place for issue in issues_of(answer, 400) for place in issue.get("expression", ())
    )


def test_bu04_a_transaction_answers_each_entry_in_its_place(ehr, kept, union):
    amended = kept.response | {"status": "amended"}
    answer = ehr.post(
        "",
        bundle(
            "transaction",
            entry("GET", kept.at),
            create(response(), urn()),
            entry("PUT", kept.at, amended, f"{BASE}/{kept.at}", ifMatch='W/"1"'),
            create(),
        ),
    )
    assert (answer.status, answer.json["type"]) == (200, "transaction-response")
    assert statuses(answer) == [200, 201, 200, 201]
    entries = answer.json["entry"]
    for each in (entries[1], entries[3]):
        assert each["response"]["etag"] == 'W/"1"'
        assert each["response"]["lastModified"]
        assert each["response"]["location"].endswith(f"{TYPE}/{id_in(each)}/_history/1")
        assert ehr.read(f"{TYPE}/{id_in(each)}") == each["resource"]
    assert entries[2]["response"]["etag"] == 'W/"2"'
    assert entries[0]["resource"]["meta"]["versionId"] == "2"
    assert union([answer.json]) == [[]]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_bu04_each_response_that_is_created_has_its_result(ehr, kind, trail):
    answer = ehr.post("", bundle(kind, create(response()), create(response())))
    for each in answer.json["entry"]:
        assert [len(ids) for ids in trail(id_in(each)).values()] == [1, 1, 1, 1]


def test_bu04_a_condition_of_an_entry_is_kept(ehr):
    value = new_value()
    one = create(small(identifier=identified(value)), ifNoneExist=f"identifier={SYSTEM}|{value}")
    first = ehr.post("", bundle("transaction", one))
    second = ehr.post("", bundle("transaction", one))
    assert (statuses(first), statuses(second)) == ([201], [200])
    assert first.json["entry"][0]["response"]["location"] == second.json["entry"][0]["response"]["location"]
    assert ehr.total(f"{TYPE}?identifier={SYSTEM}|{value}") == 1


def test_bu04_the_bundle_may_be_posted_with_a_slash_and_as_plain_json_rd24(ehr):
    answer = ehr.post("/fhir/", bundle("transaction", create()), content_type="application/json")
    assert statuses(answer) == [201]
