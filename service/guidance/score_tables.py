"""From answers to the sum of a score: one table for each score.

A score is a sum of option weights, as an interval while questions are open. An unanswered question
adds its smallest weight to one end and its largest to the other; one that may still be hidden may
add nothing. A question that is hidden for certain adds nothing. An answer without a weight (not
sure) leaves its question between the two.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from service.datatypes.answers import Answer, AnswersByLink
from service.datatypes.form import Form
from service.guidance.answer_tables import Exact, holds
from service.guidance.bits import both
from service.guidance.conditions import InBand, Scored
from service.guidance.graph import Test
from service.guidance.model import Parameter, Score, Written
from service.guidance.result import Total
from service.guidance.scores import ZERO, Weights, weights_of


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """One score.

    Args:
        reads: its questions, as a mask of questions.
        floors: the lowest value of each band, ascending.
        bands: per atom on a band: the *certain* bits it sets, and the positions of its bands.
        cuts: per atom on a threshold: the *certain* bits it sets, its edge and threshold.
    """

    score: Score
    weights: tuple[Weights, ...]
    reads: int
    floors: tuple[Decimal, ...]
    bands: tuple[tuple[int, frozenset[int]], ...]
    cuts: tuple[tuple[int, str, Exact], ...]

    def total(self, given: AnswersByLink, closed: frozenset[str]) -> Total:
        """Returns the sum, as known from these answers."""
        least = most = ZERO
        answered = 0
        for weights in self.weights:
            values = given.get(weights.link_id, ())
            if not values and weights.link_id in closed:
                continue
            low, high, known = _added(weights, values)
            least += low
            most += high
            answered += known
        names = self.score.bands[self._band(least)].name, self.score.bands[self._band(most)].name
        return Total(self.score, least, most, names, answered)

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


def _added(weights: Weights, values: tuple[Answer, ...]) -> tuple[Decimal, Decimal, bool]:
    """Returns what a question adds at least and at most, and whether it is known; no values: it is open."""
    if not values:
        return weights.least, weights.most, False
    known = [weights.by_answer.get(value) for value in values]
    total = ZERO
    for weight in known:
        if weight is None:
            return weights.least, weights.most, False
        total += weight
    return total, total, True


# How a table is made.

Tests = Iterable[tuple[Test, int]]
"""All tests of the guidance, each with the *certain* bits that it sets."""


def score_table(score: Score, written: Written, form: Form, *, tests: Tests, reads: int) -> ScoreTable:
    """Returns the table of a score; `reads` holds its questions, as a mask of questions."""
    named = [(test, sets) for test, sets in tests if isinstance(test, InBand | Scored)]
    own = [(test, sets) for test, sets in named if test.score == score.name]
    names = [band.name for band in score.bands]
    return ScoreTable(
        score=score,
        weights=tuple(weights_of(form.questions[link_id]) for link_id in score.items),
        reads=reads,
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
