"""A token for one patient gets nothing made about another one: what is only worked on included (AU12)."""

from functools import partial
from io import BytesIO

import orjson
import pytest
from interviews import begun

from service.apply import Applier
from service.assess import Assessor
from service.errors import Forbidden
from service.extract import Extractor
from service.fhir.json import BodyLimits
from service.interview import Interviewer
from service.populate import Populator
from service.records.reach import EVERYTHING, Reach
from service.validate import Validator
from service.web.deployment import Deployment
from service.web.operations import (
    Assessments,
    Extractions,
    Validations,
    applied,
    next_question,
    populated,
)
from service.web.request import Request

BASE = "https://fhir.example.org/r4"
EHR = "https://ehr.example.org/fhir"
A = Reach("north", ("Patient/a", f"{EHR}/Patient/a"))
OF_A = (
    {"reference": "Patient/a"},
    {"reference": f"{EHR}/Patient/a"},
    {"reference": f"{BASE}/Patient/a"},
    None,
)
OF_OTHERS = (
    {"reference": "Patient/b"},
    {"reference": "https://other.example.org/fhir/Patient/a"},
    {"reference": f"{EHR}/Patient/b"},
    {"identifier": {"system": "urn:numbers", "value": "a"}},
    {"display": "a"},
)


@pytest.fixture(scope="module")
def views(served):
    limits, deployment = BodyLimits(), Deployment(BASE)
    assessments = Assessments(Assessor(served, limits), deployment)
    validations = Validations(Validator(served, limits), frozenset(), deployment)
    return {
        "$assess": assessments.assess,
        "$process-response": validations.process,
        "$validate": validations.validate,
        "$populate": partial(populated, Populator(served, limits), deployment),
        "$next-question": partial(next_question, Interviewer(served, Assessor(served, limits)), deployment),
        "$apply": partial(applied, Applier(served, Assessor(served, limits), limits), deployment),
        "$extract": Extractions(Extractor(served, limits), deployment).extract,
    }


@pytest.fixture
def send(views):
    """Returns a function that sends a body to an operation, with what the token may touch."""

    def answered(operation, body, reach):
        data = orjson.dumps(body)
        environ = {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": "application/fhir+json",
            "CONTENT_LENGTH": str(len(data)),
            "wsgi.input": BytesIO(data),
        }
        return views[operation](Request(environ, {}, reach=reach)).status

    return answered


@pytest.fixture
def response(root):
    def about(subject):
        document = orjson.loads((root / "samples" / "plain-eyelid.json").read_bytes()) | {"subject": subject}
        return document if subject else {name: document[name] for name in document if name != "subject"}

    return about


def sent(response, name):
    """Returns the response as an operation takes it: alone, or in Parameters."""
    return (
        {"resourceType": "Parameters", "parameter": [{"name": name, "resource": response}]}
        if name
        else response
    )


WAYS = [
    ("$assess", ""),
    ("$assess", "questionnaire-response"),
    ("$process-response", ""),
    ("$extract", ""),
    ("$extract", "questionnaire-response"),
    ("$process-response", "in"),
]


@pytest.mark.parametrize(("operation", "name"), WAYS)
@pytest.mark.parametrize("subject", OF_OTHERS)
def test_a_response_about_somebody_else_is_not_worked_on(send, response, operation, name, subject):
    body = sent(response(subject), name)
    with pytest.raises(Forbidden) as refused:
        send(operation, body, A)
    assert "Patient/" not in refused.value.problems[0].text
    assert send(operation, body, Reach("north")) == 200
    assert send(operation, body, EVERYTHING) == 200


@pytest.mark.parametrize(("operation", "name"), WAYS)
@pytest.mark.parametrize("subject", OF_A)
def test_a_response_about_the_patient_or_about_nobody_is(send, response, operation, name, subject):
    assert send(operation, sent(response(subject), name), A) == 200


def test_a_contained_subject_is_nobody_whom_the_token_names(send, response):
    contained = [{"resourceType": "Patient", "id": "a"}]
    body = response({"reference": "#a"}) | {"contained": contained}
    with pytest.raises(Forbidden):
        send("$assess", body, A)


@pytest.mark.parametrize("named", ["subject", "context"])
def test_no_response_is_begun_about_somebody_else(send, response, named):
    """Whom it is about may be said by the parameter, or by the patient of the launch."""
    canonical = response(None)["questionnaire"]

    def body(patient):
        reference = {"reference": f"Patient/{patient}"}
        resource = {"resourceType": "Patient", "id": patient}
        of_context = [{"name": "name", "valueString": "patient"}, {"name": "content", "resource": resource}]
        parameters = {
            "subject": {"name": "subject", "valueReference": reference},
            "context": {"name": "context", "part": of_context},
        }
        form = {"name": "canonical", "valueCanonical": canonical}
        return {"resourceType": "Parameters", "parameter": [form, parameters[named]]}

    assert send("$populate", body("a"), A) == 200
    assert send("$populate", body("b"), Reach("north")) == 200
    with pytest.raises(Forbidden):
        send("$populate", body("b"), A)


def test_validation_is_about_nobody(send, response):
    """It says whether a body is valid, and nothing of whom it names: the same for every sender."""
    assert send("$validate", response({"reference": "Patient/b"}), A) == 200


@pytest.mark.parametrize("subject", OF_OTHERS)
def test_nobody_is_asked_the_next_question_about_somebody_else(send, response, subject):
    body = begun(response({})["questionnaire"], subject=subject)
    with pytest.raises(Forbidden):
        send("$next-question", body, A)
    assert send("$next-question", body, EVERYTHING) == 200


@pytest.mark.parametrize("subject", [None, {"reference": "Patient/b"}])
def test_no_plan_is_applied_to_somebody_else(send, response, subject):
    """Whom it is about is said by the parameter, also where the response names nobody."""

    def body(patient):
        about = subject and {"reference": f"Patient/{patient}"}
        bundle = {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": response(about)}],
        }
        plan = response(None)["questionnaire"].partition("|")[0].replace("Questionnaire", "PlanDefinition")
        parameters = [
            {"name": "url", "valueUri": plan},
            {"name": "subject", "valueString": f"Patient/{patient}"},
            {"name": "data", "resource": bundle},
        ]
        return {"resourceType": "Parameters", "parameter": parameters}

    assert send("$apply", body("a"), A) == 200
    assert send("$apply", body("b"), Reach("north")) == 200
    with pytest.raises(Forbidden):
        send("$apply", body("b"), A)
