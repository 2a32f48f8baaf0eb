"""Scores: every question has weights, and the bands cover every possible sum once."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from service.guidance.build import score_from
from service.guidance.check_names import Fault
from service.guidance.check_units import plain
from service.guidance.conditions import Place, Scored, walk
from service.guidance.draft import Draft, ScoreDraft
from service.guidance.form import Form
from service.guidance.ground import weights_of
from service.guidance.model import Score
from service.guidance.totals import ZERO, Weights

_FILE = "scores.yaml"


def score_faults(draft: Draft, form: Form) -> Iterator[Fault]:
    """Yields what is wrong with any score, and parameters that are compared with one but carry a unit."""
    for score in draft.scores:
        faults = [*_item_faults(score, form), *_end_faults(score, draft), *_twice(score)]
        yield from faults
        if not faults:
            weights = [weights_of(form.questions[link_id]) for link_id in score.items]
            yield from _band_faults(score_from(score, draft.header), weights)
    yield from _unit_faults(draft)


def _item_faults(score: ScoreDraft, form: Form) -> Iterator[Fault]:
    for index, link_id in enumerate(score.items):
        question = form.questions.get(link_id)
        place = (score.name, "sum-of", index)
        if question is None:
            yield _FILE, place, f"expected the linkId of a question; {link_id} is not in the questionnaire"
        elif not any(option.weight is not None for option in question.options):
            yield _FILE, place, "expected a question whose options have weights (itemWeight or ordinalValue)"
        elif link_id in score.items[:index]:
            yield _FILE, place, "expected each question once"


def _end_faults(score: ScoreDraft, draft: Draft) -> Iterator[Fault]:
    for band in score.bands:
        for key, end in (("from", band.low), ("to", band.high)):
            parameter = draft.header.parameters.get(end) if isinstance(end, str) else None
            if isinstance(end, str) and (
                parameter is None or isinstance(parameter.value, bool) or not plain(parameter)
            ):
                yield (
                    _FILE,
                    (score.name, "bands", band.name, key),
                    "expected a parameter that is a plain number",
                )


def _twice(score: ScoreDraft) -> Iterator[Fault]:
    names = [band.name for band in score.bands]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield _FILE, (score.name, "bands", name), "expected one entry of this name"


def _band_faults(score: Score, weights: list[Weights]) -> Iterator[Fault]:
    if not score.bands:
        yield _FILE, (score.name, "bands"), "expected at least one band"
        return
    step = _step(weights)
    lowest = sum((min(each.least, ZERO) if each.least > ZERO else each.least for each in weights), ZERO)
    yield from _first_and_last(score, lowest, sum((each.most for each in weights), ZERO))
    for index, (band, after) in enumerate(zip(score.bands, score.bands[1:], strict=False)):
        place: Place = (score.name, "bands", index + 1, "from")
        if after.low > band.high + step:
            yield _FILE, place, f"gap after {band.name}: expected {band.high + step}"
        elif after.low <= band.high:
            yield _FILE, place, f"overlap with {band.name}: expected {band.high + step}"
    for index, band in enumerate(score.bands):
        if band.high < band.low:
            yield _FILE, (score.name, "bands", index, "to"), f"expected {band.low} or more"


def _first_and_last(score: Score, lowest: Decimal, highest: Decimal) -> Iterator[Fault]:
    if score.bands[0].low > lowest:
        yield (
            _FILE,
            (score.name, "bands", 0, "from"),
            f"gap: expected {lowest} or less, the lowest possible sum",
        )
    if score.bands[-1].high < highest:
        place: Place = (score.name, "bands", len(score.bands) - 1, "to")
        yield _FILE, place, f"gap: expected {highest} or more, the highest possible sum"


def _step(weights: list[Weights]) -> Decimal:
    """The smallest difference that two sums can have: one unit of the last decimal place in use."""
    exponents = [int(weight.as_tuple().exponent) for each in weights for weight in each.by_answer.values()]
    return Decimal(1).scaleb(min([0, *exponents]))


def _unit_faults(draft: Draft) -> Iterator[Fault]:
    for file, place, condition in draft.conditions():
        for inner, each in walk(condition, place):
            parameter = draft.header.parameters.get(each.parameter) if isinstance(each, Scored) else None
            if parameter is not None and not plain(parameter):
                yield (
                    file,
                    inner,
                    f"expected a plain number; the unit of {parameter.name} is {parameter.unit}",
                )
