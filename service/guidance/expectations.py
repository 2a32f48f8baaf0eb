"""What worked cases expect of a result, read from their words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from service.datatypes.form import Form
from service.guidance.conditions import Place
from service.guidance.draft import Draft
from service.guidance.model import unfit_answers

COUNTS = ("left", "right", "open")
"""What a case may expect of a table."""

RESERVED = ("tier", "fires", "not-fires", "open", "contradictions", "settled", "tables", "score")
"""Keys of `expect`; every other key is the code of an outcome, which therefore cannot be one of these."""

Ends = tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a case expects; None (or an empty mapping) where it says nothing.

    Args:
        tier, levels, scores: both ends of the interval; equal where the case names one.
        open: these questions are open, in this order; others may be too, unless it is empty: then
            none is open.
        contradictions: exactly these hold.
    """

    tier: Ends | None = None
    levels: Mapping[str, Ends] = field(default_factory=dict)
    fires: tuple[str, ...] = ()
    not_fires: tuple[str, ...] = ()
    open: tuple[str, ...] | None = None
    contradictions: tuple[str, ...] | None = None
    settled: bool | None = None
    tables: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    scores: Mapping[str, Ends] = field(default_factory=dict)


Found = list[tuple[Place, str]]
Read = TypeVar("Read")


class _Unexpected(Exception):
    """The value is not what a case can expect; the text says what was."""


def expectation_from(written: Mapping[str, Any], draft: Draft, form: Form, found: Found) -> Expectation:
    """The expectation that a case writes; faults are added to `found`, each with its place."""
    ladders = {outcome.name: outcome.levels for outcome in draft.header.outcomes}
    for key in written:
        if key not in RESERVED and key not in ladders:
            found.append((("expect", key), f"expected one of: {', '.join([*RESERVED, *ladders])}"))
    reader = _Reader(written, found)
    rules = partial(_names, [rule.name for rule in draft.rules])
    known = [each.name for each in draft.contradictions] + [each.name for each in unfit_answers(form)]
    contradictions = partial(_names, known)
    levels = {name: reader.read(name, partial(_ends, ladder), None) for name, ladder in ladders.items()}
    return Expectation(
        tier=reader.read("tier", partial(_ends, [tier.name for tier in draft.header.tiers]), None),
        levels={name: ends for name, ends in levels.items() if ends is not None},
        fires=reader.read("fires", rules, ()),
        not_fires=reader.read("not-fires", rules, ()),
        open=reader.read("open", partial(_names, form.questions), None),
        contradictions=reader.read("contradictions", contradictions, None),
        settled=reader.read("settled", _true_or_false, None),
        tables=reader.read("tables", partial(_tables, [table.name for table in draft.tables]), {}),
        scores=reader.read("score", partial(_scores, [score.name for score in draft.scores]), {}),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one key of `expect` after the other and collects what is wrong with it."""

    written: Mapping[str, Any]
    found: Found

    def read(self, key: str, read: Callable[[Any], Read], absent: Read) -> Read:
        """The value of a key, or `absent` where it is not written or not right."""
        if key not in self.written:
            return absent
        try:
            return read(self.written[key])
        except _Unexpected as fault:
            self.found.append((("expect", key), str(fault)))
            return absent


def _ends(ladder: Sequence[str], value: Any) -> Ends:
    ends = value if isinstance(value, list) else [value, value]
    right = len(ends) == 2 and all(isinstance(end, str) and end in ladder for end in ends)
    if not right or ladder.index(ends[0]) > ladder.index(ends[1]):
        raise _Unexpected(f"expected one, or [at least, at most], of: {', '.join(ladder)}")
    return ends[0], ends[1]


def _names(known: Collection[str], value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _Unexpected("expected a list of names")
    unknown = [str(name) for name in value if not isinstance(name, str) or name not in known]
    if unknown:
        raise _Unexpected(f"expected names that exist; not known: {', '.join(unknown)}")
    return tuple(value)


def _true_or_false(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Unexpected("expected true or false")
    return value


def _tables(known: Collection[str], value: Any) -> dict[str, dict[str, int]]:
    if not isinstance(value, dict) or any(name not in known or not _counts(value[name]) for name in value):
        raise _Unexpected(f"expected counts ({', '.join(COUNTS)}) by table; tables: {', '.join(known)}")
    return value


def _counts(value: Any) -> bool:
    return isinstance(value, dict) and all(
        key in COUNTS and isinstance(count, int) and not isinstance(count, bool)
        for key, count in value.items()
    )


def _scores(known: Collection[str], value: Any) -> dict[str, Ends]:
    if not isinstance(value, dict) or any(name not in known for name in value):
        raise _Unexpected(f"expected a number, or [at least, at most], by score; scores: {', '.join(known)}")
    return {name: _sum(value[name]) for name in value}


def _sum(value: Any) -> Ends:
    ends = value if isinstance(value, list) else [value, value]
    if len(ends) != 2 or any(isinstance(end, bool) or not isinstance(end, int | Decimal) for end in ends):
        raise _Unexpected("expected a number, or [at least, at most]")
    return Decimal(ends[0]), Decimal(ends[1])
