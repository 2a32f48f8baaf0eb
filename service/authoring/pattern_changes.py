"""How many answer patterns get another step, date or level in a new version, with the simplest examples.

Counts are exact: patterns are assignments of decision diagrams (`patterns.py`). They weigh every pattern
alike, and are no estimate of how many people are concerned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

import msgspec
from oxidd.bcdd import BCDDFunction as Diagram

from service.authoring.diagrams import GuidanceDiagrams
from service.authoring.editions import ORDER, between
from service.authoring.patterns import Space, plainest
from service.catalogue import Pair
from service.datatypes.answers import Answer, AnswersByLink, Coding, Quantity
from service.datatypes.form import Question
from service.guidance.cases import AUTHORED
from service.guidance.model import Outcome
from service.guidance.options import DATES
from service.guidance.result import Result

NODES = 1 << 24
"""So many nodes the diagrams may have at once; 16 bytes each."""

STEP, DATE = "step", "date"
"""What changes, beside the outcomes with their levels."""

NO_DATE = "no date"


class Count(msgspec.Struct, frozen=True):
    """How many patterns there are: exactly, in decimal digits, and as a part of all of them."""

    exact: str
    share: float

    @property
    def words(self) -> str:
        """The count for a reader, with its part of all patterns."""
        return (
            f"{short(int(self.exact))} ({self.share:.3%})" if self.share >= 1e-5 else short(int(self.exact))
        )


class ExamplePatient(msgspec.Struct, frozen=True):
    """One pattern of a change, in words, with what either version makes of it.

    Args:
        answers: what was answered, by question.
        old, new: step, date or level. old_rules, new_rules: the rules that fired for it.
        only_old, only_new: questions that only one of the versions was given the answer to.
    """

    answers: Mapping[str, str]
    old: str
    new: str
    old_rules: tuple[str, ...]
    new_rules: tuple[str, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]


class PatternChange(msgspec.Struct, frozen=True):
    """Patterns that come to something else: what they came to, what they come to now, and the plainest.

    `moved`: `higher` or `lower` for a step, `later` or `sooner` for a date; else empty.
    """

    what: str
    old: str
    new: str
    count: Count
    moved: str
    examples: tuple[ExamplePatient, ...]


class Matrix(msgspec.Struct, frozen=True):
    """What patterns come to, old by new; pairs that no pattern has are absent.

    `changed`: how many patterns come to something else.
    """

    what: str
    changed: Count
    counts: Mapping[str, Mapping[str, Count]]


class PatternChanges(msgspec.Struct, frozen=True):
    """How the answer patterns of two versions come out.

    Args:
        patterns: how many there are, in decimal digits.
        changed: those with another step, date or level.
        matrices: for the step, the date, and every outcome that both versions have.
        unmatched: questions and options that only one version has, and what is counted otherwise than asked.
        nodes: of the decision diagrams.
    """

    patterns: str
    changed: Count
    matrices: tuple[Matrix, ...]
    changes: tuple[PatternChange, ...]
    unmatched: tuple[str, ...]
    nodes: int

    def lines(self) -> Iterator[str]:
        """Yields the report for a reader."""
        yield f"answer patterns: {self.changed.words} of {short(int(self.patterns))} come out differently"
        yield from (f"  {line}" for line in _METHOD)
        yield from (f"  {note}" for note in self.unmatched)
        for matrix in self.matrices:
            if matrix.changed.exact != "0":
                yield from _lines_of_matrix(matrix)
        for change in self.changes:
            yield from _lines_of_change(change)


_METHOD = (
    "a pattern is one answer class of every question, or none: each option, each set of options of a list,",
    "each cut-off of a number and a value between any two; answers only to questions that are asked.",
    "the step is the one that is shown (the lower end); a level is told with both ends.",
    "counted exactly, by decision diagrams; every pattern weighs the same, so a share is no share of people.",
)


def pattern_changes(old: Pair, new: Pair, *, examples: int = 10, nodes: int = NODES) -> PatternChanges:
    """Returns how the answer patterns of two versions come out.

    Args:
        examples: so many of the plainest patterns of every change: those with the fewest questions answered.
        nodes: so many nodes the diagrams may have.

    Raises:
        MemoryError: more nodes are needed.
    """
    return _Comparison((old, new), nodes, examples).changes()


class _Comparison:
    def __init__(self, pairs: tuple[Pair, Pair], nodes: int, examples: int) -> None:
        self.pairs, self.examples = pairs, examples
        self.space = Space(pairs, nodes)
        self.total = self.space.count(self.space.true)
        self.diagrams = [GuidanceDiagrams(version) for version in self.space.versions]
        self.words = _Words(pairs)

    def changes(self) -> PatternChanges:
        tables = [*self._tables()]
        same = self.space.true
        matrices, changes = list[Matrix](), list[PatternChange]()
        for what, old, new in tables:
            matrix, found, kept = self._compared(what, old, new)
            matrices.append(matrix)
            changes += found
            same &= kept
        changes.sort(key=lambda change: ORDER.index(change.moved))
        return PatternChanges(
            patterns=str(self.total),
            changed=self._count(self.total - self.space.count(same)),
            matrices=tuple(matrices),
            changes=tuple(changes),
            unmatched=tuple(_unmatched(self.space)),
            nodes=self.space.manager.num_inner_nodes(),
        )

    def _tables(self) -> Iterator[tuple[str, Mapping[str, Diagram], Mapping[str, Diagram]]]:
        """Yields each thing that can change, with its diagrams in the old and in the new version."""
        old, new = self.diagrams
        yield STEP, old.steps(), new.steps()
        dates = [{_day(days): where for days, where in found.dates().items()} for found in self.diagrams]
        yield DATE, dates[0], dates[1]
        after = {outcome.code: outcome for outcome in new.guidance.written.outcomes}
        for outcome in old.guidance.written.outcomes:
            if outcome.code in after:
                yield outcome.code, _levels(old, outcome), _levels(new, after[outcome.code])

    def _compared(
        self, what: str, old: Mapping[str, Diagram], new: Mapping[str, Diagram]
    ) -> tuple[Matrix, list[PatternChange], Diagram]:
        """Returns the counts of every pair, the changes with examples, and where nothing changes."""
        space, changes, changed = self.space, list[PatternChange](), 0
        counts: dict[str, dict[str, Count]] = {}
        for was, before in old.items():
            for now, after in new.items():
                where = before & after
                found = space.count(where)
                if found:
                    counts.setdefault(was, {})[now] = self._count(found)
                if found and was != now:
                    changed += found
                    changes.append(self._change(what, (was, now), self._count(found), where))
        same = space.any([before & new[was] for was, before in old.items() if was in new])
        return Matrix(what, self._count(changed), counts), changes, same

    def _count(self, found: int) -> Count:
        return Count(str(found), float(Fraction(found, self.total)))

    def _change(self, what: str, pair: tuple[str, str], count: Count, where: Diagram) -> PatternChange:
        patterns = plainest(self.space, where, self.examples) if self.examples else ()
        moved = self._moved(what, *pair)
        return PatternChange(what, *pair, count, moved, tuple(self._example(what, one) for one in patterns))

    def _moved(self, what: str, was: str, now: str) -> str:
        if what == DATE:
            days = [10**9 if words == NO_DATE else int(words.removeprefix("day ")) for words in (was, now)]
            return "later" if days[1] > days[0] else "sooner"
        ranks = {tier.code: tier.rank for tier in self.pairs[1].guidance.written.tiers}
        if what != STEP or was not in ranks:
            return ""
        return "higher" if ranks[now] > ranks[was] else "lower"

    def _example(self, what: str, pattern: AnswersByLink) -> ExamplePatient:
        """Returns a pattern in words, with what the evaluation of either version says of it."""
        first, second = [version.answers(pattern) for version in self.space.versions]
        old, new = evaluated(self.pairs[0], first), evaluated(self.pairs[1], second)
        return ExamplePatient(
            answers={self.words.question(link): self.words.answers(link, pattern[link]) for link in pattern},
            old=said(old, what),
            new=said(new, what),
            old_rules=tuple(_rules(old, what)),
            new_rules=tuple(_rules(new, what)),
            only_old=tuple(self.words.question(link) for link in first if first[link] != second.get(link)),
            only_new=tuple(self.words.question(link) for link in second if second[link] != first.get(link)),
        )


# What the evaluation says of a pattern.


def evaluated(pair: Pair, answers: AnswersByLink) -> Result:
    """Returns the result of the answers of a pattern."""
    return pair.guidance.evaluate(pair.compiled.answers_of(answers, authored=AUTHORED))


def said(result: Result, what: str) -> str:
    """Returns the step, the date, or the level of an outcome, in the words of the counts."""
    if what == STEP:
        return result.tiers[result.tier.at_least].code
    if what == DATE:
        return _day(None if result.due is None else result.due.days)
    risk = next(risk for risk in result.risks if risk.outcome.code == what)
    return between(risk.level, risk.outcome.levels)


def _rules(result: Result, what: str) -> Iterator[str]:
    if what in (STEP, DATE):
        yield from (fired.rule.name for fired in result.fired)
    for risk in result.risks:
        if risk.outcome.code == what:
            yield from (fired.rule.name for fired in risk.fired)


def _day(days: int | None) -> str:
    return NO_DATE if days is None else f"day {days}"


def _levels(diagrams: GuidanceDiagrams, outcome: Outcome) -> dict[str, Diagram]:
    return {between(level, outcome.levels): where for level, where in diagrams.levels(outcome).items()}


# Words.


class _Words:
    """Questions and answers in the words of the newest form that has them."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._questions: dict[str, Question] = {}
        self._labels: dict[str, str] = {}
        for pair in pairs:
            written = pair.guidance.written.answer_words
            self._questions |= pair.guidance.form.questions
            self._labels |= {link: words.label for link, words in written.items() if words.label}
        self._displays = {
            (link, option.coding): option.display
            for pair in pairs
            for link, question in pair.guidance.form.questions.items()
            for option in question.options
        }

    def question(self, link_id: str) -> str:
        """Returns a question in few words, with its linkId."""
        question = self._questions[link_id]
        return f"{self._labels.get(link_id) or question.short or question.text} [{link_id}]"

    def answers(self, link_id: str, values: Iterable[Answer]) -> str:
        """Returns answers to a question."""
        return ", ".join(self._answer(link_id, value) for value in values)

    def _answer(self, link_id: str, value: Answer) -> str:
        if isinstance(value, Coding):
            return self._displays.get((link_id, value)) or value.code
        if isinstance(value, Quantity):
            return f"{_number(value.value)} {value.unit}"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, int | Decimal):
            return _number(value)
        if self._questions[link_id].type in DATES:
            days = (date.fromisoformat(AUTHORED) - date.fromisoformat(str(value))).days
            return f"{days} days before the response" if days else "on the day of the response"
        return "any text"


