"""How long an EHR waits for cards, as a ratio to a bare Flask view that echoes the same body (CH14).

The calls bring their prefetch: nothing, a response, or that response and fifty laboratory values. Each call
is followed by one of the bare view, on a connection of its own, so that what else the machine does meets
both. The goal is that of CDS Hooks: 95 of 100 calls in under 500 ms.

    python -m benchmarks.cds_hooks [--calls N]
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import time
from typing import Any, Final, NamedTuple

import orjson

from benchmarks.http import BARE, SERVICE, serving
from benchmarks.load import PATH
from service.settings import ROOT

CALL: Final = "/cds-services/muscle-twitching-patient-view"
LABORATORY: Final = 50
GOAL_MS: Final = 500
_WARM: Final = 5


class Waits(NamedTuple):
    """Milliseconds of each call, and of the bare view beside it."""

    ours: list[float]
    bare: list[float]


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200, help="how many of each kind")
    asked = parser.parse_args()
    with serving(SERVICE) as ours, serving(BARE) as bare:
        for name, body in bodies().items():
            waits = measured(ours.port, bare.port, body, asked.calls)
            print(f"{name}: {len(body)} bytes, {asked.calls} calls")
            print(f"  p50, cards / bare Flask   {ratio(waits, 50):.1f}")
            print(f"  p95, cards / bare Flask   {ratio(waits, 95):.1f}")
            print(f"  p95 of the cards          {percentile(waits.ours, 95):.0f} ms (goal: {GOAL_MS} ms)")


def bodies() -> dict[str, bytes]:
    """Returns the bodies of the calls by what they bring."""
    call = _sample("cds-hooks/patient-view")
    response, *laboratory = [
        found["resource"] for found in _sample("parameters-with-chart-data")["parameter"]
    ]
    many = [laboratory[number % len(laboratory)] | {"id": f"value-{number}"} for number in range(LABORATORY)]
    one = {"responses": _searchset(_sample("progressive-weakness"))}
    kinds: dict[str, dict[str, Any]] = {
        "nothing but a reason": {},
        "a response": one,
        f"a response and {LABORATORY} laboratory values": {
            "responses": _searchset(response),
            "laboratory": _searchset(*many),
        },
    }
    return {
        name: orjson.dumps(call | {"prefetch": call["prefetch"] | brought}) for name, brought in kinds.items()
    }


def _sample(name: str) -> dict[str, Any]:
    read: dict[str, Any] = orjson.loads((ROOT / f"samples/{name}.json").read_bytes())
    return read


def _searchset(*resources: Any) -> dict[str, Any]:
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries}


def measured(ours: int, bare: int, body: bytes, calls: int) -> Waits:
    """Returns how long calls took at both ports, one after the other."""
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for port in (ours, bare)]
    waits = Waits([], [])
    for number in range(calls + _WARM):
        for connection, path, taken in zip(connections, (CALL, PATH), waits, strict=True):
            milliseconds = wait(connection, path, body)
            if number >= _WARM:
                taken.append(milliseconds)
    for connection in connections:
        connection.close()
    return waits


def wait(connection: http.client.HTTPConnection, path: str, body: bytes) -> float:
    """Returns the milliseconds that one call takes; raises SystemExit where it is refused."""
    start = time.perf_counter()
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status}")
    return (time.perf_counter() - start) * 1000


def ratio(waits: Waits, hundredths: int) -> float:
    """Returns the ratio of a percentile of the calls to that of the bare view."""
    return percentile(waits.ours, hundredths) / percentile(waits.bare, hundredths)


def percentile(waits: list[float], hundredths: int) -> float:
    """Returns what so many of a hundred stayed under."""
    return statistics.quantiles(waits, n=100, method="inclusive")[hundredths - 1]


if __name__ == "__main__":
    main()
