"""A chain of entries for each tenant, in which a change, a gap or another order shows.

An entry is a body that stays, and parts that can be erased. Its hash covers the hash of the entry before it:
whoever changes one entry has to change all that follow, and then a head that an operator wrote down elsewhere
is not in the chain any more. What is in bodies and parts is for others to say; that a part belongs to its
entry shows where the body holds a digest of the part.

Entries of one tenant are put in line one transaction at a time: whoever does so holds a lock until the
transaction ends, so it is the last thing that a transaction does, and the transaction ends with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, delete, func, select, tuple_, update

from service.storage.database import Database
from service.storage.model import Head, Link, LinkPart, StoredLink, link_hash
from service.storage.rows import Rows, Sql, Values, fetched, run_all, run_and_commit
from service.storage.schema import CHAIN_ENTRY, CHAIN_HEAD, CHAIN_NAME, CHAIN_PART
from service.storage.sql import bounded

_ENTRY = (CHAIN_ENTRY.c.seq, CHAIN_ENTRY.c.written, CHAIN_ENTRY.c.body, CHAIN_ENTRY.c.hash)
_OF_TENANT = CHAIN_HEAD.c.tenant == bindparam("of_tenant")
_HEADS = f"SELECT {', '.join(CHAIN_HEAD.columns.keys())} FROM chain_head"  # noqa: S608
_HEAD = f"{_HEADS} WHERE tenant = ?"
_MOVE = "UPDATE chain_head SET seq = ?, hash = ?, written = ? WHERE tenant = ?"
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
    return next(map(_head, fetched(connection, _head_query(tenant))), None)


def heads(connection: Connection) -> Sequence[Head]:
    """Returns the end of each chain, in the order of the tenants; one whose head is gone ends at 0."""
    known = {row[0]: _head(row) for row in fetched(connection, Sql(_HEADS))}
    found, last = dict(known), connection.execute(_FIRST_TENANT).scalar_one()
    while last is not None:
        found.setdefault(last, _unbegun(last))
        last = connection.execute(_NEXT_TENANT, {"last": last}).scalar_one()
    return [found[tenant] for tenant in sorted(found)]


def append(
    connection: Connection,
    database: Database,
    tenant: str,
    links: Sequence[Link],
    now: int,
    *,
    behind: Sequence[Rows],
) -> None:
    """Puts entries at the end of the tenant's chain, and ends the transaction where that lets others go on.

    They wait from the moment in which the lock of the chain is there, so nothing is asked in between that
    could be asked before or after.

    Args:
        connection: of a transaction that writes, and that is at its end.
        database: its kind.
        tenant: whose chain it is.
        links: the entries, in order.
        now: microseconds since 1970 UTC; an entry is never older than the one before it.
        behind: what is inserted before.
    """
    found = run_all(connection, (*behind, *database.claiming(_lock_of(tenant)), _head_query(tenant)))
    head = _head(found[0]) if found else _unbegun(tenant)
    written = max(now, head.written)
    entries: list[Values] = []
    seq, before = head.seq, head.hash
    for link in links:
        seq += 1
        before = link_hash(before, tenant, seq, written, link.body)
        entries.append((tenant, seq, written, link.body, before))
    first = () if found else (Rows(CHAIN_HEAD, [head]),)
    moved = Sql(_MOVE, (seq, before, written, tenant), planned=True)
    run_and_commit(connection, (*first, *_rows(entries, links), moved))


def _lock_of(tenant: str) -> str:
    return f"{tenant}\n{_CHAIN}"


def _head_query(tenant: str) -> Sql:
    return Sql(_HEAD, (tenant,), planned=True)


def _head(row: Sequence[Any]) -> Head:
    tenant, seq, hashed, written, base_seq, base_hash = row
    return Head(tenant, seq, bytes(hashed), written, base_seq, bytes(base_hash))


def _unbegun(tenant: str) -> Head:
    return Head(tenant, 0, b"", 0, 0, b"")


def _rows(entries: Sequence[Values], links: Sequence[Link]) -> tuple[Rows, Rows, Rows]:
    parts, names = [], []
    for (tenant, seq, *_), link in zip(entries, links, strict=True):
        parts += [(tenant, seq, part, content) for part, content in link.parts.items()]
        found_by = dict.fromkeys((part, bounded(name)) for part, name in link.names)
        names += [(tenant, seq, part, name) for part, name in found_by]
    return Rows(CHAIN_ENTRY, entries), Rows(CHAIN_PART, parts), Rows(CHAIN_NAME, names)


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


def cut(connection: Connection, database: Database, tenant: str, before: int) -> Head | None:
    """Deletes the oldest entries of a chain, those that were written before a moment.

    Until the transaction ends no other one puts entries in line: both change the head, and whoever had the
    head but not yet the line would wait for the other one, and that one for it.

    Returns:
        The chain as it is then, its base the last entry that was deleted; None if none was.
    """
    run_all(connection, database.claiming(_lock_of(tenant)))
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
