"""The sums of scores as formulas: every way in which an answer has points.

Points of conditions are no part of it: those follow from the values of nodes (`encoding.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from operator import itemgetter
from typing import NamedTuple

import z3

from service.guidance.answer_tables import AnswerTable, Exact
from service.guidance.options import PLAIN
from service.guidance.score_tables import ScoreTable
from service.guidance.scores import ZERO, Line, Weights
from service.proofs.answer_space import AnswerSpace

Ends = tuple[z3.ArithRef, z3.ArithRef]
"""The least and the most that a score can be."""


class Sum(NamedTuple):
    """What the questions of a score add at least and at most, and what holds between the variables.

    Args:
        parts: by linkId, what one question adds at least and at most.
    """

    ends: Ends
    rules: tuple[z3.BoolRef, ...]
    parts: Mapping[str, Ends]


class _Added(NamedTuple):
    """What one question adds: whether that is unknown, and at least and at most how much where it is not."""

    unknown: z3.BoolRef
    ends: Ends
    rules: tuple[z3.BoolRef, ...] = ()


def number(value: Exact | int) -> z3.RatNumRef:
    """Returns a number of the guidance as one of the solver."""
    return z3.RealVal(str(value))


def total_of(table: ScoreTable, spaces: Mapping[str, AnswerSpace]) -> Sum:
    """Returns the sum of the questions of a score."""
    parts, rules = dict[str, Ends](), list[z3.BoolRef]()
    for weights in table.weights:
        added = _added(weights, spaces[weights.link_id])
        least, most = added.ends
        least = z3.If(added.unknown, number(weights.least), least)
        parts[weights.link_id] = least, z3.If(added.unknown, number(weights.most), most)
        rules += added.rules
    low, high = (z3.Sum([number(0), *(part[end] for part in parts.values())]) for end in (0, 1))
    return Sum((low, high), tuple(rules), parts)


def _added(weights: Weights, space: AnswerSpace) -> _Added:
    held = space.by_answer.items()
    known = [(holds, weights.by_answer[answer]) for answer, holds in held if answer in weights.by_answer]
    unweighed = [holds for answer, holds in held if answer not in weights.by_answer]
    others = _of_numbers(weights, space)
    unknown = z3.Or([*unweighed, others.unknown])
    if weights.of_ticks:
        ticked = z3.Or([holds for holds, _ in known])
        ends = _ticked(known, unknown, min), _ticked(known, unknown, max)
        return _Added(z3.Or(space.open, z3.And(unknown, z3.Not(ticked))), ends)
    low, high = others.ends
    if weights.several:
        parts = [z3.If(holds, number(points), number(0)) for holds, points in known]
        ends = z3.Sum([low, *parts]), z3.Sum([high, *parts])
    else:
        known.sort(key=itemgetter(1))
        ends = _last(known[::-1], low), _last(known, high)
    return _Added(z3.Or(space.open, unknown), ends, others.rules)


def _ticked(
    known: Iterable[tuple[z3.BoolRef, Decimal]],
    unknown: z3.BoolRef,
    end: Callable[[Decimal, Decimal], Decimal],
) -> z3.ArithRef:
    """Returns an end of what ticked options add; while it is unknown, the others may be ticked as well."""
    parts = [
        z3.If(holds, number(points), z3.If(unknown, number(end(points, ZERO)), number(0)))
        for holds, points in known
    ]
    return z3.Sum([number(0), *parts])


def _last(known: Iterable[tuple[z3.BoolRef, Decimal]], otherwise: z3.ArithRef) -> z3.ArithRef:
    """Returns the points of the last of these options that is chosen."""
    found = otherwise
    for holds, points in known:
        found = z3.If(holds, number(points), found)
    return found


def _of_numbers(weights: Weights, space: AnswerSpace) -> _Added:
    """Returns the points of answers that are not options: those of a number by its value, else none."""
    coded = [holds.get_id() for holds in space.by_answer.values()]
    others = [answer for answer in space.answers if answer.holds.get_id() not in coded]
    given = z3.Or([answer.holds for answer in others])
    known = [(answer, points) for answer, points in weights.by_answer.items() if isinstance(answer, int)]
    if weights.line is None and not known:
        return _Added(given, (number(0), number(0)))
    value, is_range = _variable(space.table), z3.Bool(f"{weights.link_id} is a range")
    rules = [
        z3.Implies(answer.holds, z3.Or(is_range, _within(space.table, answer.mask, value)))
        for answer in others
    ]
    outside, points = _on_the_line(weights.line, value) if weights.line else _by_number(known, value)
    unknown, added = z3.And(given, z3.Or(is_range, outside)), z3.If(given, points, number(0))
    return _Added(unknown, (added, added), tuple(rules))


def _on_the_line(line: Line, value: z3.ArithRef) -> tuple[z3.BoolRef, z3.ArithRef]:
    """Returns whether a number lies outside the range, and what it adds inside."""
    low, high, factor, offset = map(number, line)
    return z3.Or(value < low, value > high), offset + factor * value


def _by_number(known: list[tuple[int, Decimal]], value: z3.ArithRef) -> tuple[z3.BoolRef, z3.ArithRef]:
    """Returns whether a number is none of the options, and what it adds as one of them."""
    outside = z3.And([value != number(option) for option, _ in known])
    return outside, z3.Sum(
        [z3.If(value == number(option), number(added), number(0)) for option, added in known]
    )


def _variable(table: AnswerTable) -> z3.ArithRef:
    """Returns the number that is answered; the same in every score."""
    name = f"{table.question.link_id} value"
    return z3.Real(name) if table.question.type == "decimal" else z3.ToReal(z3.Int(name))


def _within(table: AnswerTable, mask: int, value: z3.ArithRef) -> z3.BoolRef:
    """Whether a number lies in one of the cases of its question that set these bits."""
    scale = table.scale(PLAIN)
    return z3.Or([_case(scale.points, case, value) for case, sets in enumerate(scale.masks) if sets == mask])


def _case(points: tuple[Exact, ...], case: int, value: z3.ArithRef) -> z3.BoolRef:
    """Whether a number lies in one case of a scale: 2k + 1 is point k itself, 2k lies below it."""
    place = case // 2
    if case % 2:
        return value == number(points[place])
    above = [value > number(points[place - 1])] if place > 0 else []
    below = [value < number(points[place])] if place < len(points) else []
    return z3.And(above + below)
