"""Memory of a worker: of its own, when it has started and after load, against one of a bare Flask view.

    python -m benchmarks.memory [--creates N]

What a worker shares with its master (the guidance, read once before the fork) is not its own.
"""

from __future__ import annotations

import argparse
import http.client
import re
import statistics
import tempfile
import time
from pathlib import Path

import orjson

from benchmarks.http import BARE, SERVICE, Server, serving
from service.settings import ROOT

_OWN = re.compile(r"^Private_(?:Clean|Dirty): +(\d+) kB", re.MULTILINE)
_SETTLES_S = 3


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--creates", type=int, default=1000, help="responses that are stored")
    asked = parser.parse_args()
    body = orjson.dumps(orjson.loads((ROOT / "samples" / "plain-eyelid.json").read_bytes()))
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{Path(folder) / 'store.db'}"
        with serving(SERVICE, store) as ours, serving(BARE) as bare:
            time.sleep(_SETTLES_S)
            started, plain = own(ours), own(bare)
            create(ours, body, asked.creates)
            loaded = own(ours)
    print(f"memory of a worker's own, {asked.creates} creates on all of them")
    print(f"  at the start       {started:.0f} MB, {started / plain:.1f} times a bare Flask worker")
    print(f"  after the creates  {loaded:.0f} MB, {loaded / plain:.1f} times")


def own(server: Server) -> float:
    """Returns the median of what each worker has for itself, in MB."""
    master = Path(f"/proc/{server.process.pid}")
    workers = (master / "task" / master.name / "children").read_text().split()
    sizes = [Path(f"/proc/{worker}/smaps_rollup").read_text() for worker in workers]
    return statistics.median(sum(map(int, _OWN.findall(size))) / 1024 for size in sizes)


def create(server: Server, body: bytes, times: int) -> None:
    """Stores the response again and again, each time on a connection of its own."""
    for _ in range(times):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        headers = {"Content-Type": "application/fhir+json"}
        connection.request("POST", "/fhir/QuestionnaireResponse", body, headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != 201:
            raise SystemExit(f"a create was answered {answer.status}")


if __name__ == "__main__":
    main()
