"""What is added to the FHIRPath engine: R4's functions, the moment of the response, and an index of items."""

from __future__ import annotations

import re
import sys
from contextlib import nullcontext
from decimal import Decimal
from itertools import count as counting
from itertools import pairwise, product
from typing import Any

import pytest
from small_forms import compiled, copied, form, response, shown

from service.questionnaire import expressions, validate
from service.questionnaire.expressions import membership
from service.questionnaire.fhirpath import (
    NotAtHand,
    NotEvaluated,
    Surroundings,
    data_of,
    item_node,
    parse_expression,
)
from service.questionnaire.fhirpath_syntax import NotParsed
from service.terminology import value_sets_from

COLOURS = "http://sets.example.org/ValueSet/colours"
SETS = value_sets_from(
    [
        {
            "resourceType": "ValueSet",
            "url": COLOURS,
            "compose": {
                "include": [{"system": "urn:colours", "concept": [{"code": "red"}, {"code": "blue"}]}]
            },
        },
        {
            "resourceType": "ValueSet",
            "url": "http://sets.example.org/ValueSet/open",
            "compose": {
                "include": [{"system": "urn:colours", "concept": [{"code": "red"}]}, {"system": "urn:far"}]
            },
        },
    ]
)
OPEN = "http://sets.example.org/ValueSet/open"


def answered(link: str, *values: dict[str, Any], items: Any = None) -> dict[str, Any]:
    return {"linkId": link, "answer": [{**value, **({"item": items} if items else {})} for value in values]}


RESPONSE = {
    "resourceType": "QuestionnaireResponse",
    "subject": {"reference": "#p"},
    "source": {"reference": "Patient/1"},
    "author": {"reference": "#gone"},
    "contained": [{"resourceType": "Patient", "id": "p", "gender": "female"}],
    "item": [
        answered("a", {"valueInteger": 1}, {"valueInteger": 2}),
        {
            "linkId": "g",
            "item": [
                answered("a2", {"valueInteger": 3}),
                answered("b", {"valueInteger": 4}, items=[answered("n", {"valueInteger": 9})]),
            ],
        },
        {"linkId": "g", "item": [answered("b", {"valueInteger": 5}), answered("b", {"valueInteger": 6})]},
        answered("red", {"valueCoding": {"system": "urn:colours", "code": "red"}}),
        answered("green", {"valueCoding": {"system": "urn:colours", "code": "green"}}),
        answered("far", {"valueCoding": {"system": "urn:far", "code": "x"}}),
        answered("bare", {"valueCoding": {"code": "red"}}),
        answered("word", {"valueString": "red"}),
        {
            "linkId": "beside",
            "answer": [
                {"valueString": "x", "_valueString": {"extension": [{"url": "u", "valueBoolean": True}]}}
            ],
        },
        {"linkId": "only", "answer": [{"_valueString": {"extension": [{"url": "u", "valueBoolean": True}]}}]},
    ],
}


def evaluated(text: str, authored: str = "2024-05-01T23:30:00-05:00", **variables: Any) -> list[Any]:
    surroundings = Surroundings(RESPONSE, authored, member_of=membership(SETS))
    nodes = parse_expression(text).nodes(RESPONSE, {"resource": RESPONSE, **variables}, surroundings)
    return [data_of(node) for node in nodes]


