"""Counterfactuals: the smallest changes of answers that lead to a lower or to a higher step.

A change is counted in answers: another option of a choice, another value, a date on the other side of a
number that counts, and each option of a list that is ticked or unticked; an option that excludes the others
takes their place, and the other way round, as on the form. What a change hides is no longer answered, and
what it opens is open until the same change answers it. The step is lower only where it is so whatever is
then open, and higher where it is so for certain.

A lower step is searched by conflicts. What keeps a rule possible names the questions of which one has to be
answered otherwise, so that every change that lowers the step answers one of them; the disjoint conflicts of
a response are a bound from below. A higher step is searched among the answers that can make a rule hold, or
stop ruling one out. Either search is exact up to the number of answers that it names.

Source: design/architecture.md, "The engine in five ideas", 3; guidance/clinical-decisions.md, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import msgspec

from service.datatypes.answers import Answer, Answers
from service.datatypes.form import Question
from service.datatypes.values import replace
from service.guidance.answer_tables import KnownAnswers
from service.guidance.arguments import Enabled
from service.guidance.bits import both, intersection, union
from service.guidance.floor import other_answers
from service.guidance.loading import Guidance
from service.guidance.options import CHOICES
from service.guidance.reasons import chosen
from service.guidance.result import Interval
from service.guidance.state import State, state_of
from service.guidance.tables import RuleTable

MOST_ANSWERS = 3
"""Changes of so many answers are searched at most."""

MOST_TRIALS = 700
"""So many changed responses are evaluated at most, for a lower step and for a higher one."""

Values = tuple[Answer, ...]


class Change(NamedTuple):
    """What a question would be answered instead; nothing if the answer would be taken back."""

    link_id: str
    answers: Values


class Counterfactual(NamedTuple):
    """Changes that together lead to another step, in form order, and that step as far as it is then known."""

    changes: tuple[Change, ...]
    tier: Interval


class Changes(msgspec.Struct, frozen=True):
    """The smallest changes in one direction.

    Args:
        found: in form order; none of them is part of another. None where no change of up to `within` answers
            does it. To a lower step all are looked for up to so many answers; to a higher one, which mostly
            has many, those of the smallest size.
        within: up to so many answers every change was looked at.
        finished: whether that is as far as is ever looked; else the budget ended it.
    """

    found: tuple[Counterfactual, ...]
    within: int
    finished: bool


NOT_SEARCHED = Changes((), 0, finished=False)


class Replies(NamedTuple):
    """What the questionnaire says of answers.

    Args:
        enabled: which items some answers enable, and which they hide for certain.
        takes: whether a question takes these answers together.
        date_before: the date so many days before the response; None if it has no day.
        opens: what the conditions of other questions make of answers to one: the same text or number where
            they open and hide the same, whatever else is answered.
    """

    enabled: Enabled
    takes: Callable[[str, Values], bool]
    date_before: Callable[[int], str] | None
    opens: Callable[[str, Values], object] = lambda _link_id, values: values


def lowering(guidance: Guidance, answers: Answers, replies: Replies, trials: int = MOST_TRIALS) -> Changes:
    """Returns the smallest changes after which the step is lower, whatever is then open.

    While the step is not settled, lower means below what it is at least; what is open is answered by the same
    changes then. Nothing is searched below the step of a rule that says that nothing fires.
    """
    search = _Search(guidance, answers, replies, trials)
    rank = search.now.tier.at_least
    if rank <= _lowest(guidance):
        return Changes((), 0, finished=True)
    return search.smallest(lambda most: search.lower(frozenset(), most, rank), goes_on=True)


def _lowest(guidance: Guidance) -> int:
    nodes = guidance.graph.nodes
    ranks = [rule.rank for rule in guidance.compiled.block.tier_rules if nodes[rule.node].word == "none"]
    return min(ranks, default=0)


def raising(guidance: Guidance, answers: Answers, replies: Replies, trials: int = MOST_TRIALS) -> Changes:
    """Returns the smallest changes after which the step is higher for certain."""
    search = _Search(guidance, answers, replies, trials)
    rank = search.now.tier.at_least
    if rank == len(guidance.written.tiers) - 1:
        return Changes((), 0, finished=True)
    return search.smallest(lambda most: search.higher(most, rank))


# The search, and the responses that it tries.


class OutOfBudget(Exception):
    """So many responses were evaluated as there may be."""


class _Trial(NamedTuple):
    """A changed response: its state, its answers, what it asks, and its step."""

    state: State
    given: Mapping[str, Values]
    enabled: frozenset[str]
    tier: Interval


Chosen = frozenset[Change]


class _List(NamedTuple):
    """The options of a question that takes several, with their places; and those that stand alone."""

    options: Mapping[Answer, int]
    alone: frozenset[Answer]

    def clicks(self, before: Values, after: Values) -> frozenset[Answer]:
        """Returns the options that are ticked or unticked; one that stands alone takes back the others."""
        return (
            frozenset(after) if self.alone.issuperset(after) else (frozenset(before) - self.alone) ^ {*after}
        )


class _Search:
    """Changed responses of one response; each is evaluated once."""

    def __init__(self, guidance: Guidance, answers: Answers, replies: Replies, trials: int) -> None:
        self.guidance = guidance
        step = guidance.argued.of_step
        self.compiled = replace(step, answers=KnownAnswers(step.answers))
        self.answers = answers
        self.replies = replies
        self.asked = replies.enabled(answers.given)
        self.unread = self.asked[1] - answers.closed
        self.opening = frozenset().union(
            *[question.enabled_by for question in guidance.form.questions.values()]
        )
        derived = self.compiled.dates.derived
        self.behind = frozenset().union(*[one.sources for one in derived])
        self.every = (1 << len(self.compiled.questions)) - 1
        self.left = trials
        self.trials: dict[frozenset[tuple[str, object]], _Trial | None] = {}
        self.cases: dict[str, tuple[Values, ...]] = {}
        self.lists: dict[str, _List | None] = {}
        self.opened: dict[tuple[str, Values], object] = {}
        self.enabled = {frozenset[tuple[str, object]](): self.asked}
        self.seen: set[Chosen] = set()
        now = self.trial(frozenset())
        if now is None:
            raise ValueError("a response without changes is one itself")
        self.now = now

    def smallest(self, search: Callable[[int], Iterator[Chosen]], *, goes_on: bool = False) -> Changes:
        """Returns the changes with the fewest answers that a search finds.

        Args:
            goes_on: whether more answers are tried after some were found, for changes of which none of those
                is a part.
        """
        found: set[Chosen] = set()
        for most in range(1, MOST_ANSWERS + 1):
            self.seen.clear()
            new: set[Chosen] = set()
            try:
                new.update(one for one in search(most) if not any(self._is_part(less, one) for less in found))
            except OutOfBudget:
                return Changes(self._told(found | new), most - 1, finished=False)
            found |= new
            if found and not goes_on:
                return Changes(self._told(found), most, finished=True)
        return Changes(self._told(found), MOST_ANSWERS, finished=True)

    def _told(self, found: set[Chosen]) -> tuple[Counterfactual, ...]:
        order = self.guidance.form.questions
        told = []
        for changes in found:
            trial = self.trial(changes)
            ordered = tuple(sorted(changes, key=lambda change: order[change.link_id].order))
            told += [Counterfactual(ordered, trial.tier)] if trial is not None else []
        return tuple(
            sorted(told, key=lambda one: [(order[c.link_id].order, str(c.answers)) for c in one.changes])
        )

    def trial(self, changes: Chosen) -> _Trial | None:
        """Returns a changed response; None if it answers what it does not ask.

        Raises:
            OutOfBudget: there were too many.
        """
        key = frozenset((change.link_id, self._said(*change)) for change in changes)
        if key not in self.trials:
            if not self.left:
                raise OutOfBudget
            self.left -= 1
            self.trials[key] = self._tried(changes)
        return self.trials[key]

    def _said(self, link_id: str, values: Values) -> object:
        """Returns what counts of an answer: only its bits, if nothing else reads it."""
        if link_id in self.behind or self.compiled.scores or not values:
            return values
        bits = self.said(link_id, values)
        return (bits, self._opens(link_id, values)) if link_id in self.opening else bits

    def _opens(self, link_id: str, values: Values) -> object:
        """Returns what these answers to a question open and hide; None for no answer."""
        if values and (link_id, values) not in self.opened:
            self.opened[link_id, values] = self.replies.opens(link_id, values)
        return self.opened.get((link_id, values))

    def said(self, link_id: str, values: Values) -> int:
        """Returns the bits of some answers to a question, or of none."""
        table = self.compiled.answers.by_link[link_id]
        return table.of(values) if values else table.unanswered

    def _tried(self, changes: Chosen) -> _Trial | None:
        new = dict(changes)
        given = {**self.answers.given, **{link: values for link, values in new.items() if values}}
        enabled, closed = self._enabled(given, new)
        if any(values and link not in enabled for link, values in new.items()):
            return None
        ignored = self.answers.ignored
        if ignored:
            ignored = {link: values for link, values in ignored.items() if link not in new}
            given |= {link: values for link, values in ignored.items() if link in enabled}
            ignored = {link: values for link, values in ignored.items() if link not in enabled}
        if not enabled.issuperset(given):
            given = {link: values for link, values in given.items() if link in enabled}
        closed = closed - self.unread if self.unread else closed
        changed = replace(self.answers, given=given, ignored=ignored, closed=closed)
        state = state_of(self.compiled, changed)
        return _Trial(state, changed.given, enabled, self._tier(state))

    def _enabled(
        self, given: Mapping[str, Values], new: Mapping[str, Values]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Returns what is enabled and hidden: as before, if the change decides no condition differently."""
        key = frozenset(
            (link, self._opens(link, values))
            for link, values in new.items()
            if link in self.opening
            and self._opens(link, values) != self._opens(link, self.answers.given.get(link, ()))
        )
        if key not in self.enabled:
            self.enabled[key] = self.replies.enabled(given)
        return self.enabled[key]

    def _tier(self, state: State) -> Interval:
        """Returns the step of a state: of its rules the highest that holds, and that may hold."""
        block = self.compiled.block
        bits = state.bits >> block.start
        ends = (bits & block.tier, bits >> 1 & block.tier)
        return Interval(*(block.rules[(end & -end).bit_length() >> 1].rank if end else 0 for end in ends))

    # A lower step.

    def lower(self, changes: Chosen, left: int, rank: int) -> Iterator[Chosen]:
        """Yields changes by so many more answers after which the step is below a rank."""
        if changes in self.seen:
            return
        self.seen.add(changes)
        trial = self.trial(changes)
        if trial is None:
            return
        if trial.tier.at_most < rank:
            yield changes
            return
        if not left:
            return
        conflict = self._conflict(changes, trial, (left, rank))
        affirmed, denied = self.guidance.argued.sides[rank - 1]
        sides, each = (both(denied), both(affirmed)), self._sides_possible(trial, rank) if conflict else ()
        for link_id in chosen(self.compiled.questions, conflict):
            before = trial.given.get(link_id, ())
            for values, cost in self._moves(link_id, trial, left):
                change, is_last = Change(link_id, values), left == cost
                if self._is_worth(change, trial, sides, is_last=is_last) and not (
                    is_last and any(not self._may_help(change, before, one, is_last=True) for one in each)
                ):
                    yield from self.lower(changes | {change}, left - cost, rank)

    def _sides_possible(self, trial: _Trial, rank: int) -> Sequence[tuple[int, int]]:
        """Returns the sides wanted for each possible rule from a rank on: the last answer excludes all."""
        rules = (table.node for table in self.compiled.block.tier_rules if table.rank >= rank)
        possible = (self.guidance.argued.sides_of[node] for node in rules if trial.state.bits >> 2 * node & 2)
        return [(both(denied), both(affirmed)) for affirmed, denied in possible]

    def _conflict(self, changes: Chosen, trial: _Trial, goal: tuple[int, int]) -> int:
        """Returns the questions of which one has to be changed; none if too many would have to.

        The last answer has to be one that every conflict names.
        """
        left, rank = goal
        fixed = sum(self.compiled.bit_of[change.link_id] for change in changes)
        conflicts = _Conflicts(self.guidance, trial.state)
        best, hit, number = 0, 0, 0
        last = self.every
        for table in self.compiled.block.tier_rules:
            if table.rank < rank or not trial.state.bits >> 2 * table.node & 2:
                continue
            found = conflicts.of_rule(table) & ~fixed
            if not best or found.bit_count() < best.bit_count():
                best = found
            if not found & hit:
                hit, number = hit | found, number + 1
            last &= found
            if not found or number > left or (left == 1 and not last):
                return 0
        return best if left > 1 else last

    # A higher step.

    def higher(self, most: int, rank: int) -> Iterator[Chosen]:
        """Yields changes by so many answers after which the step is above a rank for certain."""
        affirmed, denied = self.guidance.argued.sides[rank]
        yield from self._higher(frozenset(), most, (rank, both(affirmed), both(denied)))

    def _higher(self, changes: Chosen, left: int, goal: tuple[int, int, int]) -> Iterator[Chosen]:
        if changes in self.seen:
            return
        self.seen.add(changes)
        trial = self.trial(changes)
        if trial is None:
            return
        if trial.tier.at_least > goal[0]:
            yield changes
            return
        if not left:
            return
        fixed = {change.link_id for change in changes}
        last = self._last_sides(trial, goal[0])
        for link_id in self.compiled.questions:
            if link_id in fixed or (left == 1 and link_id not in last):
                continue
            for values, cost in self._moves(link_id, trial, left):
                change, is_last = Change(link_id, values), left == cost
                sides = last.get(link_id) if is_last else goal[1:]
                if sides is not None and self._is_worth(change, trial, sides, is_last=is_last):
                    yield from self._higher(changes | {change}, left - cost, goal)

    def _last_sides(self, trial: _Trial, rank: int) -> Mapping[str, tuple[int, int]]:
        """Returns by question whose change alone could make a rule above a rank hold: what is then wanted."""
        ways, sides_of = _Ways(self.guidance, trial.state), self.guidance.argued.sides_of
        found: dict[str, tuple[int, int]] = {}
        for table in self.compiled.block.tier_rules:
            if table.rank > rank:
                affirmed, denied = sides_of[table.node]
                for link_id in chosen(self.compiled.questions, ways.of(table.node, holds=True)):
                    wanted, unwanted = found.get(link_id, (0, 0))
                    found[link_id] = wanted | both(affirmed), unwanted | both(denied)
        return found

    # Which answers are worth a trial.

    def _is_worth(self, change: Change, trial: _Trial, sides: tuple[int, int], *, is_last: bool) -> bool:
        """Whether an answer may help, and of a list each option that is ticked or unticked.

        Args:
            sides: bits that are wanted to be set, and bits that are wanted to be cleared.
        """
        link_id, values = change
        before = trial.given.get(link_id, ())
        if not self._may_help(change, before, sides, is_last=is_last):
            return False
        listed = self._list(link_id)
        if listed is None or not values or listed.alone.issuperset(values):
            return True
        clicks = listed.clicks(before, values)
        rests = (self._ticked(link_id, {*values} ^ {one}) for one in clicks) if len(clicks) > 1 else ()
        return all(
            self._may_help(change, rest, sides, is_last=is_last)
            for rest in rests
            if rest and self.replies.takes(link_id, rest)
        )

    def _may_help(self, change: Change, before: Values, sides: tuple[int, int], *, is_last: bool) -> bool:
        """Whether an answer makes something hold that is wanted, or rules something out that is not.

        Answers that other things are worked out of always may, and what opens questions may where these can
        still be answered. Of a change that may not, the rest does as well without it.

        Args:
            before: what else would be answered.
            sides: bits that are wanted to be set, and bits that are wanted to be cleared.
        """
        link_id, values = change
        if link_id in self.behind or self.compiled.scores or not values:
            return True
        wanted, unwanted = sides
        without, after = self.said(link_id, before), self.said(link_id, values)
        if after & ~without & wanted or without & ~after & unwanted:
            return True
        may_open = not is_last or bool(self.guidance.argued.hides[link_id] & unwanted)
        return may_open and link_id in self.opening and self._opens(link_id, before) != self._opens(*change)

    # What else could be answered.

    def _moves(self, link_id: str, trial: _Trial, left: int) -> Iterator[tuple[Values, int]]:
        """Yields other answers to a question, with how many answers they change."""
        if link_id in self.answers.ignored and link_id not in trial.given:
            yield (), 1
        if not left or link_id not in trial.enabled:
            return
        before = trial.given.get(link_id, ())
        same = self._said(link_id, before) if before else None
        for values, cost in self._answers(self.guidance.form.questions[link_id], before, left):
            if self._said(link_id, values) != same and self.replies.takes(link_id, values):
                yield values, cost

    def _answers(self, question: Question, before: Values, left: int) -> Iterator[tuple[Values, int]]:
        listed = self._list(question.link_id)
        if listed is not None:
            yield from self._lists(question, listed, before, left)
            return
        if question.link_id not in self.cases:
            self.cases[question.link_id] = tuple(self._single(question))
        yield from ((values, 1) for values in self.cases[question.link_id] if values != before)

    def _single(self, question: Question) -> Iterator[Values]:
        before = self.replies.date_before
        if question.type not in ("date", "dateTime") or before is not None:
            yield from other_answers(question, self.guidance, before or str)

    def _lists(
        self, question: Question, listed: _List, before: Values, left: int
    ) -> Iterator[tuple[Values, int]]:
        """Yields the lists of options that so many clicks at most can lead to."""
        options, alone = listed
        yield from (((one,), 1) for one in alone if (one,) != before)
        others = [one for one in options if one not in alone]
        ticked = [one for one in before if one not in alone]
        for clicks in range(1, left + 1):
            for few in combinations(others, clicks):
                after = (
                    *[one for one in ticked if one not in few],
                    *[one for one in few if one not in ticked],
                )
                if after:
                    yield self._ticked(question.link_id, after), clicks

    def _list(self, link_id: str) -> _List | None:
        """Returns the options of a question that takes several; None for any other."""
        if link_id not in self.lists:
            question = self.guidance.form.questions[link_id]
            options: dict[Answer, int] = {option.coding: n for n, option in enumerate(question.options)}
            is_list = question.type in CHOICES and question.repeats
            takes = self.replies.takes
            alone = [
                one
                for one in options
                if not any(other != one and takes(link_id, (one, other)) for other in options)
            ]
            self.lists[link_id] = _List(options, frozenset(alone)) if is_list else None
        return self.lists[link_id]

    def _ticked(self, link_id: str, options: Collection[Answer]) -> Values:
        """Returns options of a list in the order of the form, other answers behind them."""
        listed = self._list(link_id)
        places: Mapping[Answer, int] = {} if listed is None else listed.options
        return tuple(sorted(options, key=lambda one: places.get(one, len(places))))

    def _is_part(self, less: Chosen, more: Chosen) -> bool:
        """Whether some changes are done by others, which do more."""
        wanted = dict(more)
        return less != more and all(
            link_id in wanted and self._is_done_by(link_id, values, wanted[link_id])
            for link_id, values in less
        )

    def _is_done_by(self, link_id: str, less: Values, more: Values) -> bool:
        listed, before = self._list(link_id), self.answers.given.get(link_id, ())
        if listed is None or not less or not more:
            return less == more
        return listed.clicks(before, less) <= listed.clicks(before, more)


