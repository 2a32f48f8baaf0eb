"""Every answer pattern that versions of a guidance can tell apart, as one space that all are read in.

A pattern says of each question which of its answer classes was answered, or that nothing was. The classes
are: of a choice each option, of a list each set of options that may stand together, of a number every
cut-off and a value between any two, of a date the days that its own cut-offs and those of what is derived
from it ask for, of a text that there is one. One answer stands for each class, so a pattern is a response.
Ranges (comparators, partial dates), other units and answers that cannot be read are no part of it.

A question has an answer in a pattern only where one of the versions asks it (enableWhen) and can take that
answer. Questions are one where their linkIds are the same, options where system and code are. A version is
given what it asks for and can take: of a list, the options that it knows.

Every variable of the diagrams is one answer of one question, true where it was given. So each pattern is one
assignment, and assignments of a decision diagram are counted exactly.

Source: R. Bryant, Graph-based algorithms for Boolean function manipulation,
https://doi.org/10.1109/TC.1986.1676819; diagrams with complement edges of OxiDD.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from heapq import heappop, heappush
from itertools import pairwise
from math import ceil, floor
from typing import NamedTuple

import msgspec
from oxidd.bcdd import BCDDFunction as Diagram
from oxidd.bcdd import BCDDManager

from service.catalogue import Pair
from service.datatypes.answers import Answer, AnswersByLink, Quantity
from service.datatypes.form import Question
from service.datatypes.ucum import SYSTEM as UCUM
from service.datatypes.ucum import converted
from service.guidance.answer_tables import AnswerTable
from service.guidance.cases import AUTHORED
from service.guidance.options import CHOICES, DATES, DAY, NUMBERS, PLAIN
from service.guidance.quantities import sources_of
from service.questionnaire.answer_checks import limit_faults
from service.questionnaire.enable_when import holds, holds_unanswered, is_decidable
from service.questionnaire.items import EnableWhen, Item

# One answer of each class.

SOME_TEXT = "x"
"""Stands for any text, time, reference or attachment."""

_MOST_STEPS = 1000
"""Whole numbers of a line (a slider with points of its own) up to which each is a class."""


class AnsweredQuestion(msgspec.Struct, frozen=True):
    """A question of one version or both, and one answer of each class.

    Args:
        several: several of the answers may be given together.
        exclusive: answers that stand alone. most: how many may stand together; None for any number.
    """

    link_id: str
    answers: tuple[Answer, ...]
    several: bool
    exclusive: frozenset[Answer] = frozenset()
    most: int | None = None


def answered_questions(pairs: Sequence[Pair]) -> dict[str, AnsweredQuestion]:
    """Returns every question that a version reads, or that decides whether one is asked, by linkId."""
    classes = _Classes(pairs)
    links = dict.fromkeys(link for pair in reversed(pairs) for link in pair.guidance.compiled.questions)
    return {link: classes.of(link) for link in links}


def takes(pair: Pair, link_id: str, answer: Answer) -> bool:
    """Whether the questionnaire of a version has a question with this answer."""
    item = pair.compiled.items.get(link_id)
    if item is None or not _is_of_type(item, answer):
        return False
    if item.options is not None:
        return item.options.membership(answer).is_member is True
    unit = (UCUM, "") if isinstance(answer, Quantity) else ("", "")
    return not any(True for _ in limit_faults(item, answer, unit))


def _is_of_type(item: Item, answer: Answer) -> bool:
    if isinstance(answer, bool):
        return item.type == "boolean"
    if isinstance(answer, int):
        return item.type == "integer" or (item.type in CHOICES and item.options is not None)
    if isinstance(answer, Decimal):
        return item.type == "decimal"
    if isinstance(answer, Quantity):
        return item.type == "quantity"
    if isinstance(answer, str):
        return item.type not in ("boolean", "choice", *NUMBERS)
    return item.type in CHOICES


class _Classes:
    """Finds the answers that stand for all, by linkId."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = pairs
        self._days = dict(self._days_of_derived())

    def of(self, link_id: str) -> AnsweredQuestion:
        """Returns the question with one answer of each class."""
        items = [pair.compiled.items[link_id] for pair in self.pairs if link_id in pair.compiled.items]
        answers = dict.fromkeys(
            answer
            for pair in reversed(self.pairs)
            for answer in self._answers(pair, link_id)
            if any(takes(pair, link_id, answer) for pair in self.pairs)
        )
        most = [item.max_occurs for item in items if item.repeats]
        return AnsweredQuestion(
            link_id,
            tuple(answers),
            several=any(item.repeats for item in items),
            exclusive=frozenset(
                answer
                for item in items
                for answer, choice in (item.options.choices.items() if item.options is not None else ())
                if choice.exclusive
            ),
            most=max(found for found in most if found is not None) if most and None not in most else None,
        )

    def _answers(self, pair: Pair, link_id: str) -> Iterator[Answer]:
        question = pair.guidance.form.questions.get(link_id)
        if question is None:
            return
        if question.type == "boolean":
            yield from (True, False)
        elif question.type in NUMBERS and not question.numbers:
            yield from self._numbers(pair, question)
        elif question.type in DATES:
            written = date.fromisoformat(AUTHORED)
            for days in self._days.get(link_id, [0]):
                yield (written - timedelta(days=int(days))).isoformat()
        else:
            yield from (option.coding for option in question.options)
            yield from (number for number, _ in question.numbers)
            if question.type != "choice":
                yield SOME_TEXT

    # Numbers: the cut-offs and a value between any two.

    def _numbers(self, pair: Pair, question: Question) -> Iterator[Answer]:
        unit = self._unit_of(question)
        line = self._on_a_line(question)
        days = self._days.get(question.link_id)
        if line:
            values = line
        elif days is not None:
            named = question.units[0] if question.type != "quantity" else unit
            values = [found for day in days if (found := converted(day, DAY, named)) is not None]
        else:
            points = self._points(question.link_id, unit)
            values = spread(points, self._widest(question.link_id, unit), whole=question.type == "integer")
        for value in values:
            exact = Decimal(value.numerator) / Decimal(value.denominator)
            if question.type == "quantity":
                yield Quantity(exact, unit)
            elif question.type == "decimal":
                yield exact
            elif value.denominator == 1:
                yield int(value)

    @staticmethod
    def _unit_of(question: Question) -> str:
        """Returns the unit in which a number is answered: days where the form has them, else its first."""
        if question.type != "quantity":
            return PLAIN
        return DAY if DAY in question.units or not question.units else question.units[0]

    def _on_a_line(self, question: Question) -> list[Fraction]:
        """Returns every whole number of a question that adds points by its value; none for others."""
        for pair in self.pairs:
            for table in pair.guidance.compiled.scores:
                for weights in table.weights:
                    if weights.link_id == question.link_id and weights.line is not None:
                        low, high = floor(weights.line.low), floor(weights.line.high)
                        if high - low <= _MOST_STEPS:
                            return [Fraction(value) for value in range(low, high + 1)]
        return []

    def _points(self, link_id: str, unit: str) -> set[Fraction]:
        """Returns every cut-off of a number in a unit."""
        found: set[Fraction] = set()
        for pair in self.pairs:
            table = pair.guidance.compiled.answers.by_link.get(link_id)
            if table is not None:
                found.update(Fraction(point) for point in table.scale(unit).points)
            found.update(_asked_at(pair, link_id, unit))
        return found | self._limits_of_one(link_id, unit)

    def _bounds_of(self, link_id: str, unit: str) -> list[Bounds]:
        items = [pair.compiled.items.get(link_id) for pair in self.pairs]
        return [_bounds(item, unit) for item in items if item is not None]

    def _widest(self, link_id: str, unit: str) -> Bounds:
        """Returns the range that at least one version permits; no date lies in the future."""
        if self._is_date(link_id):
            return Bounds(least=Fraction(0))
        least, most = zip(*self._bounds_of(link_id, unit), strict=True)
        ends = [[end for end in one if end is not None] for one in (least, most)]
        return Bounds(
            min(ends[0]) if len(ends[0]) == len(least) else None,
            max(ends[1]) if len(ends[1]) == len(most) else None,
        )

    def _limits_of_one(self, link_id: str, unit: str) -> set[Fraction]:
        """Returns limits that only one version has: they tell the versions apart, with a value beyond."""
        found = self._bounds_of(link_id, unit)
        both = zip(*found, strict=True)
        return {end for ends in both if len(set(ends)) > 1 for end in ends if end is not None}

    # Days: a quantity that is the difference of two others is cut wherever one of them is.

    def _days_of_derived(self) -> Iterator[tuple[str, list[Fraction]]]:
        """Yields by linkId the days that stand for all, of the questions that quantities are derived from."""
        cuts = {link: self._day_cuts(link) for link in self._sources()}
        first = {link: set(points) for link, points in cuts.items()}
        differences = [*self._differences()]
        for minuend, subtrahend, points in differences:
            first[minuend] |= {cut + point for cut in cuts[subtrahend] for point in points}
        spreads = {link: self._spread(link, points) for link, points in first.items()}
        second = {link: set(points) for link, points in first.items()}
        for minuend, subtrahend, points in differences:
            second[subtrahend] |= {value - point for value in spreads[minuend] for point in points}
        yield from ((link, self._spread(link, points)) for link, points in second.items())

    def _spread(self, link_id: str, points: Iterable[Fraction]) -> list[Fraction]:
        return spread(points, self._widest(link_id, DAY), whole=self._is_date(link_id))

    def _sources(self) -> dict[str, None]:
        found: dict[str, None] = {}
        for pair in self.pairs:
            for name in pair.guidance.written.derived:
                found |= dict.fromkeys(sources_of(name, pair.guidance.written))
        return found

    def _differences(self) -> Iterator[tuple[str, str, set[Fraction]]]:
        for pair in self.pairs:
            for name, derived in pair.guidance.written.derived.items():
                if derived.word == "difference":
                    table = pair.guidance.compiled.answers.by_link.get(name)
                    points = _points_in_days(table)
                    for minuend in sources_of(derived.of[0], pair.guidance.written):
                        for subtrahend in sources_of(derived.of[1], pair.guidance.written):
                            yield minuend, subtrahend, points

    def _day_cuts(self, link_id: str) -> set[Fraction]:
        """Returns the cut-offs in days of a question, and of the quantity that is the age of its date."""
        found: set[Fraction] = set()
        for pair in self.pairs:
            written = pair.guidance.written
            ages = [name for name, one in written.derived.items() if one.of == (link_id,)]
            for name in (link_id, *ages):
                table = pair.guidance.compiled.answers.by_link.get(name)
                found |= _points_in_days(table)
            found.update(_asked_at(pair, link_id, DAY))
        return found if self._is_date(link_id) else found | self._limits_of_one(link_id, DAY)

    def _is_date(self, link_id: str) -> bool:
        items = [pair.compiled.items.get(link_id) for pair in self.pairs]
        return any(item is not None and item.type in DATES for item in items)