def of(link: str) -> str:
    return f"item.where(linkId = '{link}').answer.value"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%sct", ["http://snomed.info/sct"]),
        ("%loinc", ["http://loinc.org"]),
        ("%ucum", ["http://unitsofmeasure.org"]),
        ('%"vs-administrative-gender"', ["http://hl7.org/fhir/ValueSet/administrative-gender"]),
        ("%`vs-name`", ["http://hl7.org/fhir/ValueSet/name"]),
        ("%'vs-name'", ["http://hl7.org/fhir/ValueSet/name"]),
        ("%vs-name-of-it", ["http://hl7.org/fhir/ValueSet/name-of-it"]),
        ('%"ext-iso21090"', ["http://hl7.org/fhir/StructureDefinition/iso21090"]),
        ("'%vs-name'", ["%vs-name"]),
        (f"{of('word')}.hasValue()", [True]),
        (f"{of('beside')}.hasValue()", [True]),
        (f"{of('only')}.hasValue()", [False]),
        (f"{of('a')}.hasValue()", [False]),
        (f"{of('red')}.hasValue()", [False]),
        (f"{of('nobody')}.hasValue()", [False]),
        (f"{of('beside')}.getValue()", ["x"]),
        (f"{of('red')}.getValue()", []),
        (f"{of('red')}.memberOf('{COLOURS}')", [True]),
        (f"{of('green')}.memberOf('{COLOURS}')", [False]),
        (f"{of('red')}.memberOf('{OPEN}')", [True]),
        (f"{of('green')}.memberOf('{OPEN}')", [False]),
        (f"{of('word')}.memberOf('{COLOURS}')", [True]),
        (f"{of('nobody')}.memberOf('{COLOURS}')", []),
        (f"{of('a')}.memberOf('{COLOURS}')", []),
        (f"{of('red')}.memberOf({{}})", []),
        ("subject.resolve().gender", ["female"]),
        ("subject.reference.resolve().gender", ["female"]),
        ("author.resolve()", []),
        ("'#'.resolve().subject.reference", ["#p"]),
        ("basedOn.resolve()", []),
        ("today()", ["2024-05-01"]),
        ("now()", ["2024-05-01T23:30:00-05:00"]),
        ("timeOfDay()", ["23:30:00"]),
        ("today() + 1 day", ["2024-05-02"]),
        ("today() = @2024-05-01", [True]),
        ("3 'kg'", [{"value": Decimal(3), "system": "http://unitsofmeasure.org", "code": "kg"}]),
        ("4 days", [{"value": Decimal(4), "system": "http://unitsofmeasure.org", "code": "d"}]),
        (f"-{of('word')}.length()", [-3]),
        ("%sct & '%sct' & '`%sct`' // %sct", ["http://snomed.info/sct%sct`%sct`"]),
        ("+2", [2]),
    ],
)
def test_what_r4_adds_has_the_value_that_r4_gives_it(text: str, expected: list[Any]) -> None:
    assert evaluated(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        f"{of('red')}.memberOf('http://nowhere.example.org/set')",
        f"{of('far')}.memberOf('{OPEN}')",
        f"{of('bare')}.memberOf('{COLOURS}')",
        f"{of('word')}.memberOf('{OPEN}')",
        "source.resolve().gender",
        "item.first().elementDefinition()",
        "item.first().conformsTo('http://example.org/profile')",
        "text.`div`.htmlChecks()",
        "%patient.gender",
        "%vs",
    ],
)
def test_what_is_not_at_hand_is_said_and_not_guessed(text: str) -> None:
    with pytest.raises(NotAtHand) as raised:
        evaluated(text)
    assert "red" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "authored", "expected"),
    [
        ("today()", "2024-05-01", ["2024-05-01"]),
        ("now()", "2024-05-01", None),
        ("timeOfDay()", "2024-05-01", None),
        ("today()", "2024-05", None),
        ("today()", "", None),
        ("now()", "the first of May", None),
    ],
)
def test_the_moment_is_that_of_the_response_and_never_of_the_clock(
    text: str, authored: str, expected: list[Any] | None
) -> None:
    if expected is not None:
        assert evaluated(text, authored) == expected
        return
    with pytest.raises(NotAtHand, match="authored"):
        evaluated(text, authored)


def test_a_concept_is_a_member_if_one_of_its_codes_is() -> None:
    member_of = membership(SETS)
    red, green, far = (
        {"system": "urn:colours", "code": "red"},
        {"system": "urn:colours", "code": "green"},
        {},
    )
    assert member_of(COLOURS, {"coding": [green, red, far]}) is True
    assert member_of(COLOURS, {"coding": [green]}) is False
    assert member_of(COLOURS, {"coding": [green, far]}) is None


def test_a_sign_does_not_change_the_variable_that_it_stands_before() -> None:
    assert evaluated("(-%x) + %x", x=[5]) == [0]


def test_text_in_an_expression_that_is_not_read_is_refused_where_it_stands() -> None:
    with pytest.raises(NotParsed, match="column 9"):
        parse_expression("'abcde' 'f'")


def test_a_variable_whose_name_is_a_sentence_is_not_named() -> None:
    with pytest.raises(NotAtHand, match="a variable that it reads is not at hand"):
        evaluated("%`call this number at once`")


