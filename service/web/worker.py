"""The gunicorn worker: greenlets, a deadline for every request, places for the probes, a slow end.

A worker has so many places for connections, and a few more in reserve. Once these are taken too, the
connection on which nothing has run for the longest is closed for the next one. Requests run in the places
alone; in the reserve only the probes are answered, all others are told to come again. So neither idle
connections nor half-sent requests keep anybody from learning whether the worker lives.

A worker that is told to stop first says that it is not ready and serves on, new connections too, so
that a load balancer looks elsewhere before anyone is refused. gunicorn's master closes its own
listeners at once; those of the worker stay open. After the drain time, running requests are finished;
connections on which nothing runs are closed, because gunicorn would wait for each of them. A worker
that nobody has connected to does not drain: it has told no load balancer that it is ready.

A signal that comes in the first moments of a worker is kept until the worker can act on it. See
`hold_signals`.

What gunicorn refuses itself (a bad request line, too many headers) never reaches the application;
here it leaves as an OperationOutcome too, and nothing of it is logged but the kind of fault.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit
from socket import SHUT_RD
from ssl import SSLSocket
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlsplit

# What gevent puts in the place of modules is imported before the fork, so that workers share it.
import gevent.events
import gevent.select
import gevent.selectors
import gevent.signal
import gevent.ssl
import gevent.subprocess
import gevent.threading  # noqa: F401
from gevent import Timeout, get_hub, monkey, sleep, spawn_later
from gevent.socket import wait
from gunicorn import util
from gunicorn.http import parser, unreader
from gunicorn.workers.ggevent import GeventWorker

from service.auth.ehrs import names_access
from service.errors import Misdirected, Problem, Unavailable
from service.fhir.definitions import Canonicals
from service.settings import from_environment, is_loopback, is_name_of_loopback
from service.web.deployment import Deployment
from service.web.health import PROBES
from service.web.problems import raw_response

_LOG = logging.getLogger("service.worker")
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_LAST_WAIT_S = 1
_A_MOMENT_S = 0.02
_READ, _WRITE = 1, 2  # of libev
_TURN_S: Final = 0.001  # as long as one connection is read from before all others have their turn
_READ_OFF_BYTES: Final = 1024 * 1024

RESERVE: Final = 16
"""Places for connections beyond those for requests. A connection that is opened while all places are taken by
running requests has that many more to send its request before the next one takes its own."""
_OTHER_FILES: Final = 64  # what a process has open besides: the store, the sandbox, the log
_BUSY: Final = Problem(
    "server-busy", "All places of the server are taken. The same request may succeed in a moment."
)
_MISDIRECTED: Final = Problem(
    "host", "Expected a name of this machine as Host, such as localhost; or set SERVICE_BASE_URL."
)


@contextmanager
def _replaced(module: Any, name: str, value: object) -> Iterator[None]:
    """Puts something else in the place of a function of a module for a while."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _no_entry_points(**_: str) -> tuple[()]:
    return ()


def hold_signals() -> None:
    """Makes the signals that end a process wait in the kernel until `release_signals`.

    The master calls this before it forks a worker. Until the worker has its own signal handlers it runs
    those of the master, which only write the signal down for a loop that does not run in the worker;
    Python itself forgets a signal that comes in the first moments after the fork. The master tells a
    worker once, and would then wait for it until the time for running requests is over.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def release_signals() -> None:
    """Delivers the signals that have come since `hold_signals`, and those that will come."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


class Unreader(unreader.SocketUnreader):  # type: ignore[misc] # gunicorn carries no type hints
    """Reads from one connection, and lets all others have their turn where it sends without end.

    What has arrived already is read without waiting: as long as a client is quicker than we are, nobody else
    would be answered, nor would any deadline end that.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._since = perf_counter()

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Returns what has arrived, after the others' turn if this connection had its own."""
        if perf_counter() - self._since > _TURN_S:
            sleep(0)
            self._since = perf_counter()
        data: bytes = super().chunk(size_hint)
        return data


parser.SocketUnreader = Unreader


