"""Conditions as formulas: each node is present (one formula) and possible (another).

The formulas follow the graph, not the compiled programs: a fault in those shows in the tests
against the naive evaluator, a fault in the guidance shows here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from copy import copy
from functools import reduce
from operator import ge, le
from typing import NamedTuple

import z3

from service.guidance import Guidance
from service.guidance.answer_tables import BEYOND
from service.guidance.arguments import DOUBTED, WORSE
from service.guidance.conditions import Answered, AskedWhen, Denied, InBand, Is, Measured, Scored
from service.guidance.graph import Atom, Node
from service.guidance.model import Outcome, Rule
from service.guidance.score_tables import ScoreTable
from service.proofs.answer_space import (
    AnswerSpace,
    Ends,
    all_of,
    any_of,
    number,
    rules_of,
    spaces_of,
    total_of,
)


class Value(NamedTuple):
    """A node's value: for certain, and possibly."""

    present: z3.BoolRef
    possible: z3.BoolRef


TRUE, FALSE = z3.BoolVal(val=True), z3.BoolVal(val=False)
PRESENT, UNKNOWN, ABSENT = Value(TRUE, TRUE), Value(FALSE, TRUE), Value(FALSE, FALSE)


class World(NamedTuple):
    """The values of all nodes, and what contradictions force findings to be; empty: as if none held."""

    name: str
    forces: Mapping[int, Value]
    values: list[Value]


def _solver() -> z3.Solver:
    solver = z3.SimpleSolver()  # no other finds so soon what follows from definitions of yes and no
    solver.set("relevancy", 0)
    return solver


