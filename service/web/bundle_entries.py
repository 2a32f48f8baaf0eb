"""Reads a body as a batch or a transaction of R4.

Two kinds of fault are told apart. What makes the Bundle itself no Bundle of its type refuses all of it.
What makes one entry a request that cannot be made stays with the entry: in a batch the others are answered.

Source:
    R4 Bundle (bdl-1 to bdl-4, bdl-7, bdl-8); http.html#transaction, http.html#trules.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

import msgspec

from service.datatypes.values import replace
from service.errors import Malformed, NotAllowed, Problem, ServiceError, TooLarge
from service.fhir.json import decoded, read
from service.fhir.primitives import ID
from service.fhir.structure import check_structure
from service.sandbox import SMALL_BYTES, LimitExceeded, Sandbox
from service.web.conditional import http_date_of
from service.web.deployment import Deployment

BATCH: Final = "batch"
TRANSACTION: Final = "transaction"

_ROOT = "Bundle"
_RESTFUL = re.compile(rf"/([A-Z][A-Za-z]+)/{ID}\Z")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^#]+")
_NOT_HERE = (("search", "bdl-2"), ("response", "bdl-4"))

# One slash at the beginning is taken: MedplumClient sends it in the batches that it makes by itself.
_URL = re.compile(r"/?(?P<path>[A-Za-z0-9$_.-]+(?:/[A-Za-z0-9$_.-]+)*)/?(?:\?(?P<query>[^#]*))?")
_DOTS = frozenset((".", ".."))
_CHANGES = frozenset(("PUT", "PATCH", "DELETE"))
_WITH_BODY = frozenset(("POST", "PUT"))
_HEADERS = {"ifMatch": "IF_MATCH", "ifNoneMatch": "IF_NONE_MATCH", "ifNoneExist": "IF_NONE_EXIST"}
_SINCE = "IF_MODIFIED_SINCE"
_EXPECTED_URL = "a path relative to the base, such as QuestionnaireResponse/1, without scheme, host or dots"
_PLAIN = "".join(map(chr, range(32, 127)))

_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2}
_LAST = 3


class Entry(msgspec.Struct, frozen=True):
    """One entry as a request.

    Args:
        place: its FHIRPath.
        full_url: empty if it has none.
        method: empty if it has none.
        path: relative to the base, without a slash at either end; empty if the url cannot be used.
        query: what follows the question mark.
        headers: by WSGI name, without `HTTP_`; like the query, in ASCII.
        resource: decoded, to look for links and to replace them; None if there is none.
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
        """Says whether it is a create."""
        return self.method == "POST" and len(self.segments) == 1 and "$" not in self.path

    @property
    def searches(self) -> bool:
        """Says whether it is a search by POST; its parameters can only stand in the url."""
        return self.method == "POST" and self.segments[-1] == "_search"

    @property
    def changes(self) -> str:
        """The `Type/id` that it changes; empty if there is none, or it is not known yet."""
        return self.path if self.method in _CHANGES and len(self.segments) == 2 else ""

    @property
    def writes(self) -> bool:
        """Says whether its resource is to be stored."""
        return self.resource is not None and (self.creates or (self.method == "PUT" and bool(self.changes)))


class PostedBundle(msgspec.Struct, frozen=True):
    """A Bundle: `batch` or `transaction`, and its entries in order."""

    type: str
    entries: tuple[Entry, ...]


# The whole Bundle: whether it is a batch or a transaction at all.


class _RawEntry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()


class _RawBundle(msgspec.Struct):
    entry: list[_RawEntry] = []


def bundle_from(data: bytes, deployment: Deployment) -> PostedBundle:
    """Returns the batch or transaction in a body.

    A large one is checked in a child: what this process then does is done by one call into C for all of it.

    Raises:
        Malformed: it is none; every fault of the Bundle itself.
        TooLarge: over a limit.
        Unavailable: there is too much to check at the moment.
    """
    if deployment.sandbox is None or len(data) <= SMALL_BYTES:
        bundle = _checked(data, deployment)
    else:
        _check_apart(data, deployment, deployment.sandbox)
        bundle = decoded(data)
    bodies = [bytes(raw.resource) for raw in msgspec.json.decode(data, type=_RawBundle).entry]
    entries = bundle.get("entry", [])
    made = [entry_from(entry, _place(index), bodies[index]) for index, entry in enumerate(entries)]
    return PostedBundle(bundle["type"], tuple(made))


def _check_apart(data: bytes, deployment: Deployment, sandbox: Sandbox) -> None:
    try:
        sandbox.call(lambda: bool(_checked(data, deployment)), bool)
    except LimitExceeded as fault:
        text = f"Expected a Bundle that takes at most {sandbox.allowed} to read."
        raise TooLarge(Problem("too-costly", text, _ROOT)) from fault


