"""Chains of entries: their order, their hashes, and what can be erased of them."""

import json
from contextlib import closing, suppress
from hashlib import sha256
from threading import Event, Thread

import psycopg
import pytest
from gevent import monkey
from patience import PATIENCE_S
from psycopg import waiting
from sqlalchemy import create_engine, text
from store_fixtures import PATIENT

from service.storage.entries import Token
from service.storage.model import (
    AlreadyExists,
    Criterion,
    Draft,
    Link,
    Search,
    TokenIs,
    claim_one,
    link_hash,
)


class Undone(Exception):
    pass


def chained(store, *bodies, tenant="", now=1000, **link):
    with store.writing(tenant) as transaction:
        for body in bodies:
            transaction.chain(Link(body, **link), now)


def links(store, tenant="", after=0, **wanted):
    with store.reading(tenant) as view:
        return view.links_after(after, limit=1000, **wanted)


def test_each_entry_covers_the_hash_of_the_one_before(store):
    chained(store, b"one", b"two")
    chained(store, b"three")
    found = links(store)
    assert [(link.seq, link.body) for link in found] == [(1, b"one"), (2, b"two"), (3, b"three")]
    before = b""
    for link in found:
        assert link.hash == link_hash(before, "", link.seq, link.written, link.body)
        before = link.hash
    with store.reading() as view:
        assert view.head() == ("", 3, before, 1000, 0, b"")


def test_the_hash_is_that_of_the_place_and_the_body():
    place = json.dumps(["0a", "clinic", 7, 5], separators=(",", ":")).encode()
    assert link_hash(b"\n", "clinic", 7, 5, b"{}") == sha256(place + b"\n{}").digest()


def test_an_entry_is_never_older_than_the_one_before(store):
    chained(store, b"one", now=2000)
    chained(store, b"two", now=1500)
    assert [link.written for link in links(store)] == [2000, 2000]
    assert links(store, since=2001) == []


def test_entries_that_are_undone_leave_no_gap(store):
    chained(store, b"one")
    with suppress(Undone), store.writing() as transaction:
        transaction.chain(Link(b"never"), 1000)
        raise Undone
    chained(store, b"two")
    assert [(link.seq, link.body) for link in links(store)] == [(1, b"one"), (2, b"two")]


def test_an_entry_is_stored_with_the_record_that_it_tells_of_or_not_at_all(store):
    with suppress(AlreadyExists), store.writing() as transaction:
        transaction.chain(Link(b"two of them"), 1000)
        for _ in range(2):
            transaction.create(Draft("Note", "n", 1000, b"{}"))
    assert links(store) == []


def test_tenants_have_chains_of_their_own(store):
    chained(store, b"one", tenant="north")
    chained(store, b"one", b"two", tenant="south")
    assert [(head.tenant, head.seq) for head in store.heads()] == [("north", 1), ("south", 2)]
    assert links(store, "north")[0].hash != links(store, "south")[0].hash


