"""What a store is to the rooms above: records, what they are found by, searches, transactions, faults.

A store keeps versioned records: bytes under a type and an id. Who stores a record says with index entries
what it is found by; a search names criteria that are compared with them.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec

from service.datatypes.values import replace
from service.storage.entries import HIGHEST, LOWEST, Entry

# What can go wrong in a store. No fault repeats a value, a statement or an address. Those that pass with
# time say after how many seconds the caller may try again.


class StoreFault(Exception):
    """The store could not do its work; the transaction is undone, nothing of it is stored."""


class StoreUnavailable(StoreFault):
    """The database cannot be reached, or its file is gone or damaged."""

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


class TooManyRecords(StoreFault):
    """More records would have to be looked at for this than a bounded search may.

    Args:
        purpose: what for.
        most: how many it may look at.
    """

    def __init__(self, purpose: Literal["sort", "total", "match", "condition"], most: int) -> None:
        super().__init__(f"More than {most} records would have to be looked at.")
        self.purpose, self.most = purpose, most


class UnknownRecord(StoreFault):
    """There is no record to update."""


class BadPosition(StoreFault):
    """The text does not name a position in the order of the search."""


# What a search asks for: criteria that must all hold, each with values of which one must.

LOOKED_AT: Final = 3_000
"""Records that a bounded search looks at for one page, and for a total that may be left out."""
MOST_LOOKED_AT: Final = 10_000
"""Records that it looks at for an order that no index has, and for a total that must not be left out."""

Position = tuple[int | str, ...]
Comparison = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]


class TokenIs(msgspec.Struct, frozen=True):
    """A token with this code (None: any) in this system (None: any, empty: in none)."""

    code: str | None
    system: str | None = None


class ReferenceTo(msgspec.Struct, frozen=True):
    """A reference to the record with this id, of this type (None: any)."""

    id: str
    type: str | None = None


class ReferenceToUrl(msgspec.Struct, frozen=True):
    """A reference to this absolute url or canonical."""

    url: str


class ReferenceToIdentifier(msgspec.Struct, frozen=True):
    """A reference by this identifier, in this system (None: any, empty: in none)."""

    value: str
    system: str | None = None


class UriIs(msgspec.Struct, frozen=True):
    """A uri that is this one, or that begins with it."""

    value: str
    match: Literal["exact", "starts"] = "exact"


class StringIs(msgspec.Struct, frozen=True):
    """A text that is, begins with, or contains this one; folded by the caller as the entry was."""

    value: str
    match: Literal["exact", "starts", "contains"] = "starts"


class RangeIs(msgspec.Struct, frozen=True):
    """A date or number in this relation to the range from `low` to `high`, both included.

    Args:
        comparison: prefix of the search value.
        low, high: microseconds since 1970 UTC, or a number as `whole` returns it.

    Source: FHIR R4 search.html 3.1.1.4.5, table of prefixes.
    """

    comparison: Comparison
    low: int
    high: int


AnyReference = ReferenceTo | ReferenceToUrl | ReferenceToIdentifier
Value = TokenIs | AnyReference | UriIs | StringIs | RangeIs


@dataclass(frozen=True, slots=True)
class Criterion:
    """An entry of this parameter has one of these values; `negated`: no entry of it has.

    Raises:
        ValueError: there is no value, or ranges stand beside texts.
    """

    parameter: str
    any_of: tuple[Value, ...]
    negated: bool = False

    def __post_init__(self) -> None:
        if len({isinstance(value, RangeIs) for value in self.any_of}) != 1:
            raise ValueError("Expected one value or more, all of them ranges or none.")


class Missing(msgspec.Struct, frozen=True):
    """The record has no entry of this parameter; with `missing` false: it has one."""

    parameter: str
    missing: bool = True


class IdIs(msgspec.Struct, frozen=True):
    """The record's id is one of these."""

    any_of: tuple[str, ...]


class UpdatedIs(msgspec.Struct, frozen=True):
    """The moment of the last change is in one of these relations to a range of time."""

    any_of: tuple[RangeIs, ...]


AnyCriterion = Criterion | Missing | IdIs | UpdatedIs


