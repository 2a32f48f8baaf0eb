"""Why conditions hold, and which questions could still move the tier or a level.

A question is open while it has no answer, or one that leaves it unknown ("not sure").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress
from typing import Final, TypeVar

from service.guidance.answer_tables import Contribution
from service.guidance.bits import positions, union
from service.guidance.result import Interval, OpenQuestion
from service.guidance.state import State, Worlds, bits_if_sure
from service.guidance.tables import Compiled, NodeSupport, OutcomeTable, RuleBlock, RuleTable

# Why a condition holds, and which open questions keep one undecided.
#
# `support` says what each node stands on; questions are masks.

ALL: Final = -1
"""A mask of every bit."""

_DIGITS = bytes(digit == ord("1") for digit in range(256))

Thing = TypeVar("Thing")


def chosen(things: Sequence[Thing], mask: int) -> tuple[Thing, ...]:
    """Returns the things at the positions of the bits of a mask, in their order."""
    return tuple(compress(things, f"{mask:b}"[::-1].encode().translate(_DIGITS)))


class Reasons:
    """Answers that made nodes present, as masks of questions; each node is searched once.

    An answer counts where it makes something present on which the node stands. Where the node
    stands on something that is absent (`none`), every answered question below that counts.
    """

    def __init__(self, compiled: Compiled, state: State) -> None:
        self.support = compiled.support.of_node
        self.state = state
        self.bit_of = compiled.bit_of
        self.contributions = state.contributions
        self.contributed = state.judged
        if state.holds:
            self.contributions = [*state.contributions, *_forced(compiled, state)]
            self.contributed |= union(table.sets for table in state.holds)
        self.found: dict[int, int] = {}

    def of(self, node: int) -> int:
        """Returns the answered questions that made the node present; it must be present."""
        known = self.found.get(node)
        if known is None:
            frontier = self.support[node].frontier & self.contributed
            known = self._steps(node, _given(self.contributions, frontier) if frontier else 0)
            self.found[node] = known
        return known

    def of_block(self, start: int, held: int) -> dict[int, int]:
        """Returns by position in a block (two bits a node), ascending, what `of` says of the nodes that hold.

        Args:
            start: where the bits of the block start.
            held: the *certain* bits of the nodes, from 0 on.
        """
        found = dict.fromkeys(positions(held), 0)
        for sets, questions in self.contributions:
            reached = sets >> start & held
            while reached:
                position = reached.bit_length() - 1
                reached ^= 1 << position
                found[position] |= questions
        for position, mask in found.items():
            node = start + position >> 1
            support = self.support[node]
            if support.through:
                found[position] = self.of(node)
            elif not support.plain:
                found[position] = self._steps(node, mask)
        return found

    def _steps(self, node: int, mask: int) -> int:
        """Returns the mask with what reaches the node through steps, and through what is absent."""
        support = self.support[node]
        if support.absence:
            mask |= support.absence & self._answered()
        steps = support.steps & self.state.bits
        if steps:
            for bit in positions(steps):
                mask |= self.of(bit >> 1)
        return mask

    def _answered(self) -> int:
        return sum(filter(None, map(self.bit_of.get, self.state.given)))


class Sureness:
    """Whether rules hold only because of answers that are unsure; what holds without them is derived once."""

    def __init__(self, compiled: Compiled, state: State) -> None:
        self.compiled = compiled
        self.state = state
        self.is_any = state.bits & compiled.unsure != 0
        self.bits: int | None = None

    def lacks(self, node: int) -> bool:
        """Whether the node, which is present, would not be without the answers that are unsure."""
        if not self.is_any:
            return False
        if self.bits is None:
            self.bits = bits_if_sure(self.compiled, self.state)
        return not self.bits >> 2 * node & 1


class _World:
    """What is undecided if what does not fit counts in one way; each node is searched once.

    Args:
        support: by node.
        bits: both bits of every node.
        open_: the questions that are open or unsure.
        doubtful: what contradictions may still set, with the open questions that decide that.
    """

    __slots__ = ("_digits", "_doubtful", "_found", "_open", "_support")

    def __init__(
        self, support: tuple[NodeSupport, ...], bits: int, open_: int, doubtful: tuple[Contribution, ...] = ()
    ) -> None:
        unknown = _unknown(bits)
        self._support = support
        self._digits = f"{unknown | 1 << 2 * len(support):b}"[::-1]
        self._open = open_
        self._found: dict[int, int] = {}
        self._doubtful: dict[int, int] = {}
        for sets, questions in doubtful:
            for place in positions(sets & unknown):  # nothing else is looked at
                self._doubtful[place] = self._doubtful.get(place, 0) | questions

    def of(self, node: int) -> int:
        """Returns the open questions in the undecided parts of a node; none if it is decided."""
        found = self._found.get(node)
        return self._in(node) if found is None else found

    def _in(self, node: int) -> int:
        support, digits, known = self._support[node], self._digits, self._found
        mask = 0
        if digits[2 * node] == "1":
            for place, reads in support.atoms:
                if digits[place] == "1":
                    mask |= reads
            mask &= self._open
            for part in support.deep:
                found = known.get(part)
                mask |= self._in(part) if found is None else found
            if self._doubtful:
                mask |= self._doubts(node)
        known[node] = mask
        return mask

    def _doubts(self, node: int) -> int:
        """Returns the questions that decide what contradictions still make of a node and of its atoms."""
        mask = self._doubtful.get(2 * node, 0)
        for place, _ in self._support[node].atoms:
            mask |= self._doubtful.get(place, 0)
        return mask


class Undecided:
    """Questions that keep nodes unknown (open or "not sure"), as masks.

    A rule is undecided by what fits, or by what contradictions may still make of it: for a safety step a not
    sure, else what is worse. Where those change nothing that a rule stands on, it is not searched again.
    """

    def __init__(self, compiled: Compiled, state: State) -> None:
        self._support, self._open = compiled.support, state.open | _unsure(compiled, state)
        self._overlay = compiled.worse.overlay
        fitting, doubted, worst = state.worlds
        self._fitting = _World(self._support.of_node, fitting, self._open)
        self._differ = state.possible or doubted != fitting or worst != fitting
        if self._differ:
            doubts, worse = _doubtful(compiled, state)
            self._doubted, self._if_doubted = self._beside(fitting, doubted, doubts)
            self._worst, self._if_worst = self._beside(fitting, worst, worse)

    def _beside(self, fitting: int, bits: int, doubtful: tuple[Contribution, ...]) -> tuple[_World, int]:
        """Returns another world, and the bits in which it differs from the one in which all fits."""
        differs = (fitting ^ bits) | union([sets for sets, _ in doubtful])
        return _World(self._support.of_node, bits, self._open, doubtful), differs

    def of(self, nodes: Iterable[int]) -> int:
        """Returns the open questions in the undecided parts of nodes."""
        mask, below = 0, self._support.below
        for node in nodes:
            mask |= self._fitting.of(node)
            if self._differ:
                is_overlay = self._overlay >> 2 * node & 1
                world, differs = (
                    (self._doubted, self._if_doubted) if is_overlay else (self._worst, self._if_worst)
                )
                if below.get(node, ALL) & differs:
                    mask |= world.of(node)
        return mask


def _given(contributions: Iterable[Contribution], frontier: int) -> int:
    """Returns the questions whose answers set one of these bits."""
    mask = 0
    for sets, questions in contributions:
        if sets & frontier:
            mask |= questions
    return mask


def _forced(compiled: Compiled, state: State) -> list[Contribution]:
    """Returns the nodes that contradictions have set, with the questions that they read."""
    judged = Reasons(compiled, _judged(state))
    return [(table.sets, table.reads | judged.of(table.node)) for table in state.holds]


def _doubtful(compiled: Compiled, state: State) -> tuple[tuple[Contribution, ...], tuple[Contribution, ...]]:
    """Returns what contradictions may still set: as a not sure, and as what is worse."""
    if not state.possible:
        return (), ()
    judged = _judged(state)
    deciding = Undecided(compiled, judged)
    asked = [deciding.of(table.parts) for table in state.possible]
    absent = ~state.worlds.fitting >> 1  # of what is possible anyway a doubt makes nothing new
    sets = [table.doubts | table.doubts >> 1 & absent for table in state.possible]
    doubts = [found & compiled.support.certain for found in sets]
    worse = [table.sets for table in state.possible]
    return tuple(zip(doubts, asked, strict=True)), tuple(zip(worse, asked, strict=True))


def _judged(state: State) -> State:
    """Returns the state in which the contradictions were judged."""
    bits = state.judged
    return state._replace(bits=bits, worlds=Worlds(bits, bits, bits), holds=(), possible=())


def _unknown(bits: int) -> int:
    """Returns the *certain* bits of nodes that are possible but not certain; other bits mean nothing."""
    return bits >> 1 & ~bits


def _unsure(compiled: Compiled, state: State) -> int:
    """Returns the answered questions whose answers leave something unknown that they ask about.

    Of the questions behind a derived quantity these are the ones with an answer that is not exact.
    """
    certain = compiled.support.certain
    alone = derived = 0
    for mask, questions in state.contributions:
        if questions in compiled.answered and _unknown(mask) & certain:
            if questions & questions - 1:
                derived |= questions
            else:
                alone |= questions
    if derived:
        derived &= ~union(compiled.bit_of[link_id] for link_id in compiled.dates.exact(state.given))
    return alone | derived


# The open questions that could move the result, in the order in which to ask them.

TIER, DATE = "tier", "date"
"""What a question moves, where it moves the tier or brings the date forward; else the code of an outcome."""


def open_questions(
    compiled: Compiled, state: State, tier: Interval, sooner: int, levels: list[Interval]
) -> tuple[OpenQuestion, ...]:
    """Returns the questions that matter and can be asked now: red flags first, then in form order.

    At a safety step (`overlay`) they are those without an answer that could lead to a higher one.

    Args:
        sooner: the *certain* bits (of the rule block) of rules that could bring the date forward.
    """
    undecided = Undecided(compiled, state)
    overlay = compiled.tiers[tier.at_least].overlay
    found = _tier_movers(compiled, state, tier)
    if not overlay:
        found = chain(found, _other_movers(compiled, state, sooner, levels))
    moves: dict[int, list[str]] = {}
    for target, rules in found:
        deciding = undecided.of([table.node for table in rules])
        if overlay:
            deciding &= state.open
        for place in positions(askable(compiled, state.open, deciding)):
            moves.setdefault(place, []).append(target)
    flags = compiled.support.red_flags
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


Movers = Iterator[tuple[str, list[RuleTable]]]
"""What is not settled, with the undecided rules that could move it."""


def _tier_movers(compiled: Compiled, state: State, tier: Interval) -> Movers:
    if not tier.settled:
        rules = _undecided(compiled.block, compiled.block.tier, state)
        yield TIER, [table for table in rules if table.rank > tier.at_least]


def _other_movers(compiled: Compiled, state: State, sooner: int, levels: list[Interval]) -> Movers:
    """Yields the date and the outcomes."""
    if sooner:
        yield DATE, [compiled.block.rules[position >> 1] for position in positions(sooner)]
    for outcome, level in zip(compiled.outcomes, levels, strict=True):
        if not level.settled:
            yield outcome.outcome.code, level_movers(compiled.block, outcome, state)


def level_movers(block: RuleBlock, outcome: OutcomeTable, state: State) -> list[RuleTable]:
    """Returns the undecided rules that can be reached and would not only say what follows anyway."""
    held = state.bits >> block.start & outcome.certain
    first = held & -held
    movers: list[RuleTable] = []
    after = {block.rules[first.bit_length() >> 1].rank}
    for table in reversed(_undecided(block, outcome.certain & first - 1, state)):
        if after != {table.rank}:
            movers.append(table)
        after.add(table.rank)
    return movers


def _undecided(block: RuleBlock, rules: int, state: State) -> list[RuleTable]:
    """Returns those of some rules (*certain* bits of the block) that may hold, and may not."""
    unknown = _unknown(state.bits >> block.start) & rules
    return [block.rules[position >> 1] for position in positions(unknown)]


def askable(compiled: Compiled, open_: int, mask: int) -> int:
    """Returns the questions that can be asked now; one that an open question may still hide comes later."""
    asked, waiting = 0, mask
    while waiting:
        first = 0
        for place in positions(waiting & compiled.conditional):
            deciding = compiled.enabled_by[place] & open_
            first |= deciding
            if deciding:
                waiting ^= 1 << place
        asked |= waiting
        waiting = first & ~asked
    return asked
