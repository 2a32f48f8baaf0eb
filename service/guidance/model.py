"""Answers that do not fit the others: what is said about them where no author has written it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from service.datatypes.answers import Coding
from service.datatypes.form import Form, Question

# The guidance as it was written: the words of the mapping files, checked and frozen.
#
# Nothing here is computed from a response. `compile.py` turns it into tables of bits,
# `evaluate.py` reads answers with those tables.

Origin = str
"""`article` (from the source) or `project` (our own choice, marked so)."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of the source, in our words. `unused` says why nothing cites it, else empty."""

    id: str
    section: str
    claim: str
    kind: str
    where: str = ""
    unused: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named number (or switch): the only place where a number of the guidance stands.

    Args:
        edge: how it cuts: `more than`, `at least`, `less than`, `at most`, or `switch`.
    """

    name: str
    value: Decimal | bool
    unit: str
    means: str
    origin: Origin
    sources: tuple[str, ...]
    edge: str = ""


@dataclass(frozen=True, slots=True)
class Says:
    """Wording for the two readers; either may be empty where the text is not for that reader."""

    patient: str
    clinician: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A named clinical finding: present, absent or unknown for any response."""

    name: str
    kind: str
    means: str
    codes: tuple[Coding, ...]
    origin: Origin
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tier:
    """One step of the triage ladder; `rank` 0 is the lowest."""

    code: str
    rank: int
    display: str
    target: str
    says: Says
    origin: Origin
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """One risk level; `rank` 0 is the lowest. `coding` is its risk-probability code, if it has one."""

    code: str
    rank: int
    display: str
    coding: Coding | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One predicted outcome with its ladder of levels.

    Args:
        always_listed: False for outcomes that are reported only from `listed_from` upward.
    """

    code: str
    display: str
    codes: tuple[Coding, ...]
    levels: tuple[Level, ...]
    always_listed: bool
    listed_from: int
    says: Says
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a condition on findings, and the tier or the risk level that it fires.

    Args:
        order: position in the file; for risk levels the first rule that holds decides.
        tier: rank of the tier it fires, or None.
        outcome, level: code of the outcome and rank of the level it fires, or None.
        priority: a word that raises priority inside a tier (`expedited`), or empty.
        reads: linkIds that its condition can read, in form order.
    """

    name: str
    order: int
    kind: str
    tier: int | None
    outcome: str | None
    level: int | None
    priority: str
    says: Says
    origin: Origin
    sources: tuple[str, ...]
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a comparison table. `informs_only` says why no answer can match it, else empty."""

    name: str
    feature: str
    left: str
    right: str
    left_sources: tuple[str, ...]
    right_sources: tuple[str, ...]
    informs_only: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A side-by-side table; evidence laid out, never a probability and never part of a tier."""

    name: str
    title: str
    left: str
    right: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """One piece of advice; `group` is self-care, work-up, come-back, safety or information."""

    name: str
    group: str
    order: int
    says: Says
    codes: tuple[Coding, ...]
    origin: Origin
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two answers that cannot both be true; the worse one is scored."""

    name: str
    between: tuple[str, ...]
    says: Says


@dataclass(frozen=True, slots=True)
class ScoreBand:
    """One band of a score; `low` and `high` are both included."""

    name: str
    low: Decimal
    high: Decimal
    display: str


@dataclass(frozen=True, slots=True)
class Score:
    """A sum of option weights over questions, with its bands from low to high."""

    name: str
    display: str
    items: tuple[str, ...]
    bands: tuple[ScoreBand, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """What the guidance is: named in every result (`RiskAssessment.method`).

    Args:
        terminology: code system of its own codes: tiers, outcomes, rules, rows, findings.
    """

    slug: str
    url: str
    version: str
    hash: str
    title: str
    status: str
    date: str
    questionnaire: str
    code: Coding
    code_display: str
    intended_use: Says
    review: str
    source_note: str
    terminology: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """The whole guidance as written."""

    identity: Identity
    statements: Mapping[str, Statement]
    parameters: Mapping[str, Parameter]
    findings: Mapping[str, Finding]
    tiers: tuple[Tier, ...]
    outcomes: tuple[Outcome, ...]
    rules: tuple[Rule, ...]
    comparisons: tuple[Comparison, ...]
    advice: tuple[Advice, ...]
    contradictions: tuple[Contradiction, ...]
    scores: tuple[Score, ...]


def unfit_answers(form: Form) -> tuple[Contradiction, ...]:
    """The contradictions that need no author, one for each question, in form order; the worse answer counts.

    An answer to a question that other answers close, or a value from the chart beside another answer.
    """
    return tuple(_unfit(question) for question in form.questions.values())


def _unfit(question: Question) -> Contradiction:
    patient = (
        f"Your answer to \u201c{question.text}\u201d does not fit what else we know. We counted the more "
        "serious one. Please check your answers."
    )
    clinician = (
        f"An answer to \u201c{question.text}\u201d does not fit the other answers or the chart: the question "
        "was closed, or the chart says otherwise. The worse one is counted."
    )
    return Contradiction(f"unfit-{question.link_id}", (question.link_id,), Says(patient, clinician))