class _Conflicts:
    """What keeps rules possible in one state, as questions of which one has to be answered otherwise."""

    def __init__(self, guidance: Guidance, state: State) -> None:
        self.nodes = guidance.graph.nodes
        self.compiled = guidance.compiled
        self.argued = guidance.argued
        self.state = state
        judged = {table.node for table in (*state.holds, *state.possible)}
        self.clashes = [
            clash
            for table, clash in zip(self.compiled.contradictions, self.argued.clashes, strict=True)
            if table.node in judged
        ]
        self.every = (1 << len(self.compiled.questions)) - 1
        self.found: dict[tuple[int, bool], int] = {}

    def of_rule(self, table: RuleTable) -> int:
        """Returns the questions of which one has to change before a rule is ruled out."""
        return self.of(table.node, is_possible=True) or self.every

    def of(self, index: int, *, is_possible: bool) -> int:
        """Returns the questions of which one has to change before a node is no longer possible, or certain.

        Args:
            is_possible: it is possible and is to be ruled out; else it does not hold and is to hold.
        """
        key = (index, is_possible)
        if key not in self.found:
            self.found[key] = self._of(index, is_possible=is_possible)
        return self.found[key]

    def _of(self, index: int, *, is_possible: bool) -> int:
        node = self.nodes[index]
        if node.atom is not None:
            forced = self._forced(index) if is_possible else 0
            return self.argued.deciding[index] | forced
        if not node.parts:
            return 0
        if node.word == "unless" and not is_possible:
            return self.every
        side = is_possible if node.word not in ("none", "unless") else not is_possible
        needs_all = node.word == ("any" if is_possible else "all") or (
            node.word == "none" and not is_possible
        )
        waiting = [part for part in node.parts if self._waits(part, is_possible=side)]
        parts = [self.of(part, is_possible=side) for part in waiting]
        kept = [part for part in parts if part]
        if needs_all and kept:
            return min(kept, key=int.bit_count)
        return union(kept) | (self._forced(index) if is_possible else 0) or self.every

    def _waits(self, index: int, *, is_possible: bool) -> bool:
        """Whether a node is still what it has to stop being; the bits of an `unless` may be unset."""
        if self.nodes[index].word == "unless":
            return True
        bits = self.state.bits >> 2 * index & 3
        return bool(bits & 2) if is_possible else not bits & 1

    def _forced(self, index: int) -> int:
        """Returns what contradictions read that may have made a node possible."""
        return union(reads for nodes, reads in self.clashes if index in nodes)


