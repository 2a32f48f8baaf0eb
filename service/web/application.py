"""The Flask application, and in front of it a small WSGI application that answers the FHIR API.

Every route of the table is a route of Flask, so that blueprints, templates, error handlers, the test client
and `flask routes` work as in any Flask application. Requests below `/fhir` never reach Flask's own dispatch:
`FhirApplication` stands before it as `app.wsgi_app`, in Flask's documented way, finds the same routes and
calls the same views. Flask's dispatch brings contexts, signals, and request and response objects, which these
views do not use; it costs ten times as much per request (benchmarks/dispatch.py). Both sides send the same
headers and write the same log line: see `Completion`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

import flask
from flask import Flask, Response
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.exceptions import NotFound as NoRoute

from service.errors import Malformed, Problem, ServiceError, TooManyRequests
from service.web.access import ANY_ORIGIN, Access, is_preflight, preflight, with_origin
from service.web.deployment import Deployment
from service.web.front_page import FAILED, NOT_FOUND, TOO_MANY, message_page
from service.web.health import STOPPING
from service.web.logs import METHODS, REQUESTS, Begun
from service.web.negotiation import prefers_html
from service.web.problems import breakdown, refusal
from service.web.reply import STATUS_LINES, Header, Reply, indented
from service.web.request import Request
from service.web.routing import (
    BASE_PATH,
    FhirId,
    MatchingRule,
    Route,
    Router,
    admitted,
    by_path,
    method_refused,
    path_refused,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from service.audit import RecordedRequest


_BEGUN: Final = "service.begun"
_ASKED: Final = "service.asked"
_BELOW: Final = f"{BASE_PATH}/"
_CORRELATION: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_BODILESS: Final = (204, 304)
_UNKNOWN: Final = "unknown"


class Application(Flask):
    """A Flask application over a table of routes.

    Args:
        routes: the table.
        deployment: its base, canonicals and origins.

    Once `stopping` is set, it says that it is not ready, and goes on answering.
    """

    url_rule_class = MatchingRule

    def __init__(self, routes: Iterable[Route], deployment: Deployment) -> None:
        super().__init__(__name__, static_folder=None)
        self.routes = tuple(routes)
        self.stopping = False
        self.metrics, self.tracing = deployment.metrics, deployment.tracing
        self.audit, self.edition, self.shadow = deployment.audit, deployment.edition, deployment.shadow
        self._deployment = deployment
        self._completion = Completion(self.routes, deployment)
        self._paths = by_path(self.routes)
        self.url_map.converters["id"] = FhirId
        self.url_map.strict_slashes = self.url_map.merge_slashes = False
        for path, methods in self._paths.items():
            self.add_url_rule(
                path,
                path,
                _flask_view(methods, deployment),
                methods=[*methods],
                provide_automatic_options=False,
            )
        self.before_request(self._begin)
        self.after_request(self._complete)
        self.register_error_handler(ServiceError, self._refuse_request)
        self.register_error_handler(HTTPException, self._refuse)
        self.register_error_handler(Exception, self._break_down)
        self.fhir = FhirApplication(self.wsgi_app, self.routes, deployment)
        self.wsgi_app = self.fhir  # type: ignore[method-assign] # Flask's documented place for middleware

    def log_exception(self, exc_info: Any) -> None:
        """Logs a failure without the path of the request, which Flask would name."""
        begun: Begun = flask.request.environ[_BEGUN]
        _log_failure(begun.request_id, self._route(), exc_info)

    def _begin(self) -> None:
        flask.request.environ[STOPPING] = self.stopping
        flask.request.environ[_BEGUN] = Begun.now()

    def _complete(self, response: Response) -> Response:
        headers = tuple(header for header in response.headers if header[0] != "Content-Length")
        reply = Reply(response.status_code, response.get_data(), headers)
        environ, route = flask.request.environ, self._route()
        begun: Begun = environ[_BEGUN]
        request = route, environ.get(_ASKED)
        reply = _recorded(self._deployment, reply, request, environ, begun.request_id)
        return _response(self._completion.of(reply, route, environ, begun))

    def _refuse_request(self, error: ServiceError) -> Response:
        """Answers what the gate or a view refuses; a browser gets a page where somebody may try again."""
        reply = refusal(error, self._deployment)
        if isinstance(error, TooManyRequests):
            return _page_or(reply, TOO_MANY, ("Retry-After", str(error.retry_after_s)))
        return _response(reply)

    def _refuse(self, error: HTTPException) -> Response:
        """Answers the requests that Flask refuses; for an unknown path a browser gets a page."""
        if isinstance(error, NoRoute):
            return _page_or(refusal(path_refused(flask.request.path), self._deployment), NOT_FOUND)
        if isinstance(error, MethodNotAllowed):
            return _response(refusal(method_refused(error.valid_methods or ()), self._deployment))
        if error.code is not None and 400 <= error.code < 500:
            problem = Problem("http", "The request is not well-formed HTTP.")
            return _response(refusal(Malformed(problem), self._deployment)._replace(status=error.code))
        return self._break_down(error)

    def _break_down(self, error: Exception) -> Response:
        self.log_exception((type(error), error, error.__traceback__))
        return _page_or(breakdown(flask.request.environ[_BEGUN].request_id, self._deployment), FAILED)

    def _route(self) -> Route | None:
        """Returns the route of the present request; None if there is no such path or method."""
        rule = flask.request.url_rule
        return None if rule is None else self._paths.get(rule.rule, {}).get(flask.request.method)


class FhirApplication:
    """Answers what begins with the FHIR base path, and passes on every other path.

    Args:
        other: answers the other paths.
        routes: the table.
        deployment: its base, canonicals and origins.
    """

    def __init__(self, other: WSGIApplication, routes: Sequence[Route], deployment: Deployment) -> None:
        self.other = other
        self._deployment = deployment
        self._audit = deployment.audit
        self._completion = Completion(routes, deployment)
        below = (route for route in routes if route.path == BASE_PATH or route.path.startswith(_BELOW))
        self.router = Router(below, deployment.gate)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request; never raises but for a lost connection or an expired deadline."""
        path = environ["PATH_INFO"]
        if not path.startswith(_BELOW) and path != BASE_PATH:
            return self.other(environ, start_response)
        begun = Begun.now()
        route, answer = self._answer(environ, begun.request_id)
        reply = self._completion.of(answer, route, environ, begun)
        start_response(STATUS_LINES[reply.status], [*reply.headers])
        return () if environ["REQUEST_METHOD"] == "HEAD" else (reply.body,)

    def _answer(self, environ: WSGIEnvironment, request_id: str) -> tuple[Route | None, Reply]:
        route, asked = None, None
        try:
            try:
                route, args = self.router.find(environ)
                request = self.router.admit(route, args, environ)
                if self._audit is not None:
                    request = self._audit.noted(route, request, request_id)
                    asked = request.asked
                reply = _viewed(route, request)
            except ServiceError as error:
                reply = refusal(error, self._deployment)
        except Exception:  # noqa: BLE001 - the last resort: the caller gets an answer, the log the places
            _log_failure(request_id, route, True)  # noqa: FBT003 - as logging takes it
            reply = breakdown(request_id, self._deployment)
        return route, _recorded(self._deployment, reply, (route, asked), environ, request_id)


