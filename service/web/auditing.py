"""Records each request in the audit trail, once its answer is known.

It records requests that touch data of patients (reads, searches, operations, calls of CDS Hooks), whatever
their answer, and every refusal with 401 or 403. Creates and updates are recorded by the store, in the same
transaction. Requests for what is the same for everybody (definitions, pages, probes) are not recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from service.audit import Event, RecordedRequest, Trail, contents_of, patient_of, patients_in
from service.audit.feed import DENIED
from service.auth.principal import ANONYMOUS, Principal
from service.datatypes.values import replace
from service.errors import ServiceError
from service.web.access import Access
from service.web.reply import STATUS, Reply
from service.web.request import Request
from service.web.routing import SENDER, Route

_REFUSED: Final = 400  # and above
_ABOUT_PATIENTS: Final = (Access.TOKEN, Access.CLIENT)
_MOST_BROUGHT: Final = 100  # patients of one request
_STORED_ELSEWHERE: Final = frozenset(("create", "update", "batch", "transaction"))


class Audit:
    """Records requests.

    Args:
        trail: where they are recorded.
        base: public FHIR base.
        address: returns the network address that a request comes from.
    """

    def __init__(self, trail: Trail, base: str, address: Callable[[Mapping[str, Any]], str]) -> None:
        self.trail = trail
        self._base = base
        self._address = address

    def noted(self, route: Route, request: Request, request_id: str) -> Request:
        """Returns the request with its description for the trail, which its view hands on."""
        address = self._address(request.environ)
        return replace(request, asked=self._asked(route, request.principal, request_id, address))

    def of_entry(self, route: Route, request: Request, bundle: RecordedRequest) -> Reply:
        """Calls the view for an entry of a Bundle, and records its answer or refusal.

        A missing permission is recorded by `refused_entry`, which also sees entries that reach no view.
        """
        asked = self._asked(route, request.principal, bundle.request_id, bundle.address)
        try:
            reply = route.view(replace(request, asked=asked))
        except ServiceError as error:
            refused = Reply(STATUS[type(error)], b"", ())
            if refused.status not in DENIED:
                self.trail.record([*self._events(refused, route, asked)])
            raise
        self.trail.record([*self._events(reply, route, asked)])
        return reply

    def refused_entry(self, bundle: RecordedRequest, status: int) -> None:
        """Records that an entry of a Bundle was refused, if it was for a missing permission."""
        if status in DENIED:
            self.trail.record_now([self._event(bundle, status)])

    def recorded(
        self,
        reply: Reply,
        request: tuple[Route | None, RecordedRequest | None],
        environ: Mapping[str, Any],
        request_id: str,
    ) -> ServiceError | None:
        """Records a request with its answer; returns the error to answer with if that is impossible.

        Args:
            reply: the answer.
            request: its route, and its description for the trail; None if there is none.
            environ: the WSGI environment.
            request_id: its id in the log.
        """
        route, asked = request
        if route is None or route.method == "OPTIONS":
            return None
        if reply.status in DENIED:
            denied = asked or self._denied(route, environ, request_id)
            self.trail.record_now([self._event(denied, reply.status)])
        elif asked is not None:
            try:
                self.trail.record([*self._events(reply, route, asked)])
            except ServiceError as full:
                return full
        return None

    def _events(self, reply: Reply, route: Route, asked: RecordedRequest) -> Iterator[Event]:
        """Yields one event for each patient whose data was read, or one without a patient."""
        if route.access not in _ABOUT_PATIENTS:
            return
        if reply.status >= _REFUSED:
            yield self._event(asked, reply.status)
        elif _STORED_ELSEWHERE.isdisjoint(route.interactions):
            yield from self._of_answer(reply, asked)

    def _of_answer(self, reply: Reply, asked: RecordedRequest) -> Iterator[Event]:
        (read,) = asked.whole or (reply.body,)
        contents = contents_of(read, self._base)
        for content in contents:
            yield self._event(asked, reply.status, content.patient or asked.patient, content.references)
        known = [content for content in contents if content.patient]
        brought = () if known else self._brought(asked)
        for patient in brought:
            yield self._event(asked, reply.status, patient)
        if not contents and not brought:
            yield self._event(asked, reply.status)

    def _brought(self, asked: RecordedRequest) -> Sequence[dict[str, Any]]:
        """Returns the patients whom a request names, up to a limit."""
        named = [patient for body in asked.bodies for patient in patients_in(body, self._base)]
        return named[:_MOST_BROUGHT]

    def _event(
        self,
        asked: RecordedRequest,
        status: int,
        patient: Mapping[str, Any] | None = None,
        references: Sequence[str] = (),
    ) -> Event:
        about = asked.patient if patient is None else patient
        return Event(asked=asked, at=self.trail.clock(), status=status, patient=about, references=references)

    def _denied(self, route: Route, environ: Mapping[str, Any], request_id: str) -> RecordedRequest:
        principal = environ.get(SENDER, ANONYMOUS)
        return self._asked(route, principal, request_id, self._address(environ))

    def _asked(self, route: Route, principal: Principal, request_id: str, address: str) -> RecordedRequest:
        patient = {"reference": principal.patients[0]} if principal.patients else None
        return RecordedRequest(
            request_id=request_id,
            kind=principal.kind,
            tenant=principal.tenant,
            issuer=principal.issuer,
            subject=principal.subject,
            client=principal.client_id,
            address=address,
            interaction=route.interactions[-1] if route.interactions else "operation",
            operation=route.operation,
            resource=route.resource,
            route=route.path,
            patient=patient_of(patient, self._base) if patient else {},
        )
