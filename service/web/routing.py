"""From a request to its route: what a route declares, who is let in, and a router over a table of routes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.exceptions import NotFound as NoRoute
from werkzeug.routing import BaseConverter, Map, Rule

from service.auth.principal import ANONYMOUS, Principal
from service.errors import NotAllowed, NotFound, Problem
from service.fhir.primitives import ID
from service.records.reach import EVERYTHING, Reach
from service.web.access import Access
from service.web.descriptions import ALLOWED_METHODS, Description
from service.web.reply import Reply
from service.web.request import Request

if TYPE_CHECKING:
    from service.records import Unit

BASE_PATH = "/fhir"
"""Where the FHIR API stands on this server; a proxy may show it under another path."""

View = Callable[[Request], Reply]

_NO_ARGS: Final[Mapping[str, str]] = MappingProxyType({})
_LISTED: Final = "The CapabilityStatement lists what is served."


class Route(msgspec.Struct, frozen=True):
    """One method of one path: a line in the table of routes.

    Args:
        method: GET, POST or PUT. HEAD follows GET, and OPTIONS is answered everywhere.
        path: `<id:name>` stands for a FHIR id. It is what the log shows.
        view: answers the request.
        access: who may send it, and who may read the answer.
        description: what it does, for the OpenAPI document.
        resource: the FHIR type that it belongs to; empty for the whole system.
        interactions: its FHIR interaction codes, such as `read`, for the CapabilityStatement.
        operation: the name of an operation without `$`, for the CapabilityStatement.
        scope: what a token must permit, such as `QuestionnaireResponse.r`, with letters of c r u d s as SMART
            has them; empty if every token will do.
    """

    method: str
    path: str
    view: View
    access: Access
    description: Description
    resource: str = ""
    interactions: tuple[str, ...] = ()
    operation: str = ""
    scope: str = ""


class Gatekeeper(Protocol):
    """Decides who sends a request and what they may touch, or refuses it."""

    def principal(self, route: Route, environ: Mapping[str, Any]) -> Principal:
        """Returns who sends a request to a route; anonymous if the route does not ask."""

    def reach(self, route: Route, principal: Principal) -> Reach:
        """Returns which stored data a request to a route may touch."""

    def lets_all_in(self, route: Route) -> bool:
        """Says whether a route lets in everybody."""


SENDER: Final = "service.sender"
"""The key of the WSGI environment that holds who sends the request, once that is known."""


def admitted(
    gate: Gatekeeper | None,
    route: Route,
    environ: MutableMapping[str, Any],
    sender: Principal | None = None,
) -> tuple[Principal, Reach]:
    """Returns who sends a request, and what of the stored data it may touch.

    Args:
        gate: None if there is neither access control nor a limit of rates.
        route: that of the request.
        environ: the WSGI environment.
        sender: who sends the Bundle that the request is an entry of; None if it came on its own.

    Raises:
        Unauthenticated, Forbidden, TooManyRequests, Unavailable: as the gate does.
    """
    if gate is None:
        return ANONYMOUS if sender is None else sender, EVERYTHING
    principal = gate.principal(route, environ) if sender is None else sender
    environ[SENDER] = principal
    return principal, gate.reach(route, principal)


class FhirId(BaseConverter):
    """The logical id of a resource in a path; anything else does not match the route."""

    regex = ID


class MatchingRule(Rule):
    """A rule that only matches paths: no address is built of it, and preparing that takes longest."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:  # noqa: FBT001, FBT002 - Werkzeug's
        return _builds_nothing


def _builds_nothing(*_args: object, **_values: object) -> tuple[str, str]:
    raise NotImplementedError("addresses are written, not built of rules")


def by_path(routes: Iterable[Route]) -> dict[str, dict[str, Route]]:
    """Returns the routes by path and method, with HEAD and OPTIONS.

    The path of a type of resource is always there: a type that has nothing but operations answers 405
    to a search or a create, not 404.
    """
    paths: dict[str, dict[str, Route]] = {}
    types: dict[str, None] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method] = route
        types.setdefault(route.resource)
    for kind in filter(None, types):
        paths.setdefault(f"{BASE_PATH}/{kind}", {})
    for path, methods in paths.items():
        if "GET" in methods:
            methods["HEAD"] = methods["GET"]
        methods["OPTIONS"] = _options(path, methods)
    return paths


