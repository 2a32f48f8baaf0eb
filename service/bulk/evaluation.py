"""How well a guidance triages people whose right step is known: sensitivity and over-triage.

Every labelled response is counted. What is not certain is counted in both directions: a preliminary result
stands for every step that it can still become, a refused response for every step there is. Each rate is given
for final results, for all that were scored, and for all that have a label.

Source: Wilson, J Am Stat Assoc 1927;22:209-212, for the intervals; Newcombe, Stat Med 1998;17:857-872
(method 3), whose examples the tests compare.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final, NamedTuple

import msgspec

from service.bulk.ranges import RANGE_BYTES, ranges
from service.bulk.scorer import BYTE_ORDER_MARK, FINAL, PRELIMINARY, REFUSED, Scorer
from service.catalogue import Pair
from service.errors import NotScorable, StartupError

BASES: Final[Mapping[str, frozenset[str]]] = {
    "final": frozenset((FINAL,)),
    "scored": frozenset((FINAL, PRELIMINARY)),
    "labelled": frozenset((FINAL, PRELIMINARY, REFUSED)),
}
"""Whom a rate is about: final results, those and preliminary ones, and those and refused responses."""

CONFIDENCE: Final = 0.95

_MOST_FAULTS: Final = 10

_BESIDE_BYTES: Final = RANGE_BYTES
"""So much may stand in a line beside a response as large as the settings allow."""


class Rate(NamedTuple):
    """So many of some people: at least, and at most, once everything is known."""

    at_least: int
    at_most: int
    of: int

    @property
    def shares(self) -> tuple[float, float] | None:
        """Both as shares, None where it is about nobody."""
        return (self.at_least / self.of, self.at_most / self.of) if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """From the lower end of the least to the upper end of the most, each with a confidence of 95 %."""
        return (wilson(self.at_least, self.of)[0], wilson(self.at_most, self.of)[1]) if self.of else None

    def plain(self) -> dict[str, object]:
        """Returns it for JSON."""
        return {**self._asdict(), "shares": self.shares, "interval": self.interval}

    def __str__(self) -> str:
        """Returns it in words: `20 to 23 of 26, 76.9 to 88.5 % (57.9 to 96.0)`."""
        if self.shares is None or self.interval is None:
            return "nobody"
        ends = f"({_percent(self.interval[0])} to {_percent(self.interval[1])})"
        counts, shares = (self.at_least, self.at_most), tuple(map(_percent, self.shares))
        if self.at_least == self.at_most:
            return f"{counts[0]} of {self.of}, {shares[0]} % {ends}"
        return f"{counts[0]} to {counts[1]} of {self.of}, {shares[0]} to {shares[1]} % {ends}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def wilson(count: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Returns the score interval of a proportion, without correction for continuity.

    Source: Wilson 1927; Newcombe 1998, method 3.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = count / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = z * sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return (0.0 if count == 0 else middle - half), (1.0 if count == of else middle + half)


class Placed(NamedTuple):
    """One labelled response: places in the ladder, from 0, the least urgent.

    Args:
        label: of the step that somebody said. low, high: of the step, at least and at most.
        outcome: final, preliminary or refused.
    """

    label: int
    low: int
    high: int
    outcome: str


class OfGuidance(msgspec.Struct):
    """What was counted for one guidance.

    Args:
        guidance: its `url|version`. steps: its ladder, the least urgent first.
        placed: how many labelled responses came to what.
        unlabelled: responses of its questionnaire without a label, by outcome.
    """

    guidance: str
    steps: tuple[str, ...]
    placed: Counter[Placed] = msgspec.field(default_factory=Counter)
    unlabelled: Counter[str] = msgspec.field(default_factory=Counter)

    def count(self, basis: str, holds: Callable[[Placed], bool]) -> int:
        """Returns how many labelled responses there are on this basis for which something holds."""
        return sum(
            number for one, number in self.placed.items() if one.outcome in BASES[basis] and holds(one)
        )

    def rate(
        self,
        basis: str,
        about: Callable[[Placed], bool],
        certainly: Callable[[Placed], bool],
        possibly: Callable[[Placed], bool],
    ) -> Rate:
        """Returns how many of those it is about are certainly, and how many can be, what is asked."""
        low = self.count(basis, lambda one: about(one) and certainly(one))
        high = self.count(basis, lambda one: about(one) and possibly(one))
        return Rate(low, high, self.count(basis, about))

    def or_worse(self, rank: int, basis: str) -> dict[str, Rate]:
        """Returns who reaches a step or a worse one: of those who should, and of those who should not."""
        reached = (lambda one: one.low >= rank, lambda one: one.high >= rank)
        missed = (lambda one: one.high < rank, lambda one: one.low < rank)
        return {
            "sensitivity": self.rate(basis, lambda one: one.label >= rank, *reached),
            "under-triage": self.rate(basis, lambda one: one.label >= rank, *missed),
            "over-triage": self.rate(basis, lambda one: one.label < rank, *reached),
        }

    def against_label(self, label: int | None, basis: str) -> dict[str, Rate]:
        """Returns who comes to the step of the label, to a lower or a higher one; None for every label."""

        def about(one: Placed) -> bool:
            return label is None or one.label == label

        return {
            "same": self.rate(
                basis,
                about,
                lambda one: one.low == one.high == one.label,
                lambda one: one.low <= one.label <= one.high,
            ),
            "under-triage": self.rate(
                basis, about, lambda one: one.high < one.label, lambda one: one.low < one.label
            ),
            "over-triage": self.rate(
                basis, about, lambda one: one.low > one.label, lambda one: one.high > one.label
            ),
        }

    def confusion(self) -> dict[str, dict[str, int]]:
        """Returns by label how many came to each step, could come to several, or were refused."""
        found = {step: dict.fromkeys((*self.steps, _OPEN, REFUSED), 0) for step in self.steps}
        for one, number in self.placed.items():
            settled = self.steps[one.low] if one.low == one.high else _OPEN
            found[self.steps[one.label]][REFUSED if one.outcome == REFUSED else settled] += number
        return found

    def open(self) -> Iterator[tuple[str, str, str, int]]:
        """Yields label, step at least, step at most and how many, of results whose step is open."""
        for one, number in sorted(self.placed.items()):
            if one.outcome != REFUSED and one.low != one.high:
                yield self.steps[one.label], self.steps[one.low], self.steps[one.high], number

    def plain(self) -> dict[str, object]:
        """Returns it for JSON."""
        ranks = range(1, len(self.steps))
        return {
            "guidance": self.guidance,
            "steps": self.steps,
            "labelled": self._by_outcome(),
            "unlabelled": {outcome: self.unlabelled[outcome] for outcome in _OUTCOMES},
            "confusion": self.confusion(),
            "open": [dict(zip(_OF_OPEN, one, strict=True)) for one in self.open()],
            "or_worse": {
                self.steps[rank]: {basis: _plain(self.or_worse(rank, basis)) for basis in BASES}
                for rank in ranks
            },
            "by_label": {
                "all" if label is None else self.steps[label]: {
                    basis: _plain(self.against_label(label, basis)) for basis in BASES
                }
                for label in (None, *range(len(self.steps)))
            },
        }

    def _by_outcome(self) -> dict[str, int]:
        return {
            outcome: sum(number for one, number in self.placed.items() if one.outcome == outcome)
            for outcome in _OUTCOMES
        }

    def lines(self) -> Iterator[str]:
        """Yields the text of it."""
        labelled, unlabelled = self._by_outcome(), self.unlabelled
        yield f"{self.guidance}: {sum(labelled.values())} responses with a label"
        yield "  " + ", ".join(f"{labelled[outcome]} {outcome}" for outcome in _OUTCOMES)
        if unlabelled.total():
            yield f"  and {unlabelled.total()} without a label, which are not counted below"
        yield ""
        yield from _table(self.confusion(), (*self.steps, _OPEN, REFUSED))
        for label, low, high, number in self.open():
            yield f"  open: {label}: {number} could still be anything from {low} to {high}"
        for rank in range(1, len(self.steps)):
            yield f"\n{self.steps[rank]} or worse"
            yield from _rates({basis: self.or_worse(rank, basis) for basis in BASES})
        yield "\nagainst the step of the label"
        yield from _rates({basis: self.against_label(None, basis) for basis in BASES})
        for rank in sorted({one.label for one in self.placed}):
            yield f"\nlabelled {self.steps[rank]}"
            yield from _rates({basis: self.against_label(rank, basis) for basis in BASES})


_OUTCOMES: Final = (FINAL, PRELIMINARY, REFUSED)
_OPEN: Final = "open"
_OF_OPEN: Final = ("label", "at_least", "at_most", "count")


def _plain(rates: Mapping[str, Rate]) -> dict[str, object]:
    return {name: rate.plain() for name, rate in rates.items()}


def _table(rows: Mapping[str, Mapping[str, int]], columns: Sequence[str]) -> Iterator[str]:
    """Yields rows of labels and columns of steps; labels that nobody has are left out."""
    shown = {label: row for label, row in rows.items() if any(row.values())}
    first = max(map(len, ("label", *shown)))
    yield "  " + "  ".join((f"{'label':{first}}", *columns))
    for label, row in shown.items():
        yield "  " + "  ".join((f"{label:{first}}", *(f"{row[name]:{len(name)}}" for name in columns)))


def _rates(by_basis: Mapping[str, Mapping[str, Rate]]) -> Iterator[str]:
    """Yields a line for each rate on each basis; a basis that says what the one before said is left out."""
    for name in next(iter(by_basis.values())):
        told = [(basis, rates[name]) for basis, rates in by_basis.items()]
        kept = [told[0], *(after for before, after in pairwise(told) if before[1] != after[1])]
        for basis, rate in kept:
            yield f"  {name:13} {basis:9} {rate}"


class Evaluation(msgspec.Struct, frozen=True):
    """What labelled responses say of the guidances that scored them.

    Args:
        guidances: by `url|version`.
        unknown: refused responses to no questionnaire that is served, by whether they have a label.
        unused: labels of a file that no response has.
    """

    guidances: Mapping[str, OfGuidance]
    unknown: Counter[bool]
    unused: int = 0

    def plain(self) -> dict[str, object]:
        """Returns it for JSON: rates as counts, shares from 0 to 1 and intervals."""
        return {
            "confidence": CONFIDENCE,
            "guidances": [one.plain() for one in self.guidances.values()],
            "questionnaire_unknown": {"labelled": self.unknown[True], "unlabelled": self.unknown[False]},
            "labels_without_response": self.unused,
        }

    def lines(self) -> Iterator[str]:
        """Yields the text of it; intervals in brackets."""
        for one in self.guidances.values():
            yield from one.lines()
            yield ""
        if self.unknown.total():
            yield (
                f"{self.unknown.total()} refused, to no questionnaire that is served here: "
                f"{self.unknown[True]} with a label, {self.unknown[False]} without"
            )
        if self.unused:
            yield f"{self.unused} labels belong to no response"
        yield "In brackets: 95 % confidence intervals (Wilson), from the lowest to the highest possible."


# Labels beside responses.


class _Labelled(msgspec.Struct):
    """A line that holds a response and its label."""

    response: msgspec.Raw = msgspec.Raw()
    label: Any = None


class _Head(msgspec.Struct):
    """What is read of a response that may be refused."""

    id: str = ""
    questionnaire: str = ""


_LABELLED: Final = msgspec.json.Decoder(_Labelled)
_HEAD: Final = msgspec.json.Decoder(_Head)


def read_labels(path: Path) -> dict[str, str]:
    """Returns the labels of a CSV file by id; its header names the columns `id` and `label`.

    Raises:
        StartupError: another header, an id without a label, or one that has two; or it is no table in UTF-8.
    """
    try:
        return _labels(path)
    except (UnicodeDecodeError, csv.Error):
        raise StartupError([f"{path.name}: expected a CSV file in UTF-8"]) from None


def _labels(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if not {"id", "label"} <= set(rows.fieldnames or ()):
            raise StartupError([f"{path.name}: expected a header with the columns id and label"])
        labels: dict[str, str] = {}
        faults = []
        for row in rows:
            key, label = row["id"] or "", row["label"] or ""
            if not key or not label or labels.setdefault(key, label) != label:
                faults.append(f"{path.name}: line {rows.line_num}: expected an id with one label")
    if faults:
        raise StartupError(faults[:_MOST_FAULTS])
    return labels


def evaluate(
    read: Callable[[int], bytes], scorer: Scorer, labels: Mapping[str, str] | None = None
) -> Evaluation:
    """Scores responses and counts what they came to against their labels.

    Args:
        read: as `ranges` takes it; each line is a response, or an object of `response` and `label`.
        labels: by id of the response, for those whose line has none.

    Raises:
        StartupError: a label that is no step of the guidance, one response with two labels, or a line that is
            too long to be held, so that nobody can say whether it has a label.
    """
    counting = _Counting(scorer, labels or {})
    most_bytes = scorer.options.most_bytes + _BESIDE_BYTES
    for number, line in (record for found in ranges(read, most_bytes) for record in found.records()):
        if line is None or len(line) > most_bytes:
            beside = "SERVICE_MAX_BODY_BYTES and a mebibyte"
            counting.faults.append(f"line {number}: expected at most {most_bytes} bytes ({beside})")
        else:
            counting.take(line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line, number)
        if len(counting.faults) >= _MOST_FAULTS:
            break
    if counting.faults:
        raise StartupError(counting.faults)
    found = dict(sorted(counting.guidances.items()))
    return Evaluation(found, counting.unknown, len(counting.labels.keys() - counting.used))


class _Counting:
    """Counts responses as they come."""

    def __init__(self, scorer: Scorer, labels: Mapping[str, str]) -> None:
        self._scorer, self.labels = scorer, labels
        self.guidances: dict[str, OfGuidance] = {}
        self.unknown = Counter[bool]()
        self.used: set[str] = set()
        self.faults: list[str] = []

    def take(self, line: bytes, number: int) -> None:
        response, label = _parted(line)
        facts = self._scorer.line(response, number).facts
        head = _head(response)
        if head.id in self.labels:
            if label != "" or head.id in self.used:
                self.faults.append(f"line {number}: label: expected one label, and an id of its own")
            self.used.add(head.id)
            label = self.labels[head.id]
        pair = self._pair(facts.scored_as or head.questionnaire)
        if pair is None:
            self.unknown[label != ""] += 1
            return
        one = self._of(pair)
        if label == "":
            one.unlabelled[facts.outcome] += 1
        elif label not in one.steps:
            self.faults.append(f"line {number}: label: expected one of {', '.join(one.steps)}")
        else:
            top = len(one.steps) - 1
            low = 0 if facts.step_rank is None else facts.step_rank
            high = top if facts.step_rank_at_most is None else facts.step_rank_at_most
            one.placed[Placed(one.steps.index(label), low, high, facts.outcome)] += 1

    def _pair(self, canonical: str) -> Pair | None:
        try:
            return self._scorer.served.find(canonical)
        except NotScorable:
            return None

    def _of(self, pair: Pair) -> OfGuidance:
        written = pair.guidance.written
        name = written.identity.canonical
        steps = tuple(tier.code for tier in written.tiers)
        return self.guidances.setdefault(name, OfGuidance(name, steps))


def _parted(line: bytes) -> tuple[bytes, str | None]:
    """Returns the response of a line, byte for byte, and its label: empty if none, None if no text."""
    try:
        found = _LABELLED.decode(line)
    except msgspec.DecodeError:
        return line, ""
    if not bytes(found.response):
        return line, ""
    label = "" if found.label is None else found.label
    return bytes(found.response), label if isinstance(label, str) else None


def _head(response: bytes) -> _Head:
    try:
        return _HEAD.decode(response)
    except msgspec.DecodeError:
        return _Head()
