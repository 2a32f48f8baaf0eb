"""Observation-based extraction of SDC 4.0: what becomes an Observation, and what it says."""

from decimal import Decimal

import pytest
from extract_requests import (
    HEAD,
    LOINC,
    answered,
    asking,
    category,
    code,
    coded,
    extractor,
    issues,
    observations,
    parameters,
    part,
    refused,
)
from small_forms import ENCODE, SYSTEM, UCUM, form, response

from service.errors import Malformed, NotScorable
from service.fhir import extensions as ext
from service.fhir.json import decoded
from service.fhir.resource_models import faults_in
from service.fhir.structure import check_structure

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
WEIGHT = coded("weight", asking(), type="decimal")


def codes_of(found):
    return [[coding["code"] for coding in each["code"]["coding"]] for each in found]


def test_an_answer_becomes_an_observation_with_what_the_response_says():
    """SDC extraction.html: what each element of a new Observation is set to."""
    (found,) = observations(
        form(WEIGHT), {"weight": Decimal("81.50")}, encounter={"reference": "Encounter/e1"}
    )
    assert found == {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "weight"}]},
        "subject": {"reference": "Patient/p1"},
        "encounter": {"reference": "Encounter/e1"},
        "effectiveDateTime": HEAD["authored"],
        "issued": HEAD["authored"],
        "performer": [{"reference": "Practitioner/d1"}],
        "valueQuantity": {"value": 81.5},
        "derivedFrom": [{"reference": "QuestionnaireResponse/r1"}],
    }


def test_what_is_made_of_a_response_has_its_security_labels():
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    (found,) = observations(form(WEIGHT), {"weight": Decimal(80)}, meta={"security": [label, label]})
    assert found["meta"] == {"security": [label]}


def test_the_bundle_is_a_transaction_of_creates_and_the_same_for_the_same_response():
    of_form = form(WEIGHT, coded("height", asking(), type="decimal"))
    given = {"weight": Decimal(80), "height": Decimal(180)}
    bundle = part(answered(of_form, given), "return")
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "transaction")
    assert [entry["request"] for entry in bundle["entry"]] == [{"method": "POST", "url": "Observation"}] * 2
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(urls)) == len(urls)
    assert all(url.startswith("urn:uuid:") for url in urls)
    assert part(answered(of_form, given), "return") == bundle
    corrected = part(answered(of_form, given | {"weight": Decimal(81)}, status="amended"), "return")
    assert [entry["fullUrl"] for entry in corrected["entry"]] == urls
    other = part(answered(of_form, given, id="r2"), "return")
    assert not {entry["fullUrl"] for entry in other["entry"]} & set(urls)


def test_a_response_without_any_name_still_names_its_observations():
    head = {"id": None, "subject": None}
    found = answered(form(WEIGHT), {"weight": Decimal(80)}, **head)
    (entry,) = part(found, "return")["entry"]
    assert "derivedFrom" not in entry["resource"]
    assert issues(found) == ["extract-left-out"]
    (again,) = part(answered(form(WEIGHT), {"weight": Decimal(81)}, **head), "return")["entry"]
    assert again["fullUrl"] != entry["fullUrl"]


def test_a_response_without_id_is_named_by_its_identifier():
    identifier = {"system": "urn:numbers", "value": "7"}
    (found,) = observations(form(WEIGHT), {"weight": Decimal(80)}, id=None, identifier=identifier)
    assert found["derivedFrom"] == [{"type": "QuestionnaireResponse", "identifier": identifier}]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"weight": []},
        {
            "weight": {
                "_valueDecimal": {
                    "extension": [{"url": ext.DATA_ABSENT_REASON, "valueCode": "asked-declined"}]
                }
            }
        },
    ],
)
def test_without_an_answer_there_is_no_observation_and_a_warning_says_so(given):
    """SDC: where there was nothing to extract, an OperationOutcome of success with a warning."""
    found = answered(form(WEIGHT), given)
    assert part(found, "return") == {}
    assert issues(found)[-1] == "extract-nothing"
    assert part(found, "issues")["issue"][-1]["severity"] == "warning"


