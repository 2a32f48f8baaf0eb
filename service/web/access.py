"""Who may send a request of a route, and which browser apps may read its answer.

Every route declares an access rule. If the registry of EHRs names issuers of access tokens, the gate holds
each request, and each entry of a Bundle, to its rule. Otherwise there is no gate, and whoever reaches the
port may send any request.

Pages of every origin may read public routes. Pages of the origins in the settings may read all others,
errors included, so that an app can show what went wrong. The browser is never asked for cookies or other
credentials; an app sends its token in a header.

Source:
    SMART App Launch 2.2, app-launch.html#step-6, app-launch#CORS, scopes-and-launch-context ("Batches and
    Transactions"); Fetch standard, section "HTTP extensions".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from hmac import compare_digest
from typing import Any, Final

from service.settings import is_loopback, is_name_of_loopback
from service.web.reply import Header, Reply


class Access(Enum):
    """The access rule of a route."""

    PUBLIC = "public"
    """Anybody, and pages of every origin: what is the same for everybody, such as the CapabilityStatement."""
    PUBLISHED = "published"
    """Everybody with a token; anybody if a setting makes the published definitions public."""
    PUBLIC_FORM = "public-form"
    """Anybody, but only pages of this origin: the forms that people fill in, and their scoring."""
    TOKEN = "token"  # noqa: S105 - a rule, no secret
    """Everybody with a token that has the scope of the route."""
    CLIENT = "cds-client"
    """Clients of CDS Hooks, which sign each call."""
    OPERATOR = "operator"
    """Programs of this machine, and everybody with the operator's token; the view checks that."""


WITHOUT_TOKEN: Final = (Access.PUBLIC, Access.PUBLIC_FORM, Access.OPERATOR)
"""The rules under which nobody has to say who they are."""


_SCHEME: Final = "Bearer "
_PROXIED: Final = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")


class Operator:
    """Whoever runs the service: programs of this machine, and everybody with the operator's token.

    Args:
        token: if empty, nobody is let in from elsewhere.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def sends(self, environ: Mapping[str, Any]) -> bool:
        """Says whether a request is the operator's."""
        return _is_local(environ) or self._is_operator(environ.get("HTTP_AUTHORIZATION", ""))

    def _is_operator(self, given: str) -> bool:
        sent = given.removeprefix(_SCHEME).encode("latin-1", "replace")
        return bool(self._token) and given.startswith(_SCHEME) and compare_digest(sent, self._token)


def _is_local(environ: Mapping[str, Any]) -> bool:
    """Returns whether a program of this machine asks for itself, not for a page or a client from elsewhere.

    A proxy says that it asks for others, or passes on the name that they asked for. A page whose own name
    leads here (DNS rebinding) has that name in Host.
    """
    if any(name in environ for name in _PROXIED) or not is_loopback(environ.get("REMOTE_ADDR", "")):
        return False
    return is_name_of_loopback(environ.get("HTTP_HOST", "localhost"))


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
    """Returns the answer to a preflight of an app whose origin is let in.

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
