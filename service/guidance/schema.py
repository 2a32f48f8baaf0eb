"""Reads the mapping files: plain YAML values in, a `Written` out, or every fault of shape at once.

Faults come in two rounds, so that one mistake is not reported twice: first the shape of every
file (here), then, when all shapes are right, the names and numbers between them (`checks.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from marshmallow import Schema, ValidationError, post_load, validates_schema

from service.errors import GuidanceError
from service.guidance.conditions import Place
from service.guidance.fields import (
    Anything,
    ByName,
    Choice,
    CodingShape,
    ConditionField,
    ListOf,
    Name,
    Number,
    NumberOrSwitch,
    OnlyTrue,
    Part,
    Shape,
    Sourced,
    StatementId,
    Strict,
    Text,
    TrueOrFalse,
    Word,
    coding_from,
    codings_from,
)
from service.guidance.model import (
    Advice,
    CancelledRules,
    CaseEntry,
    Comparison,
    Contradiction,
    Finding,
    Head,
    Identity,
    Level,
    Outcome,
    Parameter,
    Promise,
    Row,
    Rule,
    Says,
    Score,
    ScoreBand,
    Side,
    Statement,
    Tier,
    Written,
)

# The shapes of sources.yaml, findings.yaml, rules.yaml, advice.yaml and contradictions.yaml.

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
    def _made(self, data: Mapping[str, Any], **_: Any) -> Finding:
        return Finding(
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
    def _made(self, data: Mapping[str, Any], **_: Any) -> Rule:
        risk = data["risk"] or {"outcome": "", "level": ""}
        kept = ("kind", "when", "tier", "priority", "says", "origin", "sources")
        return Rule(name=data["rule"], **risk, **{key: data[key] for key in kept})


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
    def _made(self, data: Mapping[str, Any], **_: Any) -> Advice:
        return Advice(
            name=data["advice"],
            group=data["group"],
            when=data["when"],
            says=Says(data["patient"], data["clinician"]),
            codes=codings_from(data["codes"]),
            origin=data["origin"],
            sources=data["sources"],
        )


class ContradictionShape(Shape):
    """Answers that cannot all be true."""

    contradiction = Name(required=True)
    between = ListOf(ConditionField(), required=True)
    worse = ListOf(Name(), required=True)
    patient = Text(required=True)
    clinician = Text(required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> Contradiction:
        says = Says(data["patient"], data["clinician"])
        return Contradiction(data["contradiction"], data["between"], data["worse"], says)


def _somebody_reads(data: Mapping[str, Any]) -> None:
    if not data["patient"] and not data["clinician"]:
        raise ValidationError("expected words for the patient, the clinician or both", "patient")


# The shapes of comparisons.yaml, scores.yaml and cases.yaml.


class HeadShape(Shape):
    """The head of a column."""

    outcome = Name(load_default="")
    label = Text(load_default="")

    @validates_schema
    def _is_one(self, data: Mapping[str, Any], **_: Any) -> None:
        if (data["outcome"] == "") == (data["label"] == ""):
            raise ValidationError("expected either an outcome or a label", "outcome")

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> Head:
        return Head(**data)


class SideShape(Shape):
    """One side of a row."""

    says = Text(required=True)
    when = ConditionField(load_default=None)
    sources = ListOf(StatementId(), required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> Side:
        return Side(**data)


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
    def _made(self, data: Mapping[str, Any], **_: Any) -> Row:
        return Row(name=data["row"], **{key: data[key] for key in data if key != "row"})


class TableShape(Shape):
    """One table."""

    comparison = Name(required=True)
    title = Text(required=True)
    left = Part(HeadShape, required=True)
    right = Part(HeadShape, required=True)
    rows = Part(RowShape, many=True, required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> Comparison:
        return Comparison(data["comparison"], data["title"], data["left"], data["right"], tuple(data["rows"]))


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
    def _made(self, data: Mapping[str, Any], **_: Any) -> ScoreBand:
        return ScoreBand(data["band"], data["low"], data["high"], data["display"])


class ScoreShape(Sourced):
    """One score."""

    score = Name(required=True)
    display = Text(required=True)
    items = ListOf(Word(), required=True, data_key="sum-of")
    bands = Part(BandShape, many=True, required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> Score:
        return Score(
            name=data["score"],
            display=data["display"],
            items=data["items"],
            bands=tuple(data["bands"]),
            origin=data["origin"],
            sources=data["sources"],
        )


class CaseShape(Shape):
    """One worked case; what its answers and expectations mean is read by `cases.py`."""

    case = Name(required=True)
    about = Text(required=True)
    like = Name(load_default="")
    status = Choice("completed", "in-progress", "amended", load_default="completed")
    answers = ByName(keys=Word(), values=Anything(allow_none=True), load_default=dict)
    chart = ByName(keys=Word(), values=Anything(), load_default=dict)
    expect = ByName(keys=Name(), values=Anything(), required=True)

    @post_load
    def _made(self, data: Mapping[str, Any], **_: Any) -> CaseEntry:
        return CaseEntry(name=data["case"], **{key: data[key] for key in data if key != "case"})


# The shape of guidance.yaml: what the guidance is, its numbers, tiers, outcomes, kinds and promises.

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


class TierShape(Sourced):
    """One step of the triage ladder; its rank is its position in the list."""

    tier = Name(required=True)
    display = Text(required=True)
    target = Text(required=True)
    patient = Text(required=True)
    clinician = Text(required=True)


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
    def _made(self, data: Mapping[str, Any], **_: Any) -> Outcome:
        return Outcome(
            code=data["outcome"],
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
    def _made(self, data: Mapping[str, Any], **_: Any) -> CancelledRules:
        return CancelledRules(**data)


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
    def _made(self, data: Mapping[str, Any], **_: Any) -> Promise:
        return Promise(
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
    def _made(self, data: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """Returns those members of `Written` that stand in this file."""
        return {
            "identity": _identity(data),
            "words": data["words"],
            "parameters": {name: Parameter(name=name, **entry) for name, entry in data["parameters"].items()},
            "tiers": tuple(_tier(rank, entry) for rank, entry in enumerate(data["tiers"])),
            "levels": {code: _level(code, entry) for code, entry in data["levels"].items()},
            "outcomes": tuple(data["outcomes"]),
            "kinds": {name: kind["red_flag"] for name, kind in data["kinds"].items()},
            "exceptions": tuple(data["exceptions"]),
            "promises": tuple(data["promises"]),
        }


def _identity(data: Mapping[str, Any]) -> Identity:
    source, review = data["source"], data["review"]
    reviewed = (review["state"], _after("by", review["by"]), _after("on", review["on"]))
    return Identity(
        slug=data["guidance"].rstrip("/").rpartition("/")[2],
        url=data["guidance"],
        version=data["version"],
        hash="",
        title=data["title"],
        status=data["status"],
        date=data["date"],
        questionnaire=data["questionnaire"],
        code=coding_from(data["code"]),
        code_display=data["code"].get("display", ""),
        intended_use=data["intended_use"],
        review=" ".join(filter(None, reviewed)),
        source_note=f"{source['title']}. {source['author']}, {source['published']}. {source['note']}",
        terminology=data["terminology"],
    )


def _after(word: str, text: str) -> str:
    return f"{word} {text}" if text else ""


def _tier(rank: int, data: Mapping[str, Any]) -> Tier:
    says = Says(data["patient"], data["clinician"])
    return Tier(data["tier"], rank, data["display"], data["target"], says, data["origin"], data["sources"])


def _level(code: str, data: Mapping[str, Any]) -> Level:
    return Level(code, data["display"], coding_from(data["coding"]) if data["coding"] else None)


# All files together, and the lines in which their faults are reported.

_LISTS: Mapping[str, tuple[str, type[Schema]]] = {
    "sources": ("statement", StatementShape),
    "findings": ("finding", FindingShape),
    "rules": ("rule", RuleShape),
    "comparisons": ("comparison", TableShape),
    "advice": ("advice", AdviceShape),
    "contradictions": ("contradiction", ContradictionShape),
    "scores": ("score", ScoreShape),
    "cases": ("case", CaseShape),
}
"""File stem: the key that names an entry, and the shape of an entry."""

_OPTIONAL = ("scores",)
_NAMING = (*(key for key, _ in _LISTS.values()), "row", "band", "promise", "tier", "outcome")
"""Keys that name an entry of a list; where an entry has several, the first of these."""


def written_from(documents: Mapping[str, object]) -> Written:
    """Returns what the documents write; the names in it are not checked yet.

    Args:
        documents: parsed YAML values by file stem (`guidance`, `sources`, `findings` ...).

    Raises:
        GuidanceError: one line per fault, `file.yaml: key path: what was expected`.
    """
    faults = list(_file_faults(documents))
    head = _loaded(GuidanceShape(), "guidance", documents, faults) if "guidance" in documents else None
    lists = {
        stem: tuple(_loaded(shape(many=True), stem, documents, faults) or ())
        for stem, (_, shape) in _LISTS.items()
        if stem in documents
    }
    if faults or head is None:
        raise GuidanceError(faults)
    return Written(
        **head,
        statements=lists["sources"],
        findings=lists["findings"],
        rules=lists["rules"],
        comparisons=lists["comparisons"],
        advice=lists["advice"],
        contradictions=lists["contradictions"],
        scores=lists.get("scores", ()),
        cases=lists["cases"],
    )


def fault_line(file: str, place: Place, expected: str) -> str:
    """Returns one fault as it is reported: `file.yaml: key path: what was expected`."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
    return f"{file}: {path}: {expected}" if path else f"{file}: {expected}"


