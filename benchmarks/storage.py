"""Ratios of the store, each from one run on this machine.

    python -m benchmarks.storage [--transactions N] [--rows N] [--only sqlite|postgresql]

1. Creates per second: a response is read, checked, scored and stored with its result, provenance and audit
   record in one transaction, against the bare inserts of the same rows into the same tables through
   SQLAlchemy, in the same kind of database with the same durability. Both take turns in short bursts.
   Goal: 0.6 or better.
2. Search of one patient among ROWS responses, parameters and Bundle included, against the same among a
   thousandth of them, in databases of their own. Goal: 3 or less. The same for searches that nothing narrows;
   some of them are refused among so many.
3. Creates and searches of one tenant among TENANTS, in a store of ROWS responses in which every reference
   means a person of each of them, against the same in a store of as many responses without tenants. Both take
   turns. Goal: creates 0.9 or better, searches 3 times as long or less.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any
from urllib.parse import parse_qsl

import orjson
import psycopg
from sqlalchemy import Engine, create_engine, event, insert, select, text

from benchmarks.local_postgresql import NoServer, server
from service import catalogue
from service.assess import Assessor
from service.errors import Malformed
from service.fhir.json import BodyLimits
from service.records import APPEND_ONLY, Reach, Repository
from service.search import query_from, searchset
from service.settings import ROOT, Settings
from service.storage.model import Store
from service.storage.opening import migrate, open_store
from service.storage.schema import RANGE_ENTRY, RECORD, TEXT_ENTRY

SMALL = b'{"resourceType":"QuestionnaireResponse","id":"%032x","status":"completed"}'
TABLES = (RECORD, TEXT_ENTRY, RANGE_ENTRY)
PERSONS_RECORDS = 5
BURST = 25
SEARCHED = 200
UNFILTERED_SEARCHED = 30
NONE = ("",)
TENANTS = tuple(f"tenant-{number}" for number in range(10))
BASE = "https://fhir.example.org/fhir"


def repository_on(url: str) -> Repository:
    """Returns what a worker creates responses with: the whole path but for HTTP."""
    settings = Settings()
    served = catalogue.read(settings.questionnaires_dir, settings.mappings_dir)
    store = open_store(url, append_only=APPEND_ONLY)
    assert store is not None
    return Repository(store, Assessor(served, BodyLimits(settings.max_body_bytes, settings.max_depth)), BASE)


class BareInserts:
    """Inserts the rows that one create has stored, again and again, under new keys and ids."""

    def __init__(self, source: str, target: str) -> None:
        self._engine = bare_engine(target)
        self._keys = itertools.count(1_000_000, 1000)
        engine = bare_engine(source)
        with engine.connect() as connection:
            self._rows = {
                table: [dict(row) for row in connection.execute(select(table)).mappings()] for table in TABLES
            }
        engine.dispose()

    def __call__(self) -> None:
        """Stores the rows once more, in one transaction."""
        first = next(self._keys)
        with self._engine.begin() as connection:
            for table, rows in self._rows.items():
                connection.execute(insert(table), [self._anew(row, first) for row in rows])

    def _anew(self, row: dict[str, Any], first: int) -> dict[str, Any]:
        if "id" in row:
            return row | {"key": first + row["key"], "id": f"{first}-{row['id']}"}
        return row | {"record": first + row["record"]}

    def close(self) -> None:
        """Closes its connections."""
        self._engine.dispose()


def bare_engine(url: str) -> Engine:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def durable(connection: Any, _entry: Any) -> None:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")

    return engine


def compare_creates(url: str, bare_url: str, transactions: int) -> None:
    migrate(url)
    migrate(bare_url)
    repository = repository_on(url)
    gc.collect()
    gc.freeze()  # as gunicorn.conf.py does before it forks
    body = orjson.dumps(orjson.loads((ROOT / "samples" / "plain-eyelid.json").read_bytes()))
    repository.create(body)
    bare = BareInserts(url, bare_url)
    ours_per_s, bare_per_s, processor = [], [], []
    for _ in range(max(1, transactions // BURST) + 1):
        began = process_time()
        ours_per_s.append(per_second(lambda: repository.create(body)))
        between = process_time()
        bare_per_s.append(per_second(bare))
        processor.append((process_time() - between) / (between - began))
    ratio = statistics.median(one / other for one, other in zip(ours_per_s[1:], bare_per_s[1:], strict=True))
    speeds = f"{statistics.median(ours_per_s[1:]):.0f}/s, {statistics.median(bare_per_s[1:]):.0f}/s"
    print(f"  create and score: {ratio:.2f} of the bare inserts of the same rows ({speeds})")
    print(f"  by the processor time of this process alone: {statistics.median(processor[1:]):.2f}")
    repository.close()
    bare.close()


def per_second(action: Callable[[], None], times: int = BURST) -> float:
    start = perf_counter()
    for _ in range(times):
        action()
    return times / (perf_counter() - start)


def fill(url: str, count: int, tenants: tuple[str, ...] = NONE) -> None:
    """Stores many small responses, which the database makes itself: no driver hands over a million in time.

    Args:
        url: of a database that is empty.
        count: how many.
        tenants: whose they are in turn; each has records of each person.
    """
    migrate(url)
    engine = bare_engine(url)
    words = _WORDS[engine.dialect.name]
    series = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    names = " ".join(f"WHEN {place} THEN '{tenant}'" for place, tenant in enumerate(tenants))
    values = {
        "tenant": f"CASE i % {len(tenants)} {names} END",
        "person": f"'p' || (i / {PERSONS_RECORDS * len(tenants)})",
        "id": words["id"],
        "body": words["body"].format(id=words["id"]),
    }
    with engine.begin() as connection:
        for statement in words["before"]:
            connection.execute(text(statement))
        for columns, selected in _ROWS.items():
            connection.execute(text(f"INSERT INTO {columns} {series} {selected.format(**values)}"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in words["after"]:
            connection.execute(text(statement.format(last=count)))
    engine.dispose()


_QR = "'QuestionnaireResponse'"
# In the order of each table, as far as that is not the order of the numbers.
_ROWS = {
    "record (key, tenant, type, id, version, updated, deleted, current, body)": (
        f"SELECT i, {{tenant}}, {_QR}, {{id}}, 1, i, 0, 1, {{body}} FROM n"
    ),
    "text_entry (parameter, value, system, type, record)": (
        f"SELECT 'patient', {{person}}, 'Patient', {_QR}, i FROM n ORDER BY 2, 5"
    ),
    "text_entry (parameter, value, system, type, record) ": (
        f"SELECT 'status', 'completed', '', {_QR}, i FROM n"
    ),
    "range_entry (type, tenant, parameter, low, record, high)": (
        f"SELECT {_QR}, {{tenant}}, 'authored', i, i, i FROM n ORDER BY 2, 4"
    ),
}
_SMALL = '{{"resourceType"\\:"QuestionnaireResponse","id"\\:"\' || {id} || \'","status"\\:"completed"}}'
_WORDS: dict[str, Any] = {
    "sqlite": {
        "id": "printf('%032x', i)",
        "body": f"CAST('{_SMALL}' AS BLOB)",
        "before": ("PRAGMA cache_size = -500000",),
        "after": ("PRAGMA wal_checkpoint(TRUNCATE)",),
    },
    "postgresql": {
        "id": "lpad(to_hex(i), 32, '0')",
        "body": f"convert_to('{_SMALL}', 'UTF8')",
        # Rows that refer to each other by the same number need no check, which takes most of the time.
        "before": ("SET LOCAL session_replication_role = replica",),
        "after": ("VACUUM ANALYZE", "SELECT setval(pg_get_serial_sequence('record', 'key'), {last})"),
    },
}


SEARCHES = {
    "one patient": "patient=p{0}",
    "one patient, one status, newest first": "patient=p{0}&status=completed&_sort=-authored",
}


def compare_searches(few_url: str, many_url: str, count: int) -> None:
    few, many = max(count // 1000, 2 * PERSONS_RECORDS), count
    fill(few_url, few)
    fill(many_url, many)
    compared = {few_url: few // PERSONS_RECORDS, many_url: many // PERSONS_RECORDS}
    for name, (low, high) in times_of_searches(compared).items():
        times = f"{high / low:.2f} times as long among {many:,} as among {few:,}"
        print(f"  search of {name}: {times} ({high * 1e6:.0f} us)")
    compare_unfiltered(few_url, many_url, few)


UNFILTERED = (
    "",
    "_sort=-_lastUpdated",
    "_sort=-authored",
    "status:not=amended",
    "status:not=amended&_sort=-authored",
    "status:not=completed",
    "patient:missing=true",
    "_sort=status",
    "_summary=count",
)


def compare_unfiltered(few_url: str, many_url: str, count: int, tenant: str = "") -> None:
    """Compares searches of everybody's responses among many with the same among a thousandth of them."""
    few, many = open_store(few_url), open_store(many_url)
    assert few is not None
    assert many is not None
    for parameters in UNFILTERED:
        seconds: list[list[float]] = [[], []]
        refused = False
        for _ in range(UNFILTERED_SEARCHED):
            seconds[0].append(ask(few, parameters, "")[0])
            took, refused = ask(many, parameters, tenant)
            seconds[1].append(took)
        low, high = map(min, seconds)  # what else the machine does only ever adds time
        said = "refused in " if refused else ""
        times = f"{said}{high / low:.2f} times the time among {count:,} ({high * 1e3:.1f} ms)"
        print(f"  ?{parameters}: {times}")
    few.close()
    many.close()