class Sort(msgspec.Struct, frozen=True):
    """One key of an order. Records without an entry of the parameter come last.

    Args:
        by: `id` or `updated` of the record, `text`, `range` or `date` of an index entry. Of what is a `date`
            every record of the type has one Date, or is Absent: an index has this order.
        parameter: name of the search parameter, for `text`, `range` and `date`.
        descending: largest first; of a range the end that comes first in this order counts.
    """

    by: Literal["id", "updated", "text", "range", "date"]
    parameter: str = ""
    descending: bool = False


def is_by_date(sort: Sequence[Sort]) -> bool:
    """Returns whether the order is that of a date alone."""
    return [key.by for key in sort] == ["date"]


class Search(msgspec.Struct, frozen=True):
    """A search among the current versions of one type that are not deleted.

    Args:
        type: type of the records.
        criteria: all must hold.
        sort: first key first; the id decides last. By a date alone it is the order in which records were
            stored, which is turned round with the date.
        limit: longest page; 0 asks for the total alone.
        after: `next` of the page before.
        total: whether to count all matches: it costs time where they are many.
        bounded: whether a page may end before it is full, with a place where the next one goes on, and the
            total be left out, where else more records than LOOKED_AT would be looked at; TooManyRecords is
            raised where more than MOST_LOOKED_AT would have to be looked at for one match, or to be put in an
            order that no index has.
        exact: of a bounded search that the total must not be left out: TooManyRecords is raised instead.
    """

    type: str
    criteria: tuple[AnyCriterion, ...] = ()
    sort: tuple[Sort, ...] = ()
    limit: int = 50
    after: Position | None = None
    total: bool = False
    bounded: bool = False
    exact: bool = False


# Records as callers hand them in and get them back: bytes under a type, an id and a version.

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


# Chains: what was done with records, one entry after the other.

LinkPart = tuple[int, str]
"""The number of an entry in a chain, and the name of a part of it."""


class Link(msgspec.Struct, frozen=True):
    """An entry to append to a chain.

    Args:
        body: what stays of it. parts: what can be erased of it, by name.
        names: what a part is found by when it is to be erased, as pairs of part and name.
    """

    body: bytes
    parts: Mapping[str, bytes] = msgspec.field(default_factory=dict)
    names: Sequence[tuple[str, str]] = ()


class StoredLink(NamedTuple):
    """An entry of a chain.

    Args:
        seq: its number, from 1. written: when it was put there, in microseconds since 1970 UTC.
        body, hash: see link_hash.
        parts: those that are not erased.
    """

    seq: int
    written: int
    body: bytes
    hash: bytes
    parts: Mapping[str, bytes]


class Head(NamedTuple):
    """The two ends of a chain.

    Args:
        tenant: whose chain it is.
        seq, hash, written: of the last entry.
        base_seq, base_hash: of the last entry that has expired; 0 and nothing where none has.
    """

    tenant: str
    seq: int
    hash: bytes
    written: int
    base_seq: int
    base_hash: bytes


_encode = json.JSONEncoder(separators=(",", ":")).encode


def link_hash(before: bytes, tenant: str, seq: int, written: int, body: bytes) -> bytes:
    """Returns the hash of an entry.

    Args:
        before: hash of the entry before it; empty for the first one.
        tenant: whose chain it is.
        seq: its number in the chain, from 1.
        written: when it was put there, in microseconds since 1970 UTC.
        body: its bytes.

    Returns:
        SHA-256 of one line of JSON, `[before in hexadecimal digits, tenant, seq, written]`, and the body.
    """
    place = _encode([before.hex(), tenant, seq, written])
    return sha256(place.encode() + b"\n" + body).digest()


class Page(msgspec.Struct, frozen=True):
    """Some matches of a search, in its order.

    Args:
        records: at most as many as the search's limit, and none only where there is no next page.
        total: matches on all pages; None if the search did not ask for it, or it is left out.
        next: where the next page starts; None after the last one.
    """

    records: tuple[Record, ...]
    total: int | None = None
    next: Position | None = None


