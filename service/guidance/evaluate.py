"""Answers in, result out: tier, dates, levels, advice and open questions; and what is still to be asked.

Source: guidance/clinical-decisions.md, sections 2, 5 and 8 (three values, tables,
contradictions); SDC 4.0, adaptive questionnaires.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from operator import getitem
from types import MappingProxyType
from typing import NamedTuple

from service.datatypes.answers import Answer, Answers, Quantity
from service.datatypes.ucum import converted
from service.datatypes.values import replace
from service.guidance.bits import UNKNOWN, positions, run, union
from service.guidance.model import Advice, Contradiction
from service.guidance.options import DAY
from service.guidance.reasons import (
    Reasons,
    Sureness,
    Undecided,
    askable,
    chosen,
    level_movers,
    open_questions,
)
from service.guidance.result import Change, Due, FindingStates, Fired, Interval, Result, Risk, Tally
from service.guidance.state import State, state_of
from service.guidance.tables import COUNT_BITS, ComparisonTable, Compiled, OutcomeTable, RuleBlock, RuleTable


def evaluate(compiled: Compiled, answers: Answers) -> Result:
    """Returns what the guidance makes of the answers; the same answers give an equal result."""
    state = state_of(compiled, answers)
    redirected = _redirected(compiled.block, state.bits)
    tier, fired, risks = _verdict(compiled, state, redirected)
    dates = _dates(compiled.block, state.bits, tier, redirected)
    levels = [risk.level for risk in risks]
    advice, precautions = _advice(compiled, state.bits, tier, levels)
    settled = dates.settled and all([at_least == at_most for at_least, at_most in levels])  # noqa: C419 - faster
    return Result(
        tier=tier,
        tiers=compiled.tiers,
        fired=fired,
        risks=risks,
        findings=FindingStates(compiled.findings if answers.earlier else compiled.lasting, state.bits),
        open=() if settled else open_questions(compiled, state, tier, dates.sooner, levels),
        contradictions=_contradictions(compiled, state),
        tables=tuple([_tally(table, state.bits) for table in compiled.comparisons]),
        totals=state.totals,
        advice=advice,
        ignored=_ignored(compiled, state, answers) if answers.ignored else (),
        settled=settled,
        due=dates.due,
        step_due=dates.step_due,
        date_settled=dates.settled,
        recheck=_recheck(compiled, state, tier),
        precautions=precautions,
        changes=_changes(compiled, state, answers.earlier) if state.denied else (),
    )


class Reached(NamedTuple):
    """What an evaluation says of the tier and its dates, and nothing else of the result.

    Args:
        rank: of the tier that is reached at least.
        due, step_due: as in the Result.
    """

    rank: int
    due: Due | None
    step_due: Due | None


def reached(compiled: Compiled, state: State) -> Reached:
    """Returns which tier is reached at least, and by when."""
    tier = _tier(compiled.block, state.bits >> compiled.block.start)
    dates = _dates(compiled.block, state.bits, tier, _NOWHERE)
    return Reached(tier.at_least, dates.due, dates.step_due)


# What the rules say: the tier, the level of every outcome, and the rules that fired.
#
# The tier is at least the highest tier of a rule that holds, and at most the highest of a rule that
# may hold. Of an outcome's rules the first that holds decides; rules before it that may hold widen
# the interval.


def _verdict(
    compiled: Compiled, state: State, redirected: Redirected
) -> tuple[Interval, tuple[Fired, ...], tuple[Risk, ...]]:
    """Returns the tier, the tier's rules that hold (highest tier first), and the risk of every outcome."""
    block = compiled.block
    bits = state.bits >> block.start
    tier = _tier(block, bits)
    # What holds only without what does not fit is no reason beside a higher step that counts it.
    counted = (state.worlds.worst | compiled.worse.overlay) >> block.start | block.by_tier[tier.at_least]
    held = bits & block.tier & counted
    levels = [_level(block, outcome, bits) for outcome in compiled.outcomes if bits & outcome.conditional]
    fired = held
    for _, deciding in levels:
        fired |= deciding
    firings = iter(_firings(compiled, state, fired, redirected))
    of_tier = _take(firings, held)
    undecided = iter(levels)
    risks = tuple(
        [
            _risk(outcome, *next(undecided), firings) if bits & outcome.conditional else outcome.otherwise
            for outcome in compiled.outcomes
        ]
    )
    return tier, of_tier, risks


