"""One entry of a batch or transaction as a request that is yet to be made, with what is wrong with it.

Source: R4 http.html#transaction; Bundle.entry.request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from service.errors import Problem
from service.web.conditional import http_date

# One slash at the beginning is taken: MedplumClient sends it in the batches that it makes by itself.
_URL = re.compile(r"/?(?P<path>[A-Za-z0-9$_.-]+(?:/[A-Za-z0-9$_.-]+)*)/?(?:\?(?P<query>[^#]*))?")
_DOTS = frozenset((".", ".."))
_CHANGES = frozenset(("PUT", "PATCH", "DELETE"))
_WITH_BODY = frozenset(("POST", "PUT"))
_HEADERS = {"ifMatch": "IF_MATCH", "ifNoneMatch": "IF_NONE_MATCH", "ifNoneExist": "IF_NONE_EXIST"}
_SINCE = "IF_MODIFIED_SINCE"
_EXPECTED_URL = "a path relative to the base, such as QuestionnaireResponse/1, without scheme, host or dots"
_PLAIN = "".join(map(chr, range(32, 127)))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as a request.

    Args:
        place: its FHIRPath.
        full_url: empty where it has none.
        method: empty where it has none.
        path: relative to the base, without a slash at either end; empty where the url cannot be used.
        query: what follows the question mark.
        headers: by WSGI name, without `HTTP_`; like the query, in ASCII.
        resource: decoded, to look for links and to replace them; None where there is none.
        body: the resource as it was sent.
        problems: why the request cannot be made.
    """

    place: str
    full_url: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    resource: dict[str, Any] | None
    body: bytes
    problems: tuple[Problem, ...] = ()

    @property
    def segments(self) -> list[str]:
        """The parts of the path."""
        return self.path.split("/")

    @property
    def creates(self) -> bool:
        """Whether it is a create."""
        return self.method == "POST" and len(self.segments) == 1 and "$" not in self.path

    @property
    def searches(self) -> bool:
        """Whether it is a search by POST; its parameters can only stand in the url."""
        return self.method == "POST" and self.segments[-1] == "_search"

    @property
    def changes(self) -> str:
        """The `Type/id` of what it changes; empty where that is nothing, or not known yet."""
        return self.path if self.method in _CHANGES and len(self.segments) == 2 else ""

    @property
    def writes(self) -> bool:
        """Whether its resource is to be stored."""
        return self.resource is not None and (self.creates or (self.method == "PUT" and bool(self.changes)))


def entry_from(entry: Mapping[str, Any], place: str, body: bytes) -> Entry:
    """Returns an entry of a Bundle that has the structure of R4.

    A url is a path below the base and nothing else, so no request leaves the service.

    Args:
        entry: decoded; it has a request.
        place: its FHIRPath.
        body: the bytes of its resource, or none.
    """
    request, resource = entry["request"], entry.get("resource")
    method, url = request.get("method", ""), _url(request.get("url", ""))
    headers = {name: _ascii(request[key]) for key, name in _HEADERS.items() if key in request}
    since = request.get("ifModifiedSince")
    if since is not None:
        headers[_SINCE] = _moment(since)
    made = Entry(place, entry.get("fullUrl", ""), method, *url, headers, resource, body)
    return replace(made, problems=tuple(_faults(made)))


def _url(text: str) -> tuple[str, str]:
    """Returns path and query; both are empty where the text is no url of a request."""
    found = _URL.fullmatch(text)
    if found is None or not _DOTS.isdisjoint(found["path"].split("/")):
        return "", ""
    return found["path"], _ascii(found["query"] or "")


def _ascii(text: str) -> str:
    """Returns the text as a url or header would bring it: what is not ASCII is percent-encoded."""
    return quote(text, safe=_PLAIN)


def _moment(instant: str) -> str:
    """Returns the instant as an HTTP date; empty where the calendar of HTTP does not have it."""
    try:
        return http_date(instant)
    except (ValueError, OverflowError):
        return ""


def _faults(entry: Entry) -> Iterator[Problem]:
    request = f"{entry.place}.request"
    if not entry.method:
        yield Problem("bundle-entry", "request: expected a method.", request)
    if not entry.path:
        yield Problem("bundle-entry", f"request.url: expected {_EXPECTED_URL}.", f"{request}.url")
    if entry.headers.get(_SINCE) == "":
        yield Problem("bundle-entry", "request.ifModifiedSince: expected a moment that HTTP has.", request)
    if entry.searches:
        if entry.resource is not None:
            text = "A search: expected its parameters in request.url and no resource."
            yield Problem("bundle-entry", text, entry.place)
    elif entry.resource is None and entry.method in _WITH_BODY:
        yield Problem(
            "bundle-entry", "entry: expected a resource, since the method is POST or PUT.", entry.place
        )
    if entry.resource is not None and entry.resource.get("resourceType") == "Bundle":
        yield Problem(
            "bundle-entry", "resource: expected no Bundle inside a Bundle.", f"{entry.place}.resource"
        )
