"""Conditions as formulas: each node is present (one formula) and possible (another).

The formulas follow the graph, not the compiled programs: a fault in those shows in the tests
against the naive evaluator, a fault in the guidance shows here.
"""

from __future__ import annotations

from typing import NamedTuple

import z3

from service.guidance import Guidance
from service.guidance.answer_tables import BEYOND
from service.guidance.conditions import Answered, AskedWhen, InBand, Is, Measured, Scored
from service.guidance.graph import Atom, Node
from service.guidance.score_tables import ScoreTable
from service.proofs.answer_space import rules_of, spaces_of
from service.proofs.sums import Ends, number, total_of


class Value(NamedTuple):
    """A node's value: for certain, and possibly."""

    present: z3.BoolRef
    possible: z3.BoolRef


TRUE, FALSE = z3.BoolVal(val=True), z3.BoolVal(val=False)
PRESENT, UNKNOWN, ABSENT = Value(TRUE, TRUE), Value(FALSE, TRUE), Value(FALSE, FALSE)


class Encoding:
    """The guidance as formulas over every possible response.

    Switches are variables too: what is proved holds however a clinic sets them. Answers to questions
    that are hidden (which contradictions read as well) are left out.

    Args:
        asked: when questions are asked; by default every question always is.
    """

    def __init__(self, guidance: Guidance, asked: AskedWhen | None = None) -> None:
        self.guidance = guidance
        self.nodes = guidance.graph.nodes
        self.spaces = spaces_of(guidance, asked or {})
        self.solver = z3.Solver()
        self.solver.add(*rules_of(self.spaces, guidance, asked or {}))
        self.full = z3.And([z3.Not(space.open) for space in self.spaces.values()])
        self.scores = {table.score.name: table for table in guidance.compiled.scores}
        sums = {name: total_of(table, self.spaces) for name, table in self.scores.items()}
        self.totals = {name: found.ends for name, found in sums.items()}
        self.solver.add(*[rule for found in sums.values() for rule in found.rules])
        self.forces: dict[int, Value] = {}
        unforced: list[Value] = []
        for index in range(len(self.nodes)):
            unforced.append(self._value(index, unforced))
        self.forces = self._forces(unforced)
        self.values: list[Value] = []
        for index in range(len(self.nodes)):
            self.values.append(self._named(index, self._value(index, self.values)))

    def with_finding(self, finding: int, value: Value) -> list[Value]:
        """Returns the value of every node, had the finding at this node that value whatever the answers."""
        values = [*self.values]
        values[finding] = value
        changed = {finding}
        for index in range(finding + 1, len(self.nodes)):
            if not changed.isdisjoint(self.nodes[index].parts):
                values[index] = self._value(index, values)
                changed.add(index)
        return values

    def _value(self, index: int, values: list[Value]) -> Value:
        value = self._derived(self.nodes[index], index, values)
        return _either(value, self.forces[index]) if index in self.forces else value

    def _derived(self, node: Node, index: int, values: list[Value]) -> Value:
        if node.atom is not None or not node.parts:
            return self._leaf(node, index, values)
        present = [values[part].present for part in node.parts]
        possible = [values[part].possible for part in node.parts]
        if node.word == "all":
            return Value(z3.And(present), z3.And(possible))
        if node.word == "none":
            return Value(z3.Not(z3.Or(possible)), z3.Not(z3.Or(present)))
        if node.word == "unless":
            undenied = z3.Not(z3.Or(present))
            return Value(undenied, undenied)
        if node.word == "count":
            return Value(z3.AtLeast(*present, node.need), z3.AtLeast(*possible, node.need))
        return Value(z3.Or(present), z3.Or(possible))

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
        return ABSENT

    def _ends(self, score: str, values: list[Value]) -> Ends:
        """Returns the least and the most that a score can be, with the points of its conditions."""
        low, high = self.totals[score]
        for node, points in self.scores[score].conditions:
            certain, reached = [z3.If(end, number(points), number(0)) for end in values[node]]
            low += certain if points > 0 else reached
            high += reached if points > 0 else certain
        return low, high

    def _forces(self, unforced: list[Value]) -> dict[int, Value]:
        """Returns by finding what contradictions force it to be."""
        forces: dict[int, Value] = {}
        contradictions = self.guidance.written.contradictions
        for contradiction, node in zip(contradictions, self.guidance.graph.contradictions, strict=True):
            for name in contradiction.worse:
                finding = self.guidance.graph.findings[name]
                forces[finding] = _either(forces.get(finding, ABSENT), unforced[node])
        return forces

    def _named(self, index: int, value: Value) -> Value:
        """Returns the same value under short names, so that formulas that use it stay small."""
        named = Value(z3.Bool(f"present {index}"), z3.Bool(f"possible {index}"))
        self.solver.add(named.present == value.present, named.possible == value.possible)
        return named


def _either(first: Value, second: Value) -> Value:
    return Value(z3.Or(first.present, second.present), z3.Or(first.possible, second.possible))


def _in_band(test: InBand, table: ScoreTable, low: z3.ArithRef, high: z3.ArithRef) -> Value:
    bands = table.score.bands
    inside: list[z3.BoolRef] = []
    outside: list[z3.BoolRef] = []
    for place, band in enumerate(bands):
        from_below = TRUE if place == 0 else high >= number(table.floors[place])
        from_above = TRUE if place == len(bands) - 1 else low < number(table.floors[place + 1])
        (inside if band.name in test.bands else outside).append(z3.And(from_below, from_above))
    return Value(z3.Not(z3.Or(outside)), z3.Or(inside))
