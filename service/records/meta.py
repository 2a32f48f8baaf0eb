"""Gives a resource its id, version and time, and leaves every other byte of it as it came.

Only a narrative may lose something: what would act on those who read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
import orjson

from service.fhir import xhtml
from service.fhir.json import BodyLimits, encoded, read

Members = dict[str, msgspec.Raw]
"""The members of a JSON object, each value in the bytes in which it was written."""

_OURS = frozenset(("resourceType", "id", "_id", "meta"))
_OUR_META = frozenset(("versionId", "_versionId", "lastUpdated", "_lastUpdated"))
_WITH_NARRATIVES = frozenset(("text", "contained"))
_ANY_DEPTH = 1 << 30
_read = msgspec.json.Decoder(Members).decode


def members(body: bytes | msgspec.Raw) -> Members:
    """Returns the members of an object that is known to be strict JSON."""
    return _read(body)


def presentable(given: Members) -> Members:
    """Returns the members of a resource, with narratives, its own and those contained, that may be shown.

    Args:
        given: those of one resource in which every narrative is one of R4.

    Returns:
        The same object where nothing had to change.
    """
    changed = {name: _with_presentable(given[name]) for name in _WITH_NARRATIVES if name in given}
    return given if all(raw is given[name] for name, raw in changed.items()) else {**given, **changed}


def _with_presentable(raw: msgspec.Raw) -> msgspec.Raw:
    """Returns the value of a member as it came, or written anew if a narrative in it had to change."""
    written = bytes(raw)
    if b"<div" not in written and b"\\u" not in written:
        return raw
    whole = read(b'{"member":%b}' % written, BodyLimits(len(written) + 16, _ANY_DEPTH))
    pending: list[Any] = [whole]
    is_changed = False
    for value in pending:  # grows while it is read
        div = value.get("div") if isinstance(value, dict) else None
        if isinstance(div, str) and div != (shown := xhtml.presentable(div)):
            value["div"], is_changed = shown, True
        inside = value.values() if isinstance(value, dict) else value
        pending += [member for member in inside if isinstance(member, dict | list)]
    return msgspec.Raw(encoded(whole["member"])) if is_changed else raw


def stamped(body: bytes, of_id: str, version: int, updated: str) -> bytes:
    """Returns the resource with its own id, meta.versionId and meta.lastUpdated.

    Args:
        body: strict JSON of one resource; an id, versionId or lastUpdated in it is replaced.
        of_id: the id that it is stored under.
        version: its version, from 1.
        updated: FHIR instant.

    Source:
        R4 http.html#create: a server ignores these three elements of a body and puts its own.
    """
    return stamped_members(members(body), of_id, version, updated)


def stamped_members(given: Members, of_id: str, version: int, updated: str) -> bytes:
    """Does the same for a resource whose members were read."""
    own = b'","meta":{"versionId":"%d","lastUpdated":"%b"' % (version, updated.encode())
    pieces: list[Any] = [b'{"resourceType":', given["resourceType"], b',"id":"', of_id.encode(), own]
    if "meta" in given:
        pieces += _others(members(given["meta"]), _OUR_META)
    return b"".join((*pieces, b"}", *_others(given, _OURS), b"}"))


def _others(given: Members, ours: frozenset[str]) -> Iterator[bytes | msgspec.Raw]:
    """Yields the members that are not ours, each behind a comma."""
    for name, raw in given.items():
        if name not in ours:
            yield _begun(name)
            yield raw


@lru_cache(maxsize=256)  # resources of a few types, whose members have the same names again and again
def _begun(name: str) -> bytes:
    return b",%b:" % orjson.dumps(name)
