"""Each case gets what its `expect.json` says.

Its members are all optional: `errors` and `warnings` (exactly these places; a list stands for any one of
them), `at_most` (`warning` or `information`, where there is no error), `some_issue` (silence is wrong),
`kinds` (codes that are among the issues, or after a `!` are not), `exit` (codes that are allowed), `refused`
(in place of an outcome: exit code 2 and this pattern on standard error), `http` (statuses of all answers;
patterns for places in their bodies), `or` (alternatives).
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from gunicorn_server import serving
from patience import PATIENCE_S

from service import cli

CASES = {path.parent.name: path.parent for path in sorted(Path(__file__).parent.glob("*/expect.json"))}
EXPECTED = {name: json.loads((folder / "expect.json").read_text("utf-8")) for name, folder in CASES.items()}


@dataclass
class Said:
    """What came of a case: the output of a command, or all answers of a service."""

    code: int
    out: str
    err: str = ""
    values: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        for line in self.out.splitlines():
            try:
                self.values.append(json.loads(line))
            except ValueError:
                continue


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = f"sqlite:///{tmp_path_factory.mktemp('cases') / 'cases.db'}"
    with serving("service.app:from_environment()", STORE_URL=store, WORKERS="1") as server:
        yield f"http://127.0.0.1:{server.port}/fhir"


@pytest.mark.parametrize("name", CASES)
def test_a_case_gets_what_is_expected(
    name: str, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    expected, folder = EXPECTED[name], CASES[name]
    ways = expected.get("or", [expected])
    if (folder / "r.json").exists():
        said = _validated(folder, capfd.readouterr)
    else:
        base = request.getfixturevalue("service") if "http" in ways[0] else ""
        said = _run(folder / "request.sh", base)
    assert "Traceback" not in said.out + said.err
    faults = [list(_faults(way, said)) for way in ways]
    assert [] in faults, f"{expected['why']}\n{faults}"


def _validated(folder: Path, output: Callable[[], Any]) -> Said:
    form = ["--questionnaire", str(folder / "q.json")] if (folder / "q.json").exists() else []
    code = cli.main(["validate", *form, str(folder / "r.json")])
    return Said(code, *output())


def _run(script: Path, base: str) -> Said:
    done = subprocess.run(
        ["bash", script, base], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    stated = re.search(r"^exit (\d+)$", done.stdout, re.MULTILINE)
    return Said(int(stated[1]) if stated else done.returncode, done.stdout, done.stderr)


def _faults(expected: dict[str, Any], said: Said) -> Iterator[str]:
    if "http" in expected:
        yield from _http_faults(expected["http"], said.values)
    elif "refused" in expected:
        if said.code != 2 or said.values or not re.search(expected["refused"], said.err):
            yield "it was not refused as expected"
    else:
        outcome = next((value for value in said.values if isinstance(value, dict)), None)
        if outcome is None:
            yield f"no OperationOutcome: {said.err}"
        else:
            yield from _outcome_faults(expected, outcome["issue"], said)


def _outcome_faults(expected: dict[str, Any], listed: list[Any], said: Said) -> Iterator[str]:
    issues = [issue for issue in listed if issue["code"] != "informational" or "expression" in issue]
    errors, warnings = _places(issues, "error", "fatal"), _places(issues, "warning")
    yield from _differences("error", expected.get("errors", []), errors)
    if "warnings" in expected or expected.get("at_most") == "information":
        yield from _differences("warning", expected.get("warnings", []), warnings)
    if expected.get("some_issue") and not issues:
        yield "not a word about it"
    kinds = {coding["code"] for issue in issues for coding in issue.get("details", {}).get("coding", ())}
    for kind in expected.get("kinds", ()):
        if (kind.removeprefix("!") in kinds) is kind.startswith("!"):
            yield f"expected kind {kind}"
    if said.code not in expected.get("exit", [int(bool(errors))]):
        yield f"exit code {said.code}"


def _places(issues: list[Any], *severities: str) -> set[str]:
    places = (issue.get("expression", [""])[0] for issue in issues if issue["severity"] in severities)
    return {re.sub(r"\.(value|ofType).*$", "", place) for place in places}


def _differences(severity: str, expected: list[Any], found: set[str]) -> Iterator[str]:
    ways = [[place] if isinstance(place, str) else place for place in expected]
    yield from (f"no {severity} at {way[0]}" for way in ways if found.isdisjoint(way))
    allowed = {place for way in ways for place in way}
    yield from (f"{severity} at {place or 'no place'}" for place in sorted(found - allowed))


def _http_faults(expected: dict[str, Any], values: list[Any]) -> Iterator[str]:
    statuses = [value for value in values if isinstance(value, int)]
    bodies = [value for value in values if isinstance(value, dict)]
    allowed = [status if isinstance(status, list) else [status] for status in expected["status"]]
    if len(statuses) != len(allowed) or any(
        one not in some for one, some in zip(statuses, allowed, strict=True)
    ):
        yield f"statuses {statuses}, expected {expected['status']}"
        return
    named: dict[str, str] = {}
    for body, path, written in expected.get("json", ()):
        pattern = written
        for name, value in named.items():
            pattern = pattern.replace(f"{{{name}}}", re.escape(value))
        match = re.fullmatch(pattern, _at(bodies[body], path), re.DOTALL)
        if match is None:
            yield f"body {body}: {path or 'it'} is {_at(bodies[body], path)}, expected {pattern}"
        else:
            named |= match.groupdict()


def _at(value: Any, path: str) -> str:
    for step in filter(None, path.split(".")):
        if isinstance(value, list):
            value = value[int(step)] if step.isdigit() and int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