@pytest.mark.parametrize("severity", ["error", "warning"])
def test_a_form_that_comes_with_the_response_has_no_word_in_a_message(severity: str) -> None:
    words = "Call this number at once."
    rule = {"that": "item.answer.value < 5", "human": words, "key": "call-me", "severity": severity}
    undecided = {"that": "%patient.active", "human": words, "key": "call-me"}
    contained = form({"id": "a", "type": "integer"}, constraint=[rule, undecided]) | {"id": "q"}
    sent = response(contained, {"a": 5}, questionnaire="#q", contained=[contained])
    found = validate(copied(sent))
    assert [problem.kind for problem in found] == ["constraint", "constraint-undecided"]
    assert not any("call" in problem.text.lower() for problem in found)


def test_a_mark_in_a_text_stays_a_text() -> None:
    assert evaluated("'\ue0000' & 'x'") == ["\ue0000x"]
    assert evaluated(r"'it\'s' & ' ' & 'so'") == ["it's so"]


# Values: equal, in order, and some time later, as N1 says, and in three values.

KG = {"system": "http://unitsofmeasure.org", "code": "kg"}
ANSWERS: dict[str, list[dict[str, Any]]] = {
    "day": [{"valueDate": "2026-11-28"}],
    "month": [{"valueDate": "2026-11"}],
    "noon": [{"valueDateTime": "2026-11-28T12:00:00Z"}],
    "later": [{"valueDateTime": "2026-11-28T14:00:00Z"}],
    "clock": [{"valueTime": "10:30:00"}],
    "weight": [{"valueQuantity": {"value": Decimal("70.5"), "unit": "kg", **KG}}],
    "nothing": [{"valueQuantity": {"value": 0, **KG}}],
    "bare": [{"valueQuantity": {"value": 3, "unit": "cups"}}],
    "term": [{"valueQuantity": {"value": 3, "system": KG["system"], "code": "mo"}}],
    "several": [{"valueCoding": {"code": "a"}}, {"valueCoding": {"code": "b"}}],
    "yes": [{"valueBoolean": True}],
    "one": [{"valueInteger": 1}],
    "said": [{"valueString": "yes", "_valueString": {"id": "n"}}],
    "missing": [{"_valueString": {"extension": [{"url": "u", "valueCode": "unknown"}]}}],
}
AUTHORED = "2026-11-28T23:30:00+10:00"  # half past one in the afternoon, in UTC


def of_answers(text: str) -> list[Any]:
    """Returns what an expression says; `@day` in it is the answer to `day`."""
    named = re.sub(r"@([a-z]+)", r"item.where(linkId = '\1').answer.value", text)
    focus = {
        "resourceType": "QuestionnaireResponse",
        "item": [{"linkId": link, "answer": answers} for link, answers in ANSWERS.items()],
    }
    return [data_of(node) for node in parse_expression(named).nodes(focus, {}, Surroundings(focus, AUTHORED))]


