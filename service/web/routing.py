"""From a path to its view: one table of routes, matched once per request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import MethodNotAllowed
from werkzeug.exceptions import NotFound as NoRoute
from werkzeug.routing import BaseConverter, Map, Rule

from service.errors import NotAllowed, NotFound, Problem
from service.fhir.primitives import ID
from service.web.reply import Reply
from service.web.request import Call

if TYPE_CHECKING:
    from service.records import Unit


# A route as it is declared: the table of all routes says everything that the service answers.

View = Callable[[Call], Reply]

BASE_PATH = "/fhir"


@dataclass(frozen=True, slots=True)
class Route:
    """One path and what it answers.

    Args:
        template: the path; `<id:name>` stands for a FHIR id. It is what the log shows.
        views: the view by HTTP method; HEAD follows GET, OPTIONS is answered everywhere.
            A route without views is known but offers nothing: other methods get 405, not 404.
        resource: the FHIR type that the route belongs to, or empty.
        interactions: the FHIR interaction codes (`read`, `search-type`) that the views answer.
        operation: the name of the operation without `$`, or empty.
        public: whether pages of every origin may read the answers.
    """

    template: str
    views: Mapping[str, View]
    resource: str = ""
    interactions: tuple[str, ...] = ()
    operation: str = ""
    public: bool = False


_LISTED = "The CapabilityStatement lists what is served."


class FhirId(BaseConverter):
    """The logical id of a resource in a path; anything else does not match the route."""

    regex = ID


class Router:
    """Finds the route of a request and has its view answer."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes: Mapping[str, Route] = {route.template: route for route in routes}
        rules = [
            Rule(route.template, endpoint=route.template, methods=[*route.views, "OPTIONS"])
            for route in routes
        ]
        self.url_map = Map(rules, converters={"id": FhirId}, merge_slashes=False)
        self._paths = self.url_map.bind("", url_scheme="http")
        self._types = frozenset(route.resource for route in routes if route.resource)

    def matched(self, environ: Mapping[str, Any], unit: Unit | None = None) -> tuple[Route, Call]:
        """Returns the route of a request, and the request as its view sees it.

        Args:
            environ: the WSGI environment.
            unit: the transaction that the request is part of, if any.

        Raises:
            NotFound: there is no such path.
            NotAllowed: there is, but not with this method.
        """
        path = _path(environ)
        try:
            template, args = self._paths.match(path, environ["REQUEST_METHOD"])
        except MethodNotAllowed as error:
            raise _not_allowed(sorted(error.valid_methods or ())) from None
        except NoRoute:
            raise self._not_found(path) from None
        return self.routes[template], Call(environ, args, unit)

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


def answered(route: Route, call: Call) -> Reply:
    """Returns what the view of the route answers; raises NotAllowed and what the view raises."""
    method = call.environ["REQUEST_METHOD"]
    if method == "OPTIONS":
        return Reply(204, b"", (("Allow", ", ".join(_allowed(route))),))
    view = route.views.get("GET" if method == "HEAD" else method)
    if view is None:  # methods are told apart by case here, not where paths are matched
        raise _not_allowed(_allowed(route))
    return view(call)


def _allowed(route: Route) -> list[str]:
    return sorted({*route.views, *(["HEAD"] if "GET" in route.views else []), "OPTIONS"})


def _not_allowed(allow: Sequence[str]) -> NotAllowed:
    return NotAllowed(Problem("method", f"This path answers: {', '.join(allow)}."), allow=allow)


def _path(environ: Mapping[str, Any]) -> str:
    """Returns the path as text, without a slash at its end."""
    raw: str = environ["PATH_INFO"]
    path = raw if raw.isascii() else raw.encode("latin-1").decode("utf-8", "replace")
    return path.rstrip("/") if path.endswith("/") else path
