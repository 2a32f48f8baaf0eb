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
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.exceptions import NotFound as NoRoute
from werkzeug.routing import BaseConverter

from service.errors import NotAllowed, NotFound, Problem, ServiceError
from service.web.call import Call
from service.web.problems import breakdown, refusal
from service.web.reply import STATUS_LINES, Header, Reply, indented
from service.web.route import BASE_PATH, Route

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

REQUESTS = logging.getLogger("service.request")

_UNKNOWN = Route("unknown", {})
_CORRELATION = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_BODILESS = (204, 304)
_LISTED = "The CapabilityStatement lists what is served."
_NOSNIFF: Header = ("X-Content-Type-Options", "nosniff")


class FhirId(BaseConverter):
    """The logical id of a resource in a path; anything else does not match the route."""

    regex = r"[A-Za-z0-9\-.]{1,64}"


class Application(Flask):
    """Answers the routes of a table and nothing else."""

    def __init__(self, routes: Sequence[Route]) -> None:
        super().__init__("service", static_folder=None, template_folder=None)
        self.url_map.merge_slashes = False
        self.url_map.converters["id"] = FhirId
        self.routes = {route.template: route for route in routes}
        for route in routes:
            self.add_url_rule(route.template, endpoint=route.template, methods=[*route.views, "OPTIONS"])
        self._types = frozenset(route.resource for route in routes if route.resource)
        self._paths = self.url_map.bind("", url_scheme="http")

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
                route, call = self._matched(environ)
                return route, _viewed(route, call)
            except ServiceError as error:
                return route, refusal(error)
        except Exception:  # noqa: BLE001 - the last resort: the caller gets an answer, the log the places
            REQUESTS.exception({"event": "failed", "id": request_id, "route": route.template})
            return route, breakdown(request_id)

    def _matched(self, environ: WSGIEnvironment) -> tuple[Route, Call]:
        path = _path(environ)
        try:
            template, args = self._paths.match(path, environ["REQUEST_METHOD"])
        except MethodNotAllowed as error:
            raise _not_allowed(sorted(error.valid_methods or ())) from None
        except NoRoute:
            raise self._not_found(path) from None
        return self.routes[template], Call(environ, args)

    def _not_found(self, path: str) -> NotFound:
        """Says what is missing without repeating the path, which may hold an identifier."""
        kind = path.removeprefix(BASE_PATH + "/").partition("/")[0]
        if "/$" in path:
            problem = Problem("operation-unknown", f"No such operation here. {_LISTED}")
        elif path.startswith(BASE_PATH + "/") and kind not in self._types:
            problem = Problem("type-unknown", f"No such resource type here. {_LISTED}")
        else:
            problem = Problem("route-unknown", "Nothing is served under this path.")
        return NotFound(problem)


def _viewed(route: Route, call: Call) -> Reply:
    method = call.environ["REQUEST_METHOD"]
    if method == "OPTIONS":
        return Reply(204, b"", (("Allow", ", ".join(_allowed(route))),))
    reply = route.views["GET" if method == "HEAD" else method](call)
    return reply._replace(body=indented(reply.body)) if call.is_pretty() else reply


def _allowed(route: Route) -> list[str]:
    return sorted({*route.views, *(["HEAD"] if "GET" in route.views else []), "OPTIONS"})


def _not_allowed(allow: Sequence[str]) -> NotAllowed:
    return NotAllowed(Problem("method", f"This path answers: {', '.join(allow)}."), allow=allow)


def _path(environ: WSGIEnvironment) -> str:
    """Returns the path as text, without a slash at its end."""
    raw: str = environ["PATH_INFO"]
    path = raw if raw.isascii() else raw.encode("latin-1").decode("utf-8", "replace")
    return path.rstrip("/") if path.endswith("/") else path


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