def _tier(block: RuleBlock, bits: int) -> Interval:
    """Returns both ends of the tier by the bits of the block."""
    return Interval(_first_rank(block, bits & block.tier), _first_rank(block, bits >> 1 & block.tier))


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


def _firings(compiled: Compiled, state: State, fired: int, redirected: Redirected) -> list[Fired]:
    """Returns what fired, in the order of the rule block, each with the answers that made it hold."""
    rules = compiled.block.rules
    found = Reasons(compiled, state).of_block(compiled.block.start, fired) if fired else {}
    sureness = Sureness(compiled, state)
    firings = []
    for position, reasons in found.items():
        table = rules[position >> 1]
        is_doubted = not reasons and compiled.worse.overlay >> 2 * table.node & 1 != 0
        mask = _unfit(compiled, state) if is_doubted else reasons
        firing = table.unprompted
        if mask:
            names = compiled.single.get(mask) or chosen(compiled.questions, mask)
            unsure = is_doubted or sureness.lacks(table.node)
            firing = Fired(table.rule, names, firing.days, firing.to, unsure)
        firings.append(replace(firing, to=redirected[position]) if position in redirected else firing)
    return firings


def _unfit(compiled: Compiled, state: State) -> int:
    """Returns the questions of what does not fit, as a mask: a safety step counts it as a not sure."""
    doubted = union([table.reads for table in state.holds])
    return doubted | union([compiled.bit_of[link_id] for link_id in state.counted])


# When, and for whom: every rule of the tier has a latest date and an addressee of its own.
#
# The earliest date of all rules that hold is that of the result. It is settled while no rule that may
# still hold is earlier.

Redirected = Mapping[int, str]
"""By position in the rule block, the addressee of a rule where a redirect names another."""

_NOWHERE: Redirected = MappingProxyType({})


class _Dates(NamedTuple):
    """The earliest date of all rules that hold, that of the tier's own, and what could still be earlier.

    `sooner` holds the *certain* bits (of the rule block) of undecided rules with an earlier date.
    """

    due: Due | None
    step_due: Due | None
    sooner: int
    settled: bool


def _redirected(block: RuleBlock, bits: int) -> Redirected:
    if not bits & block.redirected:
        return _NOWHERE
    found: dict[int, str] = {}
    held = bits >> block.start
    for redirect in block.redirects:
        if bits & redirect.bit:
            for position in positions(held & redirect.rules):
                found.setdefault(position, redirect.to)
    return found


def _dates(block: RuleBlock, all_bits: int, tier: Interval, redirected: Redirected) -> _Dates:
    bits = all_bits >> block.start
    held = bits & block.dated
    due, earlier = _earliest(block, held, redirected)
    step_due, _ = _earliest(block, held & block.by_tier[tier.at_least], redirected)
    sooner = bits >> 1 & ~bits & earlier
    return _Dates(due, step_due, sooner, tier.settled and not sooner)


def _earliest(block: RuleBlock, held: int, redirected: Redirected) -> tuple[Due | None, int]:
    """Returns the earliest date of these rules (of equal ones the highest tier's), and all earlier rules."""
    for date in block.dates:
        found = held & date.rules
        if found:
            position = (found & -found).bit_length() - 1
            due = block.rules[position >> 1].due
            if due is not None and position in redirected:
                due = replace(due, to=redirected[position])
            return due, date.earlier
    return None, block.dated


def _recheck(compiled: Compiled, state: State, tier: Interval) -> int | None:
    """Returns when to look again: the day counted from when it began, which is not today; else later."""
    table = compiled.rechecks[tier.at_least] if tier.settled else None
    if table is None:
        return None
    longest = [_longest(answer) for answer in state.given.get(table.answer, ())]
    days = max((days for days in longest if days is not None), default=None)
    if days is None or ceil(days) > table.until:
        return table.otherwise
    return max(table.until - floor(days), 1)


