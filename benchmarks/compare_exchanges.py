"""Sends requests to a running service and runs its commands, and writes down what comes back."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

from benchmarks.compare_masks import Masks
from benchmarks.http import free_port, has_started

BASE = "https://fhir.example.org/r4"
ORIGIN = "https://app.example.org"
PATIENCE_S = 60
_ATTEMPTS, _SLOW_S = 6, 1.0
FHIR_JSON = "application/fhir+json"
RAW = "RAW"
"""In place of a method: the body is the whole request, sent as it is."""
_VARYING = ("Date",)
_PRINTABLE = "".join(map(chr, range(33, 127)))


@dataclass(frozen=True)
class Answer:
    """What came back: the body as it was sent, in this run's own words."""

    status: int
    headers: tuple[tuple[str, str], ...]
    text: str

    @property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.text)


@dataclass(frozen=True)
class Tree:
    """A checkout of the program, a folder for what it writes, one for what it reads, since when."""

    path: Path
    work: Path
    files: Path
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def settings(self, given: Mapping[str, str]) -> dict[str, str]:
        """Returns the environment of a process of this tree."""
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("SERVICE_")}
        return inherited | {f"SERVICE_{name}": self.placed(text) for name, text in given.items()}

    def placed(self, text: str) -> str:
        """Returns the text with the folders of this run in place of their names."""
        return text.replace("<work>", str(self.work)).replace("<files>", str(self.files))

    def unplaced(self, text: str) -> str:
        """Returns the text with names in place of the folders of this run."""
        for folder, name in ((self.work, "<work>"), (self.files, "<files>"), (self.path, "<tree>")):
            text = text.replace(str(folder), name)
        return text.replace(sys.executable, "<python>")


class Recorder:
    """Makes exchanges with one tree, and writes each as a line of JSON."""

    def __init__(self, tree: Tree, lines: TextIO) -> None:
        self.tree = tree
        self._lines = lines
        self._masks = Masks(tree.started)
        self._ports: dict[str, int] = {}
        self._connections: dict[str, socket.socket] = {}
        self._labels: set[str] = set()
        self.count = 0

    def serve(self, server: str, port: int) -> None:
        """Sends what is asked of `server` to this port from now on."""
        self._ports[server] = port

    def ask(
        self,
        label: str,
        method: str,
        path: str,
        body: str | bytes | None,
        headers: Mapping[str, str],
        server: str,
    ) -> Answer:
        """Sends a request and writes it down with what comes back; values of this run become names."""
        label = self._new(label)
        self._masks.begin(label)
        answer = self._in_time(server, method, _raw(method, quote(path, safe=_PRINTABLE), body, headers))
        kept = [
            (name, "<it>" if name in _VARYING else self._masks.masked(value))
            for name, value in _related(answer)
        ]
        text = self._masks.masked(answer.text)
        asked = {"label": label, "method": method, "path": self._masks.written(path)}
        self._write(asked | {"status": answer.status, "answer_headers": kept, "answer": text})
        return answer

    def _in_time(self, server: str, method: str, raw: bytes) -> Answer:
        """Sends a request, again where the answer is that the machine was too busy for it."""
        for _ in range(_ATTEMPTS):
            started = time.monotonic()
            answer = self._sent(server, method, raw)
            if "too-costly" not in answer.text or time.monotonic() - started < _SLOW_S:
                break
        return answer

    def run(
        self, label: str, command: Sequence[str], settings: Mapping[str, str], stdin: str | None = None
    ) -> None:
        """Runs `python -m service ...` in the tree, and writes down its exit code and all that it prints."""
        label = self._new(label)
        self._masks.begin(label)
        words = [self.tree.placed(word) for word in command]
        done = subprocess.run(
            [sys.executable, "-m", "service", *words],
            cwd=self.tree.path,
            env=self.tree.settings(settings),
            input=(stdin or "").encode(),
            capture_output=True,
            timeout=300,
            check=False,
        )
        out, err = (
            self._masks.masked(self.tree.unplaced(stream.decode(errors="backslashreplace")))
            for stream in (done.stdout, done.stderr)
        )
        asked = {"label": label, "command": list(command)}
        self._write(asked | {"exit": done.returncode, "out": out, "err": err})

    def close(self) -> None:
        """Closes the connections."""
        for connection in self._connections.values():
            connection.close()

    def _new(self, label: str) -> str:
        steady = re.sub(r"<[^<>]*#[0-9]+>", "it", self._masks.written(label))
        clean = re.sub(r"[<>#\"\\\s]+", "_", steady)[:150]
        number, unique = 1, clean
        while unique in self._labels:
            number += 1
            unique = f"{clean}~{number}"
        self._labels.add(unique)
        return unique

    def _write(self, line: Mapping[str, Any]) -> None:
        self.count += 1
        self._lines.write(json.dumps(line) + "\n")

    def _sent(self, server: str, method: str, raw: bytes) -> Answer:
        for last in (False, True):
            connection = self._connection(server)
            try:
                return self._received(server, method, raw, connection)
            except (OSError, HTTPException):
                self._drop(server)
                if last:
                    raise
        raise AssertionError

    def _received(self, server: str, method: str, raw: bytes, connection: socket.socket) -> Answer:
        # What is refused before all of it was read may have its answer all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(raw)
        response = HTTPResponse(connection, method=method)
        response.begin()
        data = response.read()
        if response.will_close or method == RAW:
            self._drop(server)
        return Answer(response.status, tuple(response.getheaders()), data.decode("utf-8", "backslashreplace"))

    def _connection(self, server: str) -> socket.socket:
        if server not in self._connections:
            found = socket.create_connection(("127.0.0.1", self._ports[server]), PATIENCE_S)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[server] = found
        return self._connections[server]

    def _drop(self, server: str) -> None:
        connection = self._connections.pop(server, None)
        if connection is not None:
            connection.close()


