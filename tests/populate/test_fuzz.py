"""Whatever is sent, the answer is Parameters that are right R4, or a refusal with a reason."""

from typing import Any

from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from populate_requests import (
    NOW,
    PATIENT,
    SUBJECT,
    asking,
    bundle,
    context,
    initially,
    launching,
    linked,
    observation,
    part,
    populator,
    variable,
)
from small_forms import CANONICAL, ENCODE, form

from service.errors import ServiceError
from service.fhir.json import decoded
from service.fhir.structure import check_response
from service.questionnaire import compile_leniently
from service.terminology import value_sets_from

Json = dict[str, Any]

TYPES = ("boolean", "decimal", "integer", "date", "string", "choice", "attachment", "reference", "quantity")
EXPRESSIONS = ("%patient.birthDate | %patient.name", "%encounter | %found.entry.resource | %user.active")
FORM = form(
    *(
        {
            "id": f"{type_}-{number}",
            "type": type_,
            "repeats": number % 2 == 0,
            **({"options": ["a", "b"]} if "choice" in type_ else {}),
            "raw": {"extension": [initially(expression)]},
        }
        for type_ in TYPES
        for number, expression in enumerate(EXPRESSIONS)
    ),
    *(
        {
            "id": f"linked-{type_}",
            "type": type_,
            **({"options": ["a", "b"]} if "choice" in type_ else {}),
            "raw": linked(),
        }
        for type_ in TYPES
    ),
    extension=[
        *launching(("patient", "Patient"), ("encounter", "Encounter"), ("user", "Practitioner")),
        variable("found", "Condition?patient={{%patient.id}}"),
    ],
)
POPULATOR = populator(FORM)
COMPILED = compile_leniently(FORM, value_sets_from(()))
NAMED = {"name": "questionnaire", "valueCanonical": CANONICAL}

NAMES = """
    resourceType id subject patient reference identifier system value code coding display unit entry resource
    birthDate status valueQuantity valueString effectiveDateTime component focus extension url name part
    content active text contentType data version comparator period start meta
"""
WORDS = """
    Patient Observation Bundle Encounter Condition Practitioner final Patient/p1 p1 1980-11-30 2026-11-20
    2823-3 http://loinc.org http://unitsofmeasure.org mmol/L < patient #p1 urn:uuid:x
"""
names, words = st.sampled_from(NAMES.split()), st.sampled_from(WORDS.split())
leaves = (
    words | st.integers(-(2**40), 2**40) | st.booleans() | st.floats(-1e6, 1e6).map(lambda x: round(x, 6))
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3) | st.dictionaries(names, inner, min_size=1, max_size=5)
    ),
    max_leaves=12,
)
objects = st.dictionaries(names, values, min_size=1, max_size=6)


few = examples(40)


def judged(body: Any) -> None:
    try:
        found = POPULATOR.populate_body(ENCODE(body), NOW).body
    except ServiceError as refused:
        assert refused.problems  # noqa: PT017 - either is right
        return
    response = part(decoded(found), "response")
    assert check_response(response) == ()
    problems = COMPILED.check(response, "in-progress").problems
    assert [problem for problem in problems if problem.severity == "error"] == []


@few
@given(st.lists(objects | values, max_size=4))
def test_any_parameters_are_answered_or_refused(entries: list[Any]) -> None:
    judged({"resourceType": "Parameters", "parameter": [NAMED, *entries]})


@few
@given(
    st.sampled_from(["patient", "encounter", "user", "found", "content", "subject"]),
    objects,
    st.sampled_from(["Patient", "Encounter", "Practitioner", "Bundle", "Condition", ""]),
)
def test_any_resource_in_a_context_is_answered_or_refused(name: str, content: Json, kind: str) -> None:
    resource = content | ({"resourceType": kind} if kind else {})
    if name == "content":
        judged(asking(NAMED, {"name": "content", "resource": resource}))
    elif name == "subject":
        judged(asking(NAMED, {"name": "subject", "valueReference": content}, subject=None))
    else:
        judged(asking(NAMED, context("patient", PATIENT), context(name, resource)))
        judged(asking(NAMED, context(name, resource)))


@few
@given(objects, st.sets(st.sampled_from(sorted(observation())), max_size=3))
def test_any_observation_is_answered_or_refused(changes: Json, removed: set[str]) -> None:
    changed = {name: value for name, value in observation().items() if name not in removed} | changes
    judged(asking(NAMED, data=bundle(changed | {"resourceType": "Observation"})))
    about = changed | {"resourceType": "Observation", "subject": SUBJECT}
    judged(asking(NAMED, data=bundle(about)))


@few
@given(values, st.sampled_from(["valueQuantity", "valueString", "valueCodeableConcept", "valueDateTime"]))
def test_any_value_of_an_observation_is_answered_or_refused(value: Any, element: str) -> None:
    judged(asking(NAMED, data=bundle(observation(valueQuantity=None) | {element: value})))


@few
@given(objects)
def test_any_questionnaire_that_is_sent_is_answered_or_refused(changes: Json) -> None:
    sent = form({"id": "a", "raw": changes | linked()}, **changes)
    body = ENCODE(asking({"name": "questionnaire", "resource": sent | {"resourceType": "Questionnaire"}}))
    try:
        POPULATOR.populate_body(body, NOW)
    except ServiceError as refused:
        assert refused.problems  # noqa: PT017 - either is right
