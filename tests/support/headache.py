"""Headache at a desk: an invented questionnaire with every kind of question that the grammar reads."""

from copy import deepcopy
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from service.datatypes.answers import Answer, Answers, AnswersByLink, Coding, Quantity
from service.datatypes.form import Form, Option, Question
from service.guidance import Guidance, load
from service.mapping_files import read_documents

FOLDER = Path(__file__).resolve().parents[1] / "guidance" / "fixture"
SYSTEM = "https://guidance.example.org/fhir/CodeSystem/desk-answers"
LOINC = "http://loinc.org"
CANONICAL = "https://guidance.example.org/fhir/Questionnaire/desk|1.0.0"

YES, NO, NOT_SURE = (Coding(LOINC, code) for code in ("LA33-6", "LA32-8", "LA12688-0"))

ENABLED_BY: dict[str, str] = {"head-side": "head-pain", "head-since": "head-pain", "tense-jaw": "tense"}
"""By question, the question that must be answered yes for it to be asked."""


def local(code: str) -> Coding:
    return Coding(SYSTEM, code)


CALM: dict[str, Any] = {
    "head_pain": NO,
    "sudden": False,
    "neck_stiff": NO,
    "worse": NO,
    "strength": 1,
    "screen_hours": Decimal(2),
    "breaks": local("often"),
    "tense": NO,
    "tense_where": local("nowhere"),
    "glasses": local("old"),
    "ferritin": Quantity(Decimal(40), "ug/L"),
    "checked": NO,
}
"""Answers that fire nothing."""


def _options(*codes: str, weights: tuple[str | None, ...] = (), unsure: bool = False) -> tuple[Option, ...]:
    padded = weights or (None,) * len(codes)
    found = [
        Option(local(code), code, None if weight is None else Decimal(weight))
        for code, weight in zip(codes, padded, strict=True)
    ]
    return (*found, Option(NOT_SURE, "Not sure")) if unsure else tuple(found)


def _yes_no(weights: bool = False) -> tuple[Option, ...]:
    yes, no = (Decimal(2), Decimal(0)) if weights else (None, None)
    return (Option(YES, "Yes", yes), Option(NO, "No", no), Option(NOT_SURE, "Not sure"))


def _question(link_id: str, kind: str, options: tuple[Option, ...] = (), **more: Any) -> Question:
    enabled_by = (ENABLED_BY[link_id],) if link_id in ENABLED_BY else ()
    return Question(link_id, f"About {link_id}?", kind, options, order=0, enabled_by=enabled_by, **more)


def questions() -> tuple[Question, ...]:
    return (
        _question("head-pain", "choice", _yes_no()),
        _question(
            "head-side", "choice", _options("left", "right", "front", "back", unsure=True), repeats=True
        ),
        _question("head-since", "quantity", units=("h", "d", "wk", "mo")),
        _question("sudden", "boolean"),
        _question("neck-stiff", "choice", _yes_no()),
        _question("worse", "choice", _yes_no()),
        _question("strength", "integer"),
        _question("screen-hours", "decimal"),
        _question("breaks", "choice", _options("never", "rarely", "often", weights=("3", "1.5", "0"))),
        _question("tense", "choice", _yes_no(weights=True)),
        _question("tense-jaw", "choice", _options("a-little", "a-lot", weights=("1", "2"))),
        _question(
            "tense-where",
            "choice",
            _options("neck", "back", "hands", "nowhere", weights=("1", "1", "-1", "0")),
            repeats=True,
        ),
        _question("glasses", "open-choice", _options("new", "old")),
        _question(
            "ferritin", "quantity", units=("ug/L", "ng/mL", "nmol/L"), codes=(Coding(LOINC, "2276-4"),)
        ),
        _question("note", "string"),
        _question("checked", "choice", _yes_no()),
    )


@cache
def form() -> Form:
    ordered = [
        Question(**{key: getattr(question, key) for key in question.__slots__} | {"order": order})
        for order, question in enumerate(questions())
    ]
    return Form(CANONICAL, {question.link_id: question for question in ordered})


@cache
def _documents() -> dict[str, Any]:
    return read_documents(FOLDER)


def documents() -> dict[str, Any]:
    """The mapping files, to be changed at will."""
    return deepcopy(_documents())


def entry(documents: dict[str, Any], name: str) -> dict[str, Any]:
    """The finding, rule or contradiction of this name in the mapping files."""
    entries = [
        (entry[key], entry)
        for file, key in (("findings", "finding"), ("rules", "rule"), ("contradictions", "contradiction"))
        for entry in documents[file]
    ]
    return dict(entries)[name]


