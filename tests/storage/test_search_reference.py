"""Every store finds what a reference in plain Python finds, page by page and cursor by cursor."""

from contextlib import contextmanager
from unittest.mock import patch

import psycopg
import pytest
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from reference_search import ReferenceSearch

from service.datatypes.values import replace
from service.search.entries import folded
from service.storage import store as view_module
from service.storage.database import StoreLimits
from service.storage.entries import Absent, Date, Number, Reference, String, Token, Uri
from service.storage.model import (
    Criterion,
    Draft,
    IdIs,
    Missing,
    RangeIs,
    ReferenceTo,
    ReferenceToIdentifier,
    ReferenceToUrl,
    Search,
    Sort,
    StringIs,
    TokenIs,
    UpdatedIs,
    UriIs,
    decode_position,
    encode_position,
)
from service.storage.opening import open_store, store_in_memory

LONG = "x" * 800
COMPARISONS = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
names = st.sampled_from(["p", "q"])
words = st.one_of(
    st.sampled_from(
        ["a", "ab", "b", "", "%", "_", "\0", "\ud800", "é", "\uffff", "\U0001f600", LONG, LONG + "y"]
    ),
    st.text(alphabet="ab", max_size=3),
)
foldable = words.map(folded)
systems = st.sampled_from(["", "s", "t"])
maybe = st.none() | systems
moments = st.integers(-3, 3)
ids = st.sampled_from(["a", "b", "c", "d", "e", "f"])
limits = st.none() | st.decimals(-2, 2, places=1)


def within(low, high):
    return (low, high) if low is None or high is None or low <= high else (high, low)


dates = st.builds(within, st.none() | moments, st.none() | moments)
numbers = st.builds(within, limits, limits)
entries = st.one_of(
    st.builds(Token, names, words, systems),
    st.builds(Reference, names, st.just("A"), ids, words, st.none() | st.tuples(systems, words)),
    st.builds(Reference, names, url=words, identifier=st.none() | st.tuples(systems, words)),
    st.builds(Uri, names, words),
    st.builds(String, names, foldable),
    st.builds(lambda name, ends: Date(name, *ends), names, dates),
    st.builds(lambda name, ends: Number(name, *ends), names, numbers),
)
texts = st.one_of(
    st.builds(TokenIs, st.none() | words, maybe),
    st.builds(ReferenceTo, ids, st.none() | st.just("A")),
    st.builds(ReferenceToUrl, words),
    st.builds(ReferenceToIdentifier, words, maybe),
    st.builds(UriIs, words, st.sampled_from(["exact", "starts"])),
    st.builds(StringIs, foldable, st.sampled_from(["exact", "starts", "contains"])),
)
stretches = st.builds(
    lambda comparison, low, length: RangeIs(comparison, low, low + length),
    st.sampled_from(COMPARISONS),
    moments | st.integers(-(2**70), 2**70),
    st.integers(0, 2),
)
criteria = st.one_of(
    st.builds(Criterion, names, st.lists(texts, min_size=1, max_size=3).map(tuple), st.booleans()),
    st.builds(Criterion, names, st.lists(stretches, min_size=1, max_size=2).map(tuple), st.booleans()),
    st.builds(Missing, names, st.booleans()),
    st.builds(IdIs, st.lists(ids | words, max_size=3).map(tuple)),
    st.builds(UpdatedIs, st.lists(stretches, min_size=1, max_size=2).map(tuple)),
)
orders = st.one_of(
    st.builds(Sort, st.sampled_from(["id", "updated"]), descending=st.booleans()),
    st.builds(Sort, st.sampled_from(["text", "range"]), names, st.booleans()),
)
searches = st.builds(
    Search,
    st.sampled_from(["A", "A", "A", "B"]),
    st.lists(criteria, max_size=2).map(tuple),
    st.lists(orders, max_size=3).map(tuple),
    st.integers(0, 3),
    total=st.booleans(),
)
contents = st.dictionaries(ids, st.tuples(moments, st.lists(entries, max_size=4)), max_size=6)


# A record has one date of this parameter, or says that it has none: an index has the order of that date.
dated_contents = st.dictionaries(
    ids,
    st.tuples(
        moments,
        st.lists(entries, max_size=4),
        st.builds(lambda ends: Date("d", *ends), dates) | st.just(Absent("d")),
    ).map(lambda given: (given[0], [*given[1], given[2]])),
    max_size=6,
)
bounded_searches = st.builds(
    replace,
    searches,
    sort=st.lists(orders, max_size=3).map(tuple)
    | st.booleans().map(lambda descending: (Sort("date", "d", descending),)),
    criteria=st.lists(
        criteria | st.builds(Criterion, st.just("d"), st.lists(stretches, min_size=1, max_size=2).map(tuple)),
        max_size=2,
    ).map(tuple),
)


