"""Puts a service under mixed load for minutes and kills its workers again and again: what must hold then.

    python -m benchmarks.soak [--seconds 1200] [--every 30] [--clients 8] [--postgresql]

The service runs as in production: gunicorn with its defaults, two workers, audit trail and metrics, on a new
file of SQLite, or a new PostgreSQL server of its own. Clients on this machine keep connections and open new
ones; they create, update, read, search, score, send bodies that are none, and hang up in the middle of one.
The exit code is 1 where one of these does not hold:

- Every answer is the expected one, and none is 5xx. One kind is counted apart, and may be one in a hundred:
  503 with Retry-After, by which a service says that it has too much to do (`store-busy`; of a body of more
  than 16 KB, `sandbox-busy`; check PX04). Who is told so comes again.
- A connection breaks only where it is one of a worker that was killed. The kernel says which these are: the
  worker is stopped, its sockets are read, then it is killed with -9. Whoever lost a connection asks again; a
  create carries `If-None-Exist` from the first time on.
- Every write that was acknowledged is found afterwards: by its id, by a search, and with its RiskAssessment.
  Nothing else is stored: no create that was sent again was stored twice.
- The memory and the open files of the master, and of a worker that lives almost to the end, do not grow.
- The audit trail is whole, and the log tells of no breakdown.

Latencies are those of a client beside the service, on the same processors.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import IO, Any
from urllib.parse import quote, urlsplit

import orjson

from benchmarks.http import SERVICE, Server, serving
from benchmarks.local_postgresql import server as postgresql
from service.settings import ROOT

SYSTEM = "https://soak.example.org/identifier"
COMPLETE = ("plain-eyelid", "progressive-weakness", "contradictory", "professional-with-labs")
SAMPLES = (*COMPLETE, "partial")
TYPE = "/fhir/QuestionnaireResponse"
ASSESS = f"{TYPE}/$assess"
JSON = {"Content-Type": "application/fhir+json"}
PATIENCE_S = 300
"""For one answer, however often it was asked for."""
LARGE_BYTES = 20_000
BUSY = ("store-busy", "sandbox-busy")
ENOUGH_FAULTS = 20
KEPT_REQUESTS = 200
"""After so many requests, more or less, a client opens another connection."""
BATCH = 50
GROWTH, GROWTH_MB, GROWTH_FILES = 1.25, 16, 16


@dataclass(frozen=True)
class Bad:
    """A request that cannot be answered as its sender wants, and the status that says so."""

    status: int
    body: bytes
    path: str = TYPE
    headers: dict[str, str] = field(default_factory=lambda: JSON)


BAD = (
    Bad(400, b"{"),
    Bad(400, b""),
    Bad(400, b"\xff\xfe{}"),
    Bad(400, b'{"resourceType":"QuestionnaireResponse","status":"completed","status":"amended"}'),
    Bad(400, b'{"resourceType":"Patient"}', ASSESS),
    Bad(400, b"[" * 5000, ASSESS),
    Bad(400, b'{"resourceType":"QuestionnaireResponse","status":NaN}', ASSESS),
    Bad(415, b"<QuestionnaireResponse/>", headers={"Content-Type": "application/fhir+xml"}),
    Bad(413, b" " * 1_100_000, ASSESS),
    Bad(400, b"no gzip", ASSESS, JSON | {"Content-Encoding": "gzip"}),
    Bad(404, b"{}", "/fhir/NoSuchType"),
)


@dataclass(frozen=True)
class Kill:
    """When a worker was killed, and the clients' ports of the connections that it had then."""

    at: float
    ports: frozenset[int]


@dataclass(frozen=True)
class Written:
    """What was acknowledged of one response: its id, and the newest version."""

    id: str
    version: int


