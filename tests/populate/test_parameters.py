"""The parameters of `$populate`: SDC 4.0 OperationDefinition Questionnaire-populate, row by row.

The rules are those of `sdc-operations`, first table, row $populate: In/Out with cardinalities; the names of
3.0 (canonical, questionnaireRef, content beside context) are taken too.
"""

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
    parameters,
    part,
    populated,
    populator,
    variable,
)
from small_forms import CANONICAL, form

from service.errors import Malformed, NotFound, NotScorable, ServiceError
from service.populate import Populator
from service.questionnaire.population import reference_to

Json = dict[str, Any]

FORM = form(
    {"id": "born", "type": "date", "raw": {"extension": [initially("%patient.birthDate")]}},
    {"id": "potassium", "type": "quantity", "raw": linked()},
    id="small",
    identifier=[{"system": "urn:ietf:rfc:3986", "value": "urn:uuid:7f3d2f5c-6f0c-4f7e-8a53-0d5c62a1a2b1"}],
    extension=launching(("patient", "Patient")),
)
NAMED = {"name": "questionnaire", "valueCanonical": CANONICAL}
OF_PATIENT = context("patient", PATIENT)


@pytest.fixture(scope="module")
def small() -> Populator:
    return populator(FORM)


def refused(by: Populator, body: Any, form: str = "") -> ServiceError:
    with pytest.raises(ServiceError) as error:
        by.populate_body(orjson.dumps(body), NOW, form)
    assert all(problem.text for problem in error.value.problems)
    return error.value


@pytest.mark.parametrize(
    "named",
    [
        NAMED,
        {"name": "questionnaire", "valueUri": CANONICAL},
        {"name": "questionnaire", "valueUri": CANONICAL.partition("|")[0]},
        {"name": "questionnaire", "valueReference": {"reference": "Questionnaire/small"}},
        {"name": "questionnaire", "valueReference": {"reference": CANONICAL}},
        {"name": "questionnaire", "valueReference": {"identifier": FORM["identifier"][0]}},
        {"name": "questionnaire", "resource": FORM},
        {"name": "identifier", "valueIdentifier": FORM["identifier"][0]},
        {"name": "canonical", "valueCanonical": CANONICAL},
        {"name": "canonical", "valueUri": CANONICAL},
        {"name": "questionnaireRef", "valueReference": {"reference": "Questionnaire/small"}},
    ],
    ids="-".join,
)
def test_the_questionnaire_is_named_in_every_way_that_sdc_has(small: Populator, named: Json) -> None:
    """`identifier` 0..1, `questionnaire` 0..1: canonical, Reference or Questionnaire; 3.0: two more names."""
    answer = populated(small, asking(named, OF_PATIENT))
    assert part(answer, "response")["questionnaire"] == CANONICAL
    assert answers(answer) == {"born": "1980-11-30"}


@pytest.mark.parametrize(
    "named",
    [
        [],
        [NAMED, {"name": "identifier", "valueIdentifier": FORM["identifier"][0]}],
        [NAMED, {"name": "canonical", "valueCanonical": CANONICAL}],
        [NAMED, NAMED],
    ],
)
def test_at_type_level_exactly_one_parameter_names_the_questionnaire(
    small: Populator, named: list[Json]
) -> None:
    """One and only one of identifier and questionnaire where it is not called at the instance level."""
    assert isinstance(refused(small, asking(*named)), Malformed)


def test_at_instance_level_what_names_a_questionnaire_is_passed_over(small: Populator) -> None:
    """If called at the instance level, these parameters will be ignored."""
    other = {"name": "questionnaire", "valueCanonical": "https://example.org/Questionnaire/unknown"}
    answer = populated(small, asking(other, other | {"name": "canonical"}, OF_PATIENT), "small")
    assert answers(answer) == {"born": "1980-11-30"}


