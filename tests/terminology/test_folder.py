"""A folder of terminology: what is read of it, and how its faults are told."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from service.datatypes.answers import Coding
from service.errors import GuidanceError
from service.terminology import resources_in, value_sets_from
from service.terminology.sources import r4_resource
from service.terminology.value_sets import ValueSets

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


# R4's own code systems and value sets.


FOLDER = files("service.terminology")
SHA256 = "ac7703695b21d1dbd0bd5ea1fc649473dfa51f1c457ef10213b61a87aeda6061"
OTHER_OWNERS = ("http://snomed.info/sct", "http://loinc.org", "http://dicom.nema.org/resources/ontology/DCM")


def everything() -> list[dict[str, object]]:
    with ZipFile(str(FOLDER.joinpath("r4.zip"))) as archive:
        blocks = [name for name in archive.namelist() if name.endswith(".ndjson")]
        return [json.loads(line) for name in blocks for line in archive.read(name).splitlines()]


def test_the_file_is_the_one_that_was_made() -> None:
    data = FOLDER.joinpath("r4.zip").read_bytes()
    assert sha256(data).hexdigest() == SHA256
    assert len(data) < 400_000


def test_the_licence_stands_beside_the_file() -> None:
    notice = FOLDER.joinpath("r4.NOTICE").read_text("utf-8")
    assert "CC0" in notice
    assert "SNOMED CT" in notice


def test_every_resource_is_found_by_its_url() -> None:
    found = everything()
    assert len(found) == 2375
    for resource in found:
        assert r4_resource(str(resource["url"])) == resource


def test_every_value_set_can_be_put_together() -> None:
    known = ValueSets()
    sets = [resource for resource in everything() if resource["resourceType"] == "ValueSet"]
    settled = [known.codes(str(resource["url"])).doubt is None for resource in sets]
    assert (len(settled), sum(settled)) == (1316, 1140)


def test_words_of_other_owners_are_left_out() -> None:
    for resource in everything():
        composed = dict(resource.get("compose", {}))  # type: ignore[call-overload]
        for include in composed.get("include", ()):
            if include.get("system") in OTHER_OWNERS:
                assert not [one for one in include.get("concept", ()) if "display" in one]
        assert resource["url"] not in OTHER_OWNERS or "concept" not in resource


@pytest.mark.parametrize("version", ["", "|4.0.1", "|2018-08-12"])
def test_a_resource_is_found_by_the_version_of_r4_and_by_its_own(version: str) -> None:
    assert r4_resource(f"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus{version}") is not None
    assert r4_resource("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus|3.0.0") is None


@pytest.mark.slow
def test_one_value_set_reads_one_block_and_the_start_none() -> None:
    code = (
        "import service.app; from service.terminology import sources as r4, ValueSets;"
        "print(r4._index.cache_info().currsize, r4._block.cache_info().misses);"
        "ValueSets().codes('http://hl7.org/fhir/ValueSet/iso3166-1-2');"
        "print(r4._index.cache_info().currsize, r4._block.cache_info().misses)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0", "1", "1"]


def test_codes_of_other_owners_are_members_without_a_name() -> None:
    url = "http://hl7.org/fhir/ValueSet/c80-doc-typecodes"
    assert ValueSets().membership(url, Coding("http://loinc.org", "34133-9")).is_member is True
    assert r4_resource("http://loinc.org") is None
