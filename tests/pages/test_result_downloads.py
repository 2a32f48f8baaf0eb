"""The files of a result page: the same bytes as `assess`, and a calendar that others may read."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import orjson
import pytest
from result_pages import scored_case

from service import catalogue
from service.assess import Assessor
from service.catalogue import Pair
from service.datatypes.values import replace
from service.fhir.json import BodyLimits
from service.pages.downloads import CALENDAR_FILE, RESPONSE_FILE, RISK_FILE, calendar, download

CONSULT = "four-weeks-are-over-the-cut-off"


@pytest.fixture(scope="session")
def served(root: Path) -> catalogue.Catalogue:
    return catalogue.read(root / "questionnaires", root / "mappings")


@pytest.fixture(scope="session")
def pair(served: catalogue.Catalogue) -> Pair:
    (found,) = [pair for pair in served.pairs.values() if pair.is_active]
    return found


def events(file: bytes) -> list[dict[str, str]]:
    """Reads a calendar file: unfolds its lines (RFC 5545, section 3.1) and collects its events."""
    text = file.decode().replace("\r\n ", "")
    assert "\n" not in text.replace("\r\n", "")
    lines = text.removesuffix("\r\n").split("\r\n")
    assert (lines[0], lines[-1]) == ("BEGIN:VCALENDAR", "END:VCALENDAR")
    found: list[dict[str, str]] = []
    for line in lines[1:-1]:
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            found.append({})
        elif found and line != "END:VEVENT":
            assert name not in found[-1]
            found[-1][name] = value
    return found


def unescaped(text: str) -> str:
    return text.replace("\\,", ",").replace("\\;", ";").replace("\\\\", "\\")


@pytest.mark.parametrize(
    "name", ["plain-eyelid", "progressive-weakness", "professional-with-labs", "partial"]
)
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_result_file_is_what_assess_prints(served, root, name, language):
    data, assessor = (root / "samples" / f"{name}.json").read_bytes(), Assessor(served, BodyLimits())
    file = download(RISK_FILE, assessor.scored(data, (language,)), data)
    assert file.body.decode() == assessor.shown(data, "risk", (language,))
    assert (file.name, file.content_type) == ("risk-assessment.json", "application/fhir+json")


def test_the_response_file_is_the_response(served, root):
    data = (root / "samples" / "professional-with-labs.json").read_bytes()
    file = download(RESPONSE_FILE, Assessor(served, BodyLimits()).scored(data), data)
    assert orjson.loads(file.body) == orjson.loads(data)


def test_another_name_is_no_file(pair):
    assert download("passwords.txt", scored_case(pair, CONSULT), b"{}") is None


# The calendar.


def test_the_date_is_a_whole_day_on_which_it_is_due(pair):
    scored = scored_case(pair, CONSULT)
    due = scored.assessment().result.due
    (event,) = events(calendar(scored))
    day = date.fromisoformat(scored.context.authored[:10]) + timedelta(due.days)
    assert event["DTSTART;VALUE=DATE"] == f"{day:%Y%m%d}"
    assert event["DTEND;VALUE=DATE"] == f"{day + timedelta(1):%Y%m%d}"
    assert {"UID", "DTSTAMP", "SUMMARY"} < event.keys()


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_calendar_says_whom_to_see_and_nothing_of_what_was_answered(pair, language):
    told = pair.told_in((language,), "en")
    scored = scored_case(told, CONSULT)
    addressee = told.guidance.written.addressees[scored.assessment().result.due.to].patient
    text = calendar(scored).decode()
    (event,) = events(calendar(scored))
    begun = told.renderer.patient.phrases["form.result.calendar-see"].format(addressee=addressee)
    assert unescaped(event["SUMMARY"]) == begun
    lines = {
        line for section in told.renderer.patient.sections(scored.assessment())[0] for line in section.lines
    }
    assert not any(line in text for line in lines)
    assert told.renderer.patient.title not in text


def test_two_dates_are_two_events(pair):
    found = [scored_case(pair, case.name) for case in pair.guidance.cases]
    two = [one for one in found if one.assessment().result.step_due != one.assessment().result.due]
    later = [events(calendar(one)) for one in two if calendar(one) is not None]
    assert later
    for first, second in later:
        assert first["DTSTART;VALUE=DATE"] < second["DTSTART;VALUE=DATE"]
        assert first["UID"] != second["UID"]


def test_a_day_to_look_again_is_an_event_too(pair):
    scored = scored_case(pair, "plain-eyelid-three-days")
    (event,) = events(calendar(scored))
    day = date.fromisoformat(scored.context.authored[:10]) + timedelta(scored.assessment().result.recheck)
    assert (event["DTSTART;VALUE=DATE"], event["SUMMARY"]) == (f"{day:%Y%m%d}", "Check again how you are")


@pytest.mark.parametrize(
    "name",
    [
        "shaking-after-stopping-alcohol-is-an-emergency",
        "calcium-under-the-lower-critical-limit-is-urgent",
        "stopped-after-the-first-signs-were-denied",
    ],
)
def test_what_is_to_be_done_now_and_what_has_no_date_have_no_calendar(pair, name):
    scored = scored_case(pair, name)
    assert calendar(scored) is None
    assert download(CALENDAR_FILE, scored, b"{}") is None


@pytest.mark.parametrize("authored", [None, "2026-11"])
def test_without_the_day_of_the_response_there_is_no_calendar(pair, authored):
    scored = scored_case(pair, CONSULT)
    assert calendar(replace(scored, context=replace(scored.context, authored=authored))) is None


@pytest.mark.parametrize(
    ("authored", "stamp"),
    [
        ("2026-11-28", "20261128T000000Z"),
        ("2026-11-28T23:30:00Z", "20261128T233000Z"),
        ("2026-11-28T23:30:00.125-02:00", "20261129T013000Z"),
    ],
)
def test_a_calendar_is_stamped_with_when_the_response_was_written(pair, authored, stamp):
    scored = scored_case(pair, CONSULT)
    (event,) = events(calendar(replace(scored, context=replace(scored.context, authored=authored))))
    assert event["DTSTAMP"] == stamp


def test_the_same_result_gives_the_same_event_so_that_none_is_added_twice(pair):
    assert calendar(scored_case(pair, CONSULT)) == calendar(scored_case(pair, CONSULT))


def test_no_line_is_longer_than_75_bytes_and_no_letter_is_torn(pair):
    told = pair.told_in(("de",), "en")
    written = told.guidance.written
    longest = max(written.addressees, key=lambda name: len(written.addressees[name].patient.encode()))
    addressee = replace(written.addressees[longest], patient="Ä,ö;ü\\" * 30)
    found = replace(written, addressees=dict.fromkeys(written.addressees, addressee))
    scored = scored_case(told, CONSULT)
    guidance = replace(told.guidance, written=found)
    file = calendar(replace(scored, pair=replace(told, guidance=guidance)))
    assert max(map(len, file.split(b"\r\n"))) == 75
    (event,) = events(file)
    assert "Ä,ö;ü\\" * 30 in unescaped(event["SUMMARY"])
