"""Who may send a request of a route, and which browser apps may read its answer.

Every route declares an access rule. The rules for tokens come with access control; until then nobody
says who they are, and whoever reaches the port may send any request.

Public routes may be read by pages of every origin. All others may be read by pages of the origins that
the settings register, errors included, so that an app can show what went wrong. Cookies and other
credentials of the browser are never asked for; a token in a header is the app's own.

Source:
    Fetch standard, section "HTTP extensions"; SMART App Launch 2.2, app-launch#CORS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from service.web.reply import Header, Reply


class Access(Enum):
    """The access rule of a route."""

    PUBLIC = "public"
    """Anybody, and pages of every origin: what is the same for everybody, such as the CapabilityStatement."""
    PUBLIC_FORM = "public-form"
    """Anybody, and pages of this origin alone: forms that people fill in, with the scoring that they need."""
    OPEN = "open"
    """Anybody who reaches the port, and pages of registered origins."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sends a request.

    Args:
        kind: `anonymous` where nobody says.
    """

    kind: str


ANONYMOUS: Final = Principal("anonymous")

# Cross-origin resource sharing.

_READABLE_HEADERS: Final = (
    "Location",
    "ETag",
    "Last-Modified",
    "Content-Location",
    "Link",
    "X-Request-Id",
    "X-Correlation-Id",
    "X-Guidance",
    "Allow",
    "WWW-Authenticate",
    "Retry-After",
)
"""What an app may read beside the headers that every browser gives it; a test holds it complete."""

EXPOSED: Final[Header] = ("Access-Control-Expose-Headers", ", ".join(_READABLE_HEADERS))
ANY_ORIGIN: Final[tuple[Header, ...]] = (("Access-Control-Allow-Origin", "*"), EXPOSED)

_MAX_AGE_S: Final[Header] = ("Access-Control-Max-Age", "7200")
_COMMON_HEADERS: Final = (
    "authorization",
    "content-type",
    "accept",
    "prefer",
    "if-match",
    "if-none-match",
    "if-none-exist",
    "if-modified-since",
    "x-request-id",
)
_MOST_REQUESTED_HEADERS: Final = 50
# The name of a header, but for a lone `*`, which would stand for all of them.
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'+.^_`|~-]+")


def with_origin(headers: Sequence[Header], origin: str | None, origins: AbstractSet[str]) -> list[Header]:
    """Returns the headers of an answer that is not public, with what they say to browsers.

    Args:
        headers: the headers so far.
        origin: the Origin header; `null` is what pages without an origin of their own send.
        origins: the registered origins; caches are told that the answer depends on who asks.
    """
    others = [header for header in headers if header[0] != "Vary"]
    varies = [value for name, value in headers if name == "Vary"]
    varied = [*others, ("Vary", ", ".join((*varies, "Origin")))]
    return [*varied, ("Access-Control-Allow-Origin", str(origin)), EXPOSED] if origin in origins else varied


def is_preflight(environ: Mapping[str, Any]) -> bool:
    """Says whether a browser asks, before the request itself, what an app may send."""
    return (
        environ["REQUEST_METHOD"] == "OPTIONS"
        and "HTTP_ORIGIN" in environ
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    )


def preflight(reply: Reply, environ: Mapping[str, Any], methods: str) -> Reply:
    """Returns what an app may send whose origin is let in.

    All methods of the service are named, whatever the path answers: an app is to read a 404 or 405 and not
    only "network error". A method that no path answers is not among them.

    Args:
        reply: the plain answer to OPTIONS; where the path is unknown, the app is let through to its 404.
        environ: the WSGI environment.
        methods: those of all routes, with commas between.
    """
    plain = reply.headers if reply.status == 204 else ()
    allowed = ", ".join(_allowed(environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")))
    methods_header = ("Access-Control-Allow-Methods", methods)
    return Reply(204, b"", (*plain, methods_header, ("Access-Control-Allow-Headers", allowed), _MAX_AGE_S))


def _allowed(requested: str) -> Iterable[str]:
    """Returns the usual headers and those requested, as far as they are names of headers."""
    names = (name.strip().lower() for name in requested.split(",")[:_MOST_REQUESTED_HEADERS])
    return dict.fromkeys((*_COMMON_HEADERS, *filter(_HEADER_NAME.fullmatch, names)))
