"""What `compile.py` makes and `evaluate.py` reads: dates, masks, programs and ready-made parts of results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import msgspec

from service.datatypes.answers import UNREAD, Answer, Answers, AnswersByLink, Days, Quantity, Unread
from service.datatypes.days import ANY_DAYS, day_of, days_before
from service.datatypes.ucum import converted
from service.guidance.answer_tables import AnswerTables
from service.guidance.bits import Program
from service.guidance.model import Advice, Comparison, Contradiction, Outcome, Rule, Tier
from service.guidance.options import DAY
from service.guidance.result import Due, Fired, Interval, Risk, RowTally
from service.guidance.score_tables import ScoreTable

# Dates: days before the response was written, and quantities derived from them.
#
# A quantity with a comparator is a stretch of days, as a partial date is. Differences are exact.


class DerivedQuantity(msgspec.Struct, frozen=True):
    """A derived quantity, ready to be calculated.

    Args:
        of: one date, or two quantities of which the second is taken from the first.
        sources: linkIds of the questions that it follows from.
        units: the unit of a plain number, by linkId of those that have one.
    """

    name: str
    of: tuple[str, ...]
    sources: frozenset[str]
    units: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DatesRead:
    """What a guidance reads of dates.

    Args:
        links: linkIds of its questions for a date.
        derived: the derived quantities, each after those that it follows from.
        shut_by: by linkId of a question, the quantities that follow from it.
    """

    links: frozenset[str]
    derived: tuple[DerivedQuantity, ...]
    shut_by: Mapping[str, frozenset[str]] = field(init=False, repr=False)
    _sources: frozenset[str] = field(init=False, repr=False)
    _may_be_undated: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Lays out once what every response asks for: for most of them there is nothing to work out."""
        sources = frozenset().union(*[derived.sources for derived in self.derived])
        shut_by = {
            link_id: frozenset(derived.name for derived in self.derived if link_id in derived.sources)
            for link_id in sources
        }
        undated = any(self.links.isdisjoint(derived.sources) for derived in self.derived)
        object.__setattr__(self, "shut_by", shut_by)
        object.__setattr__(self, "_sources", sources)
        object.__setattr__(self, "_may_be_undated", undated)

    def in_days(self, answers: Answers) -> Answers:
        """Returns the answers with each date as days before the response was written."""
        if self.links.isdisjoint(answers.given) and not answers.ignored and not answers.chart:
            return answers
        stated = answers.given, answers.ignored, answers.chart
        given, ignored, chart = [self._in_days(part, answers.authored) for part in stated]
        return Answers(given, answers.closed, ignored, chart, answers.authored, answers.earlier)

    def _in_days(self, answers: AnswersByLink, authored: str) -> AnswersByLink:
        if self.links.isdisjoint(answers):
            return answers
        day = day_of(authored)
        found = dict(answers)
        for link_id in self.links.intersection(answers):
            found[link_id] = tuple(
                days_before(value, day) if isinstance(value, str) else value for value in answers[link_id]
            )
        return found

    def derive(self, given: AnswersByLink, closed: frozenset[str]) -> tuple[AnswersByLink, frozenset[str]]:
        """Returns the answers with the derived ones, and the closed questions with the derived ones.

        Args:
            given: answers that count, dates as days. closed: linkIds that are not asked for certain.
        """
        shut = (self._sources & closed).difference(given)
        if shut:
            closed = closed.union(*[self.shut_by[link_id] for link_id in shut])
        if self._may_be_undated or not self.links.isdisjoint(given):
            return {**given, **self._derived(given)}, closed
        return given, closed

    def exact(self, given: AnswersByLink) -> Iterator[str]:
        """Yields the questions behind what is derived whose answer is one number of days."""
        for derived in self.derived:
            for name in derived.sources.intersection(derived.of, given):
                days = [_as_days(value, derived.units.get(name, "")) for value in given[name]]
                if len(days) == 1 and isinstance(days[0], Days) and days[0].low == days[0].high is not None:
                    yield name

    def _derived(self, given: AnswersByLink) -> AnswersByLink:
        found: dict[str, tuple[Answer, ...]] = {}
        for derived in self.derived:
            if derived.sources <= given.keys():
                parts = [given[name] if name in given else found[name] for name in derived.of]
                found[derived.name] = tuple(_worked_out(derived, parts))
        return found


def _worked_out(derived: DerivedQuantity, parts: list[tuple[Answer, ...]]) -> Iterable[Answer]:
    """Yields the quantity for each combination of the answers that it is derived from."""
    spans = [
        [_as_days(value, derived.units.get(name, "")) for value in values]
        for name, values in zip(derived.of, parts, strict=True)
    ]
    if len(spans) == 1:
        return dict.fromkeys(spans[0])
    return dict.fromkeys(_difference(first, second) for first in spans[0] for second in spans[1])