def test_each_answer_of_a_question_is_an_observation_of_its_own():
    of_form = form(coded("q", asking(), options=["a", "b", "c"], repeats=True))
    found = observations(of_form, {"q": ["a", "c"]})
    values = [each["valueCodeableConcept"] for each in found]
    assert values == [{"coding": [{"system": SYSTEM, "code": one}]} for one in ("a", "c")]


@pytest.mark.parametrize(
    ("item", "given", "value"),
    [
        ({"type": "boolean"}, False, {"valueBoolean": False}),
        ({"type": "integer"}, 0, {"valueInteger": 0}),
        ({"type": "decimal"}, Decimal("0.5"), {"valueQuantity": {"value": 0.5}}),
        ({"type": "date"}, "2026-11", {"valueDateTime": "2026-11"}),
        ({"type": "dateTime"}, "2026-11-29T10:00:00Z", {"valueDateTime": "2026-11-29T10:00:00Z"}),
        ({"type": "time"}, "10:30:00", {"valueTime": "10:30:00"}),
        ({"type": "text"}, "words", {"valueString": "words"}),
        ({"type": "url"}, "urn:a:b", {"valueString": "urn:a:b"}),
        ({"type": "quantity"}, "4.1 kg", {"valueQuantity": {"value": 4.1, "system": UCUM, "code": "kg"}}),
        (
            {"type": "quantity"},
            {"valueQuantity": {"value": 4, "comparator": "<", "unit": "kg"}},
            {"valueQuantity": {"value": 4, "comparator": "<", "unit": "kg"}},
        ),
        ({"type": "open-choice", "options": ["a"]}, "own: else", {"valueString": "else"}),
    ],
)
def test_a_value_stands_where_an_observation_has_room_for_its_type(item, given, value):
    (found,) = observations(form(coded("q", asking(), **item)), {"q": given})
    assert {name: each for name, each in found.items() if name.startswith("value")} == value


def test_each_repetition_of_a_group_names_its_observations_differently():
    group = {"id": "g", "repeats": True, "items": [coded("q", asking(), type="integer")]}
    bundle = part(answered(form(group), {"g": [{"q": 1}, {"q": 2}]}), "return")
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(urls)) == len(urls) == 2


@pytest.mark.parametrize(("type_", "given"), [("integer", 80), ("decimal", Decimal(80))])
def test_a_number_takes_the_unit_of_its_item(type_, given):
    """SDC: with the extension questionnaire-unit the value SHOULD be a Quantity in that unit."""
    unit = {"url": ext.UNIT, "valueCoding": {"system": UCUM, "code": "kg", "display": "kilograms"}}
    (found,) = observations(form(coded("q", asking(), unit, type=type_)), {"q": given})
    assert found["valueQuantity"] == {"value": 80, "unit": "kilograms", "system": UCUM, "code": "kg"}


def test_the_extension_is_inherited_until_it_says_no():
    """SDC: without a value of its own an element has that of its nearest ancestor."""
    inner = [
        coded("on", type="integer"),
        coded("off", asking(False), type="integer"),
        {"id": "uncoded", "type": "integer"},
        {"id": "out", "items": [coded("deep", type="integer")], "raw": {"extension": [asking(False)]}},
    ]
    of_form = form({"id": "group", "items": inner}, extension=[asking()])
    found = observations(of_form, {"group": {"on": 1, "off": 2, "uncoded": 3, "out": {"deep": 4}}})
    assert codes_of(found) == [["on"]]


