"""Scores: sums with bands. Their shape in scores.yaml, what must be right, what each part adds.

A band may say which step and which level it stands for: it then makes rules, as if an author had written
them. `score_tables.py` makes the tables that answers are added up with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
from marshmallow import ValidationError, fields, validates_schema

from service.datatypes.answers import Answer, Coding
from service.datatypes.form import Form, Question
from service.datatypes.ucum import comparable, unit
from service.datatypes.values import replace
from service.guidance.conditions import Condition, InBand, Named, Place, Scored, links_of, walk
from service.guidance.faults import Fault, not_in_the_questionnaire
from service.guidance.fields import (
    CodeShape,
    ConditionField,
    ListOf,
    Name,
    Number,
    OnlyTrue,
    Part,
    Shape,
    Sourced,
    Strict,
    Text,
    Word,
    names_one,
)
from service.guidance.model import (
    Addend,
    Missing,
    Outcome,
    Parameter,
    Rule,
    Says,
    Score,
    ScoreBand,
    Tier,
    Written,
)
from service.guidance.options import PLAIN

ZERO, ONE = Decimal(0), Decimal(1)

_FILE = "scores.yaml"

# The shape of an entry of scores.yaml.


class AddendShape(Shape):
    """One part of a sum that is more than a linkId."""

    makes = Addend

    link_id = Word(load_default="", data_key="answer")
    when = ConditionField(load_default=None)
    points = Number(load_default=None)
    times = Number(load_default=ONE)
    reversed = OnlyTrue(load_default=False)
    low = Number(load_default=None, data_key="from")
    high = Number(load_default=None, data_key="to")

    @validates_schema
    def _is_of_one_kind(self, data: Mapping[str, Any], **_: Any) -> None:
        faults = dict(_addend_faults(data))
        if faults:
            raise ValidationError(faults)

    def _members(self, data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "points": data["points"] or ZERO}


def _addend_faults(data: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    if (data["link_id"] == "") == (data["when"] is None):
        yield "answer", ["expected either answer: a linkId, or when: a condition, with points"]
        return
    if (data["when"] is None) != (data["points"] is None):
        yield "points", ["expected a number beside when, and only there"]
    of_an_answer = data["times"] != ONE or data["reversed"] or data["low"] is not None
    if data["when"] is not None and of_an_answer:
        yield "when", ["expected nothing but points beside it"]
    if data["times"] == ZERO:
        yield "times", ["expected a number other than 0"]
    if (data["low"] is None) != (data["high"] is None):
        yield "from", ["expected from and to together"]
    elif data["low"] is not None and data["low"] >= data["high"]:
        yield "to", ["expected a number above from"]


class AddendField(fields.Field[Any]):
    """One part of a sum: a linkId, or a mapping as `AddendShape` has it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Addend:
        if isinstance(value, dict):
            made: Addend = AddendShape().load(value)
            return made
        link_id = Word().deserialize(value)
        return Addend(link_id, None, ZERO, ONE, reversed=False, low=None, high=None)


class MissingField(Strict[Missing]):
    """`interval`, `refuse`, or `{prorate: {at-most: how many}}`."""

    expected = "expected interval, refuse, or {prorate: {at-most: a whole number}}"

    def _takes(self, value: Any) -> bool:
        if value in ("interval", "refuse"):
            return True
        limit = value.get("prorate") if isinstance(value, dict) and set(value) == {"prorate"} else None
        most = limit.get("at-most") if isinstance(limit, dict) and set(limit) == {"at-most"} else None
        return isinstance(most, int) and not isinstance(most, bool) and most > 0

    def _read(self, value: Any) -> Missing:
        return Missing(value) if isinstance(value, str) else Missing("prorate", value["prorate"]["at-most"])


class EndField(Number):
    """One end of a band: a number, or `{parameter: name}`."""

    expected = "expected a number, or {parameter: name}"

    def _takes(self, value: Any) -> bool:
        return super()._takes(value) or names_one(value, "parameter")

    def _read(self, value: Any) -> Any:
        return value["parameter"] if isinstance(value, dict) else super()._read(value)


