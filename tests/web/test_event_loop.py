"""F1: whatever is sent, a worker answers others meanwhile.

Each body is sent to the application as a worker runs it. What counts is the processor time of the thread
between two moments at which others have their turn, not the time on the clock.
"""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from costly_bodies import MOST_BYTES, requests

MOST_MS = 100
REQUESTS = requests()


@pytest.fixture(scope="module")
def found(root: Path) -> dict[str, dict]:
    """What was measured, by name of the body; all of them in one process, one after the other."""
    script = root / "tests" / "support" / "event_loop.py"
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{script.parent}"}
    command = [sys.executable, "-m", "gevent.monkey", str(script)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, check=True)
    lines = [orjson.loads(line) for line in done.stdout.splitlines()]
    return {line["name"]: line for line in lines}


@pytest.mark.parametrize("name", REQUESTS)
def test_others_have_their_turn_while_a_costly_body_is_answered(name: str, found: dict[str, dict]) -> None:
    assert len(REQUESTS[name].body) <= MOST_BYTES
    assert found[name]["ms"] <= MOST_MS
    assert found[name]["status"] in (200, 201, 400, 413, 422, 503)
