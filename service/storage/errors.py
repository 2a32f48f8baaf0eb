"""What can go wrong in a store. None of it repeats a value, a statement or an address.

    StoreFault            the transaction is undone; nothing of it is stored
      StoreBusy           others hold the lock, or every connection is in use: the same again may succeed
      StoreUnavailable    the database cannot be reached, or its file is gone or damaged
        StoreFull         no space left
      VersionConflict     the record has another version than the one that was expected
      AlreadyExists       a record of this type and id is there already
      MultipleMatches     a conditional create found more than one record
      AppendOnly          records of this type are never changed
      UnknownRecord       there is no record to update
      BadPosition         the text does not name a position in the order of a search

The faults that pass with time say after how many seconds the caller may try again.
"""

from __future__ import annotations


class StoreFault(Exception):
    """The store could not do what it was asked to do; the transaction is undone."""


class StoreUnavailable(StoreFault):
    """The database cannot be reached or used; `retry_after_s` is a guess of when it can be."""

    retry_after_s: int = 5


class StoreFull(StoreUnavailable):
    """No space is left for what was to be written; reading goes on."""

    retry_after_s: int = 60


class StoreBusy(StoreFault):
    """A lock or a connection did not come free in time; the same again may succeed."""

    retry_after_s: int = 1


class VersionConflict(StoreFault):
    """The record has another version than the one that was expected."""


class AlreadyExists(StoreFault):
    """A record of this type and id is there already."""


class MultipleMatches(StoreFault):
    """A conditional create found more than one record."""


class AppendOnly(StoreFault):
    """Records of this type are never changed."""


class UnknownRecord(StoreFault):
    """There is no record to update."""


class BadPosition(StoreFault):
    """The text does not name a position in the order of the search."""
