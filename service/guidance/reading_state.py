"""Reads the answers of one response into bits: questions first, then scores, then contradictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from service.guidance.answers import Answer, Answers
from service.guidance.bits import both, run
from service.guidance.readings import Contribution
from service.guidance.result import Total
from service.guidance.tables import Compiled, ContradictionTable

Given = Mapping[str, tuple[Answer, ...]]


class State(NamedTuple):
    """What one response says, as bits.

    Args:
        bits: every node's two bits, findings and rules included.
        given: the answers that count, those from the chart included.
        open: the questions that are neither answered nor hidden for certain, as a mask.
        contributions: of every answer that set any bits.
        holds: contradictions that hold.
        possible: contradictions that could still hold.
        judged: bits as they were when the contradictions were judged (nothing forced yet).
    """

    bits: int
    given: Given
    open: int
    contributions: list[Contribution]
    totals: tuple[Total, ...]
    holds: tuple[ContradictionTable, ...]
    possible: tuple[ContradictionTable, ...]
    judged: int


def state_of(compiled: Compiled, answers: Answers) -> State:
    """Everything that follows from the answers, contradictions scored by the worse."""
    given = {**answers.chart, **answers.given} if answers.chart else answers.given
    contributions = list(filter(None, map(compiled.readings.__getitem__, given.items())))
    totals = tuple([score.total(given, answers.closed) for score in compiled.scores])
    for score, total in zip(compiled.scores, totals, strict=True):
        contributions.append((score.mask(total), score.reads))
    bits, open_ = _unanswered(compiled, given, answers.closed)
    for mask, _ in contributions:
        bits |= mask
    judged = _with_ignored(compiled, bits, given, answers.ignored) if answers.ignored else bits
    judged = run(compiled.detect, judged)
    holds: list[ContradictionTable] = []
    possible: list[ContradictionTable] = []
    for table in compiled.contradictions:
        if judged & table.all == table.all:
            certain = table.all >> 1
            (holds if judged & certain == certain else possible).append(table)
    if holds or possible:
        bits |= _worse(holds, possible)
    return State(
        run(compiled.derive, bits), given, open_, contributions, totals, tuple(holds), tuple(possible), judged
    )


def _worse(holds: list[ContradictionTable], possible: list[ContradictionTable]) -> int:
    """The bits of findings that contradictions force, or may still force."""
    bits = 0
    for each in holds:
        bits |= both(each.sets)
    for each in possible:
        bits |= each.sets << 1
    return bits


def _unanswered(compiled: Compiled, given: Given, closed: frozenset[str]) -> tuple[int, int]:
    """The bits that hold for every response or are possible while questions are open; the open questions."""
    bits, open_ = compiled.always, 0
    by_link = compiled.readings.by_link
    for link_id in compiled.links.difference(given, closed):
        reading = by_link[link_id]
        bits |= reading.unanswered
        open_ |= reading.bit
    return bits, open_


def _with_ignored(compiled: Compiled, bits: int, given: Given, ignored: Given) -> int:
    """The bits with answers to questions that are not asked, for the atoms that also read those."""
    for link_id, values in ignored.items():
        reading = compiled.readings.by_link.get(link_id)
        if reading is None or not values or given.get(link_id):
            continue
        bits &= ~(reading.unanswered & compiled.ignored_bits)
        for value in values:
            bits |= reading[value] & compiled.ignored_bits
    return bits
