"""A chain of entries for each tenant, in which a change, a gap or another order shows.

An entry is a body that stays, and parts that can be erased. Its hash covers the hash of the entry before it:
whoever changes one entry has to change all that follow, and then a head that an operator wrote down elsewhere
is not in the chain any more. What is in bodies and parts is for others to say; that a part belongs to its
entry shows where the body holds a digest of the part.

Entries of one tenant are put in line one transaction at a time: whoever does so holds a lock until the
transaction ends, so it is the last thing that a transaction does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, delete, func, insert, select, tuple_, update

from service.storage.database import Database
from service.storage.model import Head, Link, LinkPart, StoredLink, link_hash
from service.storage.rows import Values, insert_rows
from service.storage.schema import CHAIN_ENTRY, CHAIN_HEAD, CHAIN_NAME, CHAIN_PART
from service.storage.sql import bounded

_ENTRY = (CHAIN_ENTRY.c.seq, CHAIN_ENTRY.c.written, CHAIN_ENTRY.c.body, CHAIN_ENTRY.c.hash)
_OF_TENANT = CHAIN_HEAD.c.tenant == bindparam("of_tenant")
_HEAD = select(
    CHAIN_HEAD.c.tenant,
    CHAIN_HEAD.c.seq,
    CHAIN_HEAD.c.hash,
    CHAIN_HEAD.c.written,
    CHAIN_HEAD.c.base_seq,
    CHAIN_HEAD.c.base_hash,
)
_MOVE = (
    update(CHAIN_HEAD)
    .where(_OF_TENANT)
    .values(seq=bindparam("to_seq"), hash=bindparam("to_hash"), written=bindparam("to_written"))
)
_CUT = (
    update(CHAIN_HEAD).where(_OF_TENANT).values(base_seq=bindparam("to_seq"), base_hash=bindparam("to_hash"))
)
# Each tenant is looked up behind the one before: there are few, of many entries.
_FIRST_TENANT = select(func.min(CHAIN_ENTRY.c.tenant))
_NEXT_TENANT = _FIRST_TENANT.where(CHAIN_ENTRY.c.tenant > bindparam("last"))
_BATCH = 300  # names or places in one statement
_CHAIN = "chain"
_Value = TypeVar("_Value")


def head_of(connection: Connection, tenant: str) -> Head | None:
    """Returns the end of the chain of a tenant; None if there is none yet."""
    row = connection.execute(_HEAD.where(_OF_TENANT), {"of_tenant": tenant}).one_or_none()
    return None if row is None else _head(row)


def heads(connection: Connection) -> Sequence[Head]:
    """Returns the end of each chain, in the order of the tenants; one whose head is gone ends at 0."""
    known = {row[0]: _head(row) for row in connection.execute(_HEAD)}
    found, last = dict(known), connection.execute(_FIRST_TENANT).scalar_one()
    while last is not None:
        found.setdefault(last, _unbegun(last))
        last = connection.execute(_NEXT_TENANT, {"last": last}).scalar_one()
    return [found[tenant] for tenant in sorted(found)]


def append(
    connection: Connection, database: Database, tenant: str, links: Sequence[Link], now: int
) -> Head | None:
    """Puts entries at the end of the tenant's chain; until the transaction ends no other one can.

    Args:
        connection: of a transaction that writes.
        database: its kind.
        tenant: whose chain it is.
        links: the entries, in order.
        now: microseconds since 1970 UTC; an entry is never older than the one before it.

    Returns:
        Where the chain ends now; None if nothing was appended and there is no chain.
    """
    database.claim(connection, f"{tenant}\n{_CHAIN}")
    found = head_of(connection, tenant)
    if not links:
        return found
    head = found or _first(connection, tenant)
    written = max(now, head.written)
    entries: list[Values] = []
    seq, before = head.seq, head.hash
    for link in links:
        seq += 1
        before = link_hash(before, tenant, seq, written, link.body)
        entries.append((tenant, seq, written, link.body, before))
    _insert(connection, entries, links)
    moved = {"of_tenant": tenant, "to_seq": seq, "to_hash": before, "to_written": written}
    connection.execute(_MOVE, moved)
    return Head(tenant, seq, before, written, head.base_seq, head.base_hash)


def _head(row: Sequence[Any]) -> Head:
    tenant, seq, hashed, written, base_seq, base_hash = row
    return Head(tenant, seq, bytes(hashed), written, base_seq, bytes(base_hash))


def _first(connection: Connection, tenant: str) -> Head:
    head = _unbegun(tenant)
    connection.execute(insert(CHAIN_HEAD).values(**head._asdict()))
    return head


def _unbegun(tenant: str) -> Head:
    return Head(tenant, 0, b"", 0, 0, b"")


def _insert(connection: Connection, entries: Sequence[Values], links: Sequence[Link]) -> None:
    parts, names = [], []
    for (tenant, seq, *_), link in zip(entries, links, strict=True):
        parts += [(tenant, seq, part, content) for part, content in link.parts.items()]
        found_by = dict.fromkeys((part, bounded(name)) for part, name in link.names)
        names += [(tenant, seq, part, name) for part, name in found_by]
    for table, rows in ((CHAIN_ENTRY, entries), (CHAIN_PART, parts), (CHAIN_NAME, names)):
        insert_rows(connection, table, rows)


def links_after(
    connection: Connection, tenant: str, after: int, *, since: int = 0, limit: int
) -> Sequence[StoredLink]:
    """Returns entries of a chain in order, with those of their parts that are not erased.

    Args:
        connection: of any transaction.
        tenant: whose chain it is.
        after: the number that they come after; 0 for the beginning.
        since: leaves out what was written before, in microseconds since 1970 UTC.
        limit: most entries.
    """
    wanted = (CHAIN_ENTRY.c.tenant == tenant, CHAIN_ENTRY.c.seq > after, CHAIN_ENTRY.c.written >= since)
    rows = connection.execute(select(*_ENTRY).where(*wanted).order_by(CHAIN_ENTRY.c.seq).limit(limit)).all()
    if not rows:
        return []
    held: dict[int, dict[str, bytes]] = {}
    between = (CHAIN_PART.c.seq >= rows[0][0], CHAIN_PART.c.seq <= rows[-1][0])
    of_rows = select(CHAIN_PART.c.seq, CHAIN_PART.c.part, CHAIN_PART.c.content).where(
        CHAIN_PART.c.tenant == tenant, *between
    )
    for seq, part, content in connection.execute(of_rows):
        held.setdefault(seq, {})[part] = bytes(content)
    return [
        StoredLink(seq, written, bytes(body), bytes(hashed), held.get(seq, {}))
        for seq, written, body, hashed in rows
    ]


def empty(connection: Connection, tenant: str, names: Collection[str]) -> Sequence[LinkPart]:
    """Erases the parts that are found under one of the names; their entries stay, and so do their hashes.

    Returns:
        The number of the entry and the name of each part that was erased, in order.
    """
    found: set[LinkPart] = set()
    place = (CHAIN_NAME.c.seq, CHAIN_NAME.c.part)
    for some in _batches(sorted({bounded(name) for name in names})):
        these = (CHAIN_NAME.c.tenant == tenant, CHAIN_NAME.c.name.in_(some))
        found |= {(row[0], row[1]) for row in connection.execute(select(*place).where(*these))}
    for batch in _batches(sorted(found)):
        for table in (CHAIN_PART, CHAIN_NAME):
            these = (table.c.tenant == tenant, tuple_(table.c.seq, table.c.part).in_(batch))
            connection.execute(delete(table).where(*these))
    return sorted(found)


def cut(connection: Connection, tenant: str, before: int) -> Head | None:
    """Deletes the oldest entries of a chain, those that were written before a moment.

    Returns:
        The chain as it is then, its base the last entry that was deleted; None if none was.
    """
    old = (CHAIN_ENTRY.c.tenant == tenant, CHAIN_ENTRY.c.written < before)
    last = connection.execute(select(func.max(CHAIN_ENTRY.c.seq)).where(*old)).scalar_one()
    if last is None:
        return None
    this = (CHAIN_ENTRY.c.tenant == tenant, CHAIN_ENTRY.c.seq == last)
    hashed = bytes(connection.execute(select(CHAIN_ENTRY.c.hash).where(*this)).scalar_one())
    for table in (CHAIN_NAME, CHAIN_PART, CHAIN_ENTRY):
        connection.execute(delete(table).where(table.c.tenant == tenant, table.c.seq <= last))
    connection.execute(_CUT, {"of_tenant": tenant, "to_seq": last, "to_hash": hashed})
    return head_of(connection, tenant)


def _batches(values: Sequence[_Value]) -> Iterable[Sequence[_Value]]:
    return (values[first : first + _BATCH] for first in range(0, len(values), _BATCH))
