"""What a store is to the rooms above. No other module of this room is needed to use one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from service.storage.criteria import AnyReference, Search
from service.storage.records import Draft, History, Name, Page, Record


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

    def create_all(self, drafts: Sequence[Draft]) -> Sequence[Record]:
        """Stores version 1 of several records, in their order. Raises AlreadyExists, StoreFull."""

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


class Erasing(Writing, Protocol):
    """A transaction that may delete for good. While it runs no other one writes; others may read."""

    def named(self, parameters: Sequence[str], person: Sequence[AnyReference]) -> Sequence[Name]:
        """Returns the records of which one version refers to the person, and the person's own record."""

    def beginning(self, type: str, prefix: str) -> Sequence[Name]:  # noqa: A002 - the words of the record
        """Returns the records of the type whose id begins so."""

    def unchanged(self, type: str, *, since: int, limit: int) -> Sequence[Name]:  # noqa: A002
        """Returns records of the type that were last changed before the moment, oldest first."""

    def count(self, names: Collection[Name]) -> Mapping[str, int]:
        """Returns how many versions of these records there are, by type; types without any are left out."""

    def erase(self, names: Collection[Name]) -> Mapping[str, int]:
        """Deletes all versions of these records; returns how many that were, as `count` does.

        Their bytes may stay in the files of the database until `Store.scrub` has run.
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

    def erasing(self) -> AbstractContextManager[Erasing]:
        """Opens a transaction beside which no other one writes; else as `writing`."""

    def scrub(self) -> None:
        """Removes what was deleted from the files of the database, as far as the database can.

        It may write all of the database anew: writers wait meanwhile, and as much space again is needed.

        Raises StoreBusy, StoreFull, StoreUnavailable.
        """

    def close(self) -> None:
        """Closes the connections of this process."""
