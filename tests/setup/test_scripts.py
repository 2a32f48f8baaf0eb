"""The commands of README are the commands of CI, and they are whole."""

import os
import re
import subprocess

import orjson
import pytest

SCRIPTS = ("scripts/install", "scripts/lock", "scripts/test", "scripts/demo", "scripts/bench", ".ci/run")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_can_be_run_and_read(root, name):
    assert os.access(root / name, os.X_OK)
    subprocess.run(["bash", "-n", root / name], check=True)


def test_readme_names_only_scripts_that_exist(root):
    named = set(re.findall(r"scripts/\w+", (root / "README.md").read_text()))
    assert {"scripts/demo", "scripts/test", "scripts/install", "scripts/bench"} <= named <= set(SCRIPTS)


def test_ci_runs_the_test_command_of_readme(root):
    assert (root / ".ci/run").read_text().rstrip().endswith("exec scripts/test")


def test_readme_names_the_commands_of_the_command_line(root):
    from service.cli import _parser

    commands = _parser()._subparsers._group_actions[0].choices
    named = set(re.findall(r"python -m service (\w+)", (root / "README.md").read_text()))
    assert named == set(commands)


def test_an_environment_is_not_made_over_a_folder_of_something_else(root, tmp_path):
    (tmp_path / "precious").touch()
    done = subprocess.run([root / "scripts/install", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "not an environment" in done.stderr
    assert (tmp_path / "precious").exists()


@pytest.mark.slow
def test_the_demo_shows_the_risk_assessment_of_the_sample(root):
    done = subprocess.run([root / "scripts/demo"], capture_output=True, check=True)
    assert orjson.loads(done.stdout)["resourceType"] == "RiskAssessment"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "figure"),
    [
        (["path", "--rounds", "1"], r"whole path / orjson .* \d+\.\d\d"),
        (["http", "--rounds", "1", "--seconds", "1"], r"requests per second, .* \d+\.\d\d"),
    ],
)
def test_a_benchmark_prints_its_ratios(root, options, figure):
    done = subprocess.run([root / "scripts/bench", *options], capture_output=True, text=True, check=True)
    assert re.search(figure, done.stdout)