def _checked(data: bytes, deployment: Deployment) -> dict[str, Any]:
    bundle = read(data, deployment.body)
    _check_type(bundle)
    entries = bundle.get("entry", [])
    if isinstance(entries, list) and len(entries) > deployment.bundle_entries:
        text = f"entry: expected at most {deployment.bundle_entries} entries."
        raise TooLarge(Problem("bundle-size", text, f"{_ROOT}.entry"))
    problems = check_structure(_without_resources(bundle), _ROOT, _ROOT) or tuple(
        _invariants(bundle, entries)
    )
    if problems:
        raise Malformed(*problems)
    return bundle


def _check_type(bundle: Mapping[str, Any]) -> None:
    if bundle.get("resourceType") != _ROOT:
        raise Malformed(Problem("resource-type", "resourceType: expected Bundle.", _ROOT))
    if bundle.get("type") not in (BATCH, TRANSACTION):
        text = "type: expected batch or transaction; no other Bundle is processed."
        raise Malformed(Problem("bundle-type", text, f"{_ROOT}.type"))


def _without_resources(bundle: dict[str, Any]) -> dict[str, Any]:
    """Returns the Bundle without the resources of its entries: each is checked where it is processed."""
    entries = bundle.get("entry")
    return (
        bundle | {"entry": [_without_resource(entry) for entry in entries]}
        if isinstance(entries, list)
        else bundle
    )


def _without_resource(entry: Any) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
        return entry
    return {name: member for name, member in entry.items() if name != "resource"}


def _invariants(bundle: Mapping[str, Any], entries: list[Any]) -> Iterator[Problem]:
    if "total" in bundle:
        yield Problem("invariant", "total: expected none in a Bundle of this type (bdl-1).", _ROOT)
    urls = Counter(entry.get("fullUrl") for entry in entries)
    for index, entry in enumerate(entries):
        here = _place(index)
        if "request" not in entry:
            yield Problem("missing", "entry: expected the element request (bdl-3).", here)
        for name, key in _NOT_HERE:
            if name in entry:
                yield Problem("invariant", f"{name}: expected none in a Bundle of this type ({key}).", here)
        if "fullUrl" in entry:
            yield from _full_url_faults(entry["fullUrl"], urls, f"{here}.fullUrl")
            yield from _type_faults(entry, f"{here}.fullUrl")


def _full_url_faults(url: str, urls: Counter[str], here: str) -> Iterator[Problem]:
    if urls[url] > 1:
        yield Problem("bundle-duplicate", "fullUrl: expected one that no other entry has (bdl-7).", here)
    if not _ABSOLUTE.fullmatch(url):
        yield Problem("format", "fullUrl: expected an absolute url, such as urn:uuid:...", here)
    if "/_history/" in url:
        yield Problem("invariant", "fullUrl: expected a url that names no version (bdl-8).", here)


def _type_faults(entry: Mapping[str, Any], here: str) -> Iterator[Problem]:
    """Yields a fault where the url names another type: references to that resource would lead to this one."""
    kind, named = entry.get("resource", {}).get("resourceType"), _RESTFUL.search(entry["fullUrl"])
    if named and isinstance(kind, str) and named[1] != kind:
        text = "fullUrl: expected a url whose type is that of the resource, or one such as urn:uuid:..."
        yield Problem("bundle-entry", text, here)


def _place(index: int) -> str:
    return f"{_ROOT}.entry[{index}]"


# One entry: the request that it stands for, and why it cannot be made.


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
    """Returns the instant as an HTTP date; empty if the calendar of HTTP does not have it."""
    try:
        return http_date_of(instant)
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


# What holds between the entries of a Bundle, and where in it a fault is.


def in_processing_order(entries: Sequence[Entry]) -> list[Entry]:
    """Returns the entries as they are processed: DELETE, POST, PUT and PATCH, GET and HEAD.

    Those of one kind go by their paths: then no two transactions wait for each other in a circle.
    """
    return sorted(entries, key=lambda entry: (_ORDER.get(entry.method, _LAST), entry.path))


def duplicate_changes(entries: Sequence[Entry], resolved: Mapping[str, str]) -> dict[str, Problem]:
    """Returns, by place, a problem for each entry that changes what another one changes too.

    Args:
        entries: of one Bundle.
        resolved: `Type/id` by place, of entries whose path does not say what they are about.
    """
    named = {entry.place: resolved.get(entry.place, entry.changes) for entry in entries}
    counts = Counter(named.values())
    text = "request: expected a resource that no other entry creates or changes."
    return {
        place: Problem("bundle-duplicate", text, place)
        for place, name in named.items()
        if name and counts[name] > 1
    }


@contextmanager
def located(entry: Entry) -> Iterator[None]:
    """Gives every problem that the block raises its place in the Bundle.

    What the path of an entry answers to is not what the base answers to, so NotAllowed becomes Malformed.
    """
    try:
        yield
    except ServiceError as error:
        error.problems = tuple(_located(problem, entry.place) for problem in error.problems)
        if isinstance(error, NotAllowed):
            raise Malformed(*error.problems) from error
        raise


def _located(problem: Problem, place: str) -> Problem:
    if not problem.expression:
        return replace(problem, expression=place)
    _, dot, rest = problem.expression.partition(".")
    return replace(problem, expression=f"{place}.resource{dot}{rest}")
