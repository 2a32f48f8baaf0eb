"""References between the entries of a transaction, check BU05."""

import pytest
from fhir_client import BASE, issues_of
from request_bundles import TYPE, bundle, create, entry, id_in, statuses, urn
from sample_responses import identified, new_patient, small

RELATED = "https://ehr.example.org/related"


def linked(patient, *targets):
    """A response with references to others in an extension, as deep as one may stand."""
    extensions = [
        {"url": RELATED, "extension": [{"url": "to", "valueReference": {"reference": each}}]}
        for each in targets
    ]
    return small(patient, extension=extensions)


def targets_of(resource):
    return [
        each["extension"][0]["valueReference"]["reference"].removeprefix(f"{BASE}/")
        for each in resource["extension"]
    ]


def test_bu05_references_between_entries_are_rewritten(ehr):
    patient, one, two, three = new_patient(), urn(), urn(), urn()
    answer = ehr.post(
        "",
        bundle(
            "transaction",
            create(linked(patient, two, three), one),
            create(linked(patient, one), two),
            create(linked(patient, three, "Group/stays"), three),
        ),
    )
    ids = [f"{TYPE}/{id_in(each)}" for each in answer.json["entry"]]
    stored = [targets_of(ehr.read(each)) for each in ids]
    assert stored == [[ids[1], ids[2]], [ids[0]], [ids[2], "Group/stays"]]
    assert "urn:uuid" not in ehr.get(f"{TYPE}?patient={patient}").data.decode()


NOWHERE = (
    "urn:uuid:7f3d1d1e-6c1b-4a63-9d5b-3a0d5f7c2b11",
    "URN:UUID:7f3d1d1e-6c1b-4a63-9d5b-3a0d5f7c2b11",
    "urn:uuid:7f3d1d1e-6c1b-4a63-9d5b-3a0d5f7c2b11#part",
    "urn:uuid:7f3d1d1e-6c1b-4a63-9d5b-3a0d5f7c2b11/_history/1",
    "urn:oid:2.16.840.1.113883.4.642",
)


@pytest.mark.parametrize("target", NOWHERE)
def test_bu05_a_reference_that_only_the_bundle_could_resolve_and_does_not_is_refused(ehr, target):
    """R4 bundle.html#references: such a name leads to the entry with this fullUrl, or nowhere."""
    before, one = ehr.totals(), urn()
    subject = small(subject={"reference": target})
    answer = ehr.post(
        "", bundle("transaction", create(linked(new_patient(), one, target), one), create(subject))
    )
    issues = issues_of(answer, 400)
    assert [issue["expression"] for issue in issues] == [
        ["Bundle.entry[0].resource.extension[1].extension[0].value.reference"],
        ["Bundle.entry[1].resource.subject.reference"],
    ]
    assert "7f3d1d1e" not in str(issues)
    assert ehr.totals() == before


def test_bu05_a_reference_to_an_entry_that_stores_nothing_leads_nowhere_too(ehr, known):
    one = urn()
    reading = entry("GET", known.at, full_url=one)
    issues_of(ehr.post("", bundle("transaction", reading, create(linked(new_patient(), one)))), 400)


@pytest.mark.parametrize("target", NOWHERE)
def test_bu05_outside_of_a_transaction_such_a_reference_is_as_legal_as_any_other(ehr, target):
    """An entry of a batch is a request of its own (R4 http.html#brules)."""
    assert ehr.post(TYPE, linked(new_patient(), target)).status == 201
    assert statuses(ehr.post("", bundle("batch", create(linked(new_patient(), target))))) == [201]


def test_bu05_a_urn_that_is_no_reference_leads_nowhere_without_harm(ehr):
    """Systems of identifiers and codes are urns, and a uri is any name."""
    stated = small(
        new_patient(),
        identifier={"system": NOWHERE[4], "value": NOWHERE[0]},
        extension=[
            {"url": RELATED, "valueUri": NOWHERE[0]},
            {"url": RELATED, "valueCoding": {"system": NOWHERE[4], "code": "1"}},
            {"url": RELATED, "valueOid": NOWHERE[4]},
            {"url": RELATED, "valueUuid": NOWHERE[0]},
        ],
    )
    assert statuses(ehr.post("", bundle("transaction", create(stated)))) == [201]


def test_bu05_links_in_the_narrative_and_other_urls_are_rewritten_too(ehr):
    patient, one, two = new_patient(), urn(), urn()
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p><a href="{two}">That</a></p></div>'
    stated = small(
        patient, text={"status": "additional", "div": div}, extension=[{"url": RELATED, "valueUri": two}]
    )
    answer = ehr.post("", bundle("transaction", create(stated, one), create(small(patient), two)))
    first, second = (id_in(each) for each in answer.json["entry"])
    stored = ehr.read(f"{TYPE}/{first}")
    assert "urn:uuid" not in str(stored)
    assert f"{TYPE}/{second}" in stored["text"]["div"]
    assert stored["extension"][0]["valueUri"].endswith(f"{TYPE}/{second}")


def test_bu05_what_only_looks_like_a_reference_is_left_alone(ehr):
    patient, one = new_patient(), urn()
    stated = small(patient, extension=[{"url": RELATED, "valueString": one}], identifier=identified(one))
    answer = ehr.post("", bundle("transaction", create(stated, one)))
    stored = ehr.read(f"{TYPE}/{id_in(answer.json['entry'][0])}")
    assert (stored["extension"][0]["valueString"], stored["identifier"]["value"]) == (one, one)
