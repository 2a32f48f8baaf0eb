"""What one response says, as bits: questions first, then scores, then contradictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from service.datatypes.answers import Answers, AnswersByLink
from service.guidance.answer_tables import Contribution, Verdict
from service.guidance.bits import both, positions, run, union
from service.guidance.result import Total
from service.guidance.tables import Compiled, ContradictionTable

Contradictions = tuple[ContradictionTable, ...]
_NOTHING_DENIED: Final[Mapping[int, int]] = MappingProxyType({})


class Worlds(NamedTuple):
    """Every node's two bits: without what does not fit, where that is a not sure, and as what is worse."""

    fitting: int
    doubted: int
    worst: int


class State(NamedTuple):
    """What one response says, as bits.

    Args:
        bits: every node's two bits, findings and rules included.
        given: the answers that count, those from the chart included.
        open: the questions that are neither answered nor hidden for certain, as a mask.
        contributions: of every answer that set any bits.
        holds: contradictions that hold.
        possible: contradictions that could still hold.
        judged: bits as they were when the contradictions were judged (nothing forced yet).
        counted: linkIds of answers that do not fit the others and count, because they are worse.
        unanswered: bits that no answer is needed for.
        others: the contributions beside those of the answers that count: scores, answers that do not fit.
        worlds: the same bits by how what does not fit may count; all of them are `bits` where all fits.
        denied: by node of what earlier responses denied, the newest one that did, as a position.
    """

    bits: int
    given: AnswersByLink
    open: int
    contributions: list[Contribution]
    totals: tuple[Total, ...]
    holds: Contradictions
    possible: Contradictions
    judged: int
    counted: tuple[str, ...]
    unanswered: int
    others: list[Contribution]
    worlds: Worlds
    denied: Mapping[int, int] = _NOTHING_DENIED


def state_of(compiled: Compiled, answers: Answers) -> State:
    """Returns everything that follows from the answers, contradictions scored by the worse."""
    answers = compiled.dates.in_days(answers)
    given = {**answers.chart, **answers.given} if answers.chart else answers.given
    given, closed = compiled.dates.derive(given, answers.closed)
    contributions = list(filter(None, map(compiled.answers.__getitem__, given.items())))
    denied = _denied(compiled, answers.earlier) if answers.earlier else _NOTHING_DENIED
    unanswered, open_ = _unanswered(compiled, given, closed, denied)
    asked = unanswered | union([mask for mask, _ in contributions])
    totals, added = _totals(compiled, given, closed, asked)
    fitting = asked | union([mask for mask, _ in added])
    worse = _worse_answers(compiled, answers) if answers.ignored or answers.chart else {}
    bits = fitting | union([mask for mask, _ in worse.values()])
    judged, holds, possible = _judged(compiled, answers, given, bits)
    if worse or holds or possible:
        forced = _worse(holds, possible)
        if forced:  # its points are added too; those of answers that do not fit never are
            totals, added = _totals(compiled, given, closed, asked | forced)
        bits = asked | union([mask for mask, _ in (*added, *worse.values())]) | forced
        doubts = _doubts(compiled, answers, worse, holds, possible)
        worlds = _worlds(compiled, fitting, fitting | doubts, bits)
        bits = _never_better(compiled, worlds)
    else:
        bits = run(compiled.derive, bits)
        worlds = Worlds(bits, bits, bits)
    others = [*worse.values(), *added]
    return State(
        bits=bits,
        given=given,
        open=open_,
        contributions=contributions + others,
        totals=totals,
        holds=holds,
        possible=possible,
        judged=judged,
        counted=tuple(worse),
        unanswered=unanswered,
        others=others,
        worlds=worlds,
        denied=denied,
    )


def _denied(compiled: Compiled, earlier: tuple[Answers, ...]) -> dict[int, int]:
    """Returns by node what earlier responses denied, and the newest of them that did.

    What is unknown there was not denied: nobody can say that it is new.
    """
    found: dict[int, int] = {}
    for place, answers in enumerate(earlier if compiled.denials else ()):
        bits = state_of(compiled, answers).bits
        for node, denial in compiled.denials.items():
            if not bits >> 2 * denial.now & 3:
                found.setdefault(node, place)
    return found


def _judged(
    compiled: Compiled, answers: Answers, given: AnswersByLink, bits: int
) -> tuple[int, Contradictions, Contradictions]:
    """Returns the bits with which contradictions are judged, those that hold, and those that still could."""
    judged = _with_ignored(compiled, bits, given, answers.ignored) if answers.ignored else bits
    judged = run(compiled.detect, judged)
    holds: list[ContradictionTable] = []
    possible: list[ContradictionTable] = []
    for table in compiled.contradictions if judged & compiled.clashing else ():
        if judged & table.all == table.all:
            certain = table.all >> 1
            (holds if judged & certain == certain else possible).append(table)
    return judged, tuple(holds), tuple(possible)


