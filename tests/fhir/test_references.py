"""K15: what a Reference leads to; each kind of text right, wrong and undecided."""

from typing import Any

import pytest

from service.fhir.references import contained_types, target_type, type_in
from service.fhir.shapes import resource_types
from service.fhir.structure import check_structure

ROOT = "QuestionnaireResponse"
UUID = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"
FAR = "https://ehr.example.org/fhir"


@pytest.mark.parametrize(
    ("literal", "kind"),
    [
        ("Patient/1", "Patient"),
        ("Patient/1/_history/2", "Patient"),
        (f"{FAR}/Group/a.b-c", "Group"),
        ("https://ehr.example.org/Patient/1", "Patient"),
        ("http://localhost:8080/fhir/Device/1/_history/9", "Device"),
        ("Patient?identifier=urn:x|1", "Patient"),
        # a resource is meant plainly, though it is written oddly
        ("/Patient/1", "Patient"),
        ("./Patient/1", "Patient"),
        ("Patient/1/", "Patient"),
        ("Patient/1#name", "Patient"),
        # R4 does not have the type: what it is said to be all the same
        ("Canary/1", "Canary"),
    ],
)
def test_a_reference_names_its_type(literal: str, kind: str) -> None:
    assert type_in(literal) == kind


@pytest.mark.parametrize(
    "literal",
    [
        UUID,
        UUID.upper().replace("URN:UUID", "urn:uuid"),
        "urn:oid:1.2.3",
        "urn:x:anything",
        "https://example.org/people?id=1",
        "https://example.org",
        f"{FAR}/Canary/1",
        f"{FAR}/patient/1",
        "ftp://example.org/Patient/1",
        "mailto:someone@example.org",
        "https://example.org/Pätient/ä",
    ],
)
def test_a_url_may_lead_to_any_type(literal: str) -> None:
    assert type_in(literal) == ""


@pytest.mark.parametrize(
    "literal",
    [
        "Patient/ 1",
        " Patient/1",
        "Patient/1 ",
        "Patient/1\n",
        "Patient\t/1",
        "Patient/1\u00a0",
        "Patient",
        "Patient/",
        "/",
        "1",
        "patient/1",
        "Patient//1",
        "Patient/1/2",
        "Patient/a_b",
        "Patient/" + "1" * 65,
        "Patient/1/_history",
        "Patient/1/_history/ ",
        "Patient/<1>",
        'Patient/"1"',
        "Patient/{id}",
        "urn:uuid:123",
        "urn:oid:9.1",
        "urn:",
        "https://",
        "https:///Patient/1",
        f"{FAR}/Patient/ 1",
        "the patient",
    ],
)
def test_what_can_be_no_url_is_no_reference(literal: str) -> None:
    assert type_in(literal) is None


@pytest.mark.parametrize(
    "literal", ["a" + "/" * 500_000 + "b", "#?" * 250_000, "A" * 500_000 + "/1", "urn:" * 250_000]
)
def test_a_long_text_is_judged_in_one_pass(literal: str) -> None:
    assert type_in(literal) in (None, "")


def head(name: str, *references: Any, contained: Any = None) -> list[tuple[str, str]]:
    many = name in ("basedOn", "partOf")
    response = {
        "resourceType": ROOT,
        "status": "completed",
        name: list(references) if many else references[0],
    }
    if contained is not None:
        response["contained"] = contained
    found = check_structure(response, ROOT, ROOT)
    return [(problem.kind, problem.expression.removeprefix(f"{ROOT}.")) for problem in found]


TARGETS = {
    "basedOn": ("CarePlan", "ServiceRequest"),
    "partOf": ("Observation", "Procedure"),
    "encounter": ("Encounter",),
    "author": ("Device", "Practitioner", "PractitionerRole", "Patient", "RelatedPerson", "Organization"),
    "source": ("Patient", "Practitioner", "PractitionerRole", "RelatedPerson"),
    "subject": tuple(sorted(resource_types())),
}


def place(name: str) -> str:
    return f"{name}[0]" if name in ("basedOn", "partOf") else name


