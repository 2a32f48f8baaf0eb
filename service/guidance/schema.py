"""Reads the mapping files: plain YAML values in, a `Written` out, or every fault of shape at once.

Faults come in two rounds, so that one mistake is not reported twice: first the shape of every
file (here), then, when all shapes are right, the names and numbers between them (`checks.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from marshmallow import Schema, ValidationError, validates_schema

from service.datatypes.answers import Coding
from service.errors import GuidanceError
from service.guidance.conditions import Place
from service.guidance.fields import (
    Anything,
    ByName,
    Choice,
    CodeShape,
    CodingShape,
    ConditionField,
    ListOf,
    Name,
    NumberOrSwitch,
    OnlyTrue,
    ParameterName,
    Part,
    Shape,
    Sourced,
    StatementId,
    Strict,
    Text,
    TrueOrFalse,
    Word,
    names_one,
)
from service.guidance.model import (
    Advice,
    AnswerWords,
    CancelledRules,
    CaseEntry,
    Comparison,
    Contradiction,
    Derived,
    Finding,
    Head,
    Identity,
    Level,
    Outcome,
    Parameter,
    Promise,
    Respondent,
    Row,
    Rule,
    Says,
    Side,
    Statement,
    Tier,
    Written,
)
from service.guidance.quantities import ChartShape, DerivedShape, EarlierCaseShape, EarlierShape
from service.guidance.scores import ScoreShape, with_band_rules
from service.guidance.steps import RecheckShape, RedirectShape

# The shapes of sources.yaml, findings.yaml, rules.yaml, advice.yaml and contradictions.yaml.

GROUPS = ("safety", "self-care", "work-up", "visit", "come-back", "information")
NUMBERS = ("emergency", "crisis")
RESPONDENTS = ("Patient", "RelatedPerson", "Practitioner", "PractitionerRole")
"""What may be the source of a QuestionnaireResponse in FHIR R4."""
PRIORITIES = ("routine", "urgent", "asap", "stat")


class Worded(Shape):
    """An entry with words for the patient, the clinician or both."""

    @validates_schema
    def _says_something(self, data: Mapping[str, Any], **_: Any) -> None:
        if not data["patient"] and not data["clinician"]:
            raise ValidationError("expected words for the patient, the clinician or both", "patient")


class SaysShape(Worded):
    """Words for one or both readers, and for a patient who was not sure."""

    makes = Says

    patient = Text(load_default="")
    clinician = Text(load_default="")
    patient_unsure = Text(load_default="", data_key="patient-unsure")

    @validates_schema
    def _unsure_has_a_counterpart(self, data: Mapping[str, Any], **_: Any) -> None:
        if data["patient_unsure"] and not data["patient"]:
            raise ValidationError("expected only beside words for the patient who was sure", "patient-unsure")


class ReadersShape(Shape):
    """Words for both readers."""

    makes = Says

    patient = Text(required=True)
    clinician = Text(required=True)


class Saying(Worded):
    """An entry that has its words beside its other keys; they become one member, `says`."""

    def _members(self, data: dict[str, Any]) -> dict[str, Any]:
        says = Says(data.pop("patient"), data.pop("clinician"))
        return {**super()._members(data), "says": says}


class StatementShape(Shape):
    """One statement of the source, in our words."""

    makes = Statement

    id = StatementId(required=True, data_key="statement")
    section = Text(required=True)
    where = Text(required=True)
    claim = Text(required=True)
    kind = Text(required=True)
    unused = Text(load_default="")


class FindingShape(Sourced):
    """One finding."""

    makes = Finding

    name = Name(required=True, data_key="finding")
    kind = Name(required=True)
    means = Text(required=True)
    when = ConditionField(required=True)
    unsure_present = Choice("present", "unknown", load_default="unknown", data_key="not-sure")
    codes = Part(CodingShape, many=True, load_default=())

    def _members(self, data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "unsure_present": data["unsure_present"] == "present"}


class RiskShape(Shape):
    """The level of an outcome that a rule fires."""

    outcome = Name(required=True)
    level = Name(required=True)


class RuleShape(Sourced):
    """One rule: a condition or `otherwise`, and a tier or a risk."""

    makes = Rule

    name = Name(required=True, data_key="rule")
    kind = Name(load_default="")
    when = ConditionField(load_default=None)
    otherwise = OnlyTrue(load_default=False)
    tier = Name(load_default="")
    risk = Part(RiskShape, load_default=None)
    priority = Name(load_default="")
    within = ParameterName(load_default="")
    to = Name(load_default="")
    shows = ListOf(Word(), load_default=())
    beside = ListOf(Name(), load_default=())
    says = Part(SaysShape, required=True)

    @validates_schema
    def _fires_one_thing(self, data: Mapping[str, Any], **_: Any) -> None:
        faults = dict(_rule_faults(data))
        if faults:
            raise ValidationError(faults)

    def _members(self, data: dict[str, Any]) -> dict[str, Any]:
        del data["otherwise"]
        risk = data.pop("risk") or {"outcome": "", "level": ""}
        return {**data, **risk}


def _rule_faults(data: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    if (data["when"] is None) != data["otherwise"]:
        yield "when", ["expected either a condition here or otherwise: true"]
    if (data["tier"] == "") == (data["risk"] is None):
        yield "tier", ["expected either a tier or a risk: {outcome, level}"]
    elif data["risk"] is None and data["otherwise"]:
        yield "otherwise", ["expected a condition; only a rule for a risk may say otherwise"]
    elif data["risk"] is None and not data["kind"]:
        yield "kind", ["is missing; expected a kind for a rule that fires a tier"]
    elif data["risk"] is not None:
        for key in ("priority", "within", "to", "shows", "beside"):
            if data[key]:
                yield key, ["expected only in a rule that fires a tier"]
        if data["says"].patient_unsure:
            yield "says", ["expected patient-unsure only in a rule that fires a tier"]


class AdviceShape(Saying, Sourced):
    """One piece of advice."""

    makes = Advice

    name = Name(required=True, data_key="advice")
    group = Choice(*GROUPS, required=True)
    when = ConditionField(extra=True, load_default=None)
    patient = Text(load_default="")
    clinician = Text(load_default="")
    codes = Part(CodingShape, many=True, load_default=())
    number = Choice(*NUMBERS, load_default="")


class ContradictionShape(Saying):
    """Answers that cannot all be true."""

    makes = Contradiction

    name = Name(required=True, data_key="contradiction")
    between = ListOf(ConditionField(), required=True)
    worse = ListOf(Name(), required=True)
    patient = Text(required=True)
    clinician = Text(required=True)


# The shapes of comparisons.yaml and cases.yaml.


class HeadShape(Shape):
    """The head of a column."""

    makes = Head

    outcome = Name(load_default="")
    label = Text(load_default="")

    @validates_schema
    def _is_outcome_or_label(self, data: Mapping[str, Any], **_: Any) -> None:
        if (data["outcome"] == "") == (data["label"] == ""):
            raise ValidationError("expected either an outcome or a label", "outcome")


class SideShape(Shape):
    """One side of a row."""

    makes = Side

    says = Text(required=True)
    when = ConditionField(load_default=None)
    sources = ListOf(StatementId(), required=True)


class RowShape(Shape):
    """One row; it can match on at least one side, or says why it only informs."""

    makes = Row

    name = Name(required=True, data_key="row")
    feature = Text(required=True)
    left = Part(SideShape, required=True)
    right = Part(SideShape, required=True)
    informs_only = Text(load_default="", data_key="informs-only")
    not_done = ConditionField(load_default=None, data_key="not-done")

    @validates_schema
    def _can_match(self, data: Mapping[str, Any], **_: Any) -> None:
        matches = data["left"].when is not None or data["right"].when is not None
        if data["not_done"] is not None and not matches:
            raise ValidationError("expected only in a row that can match", "not-done")
        if matches and data["informs_only"]:
            raise ValidationError("expected no condition in a row that only informs", "informs-only")
        if not matches and not data["informs_only"]:
            raise ValidationError("expected a condition on one side or both, or informs-only: reason", "left")


class TableShape(Shape):
    """One table."""

    makes = Comparison

    name = Name(required=True, data_key="comparison")
    title = Text(required=True)
    left = Part(HeadShape, required=True)
    right = Part(HeadShape, required=True)
    rows = Part(RowShape, many=True, required=True)


class CaseShape(Shape):
    """One worked case; what its answers and expectations mean is read by `cases.py`."""

    makes = CaseEntry

    name = Name(required=True, data_key="case")
    about = Text(required=True)
    like = Name(load_default="")
    status = Choice("completed", "in-progress", "amended", load_default="completed")
    authored = Text(load_default="")
    floor = TrueOrFalse(load_default=False)
    answers = ByName(keys=Word(), values=Anything(allow_none=True), load_default=dict)
    chart = ByName(keys=Word(), values=Anything(), load_default=dict)
    earlier = Part(EarlierCaseShape, many=True, load_default=(), data_key="before")
    expect = ByName(keys=Name(), values=Anything(allow_none=True), required=True)


# The shape of guidance.yaml: what the guidance is, its numbers, tiers, outcomes, kinds and promises.

EDGES = ("more than", "at least", "less than", "at most", "switch")


class SecondarySourceShape(Shape):
    """A text that stands behind choices of the project."""

    title = Text(required=True)
    published = Text(required=True)
    note = Text(required=True)


class SourceShape(SecondarySourceShape):
    """The text that is encoded."""

    author = Text(required=True)


class ReviewShape(Shape):
    """Who has reviewed the guidance, and when."""

    state = Text(required=True)
    by = Text(load_default="")
    role = Text(load_default="")
    on = Text(load_default="")

    def _members(self, data: dict[str, Any]) -> dict[str, Any]:
        """Returns the review in words, such as `reviewed by A. Example, neurologist, on 2026-12-01`."""
        words = {"by": " by {}", "role": ", {},", "on": " on {}"}
        signature = [text.format(data[key]) for key, text in words.items() if data[key]]
        return {"review": data["state"] + "".join(signature), "signed": len(signature) == len(words)}


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


class AddresseeShape(ReadersShape):
    """Words for whom a step or a reason is."""

    step = Text(load_default="")


class TierShape(Saying, Sourced):
    """One step of the triage ladder; its rank is its position in the list."""

    code = Name(required=True, data_key="tier")
    display = Text(required=True)
    target = Text(required=True)
    within = ParameterName(load_default="")
    to = Name(load_default="")
    recheck = Part(RecheckShape, load_default=None)
    overlay = TrueOrFalse(load_default=False)
    patient = Text(required=True)
    clinician = Text(required=True)
    referral = Choice(*PRIORITIES, load_default="")
    number = Choice(*NUMBERS, load_default="")


class AnswerWordsShape(Shape):
    """Words around the answers to a question."""

    makes = AnswerWords

    label = Text(load_default="")
    before = Text(load_default="")
    after = Text(load_default="")


class RespondentShape(Shape):
    """The question that says who answers."""

    makes = Respondent

    question = Word(required=True)
    answers = ByName(keys=Word(), values=Choice(*RESPONDENTS), required=True)


class ListedField(Strict[str]):
    """`always`, or `{from: level}`; loads to the level's name, empty for always."""

    expected = "expected always, or {from: level}"

    def _takes(self, value: Any) -> bool:
        return value == "always" or names_one(value, "from")

    def _read(self, value: Any) -> str:
        return "" if value == "always" else str(value["from"])


