"""The conditions of a guidance as definitions in CQL, each under the name of its finding or rule.

Unfit answers may count in several ways; a section holds the definitions of one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Final

import msgspec

from service.clinical_reasoning.cql_answers import (
    AnswerNames,
    AnswersWriter,
    CannotBeWritten,
    compared,
    decimal,
    define,
    joined,
    library_name,
    name,
    quoted,
)
from service.datatypes.answers import Answer, Coding
from service.guidance import Guidance
from service.guidance.conditions import Answered, Denied, InBand, Is, Measured, Scored
from service.guidance.graph import Atom, Node
from service.guidance.model import Rule, Score
from service.guidance.scores import Weights, weights_of
from service.guidance.tables import ContradictionTable
from service.questionnaire import CompiledQuestionnaire

ANSWERS: Final = "Answers"


class World(msgspec.Struct, frozen=True):
    """One way to count unfit answers.

    Args:
        atom: returns the expression for the test of a node.
        beside: by node, the contradictions that make it hold even if its own condition does not.
        suffix: of the names of definitions.
        varies: says whether a node may have another value here than in a result.
    """

    atom: Callable[[int], str]
    beside: Mapping[int, list[str]]
    suffix: str = ""
    varies: Callable[[int], bool] = lambda _: True


class GuidanceNodes:
    """The conditions of a guidance by node: names, comments, and what unfit answers can change."""

    def __init__(self, guidance: Guidance, form: CompiledQuestionnaire) -> None:
        self.guidance, self.written = guidance, guidance.written
        self.compiled, self.graph = guidance.compiled, guidance.graph
        self.answers = AnswersWriter(guidance, form)
        self.base = library_name(guidance)
        self.version = self.written.identity.version
        self.forced = self._forced()
        self.doubts = self._doubts()
        self.constant = self._constants()
        self.names = self._names()
        self.unfit = {
            test.link_id
            for node, test in self._tests()
            if node in self._worse and test.link_id in self.answers.conditional
        }
        self.worst_ways = self._ways(self._is_worse, self.forced)
        self.doubted_ways = self._ways(self._is_doubted, self.doubts)
        self._refuse_moving_scores()

    # What the guidance says, by node.

    def _tests(self) -> Iterator[tuple[int, Is | Measured | Answered]]:
        for index, node in enumerate(self.graph.nodes):
            if node.atom is not None and isinstance(node.atom.test, Is | Measured | Answered):
                yield index, node.atom.test

    @cached_property
    def _worse(self) -> frozenset[int]:
        mask = self.compiled.worse.atoms
        return frozenset(index for index in range(len(self.graph.nodes)) if mask >> 2 * index & 1)

    def _atom(self, index: int) -> Atom:
        atom = self.graph.nodes[index].atom
        if atom is None:
            raise AssertionError(index)
        return atom

    def _is_worse(self, index: int) -> bool:
        test = self._atom(index).test
        is_asked = isinstance(test, Is | Measured | Answered) and test.link_id in self.answers.conditional
        return is_asked and bool(self.compiled.worse.atoms >> 2 * index & 1)

    def _is_doubted(self, index: int) -> bool:
        test = self._atom(index).test
        return isinstance(test, Is | Measured | Answered) and test.link_id in self.unfit

    def _forced(self) -> dict[int, list[str]]:
        """Returns by node the contradictions that make it hold."""
        found: dict[int, list[str]] = {}
        for table in self.compiled.contradictions:
            for node in self._roots(table.sets):
                found.setdefault(node, []).append(self._contradiction(table))
        return found

    def _doubts(self) -> dict[int, list[str]]:
        """Returns by node the contradictions that count as a "not sure" about it."""
        found: dict[int, list[str]] = {}
        for table in self.compiled.contradictions:
            called = self._contradiction(table)
            certain = set(self._roots(table.doubts))
            for node in certain | set(self._roots(table.doubts >> 1)):
                whole = table.doubts >> 2 * node & 1
                found.setdefault(node, []).append(called if whole else f"{ANSWERS}.Possibly({called})")
        return found

    def _roots(self, mask: int) -> Iterator[int]:
        """Yields the nodes of a mask of *certain* bits that do not follow from others of it."""
        for index, node in enumerate(self.graph.nodes):
            if mask >> 2 * index & 1:
                follows = node.word == "any" and any(mask >> 2 * part & 1 for part in node.parts)
                if not follows:
                    yield index

    @staticmethod
    def _contradiction(table: ContradictionTable) -> str:
        return name(_contradiction_name(table))

    def _constants(self) -> list[bool | None]:
        """Returns by node whether it always or never holds; None if that depends on answers."""
        found: list[bool | None] = []
        for index, node in enumerate(self.graph.nodes):
            value = _constant(node, [found[part] for part in node.parts])
            found.append(None if value is False and (index in self.forced or index in self.doubts) else value)
        return found

    def _names(self) -> dict[int, str]:
        graph = self.graph
        found = {node: called for called, node in graph.findings.items()}
        found |= {node: f"Rule {called}" for called, node in graph.rules.items()}
        for called, node in graph.unsure.items():
            if self.constant[node] is None and graph.nodes[node].word != "atom":
                found.setdefault(node, f"{called} is not sure")
        for table in self.compiled.contradictions:
            found[table.node] = _contradiction_name(table)
        return found

    def _ways(
        self, varies: Callable[[int], bool], beside: Mapping[int, list[str]]
    ) -> list[tuple[bool, bool]]:
        """Returns by node whether unfit answers can only raise it, and whether they can only lower it."""
        found: list[tuple[bool, bool]] = []
        for index, node in enumerate(self.graph.nodes):
            parts = [found[part] for part in node.parts]
            rising, falling = all(up for up, _ in parts), all(down for _, down in parts)
            if node.word == "atom":
                rising, falling = True, not varies(index)
            elif node.word in ("none", "unless"):
                rising, falling = falling, rising
            found.append((rising, falling and index not in beside))
        return found

    def _refuse_moving_scores(self) -> None:
        ways = self.worst_ways, self.doubted_ways
        moving = [
            score
            for score, nodes in self.graph.points.items()
            if not all(way[node][1] for node in self.graph.below(nodes) for way in ways)
        ]
        if moving:
            what = "it adds points for what answers that do not fit can change"
            raise CannotBeWritten([f"score {score}: {what}" for score in moving])

    # What comments say.

    def _sources(self, sources: Iterable[str]) -> Iterator[str]:
        sections = {statement.id: statement.section for statement in self.written.statements}
        by_section: dict[str, list[str]] = {}
        for source in sources:
            by_section.setdefault(sections.get(source, ""), []).append(source)
        for section, found in by_section.items():
            yield f"@source: {', '.join(found)} ({section})"

    def about_rule(self, rule: Rule) -> list[str]:
        """Returns the comment before the definition of a rule."""
        says = [rule.says.to_clinician] if rule.says.to_clinician else []
        fires = rule.tier or f"{rule.outcome} {rule.level}"
        return [
            *says,
            f"@rule: {rule.kind}, {fires}",
            f"@origin: {rule.origin}",
            *self._sources(rule.sources),
        ]

    def about(self, node: int) -> list[str]:
        """Returns the comment before the definition of a node."""
        called = self.names.get(node, "")
        finding = next((one for one in self.written.findings if one.name == called), None)
        if finding is not None:
            counts = ['A "not sure" counts as yes.'] * finding.unsure_present
            kind = [f"@finding: {finding.kind}", f"@origin: {finding.origin}"]
            return [finding.means, *counts, *kind, *self._sources(finding.sources)]
        rule = next((one for one in self.written.rules if f"Rule {one.name}" == called), None)
        if rule is not None:
            return self.about_rule(rule)
        clash = next((t for t in self.compiled.contradictions if _contradiction_name(t) == called), None)
        return [clash.contradiction.says.to_clinician] if clash is not None else []


def _contradiction_name(table: ContradictionTable) -> str:
    return f"Contradiction {table.contradiction.name}"


def _constant(node: Node, parts: list[bool | None]) -> bool | None:
    """Returns the value of a node that is always the same; None if it can change."""
    if node.word in ("always", "never"):
        return node.word == "always"
    if node.atom is not None:
        return False if isinstance(node.atom.test, Denied) else None
    ends = {"any": (True, False), "all": (False, True), "none": (True, False), "unless": (True, False)}
    if node.word not in ends:
        return None
    first, neutral = ends[node.word]
    denies = node.word in ("none", "unless")
    if first in parts:
        return first is not denies
    return neutral is not denies if all(part is neutral for part in parts) else None


class Section:
    """Definitions of all nodes, for one way to count unfit answers."""

    def __init__(self, libraries: GuidanceNodes, world: World) -> None:
        self.all, self.world = libraries, world
        self.nodes = libraries.graph.nodes
        self.own_names: dict[int, str] = {}
        self.renamed: Mapping[int, str] = {}
        self.main: Section = self
        """Where what does not vary is defined."""

    def borrowed(self, roots: Iterable[int]) -> set[int]:
        """Returns the nodes below the roots that are the same in every way of counting."""
        return {node for node in self._needed(roots) if not self.world.varies(node)}

    def definitions(self, roots: Iterable[int]) -> list[str]:
        """Returns a definition of each root and of what is named below it, in the order of evaluation."""
        needed = self._needed(roots)
        self._name_parts({node for node in needed if self.world.varies(node)})
        found = [*self._scores(needed)]
        for index in sorted(needed):
            called = self._called(index)
            if called and self.world.varies(index):
                found.append(define(called, self._condition(index), self._about(index)))
        return found

    def _about(self, index: int) -> list[str]:
        is_repeated = self.world.suffix and not self.all.names.get(index, "").startswith("Contradiction ")
        return [] if is_repeated else self.all.about(index)

    def _needed(self, roots: Iterable[int]) -> set[int]:
        """Returns the roots and what they stand on, as far as it is not constant or written elsewhere."""
        found: set[int] = set()
        waiting = [*roots]
        while waiting:
            index = waiting.pop()
            if index in found:
                continue
            found.add(index)
            if self.all.constant[index] is None and self.world.varies(index):
                waiting.extend(self.nodes[index].parts)
        return found

    def _name_parts(self, needed: set[int]) -> None:
        """Names what is too long to stand inside a condition after the first condition that reads it."""
        readers: dict[int, list[int]] = {}
        for index in sorted(needed):
            for part in dict.fromkeys(self.nodes[index].parts):
                readers.setdefault(part, []).append(index)
        numbers: dict[str, int] = {}
        for index in sorted(needed, reverse=True):
            if self._called(index) or not self._is_long(index, len(readers.get(index, ()))):
                continue
            above = min(readers.get(index, [index]), key=lambda node: not self._called(node))
            whole = (self.all.names.get(above) or self.own_names.get(above, "")).partition(", part ")[0]
            whole = whole or "Condition"
            numbers[whole] = numbers.get(whole, 0) + 1
            self.own_names[index] = f"{whole}, part {numbers[whole]}"

    def _is_long(self, index: int, readers: int) -> bool:
        """Whether a node gets its own definition: conditions stand inside it, or it is long and shared."""
        node = self.nodes[index]
        if node.word == "atom" or self.all.constant[index] is not None or self._only(index) is not None:
            return False
        inner = [self._only(part) for part in node.parts]
        parts = [part if only is None else only for part, only in zip(node.parts, inner, strict=True)]
        holds_conditions = any(
            self.nodes[part].word != "atom" and not self._called(part) and self.all.constant[part] is None
            for part in parts
        )
        return holds_conditions or index in self.world.beside or (readers > 1 and len(node.parts) > 2)

    def _only(self, index: int) -> int | None:
        """Returns the one node that a node is the same as; None if it says more."""
        node = self.nodes[index]
        if self._called(index) or node.word not in ("any", "all") or index in self.world.beside:
            return None
        neutral = node.word == "all"
        parts = [part for part in node.parts if self.all.constant[part] is not neutral]
        if len(parts) != 1:
            return None
        below = self._only(parts[0])
        return parts[0] if below is None else below

    def _called(self, index: int) -> str:
        if index in self.renamed:
            return self.renamed[index]
        own = self.all.names.get(index, "")
        if own.startswith("Contradiction "):
            return own
        called = own or self.own_names.get(index, "")
        return f"{called}{self.world.suffix}" if called else ""

    def expression(self, index: int) -> str:
        """Returns how a condition refers to a node: by its name, or by its expression."""
        if not self.world.varies(index) and self.main is not self:
            return self.main.expression(index)
        called = self._called(index)
        if called or self.all.constant[index] is not None:
            return name(called) if called else str(self.all.constant[index]).lower()
        only = self._only(index)
        if only is not None:
            return self.expression(only)
        return self._atom(index) if self.nodes[index].atom is not None else f"({self._condition(index)})"

    def _atom(self, index: int) -> str:
        atom = self.nodes[index].atom
        if atom is not None and isinstance(atom.test, InBand | Scored):
            return name(_score_test(atom.test))
        beside = self.world.beside.get(index, [])
        return joined("or", [self.world.atom(index), *beside], empty="false")

    def _condition(self, index: int) -> str:
        node, constant = self.nodes[index], self.all.constant[index]
        if constant is not None:
            return str(constant).lower()
        if node.word == "atom":
            return self.expression(index)
        neutral = node.word == "all"
        parts = [self.expression(part) for part in node.parts if self.all.constant[part] is not neutral]
        beside = self.world.beside.get(index, [])
        own = self._grouped(node, parts)
        if not beside:
            return own
        return "\n    or ".join(
            [own if len(parts) == 1 and node.word in ("any", "all") else f"({own})", *beside]
        )

    @staticmethod
    def _grouped(node: Node, parts: list[str]) -> str:
        if node.word == "count":
            return f"{ANSWERS}.AtLeast({node.need}, {{ {', '.join(parts)} }})"
        either = "\n    or ".join(parts) or "false"
        if node.word == "any":
            return either
        if node.word == "all":
            return "\n    and ".join(parts) or "true"
        either = either if len(parts) == 1 else f"({either})"
        return f"{either} is not true" if node.word == "unless" else f"not {either}"

    # Scores.

    def _scores(self, needed: set[int]) -> Iterator[str]:
        tests = [
            node.atom.test
            for node in (self.nodes[index] for index in sorted(needed))
            if node.atom is not None and isinstance(node.atom.test, InBand | Scored)
        ]
        read = {test.score for test in tests}
        for score in self.all.written.scores:
            if score.name in read:
                yield from self._score(score)
        for test in dict.fromkeys(tests):
            yield define(_score_test(test), self._scored(test))

    def _score(self, score: Score) -> Iterator[str]:
        least: list[str] = []
        most: list[str] = []
        conditions = iter(self.all.graph.points[score.name])
        for addend in score.addends:
            if addend.when is not None:
                holds, points = self.expression(next(conditions)), addend.points
                ends = decimal(min(points, Decimal(0))), decimal(max(points, Decimal(0)))
                for listed, end in zip((least, most), ends, strict=True):
                    known = f"when {holds} then {decimal(points)}"
                    listed.append(f"(case {known} when {holds} is null then {end} else 0.0 end)")
                continue
            called = f"Points of {addend.link_id} in {score.name}"
            weights = weights_of(addend, self.all.answers.questions[addend.link_id])
            yield from self._points(called, weights)
            least.append(name(f"{called} at least"))
            most.append(name(f"{called} at most"))
        yield define(f"{score.name} at least", "\n    + ".join(least), [score.display])
        yield define(f"{score.name} at most", "\n    + ".join(most))

    def _points(self, called: str, weights: Weights) -> Iterator[str]:
        names = AnswerNames(weights.link_id)
        answers = f"{ANSWERS}.{name(names.answers)}"
        if weights.line is not None:
            line = weights.line
            inside = f"A.low >= {decimal(line.low)} and A.low <= {decimal(line.high)} and A.low = A.high"
            points = f"when {inside} then {decimal(line.offset)} + {decimal(line.factor)} * A.low"
        else:
            points = " ".join(self._point(answer, added) for answer, added in weights.by_answer.items())
        each = f"distinct {answers}" if weights.several else answers
        yield define(called, f"({each}) A return all case {points} else null as Decimal end")
        known, unknown = (
            f"exists ({name(called)} P where P is {so} return all 1)" for so in ("not null", "null")
        )
        unknown += f" or {ANSWERS}.{name(names.unread)} is null" * weights.several
        open_ = f"not {known}" if weights.of_ticks else f"not exists {answers} or {unknown}"
        closed = f"when {ANSWERS}.{name(names.closed)} and not exists {answers} then 0.0 "
        cases = closed * (weights.link_id in self.all.answers.conditional) + f"when {open_} then"
        for end, value, of in (("at least", weights.least, "Min"), ("at most", weights.most, "Max")):
            added = f"{'Sum' if weights.several else of}({name(called)})"
            rest = self._rest(answers, weights, min if of == "Min" else max)
            more = f" + (case when {unknown} then {rest} else 0.0 end)" if rest else ""
            yield define(f"{called} {end}", f"case {cases} {decimal(value)} else {added}{more} end")

    def _rest(self, answers: str, weights: Weights, of: Callable[[Decimal, Decimal], Decimal]) -> str:
        """Returns what options that are not ticked could add, where an answer leaves that open."""
        ends = {
            option: of(points, Decimal(0)) for option, points in weights.by_answer.items() if weights.of_ticks
        }
        parts = (
            f"case when exists ({answers} A where {self._is(option)} return all 1) then 0.0 "
            f"else {decimal(end)} end"
            for option, end in ends.items()
            if end
        )
        return " + ".join(f"({part})" for part in parts)

    def _point(self, answer: Answer, added: Decimal) -> str:
        return f"when {self._is(answer)} then {decimal(added)}"

    @staticmethod
    def _is(answer: Answer) -> str:
        if isinstance(answer, Coding):
            return f"A.system = {quoted(answer.system)} and A.code = {quoted(answer.code)}"
        return f"A.low = {decimal(Decimal(str(answer)))} and A.high = A.low"

    def _scored(self, test: InBand | Scored) -> str:
        written = self.all.written
        score = next(one for one in written.scores if one.name == test.score)
        low, high = name(f"{score.name} at least"), name(f"{score.name} at most")
        if isinstance(test, Scored):
            parameter = written.parameters[test.parameter]
            total = f"{ANSWERS}.Total({low}, {high})"
            return compared(parameter.edge, total, decimal(Decimal(parameter.value)), f"{ANSWERS}.")
        floors = [written.number(band.low) for band in score.bands]
        names = [band.name for band in score.bands]
        runs = _runs(sorted(names.index(band) for band in test.bands))
        inside = [self._between(first, last, floors, (low, high)) for first, last in runs]
        within = joined("or", [both for both, _ in inside], empty="false")
        outside = joined("and", [apart for _, apart in inside], empty="true")
        return f"case when {within} then true when {outside} then false else null as Boolean end"

    @staticmethod
    def _between(first: int, last: int, floors: list[Decimal], ends: tuple[str, str]) -> tuple[str, str]:
        """Returns that a sum certainly lies in these bands, and that it certainly does not."""
        low, high = ends
        after = floors[last + 1] if last + 1 < len(floors) else None
        begins = [f"{low} >= {decimal(floors[first])}"] * (first > 0)
        stops = [f"{high} < {decimal(after)}"] if after is not None else []
        before = [f"{high} < {decimal(floors[first])}"] * (first > 0)
        beyond = [f"{low} >= {decimal(after)}"] if after is not None else []
        return joined("and", begins + stops, empty="true"), joined("or", before + beyond, empty="false")


def _runs(places: list[int]) -> list[tuple[int, int]]:
    """Returns the first and the last of every row of neighbours."""
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and runs[-1][1] == place - 1:
            runs[-1] = (runs[-1][0], place)
        else:
            runs.append((place, place))
    return runs


def _score_test(test: InBand | Scored) -> str:
    if isinstance(test, InBand):
        return f"{test.score} is {' or '.join(test.bands)}"
    return f"{test.score} {test.comparison.replace('-', ' ')} {test.parameter}"
