"""FHIR's dates, which may be partial: their forms, the time that they mean, and how two of them compare.

Everything that reads a date, dateTime, instant or time asks this module, so that a text is valid
everywhere or nowhere. Where R4 leaves a choice, the rules are:

- A fraction of a second has any number of digits, as R4 writes it, and comparing loses none of them;
  only what is stored for searches is cut to microseconds.
- Second 60 is allowed and means the first second of the next minute, as in POSIX time.
- A date that has no time has no zone either; where a moment is needed, it counts as UTC.

Source: FHIR R4 datatypes.html#dateTime; search.html 3.1.1.4.7; FHIRPath N1 section 6.2.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from service.datatypes.days import first_and_last

_DATE = r"(?P<year>[0-9]{4})(?:-(?P<month>0[1-9]|1[0-2])(?:-(?P<day>0[1-9]|[12][0-9]|3[01])"
_CLOCK = (
    r"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])"
    r"(?::(?P<second>[0-5][0-9]|60)(?:\.(?P<fraction>[0-9]+))?)?"
)
# A blank stands for the plus sign that it was before the query of a search was decoded.
_ZONE = r"(?P<zone>Z|[+\- ](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

_date = re.compile(rf"{_DATE})?)?")
_date_time = re.compile(rf"{_DATE}(?:T{_CLOCK}{_ZONE}?)?)?)?")
_time = re.compile(_CLOCK)
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)  # of what is counted in microseconds


def instant(microseconds: int) -> str:
    """Returns a moment, in microseconds since 1970 UTC, as a FHIR instant."""
    moment = _BEGINNING + timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def date_time(moment: datetime) -> str:
    """Returns a moment as a FHIR dateTime, to the second, in its zone: its day is that of who fills in."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


# Forms.


def is_date(text: str) -> bool:
    """Returns whether a text is YYYY, YYYY-MM or YYYY-MM-DD and in the calendar."""
    match = _date.fullmatch(text)
    return match is not None and _is_in_calendar(match)


def is_date_time(text: str) -> bool:
    """Returns whether a text is a date, or a date with a time and its zone, and in the calendar."""
    match = _date_time.fullmatch(text)
    if match is None or not _is_in_calendar(match):
        return False
    return match["hour"] is None or _is_whole(match)


def is_instant(text: str) -> bool:
    """Returns whether a text is a date with a time and its zone, and in the calendar."""
    match = _date_time.fullmatch(text)
    return match is not None and match["hour"] is not None and _is_whole(match) and _is_in_calendar(match)


def is_time(text: str) -> bool:
    """Returns whether a text is hh:mm:ss, perhaps with a fraction."""
    match = _time.fullmatch(text)
    return match is not None and match["second"] is not None


def _is_whole(match: re.Match[str]) -> bool:
    """Returns whether a time has seconds and a zone; only a search may leave them out."""
    second, zone = match.group("second", "zone")
    return second is not None and zone is not None and zone[0] != " "


def _is_in_calendar(match: re.Match[str]) -> bool:
    year, month, day = match.group("year", "month", "day")
    if year == "0000":
        return False
    return day is None or day <= "28" or int(day) <= monthrange(int(year), int(month))[1]


# Patterns for typed decoding, which cannot look at a calendar: what they match is valid in every year.
# They do not match everything that is valid.

_CERTAIN_PART = r"[12][0-9]{3}(?:-(?:0[1-9]|1[0-2]))?"
_CERTAIN_DAY = (
    r"[12][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_CERTAIN_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_CERTAIN_MOMENT = rf"{_CERTAIN_DAY}T{_CERTAIN_CLOCK}(?:\.[0-9]+)?(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9])"

CERTAIN_DATE: Final = rf"\A(?:{_CERTAIN_PART}|{_CERTAIN_DAY})\Z"
CERTAIN_DATE_TIME: Final = rf"\A(?:{_CERTAIN_PART}|{_CERTAIN_DAY}|{_CERTAIN_MOMENT})\Z"
CERTAIN_INSTANT: Final = rf"\A{_CERTAIN_MOMENT}\Z"
CERTAIN_TIME: Final = rf"\A{_CERTAIN_CLOCK}\Z"


# The time that a date means.

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_MICROSECONDS: Final = 1_000_000
_EAST, _WEST = 14 * _HOUR * _MICROSECONDS, 12 * _HOUR * _MICROSECONDS
"""How long before it does in UTC a day may begin somewhere, and how long after it may end."""
_DIGITS: Final = 6
_EPOCH: Final = date(1970, 1, 1).toordinal()