def assert_says(text: str, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(NotAtHand):
            of_answers(text)
    else:
        assert of_answers(text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@later > now()", True),
        ("@later <= now()", False),
        ("@noon < now()", True),
        ("now() = @2026-11-28T13:30:00Z", True),
        ("now() != @2026-11-28T13:30:00.000Z", False),
        ("@day = today()", True),
        ("@day > today() - 1 day", True),
        ("@month = today()", None),
        ("@month != @day", None),
        ("@month < @day", None),
        ("@month < today() + 1 month", True),
        ("@day = @noon", None),
        ("@day != @noon", None),
        ("@day < @noon", None),
        ("now() > today()", None),
        ("today() in @day", True),
        ("@noon in (@2026-11-27T12:00:00Z | @2026-11-29T12:00:00Z)", False),
        ("@noon = @2026-11-28T12:00:00", None),
        ("@noon < @2026-11-29T23:00:00", True),
        ("@noon > @2026-11-28T12:00Z", None),
        ("@noon > @2026-11-28T11:59Z", True),
        ("@noon = @2026-11-28T13+01:00", None),
        ("@clock > @T10:30", None),
        ("@clock = @T10:30:00.0", True),
        ("@clock < @T10:31", True),
        ("@clock = @noon", False),
        ("now() + 1 day = @2026-11-29T23:30:00+10:00", True),
        ("now() - 1 month < @2026-10-28T23:30:01+10:00", True),
        ("@day = '2026-11-28'", True),
    ],
)
def test_moments_compare_as_far_as_they_are_known(text: str, expected: bool | None) -> None:
    assert_says(text, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@weight > 70 'kg'", True),
        ("@weight >= 70500 'g'", True),
        ("@weight = 70500 'g'", True),
        ("@weight != 70500 'g'", False),
        ("@weight < 1 't'", True),
        ("@nothing = 0 'g'", True),
        ("@nothing = @nothing", True),
        ("@bare = @bare", True),
        ("@term >= 3 months", True),
        ("@term < 1 year", True),
        ("8 days > 1 week", True),
        ("@weight in (70500 'g' | 1 'kg')", True),
        ("(1 | 2) = (1 | 3)", False),
        ("(1 | 2) = (1 | 2)", True),
        ("(1 | 2) ~ (2 | 1)", True),
        ("(1 | 2) !~ (2 | 3)", True),
        ("@several.code = ('a' | 'c')", False),
        ("(5 'mg' | 6 'mg').count() = 2", True),
        ("(@weight | @weight | @nothing).count() = 2", True),
        ("(@weight | @nothing).where($this > 1 'kg').count() = 1", True),
        ("(@noon | @later).where($this > now()).count() = 1", True),
        ("(1 | 1.0 | @one | true | @yes).count() = 2", True),
        ("@several.distinct().isDistinct()", True),
        ("@several.where(code = 'a').code.subsetOf(item.answer.value.code)", True),
        ("@yes = @one", False),
        ("@yes = true", True),
        ("@said = 'yes'", True),
        ("@missing = 'yes'", None),
        ("@missing != 'yes'", None),
        ("'no' in @said", False),
    ],
)
def test_values_are_equal_and_in_order_as_a_whole_and_in_any_unit(text: str, expected: bool | None) -> None:
    assert_says(text, expected)


@pytest.mark.parametrize(
    "text",
    [
        "@weight > 3 'mmol/L'",
        "@weight = 3 'mmol/L'",
        "@weight > 3",
        "@bare > 2 'kg'",
        "6 months > 80 days",
        "@yes > false",
        "@several.code.single() = 'a'",
        "@several in @several",
        "@several > @weight",
        "@weight in (3 'mmol/L' | 4 'mmol/L')",
        "@clock < @noon",
        "@noon + 3 'kg'",
        "@said.round()",
    ],
)
def test_values_that_cannot_be_compared_are_not_guessed(text: str) -> None:
    with pytest.raises(NotEvaluated):
        of_answers(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24.45.round(1)", Decimal("24.5")),
        ("2.5.round(0)", 3),
        ("2.5.round()", 3),
        ("(-2.5).round()", -3),
        ("(107 / 40).round(2)", Decimal("2.68")),
        ("@yes.toString()", "true"),
        ("@weight.toString()", "70.5 'kg'"),
        ("(1 week).toString()", "1 week"),
        ("now().toString()", AUTHORED),
        ("@said.toBoolean()", True),
        ("@yes.toBoolean()", True),
        ("@said.convertsToBoolean()", True),
        (r"'caf\u00e9'", "café"),
        (r"'\\n \' \/ \d'", r"\n ' / \d"),
        (r"'\u12 \ud83d\ude00'", "\\u12 \N{GRINNING FACE}"),
        ("@clock.toTime()", "10:30:00"),
        ("'T10:30'.toTime()", "10:30"),
        ("@T10:30:00.5.toTime()", "10:30:00.5"),
        ("@noon.toDate()", "2026-11-28"),
        ("(now() + 7 days).toDate()", "2026-12-05"),
        ("now() + 7 days", "2026-12-05T23:30:00+10:00"),
        ("now() - 3 months", "2026-08-28T23:30:00+10:00"),
        ("@noon + 90 minutes", "2026-11-28T13:30:00Z"),
        ("@noon + 0.5 's'", "2026-11-28T12:00:00.500Z"),
        ("@2024-02-29T10:00:00Z + 1 year", "2025-02-28T10:00:00Z"),
        ("today() + 1 month", "2026-12-28"),
    ],
)
def test_what_is_made_of_a_value_is_what_n1_says(text: str, expected: Any) -> None:
    assert of_answers(text) == [expected]


