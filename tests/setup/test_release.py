"""A release is prepared and tried out whole, and not at all where something does not fit."""

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from patience import LONG_PATIENCE_S

VERSION = "0.1.0"
HEADING = f"## [{VERSION}] - 2026-12-01\n"
Release = Callable[..., subprocess.CompletedProcess[str]]


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Path:
    """A clone of what stands here, committed or not, with a changelog that names the release."""
    folder = tmp_path / "clone"
    git(root, "clone", "--quiet", "--no-hardlinks", str(root), str(folder))
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (root / name).is_file() and not (root / name).is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((root / name).read_bytes())
            (folder / name).chmod((root / name).stat().st_mode & 0o777)
    changelog = folder / "CHANGELOG.md"
    unreleased = "## [Unreleased]\n"
    assert unreleased in changelog.read_text()
    changelog.write_text(changelog.read_text().replace(unreleased, f"{unreleased}\n{HEADING}", 1))
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Release")
    return folder


@pytest.fixture
def release(clone: Path, tmp_path: Path) -> Release:
    """Runs the script in the clone; what it makes is below `tmp_path / "made"`."""

    def run(version: str = VERSION) -> subprocess.CompletedProcess[str]:
        command = [clone / "scripts/release", version, tmp_path / "made"]
        environment = {name: text for name, text in os.environ.items() if not name.startswith("SERVICE_")}
        return subprocess.run(
            command,
            env=environment | {"PYTHON": sys.executable},
            capture_output=True,
            text=True,
            check=False,
            timeout=LONG_PATIENCE_S,
        )

    return run


def test_another_version_than_that_of_the_project_is_refused(release):
    assert "pyproject.toml names another version" in release("0.2.0").stderr


def test_what_is_not_committed_is_refused(clone, release):
    (clone / "mappings/new.yaml").touch()
    assert "changes that are not committed" in release().stderr


@pytest.mark.parametrize(
    ("written", "said"),
    [(f"## [{VERSION}]\n", "no heading"), (f"{HEADING}\n## [0.0.9] - 2026-01-01\n", "says nothing")],
)
def test_a_changelog_that_does_not_tell_of_it_is_refused(clone, release, written, said):
    changelog = clone / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace(HEADING, written))
    git(clone, "commit", "--quiet", "--all", "--message", "Say less")
    assert said in release().stderr


def test_a_tag_of_another_commit_is_refused(clone, release):
    git(clone, "tag", f"v{VERSION}", "HEAD~1")
    assert "names another commit" in release().stderr


@pytest.mark.slow
def test_a_release_is_the_same_twice_runs_and_says_what_it_is_made_of(clone, release, tmp_path):
    """Its wheel is built twice, installed, scores a sample, serves and stores, or the script fails."""
    done = release()
    assert done.returncode == 0, done.stderr
    made = tmp_path / "made"
    wheel = f"questionnaire_guidance_service-{VERSION}-py3-none-any.whl"
    files = {wheel, "requirements.txt", "bom.cdx.json", "NOTES.md"}
    hashes = dict(reversed(line.split()) for line in (made / "SHA256SUMS").read_text().splitlines())
    assert hashes == {name: hashlib.sha256((made / name).read_bytes()).hexdigest() for name in files}
    assert (made / "NOTES.md").read_text().startswith(HEADING)
    assert (made / "requirements.txt").read_bytes() == (clone / "requirements.txt").read_bytes()
    application = json.loads((made / "bom.cdx.json").read_bytes())["metadata"]["component"]
    assert application["version"] == VERSION
    assert_holds_the_program(clone, made / wheel)


def assert_holds_the_program(clone: Path, wheel: Path) -> None:
    """Everything that a checkout serves is in the wheel, and nothing that belongs to the tests."""
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("questionnaires", "mappings"):
        held = {path.relative_to(clone) for path in (clone / folder).rglob("*") if path.is_file()}
        assert held
        assert {f"service/program/{name}" for name in held} <= names
    assert "service/program/gunicorn.conf.py" in names
    assert [name for name in names if not re.match(r"service/|questionnaire_guidance_service-", name)] == []