def _file_faults(documents: Mapping[str, object]) -> Iterator[str]:
    for stem in ("guidance", *_LISTS):
        if stem not in documents and stem not in _OPTIONAL:
            yield fault_line(f"{stem}.yaml", (), "is missing; expected this file")
    for stem in documents:
        if stem != "guidance" and stem not in _LISTS:
            yield fault_line(
                f"{stem}.yaml", (), f"unknown file; expected one of: guidance, {', '.join(_LISTS)}"
            )


def _loaded(shape: Schema, stem: str, documents: Mapping[str, object], faults: list[str]) -> Any:
    document = documents[stem]
    expected = list if shape.many else dict
    if not isinstance(document, expected):
        key = _LISTS[stem][0] if shape.many else "guidance"
        words = "a list of entries" if shape.many else "a mapping"
        faults.append(fault_line(f"{stem}.yaml", (), f"expected {words} that start with `{key}:`"))
        return None
    try:
        return shape.load(document)
    except ValidationError as error:
        faults.extend(
            fault_line(f"{stem}.yaml", place, text) for place, text in _flat(error.messages, document)
        )
        return None


def _flat(messages: Any, written: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yields the messages in the order of the keys, with their places; entries are named, not numbered."""
    if isinstance(messages, dict):
        for key, below in messages.items():
            inner = written[key] if _holds(written, key) else None
            step = () if key == "_schema" else (_step(key, inner),)
            yield from _flat(below, inner if step else written, (*place, *step))
        return
    for text in messages if isinstance(messages, Iterable) and not isinstance(messages, str) else [messages]:
        yield place, str(text)


def _holds(written: Any, key: Any) -> bool:
    if isinstance(written, list):
        return isinstance(key, int) and key < len(written)
    return isinstance(written, dict) and key in written


def _step(key: Any, inner: Any) -> str | int:
    if isinstance(key, int) and isinstance(inner, dict):
        return next((inner[name] for name in _NAMING if isinstance(inner.get(name), str)), key)
    return key if isinstance(key, int) else str(key)
