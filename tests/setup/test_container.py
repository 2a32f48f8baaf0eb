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
from typing import Any

import orjson
import pytest

from service.settings import Settings

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


def test_all_that_is_written_goes_to_a_volume_of_that_user(recipe):
    """The default store is below the program, where a link stands; all else may be read-only."""
    run = stages(recipe)[-1]
    assert "install --directory --owner 10001 --mode 0700 /data" in run
    assert f"ln -s /data {re.search(r'^WORKDIR (.+)', run, re.MULTILINE)[1]}/data" in run
    assert re.findall(r"^VOLUME (.+)", run, re.MULTILINE) == ["/data"]
    assert Settings().store_url == "sqlite:///data/service.db"


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
    volume = make_volume(folder)
    assert_serves(root, folder)
    assert (volume / "service.db").stat().st_mode & 0o777 == 0o600
    assert_keeps(folder)


def make_volume(folder: Path) -> Path:
    """Makes the folder that the recipe makes, which alone the service may write to, and the link to it."""
    volume = folder / "volume"
    volume.mkdir(mode=0o700)
    (folder / "data").symlink_to(volume)
    if os.geteuid() == 0:
        os.chown(volume, NOBODY, NOBODY)
    return volume


def bare() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent"}


def identity() -> dict[str, Any]:
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def assert_keeps(folder: Path) -> None:
    """Exports and erases what the service stored, as the same user."""
    command = [folder / ".venv/bin/python", "-m", "service"]
    common = {"cwd": folder, "env": bare(), "stdout": subprocess.PIPE, **identity()}
    lines = subprocess.run([*command, "export", "Patient/example"], check=True, **common).stdout.splitlines()
    assert len(lines) == 4
    done = subprocess.run([*command, "erase", "Patient/example", "--yes"], check=True, **common)
    assert sum(orjson.loads(done.stdout).values()) == 4


def assert_serves(root: Path, folder: Path) -> None:
    environment = {**bare(), "SERVICE_PORT": str(free_port())}
    command = [folder / ".venv/bin/python", "-m", "service", "serve"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, **identity()
    ) as process:
        try:
            assert any("Listening" in line for line in iter(process.stderr.readline, ""))
            base = "http://127.0.0.1:" + environment["SERVICE_PORT"]
            assert status(base + "/readyz") == 200
            sample = (root / "samples/plain-eyelid.json").read_bytes()
            assert status(base + "/fhir/QuestionnaireResponse/$assess", sample) == 200
            assert status(base + "/fhir/QuestionnaireResponse", sample) == 201
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
