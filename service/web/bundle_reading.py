"""Reads a body as a batch or a transaction of R4.

Two kinds of fault are told apart. What makes the Bundle itself no Bundle of its type refuses all of it.
What makes one entry a request that cannot be made stays with the entry: in a batch the others are answered.

Source: R4 Bundle (bdl-1 to bdl-4, bdl-7, bdl-8); http.html#transaction.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from service.errors import Malformed, Problem, TooLarge
from service.fhir import kinds
from service.fhir.body import Limits, read
from service.fhir.structure import check
from service.web.bundle_entries import Entry, entry_from

BATCH: Final = "batch"
TRANSACTION: Final = "transaction"

_ROOT = "Bundle"
_RESTFUL = re.compile(r"/([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}\Z")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^#]+")
_NOT_HERE = (("search", "bdl-2"), ("response", "bdl-4"))


@dataclass(frozen=True, slots=True)
class BundleLimits:
    """What a Bundle may cost.

    Args:
        body_bytes: longest body, decompressed.
        depth: deepest nesting of objects and arrays.
        entries: most entries.
        answer_bytes: once the answers are longer together, the entries that are left are refused.
    """

    body_bytes: int
    depth: int
    entries: int
    answer_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Posted:
    """A Bundle: `batch` or `transaction`, and its entries in order."""

    type: str
    entries: tuple[Entry, ...]


class _RawEntry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()


class _RawBundle(msgspec.Struct):
    entry: list[_RawEntry] = []


def bundle_from(data: bytes, limits: BundleLimits) -> Posted:
    """Returns the batch or transaction in a body.

    Raises:
        Malformed: it is none; every fault of the Bundle itself.
        TooLarge: over a limit.
    """
    bundle = read(data, Limits(limits.body_bytes, limits.depth))
    _check_type(bundle)
    entries = bundle.get("entry", [])
    if isinstance(entries, list) and len(entries) > limits.entries:
        text = f"entry: expected at most {limits.entries} entries."
        raise TooLarge(Problem("bundle-size", text, f"{_ROOT}.entry"))
    problems = check(_bare(bundle), _ROOT, _ROOT) or tuple(_invariants(bundle, entries))
    if problems:
        raise Malformed(*problems)
    bodies = [bytes(raw.resource) for raw in msgspec.json.decode(data, type=_RawBundle).entry]
    made = [entry_from(entry, _place(index), bodies[index]) for index, entry in enumerate(entries)]
    return Posted(bundle["type"], tuple(made))


def _check_type(bundle: Mapping[str, Any]) -> None:
    if bundle.get("resourceType") != _ROOT:
        raise Malformed(Problem(kinds.RESOURCE_TYPE, "resourceType: expected Bundle.", _ROOT))
    if bundle.get("type") not in (BATCH, TRANSACTION):
        text = "type: expected batch or transaction; no other Bundle is processed."
        raise Malformed(Problem("bundle-type", text, f"{_ROOT}.type"))


def _bare(bundle: dict[str, Any]) -> dict[str, Any]:
    """Returns the Bundle without the resources of its entries: each is checked where it is processed."""
    entries = bundle.get("entry")
    return bundle | {"entry": [_hollow(each) for each in entries]} if isinstance(entries, list) else bundle


def _hollow(entry: Any) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
        return entry
    return {name: member for name, member in entry.items() if name != "resource"}


def _invariants(bundle: Mapping[str, Any], entries: list[Any]) -> Iterator[Problem]:
    if "total" in bundle:
        yield Problem(kinds.INVARIANT, "total: expected none in a Bundle of this type (bdl-1).", _ROOT)
    urls = Counter(entry.get("fullUrl") for entry in entries)
    for index, entry in enumerate(entries):
        here = _place(index)
        if "request" not in entry:
            yield Problem(kinds.MISSING, "entry: expected the element request (bdl-3).", here)
        for name, key in _NOT_HERE:
            if name in entry:
                yield Problem(
                    kinds.INVARIANT, f"{name}: expected none in a Bundle of this type ({key}).", here
                )
        if "fullUrl" in entry:
            yield from _full_url(entry["fullUrl"], urls, f"{here}.fullUrl")
            yield from _other_type(entry, f"{here}.fullUrl")


def _full_url(url: str, urls: Counter[str], here: str) -> Iterator[Problem]:
    if urls[url] > 1:
        yield Problem("bundle-duplicate", "fullUrl: expected one that no other entry has (bdl-7).", here)
    if not _ABSOLUTE.fullmatch(url):
        yield Problem(kinds.FORMAT, "fullUrl: expected an absolute url, such as urn:uuid:...", here)
    if "/_history/" in url:
        yield Problem(kinds.INVARIANT, "fullUrl: expected a url that names no version (bdl-8).", here)


def _other_type(entry: Mapping[str, Any], here: str) -> Iterator[Problem]:
    """A url that names another type would have references to that resource replaced by this one."""
    kind, named = entry.get("resource", {}).get("resourceType"), _RESTFUL.search(entry["fullUrl"])
    if named and isinstance(kind, str) and named[1] != kind:
        text = "fullUrl: expected a url whose type is that of the resource, or one such as urn:uuid:..."
        yield Problem("bundle-entry", text, here)


def _place(index: int) -> str:
    return f"{_ROOT}.entry[{index}]"
