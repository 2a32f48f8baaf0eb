"""A guidance as its mapping files write it: every entry has its shape, and names are still names.

This is the only model of the guidance. `schema.py` reads the files into it, `checks.py` checks that
every name in it exists and fits, `compile.py` makes the tables that answers are evaluated with.
Nothing here is computed from a response.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import msgspec

from service.datatypes.answers import Coding
from service.datatypes.form import Form, Question
from service.datatypes.ucum import Conversion
from service.guidance.conditions import Answered, Condition, Named, Place, links_of

Origin = str
"""`article` (from the source) or `project` (our own choice, marked so)."""


class Says(msgspec.Struct, frozen=True):
    """Wording for the two readers; either may be empty where the text is not for that reader.

    `patient_unsure` is what a patient reads where an answer of not sure made it hold; empty: the same.
    `step` belongs to addressees: what a patient reads in place of the words of a step that is for them.
    """

    patient: str
    clinician: str
    patient_unsure: str = ""
    step: str = ""

    @property
    def to_clinician(self) -> str:
        """What a clinician reads: their own words, else those for the patient."""
        return self.clinician or self.patient


# guidance.yaml: what the guidance is, its numbers, tiers, outcomes, kinds and promises.


class Identity(msgspec.Struct, frozen=True):
    """What the guidance is: named in every result (`RiskAssessment.method`).

    Args:
        slug: name of the mapping folder, or the last part of the url.
        hash: of all documents; filled in when the guidance is loaded.
        terminology: code system of its own codes: tiers, outcomes, levels.
        review: its review in words; `signed` where a name, a role and a date stand there.
        patient_title: heads what a patient reads; empty where `title` does.
        reason, reason_display: why people are asked (`RiskAssessment.reasonCode`).
        secondary_sources: texts behind choices of the project, each in a few sentences.
        reason_text: the same in words of another language; empty in English.
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
    signed: bool
    source_note: str
    terminology: str
    patient_title: str = ""
    reason: Coding | None = None
    reason_display: str = ""
    secondary_sources: tuple[str, ...] = ()
    reason_text: str = ""

    @property
    def canonical(self) -> str:
        """The `url|version` of the guidance."""
        return f"{self.url}|{self.version}"


class Parameter(msgspec.Struct, frozen=True):
    """A named number (or switch): the only place where a number of the guidance stands.

    Args:
        edge: how it cuts: `more than`, `at least`, `less than`, `at most`, or `switch`.
    """

    name: str
    value: Decimal | bool
    unit: str
    edge: str
    means: str
    origin: Origin
    sources: tuple[str, ...]


class Recheck(msgspec.Struct, frozen=True):
    """When to look again: on a day counted from when something began, or so long after the response.

    Args:
        answer: linkId of the question that says how long ago it began.
        until, otherwise: names of parameters: the day after the beginning; where that is past, the time
            after the response.
    """

    answer: str
    until: str
    otherwise: str


class Derived(msgspec.Struct, frozen=True):
    """A quantity in days that follows from answers and is compared like the answer of a question.

    Args:
        word: `days-before-authored` (of one date) or `difference` (the first minus the second).
        of: linkIds, or names of other derived quantities.
    """

    name: str
    word: str
    of: tuple[str, ...]


class ChartEntry(msgspec.Struct, frozen=True):
    """How a value from the chart answers a question.

    Args:
        date: linkId of the question that takes its date, or empty.
        conversions: of its analyte, between units that UCUM keeps apart.
        other_codes: of values of the same that were measured otherwise.
    """

    date: str
    conversions: tuple[Conversion, ...]
    other_codes: tuple[Coding, ...] = ()


NOT_ASSESSABLE: Final = "not-assessable"
"""Code of a lowest step whose words say that nothing can be said yet."""


class Tier(msgspec.Struct, frozen=True):
    """One step of the triage ladder; `rank` is its position in the file: 0 is the lowest.

    Args:
        within: the parameter that is its latest date, counted from the response; empty: it has none.
        to: the addressee whom it is for, or empty.
        overlay: it is a safety step, laid over the others: at it nobody is asked to go on answering.
        referral: the request-priority of the referral that the step asks for; empty if it asks for none.
        number: the telephone number that is printed behind its words: `emergency`, `crisis` or empty.
    """

    code: str
    rank: int
    display: str
    target: str
    says: Says
    origin: Origin
    sources: tuple[str, ...]
    within: str = ""
    to: str = ""
    recheck: Recheck | None = None
    overlay: bool = False
    referral: str = ""
    number: str = ""


