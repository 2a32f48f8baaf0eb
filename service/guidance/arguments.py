"""Why a result is what it is, exactly: the smallest sets of answers that alone force it.

A set of answers forces a step or a level where a response with these answers, and nothing else, already has
it for certain: everything that is left out is open there, and open is never read as no. A minimal reason is
such a set of which no answer can be left out. An answer stands with those that led to its question being
asked, so that every minimal reason is a response that somebody could send.

They are worked out from the graph of conditions, bottom up and for both of its values: which sets of answers
make a node present for certain, and which make it absent for certain. A contradiction counts as in the
evaluation: in a first world nothing is forced, in a second it forces what is worse, in a third (for safety
steps) it counts as a not sure; a rule that alarms may hold in either, one that calms holds in both.

Source: design/architecture.md, "The engine in five ideas", 3; guidance/clinical-decisions.md, sections 2, 8.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from itertools import chain, combinations

import msgspec

from service.datatypes.answers import Answers, AnswersByLink
from service.datatypes.values import replace
from service.guidance.answer_tables import Verdict, holds
from service.guidance.bits import PRESENT, UNKNOWN, both, certain, positions, program, union
from service.guidance.conditions import Answered, Denied, InBand, Is, Measured, Scored
from service.guidance.graph import Atom, Graph, Node
from service.guidance.reasons import TIER, Undecided, chosen
from service.guidance.score_tables import ScoreTable, points_added
from service.guidance.scores import ZERO
from service.guidance.state import State, state_of
from service.guidance.tables import Compiled, ContradictionTable, OutcomeTable, RuleTable

Sets = tuple[int, ...]
"""Sets of answers, each a mask of questions; none contains another."""

NEVER: Sets = ()
"""No set of answers is enough."""
ANYWAY: Sets = (0,)
"""It needs no answer."""

MOST = 400
"""So many sets of answers are held at once; a search that would need more is not finished."""

Enabled = Callable[[AnswersByLink], tuple[frozenset[str], frozenset[str]]]
"""The linkIds of items that are enabled by some answers, and of those that are hidden for certain."""


class Minimal(msgspec.Struct, frozen=True):
    """The minimal reasons for the step, or for the level of one outcome.

    Args:
        of: `tier`, or the code of an outcome.
        rank: what they force: at least this step or, of an outcome, this level or a worse one. At the mildest
            level they force just that: nothing that is open could make it worse.
        sets: linkIds of each, in form order; the smallest set first.
        finished: whether these are all; there are none of those that are too many to be worked out.
    """

    of: str
    rank: int
    sets: tuple[tuple[str, ...], ...]
    finished: bool


class TooMany(Exception):
    """There are more sets of answers than are looked at."""


def minimal_reasons(
    compiled: Compiled, argued: Argued, answers: Answers, *, enabled: Enabled
) -> tuple[Minimal, ...]:
    """Returns the minimal reasons for the step, and for every level that a report names.

    Args:
        enabled: says which items some answers enable, as the questionnaire has it.

    Returns:
        The step first, unless it is not assessable; then the outcomes in file order. What is not known to
        be worse than the mildest level, while it could be, has no reasons and is left out.
    """
    state = state_of(compiled, answers)
    search = _Search(compiled, argued, answers, state, enabled)
    levels = (_level_target(state, table) for table in compiled.outcomes)
    targets = (_tier_target(compiled, state), *levels)
    return tuple(_minimal(compiled, search, target) for target in targets if target is not None)


def decided_by(
    compiled: Compiled, argued: Argued, answers: Answers, *, enabled: Enabled
) -> dict[str, tuple[str, ...]]:
    """Returns by finding the linkIds that decide it, in form order.

    Of a finding that is present or absent these are the answers of every set that is enough for that; of one
    that is unknown the open questions that keep it so. There are none where the sets are too many.
    """
    state = state_of(compiled, answers)
    search, undecided = _Search(compiled, argued, answers, state, enabled), Undecided(compiled, state)
    found: dict[str, tuple[str, ...]] = {}
    for name, shift in compiled.findings.items():
        bits = state.bits >> shift & 3
        try:
            sets = NEVER if bits == UNKNOWN else search.of(shift >> 1, WORSE, is_present=bits == PRESENT)
        except TooMany:
            sets = NEVER
        mask = undecided.of([shift >> 1]) if bits == UNKNOWN else union(sets)
        found[name] = chosen(compiled.questions, mask)
    return found


# What is to be forced: ranks of a ladder, by rules of which the first that holds decides.


class _Target(msgspec.Struct, frozen=True):
    """Ranks to be forced, the one that is shown, and the rules that decide.

    Args:
        is_ordered: whether the first rule that holds decides; of the step the highest does.
    """

    of: str
    rank: int
    wanted: frozenset[int]
    rules: tuple[RuleTable, ...]
    is_ordered: bool


def _tier_target(compiled: Compiled, state: State) -> _Target | None:
    """Returns the step and those above it; the lowest one only where it is settled."""
    rules = compiled.block.tier_rules
    rank, most = (
        max((table.rank for table in rules if state.bits >> 2 * table.node + end & 1), default=0)
        for end in (0, 1)
    )
    wanted = range(rank, len(compiled.tiers)) if rank else [0]
    return _Target(TIER, rank, frozenset(wanted), rules, is_ordered=False) if rank or not most else None


def _level_target(state: State, outcome: OutcomeTable) -> _Target | None:
    """Returns the level that is known, and those that are worse; the mildest one only where it is settled."""
    reached = []
    for table in outcome.rules:
        bits = state.bits >> 2 * table.node & 3
        if bits:
            reached.append(table.rank)
        if bits & 1:
            break
    last = len(outcome.outcome.levels) - 1
    falls = outcome.outcome.worse == "lower"
    rank, mildest = (max(reached), last) if falls else (min(reached), 0)
    if min(reached) < outcome.outcome.lowest_listed or (rank == mildest and len(set(reached)) > 1):
        return None
    wanted = range(rank + 1) if falls else range(rank, last + 1)
    exact = frozenset([rank]) if rank == mildest else frozenset(wanted)
    return _Target(outcome.outcome.code, rank, exact, outcome.rules, is_ordered=True)


def _minimal(compiled: Compiled, search: _Search, target: _Target) -> Minimal:
    try:
        sets, finished = search.forcing(target), True
    except TooMany:
        sets, finished = NEVER, False
    names = [
        chosen(compiled.questions, mask) for mask in sorted(sets, key=lambda mask: (mask.bit_count(), mask))
    ]
    return Minimal(target.of, target.rank, tuple(names), finished)


# Sets of answers: what either of several conditions needs, and what all of them need together.


def either(many: Iterable[Sets]) -> Sets:
    """Returns the sets that are enough for one of several; a set that contains another is left out."""
    return _least({mask for sets in many for mask in sets})


def together(many: Iterable[Sets]) -> Sets:
    """Returns the sets that are enough for all of several.

    Raises:
        TooMany: there are too many.
    """
    needed, open_ = 0, []
    for sets in many:
        if len(sets) == 1:
            needed |= sets[0]
        elif sets:
            open_.append(sets)
        else:
            return NEVER
    found: Sets = (needed,)
    for sets in sorted(set(open_), key=len):
        found = _joined(found, sets)
    return found


def _joined(found: Sets, sets: Sets) -> Sets:
    grown: set[int] = set()
    for mask in found:
        if any(not other & ~mask for other in sets):
            grown.add(mask)
        else:
            grown.update(mask | other for other in sets)
    least = found if grown == set(found) else _least(grown)
    if len(least) > MOST:
        raise TooMany
    return least


def _least(masks: set[int]) -> Sets:
    if len(masks) < 2:
        return tuple(masks)
    if len(masks) > MOST * 16:
        raise TooMany
    kept: list[int] = []
    for mask in sorted(masks, key=int.bit_count):
        if all(other & ~mask for other in kept):
            kept.append(mask)
    return tuple(kept)


def _some(many: list[Sets], need: int) -> Sets:
    """Returns the sets that are enough for so many of several."""
    able = [sets for sets in many if sets]
    if need <= 0:
        return ANYWAY
    if need == 1:
        return either(able)
    found: set[int] = set()
    for number, few in enumerate(combinations(able, need)):
        if number > MOST:
            raise TooMany
        found.update(together(few))
    return _least(found)


# The worlds in which conditions are judged.

FITTING, WORSE, DOUBTED = range(3)


Forces = Mapping[int, tuple[tuple[int, bool], ...]]
"""By node, the contradictions that force it, each with whether it then holds; else it is only not absent."""


class Argued(msgspec.Struct, frozen=True):
    """A guidance as reasons are searched in it: its nodes, and what contradictions force in each world.

    Args:
        nodes: of the graph.
        forces: by world, what contradictions (their nodes) force.
        touched: by world, the nodes that may differ from those of the first.
        sides: by rank of the step, the *certain* bits of the atoms that can make a higher rule hold, and of
            those that can stop ruling one out. sides_of: the same by the node of each rule for the step.
        clashes: by contradiction, the nodes that it may make possible, and what decides it, as a mask.
        deciding: by atom, the questions that decide it, or whether its question is asked; 0 for the rest.
        hides: by linkId, the bits of the atoms whose questions an answer may hide.
        of_step: the guidance as tables, of which nothing is derived but what the step rests on.
    """

    nodes: tuple[Node, ...]
    forces: tuple[Forces, ...]
    touched: tuple[frozenset[int], ...]
    sides: tuple[tuple[int, int], ...]
    sides_of: Mapping[int, tuple[int, int]]
    clashes: tuple[tuple[frozenset[int], int], ...]
    deciding: tuple[int, ...]
    hides: Mapping[str, int]
    of_step: Compiled


def argued_from(compiled: Compiled, graph: Graph) -> Argued:
    """Returns a guidance as reasons are searched in it; made once, when it is loaded."""
    worse: dict[int, list[tuple[int, bool]]] = {}
    doubted: dict[int, list[tuple[int, bool]]] = {}
    own = {*graph.unsure.values(), *graph.findings.values()}
    own.update(index for index, node in enumerate(graph.nodes) if node.atom is not None)
    for table in compiled.contradictions:
        for name in table.contradiction.worse:
            worse.setdefault(graph.findings[name], []).append((table.node, True))
        for index in own:
            bits = table.doubts >> 2 * index & 3
            if bits:
                doubted.setdefault(index, []).append((table.node, bits & 1 == 1))
    nothing: Forces = {}
    forces = (nothing, *({index: tuple(by) for index, by in each.items()} for each in (worse, doubted)))
    deciding = tuple(_asking(compiled, reads) for reads in compiled.support.reads)
    of_tier = [table.node for table in compiled.block.tier_rules]
    sides_of = {node: _sides(graph, node, forces) for node in of_tier}
    return Argued(
        nodes=graph.nodes,
        forces=forces,
        touched=tuple(_above(graph, each) for each in forces),
        sides=tuple(_above_rank(compiled, sides_of, tier.rank) for tier in compiled.tiers),
        sides_of=sides_of,
        hides=_hides(compiled, deciding),
        clashes=tuple(_clash(graph, table, forces, deciding) for table in compiled.contradictions),
        deciding=deciding,
        of_step=replace(compiled, derive=program(graph, compiled.closure, graph.below(of_tier))),
    )


def _clash(
    graph: Graph, table: ContradictionTable, forces: Iterable[Forces], deciding: tuple[int, ...]
) -> tuple[frozenset[int], int]:
    by_node = [(index, by) for each in forces for index, by in each.items()]
    nodes = frozenset(index for index, by in by_node if table.node in dict(by))
    return nodes, union(deciding[node] for node in graph.below(table.parts))


def _asking(compiled: Compiled, reads: int) -> int:
    """Returns some questions and those that decide, directly or not, whether they are asked."""
    found, waiting = reads, positions(reads)
    while waiting:
        new = compiled.enabled_by[waiting.pop()] & ~found
        found |= new
        waiting += positions(new)
    return found


def _above_rank(compiled: Compiled, sides_of: Mapping[int, tuple[int, int]], rank: int) -> tuple[int, int]:
    found = [sides_of[table.node] for table in compiled.block.tier_rules if table.rank > rank]
    return union(affirmed for affirmed, _ in found), union(denied for _, denied in found)


def _sides(graph: Graph, rule: int, forces: tuple[Forces, ...]) -> tuple[int, int]:
    """Returns the atoms that affirm a rule, and those that deny it."""
    found: tuple[set[int], set[int]] = (set(), set())
    waiting = [(rule, 0)]
    while waiting:
        index, side = waiting.pop()
        if index not in found[side]:
            found[side].add(index)
            node = graph.nodes[index]
            turned = side ^ (node.word in ("none", "unless"))
            waiting += [(part, turned) for part in node.parts]
            waiting += [(by, side) for each in forces for by, _ in each.get(index, ())]
    atoms = {index for index, node in enumerate(graph.nodes) if node.atom is not None}
    return certain(found[0] & atoms), certain(found[1] & atoms)


def _hides(compiled: Compiled, deciding: tuple[int, ...]) -> dict[str, int]:
    hides = dict.fromkeys(compiled.questions, 0)
    for index, questions in enumerate(deciding):
        for link_id in chosen(compiled.questions, questions & ~compiled.support.reads[index]):
            hides[link_id] |= both(certain([index]))
    return hides


def _above(graph: Graph, roots: Iterable[int]) -> frozenset[int]:
    """Returns the roots and every node that depends on one."""
    found = set(roots)
    for index, node in enumerate(graph.nodes):
        if not found.isdisjoint(node.parts):
            found.add(index)
    return frozenset(found)


# The search: for each node, the sets of answers that make it present for certain, and absent for certain.


class _Search:
    """The sets of answers of one response; each node is looked at once in each world."""

    def __init__(
        self, compiled: Compiled, argued: Argued, answers: Answers, state: State, enabled: Enabled
    ) -> None:
        self.compiled = compiled
        self.argued = argued
        self.state = state
        self.leaves = _Leaves(compiled, answers, state, enabled)
        self.scores = {table.score.name: table for table in compiled.scores}
        self.found: tuple[dict[tuple[int, bool], Sets], ...] = ({}, {}, {})

    def forcing(self, target: _Target) -> Sets:
        """Returns the sets that force a target; raises TooMany if there are too many."""
        wanted = [table for table in target.rules if table.rank in target.wanted]
        held = [table for table in wanted if self.state.bits >> 2 * table.node & 1]
        if not target.is_ordered and not target.rank:
            above = [table for table in target.rules if table.rank]
            return together([self.rule(table, is_present=False) for table in above])
        if not target.is_ordered:
            return either([self.rule(table, is_present=True) for table in held])
        return either([self._deciding(table, target) for table in held])

    def _deciding(self, decides: RuleTable, target: _Target) -> Sets:
        """Returns the sets by which a rule holds and none before it could lead to another level."""
        before = target.rules[: target.rules.index(decides)]
        others = [table for table in before if table.rank not in target.wanted]
        sets = [self.rule(decides, is_present=True)]
        return together([*sets, *[self.rule(table, is_present=False) for table in others]])

    def rule(self, table: RuleTable, *, is_present: bool) -> Sets:
        """Returns the sets by which a rule holds, or cannot hold."""
        worse, bit = self.compiled.worse, 1 << 2 * table.node
        second = DOUBTED if bit & worse.overlay else WORSE
        if not bit & (worse.alarming | worse.calming | worse.overlay):
            return self.of(table.node, WORSE, is_present=is_present)
        both = [self.of(table.node, world, is_present=is_present) for world in (FITTING, second)]
        is_alarm = not bit & worse.calming
        return either(both) if is_alarm is is_present else together(both)

    def of(self, index: int, world: int, *, is_present: bool) -> Sets:
        """Returns the sets that make a node present for certain, or absent for certain."""
        if world and not self.leaves.unfit and index not in self.argued.touched[world]:
            world = FITTING
        found, key = self.found[world], (index, is_present)
        if key not in found:
            sets = self._own(self.argued.nodes[index], index, world, is_present)
            by = [by for by, makes in self.argued.forces[world].get(index, ()) if makes or not is_present]
            forced = [self.of(contradiction, FITTING, is_present=is_present) for contradiction in by]
            if forced:
                sets = either([sets, *forced]) if is_present else together([sets, *forced])
            found[key] = sets
        return found[key]

    def _own(self, node: Node, index: int, world: int, is_present: bool) -> Sets:  # noqa: FBT001 - as above
        if node.atom is not None:
            return self._atom(node.atom, index, world, is_present)
        if node.word in ("always", "never"):
            return ANYWAY if (node.word == "always") is is_present else NEVER
        if node.word == "unless":
            held = [self.of(part, world, is_present=True) for part in node.parts]
            if not is_present:
                return either(held)
            return NEVER if any(held) else ANYWAY
        side = is_present if node.word != "none" else not is_present
        parts = [self.of(part, world, is_present=side) for part in node.parts]
        if node.word == "count":
            return _some(parts, node.need if is_present else len(parts) - node.need + 1)
        return together(parts) if (node.word in ("all", "none")) is is_present else either(parts)

    def _atom(self, atom: Atom, index: int, world: int, is_present: bool) -> Sets:  # noqa: FBT001 - as above
        test = atom.test
        if isinstance(test, Is | Answered | Measured):
            return self.leaves.of(test.link_id, atom, index, (world, is_present))
        if isinstance(test, InBand | Scored):
            table = self.scores[test.score]
            return _Sum(self, table, WORSE if world == WORSE else FITTING).of(index, test, is_present)
        held = isinstance(test, Denied) and index in self.state.denied  # is given, as no answer is
        return ANYWAY if held is is_present else NEVER


# Answers: what each says by itself, and what a question that an answer hides says.


class _Leaves:
    """What the answers of one response say to the tests of single questions.

    Args:
        unfit: by linkId, the bits of answers that do not fit the others, in the second and third world.
    """

    def __init__(self, compiled: Compiled, answers: Answers, state: State, enabled: Enabled) -> None:
        self.compiled = compiled
        self.answers = answers
        self.given = state.given
        self.enabled = enabled
        in_days = compiled.dates.in_days(answers)
        _, self.closed = compiled.dates.derive({**in_days.chart, **in_days.given}, answers.closed)
        self.ignored = in_days.ignored
        self.sources = {derived.name: derived.sources for derived in compiled.dates.derived}
        self.unfit: dict[str, tuple[int, int, int]] = {}
        for link_id, (worse, _) in zip(state.counted, state.others, strict=False):
            values = in_days.ignored.get(link_id) or in_days.chart[link_id]
            table = compiled.answers.by_link[link_id]
            doubt = table.mask_of(Verdict(0, table.verdict(values).present))
            self.unfit[link_id] = (0, worse, doubt)
        self._asked: dict[str, Sets] = {}
        self._hidden: dict[str, Sets] = {}

    @cached_property
    def always(self) -> frozenset[str]:
        """The items that are asked whatever is answered."""
        return self.enabled({})[0]

    def of(self, link_id: str, atom: Atom, index: int, side: tuple[int, bool]) -> Sets:
        """Returns the sets by which an atom on a question is present, or absent, in one world."""
        world, is_present = side
        sets = self._fitting(link_id, atom, index, is_present)
        if link_id in self.unfit:
            bits = self.unfit[link_id][world] >> 2 * index & 3
            if is_present:
                return either([sets, self._sent(link_id) if bits & 1 else NEVER])
            return NEVER if bits else sets
        return sets

    def _fitting(self, link_id: str, atom: Atom, index: int, is_present: bool) -> Sets:  # noqa: FBT001 - as above
        table = self.compiled.answers.by_link[link_id]
        if atom.ignored_too and self.ignored.get(link_id) and not self.given.get(link_id):
            if (table.of(self.ignored[link_id]) >> 2 * index & 1 == 1) is not is_present:
                return NEVER
            sent = self._sent(link_id)
            return sent if is_present else either([sent, self.hidden(link_id)])
        if self.given.get(link_id):
            bits = table.of(self.given[link_id]) >> 2 * index & 3
            if bits != (3 if is_present else 0):
                return NEVER
            sets = self.answered(link_id)
            return (
                sets if is_present else either([sets, self.hidden(link_id)])
            )  # hidden, beside a chart value
        return NEVER if is_present else self.hidden(link_id)

    def _sent(self, link_id: str) -> Sets:
        """Returns the sets with an answer that does not fit: alone where its question is not asked."""
        return self.answered(link_id) if link_id in self.answers.given else (self.compiled.bit_of[link_id],)

    def answered(self, link_id: str) -> Sets:
        """Returns the sets with the answer to a question: itself, and what led to its being asked."""
        if link_id not in self._asked:
            if link_id in self.sources:
                own = together([self.answered(source) for source in self.sources[link_id]])
            else:
                bit = self.compiled.bit_of[link_id]
                own = tuple(bit | mask for mask in self._enabling(link_id))
            self._asked[link_id] = own
        return self._asked[link_id]

    def hidden(self, link_id: str) -> Sets:
        """Returns the sets that hide a question for certain."""
        if link_id not in self._hidden:
            if link_id in self.sources:
                own = either([self.hidden(source) for source in self.sources[link_id]])
            elif link_id in self.closed:
                own = self._smallest(link_id, lambda few: link_id in self.enabled(few)[1])
            else:
                own = NEVER
            self._hidden[link_id] = own
        return self._hidden[link_id]

    def _enabling(self, link_id: str) -> Sets:
        if link_id in self.always or link_id not in self.answers.given:
            return ANYWAY
        own = {link_id: self.answers.given[link_id]}
        return self._smallest(link_id, lambda few: link_id in self.enabled({**few, **own})[0])

    def _smallest(self, link_id: str, suffices: Callable[[AnswersByLink], bool]) -> Sets:
        """Returns the smallest sets, among what decides whether a question is asked, that suffice."""
        deciding = sorted(self._deciding(link_id))
        if len(deciding) == 1:
            return (self.compiled.bit_of[deciding[0]],)
        found: list[int] = []
        for size in range(1, len(deciding) + 1):
            for few in combinations(deciding, size):
                mask = sum(map(self.compiled.bit_of.__getitem__, few))
                if any(not other & ~mask for other in found):
                    continue
                if self._stands(few) and suffices({name: self.answers.given[name] for name in few}):
                    found.append(mask)
        return tuple(found)

    def _stands(self, few: tuple[str, ...]) -> bool:
        """Whether each of these answers is to a question that the others enable."""
        if self.always.issuperset(few):
            return True
        return self.enabled({name: self.answers.given[name] for name in few})[0].issuperset(few)

    def _deciding(self, link_id: str) -> set[str]:
        """Returns the answered questions that decide whether one is asked, and those behind them."""
        found = _asking(self.compiled, self.compiled.bit_of[link_id])
        names = chosen(self.compiled.questions, found)
        return {name for name in names if name in self.answers.given and name != link_id}


# Sums: what is known of each part moves one end of a score, and enough of them move it far enough.


class _Sum:
    """The ends of one score as far as answers are known, in one world."""

    def __init__(self, search: _Search, table: ScoreTable, world: int) -> None:
        self.search = search
        self.table = table
        self.ends = self._end(search, world, is_low=False), self._end(search, world, is_low=True)

    def of(self, index: int, test: InBand | Scored, is_present: bool) -> Sets:  # noqa: FBT001 - both values are asked for alike
        """Returns the sets by which a test of the score is present, or absent."""
        if isinstance(test, Scored):
            return self._beyond(index, is_present)
        floors, names = self.table.floors, [band.name for band in self.table.score.bands]
        fits = [(name in test.bands) is is_present for name in names]
        high, low = (self._band(end.value) for end in self.ends)
        if not all(fits[low : high + 1]):
            return NEVER
        while low > 0 and fits[low - 1]:
            low -= 1
        while high < len(fits) - 1 and fits[high + 1]:
            high += 1
        needed = []
        if low > 0:
            needed.append(self.ends[1].reaching(lambda value: value >= floors[low]))
        if high < len(fits) - 1:
            needed.append(self.ends[0].reaching(lambda value: value < floors[high + 1]))
        return together(needed)

    def _beyond(self, index: int, is_present: bool) -> Sets:  # noqa: FBT001 - as above
        cut = self.search.compiled.closure[index]
        edge, threshold = next((edge, threshold) for sets, edge, threshold in self.table.cuts if sets == cut)
        is_low = (edge in ("more than", "at least")) is is_present
        return self.ends[is_low].reaching(lambda value: holds(edge, value, threshold) is is_present)

    def _band(self, value: Decimal) -> int:
        return max(bisect_right(self.table.floors, value) - 1, 0)

    def _end(self, search: _Search, world: int, *, is_low: bool) -> _End:
        """Returns one end where nothing is known, and by how much what is known moves it."""
        start, moves = ZERO, []
        leaves = search.leaves
        for weights in self.table.weights:
            open_, values = weights.least if is_low else weights.most, leaves.given.get(weights.link_id, ())
            start += open_
            added = points_added(weights, values) if values else (ZERO, ZERO)
            sets = leaves.answered(weights.link_id) if values else leaves.hidden(weights.link_id)
            if added is not None and sets:
                moves.append((added[not is_low] - open_, sets))
        for node, points in self.table.conditions:
            if (points < 0) is is_low:
                start += points
                moves.append((-points, search.of(node, world, is_present=False)))
            else:
                moves.append((points, search.of(node, world, is_present=True)))
        return _End(start, tuple((by, sets) for by, sets in moves if by and sets))


class _End(msgspec.Struct, frozen=True):
    """One end of a sum: where nothing is known, and what moves it, with the sets by which that is known."""

    start: Decimal
    moves: tuple[tuple[Decimal, Sets], ...]

    @property
    def value(self) -> Decimal:
        """The end with all that is known."""
        return self.start + sum((by for by, _ in self.moves), ZERO)

    def reaching(self, suffices: Callable[[Decimal], bool]) -> Sets:
        """Returns the sets with which the end is where it is wanted; raises TooMany."""
        if not suffices(self.value):
            return NEVER
        enough: list[frozenset[int]] = []
        found: set[int] = set()
        for number, few in enumerate(_subsets(len(self.moves))):
            if number > MOST * 10:
                raise TooMany
            if any(other <= few for other in enough):
                continue
            if suffices(self.start + sum((self.moves[place][0] for place in few), ZERO)):
                enough.append(few)
                found.update(together([self.moves[place][1] for place in few]))
        return _least(found)


def _subsets(size: int) -> Iterator[frozenset[int]]:
    """Yields the subsets of the first numbers, the smallest first."""
    return map(frozenset, chain.from_iterable(combinations(range(size), few) for few in range(size + 1)))