@dataclass(frozen=True)
class Service:
    """One of the servers. An exchange is named for its request, and for `what` is sent.

    Keywords are headers: `if_match='W/"1"'` is sent as `If-Match`. A resource is sent as FHIR's JSON.
    """

    recorder: Recorder
    name: str

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        what: str = "",
        **headers: str,
    ) -> Answer:
        """Sends a request; without a Content-Type unless one is named."""
        label = " ".join((self.name, what, method, path, *headers.values()))
        sent = {name.replace("_", "-").title(): value for name, value in headers.items()}
        data = json.dumps(body, ensure_ascii=False) if isinstance(body, Mapping) else body
        return self.recorder.ask(label, method, path, data, sent, self.name)

    def get(self, path: str, what: str = "", **headers: str) -> Answer:
        """Reads."""
        return self.ask("GET", path, None, what, **headers)

    def post(self, path: str, body: Mapping[str, Any] | bytes, what: str = "", **headers: str) -> Answer:
        """Sends a resource."""
        return self.ask("POST", path, body, what, **{"content_type": FHIR_JSON} | headers)

    def put(self, path: str, body: Mapping[str, Any] | bytes, what: str = "", **headers: str) -> Answer:
        """Sends the next version of a resource."""
        return self.ask("PUT", path, body, what, **{"content_type": FHIR_JSON} | headers)


def _raw(method: str, path: str, body: str | bytes | None, headers: Mapping[str, str]) -> bytes:
    """Returns a request as it is sent."""
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    if method == RAW:
        return data or b""
    length = {} if data is None else {"Content-Length": str(len(data))}
    given = {"Host": "localhost", **length, **headers}
    lines = (f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", "")
    return "\r\n".join(lines).encode() + (data or b"")


def _related(answer: Answer) -> Iterator[tuple[str, str]]:
    """Yields the headers; Last-Modified is named for the time in the body that it repeats."""
    for name, value in answer.headers:
        if name == "Last-Modified" and _is_time_of_body(value, answer.text):
            yield f"{name} of the body's lastUpdated", value
        else:
            yield name, value


def _is_time_of_body(value: str, text: str) -> bool:
    found = re.search(r'"meta":\{[^{}]*"lastUpdated":\s*"([^"]+)"', text[:4000])
    try:
        moment = datetime.fromisoformat(found[1]) if found else None
        return moment is not None and value == f"{moment.astimezone(UTC):%a, %d %b %Y %H:%M:%S} GMT"
    except ValueError:
        return False


@contextmanager
def serving(tree: Tree, name: str, settings: Mapping[str, str]) -> Iterator[int]:
    """Serves the tree on a free port of loopback while the block runs; yields the port."""
    port = free_port()
    given = settings | {"PORT": str(port), "WORKERS": "1", "DRAIN_S": "0", "GRACEFUL_TIMEOUT_S": "2"}
    with (
        (tree.work / f"{name}.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "service", "serve"],
            cwd=tree.path,
            env=tree.settings(given),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            if not has_started(port, process):
                said = (tree.work / f"{name}.log").read_text(errors="replace")
                raise SystemExit(f"the server did not start; it said:\n{said[-4000:]}")
            yield port
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
