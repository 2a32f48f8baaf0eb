"""How each kind of field is read and shown: what is taken, what is not, and what to do is said."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.datatypes.answers import Coding, Quantity, Uncoded
from service.pages.fields import Fields
from service.pages.plan import Plan, Walk
from service.pages.reading import Posted
from service.pages.state import FormState
from service.questionnaire import compile_questionnaire
from service.terminology import value_sets_from

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
UCUM = "http://unitsofmeasure.org"
CORE = "http://hl7.org/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"


def extension(name: str, kind: str, value: object, base: str = CORE) -> dict:
    return {"url": base + name, f"value{kind}": value}


def unit(code: str) -> dict:
    return extension("questionnaire-unitOption", "Coding", {"system": UCUM, "code": code, "display": code})


def option(code: str, *, alone: bool = False) -> dict:
    own = {"extension": [extension("questionnaire-optionExclusive", "Boolean", True)]} if alone else {}
    return {**own, "valueCoding": {"system": "urn:s", "code": code, "display": f"Option {code}"}}


def control(code: str) -> dict:
    system = "http://hl7.org/fhir/questionnaire-item-control"
    concept = {"coding": [{"system": system, "code": code}]}
    return extension("questionnaire-itemControl", "CodeableConcept", concept)


ITEMS = [
    {"linkId": "yes", "type": "boolean"},
    {
        "linkId": "age",
        "type": "integer",
        "required": True,
        "extension": [extension("minValue", "Integer", 0), extension("maxValue", "Integer", 120)],
    },
    {"linkId": "part", "type": "decimal", "extension": [extension("maxDecimalPlaces", "Integer", 2)]},
    {"linkId": "line", "type": "string", "maxLength": 5},
    {"linkId": "words", "type": "text", "extension": [extension("minLength", "Integer", 3)]},
    {"linkId": "lines", "type": "string", "repeats": True},
    {"linkId": "site", "type": "url"},
    {"linkId": "code", "type": "string", "extension": [extension("regex", "String", "[A-Z]{2}[0-9]+")]},
    {"linkId": "day", "type": "date"},
    {"linkId": "free-day", "type": "date"},
    {"linkId": "moment", "type": "dateTime"},
    {"linkId": "clock", "type": "time"},
    {"linkId": "span", "type": "quantity", "extension": [unit("d"), unit("wk")]},
    {"linkId": "lab", "type": "quantity", "extension": [unit("mmol/L")]},
    {"linkId": "bare", "type": "quantity"},
    {"linkId": "one", "type": "choice", "answerOption": [option("a"), option("b")]},
    {
        "linkId": "some",
        "type": "choice",
        "repeats": True,
        "answerOption": [option("a"), option("b"), option("none", alone=True)],
        "extension": [extension("questionnaire-maxOccurs", "Integer", 2)],
    },
    {
        "linkId": "open",
        "type": "open-choice",
        "answerOption": [option("a"), {"valueCoding": {"display": "x"}}],
    },
    {
        "linkId": "open-some",
        "type": "open-choice",
        "repeats": True,
        "answerOption": [option("a"), option("b")],
    },
    {"linkId": "number", "type": "choice", "answerOption": [{"valueInteger": 1}, {"valueInteger": 10}]},
    {"linkId": "list", "type": "choice", "answerOption": [option("a")], "extension": [control("drop-down")]},
    {
        "linkId": "scale",
        "type": "integer",
        "extension": [
            control("slider"),
            extension("minValue", "Integer", 0),
            extension("maxValue", "Integer", 10),
        ],
    },
    {
        "linkId": "alike",
        "type": "choice",
        "answerOption": [
            {"valueCoding": {"system": system, "code": "a", "display": system}}
            for system in ("urn:s", "urn:t")
        ],
    },
    {
        "linkId": "below",
        "type": "string",
        "enableWhen": [{"question": "yes", "operator": "=", "answerBoolean": True}],
    },
    {
        "linkId": "far-below",
        "type": "string",
        "enableBehavior": "any",
        "enableWhen": [
            {"question": "one", "operator": "=", "answerCoding": {"system": "urn:s", "code": "b"}},
            {"question": "age", "operator": ">=", "answerInteger": 18},
        ],
    },
]
PAGE = {"linkId": "page", "type": "group", "text": "Page", "extension": [control("page")]}
FORM = compile_questionnaire(
    {
        "resourceType": "Questionnaire",
        "url": "https://example.org/q",
        "version": "1",
        "status": "active",
        "item": [{**PAGE, "item": [{"text": f"About {item['linkId']}", **item} for item in ITEMS]}],
    },
    value_sets_from(()),
)
PLAN = Plan(FORM)
IN = {language: Fields(FORM, language, frozenset({"day"}), lambda: NOON) for language in ("en", "de")}


def read(link: str, language: str = "en", **sent: str | list[str]):
    """Returns what is read, and what is wrong with it, where controls (`q`, `u`, `d` ...) hold this."""
    values = {f"{name}.{link}": [text] if isinstance(text, str) else text for name, text in sent.items()}
    found = IN[language].read({link}, Posted(values))
    return found.answers.get(link, ()), found.errors.get(link, "")


def coding(code: str, system: str = "urn:s") -> Coding:
    return Coding(system, code)


@pytest.mark.parametrize(
    ("link", "sent", "answers"),
    [
        ("yes", {"q": "true"}, (True,)),
        ("yes", {"q": "false"}, (False,)),
        ("yes", {}, ()),
        ("age", {"q": " 47 "}, (47,)),
        ("age", {"q": "+47"}, (47,)),
        ("age", {"q": "47.0"}, (47,)),
        ("age", {"q": ""}, ()),
        ("part", {"q": "1.50"}, (Decimal("1.50"),)),
        ("part", {"q": "1,5"}, (Decimal("1.5"),)),
        ("part", {"q": "\u22121.5"}, (Decimal("-1.5"),)),
        ("part", {"q": "1\u00a0000"}, (Decimal(1000),)),
        ("line", {"q": " ab\x00c "}, ("abc",)),
        ("line", {"q": "  "}, ()),
        ("words", {"q": "one\r\ntwo"}, ("one\ntwo",)),
        ("lines", {"q": "one\r\n\r\n two "}, ("one", "two")),
        ("site", {"q": "https://example.org/a"}, ("https://example.org/a",)),
        ("code", {"q": "AB12"}, ("AB12",)),
        ("day", {"d": "7", "m": "3", "y": "2026"}, ("2026-03-07",)),
        ("day", {"m": "03", "y": "2026"}, ("2026-03",)),
        ("day", {"y": "2026"}, ("2026",)),
        ("day", {"d": "", "m": "", "y": ""}, ()),
        ("day", {"d": "2", "m": "11", "y": "2026"}, ("2026-11-02",)),
        ("free-day", {"d": "1", "m": "1", "y": "2030"}, ("2030-01-01",)),
        ("moment", {"d": "7", "m": "3", "y": "2026", "t": "9:05"}, ("2026-03-07T09:05:00Z",)),
        ("moment", {"y": "2026"}, ("2026",)),
        ("clock", {"q": "14.30"}, ("14:30:00",)),
        ("span", {"q": "3", "u": "wk"}, (Quantity(Decimal(3), "wk"),)),
        ("span", {"q": "", "u": "wk"}, ()),
        ("lab", {"q": "3.1"}, (Quantity(Decimal("3.1"), "mmol/L"),)),
        ("lab", {"q": "< 0.4"}, (Quantity(Decimal("0.4"), "mmol/L", "<"),)),
        ("lab", {"q": "\u22650.4"}, (Quantity(Decimal("0.4"), "mmol/L", ">="),)),
        ("bare", {"q": "2"}, (Quantity(Decimal(2), ""),)),
        ("one", {"q": "b"}, (coding("b"),)),
        ("some", {"q": ["b", "a"]}, (coding("b"), coding("a"))),
        ("some", {"q": ["none"]}, (coding("none"),)),
        ("open", {"q": "x"}, (Uncoded("", "x"),)),
        ("open", {"q": "a", "o": "something else"}, ("something else",)),
        ("open", {"o": "something else"}, ("something else",)),
        ("open-some", {"q": ["a"], "o": "one\ntwo"}, (coding("a"), "one", "two")),
        ("number", {"q": "10"}, (10,)),
        ("list", {"q": "a"}, (coding("a"),)),
        ("scale", {"q": "0"}, (0,)),
        ("alike", {"q": "urn:t|a"}, (coding("a", "urn:t"),)),
    ],
)
def test_what_can_be_taken_is_read(link, sent, answers):
    found, error = read(link, **sent)
    assert error == ""
    assert found == answers
    assert [type(answer) for answer in found] == [type(answer) for answer in answers]


@pytest.mark.parametrize(
    ("link", "sent", "words"),
    [
        ("yes", {"q": "maybe"}, "Choose"),
        ("age", {"q": "forty"}, "number"),
        ("age", {"q": "4.5"}, "whole number"),
        ("age", {"q": "-1"}, "0 or more"),
        ("age", {"q": "121"}, "120 or less"),
        ("age", {"q": "99999999999"}, "number"),
        ("part", {"q": "1e3"}, "number"),
        ("part", {"q": "1.234"}, "at most 2 digits"),
        ("part", {"q": "1,234"}, "thousands"),
        ("part", {"q": "1,234.5"}, "number"),
        ("line", {"q": "abcdef"}, "at most 5 characters"),
        ("words", {"q": "ab"}, "at least 3 characters"),
        ("words", {"q": "x" * 10_001}, "characters"),
        ("site", {"q": "example"}, "web address"),
        ("code", {"q": "ab"}, "form that is asked for"),
        ("day", {"d": "31", "m": "2", "y": "2026"}, "date"),
        ("day", {"d": "3", "y": "2026"}, "date"),
        ("day", {"d": "3", "m": "2", "y": "26"}, "four digits"),
        ("day", {"d": "3", "m": "2"}, "four digits"),
        ("day", {"d": "3", "m": "11", "y": "2026"}, "future"),
        ("moment", {"d": "3", "m": "2", "y": "2026", "t": "25:00"}, "time"),
        ("moment", {"y": "2026", "t": "12:00"}, "date"),
        ("clock", {"q": "noon"}, "time"),
        ("span", {"q": "3"}, "unit"),
        ("span", {"q": "3", "u": "mo"}, "unit"),
        ("span", {"q": "x", "u": "d"}, "number"),
        ("lab", {"q": "<"}, "number"),
        ("one", {"q": "z"}, "Choose"),
        ("one", {"q": ["a", "b"]}, "Choose"),
        ("some", {"q": ["a", "none"]}, "alone"),
        ("some", {"q": ["a", "b", "z"]}, "Choose"),
        ("alike", {"q": "a"}, "Choose"),
        ("number", {"q": "2"}, "Choose"),
    ],
)
def test_what_cannot_be_taken_is_said_with_what_to_do_and_not_repeated(link, sent, words):
    found, error = read(link, **sent)
    assert found == ()
    assert words in error
    assert f"About {link}" in error
    typed = [text for text in sent.values() if isinstance(text, str) and len(text) > 3]
    assert not [text for text in typed if f" {text} " in f" {error} "]


def test_more_answers_than_may_be_are_refused():
    found, error = read("some", q=["a", "b", "none"])
    assert found == ()
    assert "at most 2" in error


def test_a_decimal_mark_is_that_of_the_language():
    assert read("part", "de", q="1,5") == ((Decimal("1.5"),), "")
    assert read("part", "de", q="1.5") == ((Decimal("1.5"),), "")
    assert read("part", "de", q="0.125")[1].endswith("nach dem Komma ein")
    assert "Tausender" in read("part", "de", q="1.500")[1]
    assert "thousands" in read("part", q="1,500")[1]


def test_what_must_be_answered_is_missing():
    assert [*IN["en"].missing({"age", "part"}, {})] == ["age"]
    assert IN["en"].missing({"age", "part"}, {"age": (3,)}) == {}


def shown(answers: dict, posted: dict | None = None, errors: dict | None = None, language: str = "en"):
    """Returns the fields of the page by linkId."""
    walk = Walk(PLAN, FormState("id", language, answers=answers))
    sent = None if posted is None else Posted(posted)
    return {f.link_id: f for f in IN[language].shown(PLAN.pages[0], walk, sent, errors)}


def test_each_kind_of_question_has_its_field():
    kinds = {link: field.kind for link, field in shown({}).items()}
    assert kinds == {
        **dict.fromkeys(("yes", "one", "open", "number", "alike"), "radios"),
        **dict.fromkeys(("some", "open-some"), "checkboxes"),
        "age": "integer",
        "part": "decimal",
        "line": "string",
        "words": "text",
        "lines": "text",
        "site": "url",
        "code": "string",
        "day": "date",
        "free-day": "date",
        "moment": "date-time",
        "clock": "time",
        "span": "quantity",
        "lab": "quantity",
        "bare": "quantity",
        "list": "select",
        "scale": "slider",
        "below": "string",
        "far-below": "string",
    }


def test_a_field_shows_its_limits_units_and_options():
    fields = shown({})
    assert (fields["age"].low, fields["age"].high, fields["age"].is_required) == ("0", "120", True)
    assert fields["line"].max_length == "5"
    assert [choice.label for choice in fields["span"].units] == ["days", "weeks"]
    assert fields["lab"].unit == "mmol/L"
    assert [choice.is_exclusive for choice in fields["some"].choices] == [False, False, True]
    assert fields["open"].other == ""
    assert fields["one"].other is None
    assert len({field.id for field in fields.values()}) == len(fields)


def test_a_condition_on_the_page_is_told_to_the_script():
    fields = shown({})
    assert fields["below"].when == '[false,[["yes","=","true"]]]'
    assert fields["far-below"].when == '[true,[["one","=","b"],["age",">=","18"]]]'
    assert fields["below"].is_hidden
    assert not shown({"yes": (True,)})["below"].is_hidden


def test_an_answer_that_is_wrong_stays_in_its_box():
    posted = {"q.age": ["forty"], "d.day": ["31"], "m.day": ["2"], "y.day": ["2026"], "u.span": ["wk"]}
    fields = shown({}, posted, {"age": "wrong", "day": "wrong", "span": "wrong"})
    assert (fields["age"].value, fields["age"].error) == ("forty", "wrong")
    assert fields["day"].date[:3] == ("31", "2", "2026")
    assert [choice.is_chosen for choice in fields["span"].units] == [False, True]


COMPARATORS = ["", "<", "<=", ">", ">="]
signs = st.characters(codec="utf-8", exclude_categories=("C", "Z"))
numbers = st.decimals(-999, 999, places=2)
codes = st.sampled_from(["a", "b"])
ANSWERS = {
    "yes": st.tuples(st.booleans()),
    "age": st.tuples(st.integers(0, 120)),
    "part": st.tuples(numbers),
    "words": st.tuples(
        st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=3, max_size=50)
    ),
    "day": st.tuples(st.dates(max_value=NOON.date(), min_value=NOON.date().replace(year=1900)).map(str)),
    "clock": st.tuples(st.times().map(lambda time: time.strftime("%H:%M:00"))),
    "span": st.tuples(st.builds(Quantity, numbers, st.sampled_from(["d", "wk"]), st.just(""))),
    "lab": st.tuples(
        st.builds(Quantity, numbers, st.just("mmol/L"), st.sampled_from(["", "<", "<=", ">", ">="]))
    ),
    "one": st.tuples(codes.map(coding)),
    "some": st.lists(codes.map(coding), min_size=1, max_size=2, unique=True).map(tuple),
    "open": st.tuples(st.just(Uncoded("", "x")) | codes.filter("a".__eq__).map(coding)),
    "scale": st.tuples(st.integers(0, 10)),
    "alike": st.tuples(st.sampled_from(["urn:s", "urn:t"]).map(lambda system: coding("a", system))),
}


@given(st.fixed_dictionaries({}, optional=ANSWERS), st.sampled_from(["en", "de"]))
def test_what_a_field_shows_is_read_as_the_same_answer(answers, language):
    fields = shown(answers, language=language)
    sent: dict[str, list[str]] = {}
    for link, field in fields.items():
        chosen = [choice.value for choice in field.choices if choice.is_chosen]
        day, month, year, time = field.date
        sent |= {f"q.{link}": chosen or [field.value], f"d.{link}": [day], f"m.{link}": [month]}
        sent |= {f"y.{link}": [year], f"t.{link}": [time], f"o.{link}": [field.other or ""]}
        sent |= {f"u.{link}": [choice.value for choice in field.units if choice.is_chosen]}
    reading = IN[language].read(set(ANSWERS), Posted(sent))
    assert reading.errors == {}
    assert {link: set(given) for link, given in reading.answers.items()} == {
        link: set(given) for link, given in answers.items()
    }


@given(
    st.dictionaries(
        st.sampled_from([f"{c}.{i['linkId']}" for c in "qudmyto" for i in ITEMS]),
        st.lists(st.text(), max_size=3),
    )
)
def test_whatever_is_sent_is_read_or_said_to_be_wrong(sent):
    links = {item["linkId"] for item in ITEMS}
    reading = IN["de"].read(links, Posted(sent))
    assert not reading.answers.keys() & reading.errors.keys()
    assert reading.answers.keys() | reading.errors.keys() <= links
    assert FORM.enabled(reading.answers)