def test_marked_codes_go_alone_and_without_the_item():
    """SDC: where codes are tagged, siblings without the extension count as false."""
    codes = [code("a", asking()), code("b"), code("c", asking())]
    assert codes_of(observations(form(coded("q", codes=codes, type="integer")), {"q": 1})) == [["a", "c"]]
    all_but = [code("a"), code("b", asking(False))]
    of_form = form(coded("q", asking(), codes=all_but, type="integer"))
    assert codes_of(observations(of_form, {"q": 1})) == [["a"]]


def test_the_total_of_an_instrument_is_extracted_under_its_marked_code_and_category():
    """After the SDC example cqf-PHQ9: the total alone, under the one code that is marked, as a survey."""
    items = [
        {"id": "first", "type": "integer"},
        coded("total", category("survey"), codes=[code("44261-6", asking()), code("x")], type="integer"),
    ]
    (found,) = observations(form(*items), {"first": 2, "total": 9})
    assert codes_of([found]) == [["44261-6"]]
    assert found["valueInteger"] == 9
    assert [each["coding"][0]["code"] for each in found["category"]] == ["survey"]


def test_the_nearest_category_goes_before_all_others():
    inner = [
        coded("own", category("exam"), category("vital-signs"), type="integer"),
        coded("of-group", type="integer"),
        coded("of-code", category("exam"), codes=[code("x", asking(), category("imaging"))], type="integer"),
    ]
    group = {"id": "group", "items": inner, "raw": {"extension": [category("activity")]}}
    root = [asking(), category("survey")]
    found = observations(
        form(coded("top", type="integer"), group, extension=root),
        {"top": 0, "group": {"own": 1, "of-group": 2, "of-code": 3}},
    )
    said = [[each["coding"][0]["code"] for each in one["category"]] for one in found]
    assert said == [["survey"], ["exam", "vital-signs"], ["activity"], ["imaging"]]


PRESSURE = coded(
    "pressure",
    asking(),
    items=[
        coded("systolic", asking("component"), type="integer"),
        coded("diastolic", asking("component"), type="integer"),
    ],
)


def test_components_stand_in_the_observation_of_their_group():
    (found,) = observations(form(PRESSURE), {"pressure": {"systolic": 120, "diastolic": 80}})
    assert codes_of([found]) == [["pressure"]]
    assert [(codes_of([each]), each["valueInteger"]) for each in found["component"]] == [
        ([["systolic"]], 120),
        ([["diastolic"]], 80),
    ]
    assert not [name for name in found if name.startswith("value")]
    (half,) = observations(form(PRESSURE), {"pressure": {"diastolic": 80}})
    assert codes_of(half["component"]) == [["diastolic"]]
    assert observations(form(PRESSURE), {"pressure": {}}) == []


def panel(relation):
    inner = {"id": "between", "items": [coded("a", asking(relation), type="integer")]}
    return form(coded("panel", asking(), items=[inner, coded("b", asking(relation), type="integer")]))


def test_members_are_named_by_the_observation_of_the_item_above():
    """The nearest item above that is extracted, through a group that is not."""
    bundle = part(answered(panel("member"), {"panel": {"between": {"a": 1}, "b": 2}}), "return")
    first, *members = bundle["entry"]
    assert codes_of(entry["resource"] for entry in bundle["entry"]) == [["panel"], ["a"], ["b"]]
    assert first["resource"]["hasMember"] == [{"reference": entry["fullUrl"]} for entry in members]
    assert observations(panel("member"), {"panel": {}}) == []


def test_what_is_derived_names_what_it_is_derived_from():
    of_form = form(
        coded("a", asking(), type="integer", items=[coded("b", asking("derived"), type="integer")])
    )
    bundle = part(answered(of_form, {"a": {"is": 1, "items": {"b": 2}}}), "return")
    first, second = bundle["entry"]
    own = [{"reference": "QuestionnaireResponse/r1"}]
    assert first["resource"]["derivedFrom"] == own
    assert second["resource"]["derivedFrom"] == [*own, {"reference": first["fullUrl"]}]


