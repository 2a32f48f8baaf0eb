"""OP03, OP05: what `$assess` is sent, bare or in Parameters."""

from typing import Any

import pytest

from service.errors import Malformed
from service.fhir.parameters import assess_input

RESPONSE = {"resourceType": "QuestionnaireResponse", "status": "completed"}
OBSERVATION = {"resourceType": "Observation", "id": "o1"}
MAIN = {"name": "questionnaire-response", "resource": RESPONSE}


def parameters(*members: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(members), **more}


def data(*resources: Any, **bundle: Any) -> dict[str, Any]:
    entries = {"entry": [{"resource": resource} for resource in resources]} if resources else {}
    return {"name": "data", "resource": {"resourceType": "Bundle", "type": "collection", **entries, **bundle}}


def refused(body: dict[str, Any]) -> list[tuple[str, str, str]]:
    with pytest.raises(Malformed) as caught:
        assess_input(body)
    return [(problem.kind, problem.text, problem.expression) for problem in caught.value.problems]


def test_op03_a_bare_response_is_what_was_sent():
    posted = assess_input(RESPONSE)
    assert (posted.response, posted.at, posted.data) == (RESPONSE, "QuestionnaireResponse", ())


def test_op03_parameters_may_hold_only_the_response():
    posted = assess_input(parameters(MAIN, id="p", meta={"versionId": "1"}, language="en"))
    assert (posted.response, posted.at, posted.data) == (RESPONSE, "Parameters.parameter[0].resource", ())


def test_how_much_of_the_result_is_wanted_may_be_a_parameter():
    assert assess_input(parameters(MAIN)).detail == ""
    assert assess_input(parameters({"name": "_detail", "valueCode": "full"}, MAIN)).detail == "full"


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (
            [{"name": "_detail", "valueString": "full"}],
            "Parameter _detail: expected a valueCode and nothing else.",
        ),
        ([{"name": "_detail", "valueCode": 5}], "Parameter _detail: expected a valueCode and nothing else."),
        (
            [{"name": "_detail", "valueCode": "a"}] * 2,
            "Parameter _detail stands more than once. Expected: at most one.",
        ),
    ],
)
def test_a_detail_that_cannot_be_read_is_named(members, text):
    assert text in [found for _, found, _ in refused(parameters(MAIN, *members))]


def test_chart_data_is_found_in_observations_and_bundles():
    other = {"resourceType": "Observation", "id": "o2"}
    body = parameters({"name": "data", "resource": OBSERVATION}, MAIN, data(other, OBSERVATION), data())
    posted = assess_input(body)
    assert posted.at == "Parameters.parameter[1].resource"
    assert [(sent.resource["id"], sent.at) for sent in posted.data] == [
        ("o1", "Parameters.parameter[0].resource"),
        ("o2", "Parameters.parameter[2].resource.entry[0].resource"),
        ("o1", "Parameters.parameter[2].resource.entry[1].resource"),
    ]


@pytest.mark.parametrize(
    ("severity", "code", "is_part"),
    [("warning", "suppressed", True), ("error", "exception", True), ("information", "informational", False)],
)
def test_what_a_search_says_beside_what_it_found_is_no_result_and_may_say_that_not_all_is_there(
    severity, code, is_part
):
    """Some EHRs answer every search so."""
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code}]}
    found = assess_input(parameters(MAIN, data(OBSERVATION, outcome, type="searchset"))).data
    assert [(one.resource, one.is_of_page) for one in found] == [(OBSERVATION, is_part)]
    assert assess_input(parameters(MAIN, data(outcome, type="searchset"))).data == ()
    assert refused(parameters(MAIN, data(OBSERVATION, outcome)))
    assert refused(parameters(MAIN, {"name": "data", "resource": outcome}))


@pytest.mark.parametrize("named", ["Patient", "Bundle", None, 5])
def test_another_resource_is_refused(named):
    ((kind, text, _),) = refused({"resourceType": named})
    assert kind == "resource-type"
    assert "QuestionnaireResponse" in text
    assert "Parameters" in text


@pytest.mark.parametrize(
    ("body", "text", "expression"),
    [
        (parameters(data(OBSERVATION)), "questionnaire-response is missing", "Parameters"),
        (parameters(MAIN, MAIN), "questionnaire-response stands more than once", "Parameters"),
        (
            parameters(MAIN, {"name": "subject", "resource": RESPONSE}),
            "Parameter subject:",
            "Parameters.parameter[1]",
        ),
        (
            parameters(MAIN, {"name": 5, "resource": RESPONSE}),
            "without a proper name",
            "Parameters.parameter[1]",
        ),
        (parameters(MAIN, {"resource": RESPONSE}), "without a proper name", "Parameters.parameter[1]"),
        (parameters(MAIN, "x"), "without a proper name", "Parameters.parameter[1]"),
        (
            parameters(MAIN, {"name": "data", "valueString": "x"}),
            "Parameter data:",
            "Parameters.parameter[1]",
        ),
        (parameters(MAIN, {"name": "data", "resource": "x"}), "Parameter data:", "Parameters.parameter[1]"),
        (
            parameters(MAIN, {"name": "data", "resource": OBSERVATION, "valueCode": "x"}),
            "Parameter data:",
            "Parameters.parameter[1]",
        ),
        (
            parameters(MAIN, {"name": "data", "resource": {"resourceType": "Patient"}}),
            "Parameter data:",
            "Parameters.parameter[1].resource",
        ),
        (
            parameters(MAIN, data(OBSERVATION, {"resourceType": "Patient"})),
            "Parameter data:",
            "Parameters.parameter[1].resource",
        ),
        (
            parameters(MAIN, data(entry=[{"fullUrl": "urn:x"}])),
            "Parameter data:",
            "Parameters.parameter[1].resource",
        ),
        (parameters(MAIN, data(entry=["x"])), "Parameter data:", "Parameters.parameter[1].resource"),
        (parameters(MAIN, data(entry="x")), "Parameter data:", "Parameters.parameter[1].resource"),
        ({"resourceType": "Parameters"}, "expected the parameter questionnaire-response", "Parameters"),
        (
            {"resourceType": "Parameters", "parameter": MAIN},
            "expected the parameter questionnaire-response",
            "Parameters",
        ),
    ],
)
def test_op05_a_wrong_parameter_is_named(body, text, expression):
    ((kind, said, at),) = refused(body)
    assert kind == "parameter"
    assert text in said
    assert at == expression


def test_op05_other_elements_of_parameters_are_refused():
    ((kind, _, at),) = refused(parameters(MAIN, implicitRules="http://x"))
    assert (kind, at) == ("unknown-property", "Parameters")


def test_op05_every_fault_is_reported_at_once():
    found = refused(parameters({"name": "x"}, {"name": "data"}, text={"status": "empty"}))
    assert [kind for kind, _, _ in found] == ["unknown-property", *["parameter"] * 3]


def test_a_name_that_could_be_anything_is_not_repeated():
    ((_, said, _),) = refused(parameters(MAIN, {"name": "canary name", "resource": RESPONSE}))
    assert "canary" not in said
