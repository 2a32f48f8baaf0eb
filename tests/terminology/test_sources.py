"""R4's own terminology: the one file that it ships in, what is in it, and what is read of it."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from importlib.resources import files
from zipfile import ZipFile

import pytest

from service.datatypes.answers import Coding
from service.terminology.sources import r4_resource
from service.terminology.value_sets import ValueSets

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