class Observed:
    """What clients saw, all of them together; each method may be called from any thread."""

    def __init__(self) -> None:
        self.written: dict[str, Written] = {}
        self._identifiers: list[str] = []
        self.faults: list[str] = []
        self.kills: list[Kill] = []
        self.counts: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def number(self) -> int:
        """Returns a number that nobody else has."""
        with self._lock:
            return next(self._numbers)

    def count(self, name: str) -> None:
        """Counts something once more."""
        with self._lock:
            self.counts[name] += 1

    def took(self, kind: str, seconds: float) -> None:
        """Notes how long a request of this kind took, from its first byte to the last of its answer."""
        with self._lock:
            self.seconds[kind].append(seconds)

    def fault(self, text: str) -> None:
        """Notes what should not have been; after many of them nothing more is asked."""
        with self._lock:
            self.faults.append(text)
            if len(self.faults) >= ENOUGH_FAULTS:
                self.over.set()

    def acknowledge(self, identifier: str, resource: dict[str, Any]) -> None:
        """Notes that this version, and with it all before it, is stored for good."""
        with self._lock:
            known = self.written.get(identifier)
            if known is None:
                self._identifiers.append(identifier)
            version = max(version_of(resource), known.version if known else 0)
            self.written[identifier] = Written(resource["id"], version)

    def any_written(self, chance: Random) -> tuple[str, Written] | None:
        """Returns one of the newest thousand responses, None as long as there is none."""
        with self._lock:
            if not self._identifiers:
                return None
            identifier = chance.choice(self._identifiers[-1000:])
            return identifier, self.written[identifier]

    def lost(self, port: int, opened: float, fault: Exception) -> None:
        """Notes that a connection broke: a fault, unless its worker was killed since it was opened."""
        if any(kill.at >= opened and port in kill.ports for kill in self.kills):
            self.count("connections of killed workers")
        else:
            self.fault(f"a connection broke that no killed worker had: {type(fault).__name__}")


