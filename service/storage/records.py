"""Records as callers hand them in and get them back: bytes under a type, an id and a version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from service.storage.criteria import Position
from service.storage.entries import Entry

Name = tuple[str, str]
"""Type and id of a record."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A version that is to be stored.

    Args:
        type: kind of the record, such as the name of a resource type; at most 64 characters.
        id: unique within the type; at most 64 characters.
        updated: microseconds since 1970-01-01T00:00:00Z.
        body: kept byte for byte.
        entries: what this version is found by; everything about a person names the person in one
            of them, tombstones and audit records too, or erasure cannot find it.
        deleted: a tombstone: it is read, and stands in the history, but no search finds it.
    """

    type: str
    id: str
    updated: int
    body: bytes = field(repr=False)
    entries: Sequence[Entry] = field(default=(), repr=False)
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One stored version; fields as in Draft, versions count from 1 without gaps."""

    type: str
    id: str
    version: int
    updated: int
    deleted: bool
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """Some matches of a search, in its order.

    Args:
        records: at most as many as the search's limit.
        total: matches on all pages; None where the search did not ask for it.
        next: where the next page starts; None after the last one.
    """

    records: tuple[Record, ...]
    total: int | None = None
    next: Position | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Some versions of one record, newest first.

    Args:
        records: at most as many as were asked for.
        total: number of versions on all pages.
        next: pass it as `before` for the next page; None after the last one.
    """

    records: tuple[Record, ...]
    total: int
    next: int | None = None
