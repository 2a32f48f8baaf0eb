"""The ends of the tier, of its date and of a level as formulas over the values of nodes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from operator import ge, le

import z3

from service.guidance.model import Outcome, Rule
from service.proofs.answer_space import all_of, any_of
from service.proofs.encoding import FALSE, TRUE, Encoding, Value

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