class Redirect(msgspec.Struct, frozen=True):
    """A condition under which a step is for another addressee; its rank and its date stay as they are."""

    name: str
    when: Condition
    tier: str
    to: str


class Level(msgspec.Struct, frozen=True):
    """One level that outcomes share. `coding` is its risk-probability code, if it has one.

    `coding_display` is the display of that code where it is not `display`: in another language.
    """

    code: str
    display: str
    coding: Coding | None
    coding_display: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One predicted outcome.

    Args:
        levels: the codes of its levels, lowest first; the position of a level is its rank.
        listed_from: the level from which a report names the outcome; empty if it always does.
        lowest_listed: the rank of that level.
        worse: which of its levels are the worse news, `higher` or `lower`; empty if that is not said.
    """

    code: str
    display: str
    codes: tuple[Coding, ...]
    levels: tuple[str, ...]
    listed_from: str
    says: Says
    origin: Origin
    sources: tuple[str, ...]
    worse: str = ""

    lowest_listed: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Looks the rank up once: every result of every response asks for it."""
        known = self.listed_from in self.levels  # unless the names are still to be checked
        object.__setattr__(self, "lowest_listed", self.levels.index(self.listed_from) if known else 0)


class AnswerWords(msgspec.Struct, frozen=True):
    """How the answers to a question read where a result prints them: words around the value.

    `label` stands for the question, in place of its own text.
    """

    label: str = ""
    before: str = ""
    after: str = ""


class CancelledRules(msgspec.Struct, frozen=True):
    """A finding that is allowed to cancel these rules (`exceptions`); proofs leave them aside."""

    finding: str
    cancels: tuple[str, ...]


class Promise(msgspec.Struct, frozen=True):
    """What must hold for every response; which fields are filled depends on `form`.

    Args:
        form: `tier-at-least` (when, tier), `only-if` (tier, when), `never-changes-tier` (kinds),
            `never-lowers-tier` (kinds) or `never-later` (kinds).
    """

    name: str
    form: str
    tier: str = ""
    when: Condition | None = None
    kinds: tuple[str, ...] = ()


# The entries of the other files.


class Statement(msgspec.Struct, frozen=True):
    """One statement of the source, in our words. `unused` says why nothing cites it, else empty."""

    id: str
    section: str
    where: str
    claim: str
    kind: str
    unused: str


class Finding(msgspec.Struct, frozen=True):
    """A named clinical finding: present, absent or unknown for any response.

    `unsure_present`: whether an answer of not sure counts as present.
    """

    name: str
    kind: str
    means: str
    when: Condition
    unsure_present: bool
    codes: tuple[Coding, ...]
    origin: Origin
    sources: tuple[str, ...]


class Rule(msgspec.Struct, frozen=True):
    """One rule: a condition, and the tier or the level of an outcome that it fires.

    Args:
        when: None for `otherwise`. Of an outcome's rules the first that holds decides.
        tier: code of the tier that it fires, or empty.
        outcome, level: codes of the outcome and of the level that it fires, or empty.
        priority: a word that raises priority inside a tier (`expedited`), or empty.
        within, to: its own latest date (a parameter) and its own addressee; empty: those of its tier.
        shows: scores, and linkIds whose answers, that stand behind its words.
        beside: rules that say what it says and more: where one of them fired, a patient reads only that.
    """

    name: str
    kind: str
    when: Condition | None
    tier: str
    outcome: str
    level: str
    priority: str
    says: Says
    origin: Origin
    sources: tuple[str, ...]
    within: str = ""
    to: str = ""
    shows: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


class Side(msgspec.Struct, frozen=True):
    """One side of a table's row; `when` is None where nothing can match it."""

    says: str
    when: Condition | None
    sources: tuple[str, ...]


class Row(msgspec.Struct, frozen=True):
    """One row of a comparison table.

    Args:
        informs_only: why no answer can match it, else empty.
        not_done: when what it compares was not done; None if that cannot be.
    """

    name: str
    feature: str
    left: Side
    right: Side
    informs_only: str
    not_done: Condition | None = None


class Head(msgspec.Struct, frozen=True):
    """The head of a table's column: an outcome, or else a label."""

    outcome: str
    label: str


class Comparison(msgspec.Struct, frozen=True):
    """A side-by-side table; evidence laid out, never a probability and never part of a tier."""

    name: str
    title: str
    left: Head
    right: Head
    rows: tuple[Row, ...]


class Advice(msgspec.Struct, frozen=True):
    """One piece of advice; general advice, which is always shown, has no condition (`when`).

    `group` is self-care, work-up, visit, come-back, safety or information; `number` as a tier has it.
    """

    name: str
    group: str
    when: Condition | None
    says: Says
    codes: tuple[Coding, ...]
    origin: Origin
    sources: tuple[str, ...]
    number: str = ""


