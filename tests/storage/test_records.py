"""The contract of a store, run on every kind: records, versions, transactions."""

import contextlib

import pytest

from service.storage.entries import Token
from service.storage.model import (
    AlreadyExists,
    AppendOnly,
    Criterion,
    Draft,
    MultipleMatches,
    Period,
    Search,
    TokenIs,
    UnknownRecord,
    VersionConflict,
    claim_one,
)

BODY = b'{"kept": 1.50, "\xc3\xa9": "\\u0041"}\n'


def draft(of_id="a", *, of_type="Note", updated=1_000, body=BODY, entries=(), deleted=False):
    return Draft(of_type, of_id, updated, body, entries, deleted)


def tagged(of_id, code):
    return draft(of_id, entries=[Token("identifier", code, "urn:s")])


def with_code(code):
    return Search("Note", (Criterion("identifier", (TokenIs(code, "urn:s"),)),))


def create(store, *drafts):
    with store.writing() as transaction:
        return [transaction.create(each) for each in drafts]


def test_what_is_stored_is_read_back_byte_for_byte(store):
    (made,) = create(store, draft())
    with store.reading() as view:
        assert view.read("Note", "a") == made
    assert (made.version, made.updated, made.body, made.deleted) == (1, 1_000, BODY, False)


def test_what_is_not_there_reads_as_none(store):
    create(store, draft())
    with store.reading() as view:
        assert view.read("Note", "b") is None
        assert view.read("Other", "a") is None
        assert view.read_version("Note", "a", 2) is None
        assert view.history("Note", "b", limit=5).total == 0


@pytest.mark.parametrize("of_id", ["\0", "\ud800", "a" * 5000, ""])
def test_an_id_that_no_database_keeps_reads_as_none(store, of_id):
    with store.reading() as view:
        assert view.read("Note", of_id) is None
        assert view.read_version("Note", of_id, 1) is None


@pytest.mark.parametrize("version", [0, -1, 2**31, 10**30])
def test_a_version_out_of_range_reads_as_none(store, version):
    create(store, draft())
    with store.reading() as view:
        assert view.read_version("Note", "a", version) is None


@pytest.mark.parametrize("of_id", ["", "a" * 65, "a\0b"])
def test_a_record_without_a_usable_id_is_refused(store, of_id):
    with pytest.raises(ValueError, match="1 to 64"):
        create(store, draft(of_id))


def test_an_id_is_given_once(store):
    create(store, draft())
    with pytest.raises(AlreadyExists):
        create(store, draft(body=b"other"))
    with store.reading() as view:
        assert view.read("Note", "a").body == BODY


def test_every_version_is_kept(store):
    create(store, draft())
    with store.writing() as transaction:
        assert transaction.update(draft(updated=2_000, body=b"2"), expected=1).version == 2
    with store.reading() as view:
        assert view.read("Note", "a").body == b"2"
        assert view.read_version("Note", "a", 1).body == BODY
        assert view.read_version("Note", "a", 2).updated == 2_000


def test_an_update_without_an_expected_version_follows_the_current_one(store):
    create(store, draft())
    for expected in (2, 3):
        with store.writing() as transaction:
            assert transaction.update(draft()).version == expected


@pytest.mark.parametrize("expected", [1, 3, 99])
def test_an_update_of_another_version_than_the_current_one_is_refused(store, expected):
    create(store, draft())
    with store.writing() as transaction:
        transaction.update(draft(body=b"2"), expected=1)
    with pytest.raises(VersionConflict), store.writing() as transaction:
        transaction.update(draft(body=b"lost"), expected=expected)
    with store.reading() as view:
        assert view.read("Note", "a").body == b"2"


@pytest.mark.parametrize("expected", [None, 1])
def test_what_is_not_there_cannot_be_updated(store, expected):
    with pytest.raises(UnknownRecord), store.writing() as transaction:
        transaction.update(draft(), expected=expected)


def test_a_type_that_is_only_appended_to_is_never_updated(store):
    create(store, draft(of_type="Log"))
    with pytest.raises(AppendOnly), store.writing() as transaction:
        transaction.update(draft(of_type="Log"), expected=1)


def test_a_tombstone_is_read_but_not_found_and_may_be_followed_by_another_version(store):
    create(store, tagged("a", "x"))
    with store.writing() as transaction:
        transaction.update(draft(body=b"", deleted=True), expected=1)
    with store.reading() as view:
        assert view.read("Note", "a").deleted
        assert view.search(Search("Note")).records == ()
        assert view.search(with_code("x")).records == ()
    with store.writing() as transaction:
        assert transaction.update(tagged("a", "x"), expected=2).version == 3
    with store.reading() as view:
        assert [each.deleted for each in view.history("Note", "a", limit=9).records] == [False, True, False]
        assert len(view.search(with_code("x")).records) == 1


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        (Period(), [4, 3, 2, 1]),
        (Period(since=2_000), [4, 3, 2]),
        (Period(since=2_001), [4, 3]),
        (Period(low=2_000, high=2_000), [2]),
        (Period(low=1_999, high=2_000), [2, 1]),
        (Period(low=2_500, high=2_600), [2]),
        (Period(low=3_000, high=9_999), [4]),
        (Period(low=3_000), [4]),
        (Period(high=2_999), [2, 1]),
        (Period(high=999), []),
        (Period(since=2_000, high=2_500), [2]),
    ],
)
def test_the_history_of_a_period_has_the_versions_that_were_current_in_it(store, period, expected):
    """Versions 3 and 4 were stored at one moment: 3 was never current."""
    create(store, draft(), draft("other"))
    with store.writing() as transaction:
        for updated in (2_000, 3_000, 3_000):
            transaction.update(draft(updated=updated))
    with store.reading() as view:
        found = view.history("Note", "a", limit=9, period=period)
        assert [record.version for record in found.records] == expected
        assert found.total == len(found.records)
        page = view.history("Note", "a", limit=1, period=period)
        rest = view.history("Note", "a", limit=9, before=page.next or 1, period=period)
        assert [*page.records, *rest.records] == [*found.records]


