"""A small questionnaire with its guidance and results, made by hand: nothing here needs a mapping file."""

from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from service.datatypes.answers import Answers, Coding, Quantity
from service.datatypes.form import Form, Option, Question
from service.fhir.chart import ChartValues
from service.fhir.response_context import ResponseContext
from service.guidance import model
from service.guidance.conditions import Named
from service.guidance.result import (
    STATES,
    FindingStates,
    Fired,
    Interval,
    OpenQuestion,
    Result,
    Risk,
    RowTally,
    Tally,
    Total,
)
from service.results import Assessment, Renderer

BASE = "https://example.org/fhir"
LOINC = "http://loinc.org"
OWN = f"{BASE}/CodeSystem/demo"
RISK = "http://terminology.hl7.org/CodeSystem/risk-probability"
YES, NO = Coding(LOINC, "LA33-6"), Coding(LOINC, "LA32-8")
NO_ANSWERS = Answers({})
YES_NO = (Option(YES, "Yes", Decimal(3)), Option(NO, "No", Decimal(0)))

QUESTIONS = (
    Question("fever", "Fever above 38 °C & chills <today>?", "choice", YES_NO, 1),
    Question("cough", 'Do you "cough"?', "choice", YES_NO, 2),
    Question("days", "For how many days?", "quantity", (), 3, units=("d", "wk")),
    Question("pain", "Pain from 0 to 10?", "integer", (), 4),
    Question(
        "crp", "C-reactive protein", "quantity", (), 5, codes=(Coding(LOINC, "1988-5"),), units=("mg/L",)
    ),
    Question("note", "", "string", (), 6),
    Question("ph", "pH", "decimal", (), 7, codes=(Coding(LOINC, "2746-6"),), units=("[pH]",)),
)


def says(text: str) -> model.Says:
    return model.Says(f"You: {text}", f"Clinician: {text}")


def tier(rank: int, code: str) -> model.Tier:
    return model.Tier(
        code, rank, code.capitalize(), f"Target {code}", says(f"tier {code}"), "article", ("S1",)
    )


def rule(name: str, **more: Any) -> model.Rule:
    stated = {"kind": "", "when": None, "tier": "", "outcome": "", "level": "", "priority": ""}
    stated |= {"says": says(f"rule {name}"), "origin": "article", "sources": ("S1", "S2")}
    return model.Rule(name=name, **(stated | more))


TIERS = tuple(tier(rank, code) for rank, code in enumerate(("unknown", "home", "soon", "now")))
LEVELS = tuple(
    model.Level(code, f"{code.capitalize()} likelihood", Coding(RISK, code))
    for code in ("low", "moderate", "high")
)
GRADES = (model.Level("none", "Nothing points to it", None), model.Level("some", "Something does", None))
FLU = model.Outcome(
    "flu",
    "Flu pattern",
    (Coding("http://snomed.info/sct", "6142004"),),
    ("low", "moderate", "high"),
    "",
    says("flu"),
    "article",
    ("S1",),
)
OTHER = model.Outcome("other", "Other cause", (), ("none", "some"), "some", says("other"), "article", ("S2",))
RULES = (
    rule("fever-is-urgent", kind="red-flag", tier="now"),
    rule(
        "cough-is-soon",
        tier="soon",
        priority="expedited",
        origin="project",
        says=model.Says("", "Cough <b>&</b> more"),
    ),
    rule("flu-high", outcome="flu", level="high"),
    rule("flu-low", outcome="flu", level="low", sources=()),
    rule("other-some", outcome="other", level="some", says=model.Says("Only you", "")),
)
SIDES = model.Side("left", None, ("S1",)), model.Side("right", None, ("S2",))
ROWS = tuple(model.Row(f"row-{n}", f"Feature {n}", *SIDES, "") for n in range(4))
TABLE = model.Comparison(
    "flu-or-cold", "Flu against cold", model.Head("", "Flu"), model.Head("", "Cold"), ROWS
)
ADVICE = (
    model.Advice("rest", "self-care", None, says("rest & drink"), (), "article", ("S1",)),
    model.Advice(
        "outlook", "information", None, model.Says("", "Prognosis for clinicians"), (), "article", ("S2",)
    ),
    model.Advice("film", "come-back", None, model.Says("Come back", ""), (), "project", ()),
)
CLASH = model.Contradiction("fever-and-none", (Named("fever"), Named("no-fever")), (), says("both cannot be"))
SCORE = model.Score(
    name="sum",
    display="Sum of two",
    code=None,
    code_display="",
    unit="{score}",
    addends=tuple(
        model.Addend(link_id, None, Decimal(0), Decimal(1), reversed=False, low=None, high=None)
        for link_id in ("fever", "cough")
    ),
    missing=model.Missing("interval"),
    outcome="",
    kind="",
    bands=(
        model.ScoreBand("mild", Decimal(0), Decimal(2), "Mild", "", "", model.Says("", "")),
        model.ScoreBand("severe", Decimal(3), Decimal(6), "Severe", "", "", model.Says("", "")),
    ),
    origin="article",
    sources=("S1",),
)
IDENTITY = model.Identity(
    slug="demo",
    url=f"{BASE}/guidance/demo",
    version="1.2.0",
    hash="ab" * 32,
    title="Demo <guidance>",
    status="active",
    date="2026-01-01",
    questionnaire=f"{BASE}/Questionnaire/demo|1.0.0",
    code=Coding("http://snomed.info/sct", "1"),
    code_display="Assessment",
    intended_use=says("decision support"),
    review="none",
    signed=False,
    source_note="A paper.",
    terminology=OWN,
)
WRITTEN = model.Written(
    identity=IDENTITY,
    words={},
    parameters={},
    derived={},
    chart={},
    tiers=TIERS,
    levels={level.code: level for level in (*LEVELS, *GRADES)},
    kinds={},
    exceptions=(),
    promises=(),
    statements=(),
    findings=(),
    cases=(),
    outcomes=(FLU, OTHER),
    rules=RULES,
    comparisons=(TABLE,),
    advice=ADVICE,
    contradictions=(CLASH,),
    scores=(SCORE,),
)