class Bounds(NamedTuple):
    """The least and the most that can be answered, both included; None if there is no such limit."""

    least: Fraction | None = None
    most: Fraction | None = None

    def hold(self, value: Fraction) -> bool:
        """Whether a value lies within them."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


def spread(points: Iterable[Fraction], bounds: Bounds, *, whole: bool) -> list[Fraction]:
    """Returns the points, with a value below, one between any two and one above, within bounds; ascending.

    Args:
        whole: whole numbers alone; between two that follow each other there is none.
    """

    def fits(value: Fraction) -> bool:
        return bounds.hold(value) and (not whole or value.denominator == 1)

    ordered = [None, *sorted(set(points)), None]
    found: list[Fraction] = []
    for low, high in pairwise(ordered):
        within = (value for value in _between(low, high, bounds) if _is_between(value, low, high))
        found += [value for value in within if fits(value)][:1]
        found += [] if high is None else [high]
    return [value for value in found if fits(value)]


def _between(low: Fraction | None, high: Fraction | None, bounds: Bounds) -> Iterator[Fraction]:
    """Yields values that may lie between two points, the plainest first."""
    if low is not None:
        yield Fraction(floor(low) + 1)
    elif high is not None and (high > 1 or high <= 0):
        yield Fraction(ceil(high) - 1)
    else:
        yield Fraction(1) if high is None else high / 2
    if low is not None and high is not None:
        yield (low + high) / 2
    yield from (bound for bound in bounds if bound is not None)


def _is_between(value: Fraction, low: Fraction | None, high: Fraction | None) -> bool:
    return (low is None or value > low) and (high is None or value < high)


def _points_in_days(table: AnswerTable | None) -> set[Fraction]:
    return set() if table is None else {Fraction(point) for point in table.scale(DAY).points}


def _bounds(item: Item, unit: str) -> Bounds:
    """Returns the least and the most that a form permits, in a unit."""
    limits = item.limits
    ends = []
    for named in ((limits.min_value, limits.min_quantity), (limits.max_value, limits.max_quantity)):
        values = [value for limit in named for value in _number_in(limit, unit)]
        ends.append(values[0] if values else None)
    return Bounds(*ends)


def _asked_at(pair: Pair, link_id: str, unit: str) -> Iterator[Fraction]:
    """Yields the numbers with which conditions of the form compare the answers of a question."""
    for item in pair.compiled.items.values():
        for condition in item.enable_when:
            if condition.question == link_id and condition.operator != "exists":
                yield from _number_in(condition.expected, unit)


def _number_in(value: object, unit: str) -> Iterator[Fraction]:
    if isinstance(value, Quantity):
        found = converted(value.value, value.unit, unit)
        if found is not None:
            yield found
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        yield Fraction(value)


# The variables, and what may be answered together.


class Space:
    """The variables of all questions of some versions, and which patterns there are.

    Args:
        pairs: the versions, the oldest first.
        nodes: so many nodes the diagrams may have at once.

    Raises:
        MemoryError: they have more; so do all methods that join diagrams.
    """

    def __init__(self, pairs: Sequence[Pair], nodes: int) -> None:
        self.pairs = tuple(pairs)
        self.questions = answered_questions(pairs)
        self.manager = BCDDManager(nodes, nodes // 4, 1)
        self.true, self.false = self.manager.true(), self.manager.false()
        self.places = tuple(
            (link_id, answer)
            for link_id in sorted(self.questions, key=self._place)
            for answer in self.questions[link_id].answers
        )
        """The question and the answer of every variable, in their order: as the newest form asks."""
        links = [*self.questions]
        self.question_of = tuple(links.index(link_id) for link_id, _ in self.places)
        """The number of the question of every variable."""
        self.manager.add_vars(len(self.places))
        self.variables: dict[str, dict[Answer, Diagram]] = {link_id: {} for link_id in self.questions}
        for place, (link_id, answer) in enumerate(self.places):
            self.variables[link_id][answer] = self.manager.var(place)
        self._with_few: dict[int, Diagram] = {}
        self.versions = tuple(Version(self, pair) for pair in self.pairs)
        self.valid = self.all([self._rule(question) for question in self.questions.values()])
        """Where an assignment is a pattern."""

    def _place(self, link_id: str) -> tuple[float, str]:
        """Returns where a question stands in the newest form that has it, as a part of its length."""
        items = [pair.compiled.items for pair in reversed(self.pairs) if link_id in pair.compiled.items]
        return items[0][link_id].order / len(items[0]), link_id

    def any(self, parts: Sequence[Diagram]) -> Diagram:
        """Returns where one of these holds."""
        if len(parts) < 2:
            return parts[0] if parts else self.false
        half = len(parts) // 2
        return self.any(parts[:half]) | self.any(parts[half:])

    def all(self, parts: Sequence[Diagram]) -> Diagram:
        """Returns where all of these hold."""
        return ~self.any([~part for part in parts])

    def at_least(self, need: int, parts: Sequence[Diagram]) -> Diagram:
        """Returns where so many of these hold."""
        reached = [self.true, *[self.false] * need]
        for part in parts:
            for count in range(need, 0, -1):
                reached[count] |= reached[count - 1] & part
        return reached[need]

    def pattern(self, chosen: Iterable[int]) -> AnswersByLink:
        """Returns the answers of the variables at these places."""
        found: dict[str, tuple[Answer, ...]] = {}
        for link_id, answer in [self.places[place] for place in chosen]:
            found[link_id] = (*found.get(link_id, ()), answer)
        return found

    def count(self, where: Diagram) -> int:
        """Returns how many patterns there are where this holds; exact."""
        return (where & self.valid).sat_count(len(self.places))

    def with_few(self, questions: int) -> Diagram:
        """Returns where an assignment is a pattern with at most so many questions answered."""
        if questions not in self._with_few:
            given = [self.any([*variables.values()]) for variables in self.variables.values()]
            self._with_few[questions] = self.valid & ~self.at_least(questions + 1, given)
        return self._with_few[questions]

    def _rule(self, question: AnsweredQuestion) -> Diagram:
        """Returns where the answers to a question may stand together, and are asked for."""
        given, link_id = self.variables[question.link_id], question.link_id
        rules = []
        for answer, variable in given.items():
            takers = [version for version in self.versions if version.takes(link_id, answer)]
            rules.append(~variable | self.any([version.asked(link_id) for version in takers]))
            if answer in question.exclusive:
                others = [other for known, other in given.items() if known != answer]
                rules.append(~(variable & self.any(others)))
        most = question.most if question.several else 1
        if most is not None and most < len(given):
            rules.append(~self.at_least(most + 1, [*given.values()]))
        return self.all(rules)


class Version:
    """One version, applied to patterns: the questions it asks, the answers it is given, those it hides.

    Items are asked and closed as `enable_when.py` says; an enableWhenExpression counts as true.
    """

    def __init__(self, space: Space, pair: Pair) -> None:
        self.space, self.pair, self.items = space, pair, pair.compiled.items
        self._takes = {(link_id, answer): takes(pair, link_id, answer) for link_id, answer in space.places}
        self._given: dict[str, Mapping[Answer, Diagram]] = {}
        self._asked: dict[str, Diagram] = {}
        self._closed: dict[str, Diagram] = {}

    def takes(self, link_id: str, answer: Answer) -> bool:
        """Whether this version has such an answer."""
        return self._takes[link_id, answer]

    def given(self, link_id: str) -> Mapping[Answer, Diagram]:
        """Returns by answer of a question where this version is given it."""
        if link_id not in self._given:
            variables = self.space.variables.get(link_id, {})
            asked = self.asked(link_id)
            if self._takes_one_of_several(link_id):
                asked &= ~self.space.at_least(2, [*variables.values()])
            self._given[link_id] = {
                answer: variable & asked
                for answer, variable in variables.items()
                if self.takes(link_id, answer)
            }
        return self._given[link_id]

    def answered(self, link_id: str) -> Diagram:
        """Returns where this version is given an answer to a question."""
        return self.space.any([*self.given(link_id).values()])

    def answers(self, pattern: AnswersByLink) -> AnswersByLink:
        """Returns the answers of a pattern that this version asks for."""
        found = {}
        for link_id, values in pattern.items():
            if not (len(values) > 1 and self._takes_one_of_several(link_id)):
                found[link_id] = tuple(value for value in values if self.takes(link_id, value))
        return self.pair.compiled.answers_of({link: values for link, values in found.items() if values}).given

    def _takes_one_of_several(self, link_id: str) -> bool:
        question, item = self.space.questions.get(link_id), self.items.get(link_id)
        return question is not None and question.several and item is not None and not item.repeats

    def asked(self, link_id: str) -> Diagram:
        """Returns where an item is asked; its parents are too."""
        if link_id not in self._asked:
            item = self.items.get(link_id)
            found = self.space.false if item is None else self.space.true
            if item is not None and item.parent is not None:
                found = self.asked(item.parent)
            if item is not None and item.enable_when:
                conditions = [self._holds(condition) for condition in item.enable_when]
                found &= self._joined(item, conditions)
            self._asked[link_id] = found
        return self._asked[link_id]

    def closed(self, link_id: str) -> Diagram:
        """Returns where an item is hidden for certain: an answer that was given hid it, or a parent."""
        if link_id not in self._closed:
            item = self.items[link_id]
            found = self.space.false if item.parent is None else self.closed(item.parent)
            if item.enable_when:
                kept = [~self._denied(condition) for condition in item.enable_when]
                found |= ~self._joined(item, kept)
            self._closed[link_id] = found
        return self._closed[link_id]

    def _certain(self, link_id: str) -> Diagram:
        """Returns where an item stays asked whatever is still answered; its parents do too."""
        item = self.items[link_id]
        found = self.space.true if item.parent is None else self._certain(item.parent)
        if not item.enable_when:
            return found
        return found & self._joined(item, [self._affirmed(condition) for condition in item.enable_when])

    def _joined(self, item: Item, conditions: Sequence[Diagram]) -> Diagram:
        return self.space.any(conditions) if item.enable_any else self.space.all(conditions)

    def _holds(self, condition: EnableWhen) -> Diagram:
        if not is_decidable(condition, self.items):
            return self.space.true
        answered = self.answered(condition.question)
        if condition.operator == "exists":
            return ~answered if holds_unanswered(condition) else answered
        return self._said(condition, (True, None))

    def _denied(self, condition: EnableWhen) -> Diagram:
        """Returns where a condition fails whatever is still answered."""
        if not is_decidable(condition, self.items):
            return self.space.false
        question = condition.question
        if holds_unanswered(condition):
            return self.answered(question) & self._certain(question)
        if condition.operator == "exists":
            return self.closed(question)
        return self.closed(question) | (self.answered(question) & ~self._said(condition, (True, None)))

    def _affirmed(self, condition: EnableWhen) -> Diagram:
        """Returns where a condition holds whatever is still answered."""
        if not is_decidable(condition, self.items):
            return self.space.false
        if holds_unanswered(condition):
            return self.closed(condition.question)
        certain = self._certain(condition.question)
        if condition.operator == "exists":
            return self.answered(condition.question) & certain
        return self._said(condition, (True,)) & certain

    def _said(self, condition: EnableWhen, verdicts: tuple[bool | None, ...]) -> Diagram:
        """Returns where one of the answers given has one of these verdicts."""
        type_ = self.items[condition.question].type
        given = self.given(condition.question).items()
        return self.space.any(
            [where for answer, where in given if holds(condition, (answer,), type_) in verdicts]
        )


# The plainest patterns of a diagram: those with the fewest questions answered, then with the fewest options.

_QUESTION = 1 << 16
"""What a question costs; each of its options costs 1."""

_NEVER = 1 << 60
"""The cost of what cannot be reached."""


_FEW = (2, 4)
"""Numbers of questions answered that are tried first: there the diagrams are small."""


def plainest(space: Space, where: Diagram, most: int) -> Iterator[AnswersByLink]:
    """Yields so many patterns for which a diagram holds, those with the fewest questions answered first."""
    for questions in _FEW:
        few = where & space.with_few(questions)
        if few.sat_count(len(space.places)) >= most:
            return _plainest(space, few, most)
    return _plainest(space, where & space.valid, most)


def _plainest(space: Space, where: Diagram, most: int) -> Iterator[AnswersByLink]:
    """Yields the plainest of these patterns.

    What a way through the diagram still costs is known exactly, so that no way is followed in vain.

    Source: P. Hart, N. Nilsson, B. Raphael (A*), https://doi.org/10.1109/TSSC.1968.300136
    """
    ways, end = _Ways(space, where), len(space.places)
    waiting: list[tuple[int, tuple[int, ...], int, _State]] = []

    def add(state: _State, chosen: tuple[int, ...], spent: int) -> None:
        still = ways.cost(state)
        if still < _NEVER:
            heappush(waiting, (spent + still, chosen, spent, state))

    add(_State(ways.start, 0, -1), (), 0)
    while waiting and most:
        _, chosen, spent, state = heappop(waiting)
        if state.place == end:
            most -= 1
            yield space.pattern(chosen)
            continue
        question, after = ways.question_of[state.place], state.place + 1
        given, left = ways.parts(state)
        price = 1 if question == state.answered else _QUESTION + 1
        add(_State(left, after, state.answered), chosen, spent)
        add(_State(given, after, question), (*chosen, state.place), spent + price)


class _State(NamedTuple):
    """Where a way stands: the node, the place of the next variable, the question last answered (or -1)."""

    node: int
    place: int
    answered: int


_FALSE, _TRUE = 0, 1
"""The two ends of every way, among the nodes by number."""


class _Ways:
    """The nodes of a diagram by number, each after those below it, and what is still to pay at each.

    Args:
        nodes: place of the variable, and the nodes where it is true and false.
        costs: by node, the least that it still costs: with the question of its variable open, and answered.
    """

    def __init__(self, space: Space, diagram: Diagram) -> None:
        self.question_of = space.question_of
        self.nodes: list[tuple[int, int, int]] = [(-1, -1, -1), (-1, -1, -1)]
        self.costs: list[tuple[int, int]] = [(_NEVER, _NEVER), (0, 0)]
        self.start = self._numbered(diagram, {space.false: _FALSE, space.true: _TRUE})

    def cost(self, state: _State) -> int:
        """Returns the least that a way still costs."""
        place = self.nodes[state.node][0]
        return self.costs[state.node][place >= 0 and self.question_of[place] == state.answered]

    def parts(self, state: _State) -> tuple[int, int]:
        """Returns the nodes that follow where the next variable is true, and false; often the same."""
        place, given, left = self.nodes[state.node]
        return (given, left) if place == state.place else (state.node, state.node)

    def _numbered(self, diagram: Diagram, numbers: dict[Diagram, int]) -> int:
        waiting = [diagram]
        while waiting:
            top = waiting[-1]
            parts = top.cofactors() if top not in numbers else None
            missing = [part for part in parts or () if part not in numbers]
            if not missing:
                waiting.pop()
                if parts is not None:
                    numbers[top] = len(self.nodes)
                    self._add(top.node_var(), *[numbers[part] for part in parts])
            waiting += missing
        return numbers[diagram]

    def _add(self, place: int | None, given: int, left: int) -> None:
        own = -1 if place is None else place
        self.nodes.append((own, given, left))
        question = self.question_of[own]
        taken = self.cost(_State(given, own, question))
        fresh = min(self.cost(_State(left, own, -1)), _QUESTION + 1 + taken)
        self.costs.append((fresh, min(self.cost(_State(left, own, question)), 1 + taken)))
