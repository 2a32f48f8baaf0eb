"""Which questions could still move the tier or a level, in the order in which to ask them.

A question is open while it has no answer, or one that leaves it unknown ("not sure").
"""

from __future__ import annotations

from collections.abc import Iterator

from service.guidance.bits import UNKNOWN, positions
from service.guidance.reading_state import State
from service.guidance.reasons import Undecided
from service.guidance.result import Interval, OpenQuestion
from service.guidance.tables import Compiled, OutcomeTable, RuleTable

TIER = "tier"
"""What a question moves, where it moves the tier; otherwise the code of an outcome."""


def open_questions(
    compiled: Compiled, state: State, tier: Interval, levels: list[Interval]
) -> tuple[OpenQuestion, ...]:
    """The questions that matter and can be asked now: red flags first, then in the order of the form."""
    undecided = Undecided(compiled, state)
    moves: dict[int, list[str]] = {}
    for target, rules in _movers(compiled, state, tier, levels):
        for place in positions(_askable(compiled, state, _asked(undecided, rules))):
            moves.setdefault(place, []).append(target)
    flags = compiled.because.red_flags
    ordered = sorted(moves, key=lambda place: (not flags >> place & 1, place))
    return tuple(
        [
            OpenQuestion(
                compiled.questions[place],
                tuple(moves[place]),
                red_flag=bool(flags >> place & 1),
                unsure=not state.open >> place & 1,
            )
            for place in ordered
        ]
    )


def _movers(
    compiled: Compiled, state: State, tier: Interval, levels: list[Interval]
) -> Iterator[tuple[str, list[RuleTable]]]:
    """Yields what is not settled, with the undecided rules that could move it."""
    if not tier.settled:
        yield (
            TIER,
            [table for table in _undecided(compiled.block.tier_rules, state) if table.rank > tier.at_least],
        )
    for outcome, level in zip(compiled.outcomes, levels, strict=True):
        if not level.settled:
            yield outcome.outcome.code, _level_movers(outcome, state)


def _level_movers(outcome: OutcomeTable, state: State) -> list[RuleTable]:
    """Undecided rules that can be reached, without those that would only say what follows anyway."""
    held = next(table for table in outcome.rules if state.bits >> 2 * table.node & 1)
    movers: list[RuleTable] = []
    after = {held.rank}
    for table in reversed([table for table in _undecided(outcome.rules, state) if table.node < held.node]):
        if after != {table.rank}:
            movers.append(table)
        after.add(table.rank)
    return movers


def _undecided(rules: tuple[RuleTable, ...], state: State) -> list[RuleTable]:
    return [table for table in rules if state.bits >> 2 * table.node & 3 == UNKNOWN]


def _asked(undecided: Undecided, rules: list[RuleTable]) -> int:
    mask = 0
    for table in rules:
        mask |= undecided.of(table.node)
    return mask


def _askable(compiled: Compiled, state: State, mask: int) -> int:
    """The questions that can be asked now: one that an open question may still hide gives way to it."""
    asked, waiting = 0, mask
    while waiting:
        gates = 0
        for place in positions(waiting & compiled.gated):
            open_gates = compiled.gates[place] & state.open
            gates |= open_gates
            if open_gates:
                waiting ^= 1 << place
        asked |= waiting
        waiting = gates & ~asked
    return asked