def _worlds(compiled: Compiled, fitting: int, doubted: int, worse: int) -> Worlds:
    """Returns every bit that follows without what does not fit, as a not sure, and as what is worse.

    Args:
        fitting: the bits without the answers that do not fit, and without contradictions.
        doubted: the bits where they count as a not sure.
        worse: the bits where they count as what is worse.
    """
    without = run(compiled.derive, fitting)
    worst = _beside(compiled, fitting, without, worse)
    if not compiled.worse.overlay:
        return Worlds(without, without, worst)
    return Worlds(without, _beside(compiled, fitting, without, doubted), worst)


def _never_better(compiled: Compiled, worlds: Worlds) -> int:
    """Returns the bits that count, where what does not fit makes no result better.

    A rule that alarms holds with or without it, one that calms only with and without. For a safety step it
    counts as a not sure.
    """
    without, doubted, worst = worlds
    bits = (worst | without & compiled.worse.alarming) & (without | ~compiled.worse.calming)
    unsure = (without | doubted) & compiled.worse.overlay
    return bits & ~compiled.worse.overlay | unsure


def _beside(compiled: Compiled, known: int, follows: int, bits: int) -> int:
    """Returns every bit that follows from `bits`: that is the same where they add nothing to what follows.

    Args:
        known: other bits, and `follows` what follows from them.
    """
    adds_nothing = known & ~bits == 0 and bits & ~follows == 0
    return follows if adds_nothing else run(compiled.derive, bits)


def _doubts(
    compiled: Compiled,
    answers: Answers,
    worse: Iterable[str],
    holds: Contradictions,
    possible: Contradictions,
) -> int:
    """Returns the bits that what does not fit sets where it counts as a not sure."""
    doubts = union([table.doubts for table in holds])
    doubts |= union([table.doubts for table in possible]) & compiled.support.certain << 1
    for link_id in worse:
        table = compiled.answers.by_link[link_id]
        values = answers.ignored.get(link_id) or answers.chart[link_id]
        doubts |= table.mask_of(Verdict(0, table.verdict(values).present))
    return doubts


def bits_if_sure(compiled: Compiled, state: State) -> int:
    """Returns the bits had every answer that is unsure left unknown what it is about."""
    bits = state.unanswered | union(mask for mask, _ in state.others)
    for answered in state.given.items():
        table = compiled.answers.by_link.get(answered[0])
        if table is not None and table.is_unsure(answered[1]):
            bits |= table.of_sure(answered[1])
        else:
            mask, _ = compiled.answers[answered] or (0, 0)
            bits |= mask
    return run(compiled.derive, bits | _worse(state.holds, state.possible))


def _totals(
    compiled: Compiled, given: AnswersByLink, closed: frozenset[str], bits: int
) -> tuple[tuple[Total, ...], list[Contribution]]:
    """Returns every score as known from the answers and their bits, and the bits that the scores set."""
    if not compiled.scores:
        return (), []
    bits = run(compiled.add, bits)
    totals = tuple([score.total(given, closed, bits) for score in compiled.scores])
    pairs = zip(compiled.scores, totals, strict=True)
    return totals, [(score.mask(total), score.reads) for score, total in pairs]


def _worse_answers(compiled: Compiled, answers: Answers) -> dict[str, Contribution]:
    """Returns by linkId what answers that do not fit the others make worse; they count for nothing else."""
    doubled = {link: values for link, values in answers.chart.items() if link in answers.given}
    found: dict[str, Contribution] = {}
    for link_id, values in (*answers.ignored.items(), *doubled.items()):
        table = compiled.answers.by_link.get(link_id)
        if table is None or answers.given.get(link_id) == values:
            continue
        before = table.of(answers.given.get(link_id, ()))
        worse = table.of(values) & compiled.worse.atoms & ~before
        if worse:
            sets = union(compiled.closure[position >> 1] for position in positions(worse))
            found[link_id] = both(sets), table.bit
    return found


def _worse(holds: Contradictions, possible: Contradictions) -> int:
    """Returns the bits of findings that contradictions force, or may still force."""
    bits = 0
    for table in holds:
        bits |= both(table.sets)
    for table in possible:
        bits |= table.sets << 1
    return bits


def _unanswered(
    compiled: Compiled, given: AnswersByLink, closed: frozenset[str], denied: Iterable[int]
) -> tuple[int, int]:
    """Returns the bits that no answer is needed for, and the open questions as a mask.

    Those bits hold for every response, or are possible while a question is open.
    """
    bits, open_ = compiled.always | union([compiled.denials[node].sets for node in denied]), 0
    by_link = compiled.answers.by_link
    for link_id in compiled.links.difference(given, closed):
        table = by_link[link_id]
        bits |= table.unanswered
        if not table.is_derived:
            open_ |= table.bit
    return bits, open_


def _with_ignored(compiled: Compiled, bits: int, given: AnswersByLink, ignored: AnswersByLink) -> int:
    """Returns the bits with answers to questions that are not asked, for the atoms that also read those."""
    for link_id, values in ignored.items():
        table = compiled.answers.by_link.get(link_id)
        if table is None or not values or given.get(link_id):
            continue
        bits &= ~(table.unanswered & compiled.ignored_bits)
        certain = compiled.ignored_bits & compiled.support.certain
        bits |= both(table.of(values) & certain)
    return bits
