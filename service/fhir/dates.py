"""Dates as stretches of time: a year is as long as its days, a second as its microseconds.

A date or time without a zone counts as UTC, in what is stored and in what is asked.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date
from typing import Final

_EPOCH: Final = date(1970, 1, 1).toordinal()
_SECOND: Final = 1_000_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_DIGITS: Final = 6

# A blank stands for the plus sign that it was before the query was decoded.
_ZONE = r"(?P<zone>Z|[+\- ](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_TIME = (
    r"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9]|60)(?:\.(?P<part>[0-9]+))?)?"
)
_FORM = re.compile(
    rf"(?P<year>[0-9]{{4}})(?:-(?P<month>[0-9]{{2}})(?:-(?P<day>[0-9]{{2}})(?:T{_TIME}{_ZONE}?)?)?)?"
)


def stretch(text: str) -> tuple[int, int] | None:
    """Returns the first and last microsecond since 1970 UTC that a date or dateTime can mean.

    Args:
        text: YYYY, YYYY-MM, YYYY-MM-DD, or the last with hh:mm, hh:mm:ss or hh:mm:ss.fff and perhaps a zone.

    Returns:
        None where the text is no date of the calendar.

    Source: FHIR R4 search.html 3.1.1.4.7
    """
    match = _FORM.fullmatch(text)
    days = _days(match) if match else None
    if match is None or days is None:
        return None
    first, last = days
    if match["hour"] is None:
        return first * _DAY, (last + 1) * _DAY - 1
    start, length = _time(match)
    low = first * _DAY + start - _offset(match["zone"])
    return low, low + length - 1


def _days(match: re.Match[str]) -> tuple[int, int] | None:
    year, month, day = (int(match[name] or 0) for name in ("year", "month", "day"))
    try:
        first = date(year, month if match["month"] else 1, day if match["day"] else 1)
    except ValueError:
        return None
    last = date(year, month or 12, day or monthrange(year, month or 12)[1])
    return first.toordinal() - _EPOCH, last.toordinal() - _EPOCH


def _time(match: re.Match[str]) -> tuple[int, int]:
    """Returns the microseconds since midnight, and how many of them the text leaves open."""
    minutes = int(match["hour"]) * _HOUR + int(match["minute"]) * _MINUTE
    if match["second"] is None:
        return minutes, _MINUTE
    digits = (match["part"] or "")[:_DIGITS]
    unit = 10 ** (_DIGITS - len(digits))
    return minutes + int(match["second"]) * _SECOND + int(digits or 0) * unit, unit


def _offset(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    amount = int(zone[1:3]) * _HOUR + int(zone[4:6]) * _MINUTE
    return -amount if zone[0] == "-" else amount
