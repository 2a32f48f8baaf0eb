"""What the rules say: the tier, the level of every outcome, and the rules that fired.

The tier is at least the highest tier of a rule that holds, and at most the highest of a rule that
may hold. Of an outcome's rules the first that holds decides; rules before it that may hold widen
the interval.
"""

from __future__ import annotations

from collections.abc import Iterator

from service.guidance.bits import positions
from service.guidance.reading_state import State
from service.guidance.reasons import Reasons, chosen
from service.guidance.result import Fired, Interval, Risk
from service.guidance.tables import Compiled, OutcomeTable, RuleBlock


def verdict(compiled: Compiled, state: State) -> tuple[Interval, tuple[Fired, ...], tuple[Risk, ...]]:
    """The tier, the tier's rules that hold (highest tier first), and the risk of every outcome."""
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
    """The lowest and highest level that can be reached; the deciding rule and those that agree with it."""
    held = bits & outcome.certain
    first = held & -held
    decided = block.rules[first.bit_length() >> 1].rank
    reached = bits >> 1 & outcome.certain & first - 1
    deciding = first | held & outcome.same[decided]
    if not reached:
        return outcome.settled[decided], deciding
    ranks = [decided, *[block.rules[position >> 1].rank for position in positions(reached)]]
    return Interval(min(ranks), max(ranks)), deciding


def _risk(outcome: OutcomeTable, level: Interval, deciding: int, firings: Iterator[Fired]) -> Risk:
    return Risk(outcome.outcome, level, _take(firings, deciding))


def _take(firings: Iterator[Fired], rules: int) -> tuple[Fired, ...]:
    """The next firings, as many as there are bits."""
    return tuple([next(firings) for _ in range(rules.bit_count())])


def _firings(compiled: Compiled, state: State, fired: int) -> list[Fired]:
    """What fired, in the order of the rule block, each with the answers that made it hold."""
    rules = compiled.block.rules
    found = Reasons(compiled, state).of_block(compiled.block.start, fired) if fired else {}
    firings = []
    for position, mask in found.items():
        table = rules[position >> 1]
        if mask:
            names = compiled.single.get(mask) or chosen(compiled.questions, mask)
            firings.append(Fired(table.rule, names))
        else:
            firings.append(table.alone)
    return firings
