"""A process with gevent: one greenlet waits for the database, the other must go on meanwhile."""

import sys

from gevent import monkey, spawn, wait

from service.app import store_from
from service.settings import Settings
from service.storage.model import Draft, StoreBusy

# As in production: the master brings the schema up to date and names the store, then the worker is patched.
STORE, OTHER = (store_from(Settings(store_url=sys.argv[1], store_timeout_s=1)) for _ in range(2))

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