def ask(store: Store, parameters: str, tenant: str) -> tuple[float, bool]:
    """Returns seconds of a search, and whether it was refused."""
    start, refused = perf_counter(), False
    query = query_from("QuestionnaireResponse", parse_qsl(parameters), strict=True, base=BASE)
    with store.reading(tenant) as view:
        try:
            searchset(query, view)
        except Malformed:
            refused = True
    return perf_counter() - start, refused


def times_of_searches(persons: dict[str, int], tenant: str = "") -> dict[str, list[float]]:
    """Returns seconds of each of the SEARCHES in each database, which take turns.

    Args:
        persons: how many there are in each database, by its url.
        tenant: whose data is searched in the last of them.
    """
    stores = [open_store(url) for url in persons]
    found = {}
    for name, parameters in SEARCHES.items():
        seconds: list[list[float]] = [[] for _ in stores]
        for turn in range(SEARCHED):
            for place, (store, count) in enumerate(zip(stores, persons.values(), strict=True)):
                assert store is not None
                of = tenant if store is stores[-1] else ""
                seconds[place].append(search_once(store, parameters.format(turn * 7919 % count), of))
        # What else the machine does only ever adds time.
        found[name] = [min(each) for each in seconds]
    for store in stores:
        assert store is not None
        store.close()
    return found


