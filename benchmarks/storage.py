"""Ratios of the store, each from one run on this machine.

    python -m benchmarks.storage [--transactions N] [--rows N] [--only sqlite|postgresql]

1. Creates per second: a response with its result, provenance and audit record in one transaction, against
   the bare inserts of the same rows into the same tables through SQLAlchemy, in the same kind of database
   with the same durability. Both take turns in short bursts. Goal: 0.6 or better.
2. Search of one person among ROWS records against the same among a thousandth of them, in databases of
   their own. Goal: 3 or less.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, event, insert, text

from benchmarks.local_postgresql import NoServer, server
from service.storage import (
    Criterion,
    Date,
    Draft,
    Number,
    Reference,
    ReferenceTo,
    Search,
    Sort,
    Store,
    Token,
    TokenIs,
    migrate,
    open_store,
)
from service.storage.entries import Entry, ranges, texts
from service.storage.tables import RANGE_ENTRY, RECORD, TEXT_ENTRY

BODY = b'{"x": "' + b"answers and words " * 450 + b'"}'
BURST = 25
PERSONS_RECORDS = 5
SEARCHED = 200
_numbers = itertools.count(1)


def drafts(number: int) -> list[Draft]:
    """Returns what one create stores: four records with 20 entries."""
    of_id, now = f"{number:032x}", 1_700_000_000_000_000 + number
    person = Reference("patient", "Patient", f"p{number // PERSONS_RECORDS}")
    subject = Reference("subject", "Patient", f"p{number // PERSONS_RECORDS}")
    when = Date("date", now, now)
    response: list[Entry] = [
        person,
        subject,
        Token("status", "completed"),
        Token("identifier", of_id, "urn:s"),
        Reference("questionnaire", url="http://there/Questionnaire/q|1"),
        Reference("author", "Practitioner", "1"),
        Reference("encounter", "Encounter", of_id),
        Date("authored", now, now),
    ]
    result: list[Entry] = [
        person,
        subject,
        when,
        Reference("based-on", "QuestionnaireResponse", of_id),
        Token("method", "m", "urn:m"),
        Token("risk", "low", "urn:r"),
        Number("probability", None, None),
    ]
    source: list[Entry] = [person, Reference("target", "QuestionnaireResponse", of_id)]
    audit: list[Entry] = [person, Reference("entity", "QuestionnaireResponse", of_id), when]
    return [
        Draft("QuestionnaireResponse", of_id, now, BODY, response),
        Draft("RiskAssessment", of_id, now, BODY, result),
        Draft("Provenance", of_id, now, BODY[:1500], source),
        Draft("AuditEvent", of_id, now, BODY[:1500], audit),
    ]


def rows(number: int, key: int) -> dict[Any, list[dict[str, Any]]]:
    """Returns the same as rows of the tables."""
    tables: dict[Any, list[dict[str, Any]]] = {RECORD: [], TEXT_ENTRY: [], RANGE_ENTRY: []}
    for place, each in enumerate(drafts(number)):
        of = {"record": key + place, "type": each.type}
        whole = {"key": key + place, "type": each.type, "id": each.id, "version": 1, "updated": each.updated}
        tables[RECORD].append(whole | {"deleted": 0, "current": 1, "body": each.body})
        for entry in each.entries:
            for parameter, system, value in texts(entry):
                tables[TEXT_ENTRY].append(of | {"parameter": parameter, "system": system, "value": value})
            for parameter, low, high in ranges(entry):
                tables[RANGE_ENTRY].append(of | {"parameter": parameter, "low": low, "high": high})
    return tables


def create(store: Store) -> None:
    with store.writing() as transaction:
        for each in drafts(next(_numbers)):
            transaction.create(each)


def bare_engine(url: str) -> Engine:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def durable(connection: Any, _entry: Any) -> None:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")

    return engine


def bare_create(engine: Engine) -> None:
    number = next(_numbers)
    with engine.begin() as connection:
        for table, its_rows in rows(number, number * 4).items():
            connection.execute(insert(table), its_rows)


def compare_creates(url: str, bare_url: str, transactions: int) -> None:
    migrate(url)
    migrate(bare_url)
    store, engine = open_store(url), bare_engine(bare_url)
    assert store is not None
    for _ in range(BURST):
        create(store)
        bare_create(engine)
    ours, bare = [], []
    for _ in range(max(1, transactions // BURST)):
        ours.append(per_second(lambda: create(store)))
        bare.append(per_second(lambda: bare_create(engine)))
    ratio = statistics.median(one / other for one, other in zip(ours, bare, strict=True))
    speeds = f"{statistics.median(ours):.0f}/s, {statistics.median(bare):.0f}/s"
    print(f"  create: {ratio:.2f} of the bare inserts ({speeds})")
    store.close()
    engine.dispose()


def per_second(action: Callable[[], None], times: int = BURST) -> float:
    start = perf_counter()
    for _ in range(times):
        action()
    return times / (perf_counter() - start)


def fill(url: str, count: int) -> None:
    """Stores many small responses without the store's own checks, which are not what is measured here."""
    migrate(url)
    engine = bare_engine(url)
    for start in range(1, count + 1, 10_000):
        batch: dict[Any, list[dict[str, Any]]] = {RECORD: [], TEXT_ENTRY: [], RANGE_ENTRY: []}
        for number in range(start, min(start + 10_000, count + 1)):
            of = {"record": number, "type": "QuestionnaireResponse"}
            person = {"system": "Patient", "value": f"p{number // PERSONS_RECORDS}"}
            batch[RECORD].append(
                {"key": number, "type": of["type"], "id": f"{number:032x}", "version": 1, "updated": number}
                | {"deleted": 0, "current": 1, "body": b'{"x": "' + b"y" * 200 + b'"}'}
            )
            batch[TEXT_ENTRY] += [
                of | person | {"parameter": "patient"},
                of | {"parameter": "status", "system": "", "value": "completed"},
            ]
            batch[RANGE_ENTRY].append(of | {"parameter": "authored", "low": number, "high": number})
        with engine.begin() as connection:
            for table, its_rows in batch.items():
                load(connection, table, its_rows)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if engine.dialect.name == "postgresql" else "SELECT 1"))
    engine.dispose()


