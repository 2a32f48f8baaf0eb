"""Faults that other validators and renderers are known for, each by name."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from small_forms import SYSTEM, compiled, copied, form, item, response, served, shown

from service.fhir import extensions as ext
from service.questionnaire import validate


def faults(questionnaire: dict[str, Any], given: dict[str, Any], **head: Any) -> list[str]:
    return shown(validate(copied(response(questionnaire, given, **head)), copied(questionnaire)))


@pytest.mark.parametrize(
    ("count", "expected"), [(1, ["too-few .item[0]"]), (2, []), (3, []), (4, []), (5, ["too-many .item[0]"])]
)
def test_occurrences_are_not_counted_one_off(count: int, expected: list[str]) -> None:
    questionnaire = form({"id": "a", "repeats": True, "required": True, "low": 2, "high": 4})
    assert faults(questionnaire, {"a": [f"answer {n}" for n in range(count)]}) == expected


def test_required_is_not_enforced_inside_a_closed_branch() -> None:
    branch = {
        "id": "g",
        "when": ["t", "=", "x"],
        "items": [{"id": "h", "items": [{"id": "a", "required": True}]}],
    }
    assert faults(form({"id": "t", "options": ["x", "y"]}, branch), {"t": "y"}) == []


def test_required_is_enforced_inside_an_open_branch() -> None:
    branch = {
        "id": "g",
        "when": ["t", "=", "x"],
        "items": [{"id": "h", "items": [{"id": "a", "required": True}]}],
    }
    assert faults(form({"id": "t", "options": ["x", "y"]}, branch), {"t": "x"}) == ["required -"]


def test_an_enable_when_expression_counts_in_validation_as_in_showing() -> None:
    hidden = {"id": "a", "required": True, "enable": "%resource.item.where(linkId='t').answer.value = true"}
    assert faults(form({"id": "t", "type": "boolean"}, hidden), {"t": False}) == []
    assert faults(form({"id": "t", "type": "boolean"}, hidden), {"t": True}) == ["required -"]


@pytest.mark.parametrize("status", ["in-progress", "stopped", "entered-in-error"])
def test_required_is_not_enforced_before_a_response_is_complete(status: str) -> None:
    assert faults(form({"id": "a", "required": True}), {}, status=status) == []


@pytest.mark.parametrize("status", ["completed", "amended"])
def test_required_is_enforced_once_a_response_is_complete(status: str) -> None:
    assert faults(form({"id": "a", "required": True}), {}, status=status) == ["required -"]


def test_named_variables_reach_the_expressions_below_them() -> None:
    group = {
        "id": "g",
        "variable": {"limit": "10"},
        "items": [{"id": "a", "type": "integer", "constraint": {"that": "answer.value < %limit"}}],
    }
    assert faults(form(group), {"g": {"a": 9}}) == []
    assert faults(form(group), {"g": {"a": 10}}) == ["constraint .item[0].item[0]"]


def test_a_contained_value_set_comes_before_one_that_is_served_under_the_same_name() -> None:
    served = {
        "resourceType": "ValueSet",
        "id": "set",
        "url": "http://vs",
        "compose": {"include": [_listed("old")]},
    }
    contained = {
        "resourceType": "ValueSet",
        "id": "set",
        "url": "http://vs",
        "compose": {"include": [_listed("new")]},
    }
    questionnaire = form({"id": "a", "type": "choice", "set": "http://vs"}, contained=[contained])
    known = compiled(questionnaire, served).items["a"].options
    assert known is not None
    assert [choice.display or choice.answer for choice in known.choices.values()] == [("http://s", "new")]


def test_two_versions_of_a_value_set_are_kept_apart() -> None:
    sets = [
        {"resourceType": "ValueSet", "url": "http://vs", "version": v, "compose": {"include": [_listed(v)]}}
        for v in ("one", "two")
    ]
    for version in ("one", "two"):
        questionnaire = form({"id": "a", "type": "choice", "set": f"http://vs|{version}"})
        options = compiled(questionnaire, *sets).items["a"].options
        assert options is not None
        assert list(options.choices) == [("http://s", version)]


@pytest.mark.parametrize(
    "versions", [("9", "10"), ("1.\u00b2", "2"), ("\u00b2", "1"), ("1", "1" + "9" * 5_000)]
)
def test_without_a_version_the_latest_is_meant_and_every_text_can_be_one(versions: tuple[str, str]) -> None:
    """A raised two is a digit to Python, and no number."""
    sets = [
        {
            "resourceType": "ValueSet",
            "id": v,
            "url": "http://vs",
            "version": v,
            "compose": {"include": [_listed(v)]},
        }
        for v in versions
    ]
    for contained in (sets, sets[::-1]):
        options = (
            compiled(form({"id": "a", "type": "choice", "set": "http://vs"}, contained=contained))
            .items["a"]
            .options
        )
        assert options is not None
        assert list(options.choices) == [("http://s", versions[1])]


def _listed(code: str) -> dict[str, Any]:
    return {"system": "http://s", "concept": [{"code": code}]}


def test_a_text_of_ones_own_is_accepted_on_an_open_choice() -> None:
    assert faults(form({"id": "a", "type": "open-choice", "options": ["x"]}), {"a": "own: something"}) == []


def test_limits_in_extensions_are_not_ignored() -> None:
    questionnaire = form({"id": "a", "type": "integer", "min": 1}, {"id": "b", "type": "decimal", "max": 2})
    found = faults(questionnaire, {"a": 0, "b": Decimal("2.1")})
    assert found == ["above-maximum .item[1].answer[0]", "below-minimum .item[0].answer[0]"]


def test_a_message_names_the_question_and_what_was_expected_but_never_the_answer() -> None:
    questionnaire = form(
        {"id": "x1", "type": "integer", "max": 10, "text": "How many canaries?"},
        {"id": "x2", "maxLength": 3, "text": "Which canary?"},
        {"id": "x3", "options": ["yellow"], "text": "Which colour?"},
        {"id": "x4", "regex": "[0-9]+", "text": "Which ring?"},
    )
    given = {"x1": 424242, "x2": "canary-answer", "x3": "canary-code", "x4": "canary-ring"}
    problems = validate(copied(response(questionnaire, given)), copied(questionnaire))
    texts = " ".join(problem.text for problem in problems)
    assert [
        text in texts for text in ("How many canaries?", "Which canary?", "Which colour?", "Which ring?")
    ] == [True] * 4
    assert [answer in texts for answer in ("424242", "canary-answer", "canary-code", "canary-ring")] == [
        False
    ] * 4


def test_the_version_of_the_form_that_was_answered_is_honoured() -> None:
    old = compiled(form({"id": "a", "type": "integer"}, version="1"))
    new = compiled(form({"id": "a", "type": "integer", "max": 5}, version="2"))
    url = "https://forms.example.org/Questionnaire/small"
    for version, expected in (("1", []), ("2", ["above-maximum .item[0].answer[0]"])):
        sent = copied(response(old.resource, {"a": 6}, questionnaire=f"{url}|{version}"))
        assert shown(validate(sent, known=[old, new])) == expected
    unknown = copied(response(old.resource, {"a": 6}, questionnaire=f"{url}|3"))
    assert shown(validate(unknown, known=[old, new])) == ["canonical-mismatch .questionnaire"]


@pytest.mark.parametrize("old", [True, False])
def test_a_constraint_that_is_true_is_satisfied_and_one_that_is_false_is_not(old: bool) -> None:
    questionnaire = form({"id": "a", "type": "boolean", "constraint": {"that": "answer.value", "old": old}})
    assert faults(questionnaire, {"a": True}) == []
    assert faults(questionnaire, {"a": False}) == ["constraint .item[0]"]


def test_a_constraint_on_the_whole_form_is_not_ignored() -> None:
    questionnaire = form(
        {"id": "a"}, {"id": "b"}, constraint={"that": "item.count() > 1", "severity": "warning"}
    )
    assert faults(questionnaire, {"a": "x"}) == ["~constraint -"]


def test_a_bad_expression_is_found_when_the_form_is_loaded_not_when_it_is_answered() -> None:
    lint = compiled(copied(form({"id": "a"}, constraint={"that": "item.count() >"}))).lint
    assert [problem.kind for problem in lint] == ["expression-invalid"]


def test_a_fault_in_one_repetition_is_reported_there_and_nowhere_else() -> None:
    questionnaire = form(
        {"id": "g", "repeats": True, "items": [{"id": "a", "type": "integer", "max": 5, "repeats": True}]}
    )
    found = faults(questionnaire, {"g": [{"a": [1, 2]}, {"a": [3, 6, 4]}, {"a": [5]}]})
    assert found == ["above-maximum .item[1].item[0].answer[1]"]


def test_hidden_answers_neither_count_nor_pass_unnoticed() -> None:
    questionnaire = form(
        {"id": "t", "options": ["x", "y"]}, {"id": "a", "type": "integer", "when": ["t", "=", "x"]}
    )
    checked = compiled(questionnaire).check(copied(response(questionnaire, {"t": "y", "a": 3})))
    assert "a" not in checked.answers.given
    assert checked.answers.ignored == {"a": (3,)}
    assert [problem.kind for problem in checked.problems] == ["disabled-item"]


def test_totals_are_computed_from_the_answers_every_time() -> None:
    questionnaire = form(
        {"id": "a", "type": "integer"},
        {"id": "sum", "type": "integer", "calculated": "%resource.item.where(linkId='a').answer.value.sum()"},
    )
    known = compiled(copied(questionnaire))
    for given, expected in (({"a": 2, "sum": 2}, []), ({"a": 3, "sum": 2}, ["~calculated-differs .item[1]"])):
        assert shown(known.check(copied(response(questionnaire, given))).problems) == expected


@pytest.mark.parametrize("url", [ext.ITEM_WEIGHT, ext.ORDINAL_VALUE, ext.OLD_ORDINAL_VALUES[0]])
@pytest.mark.parametrize("place", ["option", "coding"])
def test_weights_are_read_under_all_their_names_and_in_both_places(url: str, place: str) -> None:
    weight = [{"url": url, "valueDecimal": Decimal(0)}]
    option = {"valueCoding": {"system": SYSTEM, "code": "x"}}
    (option if place == "option" else option["valueCoding"])["extension"] = weight  # type: ignore[index]
    questionnaire = form({"id": "a", "type": "choice", "raw": {"answerOption": [option]}})
    assert [option.weight for option in compiled(questionnaire).form.questions["a"].options] == [Decimal(0)]


def test_item_weight_is_preferred_and_disagreement_is_said() -> None:
    known = compiled(form({"id": "a", "options": [{"code": "x", "weight": 1, "ordinal": 2, "old": 3}]}))
    assert known.form.questions["a"].options[0].weight == Decimal(1)
    assert shown(known.lint) == ["~weight-disagreement Questionnaire.item[0].answerOption[0]"]


def test_zero_is_an_answer_in_every_place_where_nothing_is_not() -> None:
    questionnaire = form(
        {"id": "a", "type": "integer", "required": True, "min": 0, "max": 0},
        {"id": "b", "required": True, "when": ["a", "exists", True]},
        {"id": "c", "required": True, "when": ["a", "=", 0]},
    )
    assert faults(questionnaire, {"a": 0}) == ["required -", "required -"]
    assert faults(questionnaire, {"a": 0, "b": "x", "c": "y"}) == []


def test_false_is_an_answer_in_every_place_where_nothing_is_not() -> None:
    questionnaire = form(
        {"id": "a", "type": "boolean", "required": True},
        {"id": "b", "required": True, "when": ["a", "=", False]},
    )
    assert faults(questionnaire, {"a": False}) == ["required -"]
    assert faults(questionnaire, {}) == ["required -"]


def test_units_are_not_ignored() -> None:
    questionnaire = form({"id": "a", "type": "quantity", "units": ["d", "wk"], "max": "3 wk"})
    assert faults(questionnaire, {"a": "21 d"}) == []
    assert faults(questionnaire, {"a": "22 d"}) == ["above-maximum .item[0].answer[0]"]
    assert faults(questionnaire, {"a": "4 wk"}) == ["above-maximum .item[0].answer[0]"]


def test_absent_items_and_empty_items_are_treated_alike() -> None:
    questionnaire = form({"id": "a", "required": True}, {"id": "g", "items": [{"id": "b", "required": True}]})
    absent = compiled(questionnaire).check(copied(response(questionnaire, {})))
    empty = [{"linkId": "a"}, {"linkId": "g", "item": [{"linkId": "b"}]}]
    present = compiled(questionnaire).check(copied(response(questionnaire, {}, item=empty)))
    assert [problem.kind for problem in absent.problems] == [problem.kind for problem in present.problems]


def test_another_question_is_an_error_with_our_text() -> None:
    questionnaire = form({"id": "a", "text": "How are you?"})
    sent = copied(response(questionnaire, {}, item=[{"linkId": "a", "text": "Who are you?"}]))
    (problem,) = validate(sent, questionnaire)
    assert problem.severity == "error"
    assert problem.text == "item a: expected the text “How are you?”, or none."


def test_a_form_with_forty_conditions_on_one_question_is_no_slower_than_it_must_be() -> None:
    conditional = [{"id": f"q{n}", "type": "integer", "when": ["t", ">", n]} for n in range(40)]
    enabled, closed = compiled(form({"id": "t", "type": "integer"}, *conditional)).enabled({"t": (20,)})
    assert (len(enabled), len(closed)) == (21, 20)


def test_a_display_text_does_not_make_an_answer() -> None:
    right = {"valueCoding": {"system": SYSTEM, "code": "x", "display": "Wrong words"}}
    wrong = {"valueCoding": {"system": SYSTEM, "code": "y", "display": "X"}}
    assert faults(form({"id": "a", "options": ["x"]}), {"a": right}) == [
        "~display-wrong .item[0].answer[0].value.display"
    ]
    assert faults(form({"id": "a", "options": ["x"]}), {"a": wrong}) == ["answer-option .item[0].answer[0]"]


def test_the_notation_of_these_tests_writes_fhir() -> None:
    assert item({"id": "a", "type": "integer", "min": 0})["extension"] == [
        {"url": ext.MIN_VALUE, "valueInteger": 0}
    ]


@pytest.mark.parametrize(
    ("number", "said"), [(2, f"expected one of the options c0, c1 ({SYSTEM})."), (17, "by system and code.")]
)
def test_who_sends_no_option_reads_which_there_are_unless_too_many(number: int, said: str) -> None:
    asked = form({"id": "a", "options": [f"c{place}" for place in range(number)]})
    sent = response(asked, {"a": {"valueCoding": {"system": SYSTEM, "code": "z"}}})
    (found,) = served(asked).check(sent).problems
    assert found.text.endswith(said)
