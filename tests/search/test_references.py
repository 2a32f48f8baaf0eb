"""Searches by reference, checks RD12 and RD14."""

import pytest

from service.errors import Malformed
from service.search import entries_of, person_entries
from service.storage.entries import Reference

BASE = "https://fhir.example.org/r4"
QR = "QuestionnaireResponse"
OTHER = "https://other.example.org/fhir/Patient/123"


@pytest.fixture
def found(looking, response, patient):
    kept = looking(
        response("a", subject=patient("Patient/123")),
        response("b", subject=patient(f"{BASE}/Patient/123")),
        response("c", subject=patient("Patient/123/_history/2")),
        response("d", subject=patient(OTHER)),
        response("e", subject=patient(f"{OTHER}/_history/7")),
        response("f", subject=patient("Group/123")),
        response("g", subject={"type": "Patient", "identifier": {"system": "urn:s", "value": "n"}}),
        response("h", subject={"identifier": {"value": "n"}}),
        response(
            "i",
            subject=patient("#p"),
            contained=[
                {"resourceType": "Patient", "id": "p", "identifier": [{"value": "n"}, {"value": "m"}]},
                {"resourceType": "Basic"},
            ],
        ),
        response("j", subject={"reference": "urn:uuid:1", "type": "Patient", "identifier": {"value": "k"}}),
        response("k", subject={"display": "somebody", "identifier": {"system": "urn:s"}}),
        response("l"),
    )
    return lambda query: kept.ids(f"{QR}?{query}")


@pytest.mark.parametrize("name", ["patient", "subject:Patient"])
@pytest.mark.parametrize("value", ["123", "Patient/123", f"{BASE}/Patient/123", "Patient/123/_history/9"])
def test_rd12_every_form_of_a_reference_to_a_patient_finds_the_same(found, name, value):
    assert found(f"{name}={value}") == "a b c"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("subject=Patient/123", "a b c"),
        (f"subject={BASE}/Patient/123", "a b c"),
        ("subject=123", "a b c f"),
        ("subject=Group/123", "f"),
        ("subject:Group=123", "f"),
        ("patient=Group/123", ""),
        ("patient=124", ""),
        (f"patient={OTHER}", "d e"),
        (f"subject={OTHER}/_history/1", "d e"),
        ("patient=urn:uuid:1", "j"),
        ("patient=Patient/123,urn:uuid:1", "a b c j"),
        ("patient=not an id", ""),
    ],
)
def test_rd12_a_reference_means_one_resource_on_one_server(found, query, expected):
    assert found(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("subject:identifier=n", "g h i"),
        ("subject:identifier=urn:s|n", "g"),
        ("subject:identifier=|n", "h i"),
        ("subject:identifier=m", "i"),
        ("subject:identifier=k", "j"),
        ("patient:identifier=n", "g i"),
        ("patient=n", ""),
    ],
)
def test_a_person_who_is_only_identified_is_found_by_identifier(found, query, expected):
    assert found(query) == expected


def test_a_reference_is_missing_where_nothing_can_be_found_by_it(found):
    assert found("subject:missing=true") == "k l"
    assert found("patient:missing=true") == "f h k l"


def test_a_response_of_an_adaptive_form_is_found_by_what_it_is_derived_from(looking, response):
    url = "http://q.example/1"
    both = [f"{url}|1.0", f"{url}|2.0"]
    kept = [response("whole", questionnaire=f"{url}|1.0"), response("f", questionnaire="#other")]
    for of_id, derived in {"a": both[:1], "b": both[1:], "c": None, "d": both, "e": [1]}.items():
        form = {"resourceType": "Questionnaire", "id": "asked", "status": "active", "derivedFrom": derived}
        contained = [{name: value for name, value in form.items() if value is not None}]
        kept.append(response(of_id, questionnaire="#asked", contained=contained))
    there = looking(*kept)
    assert there.ids(f"{QR}?questionnaire={url}") == "a b whole"
    assert there.ids(f"{QR}?questionnaire={url}|1.0") == "a whole"
    assert there.ids(f"{QR}?questionnaire=%23asked") == "c d e"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("questionnaire=http://q.example/1", "a b c"),
        ("questionnaire=http://q.example/1|1.0", "a"),
        ("questionnaire=http://q.example/1%7C2.0", "b"),
        ("questionnaire=http://q.example/1|3", ""),
        ("questionnaire=http://q.example/1|1.0,http://q.example/1|2.0", "a b"),
        ("questionnaire:missing=true", "d"),
        ("questionnaire=1", ""),
        (f"questionnaire={BASE}/Questionnaire/1", "e"),
    ],
)
def test_rd14_a_questionnaire_is_found_with_its_version_and_without(looking, response, query, expected):
    url = "http://q.example/1"
    canonicals = {"a": f"{url}|1.0", "b": f"{url}|2.0", "c": url, "e": f"{BASE}/Questionnaire/1|1"}
    kept = [response(of_id, questionnaire=canonical) for of_id, canonical in canonicals.items()]
    assert looking(*kept, response("d")).ids(f"{QR}?{query}") == expected


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("subject:patient=1", "search-modifier"),
        ("author:Group=1", "search-modifier"),
        ("subject:above=1", "search-modifier"),
        ("patient:Patient.name=x", "search-modifier"),
        ("questionnaire:Questionnaire=1", "search-modifier"),
        ("questionnaire:identifier=1", "search-modifier"),
        ("subject:Patient=Group/1", "search-value"),
        (f"subject:Patient={OTHER}", "search-value"),
        ("subject:identifier=urn:s|", "search-value"),
    ],
)
def test_rd17_a_modifier_or_value_of_a_reference_that_makes_no_sense_is_refused(found, query, kind):
    with pytest.raises(Malformed) as refused:
        found(query)
    assert [problem.kind for problem in refused.value.problems] == [kind]