class _Ways:
    """Which question alone could make a rule hold in one state, if it were answered otherwise; never too few.

    What holds in one of the worlds already may be left as it is.
    """

    def __init__(self, guidance: Guidance, state: State) -> None:
        self.nodes = guidance.graph.nodes
        self.argued = guidance.argued
        self.worlds = {state.bits, *state.worlds}
        self.every = (1 << len(guidance.compiled.questions)) - 1
        self.found: dict[tuple[int, bool], int] = {}

    def of(self, index: int, *, holds: bool) -> int:
        """Returns the questions by one of which a node could come to hold for certain, or be ruled out."""
        key = (index, holds)
        if key not in self.found:
            is_so = any(
                (bits >> 2 * index & 1) if holds else not bits >> 2 * index & 2 for bits in self.worlds
            )
            self.found[key] = self.every if is_so else self._of(index, holds=holds)
        return self.found[key]

    def _of(self, index: int, *, holds: bool) -> int:
        node = self.nodes[index]
        if node.word == "unless":
            return self.every
        if node.atom is not None:
            return self.argued.deciding[index] | self._forced(index) or self.every
        side = holds is (node.word != "none")
        parts = [self.of(part, holds=side) for part in node.parts]
        needs_all = node.word in (("all", "none") if holds else ("any",))
        own = intersection(parts) if needs_all and parts else union(parts)
        return own | self._forced(index)

    def _forced(self, index: int) -> int:
        """Returns what the contradictions read that may make a node hold, or stop doing so."""
        return union(reads for nodes, reads in self.argued.clashes if index in nodes)