def _as_days(value: Answer, unit: str) -> Days | Unread:
    """Returns an answer as days; one that cannot be counted in days may be any number of them."""
    if isinstance(value, Days | Unread):
        return value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        value = Quantity(Decimal(value), unit)
    if not isinstance(value, Quantity):
        return ANY_DAYS
    edge = converted(value.value, unit if value.unit == "1" and unit else value.unit, DAY)
    if edge is None:
        return ANY_DAYS
    if value.comparator in ("<", "<="):
        return Days(None, edge, is_high_open=value.comparator == "<")
    if value.comparator in (">", ">="):
        return Days(edge, None, is_low_open=value.comparator == ">")
    return Days(edge, edge)


def _difference(first: Days | Unread, second: Days | Unread) -> Days | Unread:
    """Subtracts the second from the first; an end is open if it is open in either."""
    if isinstance(first, Unread) or isinstance(second, Unread):
        return UNREAD
    low = None if first.low is None or second.high is None else first.low - second.high
    high = None if first.high is None or second.low is None else first.high - second.low
    return Days(
        low,
        high,
        low is not None and (first.is_low_open or second.is_high_open),
        high is not None and (first.is_high_open or second.is_low_open),
    )


class RuleTable(msgspec.Struct, frozen=True):
    """A rule, its node, and the rank that it fires (of the tier or of the level).

    Args:
        unprompted: says that it fired where no answer made it hold (`otherwise`).
        due: its latest date and its addressee; None if it has no date.
    """

    rule: Rule
    node: int
    rank: int
    unprompted: Fired
    due: Due | None = None


class DateTable(NamedTuple):
    """The rules of the tier with one latest date, and those with an earlier one (*certain* bits)."""

    rules: int
    earlier: int


class RedirectTable(NamedTuple):
    """A redirect: its *certain* bit, the rules whose addressee it changes (*certain* bits), and to whom."""

    bit: int
    rules: int
    to: str


class RecheckTable(NamedTuple):
    """When to look again: days after something began, else days after the response."""

    answer: str
    until: int
    otherwise: int


class RuleBlock(msgspec.Struct, frozen=True):
    """All rules, in the order of their nodes, which are neighbours: first those of the tier.

    Their bits are read from 0 on (`bits >> start`): rule n has the *certain* bit 2n.

    Args:
        start: where the bits of the block start.
        rules: highest tier first, then with priority, then in file order; after them the rules of
            each outcome in file order.
        tier: the *certain* bits of the tier's rules.
        dates: by latest date, the earliest first.
        dated: the *certain* bits of rules with a date.
        by_tier: by rank, the *certain* bits of the rules that fire that tier.
        redirects: in the order in which they count.
        redirected: their bits, among those of all nodes.
    """

    start: int
    rules: tuple[RuleTable, ...]
    tier: int
    dates: tuple[DateTable, ...]
    dated: int
    by_tier: tuple[int, ...]
    redirects: tuple[RedirectTable, ...]
    redirected: int

    @property
    def tier_rules(self) -> tuple[RuleTable, ...]:
        """The rules of the tier."""
        return self.rules[: self.tier.bit_count()]


class OutcomeTable(msgspec.Struct, frozen=True):
    """An outcome; bits are those of the rule block.

    Args:
        rules: in the order in which they decide.
        certain: the *certain* bits of its rules.
        conditional: the *possible* bits of all but the last, which says otherwise.
        by_level: the *certain* bits of its conditional rules for each level.
        settled: by level, the interval of that level alone.
        otherwise: the risk where no conditional rule can hold.
    """

    outcome: Outcome
    rules: tuple[RuleTable, ...]
    certain: int
    conditional: int
    by_level: tuple[int, ...]
    settled: tuple[Interval, ...]
    otherwise: Risk


class ContradictionTable(msgspec.Struct, frozen=True):
    """A contradiction, its node, and the *certain* bits that its worse findings set.

    Args:
        parts: the nodes of what contradicts.
        all: their *possible* bits; it is possible while all of them are set.
        reads: the answers that it reads directly, as a mask of questions.
        doubts: the bits that it sets where it counts as a not sure about its worse findings.
    """

    contradiction: Contradiction
    node: int
    parts: tuple[int, ...]
    all: int
    sets: int
    reads: int
    doubts: int


class Denial(NamedTuple):
    """What an earlier response may have denied: the node of the condition, and both bits that this sets."""

    now: int
    sets: int


class WorseTable(NamedTuple):
    """What answers that do not fit the others may change: a result only gets worse by them.

    Args:
        atoms: the *certain* bits of the atoms by which answers make a rule hold that alarms.
        alarming: both bits of the rules that make a result worse: of the tier, and for a level worse than
            otherwise.
        calming: both bits of the other rules of outcomes that say which of their levels are worse.
        overlay: both bits of the rules of a safety step.
    """

    atoms: int
    alarming: int
    calming: int
    overlay: int


COUNT_BITS = 16
"""Width of one count in `ComparisonTable.counts`."""


