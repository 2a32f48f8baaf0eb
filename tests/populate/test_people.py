"""Nobody else's data: what is about another person than the subject is never read; SDC populate.html."""

from typing import Any

import orjson
import pytest
from populate_requests import (
    NOW,
    PATIENT,
    SUBJECT,
    answers,
    asking,
    bundle,
    context,
    initially,
    issues,
    launching,
    linked,
    observation,
    populated,
    populator,
    variable,
)
from small_forms import CANONICAL, form

from service.errors import NotScorable
from service.questionnaire.population import reference_to

Json = dict[str, Any]

NAMED = {"name": "questionnaire", "valueCanonical": CANONICAL}
FORM = form(
    {"id": "k", "type": "quantity", "raw": linked()},
    {"id": "e", "type": "string", "raw": {"extension": [initially("%encounter.status")]}},
    {"id": "c", "type": "integer", "raw": {"extension": [initially("%found.entry.count()")]}},
    {"id": "u", "type": "date", "raw": {"extension": [initially("%user.birthDate")]}},
    extension=[
        *launching(("patient", "Patient"), ("encounter", "Encounter"), ("user", "Patient")),
        variable("found", "Condition?patient={{%patient.id}}"),
    ],
)
POPULATOR = populator(FORM)
OTHER = {"reference": "Patient/canary"}


def filled(*entries: Json, subject: Json | None = SUBJECT, data: tuple[Json, ...] = ()) -> Json:
    answer = populated(POPULATOR, asking(NAMED, *entries, subject=subject, data=bundle(*data)))
    assert "canary" not in str(issues(answer))
    return answer


@pytest.mark.parametrize(
    ("subject", "of_observation", "is_same"),
    [
        (SUBJECT, SUBJECT, True),
        (SUBJECT, {"reference": "https://ehr.example.org/fhir/Patient/p1"}, True),
        ({"reference": "https://ehr.example.org/fhir/Patient/p1"}, SUBJECT, True),
        (SUBJECT, {"reference": "Patient/p1/_history/3"}, True),
        (
            {"identifier": {"system": "urn:a", "value": "1"}},
            {"identifier": {"system": "urn:a", "value": "1"}},
            True,
        ),
        (SUBJECT, OTHER, False),
        (SUBJECT, {"reference": "Patient/p11"}, False),
        (SUBJECT, {"reference": "xPatient/p1"}, False),
        (SUBJECT, {"reference": "#p1"}, False),
        (SUBJECT, {"identifier": {"system": "urn:a", "value": "1"}}, False),
        (
            {"reference": "https://a.example.org/Patient/p1"},
            {"reference": "https://b.example.org/Patient/p1"},
            False,
        ),
        (
            {"identifier": {"system": "urn:a", "value": "1"}},
            {"identifier": {"system": "urn:b", "value": "1"}},
            False,
        ),
        (SUBJECT, {"display": "canary"}, False),
        (SUBJECT, None, False),
        (SUBJECT, "Patient/p1", False),
        (SUBJECT, {"reference": 1}, False),
        ({"display": "canary"}, SUBJECT, False),
        (None, SUBJECT, False),
    ],
)
def test_an_observation_must_name_the_subject(subject: Any, of_observation: Any, *, is_same: bool) -> None:
    answer = filled(subject=subject, data=(observation(subject=of_observation),))
    assert ("k" in answers(answer)) is is_same
    assert any(issue.startswith("chart-subject") for issue in issues(answer)) is not is_same


def test_how_many_are_left_out_is_said_once() -> None:
    theirs = tuple(observation(9.9, id=f"o{number}", subject=OTHER) for number in range(40))
    answer = filled(data=(*theirs, observation()))
    assert answers(answer)["k"]["value"] == 4.1
    left_out = [issue for issue in issues(answer) if issue.startswith("chart-subject")]
    assert left_out == [
        "chart-subject: Parameter data: 40 Observations: left out what is not provably about the subject."
    ]


