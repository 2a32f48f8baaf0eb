"""Starts a real gunicorn on loopback and speaks raw bytes with it."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from patience import PATIENCE_S

ROOT = Path(__file__).resolve().parent.parent.parent


def until(condition: Callable[[], bool]) -> None:
    """Asks again and again, as long as patience lasts."""
    limit = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)  # leaves the processor to the server


class Served:
    """A running server: its address, its process and what it has logged."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self.log: list[str] = []
        self.port = self._port()
        self._reader = threading.Thread(target=self.log.extend, args=(process.stderr,), daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Stops the server and reads its log to the end."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(PATIENCE_S)

    def workers(self) -> list[int]:
        """Returns the process ids of all workers that have been started, in order."""
        return [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", "".join(self.log))]

    def _port(self) -> int:
        for line in self.process.stderr:
            self.log.append(line)
            listening = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line)
            if listening:
                return int(listening[1])
        raise AssertionError("the server did not start: " + "".join(self.log))

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def ask(self, request: bytes) -> "Answer":
        """Sends bytes on a new connection and returns the first answer."""
        with self.connect() as connection:
            connection.sendall(request)
            return answer_from(connection)


class Answer:
    def __init__(self, head: bytes, body: bytes) -> None:
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status.split()[1])
        pairs = (line.partition(":") for line in lines)
        self.headers = {name.lower(): value.strip() for name, _, value in pairs}
        self.body = body

    @property
    def document(self) -> dict:
        return orjson.loads(self.body)


def answer_from(connection: socket.socket, *, bodiless: bool = False) -> Answer:
    """Reads one answer; its length is the announced one. Raises EOFError where none comes.

    Nothing behind it is read: that is of the next answer.
    """
    with connection.makefile("rb", buffering=0) as stream:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                raise EOFError
            head += line
        found = re.search(rb"(?i)^content-length: (\d+)", head, re.MULTILINE)
        return Answer(head.rstrip(), b"" if bodiless or not found else _exactly(stream, int(found[1])))


def _exactly(stream: io.RawIOBase, length: int) -> bytes:
    """Reads so many bytes; fewer where no more come."""
    found = b""
    while len(found) < length and (more := stream.read(length - len(found))):
        found += more
    return found


def post(body: bytes, *headers: str, path: str = "/fhir/QuestionnaireResponse/$assess") -> bytes:
    """Returns the bytes of a POST; its length header is the body's unless one is among the headers."""
    own = list(headers)
    if not any(header.lower().startswith(("content-length", "transfer-encoding")) for header in own):
        own.append(f"Content-Length: {len(body)}")
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/fhir+json", *own, "", "")
    return "\r\n".join(lines).encode() + body


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    """Returns the bytes of a GET."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", "")).encode()


def started(
    app: str = "fakes:application()", *options: str, port: int = 0, **settings: str
) -> subprocess.Popen:
    """Starts gunicorn with the project's configuration; port 0 is any free one."""
    given = {"DRAIN_S": "0", **settings}
    environment = {**os.environ, **{f"SERVICE_{name}": text for name, text in given.items()}}
    command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py"]
    command += ["--bind", f"127.0.0.1:{port}", "--pythonpath", "tests/support", *options, app]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


@contextmanager
def serving(
    app: str = "fakes:application()", *options: str, port: int = 0, **settings: str
) -> Iterator[Served]:
    """Starts a server and stops it after the block: at once where the block fails."""
    with started(app, *options, port=port, **settings) as process:
        server = Served(process)
        try:
            yield server
        except BaseException:
            process.send_signal(signal.SIGINT)
            raise
        finally:
            server.stop()
