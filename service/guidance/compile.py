"""Turns the guidance into tables of bits, once, when it is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from service.datatypes.answers import Answer
from service.datatypes.form import Form, Question
from service.guidance.bits import PRESENT, STEPS, UNKNOWN, both, certain, closures, program
from service.guidance.build import links_of
from service.guidance.conditions import Answered, AtLevel, AtTier, InBand, Is, Measured, Scored
from service.guidance.draft import Draft
from service.guidance.graph import Atom, Graph, Test
from service.guidance.model import (
    Comparison,
    Contradiction,
    Outcome,
    Parameter,
    Row,
    Rule,
    Score,
    Written,
    unfit_answers,
)
from service.guidance.readings import ZERO, Reading, Readings, ScoreTable, Settings, Weights
from service.guidance.result import Fired, Interval, Risk, RowTally
from service.guidance.tables import (
    AdviceTable,
    Because,
    ComparisonTable,
    Compiled,
    ContradictionTable,
    Ladders,
    OutcomeTable,
    Over,
    RowStates,
    RuleBlock,
    RuleTable,
)

# What all tables are made from, and the tables of the questions: readings and scores.


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


# The tables of advice: the bit that shows each piece, and the bits that it reads off the result.

SHOWN_WHEN_UNKNOWN = "safety"
"""The group of advice that is shown as long as its condition is possible."""


def advice_table(ground: Ground) -> AdviceTable:
    """The table of all advice, in file order."""
    pieces = ground.written.advice
    places = [piece.order for piece in pieces if piece.name not in ground.general_advice]
    conditional = 0
    for place in places:
        conditional |= certain([place]) << (pieces[place].group == SHOWN_WHEN_UNKNOWN)
    return AdviceTable(
        start=2 * ground.graph.advice[0] if pieces else 0,
        conditional=conditional,
        by_bit=tuple(piece for piece in pieces for _ in range(2)),
        general=tuple(piece for piece in pieces if piece.name in ground.general_advice),
    )


def ladders(ground: Ground) -> Ladders:
    """The bits that conditions on the result set, by rank."""
    levels = [_level_ladder(ground, outcome) for outcome in ground.written.outcomes]
    return Ladders(
        at_least=_tier_ladder(ground, "at-least"),
        at_most=_tier_ladder(ground, "at-most"),
        levels=tuple((position, ladder) for position, ladder in enumerate(levels) if any(ladder)),
    )


def _tier_ladder(ground: Ground, comparison: str) -> tuple[int, ...]:
    ranks = {tier.code: tier.rank for tier in ground.written.tiers}
    masks = [0] * len(ranks)
    for node, atom in ground.atoms():
        if isinstance(atom.test, AtTier) and atom.test.comparison == comparison:
            wanted = ranks[atom.test.tier]
            held = range(wanted, len(ranks)) if comparison == "at-least" else range(wanted + 1)
            for rank in held:
                masks[rank] |= both(ground.closure[node])
    return tuple(masks)


def _level_ladder(ground: Ground, outcome: Outcome) -> tuple[int, ...]:
    ranks = {level.code: level.rank for level in outcome.levels}
    masks = [0] * len(ranks)
    for node, atom in ground.atoms():
        if isinstance(atom.test, AtLevel) and atom.test.outcome == outcome.code:
            for rank in range(ranks[atom.test.level], len(ranks)):
                masks[rank] |= both(ground.closure[node])
    return tuple(masks)


# What every condition stands on: for reasons, and for the open questions that keep one undecided.


def because(ground: Ground) -> Because:
    """What every node stands on."""
    reads = [0] * len(ground.graph.nodes)
    for index, atom in ground.atoms():
        reads[index] = ground.questions(links_of(atom.test, ground.items))
    return Because(
        over=tuple(_over(ground.graph, index, reads) for index in range(len(ground.graph.nodes))),
        reads=tuple(reads),
        red_flags=_red_flags(ground, reads),
        certain=certain(range(len(ground.graph.nodes))),
    )


def _over(graph: Graph, index: int, reads: list[int]) -> Over:
    word = graph.nodes[index].word
    through = _through_any(graph, index)
    parts = through if word in ("atom", "any") else list(graph.nodes[index].parts)
    absence = 0
    for below in graph.below(parts) if word == "none" else ():
        absence |= reads[below]
    steps = [part for part in through if graph.nodes[part].word in STEPS] if word != "none" else []
    return Over(
        plain=word in ("atom", "any") and not steps,
        through=word in ("all", "count"),
        frontier=certain([index, *parts] if word in ("all", "count") else [index]),
        steps=certain(steps),
        absence=absence,
        atoms=certain(part for part in parts if graph.nodes[part].word == "atom"),
        deep=certain(part for part in parts if graph.nodes[part].word != "atom"),
    )


def _through_any(graph: Graph, index: int) -> list[int]:
    """The atoms and steps below a node, with nothing but `any` between; an atom itself."""
    node = graph.nodes[index]
    if node.word == "atom":
        return [index]
    found: list[int] = []
    for part in node.parts:
        found += _through_any(graph, part) if graph.nodes[part].word == "any" else [part]
    return found


def _red_flags(ground: Ground, reads: list[int]) -> int:
    """The questions that findings and rules of a red-flag kind read, and those that open them up."""
    graph, written = ground.graph, ground.written
    flags = [
        graph.findings[each.name] for each in written.findings.values() if each.kind in ground.red_flag_kinds
    ]
    flags += [graph.rules[rule.name] for rule in written.rules if rule.kind in ground.red_flag_kinds]
    mask = 0
    for node in graph.below(flags):
        mask |= reads[node]
    for link_id in reversed(list(ground.places)):
        if mask >> ground.places[link_id] & 1:
            mask |= ground.questions(ground.form.questions[link_id].gates)
    return mask


# The tables of the side-by-side comparisons: the states of two rows by the byte of their bits.

COUNT_BITS = 16
"""Width of one count in `RowStates.counts`."""


def comparison_tables(ground: Ground) -> tuple[ComparisonTable, ...]:
    """The table of every comparison, in file order."""
    return tuple(_table(ground, comparison) for comparison in ground.written.comparisons)


def _table(ground: Ground, comparison: Comparison) -> ComparisonTable:
    nodes = ground.graph.rows[comparison.name]
    rows = comparison.rows
    return ComparisonTable(
        comparison=comparison,
        start=2 * nodes[0] if nodes else 0,
        mask=both(certain(range(len(nodes)))),
        pairs=tuple(_states(rows[place : place + 2]) for place in range(0, len(rows), 2)),
    )


def _states(rows: tuple[Row, ...]) -> tuple[RowStates, ...]:
    """By byte; the bits of a row are left certain, left possible, right certain, right possible."""
    return tuple(_state(rows, bits) for bits in range(256))


def _state(rows: tuple[Row, ...], bits: int) -> RowStates:
    words = [
        "informs-only" if row.informs_only else _word(bits >> 4 * place & 15)
        for place, row in enumerate(rows)
    ]
    tallies = tuple(RowTally(row, word) for row, word in zip(rows, words, strict=True))
    return RowStates(tallies, sum(_counts(word) for word in words))


def _word(bits: int) -> str:
    left, right = bits & 3, bits >> 2
    if PRESENT in (left, right):
        return "both" if left == right else "left" if left == PRESENT else "right"
    return "open" if UNKNOWN in (left, right) else "neither"


def _counts(word: str) -> int:
    counts = (
        word in ("left", "both"),
        word in ("right", "both"),
        word not in ("open", "informs-only"),
        word == "open",
    )
    return sum(count << COUNT_BITS * part for part, count in enumerate(counts))


def compiled_from(draft: Draft, graph: Graph, written: Written, form: Form) -> Compiled:
    """The tables of a guidance whose names have been checked."""
    ground = ground_of(draft, graph, written, form)
    rows = [node for nodes in graph.rows.values() for node in nodes]
    derived = graph.below([*graph.findings.values(), *graph.rules.values(), *rows])
    always = [ground.closure[index] for index, node in enumerate(graph.nodes) if node.word == "always"]
    block = _rule_block(ground)
    return Compiled(
        readings=Readings(readings(ground)),
        links=frozenset(ground.places),
        bit_of={link_id: 1 << place for link_id, place in ground.places.items()},
        questions=tuple(ground.places),
        single={1 << place: (link_id,) for link_id, place in ground.places.items()},
        gates=tuple(ground.questions(form.questions[link_id].gates) for link_id in ground.places),
        gated=ground.questions(link_id for link_id in ground.places if form.questions[link_id].gates),
        always=both(_union(always)),
        worse=_worse(ground),
        closure=tuple(ground.closure),
        unfit={each.between[0]: each for each in unfit_answers(form)},
        ignored_bits=both(certain(index for index, atom in ground.atoms() if atom.ignored_too)),
        detect=program(
            graph, ground.closure, graph.below(graph.contradictions) - frozenset(graph.contradictions)
        ),
        derive=program(graph, ground.closure, derived),
        advise=program(graph, ground.closure, graph.below(graph.advice) - derived),
        tiers=written.tiers,
        block=block,
        outcomes=tuple(_outcome_table(block, outcome) for outcome in written.outcomes),
        contradictions=_contradictions(ground, draft),
        findings={name: 2 * node for name, node in graph.findings.items()},
        comparisons=comparison_tables(ground),
        advice=advice_table(ground),
        ladders=ladders(ground),
        scores=score_tables(ground),
        because=because(ground),
    )


def _worse(ground: Ground) -> int:
    """The *certain* bits of the atoms by which a rule of the tier is made to hold, never prevented."""
    graph, worse = ground.graph, 0
    waiting = [graph.rules[rule.name] for rule in ground.written.rules if rule.tier is not None]
    while waiting:
        index = waiting.pop()
        node = graph.nodes[index]
        if node.word == "atom":
            worse |= 1 << 2 * index
        elif node.word != "none":
            waiting.extend(node.parts)
    return worse


def _rule_block(ground: Ground) -> RuleBlock:
    nodes = ground.graph.rules
    tables = [
        RuleTable(rule, nodes[rule.name], _rank(rule), Fired(rule, ())) for rule in ground.written.rules
    ]
    tables.sort(key=lambda table: table.node)
    tier = certain(place for place, table in enumerate(tables) if table.rule.tier is not None)
    return RuleBlock(2 * tables[0].node if tables else 0, tuple(tables), tier)


def _rank(rule: Rule) -> int:
    rank = rule.level if rule.tier is None else rule.tier
    return 0 if rank is None else rank


def _outcome_table(block: RuleBlock, outcome: Outcome) -> OutcomeTable:
    places = [place for place, table in enumerate(block.rules) if table.rule.outcome == outcome.code]
    rules = tuple(block.rules[place] for place in places)
    settled = tuple(Interval(level.rank, level.rank) for level in outcome.levels)
    last = rules[-1]
    return OutcomeTable(
        outcome=outcome,
        rules=rules,
        certain=certain(places),
        conditional=certain(places[:-1]) << 1,
        same=tuple(
            certain(place for place in places[:-1] if block.rules[place].rank == level.rank)
            for level in outcome.levels
        ),
        settled=settled,
        otherwise=Risk(outcome, settled[last.rank], (last.alone,)),
    )


def _contradictions(ground: Ground, draft: Draft) -> tuple[ContradictionTable, ...]:
    """Those that authors wrote; behind them stand those that need no author (`unfit_answers`)."""
    nodes = ground.graph.contradictions
    return tuple(
        _contradiction(ground, written, each.worse, node)
        for written, each, node in zip(
            ground.written.contradictions, draft.contradictions, nodes, strict=False
        )
    )


def _contradiction(
    ground: Ground, written: Contradiction, worse: tuple[str, ...], node: int
) -> ContradictionTable:
    reads = [test.link_id for test in _tests(ground, node) if isinstance(test, Is | Answered | Measured)]
    return ContradictionTable(
        contradiction=written,
        node=node,
        parts=ground.graph.nodes[node].parts,
        all=certain(ground.graph.nodes[node].parts) << 1,
        sets=_union(ground.closure[ground.graph.findings[name]] for name in worse),
        reads=ground.questions(reads),
    )


def _tests(ground: Ground, node: int) -> list[Test]:
    parts = [ground.graph.nodes[part].atom for part in ground.graph.nodes[node].parts]
    return [atom.test for atom in parts if atom is not None]


def _union(masks: Iterable[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union