@pytest.mark.parametrize(
    "named",
    [
        {"name": "questionnaire", "valueCanonical": "https://example.org/canary"},
        {"name": "questionnaire", "valueCanonical": f"{CANONICAL}-canary"},
        {"name": "questionnaire", "valueReference": {"reference": "Questionnaire/canary"}},
        {"name": "identifier", "valueIdentifier": {"value": "canary"}},
        {"name": "identifier", "valueIdentifier": {"system": "urn:canary"}},
    ],
)
def test_a_questionnaire_that_is_not_served_is_not_found(small: Populator, named: Json) -> None:
    """Where the questionnaire cannot be populated at all the operation fails."""
    error = refused(small, asking(named))
    assert isinstance(error, NotFound)
    assert "canary" not in str(error)


def test_an_id_that_is_not_served_is_not_found(small: Populator) -> None:
    assert isinstance(refused(small, asking(), "canary"), NotFound)


def test_a_questionnaire_may_be_the_whole_body(small: Populator) -> None:
    """R4 operations.html#request: a resource alone where that is the only parameter."""
    answer = populated(small, FORM)
    assert part(answer, "response")["questionnaire"] == CANONICAL
    assert isinstance(refused(small, PATIENT), Malformed)


def test_the_response_is_that_of_the_operation(small: Populator) -> None:
    """`response` 1..1 QuestionnaireResponse; `issues` 0..1 OperationOutcome: there only if there are any."""
    answer = populated(small, asking(NAMED, OF_PATIENT))
    assert [entry["name"] for entry in answer["parameter"]] == ["response"]
    response = part(answer, "response")
    assert {name: response[name] for name in response if name != "item"} == {
        "resourceType": "QuestionnaireResponse",
        "language": "en",
        "questionnaire": CANONICAL,
        "status": "in-progress",
        "subject": SUBJECT,
        "authored": NOW,
    }
    assert part(populated(small, asking(NAMED)), "issues")["resourceType"] == "OperationOutcome"


def test_the_subject_is_the_patient_in_context_where_no_other_is_named(small: Populator) -> None:
    """`subject` 0..1 in 4.0 (1..1 in 3.0)."""
    assert part(populated(small, asking(NAMED, OF_PATIENT, subject=None)), "response")["subject"] == SUBJECT
    reference = context("patient", {"reference": "https://ehr.example.org/fhir/Patient/p1"})
    response = part(populated(small, asking(NAMED, reference, subject=None)), "response")
    assert response["subject"] == {"reference": "https://ehr.example.org/fhir/Patient/p1"}
    assert "subject" not in part(populated(small, asking(NAMED, subject=None)), "response")


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "#canary"},
        {"reference": "canary"},
        {"reference": "Patient/x", "type": "canary"},
        {"reference": 7},
        {"canary": "x"},
        "Patient/canary",
    ],
)
def test_a_subject_that_is_no_reference_is_refused(small: Populator, subject: Any) -> None:
    error = refused(small, asking(NAMED, {"name": "subject", "valueReference": subject}, subject=None))
    assert isinstance(error, Malformed)
    assert "canary" not in str(error)


def test_a_subject_of_another_type_than_the_form_is_about_is_refused() -> None:
    """R4 Questionnaire.subjectType."""
    of_patients = populator(FORM | {"subjectType": ["Patient"]})
    error = refused(of_patients, asking(NAMED, subject={"reference": "Device/canary"}))
    assert [problem.kind for problem in error.problems] == ["subject-type"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "context"},
        {"name": "context", "part": []},
        {"name": "context", "part": [{"name": "name", "valueString": "patient"}]},
        {"name": "context", "part": [{"name": "content", "resource": PATIENT}]},
        {"name": "context", "part": [*OF_PATIENT["part"], {"name": "name", "valueString": "x"}]},
        {"name": "context", "part": [*OF_PATIENT["part"], {"name": "canary", "valueString": "x"}]},
        {"name": "context", "part": [OF_PATIENT["part"][0], {"name": "content", "valueString": "canary"}]},
        {"name": "context", "part": [{"name": "name", "valueInteger": 1}, OF_PATIENT["part"][1]]},
        {"name": "context", "part": "canary"},
        {"name": "data", "resource": PATIENT},
        {"name": "data", "valueString": "canary"},
        {"name": "local", "valueString": "canary"},
        {"name": "content", "valueString": "canary"},
        {"name": "questionnaire", "valueString": CANONICAL},
        {"name": "questionnaire", "resource": PATIENT},
        {"name": "subject", "valueReference": SUBJECT},
        {"name": "canary", "valueString": "x"},
        {"name": ["canary"]},
        {},
        "canary",
    ],
)
def test_a_parameter_of_the_wrong_kind_is_named(small: Populator, wrong: Any) -> None:
    """`context` { name 1..1, content 1..* }; `data` Bundle 0..1; `local` boolean 0..1; and no others."""
    error = refused(small, {"resourceType": "Parameters", "parameter": [*asking(NAMED)["parameter"], wrong]})
    assert isinstance(error, Malformed)
    assert {problem.kind for problem in error.problems} <= {"parameter", "empty"}
    assert "canary" not in str(error)


