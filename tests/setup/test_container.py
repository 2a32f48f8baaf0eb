"""The image's recipe, and its steps done for real without a container engine."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

NOBODY = 65534


@pytest.fixture(scope="module")
def recipe(root) -> str:
    return (root / "Dockerfile").read_text()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may read."""
    path = Path(tempfile.mkdtemp(dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def stages(recipe: str) -> list[str]:
    return re.split(r"^FROM ", recipe, flags=re.MULTILINE)[1:]


def copied(recipe: str) -> list[str]:
    """Returns what the last stage takes from the project, the environment left out."""
    stage = stages(recipe)[-1]
    sources = re.findall(r"^COPY (?:--from=build /opt/service/(\S+)|(.+)) \S+$", stage, re.MULTILINE)
    return [name for one, several in sources for name in (one or several).split() if name != ".venv"]


def python_for_everyone() -> str:
    """Returns an interpreter that another user may run: one in root's home is closed to it."""
    return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


def test_what_the_recipe_copies_exists_and_is_not_ignored(root, recipe):
    ignored = (root / ".dockerignore").read_text().splitlines()
    for name in [*copied(recipe), "requirements.txt", "scripts/install"]:
        assert (root / name).exists()
        assert f"!{name}" in ignored


def test_the_recipe_has_two_stages_and_ends_as_a_user_without_rights(recipe):
    build, run = stages(recipe)
    assert "scripts/install --runtime" in build
    assert "HEALTHCHECK" in run
    assert re.findall(r"^USER (\S+)", recipe, re.MULTILINE) == ["10001"]


@pytest.mark.slow
def test_the_steps_of_the_recipe_give_a_service_that_runs_without_rights(root, recipe, folder):
    for name in copied(recipe):
        source = root / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    environment = {**os.environ, "PYTHON": python_for_everyone()}
    subprocess.run([root / "scripts/install", "--runtime", folder / ".venv"], check=True, env=environment)
    missing = subprocess.run(
        [folder / ".venv/bin/python", "-c", "import pytest"], capture_output=True, check=False
    )
    assert missing.returncode != 0
    assert_serves(root, folder)


def assert_serves(root: Path, folder: Path) -> None:
    bare = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent"}
    bare["SERVICE_PORT"] = str(free_port())
    identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    command = [folder / ".venv/bin/python", "-m", "service", "serve"]
    with subprocess.Popen(
        command, cwd=folder, env=bare, stderr=subprocess.PIPE, text=True, **identity
    ) as process:
        try:
            assert any("Listening" in line for line in iter(process.stderr.readline, ""))
            base = "http://127.0.0.1:" + bare["SERVICE_PORT"]
            assert status(base + "/readyz") == 200
            sample = (root / "samples/plain-eyelid.json").read_bytes()
            assert status(base + "/fhir/QuestionnaireResponse/$assess", sample) == 200
        finally:
            process.send_signal(signal.SIGTERM)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def status(url: str, body: bytes | None = None) -> int:
    headers = {"Content-Type": "application/fhir+json"}
    request = urllib.request.Request(url, data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert orjson.loads(answer.read())
        return answer.status
