"""What several processes do at once, and what is left when one is killed."""

import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from threading import Event, Thread

import pytest
from patience import PATIENCE_S
from store_fixtures import PATIENT

from service.storage.model import Criterion, Draft, Search, StoreBusy, TokenIs, claim_one
from service.storage.opening import check

ROOT = Path(__file__).parents[2]
PROCESSES, THREADS = 4, 5


@contextmanager
def racer(url, *work):
    command = [sys.executable, Path(__file__).with_name("racer.py"), url, *map(str, work)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def race(url, work, *arguments):
    with ExitStack() as stack:
        racers = [stack.enter_context(racer(url, work, *each)) for each in arguments]
        for each in racers:
            go(each)
        return Counter(word for each in racers for word in each.communicate(timeout=PATIENCE_S)[0].split())


def test_of_twenty_equal_conditional_creates_at_once_exactly_one_stores(url, open_one):
    """PX01."""
    outcome = race(url, "conditional", *((f"p{number}", THREADS) for number in range(PROCESSES)))
    assert outcome == {"made": 1, "found": PROCESSES * THREADS - 1}
    with open_one(url).reading() as view:
        assert view.search(Search("Note", total=True)).total == 1


@pytest.mark.parametrize(
    ("mine", "others", "waits"),
    [
        (("x",), ("y",), False),
        (("x", "y"), ("y", "z"), True),
        (("x",), (), True),
        ((), ("x",), True),
    ],
)
def test_conditional_creates_wait_only_for_those_that_claim_the_same(
    postgresql_url, open_one, mine, others, waits
):
    first, second = open_one(postgresql_url), open_one(postgresql_url)
    search = Search("Note", (Criterion("identifier", (TokenIs("x"),)),))
    with first.writing() as transaction:
        assert claim_one(transaction, search, mine) is None
        with pytest.raises(StoreBusy) if waits else nullcontext(), second.writing() as other:
            assert claim_one(other, search, others) is None
        with open_one(postgresql_url).writing("another tenant") as other:
            assert claim_one(other, search, mine) is None


def test_two_that_claim_the_same_codes_in_another_order_do_not_wait_for_each_other(url, open_one):
    store, search = open_one(url, PATIENT), Search("Note", (Criterion("identifier", (TokenIs("x"),)),))

    def claim(codes):
        for _ in range(30):
            with store.writing() as transaction:
                claim_one(transaction, search, codes)
        return "done"

    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(claim, ("abcd", "dcba"))] == ["done", "done"]


def test_of_twenty_uses_of_one_name_at_once_exactly_one_is_the_first(url):
    """CF09."""
    outcome = race(url, "once", *((f"p{number}", THREADS) for number in range(PROCESSES)))
    assert outcome == {"first": 1, "again": PROCESSES * THREADS - 1}


def test_of_twenty_updates_of_the_same_version_at_once_exactly_one_wins(url, open_one):
    """PX02."""
    store = open_one(url)
    with store.writing() as transaction:
        transaction.create(Draft("Note", "shared", 1, b"first"))
    outcome = race(url, "update", *((f"p{number}", THREADS) for number in range(PROCESSES)))
    assert outcome == {"won": 1, "conflict": PROCESSES * THREADS - 1}
    with store.reading() as view:
        assert view.history("Note", "shared", limit=9).total == 2


def test_of_several_processes_that_start_at_once_one_creates_the_schema(empty_url):
    assert race(empty_url, "migrate", (), (), ()) == {"done": 3}
    assert check(empty_url) is None


@pytest.mark.parametrize("rounds", [8])
def test_a_killed_process_leaves_every_acknowledged_write_and_no_half_one(url, open_one, rounds):
    acknowledged, first = set(), 0
    for number in range(rounds):
        with racer(url, "write", first) as process:
            go(process)
            told = [process.stdout.readline() for _ in range(3 + 7 * number)]
            process.send_signal(signal.SIGKILL)
            told += process.stdout.read().splitlines(keepends=True)
        acknowledged |= {int(line) for line in told if line.endswith("\n")}
        first = max(acknowledged) + 1000
    assert len(acknowledged) >= 3 * rounds
    with open_one(url).reading() as view:
        notes, twins = ids(view, "Note"), ids(view, "Twin")
        assert acknowledged <= notes
        assert notes == twins
        assert all(is_found(view, "Note", each) and is_found(view, "Twin", each) for each in notes)


def ids(view, of_type):
    records = view.search(Search(of_type, limit=100_000)).records
    assert all(len(record.body) == 9000 for record in records)
    return {int(record.id) for record in records}


def is_found(view, of_type, number):
    page = view.search(Search(of_type, (Criterion("number", (TokenIs(str(number)),)),)))
    return [record.id for record in page.records] == [str(number)]


def test_what_is_read_to_update_after_a_wait_is_the_version_that_stands_by_then(url, open_one):
    first, second = open_one(url, PATIENT), open_one(url, PATIENT)
    with first.writing() as transaction:
        transaction.create(Draft("Note", "waited", 1, b"1"))
    begun, seen = Event(), []

    def wait_and_read():
        begun.set()
        with second.writing() as transaction:
            seen.append(transaction.read_to_update("Note", "waited").version)

    reader = Thread(target=wait_and_read)
    with first.writing() as transaction:
        transaction.read_to_update("Note", "waited")
        reader.start()
        assert begun.wait(PATIENCE_S)
        begun.clear()
        begun.wait(0.3)  # nobody sets it: the reader gets as far as the lock
        transaction.update(Draft("Note", "waited", 2, b"2"), expected=1)
    reader.join(PATIENCE_S)
    assert seen == [2]
