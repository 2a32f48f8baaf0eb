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
from operator import ge, gt, le, lt
from types import MappingProxyType
from typing import Any, NamedTuple

from service.datatypes.answers import Answer, Coding, Quantity
from service.datatypes.form import Question
from service.datatypes.ucum import converted
from service.guidance.bits import both, intersection, possible_bits, union
from service.guidance.conditions import Answered, Is, Measured
from service.guidance.graph import Atom
from service.guidance.model import Written
from service.guidance.options import (
    CHOICES,
    PLAIN,
    codings_of,
    units_of,
    unsure_codings,
)

# One table per question.

BEYOND: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {"more than": gt, "at least": ge, "less than": lt, "at most": le}
)
"""The comparison of each edge: of a value with a threshold."""

Exact = Decimal | Fraction
Contribution = tuple[int, int]
"""The bits that the answers to a question set, and the question (a mask of questions)."""

Tests = tuple[tuple[Atom, int], ...]
"""The atoms that test one question, each with the *certain* bits that it sets."""


class Cut(NamedTuple):
    """One comparison: the bits it sets when it holds, and (value, unit) of its parameters."""

    sets: int
    edge: str
    parameters: tuple[tuple[Exact, str], ...]


class Scale(NamedTuple):
    """The cut points of one unit, ascending, and the mask of each case.

    Cases alternate: below the first point, on it, between it and the next ...; `masks` has
    2 * len(points) + 1 entries.
    """

    points: tuple[Exact, ...]
    masks: tuple[int, ...]

    def mask(self, value: Decimal | int) -> int:
        """Returns the mask of the case in which `value` lies."""
        return self.masks[bisect_left(self.points, value) + bisect_right(self.points, value)]

    def mask_of_range(self, edge: Decimal, comparator: str) -> int:
        """Returns what is known of a value on one side of `edge`, which may lie in several cases."""
        left, right = bisect_left(self.points, edge), bisect_right(self.points, edge)
        end = len(self.masks) - 1
        cases = {
            "<": (0, 2 * left),
            "<=": (0, left + right),
            ">=": (left + right, end),
            ">": (2 * right, end),
        }
        return self.over(*cases[comparator])

    def over(self, first: int, last: int) -> int:
        """Returns the mask of a value that lies in one of these cases, both ends included."""
        reached = self.masks[first : last + 1]
        return intersection(reached) | possible_bits(union(reached))

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
    a number or a range by its scale, and a text or coding that no option knows counts as answered with
    all options possible, for it may mean the same as one of them.
    """

    __slots__ = ("_cuts", "_otherwise", "_scales", "bit", "question", "unanswered", "unsure")

    def __init__(self, question: Question, place: int, tests: Tests, written: Written) -> None:
        answered = both(union(sets for atom, sets in tests if isinstance(atom.test, Answered)))
        options = tuple((atom, atom.test, sets) for atom, sets in tests if isinstance(atom.test, Is))
        super().__init__(_by_answer(question, options, answered, written.words))
        self.question = question
        self.bit = 1 << place
        """The bit of this question in masks of questions."""
        self.unanswered = union(sets for _, sets in tests) << 1
        """What is possible while the question is open."""
        self.unsure = frozenset(unsure_codings(question, written.words))
        """The options that mean not sure."""
        self._otherwise = answered | union(sets for _, _, sets in options) << 1
        self._cuts = tuple(
            _cut(atom.test, sets, written) for atom, sets in tests if isinstance(atom.test, Measured)
        )
        units = {PLAIN, *question.units, *(unit for cut in self._cuts for _, unit in cut.parameters)}
        self._scales = {unit: self.scale(unit) for unit in sorted(units)} if self._cuts else {}

    def __missing__(self, value: Answer) -> int:
        if isinstance(value, Quantity):
            scale = self._scale(value.unit)
            if value.comparator:
                return scale.mask_of_range(value.value, value.comparator)
            return scale.mask(value.value)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return self._scale(PLAIN).mask(value)
        return self._otherwise | union(cut.sets for cut in self._cuts) << 1

    def scale(self, unit: str) -> Scale:
        """Returns the scale of one unit; what has no comparable parameter is unknown on all of it."""
        return scale_of(self._cuts, unit, self._otherwise)

    def cases(self) -> Iterator[tuple[str, Answer | None, int]]:
        """Yields all that can be answered: words for it, the answer where it is one of a list, its bits."""
        for answer, mask in self.items():
            yield (answer.code if isinstance(answer, Coding) else str(answer).lower()), answer, mask
        if not self._cuts:
            if self.question.type not in ("choice", "boolean") or self.question.numbers:
                yield "any answer", None, self._otherwise
            return
        for unit in units_of(self.question) or self._scales:
            scale = self.scale(unit)
            for words, mask in zip(scale.words(unit), scale.masks, strict=True):
                yield words, None, mask

    def ranges(self) -> Iterator[tuple[str, int]]:
        """Yields every range that a quantity with a comparator can be: words for it, and its bits."""
        for unit in (units_of(self.question) or self._scales) if self._cuts else ():
            scale = self.scale(unit)
            last = len(scale.masks) - 1
            for case, words in enumerate(scale.words(unit)):
                yield f"a range that ends at {words}", scale.over(0, case)
                yield f"a range that begins at {words}", scale.over(case, last)

    def _scale(self, unit: str) -> Scale:
        scale = self._scales.get(unit)
        return self.scale(unit) if scale is None else scale


def scale_of(cuts: Iterable[Cut], unit: str, always: int) -> Scale:
    """Returns the scale of one unit; a cut with no comparable parameter stays unknown on all of it."""
    thresholds: list[tuple[Cut, Exact]] = []
    for cut in cuts:
        threshold = _threshold(cut, unit)
        if threshold is None:
            always |= cut.sets << 1
        else:
            thresholds.append((cut, threshold))
    points = tuple(sorted({threshold for _, threshold in thresholds}))
    masks = []
    for case in range(2 * len(points) + 1):
        held = union(
            cut.sets for cut, threshold in thresholds if _holds(cut.edge, case, points.index(threshold))
        )
        masks.append(always | both(held))
    return Scale(points, tuple(masks))


def holds(edge: str, value: Exact | int, threshold: Exact) -> bool:
    """Whether `value` lies beyond the threshold: `more than`, `at least`, `less than` or `at most` it."""
    return bool(BEYOND[edge](value, threshold))


def _holds(edge: str, case: int, point: int) -> bool:
    """Whether a case of a scale lies beyond a point: case 2k + 1 is point k itself."""
    return holds(edge, case, Decimal(2 * point + 1))


def _threshold(cut: Cut, unit: str) -> Exact | None:
    for value, own_unit in cut.parameters:
        threshold = converted(value, own_unit, unit)
        if threshold is not None:
            return _decimal(threshold)
    return None


def _decimal(value: Fraction) -> Exact:
    """Returns the number as a Decimal where it has finitely many digits (compares faster), else itself."""
    digits = Decimal(value.numerator) / Decimal(value.denominator)
    return digits if Fraction(digits) == value else value


def _cut(test: Measured, sets: int, written: Written) -> Cut:
    parameters = [written.parameters[name] for name in test.parameters]
    values = tuple((Decimal(parameter.value), parameter.unit) for parameter in parameters)
    return Cut(sets, parameters[0].edge, values)


def _by_answer(
    question: Question, tests: tuple[tuple[Atom, Is, int], ...], answered: int, words: Mapping[str, str]
) -> dict[Answer, int]:
    if question.type == "boolean":
        return {
            value: answered | union(both(sets) for _, test, sets in tests if value in test.words)
            for value in (False, True)
        }
    if question.type not in CHOICES:
        return {}
    unsure = unsure_codings(question, words)
    table: dict[Answer, int] = {}
    for option in question.options:
        is_unsure = option.coding in unsure
        mask = answered
        for atom, test, sets in tests:
            named = any(option.coding in codings_of(question, str(word), words) for word in test.words)
            if named or (is_unsure and atom.unsure_present):
                mask |= both(sets)
            elif is_unsure:
                mask |= sets << 1
        table[option.coding] = mask
    return table


class AnswerTables(dict[tuple[str, tuple[Answer, ...]], Contribution | None]):
    """What one question's answers contribute, by (linkId, answers); None where they set nothing.

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
        mask = 0
        for value in values:
            mask |= table[value]
        return _contribution(mask, table) if values else (table.unanswered, 0)


def _contribution(mask: int, table: AnswerTable) -> Contribution | None:
    return (mask, table.bit) if mask else None
