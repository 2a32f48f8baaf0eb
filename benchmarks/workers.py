"""Requests per second by the number of workers, and of two services on one PostgreSQL behind nginx.

    python -m benchmarks.workers [--rounds N] [--seconds N]

1. $assess of one service with 1, 2 and 4 workers, in bursts that take turns. More workers than cores of the
   machine cannot help, and what makes the load takes its share.
2. Creates, each stored with its result, on one PostgreSQL: two services of one worker each behind nginx, and
   one service of two workers, against one worker without nginx. The database runs on the same cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import orjson
import psycopg

from benchmarks.http import SERVICE, serving
from benchmarks.load import CONNECTIONS, PATH, generator, load
from benchmarks.local_nginx import NoProxy, proxy
from benchmarks.local_postgresql import NoServer, Server, server
from service.settings import ROOT

CREATE = "/fhir/QuestionnaireResponse"
WORKERS = (1, 2, 4)
ONE, TWO_WORKERS, TWO_SERVICES = "one worker", "one service of two workers", "two services behind nginx"

Rates = Mapping[str, list[float]]


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=Path, default=ROOT / "samples" / "plain-eyelid.json")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="length of one burst")
    asked = parser.parse_args()
    body = orjson.dumps(orjson.loads(asked.sample.read_bytes()))
    cores = os.cpu_count()
    print(f"{asked.sample.name}, {CONNECTIONS} connections, load by {generator()}, {cores} cores")

    def burst(port: int, path: str) -> float:
        return load(port, body, asked.seconds, path).rate

    shown("$assess", by_workers(burst, asked.rounds), "1 worker")
    try:
        with server(install=True) as database:
            shown("creates on PostgreSQL", on_one_database(burst, asked.rounds, database), ONE)
    except (NoServer, NoProxy) as missing:
        print(f"two services were not measured: {missing}")


def by_workers(burst: Callable[[int, str], float], rounds: int) -> Rates:
    """Returns the rates of each round by number of workers."""
    with ExitStack() as stack:
        ports = {
            f"{number} worker{'s' * (number > 1)}": stack.enter_context(
                serving(SERVICE, WORKERS=str(number))
            ).port
            for number in WORKERS
        }
        return in_turns(burst, rounds, ports, PATH)


def on_one_database(burst: Callable[[int, str], float], rounds: int, database: Server) -> Rates:
    """Returns the rates of each round by kind of service; all of them share a database."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE served")
    url = database.database("served")
    with ExitStack() as stack:
        one, other = (stack.enter_context(serving(SERVICE, url, WORKERS="1")).port for _ in range(2))
        two_workers = stack.enter_context(serving(SERVICE, url, WORKERS="2")).port
        two_services = stack.enter_context(proxy([one, other]))
        ports = {ONE: one, TWO_WORKERS: two_workers, TWO_SERVICES: two_services}
        return in_turns(burst, rounds, ports, CREATE)


def in_turns(burst: Callable[[int, str], float], rounds: int, ports: Mapping[str, int], path: str) -> Rates:
    """Returns the rates of each round by name; a first burst is not counted."""
    for port in ports.values():
        burst(port, path)
    found: dict[str, list[float]] = {name: [] for name in ports}
    for _ in range(rounds):
        for name, port in ports.items():
            found[name].append(burst(port, path))
    return found


def shown(what: str, rates: Rates, against: str) -> None:
    """Prints each rate against that of the first kind, as the median of the rounds."""
    print(f"{what}, requests per second against {against}")
    for name, found in rates.items():
        ratio = statistics.median(one / other for one, other in zip(found, rates[against], strict=True))
        print(f"  {name:28} {ratio:.2f}  ({statistics.median(found):.0f} a second)")


if __name__ == "__main__":
    main()