class BandShape(Shape):
    """One band of a score; both ends are included."""

    makes = ScoreBand

    name = Name(required=True, data_key="band")
    low = EndField(required=True, data_key="from")
    high = EndField(required=True, data_key="to")
    display = Text(required=True)
    tier = Name(load_default="")
    level = Name(load_default="")
    patient = Text(load_default="")
    clinician = Text(load_default="")

    def _members(self, data: dict[str, Any]) -> dict[str, Any]:
        says = Says(data.pop("patient"), data.pop("clinician"))
        return {**data, "says": says}


class ScoreShape(Sourced):
    """One score."""

    makes = Score

    name = Name(required=True, data_key="score")
    display = Text(required=True)
    code = Part(CodeShape, load_default=None)
    unit = Text(load_default="{score}")
    addends = ListOf(AddendField(), required=True, data_key="sum-of")
    missing = MissingField(load_default="interval")
    outcome = Name(load_default="")
    kind = Name(load_default="")
    bands = Part(BandShape, many=True, required=True)

    @validates_schema
    def _says_what_its_bands_need(self, data: Mapping[str, Any], **_: Any) -> None:
        if any(band.tier for band in data["bands"]) and not data["kind"]:
            raise ValidationError("is missing; expected a kind where a band has a tier", "kind")
        if any(band.level for band in data["bands"]) != bool(data["outcome"]):
            raise ValidationError("expected an outcome where bands have levels, and only there", "outcome")

    def _members(self, data: dict[str, Any]) -> dict[str, Any]:
        code, missing = data["code"], data["missing"]
        return {
            **data,
            "code": None if code is None else Coding(code["system"], code["code"]),
            "code_display": "" if code is None else code["display"],
            "missing": Missing(missing) if isinstance(missing, str) else missing,
        }


# What the answers to a question add.


class Line(NamedTuple):
    """What a plain number adds, from `low` to `high`: `offset`, and `factor` times the number."""

    low: Decimal
    high: Decimal
    factor: Decimal
    offset: Decimal

    def points(self, value: Decimal) -> Decimal | None:
        """Returns the points of a number; None outside the range."""
        return self.offset + self.factor * value if self.low <= value <= self.high else None


class Weights(msgspec.Struct, frozen=True):
    """The points of one question: by answer, and the least and most that it can add when open.

    `line` says what a number adds that is no option; None if the question has options. `several` answers of
    the person add up; else there are several in the chart alone, and nobody knows which of them holds.
    """

    link_id: str
    by_answer: Mapping[Answer, Decimal]
    least: Decimal
    most: Decimal
    line: Line | None = None
    several: bool = False

    @property
    def of_ticks(self) -> bool:
        """Whether options are ticked: of those that are not, an answer without points leaves each open."""
        return self.several and all(isinstance(answer, Coding) for answer in self.by_answer)

    def points(self, answer: Answer) -> Decimal | None:
        """Returns the points of one answer; None if it has none."""
        if self.line is not None and isinstance(answer, int | Decimal):
            return self.line.points(Decimal(answer))
        return self.by_answer.get(answer)


def weights_of(addend: Addend, question: Question) -> Weights:
    """Returns the points of the answers to a question; at least one option must have points."""
    line = _line(addend)
    known = {} if line is not None else _points_by_answer(question)
    turned = sum((min(known.values()), max(known.values())), ZERO) if addend.reversed and known else None
    by_answer = {
        answer: addend.times * (points if turned is None else turned - points)
        for answer, points in known.items()
    }
    ends = [line.offset + line.factor * end for end in line[:2]] if line is not None else by_answer.values()
    least, most = _least_and_most(ends, several=question.repeats)
    if question.enabled_by:
        least, most = min(least, ZERO), max(most, ZERO)
    return Weights(addend.link_id, by_answer, least, most, line, question.repeats)


def _line(addend: Addend) -> Line | None:
    if addend.low is None or addend.high is None:
        return None
    if addend.reversed:
        return Line(addend.low, addend.high, -addend.times, addend.times * (addend.low + addend.high))
    return Line(addend.low, addend.high, addend.times, ZERO)