def _number(value: int | Decimal) -> str:
    return f"{Decimal(value):.4f}".rstrip("0").rstrip(".")


def _unmatched(space: Space) -> Iterator[str]:
    """Yields the questions and options of one version only, and what is not counted as it is asked."""
    names = ("old", "new")
    for name, version, other in zip(names, space.versions, space.versions[::-1], strict=True):
        links = [link for link in space.questions if link in version.items and link not in other.items]
        if links:
            yield f"questions of the {name} version only: {', '.join(links)}"
        options = [
            f"{link}={answer.code}"
            for link, answer in space.places
            if isinstance(answer, Coding) and link in other.items
            if version.takes(link, answer) and not other.takes(link, answer)
        ]
        if options:
            yield f"options of the {name} version only: {', '.join(options)}"
        compiled = version.pair.compiled
        asked = [link for link in space.questions if _has_expression(version.pair, link)]
        if asked:
            yield f"asked by an expression, counted as always asked ({name}): {', '.join(asked)}"
        sums = [link for link in compiled.calculates if link in space.questions]
        if sums:
            yield f"calculated by the form, counted as answered freely ({name}): {', '.join(sums)}"


def _has_expression(pair: Pair, link_id: str) -> bool:
    item = pair.compiled.items.get(link_id)
    while item is not None:
        if item.enable_expression:
            return True
        item = pair.compiled.items.get(item.parent) if item.parent is not None else None
    return False


