"""Tracing: one span per request, sent over OTLP.

Loaded only where SERVICE_TRACING is true. A span has the template of the route, the method, the status, how
long it took and the id under which the log knows the request; no path, no query, no header and no error text,
so neither answers nor identifiers nor tokens can appear. Of the caller's own trace the ids are taken that
`traceparent` holds, and never the free text of `tracestate` or `baggage`.

Where spans go, how many are kept and what the service calls itself, OpenTelemetry's own variables say
(OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME ...).

Source:
    W3C Trace Context, section 3; OpenTelemetry semantic conventions, HTTP server spans.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.status import StatusCode

from service.web.logs import METHODS, Begun

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer


_NAME: Final = "service"
_OTHER: Final = "_OTHER"  # what the conventions call a method that is none of theirs
_PARENT: Final = "traceparent"


class Tracing:
    """Makes a span of each request, from `begin_worker` on.

    What sends them has a thread of its own, which does not live through a fork.
    """

    def __init__(self) -> None:
        self._propagator = TraceContextTextMapPropagator()
        self._tracer: Tracer | None = None

    def begin_worker(self, provider: TracerProvider | None = None) -> None:
        """Has this process make spans; what is not sent yet is sent when it ends.

        Args:
            provider: takes the spans; None for one that sends them where OpenTelemetry's variables say.
        """
        self._tracer = (provider or _provider()).get_tracer(_NAME)

    def record(self, route: str, status: int, environ: Mapping[str, Any], begun: Begun) -> None:
        """Makes the span of a request that was answered.

        Args:
            route: template of the path; empty if there is no such path or method.
            status: HTTP status.
            environ: the WSGI environment, for method and `traceparent`.
            begun: when, and under which id.
        """
        if self._tracer is None:
            return
        sent = environ["REQUEST_METHOD"]
        method = sent if sent in METHODS else _OTHER
        name = "HTTP" if method == _OTHER else method
        ended = time.time_ns()
        span = self._tracer.start_span(
            f"{name} {route}" if route else name,
            self._parent(environ),
            kind=SpanKind.SERVER,
            attributes=_attributes(method, route, status, begun.request_id),
            start_time=ended - (time.perf_counter_ns() - begun.at_ns),
        )
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    def _parent(self, environ: Mapping[str, Any]) -> Context | None:
        """Returns the caller's own span; None if it names none that can be read."""
        parent = environ.get("HTTP_TRACEPARENT")
        return None if parent is None else self._propagator.extract({_PARENT: parent})


def _provider() -> TracerProvider:
    """Returns the provider that sends spans over OTLP and HTTP from a thread of its own."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _attributes(method: str, route: str, status: int, request_id: str) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "http.response.status_code": status,
        "service.request.id": request_id,
    }
    if route:
        attributes["http.route"] = route
    if status >= 500:
        attributes["error.type"] = str(status)
    return attributes
