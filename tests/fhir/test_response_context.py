"""What a result repeats of its response: nothing invented, nothing that points to what is not there."""

import pytest

from service.fhir.response_context import (
    CONTAINED,
    DATA_ABSENT_REASON,
    context_from_resource,
    portable_identifier,
    portable_reference,
    referred,
)

DECLINED = {"url": DATA_ABSENT_REASON, "valueCode": "asked-declined"}


@pytest.mark.parametrize(
    ("reference", "kept"),
    [
        (None, None),
        ({"reference": "Patient/1"}, {"reference": "Patient/1"}),
        (
            {"id": "x", "reference": "Patient/1", "type": "Patient", "display": "A", "extension": [DECLINED]},
            {"reference": "Patient/1", "type": "Patient", "display": "A"},
        ),
        (
            {"reference": "#p", "type": "Patient", "identifier": {"value": "1"}},
            {"type": "Patient", "identifier": {"value": "1"}},
        ),
        ({"reference": "#p", "type": "Patient"}, None),
        ({"reference": "#p", "display": "A"}, {"display": "A"}),
        ({"type": "Patient"}, None),
        ({"identifier": {"system": "urn:x"}}, None),
        ({"extension": [DECLINED]}, {"extension": [DECLINED]}),
        ({"extension": [{"url": "urn:x", "valueCode": "y"}, DECLINED, DECLINED]}, {"extension": [DECLINED]}),
        ({"extension": [{"url": DATA_ABSENT_REASON, "valueString": "y"}]}, None),
    ],
)
def test_of_a_reference_only_what_can_stand_elsewhere_is_carried(reference, kept):
    assert portable_reference(reference) == kept


@pytest.mark.parametrize(
    ("identifier", "kept"),
    [
        (None, None),
        ({"system": "urn:x"}, None),
        ({"value": "1", "assigner": {"reference": "#o"}, "period": {"start": "2026"}}, {"value": "1"}),
        (
            {"use": "usual", "system": "urn:x", "value": "1"},
            {"use": "usual", "system": "urn:x", "value": "1"},
        ),
    ],
)
def test_of_an_identifier_use_system_and_value_are_carried(identifier, kept):
    assert portable_identifier(identifier) == kept


def test_what_a_response_does_not_state_is_none():
    context = context_from_resource({"resourceType": "QuestionnaireResponse", "status": "completed"})
    assert context.status == "completed"
    stated = (
        context.id,
        context.identifier,
        context.questionnaire,
        context.subject,
        context.encounter,
        context.authored,
    )
    assert stated == (None,) * 6


PATIENT = {
    "resourceType": "Patient",
    "id": "canary",
    "text": {"status": "generated", "div": "<div>canary</div>"},
    "identifier": [{"system": "urn:x", "value": "1", "assigner": {"reference": "#o"}}],
    "name": [{"family": "Example", "given": ["Ada", None], "_given": [None, {"id": "x"}]}],
    "birthDate": "1970-01-01",
    "_gender": {"extension": [{"url": "urn:x", "valueReference": {"reference": "#o"}}]},
    "photo": [{"url": "https://elsewhere.example.org/canary.png"}],
    "managingOrganization": {"reference": "#o"},
    "extension": [{"url": "urn:x", "valueString": "canary"}],
}
VISIT = {"resourceType": "Encounter", "id": "v", "status": "finished", "class": {"code": "AMB"}}
COHORT = {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "quantity": 3}


def context(*contained, **head):
    response = {"resourceType": "QuestionnaireResponse", "status": "completed"}
    return context_from_resource(response | head | {"contained": list(contained)})


def test_k16_a_contained_subject_is_contained_again_with_what_says_who_it_is():
    found = context(PATIENT, subject={"reference": "#canary", "display": "A"})
    assert found.subject == {"reference": "#subject", "display": "A"}
    assert found.contained == (
        {
            "resourceType": "Patient",
            "id": "subject",
            "identifier": [{"system": "urn:x", "value": "1"}],
            "name": [{"family": "Example", "given": ["Ada"]}],
            "birthDate": "1970-01-01",
        },
    )


def test_k16_only_what_is_referred_to_is_contained_again():
    found = context(COHORT, VISIT, PATIENT, subject={"reference": "#g"}, encounter={"reference": "#v"})
    assert (found.subject, found.encounter) == ({"reference": "#subject"}, {"reference": "#encounter"})
    assert found.contained == (COHORT | {"id": "subject"}, VISIT | {"id": "encounter"})


@pytest.mark.parametrize(
    "more",
    [
        {"gender": "canary"},
        {"birthDate": "yesterday"},
        {"name": "canary"},
        {"name": ["canary"]},
        {"name": [{"canary": 1}]},
        {"identifier": {"value": "1"}},
        {"identifier": [{"use": "canary"}]},
        {"active": "true"},
    ],
)
def test_k16_what_is_wrong_in_a_contained_subject_is_left_out(more):
    patient = {"resourceType": "Patient", "id": "p"}
    found = context(patient | more, subject={"reference": "#p"})
    assert found.contained == ({"resourceType": "Patient", "id": "subject"},)


@pytest.mark.parametrize(
    ("visit", "kept"),
    [
        ({"class": {"code": "AMB"}}, {"type": "Encounter", "display": CONTAINED}),
        (
            {"class": "AMB", "identifier": [{"use": "x"}, {"value": "7"}]},
            {"type": "Encounter", "identifier": {"value": "7"}},
        ),
    ],
)
def test_k16_what_could_not_be_contained_again_is_named_by_its_identifier_or_as_contained(visit, kept):
    found = context({"resourceType": "Encounter", "id": "v"} | visit, encounter={"reference": "#v"})
    assert (found.encounter, found.contained) == (kept, ())


@pytest.mark.parametrize(
    ("reference", "kept"),
    [
        (None, None),
        ({"reference": "Practitioner/1"}, {"reference": "Practitioner/1"}),
        ({"reference": "#d"}, {"type": "Practitioner", "identifier": {"value": "7"}}),
        (
            {"reference": "#d", "display": "B"},
            {"type": "Practitioner", "identifier": {"value": "7"}, "display": "B"},
        ),
        (
            {"reference": "#d", "identifier": {"value": "8"}},
            {"type": "Practitioner", "identifier": {"value": "8"}},
        ),
        ({"reference": "#e"}, {"type": "Organization", "display": CONTAINED}),
        ({"reference": "#e", "display": "B"}, {"type": "Organization", "display": "B"}),
        ({"reference": "#none"}, None),
    ],
)
def test_k16_elsewhere_a_contained_resource_is_named_by_its_identifier(reference, kept):
    doctor = {"resourceType": "Practitioner", "id": "d", "identifier": [{"value": "7"}]}
    response = {"contained": [doctor, {"resourceType": "Organization", "id": "e", "identifier": "canary"}]}
    assert referred(reference, response) == kept
