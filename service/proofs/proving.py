"""Proves what a guidance promises for every response, complete or not, or finds one that breaks it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec
import z3

from service.guidance import Guidance
from service.guidance.conditions import AskedWhen
from service.guidance.model import Outcome, Promise
from service.proofs.answer_space import all_of, any_of
from service.proofs.encoding import ABSENT, PRESENT, UNKNOWN, DateEnds, Encoding, TierEnds, Value
from service.proofs.interview import Interview, interview_promises


def prove(guidance: Guidance, asked: AskedWhen | None = None) -> Report:
    """Proves the promises of guidance.yaml, and that every tier, level and rule can be reached.

    Args:
        asked: when questions are asked; by default every question always is.
    """
    encoding = Encoding(guidance, asked)
    return Report(
        (
            *_promise_proofs(encoding),
            *_earlier_proofs(encoding),
            *_reach_proofs(encoding),
            *_interview_proofs(encoding, asked),
        )
    )


class Proof(msgspec.Struct, frozen=True):
    """One promise and how it ended; `counterexample` names the answers of a response that breaks it."""

    promise: str
    proved: bool
    counterexample: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The outcome in one line."""
        if self.proved:
            return f"proved: {self.promise}"
        answers = "; ".join(self.counterexample)
        return f"FAILED: {self.promise}" + (f" (for example: {answers})" if answers else "")


class Report(msgspec.Struct, frozen=True):
    """All proofs of a guidance."""

    proofs: tuple[Proof, ...]

    @property
    def failed(self) -> tuple[Proof, ...]:
        """The promises that are broken."""
        return tuple(proof for proof in self.proofs if not proof.proved)

    @property
    def lines(self) -> tuple[str, ...]:
        """The report: every promise that is broken, and how many are proved."""
        proved = len(self.proofs) - len(self.failed)
        return (*[proof.line for proof in self.failed], f"{proved} of {len(self.proofs)} promises proved")


# How a promise is proved, and how a broken one is shown.


def _can_be(encoding: Encoding, *wanted: z3.BoolRef) -> bool:
    """Returns whether some response makes all of these true.

    Raises:
        KeyboardInterrupt: somebody stopped it; the solver takes the signal for itself, and answers nothing.
    """
    if encoding.scores:
        encoding.forget()
    found = encoding.solver.check(*wanted)
    if found == z3.unknown:
        raise KeyboardInterrupt
    return bool(found == z3.sat)


def _impossible(encoding: Encoding, promise: str, broken: z3.BoolRef) -> Proof:
    """Returns the proof that no response makes `broken` true, or a smallest response that does."""
    if not _can_be(encoding, broken):
        return Proof(promise, proved=True)
    return Proof(promise, proved=False, counterexample=tuple(_smallest(encoding, broken)))


def _possible(encoding: Encoding, promise: str, reached: z3.BoolRef, *, complete: bool = True) -> Proof:
    """Returns the proof that some response (by default a completely answered one) makes `reached` true."""
    needed = [reached, encoding.full] if complete else [reached]
    return Proof(promise, _can_be(encoding, *needed))


def _smallest(encoding: Encoding, broken: z3.BoolRef) -> Iterator[str]:
    """Yields the answers of a response in which no further question can be left open."""
    kept: list[z3.BoolRef] = [broken]
    for space in encoding.spaces.values():
        if _can_be(encoding, *kept, space.open):
            kept.append(space.open)
    _can_be(encoding, *kept)
    model = encoding.solver.model()
    for link_id, space in encoding.spaces.items():
        answers = [answer.words for answer in space.answers if z3.is_true(model.eval(answer.holds))]
        if answers:
            yield f"{link_id}: {', '.join(answers)}"


# The promises of guidance.yaml, each proved or broken by a response.


def _promise_proofs(encoding: Encoding) -> Iterator[Proof]:
    """Yields the proof of every promise, in file order.

    Where no promise says which kinds never lower the tier, it is proved for all findings.
    """
    written = encoding.guidance.written
    for promise in written.promises:
        if promise.form == "never-lowers-tier":
            yield from _never_lowers(encoding, promise.name, promise.kinds)
        elif promise.form == "never-changes-tier":
            yield from _never_changes(encoding, promise)
        elif promise.form == "never-later":
            yield from _never_later(encoding, promise)
        else:
            yield _about_a_tier(encoding, promise)
    if not any(promise.form == "never-lowers-tier" for promise in written.promises):
        yield from _never_lowers(encoding, "no-finding-lowers-the-tier", written.kinds)


