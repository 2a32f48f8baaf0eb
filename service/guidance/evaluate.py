"""Answers in, result out: the guidance on one screen.

Source: guidance/clinical-decisions.md, sections 2, 5 and 8 (three values, tables, contradictions).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from service.guidance.answers import Answers
from service.guidance.bits import STATES, run
from service.guidance.compile_rows import COUNT_BITS
from service.guidance.model import Advice, Contradiction
from service.guidance.open_questions import open_questions
from service.guidance.reading_state import State, state_of
from service.guidance.reasons import chosen
from service.guidance.result import Interval, Result, Tally
from service.guidance.tables import ComparisonTable, Compiled
from service.guidance.verdict import verdict

_COUNT = (1 << COUNT_BITS) - 1


def evaluate(compiled: Compiled, answers: Answers) -> Result:
    """What the guidance makes of the answers; the same answers give an equal result."""
    state = state_of(compiled, answers)
    tier, fired, risks = verdict(compiled, state)
    levels = [risk.level for risk in risks]
    settled = tier.settled and all([at_least == at_most for at_least, at_most in levels])  # noqa: C419 - faster
    return Result(
        tier=tier,
        tiers=compiled.tiers,
        fired=fired,
        risks=risks,
        findings=FindingStates(compiled.findings, state.bits),
        open=() if settled else open_questions(compiled, state, tier, levels),
        contradictions=_contradictions(compiled, state),
        tables=tuple([_tally(table, state.bits) for table in compiled.comparisons]),
        totals=state.totals,
        advice=_advice(compiled, state.bits, tier, levels),
        ignored=_ignored(compiled, state, answers) if answers.ignored else (),
        settled=settled,
    )


class FindingStates(Mapping[str, str]):
    """`present`, `absent` or `unknown` by finding name, read off the bits when it is asked for."""

    __slots__ = ("_bits", "_shifts")

    def __init__(self, shifts: Mapping[str, int], bits: int) -> None:
        self._shifts = shifts
        self._bits = bits

    def __getitem__(self, name: str) -> str:
        return STATES[self._bits >> self._shifts[name] & 3]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shifts)

    def __len__(self) -> int:
        return len(self._shifts)

    def __repr__(self) -> str:
        return f"FindingStates({dict(self)})"


def _tally(table: ComparisonTable, bits: int) -> Tally:
    numbers = (bits >> table.start & table.mask).to_bytes(len(table.pairs), "little")
    pairs = [states[number] for states, number in zip(table.pairs, numbers, strict=True)]
    counts = sum([pair.counts for pair in pairs])
    return Tally(
        comparison=table.comparison,
        rows=tuple(chain.from_iterable([pair.tallies for pair in pairs])),
        left=counts & _COUNT,
        right=counts >> COUNT_BITS & _COUNT,
        answered=counts >> 2 * COUNT_BITS & _COUNT,
        open=counts >> 3 * COUNT_BITS,
    )


def _advice(compiled: Compiled, bits: int, tier: Interval, levels: list[Interval]) -> tuple[Advice, ...]:
    ladders, table = compiled.ladders, compiled.advice
    bits |= ladders.at_least[tier.at_least] | ladders.at_most[tier.at_most]
    for position, ladder in ladders.levels:
        bits |= ladder[levels[position].at_least]
    shown = run(compiled.advise, bits) >> table.start & table.conditional
    return chosen(table.by_bit, shown) + table.general


def _contradictions(compiled: Compiled, state: State) -> tuple[Contradiction, ...]:
    """Those that authors wrote, then answers that do not fit and that none of those reads."""
    read = 0
    for table in state.holds:
        read |= table.reads
    unfit = [compiled.unfit[link] for link in state.counted if not compiled.bit_of[link] & read]
    return (*[table.contradiction for table in state.holds], *unfit)


def _ignored(compiled: Compiled, state: State, answers: Answers) -> tuple[str, ...]:
    """Answers that did not count: a contradiction that holds counts the ones it reads."""
    counted = 0
    for table in state.holds:
        counted |= table.reads
    for link_id in state.counted:
        counted |= compiled.bit_of[link_id]
    return tuple(link_id for link_id in answers.ignored if not compiled.bit_of.get(link_id, 0) & counted)