def short(number: int) -> str:
    """Returns a number for a reader: up to 15 digits as it is, else its first digits and a power of ten."""
    if number < 10**15:
        return f"{number:,}".replace(",", " ")
    digits = str(number)
    return f"{digits[0]}.{digits[1:4]}e{len(digits) - 1}"


# The report for a reader.


def _lines_of_matrix(matrix: Matrix) -> Iterator[str]:
    columns = list(dict.fromkeys(now for row in matrix.counts.values() for now in row))
    yield ""
    yield f"{matrix.what}, old in rows and new in columns; {matrix.changed.words} come to another one"
    heads = [*matrix.counts, "old \\ new"]
    first = max(map(len, heads))
    widths = [max(len(column), 15) for column in columns]
    cells = [f"{column:>{width}}" for column, width in zip(columns, widths, strict=True)]
    yield f"  {heads[-1]:<{first}}  {'  '.join(cells)}".rstrip()
    for was, row in matrix.counts.items():
        counts = [short(int(row[column].exact)) if column in row else "-" for column in columns]
        cells = [f"{count:>{width}}" for count, width in zip(counts, widths, strict=True)]
        yield f"  {was:<{first}}  {'  '.join(cells)}"


def _lines_of_change(change: PatternChange) -> Iterator[str]:
    mark = f" ({change.moved})" if change.moved else ""
    yield ""
    yield f"{change.what}: {change.old} -> {change.new}{mark}, {change.count.words} patterns"
    for place, example in enumerate(change.examples, start=1):
        answers = "; ".join(f"{question}: {words}" for question, words in example.answers.items())
        yield f"  {place}. {answers or 'nothing answered'}"
        for name, rules in (("old", example.old_rules), ("new", example.new_rules)):
            yield f"       {name}: {', '.join(rules) or 'no rule'}"
        for name, links in (("old", example.only_old), ("new", example.only_new)):
            if links:
                yield f"       answered so in the {name} version only: {', '.join(links)}"