class Period(msgspec.Struct, frozen=True):
    """The versions of a record that a history is asked for; moments in microseconds since 1970 UTC.

    Args:
        since: when the version was stored, at the earliest.
        low, high: a time, both ends included, at some moment of which the version was the current one.
    """

    since: int = LOWEST
    low: int = LOWEST
    high: int = HIGHEST


ALWAYS: Final = Period()


class History(msgspec.Struct, frozen=True):
    """Some versions of one record, newest first.

    Args:
        records: at most as many as were asked for.
        total: number of versions on all pages.
        next: pass it as `before` for the next page; None after the last one.
    """

    records: tuple[Record, ...]
    total: int
    next: int | None = None


# Transactions and stores.


class Reading(Protocol):
    """A view of the store at one moment. Every method may raise StoreBusy and StoreUnavailable."""

    def read(self, type: str, id: str) -> Record | None:
        """Returns the current version, a tombstone too."""

    def read_version(
        self, type: str, id: str, version: int, criteria: Sequence[AnyCriterion] = ()
    ) -> Record | None:
        """Returns that version, if it meets the criteria."""

    def history(
        self,
        type: str,
        id: str,
        *,
        limit: int,
        before: int | None = None,
        period: Period = ALWAYS,
        criteria: Sequence[AnyCriterion] = (),
    ) -> History:
        """Returns versions of the period below `before` that meet the criteria, newest first."""

    def search(self, search: Search) -> Page:
        """Returns one page of the matches."""


class ReadingAll(Reading, Protocol):
    """A view of the current records, with the tenant's chain; see Head and StoredLink."""

    def head(self) -> Head | None:
        """Returns the end of the tenant's chain; None if there is none yet."""

    def links_after(self, after: int, *, since: int = 0, limit: int) -> Sequence[StoredLink]:
        """Returns entries of the tenant's chain behind number `after`, none from before `since`."""

    def is_used(self, name: str) -> bool:
        """Returns whether a name was used once, and is not forgotten yet."""


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

    def read_to_update(self, type: str, id: str) -> Record | None:
        """Returns the current version; until this transaction ends no other one changes it."""

    def claim(self, search: Search, codes: Collection[str] = ()) -> Page:
        """Returns the matches; until this transaction ends, no other one may claim the type.

        Conditional creates start with it, so of several at once only the first finds nothing.

        Args:
            search: what is looked for.
            codes: makes others wait only if they claim one of these codes too, or the type without any. All
                must be there of the one parameter by which claims of the type name codes: those that the
                search looks for, and those of what is stored where it finds nothing.
        """

    def chain(self, link: Link, now: int) -> None:
        """Puts an entry at the end of the tenant's chain when the transaction ends.

        Args:
            link: the entry.
            now: microseconds since 1970 UTC.
        """

    def is_used(self, name: str) -> bool:
        """Returns whether a name was used once by now, and is not forgotten yet."""


class Erasing(Writing, Protocol):
    """A transaction that may delete for good. While it runs no other one writes; others may read."""

    def named(self, parameters: Sequence[str], person: Sequence[AnyReference]) -> Sequence[Name]:
        """Returns the records of which one version refers to the person, and the person's own record."""

    def beginning(self, type: str, prefix: str) -> Sequence[Name]:
        """Returns the records of the type whose id begins so."""

    def unchanged(self, type: str, *, since: int, limit: int) -> Sequence[Name]:
        """Returns records of the type that were last changed before the moment, oldest first."""

    def count(self, names: Collection[Name]) -> Mapping[str, int]:
        """Returns how many versions of these records there are, by type; types without any are left out."""

    def erase(self, names: Collection[Name]) -> Mapping[str, int]:
        """Deletes all versions of these records; returns how many that were, as `count` does.

        Their bytes may stay in the files of the database until `Store.scrub` has run.
        """

    def empty(self, names: Collection[str]) -> Sequence[LinkPart]:
        """Erases the parts of entries of the tenant's chain that are found by one of the names."""

    def cut(self, before: int) -> Head | None:
        """Deletes the entries of the tenant's chain that are older than the moment; None if none is."""


