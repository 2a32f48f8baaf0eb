"""Writes what was done with records to the store, many events at a time.

What a request has stored is recorded in the transaction that stores it. What it has only read is recorded
up to half a second after the answer, in one transaction with whatever came meanwhile: a process that is
killed loses that much. A refusal is recorded before it is answered. Where the store does not take them,
events are kept and tried again; once too many wait, requests that would add to them are told to come again.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from service.audit.events import Event, link_of
from service.errors import Problem, Unavailable
from service.storage.model import Store, StoreFault

_LOG: Final = logging.getLogger("service.audit")
_MOST: Final = 10_000  # events that wait
_BATCH: Final = 500  # events in one transaction
_PAUSE_S: Final = 0.5
_HEAD_EVERY_S: Final = 60
_WAIT_S: Final = 5
_FULL: Final = Problem(
    "store-busy", "What is read here is recorded, and that cannot be done at the moment. Come again."
)


def _microseconds() -> int:
    return time.time_ns() // 1000


class _Waiting(NamedTuple):
    """The events of one process that are not written yet."""

    process: int
    events: deque[Event]
    turn: threading.Lock
    wanted: threading.Event
    heads: dict[str, float]


class Trail:
    """The audit trail as a process writes it.

    Args:
        store: where it is.
        clock: microseconds since 1970 UTC.
        pause_s: longest time that an event waits for others to be written with.
        most: events that may wait.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int] = _microseconds,
        *,
        pause_s: float = _PAUSE_S,
        most: int = _MOST,
    ) -> None:
        self._store = store
        self.clock = clock
        self._pause_s = pause_s
        self._most = most
        self._starting = threading.Lock()
        self._state: _Waiting | None = None

    def record(self, events: Sequence[Event]) -> None:
        """Has events written soon.

        Raises:
            Unavailable: so many wait that no more can.
        """
        if not events:
            return
        waiting = self._waiting()
        if len(waiting.events) + len(events) > self._most:
            raise Unavailable(_FULL, retry_after_s=1)
        waiting.events.extend(events)
        waiting.wanted.set()

    def record_now(self, events: Sequence[Event]) -> None:
        """Writes events before it returns, with all that wait; what cannot be written waits on.

        Never raises: what they are about is refused anyway.
        """
        waiting = self._waiting()
        if len(waiting.events) >= self._most:
            _LOG.error({"event": "audit-lost", "events": len(events)})
            return
        waiting.events.extend(events)
        if not self._written(waiting):
            waiting.wanted.set()

    def flush(self) -> bool:
        """Writes what waits in this process; returns whether nothing is left."""
        state = self._state
        if state is None or state.process != os.getpid():
            return True
        return self._written(state)

    def _waiting(self) -> _Waiting:
        """Returns the events of this process; the first one starts what writes them."""
        state = self._state
        if state is not None and state.process == os.getpid():
            return state
        with self._starting:
            state = self._state
            if state is None or state.process != os.getpid():
                # A worker has replaced the locks of the standard library by then, so they are made here.
                state = _Waiting(os.getpid(), deque(), threading.Lock(), threading.Event(), {})
                self._state = state
                threading.Thread(target=self._run, args=(state,), name="audit", daemon=True).start()
            return state

    def _run(self, state: _Waiting) -> None:
        while True:
            state.wanted.wait()
            time.sleep(self._pause_s)
            state.wanted.clear()
            try:
                is_done = self._written(state)
            except Exception as error:  # noqa: BLE001 - the last resort: what waits is tried again
                _LOG.exception(_waits(state, error))
                is_done = False
            if not is_done:
                state.wanted.set()

    def _written(self, state: _Waiting) -> bool:
        """Writes all events that wait; of several that want to, one does it for all."""
        if not state.turn.acquire(timeout=_WAIT_S):
            return False
        try:
            while state.events:
                self._write(state)
        except StoreFault as fault:
            _LOG.error(_waits(state, fault))
            return False
        finally:
            state.turn.release()
        return True

    def _write(self, state: _Waiting) -> None:
        """Writes the oldest events that belong to one tenant; they are forgotten once they are stored."""
        batch = [state.events[place] for place in range(min(_BATCH, len(state.events)))]
        tenant = batch[0].asked.tenant
        mine = [event for event in batch if event.asked.tenant == tenant]
        with self._store.writing(tenant) as transaction:
            for event in mine:
                transaction.chain(link_of(event), self.clock())
        others = [event for event in batch if event.asked.tenant != tenant]
        for _ in batch:
            state.events.popleft()
        state.events.extendleft(reversed(others))
        self._tell_head(state, tenant)

    def _tell_head(self, state: _Waiting, tenant: str) -> None:
        """Writes to the log, once a minute, where the chain ends: logs are kept elsewhere."""
        now = time.monotonic()
        if now < state.heads.get(tenant, now):
            return
        state.heads[tenant] = now + _HEAD_EVERY_S
        with self._store.reading(tenant) as view:
            head = view.head()
        if head is not None:
            _LOG.info({"event": "audit-head", "tenant": tenant, "seq": head.seq, "hash": head.hash.hex()})


def _waits(state: _Waiting, error: Exception) -> dict[str, Any]:
    return {"event": "audit-waits", "events": len(state.events), "fault": type(error).__name__}
