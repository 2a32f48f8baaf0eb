"""The short interview: which questions to ask next, so that the result is that of the full form.

A question is asked while an answer to it could still change the step, its date, the date of the result or a
level. That nothing else ever changes them is proved for every patient (`service/proofs/interview.py`).

Source: SDC 4.0, adaptive questionnaires; guidance/clinical-decisions.md, sections 1, 2 and 8.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from service.datatypes.answers import Answers
from service.guidance.bits import UNKNOWN, positions, union
from service.guidance.evaluate import Reached, reached
from service.guidance.reasons import Undecided, askable, level_movers
from service.guidance.result import Due
from service.guidance.state import State, state_of
from service.guidance.tables import Compiled, RuleTable


class Ahead(NamedTuple):
    """The questions that are still to be asked, by linkId; no other ever is, unless an answer is changed.

    Both are empty where the step, its date and the levels are what the full form would make of them.

    Args:
        now: those that can be asked now, in the order in which to ask them.
        later: those that could matter once other questions are answered, which may open them, and the
            questions on which that depends; in form order.
    """

    now: tuple[str, ...]
    later: tuple[str, ...]


def questions_ahead(compiled: Compiled, answers: Answers, asked: Collection[str] = ()) -> Ahead:
    """Returns the questions that are still to be asked.

    First what could lead to a safety step, the highest first; then red flags; the rest in form order. At a
    safety step only what could lead to a higher one is asked. Whether a question is enabled is left to the
    form.

    Args:
        answers: what was answered so far.
        asked: linkIds of questions that were asked already; one without an answer is not asked again.
    """
    state = state_of(compiled, answers)
    open_ = state.open & ~union(compiled.bit_of.get(link_id, 0) for link_id in asked)
    places: dict[int, int] = {}
    undecided = Undecided(compiled, state)
    all_deciding = 0
    for urgency, rules in enumerate(_by_urgency(compiled, state)):
        deciding = undecided.of([table.node for table in rules]) & open_
        all_deciding |= deciding
        for place in positions(askable(compiled, open_, deciding)):
            places.setdefault(place, urgency)
    flags = compiled.support.red_flags
    ordered = sorted(places, key=lambda place: (places[place], not flags >> place & 1, place))
    further = _with_gates(compiled, all_deciding, open_)
    later = (place for place in positions(further) if place not in places)
    return Ahead(*(tuple(compiled.questions[place] for place in listed) for listed in (ordered, later)))


def _with_gates(compiled: Compiled, mask: int, open_: int) -> int:
    """Returns questions with the open ones that decide whether these are asked."""
    found, waiting = mask, mask & compiled.conditional
    while waiting:
        gates = union(compiled.enabled_by[place] for place in positions(waiting)) & open_ & ~found
        found, waiting = found | gates, gates & compiled.conditional
    return found


def _by_urgency(compiled: Compiled, state: State) -> Iterator[list[RuleTable]]:
    """Yields the rules that could still change something: of the highest safety step first, the rest last."""
    rules = list(_movers(compiled, state, reached(compiled, state)))
    overlays = [tier.code for tier in reversed(compiled.tiers) if tier.overlay]
    for code in overlays:
        yield [table for table in rules if table.rule.tier == code]
    yield [table for table in rules if table.rule.tier not in overlays]


def _movers(compiled: Compiled, state: State, so_far: Reached) -> Iterator[RuleTable]:
    """Yields the undecided rules that could change the step or a date, and those of levels."""
    at_least = so_far.rank
    is_at_safety = compiled.tiers[at_least].overlay
    for table in compiled.block.tier_rules:
        if state.bits >> 2 * table.node & 3 == UNKNOWN:
            is_own = table.rank == at_least and _is_sooner(table, so_far.step_due)
            if table.rank > at_least or (not is_at_safety and (is_own or _is_sooner(table, so_far.due))):
                yield table
    if not is_at_safety:
        for outcome in compiled.outcomes:
            yield from level_movers(compiled.block, outcome, state)


def _is_sooner(table: RuleTable, due: Due | None) -> bool:
    """Whether a rule has a date, and an earlier one than this."""
    return table.due is not None and (due is None or table.due.days < due.days)
