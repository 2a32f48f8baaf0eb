"""A folder of terminology: what is read of it, and how its faults are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.datatypes.answers import Coding
from service.errors import GuidanceError
from service.terminology import resources_in, value_sets_from

SYSTEM = {"resourceType": "CodeSystem", "url": "http://s", "content": "complete", "concept": [{"code": "a"}]}
SET = {"resourceType": "ValueSet", "url": "http://v", "compose": {"include": [{"system": "http://s"}]}}


def written(folder: Path, **files: Any) -> Path:
    for name, content in files.items():
        path = folder / f"{name.replace('_', '/')}.json"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_resources_and_bundles_are_read_at_any_depth(tmp_path: Path) -> None:
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": SET}, {"resource": {"resourceType": "Patient"}}, {"id": "x"}],
    }
    found = value_sets_from(resources_in(written(tmp_path, system=SYSTEM, deep_bundle=bundle)))
    assert found.membership("http://v", Coding("http://s", "a")).is_member is True
    assert found.membership("http://v", Coding("http://s", "b")).is_member is False


def test_what_is_at_hand_here_comes_before_what_r4_has(tmp_path: Path) -> None:
    url = "http://hl7.org/fhir/ValueSet/administrative-gender"
    found = value_sets_from(resources_in(written(tmp_path, own=SET | {"url": url}, system=SYSTEM)))
    assert found.membership(url, Coding("http://s", "b")).is_member is False
    male = Coding("http://hl7.org/fhir/administrative-gender", "male")
    assert found.membership(url, male).is_member is False
    assert found.membership(f"{url}|4.0.1", male).is_member is True


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "The body is not JSON"),
        ("[]", "object"),
        ({"resourceType": "Patient"}, "expected a CodeSystem, a ValueSet or a Bundle"),
        ({"resourceType": "ValueSet"}, "expected a url in each ValueSet"),
        (
            {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "CodeSystem"}}]},
            "a url in each CodeSystem",
        ),
    ],
    ids=str,
)
def test_a_fault_names_its_file(tmp_path: Path, content: Any, fault: str) -> None:
    with pytest.raises(GuidanceError) as error:
        resources_in(written(tmp_path, right=SYSTEM, deep_wrong=content))
    (line,) = error.value.faults
    assert line.startswith("deep/wrong.json: ")
    assert fault in line


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(GuidanceError) as error:
        resources_in(written(tmp_path, one="{", two="["))
    assert [line.partition(":")[0] for line in error.value.faults] == ["one.json", "two.json"]


def test_a_folder_without_terminology_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(GuidanceError, match="no terminology found"):
        resources_in(tmp_path)
