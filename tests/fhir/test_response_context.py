"""What a result repeats of its response: nothing invented, nothing that points to what is not there."""

import pytest

from service.fhir.response_context import (
    DATA_ABSENT_REASON,
    context_from_resource,
    portable_identifier,
    portable_reference,
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
