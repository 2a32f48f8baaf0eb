"""Requests per second of $assess against a bare Flask view that echoes the same body.

Both run under the same gunicorn configuration on this machine at the same time; bursts of load
alternate between them, so that what else the machine does meets both. Figures are ratios; the goal is
0.75 or better.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import orjson

from benchmarks.load import CONNECTIONS, generator, load
from service.settings import ROOT

OURS, PLAIN = ("-c", "gunicorn.conf.py"), ("-c", os.devnull, "-k", "gevent")  # options of gunicorn
SERVICE, BARE = "service.app:from_environment()", "benchmarks.bare:app"


@dataclass(frozen=True)
class Server:
    """A running server: its port, and its master process."""

    port: int
    process: subprocess.Popen[bytes]

    def cpu(self) -> float:
        """Returns the seconds of CPU that its workers have used, whatever else the machine does."""
        workers = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        fields = [Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split() for worker in workers]
        return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=Path, default=ROOT / "samples" / "plain-eyelid.json")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="length of one burst")
    asked = parser.parse_args()
    body = orjson.dumps(orjson.loads(asked.sample.read_bytes()))
    with serving(SERVICE) as ours, serving(BARE) as bare:
        for server in (ours, bare):
            burst(server, body, asked.seconds)
        bursts = [
            (burst(ours, body, asked.seconds), burst(bare, body, asked.seconds)) for _ in range(asked.rounds)
        ]
    print(f"{asked.sample.name}: {len(body)} bytes, {CONNECTIONS} connections, load by {generator()}")
    print(f"  requests per second, $assess / bare Flask   {middle(bursts, 'rate'):.2f}  (goal: 0.75 or more)")
    print(f"  CPU per request, bare Flask / $assess       {1 / middle(bursts, 'cpu'):.2f}")
    print(f"  p50, $assess / bare Flask                   {middle(bursts, 'p50'):.2f}")
    print(f"  p99, $assess / bare Flask                   {middle(bursts, 'p99'):.2f}")


def burst(server: Server, body: bytes, seconds: int) -> dict[str, float]:
    """Returns rate, latencies in milliseconds and CPU seconds per request of one burst of load."""
    before = server.cpu()
    measured = load(server.port, body, seconds)
    used = (server.cpu() - before) / (measured.rate * seconds)
    return {"rate": measured.rate, "p50": measured.p50, "p99": measured.p99, "cpu": used}


def middle(bursts: list[tuple[dict[str, float], dict[str, float]]], name: str) -> float:
    """Returns the median of the ratios of neighbouring bursts."""
    return statistics.median(ours[name] / bare[name] for ours, bare in bursts)


@contextmanager
def serving(
    app: str,
    store: str = "none",
    log: IO[bytes] | None = None,
    options: Sequence[str] = OURS,
    **settings: str,
) -> Iterator[Server]:
    """Runs an application under the project's gunicorn configuration, or other options; its log in a file."""
    given = {f"SERVICE_{name}": text for name, text in settings.items()}
    port, environment = free_port(), os.environ | {"SERVICE_STORE_URL": store} | given
    command = [sys.executable, "-m", "gunicorn", *options, "-b", f"127.0.0.1:{port}", app]
    with (
        tempfile.TemporaryFile() as own,
        subprocess.Popen(command, cwd=ROOT, stderr=log or own, env=environment) as process,
    ):
        try:
            if not has_started(port, process):
                raise SystemExit(f"the server on port {port} did not start")
            yield Server(port, process)
        finally:
            process.terminate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def has_started(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Waits until the port answers; says whether it does before the process ends."""
    ends = time.monotonic() + 120  # a machine with other work takes its time
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        time.sleep(0.05)
    return False


if __name__ == "__main__":
    main()