def test_writers_at_the_same_time_make_one_chain(url, open_one):
    stores = [open_one(url, PATIENT) for _ in range(4)]

    def write(number):
        for turn in range(10):
            chained(stores[number], b"%d of %d" % (turn, number))

    threads = [Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = links(stores[0])
    assert [link.seq for link in found] == list(range(1, 41))
    before = b""
    for link in found:
        assert link.hash == link_hash(before, "", link.seq, link.written, link.body)
        before = link.hash


def test_a_part_that_is_erased_leaves_its_entry_and_the_hash(store):
    parts = {"who": b"secret", "what": b"other"}
    chained(store, b"one", parts=parts, names=[("who", "Ann"), ("who", "Ann"), ("what", "Bob")])
    chained(store, b"two", tenant="north", parts={"who": b"theirs"}, names=[("who", "Ann")])
    before = links(store)
    with store.erasing() as transaction:
        assert transaction.empty(["Ann", "Nobody"]) == [(1, "who")]
    after = links(store)
    assert (before[0].parts, after[0].parts) == (parts, {"what": b"other"})
    assert [link.hash for link in before] == [link.hash for link in after]
    assert links(store, "north")[0].parts == {"who": b"theirs"}
    with store.erasing() as transaction:
        assert transaction.empty(["Ann"]) == []


def test_what_is_found_by_many_names_is_erased(store):
    with store.writing() as transaction:
        for number in range(700):
            transaction.chain(Link(b"x", {"who": b"y"}, [("who", f"n{number}")]), 1000)
    with store.erasing() as transaction:
        assert len(transaction.empty([f"n{number}" for number in range(650)])) == 650
    assert sum(1 for link in links(store) if link.parts) == 50


def test_the_oldest_entries_expire_and_the_chain_knows_which_was_the_last_of_them(store):
    for now in (1000, 2000, 3000):
        chained(store, b"x", now=now, parts={"who": b"y"}, names=[("who", "Ann")])
    second = links(store)[1]
    with store.erasing() as transaction:
        head = transaction.cut(3000)
        assert transaction.cut(3000) is None
    assert (head.base_seq, head.base_hash) == (2, second.hash)
    assert [link.seq for link in links(store)] == [3]
    chained(store, b"x", now=4000)
    with store.reading() as view:
        assert (view.head().seq, view.head().base_seq) == (4, 2)


def test_the_database_refuses_to_change_an_entry(store, url):
    chained(store, b"one")
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with pytest.raises(Exception, match="never changed"), engine.begin() as connection:
        connection.execute(text("UPDATE chain_entry SET written = 1"))
    engine.dispose()


def test_a_chain_whose_head_is_gone_is_still_named(store, url):
    chained(store, b"one", tenant="a")
    chained(store, b"one", tenant="b")
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM chain_head WHERE tenant = 'b'"))
    engine.dispose()
    assert [(head.tenant, head.seq) for head in store.heads()] == [("a", 1), ("b", 0)]


def test_expiry_and_whoever_adds_an_entry_meanwhile_do_not_wait_for_each_other(postgresql_url, open_one):
    store, begun = open_one(postgresql_url, PATIENT), Event()
    chained(store, b"old", now=1000)

    def add():
        begun.set()
        chained(store, b"meanwhile", now=3000)

    other = Thread(target=add)
    with store.erasing() as transaction:
        transaction.cut(2000)
        other.start()
        assert begun.wait(PATIENCE_S)
        begun.clear()
        begun.wait(0.3)  # nobody sets it: the other one gets as far as the lock
        transaction.chain(Link(b"expired"), 3000)
    other.join(PATIENCE_S)
    assert [link.body for link in links(store)] == [b"expired", b"meanwhile"]


@pytest.fixture
def sent(monkeypatch):
    """The statements that PostgreSQL is sent together, as lists."""
    sent = []
    pipeline, execute = psycopg.Connection.pipeline, psycopg.Cursor.execute

    def together(connection):
        sent.append([])
        return pipeline(connection)

    def noted(cursor, query, *values, **options):
        if cursor.connection.pgconn.pipeline_status:
            sent[-1].append(query)
        return execute(cursor, query, *values, **options)

    monkeypatch.setattr(psycopg.Connection, "pipeline", together)
    monkeypatch.setattr(psycopg.Cursor, "execute", noted)
    return sent


def test_whoever_waits_for_the_chain_waits_for_one_answer_to_another_process(postgresql_url, open_one, sent):
    store = open_one(postgresql_url)
    with store.writing() as transaction:
        transaction.create(Draft("Note", "a", 1, b"{}", [Token("identifier", "x", "urn:s")]))
        transaction.chain(Link(b"one", {"who": b"w"}, [("who", "name")]), 1000)
    first, last = sent
    assert "pg_advisory_xact_lock" in first[-2]
    assert last[-1] == "COMMIT"


def test_a_claim_is_sent_with_the_search_that_it_is_for(postgresql_url, open_one, sent):
    store = open_one(postgresql_url)
    with store.writing() as transaction:
        assert (
            claim_one(transaction, Search("Note", (Criterion("identifier", (TokenIs("x"),)),)), "x") is None
        )
    [(lock, search)] = sent
    assert "pg_advisory_xact_lock" in lock
    assert "text_entry" in search


def test_who_sends_several_statements_lets_others_go_on_for_the_answers_only(
    postgresql_url, open_one, monkeypatch
):
    monkeypatch.setattr(monkey, "is_module_patched", lambda _: True)  # as in a worker
    store, wanted, wait = open_one(postgresql_url), [], waiting.wait

    def noting(generator, *args, **options):
        return wait(noted(generator), *args, **options)

    def noted(generator):
        ready = None
        try:
            while True:
                wanted.append(generator.send(ready))
                ready = yield wanted[-1]
        except StopIteration as end:
            return end.value

    monkeypatch.setattr(waiting, "wait", noting)
    chained(store, b"one", parts={"who": b"w"}, names=[("who", "name")])
    assert set(wanted) == {waiting.Wait.R}
    assert [link.body for link in links(store)] == [b"one"]


def test_the_server_sees_no_value_in_the_text_of_a_statement(postgresql_url, open_one, monkeypatch):
    """It logs that text where a statement fails, such as one that waits too long for a lock."""
    store, told = open_one(postgresql_url), []
    commit = psycopg.Connection.commit

    def asked(connection):
        with closing(psycopg.connect(postgresql_url, autocommit=True)) as other:
            query = "SELECT query FROM pg_stat_activity WHERE pid = %s"
            told.append(other.execute(query, [connection.info.backend_pid]).fetchone()[0])
        return commit(connection)

    with store.writing() as transaction:
        transaction.create(Draft("Note", "a", 1, b"{}", [Token("identifier", "canary", "urn:s")]))
        transaction.flush()
        monkeypatch.setattr(psycopg.Connection, "commit", asked)
    assert "INSERT INTO text_entry" in told[0]
    assert "canary" not in told[0]
