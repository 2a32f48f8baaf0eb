"""Sends costly bodies to the application as a worker runs it, and measures the turns of its event loop.

    python -m gevent.monkey tests/support/event_loop.py [NAME ...]

Prints one line of JSON a body: its name, the status of the answer, and the most milliseconds of processor
time between two moments at which other requests have their turn. The time is that of the thread of the event
loop alone: it is the same however many others use the machine, and children count for themselves.
"""

import gc
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from time import sleep, thread_time
from typing import Any

import gevent
import greenlet
import orjson
from costly_bodies import Costly, requests

from service.app import create_app
from service.settings import Settings


class LongestTurn:
    """The longest time that one greenlet has had for itself, in seconds of the thread's processor time."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = thread_time()

    def __call__(self, _event: str, _greenlets: object) -> None:
        now = thread_time()
        self.seconds = max(self.seconds, now - self._since)
        self._since = now


def sent(application: Any, costly: Costly) -> int:
    """Returns the status of the answer."""
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": costly.path,
        "CONTENT_TYPE": costly.media_type,
        "CONTENT_LENGTH": str(len(costly.body)),
        "wsgi.input": BytesIO(costly.body),
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "localhost",
    }
    statuses: list[str] = []
    list(application.wsgi_app(environ, lambda status, _headers: statuses.append(status)))
    return int(statuses[0].split()[0])


def measured(application: Any, costly: Costly) -> tuple[int, float]:
    """Returns the status, and the longest turn of the event loop while another greenlet wants turns too."""
    request = gevent.spawn(sent, application, costly)
    turn = LongestTurn()
    greenlet.settrace(turn)
    while not request.ready():
        sleep(0.001)
    greenlet.settrace(None)
    return request.get(), turn.seconds


def main(names: list[str]) -> None:
    """Measures the bodies with these names, or all of them."""
    with tempfile.TemporaryDirectory() as folder:
        application = create_app(Settings(store_url=f"sqlite:///{Path(folder) / 'store.db'}"))
        gc.collect()
        gc.freeze()  # as the server does before it forks its workers
        for name, costly in requests().items():
            if not names or name in names:
                status, seconds = measured(application, costly)
                found = {"name": name, "status": status, "ms": round(seconds * 1000, 1)}
                sys.stdout.write(orjson.dumps(found).decode() + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
