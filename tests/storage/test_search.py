"""The contract of a store: what a search finds, in which order, page by page."""

from decimal import Decimal

import pytest

from service.datatypes.values import replace
from service.storage import store as view_module
from service.storage.entries import HIGHEST, LOWEST, Date, Number, Reference, String, Token, Uri, whole
from service.storage.model import (
    BadPosition,
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

LONG = "x" * 3000


@pytest.fixture
def stored(store):
    """Stores one record for each sequence of entries, with the ids a, b, c ... and rising times."""

    def of(*entries, of_type="Note"):
        with store.writing() as transaction:
            for number, each in enumerate(entries):
                transaction.create(Draft(of_type, "abcdefghij"[number], 100 + number, b"{}", each))

    return of


@pytest.fixture
def found(store):
    def ids(*criteria, sort=(), of_type="Note"):
        search = Search(of_type, criteria, sort, total=True)
        with store.reading() as view:
            page = view.search(search)
        assert page.total == len(page.records)
        return "".join(record.id for record in page.records)

    return ids


def one_of(parameter, *values, negated=False):
    return Criterion(parameter, values, negated)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (TokenIs("1"), "abc"),
        (TokenIs("1", "urn:s"), "a"),
        (TokenIs("1", ""), "c"),
        (TokenIs(None, "urn:s"), "ad"),
        (TokenIs("1", "urn:x"), ""),
        (TokenIs("\0"), ""),
        (TokenIs("\ud800"), ""),
    ],
)
def test_a_token_is_found_by_code_and_by_system(stored, found, value, expected):
    stored(
        [Token("code", "1", "urn:s")],
        [Token("code", "1", "urn:t")],
        [Token("code", "1")],
        [Token("code", "2", "urn:s")],
        [Token("other", "1", "urn:s")],
    )
    assert found(one_of("code", value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (ReferenceTo("1"), "ab"),
        (ReferenceTo("1", "Person"), "a"),
        (ReferenceToUrl("http://there/Person/1"), "c"),
        (ReferenceToUrl("1"), ""),
        (ReferenceToIdentifier("n", "urn:s"), "ad"),
        (ReferenceToIdentifier("n"), "ad"),
        (ReferenceToIdentifier("n", ""), ""),
    ],
)
def test_a_reference_is_found_by_each_of_its_parts(stored, found, value, expected):
    stored(
        [Reference("subject", "Person", "1", identifier=("urn:s", "n"))],
        [Reference("subject", "Group", "1")],
        [Reference("subject", url="http://there/Person/1")],
        [Reference("subject", identifier=("urn:s", "n"))],
    )
    assert found(one_of("subject", value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (UriIs("http://a/b"), "a"),
        (UriIs("http://a/", "starts"), "ab"),
        (StringIs("http://a"), "ab"),
        (StringIs("a/b", "contains"), "ab"),
        (StringIs("%", "contains"), "c"),
        (StringIs("http://a/b", "exact"), "a"),
        (UriIs(LONG), "d"),
        (UriIs(LONG + "x"), ""),
        (UriIs(LONG, "starts"), "de"),
        (UriIs("\0", "starts"), ""),
        (UriIs("\U0010ffff", "starts"), "f"),
        (UriIs("\ud7ff", "starts"), "g"),
    ],
)
def test_a_text_is_found_whole_by_its_beginning_or_by_a_part(stored, found, value, expected):
    ends = ("\U0010ffff\U0010ffff", "\ud7ff-", "\ue000")
    texts = ("http://a/b", "http://a/bc", "50%", LONG, LONG + "y", *ends)
    stored(*([Uri("url", each), String("name", each)] for each in texts))
    assert found(one_of("url", value)) == found(one_of("name", value)) == expected


# Stretches a: 10-19, b: 20-29, c: 15-24, d: 20-20; the search value is 20-29.
@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        ("eq", "bd"),
        ("ne", "ace"),
        ("gt", "e"),
        ("lt", "ac"),
        ("ge", "bde"),
        ("le", "abcd"),
        ("sa", "e"),
        ("eb", "a"),
        ("ap", "bcd"),
    ],
)
def test_stretches_compare_as_the_table_of_prefixes_says(stored, found, comparison, expected):
    stretches = ((10, 19), (20, 29), (15, 24), (20, 20), (30, 39))
    stored(*([Date("date", low, high)] for low, high in stretches))
    assert found(one_of("date", RangeIs(comparison, 20, 29))) == expected


def test_an_open_stretch_reaches_to_the_end_of_time(stored, found):
    stored([Date("date", None, 10)], [Date("date", 20, None)])
    assert found(one_of("date", RangeIs("sa", 15, 15))) == "b"
    assert found(one_of("date", RangeIs("gt", 10**30, 10**40))) == ""
    assert found(one_of("date", RangeIs("eb", 15, 15))) == "a"


def test_numbers_are_told_apart_to_the_ninth_decimal(stored, found):
    stored(*([Number("p", Decimal(each), Decimal(each))] for each in ("0.1", "0.100000001", "-3", "1e30")))
    exactly = whole(Decimal("0.1"), 0, up=False)
    assert found(one_of("p", RangeIs("eq", exactly, exactly))) == "a"
    assert found(one_of("p", RangeIs("gt", exactly, exactly))) == "bd"
    assert found(one_of("p", RangeIs("lt", 0, 0))) == "c"