def test_parameters_that_are_no_list_or_too_many_are_refused(small: Populator) -> None:
    assert isinstance(refused(small, {"resourceType": "Parameters", "parameter": "canary"}), Malformed)
    assert isinstance(refused(small, parameters(*[OF_PATIENT] * 101)), Malformed)
    assert isinstance(refused(small, {"resourceType": "Parameters"}), Malformed)


def test_the_names_of_contexts_are_unique(small: Populator) -> None:
    """sdc-pop1: context names are unique."""
    error = refused(small, asking(NAMED, OF_PATIENT, context("patient", SUBJECT)))
    assert "sdc-pop1" in str(error)


@pytest.mark.parametrize("name", ["dataEndpoint", "contentEndpoint", "terminologyEndpoint"])
def test_a_server_to_fetch_from_is_refused_and_the_way_is_said(small: Populator, name: str) -> None:
    """`dataEndpoint` 0..1: nothing is fetched from anywhere here."""
    error = refused(small, asking(NAMED, {"name": name, "valueUri": "https://canary.example.org"}))
    assert isinstance(error, NotScorable)
    assert [problem.kind for problem in error.problems] == ["parameter-unsupported"]
    assert "context or data" in str(error)
    assert "canary" not in str(error)


def test_what_the_server_knows_is_nothing_more(small: Populator) -> None:
    """`local` 0..1 boolean: if the server is capable."""
    true = populated(small, asking(NAMED, OF_PATIENT, {"name": "local", "valueBoolean": True}))
    assert [issue.partition(":")[0] for issue in issues(true)] == ["populate-unread"]
    false = populated(small, asking(NAMED, OF_PATIENT, {"name": "local", "valueBoolean": False}))
    assert issues(false) == []


def test_a_reference_is_followed_to_what_was_sent(small: Populator) -> None:
    """`content`: Reference or Resource; nothing is fetched."""
    found = populated(small, asking(NAMED, context("patient", SUBJECT), data=bundle(PATIENT)))
    assert answers(found) == {"born": "1980-11-30"}
    absolute = context("patient", {"reference": "https://ehr.example.org/Patient/p1/_history/3"})
    assert answers(populated(small, asking(NAMED, absolute, data=bundle(PATIENT)))) == answers(found)
    missing = populated(small, asking(NAMED, context("patient", SUBJECT)))
    assert answers(missing) == {}
    assert issues(missing) == [
        "populate-not-sent: Context patient: the resource that the reference leads to was not sent.",
        "populate-not-sent: Item born: not filled in: the context patient was not sent.",
    ]


def test_two_resources_with_one_id_are_nobody(small: Populator) -> None:
    twice = bundle(PATIENT, PATIENT | {"birthDate": "1990-01-01"})
    assert answers(populated(small, asking(NAMED, context("patient", SUBJECT), data=twice))) == {}
    same = bundle(PATIENT, PATIENT)
    assert answers(populated(small, asking(NAMED, context("patient", SUBJECT), data=same))) == {
        "born": "1980-11-30"
    }


