"""Names: each is used for one thing, and each that is used exists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from service.guidance.conditions import Place
from service.guidance.draft import Draft, OutcomeDraft, PromiseDraft
from service.guidance.expectations import RESERVED
from service.guidance.form import Form

Fault = tuple[str, Place, str]


def name_faults(draft: Draft, form: Form) -> Iterator[Fault]:
    """Yields names that are stated twice, and names in guidance.yaml and in tables that do not exist."""
    yield from _duplicates(draft)
    yield from _shared_codes(draft)
    yield from _questionnaire(draft, form)
    for outcome in draft.header.outcomes:
        yield from _outcome(outcome, draft.header.levels)
    yield from _unused_levels(draft)
    yield from _kinds(draft)
    yield from _promises(draft)
    yield from _exceptions(draft)
    yield from _tables(draft)
    yield from _worse(draft)


def unknown(name: str, known: Collection[str]) -> str:
    """What was expected where `name` is not known."""
    return f"expected one of: {', '.join(known)}" if known else f"{name} is not known; none is defined"


def _twice(file: str, place: Place, names: Iterable[str]) -> Iterator[Fault]:
    for name, count in Counter(names).items():
        if count > 1:
            yield file, (*place, name), f"expected one entry of this name, found {count}"


def _duplicates(draft: Draft) -> Iterator[Fault]:
    header = draft.header
    yield from _twice("guidance.yaml", ("tiers",), (each.name for each in header.tiers))
    yield from _twice("guidance.yaml", ("outcomes",), (each.name for each in header.outcomes))
    yield from _twice("guidance.yaml", ("promises",), (each.name for each in header.promises))
    yield from _twice("guidance.yaml", ("exceptions",), (each.finding for each in header.exceptions))
    yield from _twice("sources.yaml", (), (each.id for each in draft.statements))
    yield from _twice("findings.yaml", (), (each.name for each in draft.findings))
    yield from _twice("rules.yaml", (), (each.name for each in draft.rules))
    yield from _twice("comparisons.yaml", (), (each.name for each in draft.tables))
    yield from _twice("advice.yaml", (), (each.name for each in draft.advice))
    yield from _twice("contradictions.yaml", (), (each.name for each in draft.contradictions))
    yield from _twice("scores.yaml", (), (each.name for each in draft.scores))


def _shared_codes(draft: Draft) -> Iterator[Fault]:
    """Tiers, outcomes, findings, rules and rows are codes of one code system: no code twice."""
    places: dict[str, tuple[str, Place]] = {}
    for file, place, name in _codes(draft):
        first_file, first_place = places.setdefault(name, (file, place))
        if first_place != place:
            yield file, place, f"expected a name that {first_file} does not use for something else"


def _codes(draft: Draft) -> Iterator[tuple[str, Place, str]]:
    yield from (("guidance.yaml", ("tiers", each.name), each.name) for each in draft.header.tiers)
    yield from (("guidance.yaml", ("outcomes", each.name), each.name) for each in draft.header.outcomes)
    yield from (("findings.yaml", ("finding", each.name), each.name) for each in draft.findings)
    yield from (("rules.yaml", ("rule", each.name), each.name) for each in draft.rules)
    for table in draft.tables:
        for index, row in enumerate(table.rows):
            yield "comparisons.yaml", (table.name, "rows", index, row.name), row.name


def _questionnaire(draft: Draft, form: Form) -> Iterator[Fault]:
    if draft.header.identity["questionnaire"] != form.canonical:
        yield (
            "guidance.yaml",
            ("questionnaire",),
            f"expected the canonical of its questionnaire, {form.canonical}",
        )


def _outcome(outcome: OutcomeDraft, levels: Collection[str]) -> Iterator[Fault]:
    place = ("outcomes", outcome.name)
    if outcome.name in RESERVED:
        yield "guidance.yaml", place, f"expected a name other than: {', '.join(RESERVED)}"
    for index, level in enumerate(outcome.levels):
        if level not in levels:
            yield "guidance.yaml", (*place, "levels", index), unknown(level, levels)
    yield from _twice("guidance.yaml", (*place, "levels"), outcome.levels)
    if outcome.listed_from and outcome.listed_from not in outcome.levels:
        yield "guidance.yaml", (*place, "listed", "from"), unknown(outcome.listed_from, outcome.levels)


def _unused_levels(draft: Draft) -> Iterator[Fault]:
    used = {level for outcome in draft.header.outcomes for level in outcome.levels}
    for level in draft.header.levels:
        if level not in used:
            yield (
                "guidance.yaml",
                ("levels", level),
                "is used by no outcome; expected a use, or to be left out",
            )


def _kinds(draft: Draft) -> Iterator[Fault]:
    kinds = draft.header.kinds
    for finding in draft.findings:
        if finding.kind not in kinds:
            yield "findings.yaml", (finding.name, "kind"), unknown(finding.kind, kinds)
    for rule in draft.rules:
        if rule.kind and rule.kind not in kinds:
            yield "rules.yaml", (rule.name, "kind"), unknown(rule.kind, kinds)


def _promises(draft: Draft) -> Iterator[Fault]:
    tiers = [tier.name for tier in draft.header.tiers]
    for promise in draft.header.promises:
        if promise.tier and promise.tier not in tiers:
            key = "tier" if promise.form == "only-if" else "tier-at-least"
            yield "guidance.yaml", ("promises", promise.name, key), unknown(promise.tier, tiers)
        yield from _promised_kinds(promise, draft.header.kinds)


def _promised_kinds(promise: PromiseDraft, kinds: Collection[str]) -> Iterator[Fault]:
    for index, kind in enumerate(promise.kinds):
        if kind not in kinds:
            yield "guidance.yaml", ("promises", promise.name, promise.form, index), unknown(kind, kinds)


def _exceptions(draft: Draft) -> Iterator[Fault]:
    findings = {finding.name for finding in draft.findings}
    rules = {rule.name for rule in draft.rules if rule.tier}
    for exception in draft.header.exceptions:
        place = ("exceptions", exception.finding)
        if exception.finding not in findings:
            yield "guidance.yaml", (*place, "finding"), "expected the name of a finding"
        for index, rule in enumerate(exception.cancels):
            if rule not in rules:
                yield (
                    "guidance.yaml",
                    (*place, "cancels", index),
                    "expected the name of a rule that fires a tier",
                )


def _tables(draft: Draft) -> Iterator[Fault]:
    outcomes = [outcome.name for outcome in draft.header.outcomes]
    for table in draft.tables:
        yield from _twice("comparisons.yaml", (table.name, "rows"), (row.name for row in table.rows))
        for side, head in (("left", table.left), ("right", table.right)):
            if head.outcome and head.outcome not in outcomes:
                yield "comparisons.yaml", (table.name, side, "outcome"), unknown(head.outcome, outcomes)


def _worse(draft: Draft) -> Iterator[Fault]:
    findings = {finding.name for finding in draft.findings}
    for contradiction in draft.contradictions:
        for index, name in enumerate(contradiction.worse):
            if name not in findings:
                yield (
                    "contradictions.yaml",
                    (contradiction.name, "worse", index),
                    "expected the name of a finding",
                )
