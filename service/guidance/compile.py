"""Turns the guidance into tables of bits, once, when it is loaded."""

from __future__ import annotations

from collections.abc import Iterable

from service.guidance.bits import both, certain
from service.guidance.compile_advice import advice_table, ladders
from service.guidance.compile_reasons import because
from service.guidance.compile_rows import comparison_tables
from service.guidance.conditions import Answered, Is, Measured
from service.guidance.draft import Draft
from service.guidance.form import Form
from service.guidance.graph import Graph, Test
from service.guidance.ground import Ground, ground_of, readings, score_tables
from service.guidance.model import Contradiction, Outcome, Rule, Written
from service.guidance.programs import program
from service.guidance.readings import Readings
from service.guidance.result import Fired, Interval, Risk
from service.guidance.tables import Compiled, ContradictionTable, OutcomeTable, RuleBlock, RuleTable
from service.guidance.unfit import unfit_answers


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
