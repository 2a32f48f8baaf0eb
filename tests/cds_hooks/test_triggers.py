"""What `cds.yaml` may say, and what it may not."""

from pathlib import Path

import pytest

from service import catalogue
from service.cds_hooks import all_triggers, read_triggers, services_of
from service.cds_hooks.triggers import is_snomed_id
from service.datatypes.answers import Coding
from service.errors import GuidanceError
from service.fhir.definitions import AS_WRITTEN

ROOT = Path(__file__).resolve().parents[2]
CODE = '{system: http://snomed.info/sct, code: "82470000"}'


@pytest.fixture
def read(tmp_path, served):
    (pair,) = served.pairs.values()

    def from_text(text: str | None):
        if text is not None:
            (tmp_path / "cds.yaml").write_text(text)
        return read_triggers(tmp_path, pair, AS_WRITTEN)

    return from_text


def test_without_a_file_the_codes_of_the_questionnaire_are_the_triggers(read):
    found = read(None)
    about = (Coding("http://snomed.info/sct", "82470000"),)
    assert (found.conditions, found.observations, found.reasons) == (about, (), about)


def test_file_changes_no_hash(tmp_path, served):
    (pair,) = served.pairs.values()
    (copied := tmp_path / pair.slug).mkdir()
    for path in (ROOT / "mappings" / pair.slug).glob("*.yaml"):
        if path.name != "cds.yaml":
            (copied / path.name).write_bytes(path.read_bytes())
    assert not (copied / "cds.yaml").exists()
    without = catalogue.read(ROOT / "questionnaires", tmp_path).pairs[pair.compiled.canonical]
    assert without.guidance.written.identity.hash == pair.guidance.written.identity.hash


def test_every_guidance_in_use_has_two_services(served):
    services = services_of(served, all_triggers(ROOT / "mappings", served))
    assert len(services) == 2 * len(served.unversioned)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "cds.yaml: triggers: expected"),
        ("- x", "cds.yaml: triggers: expected"),
        ("triggers: {}", "cds.yaml: triggers: expected at least one code"),
        (f"triggers: {{conditions: [{CODE}], more: []}}", "cds.yaml: triggers.more: unknown key"),
        (f"triggers: {{conditions: {CODE}}}", "cds.yaml: triggers.conditions"),
        ("triggers: {reasons: [{code: x}]}", "cds.yaml: triggers.reasons[0].system"),
        (f"triggers: {{reasons: [{CODE}]}}\noverride-reasons: [{CODE}]", "override-reasons[0].display"),
        (f"triggers: {{reasons: [{CODE}]}}\nlinks: []", "cds.yaml: links: unknown key"),
    ],
)
def test_fault_is_named_with_its_place(read, text, fault):
    with pytest.raises(GuidanceError) as refused:
        read(text)
    assert any(fault in line for line in refused.value.faults), refused.value.faults


@pytest.mark.parametrize(
    ("code", "may_be"),
    [
        ("82470000", True),
        ("27678003", True),
        ("699377006", True),
        ("37340000", True),
        ("82470001", False),
        ("28470000", False),
        ("8247000", False),
        ("082470000", False),
        ("R25.3", False),
        ("", False),
    ],
)
def test_the_check_digit_of_snomed_ct_finds_slips(code, may_be):
    assert is_snomed_id(code) is may_be
