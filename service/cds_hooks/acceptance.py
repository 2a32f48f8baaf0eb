"""How often the cards of each rule were accepted, and why people said no: in numbers that name nobody.

Source:
    CDS Hooks 2.0.1, section "Feedback": it lets a service improve what it suggests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from service.cds_hooks.feedback import ACCEPTED, OVERRIDDEN
from service.cds_hooks.shown import CARD, Kept, kept_in
from service.datatypes.values import replace
from service.storage.model import Record, Search, Store

_PAGE: Final = 500
_HEADINGS: Final = ("tenant", "guidance", "card", "shown", "accepted", "overridden", "acceptance")
_LEFT: Final = 3
_NO_NAME: Final = "-"


class Tally(msgspec.Struct):
    """What became of the cards that say the same.

    Args:
        tenant: whose they are.
        guidance: canonical of the guidance.
        says: code of the step of care, or why the form was offered: `missing`, `unscored`, `unread`,
            `again`.
        shown, accepted, overridden: how many cards; one may be both accepted and overridden.
        answered: how many cards of which anything is known.
        suggestions, reasons: how often each was given.
    """

    tenant: str
    guidance: str
    says: str
    shown: int = 0
    accepted: int = 0
    overridden: int = 0
    answered: int = 0
    suggestions: Counter[str] = msgspec.field(default_factory=Counter)
    reasons: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, kept: Kept) -> None:
        """Counts a card."""
        outcomes = {outcome for outcome, _, _ in kept.outcomes}
        self.shown += 1
        self.accepted += ACCEPTED in outcomes
        self.overridden += OVERRIDDEN in outcomes
        self.answered += bool(outcomes)
        for outcome, _, details in kept.outcomes:
            (self.suggestions if outcome == ACCEPTED else self.reasons).update(details)

    @property
    def acceptance(self) -> float | None:
        """The share of the accepted cards among those of which anything is known; None where none is."""
        return self.accepted / self.answered if self.answered else None

    def plain(self) -> dict[str, Any]:
        """Returns it as plain values."""
        return {
            "tenant": self.tenant,
            "guidance": self.guidance,
            "card": self.says,
            "shown": self.shown,
            "accepted": self.accepted,
            "overridden": self.overridden,
            "acceptance": self.acceptance,
            "suggestions": dict(sorted(self.suggestions.items())),
            "reasons": dict(sorted(self.reasons.items())),
        }


def tallies(store: Store, tenant: str) -> Sequence[Tally]:
    """Counts what became of the cards of a tenant, by guidance and what they say; raises StoreFault."""
    found: dict[tuple[str, str], Tally] = {}
    for record in _all(store, tenant):
        kept = kept_in(record.body)
        of = kept.guidance, kept.says
        found.setdefault(of, Tally(tenant, *of)).add(kept)
    return [found[of] for of in sorted(found)]


def _all(store: Store, tenant: str) -> Iterator[Record]:
    """Yields all cards; each page is read at a moment of its own, so that nothing waits."""
    search: Search | None = Search(CARD, limit=_PAGE)
    while search is not None:
        with store.reading(tenant) as view:
            page = view.search(search)
        yield from page.records
        search = None if page.next is None else replace(search, after=page.next)


def table(found: Iterable[Tally]) -> Iterator[str]:
    """Yields the lines of a table: one for each tally, and one below it for each suggestion and reason."""
    rows = [_HEADINGS, *map(_row, tallied := [*found])]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEADINGS))]
    lines = ["  ".join(map(_padded, row, widths, range(len(row)))).rstrip() for row in rows]
    yield lines[0]
    for line, tally in zip(lines[1:], tallied, strict=True):
        yield line
        yield from (f"    accepted {name}: {count}" for name, count in sorted(tally.suggestions.items()))
        yield from (f"    overridden, {why}: {count}" for why, count in sorted(tally.reasons.items()))


def _padded(cell: str, width: int, place: int) -> str:
    return cell.ljust(width) if place < _LEFT else cell.rjust(width)


def _row(tally: Tally) -> tuple[str, ...]:
    share = "" if tally.acceptance is None else f"{tally.acceptance:.0%}"
    numbers = (str(number) for number in (tally.shown, tally.accepted, tally.overridden))
    return (tally.tenant or _NO_NAME, tally.guidance, tally.says, *numbers, share)
