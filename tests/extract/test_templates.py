"""Template-based extraction of SDC 4.0: resources that a form contains, filled in with what a response says.

The linkIds, expressions and codes are those of the SDC examples extract-complex-template and
extract-complex-template2 (CC0); the forms are our own and smaller.
"""

import json
from decimal import Decimal

import pytest
from extract_requests import (
    AMY,
    AMY_MADE,
    HEAD,
    answered,
    asking,
    coded,
    extractor,
    issues,
    parameters,
    part,
    refused,
    resources,
)
from small_forms import ENCODE, SYSTEM, UCUM, form, response

from service.fhir import extensions as ext
from service.questionnaire.fhirpath import Surroundings, data_of, parse_expression
from service.sandbox import Sandbox

ALLOCATED = {"url": ext.EXTRACT_ALLOCATE_ID, "valueString": "NewPatientId"}


def looking(expression, name=""):
    """templateExtractContext."""
    if not name:
        return {"url": ext.TEMPLATE_EXTRACT_CONTEXT, "valueString": expression}
    return {"url": ext.TEMPLATE_EXTRACT_CONTEXT, "valueExpression": {"name": name, "expression": expression}}


def being(expression):
    """An element whose value an expression gives."""
    return {"extension": [{"url": ext.TEMPLATE_EXTRACT_VALUE, "valueString": expression}]}


def using(template, **said):
    """templateExtract; `said`: expressions for the entry, by name."""
    parts = [{"url": "template", "valueReference": {"reference": f"#{template}"}}]
    parts += [{"url": name, "valueString": expression} for name, expression in said.items()]
    return {"url": ext.TEMPLATE_EXTRACT, "extension": parts}


def answer_to(link):
    return f"item.where(linkId = '{link}').answer.value"


PERSON = {
    "resourceType": "Patient",
    "id": "patTemplate",
    "identifier": [
        {
            "extension": [looking(answer_to("ihi"))],
            "type": {"text": "National Identifier (IHI)"},
            "system": "http://example.org/nhio",
            "_value": being("first()"),
        }
    ],
    "name": [
        {
            "extension": [looking("item.where(linkId = 'name')")],
            "_text": being("item.where(linkId='given' or linkId='family').answer.value.join(' ')"),
            "_family": being(f"{answer_to('family')}.first()"),
            "_given": [being(answer_to("given"))],
        }
    ],
    "gender": "unknown",
    "_gender": being(f"{answer_to('gender')}.first().code"),
    "telecom": [
        {
            "extension": [looking(answer_to("mobile"))],
            "use": "mobile",
            "_value": being("$this"),
            "system": "phone",
        }
    ],
}
RELATED = {
    "resourceType": "RelatedPerson",
    "id": "rpTemplate",
    "patient": {"_reference": being("%NewPatientId")},
    "relationship": [{"coding": [being(f"{answer_to('relation')}.first()")]}],
    "name": [{"_text": being(f"{answer_to('contact')}.first()")}],
}
MEASURED = {
    "resourceType": "Observation",
    "id": "obsTemplateHeight",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8302-2", "display": "Body height"}]},
    "subject": being("%NewPatientId"),
    "effectiveDateTime": "1900-01-01",
    "_effectiveDateTime": being("%resource.authored"),
    "_issued": being("%resource.authored"),
    "performer": [being("%resource.author")],
    "valueQuantity": {"system": UCUM, "unit": "cm", "code": "cm", "_value": being("answer.value * 100")},
    "derivedFrom": [
        {
            "extension": [looking("%resource.id")],
            "_reference": being("'QuestionnaireResponse/' + %resource.id"),
        }
    ],
}
ITEMS = [
    {
        "id": "patient",
        "items": [
            {"id": "name", "repeats": True, "items": [{"id": "given", "repeats": True}, {"id": "family"}]},
            {"id": "gender", "options": ["female", "male"]},
            {"id": "ihi"},
            {"id": "mobile"},
        ],
    },
    {
        "id": "contacts",
        "repeats": True,
        "items": [{"id": "contact"}, {"id": "relation", "options": ["C", "N"]}],
    },
    {"id": "obs", "items": [{"id": "height", "type": "decimal"}]},
]


