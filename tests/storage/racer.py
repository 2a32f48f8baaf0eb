"""A process of its own that uses a store; the tests start several at once, and kill some.

    racer.py URL migrate
    racer.py URL conditional NAME THREADS     creates in THREADS threads what must be there once;
                                              every other one says by which code it claims
    racer.py URL once NAME THREADS            uses one name in THREADS threads
    racer.py URL update NAME THREADS          updates version 1 of one record in THREADS threads
    racer.py URL write FIRST                  writes pairs until it is killed; a line for each that is stored

Prints `ready`, waits for a line, works, and prints what came of it.
"""

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor

from service.storage.database import StoreLimits
from service.storage.entries import Token
from service.storage.model import (
    Criterion,
    Draft,
    Search,
    TokenIs,
    VersionConflict,
    claim_one,
)
from service.storage.opening import migrate, open_store

PATIENT = StoreLimits(connect_s=30, lock_s=30, statement_s=60, connections=6)
URL, WORK, *REST = sys.argv[1:]


def tell(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def conditional(store, name):
    search = Search("Note", (Criterion("identifier", (TokenIs("x", "urn:s"),)),))
    draft = Draft("Note", name, 1, b"{}", [Token("identifier", "x", "urn:s")])
    codes = ("x",) if int(name.rpartition("-")[2]) % 2 else ()
    with store.writing() as transaction:
        found = claim_one(transaction, search, codes)
        if found is None:
            transaction.create(draft)
    return "found" if found else "made"


def update(store, name):
    try:
        with store.writing() as transaction:
            transaction.update(Draft("Note", "shared", 2, name.encode()), expected=1)
    except VersionConflict:
        return "conflict"
    return "won"


def once(store, _name):
    return "first" if store.use_once("shared", until=20, now=10) else "again"


def in_threads(store, action, name, threads):
    def attempt(number):
        return action(store, f"{name}-{number}")

    with ThreadPoolExecutor(threads) as pool:
        tell(*pool.map(attempt, range(threads)))


def write(store, first):
    for number in itertools.count(first):
        entries = [Token("number", str(number))]
        with store.writing() as transaction:
            transaction.create(Draft("Note", str(number), 1, b"x" * 9000, entries))
            transaction.create(Draft("Twin", str(number), 1, b"y" * 9000, entries))
        tell(number)


def main():
    tell("ready")
    sys.stdin.readline()
    if WORK == "migrate":
        migrate(URL, PATIENT)
        tell("done")
        return
    store = open_store(URL, PATIENT)
    if WORK == "write":
        write(store, int(REST[0]))
    in_threads(
        store, {"conditional": conditional, "once": once, "update": update}[WORK], REST[0], int(REST[1])
    )
    store.close()


if __name__ == "__main__":
    main()
