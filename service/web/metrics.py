"""Metrics for a monitoring system: requests, their times, results and refusals.

Loaded only where SERVICE_METRICS is true. Every label comes from the program or from published data (the
table of routes, kinds of problems, guidance and its steps): nothing that a caller sent is one, so neither
answers nor identifiers nor tokens can appear, and the number of time series is bounded.

Under gunicorn each worker counts in files of its own, in the folder that PROMETHEUS_MULTIPROC_DIR names, and
whichever worker is asked adds them up. In a single process the numbers stay in its memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from time import perf_counter_ns
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from service.errors import Problem, Unauthenticated
from service.shadow import COUNTS, Count
from service.web.access import Operator
from service.web.reply import NO_STORE, Reply
from service.web.request import Request

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the folder of the workers' files; read when this module is loaded."""

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_UNKNOWN: Final = ("unknown", "other")
_SHADOW: Final = "service_shadow_"
_REFUSED: Final = Problem(
    "operator-token",
    "Expected a request from this machine, or the operator's token as Authorization: Bearer.",
)


class Metrics:
    """Counts what is answered, and shows it to the operator.

    Args:
        token: what a request from another machine must bring; empty lets none of them in.
    """

    def __init__(self, token: str = "") -> None:
        self._operator = Operator(token)
        own = CollectorRegistry()
        self._registry = own
        if FOLDER in os.environ:
            self._registry = CollectorRegistry()
            MultiProcessCollector(self._registry)  # type: ignore[no-untyped-call]
        self._requests = Counter(
            "service_requests", "Requests answered.", ("route", "method", "status"), registry=own
        )
        self._durations = Histogram(
            "service_request_seconds",
            "Time from the first to the last line of a request's code.",
            ("route",),
            registry=own,
            buckets=_BUCKETS,
        )
        self._results = Counter("service_results", "Results made.", ("guidance", "step"), registry=own)
        self._refusals = Counter("service_refusals", "Refusals by kind of problem.", ("kind",), registry=own)
        self._workers = Gauge(
            "service_workers", "Workers that run.", registry=own, multiprocess_mode="livesum"
        )
        self._shadow = {
            name: Counter(f"{_SHADOW}{name}", means, labels, registry=own)
            for name, (means, labels) in COUNTS.items()
        }
        # A child is looked up under a lock by its labels; the same few come again and again.
        self._counted: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def begin_worker(self) -> None:
        """Counts this process as one that runs; `mark_process_dead` takes it out again."""
        self._workers.set(1)

    def count_request(self, route: tuple[str, str] | None, status: int, begun_ns: int) -> None:
        """Counts an answer.

        Args:
            route: template of the path, and method; None if there is no such path or method.
            status: HTTP status.
            begun_ns: when the request began, on the clock `perf_counter_ns`.
        """
        path, method = route or _UNKNOWN
        key = path, method, status // 100
        counter, histogram = self._counted.get(key) or self._child(key)
        counter.inc()
        histogram.observe((perf_counter_ns() - begun_ns) / 1e9)

    def _child(self, key: tuple[str, str, int]) -> tuple[Counter, Histogram]:
        path, method, status_class = key
        counter = self._requests.labels(path, method, f"{status_class}xx")
        self._counted[key] = counter, self._durations.labels(path)
        return self._counted[key]

    def count_result(self, guidance: str, step: str) -> None:
        """Counts a result: `url|version` of its guidance, and code of the step that it reaches at least."""
        self._results.labels(guidance, step).inc()

    def count_refusal(self, problems: Iterable[Problem]) -> None:
        """Counts a refusal once under each kind of its errors."""
        for kind in {problem.kind for problem in problems if problem.is_error}:
            self._refusals.labels(kind).inc()

    def count_shadow(self, count: Count) -> None:
        """Counts what the next guidance makes of a response."""
        name, values = count
        self._shadow[name].labels(*values).inc()

    def read(self, request: Request) -> Reply:
        """Returns all numbers in Prometheus' text format.

        Raises:
            Unauthenticated: the request comes from elsewhere, and does not bring the operator's token.
        """
        if not self._operator.sends(request.environ):
            given = request.header("AUTHORIZATION")
            raise Unauthenticated(_REFUSED, error="invalid_token" if given else "")
        body = generate_latest(self._registry)
        return Reply(200, body, (("Content-Type", CONTENT_TYPE_LATEST), NO_STORE))


def shadow_counts(text: str) -> dict[Count, int]:
    """Returns the counts of shadow mode from the text of `Metrics.read`."""
    families = {f"{_SHADOW}{name}": name for name in COUNTS}
    return {
        (name, tuple(sample.labels[label] for label in COUNTS[name][1])): int(sample.value)
        for family in text_string_to_metric_families(text)
        if (name := families.get(family.name)) is not None
        for sample in family.samples
        if sample.name == f"{family.name}_total"
    }
