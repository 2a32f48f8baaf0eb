"""Every resource that the project publishes or shows is right R4, as the union of validators judges."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("questionnaires", "service/fhir/definitions", "tests/second_pair/questionnaires", "samples")
FILES = [
    str(path.relative_to(ROOT))
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.json"))
    if path.parent.name != "cds-hooks"  # calls of CDS Hooks are no resources
]


@pytest.mark.parametrize("file", FILES)
def test_a_published_resource_has_no_problem(union, file):
    resource = json.loads((ROOT / file).read_bytes(), parse_float=Decimal)
    assert union([resource]) == [[]]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_that_is_judged_holds_resources(folder):
    assert any(file.startswith(f"{folder}/") for file in FILES)
