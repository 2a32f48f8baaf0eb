"""What an evaluation says. Every view (RiskAssessment, explanation, text) is made from this."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from service.guidance.model import Advice, Comparison, Contradiction, Outcome, Row, Rule, Score, Tier


class Interval(NamedTuple):
    """Ranks in a ladder: what is known already, and what it could become. Equal means settled."""

    at_least: int
    at_most: int

    @property
    def settled(self) -> bool:
        """True when no open question can move it."""
        return self.at_least == self.at_most


class Fired(msgspec.Struct, frozen=True):
    """A rule that holds, with the linkIds of the answers that made it hold, in form order.

    Args:
        days: its latest date, in days after the response; None if it has none.
        to: the addressee whom it is for, or empty.
        unsure: it holds because of an answer of not sure.
    """

    rule: Rule
    answers: tuple[str, ...]
    days: int | None = None
    to: str = ""
    unsure: bool = False


class Due(msgspec.Struct, frozen=True):
    """A latest date: so many days after the response, for whom, and the rule that says so."""

    days: int
    to: str
    rule: Rule


class Risk(msgspec.Struct, frozen=True):
    """One outcome: its interval of levels, and the rules that hold for the level (deciding one first)."""

    outcome: Outcome
    level: Interval
    fired: tuple[Fired, ...]

    @property
    def listed(self) -> bool:
        """Whether a report names this outcome at all."""
        return self.level.at_least >= self.outcome.lowest_listed


class OpenQuestion(msgspec.Struct, frozen=True):
    """A question that could still move something: `tier` and/or outcome codes.

    `unsure`: it has an answer, but one that leaves it unknown ("not sure").
    """

    link_id: str
    moves: tuple[str, ...]
    red_flag: bool
    unsure: bool = False


class RowTally(msgspec.Struct, frozen=True):
    """A row of a table and its state: left, right, both, neither, not-done, open or informs-only."""

    row: Row
    state: str


class Tally(msgspec.Struct, frozen=True):
    """A table: rows matched on each side, rows answered, rows open, rows whose examination was not done.

    `both` counts as matched on either side; `answered` is every row that is not open, not not-done
    and not informs-only.
    """

    comparison: Comparison
    rows: tuple[RowTally, ...]
    left: int
    right: int
    answered: int
    open: int
    not_done: int = 0


class Total(msgspec.Struct, frozen=True):
    """A score: what it is at least and at most, and the band names those ends fall into.

    Rules read the two ends. What is reported follows the score's own rule for what is missing.

    Args:
        answered: how many of the things that are added are known.
        missing: how many are not: open, or answered with what has no points.
        value: the number to report; None while there is none, or only the two ends.
        estimated: whether that number is prorated.
    """

    score: Score
    at_least: Decimal
    at_most: Decimal
    bands: tuple[str, str]
    answered: int
    missing: int
    value: Decimal | None
    estimated: bool

    @property
    def refused(self) -> bool:
        """Whether nothing is to be reported: too much is missing, and the ends do not stand for a number."""
        return self.value is None and self.score.missing.rule != "interval"


STATES = ("absent", "impossible", "unknown", "present")
"""Words for the values of a finding's two bits (bits.py)."""


class FindingStates(Mapping[str, str]):
    """`present`, `absent` or `unknown` by finding name, read off the bits when it is asked for."""

    __slots__ = ("_bits", "_shifts")

    def __init__(self, shifts: Mapping[str, int], bits: int) -> None:
        self._shifts = shifts
        self._bits = bits

    def __getitem__(self, name: str) -> str:
        return STATES[self._bits >> self._shifts[name] & 3]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shifts)

    def __len__(self) -> int:
        return len(self._shifts)

    def __repr__(self) -> str:
        return f"FindingStates({dict(self)})"

    def mask(self, names: Iterable[str]) -> int:
        """Returns the bits of these findings, the same for every response to one guidance."""
        return sum(3 << shift for shift in {self._shifts[name] for name in names})

    def are_absent(self, mask: int) -> bool:
        """Returns whether every finding of a mask is absent; one test for all of them."""
        return not self._bits & mask


class Change(NamedTuple):
    """A question whose answer makes something new that an earlier response denied.

    Args:
        link_id: the question.
        earlier: which of the earlier responses denied it, the newest that did; 0 is the newest of all.
    """

    link_id: str
    earlier: int


class Result(msgspec.Struct, frozen=True):
    """What the guidance makes of one set of answers.

    Args:
        tier: interval of ranks in `tiers`.
        tiers: the ladder, lowest first.
        fired: tier rules that hold, highest tier first, then priority, then file order.
        risks: every outcome in file order (see `Risk.listed`).
        findings: `present`, `absent` or `unknown` by finding name.
        open: in the order in which they should be asked: red flags first, then form order.
        contradictions: those that hold.
        ignored: linkIds of answers that were sent for items that are not enabled and did not count.
        advice: ordered by relevance: conditional advice that applies first, then general.
        settled: tier, date and every risk level are settled.
        due: the earliest date of all reasons that fired; None if none has a date.
        step_due: the earliest date of the reasons that fired the tier itself.
        date_settled: the tier is settled, and nothing that is open could bring the date forward.
        recheck: when to look again, in days after the response; only at a tier that says so.
        precautions: the part of `advice` that is shown although its condition is not known to hold.
        changes: what got worse since earlier responses, in form order; empty if none were given.
    """

    tier: Interval
    tiers: tuple[Tier, ...]
    fired: tuple[Fired, ...]
    risks: tuple[Risk, ...]
    findings: FindingStates
    open: tuple[OpenQuestion, ...]
    contradictions: tuple[Contradiction, ...]
    tables: tuple[Tally, ...]
    totals: tuple[Total, ...]
    advice: tuple[Advice, ...]
    ignored: tuple[str, ...]
    settled: bool
    due: Due | None = None
    step_due: Due | None = None
    date_settled: bool = True
    recheck: int | None = None
    precautions: tuple[Advice, ...] = ()
    changes: tuple[Change, ...] = ()
