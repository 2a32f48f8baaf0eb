"""Whatever comes in, as a response or as a form, the validator answers and never raises."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from small_forms import compiled, copied, form, load, response

from service.errors import Problem
from service.fhir.outcome import problem_kinds
from service.questionnaire import lint, validate

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.text(max_size=8),
    st.sampled_from(
        ["group", "choice", "linkId", "valueCoding", "2024-02-30", "5 kg", "#x", "a", "=", "exists", "1/0"]
    ),
)
KEYS = """
    item linkId answer text type extension url valueCoding valueQuantity
    value code system enableWhen question operator answerOption answerValueSet contained
    resourceType valueExpression expression language initial status questionnaire reference data
    size
"""
keys = st.sampled_from(KEYS.split())
junk = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
objects = st.dictionaries(keys, junk, max_size=6)


def forms() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    found = []
    for name in (
        "structure",
        "options",
        "presence",
        "enabling",
        "limits",
        "quantities",
        "references",
        "expressions",
    ):
        for group in load(f"{name}.yaml"):
            questionnaire = form(*group["form"], **group.get("root", {}))
            for row in list(group.get("rows", {}).values())[:2]:
                given_ = row[0]
                sent = (
                    response(questionnaire, given_)
                    if "items" not in given_
                    else response(questionnaire, {}, item=given_["items"])
                )
                found.append((copied(questionnaire), copied(sent)))
    return found


PAIRS = forms()


@examples(100)
@given(objects, objects)
def test_any_object_against_any_object_is_answered(
    sent: dict[str, Any], questionnaire: dict[str, Any]
) -> None:
    _answered(sent, questionnaire)


@examples(200, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_response_and_a_form_with_parts_replaced_are_answered(data: st.DataObject) -> None:
    questionnaire, sent = copy.deepcopy(data.draw(st.sampled_from(PAIRS)))
    for resource in (questionnaire, sent):
        for _ in range(data.draw(st.integers(0, 2))):
            places = list(_places(resource))
            holder, key = places[data.draw(st.integers(0, len(places) - 1))]
            holder[key] = data.draw(junk)
    _answered(sent, questionnaire)


def _places(node: Any) -> Any:
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _answered(sent: dict[str, Any], questionnaire: dict[str, Any]) -> None:
    for problem in (*validate(sent, questionnaire), *validate(sent), *lint(questionnaire)):
        assert isinstance(problem, Problem)
        assert problem.kind in problem_kinds()
        assert problem.text
        assert problem.severity in ("error", "warning", "information")


def test_a_response_that_is_deeper_than_its_form_is_answered() -> None:
    deep: dict[str, Any] = {"linkId": "a"}
    for _ in range(5_000):
        deep = {"linkId": "a", "item": [deep], "answer": [{"item": [deep]}]}
    problems = validate(
        {"resourceType": "QuestionnaireResponse", "status": "completed", "item": [deep]}, form({"id": "a"})
    )
    assert "item-nesting" in {problem.kind for problem in problems}


def test_a_form_that_is_too_deep_is_refused_and_not_followed() -> None:
    deep: dict[str, Any] = {"linkId": "x", "type": "string"}
    for number in range(5_000):
        deep = {"linkId": f"g{number}", "type": "group", "item": [deep]}
    assert "lint-deep" in {problem.kind for problem in lint(form() | {"item": [deep]})}


def test_a_group_that_repeats_without_end_is_cut_off_and_said() -> None:
    questions = [{"id": f"q{n}"} for n in range(200)]
    questionnaire = form({"id": "g", "repeats": True, "items": questions})
    sent = response(questionnaire, {}, item=[{"linkId": "g", "item": [{"linkId": "q0"}]}] * 1_500)
    assert "too-costly" in {problem.kind for problem in compiled(questionnaire).check(sent).problems}


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), float("nan"), 10**400])
def test_numbers_that_are_none_are_refused(value: Any) -> None:
    questionnaire = form(
        {"id": "a", "type": "decimal", "min": 0}, {"id": "b", "type": "quantity", "min": "0 kg"}
    )
    quantity = {"valueQuantity": {"value": value, "code": "kg"}}
    sent = response(questionnaire, {"a": {"valueDecimal": value}, "b": quantity})
    kinds = {problem.kind for problem in compiled(questionnaire).check(sent).problems}
    assert kinds <= {"answer-format"}


def test_a_hostile_unit_code_costs_nothing() -> None:
    questionnaire = form({"id": "a", "type": "quantity", "max": "3 wk"})
    for code in (
        "(" * 60,
        "m99999999999999999999",
        "k" * 64,
        "m" * 10_000,
        "{" * 60,
        "10*99.10*99.10*99",
        "d/d/d/d/d/d",
    ):
        sent = response(questionnaire, {"a": {"valueQuantity": {"value": 1, "code": code}}})
        assert {problem.kind for problem in compiled(questionnaire).check(sent).problems} <= {
            "limit-undecided"
        }
