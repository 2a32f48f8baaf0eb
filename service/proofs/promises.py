"""The promises of guidance.yaml, each proved or broken by a response."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import z3

from service.guidance.draft import PromiseDraft
from service.proofs.encoding import ABSENT, PRESENT, Encoding
from service.proofs.proving import Proof
from service.proofs.tiers import Ends, impossible


def promise_proofs(encoding: Encoding) -> Iterator[Proof]:
    """Yields the proof of every promise, in file order.

    Where no promise says which kinds never lower the tier, it is proved for all findings.
    """
    header = encoding.guidance.draft.header
    for promise in header.promises:
        if promise.form == "never-lowers-tier":
            yield from _never_lowers(encoding, promise.name, promise.kinds)
        elif promise.form == "never-changes-tier":
            yield from _never_changes(encoding, promise)
        else:
            yield _about_a_tier(encoding, promise)
    if not any(promise.form == "never-lowers-tier" for promise in header.promises):
        yield from _never_lowers(encoding, "no-finding-lowers-the-tier", header.kinds)


def _about_a_tier(encoding: Encoding, promise: PromiseDraft) -> Proof:
    ends = Ends(encoding, encoding.values)
    rank = [tier.code for tier in encoding.guidance.written.tiers].index(promise.tier)
    held = encoding.values[encoding.guidance.graph.promises[promise.name]].present
    if promise.form == "tier-at-least":
        broken = z3.And(held, z3.Not(ends.at_least(rank)))
        return impossible(encoding, f"{promise.name}: the tier is then at least {promise.tier}", broken)
    broken = z3.And(ends.settled_at(rank), z3.Not(held))
    return impossible(encoding, f"{promise.name}: the tier is {promise.tier} only then", broken)


def _never_lowers(encoding: Encoding, name: str, kinds: Collection[str]) -> Iterator[Proof]:
    """Yields for each finding: once absent, its presence would lower neither end of the tier."""
    exceptions = {each.finding: each.cancels for each in encoding.guidance.draft.header.exceptions}
    for finding, node in _findings_of(encoding, kinds):
        changed = encoding.with_finding(node, PRESENT)
        without = exceptions.get(finding, ())
        before, after = Ends(encoding, encoding.values, without), Ends(encoding, changed, without)
        lowered = [
            z3.And(lower, z3.Not(upper))
            for rank in _ranks(encoding)
            for lower, upper in (
                (before.at_least(rank), after.at_least(rank)),
                (before.at_most(rank), after.at_most(rank)),
            )
        ]
        absent = z3.Not(encoding.values[node].possible)
        yield impossible(encoding, f"{name}: {finding} never lowers the tier", z3.And(absent, z3.Or(lowered)))


def _never_changes(encoding: Encoding, promise: PromiseDraft) -> Iterator[Proof]:
    """Yields for each finding: present or absent, the tier is the same at both ends."""
    for finding, node in _findings_of(encoding, promise.kinds):
        present = Ends(encoding, encoding.with_finding(node, PRESENT))
        absent = Ends(encoding, encoding.with_finding(node, ABSENT))
        differs = [
            z3.Xor(one, other)
            for rank in _ranks(encoding)
            for one, other in (
                (present.at_least(rank), absent.at_least(rank)),
                (present.at_most(rank), absent.at_most(rank)),
            )
        ]
        yield impossible(encoding, f"{promise.name}: {finding} never changes the tier", z3.Or(differs))


def _findings_of(encoding: Encoding, kinds: Collection[str]) -> Iterator[tuple[str, int]]:
    for finding in encoding.guidance.written.findings.values():
        if finding.kind in kinds:
            yield finding.name, encoding.guidance.graph.findings[finding.name]


def _ranks(encoding: Encoding) -> range:
    return range(1, len(encoding.guidance.written.tiers))
