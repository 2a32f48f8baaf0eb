"""The mapping files after reading: every entry has its shape, no name is resolved yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from service.datatypes.answers import Coding
from service.guidance.conditions import Condition, Place
from service.guidance.model import Advice, Parameter, Says, Statement


@dataclass(frozen=True, slots=True)
class TierDraft:
    """One tier of guidance.yaml; the position in the file is its rank."""

    name: str
    display: str
    target: str
    says: Says
    origin: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LevelDraft:
    """One level of the shared vocabulary of levels."""

    display: str
    coding: Coding | None


@dataclass(frozen=True, slots=True)
class OutcomeDraft:
    """One outcome; `listed_from` is a level's name, or empty when it is always listed."""

    name: str
    display: str
    codes: tuple[Coding, ...]
    levels: tuple[str, ...]
    listed_from: str
    says: Says
    origin: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindingDraft:
    """One finding; `unsure_present` says that an answer of not sure counts as present."""

    name: str
    kind: str
    means: str
    when: Condition
    unsure_present: bool
    codes: tuple[Coding, ...]
    origin: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """One rule; it fires a tier, or a level of an outcome; `when` is None for `otherwise`."""

    name: str
    kind: str
    when: Condition | None
    tier: str
    outcome: str
    level: str
    priority: str
    says: Says
    origin: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SideDraft:
    """One side of a table's row; `when` is None where nothing can match it."""

    says: str
    when: Condition | None
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RowDraft:
    """One row of a table."""

    name: str
    feature: str
    left: SideDraft
    right: SideDraft
    informs_only: str


@dataclass(frozen=True, slots=True)
class HeadDraft:
    """The head of a table's column: an outcome, or else a label."""

    outcome: str
    label: str


@dataclass(frozen=True, slots=True)
class TableDraft:
    """One table of comparisons.yaml."""

    name: str
    title: str
    left: HeadDraft
    right: HeadDraft
    rows: tuple[RowDraft, ...]


@dataclass(frozen=True, slots=True)
class AdviceDraft:
    """One piece of advice and the condition under which it is shown, if there is one."""

    name: str
    advice: Advice
    when: Condition | None

    @property
    def sources(self) -> tuple[str, ...]:
        """The statements it rests on."""
        return self.advice.sources


@dataclass(frozen=True, slots=True)
class ContradictionDraft:
    """Conditions that cannot all be true, and the findings that then count as present."""

    name: str
    between: tuple[Condition, ...]
    worse: tuple[str, ...]
    says: Says


@dataclass(frozen=True, slots=True)
class BandDraft:
    """One band of a score; an end is a number or the name of a parameter."""

    name: str
    low: Decimal | str
    high: Decimal | str
    display: str


@dataclass(frozen=True, slots=True)
class ScoreDraft:
    """One score."""

    name: str
    display: str
    items: tuple[str, ...]
    bands: tuple[BandDraft, ...]
    origin: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExceptionDraft:
    """A finding that is allowed to cancel these rules; proofs leave them aside."""

    finding: str
    cancels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PromiseDraft:
    """What must hold for every response; which fields are filled depends on `form`.

    Args:
        form: `tier-at-least` (when, tier), `only-if` (tier, when), `never-changes-tier` (kinds) or
            `never-lowers-tier` (kinds).
    """

    name: str
    form: str
    tier: str = ""
    when: Condition | None = None
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseDraft:
    """One worked case as written: `answers`, `chart` and `expect` are still plain values."""

    name: str
    about: str
    like: str
    status: str
    answers: Mapping[str, Any]
    chart: Mapping[str, Any]
    expect: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HeaderDraft:
    """What guidance.yaml says of the guidance as a whole; `words` are option words by alias."""

    identity: Mapping[str, Any]
    words: Mapping[str, str]
    terminology: str
    parameters: Mapping[str, Parameter]
    tiers: tuple[TierDraft, ...]
    levels: Mapping[str, LevelDraft]
    outcomes: tuple[OutcomeDraft, ...]
    kinds: Mapping[str, bool]
    exceptions: tuple[ExceptionDraft, ...]
    promises: tuple[PromiseDraft, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """All mapping files of one guidance."""

    header: HeaderDraft
    statements: tuple[Statement, ...]
    findings: tuple[FindingDraft, ...]
    rules: tuple[RuleDraft, ...]
    tables: tuple[TableDraft, ...]
    advice: tuple[AdviceDraft, ...]
    contradictions: tuple[ContradictionDraft, ...]
    scores: tuple[ScoreDraft, ...]
    cases: tuple[CaseDraft, ...]

    def conditions(self) -> Iterator[tuple[str, Place, Condition]]:
        """Yields every condition with the file and the place where it stands."""
        for finding in self.findings:
            yield "findings.yaml", (finding.name, "when"), finding.when
        for rule in self.rules:
            if rule.when is not None:
                yield "rules.yaml", (rule.name, "when"), rule.when
        for advice in self.advice:
            if advice.when is not None:
                yield "advice.yaml", (advice.name, "when"), advice.when
        yield from self._of_tables()
        for contradiction in self.contradictions:
            for index, part in enumerate(contradiction.between):
                yield "contradictions.yaml", (contradiction.name, "between", index), part
        for promise in self.header.promises:
            if promise.when is not None:
                key = "only-if" if promise.form == "only-if" else "when"
                yield "guidance.yaml", ("promises", promise.name, key), promise.when

    def _of_tables(self) -> Iterator[tuple[str, Place, Condition]]:
        for table in self.tables:
            for row in table.rows:
                for side, half in (("left", row.left), ("right", row.right)):
                    if half.when is not None:
                        yield "comparisons.yaml", (table.name, row.name, side, "when"), half.when
