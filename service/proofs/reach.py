"""Reach: some complete response ends at every tier and level, and no rule is always overruled.

The lowest tier is where a response stands when nothing holds; it may be one that is not complete.
"""

from __future__ import annotations

from collections.abc import Iterator

import z3

from service.guidance.model import Outcome
from service.proofs.encoding import Encoding
from service.proofs.proving import Proof
from service.proofs.tiers import Ends, possible


def reach_proofs(encoding: Encoding) -> Iterator[Proof]:
    """Yields the proofs for tiers, for rules of the tier, and for the rules and levels of outcomes."""
    ends = Ends(encoding, encoding.values)
    written = encoding.guidance.written
    lowest = z3.Not(ends.at_least(1))
    yield possible(encoding, f"the tier {written.tiers[0].code} can be reached", lowest, complete=False)
    for tier in written.tiers[1:]:
        yield possible(encoding, f"the tier {tier.code} can be reached", ends.settled_at(tier.rank))
    for rule in written.rules:
        if rule.tier is not None:
            holds = encoding.values[encoding.guidance.graph.rules[rule.name]].present
            decides = z3.And(holds, z3.Not(ends.at_least(rule.tier + 1)))
            yield possible(encoding, f"the rule {rule.name} can decide the tier", decides)
    for outcome in written.outcomes:
        yield from _outcome(encoding, outcome)


def _outcome(encoding: Encoding, outcome: Outcome) -> Iterator[Proof]:
    passed: list[z3.BoolRef] = []
    levels: dict[int, list[z3.BoolRef]] = {level.rank: [] for level in outcome.levels}
    for rule in encoding.guidance.written.rules:
        if rule.outcome == outcome.code:
            value = encoding.values[encoding.guidance.graph.rules[rule.name]]
            decides = z3.And(value.present, *passed)
            passed.append(z3.Not(value.possible))
            levels[rule.level or 0].append(decides)
            yield possible(encoding, f"the rule {rule.name} can decide {outcome.code}", decides)
    for level in outcome.levels:
        words = f"the level {level.code} of {outcome.code} can be reached"
        yield possible(encoding, words, z3.Or(levels[level.rank]))
