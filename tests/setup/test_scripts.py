"""The commands of README are the commands of CI, and they are whole."""

import hashlib
import os
import re
import subprocess
import sys

import pytest

SCRIPTS = (
    "scripts/install",
    "scripts/lock",
    "scripts/audit",
    "scripts/test",
    "scripts/demo",
    "scripts/bench",
    "scripts/compare",
    "scripts/release",
    ".ci/run",
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_can_be_run_and_read(root, name):
    assert os.access(root / name, os.X_OK)
    subprocess.run(["bash", "-n", root / name], check=True)


def test_readme_names_every_script_and_none_that_is_not_there(root):
    named = set(re.findall(r"scripts/\w+", (root / "README.md").read_text()))
    assert named == {name for name in SCRIPTS if name.startswith("scripts/")}


def made_from(root, lock):
    """Returns what scripts/install writes into an environment that it made from a lock file."""
    version = subprocess.run([sys.executable, "-VV"], capture_output=True, check=True).stdout
    return f"{lock} {hashlib.sha256(version + (root / lock).read_bytes()).hexdigest()}\n"


@pytest.mark.parametrize(
    ("lock", "options", "enough"),
    [
        ("requirements-dev.txt", [], True),
        ("requirements.txt", [], True),
        ("requirements.txt", ["--test"], False),
        ("requirements-dev.txt", ["--docs"], False),
    ],
)
def test_the_demo_takes_no_tools_away_and_the_tests_do_not_run_without_them(
    root, tmp_path, lock, options, enough
):
    """An environment of the tests is enough to run the service; the other way round it is made anew."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    (tmp_path / "made-from").write_text(made_from(root, lock))
    command, environment = [root / "scripts/install", *options, tmp_path], {"PYTHON": sys.executable}
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert ("is up to date" in done.stderr) is enough
    assert done.returncode == (0 if enough else 1)


def test_an_outdated_environment_of_the_tests_keeps_their_tools(root, tmp_path):
    """No `pyvenv.cfg` is there, so that nothing is installed: what would be is told before."""
    (tmp_path / "made-from").write_text("requirements-dev.txt of-before\n")
    script = (root / "scripts/install").read_text()
    tried = tmp_path / "install"
    tried.write_text(script.replace('has_venv "$python" || add_venv "$python"', 'echo "$lock"; exit 0'))
    (tmp_path / "pyvenv.cfg").touch()
    command = ["bash", tried, tmp_path]
    done = subprocess.run(
        command, env=os.environ | {"PYTHON": sys.executable}, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith("requirements-dev.txt")


def test_ci_runs_the_test_command_of_readme(root):
    assert (root / ".ci/run").read_text().rstrip().endswith("exec scripts/test")


def test_an_environment_is_not_made_over_a_folder_of_something_else(root, tmp_path):
    (tmp_path / "precious").touch()
    done = subprocess.run([root / "scripts/install", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "not an environment" in done.stderr
    assert (tmp_path / "precious").exists()


@pytest.mark.slow
def test_the_demo_prints_for_a_person_what_was_asked_and_what_came_back(root):
    done = subprocess.run(
        [root / "scripts/demo", "samples/partial.json"], capture_output=True, text=True, check=True
    )
    parts = ["The question", "What the patient reads", "What the program receives", "Where to go next"]
    assert re.findall(r"^\S.*", done.stdout, re.MULTILINE) == parts
    assert max(map(len, done.stdout.splitlines())) <= 110
    assert "Not settled yet. So far: See your usual doctor" in done.stdout


@pytest.mark.slow
def test_the_demo_prints_the_document_alone_where_that_is_asked_for(root):
    done = subprocess.run([root / "scripts/demo", "--json"], capture_output=True, check=True)
    assert done.stdout == (root / "samples/plain-eyelid.expected.json").read_bytes()


@pytest.mark.slow
def test_the_demo_says_why_a_response_is_refused(root, tmp_path):
    path = tmp_path / "refused.json"
    path.write_text('{"resourceType": "QuestionnaireResponse", "status": "completed"}')
    done = subprocess.run([root / "scripts/demo", path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "The response names no questionnaire." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("argument", ["--yaml", "samples/nowhere.json"])
def test_the_demo_refuses_what_it_does_not_know_before_it_installs_anything(root, argument):
    done = subprocess.run([root / "scripts/demo", argument], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "install:" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "figure"),
    [
        (["path", "--rounds", "1"], r"whole path / orjson .* \d+\.\d\d"),
        (["http", "--rounds", "1", "--seconds", "1"], r"requests per second, .* \d+\.\d\d"),
        (["validators", "--rounds", "1", "--only", "fhir.resources"], r"fhir\.resources .* this +\d+\.\d"),
        (["cds_hooks", "--calls", "2"], r"p95, cards / bare Flask .* \d+\.\d"),
    ],
)
def test_a_benchmark_prints_its_ratios(root, options, figure):
    done = subprocess.run([root / "scripts/bench", *options], capture_output=True, text=True, check=True)
    assert re.search(figure, done.stdout)


@pytest.mark.parametrize("slash", ["", "/"])
def test_an_environment_behind_a_link_is_not_emptied(root, tmp_path, slash):
    """Other checkouts may run on what a link leads to; making it anew would take it from under them."""
    theirs, link = tmp_path / "theirs", tmp_path / "link"
    theirs.mkdir()
    (theirs / "pyvenv.cfg").touch()
    (theirs / "made-from").write_text("requirements-dev.txt of another lock\n")
    link.symlink_to(theirs)
    command, environment = [root / "scripts/install", f"{link}{slash}"], {"PYTHON": sys.executable}
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is a link to another folder" in done.stderr
    assert sorted(each.name for each in theirs.iterdir()) == ["made-from", "pyvenv.cfg"]


def test_what_is_installed_from_npm_overrides_nothing_with_another_package(root):
    """The npm of Debian 12 and 13 (9.2) refuses such a lock file; a newer one, as here, says nothing."""
    found = [path for path in (root / "tests").rglob("package.json") if "node_modules" not in path.parts]
    with_aliases = [path.parent.name for path in found if "npm:" in path.read_text()]
    assert with_aliases == ["renderers"]
