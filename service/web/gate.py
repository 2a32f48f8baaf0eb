"""The gate: holds each request, and each entry of a Bundle, to the access rule of its route.

Clients of CDS Hooks sign each call for the public url of its endpoint; access tokens are not taken there.

This module is imported only if access is controlled. An unknown access rule lets nobody in.

Source:
    SMART App Launch 2.2, app-launch.html#step-6, scopes-and-launch-context ("Batches and Transactions").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from service.auth.principal import ANONYMOUS, ANONYMOUS_KIND, Principal
from service.auth.tokens import TokenChecks, bearer_token, token_refused
from service.errors import Unauthenticated
from service.records.reach import Reach
from service.web.access import WITHOUT_TOKEN, Access

if TYPE_CHECKING:
    from service.auth.clients import ClientChecks
    from service.web.routing import Route


class Gate(msgspec.Struct, frozen=True):
    """Holds requests to the access rules of their routes.

    Args:
        tokens: checks access tokens.
        public_definitions: whether anybody may read what is published.
        clients: checks what CDS clients sign; None if none is registered.
        server: the public url of the server, without a path.
    """

    tokens: TokenChecks
    public_definitions: bool = False
    clients: ClientChecks | None = None
    server: str = ""

    def principal(self, route: Route, environ: Mapping[str, Any]) -> Principal:
        """Returns who sends a request; anonymous if its route lets in everybody.

        Args:
            route: that of the request.
            environ: the WSGI environment.

        Raises:
            Unauthenticated: there is no token, or it is not valid.
            Unavailable: the token cannot be checked at the moment.
        """
        if self.lets_all_in(route):
            return ANONYMOUS
        authorization, query = environ.get("HTTP_AUTHORIZATION"), environ.get("QUERY_STRING", "")
        if route.access is Access.CLIENT and self.clients is not None:
            return self.clients.principal(authorization, f"{self.server}{environ['PATH_INFO']}")
        if route.access not in (Access.TOKEN, Access.PUBLISHED):
            raise token_refused()
        return self.tokens.principal(bearer_token(authorization, query))

    def asks_elsewhere(self, environ: Mapping[str, Any]) -> bool:
        """Says whether another server would be asked about the token of a request."""
        try:
            token = bearer_token(environ.get("HTTP_AUTHORIZATION"), environ.get("QUERY_STRING", ""))
        except Unauthenticated:
            return False
        return self.tokens.asks_about(token)

    def reach(self, route: Route, principal: Principal) -> Reach:
        """Returns which stored data a request may touch.

        Args:
            route: the route of the request, or of an entry of its Bundle.
            principal: who sends it.

        Raises:
            Unauthenticated: the sender is anonymous.
            Forbidden: its token does not permit this.
        """
        if self.lets_all_in(route):
            return Reach(principal.tenant)
        if principal.kind == ANONYMOUS_KIND:
            raise token_refused()
        kind, _, letters = route.scope.partition(".")
        return principal.reach(kind, letters)

    def lets_all_in(self, route: Route) -> bool:
        """Says whether a route lets in everybody; OPTIONS always does, as methods are no secret."""
        if route.method == "OPTIONS" or route.access in WITHOUT_TOKEN:
            return True
        return self.public_definitions and route.access is Access.PUBLISHED
