"""What a bounded search looks at, leaves out and refuses, however many records there are."""

from contextlib import contextmanager

import pytest

from service.datatypes.values import replace
from service.storage import store as view_module
from service.storage.entries import Absent, Date, Reference, Token
from service.storage.model import (
    Criterion,
    Draft,
    Missing,
    RangeIs,
    ReferenceTo,
    Search,
    Sort,
    TokenIs,
    TooManyRecords,
    UpdatedIs,
    claim_one,
)
from service.storage.opening import store_in_memory

BOUNDED = Search("Note", bounded=True)
DONE, OPEN = (Criterion("status", (TokenIs(code),)) for code in ("done", "open"))
BY_DATE = (Sort("date", "at"),)


def notes(number, undated=10):
    """Yields notes of which the first alone is open; dates fall while ids and times rise.

    One of so many has no date.
    """
    for each in range(number):
        status = Token("status", "done" if each else "open")
        person = Reference("who", "Person", f"p{each // 2}")
        date = Date("at", number - each, number - each) if (each + 1) % undated else Absent("at")
        yield Draft("Note", f"n{each:06}", 100 + each, b"{}", [status, person, date])


@pytest.fixture
def bounds(monkeypatch):
    for name, value in {"_MANY": 5, "LOOKED_AT": 20, "MOST_LOOKED_AT": 60}.items():
        monkeypatch.setattr(view_module, name, value)


@pytest.fixture
def filled(store, bounds):
    def of(number, undated=10):
        with store.writing() as transaction:
            for draft in notes(number, undated):
                transaction.create(draft)
        return store

    return of


def page_of(store, search):
    with store.reading() as view:
        return view.search(search)


@pytest.mark.parametrize(
    ("search", "purpose"),
    [
        (replace(BOUNDED, sort=(Sort("text", "status"),)), "sort"),
        (replace(BOUNDED, sort=(Sort("date", "at"), Sort("id"))), "sort"),
        (replace(BOUNDED, total=True, exact=True), "total"),
        (replace(BOUNDED, criteria=(DONE,), limit=0, total=True, exact=True), "total"),
        (replace(BOUNDED, criteria=(replace(DONE, negated=True), Missing("who"))), "match"),
        (replace(BOUNDED, criteria=(Missing("status"),), sort=BY_DATE), "match"),
    ],
)
def test_more_records_than_may_be_looked_at_are_refused_and_as_many_are_not(filled, search, purpose):
    store = filled(60, undated=100)
    assert page_of(store, search) == page_of(store, replace(search, bounded=False))
    with store.writing() as transaction:
        transaction.create(list(notes(61, undated=100))[-1])
    with pytest.raises(TooManyRecords) as refused:
        page_of(store, search)
    assert (refused.value.purpose, refused.value.most) == (purpose, 60)


def test_a_total_is_left_out_where_it_is_not_worth_to_know(filled):
    store = filled(20)
    assert page_of(store, replace(BOUNDED, total=True, limit=3)).total == 20
    with store.writing() as transaction:
        transaction.create(Draft("Note", "z", 1, b"{}", [Absent("at")]))
    page = page_of(store, replace(BOUNDED, total=True, limit=3))
    assert (page.total, len(page.records)) == (None, 3)
    assert page_of(store, replace(BOUNDED, total=True, exact=True)).total == 21
    few = Criterion("who", (ReferenceTo("p3", "Person"),))
    assert page_of(store, replace(BOUNDED, criteria=(few,), total=True)).total == 2
    lately = UpdatedIs((RangeIs("ge", 118, 118),))
    assert page_of(store, replace(BOUNDED, criteria=(lately,), total=True)).total == 2


def test_a_page_ends_early_and_the_next_one_goes_on_behind_what_was_looked_at(filled):
    search = replace(BOUNDED, criteria=(Criterion("who", tuple(ReferenceTo(f"p{n}") for n in range(30))),))
    store, sizes = filled(60), []
    while search is not None:
        page = page_of(store, search)
        sizes.append(len(page.records))
        search = None if page.next is None else replace(search, after=page.next)
    assert sizes == [20, 20, 20]


def test_a_match_that_stands_far_behind_is_found_all_the_same(filled):
    store = filled(50)
    last = replace(BOUNDED, criteria=(replace(DONE, negated=True),), sort=(Sort("updated", descending=True),))
    assert [record.id for record in page_of(store, last).records] == ["n000000"]
    assert [record.id for record in page_of(store, replace(BOUNDED, criteria=(OPEN,))).records] == ["n000000"]


def test_a_condition_that_cannot_be_decided_in_time_is_refused(filled):
    store = filled(60)
    with store.writing() as transaction:
        assert claim_one(transaction, Search("Note", (OPEN,))).id == "n000000"
        many = Criterion("who", tuple(ReferenceTo(f"p{n}") for n in range(0, 40, 39)))
        both = Search("Note", (replace(DONE, negated=True), many))
        assert claim_one(transaction, both).id == "n000000"
        with pytest.raises(TooManyRecords):
            claim_one(transaction, Search("Note", (replace(DONE, negated=True),)))


def test_a_date_is_walked_past_nobody_elses_records(store, bounds):
    """Else one who has few among those of many would get pages with next to nothing, or a refusal."""
    for tenant, number in (("many", 200), ("few", 40)):
        with store.writing(tenant) as transaction:
            for draft in notes(number):
                transaction.create(draft)
    search = replace(BOUNDED, criteria=(DONE,), sort=BY_DATE, limit=15)
    with store.reading("few") as view:
        assert len(view.search(search).records) == 15


SEARCHES = [
    BOUNDED,
    replace(BOUNDED, total=True),
    replace(BOUNDED, sort=(Sort("updated", descending=True),), total=True),
    replace(BOUNDED, sort=BY_DATE, total=True),
    replace(BOUNDED, sort=(Sort("date", "at", descending=True),), total=True),
    replace(BOUNDED, criteria=(replace(OPEN, negated=True),), total=True),
    replace(BOUNDED, criteria=(DONE,), sort=(Sort("date", "at", descending=True),), total=True),
    replace(BOUNDED, criteria=(Missing("who", missing=False),), total=True),
    replace(BOUNDED, criteria=(Criterion("at", (RangeIs("ge", 3, 3),)),), total=True),
    replace(BOUNDED, criteria=(Criterion("at", (RangeIs("lt", 3, 3),)),), total=True),
    replace(BOUNDED, criteria=(UpdatedIs((RangeIs("ge", 0, 0),)),), sort=(Sort("updated"),), total=True),
]


@pytest.mark.parametrize("search", SEARCHES)
def test_the_work_of_a_bounded_search_does_not_grow_with_what_is_stored(bounds, search):
    few, many = (steps(number, replace(search, limit=5)) for number in (60, 3000))
    assert many <= 3 * few + 20


def steps(number, search):
    """Returns for how many hundred instructions the database runs to answer a search among so many notes."""
    with counting(notes(number)) as (view, counted):
        view.search(search)
    return counted[0]


@contextmanager
def counting(drafts):
    store, counted = store_in_memory(list(drafts)), [0]

    def count():
        counted[0] += 1

    with store.reading() as view:
        view._connection.connection.driver_connection.set_progress_handler(count, 100)
        yield view, counted
    store.close()