@pytest.fixture(scope="module")
def on_postgresql(postgresql_migrated):
    """Returns a context of a store on PostgreSQL that holds these records alone."""

    @contextmanager
    def opened(drafts):
        with psycopg.connect(postgresql_migrated, autocommit=True) as connection:
            connection.execute("TRUNCATE record CASCADE")
        store = open_store(postgresql_migrated, StoreLimits())
        with store.writing() as transaction:
            for draft in drafts:
                transaction.create(draft)
        try:
            yield store
        finally:
            store.close()

    return opened


@contextmanager
def on_sqlite(drafts):
    store = store_in_memory(drafts)
    store._database.probes = True  # as that of a file does
    yield store
    store.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stored(request):
    return on_sqlite if request.param == "sqlite" else request.getfixturevalue("on_postgresql")


def drafts_of(content):
    return [Draft("A", of_id, updated, b"{}", found) for of_id, (updated, found) in content.items()]


@examples(150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(content=contents, asked=st.lists(searches, min_size=5, max_size=12))
def test_rd18_a_store_has_the_pages_of_the_reference(stored, content, asked):
    drafts = drafts_of(content)
    reference = ReferenceSearch(drafts)
    with stored(drafts) as store, store.reading() as view:
        for search in asked:
            following = search
            while following is not None:
                page = view.search(following)
                assert page == reference.search(following)
                following = None if page.next is None else replace(search, after=again(page.next, search))


def pages(view, search):
    following = search
    while following is not None:
        page = view.search(following)
        yield page
        following = None if page.next is None else replace(search, after=again(page.next, search))


@examples(150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    content=dated_contents,
    asked=st.lists(bounded_searches, min_size=5, max_size=12),
    looked_at=st.integers(1, 7),
    many=st.integers(0, 3),
)
def test_bounded_pages_together_have_what_the_reference_finds(stored, content, asked, looked_at, many):
    drafts = drafts_of(content)
    reference = ReferenceSearch(drafts)
    numbers = {"LOOKED_AT": looked_at, "_MANY": many}
    with patch.multiple(view_module, **numbers), stored(drafts) as store, store.reading() as view:
        for search in asked:
            whole = reference.search(replace(search, limit=100, total=True))
            found = list(pages(view, replace(search, bounded=True)))
            assert all(len(page.records) <= search.limit for page in found)
            assert all(page.records or page.next is None for page in found)
            assert {page.total for page in found} <= {None, *([whole.total] if search.total else [])}
            if search.limit:
                assert [record for page in found for record in page.records] == list(whole.records)
                unbounded = pages(view, search)
                assert [record for page in unbounded for record in page.records] == list(whole.records)
            exact = view.search(replace(search, bounded=True, exact=True, total=True))
            assert exact.total == whole.total


EDGES = {
    "a": (0, [String("p", LONG), Uri("p", LONG), Date("q", None, None)]),
    "b": (0, [String("p", LONG + "y"), Date("q", 0, 2), Token("p", "")]),
    "c": (0, []),
    "d": (0, [Date("q", 1, 1), Token("p", "b")]),
}


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (Search("A", (Criterion("p", (StringIs(LONG),)),)), "ab"),
        (Search("A", (Criterion("p", (StringIs(LONG, "contains"),)),)), "ab"),
        (Search("A", (Criterion("p", (StringIs(LONG, "exact"),)),)), "a"),
        (Search("A", (Criterion("q", (RangeIs("eb", 2**70, 2**71),)),)), "bd"),
        (Search("A", (Criterion("q", (RangeIs("ge", 1, 2),)),)), "ad"),
        (Search("A", (), (Sort("text", "p"),)), "bdac"),
        (Search("A", (), (Sort("text", "p", descending=True),)), "badc"),
        (Search("A", (), (Sort("range", "q"),)), "abdc"),
        (Search("A", (), (Sort("range", "q", descending=True),)), "abdc"),
        (Search("A", (), (), 4), "abcd"),
    ],
)
def test_a_store_and_the_reference_agree_at_the_edges(stored, search, expected):
    drafts = drafts_of(EDGES)
    with stored(drafts) as store, store.reading() as view:
        page = view.search(search)
    assert page == ReferenceSearch(drafts).search(search)
    assert "".join(record.id for record in page.records) == expected
    assert page.next is None


def again(position, search):
    """Returns a position as a link brings it back."""
    return decode_position(encode_position(position), search)
