"""The shapes of comparisons.yaml, scores.yaml and cases.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, post_load, validates_schema

from service.guidance.draft import (
    BandDraft,
    CaseDraft,
    HeadDraft,
    RowDraft,
    ScoreDraft,
    SideDraft,
    TableDraft,
)
from service.guidance.grammar_conditions import ConditionField
from service.guidance.grammar_fields import (
    Anything,
    ByName,
    Choice,
    ListOf,
    Name,
    Number,
    Part,
    Shape,
    Sourced,
    StatementId,
    Text,
    Word,
)


class HeadShape(Shape):
    """The head of a column."""

    outcome = Name(load_default="")
    label = Text(load_default="")

    @validates_schema
    def _is_one(self, data: Mapping[str, Any], **_: Any) -> None:
        if (data["outcome"] == "") == (data["label"] == ""):
            raise ValidationError("expected either an outcome or a label", "outcome")

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> HeadDraft:
        return HeadDraft(**data)


class SideShape(Shape):
    """One side of a row."""

    says = Text(required=True)
    when = ConditionField(load_default=None)
    sources = ListOf(StatementId(), required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> SideDraft:
        return SideDraft(**data)


class RowShape(Shape):
    """One row; it can match on at least one side, or says why it only informs."""

    row = Name(required=True)
    feature = Text(required=True)
    left = Part(SideShape, required=True)
    right = Part(SideShape, required=True)
    informs_only = Text(load_default="", data_key="informs-only")

    @validates_schema
    def _can_match(self, data: Mapping[str, Any], **_: Any) -> None:
        matches = data["left"].when is not None or data["right"].when is not None
        if matches and data["informs_only"]:
            raise ValidationError("expected no condition in a row that only informs", "informs-only")
        if not matches and not data["informs_only"]:
            raise ValidationError("expected a condition on one side or both, or informs-only: reason", "left")

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> RowDraft:
        return RowDraft(name=data["row"], **{key: data[key] for key in data if key != "row"})


class TableShape(Shape):
    """One table."""

    comparison = Name(required=True)
    title = Text(required=True)
    left = Part(HeadShape, required=True)
    right = Part(HeadShape, required=True)
    rows = Part(RowShape, many=True, required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> TableDraft:
        return TableDraft(data["comparison"], data["title"], data["left"], data["right"], tuple(data["rows"]))


class EndField(Number):
    """One end of a band: a number, or `{parameter: name}`."""

    expected = "expected a number, or {parameter: name}"

    def _takes(self, value: Any) -> bool:
        return super()._takes(value) or (
            isinstance(value, dict) and set(value) == {"parameter"} and isinstance(value["parameter"], str)
        )

    def _read(self, value: Any) -> Any:
        return value["parameter"] if isinstance(value, dict) else super()._read(value)


class BandShape(Shape):
    """One band of a score; both ends are included."""

    band = Name(required=True)
    low = EndField(required=True, data_key="from")
    high = EndField(required=True, data_key="to")
    display = Text(required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> BandDraft:
        return BandDraft(data["band"], data["low"], data["high"], data["display"])


class ScoreShape(Sourced):
    """One score."""

    score = Name(required=True)
    display = Text(required=True)
    items = ListOf(Word(), required=True, data_key="sum-of")
    bands = Part(BandShape, many=True, required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> ScoreDraft:
        return ScoreDraft(
            name=data["score"],
            display=data["display"],
            items=data["items"],
            bands=tuple(data["bands"]),
            origin=data["origin"],
            sources=data["sources"],
        )


class CaseShape(Shape):
    """One worked case; what its answers and expectations mean is read later."""

    case = Name(required=True)
    about = Text(required=True)
    like = Name(load_default="")
    status = Choice("completed", "in-progress", "amended", load_default="completed")
    answers = ByName(keys=Word(), values=Anything(allow_none=True), load_default=dict)
    chart = ByName(keys=Word(), values=Anything(), load_default=dict)
    expect = ByName(keys=Name(), values=Anything(), required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> CaseDraft:
        return CaseDraft(name=data["case"], **{key: data[key] for key in data if key != "case"})
