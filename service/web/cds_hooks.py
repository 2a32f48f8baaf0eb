"""CDS Hooks over HTTP: discovery for everybody, the calls of each service, and what became of its cards.

Source:
    CDS Hooks 2.0.1, HTTP API. Its errors are OperationOutcomes, as those of every route here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from service.cds_hooks import (
    Brought,
    Call,
    Cards,
    CdsService,
    Fetched,
    Reading,
    ShownCards,
    brought_by,
    discovery,
    feedback_in,
)
from service.errors import NotFound, Problem
from service.fhir.json import encoded
from service.records.repository import service_errors
from service.sandbox import in_time
from service.web import descriptions as does
from service.web.access import Access
from service.web.chart_servers import ChartServers
from service.web.negotiation import JSON
from service.web.reply import NO_STORE, REVALIDATE, Reply
from service.web.routing import Route

if TYPE_CHECKING:
    from service.web.deployment import Deployment
    from service.web.request import Request

CDS_PATH: Final = "/cds-services"

SMALL_CALL_BYTES: Final = 48 * 1024
"""A call up to this size is read where it arrives: most have some of a chart, and a child takes longer."""

_UNKNOWN: Final = Problem(
    "id-unknown", f"No CDS service has this id. GET {CDS_PATH} lists those that there are."
)


class CdsHooks:
    """The views of CDS Hooks.

    Args:
        services: those of the catalogue.
        cards: makes the cards.
        deployment: its limits and sandbox.
        servers: FHIR servers that may be asked for what a call does not bring.
        shown: the cards that were shown; None if nothing is kept, and so no feedback is taken.
    """

    def __init__(
        self,
        services: Iterable[CdsService],
        cards: Cards,
        deployment: Deployment,
        servers: ChartServers | None = None,
        shown: ShownCards | None = None,
    ) -> None:
        listed = tuple(services)
        self._servers = ChartServers(()) if servers is None else servers
        self._services = {service.id: service for service in listed}
        self._cards = cards
        self.shown = shown
        self._limits = deployment.body
        self._sandbox = deployment.sandbox
        self._discovery = encoded(discovery(listed))

    def discover(self, _request: Request) -> Reply:
        """Returns the services."""
        return Reply(200, self._discovery, (("Content-Type", JSON), REVALIDATE))

    def call(self, request: Request) -> Reply:
        """Returns the cards of a call.

        Raises:
            NotFound: there is no such service.
            Malformed, TooLarge, Unsupported: the request is not what the hook demands.
            PreconditionFailed: prefetch data is missing.
            NotScorable: the call takes too much to read.
            Unavailable: there is too much to score at the moment.
        """
        service = self._service(request)
        request.check_body_type()
        call = Call(service, self._brought(request, service), request.reach.tenant)
        answer = self._cards.answer(call, request.languages())
        return Reply(200, encoded(answer), (("Content-Type", JSON), NO_STORE, ("Vary", "Accept-Language")))

    def feedback(self, request: Request) -> Reply:
        """Takes what became of cards; the same again changes nothing.

        Raises:
            NotFound: there is no such service.
            Malformed, TooLarge, Unsupported: the request is not what the specification demands.
            Unavailable: the store cannot be had.
        """
        service = self._service(request)
        request.check_body_type()
        given = feedback_in(request.body(self._limits.body_bytes), service, self._limits)
        if self.shown is not None:
            with service_errors():
                self.shown.take(request.reach.tenant, given)
        return Reply(200, b"{}", (("Content-Type", JSON), NO_STORE))

    def _service(self, request: Request) -> CdsService:
        service = self._services.get(request.args["id"])
        if service is None:
            raise NotFound(_UNKNOWN)
        return service

    def _brought(self, request: Request, service: CdsService) -> Brought:
        """Returns the data of a call, completed from its FHIR server if the prefetch is not enough."""
        data = request.body(self._limits.body_bytes)
        may_ask = partial(self._servers.may_ask, caller=request.principal)
        reading = self._reading(data, service, may_ask)
        if reading.needed is not None:
            fetched = Fetched(self._servers.fetched(reading.needed))
            reading = self._reading(data, service, may_ask, fetched)
        if reading.brought is None:
            raise RuntimeError("a server is asked once")
        return reading.brought

    def _reading(
        self, data: bytes, service: CdsService, may_ask: Callable[[str], bool], fetched: Fetched | None = None
    ) -> Reading:
        """Reads a call; a large one in a child, so that nobody else waits."""
        size = len(data) + sum(
            len(page) for pages in (fetched or Fetched({})).pages.values() for page in pages
        )
        expected = "Expected a call that takes at most {allowed} to read."

        def read(**_: bool) -> Reading:
            return brought_by(data, service, self._limits, may_ask, fetched)

        return in_time(self._sandbox, size, read, Reading, expected=expected, small=SMALL_CALL_BYTES)


def cds_routes(views: CdsHooks) -> tuple[Route, ...]:
    """Returns the routes of CDS Hooks."""
    one = f"{CDS_PATH}/<id:id>"
    routes = (
        Route("GET", CDS_PATH, views.discover, Access.PUBLIC, does.CDS_SERVICES),
        Route("POST", one, views.call, Access.CLIENT, does.CDS_CALL),
    )
    if views.shown is None:
        return routes
    return (*routes, Route("POST", f"{one}/feedback", views.feedback, Access.CLIENT, does.CDS_FEEDBACK))
