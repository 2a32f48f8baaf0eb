"""How long `/readyz` waits while everything that a sender can make costly is answered at once.

    python -m benchmarks.waiting [--rounds N]

The bodies are those of `tests/support/costly_bodies.py`, each on a connection of its own. The goal is 250 ms.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from types import ModuleType

from benchmarks.http import SERVICE, serving
from service.settings import ROOT

_PAUSE_S = 0.01


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="how often each body is sent, all at once")
    asked = parser.parse_args()
    costly = list(_bodies().requests().values()) * asked.rounds
    with tempfile.TemporaryDirectory() as folder, serving(SERVICE, f"sqlite:///{folder}/store.db") as server:
        quiet = [wait(server.port) for _ in range(50)]
        statuses: Counter[int] = Counter()
        senders = [
            threading.Thread(target=lambda one=one: statuses.update([send(server.port, one.path, one.body)]))
            for one in costly
        ]
        for sender in senders:
            sender.start()
        loud = []
        while any(sender.is_alive() for sender in senders):
            loud.append(wait(server.port))
            time.sleep(_PAUSE_S)
    print(f"/readyz while {len(costly)} costly bodies are answered at once ({dict(statuses)})")
    print(f"  before     {figures(quiet)}")
    print(f"  meanwhile  {figures(loud)} (goal: 250 ms)")


def figures(waits: list[float]) -> str:
    """Returns the waits in words."""
    median, p99 = statistics.median(waits), statistics.quantiles(waits, n=100, method="inclusive")[98]
    return f"p50 {median:.0f} ms, p99 {p99:.0f} ms, longest {max(waits):.0f} ms"


def send(port: int, path: str, body: bytes) -> int:
    """Returns the status of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", path, body, {"Content-Type": "application/fhir+json"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def wait(port: int) -> float:
    """Returns the milliseconds until `/readyz` has answered on a new connection."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", "/readyz")
    connection.getresponse().read()
    connection.close()
    return (time.perf_counter() - started) * 1000


def _bodies() -> ModuleType:
    sys.path.insert(0, str(Path(ROOT) / "tests" / "support"))
    import costly_bodies

    return costly_bodies


if __name__ == "__main__":
    main()