def _longest(answer: Answer) -> Decimal | Fraction | None:
    """Returns the most days that the answer may mean; None where that has no end, or is no time."""
    if isinstance(answer, Quantity) and not answer.comparator.startswith(">"):
        return answer.value if answer.unit == DAY else converted(answer.value, answer.unit, DAY)
    return None


def _changes(compiled: Compiled, state: State, earlier: tuple[Answers, ...]) -> tuple[Change, ...]:
    """Returns the questions whose answers make something hold that an earlier response denied.

    Of several earlier responses that denied it, the newest counts. A question that was answered there as it
    is now is named only where nothing else differs.
    """
    reasons = Reasons(compiled, state)
    found: dict[int, int] = {}
    for node, place in state.denied.items():
        now = compiled.denials[node].now
        if state.bits >> 2 * now & 1:
            asked = positions(reasons.of(now))
            differ = [bit for bit in asked if _differs(compiled.questions[bit], state, earlier[place])]
            for bit in differ or asked:
                found[bit] = min(place, found.get(bit, place))
    return tuple([Change(compiled.questions[bit], found[bit]) for bit in sorted(found)])


def _differs(link_id: str, state: State, before: Answers) -> bool:
    return set(state.given.get(link_id, ())) != set(before.given.get(link_id, ()))


# What the result says beside its rules: findings, tables, advice, contradictions, ignored answers.

_COUNT = (1 << COUNT_BITS) - 1


def _tally(table: ComparisonTable, bits: int) -> Tally:
    numbers = (bits >> table.start & table.mask).to_bytes(len(table.tallies), "little")
    counts = sum(map(getitem, table.counts, numbers))
    return Tally(
        comparison=table.comparison,
        rows=tuple(map(getitem, table.tallies, numbers)),
        left=counts & _COUNT,
        right=counts >> COUNT_BITS & _COUNT,
        answered=counts >> 2 * COUNT_BITS & _COUNT,
        open=counts >> 3 * COUNT_BITS & _COUNT,
        not_done=counts >> 4 * COUNT_BITS,
    )


def _advice(
    compiled: Compiled, bits: int, tier: Interval, levels: list[Interval]
) -> tuple[tuple[Advice, ...], tuple[Advice, ...]]:
    """Returns the advice that is shown, and that part of it whose condition is not known to hold."""
    ladders, table = compiled.ladders, compiled.advice
    bits |= ladders.at_least[tier.at_least] | ladders.at_most[tier.at_most]
    for position, ladder in ladders.levels:
        bits |= ladder[levels[position].at_least]
    found = run(compiled.advise, bits) >> table.start
    shown = found & table.conditional
    unknown = shown & table.precautions & ~(found << 1)
    precautions = chosen(table.by_bit, unknown) if unknown else ()
    return chosen(table.by_bit, shown) + table.general, precautions


def _contradictions(compiled: Compiled, state: State) -> tuple[Contradiction, ...]:
    """Returns those that authors wrote, then answers that do not fit and that none of those reads."""
    if not state.holds and not state.counted:
        return ()
    read = union([table.reads for table in state.holds])
    unfit = [compiled.unfit[link] for link in state.counted if not compiled.bit_of[link] & read]
    return (*[table.contradiction for table in state.holds], *unfit)


def _ignored(compiled: Compiled, state: State, answers: Answers) -> tuple[str, ...]:
    """Returns the answers that did not count: a contradiction that holds counts the ones it reads."""
    counted = union([table.reads for table in state.holds])
    counted |= union([compiled.bit_of[link_id] for link_id in state.counted])
    return tuple(link_id for link_id in answers.ignored if not compiled.bit_of.get(link_id, 0) & counted)


# The short interview: which questions to ask next, so that the result is that of the full form.
#
# A question is asked while an answer to it could still change the step, its date, the date of the result or a
# level. That nothing else ever changes them is proved for every patient (`service/proofs/interview.py`).


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
