"""What went wrong in the store, as an error that may be shown to the caller."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import NotFound, PreconditionFailed, Problem, ServiceError, Unavailable
from service.storage import (
    MultipleMatches,
    StoreBusy,
    StoreFault,
    StoreFull,
    StoreUnavailable,
    UnknownRecord,
    VersionConflict,
)

UNKNOWN_ID = Problem("id-unknown", "No resource of this type has this id.")
OTHER_VERSION = Problem(
    "version-conflict", "The resource has another version by now. Expected: If-Match with its current ETag."
)


@contextmanager
def shown() -> Iterator[None]:
    """Turns a fault of the store into the ServiceError that says it to the caller."""
    try:
        yield
    except StoreFault as fault:
        raise _error(fault) from fault


def _error(fault: StoreFault) -> ServiceError:
    match fault:
        case StoreFull():
            text = "The store has no space left: nothing was stored."
            return Unavailable(Problem("store-full", text), retry_after_s=fault.retry_after_s)
        case StoreUnavailable():
            text = "The store cannot be reached at the moment: nothing was stored."
            return Unavailable(Problem("store-unavailable", text), retry_after_s=fault.retry_after_s)
        case StoreBusy():
            text = "The store is busy: nothing was stored. The same request may succeed in a moment."
            return Unavailable(Problem("store-busy", text), retry_after_s=fault.retry_after_s)
        case MultipleMatches():
            text = "Expected: a condition that at most one resource meets. Several do; nothing was stored."
            return PreconditionFailed(Problem("multiple-matches", text))
        case UnknownRecord():
            return NotFound(UNKNOWN_ID)
        case VersionConflict():
            return PreconditionFailed(OTHER_VERSION)
    raise fault