def _about_a_tier(encoding: Encoding, promise: Promise) -> Proof:
    ends = TierEnds(encoding, encoding.values)
    rank = [tier.code for tier in encoding.guidance.written.tiers].index(promise.tier)
    held = encoding.values[encoding.guidance.graph.promises[promise.name]].present
    if promise.form == "tier-at-least":
        broken = all_of(held, z3.Not(ends.at_least(rank)))
        return _impossible(encoding, f"{promise.name}: the tier is then at least {promise.tier}", broken)
    broken = all_of(ends.settled_at(rank), z3.Not(held))
    return _impossible(encoding, f"{promise.name}: the tier is {promise.tier} only then", broken)


def _never_lowers(encoding: Encoding, name: str, kinds: Collection[str]) -> Iterator[Proof]:
    """Yields for each finding: once absent, its presence would lower neither end of the tier."""
    for finding, node in _findings_of(encoding, kinds):
        changed = encoding.with_finding(finding, PRESENT)
        without = _cancelled_by(encoding, finding)
        lowered = _lowered(encoding, encoding.values, changed, without)
        broken = all_of(z3.Not(encoding.values[node].possible), any_of(*lowered))
        yield _impossible(encoding, f"{name}: {finding} never lowers the tier", broken)


def _never_later(encoding: Encoding, promise: Promise) -> Iterator[Proof]:
    """Yields for each finding: from absent to unsure, or to present, neither end gets lower or later."""
    for finding, node in _findings_of(encoding, promise.kinds):
        without = _cancelled_by(encoding, finding)
        real = encoding.values[node]
        steps = [(z3.Not(real.present), PRESENT)]
        if encoding.may_be_unsure(finding):
            steps.append((z3.Not(real.possible), UNKNOWN))
        broken = [
            all_of(before, any_of(*_worsened(encoding, encoding.values, changed, without)))
            for before, changed in [
                (before, encoding.with_finding(finding, after)) for before, after in steps
            ]
        ]
        words = f"{promise.name}: {finding}, unsure or present, neither lowers the tier nor makes it later"
        yield _impossible(encoding, words, any_of(*broken))


def _worsened(
    encoding: Encoding, before: list[Value], after: list[Value], without: Collection[str]
) -> list[z3.BoolRef]:
    """Returns every way in which an end of the tier would be lower, or one of the date later."""
    dates = DateEnds(encoding, after, without)
    lost = _lost(encoding, before, after, dates.days)
    later = [all_of(gone, z3.Not(dates.by(dates.days[rule], end))) for rule, end, gone in lost]
    return [*_lowered(encoding, before, after, without), *later]


def _lowered(
    encoding: Encoding, before: list[Value], after: list[Value], without: Collection[str]
) -> list[z3.BoolRef]:
    """Returns every way in which an end of the tier would be lower.

    It is where a rule is lost and none takes its place: none of its tier or a higher one.
    """
    ends = TierEnds(encoding, after, without)
    ranks = {rule.name: ends.ranks[rule.tier] for rule in ends.rules}
    lost = _lost(encoding, before, after, ranks)
    return [all_of(gone, z3.Not(ends.reached(ranks[rule], end))) for rule, end, gone in lost]


def _lost(
    encoding: Encoding, before: list[Value], after: list[Value], rules: Iterable[str]
) -> Iterator[tuple[str, int, z3.BoolRef]]:
    """Yields rules, an end of each, and whether it was reached before and is no longer.

    A rule that nothing touches has the same value before and after.
    """
    for rule in rules:
        node = encoding.guidance.graph.rules[rule]
        if before[node] is not after[node]:
            for end in (0, 1):
                yield rule, end, all_of(before[node][end], z3.Not(after[node][end]))


def _never_changes(encoding: Encoding, promise: Promise) -> Iterator[Proof]:
    """Yields for each finding: present or absent, the tier is the same at both ends."""
    for finding, _ in _findings_of(encoding, promise.kinds):
        present, absent = (encoding.with_finding(finding, value) for value in (PRESENT, ABSENT))
        words = f"{promise.name}: {finding} never changes the tier"
        yield _impossible(encoding, words, any_of(*_differs(encoding, present, absent)))


