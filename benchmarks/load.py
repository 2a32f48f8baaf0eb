"""Sends one request over and over on several connections, for a bounded time, to this machine only."""

from __future__ import annotations

import re
import selectors
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from time import perf_counter

PATH = "/fhir/QuestionnaireResponse/$assess"
CONNECTIONS = 16

_SCRIPT = """
wrk.method = "POST"
wrk.body = io.open("BODY"):read("*a")
wrk.headers["Content-Type"] = "application/fhir+json"
done = function(summary, latency)
  local errors = summary.errors.status + summary.errors.read + summary.errors.timeout
  io.write(string.format("MEASURED %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors))
end
"""


@dataclass(frozen=True)
class Measured:
    """Requests per second, and the milliseconds that half and 99 of 100 requests stayed under."""

    rate: float
    p50: float
    p99: float


def generator() -> str:
    """Returns what makes the load: `wrk`, or the loop below, which itself takes much of a core."""
    return "wrk" if shutil.which("wrk") else "built-in client (install wrk for truer figures)"


def load(port: int, body: bytes, seconds: int, path: str = PATH) -> Measured:
    by = _by_wrk if shutil.which("wrk") else _by_loop
    return by(port, body, seconds, path)


def _by_wrk(port: int, body: bytes, seconds: int, path: str) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        sent = Path(folder) / "body"
        sent.write_bytes(body)
        script = Path(folder) / "post.lua"
        script.write_text(_SCRIPT.replace("BODY", str(sent)))
        command = [
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{seconds}s",
            "--timeout=60s",
            "-s",
            str(script),
            f"http://127.0.0.1:{port}{path}",
        ]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    requests, duration, p50, p99, errors = map(int, re.search(r"MEASURED (.*)", out)[1].split())
    assert errors == 0, out
    return Measured(requests / duration * 1e6, p50 / 1000, p99 / 1000)


def _by_loop(port: int, body: bytes, seconds: int, path: str) -> Measured:
    return send(port, repeat(request_of("POST", path, body)), seconds)


def request_of(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """Returns a request as it goes over the wire."""
    said = {"Host": "localhost", "Content-Type": "application/fhir+json", **headers}
    said["Content-Length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in said.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def send(port: int, requests: Iterator[bytes], seconds: int) -> Measured:
    """Sends one request after the other by the built-in client; every answer must be 200 or 201."""
    selector = selectors.DefaultSelector()
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(next(requests))
        selector.register(connection, selectors.EVENT_READ, [perf_counter(), b""])
    taken = _answers(selector, requests, perf_counter() + seconds)
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    taken.sort()
    return Measured(len(taken) / seconds, taken[len(taken) // 2] * 1000, taken[len(taken) * 99 // 100] * 1000)


def _answers(selector: selectors.BaseSelector, requests: Iterator[bytes], end: float) -> list[float]:
    taken: list[float] = []
    while perf_counter() < end:
        for key, _ in selector.select(1):
            key.data[1] += key.fileobj.recv(1 << 20)
            if not _is_whole(key.data[1]):
                continue
            assert key.data[1].startswith((b"HTTP/1.1 200", b"HTTP/1.1 201"))
            taken.append(perf_counter() - key.data[0])
            key.data[:] = [perf_counter(), b""]
            key.fileobj.sendall(next(requests))
    return taken


def _is_whole(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    return bool(separator) and len(body) >= int(re.search(rb"(?i)content-length: (\d+)", head)[1])
