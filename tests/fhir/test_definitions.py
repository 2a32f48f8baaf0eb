"""What the service publishes about itself: complete, in order, and true of what it writes."""

import json
from itertools import product
from typing import Any

import pytest

from service.fhir import definitions
from service.fhir.definitions import FOLDER, artifact, own_definitions
from service.fhir.resource_models import faults_in
from service.results import DETAILS, FULL

EXTENSIONS = {
    value
    for name, value in vars(definitions).items()
    if name.isupper() and "/StructureDefinition/" in str(value)
}
DEFINED = {published.url: published for published in own_definitions()}


def slices(url: str) -> dict[str, dict[str, Any]]:
    """Names of the parts of an extension, with cardinality and type; a dotted name is a part of a part."""
    found: dict[str, dict[str, Any]] = {}
    for element in DEFINED[url].resource["differential"]["element"]:
        name = ".".join(part.partition(":")[2] for part in element["id"].split(".") if ":" in part)
        if "sliceName" in element:
            found[name] = {"min": element["min"], "max": element["max"], "type": None}
        elif element["id"].endswith("value[x]") and "type" in element:
            found.setdefault(name, {})["type"] = element["type"][0]["code"]
    return found


def used(extension: dict[str, Any], prefix: str = "") -> list[tuple[str, str | None]]:
    found = []
    for part in extension.get("extension", ()):
        name = f"{prefix}{part['url']}"
        kinds = [key.removeprefix("value") for key in part if key.startswith("value")]
        found.append((name, kinds[0] if kinds else None))
        found += used(part, f"{name}.")
    return found


def test_every_extension_that_is_written_is_defined_and_no_other():
    assert {url for url in DEFINED if "/StructureDefinition/" in url} == EXTENSIONS


def test_every_file_is_named_for_its_resource():
    for published in own_definitions():
        assert (FOLDER / f"{published.type}-{published.id}.json").is_file()
        assert published.url == f"{definitions.BASE}/{published.type}/{published.id}"
        assert published.resource["status"] == "active"


def test_every_extension_is_written_as_it_is_defined(
    renderer, make_assessment, make_result, unsettled, troubled
):
    seen: set[str] = set()
    for result in (make_result(), unsettled, troubled):
        risk = json.loads(renderer.document(make_assessment(result), FULL))
        placed = [("RiskAssessment", each) for each in risk["extension"]]
        placed += [("RiskAssessment.method", each) for each in risk["method"]["extension"]]
        placed += [
            ("RiskAssessment.prediction", each) for one in risk["prediction"][1:] for each in one["extension"]
        ]
        for context, extension in placed:
            seen.add(extension["url"])
            definition = DEFINED[extension["url"]].resource
            assert context in {each["expression"] for each in definition["context"]}
            check_parts(extension)
    assert seen == EXTENSIONS - {definitions.ANSWER_ORIGIN}, "a response has that one"


def check_parts(extension: dict[str, Any]) -> None:
    defined = slices(extension["url"])
    parts = used(extension)
    if not parts:
        (value,) = [key.removeprefix("value") for key in extension if key.startswith("value")]
        kind = defined[""]["type"]
        assert value == kind[0].upper() + kind[1:]
    for name, kind in parts:
        stated = defined[name]["type"]
        assert kind == (None if stated is None else stated[0].upper() + stated[1:]), name
    names = [name for name, _ in parts if "." not in name]
    for name, each in defined.items():
        if "." not in name and name:
            assert names.count(name) >= each["min"], name
            assert each["max"] == "*" or names.count(name) <= int(each["max"]), name


def test_the_operation_has_the_parameters_that_are_read():
    operation = DEFINED[f"{definitions.BASE}/OperationDefinition/QuestionnaireResponse-assess"].resource
    stated = {each["name"]: (each["use"], each["min"], each["max"]) for each in operation["parameter"]}
    assert stated == {
        "questionnaire-response": ("in", 0, "1"),
        "data": ("in", 0, "*"),
        "earlier": ("in", 0, "*"),
        "_detail": ("in", 0, "1"),
        "_earlier": ("in", 0, "1"),
        "return": ("out", 1, "1"),
    }
    assert (operation["code"], operation["affectsState"], operation["type"]) == ("assess", False, True)


def test_a_second_opinion_finds_no_fault_in_a_definition_or_a_result(
    renderer, make_assessment, make_result, troubled
):
    for published in own_definitions():
        assert faults_in(published.resource) == ()
    for result, detail in product((make_result(), troubled), DETAILS):
        assert faults_in(json.loads(renderer.document(make_assessment(result), detail))) == ()


def test_the_second_opinion_names_element_and_fault():
    (line,) = faults_in({"resourceType": "Bundle", "type": "collection", "entry": [{"link": [{"url": "x"}]}]})
    assert line.startswith("Bundle.entry[0].link[0].relation: ")
    assert faults_in({"resourceType": "Nothing"}) == ("resourceType: expected a resource of R4, not Nothing",)


def test_rd02_the_tag_of_an_artifact_is_its_version_id_and_changes_with_its_content():
    resource = {"resourceType": "CodeSystem", "id": "x", "url": "urn:x", "version": "1", "date": "2026-01-05"}
    one, same, other = artifact(resource), artifact(dict(resource)), artifact({**resource, "version": "2"})
    assert one.etag == same.etag == f'W/"{one.resource["meta"]["versionId"]}"'
    assert one.etag != other.etag
    assert one.resource["meta"]["lastUpdated"] == "2026-01-05T00:00:00Z"
    assert (one.type, one.id, one.url, one.version) == ("CodeSystem", "x", "urn:x", "1")
    assert list(json.loads(one.body)) == ["resourceType", "id", "meta", "url", "version", "date"]


@pytest.mark.parametrize("date", ["2026-01", "2026-01-05T10:00:00Z"])
def test_an_artifact_invents_no_date_and_keeps_its_meta(date):
    made = artifact({"resourceType": "Basic", "date": date, "meta": {"profile": ["urn:p"]}})
    assert made.resource["meta"].keys() == {"profile", "versionId"}
    assert (made.id, made.url, made.version) == ("", "", "")