def _points_by_answer(question: Question) -> dict[Answer, Decimal]:
    """Returns the points of each option: its weight; of whole numbers without any weight, the number."""
    points: dict[Answer, Decimal] = {
        option.coding: option.weight for option in question.options if option.weight is not None
    }
    weighed = {number: weight for number, weight in question.numbers if weight is not None}
    return points | (weighed or {number: Decimal(number) for number, _ in question.numbers})


def _least_and_most(points: Collection[Decimal], *, several: bool) -> tuple[Decimal, Decimal]:
    if not several:
        return min(points), max(points)
    least = sum((one for one in points if one < ZERO), ZERO) or min(points)
    most = sum((one for one in points if one > ZERO), ZERO) or max(points)
    return least, most


def ends_of(addend: Addend, form: Form) -> tuple[Decimal, Decimal]:
    """Returns the least and the most that one part of a sum can add."""
    if addend.when is not None:
        return min(addend.points, ZERO), max(addend.points, ZERO)
    weights = weights_of(addend, form.questions[addend.link_id])
    return weights.least, weights.most


def links_of_score(score: Score, written: Written) -> tuple[str, ...]:
    """Returns the linkIds of every question that a score reads, those behind its conditions included."""
    found = dict.fromkeys(score.items)
    for addend in score.addends:
        for part in parts_below(addend.when, written):
            found.update(dict.fromkeys(links_of(part, {})))
    return tuple(found)


def parts_below(condition: Condition | None, written: Written) -> Iterator[Condition]:
    """Yields the condition and everything that it stands on, through the findings that it names."""
    known = {finding.name: finding.when for finding in written.findings}
    waiting, seen = [condition], set[str]()
    while waiting:
        top = waiting.pop()
        for _, part in walk(top, ()) if top is not None else ():
            yield part
            if isinstance(part, Named) and part.finding not in seen:
                seen.add(part.finding)
                waiting.append(known.get(part.finding))


# The rules that bands make.
#
# A band with a tier is reached as soon as the total lies in it or in a band that is as serious, so that an
# open question at the edge of two bands leaves the lower of their tiers, not the lowest of the ladder. Only
# the least serious of all bands needs a total that cannot leave it: nothing is harmless because it is open.
# Its words are said with the total; where a more serious band is reached too, a patient reads only those.


def with_band_rules(
    rules: Sequence[Rule], scores: Iterable[Score], tiers: Sequence[Tier], outcomes: Sequence[Outcome]
) -> tuple[Rule, ...]:
    """Returns the rules, with those that the bands of scores make; names that do not exist make none.

    What bands say about an outcome stands after the rules that an author wrote for it, but before one that
    says otherwise; without such a rule, the band of the lowest level says so.
    """
    made = list(rules)
    ranks = {tier.code: tier.rank for tier in tiers}
    ladders = {outcome.code: outcome.levels for outcome in outcomes}
    for score in scores:
        made += _tier_rules(score, ranks)
        if score.outcome in ladders:
            last = [rule for rule in made if rule.outcome == score.outcome and rule.when is None]
            made = [rule for rule in made if rule not in last]
            made += _level_rules(score, ladders[score.outcome], closes=not last)
            made += last
    return tuple(made)


def _tier_rules(score: Score, ranks: Mapping[str, int]) -> Iterator[Rule]:
    found = [ranks.get(band.tier, -1) for band in score.bands]
    for place, band in enumerate(score.bands):
        if found[place] >= 0:
            names = tuple(score.bands[other].name for other in _as_serious(found, place))
            beside = tuple(f"{score.name}-{name}" for name in names if name != band.name)
            rule = _rule(score, band, f"{score.name}-{band.name}", when=InBand(score.name, names))
            yield replace(rule, tier=band.tier, shows=(score.name,), beside=beside)


