"""One real server for the clients of all tests here, bodies to send it, and what was on the wire."""

import itertools
import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from gunicorn_server import serving
from java_programs import hapi_command, missing_for_hapi
from patience import LONG_PATIENCE_S
from validator_fixtures import INSTALL, refuse

from benchmarks.http import free_port

ORIGIN = "https://app.example.org"
SYSTEM = "https://guidance.example.org/fhir/identifier/questionnaire-response"
NPM = Path(__file__).resolve().parent / "npm"
Body = dict[str, Any]


@dataclass(frozen=True)
class Service:
    """A running service: FHIR base, folder of its store and of what clients write, a browser's origin."""

    base: str
    folder: Path
    origin: str = ORIGIN


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service in gunicorn with two workers, on an empty SQLite file; a breakdown inside fails the run."""
    port, folder = free_port(), tmp_path_factory.mktemp("clients")
    base = f"http://127.0.0.1:{port}/fhir"
    settings = {"WORKERS": "2", "STORE_URL": f"sqlite:///{folder}/store.db", "BASE_URL": base}
    settings |= {"CORS_ORIGINS": ORIGIN}
    with serving("service.app:from_environment()", port=port, **settings) as server:
        yield Service(base, folder)
    assert [line for line in server.log if '"failed"' in line or "Traceback" in line] == []


@pytest.fixture(scope="session")
def response(root: Path) -> Callable[..., Body]:
    """Makes a QuestionnaireResponse of a sample, without id, with an identifier and a patient of its own."""
    numbers = itertools.count(1)

    def made(sample: str = "plain-eyelid", **changes: Any) -> Body:
        number = f"client-{next(numbers)}"
        body = json.loads((root / f"samples/{sample}.json").read_bytes())
        own = {
            "identifier": {"system": SYSTEM, "value": number},
            "subject": {"reference": f"Patient/{number}"},
        }
        return {name: value for name, value in (body | own | changes).items() if name != "id"}

    return made


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[requests.Response]:
    """What the Python clients sent and got, in order: each answer holds its request."""
    answers: list[requests.Response] = []
    send = requests.Session.send

    def noted(session: requests.Session, request: requests.PreparedRequest, **more: Any) -> requests.Response:
        answers.append(send(session, request, **more))
        return answers[-1]

    monkeypatch.setattr(requests.Session, "send", noted)
    return answers


class Step:
    """One interaction of a client, see npm/steps.mjs: its result or its error, and what was sent."""

    def __init__(self, line: Body) -> None:
        self._line = line
        self.sent = line["sent"]

    @property
    def result(self) -> Any:
        assert "error" not in self._line, self._line["error"]
        return self._line.get("result")

    @property
    def error(self) -> Body:
        assert "error" in self._line, self._line
        return self._line["error"]

    @property
    def status(self) -> int:
        """The status of the last answer."""
        return int(self.sent[-1]["status"])

    @property
    def refused_with(self) -> tuple[int, str]:
        """The status of the refusal and the code of its OperationOutcome, as they came to the client."""
        outcome = self.error["body"]
        assert outcome["resourceType"] == "OperationOutcome"
        return self.status, outcome["issue"][0]["code"]


@pytest.fixture(scope="session")
def client_steps() -> Callable[[Iterable[Body]], dict[str, Step]]:
    """Takes the lines that a client printed, returns its steps by name."""
    return lambda lines: {line["step"]: Step(line) for line in lines}


@pytest.fixture(scope="session")
def npm(service: Service, client_steps: Callable[..., dict[str, Step]]) -> Callable[..., dict[str, Step]]:
    """Runs a client of npm/ on bodies, against the service or another base; returns its steps by name."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            refuse(
                f"{program} is not here: NO JAVASCRIPT CLIENT IS TRIED (Debian: apt-get install nodejs npm)"
            )
    if not (NPM / "node_modules/.package-lock.json").is_file():
        subprocess.run(INSTALL, cwd=NPM, check=True)

    def run(client: str, base: str = service.base, **bodies: Any) -> dict[str, Step]:
        command = ["node", str(NPM / f"{client}.mjs"), base]
        done = subprocess.run(
            command,
            check=False,
            input=json.dumps(bodies),
            capture_output=True,
            text=True,
            timeout=LONG_PATIENCE_S,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return client_steps(json.loads(line) for line in done.stdout.splitlines())

    return run


@pytest.fixture(scope="session")
def hapi() -> Callable[..., list[Body]]:
    """Runs a class of hapi/ and returns the lines of JSON that it prints; builds what has changed first."""
    if missing := missing_for_hapi():
        pytest.skip(missing)
    command = hapi_command()

    def run(main: str, *arguments: str, bodies: Any = None) -> list[Body]:
        asked = [*command, f"clients.{main}", *arguments]
        done = subprocess.run(
            asked,
            check=False,
            input=json.dumps(bodies),
            capture_output=True,
            text=True,
            timeout=LONG_PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run
