"""The shapes of sources.yaml, findings.yaml, rules.yaml, advice.yaml and contradictions.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, post_load, validates_schema

from service.guidance.draft import AdviceDraft, ContradictionDraft, FindingDraft, RuleDraft
from service.guidance.grammar_conditions import ConditionField
from service.guidance.grammar_fields import (
    Choice,
    CodingShape,
    ListOf,
    Name,
    OnlyTrue,
    Part,
    Shape,
    Sourced,
    StatementId,
    Text,
    codings_from,
)
from service.guidance.model import Advice, Says, Statement

GROUPS = ("safety", "self-care", "work-up", "come-back", "information")


class StatementShape(Shape):
    """One statement of the source, in our words."""

    statement = StatementId(required=True)
    section = Text(required=True)
    where = Text(required=True)
    claim = Text(required=True)
    kind = Text(required=True)
    unused = Text(load_default="")

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> Statement:
        return Statement(id=data["statement"], **{key: data[key] for key in data if key != "statement"})


class FindingShape(Sourced):
    """One finding."""

    finding = Name(required=True)
    kind = Name(required=True)
    means = Text(required=True)
    when = ConditionField(required=True)
    not_sure = Choice("present", "unknown", load_default="unknown", data_key="not-sure")
    codes = Part(CodingShape, many=True, load_default=())

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> FindingDraft:
        return FindingDraft(
            name=data["finding"],
            kind=data["kind"],
            means=data["means"],
            when=data["when"],
            unsure_present=data["not_sure"] == "present",
            codes=codings_from(data["codes"]),
            origin=data["origin"],
            sources=data["sources"],
        )


class SaysShape(Shape):
    """Words for one or both readers."""

    patient = Text(load_default="")
    clinician = Text(load_default="")

    @validates_schema
    def _says_something(self, data: Mapping[str, Any], **_: Any) -> None:
        _somebody_reads(data)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> Says:
        return Says(**data)


class RiskShape(Shape):
    """The level of an outcome that a rule fires."""

    outcome = Name(required=True)
    level = Name(required=True)


class RuleShape(Sourced):
    """One rule: a condition or `otherwise`, and a tier or a risk."""

    rule = Name(required=True)
    kind = Name(load_default="")
    when = ConditionField(load_default=None)
    otherwise = OnlyTrue(load_default=False)
    tier = Name(load_default="")
    risk = Part(RiskShape, load_default=None)
    priority = Name(load_default="")
    says = Part(SaysShape, required=True)

    @validates_schema
    def _fires_one_thing(self, data: Mapping[str, Any], **_: Any) -> None:
        faults = dict(_rule_faults(data))
        if faults:
            raise ValidationError(faults)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> RuleDraft:
        risk = data["risk"] or {"outcome": "", "level": ""}
        kept = ("kind", "when", "tier", "priority", "says", "origin", "sources")
        return RuleDraft(name=data["rule"], **risk, **{key: data[key] for key in kept})


def _rule_faults(data: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    faults: list[tuple[str, list[str]]] = []
    if (data["when"] is None) != data["otherwise"]:
        faults.append(("when", ["expected either a condition here or otherwise: true"]))
    if (data["tier"] == "") == (data["risk"] is None):
        faults.append(("tier", ["expected either a tier or a risk: {outcome, level}"]))
    elif data["risk"] is None and data["otherwise"]:
        faults.append(("otherwise", ["expected a condition; only a rule for a risk may say otherwise"]))
    elif data["risk"] is None and not data["kind"]:
        faults.append(("kind", ["is missing; expected a kind for a rule that fires a tier"]))
    elif data["risk"] is not None and data["priority"]:
        faults.append(("priority", ["expected only in a rule that fires a tier"]))
    return faults


class AdviceShape(Sourced):
    """One piece of advice."""

    advice = Name(required=True)
    group = Choice(*GROUPS, required=True)
    when = ConditionField(extra=True, load_default=None)
    patient = Text(load_default="")
    clinician = Text(load_default="")
    codes = Part(CodingShape, many=True, load_default=())

    @validates_schema
    def _says_something(self, data: Mapping[str, Any], **_: Any) -> None:
        _somebody_reads(data)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> AdviceDraft:
        advice = Advice(
            name=data["advice"],
            group=data["group"],
            order=0,
            says=Says(data["patient"], data["clinician"]),
            codes=codings_from(data["codes"]),
            origin=data["origin"],
            sources=data["sources"],
        )
        return AdviceDraft(data["advice"], advice, data["when"])


class ContradictionShape(Shape):
    """Answers that cannot all be true."""

    contradiction = Name(required=True)
    between = ListOf(ConditionField(), required=True)
    worse = ListOf(Name(), required=True)
    patient = Text(required=True)
    clinician = Text(required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> ContradictionDraft:
        says = Says(data["patient"], data["clinician"])
        return ContradictionDraft(data["contradiction"], data["between"], data["worse"], says)


def _somebody_reads(data: Mapping[str, Any]) -> None:
    if not data["patient"] and not data["clinician"]:
        raise ValidationError("expected words for the patient, the clinician or both", "patient")