def complex_form():
    """After extract-complex-template: each resource from a template of its own."""
    of_form = form(*ITEMS, extension=[ALLOCATED], contained=[PERSON, RELATED, MEASURED])
    person, contacts, obs = of_form["item"]
    person["extension"] = [using("patTemplate", fullUrl="%NewPatientId")]
    contacts["extension"] = [using("rpTemplate")]
    obs["item"][0]["extension"] = [using("obsTemplateHeight")]
    return of_form


GIVEN = {
    "patient": AMY,
    "contacts": [{"contact": "Jo", "relation": "C"}, {"contact": "Sam"}],
    "obs": {"height": Decimal("1.63")},
}


def test_the_complex_example_fills_in_a_patient_its_contacts_and_a_measurement():
    """SDC extract-complex-template: what has no result is left out, what has several is made for each."""
    bundle = part(answered(complex_form(), GIVEN), "return")
    patient, first, second, height = (entry["resource"] for entry in bundle["entry"])
    url = bundle["entry"][0]["fullUrl"]
    assert patient == AMY_MADE
    assert first == {
        "resourceType": "RelatedPerson",
        "patient": {"reference": url},
        "relationship": [{"coding": [{"system": SYSTEM, "code": "C"}]}],
        "name": [{"text": "Jo"}],
    }
    assert second == {
        "resourceType": "RelatedPerson",
        "patient": {"reference": url},
        "name": [{"text": "Sam"}],
    }
    assert height == {
        "resourceType": "Observation",
        "status": "final",
        "code": MEASURED["code"],
        "subject": {"reference": url},
        "effectiveDateTime": HEAD["authored"],
        "issued": HEAD["authored"],
        "performer": [{"reference": "Practitioner/d1"}],
        "valueQuantity": {"value": 163, "unit": "cm", "system": UCUM, "code": "cm"},
        "derivedFrom": [{"reference": "QuestionnaireResponse/r1"}],
    }
    assert [entry["request"]["method"] for entry in bundle["entry"]] == ["POST"] * 4


def test_the_validators_accept_what_is_made(union):
    bundle = part(answered(complex_form(), GIVEN), "return")
    stored = json.dumps(bundle).replace(bundle["entry"][0]["fullUrl"], "Patient/new")
    made = [entry["resource"] for entry in json.loads(stored)["entry"]]
    assert union(made) == [[]] * len(made)


URLS = [f"urn:uuid:6f6177d2-13ee-4d27-b0e8-3eaf663dd03{n}" for n in range(1, 4)]


def bundle_form():
    """After extract-complex-template2: the whole transaction is one template."""

    def entry(number, link, template, **more):
        body = {key: value for key, value in template.items() if key != "id"} | more
        request = {"method": "POST", "url": template["resourceType"]}
        return {"extension": [looking(link)], "fullUrl": URLS[number], "resource": body, "request": request}

    to_patient = {"reference": URLS[0]}
    entries = [
        entry(0, "item.where(linkId = 'patient')", PERSON),
        entry(1, "item.where(linkId = 'contacts')", RELATED, patient=to_patient),
        entry(2, "item.where(linkId='obs').item.where(linkId='height')", MEASURED, subject=to_patient),
    ]
    template = {"resourceType": "Bundle", "id": "bunExtract", "type": "transaction", "entry": entries}
    root = {"url": ext.TEMPLATE_EXTRACT_BUNDLE, "valueReference": {"reference": "#bunExtract"}}
    return form(*ITEMS, extension=[root], contained=[template])