class Client(threading.Thread):
    """One client, with one connection at a time; does what chance says until it is over."""

    def __init__(self, port: int, seed: int, observed: Observed, bodies: Bodies) -> None:
        super().__init__(daemon=True)
        self._port, self._chance, self._observed, self._bodies = port, Random(seed), observed, bodies
        self._connection: http.client.HTTPConnection | None = None
        self._own_port, self._opened = 0, 0.0

    def run(self) -> None:
        """Does one thing after the other."""
        kinds: dict[Callable[[], None], int] = {
            self._create: 12,
            self._update: 3,
            self._read: 25,
            self._read_result: 10,
            self._search: 12,
            self._assess: 25,
            self._assess_large: 1,
            self._send_what_is_bad: 10,
            self._hang_up: 2,
        }
        try:
            while not self._observed.over.is_set():
                (work,) = self._chance.choices(list(kinds), list(kinds.values()))
                work()
                if self._chance.randrange(KEPT_REQUESTS) == 0:
                    self._close()
        except Exception as fault:  # noqa: BLE001 - a client that ends early would go unnoticed
            self._observed.fault(f"a client ended: {type(fault).__name__}: {fault}")
        self._close()

    def _create(self) -> None:
        identifier = f"{self._observed.number()}"
        body = self._bodies.response(self._chance.choice(SAMPLES), identifier)
        headers = JSON | {"If-None-Exist": f"identifier={quote(f'{SYSTEM}|{identifier}')}"}
        found = self._ask("create", "POST", TYPE, body, headers, expected=(201, 200))
        if found is not None:
            self._observed.acknowledge(identifier, found)

    def _update(self) -> None:
        known = self._observed.any_written(self._chance)
        if known is None:
            return
        identifier, written = known
        name = self._chance.choice(COMPLETE)
        body = self._bodies.response(name, identifier, id=written.id, status="amended")
        found = self._ask("update", "PUT", f"{TYPE}/{written.id}", body, JSON, expected=(200,))
        if found is not None:
            self._observed.acknowledge(identifier, found)

    def _read(self) -> None:
        known = self._observed.any_written(self._chance)
        if known is None:
            return
        found = self._ask("read", "GET", f"{TYPE}/{known[1].id}", expected=(200,))
        self._hold(found is None or said_of(found) == known[0], "a read found another response")
        self._hold(found is None or version_of(found) >= known[1].version, "a read found a former version")

    def _read_result(self) -> None:
        known = self._observed.any_written(self._chance)
        if known is not None:
            self._ask("read a result", "GET", f"/fhir/RiskAssessment/{known[1].id}", expected=(200,))

    def _search(self) -> None:
        known = self._observed.any_written(self._chance)
        if known is None:
            return
        wanted = quote(f"{SYSTEM}|{known[0]}")
        path = f"{TYPE}?identifier={wanted}&_revinclude=RiskAssessment:basis"
        found = self._ask("search", "GET", path, expected=(200,))
        if found is not None:
            kinds = sorted(entry["resource"]["resourceType"] for entry in found["entry"])
            self._hold(kinds == ["QuestionnaireResponse", "RiskAssessment"], f"a search found {kinds}")

    def _assess(self) -> None:
        name = self._chance.choice(SAMPLES)
        found = self._ask("assess", "POST", ASSESS, self._bodies.samples[name], JSON, expected=(200,))
        self._hold(found is None or found == self._bodies.results[name], "a score is not the first one")

    def _assess_large(self) -> None:
        name = self._chance.choice(SAMPLES)
        body = self._bodies.samples[name].ljust(LARGE_BYTES)
        found = self._ask("assess large", "POST", ASSESS, body, JSON, expected=(200,))
        self._hold(found is None or found == self._bodies.results[name], "a score is not the first one")

    def _send_what_is_bad(self) -> None:
        bad = self._chance.choice(BAD)
        found = self._ask("bad", "POST", bad.path, bad.body, bad.headers, expected=(bad.status,))
        self._hold(found is None or found["resourceType"] == "OperationOutcome", "a refusal is no outcome")

    def _hang_up(self) -> None:
        """Sends half a body and leaves."""
        with suppress(OSError, http.client.HTTPException):
            connection = self._connected()
            connection.putrequest("POST", TYPE)
            connection.putheader("Content-Type", JSON["Content-Type"])
            connection.putheader("Content-Length", "10000")
            connection.endheaders(b'{"resourceType":"QuestionnaireResponse",')
            self._observed.count("hung up")
        self._close()

    def _hold(self, holds: bool, text: str) -> None:  # noqa: FBT001 - as an assertion has it
        if not holds:
            self._observed.fault(text)

    def _ask(
        self,
        kind: str,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        expected: tuple[int, ...],
    ) -> dict[str, Any] | None:
        """Returns the document that was answered; None, and a fault, where it is not as expected.

        It asks again where a killed worker lost the connection, and where it is told to come again.
        """
        limit = time.monotonic() + PATIENCE_S
        while time.monotonic() < limit and len(self._observed.faults) < ENOUGH_FAULTS:
            started = time.perf_counter()
            try:
                connection = self._connected()
                connection.request(method, path, body, headers or {})
                answer = connection.getresponse()
                document = orjson.loads(answer.read())
            except (OSError, http.client.HTTPException) as fault:
                self._observed.lost(self._own_port, self._opened, fault)
                self._close()
                continue
            self._observed.took(kind, time.perf_counter() - started)
            self._observed.count(f"{answer.status // 100}xx")
            if answer.status in expected:
                return dict(document)
            if not self._is_told_to_wait(answer, document):
                self._observed.fault(f"{kind} was answered {answer.status}: {problem_of(document)}")
                return None
        self._observed.fault(f"{kind} was not answered")
        return None

    def _is_told_to_wait(self, answer: http.client.HTTPResponse, document: dict[str, Any]) -> bool:
        """Tells whether this is the one 5xx that may be, and waits as long as it says."""
        wait = answer.getheader("Retry-After", "")
        if answer.status != 503 or problem_of(document) not in BUSY or not wait:
            return False
        self._observed.count("told to come again")
        self._observed.over.wait(float(wait))
        return True

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None or self._connection.sock is None:
            self._own_port, self._opened = 0, time.monotonic()
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
            self._connection.connect()
            self._own_port = self._connection.sock.getsockname()[1]
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class Bodies:
    """The samples, and what the service says of each when nothing else goes on."""

    def __init__(self, port: int) -> None:
        documents = {name: orjson.loads((ROOT / f"samples/{name}.json").read_bytes()) for name in SAMPLES}
        self._documents = documents
        self.samples = {name: orjson.dumps(document) for name, document in documents.items()}
        self.results = {name: ask(port, "POST", ASSESS, body) for name, body in self.samples.items()}

    def response(self, name: str, identifier: str, **changes: Any) -> bytes:
        """Returns a sample with an identifier and a patient of its own."""
        body = self._documents[name]
        own = {
            "identifier": {"system": SYSTEM, "value": identifier},
            "subject": {"reference": f"Patient/{identifier}"},
        }
        return orjson.dumps({name: value for name, value in body.items() if name != "id"} | own | changes)


