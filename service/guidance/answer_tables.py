"""From answers to bits: a table for each question.

The answers of a question fall into finitely many cases: its options, or for a number the points
and open intervals that the parameters cut. Each case has its mask, made once at load; the proofs
use the same cases. A range (a quantity with a comparator) may lie in several of them: a condition is
present where it holds in each, possible where it holds in one, and absent where it holds in none.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import combinations
from operator import ge, gt, le, lt
from types import MappingProxyType
from typing import Any, NamedTuple

from service.datatypes.answers import Answer, Coding, Days, Quantity, Unread
from service.datatypes.form import Question
from service.datatypes.ucum import Conversion, brought_to
from service.guidance.bits import both, intersection, union
from service.guidance.conditions import Answered, Is, Measured
from service.guidance.graph import ABSENT, ASKED, PRESENT, UNKNOWN, Atom, Test
from service.guidance.model import Written
from service.guidance.options import CHOICES, DATES, DAY, PLAIN, codings_of, units_of, unsure_codings

# One table per question.

BEYOND: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {"more than": gt, "at least": ge, "less than": lt, "at most": le}
)
"""The comparison of each edge: of a value with a threshold."""

Exact = Decimal | Fraction
_NUMBERS = (int, Decimal)
Contribution = tuple[int, int]
"""The bits that the answers to a question set, and the question (a mask of questions)."""

Tests = tuple[tuple[Atom, int], ...]
"""The atoms that test one question, each with the *certain* bits that it sets."""


class Verdict(NamedTuple):
    """What is answered to the tests of a question, each a mask of tests; the rest is absent.

    Args:
        present: an answer fits. undecided: there is an answer, and it does not decide.
        unread: there is only something that cannot be read, as if the question were open.
    """

    present: int
    undecided: int = 0
    unread: int = 0

    def beside(self, other: Verdict) -> Verdict:
        """Returns the verdict of both answers together: one that fits decides, whatever the other is."""
        present = self.present | other.present
        undecided = (self.undecided | other.undecided) & ~present
        return Verdict(present, undecided, (self.unread | other.unread) & ~(present | undecided))


class Meaning(NamedTuple):
    """The bits of one test, by what is answered to it."""

    present: int
    undecided: int
    unread: int


class Cut(NamedTuple):
    """One comparison: its test (a mask of tests), (value, unit) of its parameters, and what converts them."""

    test: int
    edge: str
    parameters: tuple[tuple[Exact, str], ...]
    conversions: tuple[Conversion, ...] = ()


class Scale(NamedTuple):
    """The cut points of one unit, ascending, and what is answered in each case.

    Cases alternate: below the first point, on it, between it and the next ...; `cases` has
    2 * len(points) + 1 entries.
    """

    points: tuple[Exact, ...]
    cases: tuple[Verdict, ...]
    masks: tuple[int, ...]

    def mask(self, value: Decimal | int) -> int:
        """Returns the mask of the case in which `value` lies."""
        return self.masks[bisect_left(self.points, value) + bisect_right(self.points, value)]

    def case(self, value: Exact | int) -> int:
        """Returns the case in which `value` lies."""
        return bisect_left(self.points, value) + bisect_right(self.points, value)

    def over(self, first: int, last: int) -> Verdict:
        """Returns the verdict on a value that lies in one of these cases, both ends included."""
        reached = self.cases[first : last + 1]
        present = intersection(case.present for case in reached)
        some = union(case.present | case.undecided for case in reached)
        return Verdict(present, some & ~present)

    def words(self, unit: str) -> list[str]:
        """Returns words for each case, such as `21 d` and `more than 21 d`."""
        if not self.points:
            return [f"any number in {unit}"]
        words = [f"less than {self.points[0]} {unit}"]
        for point, after in zip(self.points, (*self.points[1:], None), strict=True):
            below = "" if after is None else f" and less than {after}"
            words += [f"{point} {unit}", f"more than {point}{below} {unit}"]
        return words


class AnswerTable(dict[Answer, int]):
    """The bits that an answer of one question sets, by answer; it looks up like any mapping.

    The options of the question, or true and false, stand in it. Any other answer is worked out:
    a number or a range by its scale, and a text or coding that no option knows counts as answered and
    decides nothing, for it may mean the same as one of them.

    Args:
        question: whose answers; of a derived quantity, what it is like.
        reads: the question, or those that the quantity follows from, as a mask of questions.
        tests: the atoms that test it.
        written: what the mapping files say.
        unsure_bit: what any answer sets that leaves a test undecided, or that is a not sure.
    """

    __slots__ = (
        "_answered",
        "_asked",
        "_cuts",
        "_is_charted",
        "_meanings",
        "_scales",
        "_sure",
        "_tests",
        "_unsure_bit",
        "bit",
        "is_derived",
        "numbers",
        "question",
        "takes_several",
        "unanswered",
        "verdicts",
    )

    def __init__(
        self, question: Question, reads: int, tests: Tests, written: Written, *, unsure_bit: int = 0
    ) -> None:
        numbers: dict[Test, int] = {}
        for atom, _ in tests:
            numbers.setdefault(atom.test, 1 << len(numbers))
        self.question = question
        self.numbers = numbers
        """By test, its bit in masks of tests."""
        self._is_charted = question.link_id in written.charted
        self.takes_several = question.repeats or self._is_charted
        """Whether there may be several answers at once: its own, or values of one moment in the chart."""
        self.is_derived = question.link_id in written.derived
        """Whether it follows from answers to other questions; nobody is asked for it."""
        self.bit = reads
        """The question, or those that it is derived from, in masks of questions."""
        self.unanswered = union(sets for _, sets in tests) << 1
        """What is possible while the question is open."""
        self._meanings = tuple(_meaning(tests, test) for test in numbers)
        self._answered = union(bit for test, bit in numbers.items() if isinstance(test, Answered))
        self._tests = union(numbers.values())
        self._asked = both(union(sets for atom, sets in tests if atom.undecided == ASKED))
        self._cuts = tuple(
            _cut(test, bit, written) for test, bit in numbers.items() if isinstance(test, Measured)
        )
        units = {PLAIN, *question.units, *(unit for cut in self._cuts for _, unit in cut.parameters)}
        self.verdicts = _by_answer(question, numbers, self._answered, written.words)
        """What each option (or true and false) answers."""
        self._unsure_bit = unsure_bit
        super().__init__((answer, self.mask_of(verdict)) for answer, verdict in self.verdicts.items())
        unsure = unsure_codings(question, written.words)
        for answer in self.keys() & set(unsure):
            self[answer] |= unsure_bit
        self._sure = {
            answer: self.mask_of(_if_sure(verdict, is_unsure=answer in unsure))
            for answer, verdict in self.verdicts.items()
            if answer in unsure or verdict.undecided
        }
        self._scales = {unit: self.scale(unit) for unit in sorted(units)} if self._cuts else {}

    def __missing__(self, value: Answer) -> int:
        if isinstance(value, _NUMBERS) and not isinstance(value, bool):
            return self._scale(PLAIN).mask(value)
        if isinstance(value, Quantity) and not value.comparator:
            return self._scale(value.unit).mask(value.value)
        return self.mask_of(self._verdict(value))

    def of(self, values: tuple[Answer, ...]) -> int:
        """Returns the bits that several answers together set."""
        if len(values) == 1:
            return self[values[0]]
        mask = 0
        for value in values:
            mask |= self[value]
        if mask & self._asked:
            return self.mask_of(self.verdict(values))
        return mask

    def is_unsure(self, values: tuple[Answer, ...]) -> bool:
        """Whether one of several answers is "not sure", or leaves a test undecided."""
        for value in values:
            if value in self._sure or (value not in self and self._verdict(value).undecided):
                return True
        return False

    def of_sure(self, values: tuple[Answer, ...]) -> int:
        """Returns the bits that the answers set, had each that is unsure left unknown what it is about."""
        mask = 0
        for value in values:
            known = self._sure.get(value)
            mask |= self.mask_of(_if_sure(self._verdict(value))) if known is None else known
        return mask

    def verdict(self, values: Iterable[Answer]) -> Verdict:
        """Returns the verdict of several answers on the tests."""
        return reduce(Verdict.beside, map(self._verdict, values))

    def mask_of(self, verdict: Verdict) -> int:
        """Returns the bits that a verdict sets."""
        mask = self._unsure_bit if verdict.undecided else 0
        for place, meaning in enumerate(self._meanings):
            for tests, sets in zip(verdict, meaning, strict=True):
                if tests >> place & 1:
                    mask |= sets
        return mask

    def scale(self, unit: str) -> Scale:
        """Returns the scale of one unit; what has no comparable parameter is undecided on all of it."""
        is_option_test = self._tests & ~(self._answered | union(cut.test for cut in self._cuts))
        points, cases = cases_of(self._cuts, unit, Verdict(self._answered, is_option_test))
        return Scale(points, cases, tuple(map(self.mask_of, cases)))

    def cases(self) -> Iterator[tuple[str, Answer | None, Verdict]]:
        """Yields all that can be answered: words for it, the answer where it is an option, its verdict."""
        if self._is_charted:
            yield "something that cannot be read", None, Verdict(0, 0, self._tests)
        for answer, verdict in self.verdicts.items():
            yield (answer.code if isinstance(answer, Coding) else str(answer).lower()), answer, verdict
        if not self._cuts:
            if self.question.type not in ("choice", "boolean") or self.question.numbers:
                yield "any answer", None, self._undecided()
            return
        for unit in units_of(self.question) or self._scales:
            scale = self.scale(unit)
            for words, verdict in zip(scale.words(unit), scale.cases, strict=True):
                yield words, None, verdict

    def ranges(self) -> Iterator[tuple[str, Verdict]]:
        """Yields every range that an answer can be: words for it, and its verdict.

        A quantity with a comparator has one end; a date, and what is derived from one, may have two.
        """
        has_two_ends = self.is_derived or self.question.type in DATES
        for unit in (units_of(self.question) or self._scales) if self._cuts else ():
            scale = self.scale(unit)
            words, last = scale.words(unit), len(scale.cases) - 1
            for case, ends in enumerate(words):
                yield f"a range that ends at {ends}", scale.over(0, case)
                yield f"a range that begins at {ends}", scale.over(case, last)
            for first, end in combinations(range(last + 1), 2) if has_two_ends else ():
                yield f"a range from {words[first]} to {words[end]}", scale.over(first, end)

    def _undecided(self) -> Verdict:
        return Verdict(self._answered, self._tests & ~self._answered)

    def _verdict(self, value: Answer) -> Verdict:
        """Returns the verdict of one answer on the tests."""
        known = self.verdicts.get(value)
        if known is not None:
            return known
        if isinstance(value, Unread):
            return Verdict(self._answered, 0, self._tests & ~self._answered)
        if isinstance(value, Days):
            scale = self._scale(DAY)
            return scale.over(*_cases_of_days(scale, value))
        if isinstance(value, Quantity):
            scale = self._scale(value.unit)
            return scale.over(*_cases_of_quantity(scale, value))
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            scale = self._scale(PLAIN)
            return scale.cases[scale.case(value)]
        return self._undecided()

    def _scale(self, unit: str) -> Scale:
        scale = self._scales.get(unit)
        return self.scale(unit) if scale is None else scale


def _if_sure(verdict: Verdict, *, is_unsure: bool = False) -> Verdict:
    """Returns the verdict of an answer as if it said nothing about the tests that it leaves undecided."""
    present, undecided, unread = verdict
    kept = 0 if is_unsure else present
    return Verdict(kept, 0, present ^ kept | undecided | unread)


def _meaning(tests: Tests, test: Test) -> Meaning:
    by_undecided = dict.fromkeys((UNKNOWN, PRESENT, ABSENT, ASKED), 0)
    for atom, sets in tests:
        if atom.test == test:
            by_undecided[atom.undecided] |= sets
    counts, asked = by_undecided[PRESENT], by_undecided[ASKED]
    held = by_undecided[UNKNOWN] | counts | by_undecided[ABSENT]
    return Meaning(
        present=both(held),
        undecided=both(counts | asked) | by_undecided[UNKNOWN] << 1,
        unread=(held | asked) << 1,
    )


def _cases_of_quantity(scale: Scale, value: Quantity) -> tuple[int, int]:
    """Returns the first and the last case in which a quantity can lie."""
    left, right = bisect_left(scale.points, value.value), bisect_right(scale.points, value.value)
    end = len(scale.cases) - 1
    cases = {
        "": (left + right, left + right),
        "<": (0, 2 * left),
        "<=": (0, left + right),
        ">=": (left + right, end),
        ">": (2 * right, end),
    }
    return cases[value.comparator]


def _cases_of_days(scale: Scale, days: Days) -> tuple[int, int]:
    """Returns the first and the last case in which a stretch of days can lie."""
    first, last = 0, len(scale.cases) - 1
    if days.low is not None:
        first = 2 * bisect_right(scale.points, days.low) if days.is_low_open else scale.case(days.low)
    if days.high is not None:
        last = 2 * bisect_left(scale.points, days.high) if days.is_high_open else scale.case(days.high)
    return first, last


def cases_of(
    cuts: Iterable[Cut], unit: str, otherwise: Verdict
) -> tuple[tuple[Exact, ...], tuple[Verdict, ...]]:
    """Returns the cut points of one unit, and what is answered in each case.

    Args:
        cuts: comparisons; one with no comparable parameter is undecided in every case.
        unit: of the number that is answered.
        otherwise: what every number says to the other tests.
    """
    thresholds: list[tuple[Cut, Exact]] = []
    undecided = otherwise.undecided
    for cut in cuts:
        threshold = _threshold(cut, unit)
        if threshold is None:
            undecided |= cut.test
        else:
            thresholds.append((cut, threshold))
    points = tuple(sorted({threshold for _, threshold in thresholds}))
    verdicts = []
    for case in range(2 * len(points) + 1):
        held = union(
            cut.test for cut, threshold in thresholds if _holds(cut.edge, case, points.index(threshold))
        )
        verdicts.append(Verdict(otherwise.present | held, undecided))
    return points, tuple(verdicts)


def holds(edge: str, value: Exact | int, threshold: Exact) -> bool:
    """Whether `value` lies beyond the threshold: `more than`, `at least`, `less than` or `at most` it."""
    return bool(BEYOND[edge](value, threshold))


def _holds(edge: str, case: int, point: int) -> bool:
    """Whether a case of a scale lies beyond a point: case 2k + 1 is point k itself."""
    return holds(edge, case, Decimal(2 * point + 1))


def _threshold(cut: Cut, unit: str) -> Exact | None:
    for value, own_unit in cut.parameters:
        threshold = brought_to(value, own_unit, unit, cut.conversions)
        if threshold is not None:
            return _decimal(threshold)
    return None


def _decimal(value: Fraction) -> Exact:
    """Returns the number as a Decimal where it has finitely many digits (compares faster), else itself."""
    digits = Decimal(value.numerator) / Decimal(value.denominator)
    return digits if Fraction(digits) == value else value


def _cut(test: Measured, bit: int, written: Written) -> Cut:
    parameters = [written.parameters[name] for name in test.parameters]
    values = tuple((Decimal(parameter.value), parameter.unit) for parameter in parameters)
    return Cut(bit, parameters[0].edge, values, written.conversions(test.link_id))


def _by_answer(
    question: Question, numbers: Mapping[Test, int], answered: int, words: Mapping[str, str]
) -> dict[Answer, Verdict]:
    tests = [(test, bit) for test, bit in numbers.items() if isinstance(test, Is)]
    if question.type == "boolean":
        return {
            value: Verdict(answered | union(bit for test, bit in tests if value in test.words))
            for value in (False, True)
        }
    if question.type not in CHOICES:
        return {}
    unsure = unsure_codings(question, words)
    verdicts: dict[Answer, Verdict] = {}
    for option in question.options:
        present, undecided = answered, 0
        for test, bit in tests:
            if any(option.coding in codings_of(question, str(word), words) for word in test.words):
                present |= bit
            elif option.coding in unsure:
                undecided |= bit
        verdicts[option.coding] = Verdict(present, undecided)
    return verdicts


class AnswerTables(dict[tuple[str, tuple[Answer, ...]], Contribution | None]):
    """What one question's answers contribute, by (linkId, answers); None if they set nothing.

    Single answers that the tables know stand in it; anything else is worked out.
    """

    __slots__ = ("by_link",)

    def __init__(self, by_link: Mapping[str, AnswerTable]) -> None:
        super().__init__(
            ((link_id, (value,)), _contribution(mask, table))
            for link_id, table in by_link.items()
            for value, mask in table.items()
        )
        self.by_link = by_link

    def __missing__(self, answered: tuple[str, tuple[Answer, ...]]) -> Contribution | None:
        link_id, values = answered
        table = self.by_link.get(link_id)
        if table is None:
            return None
        return _contribution(table.of(values), table) if values else (table.unanswered, 0)


class KnownAnswers(AnswerTables):
    """The same for responses that are much alike: each answer is worked out once."""

    __slots__ = ("_tables",)

    def __init__(self, tables: AnswerTables) -> None:
        super().__init__({})
        self.by_link = tables.by_link
        self._tables = tables

    def __missing__(self, answered: tuple[str, tuple[Answer, ...]]) -> Contribution | None:
        found = self[answered] = self._tables[answered]
        return found


def _contribution(mask: int, table: AnswerTable) -> Contribution | None:
    return (mask, table.bit) if mask else None