@pytest.mark.parametrize("name", TARGETS)
def test_each_element_refers_to_the_types_that_r4_names_and_no_other(name: str) -> None:
    taken = [kind for kind in sorted(resource_types()) if head(name, {"reference": f"{kind}/1"}) == []]
    assert taken == sorted(TARGETS[name])
    stated = [kind for kind in sorted(resource_types()) if head(name, {"type": kind, "display": "x"}) == []]
    assert stated == sorted(TARGETS[name])
    inside = [
        kind
        for kind in sorted(resource_types() - {ROOT, "Observation"})
        if head(name, {"reference": "#x"}, contained=[{"resourceType": kind, "id": "x"}]) == []
    ]
    assert inside == sorted({*TARGETS[name]} - {ROOT, "Observation"})


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    "reference",
    [
        {"reference": UUID},
        {"reference": "https://example.org/people/1"},
        {"identifier": {"value": "1"}},
        {"display": "Somebody"},
        {"type": "Resource", "display": "Somebody"},
        {"extension": [{"url": "urn:x", "valueCode": "unknown"}]},
    ],
)
def test_where_the_type_cannot_be_known_nothing_is_wrong(name: str, reference: Any) -> None:
    assert head(name, reference) == []


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_no_reference_is_named_everywhere(name: str) -> None:
    assert head(name, {"reference": "Patient/ 1"}) == [("reference-syntax", f"{place(name)}.reference")]


@pytest.mark.parametrize(
    ("reference", "fault"),
    [
        ({"reference": "Patient/1", "type": "Patient"}, None),
        ({"reference": f"{FAR}/Patient/1", "type": "Patient"}, None),
        ({"reference": "Patient/1", "type": "http://hl7.org/fhir/StructureDefinition/Patient"}, None),
        ({"reference": UUID, "type": "Patient"}, None),
        ({"reference": f"{FAR}/Canary/1", "type": "Patient"}, None),
        ({"reference": "#p", "type": "Patient"}, None),
        ({"reference": "#", "type": ROOT}, None),
        ({"reference": "Patient/1", "type": "Group"}, ("reference-type", "subject.type")),
        ({"reference": f"{FAR}/Patient/1", "type": "Group"}, ("reference-type", "subject.type")),
        ({"reference": "Patient?identifier=1", "type": "Group"}, ("reference-type", "subject.type")),
        ({"reference": "#p", "type": "Group"}, ("reference-type", "subject.type")),
        ({"reference": "#", "type": "Patient"}, ("reference-type", "subject.type")),
        ({"reference": "Canary/1"}, ("reference-type", "subject.reference")),
        ({"type": "Canary", "display": "x"}, ("reference-type", "subject.type")),
        ({"type": "patient", "display": "x"}, ("reference-type", "subject.type")),
        ({"reference": UUID, "type": "Canary"}, ("reference-type", "subject.type")),
        (
            {"type": "https://example.org/StructureDefinition/model", "display": "x"},
            ("reference-type", "subject.type"),
        ),
    ],
)
def test_type_and_reference_must_not_contradict_each_other(reference: Any, fault: Any) -> None:
    contained = [{"resourceType": "Patient", "id": "p"}] if reference.get("reference") == "#p" else None
    assert head("subject", reference, contained=contained) == ([] if fault is None else [fault])


def test_a_reference_anywhere_in_what_is_read_is_checked() -> None:
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Practitioner/1"},
        "performer": [{"reference": "Patient/1"}, {"reference": "Device/1"}],
        "note": [{"text": "x", "authorReference": {"reference": "Device/1"}}],
        "identifier": [{"value": "1", "assigner": {"reference": "Patient/1"}}],
    }
    found = check_structure(observation, "Observation", "Observation")
    assert {problem.kind for problem in found} == {"reference-type"}
    assert sorted(problem.expression for problem in found) == [
        "Observation.identifier[0].assigner",
        "Observation.note[0].author",
        "Observation.performer[1]",
        "Observation.subject",
    ]


def test_a_reference_in_an_answer_is_checked() -> None:
    answer = {"valueReference": {"reference": "Patient/1", "type": "Group"}}
    found = head("item", {"linkId": "a", "answer": [answer]})
    assert found == [("datatype", "item")]
    response = {"resourceType": ROOT, "status": "completed", "item": [{"linkId": "a", "answer": [answer]}]}
    (problem,) = check_structure(response, ROOT, ROOT)
    assert (problem.kind, problem.expression) == ("reference-type", f"{ROOT}.item[0].answer[0].value.type")


