"""The contract of a store for tenants, run on every kind: nothing of one is there for the other (AU12)."""

import threading

import pytest
from patience import PATIENCE_S

from service.storage.entries import Reference, Token
from service.storage.model import (
    AlreadyExists,
    Criterion,
    Draft,
    IdIs,
    Missing,
    ReferenceTo,
    Search,
    Sort,
    StoreBusy,
    TokenIs,
    UnknownRecord,
    VersionConflict,
    claim_one,
)

NORTH, SOUTH = "north", "south"
PERSON = (ReferenceTo("p", "Patient"),)


def draft(of_id="a", body=b"{}", code="x"):
    entries = [Token("identifier", code), Reference("_person", "Patient", "p")]
    return Draft("Note", of_id, 1_000, body, entries)


def with_code(code="x", **options):
    return Search("Note", (Criterion("identifier", (TokenIs(code),)),), **options)


@pytest.fixture
def two(store):
    """The same ids, entries and versions in both; the body says whose it is."""
    for tenant in (NORTH, SOUTH):
        with store.writing(tenant) as transaction:
            transaction.create(draft("a", tenant.encode()))
            transaction.create_all([draft("b", tenant.encode()), draft("c", tenant.encode())])
            transaction.update(draft("a", tenant.encode() + b" 2"))
    return store


@pytest.mark.parametrize("tenant", [NORTH, SOUTH])
def test_a_record_is_read_as_its_tenant_stored_it(two, tenant):
    with two.reading(tenant) as view:
        assert view.read("Note", "a").body == tenant.encode() + b" 2"
        assert view.read_version("Note", "a", 1).body == tenant.encode()
        found = view.history("Note", "a", limit=9)
    assert [each.body for each in found.records] == [tenant.encode() + b" 2", tenant.encode()]
    assert found.total == 2


@pytest.mark.parametrize(
    "criteria",
    [
        (),
        (Criterion("identifier", (TokenIs("x"),)),),
        (Criterion("identifier", (TokenIs("y"),), negated=True),),
        (Criterion("_person", PERSON),),
        (Missing("date"),),
        (IdIs(("a", "b", "c")),),
    ],
)
@pytest.mark.parametrize("sort", [(), (Sort("updated"),), (Sort("text", "identifier", descending=True),)])
def test_a_search_finds_and_counts_those_of_its_tenant_page_by_page(two, criteria, sort):
    asked = Search("Note", criteria, sort, limit=2, total=True)
    with two.reading(NORTH) as view:
        first = view.search(asked)
        second = view.search(Search("Note", criteria, sort, limit=2, after=first.next))
    found = (*first.records, *second.records)
    assert (first.total, second.next, len(found)) == (3, None, 3)
    assert {each.body.split()[0] for each in found} == {b"north"}


def test_neither_those_without_a_tenant_nor_a_third_one_see_anything(two):
    for tenant in ("", "west"):
        with two.reading(tenant) as view:
            assert view.read("Note", "a") is None
            assert view.read_version("Note", "a", 1) is None
            assert view.history("Note", "a", limit=9).total == 0
            assert view.search(with_code(total=True)).total == 0


def test_what_one_tenant_changes_leaves_the_other_as_it_was(two):
    with two.writing(NORTH) as transaction:
        transaction.update(draft("b", b"changed"), expected=1)
    with two.reading(SOUTH) as view:
        assert (view.read("Note", "b").version, view.read("Note", "b").body) == (1, b"south")
    with two.writing(SOUTH) as transaction, pytest.raises(VersionConflict):
        transaction.update(draft("b"), expected=2)


def test_only_its_own_tenant_can_change_a_record_or_finds_its_id_taken(store):
    with store.writing(NORTH) as transaction:
        transaction.create(draft())
    with store.writing(SOUTH) as transaction, pytest.raises(UnknownRecord):
        transaction.update(draft())
    with store.writing(SOUTH) as transaction:
        assert transaction.read_to_update("Note", "a") is None
        assert transaction.create(draft()).version == 1
    with store.writing(SOUTH) as transaction, pytest.raises(AlreadyExists):
        transaction.create(draft())


def test_a_conditional_create_does_not_find_what_another_tenant_has(store):
    with store.writing(NORTH) as transaction:
        transaction.create(draft())
    with store.writing(SOUTH) as transaction:
        assert claim_one(transaction, with_code()) is None
        transaction.create(draft())
        assert claim_one(transaction, with_code()) is not None


def test_erasure_finds_counts_and_deletes_in_one_tenant(two):
    with two.erasing(NORTH) as transaction:
        names = transaction.named(["_person"], PERSON)
        assert transaction.beginning("Note", "a") == [("Note", "a")]
        assert len(transaction.unchanged("Note", since=2_000, limit=9)) == 3
        assert transaction.count(names) == {"Note": 4}
        assert transaction.erase(names) == {"Note": 4}
    with two.reading(SOUTH) as view:
        assert view.search(with_code(total=True)).total == 3
    assert two.tenants("Note") == [SOUTH]


def test_an_export_has_the_lines_of_one_tenant(two):
    assert sorted(two.export(["_person"], PERSON, SOUTH)) == [*[b"south\n"] * 3, b"south 2\n"]
    assert list(two.export(["_person"], PERSON)) == []


def test_tenants_are_listed_in_order_the_one_without_a_name_first(two):
    with two.writing() as transaction:
        transaction.create(draft())
    assert two.tenants("Note") == ["", NORTH, SOUTH]
    assert two.tenants("Other") == []


def test_a_version_and_a_history_heed_criteria_by_the_entries_of_each_version(store):
    with store.writing(NORTH) as transaction:
        transaction.create(draft(code="x"))
        transaction.update(draft(code="y"))
        only_x = with_code("x").criteria
        assert transaction.read_version("Note", "a", 1, only_x).version == 1
        assert transaction.read_version("Note", "a", 2, only_x) is None
        found = transaction.history("Note", "a", limit=9, criteria=only_x)
    assert ([each.version for each in found.records], found.total) == ([1], 1)


def test_nothing_crosses_while_both_tenants_write_and_search_at_once(store):
    """Two tenants with the same ids, side by side; each of them sees its own alone, all the time."""
    strange, failed = [], []

    def write(tenant, number):
        try:
            with store.writing(tenant) as transaction:
                transaction.create(draft(f"n{number}", tenant.encode()))
        except StoreBusy:  # what a busy machine may always say: it is sent again
            write(tenant, number)

    def work(tenant):
        try:
            for number in range(12):
                write(tenant, number)
                with store.reading(tenant) as view:
                    found = view.search(with_code(total=True))
                    bodies = {each.body for each in (*found.records, view.read("Note", f"n{number}"))}
                    if bodies != {tenant.encode()} or found.total != number + 1:
                        strange.append((tenant, number))
        except Exception as error:  # noqa: BLE001 - of whatever kind, it fails the test below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(tenant,)) for tenant in (NORTH, SOUTH)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)
    assert (failed, strange) == ([], [])
