"""A page of a search as a Bundle of type searchset."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

import orjson

from service.search.cursors import cursor_of
from service.search.includes import MOST_INCLUDED, included
from service.search.query import Query
from service.search.shape import Shape
from service.storage import Page, Reading, Record

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
        reading: where to look: a view of a store, or a shelf.

    Raises:
        StoreFault: the store cannot be read.

    Source: FHIR R4 search.html 3.1.1.6, http.html#paging
    """
    page = reading.search(query.search)
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


def subset(body: bytes, query: Query) -> bytes:
    """Returns what the query wants of a resource that is read alone: `_summary`, `_elements`."""
    return query.shape.applied(body)


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
