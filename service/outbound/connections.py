"""Connections to other servers, cut when the time of a question is up; imported with the first question."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from ipaddress import ip_address
from socket import SHUT_RDWR, socket
from threading import Timer
from typing import Any, Final

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, InvalidHeader, NewConnectionError, ProtocolError
from urllib3.exceptions import TimeoutError as TimeoutFault

from service.outbound.answer import Answer, OutboundFault, TooLong, TooSlow, Unreadable

_CHUNK: Final = 16_384
_TOO_SLOW: Final = "no whole answer in time"
_UNREADABLE: Final = "the answer breaks off"
_TOO_LONG: Final = "the answer is too long"

logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # its lines carry urls, which may name a person


class Connections:
    """Connections, kept for further questions.

    Args:
        most_bytes: longest answer that is read.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._pools = urllib3.PoolManager(retries=False, maxsize=4)
        self._pools.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def answer(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Answer:
        """Sends a request and returns the answer, whatever its status.

        Raises:
            OutboundFault: the server cannot be reached.
            TooSlow, Unreadable: no whole answer came in time, or none that is short enough.
        """
        watch = _Watch(seconds)
        try:
            with watch:
                answer = self._answer(method, url, headers, body, seconds)
        except TooLong:
            watch.check()
            raise
        except (Unreadable, InvalidHeader):
            watch.check()
            raise Unreadable(_UNREADABLE) from None
        except (HTTPError, OSError, ValueError) as error:
            watch.check()
            if isinstance(error, TimeoutFault) and not isinstance(error, NewConnectionError):
                raise TooSlow(_TOO_SLOW) from None
            raise OutboundFault(type(error).__name__) from None
        watch.check()  # what was read until the connection was cut may look like an answer
        return answer

    def _answer(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Answer:
        response = self._pools.request(
            method,
            url,
            headers=headers,
            body=body or None,
            timeout=urllib3.Timeout(total=seconds),
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        lowered = {name.lower(): text for name, text in response.headers.items()}
        return Answer(response.status, lowered, self._body(response))

    def _body(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """Returns the whole body; raises Unreadable, or TooLong, which is one."""
        body = bytearray()
        whole = False
        try:
            while chunk := response.read1(_CHUNK):
                body += chunk
                if len(body) > self._most_bytes:
                    raise TooLong(_TOO_LONG)
            whole = True
        except ProtocolError:
            raise Unreadable(_UNREADABLE) from None
        finally:
            (response.release_conn if whole else response.close)()
        return bytes(body)


# A time-out of urllib3 is one for each read: a server that sends byte by byte would get any time it likes.


class _Watch:
    """Cuts the connection of one question when its time is up.

    Args:
        seconds: how long the question may take.
    """

    def __init__(self, seconds: float) -> None:
        self.connection: HTTPConnection | None = None
        self.socket: socket | None = None
        self._beginning: socket | None = None
        self._until = time.monotonic() + seconds
        self._timer = Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._token = _WATCH.set(self)
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _WATCH.reset(self._token)

    def check(self) -> None:
        """Raises TooSlow when the time is up."""
        if time.monotonic() >= self._until:
            raise TooSlow(_TOO_SLOW) from None

    def begin(self, connected: socket) -> None:
        """Keeps a socket within reach while TLS begins on it: what wraps it leaves the object empty.

        Raises:
            TooSlow: the time was up before.
        """
        self._beginning = connected.dup()
        try:
            self.check()
        except TooSlow:
            connected.close()
            raise

    def end_beginning(self) -> None:
        """Lets go of that socket: the connection has one now, or none."""
        if self._beginning is not None:
            self._beginning.close()
            self._beginning = None

    def _cut(self) -> None:
        of_connection = None if self.connection is None else self.connection.sock
        for found in filter(None, (self.socket, of_connection, self._beginning)):
            with suppress(OSError):
                found.shutdown(SHUT_RDWR)


_WATCH: Final[ContextVar[_Watch]] = ContextVar("watch")


class _Watched(HTTPConnection):
    """A connection that whoever watches the question can cut at any time."""

    def connect(self) -> None:
        """Connects; from here on there may be something to cut."""
        _WATCH.get().connection = self
        super().connect()

    def _new_conn(self) -> socket:
        """Returns a connection, but to no address of the local link: a cloud tells its own secrets there.

        It is looked at once it is there: what a name leads to may change, and a number has many spellings.
        """
        connected = super()._new_conn()
        address = ip_address(connected.getpeername()[0])
        if (getattr(address, "ipv4_mapped", None) or address).is_link_local:
            connected.close()
            raise NewConnectionError(self, "an address of the local link")
        return connected

    def getresponse(self) -> Any:
        """Returns the answer, which may take the socket away from the connection."""
        _WATCH.get().socket = self.sock
        return super().getresponse()


class _SecurelyWatched(_Watched, HTTPSConnection):
    """The same with TLS, whose beginning has no time-out as a whole where gevent waits for it."""

    def connect(self) -> None:
        """Connects; can be cut while TLS begins too."""
        try:
            super().connect()
        finally:
            _WATCH.get().end_beginning()

    def _new_conn(self) -> socket:
        connected = super()._new_conn()
        _WATCH.get().begin(connected)
        return connected


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Watched


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecurelyWatched
