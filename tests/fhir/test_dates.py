"""Dates of FHIR: what one is, and how two of them compare. What a search makes of them: tests/search."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.fhir import dates
from service.fhir.dates import (
    compare,
    compare_times,
    date_time,
    is_date,
    is_date_time,
    is_instant,
    is_time,
    time_range,
)
from service.fhir.primitives import PRIMITIVES
from service.questionnaire.values import READERS, NotWellFormed

NINETEEN = "1234567890123456789"

DATES = ["0001", "2026", "2026-02", "2026-02-28", "2028-02-29", "9999-12-31"]
MOMENTS = [
    "2026-02-28T10:30:00Z",
    "2026-02-28T10:30:00+14:00",
    "2026-02-28T10:30:00-13:59",
    "2016-12-31T23:59:60Z",
    f"2026-02-28T10:30:00.{NINETEEN}Z",
]
TIMES = ["00:00:00", "23:59:60", f"10:30:00.{NINETEEN}"]
NEITHER = [
    *("", "0000", "226", "2026-13", "2026-00", "2026-02-30", "2026-2-3", "20260101"),
    *("2026-01-01T10:00:00", "2026-01-01T10:00Z", "2026-01-01T24:00:00Z", "2026-01-01T10:00:61Z"),
    *("2026-01-01T10:00:00.Z", "2026-01-01T10:00:00+14:01", "2026-01-01T10:00:00 01:00"),
    *("2026-01-01T10:00:00z", "2026-01T10:00:00Z", "\u0662026", "2026\n", "10:30", "24:00:00"),
    *("10:60:00", "10:30:61", "10:30:00."),
]


@pytest.mark.parametrize("text", [*DATES, *MOMENTS, *TIMES, *NEITHER])
def test_a_text_is_of_the_types_whose_form_it_has(text):
    assert is_date(text) is (text in DATES)
    assert is_date_time(text) is (text in DATES or text in MOMENTS)
    assert is_instant(text) is (text in MOMENTS)
    assert is_time(text) is (text in TIMES)


def reads(element: str, text: str) -> bool:
    try:
        READERS[element](text)
    except NotWellFormed:
        return False
    return True


@pytest.mark.parametrize("text", [*DATES, *MOMENTS, *TIMES, *NEITHER])
@pytest.mark.parametrize("datatype", ["date", "dateTime", "time"])
def test_a_date_is_valid_everywhere_or_nowhere(datatype, text):
    """A fraction of 19 digits was valid in a resource, and in an answer it was not."""
    in_resources = bool(PRIMITIVES[datatype].accepts(text))
    assert reads(f"value{datatype[0].upper()}{datatype[1:]}", text) is in_resources
    if in_resources and datatype != "time":
        assert time_range(text) is not None


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("2024", "2025", -1),
        ("2024", "2024", 0),
        ("2024", "2024-01", None),
        ("2024-01-31", "2024-02", -1),
        ("2024-02-10", "2024-02-10T12:00:00Z", None),
        ("2024-02-11", "2024-02-10T23:00:00-05:00", 1),
        ("2024-02-10T12:00:00Z", "2024-02-10T13:00:00+01:00", 0),
        ("2024-02-10T12:00:00Z", "2024-02-10T12:00:00.000Z", 0),
        ("2024-02-10T12:00:00.5Z", "2024-02-10T12:00:00.45Z", 1),
        (f"2024-02-10T12:00:00.{NINETEEN}Z", f"2024-02-10T12:00:00.{NINETEEN}1Z", -1),
        ("2016-12-31T23:59:59Z", "2016-12-31T23:59:60Z", -1),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", 0),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", -1),
        ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59Z", 1),
    ],
)
def test_dates_compare_as_far_as_their_precision_allows(a, b, expected):
    assert compare(a, b) == expected
    assert compare(b, a) == (None if expected is None else -expected)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("10:00:00", "10:00:00.000", 0),
        ("10:00:00.5", "10:00:00.45", 1),
        ("09:59:59", "10:00:00", -1),
        ("09:59:60", "10:00:00", 0),
    ],
)
def test_times_of_the_day_compare_as_numbers(a, b, expected):
    assert compare_times(a, b) == expected
    assert compare_times(b, a) == -expected


moments = st.builds(
    "{}.{}{}".format,
    st.datetimes().map(lambda moment: moment.isoformat(timespec="seconds")),
    st.text("0123456789", min_size=1, max_size=20),
    st.sampled_from(["Z", "+14:00", "-13:59", "+00:30"]),
)


@given(moments, moments)
def test_what_compares_as_earlier_does_not_begin_later(a, b):
    sign, first, second = compare(a, b), time_range(a), time_range(b)
    assert sign is not None
    if sign < 0:
        assert first[0] <= second[0]
    if sign == 0:
        assert first[0] == second[0]


@given(st.text("0123456789-:TZ+.", max_size=32) | moments)
def test_a_pattern_for_typed_decoding_matches_nothing_that_is_invalid(text):
    for pattern, is_valid in (
        (dates.CERTAIN_DATE, is_date),
        (dates.CERTAIN_DATE_TIME, is_date_time),
        (dates.CERTAIN_INSTANT, is_instant),
        (dates.CERTAIN_TIME, is_time),
    ):
        assert re.search(pattern, text) is None or is_valid(text)


def test_a_moment_is_written_in_its_own_zone_to_the_second_and_is_an_instant():
    there = timezone(timedelta(hours=-5))
    written = date_time(datetime(2026, 12, 31, 22, 30, 7, 999_999, tzinfo=there))
    assert written == "2026-12-31T22:30:07-05:00"
    assert is_instant(written)
    assert date_time(datetime(2026, 12, 31, 22, 30, tzinfo=UTC)) == "2026-12-31T22:30:00Z"