@pytest.mark.parametrize("text", ["@nobody in @several", "@several.toString()", "@several contains @nobody"])
def test_nothing_comes_of_nothing_nor_of_several_where_one_is_taken(text: str) -> None:
    assert of_answers(text) == []


# The index: it finds what the library finds by walking.

STARTS = ["", "%resource.", "%some."]
PATHS = [
    "item",
    "item.item",
    "item.answer.item",
    "repeat(item)",
    "repeat(item | answer.item)",
    "repeat(item).answer.item",
    "descendants()",
    "descendants().item",
    "item.where(linkId = 'g').item",
    "item.select(item)",
    "item.first().item",
]
CRITERIA = [
    "linkId = 'b'",
    "'b' = linkId",
    "$this.linkId = 'g'",
    "linkId = 'b' or linkId = 'a2'",
    "linkId = 'n' or 'g' = linkId or linkId = 'none'",
    "linkId = 'none'",
]


@pytest.mark.slow
@pytest.mark.parametrize(("start", "path", "criterion"), list(product(STARTS, PATHS, CRITERIA)))
def test_the_index_finds_what_a_walk_finds_in_the_same_order(start: str, path: str, criterion: str) -> None:
    some = [item_node(item) for item in RESPONSE["item"][1:3]]
    indexed = f"{start}{path}.where({criterion})"
    walked = f"{start}{path}.where(({criterion}) and true)"
    assert evaluated(indexed, some=some) == evaluated(walked, some=some)
    for after in (".answer.value", ".item.linkId", ".count()"):
        assert evaluated(indexed + after, some=some) == evaluated(walked + after, some=some)


@pytest.mark.parametrize("odd", [{"linkId": 5}, {"linkId": "b", "_linkId": {"extension": []}}, {}])
def test_items_whose_link_id_is_not_plain_are_walked(odd: dict[str, Any]) -> None:
    focus = {"resourceType": "QuestionnaireResponse", "item": [odd, answered("b", {"valueInteger": 4})]}
    found = [
        [data_of(node) for node in parse_expression(text).nodes(focus, {}, Surroundings(focus))]
        for text in ("item.where(linkId = 'b')", "item.where((linkId = 'b') and true)")
    ]
    assert found[0] == found[1]


def test_a_filter_inside_a_filter_sees_the_item_that_is_filtered() -> None:
    assert evaluated("item.where(item.where(linkId = 'a2').exists()).count()") == [1]
    assert evaluated("item.where(item.where(linkId = 'b').count() = 2).item.answer.value") == [5, 6]


@pytest.mark.slow
@pytest.mark.parametrize(
    "value",
    [
        "%resource.item.where(linkId = '{link}').answer.value",
        "%resource.repeat(item).where(linkId = '{link}').answer.value",
        "%resource.descendants().where(linkId = '{link}').answer.value",
        "%everything.where(linkId = '{link}').answer.value",
    ],
)
def test_the_cost_of_chained_calculations_is_linear(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cost is how many functions are called: unlike time, it is the same on every machine."""
    monkeypatch.setattr(expressions, "time_limit", lambda *_: nullcontext())  # it hooks calls itself

    def cost(count: int) -> int:
        links = [f"c{number}" for number in range(count)]
        chained = [
            {"id": link, "type": "integer", "calculated": value.format(link=before) + " + 1"}
            for before, link in pairwise(links)
        ]
        variable = {"everything": "%resource.repeat(item)"}
        questionnaire = form({"id": "c0", "type": "integer"}, *chained, variable=variable)
        sent = copied(response(questionnaire, {link: number for number, link in enumerate(links)}))
        calls = counting(1)
        sys.setprofile(lambda *_: next(calls))
        try:
            problems = compiled(questionnaire).check(sent).problems
        finally:
            sys.setprofile(None)
        assert shown(problems) == []
        return next(calls)

    cost(80)  # so that every expression has been parsed
    assert cost(80) < 9 * cost(10)


def test_an_expression_that_fails_says_nothing_of_an_answer() -> None:
    with pytest.raises(NotEvaluated) as raised:
        evaluated(f"{of('word')} + 1")
    assert "red" not in str(raised.value)