class Encoding:
    """The guidance as formulas over every possible response.

    Switches are variables too: what is proved holds however a clinic sets them. Answers to questions
    that are hidden (which contradictions read as well) are left out.

    Args:
        asked: when questions are asked; by default every question always is.
        free_sums: sums may be anything, whatever their questions add.
    """

    def __init__(
        self, guidance: Guidance, asked: AskedWhen | None = None, *, free_sums: bool = False
    ) -> None:
        self.guidance = guidance
        self.free_sums = free_sums
        self.nodes = guidance.graph.nodes
        self._rules = frozenset(guidance.graph.rules.values())
        self.scores = {table.score.name: table for table in guidance.compiled.scores}
        self.solver = _solver()
        spaces = spaces_of(guidance, asked or {})
        self.solver.add(*rules_of(spaces, guidance, asked or {}))
        self._encode(spaces)

    def forget(self) -> None:
        """Goes on with a solver that has learned nothing: what it learns of sums can keep it for hours."""
        known, self.solver = self.solver, _solver()
        self.solver.add(known.assertions())

    def with_spaces(self, spaces: Mapping[str, AnswerSpace], name: str) -> Encoding:
        """Returns a second copy of the guidance beside this one, in the same solver, over other answers.

        Args:
            spaces: what is answered there.
            name: of the copy.
        """
        other = copy(self)
        other._encode(spaces, f" {name}")  # noqa: SLF001 - of the same class
        return other

    def _encode(self, spaces: Mapping[str, AnswerSpace], suffix: str = "") -> None:
        """Adds the values of all nodes for what is answered."""
        self.spaces = spaces
        self.full = z3.And([z3.Not(space.open) for space in spaces.values()])
        free = f"{{}}{suffix}" if self.free_sums else ""
        sums = {name: total_of(table, spaces, free.format(name)) for name, table in self.scores.items()}
        self.sums = sums
        self.solver.add(*[rule for found in sums.values() for rule in found.rules])
        fitting = World(f"fitting{suffix}", {}, [])
        self._fill(fitting)
        doubted = World(f"doubted{suffix}", self._forced(DOUBTED, fitting.values), [])
        self._fill(doubted)
        worse = World(f"worse{suffix}", self._forced(WORSE, fitting.values), [])
        self._fill(worse)
        self.worlds = fitting, doubted, worse
        self.values = self._mixed(*self.worlds, into=[*worse.values], of=self._rules)

    def with_finding(self, name: str, value: Value) -> list[Value]:
        """Returns the value of every node, had the finding that value whatever the answers.

        UNKNOWN stands for a finding that somebody is unsure about.
        """
        graph = self.guidance.graph
        given = {graph.findings[name]: value}
        unsure = graph.unsure.get(name)
        if unsure is not None and self.nodes[unsure].word != "never":
            given[unsure] = PRESENT if value is UNKNOWN else ABSENT
        return self._with(given)

    def without_earlier(self) -> list[Value] | None:
        """Returns the value of every node, were there no earlier response; None if nothing reads one."""
        given = dict.fromkeys(self.guidance.compiled.denials, ABSENT)
        return self._with(given) if given else None

    def may_be_unsure(self, name: str) -> bool:
        """Whether answers can leave the finding undecided although no question is open."""
        fitting, *_ = self.worlds
        present, possible = fitting.values[self.guidance.graph.findings[name]]
        return bool(self.solver.check(self.full, possible, z3.Not(present)) == z3.sat)

    def _fill(self, world: World) -> None:
        """Adds the value of every node, under short names, so that formulas that use it stay small."""
        for index in range(len(self.nodes)):
            value = self._value(index, world)
            names = [f"{word} {index} {world.name}" for word in ("present", "possible")]
            named = Value(*map(z3.Bool, names))
            self.solver.add(named.present == value.present, named.possible == value.possible)
            world.values.append(named)

    def _with(self, given: Mapping[int, Value]) -> list[Value]:
        """Returns the value of every node had some the values that are given.

        What they do not touch is the same object as in `values`: to make it anew took longer than the proofs.
        """
        worlds = [self._changed(world, given) for world in self.worlds]
        touched = [
            index
            for index in range(min(given), len(self.nodes))
            if any(
                new.values[index] is not old.values[index]
                for new, old in zip(worlds, self.worlds, strict=True)
            )
        ]
        return self._mixed(*worlds, into=[*self.values], of=touched)

    def _changed(self, world: World, given: Mapping[int, Value]) -> World:
        """Returns the world had these nodes the values that are given."""
        changed = World(world.name, world.forces, [*world.values])
        touched = set(given)
        for index in range(min(given), len(self.nodes)):
            if index in given:
                changed.values[index] = given[index]
            elif not touched.isdisjoint(self.nodes[index].parts):
                changed.values[index] = self._value(index, changed)
                touched.add(index)
        return changed

    def _mixed(
        self, fitting: World, doubted: World, worse: World, *, into: list[Value], of: Iterable[int]
    ) -> list[Value]:
        """Puts in the values of some nodes that count, and returns all.

        A rule that alarms holds in one world, one that calms in both. For a safety step what does not fit
        counts as a not sure.
        """
        compiled = self.guidance.compiled
        for node in of:
            into[node] = worse.values[node]
            if node in self._rules:
                is_overlay = compiled.worse.overlay >> 2 * node & 1
                pair = fitting.values[node], (doubted if is_overlay else worse).values[node]
                into[node] = _both(*pair) if compiled.worse.calming >> 2 * node & 1 else _either(*pair)
        return into

    def _value(self, index: int, world: World) -> Value:
        value = self._derived(self.nodes[index], index, world.values)
        return _either(value, world.forces[index]) if index in world.forces else value

    def _derived(self, node: Node, index: int, values: list[Value]) -> Value:
        if node.atom is not None or not node.parts:
            return self._leaf(node, index, values)
        present = [values[part].present for part in node.parts]
        possible = [values[part].possible for part in node.parts]
        if node.word == "all":
            return Value(all_of(*present), all_of(*possible))
        if node.word == "none":
            return Value(z3.Not(any_of(*possible)), z3.Not(any_of(*present)))
        if node.word == "unless":
            undenied = z3.Not(any_of(*present))
            return Value(undenied, undenied)
        if node.word == "count":
            return Value(z3.AtLeast(*present, node.need), z3.AtLeast(*possible, node.need))
        return Value(any_of(*present), any_of(*possible))

    def _leaf(self, node: Node, index: int, values: list[Value]) -> Value:
        if node.atom is not None:
            return self._atom(node.atom, index, values)
        if node.name:
            switch = z3.Bool(node.name)
            return Value(switch, switch)
        return PRESENT if node.word == "always" else ABSENT

    def _atom(self, atom: Atom, index: int, values: list[Value]) -> Value:
        test = atom.test
        if isinstance(test, Is | Answered | Measured):
            space = self.spaces[test.link_id]
            return Value(space.sets(2 * index, atom), space.sets(2 * index + 1, atom))
        if isinstance(test, InBand):
            return _in_band(test, self.scores[test.score], *self._ends(test.score, values))
        if isinstance(test, Scored):
            parameter = self.guidance.written.parameters[test.parameter]
            threshold = number(parameter.value)
            ends = [BEYOND[parameter.edge](end, threshold) for end in self._ends(test.score, values)]
            return Value(z3.And(ends), z3.Or(ends))
        if isinstance(test, Denied):
            denied = z3.Bool(f"an earlier response denied {index}")
            return Value(denied, denied)
        return ABSENT

    def _ends(self, score: str, values: list[Value]) -> Ends:
        """Returns the least and the most that a score can be, with the points of its conditions."""
        low, high = self.sums[score].ends
        for node, points in self.scores[score].conditions:
            certain, reached = [z3.If(end, number(points), number(0)) for end in values[node]]
            low += certain if points > 0 else reached
            high += reached if points > 0 else certain
        return low, high

    def _forced(self, world: int, unforced: list[Value]) -> dict[int, Value]:
        """Returns by node what contradictions make of it in one of the worlds."""

        def made(node: int, holds: bool) -> Value:  # noqa: FBT001 - as `Forces` has it
            return unforced[node] if holds else Value(FALSE, unforced[node].possible)

        return {
            index: reduce(_either, (made(node, holds) for node, holds in by), ABSENT)
            for index, by in self.guidance.argued.forces[world].items()
        }


