"""What a search asks for: criteria that must all hold, each with values of which one must."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Position = tuple[int | str, ...]
Comparison = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]


@dataclass(frozen=True, slots=True)
class TokenIs:
    """A token with this code (None: any) in this system (None: any, empty: in none)."""

    code: str | None
    system: str | None = None


@dataclass(frozen=True, slots=True)
class ReferenceTo:
    """A reference to the record with this id, of this type (None: any)."""

    id: str
    type: str | None = None


@dataclass(frozen=True, slots=True)
class ReferenceToUrl:
    """A reference to this absolute url or canonical."""

    url: str


@dataclass(frozen=True, slots=True)
class ReferenceToIdentifier:
    """A reference by this identifier, in this system (None: any, empty: in none)."""

    value: str
    system: str | None = None


@dataclass(frozen=True, slots=True)
class UriIs:
    """A uri that is this one, or that begins with it."""

    value: str
    match: Literal["exact", "starts"] = "exact"


@dataclass(frozen=True, slots=True)
class StringIs:
    """A text that is, begins with, or contains this one; folded by the caller as the entry was."""

    value: str
    match: Literal["exact", "starts", "contains"] = "starts"


@dataclass(frozen=True, slots=True)
class RangeIs:
    """A date or number that stands so to the stretch from `low` to `high`, both included.

    Args:
        comparison: prefix of the search value.
        low, high: microseconds since 1970 UTC, or a number as `entries.whole` returns it.

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
        ValueError: there is no value, or stretches stand beside texts.
    """

    parameter: str
    any_of: tuple[Value, ...]
    negated: bool = False

    def __post_init__(self) -> None:
        if len({isinstance(value, RangeIs) for value in self.any_of}) != 1:
            raise ValueError("Expected one value or more, all of them stretches or none.")


@dataclass(frozen=True, slots=True)
class Missing:
    """The record has no entry of this parameter; with `missing` false: it has one."""

    parameter: str
    missing: bool = True


@dataclass(frozen=True, slots=True)
class IdIs:
    """The record's id is one of these."""

    any_of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpdatedIs:
    """The moment of the last change stands in one of these ways to a stretch of time."""

    any_of: tuple[RangeIs, ...]


AnyCriterion = Criterion | Missing | IdIs | UpdatedIs


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of an order. Records without an entry of the parameter come last.

    Args:
        by: `id` or `updated` of the record, `text` or `range` of an index entry.
        parameter: name of the search parameter, for `text` and `range`.
        descending: largest first; of a stretch the end that comes first in this order counts.
    """

    by: Literal["id", "updated", "text", "range"]
    parameter: str = ""
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """A search among the current versions of one type that are not deleted.

    Args:
        type: type of the records.
        criteria: all must hold.
        sort: first key first; the id always decides last.
        limit: longest page; 0 asks for the total alone.
        after: `next` of the page before.
        total: whether to count all matches: it costs time where they are many.
    """

    type: str
    criteria: tuple[AnyCriterion, ...] = ()
    sort: tuple[Sort, ...] = ()
    limit: int = 50
    after: Position | None = None
    total: bool = False
