"""What a store is to the rooms above. No other module of this room is needed to use one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from service.storage.criteria import AnyReference, Search
from service.storage.records import Draft, History, Page, Record


class Reading(Protocol):
    """A view of the store at one moment. Every method may raise StoreBusy and StoreUnavailable."""

    def read(self, type: str, id: str) -> Record | None:  # noqa: A002 - the words of the record
        """Returns the current version, a tombstone too."""

    def read_version(self, type: str, id: str, version: int) -> Record | None:  # noqa: A002
        """Returns that version."""

    def history(self, type: str, id: str, *, limit: int, before: int | None = None) -> History:  # noqa: A002
        """Returns versions below `before`, newest first."""

    def search(self, search: Search) -> Page:
        """Returns one page of what the search finds."""


class Writing(Reading, Protocol):
    """A transaction: all of it is stored, or nothing. Every method may raise what Reading raises."""

    def create(self, draft: Draft) -> Record:
        """Stores version 1. Raises AlreadyExists, StoreFull."""

    def update(self, draft: Draft, *, expected: int | None = None) -> Record:
        """Stores the version after `expected`, or after the current one whichever that is.

        Raises UnknownRecord, VersionConflict, AppendOnly, StoreFull.
        """

    def read_to_update(self, type: str, id: str) -> Record | None:  # noqa: A002
        """Returns the current version; until this transaction ends no other one changes it."""

    def claim(self, search: Search) -> Page:
        """Returns what the search finds; until this transaction ends no other one may claim the type.

        Conditional creates start with it, so of several at once only the first finds nothing.
        """


class Store(Protocol):
    """Versioned records and their index. Safe to share between threads, greenlets and forked processes."""

    def reading(self) -> AbstractContextManager[Reading]:
        """Opens a view. Raises StoreBusy, StoreUnavailable."""

    def writing(self) -> AbstractContextManager[Writing]:
        """Opens a transaction, stored when the block ends and undone when it raises.

        After an exception of one of its methods the transaction is of no more use.

        Raises StoreBusy, StoreUnavailable, StoreFull, VersionConflict: at the end too.
        """

    def ping(self) -> None:
        """Raises StoreUnavailable or StoreBusy unless the database answers."""

    def export(self, parameters: Sequence[str], person: Sequence[AnyReference]) -> Iterator[bytes]:
        """Yields all versions of all records that refer to the person, one line of NDJSON each."""

    def erase(self, parameters: Sequence[str], person: Sequence[AnyReference]) -> Mapping[str, int]:
        """Deletes every record of which one version refers to the person; returns versions by type."""

    def expire(self, of_type: str, *, before: int) -> int:
        """Deletes the records of a type that were last changed before the moment; returns how many versions.

        Goes on in short transactions: what was deleted stays so when a later one fails.
        """

    def scrub(self) -> None:
        """Makes what was deleted unreadable in the files of the database. Raises StoreBusy."""

    def close(self) -> None:
        """Closes the connections of this process."""
