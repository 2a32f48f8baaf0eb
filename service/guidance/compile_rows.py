"""The tables of the side-by-side comparisons: the states of two rows by the byte of their bits."""

from __future__ import annotations

from service.guidance.bits import PRESENT, UNKNOWN, both, certain
from service.guidance.ground import Ground
from service.guidance.model import Comparison, Row
from service.guidance.result import RowTally
from service.guidance.tables import ComparisonTable, RowStates

COUNT_BITS = 16
"""Width of one count in `RowStates.counts`."""


def comparison_tables(ground: Ground) -> tuple[ComparisonTable, ...]:
    """The table of every comparison, in file order."""
    return tuple(_table(ground, comparison) for comparison in ground.written.comparisons)


def _table(ground: Ground, comparison: Comparison) -> ComparisonTable:
    nodes = ground.graph.rows[comparison.name]
    rows = comparison.rows
    return ComparisonTable(
        comparison=comparison,
        start=2 * nodes[0] if nodes else 0,
        mask=both(certain(range(len(nodes)))),
        pairs=tuple(_states(rows[place : place + 2]) for place in range(0, len(rows), 2)),
    )


def _states(rows: tuple[Row, ...]) -> tuple[RowStates, ...]:
    """By byte; the bits of a row are left certain, left possible, right certain, right possible."""
    return tuple(_state(rows, bits) for bits in range(256))


def _state(rows: tuple[Row, ...], bits: int) -> RowStates:
    words = [
        "informs-only" if row.informs_only else _word(bits >> 4 * place & 15)
        for place, row in enumerate(rows)
    ]
    tallies = tuple(RowTally(row, word) for row, word in zip(rows, words, strict=True))
    return RowStates(tallies, sum(_counts(word) for word in words))


def _word(bits: int) -> str:
    left, right = bits & 3, bits >> 2
    if PRESENT in (left, right):
        return "both" if left == right else "left" if left == PRESENT else "right"
    return "open" if UNKNOWN in (left, right) else "neither"


def _counts(word: str) -> int:
    counts = (
        word in ("left", "both"),
        word in ("right", "both"),
        word not in ("open", "informs-only"),
        word == "open",
    )
    return sum(count << COUNT_BITS * part for part, count in enumerate(counts))
