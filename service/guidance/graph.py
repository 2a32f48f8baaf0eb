"""The conditions of a guidance as one graph, in which equal conditions are one node.

Children come before their parents, so the position of a node is its place in the order of
evaluation. Findings keep a node of their own, since a contradiction may force them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from service.datatypes.answers import Coding
from service.datatypes.form import Form, Question
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
from service.guidance.draft import Draft, RuleDraft, TableDraft

# Option words of the mapping files, and the codings that they stand for in one question.

NOT_SURE = "not-sure"
"""The alias whose option makes an answer unknown (or present, where a finding says so)."""

CHOICES = ("choice", "open-choice")
NUMBERS = ("integer", "decimal", "quantity")


def codings_of(question: Question, word: str, words: Mapping[str, str]) -> tuple[Coding, ...]:
    """The question's options that `word` names, by its alias or else by its code; may be empty."""
    by_alias = _with_code(question, words[word]) if word in words else ()
    return by_alias or _with_code(question, word)


def unsure_codings(question: Question, words: Mapping[str, str]) -> tuple[Coding, ...]:
    """The question's options that mean not sure; may be empty."""
    return _with_code(question, words[NOT_SURE]) if NOT_SURE in words else ()


def _with_code(question: Question, code: str) -> tuple[Coding, ...]:
    return tuple(option.coding for option in question.options if option.coding.code == code)


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
    rows of each table (left, right, left, right ...; `never` where a side has no condition), and
    advice (in file order; `always` where it has no condition).

    Args:
        rules: by name. promises: by name, those with a condition.
    """

    nodes: tuple[Node, ...]
    findings: Mapping[str, int]
    rules: Mapping[str, int]
    rows: Mapping[str, tuple[int, ...]]
    advice: tuple[int, ...]
    contradictions: tuple[int, ...]
    promises: Mapping[str, int]

    def below(self, roots: Iterable[int]) -> frozenset[int]:
        """The roots and every node that they depend on."""
        found: set[int] = set()
        waiting = list(roots)
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting.extend(self.nodes[node].parts)
        return frozenset(found)


class _Builder:
    """Nodes as they are added; the same node is added once."""

    def __init__(self, draft: Draft, form: Form) -> None:
        self.draft = draft
        self.form = form
        self.nodes: dict[Node, int] = {}
        self.whens = {finding.name: finding for finding in draft.findings}
        self.findings: dict[str, int] = {}

    def add(self, node: Node) -> int:
        return self.nodes.setdefault(node, len(self.nodes))

    def finding(self, name: str) -> int:
        if name not in self.findings:
            draft = self.whens[name]
            node = self.prepared(f"finding {name}", draft.when, unsure_present=draft.unsure_present)
            self.findings[name] = self.add(node)
        return self.findings[name]

    def prepared(
        self, name: str, condition: Condition | None, *, unsure_present: bool = False, absent: str = ""
    ) -> Node:
        """A node of its own for a condition, not yet added, while everything below it is.

        `absent` is what stands for no condition: `always` or `never`.
        """
        node = Node(absent) if condition is None else self._node(condition, unsure_present=unsure_present)
        return (node if node.parts else Node("any", (self.add(node),)))._replace(name=name)

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
            value = self.draft.header.parameters[condition.parameter].value
            return Node("always" if value is True else "never", name=f"switch {condition.parameter}")
        present = unsure_present and self._may_be_unsure(condition)
        return Node("atom", atom=Atom(condition, present))

    def _group(self, group: Group, *, unsure_present: bool) -> Node:
        parts = tuple(self.node(part, unsure_present=unsure_present) for part in group.parts)
        if group.word == "at-least":
            return Node("count", parts, need=int(self.draft.header.parameters[group.parameter].value))
        return Node("none" if group.word == "not" else group.word, parts)

    def _may_be_unsure(self, test: Test) -> bool:
        if not isinstance(test, Is) or NOT_SURE in test.words:
            return False
        return bool(unsure_codings(self.form.questions[test.link_id], self.draft.header.words))


def graph_from(draft: Draft, form: Form) -> Graph:
    """The graph of a draft whose names have been checked."""
    build = _Builder(draft, form)
    findings = {finding.name: build.finding(finding.name) for finding in draft.findings}
    contradictions = tuple(build.contradiction(each.name, each.between) for each in draft.contradictions)
    promises = {each.name: build.node(each.when) for each in draft.header.promises if each.when is not None}
    rules = _in_blocks(draft)
    prepared_rules = [build.prepared(f"rule {rule.name}", rule.when, absent="always") for rule in rules]
    prepared_rows = {table.name: _rows(build, table) for table in draft.tables}
    advice = [build.prepared(f"advice {each.name}", each.when, absent="always") for each in draft.advice]
    return Graph(
        findings=findings,
        contradictions=contradictions,
        promises=promises,
        rules={rule.name: build.add(node) for rule, node in zip(rules, prepared_rules, strict=True)},
        rows={table: tuple(map(build.add, nodes)) for table, nodes in prepared_rows.items()},
        advice=tuple(map(build.add, advice)),
        nodes=tuple(build.nodes),
    )


def _in_blocks(draft: Draft) -> list[RuleDraft]:
    """Tier rules by relevance, then the rules of each outcome in file order."""
    ranks = {tier.name: rank for rank, tier in enumerate(draft.header.tiers)}
    outcomes = {outcome.name: position for position, outcome in enumerate(draft.header.outcomes)}
    tier_rules = [rule for rule in draft.rules if rule.tier]
    tier_rules.sort(key=lambda rule: (-ranks[rule.tier], rule.priority == ""))
    risk_rules = [rule for rule in draft.rules if rule.outcome]
    risk_rules.sort(key=lambda rule: outcomes[rule.outcome])
    return tier_rules + risk_rules


def _rows(build: _Builder, table: TableDraft) -> list[Node]:
    return [
        build.prepared(f"row {table.name} {row.name} {side}", half.when, absent="never")
        for row in table.rows
        for side, half in (("left", row.left), ("right", row.right))
    ]