class Store(Protocol):
    """Versioned records and their index. Safe to share between threads, greenlets and forked processes.

    Every view and every transaction is of one tenant: to it the records of all others do not exist, and two
    tenants may each have a record of one type and id. The tenant without a name is that of a service without
    access control.
    """

    def reading(self, tenant: str = "") -> AbstractContextManager[ReadingAll]:
        """Opens a view. Raises StoreBusy, StoreUnavailable."""

    def writing(self, tenant: str = "") -> AbstractContextManager[Writing]:
        """Opens a transaction, stored when the block ends and undone when it raises.

        After an exception of one of its methods the transaction is of no more use.

        Raises StoreBusy, StoreUnavailable, StoreFull, VersionConflict: at the end too.
        """

    def ping(self) -> None:
        """Raises StoreUnavailable or StoreBusy unless the database answers."""

    def use_once(self, name: str, *, until: int, now: int) -> bool:
        """Returns whether a name is used for the first time: of several at once exactly one uses it.

        Names are of no tenant. They are forgotten some time after their end, and never before.

        Args:
            name: at most 64 characters, such as a digest.
            until: when it may be forgotten, in seconds since 1970 UTC.
            now: the time, in the same.

        Raises StoreBusy, StoreUnavailable, StoreFull.
        """

    def tenants(self, type: str) -> Sequence[str]:
        """Returns the tenants that have a record of the type, in order."""

    def heads(self) -> Sequence[Head]:
        """Returns the end of each chain, in the order of the tenants."""

    def export(
        self, parameters: Sequence[str], person: Sequence[AnyReference], tenant: str = ""
    ) -> Iterator[bytes]:
        """Yields all versions of the tenant's records that refer to the person, one line of NDJSON each."""

    def erasing(self, tenant: str = "") -> AbstractContextManager[Erasing]:
        """Opens a transaction beside which no other one writes; else as `writing`."""

    def scrub(self) -> None:
        """Removes what was deleted from the files of the database, as far as the database can.

        It may write all of the database anew: writers wait meanwhile, and as much space again is needed.

        Raises StoreBusy, StoreFull, StoreUnavailable.
        """

    def close(self) -> None:
        """Closes the connections of this process."""


# Positions in an order as text for links. The text is not protected: sign it before it leaves.


def encode_position(position: Position) -> str:
    """Returns the position in characters that need no escape in a URL."""
    return urlsafe_b64encode(json.dumps(position, separators=(",", ":")).encode()).rstrip(b"=").decode()


def decode_position(text: str, search: Search) -> Position:
    """Returns the position that the text names in the order of the search.

    Raises:
        BadPosition: it is not of `encode_position`, or from a search with other sort keys.
    """
    try:
        values = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise BadPosition("Expected a position as a search returned it.") from None
    if not _fits(values, search):
        raise BadPosition("Expected a position of a search with the same order.")
    return tuple(values)


def _fits(values: Any, search: Search) -> bool:
    if not isinstance(values, list):
        return False
    kinds = [kind for key in search.sort for kind in _KINDS[key.by]]
    return [type(value) for value in values] == [*kinds, int if is_by_date(search.sort) else str]


_KINDS = {"id": (str,), "updated": (int,), "text": (int, str), "range": (int, int), "date": (int, int)}


def in_short(search: Search) -> Search:
    """Returns the search that finds out quickly whether there is no match, one or several."""
    return replace(search, limit=2, after=None, total=False, bounded=True)


def one_or_two(page: Page) -> Sequence[Record]:
    """Returns the matches of such a search; raises TooManyRecords if it was not decided."""
    if len(page.records) < 2 and page.next is not None:
        raise TooManyRecords("condition", LOOKED_AT)
    return page.records


def claim_one(transaction: Writing, search: Search, codes: Collection[str] = ()) -> Record | None:
    """Returns the only record that the search finds; until the end no other transaction may claim the same.

    Args:
        transaction, search, codes: as `Writing.claim` has them.

    Raises:
        MultipleMatches: the search finds several.
        TooManyRecords: it would take too long to know, while others may have to wait.
        ValueError: the search has no criteria, so anything would count as a match.
    """
    if not search.criteria:
        raise ValueError("Expected a search with criteria.")
    found = one_or_two(transaction.claim(in_short(search), codes))
    if len(found) > 1:
        raise MultipleMatches("More than one record meets the condition.")
    return found[0] if found else None