def test_a_whole_transaction_may_be_one_template():
    """SDC extract-complex-template2: entries whose context is empty are left out."""
    given = {"patient": GIVEN["patient"], "contacts": [GIVEN["contacts"][0]]}
    found = part(answered(bundle_form(), given), "return")["entry"]
    assert [entry["fullUrl"] for entry in found] == URLS[:2]
    patient = part(answered(complex_form(), GIVEN), "return")["entry"][0]["resource"]
    assert found[0]["resource"] == patient
    assert found[1]["resource"]["patient"] == {"reference": URLS[0]}
    assert found[1]["request"] == {"method": "POST", "url": "RelatedPerson"}


def test_an_entry_that_repeats_needs_a_url_of_its_own_each():
    """R4 bdl-7; the SDC example writes one fixed fullUrl for all contacts."""
    assert refused(bundle_form(), GIVEN) == [("extract-form", "Bundle.entry[2].fullUrl")]


def test_this_is_the_focus_of_a_whole_expression():
    """FHIRPath N1, section 9: outside of a function, $this is what the expression starts from."""
    expression = parse_expression("$this.a")
    assert [data_of(node) for node in expression.nodes({"a": 1}, {}, Surroundings())] == [1]


# Small templates.


def small(template, *items, **said):
    """A form with a group that fills in a Patient of this content."""
    of_form = form({"id": "g", "items": list(items)})
    of_form["contained"] = [{"resourceType": "Patient", "id": "t", **template}]
    of_form["item"][0]["extension"] = [using("t", **said)]
    return of_form


Q = {"id": "q", "repeats": True}
ANSWERS = answer_to("q")


@pytest.mark.parametrize(
    ("template", "given", "made"),
    [
        ({"active": True}, ["a"], {"active": True}),
        ({"name": [{"given": ["X"], "_given": [None, being(ANSWERS)]}]}, ["a", "b"],
         {"name": [{"given": ["X", "a", "b"]}]}),
        ({"name": [{"extension": [looking(ANSWERS)], "text": "fixed", "_family": being("$this")}]},
         ["a", "b"], {"name": [{"text": "fixed", "family": "a"}, {"text": "fixed", "family": "b"}]}),
        ({"name": [{"extension": [looking("{}")], "text": "fixed"}, {"text": "kept"}]}, ["a"],
         {"name": [{"text": "kept"}]}),
        ({"name": [{"extension": [looking(ANSWERS, "each"), {"url": "urn:kept", "valueString": "k"}],
                    "_text": being("%each + '!'")}]}, ["a"],
         {"name": [{"extension": [{"url": "urn:kept", "valueString": "k"}], "text": "a!"}]}),
        ({"gender": "male", "_gender": {"extension": [*being("'female'")["extension"],
                                                      {"url": "urn:kept", "valueString": "k"}]}}, ["a"],
         {"gender": "female", "_gender": {"extension": [{"url": "urn:kept", "valueString": "k"}]}}),
        ({"gender": "male", "_gender": being("{}"), "active": True}, ["a"], {"active": True}),
        ({"gender": "male", "_gender": {"extension": [looking("{}")]}, "active": True}, ["a"],
         {"active": True}),
        ({"contact": [{"name": {"_text": being("{}")}}], "active": False}, ["a"], {"active": False}),
        ({"maritalStatus": being("'words'")}, ["a"], {"maritalStatus": {"text": "words"}}),
        ({"extension": [{"url": "urn:e", "_valueString": being(f"{ANSWERS}.first()")}]}, ["a", "b"],
         {"extension": [{"url": "urn:e", "valueString": "a"}]}),
    ],
)  # fmt: skip
def test_an_element_is_left_out_replaced_or_repeated(template, given, made):
    assert resources(small(template, Q), {"g": {"q": given}}) == [{"resourceType": "Patient", **made}]


def test_at_the_root_a_template_is_filled_in_whatever_was_answered():
    """SDC templateExtract: always at the root; its expressions look from the response."""
    template = {"resourceType": "Patient", "id": "t", "name": [{"_text": being("item.answer.value")}]}
    of_form = form({"id": "q"}, contained=[template], extension=[using("t")])
    assert resources(of_form, {}) == [{"resourceType": "Patient"}]
    assert resources(of_form, {"q": "a"}) == [{"resourceType": "Patient", "name": [{"text": "a"}]}]


