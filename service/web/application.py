"""The Flask application: one way through for every request.

It matches the path, calls the view, turns errors into OperationOutcomes, adds what every answer
carries and writes one log line. Views take the request as their argument and return a Reply, so
no request context is pushed: context-local `request`, `g` and `session` are not used here, and
leaving them out halves what Flask costs per request (benchmarks/http.py).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from time import perf_counter_ns
from typing import TYPE_CHECKING

from flask import Flask

from service.errors import ServiceError
from service.fhir.definitions import AS_WRITTEN, Canonicals
from service.web.access import EVERYONE, is_preflight, preflight, shared
from service.web.health import STOPPING
from service.web.problems import breakdown, refusal
from service.web.reply import STATUS_LINES, Header, Reply, everywhere, indented
from service.web.request import Call
from service.web.routing import Route, Router, answered

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

REQUESTS = logging.getLogger("service.request")

_UNKNOWN = Route("unknown", {})
_CORRELATION = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_BODILESS = (204, 304)


class Application(Flask):
    """Answers the routes of a table and nothing else.

    Args:
        routes: the table.
        origins: origins of browser apps that may read the answers of routes that are not public.
        base: public FHIR base; where it is https, browsers are told to keep to that.
        urls: the canonical urls of what this service defines itself.

    Once `stopping` is set, it says that it is not ready, and goes on answering.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        origins: AbstractSet[str] = frozenset(),
        base: str = "",
        urls: Canonicals = AS_WRITTEN,
    ) -> None:
        super().__init__("service", static_folder=None, template_folder=None)
        self._router = Router(routes)
        self.routes = self._router.routes
        self.url_map = self._router.url_map
        self._origins = origins
        self._everywhere = everywhere(base)
        self._urls = urls
        self.stopping = False

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request; never raises but for a lost connection or an expired deadline."""
        started = perf_counter_ns()
        request_id = os.urandom(16).hex()
        environ[STOPPING] = self.stopping
        route, reply = self._answer(environ, request_id)
        if is_preflight(environ) and (route.public or environ["HTTP_ORIGIN"] in self._origins):
            reply = preflight(reply, environ)
        if REQUESTS.isEnabledFor(logging.INFO):
            _log(environ["REQUEST_METHOD"], route, reply.status, request_id, started)
        headers = [*reply.headers, *self._everywhere, *_headers(reply, request_id, environ)]
        start_response(STATUS_LINES[reply.status], self._shared(headers, route, environ))
        return () if environ["REQUEST_METHOD"] == "HEAD" else (reply.body,)

    def _answer(self, environ: WSGIEnvironment, request_id: str) -> tuple[Route, Reply]:
        route = _UNKNOWN
        try:
            try:
                route, call = self._router.matched(environ)
                return route, _laid_out(answered(route, call), call)
            except ServiceError as error:
                return route, refusal(error, self._urls)
        except Exception:  # noqa: BLE001 - the last resort: the caller gets an answer, the log the places
            REQUESTS.exception({"event": "failed", "id": request_id, "route": route.template})
            return route, breakdown(request_id, self._urls)

    def _shared(self, headers: list[Header], route: Route, environ: WSGIEnvironment) -> list[Header]:
        """Returns the headers with what browsers need; costs nothing where no origin is registered."""
        if route.public:
            return [*headers, *EVERYONE]
        return shared(headers, environ.get("HTTP_ORIGIN"), self._origins) if self._origins else headers


def _laid_out(reply: Reply, call: Call) -> Reply:
    return reply._replace(body=indented(reply.body)) if call.is_pretty() and reply.body else reply


def _headers(reply: Reply, request_id: str, environ: WSGIEnvironment) -> list[Header]:
    headers = [("X-Request-Id", request_id)]
    if reply.status not in _BODILESS:
        headers.append(("Content-Length", str(len(reply.body))))
    theirs = environ.get("HTTP_X_REQUEST_ID")
    if theirs is not None and _CORRELATION.fullmatch(theirs):
        headers.append(("X-Correlation-Id", theirs))
    return headers


def _log(method: str, route: Route, status: int, request_id: str, started: int) -> None:
    REQUESTS.info(
        {
            "event": "request",
            "id": request_id,
            "method": method if method in _METHODS else "other",
            "route": route.template,
            "status": status,
            "ms": round((perf_counter_ns() - started) / 1e6, 3),
        }
    )
