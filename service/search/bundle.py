"""A page of a search as a Bundle of type searchset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from service.datatypes.values import replace
from service.errors import Malformed, Problem
from service.search.elements import Shape
from service.search.entries import Target, target_of, values_at
from service.search.parameters import parameters_of
from service.search.query import Include, Query, cursor_of
from service.storage.model import (
    Criterion,
    IdIs,
    Page,
    Reading,
    Record,
    ReferenceTo,
    Search,
    TooManyRecords,
)

# What comes along with the matches of a search: what they refer to, and what refers to them.

MOST_INCLUDED: Final = 1000
"""Most resources that one `_include` or `_revinclude` adds to a page."""

_Key = tuple[str, str, int]


def included(query: Query, matches: Sequence[Record], reading: Reading) -> tuple[list[Record], bool]:
    """Returns the included records of a page, and whether these are all of them.

    Each version comes once, and none that is a match. A reference to a version brings that version,
    any other one the current version.

    Source: FHIR R4 search.html 3.1.1.5.7
    """
    found: dict[_Key, Record] = {}
    is_whole = True
    for include in query.includes:
        if include.reverse:
            beside, is_last = _referring(include, matches, reading)
        else:
            beside, is_last = _referred(list(_targets(include, matches, query.base)), reading)
        found |= {_key(record): record for record in beside}
        is_whole = is_whole and is_last
    for match in matches:
        found.pop(_key(match), None)
    return list(found.values()), is_whole


def _referring(
    include: Include, matches: Sequence[Record], reading: Reading
) -> tuple[Iterable[Record], bool]:
    if include.target not in ("", matches[0].type):
        return (), True
    to_one = Criterion(include.parameter, tuple(ReferenceTo(match.id, match.type) for match in matches))
    page = reading.search(Search(include.source, (to_one,), limit=MOST_INCLUDED))
    return page.records, page.next is None


def _referred(targets: Sequence[Target], reading: Reading) -> tuple[Iterable[Record], bool]:
    some = list(dict.fromkeys(targets))[:MOST_INCLUDED]
    current = {(record.type, record.id): record for record in _current(some, reading)}
    names = dict.fromkeys((target.type, target.id) for target in some)
    # The current version alone, also of a version that is named: a result that was withdrawn since must not
    # be read as one that stands. Who wants the old version reads it.
    return [current[name] for name in names if name in current], len(some) == len(set(targets))


def _targets(include: Include, matches: Sequence[Record], base: str) -> Iterator[Target]:
    paths = parameters_of(include.source)[include.parameter].paths
    for match in matches:
        resource = orjson.loads(match.body)
        for reference in (value for path in paths for value in values_at(resource, path)):
            target = target_of(reference.get("reference", ""), base)
            if target.id and include.target in ("", target.type):
                yield target


def _current(targets: Sequence[Target], reading: Reading) -> Iterator[Record]:
    for kind in dict.fromkeys(target.type for target in targets):
        ids = tuple(dict.fromkeys(target.id for target in targets if target.type == kind))
        yield from reading.search(Search(kind, (IdIs(ids),), limit=len(ids))).records


def _key(record: Record) -> _Key:
    return record.type, record.id, record.version


_CUT: Final = {
    "resource": {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "warning",
                "code": "incomplete",
                "diagnostics": f"More than {MOST_INCLUDED} resources would come along; some are left out. "
                "Ask for fewer matches, or search for them by themselves.",
            }
        ],
    },
    "search": {"mode": "outcome"},
}


def searchset(query: Query, reading: Reading) -> bytes:
    """Returns the Bundle of one page: the matches, what comes along, and the link to the next page.

    Args:
        query: what was asked.
        reading: where to look.

    Raises:
        Malformed: more records would have to be looked at for it than may be.
        StoreFault: the store cannot be read.

    Source: FHIR R4 search.html 3.1.1.6, http.html#paging
    """
    try:
        page = reading.search(replace(query.search, bounded=True))
    except TooManyRecords as fault:
        raise _too_costly(query, fault) from fault
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        bundle["total"] = page.total
    bundle["link"] = _links(query, page)
    entries = [_entry(query, record, query.shape, "match") for record in page.records]
    if query.includes and page.records:
        beside = Shape(query.shape.summary)  # `_elements` names elements of the matches
        found, is_whole = included(query, page.records, reading)
        entries += [_entry(query, record, beside, "include") for record in found]
        entries += () if is_whole else (_CUT,)
    return orjson.dumps(bundle | {"entry": entries} if entries else bundle)


def _too_costly(query: Query, fault: TooManyRecords) -> Malformed:
    """Returns the refusal, which names the parameter, and what to send instead."""
    names = {"sort": "_sort", "total": _counting(query), "match": _criteria(query)}
    done, instead = _COSTLY[fault.purpose]
    most = f"more than {fault.most:,} records would have to be {done}"
    narrower = f"or a parameter beside it that narrows the search, such as {_narrowing(query.kind)}"
    text = f"Parameter {names[fault.purpose]}: {most}. Expected: {instead}, {narrower}."
    return Malformed(Problem("too-costly", text))


_COSTLY: Final[Mapping[str, tuple[str, str]]] = {
    "sort": ("put in this order", "_lastUpdated, _id or a date alone"),
    "total": ("counted", "another page length and no exact total"),
    "match": ("looked at for one match", "a time as _lastUpdated"),
}
_COUNTING: Final = (("_summary", "count"), ("_total", "accurate"))


def _counting(query: Query) -> str:
    return next((name for name, value in query.used if (name, value) in _COUNTING), "_count")


def _criteria(query: Query) -> str:
    known = parameters_of(query.kind)
    return ", ".join(dict.fromkeys(name for name, _ in query.used if name.partition(":")[0] in known))


def _narrowing(kind: str) -> str:
    return next(name for name in ("patient", "url") if name in parameters_of(kind))


def _links(query: Query, page: Page) -> list[dict[str, str]]:
    here = (("_cursor", query.cursor),) if query.cursor else ()
    links = [{"relation": "self", "url": _url(query, here)}]
    if page.next is not None:
        following = cursor_of(page.next, query.kind, query.bound)
        links.append({"relation": "next", "url": _url(query, (("_cursor", following),))})
    return links


def _url(query: Query, more: tuple[tuple[str, str], ...]) -> str:
    pairs = (*query.used, *more)
    path = f"{query.base}/{query.kind}"
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _entry(query: Query, record: Record, shape: Shape, mode: str) -> dict[str, Any]:
    return {
        "fullUrl": f"{query.base}/{record.type}/{record.id}",
        "resource": orjson.Fragment(shape.applied(record.body)),
        "search": {"mode": mode},
    }
