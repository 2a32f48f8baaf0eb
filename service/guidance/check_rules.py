"""Rules: each fires something that exists, each ladder is covered, each decision list comes to an end."""

from __future__ import annotations

from collections.abc import Iterator

from service.guidance.check_names import Fault, unknown
from service.guidance.draft import Draft, OutcomeDraft, RuleDraft


def rule_faults(draft: Draft) -> Iterator[Fault]:
    """Yields what is wrong with tiers, levels and the order of the rules."""
    tiers = [tier.name for tier in draft.header.tiers]
    for rule in draft.rules:
        if rule.tier and rule.tier not in tiers:
            yield "rules.yaml", (rule.name, "tier"), unknown(rule.tier, tiers)
        if rule.outcome:
            yield from _risk(rule, draft)
    yield from _unreached_tiers(draft)
    for outcome in draft.header.outcomes:
        yield from _decision_list(outcome, [rule for rule in draft.rules if rule.outcome == outcome.name])


def _risk(rule: RuleDraft, draft: Draft) -> Iterator[Fault]:
    outcomes = {outcome.name: outcome.levels for outcome in draft.header.outcomes}
    if rule.outcome not in outcomes:
        yield "rules.yaml", (rule.name, "risk", "outcome"), unknown(rule.outcome, outcomes)
    elif rule.level not in outcomes[rule.outcome]:
        yield "rules.yaml", (rule.name, "risk", "level"), unknown(rule.level, outcomes[rule.outcome])


def _unreached_tiers(draft: Draft) -> Iterator[Fault]:
    if not draft.header.tiers:
        yield "guidance.yaml", ("tiers",), "expected at least one tier, lowest first"
    reached = {rule.tier for rule in draft.rules}
    for tier in draft.header.tiers[1:]:
        if tier.name not in reached:
            yield (
                "guidance.yaml",
                ("tiers", tier.name),
                "no rule fires it; expected one for every tier but the lowest",
            )


def _decision_list(outcome: OutcomeDraft, rules: list[RuleDraft]) -> Iterator[Fault]:
    place = ("outcomes", outcome.name)
    if not rules or rules[-1].when is not None:
        where = ("rules.yaml", (rules[-1].name,)) if rules else ("guidance.yaml", place)
        yield *where, f"expected the last rule of the outcome {outcome.name} to say otherwise: true"
    for rule in rules[:-1]:
        if rule.when is None:
            yield (
                "rules.yaml",
                (rule.name, "otherwise"),
                f"expected only in the last rule of the outcome {outcome.name}",
            )
    fired = {rule.level for rule in rules}
    for index, level in enumerate(outcome.levels):
        if level not in fired:
            yield (
                "guidance.yaml",
                (*place, "levels", index),
                f"no rule fires {level}; expected one for every level",
            )
