"""The files that a result page offers: the response, the result, and its dates for a calendar."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from service.datatypes.days import day_of
from service.results import RISK, indented
from service.results.risk_assessment import result_name
from service.results.wording import dates
from service.web.negotiation import FHIR_JSON

if TYPE_CHECKING:
    from service.assess import Scored
    from service.guidance.result import Result

RESPONSE_FILE: Final = "response.json"
RISK_FILE: Final = "risk.json"
CALENDAR_FILE: Final = "calendar.ics"

_CALENDAR: Final = "text/calendar; charset=utf-8"
_OCTETS: Final = 75
"""Longest line of a calendar file, in bytes without its end."""
_ESCAPED: Final = str.maketrans({"\\": r"\\", ";": r"\;", ",": r"\,", "\n": r"\n"})


class Download(NamedTuple):
    """A file; its name does not reveal whom or what it is about."""

    name: str
    content_type: str
    body: bytes


def download(action: str, scored: Scored, data: bytes) -> Download | None:
    """Returns the file that a button asks for; None if there is none.

    Args:
        action: what the button sends.
        scored: the response.
        data: the same in bytes.
    """
    if action == RESPONSE_FILE:
        return Download("questionnaire-response.json", FHIR_JSON, indented(data).encode())
    if action == RISK_FILE:
        return Download("risk-assessment.json", FHIR_JSON, indented(scored.document(RISK)).encode())
    if action == CALENDAR_FILE:
        body = calendar(scored)
        return None if body is None else Download("calendar.ics", _CALENDAR, body)
    return None


# The calendar.


class Event(NamedTuple):
    """A day, and what to do by then."""

    day: date
    summary: str


def has_calendar(result: Result, authored: str | None) -> bool:
    """Says whether a result has a date for a calendar: what is due now has none."""
    is_now = result.tiers[result.tier.at_least].overlay
    is_dated = bool(dates(result)) or result.recheck is not None
    return is_dated and not is_now and day_of(authored) is not None


def calendar(scored: Scored) -> bytes | None:
    """Returns the dates of a result as all-day events; None if it has none.

    Others may read a calendar: it says whom to see, and no answer, no form and no step.

    Source:
        RFC 5545, sections 3.1 (lines end in CRLF and are folded), 3.3.11 (text), 3.6.1 (an event).
    """
    result, authored = scored.assessment().result, scored.context.authored
    began = day_of(authored)
    if began is None or authored is None or not has_calendar(result, authored):
        return None
    name = result_name(scored.context) or uuid5(NAMESPACE_URL, authored)
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//questionnaire guidance//result//EN",
        *(line for event in _events(scored, result, began) for line in _lines(event, name.hex, authored)),
        "END:VCALENDAR",
    ]
    return b"".join(_folded(line) + b"\r\n" for line in lines)


def _events(scored: Scored, result: Result, began: date) -> Iterator[Event]:
    patient = scored.pair.renderer.patient
    phrases, addressees = patient.phrases, scored.pair.guidance.written.addressees
    for due in dates(result):
        addressee = addressees.get(due.to)
        summary = (
            phrases["form.result.calendar-advice"]
            if addressee is None
            else phrases.say("form.result.calendar-see", addressee=addressee.patient)
        )
        yield Event(began + timedelta(due.days), summary)
    if result.recheck is not None and not dates(result):
        yield Event(began + timedelta(result.recheck), phrases["form.result.calendar-again"])


def _lines(event: Event, name: str, authored: str) -> Iterator[str]:
    """Yields the lines of an event; the same result has the same events, so that none stands there twice."""
    yield "BEGIN:VEVENT"
    yield f"UID:{uuid5(NAMESPACE_URL, f'{name} {event.day} {event.summary}')}"
    yield f"DTSTAMP:{_stamp(authored)}"
    yield f"DTSTART;VALUE=DATE:{event.day:%Y%m%d}"
    yield f"DTEND;VALUE=DATE:{event.day + timedelta(1):%Y%m%d}"
    yield f"SUMMARY:{event.summary.translate(_ESCAPED)}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _stamp(authored: str) -> str:
    """Returns when the response was written, in UTC; midnight if only its day is known."""
    written = datetime.fromisoformat(authored)
    return f"{written if written.tzinfo is None else written.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _folded(line: str) -> bytes:
    """Returns a line in pieces of at most so many bytes, cut between letters; each goes on with a space."""
    pieces: list[bytes] = []
    piece = b""
    for letter in map(str.encode, line):
        if len(piece) + len(letter) > _OCTETS - bool(pieces):
            pieces.append(piece)
            piece = b""
        piece += letter
    return b"\r\n ".join((*pieces, piece))
