"""A service that can be killed, restarted and robbed of its store, and the load that is put on it."""

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson
from patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
_JSON = {"Content-Type": "application/fhir+json"}
SAMPLE = orjson.loads((ROOT / "samples" / "plain-eyelid.json").read_bytes())


class Service:
    """The whole service in processes of its own, on one store."""

    def __init__(self, url: str, **settings: str) -> None:
        wanted = {"STORE_URL": url, "WORKERS": "2", "DRAIN_S": "0", **settings}
        environment = os.environ | {f"SERVICE_{name}": text for name, text in wanted.items()}
        command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "--bind", "127.0.0.1:0"]
        self._process = subprocess.Popen(
            [*command, "service.app:from_environment()"],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.port = self._port()
        self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._reader.start()

    def _port(self) -> int:
        for line in self._process.stderr:
            found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line)
            if found:
                return int(found[1])
        raise AssertionError("the service did not start")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def ask(self, method: str, path: str, document: object = None, **headers: str) -> tuple[int, dict, dict]:
        """Returns status, headers and body of one request on a connection of its own."""
        connection = self.connect()
        try:
            body = None if document is None else orjson.dumps(document)
            connection.request(method, f"/fhir/{path}", body, _JSON | headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), orjson.loads(answer.read() or b"null")
        finally:
            connection.close()

    def kill(self) -> None:
        """Ends master and workers at once, in the middle of whatever they do."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        self._process.stderr.close()

    def stop(self) -> int:
        """Asks for an orderly end and returns the exit code."""
        self._process.terminate()
        return self._process.wait(PATIENCE_S)

    def begin_to_stop(self) -> None:
        """Sends SIGTERM and does not wait."""
        self._process.terminate()


@contextmanager
def running(url: str, **settings: str) -> Iterator[Service]:
    service = Service(url, **settings)
    try:
        yield service
    finally:
        service.kill()


class Load:
    """Clients that create responses and update them, and remember what was acknowledged.

    `versions` holds the highest acknowledged version by id; `refused` what was answered otherwise, but for
    those who are told that the store is busy, as on a busy machine.
    """

    def __init__(self, service: Service, clients: int = 6) -> None:
        self.versions: dict[str, int] = {}
        self.refused: list[int] = []
        self.broken = 0
        self._service = service
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._client) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, count: int) -> None:
        """Returns when so many writes have been acknowledged."""
        deadline = time.monotonic() + PATIENCE_S
        while sum(self.versions.values()) < count:
            assert time.monotonic() < deadline, "the load did not get through"
            time.sleep(0.005)

    def finish(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _client(self) -> None:
        try:
            while not self._stop.is_set():
                self._create_and_update()
        except (OSError, http.client.HTTPException):
            with self._lock:
                self.broken += 1  # the service was killed: what was under way is not acknowledged

    def _create_and_update(self) -> None:
        status, _, body = self._service.ask("POST", "QuestionnaireResponse", SAMPLE)
        if not self._acknowledged(status, 201, body):
            return
        amended = body | {"status": "amended"}
        status, _, body = self._service.ask("PUT", f"QuestionnaireResponse/{body['id']}", amended)
        self._acknowledged(status, 200, body)

    def _acknowledged(self, status: int, expected: int, body: dict) -> bool:
        with self._lock:
            if status != expected:
                if not _is_busy(body):
                    self.refused.append(status)
                return False
            self.versions[body["id"]] = int(body["meta"]["versionId"])
            return True


def _is_busy(body: dict) -> bool:
    codings = [coding for issue in body.get("issue", ()) for coding in issue["details"]["coding"]]
    return any(coding["code"] == "store-busy" for coding in codings)