def _options(path: str, methods: Mapping[str, Route]) -> Route:
    """Returns the route that says which methods a path answers; its access rule is theirs, if they agree."""
    allow = ", ".join(sorted({*methods, "OPTIONS"}))
    rules = {route.access for route in methods.values()}
    reply, access = Reply(204, b"", (("Allow", allow),)), rules.pop() if len(rules) == 1 else Access.TOKEN
    return Route("OPTIONS", path, lambda _request: reply, access, ALLOWED_METHODS)


class Router:
    """Finds the route of a request.

    Args:
        routes: the table, or a part of it.
        gate: holds requests to the rules of their routes; None if there is no access control.
    """

    def __init__(self, routes: Iterable[Route], gate: Gatekeeper | None = None) -> None:
        self.paths = by_path(routes)
        self._gate = gate
        rules = [
            MatchingRule(path, endpoint=path, methods=[*methods]) for path, methods in self.paths.items()
        ]
        self.url_map = Map(rules, converters={"id": FhirId}, merge_slashes=False)
        self._matcher = self.url_map.bind("", url_scheme="http")
        # Most requests are for a path without variables, and Werkzeug would find the same route for it.
        self._fixed = {path: methods for path, methods in self.paths.items() if "<" not in path}
        self._types = frozenset(
            route.resource for methods in self.paths.values() for route in methods.values() if route.resource
        )

    def match(
        self, environ: MutableMapping[str, Any], unit: Unit | None = None, sender: Principal | None = None
    ) -> tuple[Route, Request]:
        """Returns the route of a request, and the request as its view sees it.

        Args:
            environ: the WSGI environment.
            unit: the transaction that the request is part of, if any.
            sender: who sends the Bundle that the request is an entry of; None if it came on its own.

        Raises:
            NotFound: there is no such path.
            NotAllowed: there is, but not with this method.
            Unauthenticated, Forbidden, Unavailable: the route asks for more than came.
        """
        route, args = self.find(environ)
        return route, self.admit(route, args, environ, unit, sender)

    def find(self, environ: Mapping[str, Any]) -> tuple[Route, Mapping[str, str]]:
        """Returns the route of a request, and the variable parts of its path; raises NotFound, NotAllowed."""
        path, method = _path(environ), environ["REQUEST_METHOD"]
        route = self._fixed.get(path, {}).get(method)
        if route is not None:
            return route, _NO_ARGS
        try:
            template, args = self._matcher.match(path, method)
        except MethodNotAllowed as error:
            raise method_refused(error.valid_methods or ()) from None
        except NoRoute:
            raise path_refused(path, self._types) from None
        route = self.paths[template].get(method)
        if route is None:  # methods are told apart by case here, not where paths are matched
            raise method_refused(self.paths[template])
        return route, args

    def admit(
        self,
        route: Route,
        args: Mapping[str, str],
        environ: MutableMapping[str, Any],
        unit: Unit | None = None,
        sender: Principal | None = None,
    ) -> Request:
        """Returns a request as its view sees it; raises Unauthenticated, Forbidden, Unavailable."""
        principal, reach = admitted(self._gate, route, environ, sender)
        return Request(environ, args, unit, principal, reach)


def method_refused(allowed: Iterable[str]) -> NotAllowed:
    """Returns the refusal of a method that a path does not answer."""
    allow: Sequence[str] = sorted(allowed)
    return NotAllowed(Problem("method", f"This path answers: {', '.join(allow)}."), allow=allow)


def path_refused(path: str, types: Iterable[str] = ()) -> NotFound:
    """Returns the refusal of a path that is not served; it does not repeat it: it may hold an identifier."""
    kind = path.removeprefix(f"{BASE_PATH}/").partition("/")[0]
    if "/$" in path:
        problem = Problem("operation-unknown", f"No such operation here. {_LISTED}")
    elif path.startswith(f"{BASE_PATH}/") and kind not in types:
        problem = Problem("type-unknown", f"No such resource type here. {_LISTED}")
    else:
        problem = Problem("route-unknown", "Nothing is served under this path.")
    return NotFound(problem)


def _path(environ: Mapping[str, Any]) -> str:
    """Returns the path as text, without a slash at its end."""
    raw: str = environ["PATH_INFO"]
    path = raw if raw.isascii() else raw.encode("latin-1").decode("utf-8", "replace")
    return path.rstrip("/") if path.endswith("/") else path