def test_history_comes_in_pages_newest_first(store):
    create(store, draft())
    for _ in range(4):
        with store.writing() as transaction:
            transaction.update(draft())
    with store.reading() as view:
        pages, before = [], None
        while not pages or before:
            page = view.history("Note", "a", limit=2, before=before)
            pages.append([record.version for record in page.records])
            before = page.next
    assert pages == [[5, 4], [3, 2], [1]]
    assert page.total == 5


def test_a_transaction_that_fails_leaves_nothing_behind(store):
    create(store, draft("old"))
    with contextlib.suppress(RuntimeError), store.writing() as transaction:
        transaction.create(tagged("a", "x"))
        transaction.update(draft("old", body=b"2"), expected=1)
        assert len(transaction.search(with_code("x")).records) == 1
        raise RuntimeError
    with store.reading() as view:
        assert [record.id for record in view.search(Search("Note")).records] == ["old"]
        assert view.read("Note", "old").version == 1
        assert view.search(with_code("x")).records == ()


def test_a_transaction_sees_its_own_writes_and_others_see_them_at_its_end(store):
    with store.writing() as transaction:
        transaction.create(tagged("a", "x"))
        assert len(transaction.search(with_code("x")).records) == 1
        with store.reading() as view:
            assert view.read("Note", "a") is None
    with store.reading() as view:
        assert len(view.search(with_code("x")).records) == 1


def test_a_view_sees_one_moment(store):
    create(store, draft())
    with store.reading() as view:
        assert view.search(Search("Note", total=True)).total == 1
        create(store, draft("b"))
        assert view.search(Search("Note", total=True)).total == 1
        assert view.read("Note", "b") is None


def test_only_the_current_version_is_found_by_what_it_says(store):
    create(store, tagged("a", "old"))
    with store.writing() as transaction:
        transaction.update(tagged("a", "new"), expected=1)
    with store.reading() as view:
        assert view.search(with_code("old")).records == ()
        assert [record.version for record in view.search(with_code("new")).records] == [2]


def test_the_same_entry_twice_counts_once(store):
    create(store, draft(entries=[Token("identifier", "x", "urn:s")] * 2))
    with store.reading() as view:
        assert view.search(with_code("x")).records[0].id == "a"


def test_what_a_conditional_create_looks_for_is_found_once_it_is_there(store):
    with store.writing() as transaction:
        assert claim_one(transaction, with_code("x")) is None
        transaction.create(tagged("a", "x"))
    with store.writing() as transaction:
        found = claim_one(transaction, with_code("x"))
    assert found.id == "a"


def test_a_condition_with_several_matches_is_refused(store):
    create(store, tagged("a", "x"), tagged("b", "x"))
    with pytest.raises(MultipleMatches), store.writing() as transaction:
        claim_one(transaction, with_code("x"))


def test_a_condition_that_says_nothing_is_refused(store):
    with pytest.raises(ValueError, match="criteria"), store.writing() as transaction:
        claim_one(transaction, Search("Note"))


def test_several_records_are_created_with_one_statement(store):
    with store.writing() as transaction:
        made = transaction.create_all([tagged("a", "x"), tagged("b", "x"), tagged("c", "y")])
    assert [(each.id, each.version) for each in made] == [("a", 1), ("b", 1), ("c", 1)]
    with store.reading() as view:
        assert {each.id for each in view.search(with_code("x")).records} == {"a", "b"}
        assert [each.id for each in view.search(with_code("y")).records] == ["c"]


def test_of_several_records_none_is_created_when_one_is_there(store):
    create(store, tagged("b", "x"))
    with pytest.raises(AlreadyExists), store.writing() as transaction:
        transaction.create_all([tagged("a", "x"), tagged("b", "x")])
    with store.reading() as view:
        assert view.read("Note", "a") is None


def test_a_store_that_answers_says_so(store):
    assert store.ping() is None


def test_a_closed_store_opens_again_on_use(store):
    create(store, draft())
    store.close()
    store.close()
    with store.reading() as view:
        assert view.read("Note", "a")


def test_neither_a_draft_nor_a_record_shows_its_body():
    assert "kept" not in repr(draft())
