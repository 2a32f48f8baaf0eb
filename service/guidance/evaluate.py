"""Answers in, result out: the evaluation on one screen.

Source: guidance/clinical-decisions.md, sections 2, 5 and 8 (three values, tables, contradictions).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from service.datatypes.answers import Answers
from service.guidance.bits import STATES, positions, run, union
from service.guidance.model import Advice, Contradiction
from service.guidance.reasons import Reasons, chosen, open_questions
from service.guidance.result import Fired, Interval, Result, Risk, Tally
from service.guidance.state import State, state_of
from service.guidance.tables import COUNT_BITS, ComparisonTable, Compiled, OutcomeTable, RuleBlock


def evaluate(compiled: Compiled, answers: Answers) -> Result:
    """Returns what the guidance makes of the answers; the same answers give an equal result."""
    state = state_of(compiled, answers)
    tier, fired, risks = _verdict(compiled, state)
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


# What the rules say: the tier, the level of every outcome, and the rules that fired.
#
# The tier is at least the highest tier of a rule that holds, and at most the highest of a rule that
# may hold. Of an outcome's rules the first that holds decides; rules before it that may hold widen
# the interval.


def _verdict(compiled: Compiled, state: State) -> tuple[Interval, tuple[Fired, ...], tuple[Risk, ...]]:
    """Returns the tier, the tier's rules that hold (highest tier first), and the risk of every outcome."""
    block = compiled.block
    bits = state.bits >> block.start
    held = bits & block.tier
    tier = Interval(_first_rank(block, held), _first_rank(block, bits >> 1 & block.tier))
    levels = [_level(block, outcome, bits) for outcome in compiled.outcomes if bits & outcome.conditional]
    fired = held
    for _, deciding in levels:
        fired |= deciding
    firings = iter(_firings(compiled, state, fired))
    of_tier = _take(firings, held)
    undecided = iter(levels)
    risks = tuple(
        [
            _risk(outcome, *next(undecided), firings) if bits & outcome.conditional else outcome.otherwise
            for outcome in compiled.outcomes
        ]
    )
    return tier, of_tier, risks


def _first_rank(block: RuleBlock, rules: int) -> int:
    return block.rules[(rules & -rules).bit_length() >> 1].rank if rules else 0


def _level(block: RuleBlock, outcome: OutcomeTable, bits: int) -> tuple[Interval, int]:
    """Returns both ends of the level, and the deciding rule with those that agree with it."""
    held = bits & outcome.certain
    first = held & -held
    decided = block.rules[first.bit_length() >> 1].rank
    reached = bits >> 1 & outcome.certain & first - 1
    deciding = first | held & outcome.by_level[decided]
    if not reached:
        return outcome.settled[decided], deciding
    ranks = [decided, *[block.rules[position >> 1].rank for position in positions(reached)]]
    return Interval(min(ranks), max(ranks)), deciding


def _risk(outcome: OutcomeTable, level: Interval, deciding: int, firings: Iterator[Fired]) -> Risk:
    return Risk(outcome.outcome, level, _take(firings, deciding))


def _take(firings: Iterator[Fired], rules: int) -> tuple[Fired, ...]:
    """Returns the next firings, as many as there are bits."""
    return tuple([next(firings) for _ in range(rules.bit_count())])


def _firings(compiled: Compiled, state: State, fired: int) -> list[Fired]:
    """Returns what fired, in the order of the rule block, each with the answers that made it hold."""
    rules = compiled.block.rules
    found = Reasons(compiled, state).of_block(compiled.block.start, fired) if fired else {}
    firings = []
    for position, mask in found.items():
        table = rules[position >> 1]
        if mask:
            names = compiled.single.get(mask) or chosen(compiled.questions, mask)
            firings.append(Fired(table.rule, names))
        else:
            firings.append(table.unprompted)
    return firings


# What the result says beside its rules: findings, tables, advice, contradictions, ignored answers.

_COUNT = (1 << COUNT_BITS) - 1


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
    """Returns those that authors wrote, then answers that do not fit and that none of those reads."""
    read = union([table.reads for table in state.holds])
    unfit = [compiled.unfit[link] for link in state.counted if not compiled.bit_of[link] & read]
    return (*[table.contradiction for table in state.holds], *unfit)


def _ignored(compiled: Compiled, state: State, answers: Answers) -> tuple[str, ...]:
    """Returns the answers that did not count: a contradiction that holds counts the ones it reads."""
    counted = union([table.reads for table in state.holds])
    counted |= union([compiled.bit_of[link_id] for link_id in state.counted])
    return tuple(link_id for link_id in answers.ignored if not compiled.bit_of.get(link_id, 0) & counted)
