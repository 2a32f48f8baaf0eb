"""A process with gevent: one greenlet waits for the database, the other must go on meanwhile."""

import sys

from gevent import monkey, spawn, wait

from service.storage.database import StoreLimits
from service.storage.model import Draft, StoreBusy
from service.storage.opening import open_store

# As in production: the master imports the service and names the store, then the worker is patched.
STORE, OTHER = (open_store(sys.argv[1], StoreLimits(lock_s=1)) for _ in range(2))

monkey.patch_all()


def main():
    with STORE.writing() as transaction:
        transaction.create(Draft("Note", "held", 1, b"{}"))
    found = [what_happens_while_held_by(holder) for holder in (STORE, OTHER)]
    STORE.close()
    OTHER.close()
    sys.stdout.write("; ".join(found))


def what_happens_while_held_by(holder):
    events = []

    def waits():
        try:
            with STORE.writing() as transaction:
                transaction.read_to_update("Note", "held")
        except StoreBusy:
            events.append("busy")

    def goes_on():
        for _ in range(5):
            STORE.ping()
        events.append("went on")

    with holder.writing() as transaction:
        transaction.read_to_update("Note", "held")
        wait([spawn(waits), spawn(goes_on)])
    return ", ".join(events)


main()
