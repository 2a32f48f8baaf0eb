"""The conditions of a guidance as one graph, in which equal conditions are one node.

Children come before their parents, so the position of a node is its place in the order of
evaluation. Findings keep a node of their own, since a contradiction may force them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from service.guidance.checks import Checked
from service.guidance.conditions import (
    Answered,
    AtLevel,
    AtTier,
    Condition,
    Denied,
    Group,
    InBand,
    Is,
    Measured,
    Named,
    Newly,
    Scored,
    Switch,
    Unsure,
)
from service.guidance.model import Comparison, Finding, Rule, Written
from service.guidance.options import codings_of, unsure_codings

Test = Is | Answered | Measured | InBand | Scored | AtTier | AtLevel | Denied


UNKNOWN, PRESENT, ABSENT, ASKED = "unknown", "present", "absent", "asked"
"""What an atom is where what was answered leaves its test undecided; ASKED: the atom asks just that."""


class Atom(NamedTuple):
    """A condition that is read off the answers (or, for advice, off the result).

    `undecided`: what it is where there is an answer that does not decide the test ("not sure", a range, a
    text in place of an option). With ASKED it is present there, and absent where the test is decided.
    `ignored_too`: answers to questions that are not asked are read as well (contradictions).
    """

    test: Test
    undecided: str = UNKNOWN
    ignored_too: bool = False


class Node(NamedTuple):
    """One node: `atom`, `always`, `never`, or any, all, none, count, unless over `parts`.

    `unless` is present while none of its parts is present for certain, and else absent; it is never
    unknown. An atom on a score has as parts the conditions that add points to it, one on what an earlier
    response denied has that condition; it is not derived from their bits.

    `need` is how many parts must hold (count); `name` says whose node it is, where it belongs to one
    finding, rule, row, advice, contradiction or switch only.
    """

    word: str
    parts: tuple[int, ...] = ()
    need: int = 0
    atom: Atom | None = None
    name: str = ""


class Graph(msgspec.Struct, frozen=True):
    """All nodes, and which of them the parts of the guidance stand on.

    What results are read from stands in blocks of neighbouring nodes: tier rules (highest tier
    first, then with priority, then in file order), the rules of each outcome in file order, the
    rows of each table (left, right, not done and a spare one, so that a row fills one byte; `never` where
    there is no condition), and advice (in file order; `always` where it has no condition).

    Args:
        points: by score, the conditions that add points to it. rules: by name.
        promises: by name, those with a condition. redirects: in file order.
        unsure: by finding, whether somebody was unsure about it; only where a condition asks that.
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
    unsure: Mapping[str, int]

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
        self.unsure: dict[str, int] = {}
        self.by_name = {finding.name: finding for finding in checked.written.findings}
        self._scores = {score.name: score for score in checked.written.scores}

    def add(self, node: Node) -> int:
        return self.nodes.setdefault(node, len(self.nodes))

    def finding(self, name: str) -> int:
        if name not in self.findings:
            finding = self.by_name[name]
            node = self.prepared(f"finding {name}", finding.when, undecided=_undecided(finding))
            self.findings[name] = self.add(node)
        return self.findings[name]

    def prepared(
        self, name: str, condition: Condition | None, *, undecided: str = UNKNOWN, absent: str = ""
    ) -> Node:
        """Returns a node of its own for a condition, not yet added, while everything below it is.

        `absent` is what stands for no condition: `always` or `never`.
        """
        node = Node(absent) if condition is None else self._node(condition, undecided)
        derived = node.parts and node.word != "atom"
        return (node if derived else Node("any", (self.add(node),)))._replace(name=name)

    def node(self, condition: Condition, undecided: str = UNKNOWN) -> int:
        if isinstance(condition, Named):
            return self.finding(condition.finding)
        return self.add(self._node(condition, undecided))

    def contradiction(self, name: str, between: tuple[Condition, ...]) -> int:
        parts = tuple(self._side(part) for part in between)
        return self.add(Node("all", parts, name=f"contradiction {name}"))

    def may_be_undecided(self, test: Condition) -> bool:
        """Whether an answer can leave a test undecided."""
        if not isinstance(test, Is | Measured):
            return False
        question = self.form.questions.get(test.link_id)
        if isinstance(test, Measured) or question is None or question.type == "boolean":
            return isinstance(test, Measured)
        words = self.written.words
        named = {coding for word in test.words for coding in codings_of(question, str(word), words)}
        return question.type == "open-choice" or not named.issuperset(unsure_codings(question, words))

    def _side(self, condition: Condition) -> int:
        if isinstance(condition, Is | Answered | Measured):
            return self.add(Node("atom", atom=Atom(condition, ignored_too=True)))
        return self.node(condition)

    def _node(self, condition: Condition, undecided: str) -> Node:
        if isinstance(condition, Named):
            return Node("any", (self.finding(condition.finding),))
        if isinstance(condition, Group):
            return self._group(condition, undecided)
        if isinstance(condition, Unsure):
            return Node("any", (_Unsure(self).top(condition.of),))
        if isinstance(condition, Newly):
            return Node("any", tuple(self._newly(part, undecided) for part in condition.parts))
        if isinstance(condition, Switch):
            value = self.written.parameters[condition.parameter].value
            return Node("always" if value is True else "never", name=f"switch {condition.parameter}")
        parts = self.points(condition.score) if isinstance(condition, InBand | Scored) else ()
        how = undecided if self.may_be_undecided(condition) else UNKNOWN
        return Node("atom", parts, atom=Atom(condition, how))

    def _newly(self, condition: Condition, undecided: str) -> int:
        """Returns the node of a condition that holds now and that an earlier response denied."""
        now = self.node(condition, undecided)
        denied = self.add(Node("atom", (now,), atom=Atom(Denied(condition))))
        return self.add(Node("all", (now, denied)))

    def points(self, score: str) -> tuple[int, ...]:
        """Returns the nodes of the conditions that add points to a score, in file order."""
        addends = self._scores[score].addends
        return tuple(self.node(addend.when) for addend in addends if addend.when is not None)

    def _group(self, group: Group, undecided: str) -> Node:
        parts = tuple(self.node(part, undecided) for part in group.parts)
        if group.word == "at-least":
            return Node("count", parts, need=self.need(group))
        return Node("none" if group.word == "not" else group.word, parts)

    def need(self, group: Group) -> int:
        """Returns how many parts of a group that counts must hold."""
        return int(self.written.parameters[group.parameter].value)