def _recorded(
    deployment: Deployment,
    reply: Reply,
    request: tuple[Route | None, RecordedRequest | None],
    environ: WSGIEnvironment,
    request_id: str,
) -> Reply:
    """Records an answer and returns it; returns a refusal if it cannot be recorded; see Audit."""
    if deployment.audit is None:
        return reply
    full = deployment.audit.recorded(reply, request, environ, request_id)
    return reply if full is None else refusal(full, deployment)


class Completion:
    """Adds to an answer what every answer carries, and writes its line to the log."""

    def __init__(self, routes: Iterable[Route], deployment: Deployment) -> None:
        self._origins = deployment.origins
        self._methods = ", ".join(sorted({"HEAD", *(route.method for route in routes)}))
        self._standing = deployment.standing_headers
        self._metrics, self._tracing = deployment.metrics, deployment.tracing

    def of(self, reply: Reply, route: Route | None, environ: WSGIEnvironment, begun: Begun) -> Reply:
        """Returns the reply with all of its headers.

        Args:
            reply: what the view, or a refusal, says.
            route: None if there is no such path or method.
            environ: the WSGI environment.
            begun: when, and under which id.
        """
        access = Access.TOKEN if route is None else route.access
        if is_preflight(environ) and self._lets_in(environ, access):
            reply = preflight(reply, environ, self._methods)
        if REQUESTS.isEnabledFor(logging.INFO):
            _log(environ["REQUEST_METHOD"], route, reply.status, begun)
        if self._metrics is not None:
            place = None if route is None else (route.path, environ["REQUEST_METHOD"])
            self._metrics.count_request(place, reply.status, begun.at_ns)
        if self._tracing is not None:
            self._tracing.record("" if route is None else route.path, reply.status, environ, begun)
        headers = [*reply.headers, *self._standing, *_own_headers(reply, begun.request_id, environ)]
        return reply._replace(headers=tuple(self._with_origin(headers, environ, access)))

    def _lets_in(self, environ: WSGIEnvironment, access: Access) -> bool:
        """Returns whether a page of the origin that asks may send a request of this access rule."""
        if access is Access.PUBLIC_FORM:
            return False
        return access is Access.PUBLIC or environ["HTTP_ORIGIN"] in self._origins

    def _with_origin(self, headers: list[Header], environ: WSGIEnvironment, access: Access) -> list[Header]:
        """Returns the headers with what browsers need; costs nothing where no origin is registered."""
        if access is Access.PUBLIC_FORM:
            return headers
        if access is Access.PUBLIC:
            return [*headers, *ANY_ORIGIN]
        return with_origin(headers, environ.get("HTTP_ORIGIN"), self._origins) if self._origins else headers