def test_a_question_with_several_answers_makes_a_resource_of_each():
    template = {"resourceType": "Patient", "id": "t", "name": [{"_text": being("answer.value")}]}
    of_form = form(Q, contained=[template])
    of_form["item"][0]["extension"] = [using("t")]
    assert [each["name"] for each in resources(of_form, {"q": ["a", "b"]})] == [
        [{"text": "a"}],
        [{"text": "b"}],
    ]
    assert issues(answered(of_form, {})) == ["extract-nothing"]


def test_the_form_may_give_an_id_and_conditions():
    said = {"resourceId": "'p1'", "ifMatch": "'W/\"2\"'", "fullUrl": "'urn:uuid:1'"}
    (entry,) = part(answered(small({"active": True}, Q, **said), {"g": {"q": ["a"]}}), "return")["entry"]
    assert entry == {
        "fullUrl": "urn:uuid:1",
        "resource": {"resourceType": "Patient", "id": "p1", "active": True},
        "request": {"method": "PUT", "url": "Patient/p1", "ifMatch": 'W/"2"'},
    }


def test_a_form_with_templates_is_extracted_in_a_child():
    body = ENCODE(response(complex_form(), GIVEN, **HEAD))
    here = extractor(complex_form()).extract_body(body)
    assert extractor(complex_form(), sandbox=Sandbox()).extract_body(body) == here
    brought = parameters(questionnaire=complex_form(), questionnaire_response=json.loads(body))
    assert extractor(sandbox=Sandbox()).extract_body(ENCODE(brought)) == here


AT = "Questionnaire.contained[0]"
GROUP = "Questionnaire.item[0].extension[0]"


@pytest.mark.parametrize(
    ("template", "place"),
    [
        ({"nickname": "x"}, f"{AT}.nickname"),
        ({"name": {"text": "x"}}, f"{AT}.name"),
        ({"gender": ["male"]}, f"{AT}.gender"),
        ({"name": ["x"]}, f"{AT}.name[0]"),
        ({"name": [{"first": "x"}]}, f"{AT}.name[0].first"),
        ({"_gender": being("1 +")}, f"{AT}._gender"),
        ({"name": [{"extension": [looking("")]}]}, f"{AT}.name[0]"),
        ({"name": [{"extension": [looking("1", "a b")]}]}, f"{AT}.name[0]"),
        ({"name": [{"extension": [looking("1"), looking("2")]}]}, f"{AT}.name[0]"),
        ({"extension": being("1")["extension"]}, AT),
    ],
)
def test_a_template_that_is_none_of_r4_is_refused_whatever_was_answered(template, place):
    assert ("extract-form", place) in refused(small(template, Q), {})


@pytest.mark.parametrize("name", ["u", "", "http://x.org/t"])
def test_a_template_that_is_not_contained_is_refused(name):
    of_form = small({"active": True}, Q)
    of_form["item"][0]["extension"] = [using(name)]
    assert refused(of_form, {}) == [("extract-form", GROUP)]


def test_a_template_must_be_of_a_type_of_r4_and_a_transaction_a_transaction():
    of_form = small({"active": True}, Q)
    of_form["contained"][0]["resourceType"] = "Ghost"
    assert refused(of_form, {}) == [("extract-form", AT)]
    of_bundle = bundle_form()
    of_bundle["contained"][0]["type"] = "batch"
    assert refused(of_bundle, {}) == [("extract-form", AT)]