def _either(first: Value, second: Value) -> Value:
    return Value(any_of(first.present, second.present), any_of(first.possible, second.possible))


def _both(first: Value, second: Value) -> Value:
    return Value(all_of(first.present, second.present), all_of(first.possible, second.possible))


def _in_band(test: InBand, table: ScoreTable, low: z3.ArithRef, high: z3.ArithRef) -> Value:
    bands = table.score.bands
    inside: list[z3.BoolRef] = []
    outside: list[z3.BoolRef] = []
    for place, band in enumerate(bands):
        from_below = TRUE if place == 0 else high >= number(table.floors[place])
        from_above = TRUE if place == len(bands) - 1 else low < number(table.floors[place + 1])
        (inside if band.name in test.bands else outside).append(z3.And(from_below, from_above))
    return Value(z3.Not(z3.Or(outside)), z3.Or(inside))


# The ends of the tier, of its date and of a level, over the values of nodes.


Reached = tuple[z3.BoolRef, z3.BoolRef]
"""Whether a rank, or a date, is reached: for one set of values, and for another."""


class TierEnds:
    """Both ends of the tier, for these values of the nodes; rules named in `without` are left aside."""

    def __init__(self, encoding: Encoding, values: list[Value], without: Collection[str] = ()) -> None:
        guidance = encoding.guidance
        self.ranks = {tier.code: tier.rank for tier in guidance.written.tiers}
        self.rules = [rule for rule in guidance.written.rules if rule.tier and rule.name not in without]
        self.nodes = guidance.graph.rules
        self.values = values
        self._reached: dict[tuple[int, int], z3.BoolRef] = {}

    def at_least(self, rank: int) -> z3.BoolRef:
        """Whether the lower end of the tier is this rank or higher."""
        return self.reached(rank, 0)

    def at_most(self, rank: int) -> z3.BoolRef:
        """Whether the upper end of the tier is this rank or higher."""
        return self.reached(rank, 1)

    def beside(self, other: TierEnds) -> Iterator[Reached]:
        """Yields for every rank and end of the tier: whether it is reached here, and in the other."""
        for rank in range(1, len(self.ranks)):
            yield self.at_least(rank), other.at_least(rank)
            yield self.at_most(rank), other.at_most(rank)

    def settled_at(self, rank: int) -> z3.BoolRef:
        """Whether both ends of the tier are this rank."""
        return all_of(self.at_least(rank), z3.Not(self.at_most(rank + 1)))

    def reached(self, rank: int, end: int) -> z3.BoolRef:
        """Whether one end of the tier (0 the lower, 1 the upper) is this rank or higher."""
        if rank == 0 or rank > max(self.ranks.values()):
            return TRUE if rank == 0 else FALSE
        if (rank, end) not in self._reached:
            own = [
                self.values[self.nodes[rule.name]][end]
                for rule in self.rules
                if self.ranks[rule.tier] == rank
            ]
            self._reached[rank, end] = any_of(*own, self.reached(rank + 1, end))
        return self._reached[rank, end]