class ComparisonTable(msgspec.Struct, frozen=True):
    """A table: where the bits of its rows start, a mask of them from 0 on, and the states.

    Both `tallies` and `counts` are by row and by the byte of its bits; the first byte is the lowest.

    Args:
        tallies: each row in its state.
        counts: what it adds to the counts: left, right, answered, open and not done, in parts of
            `COUNT_BITS`, the first lowest.
    """

    comparison: Comparison
    start: int
    mask: int
    tallies: tuple[tuple[RowTally, ...], ...]
    counts: tuple[tuple[int, ...], ...]


class AdviceTable(msgspec.Struct, frozen=True):
    """Advice: where its bits start, and which of them shows which piece.

    Args:
        conditional: from 0 on, the *certain* bit of each piece with a condition (the *possible*
            bit for safety advice).
        precautions: of those, the *possible* bits.
        by_bit: the piece of each bit: every piece twice.
        general: advice without a condition.
    """

    start: int
    conditional: int
    precautions: int
    by_bit: tuple[Advice, ...]
    general: tuple[Advice, ...]


class Ladders(msgspec.Struct, frozen=True):
    """Bits that advice reads off the result.

    Args:
        at_least, at_most: by rank of that end of the tier.
        levels: of the outcomes that advice reads: position of the outcome, and bits by rank.
    """

    at_least: tuple[int, ...]
    at_most: tuple[int, ...]
    levels: tuple[tuple[int, tuple[int, ...]], ...]


class NodeSupport(msgspec.Struct, frozen=True):
    """What one node stands on. An atom stands on itself; `any` under `any` is flattened.

    Args:
        frontier: *certain* bits through which answers make the node present: its own, and those of
            the parts of all and count.
        plain: whether its own bit is all that reasons need.
        through: whether answers reach it through the bits of its parts (all and count).
        steps: *certain* bits of the all, none and count nodes that reach the node through `any`.
        absence: for `none`, the questions that anything below it reads, as a mask; else 0.
        atoms: of each atom among its parts the place of its *certain* bit, and the questions that it reads.
        deep: its other parts.
    """

    plain: bool
    through: bool
    frontier: int
    steps: int
    absence: int
    atoms: tuple[tuple[int, int], ...]
    deep: tuple[int, ...]


class Support(msgspec.Struct, frozen=True):
    """For reasons and open questions: what every node stands on.

    Args:
        of_node: by node.
        reads: by node, the questions that an atom reads, as a mask of questions; 0 for the rest.
        red_flags: questions that a finding or rule of a red-flag kind reads, as a mask.
        certain: the *certain* bits of all nodes.
        below: of each rule, both bits of its node and of all that it stands on.
    """

    of_node: tuple[NodeSupport, ...]
    reads: tuple[int, ...]
    red_flags: int
    certain: int
    below: Mapping[int, int]


class Compiled(msgspec.Struct, frozen=True):
    """The whole guidance as tables.

    Args:
        answers: from what is answered to bits.
        links: every question that counts, and every derived quantity.
        answered: the masks of questions that stand for what is answered to one of `links`.
        dates: what it reads of dates.
        unsure: the bit that any answer sets that is unsure.
        bit_of: its bit in masks of questions, by linkId.
        questions: linkIds in the order of the bits of such masks (form order).
        single: by bit of a question, its linkId alone.
        enabled_by: by place, the questions whose answers decide whether this one is asked.
        conditional: the questions for which there are such questions.
        always: bits of conditions that hold for every response.
        worse: what answers that do not fit may change.
        closure: by node, the *certain* bits that its own bit sets.
        unfit: by linkId, the contradiction of an answer that does not fit the others.
        ignored_bits: bits of atoms that also read answers to questions that are not asked.
        add: program for the conditions that add points to scores.
        clashing: the *possible* bits of contradictions.
        denials: what earlier responses may have denied; by node of the atom that asks that.
        detect, derive, advise: programs for contradictions, for findings and rules, for advice.
        rechecks: by rank of the tier, when to look again; None if it does not say.
        findings: by name, where its bits stand; `lasting` without those that nothing but an earlier response
            can make hold.
    """

    answers: AnswerTables
    links: frozenset[str]
    answered: frozenset[int]
    dates: DatesRead
    unsure: int
    bit_of: Mapping[str, int]
    questions: tuple[str, ...]
    single: Mapping[int, tuple[str, ...]]
    enabled_by: tuple[int, ...]
    conditional: int
    always: int
    worse: WorseTable
    closure: tuple[int, ...]
    unfit: Mapping[str, Contradiction]
    ignored_bits: int
    add: Program
    clashing: int
    denials: Mapping[int, Denial]
    detect: Program
    derive: Program
    advise: Program
    tiers: tuple[Tier, ...]
    rechecks: tuple[RecheckTable | None, ...]
    block: RuleBlock
    outcomes: tuple[OutcomeTable, ...]
    contradictions: tuple[ContradictionTable, ...]
    findings: Mapping[str, int]
    lasting: Mapping[str, int]
    comparisons: tuple[ComparisonTable, ...]
    advice: AdviceTable
    ladders: Ladders
    scores: tuple[ScoreTable, ...]
    support: Support