def test_a_number_between_two_steps_is_rounded_outwards(store):
    between = Decimal("0.0000000015")
    assert (whole(between, 0, up=False), whole(between, 0, up=True)) == (1, 2)
    assert (whole(None, LOWEST, up=False), whole(Decimal("1e99"), 0, up=True)) == (LOWEST, HIGHEST)


def test_all_criteria_must_hold_and_of_each_one_value(stored, found):
    stored(
        [Token("status", "done"), Reference("subject", "Person", "1")],
        [Token("status", "open"), Reference("subject", "Person", "1")],
        [Token("status", "done"), Reference("subject", "Person", "2")],
    )
    person, done = one_of("subject", ReferenceTo("1", "Person")), one_of("status", TokenIs("done"))
    assert found(person, done) == "a"
    assert found(done) == "ac"
    assert found(one_of("status", TokenIs("done"), TokenIs("open")), person) == "ab"
    assert found(one_of("status", TokenIs("done"), negated=True)) == "b"
    assert found(person, one_of("status", TokenIs("done"), negated=True)) == "b"


def test_a_search_finds_only_its_type(stored, found):
    stored([Token("code", "1")])
    stored([Token("code", "1")], [Token("code", "1")], of_type="Other")
    assert found(one_of("code", TokenIs("1"))) == found() == "a"


def test_what_has_no_entry_of_a_parameter_is_found_by_missing(stored, found):
    by_identifier = Reference("who", identifier=("", "x"))
    stored([Reference("who", url="http://a")], [Date("who", 1, 2)], [], [by_identifier])
    assert found(Missing("who")) == "c"
    assert found(Missing("who", missing=False)) == "abd"


def test_records_are_found_by_id_and_by_the_time_of_their_last_change(stored, found):
    stored([Token("code", "1")], [Token("code", "1")], [])
    assert found(IdIs(("a", "c", "z"))) == "ac"
    assert found(IdIs(("a", "c")), one_of("code", TokenIs("1"))) == "a"
    assert found(IdIs(("\0",))) == ""
    assert found(UpdatedIs((RangeIs("ge", 101, 101),))) == "bc"
    assert found(UpdatedIs((RangeIs("eq", 100, 100), RangeIs("gt", 101, 101)))) == "ac"


@pytest.mark.parametrize("values", [(), (TokenIs("1"), RangeIs("eq", 1, 1))])
def test_a_criterion_without_values_or_with_two_kinds_is_refused(values):
    with pytest.raises(ValueError, match="one value or more"):
        Criterion("code", values)


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ((), "abcd"),
        ((Sort("id", descending=True),), "dcba"),
        ((Sort("updated", descending=True),), "dcba"),
        ((Sort("range", "date"),), "cabd"),
        ((Sort("range", "date", descending=True),), "abcd"),
        ((Sort("text", "name"),), "bacd"),
        ((Sort("text", "name", descending=True),), "acbd"),
        ((Sort("text", "name"), Sort("updated", descending=True)), "bcad"),
    ],
)
def test_pages_follow_the_order_and_hold_each_match_once(store, stored, sort, expected):
    stored(
        [Date("date", 5, 90), String("name", "m")],
        [Date("date", 6, 8), String("name", "c"), String("name", "d")],
        [Date("date", 1, 2), Date("date", 3, 4), String("name", "m")],
        [],
    )
    for limit in (1, 3, 4, 5):
        assert "".join(page_by_page(store, Search("Note", (), sort, limit))) == expected


def page_by_page(store, search):
    after = None
    while True:
        with store.reading() as view:
            page = view.search(replace(search, after=after, total=True))
        assert len(page.records) <= search.limit
        assert page.total == 4
        yield from (record.id for record in page.records)
        if page.next is None:
            return
        after = decode_position(encode_position(page.next), search)


def test_a_limit_of_nothing_asks_for_the_total_alone(store, stored):
    stored([], [], [])
    with store.reading() as view:
        page = view.search(Search("Note", limit=0, total=True))
    assert (page.records, page.total, page.next) == ((), 3, None)


def test_a_total_that_is_not_asked_for_is_not_counted(store, stored):
    stored([])
    with store.reading() as view:
        assert view.search(Search("Note")).total is None


@pytest.mark.parametrize(
    "text", ["", "!", "e30", "WzFd", "WyJhIiwiYiJd", "W3RydWUsImEiXQ", "\u00e9", encode_position((1, 2, "a"))]
)
def test_a_position_of_another_order_or_none_at_all_is_refused(text):
    with pytest.raises(BadPosition):
        decode_position(text, Search("Note", sort=(Sort("updated"),)))


def test_a_criterion_that_nearly_all_records_meet_is_no_place_to_start(monkeypatch, stored, found):
    monkeypatch.setattr(view_module, "_MANY", 2)
    stored(*([Token("status", "done"), Token("code", each)] for each in "1123"))
    assert found(one_of("status", TokenIs("done"))) == "abcd"
    assert found(one_of("status", TokenIs("done")), one_of("code", TokenIs("3"))) == "d"
    assert found(one_of("status", TokenIs("done")), one_of("code", TokenIs("1"))) == "ab"
