"""Dates as days before a response was written.

Days are counted in the calendar, as both dates are written: nobody means hours. What a program has dated may
be written in another zone than the response (`in_zone_of`). A partial date is a stretch of days. Where the
response does not say on which day it was written, a date means any day.

Source: guidance/clinical-decisions.md, section 1: all dates are reckoned from `authored`.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta
from typing import Final

from service.datatypes.answers import Days

ANY_DAYS: Final = Days()
"""What a date means where nothing is known of it."""

LATEST: Final = -1
"""A date may be one day after that on which the response was written: clocks and zones differ."""

_WHOLE_DATE: Final = len("2026-11-28")
_SECOND, _LEAP_SECOND = ":59", ":60"


def day_of(authored: str | None) -> date | None:
    """Returns the day on which a response was written, or None where it does not name one."""
    return date.fromisoformat(authored[:_WHOLE_DATE]) if authored and len(authored) >= _WHOLE_DATE else None


def day_before(day: str, days: int) -> str:
    """Returns the day so many days before a whole date."""
    return (date.fromisoformat(day) - timedelta(days)).isoformat()


def day_after(day: date, days: int) -> date | None:
    """Returns the day so many days after another; None if that lies behind the end of the calendar."""
    left = date.max - day
    return day + timedelta(days) if days <= left.days else None


def days_before(text: str, day: date | None) -> Days:
    """Returns how many days before `day` a date or dateTime is; no date is known to lie further ahead."""
    if day is None:
        return ANY_DAYS
    first, last = first_and_last(text)
    return Days(max((day - last).days, LATEST), max((day - first).days, LATEST))


def in_zone_of(authored: str, text: str) -> str:
    """Returns a dateTime in the zone in which a response was written, if it is another day there."""
    if "T" not in text or "T" not in authored:
        return text
    zone, moment = (datetime.fromisoformat(one.replace(_LEAP_SECOND, _SECOND)) for one in (authored, text))
    try:
        there = moment.astimezone(zone.tzinfo)
    except OverflowError:  # beyond the calendar
        return text
    return text if there.date() == moment.date() else there.isoformat()


def is_late(text: str, authored: str) -> bool:
    """Whether a date or dateTime is certainly more than a day after the response was written."""
    day = day_of(authored)
    return bool(text) and day is not None and (day - first_and_last(text)[0]).days < LATEST


def is_in_calendar(text: str) -> bool:
    """Whether a text of the form YYYY, YYYY-MM or YYYY-MM-DD is in the calendar."""
    try:
        first_and_last(text)
    except ValueError:
        return False
    return True


def first_and_last(text: str) -> tuple[date, date]:
    """Returns the first and the last day that a date can mean."""
    parts = [int(part) for part in text[:_WHOLE_DATE].split("-")]
    year, month, day = (*parts, *(0, 0)[: 3 - len(parts)])
    last_month = month or 12
    first = date(year, month or 1, day or 1)
    return first, date(year, last_month, day or monthrange(year, last_month)[1])