def _differs(encoding: Encoding, one: list[Value], other: list[Value]) -> list[z3.BoolRef]:
    """Returns every way in which an end of the tier would be another."""
    if all(one[node] is other[node] for node in encoding.guidance.graph.rules.values()):
        return []
    ends = TierEnds(encoding, one).beside(TierEnds(encoding, other))
    return [z3.Xor(first, second) for first, second in ends]


def _earlier_proofs(encoding: Encoding) -> Iterator[Proof]:
    """Yields that earlier responses, whatever they deny, neither lower the tier nor make its date later.

    What a finding that rests on them may cancel (`exceptions`) is left aside.
    """
    values = encoding.without_earlier()
    if values is None:
        return
    compiled = encoding.guidance.compiled
    resting = compiled.findings.keys() - compiled.lasting.keys()
    aside = {rule for finding in resting for rule in _cancelled_by(encoding, finding)}
    worse = any_of(*_worsened(encoding, values, encoding.values, aside))
    yield _impossible(encoding, "earlier responses neither lower the tier nor make it later", worse)


def _cancelled_by(encoding: Encoding, finding: str) -> Collection[str]:
    exceptions = encoding.guidance.written.exceptions
    return next((exception.cancels for exception in exceptions if exception.finding == finding), ())


def _findings_of(encoding: Encoding, kinds: Collection[str]) -> Iterator[tuple[str, int]]:
    for finding in encoding.guidance.written.findings:
        if finding.kind in kinds:
            yield finding.name, encoding.guidance.graph.findings[finding.name]


# Reach: some complete response ends at every tier and level, and no rule is always overruled. A rule that
# never decides the tier may still be the one with the earliest date.
#
# The lowest tier is where a response stands when nothing holds; it may be one that is not complete.


def _reach_proofs(encoding: Encoding) -> Iterator[Proof]:
    """Yields the proofs for tiers, for rules of the tier, and for the rules and levels of outcomes."""
    ends, dates = TierEnds(encoding, encoding.values), DateEnds(encoding, encoding.values)
    written = encoding.guidance.written
    lowest = z3.Not(ends.at_least(1))
    yield _possible(encoding, f"the tier {written.tiers[0].code} can be reached", lowest, complete=False)
    for tier in written.tiers[1:]:
        yield _possible(encoding, f"the tier {tier.code} can be reached", ends.settled_at(tier.rank))
    for rule in written.rules:
        if rule.tier:
            holds = encoding.values[encoding.guidance.graph.rules[rule.name]].present
            rank = ends.ranks[rule.tier]
            decides = any_of(z3.Not(ends.at_least(rank + 1)), dates.decided_by(rule, rank))
            words = "tier" if dates.days.get(rule.name) is None else "tier or the date"
            yield _possible(encoding, f"the rule {rule.name} can decide the {words}", all_of(holds, decides))
    for outcome in written.outcomes:
        yield from _outcome(encoding, outcome)


def _outcome(encoding: Encoding, outcome: Outcome) -> Iterator[Proof]:
    passed: list[z3.BoolRef] = []
    levels: dict[str, list[z3.BoolRef]] = {level: [] for level in outcome.levels}
    for rule in encoding.guidance.written.rules:
        if rule.outcome == outcome.code:
            value = encoding.values[encoding.guidance.graph.rules[rule.name]]
            decides = all_of(value.present, *passed)
            passed.append(z3.Not(value.possible))
            levels[rule.level].append(decides)
            yield _possible(encoding, f"the rule {rule.name} can decide {outcome.code}", decides)
    for level in outcome.levels:
        words = f"the level {level} of {outcome.code} can be reached"
        yield _possible(encoding, words, any_of(*levels[level]))


# The interview: whatever answers are left out, it ends where the full form ends (`interview.py`).


def _interview_proofs(encoding: Encoding, asked: AskedWhen | None) -> Iterator[Proof]:
    """Yields the proofs; an example is one that the solver has found, since a smallest one takes minutes.

    What holds whatever the sums are is proved so: to add up a dozen questions in both copies takes hours.
    """
    proved: set[str] = set()
    if encoding.scores:
        loose = Encoding(encoding.guidance, asked, free_sums=True)
        promises = interview_promises(Interview(loose))
        proved = {promise for promise, broken in promises if not _can_be(loose, broken)}
    interview = Interview(encoding)
    for promise, broken in interview_promises(interview):
        holds = promise in proved or not _can_be(encoding, broken)
        yield Proof(promise, holds, () if holds else tuple(interview.words(encoding.solver.model())))
