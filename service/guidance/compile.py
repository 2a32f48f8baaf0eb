"""Turns a checked guidance into the tables that answers are evaluated with; once, when it is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import msgspec

from service.datatypes.form import Form, Question
from service.guidance.answer_tables import AnswerTable, AnswerTables, Verdict
from service.guidance.bits import PRESENT, STEPS, UNKNOWN, both, certain, closures, program, union
from service.guidance.checks import Checked
from service.guidance.conditions import Answered, AtLevel, AtTier, Denied, Is, Measured, links_of
from service.guidance.graph import Atom, Graph
from service.guidance.model import Comparison, Contradiction, Outcome, Row, Rule, Tier, Written, unfit_answers
from service.guidance.options import DATES
from service.guidance.quantities import questions_of, sources_of
from service.guidance.result import Due, Fired, Interval, Risk, RowTally
from service.guidance.score_tables import ScoreTable, score_table
from service.guidance.scores import links_of_score
from service.guidance.tables import (
    COUNT_BITS,
    AdviceTable,
    ComparisonTable,
    Compiled,
    ContradictionTable,
    DatesRead,
    DateTable,
    Denial,
    DerivedQuantity,
    Ladders,
    NodeSupport,
    OutcomeTable,
    RecheckTable,
    RedirectTable,
    RuleBlock,
    RuleTable,
    Support,
    WorseTable,
)


def compiled_from(checked: Checked, graph: Graph) -> Compiled:
    """Returns the tables of a guidance, whose conditions are the nodes of `graph`."""
    source = _source_of(checked, graph)
    written, form = checked.written, checked.form
    block = _rule_block(source)
    tables = _answer_tables(source)
    return Compiled(
        answers=AnswerTables(tables),
        links=frozenset(tables),
        answered=frozenset(table.bit for table in tables.values()),
        dates=_dates_read(source, tables),
        unsure=source.unsure,
        bit_of={link_id: 1 << place for link_id, place in source.places.items()},
        questions=tuple(source.places),
        single={1 << place: (link_id,) for link_id, place in source.places.items()},
        enabled_by=tuple(source.questions(form.questions[link_id].enabled_by) for link_id in source.places),
        conditional=source.questions(link for link in source.places if form.questions[link].enabled_by),
        always=_always(source),
        worse=_worse(source),
        closure=source.closure,
        unfit=dict(zip(form.questions, unfit_answers(form), strict=True)),
        ignored_bits=both(certain(index for index, atom in source.atoms() if atom.ignored_too)),
        add=program(graph, source.closure, graph.below(chain.from_iterable(graph.points.values()))),
        clashing=certain(graph.contradictions) << 1,
        denials=_denials(source),
        detect=program(graph, source.closure, graph.below(graph.contradictions)),
        derive=program(graph, source.closure, _derived(graph)),
        advise=program(graph, source.closure, graph.below(graph.advice) - _derived(graph)),
        tiers=written.tiers,
        rechecks=tuple(_recheck_table(written, tier) for tier in written.tiers),
        block=block,
        outcomes=tuple(_outcome_table(block, outcome) for outcome in written.outcomes),
        contradictions=_contradictions(source, tables),
        findings={name: 2 * node for name, node in graph.findings.items()},
        lasting=_lasting(graph),
        comparisons=tuple(_comparison_table(source, comparison) for comparison in written.comparisons),
        advice=_advice_table(source),
        ladders=_ladders(source),
        scores=_score_tables(source, checked),
        support=_support(source),
    )


def _derived(graph: Graph) -> frozenset[int]:
    """Returns what findings, redirects, rules and rows stand on."""
    rows = chain.from_iterable(graph.rows.values())
    return graph.below([*graph.findings.values(), *graph.redirects, *graph.rules.values(), *rows])


def _always(source: _Source) -> int:
    """Returns the bits of conditions that hold for every response."""
    nodes = enumerate(source.graph.nodes)
    return both(union(source.closure[index] for index, node in nodes if node.word == "always"))


def _lasting(graph: Graph) -> Mapping[str, int]:
    """Returns where the bits of each finding stand that can hold without an earlier response."""
    resting = _resting(graph)
    return {name: 2 * node for name, node in graph.findings.items() if node not in resting}


def _resting(graph: Graph) -> frozenset[int]:
    """Returns the nodes that cannot hold without an earlier response."""
    found = set[int]()
    for index, node in enumerate(graph.nodes):
        parts = [part in found for part in node.parts]
        is_denied = node.atom is not None and isinstance(node.atom.test, Denied)
        needs_one = (node.word == "all" and any(parts)) or (node.word in ("any", "count") and all(parts))
        if is_denied or (needs_one and parts):
            found.add(index)
    return frozenset(found)


def _denials(source: _Source) -> Mapping[int, Denial]:
    """Returns what earlier responses may have denied, by node of the atom that asks it."""
    return {
        index: Denial(source.graph.nodes[index].parts[0], both(source.closure[index]))
        for index, atom in source.atoms()
        if isinstance(atom.test, Denied)
    }


# What all tables are made from, and the tables of the questions: answers and scores.


class _Source(msgspec.Struct, frozen=True):
    """The guidance as graph and as written, with the closure of every node.

    Args:
        places: by linkId of every question that counts, its bit in masks of questions (form order).
        items: linkIds by score.
    """

    graph: Graph
    written: Written
    form: Form
    closure: tuple[int, ...]
    places: Mapping[str, int]
    items: Mapping[str, tuple[str, ...]]

    @property
    def unsure(self) -> int:
        """A bit above those of all nodes."""
        return 1 << 2 * len(self.graph.nodes)

    def atoms(self) -> Iterator[tuple[int, Atom]]:
        """Yields every atom with its node."""
        for index, node in enumerate(self.graph.nodes):
            if node.atom is not None:
                yield index, node.atom

    def questions(self, link_ids: Iterable[str]) -> int:
        """Returns the mask of these questions, and of those that these derived quantities follow from."""
        return union(
            1 << self.places[source] for link_id in link_ids for source in sources_of(link_id, self.written)
        )


def _source_of(checked: Checked, graph: Graph) -> _Source:
    items = {score.name: links_of_score(score, checked.written) for score in checked.written.scores}
    return _Source(
        graph=graph,
        written=checked.written,
        form=checked.form,
        closure=closures(graph),
        places=_places(graph, items, checked),
        items=items,
    )


def _places(graph: Graph, items: Mapping[str, tuple[str, ...]], checked: Checked) -> dict[str, int]:
    form = checked.form
    read: set[str] = set()
    for node in graph.nodes:
        if node.atom is not None:
            for link_id in links_of(node.atom.test, items):
                read.update(sources_of(link_id, checked.written))
    for links in items.values():
        read.update(links)
    waiting = list(read)
    while waiting:
        new = set(form.questions[waiting.pop()].enabled_by) - read
        read |= new
        waiting.extend(new)
    ordered = sorted(read, key=lambda link_id: form.questions[link_id].order)
    return {link_id: place for place, link_id in enumerate(ordered)}


def _answer_tables(source: _Source) -> dict[str, AnswerTable]:
    """Returns the table of every question that counts, by linkId in form order; derived ones follow."""
    tests: dict[str, list[tuple[Atom, int]]] = {link_id: [] for link_id in source.places}
    for node, atom in source.atoms():
        if isinstance(atom.test, Is | Answered | Measured):
            tests.setdefault(atom.test.link_id, []).append((atom, source.closure[node]))
    questions = questions_of(source.written, source.form)
    return {
        link_id: AnswerTable(
            questions[link_id],
            source.questions([link_id]),
            tuple(tests[link_id]),
            source.written,
            unsure_bit=source.unsure,
        )
        for link_id in tests
    }


def _dates_read(source: _Source, tables: Mapping[str, AnswerTable]) -> DatesRead:
    """Returns the questions for a date that count, and the derived quantities that conditions stand on."""
    questions, written = source.form.questions, source.written
    needed = {name for name in tables if name in written.derived}
    for derived in reversed(tuple(written.derived.values())):
        needed.update(derived.of if derived.name in needed else ())
    return DatesRead(
        frozenset(link_id for link_id in source.places if questions[link_id].type in DATES),
        tuple(
            DerivedQuantity(
                derived.name,
                derived.of,
                frozenset(sources_of(derived.name, written)),
                {name: questions[name].units[0] for name in derived.of if _is_plain(questions.get(name))},
            )
            for derived in written.derived.values()
            if derived.name in needed
        ),
    )


def _is_plain(question: Question | None) -> bool:
    """Whether the answers of a question are plain numbers in a unit that the form names."""
    return question is not None and question.type in ("integer", "decimal")


def _score_tables(source: _Source, checked: Checked) -> tuple[ScoreTable, ...]:
    tests = [(atom.test, source.closure[node]) for node, atom in source.atoms()]
    return tuple(
        score_table(
            score,
            checked,
            tests=tests,
            nodes=source.graph.points[score.name],
            reads=source.questions(source.items[score.name]),
        )
        for score in source.written.scores
    )


# Advice: the bit that shows each piece, and the bits that it reads off the result.

SHOWN_WHEN_UNKNOWN = "safety"
"""The group of advice that is shown as long as its condition is possible."""


def _advice_table(source: _Source) -> AdviceTable:
    """Returns the table of all advice, in file order."""
    all_advice = source.written.advice
    conditional = [place for place, advice in enumerate(all_advice) if advice.when is not None]
    safety = [place for place in conditional if all_advice[place].group == SHOWN_WHEN_UNKNOWN]
    precautions = certain(safety) << 1
    return AdviceTable(
        start=2 * source.graph.advice[0] if all_advice else 0,
        conditional=certain(place for place in conditional if place not in safety) | precautions,
        precautions=precautions,
        by_bit=tuple(advice for advice in all_advice for _ in range(2)),
        general=tuple(advice for advice in all_advice if advice.when is None),
    )


def _ladders(source: _Source) -> Ladders:
    """Returns the bits that conditions on the result set, by rank."""
    levels = [_level_ladder(source, outcome) for outcome in source.written.outcomes]
    return Ladders(
        at_least=_tier_ladder(source, "at-least"),
        at_most=_tier_ladder(source, "at-most"),
        levels=tuple((position, ladder) for position, ladder in enumerate(levels) if any(ladder)),
    )


def _tier_ladder(source: _Source, comparison: str) -> tuple[int, ...]:
    ranks = {tier.code: tier.rank for tier in source.written.tiers}
    masks = [0] * len(ranks)
    for node, atom in source.atoms():
        if isinstance(atom.test, AtTier) and atom.test.comparison == comparison:
            wanted = ranks[atom.test.tier]
            held = range(wanted, len(ranks)) if comparison == "at-least" else range(wanted + 1)
            for rank in held:
                masks[rank] |= both(source.closure[node])
    return tuple(masks)


def _level_ladder(source: _Source, outcome: Outcome) -> tuple[int, ...]:
    masks = [0] * len(outcome.levels)
    for node, atom in source.atoms():
        if isinstance(atom.test, AtLevel) and atom.test.outcome == outcome.code:
            for rank in range(outcome.levels.index(atom.test.level), len(masks)):
                masks[rank] |= both(source.closure[node])
    return tuple(masks)


# What every condition stands on: for reasons, and for the open questions that keep one undecided.


def _support(source: _Source) -> Support:
    """Returns what every node stands on."""
    reads = [0] * len(source.graph.nodes)
    for index, atom in source.atoms():
        reads[index] = source.questions(links_of(atom.test, source.items))
    return Support(
        of_node=tuple(_node_support(source.graph, index, reads) for index in range(len(source.graph.nodes))),
        reads=tuple(reads),
        red_flags=_red_flags(source, reads),
        certain=certain(range(len(source.graph.nodes))),
        below={node: both(certain(source.graph.below([node]))) for node in source.graph.rules.values()},
    )


def _node_support(graph: Graph, index: int, reads: list[int]) -> NodeSupport:
    word = graph.nodes[index].word
    through = _through_any(graph, index)
    parts = through if word in ("atom", "any") else list(graph.nodes[index].parts)
    absence = union(reads[below] for below in graph.below(parts)) if word == "none" else 0
    denied = word in ("none", "unless")
    steps = [] if denied else [part for part in through if graph.nodes[part].word in STEPS]
    return NodeSupport(
        plain=word in ("atom", "any") and not steps,
        through=word in ("all", "count"),
        frontier=certain([index, *parts] if word in ("all", "count") else [index]),
        steps=certain(steps),
        absence=absence,
        atoms=tuple((2 * part, reads[part]) for part in parts if graph.nodes[part].word == "atom"),
        deep=tuple(part for part in parts if graph.nodes[part].word != "atom"),
    )


def _through_any(graph: Graph, index: int) -> list[int]:
    """Returns the atoms and steps below a node, with nothing but `any` between; an atom itself."""
    node = graph.nodes[index]
    if node.word == "atom":
        return [index]
    found: list[int] = []
    for part in node.parts:
        found += _through_any(graph, part) if graph.nodes[part].word == "any" else [part]
    return found


def _red_flags(source: _Source, reads: list[int]) -> int:
    """Returns the questions that findings and rules of a red-flag kind read, and those that enable them."""
    graph, written = source.graph, source.written
    kinds = {kind for kind, is_red_flag in written.kinds.items() if is_red_flag}
    flags = [graph.findings[finding.name] for finding in written.findings if finding.kind in kinds]
    flags += [graph.rules[rule.name] for rule in written.rules if rule.kind in kinds]
    mask = union(reads[node] for node in graph.below(flags))
    for link_id in reversed(list(source.places)):
        if mask >> source.places[link_id] & 1:
            mask |= source.questions(source.form.questions[link_id].enabled_by)
    return mask


# The side-by-side comparisons: the states of each row by the byte of its bits.


def _comparison_table(source: _Source, comparison: Comparison) -> ComparisonTable:
    nodes = source.graph.rows[comparison.name]
    return ComparisonTable(
        comparison=comparison,
        start=2 * nodes[0] if nodes else 0,
        mask=both(certain(range(len(nodes)))),
        tallies=tuple(tuple(RowTally(row, word) for word in _words(row)) for row in comparison.rows),
        counts=tuple(tuple(map(_counts, _words(row))) for row in comparison.rows),
    )


def _words(row: Row) -> list[str]:
    """Returns what each byte says: two bits for the left side, two for the right, two for not done."""
    if row.informs_only:
        return ["informs-only"] * 256
    return [_word(bits & 3, bits >> 2 & 3, bits >> 4 & 3) for bits in range(256)]


def _word(left: int, right: int, not_done: int) -> str:
    if PRESENT in (left, right):
        return "both" if left == right else "left" if left == PRESENT else "right"
    if not_done == PRESENT:
        return "not-done"
    return "open" if UNKNOWN in (left, right, not_done) else "neither"


def _counts(word: str) -> int:
    counts = (
        word in ("left", "both"),
        word in ("right", "both"),
        word in ("left", "right", "both", "neither"),
        word == "open",
        word == "not-done",
    )
    return sum(count << COUNT_BITS * part for part, count in enumerate(counts))


# The rules of the tier and of every outcome, and the contradictions.


def _worse(source: _Source) -> WorseTable:
    """Returns what answers that do not fit may change."""
    written, nodes = source.written, source.graph.rules
    overlays = {tier.code for tier in written.tiers if tier.overlay}
    alarms = {nodes[rule.name]: _alarms(rule, written) for rule in written.rules}
    alarming = [node for node, does in alarms.items() if does]
    return WorseTable(
        atoms=certain(_affirming(source.graph, alarming, _resting(source.graph))),
        alarming=both(certain(alarming)),
        calming=both(certain(node for node, does in alarms.items() if does is False)),
        overlay=both(certain(nodes[rule.name] for rule in written.rules if rule.tier in overlays)),
    )


def _alarms(rule: Rule, written: Written) -> bool | None:
    """Whether a rule leads to a tier, or to a level worse than otherwise; None where that is not said."""
    if rule.tier:
        return True
    outcome = next(outcome for outcome in written.outcomes if outcome.code == rule.outcome)
    (otherwise,) = [
        other.level for other in written.rules if other.outcome == rule.outcome and other.when is None
    ]
    above = outcome.levels.index(rule.level) - outcome.levels.index(otherwise)
    return {"higher": above > 0, "lower": above < 0}.get(outcome.worse)


def _affirming(graph: Graph, roots: Iterable[int], aside: frozenset[int] = frozenset()) -> Iterator[int]:
    """Yields the atoms that make one of these nodes hold and never prevent it; not through those `aside`."""
    waiting = [*roots]
    while waiting:
        index = waiting.pop()
        node = graph.nodes[index]
        if index in aside:
            continue
        if node.word == "atom":
            yield index
        elif node.word not in ("none", "unless"):
            waiting.extend(node.parts)


def _rule_block(source: _Source) -> RuleBlock:
    written, nodes = source.written, source.graph.rules
    tiers = [tier.code for tier in written.tiers]
    levels = {outcome.code: outcome.levels for outcome in written.outcomes}

    def rank(rule: Rule) -> int:
        return tiers.index(rule.tier) if rule.tier else levels[rule.outcome].index(rule.level)

    tables = [_rule_table(written, rule, nodes[rule.name], rank(rule)) for rule in written.rules]
    tables.sort(key=lambda table: table.node)
    tier = certain(place for place, table in enumerate(tables) if table.rule.tier)
    redirects = _redirect_tables(source, tables)
    return RuleBlock(
        start=2 * tables[0].node if tables else 0,
        rules=tuple(tables),
        tier=tier,
        dates=_date_tables(tables),
        dated=certain(place for place, table in enumerate(tables) if table.due),
        by_tier=tuple(
            certain(place for place, table in enumerate(tables) if table.rule.tier == code) for code in tiers
        ),
        redirects=redirects,
        redirected=union(redirect.bit for redirect in redirects),
    )


def _rule_table(written: Written, rule: Rule, node: int, rank: int) -> RuleTable:
    days = written.days_of(rule)
    to = rule.to or next((tier.to for tier in written.tiers if tier.code == rule.tier), "")
    due = None if days is None else Due(days, to, rule)
    return RuleTable(rule, node, rank, Fired(rule, (), days, to), due)


def _date_tables(tables: list[RuleTable]) -> tuple[DateTable, ...]:
    by_days: dict[int, list[int]] = {}
    for place, table in enumerate(tables):
        if table.due is not None:
            by_days.setdefault(table.due.days, []).append(place)
    found: list[DateTable] = []
    earlier = 0
    for days in sorted(by_days):
        rules = certain(by_days[days])
        found.append(DateTable(rules, earlier))
        earlier |= rules
    return tuple(found)


def _redirect_tables(source: _Source, tables: list[RuleTable]) -> tuple[RedirectTable, ...]:
    """Returns the redirects with the rules that they change: those of their tier without an own addressee."""
    return tuple(
        RedirectTable(
            bit=certain([node]),
            rules=certain(
                place
                for place, table in enumerate(tables)
                if table.rule.tier == redirect.tier and not table.rule.to
            ),
            to=redirect.to,
        )
        for redirect, node in zip(source.written.redirects, source.graph.redirects, strict=True)
    )


def _recheck_table(written: Written, tier: Tier) -> RecheckTable | None:
    if tier.recheck is None:
        return None
    until, otherwise = (
        int(written.parameters[name].value) for name in (tier.recheck.until, tier.recheck.otherwise)
    )
    return RecheckTable(tier.recheck.answer, until, otherwise)


def _outcome_table(block: RuleBlock, outcome: Outcome) -> OutcomeTable:
    places = [place for place, table in enumerate(block.rules) if table.rule.outcome == outcome.code]
    rules = tuple(block.rules[place] for place in places)
    ranks = range(len(outcome.levels))
    settled = tuple(Interval(rank, rank) for rank in ranks)
    last = rules[-1]
    return OutcomeTable(
        outcome=outcome,
        rules=rules,
        certain=certain(places),
        conditional=certain(places[:-1]) << 1,
        by_level=tuple(
            certain(place for place in places[:-1] if block.rules[place].rank == rank) for rank in ranks
        ),
        settled=settled,
        otherwise=Risk(outcome, settled[last.rank], (last.unprompted,)),
    )


def _contradictions(source: _Source, tables: Mapping[str, AnswerTable]) -> tuple[ContradictionTable, ...]:
    pairs = zip(source.written.contradictions, source.graph.contradictions, strict=True)
    return tuple(_contradiction(source, contradiction, node, tables) for contradiction, node in pairs)


def _contradiction(
    source: _Source, contradiction: Contradiction, node: int, tables: Mapping[str, AnswerTable]
) -> ContradictionTable:
    graph = source.graph
    worse = [graph.findings[name] for name in contradiction.worse]
    unsure = [graph.unsure[name] for name in contradiction.worse if name in graph.unsure]
    parts = graph.nodes[node].parts
    atoms = [graph.nodes[part].atom for part in parts]
    tests = [atom.test for atom in atoms if atom is not None]
    return ContradictionTable(
        contradiction=contradiction,
        node=node,
        parts=parts,
        all=certain(parts) << 1,
        sets=union(source.closure[finding] for finding in worse),
        doubts=both(union(source.closure[node] for node in unsure)) | _doubts(source, worse, tables),
        reads=source.questions(link_id for test in tests for link_id in links_of(test, {})),
    )


def _doubts(source: _Source, findings: list[int], tables: Mapping[str, AnswerTable]) -> int:
    """Returns the bits of an answer that leaves undecided whatever makes these findings present."""
    doubts = union(source.closure[finding] for finding in findings) << 1
    for index in _affirming(source.graph, findings):
        atom = source.graph.nodes[index].atom
        if atom is not None and isinstance(atom.test, Is | Answered | Measured):
            table = tables[atom.test.link_id]
            doubts |= table.mask_of(Verdict(0, table.numbers[atom.test]))
    return doubts