@pytest.mark.parametrize(
    ("template", "kind", "place"),
    [
        ({"_birthDate": being(ANSWERS)}, "extract-form", f"{AT}.birthDate"),
        ({"_gender": being("'male' | 'female'")}, "extract-form", f"{AT}.gender"),
        ({"maritalStatus": being("1")}, "extract-form", f"{AT}.maritalStatus"),
        ({"_gender": being("%patient.gender")}, "extract-expression", f"{AT}.gender"),
        ({"name": [{"extension": [looking("1 + 'a'")]}]}, "extract-expression", f"{AT}.name[0]"),
        ({"extension": [looking("item.linkId | 'b'")]}, "extract-form", AT),
        ({"link": [{"type": "seealso"}]}, "extract-form", "QuestionnaireResponse.item[0]"),
    ],
)
def test_what_a_response_makes_wrong_is_named_with_its_place(template, kind, place):
    assert refused(small(template, Q), {"g": {"q": ["a"]}}) == [(kind, place)]


def test_an_entry_of_a_transaction_must_create_or_update():
    of_form = bundle_form()
    of_form["contained"][0]["entry"][0]["request"]["method"] = "DELETE"
    given = {"patient": GIVEN["patient"]}
    assert refused(of_form, given) == [("extract-form", f"{AT}.entry")]


# Observations that others refer to.


def entry_of(**said):
    parts = [{"url": name, "valueString": expression} for name, expression in said.items()]
    return {"url": ext.OBSERVATION_EXTRACT_ENTRY, "extension": parts}


def test_an_observation_may_have_a_url_that_others_name():
    """SDC, cross-resource references: an allocated id is the fullUrl, and the reference to it."""
    request = {
        "resourceType": "ServiceRequest",
        "id": "sr",
        "status": "active",
        "intent": "order",
        "subject": being("%resource.subject"),
        "supportingInfo": [being("%weightId")],
    }
    allocated = {"url": ext.EXTRACT_ALLOCATE_ID, "valueString": "weightId"}
    weight = coded(
        "weight", asking(), entry_of(fullUrl="%weightId", ifNoneExist="'code=29463-7'"), type="integer"
    )
    of_form = form(weight, contained=[request], extension=[allocated, using("sr")])
    observation, order = part(answered(of_form, {"weight": 80}), "return")["entry"]
    assert observation["request"] == {"method": "POST", "url": "Observation", "ifNoneExist": "code=29463-7"}
    assert order["resource"]["supportingInfo"] == [{"reference": observation["fullUrl"]}]


def test_an_observation_may_have_an_id_of_its_own_for_each_answer():
    item = coded("q", asking(), entry_of(resourceId="'obs-' + answer.value"), type="string", repeats=True)
    found = part(answered(form(item), {"q": ["a", "b"]}), "return")["entry"]
    assert [entry["request"] for entry in found] == [
        {"method": "PUT", "url": f"Observation/obs-{id_}"} for id_ in ("a", "b")
    ]
    assert [entry["resource"]["id"] for entry in found] == ["obs-a", "obs-b"]


def test_a_panel_names_the_url_of_its_member():
    inner = coded("m", asking("member"), entry_of(fullUrl=f"'{URLS[0]}'"), type="integer")
    first, second = part(answered(form(coded("p", asking(), items=[inner])), {"p": {"m": 1}}), "return")[
        "entry"
    ]
    assert first["resource"]["hasMember"] == [{"reference": URLS[0]}]
    assert second["fullUrl"] == URLS[0]


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ({"id": "q", "raw": {"extension": [entry_of()]}}, "Questionnaire.item[0]"),
        (coded("q", asking(), entry_of(), entry_of(), type="integer"), "Questionnaire.item[0]"),
        (coded("q", asking(), entry_of(fullUrl="("), type="integer"), "Questionnaire.item[0].extension[0]"),
    ],
)
def test_an_entry_needs_an_observation_and_expressions(item, place):
    assert [where.partition(".extension")[0] for _, where in refused(form(item), {})] == [
        place.partition(".extension")[0]
    ]


def test_an_entry_at_the_root_belongs_to_no_observation():
    of_form = form(coded("q", asking(), type="integer"), extension=[entry_of()])
    assert refused(of_form, {}) == [("extract-form", "Questionnaire")]