class OutcomeShape(Saying, Sourced):
    """One outcome and its ladder of levels."""

    makes = Outcome

    code = Name(required=True, data_key="outcome")
    display = Text(required=True)
    codes = Part(CodingShape, many=True, load_default=())
    levels = ListOf(Name(), required=True)
    listed_from = ListedField(required=True, data_key="listed")
    worse = Choice("higher", "lower", load_default="")
    patient = Text(required=True)
    clinician = Text(required=True)


class KindShape(Shape):
    """One kind of finding or rule; open questions of red flags are asked first."""

    red_flag = TrueOrFalse(load_default=False, data_key="red-flag")


class ExceptionShape(Shape):
    """A finding that may cancel rules."""

    makes = CancelledRules

    finding = Name(required=True)
    cancels = ListOf(Name(), required=True)


class PromiseShape(Shape):
    """What must hold for every response: one of five forms, told apart by their keys."""

    makes = Promise

    name = Name(required=True, data_key="promise")
    when = ConditionField(load_default=None)
    only_if = ConditionField(load_default=None, data_key="only-if")
    tier = Name(load_default="")
    tier_at_least = Name(load_default="", data_key="tier-at-least")
    never_changes_tier = ListOf(Name(), load_default=(), data_key="never-changes-tier")
    never_lowers_tier = ListOf(Name(), load_default=(), data_key="never-lowers-tier")
    never_later = ListOf(Name(), load_default=(), data_key="never-later")

    @validates_schema
    def _has_one_form(self, data: Mapping[str, Any], **_: Any) -> None:
        if _form(data) == "":
            lists = "never-changes-tier, never-lowers-tier, never-later"
            forms = f"expected one of these forms: when and tier-at-least, tier and only-if, {lists}"
            raise ValidationError(forms, "promise")

    def _members(self, data: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": data["name"],
            "form": _form(data),
            "tier": data["tier"] or data["tier_at_least"],
            "when": data["when"] or data["only_if"],
            "kinds": data["never_changes_tier"] or data["never_lowers_tier"] or data["never_later"],
        }


