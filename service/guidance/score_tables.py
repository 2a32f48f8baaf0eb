"""From answers to the sum of a score: one table for each score.

A score is a sum of points, as an interval while questions are open. An unanswered question adds its
fewest points to one end and its most to the other; one that may still be hidden may add nothing. A
question that is hidden for certain adds nothing. An answer without points (not sure) leaves its
question between the two; in a list it is about the options that are not ticked. Of several values of
the chart for a question that takes one, nobody knows which one holds. A condition adds its points where
it is present, and may add them while it is unknown.

Rules read this interval, whatever is reported: a number that is prorated decides nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from service.datatypes.answers import Answer, AnswersByLink
from service.guidance.answer_tables import Exact, holds
from service.guidance.bits import PRESENT, UNKNOWN, both
from service.guidance.checks import Checked
from service.guidance.conditions import InBand, Scored
from service.guidance.graph import Test
from service.guidance.model import Parameter, Score
from service.guidance.result import Total
from service.guidance.scores import ZERO, Weights, smallest_step, weights_of


class ScoreTable(msgspec.Struct, frozen=True):
    """One score.

    Args:
        conditions: (node, points) of what is added while a condition is present.
        reads: its questions, as a mask of questions.
        step: one unit of the last decimal place of a sum.
        floors: the lowest value of each band, ascending.
        bands: per atom on a band: the *certain* bits it sets, and the positions of its bands.
        cuts: per atom on a threshold: the *certain* bits it sets, its edge and threshold.
    """

    score: Score
    weights: tuple[Weights, ...]
    conditions: tuple[tuple[int, Decimal], ...]
    reads: int
    step: Decimal
    floors: tuple[Decimal, ...]
    bands: tuple[tuple[int, frozenset[int]], ...]
    cuts: tuple[tuple[int, str, Exact], ...]

    def total(self, given: AnswersByLink, closed: frozenset[str], bits: int) -> Total:
        """Returns the sum, as known from these answers and from the bits of its conditions."""
        least = most = known = ZERO
        answered = missing = 0
        for weights in self.weights:
            values = given.get(weights.link_id, ())
            if not values and weights.link_id in closed:
                continue
            added = points_added(weights, values)
            low, high = added or (weights.least, weights.most)
            if added is not None and low == high:
                answered += 1
                known += low
            else:
                missing += 1
                least += low
                most += high
        for node, points in self.conditions:
            state = bits >> 2 * node & 3
            known += points if state == PRESENT else ZERO
            least += min(points, ZERO) if state == UNKNOWN else ZERO
            most += max(points, ZERO) if state == UNKNOWN else ZERO
            missing += state == UNKNOWN
            answered += state != UNKNOWN
        return self._total(known + least, known + most, (known, answered, missing))

    def _total(self, least: Decimal, most: Decimal, counted: tuple[Decimal, int, int]) -> Total:
        known, answered, missing = counted
        bands = self.score.bands
        is_prorated = 0 < missing <= self.score.missing.most and answered > 0
        return Total(
            score=self.score,
            at_least=least,
            at_most=most,
            bands=(bands[self._band(least)].name, bands[self._band(most)].name),
            answered=answered,
            missing=missing,
            value=self._prorated(known, answered, missing) if is_prorated else None if missing else known,
            estimated=is_prorated,
        )

    def _prorated(self, known: Decimal, answered: int, missing: int) -> Decimal:
        """Returns the sum as if the missing questions had the average of the others."""
        return (known * (answered + missing) / answered).quantize(self.step, ROUND_HALF_UP)

    def mask(self, total: Total) -> int:
        """Returns the bits that the sum sets."""
        reached = range(self._band(total.at_least), self._band(total.at_most) + 1)
        mask = 0
        for sets, wanted in self.bands:
            if wanted.issuperset(reached):
                mask |= both(sets)
            elif not wanted.isdisjoint(reached):
                mask |= sets << 1
        for sets, edge, threshold in self.cuts:
            ends = holds(edge, total.at_least, threshold), holds(edge, total.at_most, threshold)
            mask |= (sets if all(ends) else 0) | (sets << 1 if any(ends) else 0)
        return mask

    def _band(self, value: Decimal) -> int:
        return max(bisect_right(self.floors, value) - 1, 0)


def points_added(weights: Weights, values: Iterable[Answer]) -> tuple[Decimal, Decimal] | None:
    """Returns the least and the most that a question adds with these answers; None if it is as good as open.

    An option counts once, however often it is given.
    """
    found = {value: weights.points(value) for value in values}
    known = [points for points in found.values() if points is not None]
    if not known or (len(known) < len(found) and not weights.of_ticks):
        return None
    if not weights.several:
        return min(known), max(known)
    total = sum(known, ZERO)
    if len(known) == len(found):
        return total, total
    rest = [points for answer, points in weights.by_answer.items() if answer not in found]
    low, high = (sum((end(points, ZERO) for points in rest), total) for end in (min, max))
    return low, high


# How a table is made.

Tests = Iterable[tuple[Test, int]]
"""All tests of the guidance, each with the *certain* bits that it sets."""


def score_table(
    score: Score, checked: Checked, *, tests: Tests, nodes: Iterable[int], reads: int
) -> ScoreTable:
    """Returns the table of a score.

    Args:
        nodes: of its conditions, in order.
        reads: its questions, as a mask of questions.
    """
    written, form = checked.written, checked.form
    conditions = [addend for addend in score.addends if addend.when is not None]
    named = [(test, sets) for test, sets in tests if isinstance(test, InBand | Scored)]
    own = [(test, sets) for test, sets in named if test.score == score.name]
    names = [band.name for band in score.bands]
    return ScoreTable(
        score=score,
        weights=tuple(
            weights_of(addend, form.questions[addend.link_id]) for addend in score.addends if addend.link_id
        ),
        conditions=tuple((node, addend.points) for node, addend in zip(nodes, conditions, strict=True)),
        reads=reads,
        step=smallest_step(score, form),
        floors=tuple(written.number(band.low) for band in score.bands),
        bands=tuple(
            (sets, frozenset(names.index(band) for band in test.bands))
            for test, sets in own
            if isinstance(test, InBand)
        ),
        cuts=tuple(
            (sets, *_threshold(written.parameters[test.parameter]))
            for test, sets in own
            if isinstance(test, Scored)
        ),
    )


def _threshold(parameter: Parameter) -> tuple[str, Decimal]:
    return parameter.edge, Decimal(parameter.value)
