"""Searches by date and number, checks RD13, RD17 and RD23."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Malformed
from service.fhir.dates import time_range

QR = "QuestionnaireResponse"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(*moment):
    return (datetime(*moment, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "low", "after"),
    [
        ("2026", (2026, 1, 1), (2027, 1, 1)),
        ("2026-02", (2026, 2, 1), (2026, 3, 1)),
        ("2028-02", (2028, 2, 1), (2028, 3, 1)),
        ("2026-12", (2026, 12, 1), (2027, 1, 1)),
        ("2026-02-28", (2026, 2, 28), (2026, 3, 1)),
        ("2026-02-28T10:30", (2026, 2, 28, 10, 30), (2026, 2, 28, 10, 31)),
        ("2026-02-28T10:30Z", (2026, 2, 28, 10, 30), (2026, 2, 28, 10, 31)),
        ("2026-02-28T10:30:59", (2026, 2, 28, 10, 30, 59), (2026, 2, 28, 10, 31)),
        ("2026-12-31T23:59:60Z", (2027, 1, 1), (2027, 1, 1, 0, 0, 1)),
        ("2026-02-28T10:30:00.5Z", (2026, 2, 28, 10, 30, 0, 500_000), (2026, 2, 28, 10, 30, 0, 600_000)),
        (
            "2026-02-28T10:30:00.12345678Z",
            (2026, 2, 28, 10, 30, 0, 123_456),
            (2026, 2, 28, 10, 30, 0, 123_457),
        ),
        ("2026-01-01T01:00:00+02:00", (2025, 12, 31, 23), (2025, 12, 31, 23, 0, 1)),
        ("2026-01-01T01:00:00 02:00", (2025, 12, 31, 23), (2025, 12, 31, 23, 0, 1)),
        ("2026-01-01T22:30:00-02:30", (2026, 1, 2, 1), (2026, 1, 2, 1, 0, 1)),
        ("1969-12-31", (1969, 12, 31), (1970, 1, 1)),
    ],
)
def test_rd13_a_date_is_as_long_as_its_precision_says(text, low, after):
    assert time_range(text) == (micros(*low), micros(*after) - 1)


def test_the_first_and_the_last_year_are_dates():
    assert time_range("0001") == (micros(1, 1, 1), micros(2, 1, 1) - 1)
    assert time_range("9999") == (micros(9999, 1, 1), micros(9999, 12, 31, 23, 59, 59, 999_999))


@pytest.mark.parametrize(
    "text",
    [
        "23.May.2009",
        "2026-13",
        "2026-00",
        "2026-02-30",
        "2026-2-3",
        "0000",
        "226",
        "20260101",
        "2026-01-01T10",
        "2026-01-01T24:00",
        "2026-01-01T10:00:61",
        "2026-01-01T10:00+15:00",
        "2026-01-01T10:00z",
        "2026Z",
        "2026-01-01T10:00:00.",
        "today",
        "²026",
    ],
)
def test_rd17_what_is_no_date_of_the_calendar_is_refused(looking, text):
    assert time_range(text) is None
    with pytest.raises(Malformed) as refused:
        looking().ids(f"{QR}?authored={text}")
    (problem,) = refused.value.problems
    assert problem.kind == "search-value"
    assert text not in problem.text


@given(st.text(alphabet="0123456789-+:TZ .", max_size=30))
def test_any_text_means_some_time_or_none(text):
    found = time_range(text)
    assert found is None or found[0] <= found[1]


@pytest.fixture
def found(looking, response):
    dates = {
        "a": "2025-12-31T23:59:59Z",
        "b": "2026-01-01T00:00:00Z",
        "c": "2026-01-31T12:00:00+01:00",
        "d": "2026-01",
        "e": "2026-02-01",
        "f": "2026",
    }
    kept = looking(*(response(of_id, authored=text) for of_id, text in dates.items()), response("g"))
    return lambda query: kept.ids(f"{QR}?{query}")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("authored=2026-01", "b c d"),
        ("authored=eq2026-01", "b c d"),
        ("authored=ne2026-01", "a e f"),
        ("authored=gt2026-01", "e f"),
        ("authored=lt2026-01", "a"),
        ("authored=ge2026-01", "b c d e f"),
        ("authored=le2026-01", "a b c d"),
        ("authored=sa2026-01", "e"),
        ("authored=eb2026-01", "a"),
        ("authored=ap2026-01", "a b c d e f"),
        ("authored=ap2026-01-30", "c d f"),
        ("authored=2026", "b c d e f"),
        ("authored=2026-01-31T11:00:00Z", "c"),
        ("authored=2026-01-31T11:00", "c"),
        ("authored=2026-01-31T12:00:00%2B01:00", "c"),
        ("authored=2026-01-31T12:00:00+01:00", "c"),
        ("authored=ge2026-01-01&authored=lt2026-02-01", "b c d f"),
        ("authored=2026-02-01,2025-12-31", "a e"),
        ("authored:missing=true", "g"),
        ("authored:missing=false", "a b c d e f"),
    ],
)
def test_rd13_prefixes_compare_stretches_of_time(found, query, expected):
    assert found(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("_lastUpdated=2026-01-01", "a b c d e f g"),
        ("_lastUpdated=gt2026-01-01T05:00:00Z", "g"),
        ("_lastUpdated=ge2026-01-01T05:00:00Z", "f g"),
        ("_lastUpdated=2026-01-01T00:00Z,2026-01-01T02:00Z", "a c"),
        ("_lastUpdated=ge2026-01-01T01:00Z&_lastUpdated=lt2026-01-01T03:00Z", "b c"),
        ("_lastUpdated=2025", ""),
    ],
)
def test_resources_are_found_by_their_last_change(found, query, expected):
    assert found(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("probability=0.5", "b"),
        ("probability=0.50", ""),
        ("probability=0.45", "b"),
        ("probability=0.55", ""),
        ("probability=0.4", ""),
        ("probability=eq10", "d"),
        ("probability=ne10", "a b c"),
        ("probability=gt0.45", "c d"),
        ("probability=ge0.45", "b c d"),
        ("probability=lt0.45", "a"),
        ("probability=le0.45", "a b"),
        ("probability=sa1", "d"),
        ("probability=eb0.45", "a"),
        ("probability=ap9.5", "d"),
        ("probability=ap-1", ""),
        ("probability=1e1", "d"),
        ("probability=%2B10", "d"),
        ("probability=0.0000000001", "a"),
        ("probability=0,10", "a b d"),
        ("probability=0.0,10", "a d"),
        ("probability:missing=true", "e"),
    ],
)
def test_a_number_is_found_as_precisely_as_it_is_asked_for(looking, risk, query, expected):
    part = {"low": {"value": 0.5}, "high": {"value": 7.25}}
    predictions = {
        "a": {"probabilityDecimal": 0},
        "b": {"probabilityDecimal": 0.45},
        "c": {"probabilityRange": part},
        "d": {"probabilityDecimal": 9.9},
        "e": {"rationale": "none"},
    }
    kept = looking(*(risk(of_id, prediction=[each]) for of_id, each in predictions.items()))
    assert kept.ids(f"RiskAssessment?{query}") == expected


def test_a_stretch_of_probability_may_be_open(looking, risk):
    below = risk("a", prediction=[{"probabilityRange": {"high": {"value": 5}}}])
    above = risk("b", prediction=[{"probabilityRange": {"low": {"value": 5}}}])
    kept = looking(below, above)
    assert kept.ids("RiskAssessment?probability=lt-100") == "a"
    assert kept.ids("RiskAssessment?probability=gt100") == "b"


@pytest.mark.parametrize(
    "text", ["x", "1,x", "gt", "1.", ".5", "NaN", "Infinity", "0x1", "1e100", "9" * 31, "eqeq1"]
)
def test_rd17_what_is_no_number_is_refused(looking, text):
    with pytest.raises(Malformed):
        looking().ids(f"RiskAssessment?probability={text}")


def test_an_unreadable_date_is_found_by_no_search(looking, response):
    assert looking(response("a", authored="2026-02-30")).ids(f"{QR}?authored:missing=true") == "a"
