"""What all tables are made from, and the tables of the questions: readings and scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from service.guidance.answers import Answer
from service.guidance.bits import closures
from service.guidance.build import links_of
from service.guidance.conditions import Answered, InBand, Is, Measured, Scored
from service.guidance.draft import Draft
from service.guidance.form import Form, Question
from service.guidance.graph import Atom, Graph
from service.guidance.model import Parameter, Score, Written
from service.guidance.readings import Reading, Settings
from service.guidance.totals import ZERO, ScoreTable, Weights


@dataclass(frozen=True, slots=True)
class Ground:
    """The guidance as graph and as written, with the closure of every node.

    Args:
        places: by linkId of every question that counts, its bit in masks of questions (form order).
        items: linkIds by score.
        general_advice: names of advice without a condition.
    """

    graph: Graph
    written: Written
    form: Form
    closure: tuple[int, ...]
    places: Mapping[str, int]
    items: Mapping[str, tuple[str, ...]]
    settings: Settings
    red_flag_kinds: frozenset[str]
    general_advice: frozenset[str]

    def atoms(self) -> Iterator[tuple[int, Atom]]:
        """Yields every atom with its node."""
        for index, node in enumerate(self.graph.nodes):
            if node.atom is not None:
                yield index, node.atom

    def questions(self, link_ids: Iterable[str]) -> int:
        """The mask of these questions."""
        mask = 0
        for link_id in link_ids:
            mask |= 1 << self.places[link_id]
        return mask


def ground_of(draft: Draft, graph: Graph, written: Written, form: Form) -> Ground:
    """What the tables of this guidance are made from."""
    items = {score.name: score.items for score in written.scores}
    return Ground(
        graph=graph,
        written=written,
        form=form,
        closure=closures(graph),
        places=_places(graph, items, form),
        items=items,
        settings=Settings(draft.header.words, draft.header.parameters),
        red_flag_kinds=frozenset(name for name, red_flag in draft.header.kinds.items() if red_flag),
        general_advice=frozenset(each.name for each in draft.advice if each.when is None),
    )


def readings(ground: Ground) -> dict[str, Reading]:
    """The table of every question that counts, by linkId in form order."""
    tests: dict[str, list[tuple[Atom, int]]] = {link_id: [] for link_id in ground.places}
    for node, atom in ground.atoms():
        if isinstance(atom.test, Is | Answered | Measured):
            tests[atom.test.link_id].append((atom, ground.closure[node]))
    return {
        link_id: Reading(ground.form.questions[link_id], place, tuple(tests[link_id]), ground.settings)
        for link_id, place in ground.places.items()
    }


def score_tables(ground: Ground) -> tuple[ScoreTable, ...]:
    """The table of every score, in file order."""
    return tuple(_score_table(ground, score) for score in ground.written.scores)


def weights_of(question: Question) -> Weights:
    """What the answers of a question add to a score."""
    by_answer: dict[Answer, Decimal] = {
        option.coding: option.weight for option in question.options if option.weight is not None
    }
    known = list(by_answer.values())
    if question.repeats:
        least = sum((weight for weight in known if weight < ZERO), ZERO) or min(known)
        most = sum((weight for weight in known if weight > ZERO), ZERO) or max(known)
    else:
        least, most = min(known), max(known)
    if question.gates:
        least, most = min(least, ZERO), max(most, ZERO)
    return Weights(question.link_id, by_answer, least, most)


def _places(graph: Graph, items: Mapping[str, tuple[str, ...]], form: Form) -> dict[str, int]:
    read: set[str] = set()
    for node in graph.nodes:
        if node.atom is not None:
            read.update(links_of(node.atom.test, items))
    for links in items.values():
        read.update(links)
    waiting = list(read)
    while waiting:
        new = set(form.questions[waiting.pop()].gates) - read
        read |= new
        waiting.extend(new)
    ordered = sorted(read, key=lambda link_id: form.questions[link_id].order)
    return {link_id: place for place, link_id in enumerate(ordered)}


def _score_table(ground: Ground, score: Score) -> ScoreTable:
    tests = [(atom.test, ground.closure[node]) for node, atom in ground.atoms()]
    names = [band.name for band in score.bands]
    return ScoreTable(
        score=score,
        weights=tuple(weights_of(ground.form.questions[link_id]) for link_id in score.items),
        reads=ground.questions(score.items),
        floors=tuple(band.low for band in score.bands),
        bands=tuple(
            (sets, frozenset(names.index(band) for band in test.bands))
            for test, sets in tests
            if isinstance(test, InBand) and test.score == score.name
        ),
        cuts=tuple(
            (sets, *_threshold(ground.settings.parameters[test.parameter]))
            for test, sets in tests
            if isinstance(test, Scored) and test.score == score.name
        ),
    )


def _threshold(parameter: Parameter) -> tuple[str, Decimal]:
    return parameter.edge, Decimal(parameter.value)
