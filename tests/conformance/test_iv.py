"""Everything that is emitted is valid R4 by the union of validators, checks IV19 and IV20."""

import pytest
from fhir_client import BASE, PUBLISHED, STORED, result_of
from sample_responses import identified, new_patient, new_value, response, small

TYPE = "QuestionnaireResponse"
SAMPLES = ("contradictory", "partial", "professional-with-labs")


@pytest.mark.parametrize("like", SAMPLES)
def test_iv19_all_that_is_stored_of_a_sample_is_valid(ehr, trail, union, like):
    created = ehr.create(response(like=like))
    resources = [ehr.read(f"{kind}/{id_}") for kind, ids in trail(created["id"]).items() for id_ in ids]
    assert [each["resourceType"] for each in resources] == list(STORED)
    assert union(resources) == [[]] * len(resources)
    for each in resources[1:]:
        assert each["text"]["div"].startswith("<div")


@pytest.mark.parametrize("status", ["amended", "entered-in-error", "stopped", "in-progress"])
def test_iv19_all_that_an_update_makes_is_valid(ehr, trail, union, kept, status):
    assert ehr.put(kept.at, kept.response | {"status": status}).status == 200
    resources = [ehr.read(f"{kind}/{id_}") for kind, ids in trail(kept.id).items() for id_ in ids]
    assert union(resources) == [[]] * len(resources)


def test_iv19_what_is_made_of_an_unusual_response_is_valid(ehr, trail, union):
    document = response(
        subject={
            "identifier": {"system": "https://ehr.example.org/patients", "value": "1"},
            "display": "A & <b>B</b>",
        },
        author={"reference": "#doctor"},
        source={"type": "Patient", "display": "Herself"},
        encounter={"identifier": {"value": "visit"}},
        contained=[{"resourceType": "Practitioner", "id": "doctor"}],
        identifier={"value": new_value()},
    )
    created = ehr.create(document)
    resources = [ehr.read(f"{kind}/{id_}") for kind, ids in trail(created["id"]).items() for id_ in ids]
    assert len(resources) == 4
    assert union(resources) == [[]] * 4


@pytest.fixture(scope="module")
def bundles(ehr):
    """One of every kind of Bundle that is sent, by name."""
    patient = new_patient()
    first = ehr.create(response(patient, identifier=identified(new_value())))
    ehr.create(small(patient))
    ehr.put(f"{TYPE}/{first['id']}", first | {"status": "amended"})
    get = {"request": {"method": "GET", "url": f"{TYPE}?patient={patient}"}}
    bad = {"request": {"method": "GET", "url": f"{TYPE}/none"}}
    post = {"resource": small(patient), "request": {"method": "POST", "url": TYPE}}
    return {
        "search": ehr.search(f"{TYPE}?patient={patient}"),
        "page": ehr.search(f"{TYPE}?patient={patient}&_count=1"),
        "empty": ehr.search(f"{TYPE}?_id=none"),
        "count": ehr.search(f"{TYPE}?_summary=count"),
        "included": ehr.search(
            f"{TYPE}?patient={patient}&_revinclude=RiskAssessment:basis&_revinclude=Provenance:target"
        ),
        "results": ehr.search(f"RiskAssessment?patient={patient}&_include=RiskAssessment:basis"),
        "trail": ehr.search(f"Provenance?target={TYPE}/{first['id']}&_include=Provenance:target"),
        "ignored": ehr.search(f"{TYPE}?patient={patient}&foo=1"),
        "parts": ehr.search(f"{TYPE}?patient={patient}&_elements=item"),
        "summaries": ehr.search(f"RiskAssessment?patient={patient}&_summary=true"),
        "published": ehr.search("Questionnaire"),
        "definitions": ehr.search("StructureDefinition"),
        "history": ehr.read(f"{TYPE}/{first['id']}/_history"),
        "history page": ehr.read(f"{TYPE}/{first['id']}/_history?_count=1"),
        "history of the result": ehr.read(f"RiskAssessment/{first['id']}/_history"),
        "batch": ehr.post("", {"resourceType": "Bundle", "type": "batch", "entry": [post, get, bad]}).json,
        "transaction": ehr.post(
            "", {"resourceType": "Bundle", "type": "transaction", "entry": [post, get]}
        ).json,
    }


def test_iv20_every_bundle_is_valid(bundles, union):
    faults = dict(zip(bundles, union(list(bundles.values())), strict=True))
    assert {name: found for name, found in faults.items() if found} == {}


def test_iv20_every_full_url_is_the_address_of_its_resource_and_stands_once_for_each_version(bundles):
    for name, bundle in bundles.items():
        stated = [
            (each["fullUrl"], each["resource"]) for each in bundle.get("entry", ()) if "fullUrl" in each
        ]
        for url, resource in stated:
            assert url == f"{BASE}/{resource['resourceType']}/{resource['id']}"
        if bundle["type"] == "searchset":
            assert len(stated) == len(bundle.get("entry", ()))
        versions = {(url, resource.get("meta", {}).get("versionId")) for url, resource in stated}
        assert len(versions) == len(stated), name


def test_iv20_a_history_says_how_each_version_came_about(bundles):
    newest, oldest = bundles["history"]["entry"]
    assert [each["request"]["method"] for each in (newest, oldest)] == ["PUT", "POST"]
    assert [each["resource"]["meta"]["versionId"] for each in (newest, oldest)] == ["2", "1"]
    assert bundles["history"]["total"] == 2
    for each in (newest, oldest):
        assert each["response"]["status"][:3] in ("200", "201")


@pytest.mark.parametrize("kind", PUBLISHED)
def test_iv19_everything_that_is_published_is_valid_as_it_is_served(ehr, union, kind):
    resources = [ehr.read(f"{kind}/{id_}") for id_ in ehr.found(kind)]
    assert union(resources) == [[]] * len(resources)


def test_iv19_what_is_returned_by_a_create_is_what_was_judged(ehr):
    answer = ehr.post(TYPE, response())
    assert answer.json == ehr.read(f"{TYPE}/{answer.json['id']}")
    assert ehr.read(result_of(answer))["status"] == "final"