def test_what_it_is_derived_from_may_have_nothing_to_say():
    found = answered(panel("derived"), {"panel": {"b": 2}})
    (only,) = part(found, "return")["entry"]
    assert only["resource"]["derivedFrom"] == [{"reference": "QuestionnaireResponse/r1"}]
    assert issues(found) == ["extract-left-out"]


def test_items_inside_an_answer_belong_to_that_answer():
    inner = [coded("b", asking("component"), type="integer")]
    of_form = form(coded("a", asking(), type="integer", repeats=True, items=inner))
    found = observations(of_form, {"a": [{"is": 1, "items": {"b": 10}}, {"is": 2, "items": {"b": 20}}]})
    assert [(each["valueInteger"], each["component"][0]["valueInteger"]) for each in found] == [
        (1, 10),
        (2, 20),
    ]


def test_independent_is_related_to_nothing():
    found = observations(panel("independent"), {"panel": {"b": 2}})
    assert codes_of(found) == [["b"]]
    assert not {"hasMember", "component"} & found[0].keys()


def test_what_an_observation_cannot_repeat_is_left_out_and_named():
    head = {
        "basedOn": [{"reference": "ServiceRequest/s1"}],
        "partOf": [{"reference": "Observation/o1"}, {"reference": "Procedure/p1"}],
        "author": {"reference": "Device/d1"},
    }
    found = answered(form(WEIGHT), {"weight": Decimal(80)}, **head)
    (entry,) = part(found, "return")["entry"]
    observation = entry["resource"]
    assert observation["basedOn"] == head["basedOn"]
    assert observation["partOf"] == [{"reference": "Procedure/p1"}]
    assert "performer" not in observation
    listed = part(found, "issues")["issue"]
    named = [
        issue["expression"][0]
        for issue in listed
        if issue["details"]["coding"][0]["code"] == "extract-left-out"
    ]
    assert named == ["QuestionnaireResponse.partOf[0]", "QuestionnaireResponse.author"]


def test_a_date_without_time_is_no_instant():
    """R4: issued is an instant, effective may be a date."""
    (found,) = observations(form(WEIGHT), {"weight": Decimal(80)}, authored="2026-11-29")
    assert found["effectiveDateTime"] == "2026-11-29"
    assert "issued" not in found


def test_a_contained_subject_stands_in_each_observation():
    contained = [{"resourceType": "Patient", "id": "who", "gender": "female"}]
    (found,) = observations(
        form(WEIGHT), {"weight": Decimal(80)}, subject={"reference": "#who"}, contained=contained
    )
    assert found["subject"] == {"reference": "#subject"}
    assert found["contained"] == [{"resourceType": "Patient", "id": "subject", "gender": "female"}]


def everything():
    """Every relation, category and kind of value at once."""
    items = [
        coded("c", category("survey"), options=["a", "b"]),
        coded("t", type="text"),
        PRESSURE,
        coded("panel", asking(), items=[coded("m", asking("member"), type="decimal")]),
    ]
    given = {"c": "a", "t": "x", "pressure": {"systolic": 1}, "panel": {"m": Decimal("1.10")}}
    return form(*items, extension=[asking()]), given


def test_every_observation_is_one_of_r4():
    found = observations(*everything())
    assert len(found) == 5
    for each in found:
        assert check_structure(decoded(ENCODE(each)), "Observation", "Observation") == ()
        assert faults_in(each) == ()


def test_numbers_keep_their_digits():
    of_form, given = everything()
    body = extractor(of_form).extract_body(ENCODE(response(of_form, given, **HEAD)))
    assert b'"value":1.10' in body


# What is refused.


@pytest.mark.parametrize("status", ["in-progress", "stopped", "entered-in-error"])
def test_only_a_finished_response_is_extracted(status):
    """SDC: the operation takes a completed response."""
    problems = refused(form(WEIGHT), {"weight": Decimal(80)}, status=status)
    assert problems == [("extract-status", "QuestionnaireResponse.status")]


