"""Time from start to ready, against gunicorn with a bare Flask view.

    python -m benchmarks.start [--rounds N]

`python -m service serve` and a gunicorn of the same kind of worker are started in turns, each until it has
answered a request, and stopped. Both on the clock and by the processor time of all their processes, which
other work on the machine changes less. Nothing is proved before: a start never repeats that. The other
gunicorn reads no configuration: it would find the one in this folder, and import half of the service by it.
"""

from __future__ import annotations

import argparse
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from benchmarks.http import free_port
from benchmarks.load import PATH
from service import check
from service.settings import ROOT, Settings

_PAUSE_S = 0.005


@dataclass(frozen=True)
class Start:
    """Seconds until the first answer: on the clock, and of the processor."""

    clock: float
    cpu: float


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kinds = {"checked before": Path(folder) / "checked", "never checked": Path(folder) / "unknown"}
        store = f"sqlite:///{folder}/store.db"
        check_before(kinds["checked before"])
        served(kinds["checked before"], store)  # makes the store
        found: dict[str, list[tuple[Start, Start]]] = {kind: [] for kind in kinds}
        for _ in range(asked.rounds):
            for kind, place in kinds.items():
                found[kind].append((served(place, store), bare_start()))
    for kind, pairs in found.items():
        print(f"start to ready, {kind}: {asked.rounds} pairs")
        for name in ("clock", "cpu"):
            ratio = statistics.median(getattr(our, name) / getattr(other, name) for our, other in pairs)
            ours = statistics.median(getattr(our, name) for our, _ in pairs)
            bare = statistics.median(getattr(other, name) for _, other in pairs)
            print(f"  {name:6} {ratio:.1f} times bare Flask ({ours:.2f} s, {bare:.2f} s)")


def check_before(place: Path) -> None:
    """Has `check` keep in a folder what it found sound; without the proofs, which a start never repeats."""
    with patch.object(check, "can_prove", return_value=False):
        if check.run(Settings(), StringIO(), check.Wanted(cache=place)) != check.SOUND:
            raise SystemExit("expected questionnaires and mappings without a fault")


def served(place: Path, store: str) -> Start:
    """Returns how long the service takes, with what `check` keeps in a folder."""
    port = free_port()
    settings = {"PORT": str(port), "STORE_URL": store, "CHECKED_DIR": str(place), "WORKERS": "1"}
    command = [sys.executable, "-m", "service", "serve"]
    given = {f"SERVICE_{name}": text for name, text in settings.items()}
    return until_ready(command, port, ("GET", "/readyz"), given)


def bare_start() -> Start:
    """Returns how long a bare Flask view takes."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        os.devnull,
        "-k",
        "gevent",
        "-b",
        f"127.0.0.1:{port}",
        "benchmarks.bare:app",
    ]
    return until_ready(command, port, ("POST", PATH), {})


def until_ready(
    command: Sequence[str], port: int, request: tuple[str, str], settings: dict[str, str]
) -> Start:
    """Starts a server, and stops it once it has answered 200."""
    # As after an installation: what was compiled once is not compiled again.
    inherited = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, env=inherited | settings) as process:
        try:
            while not answers(port, request):
                if process.poll() is not None:
                    raise SystemExit(f"the server ended with {process.returncode}")
                time.sleep(_PAUSE_S)
            return Start(time.perf_counter() - began, cpu_of(process.pid))
        finally:
            process.kill()


def answers(port: int, request: tuple[str, str]) -> bool:
    """Says whether the server answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(*request)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def cpu_of(pid: int) -> float:
    """Returns the seconds of processor time of a process and of all that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_of(int(child)) for child in children)


if __name__ == "__main__":
    main()
