"""What the audit trail costs: requests to a service that keeps one, against the same without.

The time is that of the processor, without that of a database server. Both sides are the whole application in
process, each with a store of its own: files of SQLite, and databases of PostgreSQL where it is installed.
What waits is written within the burst that it belongs to, so its cost counts although no caller waits for it.
Bursts alternate, so that what else the machine does meets both. Where no trail is kept, nothing of this runs.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from werkzeug.test import EnvironBuilder

from benchmarks.local_postgresql import NoServer, server
from service import app
from service.settings import ROOT, Settings
from service.storage.opening import migrate
from service.web.application import Application

FHIR, RESPONSES, RISKS = "application/fhir+json", "/fhir/QuestionnaireResponse", "/fhir/RiskAssessment"
BODY = (ROOT / "samples" / "plain-eyelid.json").read_bytes()

Environs = Callable[[], dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=100, help="requests of one burst")
    asked = parser.parse_args()
    print(
        f"processor time with a trail / without, median of {asked.rounds} bursts of {asked.requests} requests"
    )
    with TemporaryDirectory() as folder:
        compare("sqlite", [f"sqlite:///{folder}/{number}.db" for number in range(2)], asked)
    try:
        with server() as running, psycopg.connect(running.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE plain")
            connection.execute("CREATE DATABASE trail")
            compare("postgresql", [running.database("plain"), running.database("trail")], asked)
    except NoServer as missing:
        print(f"postgresql: {missing}")


def compare(name: str, urls: Sequence[str], asked: argparse.Namespace) -> None:
    """Prints what a trail costs in one kind of store, of which there are two empty ones."""
    sides = [application(url, audit=audit) for url, audit in zip(urls, (False, True), strict=True)]
    print(name)
    for kind, environs in kinds(sides):
        pairs = [
            [seconds(side, make, asked.requests) for side, make in zip(sides, environs, strict=True)]
            for _ in range(asked.rounds + 1)
        ][1:]  # the first burst warms up
        ratio = statistics.median(with_ / without for without, with_ in pairs)
        extra = statistics.median(with_ - without for without, with_ in pairs) / asked.requests * 1e6
        print(f"  {kind:<12} {ratio:.2f}   ({extra:+.0f} microseconds per request on this machine)")


def application(url: str, *, audit: bool) -> Application:
    migrate(url)
    return app.create_app(Settings(store_url=url, audit=audit, public_form=False, log_level="ERROR"))


def kinds(sides: list[Application]) -> list[tuple[str, list[Environs]]]:
    """Returns the kinds of requests, each with what makes one for either side."""
    ids = [json.loads(answer(side, posting(RESPONSES)()))["id"] for side in sides]
    return [
        ("read", [getting(f"{RISKS}/{of_id}") for of_id in ids]),
        ("search", [getting(f"{RISKS}?status=final&_count=10") for _ in ids]),
        ("$assess", [posting(f"{RESPONSES}/$assess") for _ in ids]),
        ("create", [posting(RESPONSES) for _ in ids]),
    ]


def getting(path: str) -> Environs:
    environ = EnvironBuilder(path).get_environ()
    return lambda: dict(environ)


def posting(path: str) -> Environs:
    environ = EnvironBuilder(path, method="POST", data=BODY, content_type=FHIR).get_environ()
    return lambda: {**environ, "wsgi.input": io.BytesIO(BODY)}


def seconds(side: Application, make: Environs, requests: int) -> float:
    environs = [make() for _ in range(requests)]
    started = time.process_time()
    for environ in environs:
        answer(side, environ)
    if side.audit is not None:
        side.audit.trail.flush()
    return time.process_time() - started


def answer(side: Application, environ: dict[str, Any]) -> bytes:
    return b"".join(side.wsgi_app(environ, lambda *_: None))  # type: ignore[arg-type] # nobody writes


if __name__ == "__main__":
    main()
