"""The validators are installed from a lock file, and are never left out in silence."""

import json
from pathlib import Path

import pytest
import validator_fixtures as fixtures
from fhir_validators import by_schema

FOLDER = Path(__file__).parent


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """The commands that were run, in a folder without packages; `node` and `npm` are there."""
    commands = []
    monkeypatch.setattr(fixtures, "INSTALLED", tmp_path / "none")
    monkeypatch.setattr(fixtures.shutil, "which", lambda program: f"/bin/{program}")
    monkeypatch.setattr(fixtures.subprocess, "run", lambda command, **_: commands.append(command))
    return commands


def test_missing_packages_are_installed_from_the_lock_and_run_no_scripts(installed):
    fixtures.make_ready()
    assert [command[:3] for command in installed] == [["npm", "ci", "--ignore-scripts"]]


def test_packages_that_are_there_are_left_alone(installed, monkeypatch):
    monkeypatch.setattr(fixtures, "INSTALLED", Path(__file__))
    fixtures.make_ready()
    assert installed == []


@pytest.mark.parametrize("missing", ["node", "npm"])
def test_without_node_the_tests_are_skipped_with_the_reason(installed, monkeypatch, missing):
    monkeypatch.setattr(fixtures.shutil, "which", lambda program: None if program == missing else program)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=f"{missing} is not here: NO RESOURCE IS VALIDATED"):
        fixtures.make_ready()


def test_without_node_the_tests_fail_in_ci(installed, monkeypatch):
    monkeypatch.setattr(fixtures.shutil, "which", lambda _program: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match="node is not here") as refused:
        fixtures.make_ready()
    assert refused.type is pytest.fail.Exception


def test_the_packages_have_exact_versions_and_the_lock_has_no_address():
    named = json.loads((FOLDER / "package.json").read_bytes())["dependencies"]
    lock = (FOLDER / "package-lock.json").read_text(encoding="utf-8")
    locked = json.loads(lock)["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in named} == named
    assert "://" not in lock


def test_the_schema_alone_sees_what_it_can_in_the_order_of_the_resources():
    """As the test command by hand asks."""
    misspelt = {"resourceType": "Patient", "gendr": "male"}
    right, wrong, empty = by_schema(
        [{"resourceType": "Patient"}, misspelt, {"resourceType": "Patient", "name": []}]
    )
    assert right == []
    assert any("gendr" in problem for problem in wrong)
    assert empty == ["empty: name: []"]
