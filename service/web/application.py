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
from time import perf_counter_ns
from typing import TYPE_CHECKING

from flask import Flask

from service.errors import ServiceError
from service.web.problems import breakdown, refusal
from service.web.reply import STATUS_LINES, Header, Reply, indented
from service.web.route import Route
from service.web.router import Router, answered

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

REQUESTS = logging.getLogger("service.request")

_UNKNOWN = Route("unknown", {})
_CORRELATION = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_BODILESS = (204, 304)
_NOSNIFF: Header = ("X-Content-Type-Options", "nosniff")


class Application(Flask):
    """Answers the routes of a table and nothing else."""

    def __init__(self, routes: Sequence[Route]) -> None:
        super().__init__("service", static_folder=None, template_folder=None)
        self._router = Router(routes)
        self.routes = self._router.routes
        self.url_map = self._router.url_map

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request; never raises but for a lost connection or an expired deadline."""
        started = perf_counter_ns()
        request_id = os.urandom(16).hex()
        route, reply = self._answer(environ, request_id)
        if REQUESTS.isEnabledFor(logging.INFO):
            _log(environ["REQUEST_METHOD"], route, reply.status, request_id, started)
        start_response(STATUS_LINES[reply.status], _headers(reply, request_id, environ))
        return () if environ["REQUEST_METHOD"] == "HEAD" else (reply.body,)

    def _answer(self, environ: WSGIEnvironment, request_id: str) -> tuple[Route, Reply]:
        route = _UNKNOWN
        try:
            try:
                route, call = self._router.matched(environ)
                reply = answered(route, call)
                return route, reply._replace(body=indented(reply.body)) if call.is_pretty() else reply
            except ServiceError as error:
                return route, refusal(error)
        except Exception:  # noqa: BLE001 - the last resort: the caller gets an answer, the log the places
            REQUESTS.exception({"event": "failed", "id": request_id, "route": route.template})
            return route, breakdown(request_id)


def _headers(reply: Reply, request_id: str, environ: WSGIEnvironment) -> list[Header]:
    headers = [*reply.headers, ("X-Request-Id", request_id), _NOSNIFF]
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