def said_of(response: dict[str, Any]) -> str:
    return str(response["identifier"]["value"])


def version_of(resource: dict[str, Any]) -> int:
    return int(resource["meta"]["versionId"])


def problem_of(document: dict[str, Any]) -> str:
    """Returns the kind of problem that an outcome names first, or an empty text."""
    with suppress(LookupError, TypeError):
        return str(document["issue"][0]["details"]["coding"][0]["code"])
    return ""


def ask(port: int, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
    """Returns the document of one request on a connection of its own; gives up where that is not 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, JSON)
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"{method} {path.partition('?')[0]} was answered {answer.status}")
        return dict(orjson.loads(answer.read()))
    finally:
        connection.close()


# The processes.


def workers_of(master: int) -> list[int]:
    """Returns the workers that run, the oldest first."""
    children = map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())
    started = {}
    for child in children:
        with suppress(OSError):  # it has ended meanwhile
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                started[child] = int(fields[19])
    return sorted(started, key=lambda child: (started[child], child))


def stop(worker: int, port: int) -> Kill:
    """Stops a worker in the midst of what it does; returns which connections go with it when it is killed.

    From then on it takes no connection and closes none.
    """
    os.kill(worker, signal.SIGSTOP)
    while not all(is_stopped(task) for task in Path(f"/proc/{worker}/task").iterdir()):
        time.sleep(0.001)
    inodes = set()
    for file in Path(f"/proc/{worker}/fd").iterdir():
        with suppress(OSError):
            name = str(file.readlink())
            if name.startswith("socket:["):
                inodes.add(name.removeprefix("socket:[").removesuffix("]"))
    return Kill(time.monotonic(), frozenset(clients_of(inodes, port)))


def is_stopped(task: Path) -> bool:
    return (task / "stat").read_text().rpartition(")")[2].split()[0] in "TtZX"


def clients_of(inodes: set[str], port: int) -> Iterator[int]:
    """Yields the ports from which clients are connected to these sockets of a server on this port."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *more = line.split()
        if more[6] in inodes and int(local.rpartition(":")[2], 16) == port:
            yield int(remote.rpartition(":")[2], 16)


@dataclass(frozen=True)
class Size:
    """Memory in MB, shared memory included, and open files of a process."""

    memory: float
    files: int


def size_of(process: int) -> Size:
    resident = int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    return Size(resident / 2**20, len(list(Path(f"/proc/{process}/fd").iterdir())))


def between(sizes: list[Size]) -> tuple[Size, Size]:
    """Returns the middle of what was seen in the second fifth of the time, and of that in the last."""
    fifth = max(1, len(sizes) // 5)
    return middle(sizes[fifth : 2 * fifth] or sizes), middle(sizes[-fifth:])


def middle(sizes: list[Size]) -> Size:
    memory = statistics.median(size.memory for size in sizes)
    return Size(memory, round(statistics.median(size.files for size in sizes)))


# The course of it.


def put_under_load(server: Server, seconds: float, every: float, clients: int) -> tuple[Observed, Sizes]:
    """Runs the clients, and kills a worker every so many seconds.

    It is the younger of the two, so that one of them grows old; the last time it is the older one.
    """
    observed, bodies, sizes = Observed(), Bodies(server.port), Sizes(server.process.pid)
    running = [Client(server.port, seed, observed, bodies) for seed in range(clients)]
    for client in running:
        client.start()
    started = time.monotonic()
    for number in itertools.count(1):
        while (left := min(number * every, seconds) - (time.monotonic() - started)) > 0:
            if observed.over.wait(min(left, 1)):
                break
            sizes.look()
        if number * every >= seconds or observed.over.is_set():
            break
        workers = both_workers(server.process.pid)
        last = (number + 1) * every >= seconds
        worker = workers[0 if last else -1]
        try:
            observed.kills.append(stop(worker, server.port))
            os.kill(worker, signal.SIGKILL)
        except (ProcessLookupError, FileNotFoundError):
            observed.fault("a worker ended that nobody had killed")
    observed.over.set()
    for client in running:
        client.join(PATIENCE_S)
        if client.is_alive():
            observed.fault("a client did not come to an end")
    return observed, sizes


def both_workers(master: int) -> list[int]:
    """Returns the two workers once there are two, the older one first."""
    limit = time.monotonic() + PATIENCE_S
    while len(workers := workers_of(master)) < 2:
        if time.monotonic() > limit:
            raise SystemExit("a worker that was killed has not been replaced")
        time.sleep(0.1)
    return workers


class Sizes:
    """How large the master and its first worker were in the course of time."""

    def __init__(self, master: int) -> None:
        self._processes = {"master": master, "worker": both_workers(master)[0]}
        self.seen: dict[str, list[Size]] = defaultdict(list)

    def look(self) -> None:
        """Notes how large they are now."""
        for name, process in self._processes.items():
            with suppress(OSError):  # the worker has been killed: the end of its time
                self.seen[name].append(size_of(process))

    def faults(self) -> Iterator[str]:
        """Yields what grew by more than chance explains."""
        for name, sizes in self.seen.items():
            before, after = between(sizes)
            if after.memory > max(before.memory * GROWTH, before.memory + GROWTH_MB):
                yield f"the memory of the {name} grew from {before.memory:.0f} to {after.memory:.0f} MB"
            if after.files > before.files + GROWTH_FILES:
                yield f"the open files of the {name} grew from {before.files} to {after.files}"


def what_is_missing(port: int, written: dict[str, Written]) -> Iterator[str]:
    """Yields what was acknowledged and is not found, and what is there and should not be."""
    for kind in ("QuestionnaireResponse", "RiskAssessment"):
        stored = number_of(port, kind)
        if stored != len(written):
            yield f"{len(written)} responses were acknowledged, and {stored} {kind}s are stored"
    wanted = list(written.items())
    for first in range(0, len(wanted), BATCH):
        some = dict(wanted[first : first + BATCH])
        yield from not_read(port, some)
        yield from not_searched(port, some)


def number_of(port: int, kind: str) -> int:
    """Returns how many there are, page by page: above 10,000 the service counts nothing (docs/search.md)."""
    found, path = 0, f"/fhir/{kind}?_elements=identifier&_count=1000"
    while path:
        bundle = ask(port, "GET", path)
        found += len(bundle.get("entry", ()))
        links = {link["relation"]: urlsplit(link["url"]) for link in bundle["link"]}
        path = f"{links['next'].path}?{links['next'].query}" if "next" in links else ""
    return found


def not_read(port: int, written: dict[str, Written]) -> Iterator[str]:
    for kind in ("QuestionnaireResponse", "RiskAssessment"):
        entries = [{"request": {"method": "GET", "url": f"{kind}/{one.id}"}} for one in written.values()]
        bundle = orjson.dumps({"resourceType": "Bundle", "type": "batch", "entry": entries})
        answers = ask(port, "POST", "/fhir", bundle)["entry"]
        for (identifier, known), answer in zip(written.items(), answers, strict=True):
            found = answer.get("resource", {})
            if found.get("resourceType") != kind or found["id"] != known.id:
                yield f"a {kind} is not found by its id: {answer['response']['status']}"
            elif version_of(found) < known.version:
                yield f"a {kind} is found in version {version_of(found)}, not in {known.version}"
            elif kind == "QuestionnaireResponse" and said_of(found) != identifier:
                yield "a response is found under the id of another"


def not_searched(port: int, written: dict[str, Written]) -> Iterator[str]:
    ids = {one.id for one in written.values()}
    identifiers = ",".join(quote(f"{SYSTEM}|{identifier}") for identifier in written)
    responses = ",".join(f"QuestionnaireResponse/{one}" for one in ids)
    for path in (f"{TYPE}?identifier={identifiers}", f"/fhir/RiskAssessment?basis={responses}"):
        bundle = ask(port, "GET", f"{path}&_count={2 * BATCH}&_elements=identifier")
        found = Counter(entry["resource"]["id"] for entry in bundle["entry"])
        if found != Counter(ids):
            yield f"a search for {len(ids)} found {len(ids & set(found))} of them, {found.total()} in all"


def faults_of_the_trail(store: str) -> Iterator[str]:
    command = [sys.executable, "-m", "service", "audit", "--verify"]
    settings = os.environ | {"SERVICE_STORE_URL": store, "SERVICE_AUDIT": "true"}
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        yield f"the audit trail is not whole: {done.stdout or done.stderr}"


def faults_of_the_log(log: IO[bytes]) -> Iterator[str]:
    log.seek(0)
    for line in log:
        if b'"failed"' in line or b"Traceback" in line or b"WORKER TIMEOUT" in line or b'"deadline"' in line:
            yield f"the log says {line.decode(errors='replace').strip()[:300]}"


@dataclass(frozen=True)
class Report:
    """What was seen, and every fault."""

    observed: Observed
    sizes: Sizes
    faults: list[str]

    def lines(self) -> Iterator[str]:
        """Yields the figures, one line each."""
        counts, kills = self.observed.counts, self.observed.kills
        answers = ", ".join(f"{counts[name]} {name}" for name in ("2xx", "4xx", "5xx"))
        yield f"answers: {answers} (of these {counts['told to come again']} told to come again)"
        broken = counts["connections of killed workers"]
        yield f"workers killed: {len(kills)}; requests that they had begun and that were sent again: {broken}"
        yield f"acknowledged: {len(self.observed.written)} responses, each found by id and by search"
        for kind, taken in sorted(self.observed.seconds.items()):
            yield f"  {kind:15} {len(taken):8} times, {figures(taken)}"
        yield f"  {'all':15} {figures([one for some in self.observed.seconds.values() for one in some])}"
        for name, sizes in self.sizes.seen.items():
            before, after = between(sizes)
            memory, files = (
                f"{before.memory:.0f} to {after.memory:.0f} MB",
                f"{before.files} to {after.files}",
            )
            yield f"{name}: {memory}, {files} open files"


def figures(taken: list[float]) -> str:
    hundredths = statistics.quantiles([one * 1000 for one in taken], n=100, method="inclusive")
    return f"p50 {hundredths[49]:.0f} ms, p99 {hundredths[98]:.0f} ms, longest {max(taken) * 1000:.0f} ms"


def soak(store: str, *, seconds: float, every: float, clients: int = 8, **settings: str) -> Report:
    """Runs the service on this store, which is empty, and returns what was seen of it."""
    given = {"WORKERS": "2", "AUDIT": "true", "METRICS": "true", **settings}
    with tempfile.TemporaryFile() as log:
        with serving(SERVICE, store, log=log, **given) as server:
            observed, sizes = put_under_load(server, seconds, every, clients)
            faults = [*observed.faults, *sizes.faults(), *what_is_missing(server.port, observed.written)]
        faults += [*faults_of_the_log(log), *faults_of_the_trail(store)]
    if observed.counts["told to come again"] > sum(map(len, observed.seconds.values())) / 100:
        faults.append("more than one answer in a hundred was that the machine has too much to do")
    if not (observed.written and observed.counts["connections of killed workers"]):
        faults.append("nothing was acknowledged, or no worker was killed while something was under way")
    return Report(observed, sizes, faults)


@contextmanager
def new_store(*, on_postgresql: bool) -> Iterator[str]:
    """Yields the address of an empty store, which is gone afterwards."""
    if on_postgresql:
        with postgresql() as server:
            yield server.url
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/store.db"


def main() -> int:
    """Prints the figures, and what did not hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--every", type=float, default=30, help="seconds between two kills")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL instead of SQLite")
    asked = parser.parse_args()
    with new_store(on_postgresql=asked.postgresql) as store:
        report = soak(store, seconds=asked.seconds, every=asked.every, clients=asked.clients)
    kind = "PostgreSQL" if asked.postgresql else "SQLite"
    print(f"two workers on {kind}, {asked.clients} clients, {asked.seconds:.0f} s")
    print(*report.lines(), sep="\n")
    print(*(f"FAULT: {fault}" for fault in report.faults), sep="\n", end="\n" if report.faults else "")
    print("all holds" if not report.faults else f"{len(report.faults)} faults")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
