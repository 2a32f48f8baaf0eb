"""The probes: is the process alive, and is it ready for requests?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import orjson

from service.errors import Unavailable
from service.web.negotiation import JSON
from service.web.reply import NO_STORE, Header, Reply
from service.web.request import Request

STOPPING: Final = "service.stopping"
"""What the WSGI environment calls the state of a process that is about to stop."""


PROBES: Final = frozenset(("/healthz", "/readyz"))
"""Paths of the two probes: they are answered even where there is no place for another request."""


class Probes:
    """The views of the two probes.

    Guidance is read before the first worker starts, so a process that answers at all has it.

    Args:
        check: raises Unavailable, within seconds, where the store does not answer; None if nothing is
            stored. Only `ready` asks: a process is not started anew because its store is away.
    """

    def __init__(self, check: Callable[[], None] | None = None) -> None:
        self._check = check

    def alive(self, _request: Request) -> Reply:
        """Returns 200: who answers lives."""
        return _said(200, "ok")

    def ready(self, request: Request) -> Reply:
        """Returns 200, or 503 where the process is about to stop or its store does not answer."""
        if request.environ.get(STOPPING):
            return _said(503, "stopping")
        try:
            if self._check is not None:
                self._check()
        except Unavailable as error:
            return _said(503, "store unavailable", ("Retry-After", str(error.retry_after_s)))
        return _said(200, "ok")


def _said(status: int, word: str, *headers: Header) -> Reply:
    return Reply(status, orjson.dumps({"status": word}), (("Content-Type", JSON), NO_STORE, *headers))
