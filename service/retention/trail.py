"""Commands on the audit trail: check that it is complete, and export it to other systems.

As with the other commands, no fault repeats an argument.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from service.audit import Anchor, Verdict, line_of, verify
from service.errors import StartupError
from service.fhir.dates import is_instant, time_range
from service.retention.commands import DONE, REFUSED, Console, opened
from service.storage.model import Head, Store

_PAGE: Final = 500
_MOST_FAULTS: Final = 100
_NO_TENANT: Final = "--tenant: there is no trail of a tenant of this name."
_AN_INSTANT: Final = "--since: expected an instant with a time zone, such as 2026-01-31T08:00:00Z."
_ANCHORS: Final = "--anchors: expected a file of lines that `audit --verify` has printed."


def verify_trail(console: Console, tenant: str | None = None, anchors: str | None = None) -> int:
    """Prints, for each tenant, where its chain ends and what does not fit, one line of JSON each.

    Args:
        console: where.
        tenant: only this one; None for all of them.
        anchors: a file of lines that were printed before, and kept elsewhere.

    Returns:
        0 if every chain is whole, 1 if one is not.

    Raises:
        StartupError: no trail of the tenant, a file that is not as expected, or as `opened` does.
    """
    known = [] if anchors is None else list(_anchors(Path(anchors)))
    with opened(console.settings) as store:
        found = [_verified(store, head, known) for head in _chains(store, tenant, known)]
    if found and not known and anchors is not None:
        raise StartupError([_ANCHORS])
    for verdict in found:
        console.out.write(orjson.dumps(_plain(verdict), option=orjson.OPT_APPEND_NEWLINE))
    return REFUSED if any(verdict.faults for verdict in found) else DONE


def feed(console: Console, since: str | None = None, tenant: str | None = None) -> int:
    """Prints the events of the trail as FHIR AuditEvents, one a line, the oldest of each tenant first.

    Args:
        console: where.
        since: FHIR instant; what was written to the trail before is left out.
        tenant: only this one; None for all of them.

    Raises:
        StartupError: no instant, no trail of the tenant, or as `opened` does.
    """
    moment = 0 if since is None else _moment(since)
    with opened(console.settings) as store:
        for head in _chains(store, tenant, ()):
            for line in _lines(store, head.tenant, moment):
                console.out.write(line)
    return DONE


def _lines(store: Store, tenant: str, since: int) -> Iterator[bytes]:
    """Yields the lines of a page at a time: a slow reader of them holds no connection."""
    last = 0
    while True:
        with store.reading(tenant) as view:
            page = view.links_after(last, since=since, limit=_PAGE)
        if not page:
            return
        yield from (line_of(tenant, link) for link in page)
        last = page[-1].seq


def _chains(store: Store, tenant: str | None, anchors: Sequence[Anchor]) -> Sequence[Head]:
    """Returns the chains that there are, and those that were written down and are gone."""
    heads = {anchor.tenant: Head(anchor.tenant, 0, b"", 0, 0, b"") for anchor in anchors}
    heads |= {head.tenant: head for head in store.heads()}
    if tenant is None:
        return [heads[name] for name in sorted(heads)]
    if tenant not in heads:
        raise StartupError([_NO_TENANT])
    return [heads[tenant]]


def _verified(store: Store, head: Head, anchors: Sequence[Anchor]) -> Verdict:
    own = [anchor for anchor in anchors if anchor.tenant == head.tenant]
    with store.reading(head.tenant) as view:
        # Others may have written since the chains were named: the head and the entries are of one moment.
        return verify(view, view.head() or head, own)


def _plain(verdict: Verdict) -> dict[str, Any]:
    head = verdict.head
    return {
        "tenant": head.tenant,
        "seq": head.seq,
        "hash": head.hash.hex(),
        "expired": head.base_seq,
        "entries": verdict.entries,
        "erased": verdict.emptied,
        "whole": not verdict.faults,
        "faults": [
            {"seq": fault.seq, "kind": fault.kind, "text": fault.text}
            for fault in verdict.faults[:_MOST_FAULTS]
        ],
        "faultCount": len(verdict.faults),
    }


def _moment(since: str) -> int:
    found = time_range(since) if is_instant(since) else None
    if found is None:
        raise StartupError([_AN_INSTANT])
    return found[0]


def _anchors(path: Path) -> Iterator[Anchor]:
    try:
        lines = path.read_bytes().splitlines()
        for line in filter(None, lines):
            found = orjson.loads(line)
            yield Anchor(str(found["tenant"]), int(found["seq"]), str(found["hash"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise StartupError([_ANCHORS]) from None