@lru_cache(maxsize=256)  # what is stored with a response has its dates, and one moment of its own
def time_range(text: str) -> tuple[int, int] | None:
    """Returns the first and the last microsecond since 1970 UTC that a date or dateTime can mean.

    Args:
        text: YYYY, YYYY-MM, YYYY-MM-DD, or the last with hh:mm, hh:mm:ss or hh:mm:ss.fff and perhaps a zone.

    Returns:
        None where the text is no date of the calendar.
    """
    match = _date_time.fullmatch(text)
    if match is None or not _is_in_calendar(match):
        return None
    if match["hour"] is None:
        first, last = (day.toordinal() - _EPOCH for day in first_and_last(text))
        return first * _DAY * _MICROSECONDS, (last + 1) * _DAY * _MICROSECONDS - 1
    low = _seconds(match) * _MICROSECONDS
    second, fraction = match.group("second", "fraction")
    if fraction is None:
        return low, low + (_MICROSECONDS if second else _MINUTE * _MICROSECONDS) - 1
    digits = fraction[:_DIGITS]
    unit = 10 ** (_DIGITS - len(digits))
    return low + int(digits) * unit, low + int(digits) * unit + unit - 1


def _seconds(match: re.Match[str]) -> int:
    """Returns the seconds since 1970 UTC at which a dateTime with a time begins."""
    year, month, day, zone = match.group("year", "month", "day", "zone")
    days = date(int(year), int(month), int(day)).toordinal() - _EPOCH
    return days * _DAY + _seconds_of_day(match) - _offset(zone)


def _seconds_of_day(match: re.Match[str]) -> int:
    hour, minute, second = match.group("hour", "minute", "second")
    return int(hour) * _HOUR + int(minute) * _MINUTE + int(second or 0)


def _offset(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    seconds = int(zone[1:3]) * _HOUR + int(zone[4:6]) * _MINUTE
    return -seconds if zone[0] == "-" else seconds


class Span(NamedTuple):
    """The time that something may be of.

    Args:
        when: as when it counts, in microseconds since 1970 UTC.
        first, last: the first and the last moment of which it may be, a day being one of UTC.
        has_zone: its date has a time; a day alone may be of any zone.
    """

    when: int
    first: int
    last: int
    has_zone: bool

    def may_be_after(self, other: Span) -> bool:
        """Whether it may be of the same time as another, or later.

        Two days are days of the calendar; where only one of them has a zone, the other may be of any.
        """
        west = _WEST if other.has_zone and not self.has_zone else 0
        east = _EAST if self.has_zone and not other.has_zone else 0
        return other.when - east <= self.last + west or other.first - east <= self.when + west


def span(text: str) -> Span | None:
    """Returns the time that a dateTime means, from which it counts; None where it is none."""
    found = time_range(text) if is_date_time(text) else None
    return None if found is None else Span(found[0], *found, has_zone="T" in text)


# How two of them compare.


def compare(a: str, b: str) -> int | None:
    """Returns -1, 0 or 1 as a date or dateTime is before, the same as or after another.

    Args:
        a: a text that `is_date_time` takes.
        b: another.

    Returns:
        None where the precision of one does not allow an answer. Where only one of them has a time,
        the digits of the date decide, since a date has no zone.
    """
    ours, theirs = _date_time.fullmatch(a), _date_time.fullmatch(b)
    if ours is not None and theirs is not None and ours["hour"] and theirs["hour"]:
        return sign((_seconds(ours), _fraction(ours)), (_seconds(theirs), _fraction(theirs)))
    digits = min(len(a.partition("T")[0]), len(b.partition("T")[0]))
    if a[:digits] != b[:digits]:
        return sign(a[:digits], b[:digits])
    return 0 if len(a) == len(b) == digits else None


def compare_times(a: str, b: str) -> int:
    """Returns -1, 0 or 1 as a time of the day is before, the same as or after another."""
    return sign(_of_the_day(a), _of_the_day(b))


def _of_the_day(text: str) -> tuple[int, str]:
    match = _time.fullmatch(text)
    return (0, "") if match is None else (_seconds_of_day(match), _fraction(match))


def _fraction(match: re.Match[str]) -> str:
    """Returns the digits of a fraction without zeros at its end: as texts, they sort as numbers do."""
    return (match["fraction"] or "").rstrip("0")


def sign(a: Any, b: Any) -> int:
    """Returns -1, 0 or 1 as a is less than, equal to or greater than b."""
    return int(a > b) - int(a < b)