class Contradiction(msgspec.Struct, frozen=True):
    """Conditions that cannot all be true, and the findings that then count as present (`worse`)."""

    name: str
    between: tuple[Condition, ...]
    worse: tuple[str, ...]
    says: Says

    @property
    def names(self) -> tuple[str, ...]:
        """The finding or the linkId that each side reads."""
        return tuple(
            part.finding if isinstance(part, Named) else "".join(links_of(part, {})) for part in self.between
        )


class ScoreBand(msgspec.Struct, frozen=True):
    """One band of a score; both ends are included, and each is a number or names a parameter.

    Args:
        tier: code of the tier that the band leads to, or empty.
        level: code of the level that it gives to the outcome of its score, or empty.
    """

    name: str
    low: Decimal | str
    high: Decimal | str
    display: str
    tier: str
    level: str
    says: Says


class Addend(msgspec.Struct, frozen=True):
    """What is added to a score: the points of a question (`link_id`), or `points` while `when` is present.

    Args:
        times: what the points of the question are multiplied by.
        reversed: whether the highest answer of the question adds least.
        low, high: the least and the most that can be answered with a number; None if there are options.
    """

    link_id: str
    when: Condition | None
    points: Decimal
    times: Decimal
    reversed: bool
    low: Decimal | None
    high: Decimal | None


class Missing(msgspec.Struct, frozen=True):
    """What is reported of a score while something that it adds up is not known.

    Args:
        rule: `interval` (least and most), `refuse` (no number) or `prorate`.
        most: so many may be missing where it is prorated; beyond that there is no number.
    """

    rule: str
    most: int = 0


class Score(msgspec.Struct, frozen=True):
    """A sum, with its bands from low to high.

    Args:
        code: what it is called elsewhere (LOINC), if it has a code, with its display.
        unit: UCUM code of the total.
        outcome: code of the outcome to which its bands give a level, or empty.
        kind: of the rules that its bands make.
    """

    name: str
    display: str
    code: Coding | None
    code_display: str
    unit: str
    addends: tuple[Addend, ...]
    missing: Missing
    outcome: str
    kind: str
    bands: tuple[ScoreBand, ...]
    origin: Origin
    sources: tuple[str, ...]

    @property
    def items(self) -> tuple[str, ...]:
        """The linkIds of the questions whose own points are added."""
        return tuple(addend.link_id for addend in self.addends if addend.link_id)


class EarlierEntry(msgspec.Struct, frozen=True):
    """What the person of a worked case had answered before, on the day `authored`; `like` as in a case."""

    authored: str
    like: str
    answers: Mapping[str, Any]


class CaseEntry(msgspec.Struct, frozen=True):
    """One worked case as written: `answers`, `chart` and `expect` are still plain values.

    `authored` is the day on which the person answered; empty: a fixed one. `floor`: count its questions.
    """

    name: str
    about: str
    like: str
    status: str
    answers: Mapping[str, Any]
    chart: Mapping[str, Any]
    expect: Mapping[str, Any]
    authored: str = ""
    floor: bool = False
    earlier: tuple[EarlierEntry, ...] = ()


class Respondent(msgspec.Struct, frozen=True):
    """The question that says who answers.

    Args:
        question: its linkId.
        answers: by code of its options, what whoever answers is in FHIR: a type of resource.
    """

    question: str
    answers: Mapping[str, str]