_FORMS = {
    frozenset({"when", "tier_at_least"}): "tier-at-least",
    frozenset({"tier", "only_if"}): "only-if",
    frozenset({"never_changes_tier"}): "never-changes-tier",
    frozenset({"never_lowers_tier"}): "never-lowers-tier",
    frozenset({"never_later"}): "never-later",
}


def _form(data: Mapping[str, Any]) -> str:
    filled = frozenset(key for key, value in data.items() if key != "name" and value not in ("", (), None))
    return _FORMS.get(filled, "")


class GuidanceShape(Shape):
    """guidance.yaml; makes the members of `Written` that stand in this file."""

    url = Text(required=True, data_key="guidance")
    version = Text(required=True)
    title = Text(required=True)
    patient_title = Text(load_default="", data_key="patient-title")
    status = Choice("draft", "active", "retired", required=True)
    date = Text(required=True)
    questionnaire = Text(required=True)
    code = Part(CodeShape, required=True)
    reason = Part(CodeShape, load_default=None)
    source = Part(SourceShape, required=True)
    secondary_sources = Part(SecondarySourceShape, many=True, load_default=(), data_key="secondary-sources")
    review = Part(ReviewShape, required=True)
    intended_use = Part(ReadersShape, required=True, data_key="intended-use")
    words = ByName(keys=Name(), values=Word(), load_default=dict)
    terminology = Text(required=True)
    parameters = ByName(keys=Name(), values=Part(ParameterShape), load_default=dict)
    addressees = ByName(keys=Name(), values=Part(AddresseeShape), load_default=dict)
    derived = ByName(keys=Name(), values=Part(DerivedShape), load_default=dict)
    chart = ByName(keys=Word(), values=Part(ChartShape), load_default=dict)
    tiers = Part(TierShape, many=True, required=True)
    redirects = Part(RedirectShape, many=True, load_default=())
    levels = ByName(keys=Name(), values=Part(LevelShape), load_default=dict)
    outcomes = Part(OutcomeShape, many=True, load_default=())
    kinds = ByName(keys=Name(), values=Part(KindShape), required=True)
    exceptions = Part(ExceptionShape, many=True, load_default=())
    promises = Part(PromiseShape, many=True, load_default=())
    summary = ListOf(Word(), load_default=())
    answer_words = ByName(
        keys=Word(), values=Part(AnswerWordsShape), load_default=dict, data_key="answer-words"
    )
    respondent = Part(RespondentShape, load_default=None)
    earlier = Part(EarlierShape, load_default=dict)

    def _members(self, data: dict[str, Any]) -> dict[str, Any]:
        return {
            **{name: data[name] for name in _AS_THEY_ARE},
            "identity": _identity(data),
            "parameters": {name: Parameter(name=name, **entry) for name, entry in data["parameters"].items()},
            "derived": {name: Derived(name=name, **entry) for name, entry in data["derived"].items()},
            "tiers": tuple(Tier(rank=rank, **entry) for rank, entry in enumerate(data["tiers"])),
            "levels": {code: Level(code=code, **entry) for code, entry in data["levels"].items()},
            "kinds": {name: kind["red_flag"] for name, kind in data["kinds"].items()},
            "not_known": data["earlier"].get("not_known", {}),
        }


