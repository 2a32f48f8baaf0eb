"""What comes back from the fields of a page: typed answers, or what to do about what cannot be taken.

What is typed is read in the language of the page (a decimal comma or point) and judged by the engine that
checks responses. Nothing that was typed stands in an error.

Source:
    FHIR R4 Questionnaire.item; datatypes.html (date, dateTime, decimal); GOV.UK design system, date input.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from service.datatypes.answers import Answer, AnswersByLink, Coding, Quantity
from service.datatypes.days import is_in_calendar, is_late
from service.fhir.outcome import severity
from service.languages import Words
from service.pages.model import Field
from service.questionnaire import Item
from service.questionnaire.answer_checks import typed_faults
from service.questionnaire.pattern import PatternBudget
from service.results import phrases_in

LONGEST_TEXT: Final = 10_000
"""Most characters of a text for which the form has no limit of its own."""
_CONTROL_SIGNS: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}(?:[.,][0-9]{1,20})?")
_COMPARATOR: Final = re.compile(r"\s*(<=|>=|<|>|\u2264|\u2265)?(.*)", re.DOTALL)
_COMPARATORS: Final = {"\u2264": "<=", "\u2265": ">="}
_TIME: Final = re.compile(r"([01]?[0-9]|2[0-3])[:.]([0-5][0-9])(?:[:.]([0-5][0-9]))?")


class Option(msgspec.Struct, frozen=True):
    """One option of a question, or one unit of a quantity.

    Args:
        value: what the browser sends.
        answer: what it means; a Coding for a unit.
    """

    value: str
    answer: Answer
    label: str
    is_exclusive: bool = False
    media: str = ""


class Control(msgspec.Struct, frozen=True):
    """What never changes about the field of one item, in one language.

    Args:
        shown: the field as it stands on an untouched page.
        options: of a choice. units: of a quantity.
        is_open: another text can be given beside the options.
    """

    item: Item
    shown: Field
    options: tuple[Option, ...] = ()
    units: tuple[Option, ...] = ()
    is_open: bool = False

    @property
    def by_value(self) -> Mapping[str, Option]:
        """The options by what the browser sends."""
        return {option.value: option for option in self.options}

    @property
    def answers(self) -> tuple[Answer, ...]:
        """What the options mean."""
        return tuple(option.answer for option in self.options)


class Posted:
    """The controls of a form as a browser has sent them.

    Args:
        values: all values by name of the control.
    """

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._values = values

    def all(self, name: str) -> tuple[str, ...]:
        """Returns the values of a control, without signs that no text may have."""
        return tuple(_plain(value) for value in self._values.get(name, ()))

    def one(self, name: str) -> str:
        """Returns the first value of a control; empty if there is none."""
        return next(iter(self.all(name)), "")

    def of(self, links: Collection[str]) -> Mapping[str, Sequence[str]]:
        """Returns the values of the controls of questions, by name of the control."""
        return {name: self.all(name) for name in self._values if name[1:2] == "." and name[2:] in links}

    def has(self, name: str) -> bool:
        """Returns whether the control was sent."""
        return name in self._values


class Reading(msgspec.Struct, frozen=True):
    """What was read of a page.

    Args:
        answers: by linkId; a question without an answer is absent.
        errors: by linkId, what to do about what cannot be taken.
    """

    answers: AnswersByLink
    errors: Mapping[str, str]


class Unfit(Exception):
    """What was typed cannot be taken; says what to do."""


class Reader:
    """Reads what was sent for one question.

    Args:
        words: of the language of the page.
        dates: questions for a date that may lie at most one day ahead of what `now` tells.
    """

    def __init__(self, words: Words, dates: Collection[str], now: Callable[[], datetime]) -> None:
        self._words = words
        self._now = now
        self._mark = words["style.decimal-mark"]
        self._dates = dates
        self._read: Mapping[str, Callable[[Control, str], Answer]] = {
            "integer": self._integer,
            "decimal": self._decimal,
            "string": self._string,
            "text": self._string,
            "url": self._string,
            "time": self._time,
        }

    def answers(self, control: Control, posted: Posted) -> tuple[Answer, ...]:
        """Returns the answers to a question; raises Unfit."""
        found = self._found(control, posted)
        for answer in found:
            self._check(control, answer)
        if control.item.max_occurs is not None and len(found) > control.item.max_occurs:
            raise self._unfit(control, "too-many", most=control.item.max_occurs)
        if len(found) > 1 and any(
            option.is_exclusive and option.answer in found for option in control.options
        ):
            alone = next(
                option.label for option in control.options if option.is_exclusive and option.answer in found
            )
            raise self._unfit(control, "exclusive", option=alone)
        return found

    def required(self, control: Control) -> str:
        """Returns the message for a required question that is not answered."""
        kind = control.shown.kind
        key = {"radios": "choose", "select": "choose", "checkboxes": "choose-any"}.get(kind, "enter")
        return self._words.say(f"form.error.{key}", label=control.shown.label)

    def _found(self, control: Control, posted: Posted) -> tuple[Answer, ...]:
        link, kind = control.item.link_id, control.item.type
        if control.options:
            return self._chosen(control, posted)
        if kind in ("date", "dateTime"):
            return self._date(control, posted)
        if kind == "quantity":
            return self._quantity(control, posted)
        lines = self._lines(control, posted.one(f"q.{link}"))
        return tuple(self._read[kind](control, line) for line in lines)

    def _lines(self, control: Control, typed: str) -> list[str]:
        """Returns the typed text, split into lines if there may be several answers, without blank ones."""
        lines = typed.split("\n") if control.item.repeats else [typed]
        return [line.strip() for line in lines if line.strip()]

    def _chosen(self, control: Control, posted: Posted) -> tuple[Answer, ...]:
        link, known = control.item.link_id, control.by_value
        values = [value for value in dict.fromkeys(posted.all(f"q.{link}")) if value]
        other = posted.one(f"o.{link}") if control.is_open else ""
        if any(value not in known for value in values):
            raise self._unfit(control, "choose")
        answers: list[Answer] = [known[value].answer for value in values]
        if other:
            answers = [*answers, *self._lines(control, other)] if control.item.repeats else [other]
        if len(answers) > 1 and not control.item.repeats:
            raise self._unfit(control, "choose")
        return tuple(answers)

    def _number(self, control: Control, typed: str) -> str:
        """Returns a number as FHIR writes it."""
        plain = re.sub(r"[\s\u00a0\u202f]", "", typed).replace("\u2212", "-")
        if not _NUMBER.fullmatch(plain):
            raise self._unfit(control, "number")
        whole, mark, places = plain.replace(",", ".").partition(".")
        if mark and self._mark not in plain and len(places) == 3 and whole.lstrip("+-0"):
            raise self._unfit(control, "thousands")
        return f"{whole.lstrip('+')}{mark}{places}"

    def _integer(self, control: Control, typed: str) -> int:
        number = Decimal(self._number(control, typed))
        if number != number.to_integral_value():
            raise self._unfit(control, "integer")
        if abs(number) >= 2**31:
            raise self._unfit(control, "number")
        return int(number)

    def _decimal(self, control: Control, typed: str) -> Decimal:
        return Decimal(self._number(control, typed))

    def _quantity(self, control: Control, posted: Posted) -> tuple[Answer, ...]:
        link = control.item.link_id
        typed = posted.one(f"q.{link}")
        if not typed:
            return ()
        found = _COMPARATOR.fullmatch(typed)
        comparator, number = (found[1] or "", found[2]) if found is not None else ("", typed)
        value = self._decimal(control, number)
        unit = posted.one(f"u.{link}") if len(control.units) > 1 else "".join(o.value for o in control.units)
        if len(control.units) > 1 and unit not in [option.value for option in control.units]:
            raise self._unfit(control, "unit")
        return (Quantity(value, unit, _COMPARATORS.get(comparator, comparator)),)

    def _string(self, control: Control, typed: str) -> str:
        if control.item.limits.max_length is None and len(typed) > LONGEST_TEXT:
            raise self._unfit(control, "too-long", most=LONGEST_TEXT)
        return typed

    def _time(self, control: Control, typed: str) -> str:
        found = _TIME.fullmatch(typed)
        if found is None:
            raise self._unfit(control, "time")
        hours, minutes, seconds = found.groups()
        return f"{int(hours):02}:{minutes}:{seconds or '00'}"

    def _date(self, control: Control, posted: Posted) -> tuple[Answer, ...]:
        link = control.item.link_id
        day, month, year, time = (posted.one(f"{part}.{link}") for part in "dmyt")
        if not (day or month or year or time):
            return ()
        if not re.fullmatch(r"[0-9]{4}", year):
            raise self._unfit(control, "year")
        if ((day or time) and not month) or (time and not day):
            raise self._unfit(control, "date")
        parts = [part for part in (month, day) if part]
        if not all(re.fullmatch(r"[0-9]{1,2}", part) for part in parts):
            raise self._unfit(control, "date")
        written = "-".join((year, *(f"{int(part):02}" for part in parts)))
        if not is_in_calendar(written):
            raise self._unfit(control, "date")
        if time:
            written = f"{written}T{self._time(control, time)}Z"
        return (written,)

    def _check(self, control: Control, answer: Answer) -> None:
        """Raises Unfit if the question does not permit the answer."""
        item = control.item
        if item.link_id in self._dates and is_late(str(answer), self._now().isoformat()):
            raise self._unfit(control, "future")
        unit = _unit_of(control, answer)
        for kind, _ in typed_faults(item, answer, PatternBudget(), unit):
            if severity(kind) == "error":
                known = kind if f"form.error.{kind}" in self._words.texts else "fit"
                raise self._unfit(control, known, **self._limits(item, kind))

    def _limits(self, item: Item, kind: str) -> dict[str, str]:
        """Returns the limit that was passed in words: `least` or `most`."""
        limits = item.limits
        least, most = limits.min_quantity or limits.min_value, limits.max_quantity or limits.max_value
        known: Mapping[str, tuple[str, Answer | None]] = {
            "below-minimum": ("least", least),
            "above-maximum": ("most", most),
            "too-short": ("least", limits.min_length),
            "too-long": ("most", limits.max_length),
            "decimal-places": ("most", limits.max_decimal_places),
        }
        name, limit = known.get(kind, ("", None))
        return {name: self._phrases_of(limit)} if name else {}

    def _phrases_of(self, limit: Answer | None) -> str:
        phrases = phrases_in(self._words.language)
        if isinstance(limit, Quantity):
            return phrases.measured(limit)
        if isinstance(limit, int | Decimal) and not isinstance(limit, bool):
            return phrases.number(limit)
        is_day = isinstance(limit, str) and limit[:4].isdigit() and ":" not in limit[:6]
        return phrases.date(limit) if is_day and isinstance(limit, str) else str(limit)

    def _unfit(self, control: Control, kind: str, **parts: object) -> Unfit:
        return Unfit(self._words.say(f"form.error.{kind}", label=control.shown.label, **parts))


def _unit_of(control: Control, answer: Answer) -> tuple[str, ...]:
    """Returns system and name of the unit of a quantity, as `typed_faults` takes them."""
    if not isinstance(answer, Quantity):
        return ()
    known = next((unit for unit in control.units if unit.value == answer.unit), None)
    if known is None or not isinstance(known.answer, Coding):
        return ("", "")
    return (known.answer.system, known.label)


def _plain(value: str) -> str:
    return value.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROL_SIGNS).strip()
