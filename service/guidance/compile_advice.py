"""The tables of advice: the bit that shows each piece, and the bits that it reads off the result."""

from __future__ import annotations

from service.guidance.bits import both, certain
from service.guidance.conditions import AtLevel, AtTier
from service.guidance.ground import Ground
from service.guidance.model import Outcome
from service.guidance.tables import AdviceTable, Ladders

SHOWN_WHEN_UNKNOWN = "safety"
"""The group of advice that is shown as long as its condition is possible."""


def advice_table(ground: Ground) -> AdviceTable:
    """The table of all advice, in file order."""
    pieces = ground.written.advice
    places = [piece.order for piece in pieces if piece.name not in ground.general_advice]
    conditional = 0
    for place in places:
        conditional |= certain([place]) << (pieces[place].group == SHOWN_WHEN_UNKNOWN)
    return AdviceTable(
        start=2 * ground.graph.advice[0] if pieces else 0,
        conditional=conditional,
        by_bit=tuple(piece for piece in pieces for _ in range(2)),
        general=tuple(piece for piece in pieces if piece.name in ground.general_advice),
    )


def ladders(ground: Ground) -> Ladders:
    """The bits that conditions on the result set, by rank."""
    levels = [_level_ladder(ground, outcome) for outcome in ground.written.outcomes]
    return Ladders(
        at_least=_tier_ladder(ground, "at-least"),
        at_most=_tier_ladder(ground, "at-most"),
        levels=tuple((position, ladder) for position, ladder in enumerate(levels) if any(ladder)),
    )


def _tier_ladder(ground: Ground, comparison: str) -> tuple[int, ...]:
    ranks = {tier.code: tier.rank for tier in ground.written.tiers}
    masks = [0] * len(ranks)
    for node, atom in ground.atoms():
        if isinstance(atom.test, AtTier) and atom.test.comparison == comparison:
            wanted = ranks[atom.test.tier]
            held = range(wanted, len(ranks)) if comparison == "at-least" else range(wanted + 1)
            for rank in held:
                masks[rank] |= both(ground.closure[node])
    return tuple(masks)


def _level_ladder(ground: Ground, outcome: Outcome) -> tuple[int, ...]:
    ranks = {level.code: level.rank for level in outcome.levels}
    masks = [0] * len(ranks)
    for node, atom in ground.atoms():
        if isinstance(atom.test, AtLevel) and atom.test.outcome == outcome.code:
            for rank in range(ranks[atom.test.level], len(ranks)):
                masks[rank] |= both(ground.closure[node])
    return tuple(masks)
