"""A published resource, ready to be served: its bytes, and the tag that changes with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Artifact:
    """A published resource.

    Args:
        type: resourceType.
        id, url, version: of the resource; empty where it states none.
        resource: with meta.versionId, and meta.lastUpdated where it states a full date.
        body: the same as JSON.
        etag: weak entity tag; its value is meta.versionId.
    """

    type: str
    id: str
    url: str
    version: str
    resource: Mapping[str, Any] = field(repr=False)
    body: bytes = field(repr=False)
    etag: str


def artifact(resource: Mapping[str, Any]) -> Artifact:
    """Returns a resource as it is served; its version id is a digest of its content."""
    version_id = sha256(_json(resource)).hexdigest()[:32]
    served = _with_meta(resource, version_id)
    return Artifact(
        type=resource["resourceType"],
        id=resource.get("id", ""),
        url=resource.get("url", ""),
        version=resource.get("version", ""),
        resource=served,
        body=_json(served),
        etag=f'W/"{version_id}"',
    )


def _with_meta(resource: Mapping[str, Any], version_id: str) -> dict[str, Any]:
    """Returns the resource with meta after its id, as R4 orders properties."""
    meta = {**resource.get("meta", {}), "versionId": version_id}
    date = resource.get("date", "")
    if len(date) == len("YYYY-MM-DD"):
        meta["lastUpdated"] = f"{date}T00:00:00Z"
    first = {name: resource[name] for name in ("resourceType", "id") if name in resource}
    return {
        **first,
        "meta": meta,
        **{name: value for name, value in resource.items() if name not in (*first, "meta")},
    }


def _json(resource: Mapping[str, Any]) -> bytes:
    """Returns JSON in which numbers keep their digits."""
    return msgspec.json.Encoder(decimal_format="number").encode(resource)
