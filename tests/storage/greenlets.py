"""A process with gevent: one greenlet waits for the database, the other must go on meanwhile."""

import sys

from gevent import monkey, spawn, wait

from service.storage import (  # imported by the master, before the worker is
    Draft,
    StoreBusy,
    StoreLimits,
    open_store,
)

monkey.patch_all()


def main(url):
    store = open_store(url, StoreLimits(lock_s=1))
    events = []

    def waits():
        try:
            with store.writing() as transaction:
                transaction.read_to_update("Note", "held")
        except StoreBusy:
            events.append("busy")

    def goes_on():
        for _ in range(5):
            store.ping()
        events.append("went on")

    with store.writing() as transaction:
        transaction.create(Draft("Note", "held", 1, b"{}"))
    with store.writing() as transaction:
        transaction.read_to_update("Note", "held")
        wait([spawn(waits), spawn(goes_on)])
    store.close()
    sys.stdout.write(", ".join(events))


main(sys.argv[1])
