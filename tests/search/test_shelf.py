"""A shelf finds what a database finds, page by page and cursor by cursor."""

import shutil
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.fhir.definitions import artifact
from service.search import Shelf, shelf_of
from service.search.entries import folded
from service.storage import (
    Criterion,
    Date,
    Draft,
    IdIs,
    Limits,
    Missing,
    Number,
    RangeIs,
    Record,
    Reference,
    ReferenceTo,
    ReferenceToIdentifier,
    ReferenceToUrl,
    Search,
    Sort,
    String,
    StringIs,
    Token,
    TokenIs,
    UpdatedIs,
    Uri,
    UriIs,
    decode_position,
    encode_position,
    open_store,
)

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


@pytest.fixture(scope="module")
def both(sqlite_template, tmp_path_factory):
    """Returns a context of a database and a shelf that keep the same."""
    folder = tmp_path_factory.mktemp("shelf")

    @contextmanager
    def keeping(content):
        shutil.copy(sqlite_template, folder / "store.db")
        for beside in folder.glob("store.db-*"):
            beside.unlink()
        store = open_store(f"sqlite:///{folder / 'store.db'}", Limits())
        with store.writing() as transaction:
            for of_id, (updated, found) in content.items():
                transaction.create(Draft("A", of_id, updated, b"{}", found))
        records = (
            (Record("A", of_id, 1, updated, deleted=False, body=b"{}"), found)
            for of_id, (updated, found) in content.items()
        )
        try:
            with store.reading() as view:
                yield view, Shelf(records)
        finally:
            store.close()

    return keeping


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(content=contents, asked=st.lists(searches, min_size=5, max_size=12))
def test_rd18_a_shelf_and_a_database_have_the_same_pages(both, content, asked):
    with both(content) as (view, shelf):
        for search in asked:
            following = search
            while following is not None:
                page = view.search(following)
                assert shelf.search(following) == page
                following = None if page.next is None else replace(search, after=again(page.next, search))


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
def test_a_shelf_and_a_database_agree_at_the_edges(both, search, expected):
    with both(EDGES) as (view, shelf):
        page = view.search(search)
        assert shelf.search(search) == page
        assert "".join(record.id for record in page.records) == expected
        assert page.next is None


def again(position, search):
    """Returns a position as a link brings it back."""
    return decode_position(encode_position(position), search)


@pytest.fixture
def shelf():
    shelved = {"resourceType": "CodeSystem", "url": "urn:x", "status": "active"}
    dated = artifact({**shelved, "id": "a", "date": "2026-01-05"})
    return shelf_of([dated, artifact({**shelved, "id": "b"})], "https://fhir.example.org/r4")


def test_a_shelf_reads_each_resource_in_its_only_version(shelf):
    record = shelf.read("CodeSystem", "a")
    assert (record.type, record.id, record.version, record.deleted) == ("CodeSystem", "a", 1, False)
    assert record.updated == 1_767_571_200_000_000
    assert shelf.read("CodeSystem", "b").updated == 0
    assert shelf.read_version("CodeSystem", "a", 1) == record
    assert shelf.read_version("CodeSystem", "a", 2) is None
    assert shelf.read("CodeSystem", "c") is None
    assert shelf.read("ValueSet", "a") is None


def test_a_shelf_has_a_history_of_one(shelf):
    history = shelf.history("CodeSystem", "a", limit=5)
    assert ([each.id for each in history.records], history.total, history.next) == (["a"], 1, None)
    assert shelf.history("CodeSystem", "a", limit=5, before=2) == history
    past = shelf.history("CodeSystem", "a", limit=5, before=1)
    assert (past.records, past.total) == ((), 1)
    assert shelf.history("CodeSystem", "c", limit=5).total == 0


def test_a_number_is_compared_with_all_its_digits():
    record = Record("A", "a", 1, 0, deleted=False, body=b"{}")
    shelf = Shelf([(record, [Number("p", Decimal("0.1"), Decimal("0.1"))])])
    hit, miss = (RangeIs("eq", number, number) for number in (100_000_000, 100_000_001))
    assert shelf.search(Search("A", (Criterion("p", (hit,)),))).records == (record,)
    assert shelf.search(Search("A", (Criterion("p", (miss,)),))).records == ()
