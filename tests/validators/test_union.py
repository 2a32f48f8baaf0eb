"""Each validator of the union finds what it is there for, and no validator objects to a right resource."""

from copy import deepcopy
from typing import Any, NamedTuple

import pytest
from valid_resources import RESOURCES

REMOVED = object()


class Fault(NamedTuple):
    """A fault to plant: at a dotted path in the right resource of `type`, a new value; and who sees it."""

    sentence: str
    type: str
    at: str
    value: Any
    seen_by: str


FAULTS = (
    Fault("no subject", "RiskAssessment", "subject", REMOVED, "medplum schema"),
    Fault("no status", "QuestionnaireResponse", "status", REMOVED, "medplum"),
    Fault("a status of no list", "RiskAssessment", "status", "finished", "binding"),
    Fault("a status of another list", "QuestionnaireResponse", "status", "done", "binding schema"),
    Fault("an item type of no list", "Questionnaire", "item.0.type", "number", "binding schema"),
    Fault("an issue type of no list", "OperationOutcome", "issue.0.code", "wrong", "binding schema"),
    Fault(
        "ras-1 (range not in %)",
        "RiskAssessment",
        "prediction.1.probabilityRange.low.code",
        "1",
        "medplum fhirpath",
    ),
    Fault(
        "ras-2 (more than 100 %)",
        "RiskAssessment",
        "prediction.0.probabilityDecimal",
        101,
        "medplum fhirpath",
    ),
    Fault(
        "qrs-1 (answer and item)",
        "QuestionnaireResponse",
        "item.0.item",
        [{"linkId": "1.2"}],
        "medplum fhirpath",
    ),
    Fault(
        "qrs-1 below an answer",
        "QuestionnaireResponse",
        "item.0.answer.0.item.0",
        {"linkId": "1.1", "answer": [{"valueInteger": 1}], "item": [{"linkId": "1.1.1"}]},
        "medplum fhirpath",
    ),
    Fault("que-1 (group without items)", "Questionnaire", "item.1.item", REMOVED, "medplum fhirpath"),
    Fault("que-2 (linkId twice)", "Questionnaire", "item.1.item.0.linkId", "1", "fhirpath"),
    Fault(
        "que-7 (exists and no boolean)",
        "Questionnaire",
        "item.1.enableWhen.0",
        {"question": "1", "operator": "exists", "answerString": "yes"},
        "fhirpath",
    ),
    Fault("que-9 in an item of an item", "Questionnaire", "item.1.item.1.readOnly", True, "fhirpath"),
    Fault("bdl-1 (total in a collection)", "Bundle", "type", "collection", "medplum fhirpath"),
    Fault("cpb-2 (nothing described)", "CapabilityStatement", "implementation", REMOVED, "medplum fhirpath"),
    Fault(
        "sdf-8a (foreign path)",
        "StructureDefinition",
        "differential.element.3.path",
        "Patient.id",
        "fhirpath",
    ),
    Fault("eld-16 (sliceName)", "StructureDefinition", "differential.element.3.sliceName", "a b", "fhirpath"),
    Fault("eld-19 (path)", "StructureDefinition", "differential.element.0.path", "|", "fhirpath"),
    Fault("dom-3 (contained and not used)", "RiskAssessment", "basis", REMOVED, "fhirpath"),
    Fault("ref-1 (points to nothing)", "RiskAssessment", "basis.0.reference", "#other", "fhirpath"),
    Fault("ele-1 (only an id)", "RiskAssessment", "subject", {"id": "a"}, "fhirpath"),
    Fault(
        "txt-1 (script in the narrative)",
        "Questionnaire",
        "text.div",
        '<div xmlns="http://www.w3.org/1999/xhtml"><script>go()</script></div>',
        "fhirpath",
    ),
    Fault("two values", "QuestionnaireResponse", "item.0.answer.0.valueString", "a", "medplum choice"),
    Fault("an unknown property", "QuestionnaireResponse", "item.0.answer.0.score", 1, "medplum schema"),
    Fault("a property of the other vendor", "RiskAssessment", "meta", {"project": "a"}, "medplum"),
    Fault("a reference to a type not allowed", "RiskAssessment", "subject.reference", "Device/1", "medplum"),
    Fault("an empty array", "QuestionnaireResponse", "item.0.answer", [], "empty"),
    Fault("an empty string", "QuestionnaireResponse", "item.0.text", "", "empty"),
    Fault("a string of blanks", "QuestionnaireResponse", "item.0.text", "  ", "medplum"),
    Fault("an empty object", "QuestionnaireResponse", "item.0.answer.0", {}, "empty"),
    Fault("null", "QuestionnaireResponse", "authored", None, "medplum schema empty"),
    Fault("null in an array without its twin", "Patient", "name.0.given.0", None, "medplum empty"),
    Fault("a number beside its twin", "Patient", "name.0.given.1", 5, "medplum schema"),
    Fault(
        "a string for an integer",
        "QuestionnaireResponse",
        "item.0.answer.0.valueInteger",
        "1",
        "medplum schema",
    ),
    Fault(
        "a number for a boolean", "QuestionnaireResponse", "item.0.answer.1.valueBoolean", 0, "medplum schema"
    ),
    Fault("a month of no year", "QuestionnaireResponse", "authored", "2020-13-45", "medplum schema"),
    Fault("a day of no month", "Patient", "birthDate", "2021-02-29", "medplum"),
    Fault("a time without zone", "QuestionnaireResponse", "authored", "2026-01-02T03:04:05", "schema"),
    Fault("no linkId", "QuestionnaireResponse", "item.1.item.0.linkId", REMOVED, "medplum"),
    Fault("an id with an underscore", "QuestionnaireResponse", "id", "a_b", "schema"),
    Fault(
        "a fault in a contained resource", "RiskAssessment", "contained.0.status", "done", "binding schema"
    ),
    Fault("contained and no resource", "RiskAssessment", "contained.0.resourceType", REMOVED, "schema"),
    Fault(
        "a fault in a bundle",
        "Bundle",
        "entry.0.resource.prediction.0.probabilityDecimal",
        101,
        "medplum fhirpath",
    ),
    Fault("a fault in a part", "Parameters", "parameter.1.part.0.resource.status", "done", "binding schema"),
)


