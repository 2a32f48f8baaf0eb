"""Scores: sums of option weights, as intervals while questions are open.

An unanswered question adds its smallest weight to one end and its largest to the other; one that
may still be hidden may add nothing. A question that is hidden for certain adds nothing. An
answer without a weight (not sure) leaves its question between the two.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from service.guidance.answers import Answer
from service.guidance.bits import both
from service.guidance.model import Score
from service.guidance.readings import Exact, holds
from service.guidance.result import Total

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of one question: by answer, and the least and most that it can add when open."""

    link_id: str
    by_answer: Mapping[Answer, Decimal]
    least: Decimal
    most: Decimal


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

    def total(self, given: Mapping[str, tuple[Answer, ...]], closed: frozenset[str]) -> Total:
        """The sum, as known from these answers."""
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
        """The bits that the sum sets."""
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
    """What a question adds at least and at most, and whether it is known; no values: it is open."""
    if not values:
        return weights.least, weights.most, False
    known = [weights.by_answer.get(value) for value in values]
    total = ZERO
    for weight in known:
        if weight is None:
            return weights.least, weights.most, False
        total += weight
    return total, total, True