def load(connection: Any, table: Any, its_rows: list[dict[str, Any]]) -> None:
    if connection.dialect.name == "sqlite":
        connection.execute(insert(table), its_rows)
        return
    names = list(its_rows[0])
    cursor = connection.connection.driver_connection.cursor()
    with cursor.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy:
        for row in its_rows:
            copy.write_row([row[name] for name in names])


SEARCHES = {
    "one person": ((), ()),
    "one person, one status, newest first, counted": (
        (Criterion("status", (TokenIs("completed"),)),),
        (Sort("range", "authored", descending=True),),
    ),
}


def compare_searches(few_url: str, many_url: str, count: int) -> None:
    few, many = max(count // 1000, 2 * PERSONS_RECORDS), count
    fill(few_url, few)
    fill(many_url, many)
    stores = [open_store(few_url), open_store(many_url)]
    for name, (criteria, sort) in SEARCHES.items():
        seconds: list[list[float]] = [[], []]
        for turn in range(SEARCHED):
            for place, (store, size) in enumerate(zip(stores, (few, many), strict=True)):
                assert store is not None
                person = turn * 7919 % (size // PERSONS_RECORDS)
                seconds[place].append(search_once(store, person, criteria, sort))
        # What else the machine does only ever adds time: the quickest quarter shows the search itself.
        low, high = (statistics.quantiles(each[5:], n=4)[0] for each in seconds)
        times = f"{high / low:.2f} times as long among {many:,} as among {few:,}"
        print(f"  search of {name}: {times} ({high * 1e6:.0f} us)")
    for store in stores:
        assert store is not None
        store.close()


def search_once(store: Store, person: int, criteria: Any, sort: Any) -> float:
    whose = Criterion("patient", (ReferenceTo(f"p{person}", "Patient"),))
    wanted = Search("QuestionnaireResponse", (whose, *criteria), sort, total=bool(sort))
    start = perf_counter()
    with store.reading() as view:
        found = view.search(wanted)
    took = perf_counter() - start
    assert 0 < len(found.records) <= PERSONS_RECORDS
    return took


@contextmanager
def sqlite_urls() -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        yield [f"sqlite:///{Path(folder) / str(number)}" for number in range(4)]


@contextmanager
def postgresql_urls() -> Iterator[list[str]]:
    with server() as running:
        with psycopg.connect(running.url, autocommit=True) as connection:
            for number in range(4):
                connection.execute(f"CREATE DATABASE bench{number}".encode())
        yield [running.database(f"bench{number}") for number in range(4)]


def main() -> None:
    """Prints the ratios."""
    arguments = argparse.ArgumentParser(description="Prints ratios of the store.")
    arguments.add_argument("--transactions", type=int, default=1000, help="creates on each side")
    arguments.add_argument("--rows", type=int, default=1_000_000, help="records to search among; 0 for none")
    arguments.add_argument("--only", choices=("sqlite", "postgresql"))
    options = arguments.parse_args()
    for name, urls in (("sqlite", sqlite_urls), ("postgresql", postgresql_urls)):
        if options.only in (None, name):
            measure(name, urls, options)


def measure(name: str, urls: Callable[[], Any], options: argparse.Namespace) -> None:
    print(name)
    try:
        with urls() as (ours, bare, few, many):
            compare_creates(ours, bare, options.transactions)
            if options.rows:
                compare_searches(few, many, options.rows)
    except NoServer as missing:
        print(f"  not measured: {missing}")


if __name__ == "__main__":
    main()