class Written(msgspec.Struct, frozen=True):
    """All mapping files of one guidance.

    Args:
        words: option codes by alias.
        levels: the vocabulary of levels, by code.
        kinds: by kind of finding or rule, whether it is a red flag.
        addressees: whom a step or a rule can be for: their words, by name.
        redirects: in the order in which they count; the first that holds decides.
        summary: linkIds whose answers a clinician reads first, whatever fired.
        answer_words: by linkId.
        derived: quantities that follow from answers, by name.
        chart: by linkId, how values from the chart answer the question.
        respondent: who answers; None if no question says it.
        not_known: by linkId, the answers by which nothing was found out: in an earlier response the question,
            and what it then hides, is open.
    """

    identity: Identity
    words: Mapping[str, str]
    parameters: Mapping[str, Parameter]
    tiers: tuple[Tier, ...]
    levels: Mapping[str, Level]
    outcomes: tuple[Outcome, ...]
    kinds: Mapping[str, bool]
    exceptions: tuple[CancelledRules, ...]
    promises: tuple[Promise, ...]
    statements: tuple[Statement, ...]
    findings: tuple[Finding, ...]
    rules: tuple[Rule, ...]
    comparisons: tuple[Comparison, ...]
    advice: tuple[Advice, ...]
    contradictions: tuple[Contradiction, ...]
    scores: tuple[Score, ...]
    cases: tuple[CaseEntry, ...]
    addressees: Mapping[str, Says] = msgspec.field(default_factory=dict)
    redirects: tuple[Redirect, ...] = ()
    summary: tuple[str, ...] = ()
    answer_words: Mapping[str, AnswerWords] = msgspec.field(default_factory=dict)
    derived: Mapping[str, Derived] = msgspec.field(default_factory=dict)
    chart: Mapping[str, ChartEntry] = msgspec.field(default_factory=dict)
    respondent: Respondent | None = None
    not_known: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)

    @property
    def charted(self) -> frozenset[str]:
        """The questions that values from the chart answer, and those that take the dates of such values."""
        return frozenset(self.chart) | {entry.date for entry in self.chart.values() if entry.date}

    def conversions(self, link_id: str) -> tuple[Conversion, ...]:
        """Returns the conversions between units for the analyte that a question asks for."""
        entry = self.chart.get(link_id)
        return () if entry is None else entry.conversions

    def ladder(self, outcome: Outcome) -> tuple[Level, ...]:
        """Returns the levels of an outcome, lowest first."""
        return tuple(self.levels[code] for code in outcome.levels)

    def heading(self, head: Head) -> str:
        """Returns the words over a column: its label, or the display of its outcome."""
        displays = {outcome.code: outcome.display for outcome in self.outcomes}
        return head.label or displays[head.outcome]

    def number(self, end: Decimal | str) -> Decimal:
        """Returns one end of a band: the number itself, or that of the parameter it names."""
        return end if isinstance(end, Decimal) else Decimal(self.parameters[end].value)

    def days_of(self, rule: Rule) -> int | None:
        """Returns the latest date of a rule in days after the response: its own, else that of its tier."""
        within = rule.within or next((tier.within for tier in self.tiers if tier.code == rule.tier), "")
        return int(self.parameters[within].value) if within else None

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
        yield from self._conditions_of_scores()
        yield from self._conditions_of_comparisons()
        for contradiction in self.contradictions:
            for index, part in enumerate(contradiction.between):
                yield "contradictions.yaml", (contradiction.name, "between", index), part
        yield from self._conditions_of_guidance()

    def _conditions_of_guidance(self) -> Iterator[tuple[str, Place, Condition]]:
        for redirect in self.redirects:
            yield "guidance.yaml", ("redirects", redirect.name, "when"), redirect.when
        for promise in self.promises:
            if promise.when is not None:
                key = "only-if" if promise.form == "only-if" else "when"
                yield "guidance.yaml", ("promises", promise.name, key), promise.when

    def _conditions_of_scores(self) -> Iterator[tuple[str, Place, Condition]]:
        for score in self.scores:
            for index, addend in enumerate(score.addends):
                if addend.when is not None:
                    yield "scores.yaml", (score.name, "sum-of", index, "when"), addend.when

    def _conditions_of_comparisons(self) -> Iterator[tuple[str, Place, Condition]]:
        for comparison in self.comparisons:
            for row in comparison.rows:
                for key, side in (("left", row.left), ("right", row.right)):
                    if side.when is not None:
                        yield "comparisons.yaml", (comparison.name, row.name, key, "when"), side.when
                if row.not_done is not None:
                    yield "comparisons.yaml", (comparison.name, row.name, "not-done"), row.not_done


# Answers that do not fit the others: what is said about them where no author has written it.

UNFIT: Final = Says(
    "Your answer to \u201c{question}\u201d does not fit what else we know. Where it makes a difference, "
    "we counted the more serious one. Please check your answers.",
    "An answer to \u201c{question}\u201d does not fit the other answers or the chart: the question was "
    "closed, or the chart says otherwise. Where it makes a difference, the worse one is counted.",
)


def unfit_answers(form: Form, words: Says = UNFIT) -> tuple[Contradiction, ...]:
    """Returns the contradictions that need no author: one for each question, in form order.

    They are about an answer to a question that other answers close, or a value from the chart beside
    another answer; the worse answer counts.

    Args:
        form: whose questions these are.
        words: for each reader, around `{question}`.
    """
    return tuple(_unfit(question, words) for question in form.questions.values())


def _unfit(question: Question, words: Says) -> Contradiction:
    says = Says(*(text.format(question=question.text) for text in (words.patient, words.clinician)))
    return Contradiction(f"unfit-{question.link_id}", (Answered(question.link_id),), (), says)
