"""The authorisation server of an EHR, as a process of its own: npm `oidc-provider` (tests/browser/ehr)."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from validator_fixtures import INSTALL, refuse

FOLDER = Path(__file__).resolve().parents[1] / "browser" / "ehr"
_CHART = ("Patient", "Encounter", "Practitioner", "Observation")
_WRITTEN = ("QuestionnaireResponse", "RiskAssessment", "Observation", "DocumentReference")
SCOPES = (
    "openid",
    "fhirUser",
    *(f"patient/{type_}.rs" for type_ in _CHART),
    *(f"patient/{type_}.crus" for type_ in _WRITTEN),
)
"""What the app is registered with."""


@contextmanager
def running_authorization(
    audience: str, redirects: Sequence[str], launches: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Gives its url while the block runs; what it is told stands at the head of server.mjs."""
    given = {
        "client": {"id": "the-app", "redirects": [*redirects]},
        "audience": audience,
        "scopes": [*SCOPES[1:], "launch", "launch/patient"],
        "launches": launches,
    }
    with running_provider("server.mjs", given) as url:
        yield url


@contextmanager
def running_provider(script: str, given: Mapping[str, Any]) -> Iterator[str]:
    """Gives the url of one of the programs of the folder while the block runs."""
    _install()
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["node", script], cwd=FOLDER, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(given) + "\n")
        process.stdin.flush()
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def _install() -> None:
    if (FOLDER / "node_modules" / ".package-lock.json").is_file():
        return
    if shutil.which("npm") is None:
        refuse("npm is not here: THE SMART APP IS NOT TRIED (Debian: apt-get install npm)")
    subprocess.run(INSTALL, cwd=FOLDER, check=True)