_AS_THEY_ARE = (
    *("words", "chart", "outcomes", "exceptions", "addressees", "redirects", "promises"),
    *("summary", "answer_words", "respondent"),
)
"""Members of `Written` that are what the file says."""

_OF_IDENTITY = (
    *("url", "version", "title", "patient_title", "status", "date"),
    *("questionnaire", "intended_use", "terminology"),
)
"""The same of `Identity`."""


def _identity(data: Mapping[str, Any]) -> Identity:
    source, code, reason = data["source"], data["code"], data["reason"]
    return Identity(
        **{name: data[name] for name in _OF_IDENTITY},
        slug=data["url"].rstrip("/").rpartition("/")[2],
        hash="",
        code=Coding(code["system"], code["code"]),
        code_display=code["display"],
        reason=None if reason is None else Coding(reason["system"], reason["code"]),
        reason_display="" if reason is None else reason["display"],
        **data["review"],
        source_note=f"{source['title']}. {source['author']}, {source['published']}. {source['note']}",
        secondary_sources=tuple(
            f"{entry['title']}. {entry['published']}. {entry['note']}" for entry in data["secondary_sources"]
        ),
    )


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
_NAMING = (*(key for key, _ in _LISTS.values()), "row", "band", "promise", "redirect", "tier", "outcome")
"""Keys that name an entry of a list; where an entry has several, the first of these."""