def test_content_without_a_name_goes_where_its_type_is_asked_for(small: Populator) -> None:
    """SDC populate.html#service: servers SHALL take at least the Patient by `content`."""
    loose = {"name": "content", "resource": PATIENT}
    assert answers(populated(small, asking(NAMED, loose))) == {"born": "1980-11-30"}


def test_content_that_is_not_asked_for_is_not_read_and_that_is_said(small: Populator) -> None:
    """The name SHALL correspond to a launchContext or variable; servers MAY warn where they ignore."""
    answer = populated(small, asking(NAMED, OF_PATIENT, context("study", {"resourceType": "ResearchStudy"})))
    assert issues(answer) == [
        "populate-unread: Context study: not read, since the Questionnaire does not ask for it."
    ]
    odd = populated(small, asking(NAMED, OF_PATIENT, context("my secret canary", SUBJECT)))
    assert issues(odd)[0].startswith("populate-unread: A context: not read")


def test_a_context_of_another_type_is_not_read(small: Populator) -> None:
    """SDC launchContext: the type of the resource."""
    answer = populated(small, asking(NAMED, context("patient", {"resourceType": "Device"})))
    assert issues(answer)[0] == "populate-unread: Context patient: not read. Expected: Patient."
    two = populated(small, asking(NAMED, context("patient", PATIENT, PATIENT)))
    assert issues(two)[0] == "populate-unread: Context patient: not read. Expected: one resource."


def test_the_encounter_in_context_is_that_of_the_response(small: Populator) -> None:
    """The encounter is kept whether or not the form reads it."""
    encounter = {"resourceType": "Encounter", "id": "e1", "subject": SUBJECT}
    for content, expected in [
        (encounter, {"reference": "Encounter/e1"}),
        ({"reference": "Encounter/e2"}, {"reference": "Encounter/e2"}),
        (encounter | {"subject": {"reference": "Patient/canary"}}, None),
        ({"reference": "Patient/p1"}, None),
    ]:
        answer = populated(small, asking(NAMED, OF_PATIENT, context("encounter", content)))
        assert part(answer, "response").get("encounter") == expected


def test_data_of_any_bundle_is_read_also_in_a_bundle_in_it(small: Populator) -> None:
    """`data` 0..1 Bundle; a batch of searches is a Bundle of Bundles."""
    nested = bundle(bundle(observation()))
    assert answers(populated(small, asking(NAMED, data=nested)))["potassium"]["value"] == 4.1
    outcome = bundle() | {"entry": [{"fullUrl": "urn:x"}, {"resource": 1}]}
    assert answers(populated(small, asking(NAMED, data=outcome))) == {}


def test_the_same_body_and_moment_give_the_same_bytes(small: Populator) -> None:
    body = orjson.dumps(asking(NAMED, OF_PATIENT, data=bundle(observation())))
    assert small.populate_body(body, NOW) == small.populate_body(body, NOW)


# Nobody else's data: what is about another person than the subject is never read (SDC populate.html).


OF_PEOPLE = form(
    {"id": "k", "type": "quantity", "raw": linked()},
    {"id": "e", "type": "string", "raw": {"extension": [initially("%encounter.status")]}},
    {"id": "c", "type": "integer", "raw": {"extension": [initially("%found.entry.count()")]}},
    {"id": "u", "type": "date", "raw": {"extension": [initially("%user.birthDate")]}},
    extension=[
        *launching(("patient", "Patient"), ("encounter", "Encounter"), ("user", "Patient")),
        variable("found", "Condition?patient={{%patient.id}}"),
    ],
)
BY_PEOPLE = populator(OF_PEOPLE)
OTHER = {"reference": "Patient/canary"}


def filled(*entries: Json, subject: Json | None = SUBJECT, data: tuple[Json, ...] = ()) -> Json:
    answer = populated(BY_PEOPLE, asking(NAMED, *entries, subject=subject, data=bundle(*data)))
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
    answer = orjson.loads(BY_PEOPLE.populate_body(body, NOW).body)
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
