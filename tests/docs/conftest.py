"""The pages, and a service on a free port with a temporary store on which their examples run.

An example stands in a fenced block of the kind `console`: a command behind `$ `, going on in the next line
where one ends in a backslash, and below it what it prints. A line that is `...` stands for any lines, `...`
within a line for any characters. The commands of one page run in one shell, in the folder of the project.
Where they say `127.0.0.1:8000` they mean the service, and `.venv/bin/python` is the interpreter of the tests.
Where a command names `$TOKEN`, it is a service with access control, which takes that token.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from patience import PATIENCE_S

LOGIN = "https://login.example.org"
AUDIENCE = "https://forms.example.org/fhir"
REGISTRY = f"""
ehrs:
  - issuer: https://ehr.example.org/fhir
    tenant: north
    tokens:
      issuer: {LOGIN}
      audience: [{AUDIENCE}]
      jwks-file: keys.json
      authorization-endpoint: {LOGIN}/authorize
      token-endpoint: {LOGIN}/token
      scopes: [launch/patient, patient/QuestionnaireResponse.crus, patient/RiskAssessment.rs, system/*.rs]
"""
WRITTEN_PORT = "127.0.0.1:8000"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """One command, and what it should print."""

    command: str
    expected: str


@dataclass(frozen=True)
class Running:
    """A service: its address, and the environment that its commands share."""

    port: int
    environment: dict[str, str]

    def get(self, path: str) -> bytes:
        """Returns the body that is answered to a GET."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE_S) as answer:
            return answer.read()


@pytest.fixture(scope="session")
def page(root: Path) -> Callable[[str], str]:
    """Reads one page by its path in the project."""
    return lambda name: (root / name).read_text()


@pytest.fixture(scope="session")
def examples_in() -> Callable[[str], list[Example]]:
    """Finds the examples of a page."""
    return _examples_in


@pytest.fixture(scope="session")
def agrees() -> Callable[[str, str], bool]:
    """Says whether an output is what an example expects."""
    return _agrees


@pytest.fixture(scope="session")
def outputs(
    root: Path, service: Running, request: pytest.FixtureRequest
) -> Callable[[list[Example]], list[str]]:
    """Runs examples in one shell and returns what each printed."""

    def run(examples: list[Example]) -> list[str]:
        with_token = any("$TOKEN" in example.command for example in examples)
        return _outputs(examples, root, request.getfixturevalue("controlled") if with_token else service)

    return run


@pytest.fixture(scope="session")
def service(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service of its own, with an empty store."""
    yield from _served(root, _on_a_free_port(tmp_path_factory.mktemp("service")))


@pytest.fixture(scope="session")
def controlled(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One with access control; a token that it takes is in the environment of the commands."""
    folder = tmp_path_factory.mktemp("controlled")
    running = _on_a_free_port(folder)
    running.environment["SERVICE_EHRS_FILE"] = str(folder / "ehrs.yaml")
    running.environment["TOKEN"] = _registered(folder)
    yield from _served(root, running)


def _registered(folder: Path) -> str:
    """Writes a registry with its keys; returns a token that it takes."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    (folder / "keys.json").write_text(json.dumps({"keys": [public | {"kid": "docs", "use": "sig"}]}))
    (folder / "ehrs.yaml").write_text(REGISTRY)
    claims = {"iss": LOGIN, "aud": AUDIENCE, "sub": "docs", "scope": "system/*.cruds"}
    return jwt.encode(claims | {"exp": int(time.time()) + 3600}, key, "ES256", {"kid": "docs"})


def _served(root: Path, running: Running) -> Iterator[Running]:
    command = [sys.executable, "-m", "service", "serve"]
    with subprocess.Popen(command, cwd=root, env=running.environment, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(running, process)
            yield running
        finally:
            process.terminate()


def _on_a_free_port(folder: Path) -> Running:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = f"sqlite:///{folder}/service.db"
    ours = {"PORT": str(port), "STORE_URL": store, "DRAIN_S": "0", "LOG_LEVEL": "WARNING"}
    kept = {name: text for name, text in os.environ.items() if not name.startswith("SERVICE_")}
    given = {f"SERVICE_{name}": text for name, text in ours.items()}
    return Running(port, kept | given | {"TMPDIR": str(folder)})


def _wait_for(running: Running, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            running.get("/readyz")
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the service did not start")


def _examples_in(text: str) -> list[Example]:
    return [example for block in _BLOCK.findall(text) for example in _examples_of(block)]


def _examples_of(block: str) -> Iterator[Example]:
    _, *parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
    for part in parts:
        lines = part.splitlines()
        length = next(number for number, line in enumerate(lines, 1) if not line.endswith("\\"))
        yield Example("\n".join(lines[:length]), "\n".join(lines[length:]))


def _agrees(expected: str, output: str) -> bool:
    lines = expected.strip("\n").splitlines()
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else _pattern(line) for line in lines)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in output.strip("\n").splitlines())) is not None


def _pattern(line: str) -> str:
    return ".*".join(map(re.escape, line.split("..."))) + r"\n"


def _outputs(examples: list[Example], root: Path, service: Running) -> list[str]:
    end = "-- end of the output --"
    script = "\n".join(f"{_on(service, example.command)}\nprintf '\\n{end}\\n'" for example in examples)
    done = subprocess.run(
        ["bash", "-c", f"exec 2>&1\n{script}"],
        cwd=root,
        env=service.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    printed = done.stdout.replace(f"127.0.0.1:{service.port}", WRITTEN_PORT)
    return printed.split(f"\n{end}\n")[: len(examples)]


def _on(service: Running, command: str) -> str:
    own = command.replace(WRITTEN_PORT, f"127.0.0.1:{service.port}")
    return own.replace(".venv/bin/python", sys.executable)