def test_the_patient_in_context_must_be_the_subject() -> None:
    for patient in (
        PATIENT | {"id": "canary"},
        {"resourceType": "Patient", "identifier": [{"system": "urn:a", "value": "canary"}]},
    ):
        with pytest.raises(NotScorable) as refused:
            filled(context("patient", patient))
        assert [problem.kind for problem in refused.value.problems] == ["populate-subject"]
        assert "canary" not in str(refused.value)


def test_a_patient_is_the_subject_by_any_of_its_identifiers() -> None:
    identifiers = [{"system": "urn:b", "value": "2"}, {"system": "urn:a", "value": "1"}]
    subject = {"identifier": {"system": "urn:a", "value": "1"}}
    answer = filled(context("patient", PATIENT | {"identifier": identifiers}), subject=subject)
    assert not [issue for issue in issues(answer) if "patient" in issue]


@pytest.mark.parametrize("about", [{"subject": OTHER}, {"subject": "canary"}, {"subject": [SUBJECT, OTHER]}])
def test_an_encounter_of_somebody_else_is_neither_read_nor_named(about: Json) -> None:
    encounter = {"resourceType": "Encounter", "id": "e1", "status": "planned", **about}
    answer = filled(context("encounter", encounter))
    assert answers(answer) == {}
    assert "encounter" not in answer["parameter"][0]["resource"]
    assert any("Context encounter: left out" in issue for issue in issues(answer))


def test_without_a_subject_nothing_that_is_about_somebody_is_read() -> None:
    encounter = {"resourceType": "Encounter", "id": "e1", "status": "planned", "subject": SUBJECT}
    answer = filled(context("encounter", encounter), subject=None, data=(observation(),))
    assert answers(answer) == {}


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Condition", "subject": OTHER},
        {"resourceType": "AllergyIntolerance", "patient": OTHER},
        {"resourceType": "Coverage", "beneficiary": OTHER},
        {"resourceType": "Task", "for": OTHER},
        {"resourceType": "Patient", "id": "canary"},
        {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "id": "canary"}}]},
    ],
)
def test_of_a_search_only_what_is_about_the_subject_is_kept(resource: Json) -> None:
    ours = {"resourceType": "Condition", "subject": SUBJECT}
    answer = filled(context("found", bundle(resource, ours, {"resourceType": "Medication"})))
    assert answers(answer) == {"c": 2}
    assert any(issue.startswith("chart-subject") for issue in issues(answer))


def test_who_fills_in_may_be_somebody_else() -> None:
    """SDC launchContext user: a Patient too, such as a parent."""
    parent = {"resourceType": "Patient", "id": "parent", "birthDate": "1960-01-01"}
    assert answers(filled(context("user", parent)))["u"] == "1960-01-01"


def test_a_patient_without_a_name_of_any_kind_may_be_the_subject() -> None:
    nameless = {"resourceType": "Patient", "birthDate": "1980-11-30"}
    body = orjson.dumps(asking(NAMED, context("patient", nameless), subject=None))
    answer = orjson.loads(POPULATOR.populate_body(body, NOW).body)
    assert answer["parameter"][0]["resource"]["subject"] == {
        "type": "Patient",
        "display": "Patient that was sent without an id",
    }


@pytest.mark.parametrize(
    ("resource", "reference"),
    [
        ({"id": "u1"}, {"reference": "Patient/u1"}),
        ({"id": "not an id"}, {"type": "Patient", "display": "Patient that was sent without an id"}),
        ({"identifier": [{"value": 1}, {"use": "usual"}, {"system": "urn:a", "value": "7"}]},
         {"type": "Patient", "identifier": {"system": "urn:a", "value": "7"}}),
        ({"resourceType": "Canary"}, {"display": "A resource that was sent"}),
    ],
)  # fmt: skip
def test_a_resource_is_named_by_its_id_else_by_an_identifier(resource: Json, reference: Json) -> None:
    assert reference_to({"resourceType": "Patient", **resource}) == reference
