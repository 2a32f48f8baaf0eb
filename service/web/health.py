"""Whether the process lives, and whether it is ready for requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import orjson

from service.errors import Unavailable
from service.web.negotiation import JSON
from service.web.reply import NO_STORE, Header, Reply
from service.web.request import Call
from service.web.routing import Route

STOPPING: Final = "service.stopping"
"""What the WSGI environment calls the state of a process that is about to stop."""

Check = Callable[[], None]


def health_routes(ready: Check | None = None) -> tuple[Route, ...]:
    """Returns the two probes.

    Guidance is read before the first worker starts, so a process that answers at all has it.

    Args:
        ready: raises Unavailable, within seconds, where the store does not answer; None where nothing
            is stored. Only `/readyz` asks: a process is not started anew because its store is away.
    """
    return (Route("/healthz", {"GET": _alive}), Route("/readyz", {"GET": partial(_ready, ready)}))


def _alive(_call: Call) -> Reply:
    return _said(200, "ok")


def _ready(ready: Check | None, call: Call) -> Reply:
    if call.environ.get(STOPPING):
        return _said(503, "stopping")
    try:
        if ready is not None:
            ready()
    except Unavailable as error:
        return _said(503, "store unavailable", ("Retry-After", str(error.retry_after_s)))
    return _said(200, "ok")


def _said(status: int, word: str, *headers: Header) -> Reply:
    return Reply(status, orjson.dumps({"status": word}), (("Content-Type", JSON), NO_STORE, *headers))
