"""What is refused or left out where more is stored than a search may look at, and how that is said."""

import pytest

from service.errors import Malformed
from service.storage import store as view_module

QR = "QuestionnaireResponse"


@pytest.fixture
def many(looking, response, patient, monkeypatch):
    """Keeps twelve responses where four may be looked at for a page, and eight at most."""
    for name, value in {"_MANY": 2, "LOOKED_AT": 4, "MOST_LOOKED_AT": 8}.items():
        monkeypatch.setattr(view_module, name, value)
    return looking(
        *(
            response(f"r{each:02}", subject=patient(f"{each}"), authored=f"2026-01-{30 - each}")
            for each in range(12)
        )
    )


@pytest.mark.parametrize(
    ("query", "named", "instead"),
    [
        ("_sort=status", "Parameter _sort: ", "_lastUpdated, _id or a date alone"),
        ("_sort=-authored,status", "Parameter _sort: ", "such as patient"),
        ("_summary=count", "Parameter _summary: ", "such as patient"),
        ("_total=accurate", "Parameter _total: ", "no exact total"),
        ("_count=0", "Parameter _count: ", "such as patient"),
        ("status:not=completed", "Parameter status:not: ", "a time as _lastUpdated"),
        ("subject:missing=true&status:not=a", "Parameter subject:missing, status:not: ", "such as patient"),
    ],
)
def test_what_would_take_too_long_is_refused_with_the_parameter_and_what_to_send(many, query, named, instead):
    with pytest.raises(Malformed) as refused:
        many.bundle(f"{QR}?{query}")
    problem = refused.value.problems[0]
    assert problem.kind == "too-costly"
    assert problem.text.startswith(named + "more than ")
    assert "Expected: " in problem.text
    assert instead in problem.text


def walked(many, query):
    bundle, found = many.bundle(f"{QR}?{query}"), []
    while True:
        assert "total" not in bundle
        page = many.entries(bundle)
        assert page
        found += page
        following = many.link(bundle, "next")
        if following is None:
            return found
        bundle = many.bundle(following)


@pytest.mark.parametrize(
    "query", ["", "_sort=-_id", "_sort=_lastUpdated", "_sort=authored", "_sort=-authored&status=completed"]
)
def test_all_are_found_page_by_page_without_a_total(many, query):
    found = walked(many, query)
    forwards = query in ("", "_sort=_lastUpdated") or query.startswith("_sort=-authored")
    assert found == [f"r{each:02}" for each in (range(12) if forwards else reversed(range(12)))]


def test_what_one_person_sent_is_counted_and_sorted_however_much_is_stored(many):
    for more in ("", "&_sort=status", "&_total=accurate", "&status:not=amended"):
        assert many.ids(f"{QR}?patient=7{more}") == "r07"
    assert many.bundle(f"{QR}?patient=7&_summary=count")["total"] == 1


def test_what_changed_since_comes_in_the_order_of_its_changes(many, looking, response):
    assert many.ids(f"{QR}?_lastUpdated=ge2026-01-01T11:00:00Z") == "r11"
    kept = looking(response("z"), response("a"), response("m"))
    assert kept.ids(f"{QR}?_lastUpdated=ge2026-01-01T01:00:00Z") == "a m"
    assert kept.ids(f"{QR}?_lastUpdated=ge2026-01-01T00:00:00Z") == "z a m"
    assert kept.ids(QR) == "a m z"