@pytest.fixture(scope="session")
def form() -> Form:
    return Form(IDENTITY.questionnaire, {question.link_id: question for question in QUESTIONS})


@pytest.fixture(scope="session")
def guidance(form: Form) -> Any:
    return SimpleNamespace(written=WRITTEN, form=form, contradictions=WRITTEN.contradictions, language="en")


@pytest.fixture(scope="session")
def renderer(guidance: Any) -> Renderer:
    return Renderer(guidance)


def states(**named: str) -> FindingStates:
    """Findings in these states."""
    shifts = {name: 2 * number for number, name in enumerate(named)}
    bits = sum(STATES.index(state) << shifts[name] for name, state in named.items())
    return FindingStates(shifts, bits)


def tally(*states: str) -> Tally:
    rows = tuple(RowTally(row, state) for row, state in zip(ROWS, states, strict=True))
    count = {side: sum(state in (side, "both") for state in states) for side in ("left", "right")}
    answered = sum(state not in ("open", "informs-only") for state in states)
    return Tally(TABLE, rows, count["left"], count["right"], answered, states.count("open"))


@pytest.fixture
def make_result() -> Callable[..., Result]:
    """Makes a settled result; keywords change parts of it."""

    def make(**more: Any) -> Result:
        stated: dict[str, Any] = {
            "tier": Interval(3, 3),
            "tiers": TIERS,
            "fired": (
                Fired(RULES[0], ("fever",)),
                Fired(RULES[1], ("cough", "days", "pain", "crp", "note", "ph")),
            ),
            "risks": (
                Risk(FLU, Interval(2, 2), (Fired(RULES[2], ("fever", "cough")),)),
                Risk(OTHER, Interval(0, 0), ()),
            ),
            "findings": states(fever="present", rash="unknown"),
            "open": (),
            "contradictions": (),
            "tables": (tally("left", "right", "both", "informs-only"),),
            "totals": (),
            "advice": ADVICE,
            "ignored": (),
            "settled": True,
        }
        stated |= more
        return Result(**({"date_settled": stated["tier"].settled} | stated))

    return make


@pytest.fixture
def unsettled(make_result: Callable[..., Result]) -> Result:
    """Nothing is known yet: every question open, the tier between its lowest step and its highest."""
    return make_result(
        tier=Interval(0, 3),
        fired=(),
        risks=(Risk(FLU, Interval(0, 2), (Fired(RULES[3], ()),)), Risk(OTHER, Interval(0, 1), ())),
        open=(OpenQuestion("fever", ("tier", "flu"), True), OpenQuestion("note", ("other",), False)),
        tables=(tally("open", "neither", "open", "informs-only"),),
        settled=False,
    )


