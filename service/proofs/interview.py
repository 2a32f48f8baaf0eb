"""The short interview ends where the full form ends: for every patient, whatever was left out.

Two copies of the guidance stand side by side: all that a patient answers, and the same with some answers left
out, as it is while an interview goes on. Wherever the two differ in the step, its date or a level, one of the
questions left out must be among those that the interview asks next. An interview that goes on until none of
them is left, in whatever order, therefore has the result of the full form.

At a safety step nobody is asked to go on but for a higher one: there the levels are left aside.

Source: SDC 4.0, adaptive questionnaires; guidance/clinical-decisions.md, sections 1, 2 and 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import z3

from service.datatypes.values import replace
from service.guidance.conditions import links_of
from service.guidance.model import Outcome, Rule
from service.guidance.quantities import sources_of
from service.guidance.scores import links_of_score
from service.proofs.answer_space import AnswerSpace, Ends, Sum, all_of, any_of
from service.proofs.encoding import DateEnds, Encoding, LevelEnds, Reached, TierEnds, Value, World

Broken = tuple[str, z3.BoolRef]
"""A promise, and the formula of a response that breaks it."""


def interview_promises(interview: Interview) -> Iterator[Broken]:
    """Yields the promises about the interview."""
    full = interview.full
    tier = TierEnds(full, full.values), TierEnds(full, interview.known.values)
    date = DateEnds(full, full.values), DateEnds(full, interview.known.values)
    settled = z3.Not(interview.asks_for_the_tier())
    at_safety = interview.is_at_safety()
    changed = _differs(tier[0].beside(tier[1]))
    yield "interview: what it leaves out never changes the step", all_of(settled, changed)
    no_date = any_of(at_safety, z3.Not(interview.asks_for_the_date()))
    changed = _differs([*date[0].beside(date[1]), *interview.own_dates()])
    yield "interview: what it leaves out never changes the date", all_of(settled, no_date, changed)
    for outcome in full.guidance.written.outcomes:
        asks, differs = interview.level(outcome)
        words = f"interview: what it leaves out never changes the level of {outcome.code}"
        yield words, all_of(settled, z3.Not(at_safety), z3.Not(asks), differs)


class Interview:
    """What is known while some answers are left out, beside everything that is answered.

    Args:
        full: everything that is answered; the second copy is added to its solver.

    Attributes:
        left: by linkId, whether it was left out.
        later: by linkId, whether it was, and there is an answer to it or it is hidden for certain.
        asks: by node, whether the interview asks one of those for it.
    """

    def __init__(self, full: Encoding) -> None:
        self.full = full
        self.guidance = full.guidance
        self.left = {link: z3.Bool(f"{link} left out") for link in full.spaces}
        for link, space in full.spaces.items():
            if space.table.is_derived:
                sources = sources_of(link, self.guidance.written)
                full.solver.add(self.left[link] == any_of(*[self.left[source] for source in sources]))
        self.later = {
            link: all_of(self.left[link], z3.Not(space.open)) for link, space in full.spaces.items()
        }
        spaces = {link: _without(space, self.left[link]) for link, space in full.spaces.items()}
        self.known = full.with_spaces(spaces, "known")
        for name in full.scores:
            full.solver.add(*self._known_of_a_sum(full.sums[name], self.known.sums[name]))
        self.asks = self._asks()

    def words(self, model: z3.ModelRef) -> Iterator[str]:
        """Yields the answers in a model, and whether the interview had asked for them.

        A question that other answers close is named where the interview does not know that yet.
        """

        def holds(formula: z3.BoolRef) -> bool:
            return bool(z3.is_true(model.eval(formula, model_completion=True)))

        for link, space in self.full.spaces.items():
            answers = [answer.words for answer in space.answers if holds(answer.holds)]
            is_left = holds(self.left[link])
            if is_left and not answers and holds(space.hidden):
                answers = ["closed by other answers"]
            if answers and not space.table.is_derived:
                yield f"{link}: {', '.join(answers)}{' (not asked)' if is_left else ''}"

    def _known_of_a_sum(self, full: Sum, known: Sum) -> list[z3.BoolRef]:
        """Returns the relation between two sums, which the solver would take too long to find.

        What one question adds lies, as it is known, around what it adds in full, and is the same unless an
        answer was left out. Both are proved of each question, and so hold of the sums.
        """
        for link, ends in known.parts.items():
            left = z3.Not(all_of(*_around(ends, full.parts[link], self.later[link])))
            if self.full.solver.check(left) != z3.unsat:
                return []
        return _around(known.ends, full.ends, any_of(*[self.later[link] for link in known.parts]))

    # What the interview asks next: it follows `Undecided` (service/guidance/reasons.py).

    def _asks(self) -> list[z3.BoolRef]:
        """Returns by node whether a question left out is among those that keep it undecided.

        A rule is undecided by what fits, or by what contradictions may make of it.
        """
        worse, tables = self.guidance.compiled.worse, self.guidance.compiled.contradictions
        fitting, doubted, worst = self.known.worlds
        by_fit = self._asks_in(fitting, {})
        deciding = [
            all_of(_undecided(fitting.values[table.node]), any_of(*[by_fit[part] for part in table.parts]))
            for table in tables
        ]
        by_doubt = self._asks_in(doubted, self._doubted(deciding))
        by_worse = self._asks_in(worst, self._set_by([table.sets for table in tables], deciding))
        return [
            all_of(
                _undecided(self.known.values[index]),
                any_of(by_fit[index], (by_doubt if worse.overlay >> 2 * index & 1 else by_worse)[index]),
            )
            for index in range(len(self.known.nodes))
        ]

    def _set_by(self, masks: list[int], deciding: list[z3.BoolRef]) -> Mapping[int, list[z3.BoolRef]]:
        """Returns by node what may still decide contradictions that set it."""
        pairs = list(zip(masks, deciding, strict=True))
        return {
            index: [asks for mask, asks in pairs if mask >> 2 * index & 1]
            for index in range(len(self.known.nodes))
        }

    def _doubted(self, deciding: list[z3.BoolRef]) -> Mapping[int, list[z3.BoolRef]]:
        """Returns the same of what they cast a doubt on: that changes nothing that is possible anyway."""
        tables, values = self.guidance.compiled.contradictions, self.known.worlds[0].values
        certain = self._set_by([table.doubts for table in tables], deciding)
        possible = self._set_by([table.doubts >> 1 for table in tables], deciding)
        return {
            index: [*certain[index], all_of(z3.Not(value.possible), any_of(*possible[index]))]
            for index, value in enumerate(values)
        }

    def _asks_in(self, world: World, doubts: Mapping[int, list[z3.BoolRef]]) -> list[z3.BoolRef]:
        found: list[z3.BoolRef] = []
        for index, node in enumerate(self.known.nodes):
            below = [found[part] for part in node.parts]
            if node.atom is not None:
                below = [self.later[link] for link in self._links(index)]
            asks = z3.Bool(f"asked below {index} {world.name}")
            undecided = _undecided(world.values[index])
            self.full.solver.add(asks == all_of(undecided, any_of(*below, *doubts.get(index, ()))))
            found.append(asks)
        return found

    def _links(self, index: int) -> Iterator[str]:
        written = self.guidance.written
        items = {score.name: links_of_score(score, written) for score in written.scores}
        atom = self.known.nodes[index].atom
        for link in links_of(atom.test, items) if atom else ():
            yield from sources_of(link, written)

    def _asks_for(self, rules: list[Rule], when: list[z3.BoolRef]) -> z3.BoolRef:
        asks = [self.asks[self.guidance.graph.rules[rule.name]] for rule in rules]
        return any_of(*[all_of(one, held) for one, held in zip(asks, when, strict=True)])

    def asks_for_the_tier(self) -> z3.BoolRef:
        """Whether one of the questions left out could lead to a higher step."""
        ends = TierEnds(self.known, self.known.values)
        return self._asks_for(
            ends.rules, [z3.Not(ends.at_least(ends.ranks[rule.tier])) for rule in ends.rules]
        )

    def asks_for_the_date(self) -> z3.BoolRef:
        """Whether one of them could bring the date forward, or that of the step itself."""
        dates = DateEnds(self.known, self.known.values)
        ends = TierEnds(self.known, self.known.values)
        rules = [rule for rule in ends.rules if rule.name in dates.days]
        sooner = [
            any_of(z3.Not(dates.by(dates.days[rule.name])), self._sooner_of_its_step(rule, dates, ends))
            for rule in rules
        ]
        return self._asks_for(rules, sooner)

    def _sooner_of_its_step(self, rule: Rule, dates: DateEnds, ends: TierEnds) -> z3.BoolRef:
        rank = ends.ranks[rule.tier]
        is_step = all_of(ends.at_least(rank), z3.Not(ends.at_least(rank + 1)))
        return all_of(is_step, z3.Not(dates.by(dates.days[rule.name], tier=rule.tier)))

    def own_dates(self) -> Iterator[tuple[z3.BoolRef, z3.BoolRef]]:
        """Yields for every step and date whether its own rules have that, in full and as it is known."""
        full, known = DateEnds(self.full, self.full.values), DateEnds(self.full, self.known.values)
        ends = TierEnds(self.known, self.known.values)
        for tier, rank in ends.ranks.items():
            is_step = all_of(ends.at_least(rank), z3.Not(ends.at_least(rank + 1)))
            for day in sorted(set(full.days.values())):
                yield all_of(is_step, full.by(day, tier=tier)), all_of(is_step, known.by(day, tier=tier))

    def is_at_safety(self) -> z3.BoolRef:
        """Whether a safety step is reached."""
        ends = TierEnds(self.known, self.known.values)
        overlays = [tier.rank for tier in self.guidance.written.tiers if tier.overlay]
        return ends.at_least(min(overlays)) if overlays else z3.BoolVal(val=False)

    def level(self, outcome: Outcome) -> tuple[z3.BoolRef, z3.BoolRef]:
        """Returns whether it asks for the level of an outcome, and whether what is left out changes it."""
        rules = [rule for rule in self.guidance.written.rules if rule.outcome == outcome.code]
        known, full = [LevelEnds(one, one.values, outcome) for one in (self.known, self.full)]
        moves = [all_of(reached, known.may_be_another(place)) for place, reached in enumerate(known.reached)]
        return self._asks_for(rules, moves), _differs(known.beside(full))


def _without(space: AnswerSpace, left: z3.BoolRef) -> AnswerSpace:
    """Returns the answers to a question as they are known while it may be left out."""
    known = z3.Not(left)
    answers = {answer.words: replace(answer, holds=all_of(answer.holds, known)) for answer in space.answers}
    by_words = {answer.holds.get_id(): answer.words for answer in space.answers}
    return replace(
        space,
        answers=tuple(answers.values()),
        by_answer={
            given: answers[by_words[holds.get_id()]].holds for given, holds in space.by_answer.items()
        },
        open=any_of(space.open, left),
        hidden=all_of(space.hidden, known),
    )


def _around(known: Ends, full: Ends, later: z3.BoolRef) -> list[z3.BoolRef]:
    """Returns that what is known lies around what is added in full, and is the same with nothing left out."""
    is_same = all_of(known[0] == full[0], known[1] == full[1])
    return [known[0] <= full[0], full[0] <= full[1], full[1] <= known[1], any_of(later, is_same)]


def _undecided(value: Value) -> z3.BoolRef:
    return all_of(value.possible, z3.Not(value.present))


def _differs(reached: Iterable[Reached]) -> z3.BoolRef:
    return any_of(*[z3.Xor(one, other) for one, other in reached])
