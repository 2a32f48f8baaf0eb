"""Worked cases: patients with the result that they must get, run when a guidance is checked.

A case is read (its answers as answers to the form, its expectations as names and numbers that
exist), and its result is compared with what it expects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar

import msgspec

from service.datatypes.answers import Answer, AnswersByLink, Quantity
from service.datatypes.days import day_before, is_in_calendar, is_late
from service.datatypes.form import Form, Question
from service.datatypes.ucum import Conversion
from service.guidance.conditions import Place
from service.guidance.model import CaseEntry, EarlierEntry, Written, unfit_answers
from service.guidance.options import CHOICES, DATES, PLAIN, codings_of
from service.guidance.result import Interval, Result
from service.guidance.schema import fault_line

_FILE = "cases.yaml"

COUNTS = ("left", "right", "open", "not-done")
"""What a case may expect of a table."""

RESERVED = (
    *("tier", "date", "to", "recheck", "fires", "not-fires", "open", "contradictions", "settled"),
    *("tables", "score"),
)
"""Keys of `expect`; every other key is the code of an outcome, which therefore cannot be one of these."""

AUTHORED = "2026-11-01"
"""The day on which the person of a case answered, where the case names none."""

Value = TypeVar("Value")

Ends = tuple[Any, Any]
"""What an interval is at least and at most."""


class Expectation(msgspec.Struct, frozen=True):
    """What a case expects; None (or an empty mapping) where it says nothing.

    Args:
        tier, levels, scores: both ends of the interval; equal where the case names one.
        open: these questions are open, in this order; others may be too, unless it is empty: then
            none is open.
        contradictions: exactly these hold.
        date, recheck: one number of days, or None where the case expects no date; else empty.
        to: for whom the earliest reason is.
    """

    tier: Ends | None = None
    date: tuple[int | None, ...] = ()
    to: str = ""
    recheck: tuple[int | None, ...] = ()
    levels: Mapping[str, Ends] = msgspec.field(default_factory=dict)
    fires: tuple[str, ...] = ()
    not_fires: tuple[str, ...] = ()
    open: tuple[str, ...] | None = None
    contradictions: tuple[str, ...] | None = None
    settled: bool | None = None
    tables: Mapping[str, Mapping[str, int]] = msgspec.field(default_factory=dict)
    scores: Mapping[str, Ends] = msgspec.field(default_factory=dict)


Fault = tuple[Place, str]
"""A place inside a case, and what was expected there."""


class Case(msgspec.Struct, frozen=True):
    """One worked case; `answers` holds what the person answered on the day `authored`, asked or not.

    Args:
        floor: a report counts its questions, and those that can each alone change the result.
        earlier: what the person had answered before, each with its day; the newest first.
    """

    name: str
    about: str
    status: str
    answers: AnswersByLink
    chart: AnswersByLink
    expect: Expectation
    authored: str = AUTHORED
    floor: bool = False
    earlier: tuple[tuple[str, AnswersByLink], ...] = ()

    def faults(self, result: Result) -> tuple[str, ...]:
        """Returns a sentence for each expectation of the case that the result does not meet."""
        expect = self.expect
        found = *_interval_faults(expect, result), *_date_faults(expect, result)
        return (*found, *_list_faults(expect, result), *_count_faults(expect, result))


def cases_from(written: Written, form: Form) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """Returns the worked cases, and a line per fault in them. A case may be `like` one before it."""
    cases: dict[str, Case] = {}
    faults: list[str] = []
    for entry in written.cases:
        found = list(_name_faults(entry, cases))
        case = _case(entry, cases, _Reader(written, form, found))
        faults += [fault_line(_FILE, (entry.name, *place), text) for place, text in found]
        cases.setdefault(entry.name, case)
    return tuple(cases.values()), tuple(faults)


def _name_faults(entry: CaseEntry, known: Mapping[str, Case]) -> Iterator[Fault]:
    if entry.name in known:
        yield (), "expected a name that no other case has"
    places: list[tuple[Place, str]] = [(("like",), entry.like)]
    places += [(("before", index, "like"), before.like) for index, before in enumerate(entry.earlier)]
    for place, like in places:
        if like and like not in known:
            yield place, "expected the name of a case that stands before this one"


def _case(entry: CaseEntry, known: Mapping[str, Case], reader: _Reader) -> Case:
    like = known.get(entry.like)
    authored = reader.day(entry.authored, ("authored",), AUTHORED if like is None else like.authored)
    chart = reader.answers(entry.chart, ("chart",), authored)
    earlier = [_earlier(before, known, reader, index) for index, before in enumerate(entry.earlier)]
    return Case(
        name=entry.name,
        about=entry.about,
        status=entry.status,
        answers=_with_inherited(entry.answers, like, reader, ("answers",), authored),
        chart={**({} if like is None else like.chart), **chart},
        expect=reader.expectation(entry.expect),
        authored=authored,
        floor=entry.floor,
        earlier=tuple(sorted(earlier, key=itemgetter(0), reverse=True)),
    )


def _earlier(
    entry: EarlierEntry, known: Mapping[str, Case], reader: _Reader, index: int
) -> tuple[str, AnswersByLink]:
    authored = reader.day(entry.authored, ("before", index, "authored"), AUTHORED)
    place = ("before", index, "answers")
    return authored, _with_inherited(entry.answers, known.get(entry.like), reader, place, authored)


def _with_inherited(
    written: Mapping[str, Any], like: Case | None, reader: _Reader, place: Place, authored: str
) -> dict[str, tuple[Answer, ...]]:
    """Returns the answers that are written, and those of the case before that are not taken back."""
    removed = {link_id for link_id, value in written.items() if value is None}
    inherited = {} if like is None else {key: like.answers[key] for key in like.answers if key not in removed}
    return {**inherited, **reader.answers(written, place, authored)}


class _Reader(msgspec.Struct, frozen=True):
    """Reads the plain values of one case; what is wrong with them is added to `faults`."""

    written: Written
    form: Form
    faults: list[Fault]

    def answers(
        self, values: Mapping[str, Any], place: Place, authored: str
    ) -> dict[str, tuple[Answer, ...]]:
        """Returns the answers that stand at a place of the case, by linkId."""
        answer = partial(_answer, self.written, authored)
        answers: dict[str, tuple[Answer, ...]] = {}
        for link_id, value in values.items():
            question = self.form.questions.get(link_id)
            if question is None:
                self.faults.append(((*place, link_id), "expected the linkId of a question"))
            elif value is not None:
                try:
                    answers[link_id] = _answers(question, value, answer)
                except _Unexpected as fault:
                    self.faults.append(((*place, link_id), str(fault)))
        return answers

    def day(self, written: str, place: Place, inherited: str) -> str:
        """Returns the day on which the person answered."""
        if written and not (_DAY.fullmatch(written) and is_in_calendar(written)):
            self.faults.append((place, "expected a day, such as 2026-11-01"))
            return inherited
        return written or inherited

    def expectation(self, values: Mapping[str, Any]) -> Expectation:
        """Returns what the case expects."""
        ladders = {outcome.code: outcome.levels for outcome in self.written.outcomes}
        for key in values:
            if key not in RESERVED and key not in ladders:
                text = f"expected one of: {', '.join([*RESERVED, *ladders])}"
                self.faults.append((("expect", key), text))
        value = partial(self._expected, values)
        rules = partial(_names, [rule.name for rule in self.written.rules])
        all_contradictions = (*self.written.contradictions, *unfit_answers(self.form))
        contradictions = partial(_names, [contradiction.name for contradiction in all_contradictions])
        levels = {code: value(code, partial(_ends, ladder), None) for code, ladder in ladders.items()}
        return Expectation(
            tier=value("tier", partial(_ends, [tier.code for tier in self.written.tiers]), None),
            date=value("date", _days, ()),
            to=value("to", partial(_name, self.written.addressees), ""),
            recheck=value("recheck", _days, ()),
            levels={code: ends for code, ends in levels.items() if ends is not None},
            fires=value("fires", rules, ()),
            not_fires=value("not-fires", rules, ()),
            open=value("open", partial(_names, self.form.questions), None),
            contradictions=value("contradictions", contradictions, None),
            settled=value("settled", _true_or_false, None),
            tables=value("tables", partial(_tables, [table.name for table in self.written.comparisons]), {}),
            scores=value("score", partial(_scores, [score.name for score in self.written.scores]), {}),
        )

    def _expected(
        self, values: Mapping[str, Any], key: str, read: Callable[[Any], Value], absent: Value
    ) -> Value:
        """Returns the value of a key, or `absent` where it is not written or not right."""
        if key not in values:
            return absent
        try:
            return read(values[key])
        except _Unexpected as fault:
            self.faults.append((("expect", key), str(fault)))
            return absent


class _Unexpected(Exception):
    """The value is not what can stand here; the text says what can."""


# Answers, from words to answers of the form.

_NUMBER = r"(?:(?P<comparator><=|>=|<|>) )?(?P<value>-?[0-9]+(?:\.[0-9]+)?)"
_RANGE = re.compile(_NUMBER)
_QUANTITY = re.compile(rf"{_NUMBER} (?P<unit>\S+)")
_AGO = re.compile(r"(?P<days>[0-9]{1,5}) d ago")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE = re.compile(r"[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?")


def _answers(question: Question, value: Any, answer: Callable[[Question, Any], Answer]) -> tuple[Answer, ...]:
    """Returns the answers that a case writes for a question: one value, or a list of values."""
    values = value if isinstance(value, list) else [value]
    if not values or (len(values) > 1 and not question.repeats):
        raise _Unexpected("expected one answer" if values else "expected at least one answer, or null")
    return tuple(answer(question, single) for single in values)


def _answer(written: Written, authored: str, question: Question, value: Any) -> Answer:
    if question.type in CHOICES:
        return _coded(question, value, written.words)
    if question.type == "boolean":
        return _checked(value, "true or false", isinstance(value, bool))
    if question.type in ("integer", "decimal"):
        return _plain(question, value)
    if question.type == "quantity":
        return _quantity(question, value, written.conversions(question.link_id))
    if question.type in DATES:
        return _dated(value, authored)
    return _checked(value, "a text in quotes", isinstance(value, str))


def _coded(question: Question, value: Any, words: Mapping[str, str]) -> Answer:
    codings = codings_of(question, value, words) if isinstance(value, str) else ()
    if codings:
        return codings[0]
    codes = ", ".join(option.coding.code for option in question.options)
    return _checked(value, f"one of: {codes}", question.type == "open-choice" and isinstance(value, str))


def _plain(question: Question, value: Any) -> Answer:
    match = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if match is not None and match["comparator"]:
        return Quantity(Decimal(match["value"]), PLAIN, match["comparator"])
    if question.type == "integer":
        return _checked(value, "a whole number", isinstance(value, int) and not isinstance(value, bool))
    _checked(value, "a number", isinstance(value, int | Decimal) and not isinstance(value, bool))
    return Decimal(value)


def _quantity(question: Question, value: Any, conversions: Iterable[Conversion]) -> Quantity:
    """Returns the value or range that `"3 d"` or `"> 3 d"` writes, in a unit that the question allows."""
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    allowed = (*question.units, *(known.source for known in conversions))
    if match is None or (question.units and match["unit"] not in allowed):
        units = ", ".join(dict.fromkeys(allowed)) or "a UCUM unit"
        raise _Unexpected(f'expected a number and a unit in quotes, such as "3 d"; units: {units}')
    return Quantity(Decimal(match["value"]), match["unit"], match["comparator"] or "")


def _dated(value: Any, authored: str) -> str:
    """Returns the date that a case writes, or that is so many days before the person answered."""
    text = value if isinstance(value, str) else ""
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return day_before(authored, int(ago["days"]))
    if _DATE.fullmatch(text) is None or not is_in_calendar(text):
        raise _Unexpected("expected a date such as 2026-10-20, 2026-10 or 2026, or days: 12 d ago")
    if is_late(text, authored):
        raise _Unexpected(f"expected a date at most one day after {authored}, the day of the case")
    return text


def _checked(value: Answer, expected: str, right: object) -> Answer:
    if not right:
        raise _Unexpected(f"expected {expected}")
    return value


# What a case expects, from words to names and numbers that exist.


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


def _name(known: Collection[str], value: Any) -> str:
    return _names(known, [value])[0]


def _days(value: Any) -> tuple[int | None]:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise _Unexpected("expected a whole number of days after the response, or null for no date")
    return (value,)


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


# What a case expects and its result does not say.


def _interval_faults(expect: Expectation, result: Result) -> Iterator[str]:
    if expect.tier is not None:
        yield from _differs("tier", expect.tier, _words(result.tier, [tier.code for tier in result.tiers]))
    for risk in result.risks:
        if risk.outcome.code in expect.levels:
            found = _words(risk.level, risk.outcome.levels)
            yield from _differs(risk.outcome.code, expect.levels[risk.outcome.code], found)
    if expect.settled is not None and expect.settled != result.settled:
        yield f"settled: expected {expect.settled}, found {result.settled}".lower()


def _date_faults(expect: Expectation, result: Result) -> Iterator[str]:
    due = result.due
    pairs = (
        ("date", expect.date, None if due is None else due.days),
        ("recheck", expect.recheck, result.recheck),
    )
    for key, expected, found in pairs:
        if expected and expected != (found,):
            yield f"{key}: expected {_in_days(expected[0])}, found {_in_days(found)}"
    if expect.to and (due is None or due.to != expect.to):
        yield f"to: expected {expect.to}, found {'nobody' if due is None else due.to or 'nobody'}"


def _in_days(days: int | None) -> str:
    return "none" if days is None else f"{days} days"


def _list_faults(expect: Expectation, result: Result) -> Iterator[str]:
    fired = {fired.rule.name for fired in result.fired} | {
        fired.rule.name for risk in result.risks for fired in risk.fired
    }
    yield from (f"fires: expected {name}, which did not fire" for name in expect.fires if name not in fired)
    yield from (
        f"not-fires: expected that {name} does not fire, but it did"
        for name in expect.not_fires
        if name in fired
    )
    if expect.open is not None:
        yield from _open_faults(expect.open, [question.link_id for question in result.open])
    if expect.contradictions is not None:
        found = sorted(contradiction.name for contradiction in result.contradictions)
        if found != sorted(expect.contradictions):
            yield f"contradictions: expected {_listed(sorted(expect.contradictions))}, found {_listed(found)}"


def _open_faults(expected: tuple[str, ...], found: list[str]) -> Iterator[str]:
    if not expected and found:
        yield f"open: expected no open question, found {_listed(found)}"
    missing = [link_id for link_id in expected if link_id not in found]
    if missing:
        yield f"open: expected {_listed(missing)} among the open questions, found {_listed(found)}"
    elif [link_id for link_id in found if link_id in expected] != list(expected):
        yield f"open: expected the order {_listed(expected)}, found {_listed(found)}"


def _count_faults(expect: Expectation, result: Result) -> Iterator[str]:
    for tally in result.tables:
        numbers = tally.left, tally.right, tally.open, tally.not_done
        counts = dict(zip(COUNTS, numbers, strict=True))
        for key, count in expect.tables.get(tally.comparison.name, {}).items():
            if counts[key] != count:
                yield f"tables: {tally.comparison.name}: expected {key} {count}, found {counts[key]}"
    for total in result.totals:
        if total.score.name in expect.scores:
            found = total.at_least, total.at_most
            yield from _differs(f"score: {total.score.name}", expect.scores[total.score.name], found)


def _differs(what: str, expected: Ends, found: Ends) -> Iterator[str]:
    if expected != found:
        yield f"{what}: expected {_interval(expected)}, found {_interval(found)}"


def _interval(ends: Ends) -> str:
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _words(interval: Interval, names: Sequence[str]) -> Ends:
    return names[interval.at_least], names[interval.at_most]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"
