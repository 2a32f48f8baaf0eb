"""Compiling forms, finding the form of a response, and what the rest of the program sees of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from small_forms import CANONICAL, SYSTEM, UCUM, compiled, copied, form, item, response, shown, structs

from service.datatypes.answers import Answers, Coding, Quantity
from service.errors import GuidanceError
from service.questionnaire import compile_questionnaire, validate, version_order
from service.questionnaire.values import answers_equal, compare_answers
from service.terminology import ValueSets, value_sets_from

URL = CANONICAL.partition("|")[0]


def test_a_form_with_errors_is_not_served_and_every_error_is_named() -> None:
    with pytest.raises(GuidanceError) as raised:
        compile_questionnaire(form({"id": "g", "type": "group"}, {"id": "g"}), ValueSets())
    assert [fault.partition(":")[0] for fault in raised.value.faults] == [
        "Questionnaire.item[0]",
        "Questionnaire.item[1]",
    ]


def test_a_form_with_warnings_only_is_served() -> None:
    known = compile_questionnaire(form({"id": "a", "type": "choice"}), ValueSets())
    assert [problem.kind for problem in known.lint] == ["options-missing"]


def test_the_guidance_sees_questions_with_options_units_and_codes_in_order() -> None:
    questionnaire = form(
        {"id": "d", "type": "display"},
        {"id": "g", "items": [{"id": "a", "options": [{"code": "x", "weight": 3}, "y"], "repeats": True}]},
        {
            "id": "q",
            "type": "quantity",
            "units": ["d", "wk"],
            "raw": {"code": [{"system": "http://loinc.org", "code": "1-8"}]},
        },
    )
    seen = compile_questionnaire(questionnaire, ValueSets()).form
    assert seen.canonical == CANONICAL
    assert list(seen.questions) == ["a", "q"]
    a, q = seen.questions["a"], seen.questions["q"]
    assert [(option.coding.code, option.weight) for option in a.options] == [("x", Decimal(3)), ("y", None)]
    assert (a.order, a.repeats, a.type) == (2, True, "choice")
    assert (q.units, q.codes) == (("d", "wk"), (Coding("http://loinc.org", "1-8"),))


def test_a_usual_unit_is_known_and_forbids_no_other() -> None:
    unit = {
        "url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unit",
        "valueCoding": {"code": "kg"},
    }
    questionnaire = form({"id": "a", "type": "quantity", "raw": {"extension": [unit]}})
    known = compiled(questionnaire)
    assert known.form.questions["a"].units == ("kg",)
    for answer in ("5 kg", "5 g", "5"):
        assert known.check(copied(response(questionnaire, {"a": answer}))).problems == ()


def test_answers_are_typed_and_in_order() -> None:
    questionnaire = form(
        {"id": "b", "type": "boolean"},
        {"id": "i", "type": "integer"},
        {"id": "n", "type": "decimal"},
        {"id": "q", "type": "quantity"},
        {"id": "c", "options": ["x"]},
        {"id": "s"},
        {"id": "r", "type": "reference"},
        {"id": "f", "type": "attachment"},
    )
    given = {"b": False, "i": 0, "n": Decimal("1.50"), "q": "3 wk", "c": "x", "s": "text", "r": "Patient/1"}
    given |= {"f": {"contentType": "text/plain", "url": "https://x.example.org"}}
    answers = compiled(questionnaire).check(copied(response(questionnaire, given))).answers
    assert dict(answers.given) == {
        "b": (False,),
        "i": (0,),
        "n": (Decimal("1.50"),),
        "q": (Quantity(Decimal(3), "wk"),),
        "c": (Coding(SYSTEM, "x"),),
        "s": ("text",),
        "r": ("Patient/1",),
        "f": ("https://x.example.org",),
    }
    assert str(answers.given["n"][0]) == "1.50"


@pytest.mark.parametrize(
    "short",
    [
        {"id": "a", "options": ["x"]},
        {"id": "a", "options": ["x", {"code": "n", "exclusive": True}], "repeats": True},
        {"id": "a", "type": "boolean"},
        {"id": "a", "type": "integer", "min": 0},
        {"id": "a", "type": "decimal", "max": 9, "places": 2},
        {"id": "a", "type": "quantity"},
        {"id": "a", "type": "quantity", "units": ["d", "wk"], "min": "1 d", "max": "1 mo"},
        {"id": "a", "type": "date", "min": "2020-01-01"},
        {"id": "a", "type": "string", "maxLength": 5},
        {"id": "a", "type": "time"},
        {"id": "a", "type": "dateTime"},
    ],
)
def test_the_accept_path_takes_plain_answers_of_every_common_type(short: dict[str, Any]) -> None:
    answer = {"choice": "x", "boolean": False, "integer": 0, "decimal": Decimal("0.50"), "quantity": "1 wk"}
    answer |= {"date": "2020-01-01", "string": "abc", "time": "10:00:00", "dateTime": "2020-01-01T10:00:00Z"}
    questionnaire = form(short)
    sent = copied(response(questionnaire, {"a": answer[item(short)["type"]]}))
    known = compiled(questionnaire)
    assert known.accept(structs(sent), complete=True) == known.check(sent).answers  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("short", "answer"),
    [
        ({"id": "a", "options": ["x"]}, "y"),
        ({"id": "a", "options": ["x", "y"], "repeats": True, "required": True, "low": 2}, "x"),
        ({"id": "a", "options": ["x"], "repeats": True}, ["x", "x"]),
        ({"id": "a", "options": ["x", {"code": "n", "exclusive": True}], "repeats": True}, ["x", "n"]),
        ({"id": "a", "type": "integer", "min": 0}, -1),
        ({"id": "a", "type": "integer"}, 2**31),
        ({"id": "a", "type": "decimal", "places": 1}, Decimal("0.55")),
        ({"id": "a", "type": "quantity", "units": ["d"], "max": "1 wk"}, "8 d"),
        ({"id": "a", "type": "quantity", "units": ["d"], "min": "1 wk"}, "6 d"),
        ({"id": "a", "type": "quantity", "units": ["d"]}, "1 wk"),
        ({"id": "a", "type": "quantity", "units": ["d"]}, "1"),
        ({"id": "a", "type": "quantity", "max": "1 wk"}, "8 d"),
        ({"id": "a", "type": "quantity", "units": ["d"], "places": 0}, "1.5 d"),
        ({"id": "a", "type": "quantity", "units": ["d"], "min": "1 kg"}, "1 d"),
        ({"id": "a", "type": "date", "min": "2020-01-02"}, "2020-01-01"),
        ({"id": "a", "type": "date"}, "2020-02-30"),
        ({"id": "a", "type": "string", "maxLength": 2}, "abc"),
        ({"id": "a", "type": "string", "min": "b"}, "a"),
        ({"id": "a", "type": "string"}, " "),
        ({"id": "a", "type": "string"}, ["a", "b"]),
        ({"id": "a", "type": "string", "readOnly": True, "initial": "b"}, "a"),
    ],
)
def test_the_accept_path_leaves_every_fault_to_the_full_check(short: dict[str, Any], answer: Any) -> None:
    questionnaire = form(short)
    sent = copied(response(questionnaire, {"a": answer}))
    known = compiled(questionnaire)
    assert known.check(sent).problems
    assert known.accept(structs(sent), complete=True) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "items",
    [
        [{"linkId": "zz"}],
        [{"linkId": "a", "text": "Other words"}],
        [{"linkId": "a"}, {"linkId": "a"}],
        [{"linkId": "g"}, {"linkId": "a"}],
        [{"linkId": "b"}],
        [{"linkId": "g", "item": [{"linkId": "a"}]}],
        [{"linkId": "a", "item": [{"linkId": "b"}]}],
        [
            {
                "linkId": "a",
                "answer": [{"valueCoding": {"system": SYSTEM, "code": "x"}}],
                "item": [{"linkId": "b"}],
            }
        ],
        [
            {
                "linkId": "a",
                "answer": [{"valueCoding": {"system": SYSTEM, "code": "x"}, "item": [{"linkId": "b"}]}],
            }
        ],
        [{"linkId": "g", "answer": [{"valueBoolean": True}]}],
        [
            {
                "linkId": "g",
                "item": [{"linkId": "b", "answer": [{"valueString": "x", "item": [{"linkId": "a"}]}]}],
            }
        ],
        [{"linkId": "g", "item": [{"linkId": "b", "item": [{"linkId": "a"}]}]}],
        [{"linkId": "d", "answer": [{"valueBoolean": True}]}],
        [{"linkId": "a", "answer": [{"valueBoolean": True}]}],
    ],
)
def test_the_accept_path_takes_no_response_of_a_wrong_shape(items: list[dict[str, Any]]) -> None:
    questionnaire = form(
        {"id": "a", "options": ["x"]}, {"id": "g", "items": [{"id": "b"}]}, {"id": "d", "type": "display"}
    )
    sent = copied(response(questionnaire, {}, item=items))
    known = compiled(questionnaire)
    assert known.accept(structs(sent), complete=False) is None  # type: ignore[arg-type]
    assert known.check(sent).problems


_DEMANDING = form(
    {"id": "a", "required": True},
    {"id": "g", "required": True, "items": [{"id": "b"}]},
    {"id": "h", "items": [{"id": "i", "required": True}]},
    {"id": "r", "repeats": True, "items": [{"id": "c", "required": True}, {"id": "d"}]},
    {"id": "t", "options": ["x"], "items": [{"id": "e", "required": True}, {"id": "f"}]},
    {"id": "k", "required": True, "items": [{"id": "l", "type": "display"}]},
)
_ENOUGH = {
    "a": "1",
    "g": {"b": "2"},
    "h": {"i": "3"},
    "r": [{"c": "4"}],
    "t": {"is": "x", "items": {"e": "5"}},
}


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({}, 0),
        ({"a": []}, 1),
        ({"g": {}}, 1),
        ({"h": {}}, 1),
        ({"h": []}, 1),
        ({"r": []}, 0),
        ({"r": [{}]}, 0),
        ({"r": [{"d": "6"}]}, 1),
        ({"t": []}, 0),
        ({"t": "x"}, 1),
        ({"t": {"is": "x", "items": {"f": "7"}}}, 1),
        ({"a": [], "g": {}, "h": {}}, 3),
    ],
)
def test_both_paths_demand_the_same_of_a_complete_response(change: dict[str, Any], missing: int) -> None:
    known = compiled(_DEMANDING)
    sent = copied(
        response(_DEMANDING, {key: value for key, value in (_ENOUGH | change).items() if value != []})
    )
    assert [problem.kind for problem in known.check(sent).problems] == ["required"] * missing
    accepted = known.accept(structs(sent), complete=True)  # type: ignore[arg-type]
    assert (accepted is not None) is (missing == 0)
    assert known.check(sent, "in-progress").problems == ()


def test_a_limit_that_is_endless_in_another_unit_is_rounded_inward_on_the_accept_path() -> None:
    questionnaire = form({"id": "a", "type": "quantity", "units": ["mo"], "min": "1 wk", "max": "2 wk"})
    known = compiled(questionnaire)
    week = Decimal(7) / Decimal("30.4375")
    for amount in (
        week.next_minus(),
        week,
        week.next_plus(),
        (2 * week).next_minus(),
        2 * week,
        (2 * week).next_plus(),
    ):
        sent = copied(response(questionnaire, {"a": f"{amount} mo"}))
        if known.accept(structs(sent), complete=True) is not None:  # type: ignore[arg-type]
            assert known.check(sent).problems == ()


def test_the_accept_path_takes_items_inside_an_answer() -> None:
    questionnaire = form(
        {"id": "a", "options": ["x"], "items": [{"id": "b", "required": True}]},
        {"id": "c", "items": [{"id": "d"}]},
    )
    sent = copied(response(questionnaire, {"a": {"is": "x", "items": {"b": "why"}}, "c": {"d": "z"}}))
    known = compiled(questionnaire)
    accepted = known.accept(structs(sent), complete=True)  # type: ignore[arg-type]
    assert accepted == Answers({"a": (Coding(SYSTEM, "x"),), "b": ("why",), "d": ("z",)})
    assert accepted == known.check(sent).answers


def test_an_answer_that_only_holds_items_needs_the_full_path() -> None:
    questionnaire = form({"id": "a", "items": [{"id": "b"}], "type": "string"})
    items = [{"linkId": "a", "answer": [{"item": [{"linkId": "b", "answer": [{"valueString": "x"}]}]}]}]
    assert compiled(questionnaire).check(copied(response(questionnaire, {}, item=items))).answers.given == {
        "b": ("x",)
    }


# Finding the form of a response


def test_a_contained_form_is_used_with_its_contained_value_sets() -> None:
    value_set = {
        "resourceType": "ValueSet",
        "id": "v",
        "compose": {"include": [{"system": "http://s", "concept": [{"code": "one"}]}]},
    }
    contained = form({"id": "a", "type": "choice", "set": "#v"}) | {"id": "q"}
    for code, expected in (("one", []), ("two", ["answer-option .item[0].answer[0]"])):
        sent = response(
            contained, {"a": f"http://s#{code}"}, questionnaire="#q", contained=[value_set, contained]
        )
        assert shown(validate(copied(sent))) == expected


def test_a_contained_form_that_is_not_there_is_reported() -> None:
    assert shown(validate(copied(response(form(), {}, questionnaire="#q")))) == [
        "canonical-unknown .questionnaire"
    ]


def test_a_canonical_that_nobody_knows_is_reported() -> None:
    assert shown(validate(copied(response(form(), {})))) == ["canonical-unknown .questionnaire"]


def test_a_response_without_canonical_and_form_is_reported() -> None:
    assert shown(validate({"resourceType": "QuestionnaireResponse"})) == [
        "canonical-missing .questionnaire",
        "response-status .status",
    ]


def test_a_bare_url_stands_for_the_only_active_version() -> None:
    versions = [compiled(form({"id": "a", "type": kind}, version=v, status=s)) for v, s, kind in _VERSIONS]
    sent = copied(response(versions[1].resource, {"a": 5}, questionnaire=URL))
    assert shown(validate(sent, known=versions)) == ["~canonical-unversioned .questionnaire"]


_VERSIONS = [("1", "retired", "string"), ("2", "active", "integer"), ("3", "draft", "string")]


def test_a_bare_url_of_several_active_versions_is_the_newest() -> None:
    kinds = {"1.9": "string", "1.10": "integer", "1.10.0-rc.1": "string", "final": "string"}
    versions = [compiled(form({"id": "a", "type": kind}, version=v)) for v, kind in kinds.items()]
    sent = copied(response(versions[1].resource, {"a": 5}, questionnaire=URL))
    assert shown(validate(sent, known=versions)) == ["~canonical-unversioned .questionnaire"]


@pytest.mark.parametrize(
    "versions",
    [
        ("1", "2", "10"),
        ("1.9.9", "1.10", "1.10.1"),
        ("v1", "v2"),
        ("1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"),
        ("2024-01-15", "2024-02-01", "2025-01-01"),
        ("", "1"),
        ("final", "0.1"),
        ("a", "b"),
    ],
)
def test_versions_have_an_order(versions: tuple[str, ...]) -> None:
    forms = [compiled(form({"id": "a"}, version=version)) for version in reversed(versions)]
    assert [found.resource["version"] for found in sorted(forms, key=version_order)] == [*versions]


def test_of_two_versions_without_an_order_the_later_date_is_newer() -> None:
    forms = [compiled(form({"id": "a"}, version=v, date=d)) for v, d in (("b", "2025"), ("a", "2026-01"))]
    assert max(forms, key=version_order).resource["version"] == "a"


def test_a_bare_url_of_one_version_is_that_version_whatever_its_status() -> None:
    only = compiled(form({"id": "a"}, status="draft"))
    sent = copied(response(only.resource, {}, questionnaire=URL))
    assert shown(validate(sent, known=[only])) == [
        "~canonical-unversioned .questionnaire",
        "~form-status .questionnaire",
    ]


def test_errors_of_the_form_are_warnings_beside_the_response() -> None:
    questionnaire = form({"id": "g", "type": "group"}, {"id": "a"})
    assert shown(validate(copied(response(questionnaire, {"a": "x"})), questionnaire)) == [
        "~que-1 Questionnaire.item[0]"
    ]


def test_value_sets_that_are_served_are_used() -> None:
    served = {
        "resourceType": "ValueSet",
        "url": "http://vs",
        "compose": {"include": [{"system": "http://s", "concept": [{"code": "one"}]}]},
    }
    questionnaire = form({"id": "a", "type": "choice", "set": "http://vs"})
    sent = copied(response(questionnaire, {"a": "http://s#one"}))
    assert shown(validate(sent, questionnaire, value_sets_from([served]))) == []
    assert shown(validate(sent, questionnaire)) == ["?membership-undecided .item[0].answer[0]"]


# Odd forms


def test_a_condition_on_a_display_item_is_never_satisfied_and_no_crash() -> None:
    questionnaire = form({"id": "d", "type": "display"}, {"id": "a", "when": ["d", "exists", True]})
    assert compiled(questionnaire).check(copied(response(questionnaire, {"a": "x"}))).answers.ignored == {
        "a": ("x",)
    }


def test_an_option_of_an_unknown_type_is_left_out() -> None:
    options = [{"valueMarkdown": "x"}, {"valueInteger": 1}, {"valueCoding": {"code": "y"}}]
    questionnaire = form({"id": "a", "type": "choice", "raw": {"answerOption": options}})
    found = compiled(questionnaire).items["a"].options
    assert found is not None
    assert list(found.choices) == [1, ("", "y")]


def test_a_unit_without_code_is_no_unit() -> None:
    units = [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unitOption",
            "valueCoding": {"display": "d"},
        }
    ]
    assert (
        compiled(form({"id": "a", "type": "quantity", "raw": {"extension": units}})).items["a"].limits.units
        == ()
    )


def test_weights_may_be_floats_of_a_careless_parser() -> None:
    questionnaire = form({"id": "a", "options": [{"code": "x", "weight": 0.5}]})
    assert compiled(questionnaire).form.questions["a"].options[0].weight == Decimal("0.5")


def test_a_weight_that_is_no_number_is_none() -> None:
    questionnaire = form({"id": "a", "options": [{"code": "x", "weight": "3", "ordinal": True}]})
    assert compiled(questionnaire).form.questions["a"].options[0].weight is None


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (Coding("s", "x"), Coding("s", "x"), 0),
        (Coding("s", "x"), Coding("s", "y"), None),
        (True, 1, None),
        (True, True, 0),
        (1, Decimal("1.0"), 0),
        ("2024", "2024-01", None),
        ("2024-01-01", "2024-01-01", 0),
        ("10:00:00.50", "10:00:00.5", 0),
        ("abc", "abd", -1),
        (Quantity(Decimal(1), "wk"), Quantity(Decimal(7), "d"), 0),
        (Quantity(Decimal(1), "wk"), Quantity(Decimal(7), "kg"), None),
        (Quantity(Decimal(1), "wk"), Decimal(7), None),
        (5, "5", None),
    ],
)
def test_values_are_ordered_only_where_an_order_is_known(a: Any, b: Any, expected: int | None) -> None:
    assert compare_answers(a, b) == expected
    assert compare_answers(b, a) == (None if expected is None else -expected)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [(5, "5", False), ("2024", "2024-01", None), (True, 1, False), (0, Decimal(0), True)],
)
def test_values_of_different_types_are_not_the_same(a: Any, b: Any, expected: bool | None) -> None:
    assert answers_equal(a, b) is expected


@pytest.mark.parametrize(
    ("type_", "coding", "units"),
    [
        ("decimal", {"system": UCUM, "code": "h"}, ("h",)),
        ("integer", {"code": "/wk"}, ("/wk",)),
        ("integer", {"system": "urn:own", "code": "h"}, ("",)),
        ("decimal", {"display": "hours"}, ("",)),
        ("string", {"system": UCUM, "code": "h"}, ()),
        ("quantity", {"system": UCUM, "code": "h"}, ("h",)),
    ],
)
def test_the_unit_of_a_plain_number_is_the_one_that_the_form_names(
    type_: str, coding: dict[str, str], units: tuple[str, ...]
) -> None:
    unit = {"url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unit", "valueCoding": coding}
    known = compiled(form({"id": "a", "type": type_, "raw": {"extension": [unit]}}))
    assert known.form.questions["a"].units == units


@pytest.mark.parametrize("operator", ["", "~", None, 5, ["="]])
def test_a_condition_with_an_unknown_operator_is_undecided_and_named(operator: Any) -> None:
    questionnaire = form({"id": "t", "options": ["x"]}, {"id": "a", "when": ["t", operator, "x"]})
    known = compiled(questionnaire)
    assert known.enabled({})[0] == {"t", "a"}
    assert [problem.kind for problem in known.lint] == ["enable-when-operator"]


def test_a_text_in_another_language_of_the_form_is_no_other_text() -> None:
    content = [{"url": "lang", "valueCode": "de"}, {"url": "content", "valueString": "Wie geht es?"}]
    translation = [{"url": "http://hl7.org/fhir/StructureDefinition/translation", "extension": content}]
    questionnaire = form({"id": "a", "text": "How are you?", "raw": {"_text": {"extension": translation}}})
    for text, expected in (
        ("How are you?", []),
        ("Wie geht es?", []),
        ("wie geht  es", []),
        ("Wie geht es dir?", ["item-text .item[0]"]),
    ):
        sent = copied(response(questionnaire, {}, item=[{"linkId": "a", "text": text}]))
        assert shown(validate(sent, questionnaire)) == expected


def translated(element: str, content: str) -> dict[str, Any]:
    parts = [{"url": "lang", "valueCode": "de"}, {"url": "content", "valueString": content}]
    url = "http://hl7.org/fhir/StructureDefinition/translation"
    return {f"_{element}": {"extension": [{"url": url, "extension": parts}]}}


@pytest.mark.parametrize(
    ("text", "display", "is_accepted"),
    [
        ("Well?", "Yes", True),
        ("Gut?", "Ja", True),
        ("Well?", None, True),
        (None, "Ja", True),
        ("gut", "Ja", False),
        ("Gut?", "JA", False),
        ("Gut?", "Nein", False),
        ("Gut?", "No", False),
        ("Gut?", "Perhaps", False),
        ("Schlecht?", "Ja", False),
    ],
)
def test_the_accept_path_takes_texts_and_displays_exactly_as_published(
    text: str | None, display: str | None, is_accepted: bool
) -> None:
    names = {"y": ("Yes", "Ja"), "n": ("No", "Nein")}
    options = [
        {"valueCoding": {"system": SYSTEM, "code": code, "display": ours, **translated("display", theirs)}}
        for code, (ours, theirs) in names.items()
    ]
    raw = {"answerOption": options, **translated("text", "Gut?")}
    known = compiled(form({"id": "a", "text": "Well?", "type": "choice", "raw": raw}))
    coding = {"system": SYSTEM, "code": "y", "display": display}
    item = {"linkId": "a", "text": text, "answer": [{"valueCoding": coding}]}
    written = {key: value for key, value in item.items() if value is not None}
    written["answer"] = [{"valueCoding": {key: value for key, value in coding.items() if value}}]
    sent = {"resourceType": "QuestionnaireResponse", "status": "completed", "item": [written]}
    accepted = known.accept(structs(sent) or [], complete=True)
    assert (accepted is not None) is is_accepted
    checked = known.check(sent)
    assert accepted is None or (checked.problems, checked.answers) == ((), accepted)


@pytest.mark.parametrize("above", [{"type": "group"}, {"type": "string"}])
def test_a_question_below_one_that_repeats_may_be_answered_several_times(above: dict[str, Any]) -> None:
    group = {"id": "g", "repeats": True, **above, "items": [{"id": "h", "type": "group", "items": [ASKED]}]}
    questions = compiled(form(group, {"id": "b", "type": "choice", "options": ["x"]})).form.questions
    assert [(questions[one].repeats, questions[one].is_asked_again) for one in ("a", "b")] == [
        (True, True),
        (False, False),
    ]


ASKED = {"id": "a", "type": "choice", "options": ["x", "y"]}


def test_an_option_that_is_selected_at_first_is_an_initial_value() -> None:
    options = [
        {"valueCoding": {"system": SYSTEM, "code": "x"}, "initialSelected": True},
        {"valueCoding": {"system": SYSTEM, "code": "y"}},
    ]
    questionnaire = form({"id": "a", "type": "choice", "readOnly": True, "raw": {"answerOption": options}})
    assert shown(validate(copied(response(questionnaire, {"a": "x"})), questionnaire)) == []
    assert shown(validate(copied(response(questionnaire, {"a": "y"})), questionnaire)) == [
        "~initial-differs .item[0]"
    ]
