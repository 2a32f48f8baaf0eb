"""What is wrong with the files stops the start, with a line for each fault; `check` says the same."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from service import catalogue, check
from service.errors import GuidanceError, NotScorable
from service.settings import Settings


@pytest.fixture
def folders(root: Path, tmp_path: Path) -> Settings:
    """A copy of the small second pair that a test may break."""
    shutil.copytree(root / "tests" / "second_pair", tmp_path / "pair")
    pair = tmp_path / "pair"
    return replace(Settings(), questionnaires_dir=pair / "questionnaires", mappings_dir=pair / "mappings")


def faults(settings: Settings) -> list[str]:
    with pytest.raises(GuidanceError) as refused:
        catalogue.read(settings.questionnaires_dir, settings.mappings_dir)
    return list(refused.value.faults)


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_check_types_what_is_published_and_names_the_element(folders: Settings) -> None:
    """Our own lint reads no `contact`; the models of fhir.resources know every element of R4."""
    questionnaire = folders.questionnaires_dir / "workday-strain.json"
    replaced(questionnaire, '"status": ', '"contact": [{"telecom": "0800"}], "status": ')
    out = io.StringIO()
    assert check.run(folders, out) == check.FAULTY
    line = f"fault: {questionnaire.name}: Questionnaire.contact[0].telecom: Input should be a valid array"
    assert out.getvalue().splitlines() == [line]


def test_an_empty_folder_is_a_fault(folders: Settings) -> None:
    shutil.rmtree(folders.questionnaires_dir)
    folders.questionnaires_dir.mkdir()
    assert "expected *.json files" in faults(folders)[0]


def test_a_file_that_is_no_resource_is_named(folders: Settings) -> None:
    (folders.questionnaires_dir / "broken.json").write_text("{")
    assert faults(folders)[0].startswith("broken.json: ")


def test_a_questionnaire_that_fails_its_lint_is_named(folders: Settings) -> None:
    replaced(folders.questionnaires_dir / "workday-strain.json", '"linkId": "rushed"', '"linkId": "tense"')
    assert any(line.startswith("workday-strain.json: ") for line in faults(folders))


def test_one_canonical_stands_in_one_file_only(folders: Settings) -> None:
    one = folders.questionnaires_dir / "workday-strain.json"
    shutil.copy(one, folders.questionnaires_dir / "zz-again.json")
    assert faults(folders) == ["zz-again.json: url and version: expected a canonical that no other file has"]


def test_one_questionnaire_is_scored_by_one_mapping_only(folders: Settings) -> None:
    shutil.copytree(folders.mappings_dir / "workday-strain", folders.mappings_dir / "zz-again")
    (fault,) = faults(folders)
    assert fault.startswith("zz-again/guidance.yaml: questionnaire: ")


def test_a_mapping_without_its_questionnaire_is_a_fault(folders: Settings) -> None:
    replaced(
        folders.mappings_dir / "workday-strain" / "guidance.yaml",
        "workday-strain|2.1.0",
        "workday-strain|2.2.0",
    )
    (fault,) = faults(folders)
    assert "no questionnaire" in fault


def test_guidance_that_fails_its_own_cases_is_never_served(folders: Settings) -> None:
    replaced(folders.mappings_dir / "workday-strain" / "cases.yaml", "tier: talk", "tier: act")
    (fault,) = faults(folders)
    assert fault.startswith("workday-strain/cases.yaml: total-ten: tier: expected act")


def test_guidance_that_is_not_active_scores_nothing(folders: Settings) -> None:
    replaced(folders.mappings_dir / "workday-strain" / "guidance.yaml", "status: active", "status: retired")
    served = catalogue.read(folders.questionnaires_dir, folders.mappings_dir)
    for canonical in served.pairs:
        for named in (canonical, canonical.partition("|")[0]):
            with pytest.raises(NotScorable):
                served.find(named)


def test_check_reports_a_sound_pair_and_counts_its_statements(folders: Settings) -> None:
    out = io.StringIO()
    assert check.run(folders, out) == check.SOUND
    report = out.getvalue()
    assert "2 of 2 statements accounted for" in report
    assert "6 worked cases pass" in report
    assert "promises proved" in report


def test_check_names_each_fault_and_fails(folders: Settings) -> None:
    replaced(folders.mappings_dir / "workday-strain" / "rules.yaml", "tier: act", "tier: acts")
    out = io.StringIO()
    assert check.run(folders, out) == check.FAULTY
    assert "fault: workday-strain/rules.yaml: " in out.getvalue()


def test_every_statement_of_the_source_is_accounted_for(root: Path) -> None:
    settings = Settings()
    served = catalogue.read(settings.questionnaires_dir, settings.mappings_dir)
    for pair in served.pairs.values():
        statements = pair.guidance.written.statements
        assert {statement.id for statement in statements} == {f"S{number:03d}" for number in range(1, 335)}
