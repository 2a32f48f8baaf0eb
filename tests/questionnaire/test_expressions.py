"""FHIRPath: strictly parsed, evaluated within time, and honest about what it could not do."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import pytest
from small_forms import compiled, copied, form, response, shown

from service.questionnaire import expressions, validate
from service.questionnaire.fhirpath import (
    NotAtHand,
    NotEvaluated,
    OutOfTime,
    Surroundings,
    data_of,
    item_node,
    parse_expression,
)
from service.questionnaire.fhirpath_syntax import NotParsed
from service.questionnaire.pattern import (
    PatternBudget,
    PatternInvalid,
    PatternTooSlow,
    compile_pattern,
    matches,
    replace_matches,
)
from service.sandbox import time_limit

RESPONSE = {
    "resourceType": "QuestionnaireResponse",
    "item": [
        {"linkId": "a", "answer": [{"valueDecimal": Decimal("1.50")}, {"valueDecimal": Decimal("2.50")}]},
        {"linkId": "b", "answer": [{"valueString": "abc"}]},
        {"linkId": "c", "answer": [{"valueCoding": {"system": "s", "code": "x"}}]},
    ],
}
SLOW = "(.*?,){25}P"
LONG = ",".join(str(number) for number in range(40))


def values(text: str, focus: Any = RESPONSE, **variables: Any) -> list[Any]:
    return [data_of(node) for node in parse_expression(text).nodes(focus, variables, Surroundings())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("item.where(linkId='a').answer.value.sum()", [Decimal("4.00")]),
        ("item.where(linkId='z').answer.value.sum()", [0]),
        ("item.where(linkId='a').answer.value.min()", [Decimal("1.50")]),
        ("item.where(linkId='a').answer.value.max()", [Decimal("2.50")]),
        ("item.where(linkId='a').answer.value.avg()", [Decimal("2.00")]),
        ("item.where(linkId='z').answer.value.avg()", []),
        ("item.where(linkId='z').answer.value.max()", []),
        ("item.where(linkId='b').answer.value.matches('b')", [True]),
        ("item.where(linkId='b').answer.value.matches('^b$')", [False]),
        ("item.where(linkId='z').answer.value.matches('b')", []),
        ("item.where(linkId='b').answer.value.replaceMatches('(b)', '<$1>')", ["a<b>c"]),
        ("item.where(linkId='z').answer.value.replaceMatches('b', 'x')", []),
        ("item.where(linkId='c').answer.value.code", ["x"]),
        ("item.where(linkId='b').answer.value.weight()", []),
        ("1.1 + 2.2", [Decimal("3.3")]),
        ("%limit + 1", [6]),
        ("%`limit`", [5]),
    ],
)
def test_an_expression_has_the_value_that_the_specification_gives_it(text: str, expected: list[Any]) -> None:
    assert values(text, limit=5) == expected


@pytest.mark.parametrize(
    "text", ["", "  ", "foo bar", "item.where(", "1 +", "'a' 'b'", "1.2.3", "a ~~ b", "x" * 10_001]
)
def test_text_that_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(NotParsed):
        parse_expression(text)


def test_a_function_that_does_not_exist_is_named() -> None:
    with pytest.raises(NotParsed, match=r"blah\(\)"):
        parse_expression("item.blah()")


def test_an_expression_that_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(NotParsed):
        parse_expression("(" * 400 + "1" + ")" * 400)


def test_a_variable_that_is_not_at_hand_is_named() -> None:
    with pytest.raises(NotAtHand, match="%patient"):
        values("%patient.name")


@pytest.mark.parametrize(
    "text", ["item.answer.value > 'x'", "item.where(linkId='b').answer.value.sum()", "item.toInteger('x')"]
)
def test_an_expression_that_fails_says_so_and_repeats_no_answer(text: str) -> None:
    with pytest.raises(NotEvaluated) as raised:
        values(text)
    assert "abc" not in str(raised.value)
    assert "1.50" not in str(raised.value)


def test_an_item_is_a_typed_focus() -> None:
    assert values("answer.value", item_node(RESPONSE["item"][1])) == ["abc"]  # type: ignore[index]


def test_a_slow_pattern_in_an_expression_ends_it() -> None:
    with pytest.raises(OutOfTime):
        values(f"'{LONG}'.matches('{SLOW}')")


def test_a_pattern_that_takes_too_long_is_stopped() -> None:
    with pytest.raises(PatternTooSlow):
        matches(SLOW, LONG, whole=True)


def test_a_replacement_that_takes_too_long_is_stopped() -> None:
    with pytest.raises(PatternTooSlow):
        replace_matches(SLOW, "x", LONG)


def test_after_too_many_slow_patterns_none_is_tried() -> None:
    budget = PatternBudget(left=1)
    assert budget.matches("[0-9,]+", LONG)
    with pytest.raises(PatternTooSlow):
        budget.matches(SLOW, LONG)
    with pytest.raises(PatternTooSlow):
        budget.matches("[0-9,]+", LONG)


@pytest.mark.parametrize("pattern", ["(", "a{999999999999}", "x" * 2_001, "[z-a]"])
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str) -> None:
    with pytest.raises(PatternInvalid):
        compile_pattern(pattern)


def test_a_text_on_which_a_pattern_takes_too_long_is_undecided() -> None:
    questionnaire = form({"id": "a", "regex": SLOW})
    assert shown(validate(copied(response(questionnaire, {"a": LONG})), questionnaire)) == [
        "?pattern-undecided .item[0].answer[0]"
    ]


def test_a_pattern_that_cannot_be_used_is_the_forms_fault_and_not_the_answers() -> None:
    questionnaire = form({"id": "a", "regex": "("})
    assert shown(validate(copied(response(questionnaire, {"a": "x"})), questionnaire)) == [
        "?pattern-undecided .item[0].answer[0]",
        "~pattern-invalid Questionnaire.item[0]",
    ]


def test_a_time_limit_stops_python_in_the_midst_of_it_and_leaves_no_trace() -> None:
    before = sys.getprofile()
    with pytest.raises(OutOfTime), time_limit(0.0, OutOfTime):
        values("1 + 1")
    assert sys.getprofile() is before


def test_an_expression_is_stopped_in_the_midst_of_it() -> None:
    numbers = "(1|2|3|4|5|6|7|8|9)"
    endless = (
        f"{numbers}.select({numbers}.select({numbers}.select({numbers}.select({numbers}.select({numbers})))))"
    )
    with pytest.raises(OutOfTime), time_limit(0.05, OutOfTime):
        values(endless)


def test_time_that_runs_out_inside_the_engine_is_told_apart_from_a_failure() -> None:
    def weigh(_: Any) -> Decimal | None:
        raise OutOfTime("it took too long")

    with pytest.raises(OutOfTime):
        parse_expression("item.answer.value.weight()").nodes(RESPONSE, {}, Surroundings(weight_of=weigh))


def test_a_text_has_no_weight() -> None:
    questionnaire = form({"id": "a"}, constraint={"that": "item.answer.value.weight().empty()"})
    assert shown(compiled(questionnaire).check(copied(response(questionnaire, {"a": "x"}))).problems) == []


def test_expressions_that_take_too_long_together_are_each_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "TIME_LIMIT_S", 0.0)
    rules = [{"that": "item.exists()", "key": f"k{n}"} for n in range(3)]
    questionnaire = form({"id": "a"}, constraint=rules)
    assert (
        shown(compiled(questionnaire).check(copied(response(questionnaire, {"a": "x"}))).problems)
        == ["?constraint-undecided -"] * 3
    )


def test_an_item_whose_expression_ran_out_of_time_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "TIME_LIMIT_S", 0.0)
    questionnaire = form({"id": "a", "enable": "false"}, {"id": "b", "enable": "false"})
    checked = compiled(questionnaire).check(copied(response(questionnaire, {"a": "x", "b": "y"})))
    assert set(checked.answers.given) == {"a", "b"}
    assert shown(checked.problems) == ["?enable-undecided .item[0]", "?enable-undecided .item[1]"]


def test_a_variable_that_fails_is_not_at_hand_for_those_who_read_it() -> None:
    questionnaire = form(
        {"id": "a"},
        variable={"broken": "item.answer.value > 5", "other": "%broken.exists()"},
        constraint=[{"that": "%other"}, {"that": "item.exists()"}],
    )
    assert shown(compiled(questionnaire).check(copied(response(questionnaire, {"a": "x"}))).problems) == [
        "?constraint-undecided -"
    ]


def test_a_variable_that_takes_too_long_ends_the_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = f"'{LONG}'.matches('{SLOW}')"
    questionnaire = form({"id": "a"}, variable={"slow": slow}, constraint={"that": "%slow"})
    assert shown(compiled(questionnaire).check(copied(response(questionnaire, {"a": "x"}))).problems) == [
        "?constraint-undecided -"
    ]


def test_a_weight_on_the_answer_itself_comes_first() -> None:
    weight = {"url": "http://hl7.org/fhir/StructureDefinition/itemWeight", "valueDecimal": Decimal(7)}
    questionnaire = form(
        {"id": "a", "options": [{"code": "x", "weight": 2}]},
        {
            "id": "s",
            "type": "decimal",
            "calculated": "%resource.item.where(linkId='a').answer.value.weight()",
        },
    )
    sent = copied(response(questionnaire, {"a": "x", "s": 7}))
    sent["item"][0]["answer"][0]["valueCoding"]["extension"] = [weight]
    assert shown(compiled(questionnaire).check(sent).problems) == []


def test_the_same_code_weighs_what_its_own_question_says() -> None:
    questionnaire = form(
        {"id": "a", "options": [{"code": "x", "weight": 2}]},
        {"id": "b", "options": [{"code": "x", "weight": 5}]},
        {
            "id": "s",
            "type": "decimal",
            "calculated": "%resource.item.answer.value.ofType(Coding).weight().sum()",
        },
        {"id": "t", "type": "decimal", "calculated": "%resource.item.answer.weight().sum()"},
    )
    assert (
        shown(
            compiled(questionnaire)
            .check(copied(response(questionnaire, {"a": "x", "b": "x", "s": 7, "t": 7})))
            .problems
        )
        == []
    )


def test_a_code_that_no_answer_gave_weighs_what_all_questions_say() -> None:
    told = "iif(%resource.item.exists(), %questionnaire.item.where(linkId='a').answerOption.value.weight())"
    questionnaire = form(
        {"id": "a", "options": [{"code": "x", "weight": 2}]},
        {"id": "s", "type": "decimal", "calculated": told},
    )
    assert shown(
        compiled(questionnaire).check(copied(response(questionnaire, {"a": "x", "s": 3}))).problems
    ) == ["~calculated-differs .item[1]"]


def test_a_calculated_value_that_does_not_fit_its_item_is_undecided() -> None:
    questionnaire = form({"id": "a", "type": "integer", "calculated": "'text'"})
    assert shown(compiled(questionnaire).check(copied(response(questionnaire, {"a": 3}))).problems) == [
        "?calculated-undecided .item[0]"
    ]


def test_a_constraint_with_several_results_is_not_decided() -> None:
    questionnaire = form({"id": "a", "repeats": True}, constraint={"that": "item.answer.value"})
    assert shown(
        compiled(questionnaire).check(copied(response(questionnaire, {"a": ["x", "y"]}))).problems
    ) == ["?constraint-undecided -"]


def test_a_constraint_with_one_result_that_is_no_boolean_is_true() -> None:
    questionnaire = form({"id": "a"}, constraint={"that": "item.answer.value"})
    assert shown(compiled(questionnaire).check(copied(response(questionnaire, {"a": "x"}))).problems) == []


def test_a_form_with_expressions_never_takes_the_accept_path() -> None:
    known = compiled(form({"id": "a"}, constraint={"that": "true"}))
    assert known.accept([], complete=False) is None


def test_variables_alone_cost_a_form_nothing() -> None:
    known = compiled(form({"id": "a"}, variable={"x": "1"}))
    assert known.accept([], complete=False) is not None


def test_an_initial_value_that_a_person_may_change_costs_a_form_nothing() -> None:
    short = {"id": "a", "type": "integer", "initially": "1 + 1"}
    assert compiled(form(short)).accept([], complete=False) is not None
    assert compiled(form({**short, "readOnly": True})).accept([], complete=False) is None