def guidance() -> Guidance:
    return load(documents(), form())


def asked(given: AnswersByLink) -> tuple[frozenset[str], frozenset[str]]:
    """LinkIds that are asked, and those that an answer hides for certain."""
    hidden = {link_id for link_id, question in ENABLED_BY.items() if given.get(question) != (YES,)}
    closed = {link_id for link_id in hidden if given.get(ENABLED_BY[link_id])}
    return frozenset(VALUES) - hidden, frozenset(closed)


def respond(
    given: AnswersByLink | None = None, *, chart: AnswersByLink | None = None, **named: Any
) -> Answers:
    """Answers from values by linkId; in keyword arguments `_` stands for `-`."""
    raw = dict(given or {}) | {name.replace("_", "-"): _tuple(value) for name, value in named.items()}
    shown, closed = asked(raw)
    return Answers(
        given={link_id: values for link_id, values in raw.items() if link_id in shown},
        closed=closed,
        ignored={link_id: values for link_id, values in raw.items() if link_id not in shown},
        chart=chart or {},
    )


def _tuple(value: Any) -> tuple[Answer, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _ranges(unit: str, *written: str) -> tuple[tuple[Quantity], ...]:
    parts = [one.split() for one in written]
    return tuple((Quantity(Decimal(value), unit, comparator),) for comparator, value in parts)


VALUES: dict[str, tuple[tuple[Answer, ...], ...]] = {
    "head-pain": ((YES,), (NO,), (NOT_SURE,)),
    "head-side": (
        *((local(code),) for code in ("left", "right", "front", "back")),
        (NOT_SURE,),
        (local("left"), local("front")),
        (local("back"), NOT_SURE),
    ),
    "head-since": tuple(
        (Quantity(Decimal(value), unit),)
        for value, unit in (("5.9", "h"), ("6", "h"), ("14", "d"), ("2", "wk"), ("14.01", "d"), ("1", "mo"))
    )
    + _ranges("h", "< 6", "<= 6", "> 6", ">= 5.9")
    + _ranges("d", "< 14.01", "<= 14", "> 14", ">= 14", "> 100"),
    "sudden": ((True,), (False,)),
    "neck-stiff": ((YES,), (NO,), (NOT_SURE,)),
    "worse": ((YES,), (NO,), (NOT_SURE,)),
    "strength": tuple((value,) for value in (0, 2, 3, 6, 7, 10)) + _ranges("1", "> 2", "<= 2", "< 8", ">= 7"),
    "screen-hours": tuple((Decimal(value),) for value in ("0", "8.5", "8.51"))
    + _ranges("1", "> 8.5", ">= 8.5", "< 8.5"),
    "breaks": tuple((local(code),) for code in ("never", "rarely", "often")),
    "tense": ((YES,), (NO,), (NOT_SURE,)),
    "tense-jaw": tuple((local(code),) for code in ("a-little", "a-lot")),
    "tense-where": (
        *((local(code),) for code in ("neck", "hands", "nowhere")),
        (local("neck"), local("back")),
        (local("hands"), local("neck")),
    ),
    "glasses": ((local("new"),), (local("old"),), ("my own words",)),
    "ferritin": tuple(
        (Quantity(Decimal(value), unit),)
        for value, unit in (
            ("15", "ug/L"),
            ("14.9", "ng/mL"),
            ("0.034", "nmol/L"),
            ("0.03", "nmol/L"),
            ("3", "mol"),
        )
    )
    + _ranges("ug/L", "< 15", "<= 15", "> 5"),
    "note": (("anything",),),
    "checked": ((YES,), (NO,), (NOT_SURE,)),
}
"""Answers on both sides of every edge, by question."""


@st.composite
def few_answers(draw: st.DrawFn, links: tuple[str, ...] = tuple(VALUES), most: int = 7) -> Answers:
    """A response to the fixture: some answers to questions that are not asked, some from the chart."""
    raw: dict[str, tuple[Answer, ...]] = {}
    chart: dict[str, tuple[Answer, ...]] = {}
    for link in draw(st.lists(st.sampled_from(links), unique=True, max_size=most)):
        into = draw(st.sampled_from((raw, raw, raw, chart)))
        into[link] = draw(st.sampled_from(VALUES[link]))
    return respond(raw, chart=chart)
