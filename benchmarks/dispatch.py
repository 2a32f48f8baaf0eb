"""What one request costs from WSGI to its view and back: Flask's own dispatch against ours.

Both sides have the same route with the same view, which answers a fixed text, and add the same headers; only
what stands between differs. Bursts alternate, so that what else the machine does meets both. The figure is a
ratio; it is the reason why `/fhir` is answered in front of Flask (service/web/application.py).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from werkzeug.test import EnvironBuilder

from service.web.access import Access
from service.web.application import Application
from service.web.deployment import Deployment
from service.web.descriptions import READ
from service.web.reply import Reply
from service.web.request import Request
from service.web.routing import Route

Wsgi = Callable[[dict[str, Any], Any], Any]

PATH, REPLY = "/fhir/Thing/<id:id>", Reply(200, b"{}", (("Content-Type", "application/fhir+json"),))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=1000, help="requests of one burst")
    asked = parser.parse_args()
    before, flask = applications()
    pairs = [
        (microseconds(before, asked.requests), microseconds(flask, asked.requests))
        for _ in range(asked.rounds + 1)
    ][1:]  # the first burst warms up
    ratio = statistics.median(flask_us / ours_us for ours_us, flask_us in pairs)
    ours_us, flask_us = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"one GET to a view that answers a fixed text, {asked.rounds} bursts of {asked.requests} requests")
    print(f"  Flask's own dispatch / ours                 {ratio:.1f}")
    print(f"  microseconds per request on this machine    {flask_us:.0f} / {ours_us:.0f}")


def applications() -> tuple[Wsgi, Wsgi]:
    """Returns the application as it is served, and the same without the FHIR application before Flask."""

    def application() -> Application:
        return Application([Route("GET", PATH, view, Access.TOKEN, READ, "Thing")], Deployment())

    served, flask = application(), application()
    return served.wsgi_app, flask.fhir.other


def view(_request: Request) -> Reply:
    return REPLY


def microseconds(application: Wsgi, requests: int) -> float:
    """Returns the microseconds of one request, the mean of a burst."""
    environ = EnvironBuilder("/fhir/Thing/1").get_environ()
    environs = [dict(environ) for _ in range(requests)]
    started = time.perf_counter_ns()
    for each in environs:
        b"".join(application(each, start))
    return (time.perf_counter_ns() - started) / requests / 1000


def start(_status: str, _headers: list[tuple[str, str]]) -> None:
    """Takes the head of an answer, as a server does."""


if __name__ == "__main__":
    main()
