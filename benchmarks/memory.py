"""Memory of a worker: of its own, when it has started and after load, against one of a bare Flask view.

    python -m benchmarks.memory [--creates N]

What a worker shares with its master (the guidance, read once before the fork) is not its own. The bare view
runs under a gunicorn without any configuration, and under this project's, which has imported before the fork
what both need. Each answers the same number of requests.
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

from benchmarks.http import BARE, PLAIN, SERVICE, Server, serving
from benchmarks.load import PATH
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
        with serving(SERVICE, store) as ours, serving(BARE, options=PLAIN) as bare, serving(BARE) as shared:
            servers = (ours, bare, shared)
            time.sleep(_SETTLES_S)
            started = [own(server) for server in servers]
            send(ours, "/fhir/QuestionnaireResponse", body, asked.creates)
            send(bare, PATH, body, asked.creates)
            send(shared, PATH, body, asked.creates)
            loaded = [own(server) for server in servers]
    print(f"memory of a worker's own, {asked.creates} creates on all of them")
    for when, (our, plain, alike) in (("at the start", started), ("after the creates", loaded)):
        print(f"  {when:18} {our:.0f} MB, {our / plain:.1f} times a bare Flask worker ({plain:.0f} MB),")
        print(f"  {'':18} {our / alike:.1f} times one under this project's configuration ({alike:.0f} MB)")


def own(server: Server) -> float:
    """Returns the median of what each worker has for itself, in MB."""
    master = Path(f"/proc/{server.process.pid}")
    workers = (master / "task" / master.name / "children").read_text().split()
    sizes = [Path(f"/proc/{worker}/smaps_rollup").read_text() for worker in workers]
    return statistics.median(sum(map(int, _OWN.findall(size))) / 1024 for size in sizes)


def send(server: Server, path: str, body: bytes, times: int) -> None:
    """Sends the response again and again, each time on a connection of its own."""
    for _ in range(times):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", path, body, {"Content-Type": "application/fhir+json"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status not in (200, 201):
            raise SystemExit(f"{path} was answered {answer.status}")


if __name__ == "__main__":
    main()