def planted(fault: Fault) -> dict[str, Any]:
    resource = deepcopy(RESOURCES[fault.type])
    *way, last = (int(step) if step.isdigit() else step for step in fault.at.split("."))
    place: Any = resource
    for step in way:
        place = place[step]
    if fault.value is REMOVED:
        del place[last]
    else:
        place[last] = fault.value
    return resource


@pytest.mark.parametrize("name", RESOURCES)
def test_a_right_resource_has_no_problem(union, name):
    assert union([RESOURCES[name]]) == [[]]


@pytest.mark.parametrize(
    ("validator", "fault"),
    [(validator, fault) for fault in FAULTS for validator in fault.seen_by.split()],
    ids=lambda value: value.sentence if isinstance(value, Fault) else value,
)
def test_a_fault_is_seen_by(union, validator, fault):
    (problems,) = union([planted(fault)])
    assert any(f"{validator}:" in problem for problem in problems), problems


def test_a_constraint_is_named_with_its_path(union):
    (problems,) = union([planted(FAULTS[7])])
    assert any(problem.startswith("fhirpath: RiskAssessment.prediction: ras-2:") for problem in problems), (
        problems
    )


def test_every_resource_has_its_own_problems_in_the_order_given(union):
    good, bad = RESOURCES["Patient"], planted(FAULTS[0])
    first, second = union([good, bad])
    assert first == []
    assert second


@pytest.mark.parametrize("name", ["Requirements", "constructor", 5])
def test_a_type_that_r4_does_not_have_is_a_problem(union, name):
    assert union([{"resourceType": name}]) == [["resourceType: R4 has no such resource"]]
