"""Gives a resource its id, version and time, and leaves every other byte of it as it came."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import orjson

Members = dict[str, msgspec.Raw]
"""The members of a JSON object, each value in the bytes in which it was written."""

_OURS = frozenset(("resourceType", "id", "_id", "meta"))
_OUR_META = frozenset(("versionId", "_versionId", "lastUpdated", "_lastUpdated"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_read = msgspec.json.Decoder(Members).decode


def members(body: bytes | msgspec.Raw) -> Members:
    """Returns the members of an object that is known to be strict JSON."""
    return _read(body)


def instant(microseconds: int) -> str:
    """Returns a moment, in microseconds since 1970 UTC, as a FHIR instant."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


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
    given = members(body)
    kept = b"".join(b",%b:%b" % (orjson.dumps(name), raw) for name, raw in given.items() if name not in _OURS)
    meta = members(given["meta"]) if "meta" in given else {}
    own = b'"versionId":"%d","lastUpdated":"%b"' % (version, updated.encode())
    theirs = b"".join(
        b",%b:%b" % (orjson.dumps(name), raw) for name, raw in meta.items() if name not in _OUR_META
    )
    kind = bytes(given["resourceType"])
    return b'{"resourceType":%b,"id":"%b","meta":{%b%b}%b}' % (kind, of_id.encode(), own, theirs, kept)
