"""The translator of the CQL framework and npm's CQL engine, as others would use them."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from java_programs import class_path, missing_for_java
from patience import LONG_PATIENCE_S
from validator_fixtures import INSTALL, refuse

HERE = Path(__file__).resolve().parent
AT_ONCE = 500
"""Responses that one process is asked about, so that it ends in time however many are tried."""
Json = dict[str, Any]


@pytest.fixture(scope="session")
def translate() -> Callable[[Iterable[tuple[Path, str, str]]], list[str]]:
    """Translates libraries (folder, name, version) to ELM beside them; returns what the translator says."""
    if missing := missing_for_java("NO CQL IS TRANSLATED"):
        pytest.skip(missing)
    command = ["java", "-cp", class_path(HERE), "clients.Translate"]

    def run(libraries: Iterable[tuple[Path, str, str]]) -> list[str]:
        arguments = [str(part) for library in libraries for part in library]
        done = subprocess.run(
            [*command, *arguments], check=False, capture_output=True, text=True, timeout=LONG_PATIENCE_S
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


@pytest.fixture(scope="session")
def execute() -> Callable[[Path, str, Iterable[Json]], list[Json]]:
    """Runs a library of a folder of ELM for persons with a response or several; returns what it says."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            refuse(f"{program} is not here: NO CQL IS RUN (Debian: apt-get install nodejs npm)")
    if not (HERE / "node_modules/.package-lock.json").is_file():
        subprocess.run(INSTALL, cwd=HERE, check=True)

    def run(folder: Path, name: str, responses: Iterable[Json | list[Json]]) -> list[Json]:
        lines = [f"{json.dumps(response, default=float)}\n" for response in responses]
        said: list[Json] = []
        for first in range(0, len(lines), AT_ONCE):
            done = subprocess.run(
                ["node", str(HERE / "run.mjs"), str(folder), name],
                check=False,
                input="".join(lines[first : first + AT_ONCE]),
                capture_output=True,
                text=True,
                timeout=LONG_PATIENCE_S,
            )
            assert (done.returncode, done.stderr) == (0, "")
            said += map(json.loads, done.stdout.splitlines())
        return said

    return run
