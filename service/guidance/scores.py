"""Scores: sums over answers, with bands. Their shape in scores.yaml, what must be right, what answers add.

`score_tables.py` makes the tables that answers are added up with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from service.datatypes.answers import Answer
from service.datatypes.form import Form, Question
from service.datatypes.ucum import comparable, unit
from service.guidance.conditions import Place, Scored, walk
from service.guidance.faults import Fault, not_in_the_questionnaire
from service.guidance.fields import ListOf, Name, Number, Part, Shape, Sourced, Text, Word
from service.guidance.model import Parameter, Score, ScoreBand, Written
from service.guidance.options import PLAIN

ZERO = Decimal(0)

_FILE = "scores.yaml"

# The shape of an entry of scores.yaml.


class EndField(Number):
    """One end of a band: a number, or `{parameter: name}`."""

    expected = "expected a number, or {parameter: name}"

    def _takes(self, value: Any) -> bool:
        return super()._takes(value) or (
            isinstance(value, dict) and set(value) == {"parameter"} and isinstance(value["parameter"], str)
        )

    def _read(self, value: Any) -> Any:
        return value["parameter"] if isinstance(value, dict) else super()._read(value)


class BandShape(Shape):
    """One band of a score; both ends are included."""

    makes = ScoreBand

    name = Name(required=True, data_key="band")
    low = EndField(required=True, data_key="from")
    high = EndField(required=True, data_key="to")
    display = Text(required=True)


class ScoreShape(Sourced):
    """One score."""

    makes = Score

    name = Name(required=True, data_key="score")
    display = Text(required=True)
    items = ListOf(Word(), required=True, data_key="sum-of")
    bands = Part(BandShape, many=True, required=True)


# What the answers to a question add.


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of one question: by answer, and the least and most that it can add when open."""

    link_id: str
    by_answer: Mapping[Answer, Decimal]
    least: Decimal
    most: Decimal


def weights_of(question: Question) -> Weights:
    """Returns what the answers of a question add to a score; one option at least must have a weight."""
    by_answer: dict[Answer, Decimal] = {
        option.coding: option.weight for option in question.options if option.weight is not None
    }
    known = list(by_answer.values())
    if question.repeats:
        least = sum((weight for weight in known if weight < ZERO), ZERO) or min(known)
        most = sum((weight for weight in known if weight > ZERO), ZERO) or max(known)
    else:
        least, most = min(known), max(known)
    if question.enabled_by:
        least, most = min(least, ZERO), max(most, ZERO)
    return Weights(question.link_id, by_answer, least, most)


# Scores: every question has weights, and the bands cover every possible sum once.


def score_faults(written: Written, form: Form) -> Iterator[Fault]:
    """Yields what is wrong with any score, and parameters that are compared with one but carry a unit."""
    for score in written.scores:
        faults = [*_item_faults(score, form), *_end_faults(score, written), *_repeated_bands(score)]
        yield from faults
        if not faults:
            weights = [weights_of(form.questions[link_id]) for link_id in score.items]
            bands = [_Band(band.name, *map(written.number, (band.low, band.high))) for band in score.bands]
            yield from _band_faults((score.name, "bands"), bands, weights)
    yield from _score_unit_faults(written)


def _item_faults(score: Score, form: Form) -> Iterator[Fault]:
    for index, link_id in enumerate(score.items):
        question = form.questions.get(link_id)
        place = (score.name, "sum-of", index)
        if question is None:
            yield _FILE, place, not_in_the_questionnaire(link_id)
        elif not any(option.weight is not None for option in question.options):
            yield _FILE, place, "expected a question whose options have weights (itemWeight or ordinalValue)"
        elif link_id in score.items[:index]:
            yield _FILE, place, "expected each question once"


def _end_faults(score: Score, written: Written) -> Iterator[Fault]:
    for band in score.bands:
        for key, end in (("from", band.low), ("to", band.high)):
            parameter = written.parameters.get(end) if isinstance(end, str) else None
            if isinstance(end, str) and (
                parameter is None or isinstance(parameter.value, bool) or not is_plain(parameter)
            ):
                place = (score.name, "bands", band.name, key)
                yield _FILE, place, "expected a parameter that is a plain number"


def _repeated_bands(score: Score) -> Iterator[Fault]:
    names = [band.name for band in score.bands]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield _FILE, (score.name, "bands", name), "expected one entry of this name"


class _Band(NamedTuple):
    """A band with the numbers of both ends."""

    name: str
    low: Decimal
    high: Decimal


def _band_faults(place: Place, bands: list[_Band], weights: list[Weights]) -> Iterator[Fault]:
    if not bands:
        yield _FILE, place, "expected at least one band"
        return
    yield from _range_faults(place, bands, weights)
    step = _step(weights)
    for index, (band, after) in enumerate(pairwise(bands), 1):
        if after.low > band.high + step:
            yield _FILE, (*place, index, "from"), f"gap after {band.name}: expected {band.high + step}"
        elif after.low <= band.high:
            yield _FILE, (*place, index, "from"), f"overlap with {band.name}: expected {band.high + step}"
    for index, band in enumerate(bands):
        if band.high < band.low:
            yield _FILE, (*place, index, "to"), f"expected {band.low} or more"


def _range_faults(place: Place, bands: list[_Band], weights: list[Weights]) -> Iterator[Fault]:
    """Yields what is missing of the first and of the last band."""
    lowest = sum((min(weight.least, ZERO) for weight in weights), ZERO)
    highest = sum((weight.most for weight in weights), ZERO)
    if bands[0].low > lowest:
        yield _FILE, (*place, 0, "from"), f"gap: expected {lowest} or less, the lowest possible sum"
    if bands[-1].high < highest:
        last = len(bands) - 1
        yield _FILE, (*place, last, "to"), f"gap: expected {highest} or more, the highest possible sum"


def _step(weights: list[Weights]) -> Decimal:
    """Returns the smallest difference between two sums: one unit of the last decimal place in use."""
    known = [value for weight in weights for value in weight.by_answer.values()]
    return Decimal(1).scaleb(min([0, *[int(value.as_tuple().exponent) for value in known]]))


def _score_unit_faults(written: Written) -> Iterator[Fault]:
    for file, place, condition in written.conditions():
        for inner, part in walk(condition, place):
            parameter = written.parameters.get(part.parameter) if isinstance(part, Scored) else None
            if parameter is not None and not is_plain(parameter):
                expected = f"expected a plain number; the unit of {parameter.name} is {parameter.unit}"
                yield file, inner, expected


def is_plain(parameter: Parameter) -> bool:
    """Whether the parameter is a plain number, such as `1` or `{score}`."""
    return comparable(parameter.unit, PLAIN) and unit(parameter.unit) == unit(PLAIN)