class Worker(GeventWorker):  # type: ignore[misc] # gunicorn carries no type hints
    """A gevent worker in which no client can hold a request open for ever."""

    def init_process(self) -> None:
        """Reads the settings once, in the worker."""
        self._settings = from_environment(os.environ)
        own = urlsplit(self._settings.public_base).netloc
        self._is_private = is_name_of_loopback(own) and not names_access(self._settings.ehrs_file)
        self._stopping = False
        self._used = False
        self._open = self._running = 0  # connections, and requests on them
        self._idle: dict[Any, None] = {}  # those on which nothing runs, the longest first
        self._turns: dict[Any, tuple[Any, Any]] = {}  # what tells of each that something can be done on it
        self._places = self.worker_connections
        self.worker_connections += RESERVE
        _allow_files(self.worker_connections + _OTHER_FILES)
        super().init_process()

    def patch(self) -> None:
        """Lets gevent wait where Python would, as gunicorn does it, and has it look for no plugin.

        It would look through all installed packages a dozen times, which takes a tenth of a start.
        """
        with _replaced(metadata, "entry_points", _no_entry_points):
            super().patch()

    def init_signals(self) -> None:
        """Installs the handlers of the worker, then lets the signals come that the master holds back."""
        super().init_signals()
        release_signals()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begins to drain, and then to stop.

        Another TERM changes nothing: gunicorn's master repeats it, and so do process managers that
        signal a whole group. INT or QUIT end it at once.
        """
        if not self.booted:
            super().handle_exit(sig, frame)
        elif not self._stopping:
            self._stopping = self.wsgi.stopping = True
            waits = self._used and not self._settings.reload
            spawn_later(self._settings.drain_s if waits else 0, self._leave, sig)

    def timeout_ctx(self) -> Any:
        """Limits the wait for the next request; a worker that leaves waits no longer than a moment."""
        return super().timeout_ctx() if self.alive else Timeout(_LAST_WAIT_S, False)  # noqa: FBT003 - gevent's

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serves one connection."""
        self._used = True
        self._open += 1
        self._make_room()
        self._idle[client] = None
        try:
            self._turns[client] = _turns_on(client)
            super().handle(listener, client, addr)
        finally:
            self._open -= 1
            self._idle.pop(client, None)
            for watcher in self._turns.pop(client, ()):
                watcher.close()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        """Serves one request; a sender or reader slower than the deadline loses its connection.

        A request that comes while the worker stops is the last one of its connection, and its answer
        says so. A connection whose last answer promised to keep it is kept, unless places run out.
        """
        self._idle.pop(sock, None)
        if self._running >= self._places and req.path not in PROBES:
            self.handle_error(req, sock, addr, Unavailable(_BUSY, retry_after_s=1))
            raise StopIteration
        if self._is_private and _is_misdirected(listener_name, req):
            self.handle_error(req, sock, addr, Misdirected(_MISDIRECTED))
            raise StopIteration
        if self._stopping:
            req.force_close()
        self._running += 1
        deadline = Timeout.start_new(self._settings.request_timeout_s)
        try:
            super().handle_request(listener_name, req, sock, addr)
        except Timeout as expired:
            if expired is not deadline:
                raise
            _LOG.warning({"event": "deadline"})
            raise StopIteration from None
        finally:
            self._running -= 1
            deadline.close()
        self._idle[sock] = None
        self._make_room()
        self._wait_for_turn(req, sock)

    def _wait_for_turn(self, req: Any, sock: Any) -> None:
        """Lets all others have their turn whose requests are there, before this connection has its next one.

        A client that is quick has sent its next request before the last one is done with. gunicorn would read
        it at once, as long as there is one, and the other connections would wait for the end of that. Where
        some of it has been read already, nothing more may come: then it waits until it can be written to.
        """
        readable, writable = self._turns[sock]
        with self.timeout_ctx():
            while req.body.read(_READ_OFF_BYTES):  # what nobody has read of a body that was refused
                pass
            wait(readable if _has_read_all(req, sock) else writable)
            return
        raise StopIteration

    def handle_error(self, _req: Any, client: Any, _addr: Any, exc: BaseException) -> None:
        """Answers what gunicorn could not read, what has no place, or the application's own breakdown."""
        _LOG.warning({"event": "refused", "kind": type(exc).__name__})
        canonicals, metrics = Canonicals(self._settings.canonical_base), getattr(self.wsgi, "metrics", None)
        deployment = Deployment(self._settings.public_base, canonicals, metrics=metrics)
        util.write_nonblock(client, raw_response(exc, deployment))

    def _make_room(self) -> None:
        """Closes the connection on which nothing has run for the longest, if all places are taken.

        Where something runs on all of them, the first that has been answered makes room.
        """
        client = next(iter(self._idle), None)
        if client is not None and self._open >= self.worker_connections:
            del self._idle[client]
            with suppress(OSError):
                _hear_no_more(client)

    def _leave(self, sig: int) -> None:
        super().handle_exit(sig, None)
        for client in tuple(self._idle):
            with suppress(OSError):
                _hear_no_more(client)
        if self._settings.reload:
            self._end_when_idle()

    def _end_when_idle(self) -> None:
        """Ends the worker with its last connection: a new one serves other files by now."""
        while self._open:
            sleep(_A_MOMENT_S)
        sys.exit(0)


def _is_misdirected(listener: Any, req: Any) -> bool:
    """Says whether a request that only this machine can send was meant for a server of another name.

    To its browser a page from elsewhere whose own name leads here all at once (DNS rebinding) is of the same
    origin as we are. Its name gives it away.
    """
    if not isinstance(listener, tuple) or not is_loopback(listener[0]):
        return False
    return not all(is_name_of_loopback(value) for name, value in req.headers if name == "HOST")


def _turns_on(client: Any) -> tuple[Any, Any]:
    """Returns the watchers that wake a greenlet once a connection can be read from, or written to."""
    loop, file = get_hub().loop, client.fileno()
    return loop.io(file, _READ), loop.io(file, _WRITE)


def _has_read_all(req: Any, sock: Any) -> bool:
    """Returns whether a request is all that was read from a connection, as far as can be told."""
    left = getattr(getattr(req.body, "reader", None), "length", None)  # of a body whose length was told
    return left == 0 and not req.unreader.buf.getvalue() and not isinstance(sock, SSLSocket)


def _allow_files(number: int) -> None:
    """Lets this process have so many files open, as far as the system allows it to raise its own limit."""
    soft, hard = getrlimit(RLIMIT_NOFILE)
    if soft != RLIM_INFINITY and soft < number:
        setrlimit(RLIMIT_NOFILE, (number if hard == RLIM_INFINITY else min(number, hard), hard))


def _hear_no_more(client: Any) -> None:
    """Ends a connection after what has arrived on it.

    gevent's own shutdown would also interrupt who is reading, as if the connection had failed.
    """
    with monkey.get_original("socket", "socket")(fileno=os.dup(client.fileno())) as unpatched:
        unpatched.shutdown(SHUT_RD)
