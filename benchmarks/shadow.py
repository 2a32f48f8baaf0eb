"""What the next guidance costs: a service that scores every response by it too, against the same without.

Both run with one worker under the same gunicorn configuration, and short runs alternate. A client that sends
one request after the other with pauses between says how long an answer takes; many connections at once say
what is left of the rate, and how many responses were not scored by the next guidance for want of time. What
the next guidance takes comes after the answer, so the processor time tells of it and the wait does not.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

import orjson

from benchmarks.http import SERVICE, Server, serving
from benchmarks.load import CONNECTIONS, PATH, load
from service.settings import ROOT
from service.shadow import DROPPED
from service.web.metrics import shadow_counts

PAUSE_S = 0.01
HEADERS = {"Content-Type": "application/fhir+json"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=Path, default=ROOT / "samples" / "plain-eyelid.json")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=100, help="answers of one run")
    parser.add_argument("--seconds", type=int, default=2, help="length of one burst of load; 0 for none")
    asked = parser.parse_args()
    body = orjson.dumps(orjson.loads(asked.sample.read_bytes()))
    given = {"METRICS": "true", "WORKERS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        following = copied(Path(folder))
        with (
            serving(SERVICE, **given) as plain,
            serving(SERVICE, **given, NEXT_MAPPINGS_DIR=str(following)) as shadowed,
        ):
            report(plain, shadowed, body, asked)


def copied(folder: Path) -> Path:
    """Returns mappings of another version, which says the same: the costliest case, as both are evaluated."""
    shutil.copytree(ROOT / "mappings", folder, dirs_exist_ok=True)
    for path in folder.glob("*/guidance.yaml"):
        text = path.read_text().replace("\nversion: ", "\nversion: 9", 1)
        path.write_text(text)
    return folder


def report(plain: Server, shadowed: Server, body: bytes, asked: argparse.Namespace) -> None:
    """Prints the ratios."""
    for server in (plain, shadowed):
        paced(server, body, asked.requests)
    runs = [
        (paced(shadowed, body, asked.requests), paced(plain, body, asked.requests))
        for _ in range(asked.rounds)
    ]
    print(f"{asked.sample.name}: with the next guidance / without, medians of {asked.rounds} runs")
    for name, place in (("half of the answers", 0), ("95 of 100", 1), ("processor time of a request", 2)):
        ratio = statistics.median(one[place] / other[place] for one, other in runs)
        print(f"  {name:<28} {ratio:.2f}")
    if asked.seconds:
        before = counted(shadowed)
        rates = [
            (load(shadowed.port, body, asked.seconds).rate, load(plain.port, body, asked.seconds).rate)
            for _ in range(asked.rounds)
        ]
        time.sleep(1)
        done, dropped = (after - was for after, was in zip(counted(shadowed), before, strict=True))
        print(
            f"  requests per second, {CONNECTIONS} at once  {statistics.median(a / b for a, b in rates):.2f}"
        )
        print(f"  of these not scored for want of time  {dropped / (done + dropped):.0%}")


def paced(server: Server, body: bytes, requests: int) -> tuple[float, float, float]:
    """Returns how long half and 95 of 100 answers take, and the processor time of a request, in seconds."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    taken, before = [], server.cpu()
    for _ in range(requests):
        time.sleep(PAUSE_S)
        began = time.perf_counter()
        connection.request("POST", PATH, body, HEADERS)
        answer = connection.getresponse()
        answer.read()
        taken.append(time.perf_counter() - began)
        assert answer.status == 200
    time.sleep(0.2)  # what was put off is done
    connection.close()
    taken.sort()
    return taken[requests // 2], taken[requests * 95 // 100], max(server.cpu() - before, 0.01) / requests


def counted(server: Server) -> tuple[int, int]:
    """Returns how many responses were scored by the next guidance, and how many were not for want of time."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/metrics")
    counts = shadow_counts(connection.getresponse().read().decode())
    connection.close()
    done = sum(number for (name, _), number in counts.items() if name == "results")
    return done, sum(number for (_, values), number in counts.items() if values[-1] == DROPPED)


if __name__ == "__main__":
    main()
