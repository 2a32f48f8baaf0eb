"""What would change it: the smallest changes of answers after which the step is lower, or higher.

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

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

from service.datatypes.answers import Answer, Answers
from service.datatypes.form import Question
from service.guidance.arguments import Enabled
from service.guidance.bits import both
from service.guidance.floor import other_answers
from service.guidance.loading import Guidance
from service.guidance.options import CHOICES
from service.guidance.reasons import chosen
from service.guidance.result import Interval
from service.guidance.state import State, state_of
from service.guidance.tables import RuleTable

MOST_ANSWERS = 3
"""Changes of so many answers are searched at most."""

MOST_TRIALS = 150
"""So many changed responses are evaluated at most, for a lower step and for a higher one."""

Values = tuple[Answer, ...]


class Change(NamedTuple):
    """What a question would be answered instead; nothing where the answer would be taken back."""

    link_id: str
    answers: Values


class Counterfactual(NamedTuple):
    """Changes that together lead to another step, in form order, and that step as far as it is then known."""

    changes: tuple[Change, ...]
    tier: Interval


@dataclass(frozen=True, slots=True)
class Changes:
    """The smallest changes in one direction.

    Args:
        found: in form order; none of them contains another. None where no change of up to `within` answers
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
        date_before: the date so many days before the response; None where it has no day.
    """

    enabled: Enabled
    takes: Callable[[str, Values], bool]
    date_before: Callable[[int], str] | None


def lowering(guidance: Guidance, answers: Answers, replies: Replies, trials: int = MOST_TRIALS) -> Changes:
    """Returns the smallest changes after which the step is lower, whatever is then open.

    While the step is not settled nothing is searched: first what is open has to be answered. Nothing is
    searched below the step of a rule that says that nothing fires.
    """
    search = _Search(guidance, answers, replies, trials)
    rank = search.now.tier.at_least
    if rank <= _lowest(guidance):
        return Changes((), 0, finished=True)
    if not search.now.tier.settled:
        return Changes((), 0, finished=False)
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
    """A changed response: what is made of it, what is answered and asked in it, and its step."""

    state: State
    given: Mapping[str, Values]
    enabled: frozenset[str]
    tier: Interval


Chosen = frozenset[Change]


class _Search:
    """Changed responses of one response; each is evaluated once."""

    def __init__(self, guidance: Guidance, answers: Answers, replies: Replies, trials: int) -> None:
        self.guidance = guidance
        self.compiled = guidance.compiled
        self.answers = answers
        self.replies = replies
        self.asked = replies.enabled(answers.given)
        self.unread = self.asked[1] - answers.closed
        self.opening = frozenset().union(
            *[question.enabled_by for question in guidance.form.questions.values()]
        )
        derived = self.compiled.dates.derived
        self.behind = frozenset().union(*[one.sources for one in derived])
        self.left = trials
        self.trials: dict[frozenset[tuple[str, object]], _Trial | None] = {}
        self.cases: dict[str, tuple[Values, ...]] = {}
        self.seen: set[Chosen] = set()
        now = self.trial(frozenset())
        if now is None:
            raise ValueError("a response without changes is one itself")
        self.now = now

    def smallest(self, search: Callable[[int], Iterator[Chosen]], *, goes_on: bool = False) -> Changes:
        """Returns what a search finds with as few answers as it can be.

        Args:
            goes_on: whether more answers are tried after some were found, for changes that contain none of
                those.
        """
        found: set[Chosen] = set()
        for most in range(1, MOST_ANSWERS + 1):
            self.seen.clear()
            new: set[Chosen] = set()
            try:
                new.update(one for one in search(most) if not any(less < one for less in found))
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
        """Returns a changed response; None where it answers what it does not ask.

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
        """Returns what counts of an answer: its bits, where nothing else of it does."""
        if link_id in self.opening | self.behind or self.compiled.scores or not values:
            return values
        return self.said(link_id, values)

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
        ignored = {link: values for link, values in self.answers.ignored.items() if link not in new}
        given |= {link: values for link, values in ignored.items() if link in enabled}
        changed = replace(
            self.answers,
            given={link: values for link, values in given.items() if link in enabled},
            ignored={link: values for link, values in ignored.items() if link not in enabled},
            closed=closed - self.unread,
        )
        state = state_of(self.compiled, changed)
        return _Trial(state, changed.given, enabled, self._tier(state))

    def _enabled(
        self, given: Mapping[str, Values], new: Mapping[str, Values]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Returns what is enabled and hidden: the same as before where nothing is decided by what changed."""
        return self.asked if self.opening.isdisjoint(new) else self.replies.enabled(given)

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
        conflict = self._conflict(changes, trial, (left, rank))
        affirmed, denied = self.guidance.argued.sides[rank - 1]
        sides = both(denied), both(affirmed)
        for link_id in chosen(self.compiled.questions, conflict):
            for values, cost in self._moves(link_id, trial, left):
                change = Change(link_id, values)
                if self._may_help(change, trial, sides, is_last=left == cost):
                    yield from self.lower(changes | {change}, left - cost, rank)

    def _conflict(self, changes: Chosen, trial: _Trial, goal: tuple[int, int]) -> int:
        """Returns the questions of which one has to be changed; none where too many would have to."""
        left, rank = goal
        fixed = sum(self.compiled.bit_of[change.link_id] for change in changes)
        conflicts = _Conflicts(self.guidance, trial.state)
        best, hit, number = 0, 0, 0
        for table in self.compiled.block.tier_rules:
            if table.rank < rank or not trial.state.bits >> 2 * table.node & 2:
                continue
            found = conflicts.of_rule(table) & ~fixed
            if not best or found.bit_count() < best.bit_count():
                best = found
            if not found & hit:
                hit, number = hit | found, number + 1
            if not found or number > left:
                return 0
        return best

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
        for link_id in self.compiled.questions:
            if link_id not in fixed:
                for values, cost in self._moves(link_id, trial, left):
                    if self._may_help(Change(link_id, values), trial, goal[1:], is_last=left == cost):
                        yield from self._higher(changes | {Change(link_id, values)}, left - cost, goal)

    # Which answers are worth a trial.

    def _may_help(self, change: Change, trial: _Trial, sides: tuple[int, int], *, is_last: bool) -> bool:
        """Whether an answer makes something hold that is wanted, or rules something out that is not.

        Answers that other things are worked out of always may, and what opens questions may where these can
        still be answered. Of a change that may not, the rest does as well without it.

        Args:
            sides: bits that are wanted to be set, and bits that are wanted to be cleared.
        """
        link_id, values = change
        if link_id in self.behind or self.compiled.scores or not values:
            return True
        wanted, unwanted = sides
        if link_id in self.opening and (not is_last or self.guidance.argued.hides[link_id] & unwanted):
            return True
        before, after = self.said(link_id, trial.given.get(link_id, ())), self.said(link_id, values)
        return bool(after & ~before & wanted | before & ~after & unwanted)

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
        if question.type in CHOICES and question.repeats:
            yield from self._lists(question, before, left)
            return
        if question.link_id not in self.cases:
            self.cases[question.link_id] = tuple(self._single(question))
        yield from ((values, 1) for values in self.cases[question.link_id] if values != before)

    def _single(self, question: Question) -> Iterator[Values]:
        before = self.replies.date_before
        if question.type not in ("date", "dateTime") or before is not None:
            yield from other_answers(question, self.guidance, before or str)

    def _lists(self, question: Question, before: Values, left: int) -> Iterator[tuple[Values, int]]:
        """Yields what is ticked after so many clicks at most."""
        options = [option.coding for option in question.options]
        alone = {one for one in options if self._is_alone(question.link_id, one, options)}
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
                    yield tuple(sorted(after, key=_place(options))), clicks

    def _is_alone(self, link_id: str, one: Answer, options: Sequence[Answer]) -> bool:
        return not any(other != one and self.replies.takes(link_id, (one, other)) for other in options)


def _place(options: Sequence[Answer]) -> Callable[[Answer], int]:
    places = {one: place for place, one in enumerate(options)}
    return lambda one: places.get(one, len(places))


class _Conflicts:
    """What keeps rules possible in one state, as questions of which one has to be answered otherwise."""

    def __init__(self, guidance: Guidance, state: State) -> None:
        self.nodes = guidance.graph.nodes
        self.compiled = guidance.compiled
        self.argued = guidance.argued
        self.state = state
        self.clashes = [
            clash
            for table, clash in zip(self.compiled.contradictions, self.argued.clashes, strict=True)
            if table in (*state.holds, *state.possible)
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
        found = 0
        for part in kept:
            found |= part
        return found | (self._forced(index) if is_possible else 0) or self.every

    def _waits(self, index: int, *, is_possible: bool) -> bool:
        """Whether a node is still what it has to stop being; the bits of an `unless` may be unset."""
        if self.nodes[index].word == "unless":
            return True
        bits = self.state.bits >> 2 * index & 3
        return bool(bits & 2) if is_possible else not bits & 1

    def _forced(self, index: int) -> int:
        """Returns what contradictions read that may have made a node possible."""
        found = 0
        for nodes, reads in self.clashes:
            if index in nodes:
                found |= reads
        return found