def search_once(store: Store, parameters: str, tenant: str) -> float:
    start = perf_counter()
    query = query_from("QuestionnaireResponse", parse_qsl(parameters), strict=True, base=BASE)
    with store.reading(tenant) as view:
        found = searchset(query, view)
    took = perf_counter() - start
    assert 0 < orjson.loads(found)["total"] <= PERSONS_RECORDS
    return took


def compare_tenants(alone_url: str, shared_url: str, count: int, transactions: int) -> None:
    """Compares a store that many share with one of as many records that nobody shares."""
    fill(shared_url, count, TENANTS)
    tenant, persons = TENANTS[len(TENANTS) // 2], count // PERSONS_RECORDS
    compared = {alone_url: persons, shared_url: persons // len(TENANTS)}
    for name, (alone, shared) in times_of_searches(compared, tenant).items():
        times = f"{shared / alone:.2f} times as long for one of {len(TENANTS)} tenants as without"
        print(f"  search of {name}: {times} ({shared * 1e6:.0f} us)")
    body = (ROOT / "samples" / "plain-eyelid.json").read_bytes()
    sides = [(repository_on(alone_url), Reach()), (repository_on(shared_url), Reach(tenant))]
    speeds = [
        [per_second(lambda kept=kept, reach=reach: kept.create(body, reach=reach)) for kept, reach in sides]
        for _ in range(max(1, transactions // BURST) + 1)
    ]
    ratio = statistics.median(shared / alone for alone, shared in speeds[1:])
    print(f"  create and score: {ratio:.2f} for one of {len(TENANTS)} tenants of the speed without")
    compare_unfiltered(alone_url, shared_url, count, tenant)
    for repository, _ in sides:
        repository.close()


@contextmanager
def sqlite_urls() -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        yield [f"sqlite:///{Path(folder) / str(number)}" for number in range(5)]


@contextmanager
def postgresql_urls() -> Iterator[list[str]]:
    with server() as running:
        with psycopg.connect(running.url, autocommit=True) as connection:
            for number in range(5):
                connection.execute(f"CREATE DATABASE bench{number}".encode())
        yield [running.database(f"bench{number}") for number in range(5)]


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
        with urls() as (ours, bare, few, many, shared):
            compare_creates(ours, bare, options.transactions)
            if options.rows:
                compare_searches(few, many, options.rows)
                compare_tenants(many, shared, options.rows, options.transactions)
    except NoServer as missing:
        print(f"  not measured: {missing}")


if __name__ == "__main__":
    main()
