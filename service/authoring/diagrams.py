"""A guidance as decision diagrams: for which answer patterns each condition holds, and what comes of them.

Each node of its graph has two diagrams, as it has two bits in the evaluation: where it is present for
certain, and where it is possible. Contradictions are followed as the evaluation follows them: a rule that
alarms holds with or without what does not fit, one that calms only with and without, and for a safety step
what does not fit counts as a not sure.

The tests hold what is found here against the evaluation of every pattern of small guidances.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import reduce
from typing import NamedTuple

from oxidd.bcdd import BCDDFunction as Diagram

from service.authoring.patterns import Version
from service.datatypes.answers import Answer, Answers, AnswersByLink
from service.guidance.answer_tables import AnswerTable, Verdict
from service.guidance.arguments import DOUBTED, WORSE
from service.guidance.cases import AUTHORED
from service.guidance.conditions import Denied, InBand, Scored
from service.guidance.graph import ASKED, Atom, Node
from service.guidance.model import Outcome
from service.guidance.quantities import sources_of
from service.guidance.result import Interval, Total
from service.guidance.score_tables import ScoreTable
from service.guidance.scores import Weights


class Value(NamedTuple):
    """Where a node is present for certain, and where it is possible."""

    present: Diagram
    possible: Diagram

    def either(self, other: Value) -> Value:
        """Returns where one of the two is."""
        return Value(self.present | other.present, self.possible | other.possible)

    def both(self, other: Value) -> Value:
        """Returns where both are."""
        return Value(self.present & other.present, self.possible & other.possible)


Values = dict[int, Value]
"""By node."""

Ends = tuple[Decimal, Decimal]
"""The least and the most that a score can be."""

Sums = Mapping[Ends, Diagram]
"""By both ends of a sum, where it has them; every pattern has one pair."""

_ZERO = Decimal(0)


class Given(NamedTuple):
    """What is answered to one question: bits and verdict of each answer with where it is given.

    `open`: where nothing is answered, and the question is not hidden for certain.
    """

    answers: tuple[tuple[int, Verdict, Diagram], ...]
    open: Diagram


class GuidanceDiagrams:
    """The diagrams of one version.

    Raises:
        MemoryError: they need more nodes than the space has.
    """

    def __init__(self, version: Version) -> None:
        self.space, self.version = version.space, version
        self.guidance = version.pair.guidance
        self.compiled, self.graph = self.guidance.compiled, self.guidance.graph
        self._absent = Value(self.space.false, self.space.false)
        self._certain = Value(self.space.true, self.space.true)
        graph = self.graph
        roots = *graph.rules.values(), *graph.contradictions, *graph.findings.values(), *graph.unsure.values()
        self._nodes = sorted(graph.below(roots))
        self._atoms = dict(self._atoms_of_answers())
        self._sums = {table.score.name: self._sum(table) for table in self.compiled.scores}
        fitting = self._world({})
        doubted, worse = (self._world(self._forced(world, fitting)) for world in (DOUBTED, WORSE))
        self.values = self._mixed(fitting, doubted, worse)

    # What comes of a pattern.

    def steps(self) -> dict[str, Diagram]:
        """Returns by code of a step where it is the one that is shown: the lower end of the interval."""
        written = self.guidance.written
        found, higher = dict[str, Diagram](), self.space.false
        for tier in reversed(written.tiers):
            fires = self._fired(rule.name for rule in written.rules if rule.tier == tier.code)
            found[tier.code] = (fires if tier.rank else self.space.true) & ~higher
            higher |= fires
        return found

    def dates(self) -> dict[int | None, Diagram]:
        """Returns when each number of days is the latest date; under None, when there is no date."""
        written = self.guidance.written
        names: dict[int, list[str]] = {}
        for rule in written.rules:
            days = written.days_of(rule)
            if days is not None:
                names.setdefault(days, []).append(rule.name)
        found, earlier = dict[int | None, Diagram](), self.space.false
        for days in sorted(names):
            fires = self._fired(names[days])
            found[days] = fires & ~earlier
            earlier |= fires
        return found | {None: ~earlier}

    def levels(self, outcome: Outcome) -> dict[Interval, Diagram]:
        """Returns by interval of levels where the likelihood of an outcome is that."""
        passed = self.space.true
        reached = [self.space.false] * len(outcome.levels)
        for rule in self.guidance.written.rules:
            if rule.outcome == outcome.code:
                value = self.values[self.graph.rules[rule.name]]
                reached[outcome.levels.index(rule.level)] |= value.possible & passed
                passed &= ~value.present
        found = {}
        for low, first in enumerate(reached):
            lowest = first & ~self.space.any(reached[:low])
            for high in range(low, len(reached)):
                found[Interval(low, high)] = lowest & reached[high] & ~self.space.any(reached[high + 1 :])
        return found

    def _fired(self, names: Iterable[str]) -> Diagram:
        return self.space.any([self.values[self.graph.rules[name]].present for name in names])

    # What is answered.

    def _atoms_of_answers(self) -> Iterator[tuple[int, Value]]:
        """Yields the value of every atom that reads a question, or what is derived from some."""
        by_link: dict[str, list[int]] = {}
        for index in self._nodes:
            atom = self.graph.nodes[index].atom
            if atom is not None and hasattr(atom.test, "link_id"):
                by_link.setdefault(atom.test.link_id, []).append(index)
        for link_id, indexes in by_link.items():
            table = self.compiled.answers.by_link[link_id]
            given = self._derived(link_id, table) if table.is_derived else self._plain(link_id, table)
            yield from ((index, self._atom(index, table, given)) for index in indexes)

    def _plain(self, link_id: str, table: AnswerTable) -> Given:
        answers = []
        for answer, where in self.version.given(link_id).items():
            values = self._in_days(link_id, answer)
            answers.append((table.of(values), table.verdict(values), where))
        return Given(tuple(answers), ~(self.version.answered(link_id) | self.version.closed(link_id)))

    def _in_days(self, link_id: str, answer: Answer) -> tuple[Answer, ...]:
        """Returns an answer as the guidance reads it: a date as days before the response."""
        return self.compiled.dates.in_days(Answers({link_id: (answer,)}, authored=AUTHORED)).given[link_id]

    def _derived(self, name: str, table: AnswerTable) -> Given:
        """Returns a derived quantity for every combination of the answers that it is derived from."""
        version = self.version
        given: list[tuple[AnswersByLink, Diagram]] = [({}, self.space.true)]
        sources = sources_of(name, self.guidance.written)
        for source in sources:
            answers = {
                self._in_days(source, answer): where for answer, where in version.given(source).items()
            }
            given = [
                ({**known, source: values}, before & where)
                for known, before in given
                for values, where in answers.items()
            ]
        parts: dict[tuple[int, Verdict], list[Diagram]] = {}
        for known, where in given:
            values = self.compiled.dates.derive(known, frozenset())[0][name]
            parts.setdefault((table.of(values), table.verdict(values)), []).append(where)
        answered = self.space.all([version.answered(source) for source in sources])
        shut = [version.closed(source) & ~version.answered(source) for source in sources]
        found = tuple((*said, self.space.any(where)) for said, where in parts.items())
        return Given(found, ~(answered | self.space.any(shut)))

    def _atom(self, index: int, table: AnswerTable, given: Given) -> Value:
        atom: Atom = self.graph.nodes[index].atom  # type: ignore[assignment]  # only atoms are asked for
        decided = self.space.false
        if atom.undecided == ASKED:  # of a list, an option that decides the test leaves nothing unsure
            test = table.numbers[atom.test]
            decided = self.space.any([where for _, verdict, where in given.answers if verdict.present & test])
        found = []
        for bit in (2 * index, 2 * index + 1):
            parts = [where for mask, _, where in given.answers if mask >> bit & 1]
            found.append(self.space.any(parts) & ~decided)
            if table.unanswered >> bit & 1:
                found[-1] |= given.open
        return Value(*found)

    # Scores: by both ends of the sum, where it has them.

    def _sum(self, table: ScoreTable) -> Sums:
        """Returns the sum of the questions of a score; the points of conditions are added later."""
        found: Sums = {(_ZERO, _ZERO): self.space.true}
        for weights in table.weights:
            found = self._plus(found, self._points(weights))
        return found

    def _plus(self, first: Sums, second: Sums) -> Sums:
        found: dict[Ends, list[Diagram]] = {}
        for (low, high), where in first.items():
            for (least, most), there in second.items():
                found.setdefault((low + least, high + most), []).append(where & there)
        joined = {ends: self.space.any(parts) for ends, parts in found.items()}
        return {ends: where for ends, where in joined.items() if where != self.space.false}

    def _points(self, weights: Weights) -> Sums:
        """Returns the points of one question: unknown while it is open, and for an answer without points."""
        version, link_id = self.version, weights.link_id
        answered, closed = version.answered(link_id), version.closed(link_id)
        unknown = ~(answered | closed)
        known: Sums = {(_ZERO, _ZERO): answered | (closed & ~answered)}
        for answer, where in version.given(link_id).items():
            points = weights.points(answer)
            if points is None:
                unknown |= where
            elif points != _ZERO:
                known = self._plus(known, {(points, points): where, (_ZERO, _ZERO): ~where})
        found = {ends: where & ~unknown for ends, where in known.items()}
        ends = weights.least, weights.most
        return found | {ends: found.get(ends, self.space.false) | unknown}

    def _scored(self, index: int, name: str, values: Values) -> Value:
        """Returns where the sum of a score has the band, or is beyond the threshold, of an atom."""
        table = next(table for table in self.compiled.scores if table.score.name == name)
        found = self._sums[name]
        for node, points in table.conditions:
            certain, possible = values[node]
            ends: dict[Ends, Diagram] = {(_ZERO, _ZERO): ~possible}
            for key, where in (
                ((points, points), certain),
                ((min(points, _ZERO), max(points, _ZERO)), possible & ~certain),
            ):
                ends[key] = ends.get(key, self.space.false) | where
            found = self._plus(found, ends)
        totals = {ends: Total(table.score, *ends, ("", ""), 0, 0, None, estimated=False) for ends in found}
        masks = [(table.mask(totals[ends]), where) for ends, where in found.items()]
        bits = (2 * index, 2 * index + 1)
        return Value(*[self.space.any([where for mask, where in masks if mask >> bit & 1]) for bit in bits])

    # Conditions, three times over: as if nothing contradicted, with doubts, and with the worse of both.

    def _world(self, forces: Mapping[int, Value]) -> Values:
        values: Values = {}
        for index in self._nodes:
            value = self._value(index, values)
            values[index] = value.either(forces[index]) if index in forces else value
        return values

    def _value(self, index: int, values: Values) -> Value:
        node = self.graph.nodes[index]
        if node.atom is None:
            return self._joined(node, values)
        test = node.atom.test
        if isinstance(test, Denied):  # a pattern has no earlier response
            return self._absent
        return (
            self._scored(index, test.score, values)
            if isinstance(test, InBand | Scored)
            else self._atoms[index]
        )

    def _joined(self, node: Node, values: Values) -> Value:
        space = self.space
        if not node.parts:
            return self._certain if node.word == "always" else self._absent
        present = [values[part].present for part in node.parts]
        possible = [values[part].possible for part in node.parts]
        if node.word == "all":
            return Value(space.all(present), space.all(possible))
        if node.word == "none":
            return Value(~space.any(possible), ~space.any(present))
        if node.word == "unless":
            undenied = ~space.any(present)
            return Value(undenied, undenied)
        if node.word == "count":
            return Value(space.at_least(node.need, present), space.at_least(node.need, possible))
        return Value(space.any(present), space.any(possible))

    def _forced(self, world: int, fitting: Values) -> Values:
        """Returns by node what contradictions make of it in one of the worlds."""

        def made(node: int, holds: bool) -> Value:  # noqa: FBT001 - as `Forces` has it
            return fitting[node] if holds else Value(self.space.false, fitting[node].possible)

        return {
            index: reduce(Value.either, (made(node, holds) for node, holds in by), self._absent)
            for index, by in self.guidance.argued.forces[world].items()
        }

    def _mixed(self, fitting: Values, doubted: Values, worse: Values) -> Values:
        values, table = dict(worse), self.compiled.worse
        for node in self.graph.rules.values():
            other = (doubted if table.overlay >> 2 * node & 1 else worse)[node]
            calms = table.calming >> 2 * node & 1
            values[node] = fitting[node].both(other) if calms else fitting[node].either(other)
        return values