@pytest.fixture
def troubled(make_result: Callable[..., Result]) -> Result:
    """At least a step, a contradiction, an ignored answer, a score that is open at one end."""
    return make_result(
        tier=Interval(2, 3),
        fired=(Fired(RULES[1], ("cough",)),),
        risks=(Risk(FLU, Interval(1, 2), ()), Risk(OTHER, Interval(1, 1), (Fired(RULES[4], ("note",)),))),
        open=(OpenQuestion("fever", ("tier", "a-score"), True),),
        contradictions=(CLASH,),
        totals=(Total(SCORE, Decimal(0), Decimal("3.0"), ("mild", "severe"), 1, 1, None, False),),
        ignored=("pain", "not-in-the-form"),
        settled=False,
    )


@pytest.fixture
def make_context() -> Callable[..., ResponseContext]:
    def make(**more: Any) -> ResponseContext:
        stated: dict[str, Any] = {
            "id": "r1",
            "identifier": {"system": f"{BASE}/responses", "value": "1"},
            "questionnaire": IDENTITY.questionnaire,
            "status": "completed",
            "subject": {"reference": "Patient/p1"},
            "encounter": {"reference": "Encounter/e1"},
            "authored": "2026-01-05T10:00:00+01:00",
        }
        return ResponseContext(**(stated | more))

    return make


@pytest.fixture
def make_states() -> Callable[..., FindingStates]:
    return states


@pytest.fixture
def make_assessment(make_context: Callable[..., ResponseContext]) -> Callable[..., Assessment]:
    """Makes what an output is made from; keywords change the context."""

    def make(result: Result, answers: Answers = NO_ANSWERS, **more: Any) -> Assessment:
        chart, problems = more.pop("chart", ChartValues()), tuple(more.pop("problems", ()))
        return Assessment(result, answers, make_context(**more), chart, problems)

    return make


@pytest.fixture
def answers() -> Answers:
    return Answers(
        given={
            "fever": (YES,),
            "days": (Quantity(Decimal("2.50"), "d"),),
            "pain": (0,),
            "note": ("free text",),
        },
        closed=frozenset({"ph"}),
        ignored={"cough": (NO,)},
        chart={"crp": (Quantity(Decimal(12), "mg/L"),)},
    )


def coded(link: str, coding: Coding = NO, display: str = "No") -> dict[str, Any]:
    answer = {"valueCoding": {"system": coding.system, "code": coding.code, "display": display}}
    return {"linkId": link, "text": f"About {link}", "answer": [answer]}


@pytest.fixture
def response() -> dict[str, Any]:
    """A valid response with every kind of plain answer, groups, and items inside an answer."""
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "r1",
        "meta": {"versionId": "1", "lastUpdated": "2026-01-05T10:00:00Z", "profile": [f"{BASE}/p"]},
        "language": "en",
        "identifier": {"use": "official", "system": f"{BASE}/responses", "value": "1"},
        "questionnaire": IDENTITY.questionnaire,
        "status": "completed",
        "subject": {"reference": "Patient/p1", "type": "Patient", "display": "Somebody"},
        "encounter": {"identifier": {"value": "e1"}},
        "authored": "2026-01-05T10:00:00+01:00",
        "author": {"display": "Somebody"},
        "item": [
            {"linkId": "g1", "text": "Group", "item": [coded("fever", YES, "Yes"), coded("cough")]},
            {
                "linkId": "g2",
                "item": [
                    {
                        "linkId": "days",
                        "answer": [
                            {
                                "valueQuantity": {
                                    "value": Decimal("2.50"),
                                    "unit": "days",
                                    "system": "http://unitsofmeasure.org",
                                    "code": "d",
                                },
                                "item": [{"linkId": "note", "answer": [{"valueString": "since Monday"}]}],
                            }
                        ],
                    },
                    {"linkId": "pain", "answer": [{"valueInteger": 0}, {"valueInteger": -7}]},
                    {"linkId": "a", "answer": [{"valueBoolean": False}, {"valueDecimal": Decimal("-0.10")}]},
                    {
                        "linkId": "b",
                        "answer": [{"valueDate": "2026-01"}, {"valueDateTime": "2026-01-05T10:00:00Z"}],
                    },
                    {"linkId": "c", "answer": [{"valueTime": "10:00:00"}, {"valueUri": "urn:a:b"}]},
                ],
            },
            {"linkId": "g3"},
        ],
    }
