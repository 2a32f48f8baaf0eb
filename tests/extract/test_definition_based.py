"""Definition-based extraction of SDC 4.0: resources of any type, put together of answers that name elements.

The linkIds, paths and codes are those of the SDC example extract-complex-defn3 (CC0); the forms are our own.
That example says of a mobile telephone that its use is `phone` and its system `mobile`; R4 has neither code,
so the two stand here the other way round, and a test holds what the example's own order gives.
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
    begins,
    coded,
    extractor,
    gives,
    issues,
    parameters,
    part,
    problems_of,
    refused,
    resources,
)
from small_forms import ENCODE, SYSTEM, UCUM, form, response

from service.errors import NotScorable
from service.fhir import extensions as ext
from service.fhir.resource_models import faults_in
from service.questionnaire import extracted_values
from service.sandbox import Sandbox

PATIENT = "http://hl7.org/fhir/StructureDefinition/Patient"
RELATED = "http://hl7.org/fhir/StructureDefinition/RelatedPerson"
OBSERVATION = "http://hl7.org/fhir/StructureDefinition/Observation"


def at(element, *extensions):
    """What an item has whose answers are an element."""
    canonical = f"http://hl7.org/fhir/StructureDefinition/{element.partition('.')[0]}"
    beside = {"extension": list(extensions)} if extensions else {}
    return {"raw": {"definition": f"{canonical}#{element}", **beside}}


def allocating(name):
    return {"url": ext.EXTRACT_ALLOCATE_ID, "valueString": name}


def phone(element):
    """What makes a mobile telephone of a number."""
    return (gives(f"{element}.use", valueCode="mobile"), gives(f"{element}.system", valueCode="phone"))


NAME = {
    "id": "name",
    "repeats": True,
    "items": [
        {"id": "given", "repeats": True, **at("Patient.name.given")},
        {"id": "family", **at("Patient.name.family")},
    ],
    **at(
        "Patient.name",
        gives("Patient.name.text", "item.where(linkId='given' or linkId='family').answer.value.join(' ')"),
    ),
}
PERSON = {
    "id": "patient",
    "raw": {"extension": [begins("Patient", fullUrl="%NewPatientId")]},
    "items": [
        NAME,
        {"id": "gender", "options": ["female", "male"], **at("Patient.gender")},
        {"id": "dob", "type": "date", **at("Patient.birthDate")},
        {
            "id": "ihi",
            **at(
                "Patient.identifier.value",
                gives("Patient.identifier.type", valueCodeableConcept={"text": "National Identifier (IHI)"}),
                gives("Patient.identifier.system", valueUri="http://example.org/nhio"),
            ),
        },
        {"id": "mobile", **at("Patient.telecom.value", *phone("Patient.telecom"))},
    ],
}
CONTACTS = {
    "id": "contacts",
    "repeats": True,
    "raw": {
        "extension": [begins("RelatedPerson"), gives("RelatedPerson.patient.reference", "%NewPatientId")]
    },
    "items": [
        {"id": "contact", **at("RelatedPerson.name.text")},
        {"id": "relation", "options": ["C", "N"], **at("RelatedPerson.relationship.coding")},
        {"id": "phone", **at("RelatedPerson.telecom.value", *phone("RelatedPerson.telecom"))},
    ],
}
WHEN = "(%resource.authored | %resource.meta.lastUpdated | now()).first()"


def measured(id_, code, unit):
    """A measurement, in the manner of the example."""
    loinc = {"system": "http://loinc.org", "code": code}
    vital = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
    return {
        "id": id_,
        "type": "decimal",
        **at(
            "Observation.value[x]:valueQuantity.value",
            begins("Observation"),
            gives("Observation.status", valueCode="final"),
            gives("Observation.category.coding", valueCoding=vital),
            gives("Observation.code.coding", valueCoding=loinc),
            gives("Observation.subject.reference", "%NewPatientId"),
            gives("Observation.effective", WHEN),
            gives("Observation.issued", WHEN),
            gives("Observation.performer", "%resource.author"),
            gives("Observation.value[x]:valueQuantity.unit", valueString=unit),
            gives("Observation.derivedFrom.reference", "'QuestionnaireResponse/' + %resource.id"),
        ),
    }


COMPLEX = form(
    PERSON,
    CONTACTS,
    {"id": "obs", "items": [measured("height", "8302-2", "m"), measured("weight", "29463-7", "kg")]},
    extension=[allocating("NewPatientId")],
)
GIVEN = {
    "patient": AMY | {"dob": "1987-02-20", "mobile": "0491 570 156"},
    "contacts": [{"contact": "Jo", "relation": "C", "phone": "0491 570 157"}, {"contact": "Sam"}],
    "obs": {"height": Decimal("1.63"), "weight": Decimal("77.3")},
}


def test_the_complex_example_makes_a_patient_its_contacts_and_its_measurements():
    """SDC extract-complex-defn3: what refers to the new patient names the id that was allocated for it."""
    bundle = part(answered(COMPLEX, GIVEN), "return")
    assert bundle["type"] == "transaction"
    patient, first, second, height, weight = (entry["resource"] for entry in bundle["entry"])
    url = bundle["entry"][0]["fullUrl"]
    assert url.startswith("urn:uuid:")
    assert patient == AMY_MADE | {
        "telecom": [{"system": "phone", "value": "0491 570 156", "use": "mobile"}],
        "birthDate": "1987-02-20",
    }
    assert first == {
        "resourceType": "RelatedPerson",
        "patient": {"reference": url},
        "relationship": [{"coding": [{"system": SYSTEM, "code": "C"}]}],
        "name": [{"text": "Jo"}],
        "telecom": [{"system": "phone", "value": "0491 570 157", "use": "mobile"}],
    }
    assert second == {
        "resourceType": "RelatedPerson",
        "patient": {"reference": url},
        "name": [{"text": "Sam"}],
    }
    assert height["valueQuantity"] == {"value": 1.63, "unit": "m"}
    assert weight == {
        "resourceType": "Observation",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "vital-signs",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": url},
        "effectiveDateTime": HEAD["authored"],
        "issued": HEAD["authored"],
        "performer": [{"reference": "Practitioner/d1"}],
        "valueQuantity": {"value": 77.3, "unit": "kg"},
        "derivedFrom": [{"reference": "QuestionnaireResponse/r1"}],
    }


def test_every_entry_creates_and_has_a_url_of_its_own():
    found = part(answered(COMPLEX, GIVEN), "return")["entry"]
    types = ["Patient", "RelatedPerson", "RelatedPerson", "Observation", "Observation"]
    assert [entry["request"] for entry in found] == [{"method": "POST", "url": one} for one in types]
    assert len({entry["fullUrl"] for entry in found}) == len(found)


def test_what_is_made_is_right_r4():
    for each in resources(COMPLEX, GIVEN):
        assert faults_in(each) == ()


def test_the_validators_accept_what_is_made(union):
    """With references as a server makes them of the transaction: Medplum judges no urn."""
    bundle = part(answered(COMPLEX, GIVEN), "return")
    stored = json.dumps(bundle).replace(bundle["entry"][0]["fullUrl"], "Patient/new")
    made = [entry["resource"] for entry in json.loads(stored)["entry"]]
    assert union(made) == [[]] * len(made)


def test_the_same_response_makes_the_same_bundle():
    assert answered(COMPLEX, GIVEN) == answered(COMPLEX, GIVEN)
    first, other = (part(answered(COMPLEX, GIVEN, id=id_), "return")["entry"] for id_ in ("r1", "r2"))
    assert not {one["fullUrl"] for one in first} & {one["fullUrl"] for one in other}


def test_codes_that_r4_does_not_have_are_named():
    """As the published example has them: its use is a system, and its system a use."""
    swapped = (
        gives("Patient.telecom.use", valueCode="phone"),
        gives("Patient.telecom.system", valueCode="mobile"),
    )
    of_form = form(group("Patient", {"id": "q", **at("Patient.telecom.value", *swapped)}))
    use, system, value = problems_of(of_form, {"g": {"q": "1"}})
    for (kind, place, words), index, name in ((use, 0, "use"), (system, 1, "system")):
        assert (kind, place) == ("extract-form", f"{ITEM}.extension[{index}]")
        assert words.startswith(f"Patient.telecom.{name}: expected one of the codes ")
    assert value[:2] == ("extract-form", "QuestionnaireResponse.item[0]"), "a value without a system, cpt-2"


def group(kind, *items, **parts):
    return {"id": "g", "items": list(items), "raw": {"extension": [begins(kind, **parts)]}}


# Where a resource begins, and how often.


def test_at_the_root_a_resource_is_made_whatever_was_answered():
    """SDC: always, even if there are no answers; what the root gives stands in it."""
    root = [begins("Patient"), gives("Patient.active", valueBoolean=True)]
    of_form = form({"id": "q", **at("Patient.gender")}, extension=root)
    assert resources(of_form, {}) == [{"resourceType": "Patient", "active": True}]


def test_at_an_item_without_answers_nothing_is_made():
    of_form = form(group("Patient", {"id": "q", **at("Patient.gender")}))
    assert issues(answered(of_form, {})) == ["extract-nothing"]
    assert issues(answered(of_form, {"g": {}})) == ["extract-nothing"]


def test_a_question_with_several_answers_begins_a_resource_for_each():
    """SDC definitionExtract: at a repeating item, a new resource for each iteration in the answers."""
    item = {
        "id": "q",
        "options": ["a", "b", "c"],
        "repeats": True,
        **at(
            "Condition.code",
            begins("Condition", fullUrl="%one"),
            allocating("one"),
            gives("Condition.subject", "%resource.subject"),
            gives("Condition.note.text", "answer.value.code"),
        ),
    }
    bundle = part(answered(form(item), {"q": ["a", "c"]}), "return")
    assert [entry["resource"]["code"]["coding"][0]["code"] for entry in bundle["entry"]] == ["a", "c"]
    assert [entry["resource"]["note"] for entry in bundle["entry"]] == [[{"text": "a"}], [{"text": "c"}]]
    assert len({entry["fullUrl"] for entry in bundle["entry"]}) == 2


def test_several_answers_stand_together_in_an_element_that_repeats():
    of_form = form(group("Patient", {"id": "q", "repeats": True, **at("Patient.name.given")}))
    assert resources(of_form, {"g": {"q": ["A", "B"]}})[0]["name"] == [{"given": ["A", "B"]}]


def test_two_resources_may_overlap():
    """SDC: interleaved, by the definition that an item names."""
    inner = {"id": "o", "items": [{"id": "d", "type": "date", **at("Patient.birthDate")}]}
    given = (gives("Observation.status", valueCode="final"), gives("Observation.code.text", valueString="b"))
    inner["raw"] = {"extension": [begins("Observation"), *given]}
    found = resources(form(group("Patient", inner)), {"g": {"o": {"d": "2020-01-02"}}})
    assert [each["resourceType"] for each in found] == ["Patient", "Observation"]
    assert found[0]["birthDate"] == "2020-01-02"


def test_items_inside_an_answer_belong_to_the_element_of_their_question():
    inner = [{"id": "kind", **at("Patient.identifier.type.text")}]
    of_form = form(
        group("Patient", {"id": "q", "items": inner, "type": "string", **at("Patient.identifier.value")})
    )
    found = resources(of_form, {"g": {"q": {"is": "7", "items": {"kind": "number"}}}})
    assert found[0]["identifier"] == [{"type": {"text": "number"}, "value": "7"}]


def test_an_extension_is_made_of_its_url_and_value():
    """SDC, table of parents and children: value and url stand in the same extension."""
    url = gives("Patient.extension.url", valueUri="urn:colour")
    of_form = form(group("Patient", {"id": "q", "type": "boolean", **at("Patient.extension.value", url)}))
    assert resources(of_form, {"g": {"q": False}})[0]["extension"] == [
        {"url": "urn:colour", "valueBoolean": False}
    ]


def test_an_id_makes_an_update():
    """SDC: PUT to the type and id where the resource has one, else POST."""
    said = {"ifMatch": "'W/\"3\"'", "ifModifiedSince": "%resource.authored", "fullUrl": "{}"}
    item = {"id": "q", "type": "string", **at("Patient.id")}
    (entry,) = part(answered(form(group("Patient", item, **said)), {"g": {"q": "p9"}}), "return")["entry"]
    assert entry["request"] == {
        "method": "PUT",
        "url": "Patient/p9",
        "ifMatch": 'W/"3"',
        "ifModifiedSince": HEAD["authored"],
    }
    assert entry["fullUrl"].startswith("urn:uuid:")


def test_a_create_may_be_conditional():
    said = {"ifNoneExist": "'identifier=' + item.answer.value"}
    item = {"id": "q", **at("Patient.identifier.value")}
    (entry,) = part(answered(form(group("Patient", item, **said)), {"g": {"q": "7"}}), "return")["entry"]
    assert entry["request"]["ifNoneExist"] == "identifier=7"


def test_the_older_extension_with_a_type_begins_a_resource_too():
    of_form = form({"id": "g", "items": [{"id": "q", **at("Patient.name.text")}]})
    of_form["item"][0]["extension"] = [{"url": ext.ITEM_EXTRACTION_CONTEXT, "valueCode": "Patient"}]
    assert resources(of_form, {"g": {"q": "A"}})[0]["name"] == [{"text": "A"}]


def test_observations_and_definitions_may_stand_in_one_form():
    of_form = form(
        coded("o", asking(), type="integer"), group("Patient", {"id": "q", **at("Patient.name.text")})
    )
    found = resources(of_form, {"o": 1, "g": {"q": "A"}})
    assert [each["resourceType"] for each in found] == ["Observation", "Patient"]


# Datatypes.


INSTANT = "2026-01-02T03:04:05Z"
CONCEPT = {"coding": [{"system": SYSTEM, "code": "a"}]}
TO_ORGANIZATION = {"managingOrganization": {"reference": "Organization/o"}}
TEXT = {"maritalStatus": {"text": "b"}}
PICTURE = {"contentType": "text/plain", "data": "eA=="}
UNIT = {"url": ext.UNIT, "valueCoding": {"system": UCUM, "code": "kg", "display": "kilograms"}}


@pytest.mark.parametrize(
    ("item", "given", "element", "made"),
    [
        ({"type": "boolean"}, False, "Patient.deceased", {"deceasedBoolean": False}),
        ({"type": "dateTime"}, INSTANT, "Patient.deceased[x]", {"deceasedDateTime": INSTANT}),
        ({"type": "date"}, "2026-01-02", "Patient.deceased", {"deceasedDateTime": "2026-01-02"}),
        ({"type": "dateTime"}, INSTANT, "Patient.birthDate", {"birthDate": "2026-01-02"}),
        ({"type": "integer"}, 0, "Patient.multipleBirth", {"multipleBirthInteger": 0}),
        ({"options": ["a"]}, "a", "Patient.maritalStatus", {"maritalStatus": CONCEPT}),
        ({"options": ["female"]}, "female", "Patient.gender", {"gender": "female"}),
        ({"type": "open-choice", "options": ["a"]}, "own: b", "Patient.maritalStatus", TEXT),
        ({"type": "reference"}, "Organization/o", "Patient.managingOrganization", TO_ORGANIZATION),
        ({"type": "string"}, "Organization/o", "Patient.managingOrganization", TO_ORGANIZATION),
        ({"type": "attachment"}, PICTURE, "Patient.photo", {"photo": [PICTURE]}),
        ({"type": "integer"}, 3, "Patient.telecom.rank", {"telecom": [{"rank": 3}]}),
        ({"type": "url"}, "urn:a:b", "Patient.identifier.system", {"identifier": [{"system": "urn:a:b"}]}),
    ],
)  # fmt: skip
def test_an_answer_stands_in_a_datatype_that_the_element_has(item, given, element, made):
    of_form = form(group("Patient", {"id": "q", **item, **at(element)}))
    assert resources(of_form, {"g": {"q": given}}) == [{"resourceType": "Patient", **made}]


@pytest.mark.parametrize(
    ("item", "given", "value"),
    [
        ({"type": "quantity"}, "4.1 kg", {"valueQuantity": {"value": 4.1, "system": UCUM, "code": "kg"}}),
        ({"type": "decimal"}, Decimal("0.5"), {"valueQuantity": {"value": 0.5}}),
        ({"type": "integer"}, 80, {"valueInteger": 80}),
        ({"type": "string"}, "2026-01-02", {"valueString": "2026-01-02"}),
        ({"type": "time"}, "10:30:00", {"valueTime": "10:30:00"}),
        ({"options": ["a"]}, "a", {"valueCodeableConcept": {"coding": [{"system": SYSTEM, "code": "a"}]}}),
    ],
)
def test_the_datatype_of_a_choice_is_that_of_the_answer(item, given, value):
    head = (gives("Observation.status", valueCode="final"), gives("Observation.code.text", valueString="q"))
    of_form = form({"id": "q", **item, **at("Observation.value", begins("Observation"), *head)})
    (found,) = resources(of_form, {"q": given})
    assert {name: each for name, each in found.items() if name.startswith("value")} == value


def test_a_number_takes_the_unit_of_its_item():
    head = (gives("Observation.status", valueCode="final"), gives("Observation.code.text", valueString="q"))
    of_form = form(
        {"id": "q", "type": "integer", **at("Observation.value", UNIT, begins("Observation"), *head)}
    )
    (found,) = resources(of_form, {"q": 80})
    assert found["valueQuantity"] == {"value": 80, "unit": "kilograms", "system": UCUM, "code": "kg"}


def test_a_range_keeps_its_comparator():
    """SDC: what shifts the meaning of an answer is not lost."""
    given = {"valueQuantity": {"value": 4, "comparator": "<", "unit": "kg"}}
    head = (gives("Observation.status", valueCode="final"), gives("Observation.code.text", valueString="q"))
    of_form = form({"id": "q", "type": "quantity", **at("Observation.value", begins("Observation"), *head)})
    assert resources(of_form, {"q": given})[0]["valueQuantity"]["comparator"] == "<"


def test_numbers_keep_their_digits():
    body = extractor(COMPLEX).extract_body(
        ENCODE(response(COMPLEX, {"obs": {"height": Decimal("1.50")}}, **HEAD))
    )
    assert b'"value":1.50' in body


# What is refused, each with its place.


ITEM = "Questionnaire.item[0].item[0]"


def named(*extensions):
    return at("Patient.name.text", *extensions)


@pytest.mark.parametrize(
    ("item", "kind", "place"),
    [
        (at("Patient.nickname"), "extract-form", f"{ITEM}.definition"),
        (at("Patient.name.given.first"), "extract-form", f"{ITEM}.definition"),
        (at("Patient.name:official.text"), "extract-form", f"{ITEM}.definition"),
        (at("Patient.value[x]:gender"), "extract-form", f"{ITEM}.definition"),
        (at("Patient.deceased.value"), "extract-form", f"{ITEM}.definition"),
        (at("Patient.contained.id"), "extract-form", f"{ITEM}.definition"),
        (at("Patient._gender"), "extract-form", f"{ITEM}.definition"),
        (at("Patient.resourceType"), "extract-form", f"{ITEM}.definition"),
        (at("Patient"), "extract-form", f"{ITEM}.definition"),
        ({"raw": {"definition": f"{PATIENT}#Person.name"}}, "extract-form", f"{ITEM}.definition"),
        (named(gives("Person.name.text", "1")), "extract-form", f"{ITEM}.extension[0]"),
        (named(gives("Patient.name.x", "1")), "extract-form", f"{ITEM}.extension[0]"),
        (named(gives("Patient", "1")), "extract-form", f"{ITEM}.extension[0]"),
        (named(gives("Patient.active", "1 +")), "extract-form", f"{ITEM}.extension[0]"),
        (named(gives("Patient.active", "cql: 1")), "extract-unsupported", f"{ITEM}.extension[0]"),
        (named(gives("Patient.active")), "extract-form", f"{ITEM}.extension[0]"),
        (named(gives("Patient.active", "1", valueCode="a")), "extract-form", f"{ITEM}.extension[0]"),
        (named(begins("Patient")), "extract-form", f"{ITEM}.extension[0]"),
        (named(begins("Patient2")), "extract-unsupported", f"{ITEM}.extension[0]"),
        (named(begins("Person", fullUrl="(")), "extract-form", f"{ITEM}.extension[0].extension[1]"),
        (named({"url": ext.DEFINITION_EXTRACT}), "extract-form", f"{ITEM}.extension[0]"),
        (named({"url": ext.ITEM_EXTRACTION_CONTEXT}), "extract-unsupported", f"{ITEM}.extension[0]"),
        (named(allocating("1x")), "extract-form", ITEM),
        (named(allocating("resource")), "extract-form", ITEM),
    ],
)  # fmt: skip
def test_a_form_that_asks_for_what_cannot_be_is_refused_whatever_was_answered(item, kind, place):
    of_form = form(group("Patient", {"id": "q", **item}))
    assert (kind, place) in refused(of_form, {})


def test_a_profile_is_refused_since_its_definition_is_not_at_hand():
    """SDC: what a profile fixes would have to be extracted too."""
    of_form = form(group("Patient", {"id": "q"}))
    for canonical in ("http://example.org/fhir/StructureDefinition/P", f"{PATIENT}|5.0.0"):
        of_form["item"][0]["extension"][0]["extension"][0]["valueCanonical"] = canonical
        assert refused(of_form, {}) == [("extract-unsupported", "Questionnaire.item[0].extension[0]")]
    of_form["item"][0]["extension"][0]["extension"][0]["valueCanonical"] = f"{PATIENT}|4.0.1"
    assert refused(of_form, {}) == []


def test_an_element_outside_of_its_resource_is_refused():
    """SDC: a definition names a resource that begins at the item or above it."""
    of_form = form({"id": "before", **at("Patient.name.text")}, group("Patient", {"id": "q"}))
    assert refused(of_form, {}) == [("extract-form", "Questionnaire.item[0].definition")]


def test_a_definition_that_nothing_begins_is_no_business_of_extraction():
    of_form = form({"id": "q", **at("Patient.name.text")})
    assert issues(answered(of_form, {"q": "A"})) == ["extract-nothing"]


@pytest.mark.parametrize(
    "items",
    [
        [{"id": "a", **at("Patient.name.given")}, {"id": "b", **at("Patient.name.family")}],
        [{"id": "a", **at("Patient.identifier.value")}, {"id": "b", **at("Patient.identifier.type.text")}],
    ],
)
def test_what_belongs_to_one_element_needs_a_group_that_says_so(items):
    """SDC: a group is needed to set several values in one element that repeats."""
    of_form = form(group("Patient", *items))
    assert refused(of_form, {}) == [("extract-form", "Questionnaire.item[0].item[1].definition")]
    held = {
        "id": "held",
        "items": items,
        **at(items[0]["raw"]["definition"].partition("#")[2].rpartition(".")[0]),
    }
    assert refused(form(group("Patient", held)), {}) == []


@pytest.mark.parametrize(
    ("item", "given", "place"),
    [
        ({"type": "boolean", **at("Patient.birthDate")}, True, ".item[0].answer[0]"),
        ({"type": "quantity", **at("Patient.name.text")}, "4 kg", ".item[0].answer[0]"),
        ({"type": "dateTime", **at("Patient.meta.lastUpdated")}, "2026", ".item[0].answer[0]"),
        ({"type": "integer", **at("Patient.telecom.rank")}, 0, ".item[0].answer[0]"),
        ({"repeats": True, **at("Patient.name.family")}, ["a", "b"], ".item[0].answer[1]"),
        ({"options": ["a"], **at("Patient.gender")}, "a", ".item[0].answer[0]"),
        ({"type": "reference", **at("Patient.generalPractitioner")}, "Patient/p", ""),
        ({**at("Patient.contact.name.text", gives("Patient.link.type", valueCode="seealso"))}, "x", ""),
    ],
)  # fmt: skip
def test_an_answer_that_an_element_cannot_hold_is_named_with_its_place(item, given, place):
    of_form = form(group("Patient", {"id": "q", **item}))
    assert refused(of_form, {"g": {"q": given}}) == [
        ("extract-form", f"QuestionnaireResponse.item[0]{place}")
    ]


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("%patient.name", "extract-expression"),
        ("%other", "extract-expression"),
        ("answer.value + 1", "extract-expression"),
        ("answer.value | 'b'", "extract-form"),
        ("1 > 0", "extract-form"),
    ],
)
def test_an_expression_that_gives_no_such_value_is_named_with_its_place(expression, kind):
    """SDC: neither launch contexts nor variables of the form are at hand in extraction."""
    item = {"id": "q", **named(gives("Patient.birthDate", expression))}
    of_form = form(group("Patient", item), variable={"other": "1"})
    assert refused(of_form, {"g": {"q": "a"}}) == [(kind, f"{ITEM}.extension[0]")]


def test_an_expression_without_result_leaves_its_element_out():
    item = {"id": "q", **named(gives("Patient.birthDate", "answer.value.where(false)"))}
    assert "birthDate" not in resources(form(group("Patient", item)), {"g": {"q": "a"}})[0]


def test_all_that_is_wrong_is_named_together():
    items = [{"id": "a", "type": "boolean", **at("Patient.birthDate")}, {"id": "b", **at("Patient.gender")}]
    of_form = form(group("Patient", *items, fullUrl="%none"))
    kinds = [kind for kind, _ in refused(of_form, {"g": {"a": True, "b": "x"}})]
    assert kinds == ["extract-form", "extract-form", "extract-expression"]


@pytest.mark.parametrize("url", ["'Patient/1'", "'a b'", "1", "'urn:uuid:1' | 'urn:uuid:2'"])
def test_a_url_that_no_entry_can_have_is_refused(url):
    of_form = form(group("Patient", {"id": "q", **at("Patient.name.text")}, fullUrl=url))
    assert {kind for kind, _ in refused(of_form, {"g": {"q": "a"}})} == {"extract-form"}


def test_two_entries_with_one_url_are_refused():
    """R4 bdl-7."""
    item = {"id": "q", "repeats": True, **at("Person.name.text", begins("Person", fullUrl="'urn:uuid:1'"))}
    assert refused(form(item), {"q": ["a", "b"]}) == [("extract-form", "Bundle.entry[1].fullUrl")]


def test_a_form_that_makes_too_much_is_given_up(monkeypatch):
    of_form = form(group("Patient", {"id": "q", "repeats": True, **at("Patient.name.given")}))
    monkeypatch.setattr(extracted_values, "MOST_MADE", 2)
    assert refused(of_form, {"g": {"q": ["a", "b"]}}) == []
    assert ("too-costly", "Questionnaire") in refused(of_form, {"g": {"q": ["a", "b", "c"]}})
    results = extracted_values.Results({}, None)  # type: ignore[arg-type] # nothing is evaluated
    assert [results.has_room(1) for _ in range(4)] == [True, True, False, False]
    assert len(results.problems) == 1


def test_a_form_with_definitions_is_extracted_in_a_child():
    """What the form makes of a response is bounded: it is done apart, and gives the same bytes."""
    body = ENCODE(response(COMPLEX, GIVEN, **HEAD))
    here = extractor(COMPLEX).extract_body(body)
    assert extractor(COMPLEX, sandbox=Sandbox()).extract_body(body) == here
    brought = parameters(questionnaire=COMPLEX, questionnaire_response=response(COMPLEX, GIVEN, **HEAD))
    assert extractor(sandbox=Sandbox()).extract_body(ENCODE(brought)) == here


def test_a_local_reference_of_the_response_leads_nowhere_else():
    contained = [{"resourceType": "Organization", "id": "o", "identifier": [{"value": "7"}]}]
    item = {"id": "q", "type": "reference", **at("Patient.managingOrganization")}
    of_form = form(group("Patient", item))
    (found,) = resources(of_form, {"g": {"q": "#o"}}, contained=contained)
    assert found["managingOrganization"] == {"type": "Organization", "identifier": {"value": "7"}}


def test_no_answer_stands_in_what_is_said_of_it():
    of_form = form(group("Patient", {"id": "q", **at("Patient.gender")}))
    with pytest.raises(NotScorable) as error:
        answered(of_form, {"g": {"q": "canary"}})
    assert "canary" not in str(error.value)