class DateEnds:
    """Both ends of the date: that of the reasons that hold, and the earliest that could still hold."""

    def __init__(self, encoding: Encoding, values: list[Value], without: Collection[str] = ()) -> None:
        written = encoding.guidance.written
        self.ranks = {tier.code: tier.rank for tier in written.tiers}
        self.tiers = {rule.name: rule.tier for rule in written.rules}
        self.nodes = encoding.guidance.graph.rules
        self.values = values
        self.days = {
            rule.name: days
            for rule in written.rules
            if rule.name not in without and (days := written.days_of(rule)) is not None
        }

    def beside(self, other: DateEnds) -> Iterator[Reached]:
        """Yields for every date and end: whether it is reached here, and in the other."""
        for day in sorted(set(self.days.values())):
            for end in (0, 1):
                yield self.by(day, end), other.by(day, end)

    def decided_by(self, rule: Rule, rank: int) -> z3.BoolRef:
        """Whether no rule that holds is earlier, or as early and of a higher tier."""
        if rule.name not in self.days:
            return FALSE
        own = self.days[rule.name], -rank
        before = [
            self.values[self.nodes[name]].present
            for name, days in self.days.items()
            if (days, -self.ranks[self.tiers[name]]) < own
        ]
        return z3.Not(any_of(*before))

    def by(self, day: int, end: int = 0, *, tier: str = "") -> z3.BoolRef:
        """Whether a rule (of this tier, where one is named) with this date or an earlier one holds."""
        rules = [name for name, days in self.days.items() if days <= day and tier in ("", self.tiers[name])]
        return any_of(*[self.values[self.nodes[name]][end] for name in rules])


class LevelEnds:
    """Both ends of the level of an outcome: of its rules, in file order, the first that holds decides.

    Args:
        reached: by rule, whether it may decide: it may hold, and none before it does.
    """

    def __init__(self, encoding: Encoding, values: list[Value], outcome: Outcome) -> None:
        rules = [rule for rule in encoding.guidance.written.rules if rule.outcome == outcome.code]
        self.ranks = [outcome.levels.index(rule.level) for rule in rules]
        self.reached: list[z3.BoolRef] = []
        before: list[z3.BoolRef] = []
        for rule in rules:
            value = values[encoding.guidance.graph.rules[rule.name]]
            self.reached.append(all_of(value.possible, z3.Not(any_of(*before))))
            before.append(value.present)

    def beside(self, other: LevelEnds) -> Iterator[Reached]:
        """Yields for every level and end: whether it is reached here, and in the other."""
        for rank in sorted(set(self.ranks)):
            for is_beyond in (ge, le):
                yield self._any(rank, is_beyond), other._any(rank, is_beyond)

    def may_be_another(self, place: int) -> z3.BoolRef:
        """Whether a rule after this one, which says another level, may decide."""
        return any_of(
            *[
                reached
                for rank, reached in zip(self.ranks[place + 1 :], self.reached[place + 1 :], strict=True)
                if rank != self.ranks[place]
            ]
        )

    def _any(self, rank: int, is_beyond: Callable[[int, int], bool]) -> z3.BoolRef:
        found = zip(self.ranks, self.reached, strict=True)
        return any_of(*[reached for own, reached in found if is_beyond(own, rank)])
