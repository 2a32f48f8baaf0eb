"""Whether the process lives and whether it is ready for requests."""

from __future__ import annotations

from service.web.call import Call
from service.web.negotiation import JSON
from service.web.reply import NO_STORE, Reply
from service.web.route import Route


def health_routes() -> tuple[Route, ...]:
    """Returns the two probes.

    Guidance is read before the first worker starts, so a process that answers at all is ready.
    """
    return (Route("/healthz", {"GET": _ok}), Route("/readyz", {"GET": _ok}))


def _ok(_call: Call) -> Reply:
    return Reply(200, b'{"status":"ok"}', (("Content-Type", JSON), NO_STORE))
