"""Entries for the tags, security labels and profiles of what was stored before these were searched.

Unlike any other part of the storage this one reads bodies: those of the service before it, which no longer
change. What is stored from now on has its entries from whoever stores it.
"""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from service.storage.sql import bounded

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_AT_ONCE = 500
_RECORD = sa.table("record", *map(sa.column, ("key", "type", "body")))
_ENTRY = sa.table("text_entry", *map(sa.column, ("parameter", "value", "system", "type", "record")))
_SOUGHT = (b'"tag"', b'"security"', b'"profile"')
_CODES = (("_tag", "tag"), ("_security", "security"))


def upgrade() -> None:
    """Adds the entries, for some records at a time."""
    last = None
    while rows := _records_after(last):
        entries = [entry for row in rows for entry in _entries(*row)]
        if entries:
            op.get_bind().execute(sa.insert(_ENTRY), entries)
        last = rows[-1][0]


def _records_after(key: int | None) -> list[Any]:
    query = sa.select(_RECORD.c.key, _RECORD.c.type, _RECORD.c.body).order_by(_RECORD.c.key).limit(_AT_ONCE)
    return list(op.get_bind().execute(query if key is None else query.where(_RECORD.c.key > key)))


def _entries(key: int, of_type: str, body: bytes) -> list[dict[str, Any]]:
    """Returns the rows of one record, each of them once."""
    data = bytes(body)
    if not any(name in data for name in _SOUGHT):
        return []
    resource = json.loads(data)
    meta = resource.get("meta") if isinstance(resource, dict) else None
    found = dict.fromkeys(_texts(meta)) if isinstance(meta, dict) else {}
    return [
        {
            "parameter": name,
            "value": bounded(value),
            "system": bounded(system),
            "type": of_type,
            "record": key,
        }
        for name, system, value in found
    ]


def _texts(meta: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yields name, system and value."""
    for parameter, member in _CODES:
        for coding in meta.get(member, ()):
            if coding is not None and "code" in coding:
                yield parameter, coding.get("system", ""), coding["code"]
    for profile in meta.get("profile", ()):
        if profile is not None:
            yield "_profile", "", profile.partition("|")[0]
            yield "_profile", "", profile