def test_a_response_that_is_not_valid_is_refused_with_every_fault():
    of_form = form(WEIGHT, {"id": "a", "type": "integer", "required": True}, {"id": "b", "required": True})
    kinds = [kind for kind, _ in refused(of_form, {"weight": Decimal(80)})]
    assert kinds == ["required", "required"]


NOT_SUPPORTED = [url.removeprefix(SDC) for url in ext.EXTRACTION_NOT_SUPPORTED]


@pytest.mark.parametrize("name", NOT_SUPPORTED)
@pytest.mark.parametrize("place", ["root", "item"])
def test_another_way_of_extraction_is_refused_by_name_wherever_it_stands(name, place):
    """Never left out in silence, whether or not the item is answered."""
    asked = {"url": SDC + name, "valueBoolean": True}
    item = {"id": "q", "type": "integer", "raw": {"extension": [asked]} if place == "item" else {}}
    root = {"extension": [asked]} if place == "root" else {}
    group = {"id": "g", "items": [WEIGHT, item]}
    with pytest.raises(NotScorable) as error:
        answered(form(group, **root), {"g": {"weight": Decimal(80)}})
    (problem,) = error.value.problems
    assert problem.kind == "extract-unsupported"
    assert name.rpartition("-")[2] in problem.text
    assert problem.expression == ("Questionnaire" if place == "root" else "Questionnaire.item[0].item[1]")


def test_answers_about_somebody_else_are_refused():
    of_form = form(WEIGHT)
    for url in ext.IS_SUBJECT:
        sent = response(of_form, {"weight": Decimal(80)}, **HEAD)
        sent["item"][0]["extension"] = [{"url": url, "valueBoolean": True}]
        with pytest.raises(NotScorable) as error:
            extractor(of_form).extract_body(ENCODE(sent))
        assert error.value.problems[0].kind == "extract-unsupported"
    subject = {"reference": "Practitioner/x"}
    assert refused(of_form, {"weight": Decimal(80)}, subject=subject) == [
        ("extract-unsupported", "QuestionnaireResponse.subject")
    ]


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        (coded("q", asking(), type="attachment"), "extract-unsupported"),
        (coded("q", asking(), type="reference"), "extract-unsupported"),
        (coded("q", asking(), type="display"), "extract-form"),
        (coded("q", asking("member"), type="integer"), "extract-form"),
        (coded("q", asking("sibling"), type="integer"), "extract-form"),
        (coded("q", asking(), asking(), type="integer"), "extract-form"),
        (coded("q", {"url": ext.OBSERVATION_EXTRACT, "valueString": "true"}, type="integer"), "extract-form"),
        (coded("q", asking(), codes=[], type="integer"), "extract-form"),
        (coded("q", asking(), codes=[code("a", asking("member"))], type="integer"), "extract-form"),
        (
            coded(
                "p",
                asking(),
                items=[coded("q", codes=[code("a", asking("member")), code("b", asking("derived"))])],
            ),
            "extract-form",
        ),
        (coded("p", asking(), items=[coded("q", asking("component"), items=[WEIGHT])]), "extract-form"),
        (
            coded("p", asking(), items=[coded("q", asking("component"), items=[coded("r", type="integer")])]),
            "extract-form",
        ),
    ],
)
def test_a_form_that_asks_for_what_cannot_be_is_refused_whatever_was_answered(item, kind):
    """SDC: sdc-obsn-1, no mixture of boolean and code within an item; a relation needs what it relates to."""
    problems = refused(form(item), {})
    assert {found for found, _ in problems} == {kind}
    assert all(place.startswith("Questionnaire.item[0]") for _, place in problems)


def test_an_answer_that_an_observation_has_no_value_for_is_refused():
    options = [{"valueReference": {"reference": "Patient/p1"}}]
    of_form = form(coded("q", asking(), type="choice", options=options))
    problems = refused(of_form, {"q": {"valueReference": {"reference": "Patient/p1"}}})
    assert problems == [("extract-unsupported", "QuestionnaireResponse.item[0].answer[0]")]


