"""Order, identity and limits of the entries of a Bundle, checks BU06 and BU08."""

from itertools import permutations

import pytest
from fhir_client import BASE, issues_of, matches
from request_bundles import TYPE, bundle, create, entry, statuses
from sample_responses import new_patient, response, small

TRIES = 20


def test_bu06_the_order_of_the_entries_changes_nothing(ehr):
    def outcome(order):
        patient = new_patient()
        stored = ehr.create(response(patient))
        at = f"{TYPE}/{stored['id']}"
        entries = {
            "get": entry("GET", f"{TYPE}?patient={patient}"),
            "put": entry("PUT", at, stored | {"status": "amended"}),
            "post": create(small(patient, status="stopped")),
        }
        answer = ehr.post("", bundle("transaction", *(entries[name] for name in order)))
        by_name = dict(zip(order, answer.json["entry"], strict=True))
        found = sorted(each["status"] for each in matches(by_name["get"]["resource"]))
        return {name: each["response"]["status"][:3] for name, each in by_name.items()}, found

    expected = ({"get": "200", "put": "200", "post": "201"}, ["amended", "stopped"])
    assert all(outcome(order) == expected for order in permutations(("get", "put", "post")))


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize("count", [101, 10_000])
def test_bu08_more_entries_than_the_limit_are_refused(ehr, kind, count):
    before = ehr.totals()
    issues_of(ehr.post("", bundle(kind, *[entry("GET", "metadata")] * count)), 413, 422)
    assert ehr.totals() == before


def test_bu08_the_limit_is_documented(root):
    assert "SERVICE_MAX_BUNDLE_ENTRIES" in (root / "docs" / "settings.md").read_text()


def test_bu08_as_many_entries_as_the_limit_are_processed(ehr):
    # Most of them reads: a hundred responses to score may take a busy machine longer than a Bundle may take.
    patient = new_patient()
    creates = [create(small(patient)) for _ in range(10)]
    reads = [entry("GET", f"{TYPE}?patient={patient}&_summary=count") for _ in range(90)]
    sent = bundle("transaction", *creates, *reads)
    for _ in range(TRIES):
        answer = ehr.post("", sent, prefer="return=minimal")
        if answer.status != 503:  # a busy machine may need longer than a Bundle may; nothing is kept
            break
    assert answer.status == 200
    assert {each["resource"]["total"] for each in answer.json["entry"][10:]} == {10}
    assert ehr.total(f"{TYPE}?patient={patient}") == 10


@pytest.mark.parametrize("url", [f"{BASE}/{TYPE}?_summary=count", f"/{TYPE}?_summary=count"])
def test_bu08_an_address_with_our_own_base_is_ours_or_refused(ehr, url):
    answer = ehr.post("", bundle("batch", entry("GET", url)))
    assert answer.status == 400 or statuses(answer)[0] in (200, 400)


def test_bu08_a_search_in_a_bundle_is_as_one_outside(ehr, known):
    query = f"{TYPE}?_id={known.id}&_revinclude=RiskAssessment:basis"
    inside = ehr.post("", bundle("batch", entry("GET", query))).json["entry"][0]["resource"]
    assert inside == ehr.search(query)
