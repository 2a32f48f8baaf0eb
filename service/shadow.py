"""Shadow mode: each response that is scored is scored by the next guidance too, and what differs is counted.

What is answered is made by the current guidance before any of this begins. What was scored waits in a queue
of bounded length, and is scored again a moment later: here where it is small, else in a child at a place of
its own. Whatever goes wrong meanwhile is counted. Of a response nothing is kept but its share of the counts.

The next guidance reads the answers as the current Questionnaire has understood them, so a new version of the
Questionnaire can be tried on responses to the one in use: questions are matched by linkId, options by system
and code, and an answer that the new one cannot take is left out and counted. Values of the chart and earlier
responses are read as the next guidance says.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from service import catalogue
from service.assess import Assessor, Scored, SentBody
from service.authoring.editions import between
from service.catalogue import Catalogue, Pair
from service.checked import Kept
from service.datatypes.answers import UNREAD, Answer, Answers, Coding, Uncoded
from service.datatypes.values import replace
from service.earlier import EarlierReader
from service.errors import GuidanceError, ServiceError, Unavailable
from service.fhir.chart import chart_values
from service.fhir.json import BodyLimits
from service.fhir.parameters import AssessInput
from service.guidance.result import Result
from service.questionnaire import order_of_version, version_order
from service.sandbox import Sandbox, in_time
from service.settings import Settings

MOST_WAITING: Final = 1000
"""So many responses of one process may wait to be scored again."""
MOST_WAITING_BYTES: Final = 16 * 1024 * 1024
"""And so many bytes of those that were not read yet."""

_PAUSE_S: Final = 0.05
_YIELD_S: Final = 0.001
_FEW: Final = 100
_LAST_S: Final = 2.0
_LOG: Final = logging.getLogger("service.shadow")
UNKNOWN: Final = "unknown"
"""In place of a guidance that nobody was told."""

COUNTS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "results": (
        "Responses scored by the current and the next guidance.",
        ("guidance", "next", "step", "next_step", "differs"),
    ),
    "dates": ("Of these, dates that the next guidance makes otherwise.", ("guidance", "next", "date")),
    "levels": (
        "Of these, levels that the next guidance makes otherwise.",
        ("guidance", "next", "outcome", "level", "next_level"),
    ),
    "rules": ("Of these, rules that fire by one guidance only.", ("guidance", "next", "rule", "fires")),
    "left_out": (
        "Answers that the next questionnaire cannot take, by question.",
        ("guidance", "next", "question"),
    ),
    "unscored": ("Responses that were not scored by the next guidance.", ("guidance", "reason")),
}
"""What is counted: by name what it says, and its labels."""

Count = tuple[str, tuple[str, ...]]
"""One more under a name of COUNTS, with the values of its labels."""

DROPPED, FAILED, COSTLY, REFUSED, UNMATCHED, UNREADABLE = (
    "dropped",
    "failed",
    "too-costly",
    "next-refuses",
    "no-guidance",
    "not-scorable",
)
"""Why a response was not scored by the next guidance: too much waited; the program failed; it takes more than
a child may; the next guidance refuses it; the next edition has none for it; the current one refuses it."""


class Following(msgspec.Struct, frozen=True):
    """The guidance that comes after another one.

    Args:
        current: the pair in use.
        pair: the next one.
        is_same_form: both read the same items.
    """

    current: Pair
    pair: Pair
    is_same_form: bool

    @property
    def names(self) -> tuple[str, str]:
        """`url|version` of both."""
        return _name(self.current), _name(self.pair)


def _name(pair: Pair) -> str:
    return pair.guidance.written.identity.canonical


def next_edition(settings: Settings) -> Catalogue | None:
    """Returns the next edition, checked as the current one is; nobody needs to have signed it yet.

    Raises:
        GuidanceError: a file of it is wrong, or it fails its own worked cases.
    """
    if settings.next_mappings_dir is None:
        return None
    following = replace(
        settings,
        questionnaires_dir=settings.next_questionnaires_dir or settings.questionnaires_dir,
        mappings_dir=settings.next_mappings_dir,
        require_review=False,
    )
    try:
        return catalogue.from_settings(following, Kept(settings.checked_dir, settings))
    except GuidanceError as error:
        raise GuidanceError([f"SERVICE_NEXT_MAPPINGS_DIR: {fault}" for fault in error.faults]) from error


def followings(current: Catalogue, following: Catalogue) -> dict[str, Following | None]:
    """Returns the next guidance for each one in use, by the canonical of its questionnaire.

    That is the newest guidance of the same version of the questionnaire, if it says something else; else the
    newest of a version that is not served now. A draft counts, a guidance that is retired does not. None: the
    next edition says the same. A questionnaire that it has no guidance for is left out.
    """
    every: dict[str, Following | None] = {}
    for canonical, pair in current.pairs.items():
        candidates = _of_same_url(pair, following.guidances)
        if pair.is_scored and candidates:
            same = [one for one in candidates if one.compiled.canonical == canonical]
            new = [one for one in candidates if one.compiled.canonical not in current.pairs]
            chosen = max(same, key=_newest, default=None)
            if chosen is None or _hash(chosen) == _hash(pair):
                chosen = max(new, key=_newest, default=None)
            every[canonical] = None if chosen is None else _following(pair, chosen)
    return every


def _of_same_url(pair: Pair, guidances: Iterable[Pair]) -> list[Pair]:
    """Returns the guidances, retired ones left out, for any version of the same questionnaire."""
    found = (one for one in guidances if one.compiled.url == pair.compiled.url)
    return [one for one in found if one.guidance.written.identity.status != "retired"]


def _newest(pair: Pair) -> tuple[object, ...]:
    identity = pair.guidance.written.identity
    return version_order(pair.compiled), order_of_version(identity.version, identity.date)


def _hash(pair: Pair) -> str:
    return pair.guidance.written.identity.hash


def _following(current: Pair, pair: Pair) -> Following:
    return Following(current, pair, current.compiled.items == pair.compiled.items)


# What two guidances make of one response.


def differences(following: Following, now: Result, then: Result) -> Iterator[Count]:
    """Yields the counts of a response: the steps of both results, and what else differs."""
    names = following.names
    dates = [_day(result) for result in (now, then)]
    levels, rules = tuple(_levels(now, then)), tuple(_rules(now, then))
    step, next_step = (result.tiers[result.tier.at_least].code for result in (now, then))
    kinds = {
        "step": step != next_step,
        "date": dates[0] != dates[1],
        "level": bool(levels),
        "rule": bool(rules),
    }
    differs = next((kind for kind, is_other in kinds.items() if is_other), "nothing")
    yield "results", (*names, step, next_step, differs)
    if kinds["date"]:
        yield "dates", (*names, "sooner" if dates[1] < dates[0] else "later")
    yield from (("levels", (*names, *level)) for level in levels)
    yield from (("rules", (*names, *rule)) for rule in rules)


_NEVER: Final = 10**9


def _day(result: Result) -> int:
    return _NEVER if result.due is None else result.due.days


def _levels(now: Result, then: Result) -> Iterator[tuple[str, str, str]]:
    """Yields each outcome whose level differs, with both; an outcome that one lacks is not listed there."""
    both = [{risk.outcome.code: risk for risk in result.risks} for result in (now, then)]
    for code in dict.fromkeys((*both[0], *both[1])):
        risks = [found.get(code) for found in both]
        words = ["none" if risk is None else between(risk.level, risk.outcome.levels) for risk in risks]
        if words[0] != words[1]:
            yield code, words[0], words[1]


def _rules(now: Result, then: Result) -> Iterator[tuple[str, str]]:
    """Yields the rules that fire by one guidance only, with which one that is."""
    both = [_fired(result) for result in (now, then)]
    yield from ((rule, "current") for rule in sorted(both[0] - both[1]))
    yield from ((rule, "next") for rule in sorted(both[1] - both[0]))


def _fired(result: Result) -> set[str]:
    fired = (*result.fired, *(one for risk in result.risks for one in risk.fired))
    return {one.rule.name for one in fired}


def taken_over(following: Following, answers: Answers) -> tuple[Answers, tuple[str, ...]]:
    """Returns the answers as the next questionnaire takes them, and the linkIds of those that it cannot take.

    What is left out is open there: nobody has said no to it. The chart and earlier responses are read apart.
    """
    if following.is_same_form:
        return answers, ()
    given = {**answers.ignored, **answers.given}
    taken = {link: values for link, values in given.items() if _fits(following, link, values)}
    read = following.pair.compiled.answers_of(taken, authored=answers.authored)
    return read, tuple(link for link in answers.given if link not in taken)


def _fits(following: Following, link: str, values: Sequence[Answer]) -> bool:
    compiled = following.pair.compiled
    before = following.current.compiled.form.questions.get(link)
    question = compiled.form.questions.get(link)
    if question is None or before is None or question.type != before.type:
        return False
    options = {option.coding for option in question.options}
    read = tuple(value for value in values if value is not UNREAD)
    coded = (value for value in read if isinstance(value, Coding | Uncoded))
    return (not options or options.issuperset(coded)) and compiled.takes(link, read)


# What was scored, scored again.


class _Waiting:
    """What waits in one process."""

    def __init__(self) -> None:
        # A worker has replaced the locks of the standard library by the time that it makes these.
        self.process = os.getpid()
        self.wanted = threading.Event()
        self.working = threading.Lock()
        self._turn = threading.Lock()
        self._responses: deque[Scored | SentBody] = deque()
        self._bytes = 0

    def add(self, response: Scored | SentBody, most: int) -> bool:
        """Returns whether there was room for a response."""
        size = _size(response)
        with self._turn:
            has_room = len(self._responses) < most and self._bytes + size <= MOST_WAITING_BYTES
            if has_room:
                self._responses.append(response)
                self._bytes += size
        if has_room:
            self.wanted.set()
        return has_room

    @property
    def are_few(self) -> bool:
        """Whether there is time to do one after the other."""
        return len(self._responses) < _FEW

    def next(self) -> Scored | SentBody | None:
        """Returns the response that has waited for the longest."""
        with self._turn:
            if not self._responses:
                return None
            response = self._responses.popleft()
            self._bytes -= _size(response)
        return response


def _size(response: Scored | SentBody) -> int:
    return response.size if isinstance(response, SentBody) else 0


class Shadow:
    """Scores responses by the next guidance, and has what differs counted.

    Args:
        current: what is served.
        following: the next edition.
        limits: of a body.
        count: told everything that is to be counted.
        sandbox: where what is large is read again; None if nobody waits.
        pause_s: so long answers have to leave before what waits is begun.
        most: responses that may wait.
    """

    def __init__(
        self,
        current: Catalogue,
        following: Catalogue,
        limits: BodyLimits,
        count: Callable[[Count], None],
        sandbox: Sandbox | None = None,
        *,
        pause_s: float = _PAUSE_S,
        most: int = MOST_WAITING,
    ) -> None:
        self._assessor = Assessor(current, limits)
        # Earlier responses may answer any version that either edition knows.
        known = {**current.questionnaires, **following.questionnaires}
        self._catalogue = replace(following, questionnaires=known)
        self._followings = followings(current, following)
        self._count = count
        self._sandbox = sandbox
        self._pause_s = pause_s
        self._most = most
        self._starting = threading.Lock()
        self._state: _Waiting | None = None
        self._has_failed = False

    @property
    def compared(self) -> tuple[Following, ...]:
        """Each guidance that is compared with a next one."""
        return tuple(found for found in self._followings.values() if found is not None)

    def offer(self, response: Scored | SentBody) -> None:
        """Has a response scored by the next guidance soon; never waits, never fails.

        Where so much waits that no more can, it is counted as dropped.
        """
        if not self._waiting().add(response, self._most):
            self._count(_unscored(response, DROPPED))

    def settle(self, within_s: float = _LAST_S) -> None:
        """Scores what waits in this process; what is left after so many seconds is counted as dropped."""
        state, deadline = self._state, time.monotonic() + within_s
        if state is None or state.process != os.getpid():
            return
        is_free = state.working.acquire(timeout=max(within_s, 0))  # what is in work first comes to its end
        while (response := state.next()) is not None:
            if time.monotonic() > deadline:
                self._count(_unscored(response, DROPPED))
            else:
                self.score(response)
        if is_free:
            state.working.release()

    def score(self, response: Scored | SentBody) -> None:
        """Scores a response by both guidances, and counts what differs, or what went wrong."""
        try:
            counts = self._counted(response)
        except Exception:  # noqa: BLE001 - the last resort: nobody waits for this, and nobody is told
            if not self._has_failed:  # the counts say how often; a fault of a guidance may meet everybody
                _LOG.error({"event": "failed"}, exc_info=True)
            self._has_failed = True
            counts = (_unscored(response, FAILED),)
        for count in counts:
            self._count(count)

    def score_body(self, data: bytes) -> None:
        """Does the same for the body of a QuestionnaireResponse."""
        self.score(self._assessor.accepted(data) or SentBody(data))

    def _waiting(self) -> _Waiting:
        """Returns the queue of this process; the first response starts the thread that works through it."""
        state = self._state
        if state is not None and state.process == os.getpid():
            return state
        with self._starting:
            state = self._state
            if state is None or state.process != os.getpid():
                state = self._state = _Waiting()
                threading.Thread(target=self._run, args=(state,), name="shadow", daemon=True).start()
            return state

    def _run(self, state: _Waiting) -> None:
        while True:
            state.wanted.wait()
            time.sleep(self._pause_s)
            state.wanted.clear()
            while self._score_next(state):
                # Whoever waits for the worker comes first: a greenlet that is to go on at once goes on for
                # some milliseconds before anybody listens for requests.
                time.sleep(_YIELD_S if state.are_few else 0)

    def _score_next(self, state: _Waiting) -> bool:
        """Scores the response that has waited for the longest, and returns whether there was one."""
        with state.working:
            response = state.next()
            if response is not None:
                self.score(response)
        return response is not None

    def _counted(self, response: Scored | SentBody) -> tuple[Count, ...]:
        if isinstance(response, Scored):
            return tuple(self._compared(response))
        work = partial(self._read_again, response)
        try:
            return in_time(self._sandbox, response.size, work, tuple[Count, ...], expected="{allowed}")
        except Unavailable:
            reason = DROPPED
        except ServiceError as refused:
            is_costly = any(problem.kind == "too-costly" for problem in refused.problems)
            reason = COSTLY if is_costly else UNREADABLE
        return (_unscored(response, reason),)

    def _read_again(self, response: SentBody, *, apart: bool) -> tuple[Count, ...]:
        sent = self._assessor.sent(response.data, response.earlier, response.chart)
        scored = self._assessor.scored_of(sent, apart=apart)
        return tuple(self._compared(scored, sent, apart=apart))

    def _compared(
        self, scored: Scored, sent: AssessInput | None = None, *, apart: bool = True
    ) -> Iterator[Count]:
        canonical = scored.pair.compiled.canonical
        following = self._followings.get(canonical)
        if following is None:
            if canonical not in self._followings:
                yield _unscored(scored, UNMATCHED)
            return
        answers, left_out = taken_over(following, scored.answers)
        if sent is not None and (sent.data or sent.earlier):
            answers = self._beside(following.pair, answers, sent, apart=apart)
        if following.pair.guidance.reads_late_date(answers):
            yield _unscored(scored, REFUSED)
            return
        now = following.current.guidance.evaluate(scored.answers)
        yield from differences(following, now, following.pair.guidance.evaluate(answers))
        yield from (("left_out", (*following.names, link)) for link in left_out)

    def _beside(self, pair: Pair, answers: Answers, sent: AssessInput, *, apart: bool) -> Answers:
        """Returns the answers beside the chart and the earlier responses as the next guidance reads these."""
        guidance = pair.guidance
        chart = chart_values(sent, guidance.form, guidance)
        answered = self._catalogue.answered(sent.response)._replace(pair=pair)
        earlier = EarlierReader(self._catalogue, answered, apart, sent.leaves_out).responses(sent.earlier)
        _, closed = pair.compiled.enabled(answers.given)
        return replace(
            answers,
            chart=chart.beside(answers.given, guidance),
            closed=(answers.closed | closed) - chart.unusable,
            earlier=earlier.answers,
        )


def _unscored(response: Scored | SentBody, reason: str) -> Count:
    return "unscored", (response.guidance or UNKNOWN, reason)


# What was counted, for a reader.


Tally = Mapping[Count, int]
"""How often each was counted."""


def plain(tally: Tally) -> dict[str, list[dict[str, str | int]]]:
    """Returns the counts as plain values, for JSON: by name of COUNTS a list of labels and number."""
    found: dict[str, list[dict[str, str | int]]] = {name: [] for name in COUNTS}
    for (name, values), number in sorted(tally.items()):
        found[name].append({**dict(zip(COUNTS[name][1], values, strict=True)), "count": number})
    return found


def lines_of(tally: Tally) -> Iterator[str]:
    """Yields the counts as lines: for each two guidances how often they differ, and in what."""
    pairs = dict.fromkeys(values[:2] for name, values in sorted(tally) if name == "results")
    for place, names in enumerate(pairs):
        yield from [""] * (place > 0)
        yield from _lines_of_pair(names, tally)
    unscored = [(values, number) for (name, values), number in sorted(tally.items()) if name == "unscored"]
    if unscored:
        yield from ["", "not scored by the next guidance"] if pairs else ["not scored by the next guidance"]
        yield from (f"  {guidance}: {reason} {number}" for (guidance, reason), number in unscored)
    elif not pairs:
        yield "Nothing was counted."


def _lines_of_pair(names: tuple[str, ...], tally: Tally) -> Iterator[str]:
    own = {count: number for count, number in tally.items() if count[1][:2] == names}
    results = [(values[2:], number) for (name, values), number in own.items() if name == "results"]
    total = sum(number for _, number in results)
    by_kind = Counter[str]()
    steps = Counter[str]()
    for (step, next_step, differs), number in results:
        by_kind[differs] += number
        if step != next_step:
            steps[f"{step} -> {next_step}"] += number
    other = total - by_kind["nothing"]
    yield f"{names[0]} -> {names[1]}: {_counted(total, 'response')}"
    comes = "comes" if other == 1 else "come"
    yield f"  {other} ({_share(other, total)}) {comes} out differently"
    first = (
        ("step", "step"),
        ("date", "date, not the step"),
        ("level", "level, no date"),
        ("rule", "rules alone"),
    )
    yield from (f"    {by_kind[kind]} in the {words}" for kind, words in first if by_kind[kind])
    yield from _section("steps", steps, total)
    for name, title, words in _SECTIONS:
        found = Counter({words.format(*values[2:]): n for (kind, values), n in own.items() if kind == name})
        yield from _section(title, found, total)


_SECTIONS: Final = (
    ("dates", "dates", "{0}"),
    ("levels", "levels", "{0}: {1} -> {2}"),
    ("rules", "rules that fire by one guidance only", "{0} ({1})"),
    ("left_out", "answers that the next questionnaire cannot take", "{0}"),
)


def _section(title: str, found: Counter[str], total: int) -> Iterator[str]:
    if found:
        yield f"  {title}"
        ordered = sorted(found.items(), key=lambda one: (-one[1], one[0]))
        yield from (f"    {words}: {number} ({_share(number, total)})" for words, number in ordered)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")


def _share(number: int, total: int) -> str:
    return f"{number * 100 / total:.1f}%" if total else "-"
