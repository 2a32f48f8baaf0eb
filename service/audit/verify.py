"""Walks a chain from its first entry to its last, and reports what does not fit.

A chain shows what was changed, left out, put in or moved, and what was cut off at either end, as long as
whoever did it has not made all of it anew from there. Whoever may write to the whole database can do that:
only a head that was written down elsewhere (an anchor) shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from service.audit.events import ERASURE, EXPIRY
from service.storage.model import Head, LinkPart, ReadingAll, StoredLink, link_hash

_PAGE: Final = 500


class Anchor(NamedTuple):
    """The head of a chain as it was written down elsewhere."""

    tenant: str
    seq: int
    hash: str


class Fault(NamedTuple):
    """What does not fit.

    Args:
        kind: `changed`, `missing`, `added`, `part-changed`, `part-missing`, `head`, `base` or `anchor`.
        seq: number of the entry; 0 for the chain itself.
        text: what was expected.
    """

    kind: str
    seq: int
    text: str


_TEXTS: Final = {
    "changed": "The hash does not fit: the entry, its place or its time was changed, or one before it.",
    "missing": "Entries are missing before this one.",
    "added": "The entry stands behind the end that the head names.",
    "part-changed": "A part does not have the digest that the entry holds of it.",
    "part-missing": "A part is missing, and no erasure names it.",
    "head": "The chain does not end where its head says: entries are missing, or the head was changed.",
    "base": "Entries are missing at the beginning, and no expiry names the last of them.",
    "anchor": "The entry does not have the hash that was written down of it, or is not there.",
}


class Verdict(msgspec.Struct):
    """What was found of one chain.

    Args:
        head: as the store has it.
        entries: how many were there. emptied: how many parts of them are erased.
        faults: what does not fit, in the order of the entries.
    """

    head: Head
    entries: int = 0
    emptied: int = 0
    faults: list[Fault] = msgspec.field(default_factory=list)

    def add(self, kind: str, seq: int) -> None:
        """Adds a fault."""
        self.faults.append(Fault(kind, seq, _TEXTS[kind]))


def verify(view: ReadingAll, head: Head, anchors: Sequence[Anchor] = ()) -> Verdict:
    """Checks the chain of a tenant and returns the findings.

    Args:
        view: of one moment, of the tenant.
        head: where its chain ends, as the view has it.
        anchors: heads that were written down elsewhere, of this chain.
    """
    verdict = Verdict(head)
    walk = _Walk(verdict, {anchor.seq: anchor.hash for anchor in anchors})
    for link in _links(view):
        walk.visit(link)
    walk.end()
    verdict.faults.sort(key=lambda fault: fault.seq)
    return verdict


def _links(view: ReadingAll) -> Iterator[StoredLink]:
    last = 0
    while page := view.links_after(last, limit=_PAGE):
        yield from page
        last = page[-1].seq


class _Walk:
    """What was seen of a chain so far."""

    def __init__(self, verdict: Verdict, anchors: dict[int, str]) -> None:
        head = verdict.head
        self._verdict = verdict
        self._anchors = anchors
        self._seq, self._hash = head.base_seq, head.base_hash
        self._missing: set[LinkPart] = set()
        self._emptied: set[LinkPart] = set()
        self._bases = {(0, "")}

    def visit(self, link: StoredLink) -> None:
        """Compares the next entry with those before it."""
        verdict = self._verdict
        verdict.entries += 1
        if link.seq > verdict.head.seq:
            verdict.add("added", link.seq)
        if link.seq != self._seq + 1:
            verdict.add("missing", link.seq)
        elif link.hash != link_hash(self._hash, verdict.head.tenant, link.seq, link.written, link.body):
            verdict.add("changed", link.seq)
        self._visit_body(link)
        if self._anchors.pop(link.seq, link.hash.hex()) != link.hash.hex():
            verdict.add("anchor", link.seq)
        self._seq, self._hash = link.seq, link.hash

    def _visit_body(self, link: StoredLink) -> None:
        body = _read(link.body)
        digests = body.get("parts", {})
        for part, digest in digests.items():
            if part not in link.parts:
                self._missing.add((link.seq, part))
            elif sha256(link.parts[part]).hexdigest() != digest:
                self._verdict.add("part-changed", link.seq)
        if link.parts.keys() - digests.keys():
            self._verdict.add("part-changed", link.seq)
        if body.get("event") == ERASURE:
            self._emptied |= {(seq, part) for seq, part in body.get("emptied", ())}
        if body.get("event") == EXPIRY and body.get("base"):
            self._bases.add(tuple(body["base"]))

    def end(self) -> None:
        """Compares the end of the chain and the erasures with what the head and the anchors say."""
        verdict, head = self._verdict, self._verdict.head
        if (self._seq, self._hash) != (head.seq, head.hash):
            verdict.add("head", self._seq)
        if (head.base_seq, head.base_hash.hex()) not in self._bases:
            verdict.add("base", head.base_seq)
        for seq, _ in sorted(self._missing - self._emptied):
            verdict.add("part-missing", seq)
        verdict.emptied = len(self._missing & self._emptied)
        for seq, hashed in self._anchors.items():
            if seq > head.base_seq or (seq == head.base_seq and hashed != head.base_hash.hex()):
                verdict.add("anchor", seq)


def _read(body: bytes) -> dict[str, Any]:
    """Returns the members of a body; nothing of one that was changed so that it is no object any more."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
