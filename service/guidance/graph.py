"""The conditions of a guidance as one graph, in which equal conditions are one node.

Children come before their parents, so the position of a node is its place in the order of
evaluation. Findings keep a node of their own, since a contradiction may force them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from service.guidance.checks import Checked
from service.guidance.conditions import (
    Answered,
    AtLevel,
    AtTier,
    Condition,
    Group,
    InBand,
    Is,
    Measured,
    Named,
    Scored,
    Switch,
)
from service.guidance.model import Comparison, Rule, Written
from service.guidance.options import NOT_SURE, unsure_codings

Test = Is | Answered | Measured | InBand | Scored | AtTier | AtLevel


class Atom(NamedTuple):
    """A condition that is read off the answers (or, for advice, off the result).

    `unsure_present`: an answer of not sure counts as present. `ignored_too`: answers to questions
    that are not asked are read as well (contradictions).
    """

    test: Test
    unsure_present: bool = False
    ignored_too: bool = False


class Node(NamedTuple):
    """One node: `atom`, `always`, `never`, or any, all, none, count over `parts`.

    An atom on a score has as parts the conditions that add points to it; it is not derived from their bits.

    `need` is how many parts must hold (count); `name` says whose node it is, where it belongs to one
    finding, rule, row, advice, contradiction or switch only.
    """

    word: str
    parts: tuple[int, ...] = ()
    need: int = 0
    atom: Atom | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """All nodes, and which of them the parts of the guidance stand on.

    What results are read from stands in blocks of neighbouring nodes: tier rules (highest tier
    first, then with priority, then in file order), the rules of each outcome in file order, the
    rows of each table (left, right, not done and a spare one, so that a row fills one byte; `never` where
    there is no condition), and advice (in file order; `always` where it has no condition).

    Args:
        points: by score, the conditions that add points to it. rules: by name.
        promises: by name, those with a condition. redirects: in file order.
    """

    nodes: tuple[Node, ...]
    findings: Mapping[str, int]
    points: Mapping[str, tuple[int, ...]]
    rules: Mapping[str, int]
    rows: Mapping[str, tuple[int, ...]]
    advice: tuple[int, ...]
    contradictions: tuple[int, ...]
    promises: Mapping[str, int]
    redirects: tuple[int, ...]

    def below(self, roots: Iterable[int]) -> frozenset[int]:
        """Returns the roots and every node that they depend on."""
        found: set[int] = set()
        waiting = list(roots)
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting.extend(self.nodes[node].parts)
        return frozenset(found)


class _Builder:
    """Adds nodes; equal nodes are added once."""

    def __init__(self, checked: Checked) -> None:
        self.written = checked.written
        self.form = checked.form
        self.nodes: dict[Node, int] = {}
        self.findings: dict[str, int] = {}
        self._by_name = {finding.name: finding for finding in checked.written.findings}
        self._scores = {score.name: score for score in checked.written.scores}

    def add(self, node: Node) -> int:
        return self.nodes.setdefault(node, len(self.nodes))

    def finding(self, name: str) -> int:
        if name not in self.findings:
            finding = self._by_name[name]
            node = self.prepared(f"finding {name}", finding.when, unsure_present=finding.unsure_present)
            self.findings[name] = self.add(node)
        return self.findings[name]

    def prepared(
        self, name: str, condition: Condition | None, *, unsure_present: bool = False, absent: str = ""
    ) -> Node:
        """Returns a node of its own for a condition, not yet added, while everything below it is.

        `absent` is what stands for no condition: `always` or `never`.
        """
        node = Node(absent) if condition is None else self._node(condition, unsure_present=unsure_present)
        derived = node.parts and node.word != "atom"
        return (node if derived else Node("any", (self.add(node),)))._replace(name=name)

    def node(self, condition: Condition, *, unsure_present: bool = False) -> int:
        if isinstance(condition, Named):
            return self.finding(condition.finding)
        return self.add(self._node(condition, unsure_present=unsure_present))

    def contradiction(self, name: str, between: tuple[Condition, ...]) -> int:
        parts = tuple(self._side(part) for part in between)
        return self.add(Node("all", parts, name=f"contradiction {name}"))

    def _side(self, condition: Condition) -> int:
        if isinstance(condition, Is | Answered | Measured):
            return self.add(Node("atom", atom=Atom(condition, ignored_too=True)))
        return self.node(condition)

    def _node(self, condition: Condition, *, unsure_present: bool) -> Node:
        if isinstance(condition, Named):
            return Node("any", (self.finding(condition.finding),))
        if isinstance(condition, Group):
            return self._group(condition, unsure_present=unsure_present)
        if isinstance(condition, Switch):
            value = self.written.parameters[condition.parameter].value
            return Node("always" if value is True else "never", name=f"switch {condition.parameter}")
        present = unsure_present and self._may_be_unsure(condition)
        parts = self.points(condition.score) if isinstance(condition, InBand | Scored) else ()
        return Node("atom", parts, atom=Atom(condition, present))

    def points(self, score: str) -> tuple[int, ...]:
        """Returns the nodes of the conditions that add points to a score, in file order."""
        addends = self._scores[score].addends
        return tuple(self.node(addend.when) for addend in addends if addend.when is not None)

    def _group(self, group: Group, *, unsure_present: bool) -> Node:
        parts = tuple(self.node(part, unsure_present=unsure_present) for part in group.parts)
        if group.word == "at-least":
            return Node("count", parts, need=int(self.written.parameters[group.parameter].value))
        return Node("none" if group.word == "not" else group.word, parts)

    def _may_be_unsure(self, test: Test) -> bool:
        if not isinstance(test, Is) or NOT_SURE in test.words:
            return False
        return bool(unsure_codings(self.form.questions[test.link_id], self.written.words))


def graph_from(checked: Checked) -> Graph:
    """Returns the graph of a guidance."""
    written, builder = checked.written, _Builder(checked)
    findings = {finding.name: builder.finding(finding.name) for finding in written.findings}
    points = {score.name: builder.points(score.name) for score in written.scores}
    contradictions = tuple(
        builder.contradiction(contradiction.name, contradiction.between)
        for contradiction in written.contradictions
    )
    promises = {
        promise.name: builder.node(promise.when) for promise in written.promises if promise.when is not None
    }
    redirects = tuple(builder.node(redirect.when) for redirect in written.redirects)
    rules = _in_blocks(written)
    rule_nodes = [builder.prepared(f"rule {rule.name}", rule.when, absent="always") for rule in rules]
    row_nodes = {comparison.name: _rows(builder, comparison) for comparison in written.comparisons}
    advice_nodes = [
        builder.prepared(f"advice {advice.name}", advice.when, absent="always") for advice in written.advice
    ]
    return Graph(
        findings=findings,
        points=points,
        contradictions=contradictions,
        promises=promises,
        redirects=redirects,
        rules={rule.name: builder.add(node) for rule, node in zip(rules, rule_nodes, strict=True)},
        rows={comparison: tuple(map(builder.add, nodes)) for comparison, nodes in row_nodes.items()},
        advice=tuple(map(builder.add, advice_nodes)),
        nodes=tuple(builder.nodes),
    )


def _in_blocks(written: Written) -> list[Rule]:
    """Returns the rules of the tier by relevance, then the rules of each outcome in file order."""
    ranks = {tier.code: tier.rank for tier in written.tiers}
    outcomes = {outcome.code: position for position, outcome in enumerate(written.outcomes)}
    tier_rules = [rule for rule in written.rules if rule.tier]
    tier_rules.sort(key=lambda rule: (-ranks[rule.tier], rule.priority == ""))
    risk_rules = [rule for rule in written.rules if rule.outcome]
    risk_rules.sort(key=lambda rule: outcomes[rule.outcome])
    return tier_rules + risk_rules


def _rows(builder: _Builder, comparison: Comparison) -> list[Node]:
    return [
        builder.prepared(f"row {comparison.name} {row.name} {key}", condition, absent="never")
        for row in comparison.rows
        for key, condition in (
            ("left", row.left.when),
            ("right", row.right.when),
            ("not-done", row.not_done),
            ("spare", None),
        )
    ]
