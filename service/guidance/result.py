"""What an evaluation says. Every view (RiskAssessment, explanation, text) is made from this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from service.guidance.model import Advice, Comparison, Contradiction, Outcome, Row, Rule, Score, Tier


class Interval(NamedTuple):
    """Ranks in a ladder: what is known already, and what it could become. Equal means settled."""

    at_least: int
    at_most: int

    @property
    def settled(self) -> bool:
        """True when no open question can move it."""
        return self.at_least == self.at_most


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that holds, with the linkIds of the answers that made it hold, in form order."""

    rule: Rule
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Risk:
    """One outcome: its interval of levels, and the rules that hold for the level (deciding one first)."""

    outcome: Outcome
    level: Interval
    fired: tuple[Fired, ...]

    @property
    def listed(self) -> bool:
        """Whether a report names this outcome at all."""
        return self.level.at_least >= self.outcome.lowest_listed


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question that could still move something: `tier` and/or outcome codes.

    `unsure`: it has an answer, but one that leaves it unknown ("not sure").
    """

    link_id: str
    moves: tuple[str, ...]
    red_flag: bool
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class RowTally:
    """A row of a table and its state: `left`, `right`, `both`, `neither`, `open` or `informs-only`."""

    row: Row
    state: str


@dataclass(frozen=True, slots=True)
class Tally:
    """A table: rows matched on each side, rows answered, rows open.

    `both` counts as matched on either side; `answered` is every row that is not open and not
    informs-only.
    """

    comparison: Comparison
    rows: tuple[RowTally, ...]
    left: int
    right: int
    answered: int
    open: int


@dataclass(frozen=True, slots=True)
class Total:
    """A score: what it is at least and at most, and the band names those ends fall into."""

    score: Score
    at_least: Decimal
    at_most: Decimal
    bands: tuple[str, str]
    answered: int


@dataclass(frozen=True, slots=True)
class Result:
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
        settled: tier and every risk level are settled.
    """

    tier: Interval
    tiers: tuple[Tier, ...]
    fired: tuple[Fired, ...]
    risks: tuple[Risk, ...]
    findings: Mapping[str, str]
    open: tuple[OpenQuestion, ...]
    contradictions: tuple[Contradiction, ...]
    tables: tuple[Tally, ...]
    totals: tuple[Total, ...]
    advice: tuple[Advice, ...]
    ignored: tuple[str, ...]
    settled: bool
