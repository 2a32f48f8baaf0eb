"""Reads the answers of one response into bits: questions first, then scores, then contradictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from service.datatypes.answers import Answer, Answers
from service.guidance.bits import both, positions, run
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
        counted: linkIds of answers that do not fit the others and count, because they are worse.
    """

    bits: int
    given: Given
    open: int
    contributions: list[Contribution]
    totals: tuple[Total, ...]
    holds: tuple[ContradictionTable, ...]
    possible: tuple[ContradictionTable, ...]
    judged: int
    counted: tuple[str, ...]


def state_of(compiled: Compiled, answers: Answers) -> State:
    """Everything that follows from the answers, contradictions scored by the worse."""
    given = {**answers.chart, **answers.given} if answers.chart else answers.given
    contributions = list(filter(None, map(compiled.readings.__getitem__, given.items())))
    totals = tuple([score.total(given, answers.closed) for score in compiled.scores])
    for score, total in zip(compiled.scores, totals, strict=True):
        contributions.append((score.mask(total), score.reads))
    worse = _worse_answers(compiled, answers) if answers.ignored or answers.chart else {}
    contributions += worse.values()
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
    bits = run(compiled.derive, bits)
    counted = tuple(worse)
    return State(bits, given, open_, contributions, totals, tuple(holds), tuple(possible), judged, counted)


def _worse_answers(compiled: Compiled, answers: Answers) -> dict[str, Contribution]:
    """By linkId, what answers that do not fit the others make worse; they count for nothing else."""
    doubled = {link: values for link, values in answers.chart.items() if link in answers.given}
    found: dict[str, Contribution] = {}
    for link_id, values in (*answers.ignored.items(), *doubled.items()):
        reading = compiled.readings.by_link.get(link_id)
        if reading is None or answers.given.get(link_id) == values:
            continue
        before = _union(reading[value] for value in answers.given.get(link_id, ()))
        worse = _union(reading[value] for value in values) & compiled.worse & ~before
        if worse:
            sets = _union(compiled.closure[position >> 1] for position in positions(worse))
            found[link_id] = both(sets), reading.bit
    return found


def _union(masks: Iterable[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union


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
        certain = compiled.ignored_bits & compiled.because.certain
        bits |= both(_union(reading[value] for value in values) & certain)
    return bits