def test_a_contained_resource_is_of_a_type_that_r4_has() -> None:
    found = head("subject", {"reference": "#x"}, contained=[{"resourceType": "Canary", "id": "x"}])
    assert found[0] == ("resource-type", "contained[0]")


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ({"reference": "#p"}, "Patient"),
        ({"reference": "#x"}, ""),
        ({"reference": "#"}, ROOT),
        ({"reference": UUID, "type": "Group"}, "Group"),
        ({"identifier": {"value": "1"}}, ""),
        ({"reference": 1, "type": 2}, ""),
    ],
)
def test_the_type_of_a_target_is_told_where_something_tells_it(reference: Any, kind: str) -> None:
    response = {"resourceType": ROOT, "contained": [{"resourceType": "Patient", "id": "p"}, {"id": 1}]}
    assert target_type(reference, contained_types(response)) == kind


# K1, K3: what begins with # and what names a contained resource.

PATIENT = {"resourceType": "Patient", "id": "p"}


def narrative(content: str) -> Any:
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{content}</div>'}


def faults(contained: list[Any], **more: Any) -> list[tuple[str, str]]:
    response = {"resourceType": ROOT, "status": "completed", "contained": contained, **more}
    found = check_structure(response, ROOT, ROOT)
    return [(problem.kind, problem.expression.removeprefix(f"{ROOT}.")) for problem in found]


@pytest.mark.parametrize(
    "more",
    [
        {"address": [{"line": ["#12 Example Street", "#"]}]},
        {"name": [{"text": "#1"}], "telecom": [{"value": "#31#0123"}]},
        {"identifier": [{"system": "#local", "value": "#7"}]},
        {"url": "#nowhere", "valueCanonical": "#nowhere", "answerValueSet": "#nowhere"},
        # of Expression, and of no type that is known: no Reference
        {"x": {"language": "text/cql", "reference": "#nowhere"}},
        {"text": narrative('<p><a name="x">x</a> <a href="#y">y</a></p>')},
    ],
)
def test_a_text_that_begins_with_a_hash_is_no_reference(more: Any) -> None:
    assert faults([PATIENT | more], subject={"reference": "#p"}) == []


@pytest.mark.parametrize(
    "more",
    [
        {"managingOrganization": {"reference": "#o"}},
        {"managingOrganization": {"reference": "#o", "type": "Organization", "display": "x"}},
        {"managingOrganization": {"reference": "#o", "_display": {"id": "x"}}},
        {"generalPractitioner": [{"display": "x"}, {"reference": "#o"}]},
    ],
)
def test_a_reference_in_a_contained_resource_leads_to_another_one(more: Any) -> None:
    (fault,) = faults([PATIENT | more], subject={"reference": "#p"})
    assert fault[0] == "reference"
    assert fault[1].endswith("reference")
    organization = {"resourceType": "Organization", "id": "o"}
    assert faults([PATIENT | more, organization], subject={"reference": "#p"}) == []


@pytest.mark.parametrize(
    "more",
    [
        {"subject": {"reference": "#p"}},
        {"extension": [{"url": "urn:x", "valueUri": "#p"}]},
        {"extension": [{"url": "urn:x", "valueUrl": "#p"}]},
        {"extension": [{"url": "urn:x", "valueCanonical": "#p"}]},
        {"meta": {"profile": ["#p"]}},
        {"text": narrative('<img src="#p" alt="x"/>')},
        {"text": narrative('<a href="#p">x</a>')},
    ],
)
def test_a_contained_resource_is_referred_to_by_a_reference_a_url_or_a_narrative(more: Any) -> None:
    assert faults([PATIENT], **more) == []


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"subject": {"display": "#p"}},
        {"extension": [{"url": "urn:x", "valueString": "#p"}]},
        {"subject": {"reference": "#"}},
        {"text": narrative("#p")},
        {"text": narrative('<img src="pictures/p" alt="#p"/>')},
        {"text": narrative('<a name="#p">p</a>')},
    ],
)
def test_a_contained_resource_that_nothing_names_is_a_fault(more: Any) -> None:
    assert faults([PATIENT], **more) == [("contained", "contained[0]")]


def test_a_contained_resource_may_refer_back_and_only_for_itself() -> None:
    back = {"resourceType": "Basic", "id": "b", "subject": {"reference": "#"}}
    assert faults([back]) == []
    assert faults([back, PATIENT]) == [("contained", "contained[1]")]


def test_the_narrative_of_a_contained_resource_names_another_one() -> None:
    patient = PATIENT | {"text": narrative('<img src="#pic" alt="x"/>')}
    picture = {"resourceType": "Binary", "id": "pic", "contentType": "image/png"}
    assert faults([patient, picture], subject={"reference": "#p"}) == []


def test_two_contained_resources_have_two_ids() -> None:
    assert faults([PATIENT, PATIENT], subject={"reference": "#p"}) == [("contained", "contained[1]")]