def _level_rules(score: Score, ladder: Sequence[str], *, closes: bool) -> list[Rule]:
    """Returns the rules of one outcome, highest level first."""
    found = [ladder.index(band.level) if band.level in ladder else -1 for band in score.bands]
    order = _order(found)
    places = [place for place, rank in enumerate(found) if rank >= 0]
    places.sort(key=lambda place: (found[place], order * place), reverse=True)
    rules = []
    for place in places:
        band = score.bands[place]
        names = [score.bands[other].name for other in _as_serious(found, place)]
        closing = closes and place == places[-1]
        condition = None if closing else InBand(score.name, tuple(names))
        name = f"{score.name}-{band.name}-{score.outcome}"
        rules.append(
            replace(_rule(score, band, name, when=condition), outcome=score.outcome, level=band.level)
        )
    return rules


def _as_serious(ranks: Sequence[int], place: int) -> list[int]:
    """Returns the places of the bands that are as serious as this one, or more; never of all of them."""
    order, own = _order(ranks), ranks[place]
    found = [
        other
        for other, rank in enumerate(ranks)
        if rank > own or (rank == own and order * (other - place) >= 0)
    ]
    return found if len(found) < len(ranks) else [other for other in found if ranks[other] == own]


def _order(ranks: Sequence[int]) -> int:
    """Returns 1 where a high total is serious, -1 where a low one is."""
    return -1 if list(ranks) == sorted(ranks, reverse=True) and ranks[0] != ranks[-1] else 1


def _rule(score: Score, band: ScoreBand, name: str, *, when: InBand | None) -> Rule:
    """Returns a rule with the words of a band, which does not say yet what it fires."""
    return Rule(
        name=name,
        kind=score.kind,
        when=when,
        tier="",
        outcome="",
        level="",
        priority="",
        says=Says(band.says.patient, band.says.to_clinician or f"{score.display}: {band.display}"),
        origin=score.origin,
        sources=score.sources,
    )


# What must be right: every part has points, and the bands cover every possible sum once.


def score_faults(written: Written, form: Form) -> Iterator[Fault]:
    """Yields the faults of all scores, and parameters with a unit that are compared with a score."""
    for score in written.scores:
        faults = [
            *_addend_faults_of(score, written, form),
            *_prorating(score),
            *_end_faults(score, written),
            *_repeated_bands(score),
            *_unknown_names(score, written),
        ]
        yield from faults
        if not faults:
            bands = [_Band(band.name, *map(written.number, (band.low, band.high))) for band in score.bands]
            yield from _band_faults((score.name, "bands"), bands, _span(score, form))
    yield from _score_unit_faults(written)


def _addend_faults_of(score: Score, written: Written, form: Form) -> Iterator[Fault]:
    for index, addend in enumerate(score.addends):
        place = (score.name, "sum-of", index)
        if addend.when is not None:
            if any(isinstance(part, InBand | Scored) for part in parts_below(addend.when, written)):
                yield _FILE, (*place, "when"), "expected a condition that rests on no score"
            continue
        question = form.questions.get(addend.link_id)
        if question is None:
            yield _FILE, place, not_in_the_questionnaire(addend.link_id)
        elif addend.link_id in score.items[: _before(score, index)]:
            yield _FILE, place, "expected each question once"
        else:
            yield from ((_FILE, place, expected) for expected in _of_question(addend, question))


def _before(score: Score, index: int) -> int:
    return sum(1 for addend in score.addends[:index] if addend.link_id)


def _of_question(addend: Addend, question: Question) -> Iterator[str]:
    if question.is_asked_again:
        yield "expected a question that is not below a group or question that repeats"
    has_options = bool(_points_by_answer(question))
    is_number = question.type in ("integer", "decimal") and not question.numbers
    if is_number and addend.low is None:
        yield "expected {answer: ..., from: ..., to: ...}: the least and the most that a number can be"
    elif not is_number and addend.low is not None:
        yield f"expected from and to only with a question for a number; this one is of type {question.type}"
    elif not is_number and not has_options:
        yield "expected a question whose options have weights (itemWeight or ordinalValue)"
    if question.repeats and (addend.reversed or addend.low is not None):
        yield "expected a question that takes one answer beside reversed, or from and to"