def _flask_view(methods: Mapping[str, Route], deployment: Deployment) -> Callable[..., Response]:
    """Returns the views of one path as one view of Flask."""

    def view(**args: str) -> Response:
        environ = flask.request.environ
        route = methods[flask.request.method]
        principal, reach = admitted(deployment.gate, route, environ, None)
        request = Request(environ, args, None, principal, reach)
        if deployment.audit is not None:
            request = deployment.audit.noted(route, request, environ[_BEGUN].request_id)
            environ[_ASKED] = request.asked
        return _response(_viewed(route, request))

    return view


def _response(reply: Reply) -> Response:
    response = Response(reply.body, STATUS_LINES[reply.status])
    response.headers = Headers([*reply.headers])
    return response


def _page_or(reply: Reply, words: tuple[str, ...], *headers: Header) -> Response:
    """Returns a page with the status of a refusal where a browser asks, else the refusal."""
    asked = flask.request.headers
    if not prefers_html(asked.get("Accept")):
        return _response(reply)
    return _response(message_page(reply.status, words, asked.get("Accept-Language", ""), *headers))


def _viewed(route: Route, request: Request) -> Reply:
    """Returns the answer of a view, JSON with line breaks where that is wanted; pages stay as they are.

    A query that does not say how is refused before the view has done anything.
    """
    is_pretty = request.is_pretty()
    reply = route.view(request)
    return reply._replace(body=indented(reply.body)) if is_pretty and reply.body.startswith(b"{") else reply


def _own_headers(reply: Reply, request_id: str, environ: WSGIEnvironment) -> list[Header]:
    headers = [("X-Request-Id", request_id)]
    if reply.status not in _BODILESS:
        headers.append(("Content-Length", str(len(reply.body))))
    theirs = environ.get("HTTP_X_REQUEST_ID")
    if theirs is not None and _CORRELATION.fullmatch(theirs):
        headers.append(("X-Correlation-Id", theirs))
    return headers


def _log(method: str, route: Route | None, status: int, begun: Begun) -> None:
    REQUESTS.info(
        {
            "event": "request",
            "id": begun.request_id,
            "method": method if method in METHODS else "other",
            "route": _UNKNOWN if route is None else route.path,
            "status": status,
            "ms": round((perf_counter_ns() - begun.at_ns) / 1e6, 3),
        }
    )


def _log_failure(request_id: str, route: Route | None, exc_info: Any) -> None:
    place = _UNKNOWN if route is None else route.path
    REQUESTS.error({"event": "failed", "id": request_id, "route": place}, exc_info=exc_info)
