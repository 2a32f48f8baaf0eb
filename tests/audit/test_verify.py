"""Everything that somebody may do to the trail behind the back of the program, and that it shows (AU16)."""

import pytest
from audit_trail import event, kinds, links, verdict, written

from service.audit import Anchor, erasure_links, expiry_link
from service.audit.verify import _TEXTS
from service.storage.model import link_hash


@pytest.fixture
def five(store):
    written(store, *(event(at=4000 + number) for number in range(5)))
    return store


def test_a_chain_that_nobody_touched_is_intact(five):
    found = verdict(five)
    assert (found.faults, found.entries, found.emptied) == ([], 5, 0)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE chain_entry SET body = :body WHERE seq = 3", ["changed", "part-changed"]),
        ("UPDATE chain_entry SET written = written + 1 WHERE seq = 3", ["changed"]),
        ("UPDATE chain_entry SET hash = :body WHERE seq = 3", ["changed"]),
        ("UPDATE chain_entry SET seq = 9 WHERE seq = 5", ["head", "missing", "added", "part-missing"]),
        ("UPDATE chain_entry SET tenant = 'x' WHERE seq = 3", ["missing"]),
        ("DELETE FROM chain_entry WHERE seq = 3", ["missing"]),
        ("DELETE FROM chain_entry WHERE seq = 1", ["missing"]),
        ("DELETE FROM chain_entry WHERE seq = 5", ["head"]),
        ("DELETE FROM chain_entry", ["head"]),
        ("DELETE FROM chain_head", ["head", "added"]),
        ("UPDATE chain_head SET seq = 4", ["added", "head"]),
        ("UPDATE chain_head SET hash = :body", ["head"]),
        ("UPDATE chain_head SET base_seq = 2", ["base", "missing"]),
        ("DELETE FROM chain_part WHERE seq = 3 AND part = 'agent'", ["part-missing"]),
        ("UPDATE chain_part SET content = :body WHERE seq = 3 AND part = 'agent'", ["part-changed"]),
        (
            "UPDATE chain_part SET part = 'else' WHERE seq = 3 AND part = 'agent'",
            ["part-changed", "part-missing"],
        ),
    ],
)
def test_what_was_changed_or_deleted_shows(five, tamper, statement, expected):
    tamper(statement, body=b'{"event":"request"}') if ":body" in statement else tamper(statement)
    assert set(kinds(verdict(five))) == set(expected)


def test_entries_in_another_order_show(five, tamper):
    tamper(
        "UPDATE chain_entry SET seq = 100 WHERE seq = 2",
        "UPDATE chain_entry SET seq = 2 WHERE seq = 3",
        "UPDATE chain_entry SET seq = 3 WHERE seq = 100",
    )
    assert kinds(verdict(five)).count("changed") == 3


def test_the_oldest_entries_cannot_be_cut_off_unseen(five, tamper):
    third = links(five)[2]
    tamper(
        "DELETE FROM chain_part WHERE seq <= 3",
        "DELETE FROM chain_entry WHERE seq <= 3",
        "UPDATE chain_head SET base_seq = 3, base_hash = :hash",
        hash=third.hash,
    )
    assert kinds(verdict(five)) == ["base"]


def test_an_expiry_of_the_program_is_no_fault(five):
    written(five, event(), now=9000)
    with five.erasing() as transaction:
        transaction.chain(expiry_link(transaction.cut(9000), 9500), 9500)
    found = verdict(five)
    assert (found.faults, found.entries, found.head.base_seq) == ([], 2, 5)


def test_a_chain_that_was_cut_off_with_its_head_shows_by_what_was_written_down(five, tamper):
    """Nothing in the store tells, as the docs say: that is what an anchor is for."""
    before, fourth = verdict(five).head, links(five)[3]
    anchor = Anchor("", before.seq, before.hash.hex())
    tamper(
        "DELETE FROM chain_part WHERE seq = 5",
        "DELETE FROM chain_entry WHERE seq = 5",
        "UPDATE chain_head SET seq = 4, hash = :hash",
        hash=fourth.hash,
    )
    assert kinds(verdict(five)) == []
    assert kinds(verdict(five, anchors=[anchor])) == ["anchor"]


def test_a_chain_that_was_made_anew_shows_by_what_was_written_down(five, tamper):
    before = verdict(five).head
    hashed = b""
    for link in links(five):
        body = link.body.replace(b'"status":200', b'"status":404')
        hashed = link_hash(hashed, "", link.seq, link.written, body)
        tamper(
            f"UPDATE chain_entry SET body = :body, hash = :hash WHERE seq = {link.seq}",
            body=body,
            hash=hashed,
        )
    tamper("UPDATE chain_head SET hash = :hash", hash=hashed)
    assert kinds(verdict(five)) == []
    assert kinds(verdict(five, anchors=[Anchor("", before.seq, before.hash.hex())])) == ["anchor"]


def test_what_was_written_down_is_still_in_a_chain_that_went_on(five):
    head = verdict(five).head
    anchor = Anchor("", head.seq, head.hash.hex())
    written(five, event(), now=9000)
    assert kinds(verdict(five, anchors=[anchor])) == []
    with five.erasing() as transaction:
        transaction.chain(expiry_link(transaction.cut(9000), 9500), 9500)
    assert kinds(verdict(five, anchors=[anchor])) == []
    assert kinds(verdict(five, anchors=[anchor._replace(hash="00")])) == ["anchor"]


def test_parts_that_the_program_erased_are_no_fault_and_others_are(five, tamper):
    with five.erasing() as transaction:
        emptied = transaction.empty(["QuestionnaireResponse/q"])
        for link in erasure_links({"QuestionnaireResponse": 1}, emptied, 6000):
            transaction.chain(link, 6000)
    found = verdict(five)
    assert (found.faults, found.emptied) == ([], 5)
    tamper("DELETE FROM chain_part WHERE seq = 3")
    assert kinds(verdict(five)) == ["part-missing"]


def test_every_fault_is_told_in_words(five, tamper):
    tamper("DELETE FROM chain_entry WHERE seq = 3")
    (fault,) = verdict(five).faults
    assert (fault.seq, fault.text) == (4, _TEXTS["missing"])