def test_every_reference_parameter_of_a_response_is_found(looking, response):
    more = {
        "author": {"reference": "Practitioner/1"},
        "source": {"reference": "RelatedPerson/2"},
        "encounter": {"reference": "Encounter/3"},
        "basedOn": [{"reference": "CarePlan/4"}, {"reference": "ServiceRequest/5"}],
        "partOf": [{"reference": "Procedure/6"}],
    }
    kept = looking(response("a", **more), response("b"))
    queries = "author=1 source=2 encounter=Encounter/3 based-on=CarePlan/4 based-on=5 part-of:Procedure=6"
    assert {kept.ids(f"{QR}?{query}") for query in queries.split()} == {"a"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("RiskAssessment?basis=QuestionnaireResponse/1", "a"),
        ("RiskAssessment?basis:QuestionnaireResponse=1", "a"),
        ("RiskAssessment?basis=Observation/2", "a"),
        ("RiskAssessment?performer=Device/3", "a"),
        ("RiskAssessment?condition=4", "a"),
        ("RiskAssessment?encounter=5", "a"),
        ("RiskAssessment?subject:Group=1", ""),
        ("Provenance?target=QuestionnaireResponse/1", "p"),
        ("Provenance?patient=9", "p"),
        ("Provenance?entity=Questionnaire/2", "p"),
        ("Provenance?agent=Device/3", "p"),
        ("AuditEvent?patient=1", "e"),
        ("AuditEvent?patient=2", "e"),
        ("AuditEvent?agent=Patient/1", "e"),
        ("AuditEvent?entity=Patient/2", "e"),
    ],
)
def test_what_is_made_of_a_response_is_found_by_its_references(looking, risk, query, expected):
    def to(*texts):
        return [{"reference": text} for text in texts]

    (who,), (what,) = to("Device/3"), to("Questionnaire/2")
    provenance = {"target": to("QuestionnaireResponse/1/_history/2", "Patient/9"), "agent": [{"who": who}]}
    (agent,), (entity,) = to("Patient/1"), to("Patient/2")
    basis = to("QuestionnaireResponse/1", "Observation/2")
    (condition,), (encounter,) = to("Condition/4"), to("Encounter/5")
    kept = looking(
        risk("a", basis=basis, performer=who, condition=condition, encounter=encounter),
        {"resourceType": "Provenance", "id": "p", **provenance, "entity": [{"what": what}]},
        {"resourceType": "AuditEvent", "id": "e", "agent": [{"who": agent}], "entity": [{"what": entity}]},
    )
    assert kept.ids(query) == expected


def test_every_person_that_a_response_is_about_has_a_hidden_entry(response, risk):
    contained = [{"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:s", "value": "n"}]}]
    made = response(
        "a",
        contained=contained,
        subject={"reference": "#p"},
        author={"reference": f"{BASE}/Patient/1"},
        source={"reference": "Patient/1", "identifier": {"value": "m"}},
    )
    expected = (
        Reference("_person", identifier=("urn:s", "n")),
        Reference("_person", "Patient", "1"),
        Reference("_person", identifier=("", "m")),
    )
    assert person_entries(made, BASE) == expected
    assert set(expected) <= set(entries_of(made, BASE))
    assert person_entries(risk("b"), BASE) == (Reference("_person", "Patient", "1"),)
    assert person_entries({"resourceType": "AuditEvent"}, BASE) == ()


def test_a_reference_to_another_server_has_an_entry_by_its_url_alone(response, patient):
    entries = entries_of(response("a", subject=patient(f"{OTHER}/_history/2")), BASE)
    assert [each for each in entries if each.parameter == "patient"] == [Reference("patient", url=OTHER)]


def test_no_query_names_the_hidden_entries(looking, response, patient):
    kept = looking(response("a", subject=patient("1")), response("b", subject=patient("2")))
    assert kept.ids(f"{QR}?_person=1&status=completed") == "a b"
    with pytest.raises(Malformed):
        kept.bundle(f"{QR}?_person=1", strict=True)