def test_a_code_of_a_form_that_is_none_of_r4_makes_no_observation():
    of_form = form(coded("q", asking(), codes=[{"system": 7, "code": "a"}], type="integer"))
    assert refused(of_form, {"q": 1}) == [("extract-form", "QuestionnaireResponse.item[0].answer[0]")]


# What is sent.


def test_the_questionnaire_may_be_sent_contained_or_known():
    of_form = form(WEIGHT)
    sent = response(of_form, {"weight": Decimal(80)}, **HEAD)
    known = extractor(of_form).extract_body(ENCODE(sent))
    for body in (
        parameters(questionnaire_response=sent),
        parameters(questionnaire_response=sent, questionnaire=of_form),
    ):
        assert extractor(of_form).extract_body(ENCODE(body)) == known
    brought = parameters(questionnaire=of_form, questionnaire_response=sent)
    assert extractor().extract_body(ENCODE(brought)) == known
    inside = sent | {"questionnaire": "#f", "contained": [of_form | {"id": "f"}]}
    assert b"Observation" in extractor().extract_body(ENCODE(inside))


def test_a_stored_response_is_taken_with_or_without_its_questionnaire():
    of_form = form(WEIGHT)
    stored = ENCODE(response(of_form, {"weight": Decimal(80)}, **HEAD))
    known = extractor(of_form).extract_body(stored)
    assert extractor(of_form).extract_body(b"", stored) == known
    assert extractor().extract_body(ENCODE(parameters(questionnaire=of_form)), stored) == known


@pytest.mark.parametrize("change", [{"url": "urn:other"}, {"version": "2"}, {"url": None}])
def test_another_questionnaire_than_the_response_names_is_refused(change):
    """SDC: it SHALL have the same url and, if it is named, version."""
    of_form = {key: value for key, value in (form(WEIGHT) | change).items() if value is not None}
    sent = response(form(WEIGHT), {"weight": Decimal(80)}, **HEAD)
    body = ENCODE(parameters(questionnaire_response=sent, questionnaire=of_form))
    with pytest.raises(NotScorable) as error:
        extractor().extract_body(body)
    assert error.value.problems[0].kind == "canonical-mismatch"


def test_an_unknown_questionnaire_is_refused():
    sent = response(form(WEIGHT), {"weight": Decimal(80)}, **HEAD)
    with pytest.raises(NotScorable) as error:
        extractor().extract_body(ENCODE(sent))
    assert error.value.problems[0].kind == "canonical-unknown"


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Patient"},
        {"resourceType": "Parameters"},
        parameters(questionnaire=form(WEIGHT)),
        parameters(questionnaire_response=form(WEIGHT)),
        parameters(questionnaire_response=response(form(WEIGHT), {}), data={"resourceType": "Bundle"}),
        {"resourceType": "Parameters", "parameter": [{"name": "questionnaire-response", "valueString": "x"}]},
        {
            "resourceType": "Parameters",
            "parameter": [{"name": "questionnaire-response", "resource": response(form(WEIGHT), {})}] * 2,
        },
    ],
)
def test_wrong_parameters_are_malformed(body):
    with pytest.raises(Malformed):
        extractor(form(WEIGHT)).extract_body(ENCODE(body))


def test_a_stored_response_takes_no_other_response():
    stored = ENCODE(response(form(WEIGHT), {}, **HEAD))
    body = ENCODE(parameters(questionnaire_response=response(form(WEIGHT), {})))
    with pytest.raises(Malformed):
        extractor(form(WEIGHT)).extract_body(body, stored)


def test_a_response_that_is_none_of_r4_is_malformed():
    sent = response(form(WEIGHT), {"weight": Decimal(80)}, authored="yesterday")
    with pytest.raises(Malformed):
        extractor(form(WEIGHT)).extract_body(ENCODE(sent))