def _prorating(score: Score) -> Iterator[Fault]:
    if score.missing.rule != "prorate":
        return
    if any(addend.when is not None for addend in score.addends):
        yield _FILE, (score.name, "missing"), "expected prorate only where all parts are questions"
    elif score.missing.most >= len(score.addends):
        expected = f"expected at most {len(score.addends) - 1}, one less than there are questions"
        yield _FILE, (score.name, "missing", "prorate", "at-most"), expected


def _unknown_names(score: Score, written: Written) -> Iterator[Fault]:
    """Yields tiers, levels, outcomes and kinds of bands that do not exist."""
    ladders = {outcome.code: outcome.levels for outcome in written.outcomes}
    if score.kind and score.kind not in written.kinds:
        yield _FILE, (score.name, "kind"), _one_of(written.kinds)
    if score.outcome and score.outcome not in ladders:
        yield _FILE, (score.name, "outcome"), _one_of(ladders)
    for band in score.bands:
        place = (score.name, "bands", band.name)
        if band.tier and band.tier not in [tier.code for tier in written.tiers]:
            yield _FILE, (*place, "tier"), _one_of(tier.code for tier in written.tiers)
        if band.level and band.level not in ladders.get(score.outcome, (band.level,)):
            yield _FILE, (*place, "level"), _one_of(ladders[score.outcome])
    tiers = [band.tier for band in score.bands]
    if len(tiers) > 1 and tiers[0] and len(set(tiers)) == 1:
        yield _FILE, (score.name, "bands"), f"expected bands of different tiers; all have {tiers[0]}"


def _one_of(names: Iterable[str]) -> str:
    return f"expected one of: {', '.join(names) or 'none is defined'}"


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


class _Span(NamedTuple):
    """The lowest and the highest possible sum, and the smallest difference between two sums."""

    lowest: Decimal
    highest: Decimal
    step: Decimal


def _span(score: Score, form: Form) -> _Span:
    ends = [ends_of(addend, form) for addend in score.addends]
    return _Span(
        sum((least for least, _ in ends), ZERO),
        sum((most for _, most in ends), ZERO),
        smallest_step(score, form),
    )


def smallest_step(score: Score, form: Form) -> Decimal:
    """Returns the smallest difference between two sums: one unit of the last decimal place in use.

    A question for a decimal number has as many places as the ends of its range.
    """
    known = [ZERO]
    for addend in score.addends:
        known.append(addend.points)
        if addend.when is None:
            weights = weights_of(addend, form.questions[addend.link_id])
            known += [*weights.by_answer.values(), *(weights.line or ())]
    return ONE.scaleb(min(0, *(int(value.as_tuple().exponent) for value in known)))


def _band_faults(place: Place, bands: list[_Band], span: _Span) -> Iterator[Fault]:
    if not bands:
        yield _FILE, place, "expected at least one band"
        return
    yield from _range_faults(place, bands, span)
    step = span.step
    for index, (band, after) in enumerate(pairwise(bands), 1):
        if after.low > band.high + step:
            yield _FILE, (*place, index, "from"), f"gap after {band.name}: expected {band.high + step}"
        elif after.low <= band.high:
            yield _FILE, (*place, index, "from"), f"overlap with {band.name}: expected {band.high + step}"
    for index, band in enumerate(bands):
        if band.high < band.low:
            yield _FILE, (*place, index, "to"), f"expected {band.low} or more"


def _range_faults(place: Place, bands: list[_Band], span: _Span) -> Iterator[Fault]:
    """Yields faults if the first or the last band does not reach the end of the range."""
    if bands[0].low > span.lowest:
        yield _FILE, (*place, 0, "from"), f"gap: expected {span.lowest} or less, the lowest sum of all parts"
    if bands[-1].high < span.highest:
        last = len(bands) - 1
        expected = f"gap: expected {span.highest} or more, the highest sum of all parts"
        yield _FILE, (*place, last, "to"), expected


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
