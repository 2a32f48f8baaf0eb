"""Makes the guidance as written (`model.py`) from a draft whose names have been checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256

from service.datatypes.answers import Coding
from service.datatypes.form import Form
from service.guidance.conditions import Answered, Condition, Is, Measured, Named
from service.guidance.draft import (
    BandDraft,
    Draft,
    HeadDraft,
    HeaderDraft,
    OutcomeDraft,
    ScoreDraft,
    TableDraft,
)
from service.guidance.graph import Graph
from service.guidance.model import (
    Comparison,
    Contradiction,
    Finding,
    Identity,
    Level,
    Outcome,
    Row,
    Rule,
    Score,
    ScoreBand,
    Tier,
    Written,
    unfit_answers,
)


def written_from(draft: Draft, graph: Graph, form: Form, identity: Identity) -> Written:
    """The whole guidance as written, with ranks for names and with what each rule reads."""
    outcomes = tuple(_outcome(each, draft.header) for each in draft.header.outcomes)
    return Written(
        identity=identity,
        statements={statement.id: statement for statement in draft.statements},
        parameters=draft.header.parameters,
        findings=_findings(draft),
        tiers=_tiers(draft.header),
        outcomes=outcomes,
        rules=_rules(draft, graph, form),
        comparisons=tuple(_comparison(table, outcomes) for table in draft.tables),
        advice=tuple(replace(each.advice, order=order) for order, each in enumerate(draft.advice)),
        contradictions=tuple(
            Contradiction(each.name, tuple(map(_named, each.between)), each.says)
            for each in draft.contradictions
        )
        + unfit_answers(form),
        scores=tuple(score_from(each, draft.header) for each in draft.scores),
    )


def identity_from(draft: Draft, documents: Mapping[str, object], slug: str) -> Identity:
    """What the guidance is; `hash` is over the canonical JSON of all documents, as the files have them."""
    said = draft.header.identity
    source, review = said["source"], said["review"]
    return Identity(
        slug=slug or said["guidance"].rstrip("/").rpartition("/")[2],
        url=said["guidance"],
        version=said["version"],
        hash=hash_of(documents),
        title=said["title"],
        status=said["status"],
        date=said["date"],
        questionnaire=said["questionnaire"],
        code=Coding(said["code"]["system"], said["code"]["code"]),
        code_display=said["code"].get("display", ""),
        intended_use=said["intended_use"],
        review=" ".join(
            filter(None, (review["state"], _after("by", review["by"]), _after("on", review["on"])))
        ),
        source_note=f"{source['title']}. {source['author']}, {source['published']}. {source['note']}",
        terminology=draft.header.terminology,
    )


def hash_of(documents: Mapping[str, object]) -> str:
    """SHA-256 in hex over the documents as JSON with sorted keys; a decimal keeps its digits."""
    text = json.dumps(documents, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return sha256(text.encode()).hexdigest()


def score_from(draft: ScoreDraft, header: HeaderDraft) -> Score:
    """The score with the numbers of its bands filled in."""
    return Score(
        name=draft.name,
        display=draft.display,
        items=draft.items,
        bands=tuple(_band(band, header) for band in draft.bands),
        sources=draft.sources,
    )


def _after(word: str, text: str) -> str:
    return f"{word} {text}" if text else ""


def _findings(draft: Draft) -> dict[str, Finding]:
    kept = ("name", "kind", "means", "codes", "origin", "sources")
    return {each.name: Finding(**{key: getattr(each, key) for key in kept}) for each in draft.findings}


def _tiers(header: HeaderDraft) -> tuple[Tier, ...]:
    return tuple(
        Tier(each.name, rank, each.display, each.target, each.says, each.origin, each.sources)
        for rank, each in enumerate(header.tiers)
    )


def _outcome(draft: OutcomeDraft, header: HeaderDraft) -> Outcome:
    levels = tuple(
        Level(name, rank, header.levels[name].display, header.levels[name].coding)
        for rank, name in enumerate(draft.levels)
    )
    return Outcome(
        code=draft.name,
        display=draft.display,
        codes=draft.codes,
        levels=levels,
        always_listed=draft.listed_from == "",
        listed_from=draft.levels.index(draft.listed_from) if draft.listed_from else 0,
        says=draft.says,
        sources=draft.sources,
    )


def _rules(draft: Draft, graph: Graph, form: Form) -> tuple[Rule, ...]:
    ranks = {tier.name: rank for rank, tier in enumerate(draft.header.tiers)}
    levels = {
        each.name: {name: rank for rank, name in enumerate(each.levels)} for each in draft.header.outcomes
    }
    items = {score.name: score.items for score in draft.scores}
    return tuple(
        Rule(
            name=rule.name,
            order=order,
            kind=rule.kind,
            tier=ranks[rule.tier] if rule.tier else None,
            outcome=rule.outcome or None,
            level=levels[rule.outcome][rule.level] if rule.outcome else None,
            priority=rule.priority,
            says=rule.says,
            origin=rule.origin,
            sources=rule.sources,
            reads=_reads(graph, graph.rules[rule.name], items, form),
        )
        for order, rule in enumerate(draft.rules)
    )


def _reads(graph: Graph, root: int, items: Mapping[str, tuple[str, ...]], form: Form) -> tuple[str, ...]:
    read: set[str] = set()
    for index in graph.below([root]):
        atom = graph.nodes[index].atom
        if atom is not None:
            read.update(links_of(atom.test, items))
    return tuple(sorted(read, key=lambda link_id: form.questions[link_id].order))


def links_of(test: object, items: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The linkIds that an atom reads; `items` are the linkIds of each score."""
    if isinstance(test, Is | Answered | Measured):
        return (test.link_id,)
    return items.get(getattr(test, "score", ""), ())


def _named(condition: Condition) -> str:
    """The finding or the linkId that one side of a contradiction reads."""
    return condition.finding if isinstance(condition, Named) else "".join(links_of(condition, {}))


def _comparison(table: TableDraft, outcomes: tuple[Outcome, ...]) -> Comparison:
    rows = tuple(
        Row(
            name=row.name,
            feature=row.feature,
            left=row.left.says,
            right=row.right.says,
            left_sources=row.left.sources,
            right_sources=row.right.sources,
            informs_only=row.informs_only,
        )
        for row in table.rows
    )
    return Comparison(
        table.name, table.title, _head(table.left, outcomes), _head(table.right, outcomes), rows
    )


def _head(head: HeadDraft, outcomes: tuple[Outcome, ...]) -> str:
    displays = {outcome.code: outcome.display for outcome in outcomes}
    return head.label or displays[head.outcome]


def _band(band: BandDraft, header: HeaderDraft) -> ScoreBand:
    low, high = (_end(end, header) for end in (band.low, band.high))
    return ScoreBand(band.name, low, high, band.display)


def _end(end: Decimal | str, header: HeaderDraft) -> Decimal:
    return end if isinstance(end, Decimal) else Decimal(header.parameters[end].value)
