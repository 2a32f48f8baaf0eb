"""The shape of guidance.yaml: what the guidance is, its numbers, tiers, outcomes, kinds and promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, post_load, validates_schema

from service.guidance.draft import (
    ExceptionDraft,
    HeaderDraft,
    LevelDraft,
    OutcomeDraft,
    PromiseDraft,
    TierDraft,
)
from service.guidance.grammar_conditions import ConditionField
from service.guidance.grammar_fields import (
    ByName,
    Choice,
    CodingShape,
    ListOf,
    Name,
    NumberOrSwitch,
    Part,
    Shape,
    Sourced,
    Strict,
    Text,
    TrueOrFalse,
    Word,
    coding_from,
    codings_from,
)
from service.guidance.model import Parameter, Says

EDGES = ("more than", "at least", "less than", "at most", "switch")
NAMES = ("promise", "tier", "outcome", "finding")
"""Keys whose value names an entry of a list in this file."""


class SourceShape(Shape):
    """The text that is encoded."""

    title = Text(required=True)
    author = Text(required=True)
    published = Text(required=True)
    note = Text(required=True)


class ReviewShape(Shape):
    """Who has reviewed the guidance, and when."""

    state = Text(required=True)
    by = Text(load_default="")
    on = Text(load_default="")


class ReadersShape(Shape):
    """Words for the two readers."""

    patient = Text(required=True)
    clinician = Text(required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> Says:
        return Says(**data)


class ParameterShape(Sourced):
    """A named number with its unit and the edge at which it cuts; a switch needs no unit."""

    value = NumberOrSwitch(required=True)
    unit = Text(load_default="")
    edge = Choice(*EDGES, required=True)
    means = Text(required=True)

    @validates_schema
    def _fits(self, data: Mapping[str, Any], **_: Any) -> None:
        switch = data["edge"] == "switch"
        if isinstance(data["value"], bool) != switch:
            expected = "true or false" if switch else "a number"
            raise ValidationError(f"expected {expected}, as the edge is: {data['edge']}", "value")
        if not switch and not data["unit"]:
            raise ValidationError('is missing; expected a UCUM unit, or "1" for a plain number', "unit")


class LevelShape(Shape):
    """One level of the shared vocabulary."""

    display = Text(required=True)
    coding = Part(CodingShape, load_default=None)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> LevelDraft:
        return LevelDraft(data["display"], coding_from(data["coding"]) if data["coding"] else None)


class TierShape(Sourced):
    """One step of the triage ladder."""

    tier = Name(required=True)
    display = Text(required=True)
    target = Text(required=True)
    patient = Text(required=True)
    clinician = Text(required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> TierDraft:
        says = Says(data["patient"], data["clinician"])
        return TierDraft(data["tier"], data["display"], data["target"], says, data["origin"], data["sources"])


class ListedField(Strict[str]):
    """`always`, or `{from: level}`; loads to the level's name, empty for always."""

    expected = "expected always, or {from: level}"

    def _takes(self, value: Any) -> bool:
        return value == "always" or (
            isinstance(value, dict) and set(value) == {"from"} and isinstance(value["from"], str)
        )

    def _read(self, value: Any) -> str:
        return "" if value == "always" else str(value["from"])


class OutcomeShape(Sourced):
    """One outcome and its ladder of levels."""

    outcome = Name(required=True)
    display = Text(required=True)
    codes = Part(CodingShape, many=True, load_default=())
    levels = ListOf(Name(), required=True)
    listed = ListedField(required=True)
    patient = Text(required=True)
    clinician = Text(required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> OutcomeDraft:
        return OutcomeDraft(
            name=data["outcome"],
            display=data["display"],
            codes=codings_from(data["codes"]),
            levels=data["levels"],
            listed_from=data["listed"],
            says=Says(data["patient"], data["clinician"]),
            origin=data["origin"],
            sources=data["sources"],
        )


class KindShape(Shape):
    """One kind of finding or rule; open questions of red flags are asked first."""

    red_flag = TrueOrFalse(load_default=False, data_key="red-flag")


class ExceptionShape(Shape):
    """A finding that may cancel rules."""

    finding = Name(required=True)
    cancels = ListOf(Name(), required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> ExceptionDraft:
        return ExceptionDraft(**data)


class PromiseShape(Shape):
    """What must hold for every response: one of four forms, told apart by their keys."""

    promise = Name(required=True)
    when = ConditionField(load_default=None)
    only_if = ConditionField(load_default=None, data_key="only-if")
    tier = Name(load_default="")
    tier_at_least = Name(load_default="", data_key="tier-at-least")
    never_changes_tier = ListOf(Name(), load_default=(), data_key="never-changes-tier")
    never_lowers_tier = ListOf(Name(), load_default=(), data_key="never-lowers-tier")

    @validates_schema
    def _has_one_form(self, data: Mapping[str, Any], **_: Any) -> None:
        if _form(data) == "":
            forms = "when and tier-at-least, tier and only-if, never-changes-tier, never-lowers-tier"
            raise ValidationError(f"expected one of these forms: {forms}", "promise")

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> PromiseDraft:
        return PromiseDraft(
            name=data["promise"],
            form=_form(data),
            tier=data["tier"] or data["tier_at_least"],
            when=data["when"] or data["only_if"],
            kinds=data["never_changes_tier"] or data["never_lowers_tier"],
        )


_FORMS = {
    frozenset({"when", "tier_at_least"}): "tier-at-least",
    frozenset({"tier", "only_if"}): "only-if",
    frozenset({"never_changes_tier"}): "never-changes-tier",
    frozenset({"never_lowers_tier"}): "never-lowers-tier",
}


def _form(data: Mapping[str, Any]) -> str:
    filled = frozenset(key for key, value in data.items() if key != "promise" and value not in ("", (), None))
    return _FORMS.get(filled, "")


class GuidanceShape(Shape):
    """guidance.yaml."""

    guidance = Text(required=True)
    version = Text(required=True)
    title = Text(required=True)
    status = Choice("draft", "active", "retired", required=True)
    date = Text(required=True)
    questionnaire = Text(required=True)
    code = Part(CodingShape, required=True)
    source = Part(SourceShape, required=True)
    review = Part(ReviewShape, required=True)
    intended_use = Part(ReadersShape, required=True, data_key="intended-use")
    words = ByName(keys=Name(), values=Word(), load_default=dict)
    terminology = Text(required=True)
    parameters = ByName(keys=Name(), values=Part(ParameterShape), load_default=dict)
    tiers = Part(TierShape, many=True, required=True)
    levels = ByName(keys=Name(), values=Part(LevelShape), load_default=dict)
    outcomes = Part(OutcomeShape, many=True, load_default=())
    kinds = ByName(keys=Name(), values=Part(KindShape), required=True)
    exceptions = Part(ExceptionShape, many=True, load_default=())
    promises = Part(PromiseShape, many=True, load_default=())

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> HeaderDraft:
        return HeaderDraft(
            identity=data,
            words=data["words"],
            terminology=data["terminology"],
            parameters={name: Parameter(name=name, **each) for name, each in data["parameters"].items()},
            tiers=tuple(data["tiers"]),
            levels=data["levels"],
            outcomes=tuple(data["outcomes"]),
            kinds={name: kind["red_flag"] for name, kind in data["kinds"].items()},
            exceptions=tuple(data["exceptions"]),
            promises=tuple(data["promises"]),
        )