def file_shapes() -> dict[str, type[Schema]]:
    """Returns the shape of every file by its stem: guidance.yaml is one, the others list entries."""
    return {"guidance": GuidanceShape, **{stem: shape for stem, (_, shape) in _LISTS.items()}}


def written_from(documents: Mapping[str, object]) -> Written:
    """Reads the documents; the names in them are not checked yet.

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
    scores = lists.get("scores", ())
    return Written(
        **head,
        statements=lists["sources"],
        findings=lists["findings"],
        rules=with_band_rules(lists["rules"], scores, head["tiers"], head["outcomes"]),
        comparisons=lists["comparisons"],
        advice=lists["advice"],
        contradictions=lists["contradictions"],
        scores=scores,
        cases=lists["cases"],
    )


def fault_line(file: str, place: Place, expected: str) -> str:
    """Returns the line for one fault: `file.yaml: key path: what was expected`."""
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
    if not isinstance(document, expected) or document == {}:
        key = _LISTS[stem][0] if shape.many else "guidance"
        words = "a list of entries that start" if shape.many else "a mapping that starts"
        empty = "" if document else "is empty; "
        faults.append(fault_line(f"{stem}.yaml", (), f"{empty}expected {words} with `{key}:`"))
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
            step = () if key == "_schema" else (step_of(key, inner),)
            yield from _flat(below, inner if step else written, (*place, *step))
        return
    for text in messages if isinstance(messages, Iterable) and not isinstance(messages, str) else [messages]:
        yield place, str(text)


def _holds(written: Any, key: Any) -> bool:
    if isinstance(written, list):
        return isinstance(key, int) and key < len(written)
    return isinstance(written, dict) and key in written


def step_of(key: Any, inner: Any) -> str | int:
    """Returns the part of a place for a key or an index: the entry's name, if it has one."""
    if isinstance(key, int) and isinstance(inner, dict):
        return next((inner[name] for name in _NAMING if isinstance(inner.get(name), str)), key)
    return key if isinstance(key, int) else str(key)