def _undecided(finding: Finding) -> str:
    """Returns the value of the finding if an answer does not decide its test."""
    return PRESENT if finding.unsure_present else UNKNOWN


class _Unsure:
    """Writes `unsure` in the other words of the graph.

    A test is unsure where what was answered leaves it undecided. `any` is unsure where a part is, unless
    one is present; `all` where exactly one part is and every other is present; `at-least` where a part is
    and one more would be enough. `not` and `none` are what they deny. What an answer has decided is not
    unsure, and what counts as present where somebody is not sure never is.
    """

    def __init__(self, builder: _Builder) -> None:
        self.builder = builder

    def top(self, condition: Condition) -> int:
        """Returns the node of `unsure` about a condition; absent where a contradiction makes that present."""
        known = self.builder.unsure
        if isinstance(condition, Named) and condition.finding in known:
            return known[condition.finding]
        core = self._core(condition, UNKNOWN)
        node = self._never() if core is None else self._while_open(condition, core, UNKNOWN)
        if isinstance(condition, Named):
            known[condition.finding] = node
        return node

    def _never(self) -> int:
        return self.builder.add(Node("never"))

    def _while_open(self, condition: Condition, core: int, undecided: str) -> int:
        decided = tuple(self._decisions(condition, undecided))
        return self._all([self.builder.add(Node("unless", decided)), core])

    def _decisions(self, condition: Condition, undecided: str) -> Iterator[int]:
        """Yields the nodes of which one that is present decides the condition."""
        affirmed = _affirmed(condition)
        yield self.builder.node(affirmed, undecided)
        if isinstance(affirmed, Named):
            finding = self.builder.by_name[affirmed.finding]
            if isinstance(finding.when, Named) or _affirmed(finding.when) != finding.when:
                yield from self._decisions(finding.when, _undecided(finding))

    def _part(self, condition: Condition, undecided: str) -> int | None:
        """Returns the node of `unsure` about a part of a group; None if that never holds."""
        core = self._core(condition, undecided)
        affirmed = _affirmed(condition)
        decides = isinstance(affirmed, Named) or (isinstance(affirmed, Group) and affirmed.word != "all")
        if core is None or not decides:
            return core
        return self._while_open(condition, core, undecided)

    def _core(self, condition: Condition, undecided: str) -> int | None:
        """Returns a node that is present where somebody is unsure, perhaps also where it is decided."""
        condition = _affirmed(condition)
        if isinstance(condition, Named):
            finding = self.builder.by_name[condition.finding]
            return self._core(finding.when, _undecided(finding))
        if isinstance(condition, Group):
            unsure = [self._part(part, undecided) for part in condition.parts]
            if not any(part is not None for part in unsure):
                return None
            return self._last_of(condition, unsure, undecided)
        if undecided == PRESENT or not self.builder.may_be_undecided(condition):
            return None
        return self.builder.add(Node("atom", atom=Atom(condition, ASKED)))  # type: ignore[arg-type]  # a test

    def _last_of(self, group: Group, unsure: list[int | None], undecided: str) -> int:
        """Returns the node that is present where a part is unsure, and enough others are present."""
        parts = len(group.parts)
        need = {"any": 1, "all": parts}.get(group.word) or self.builder.need(group)
        held = [self._held(part, ABSENT, undecided) for part in group.parts] if need > 1 else []
        found = []
        for place, part in enumerate(unsure):
            others = held[:place] + held[place + 1 :]
            if part is not None and need == parts:
                found.append(self._all([part, *others]))
            elif part is not None:
                enough = Node("count", tuple(others), need=need - 1)
                found.append(self._all([part, self.builder.add(enough)]) if need > 1 else part)
        return self._any(found)

    def _held(self, condition: Condition, undecided: str, own: str) -> int:
        """Returns the node of a condition whose undecided tests count as absent, or as present.

        So it is known whatever the person is unsure about: unknown means that a question is open.

        Args:
            condition: any.
            undecided: ABSENT or PRESENT.
            own: what the finding says around it; PRESENT stays.
        """
        builder = self.builder
        if isinstance(condition, Named):
            finding = builder.by_name[condition.finding]
            if self._core(condition, own) is None:
                return builder.finding(condition.finding)
            return self._held(finding.when, undecided, _undecided(finding))
        if not isinstance(condition, Group):
            return builder.node(condition, own if own == PRESENT else undecided)
        if condition.word in ("not", "none"):
            undecided = PRESENT if undecided == ABSENT else ABSENT
        parts = tuple(self._held(part, undecided, own) for part in condition.parts)
        if condition.word == "at-least":
            return builder.add(Node("count", parts, need=builder.need(condition)))
        return builder.add(Node("none" if condition.word == "not" else condition.word, parts))

    def _any(self, parts: list[int]) -> int:
        return parts[0] if len(parts) == 1 else self.builder.add(Node("any", tuple(dict.fromkeys(parts))))

    def _all(self, parts: list[int]) -> int:
        return parts[0] if len(parts) == 1 else self.builder.add(Node("all", tuple(dict.fromkeys(parts))))


def _affirmed(condition: Condition) -> Condition:
    """Returns what a denial denies: unsure about one is unsure about the other."""
    while isinstance(condition, Group) and condition.word == "not":
        condition = condition.parts[0]
    if isinstance(condition, Group) and condition.word == "none":
        return Group("any", condition.parts)
    return condition


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
        unsure=builder.unsure,
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
