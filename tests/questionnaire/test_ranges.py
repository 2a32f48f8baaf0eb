"""A quantity with a comparator is a range: how ranges and answers that cannot be read compare."""

from decimal import Decimal
from itertools import product
from operator import eq, ge, gt, le, lt
from typing import Any

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from small_forms import UCUM, compiled, copied, form, response, shown

from service.datatypes.answers import UNREAD, Answer, Coding, Quantity, Uncoded
from service.questionnaire import validate
from service.questionnaire.enable_when import holds
from service.questionnaire.items import EnableWhen
from service.questionnaire.values import answers_equal, compare_answers, possible_signs

INSIDE = {"": eq, "<": lt, "<=": le, ">=": ge, ">": gt}
COMPARES = {"<": lt, "<=": le, ">=": ge, ">": gt, "=": eq, "!=": lambda a, b: a != b}


def hours(written: str) -> Quantity:
    comparator, _, value = written.rpartition(" ")
    return Quantity(Decimal(value), "h", comparator)


@pytest.mark.parametrize(
    ("a", "b", "signs"),
    [
        ("> 3", "3", (1,)),
        ("> 3", "2", (1,)),
        ("> 3", "4", (-1, 0, 1)),
        (">= 3", "3", (0, 1)),
        (">= 3", "2", (1,)),
        ("< 3", "3", (-1,)),
        ("< 3", "4", (-1,)),
        ("< 3", "2", (-1, 0, 1)),
        ("<= 3", "3", (-1, 0)),
        ("> 3", "< 3", (1,)),
        (">= 3", "<= 3", (0, 1)),
        (">= 3", "< 3", (1,)),
        ("> 3", "> 3", (-1, 0, 1)),
        ("< 3", "< 5", (-1, 0, 1)),
        ("< 3", "> 3", (-1,)),
        ("< 5", "> 3", (-1, 0, 1)),
        ("<= 3", ">= 3", (-1, 0)),
    ],
)
def test_a_range_compares_as_all_that_it_holds(a: str, b: str, signs: tuple[int, ...]) -> None:
    assert possible_signs(hours(a), hours(b)) == signs
    assert possible_signs(hours(b), hours(a)) == tuple(-sign for sign in reversed(signs))
    assert compare_answers(hours(a), hours(b)) == (signs[0] if len(signs) == 1 else None)


def test_a_range_is_converted_exactly() -> None:
    assert possible_signs(Quantity(Decimal(180), "min", ">"), hours("3")) == (1,)
    assert possible_signs(Quantity(Decimal(179), "min", ">"), hours("3")) == (-1, 0, 1)
    assert possible_signs(Quantity(Decimal(3), "kg", ">"), hours("3")) == ()


def test_a_range_is_never_the_number_that_it_begins_at() -> None:
    assert answers_equal(hours("> 3"), hours("3")) is False
    assert answers_equal(hours(">= 3"), hours("3")) is None
    assert answers_equal(hours("> 3"), hours("> 3")) is None
    assert answers_equal(hours("> 3"), hours("2")) is False
    assert hours("> 3") != hours("3")
    assert len({hours("> 3"), hours("3"), hours(">= 3")}) == 3


NUMBERS = st.sampled_from([Decimal(number) for number in ("-1", "0", "2.5", "3", "3.5", "4")])
QUANTITIES = st.builds(
    Quantity, NUMBERS, st.sampled_from(["h", "min"]), st.sampled_from(["", "<", "<=", ">", ">="])
)


def some_of(quantity: Quantity) -> list[Decimal]:
    """Minutes that the quantity may be."""
    edge = quantity.value * (60 if quantity.unit == "h" else 1)
    others = [
        Decimal(number) for number in ("-1000", "-60", "0", "2.5", "3", "60", "150", "180", "240", "1000")
    ]
    tried = {
        *others,
        *[number + step for number in (edge, *others) for step in (Decimal("0.01"), -Decimal("0.01"), 0)],
    }
    return [number for number in tried if INSIDE[quantity.comparator](number, edge)]


@examples(600)
@given(QUANTITIES, QUANTITIES)
def test_no_two_values_compare_in_a_way_that_is_not_said(a: Quantity, b: Quantity) -> None:
    found = {(one > other) - (one < other) for one, other in product(some_of(a), some_of(b))}
    assert found <= set(possible_signs(a, b))


@examples(600)
@given(QUANTITIES, QUANTITIES, st.sampled_from(sorted(COMPARES)))
def test_a_condition_is_decided_only_where_every_value_decides_it_so(
    a: Quantity, b: Quantity, operator: str
) -> None:
    verdict = holds(EnableWhen("a", operator, b), (a,), "quantity")
    found = {COMPARES[operator](one, other) for one, other in product(some_of(a), some_of(b))}
    assert verdict is None or found == {verdict}


OTHER, MORE = Uncoded("", "Other"), Uncoded("urn:s", "More")
X = Coding("urn:s", "x")


@pytest.mark.parametrize(
    ("operator", "expected", "answers", "verdict"),
    [
        ("exists", True, (UNREAD,), True),
        ("exists", False, (UNREAD,), False),
        ("=", X, (UNREAD,), None),
        ("!=", X, (UNREAD,), None),
        ("=", X, (X, UNREAD), True),
        ("!=", X, (X, UNREAD), None),
        ("=", X, (Coding("urn:s", "y"), UNREAD), None),
        ("!=", X, (Coding("urn:s", "y"), UNREAD), True),
        ("=", OTHER, (OTHER,), True),
        ("=", OTHER, (MORE,), False),
        ("!=", OTHER, (MORE,), True),
        ("=", OTHER, (X,), False),
        ("=", X, (OTHER,), False),
        ("=", OTHER, (UNREAD,), None),
        ("=", Coding("", "Other"), (OTHER,), False),
    ],
)
def test_an_answer_that_cannot_be_read_exists_and_decides_nothing(
    operator: str, expected: Answer, answers: tuple[Answer, ...], verdict: bool | None
) -> None:
    assert holds(EnableWhen("a", operator, expected), answers, "choice") is verdict


@pytest.mark.parametrize("type_", ["string", "integer", "quantity", "date", "boolean"])
@pytest.mark.parametrize("operator", ["=", "!=", ">", "<="])
def test_nothing_that_is_not_there_compares(type_: str, operator: str) -> None:
    for expected in ("a", 3, hours("3"), "2026-01-01", True):
        assert holds(EnableWhen("a", operator, expected), (UNREAD,), type_) is None


ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
DECLINED = {"extension": [{"url": ABSENT, "valueCode": "asked-declined"}]}
Y = {"valueCoding": {"system": "https://forms.example.org/CodeSystem/answers", "code": "y"}}


def answers_to(answer: list[dict[str, Any]], **more: Any) -> Any:
    known = compiled(form({"id": "a", "options": ["x", "y"], "repeats": True} | more))
    sent = copied(response(known.resource, {}, item=[{"linkId": "a", "answer": answer}]))
    return known.check(sent).answers


def test_what_cannot_be_read_is_not_answered() -> None:
    for value in (DECLINED, {"display": "X"}, {"system": "urn:s"}):
        assert answers_to([{"valueCoding": value}]).given == {}
        assert answers_to([{"valueCoding": value}]).closed == frozenset()


def test_beside_another_answer_it_leaves_the_rest_unknown() -> None:
    found = answers_to([Y, {"valueCoding": DECLINED}])
    assert found.given == {"a": (Coding(Y["valueCoding"]["system"], "y"), UNREAD)}


def test_a_comparator_is_read_beside_value_and_unit() -> None:
    quantity = {"value": Decimal("3.0"), "comparator": ">=", "system": UCUM, "code": "h"}
    found = answers_to([{"valueQuantity": quantity}], type="quantity", raw={"answerOption": None})
    assert str(found.given["a"][0].value) == "3.0"
    assert found.given["a"] == (hours(">= 3"),)


def test_a_calculated_value_that_may_be_right_is_no_difference() -> None:
    questionnaire = form({"id": "a", "type": "quantity", "readOnly": True, "initial": "3 h"})
    for comparator, differs in ((">=", []), (">", ["~initial-differs .item[0]"])):
        quantity = {"value": 3, "comparator": comparator, "system": UCUM, "code": "h"}
        sent = copied(response(questionnaire, {"a": {"valueQuantity": quantity}}))
        assert shown(validate(sent, questionnaire)) == sorted([*differs, "~answer-range .item[0].answer[0]"])


def test_a_calculated_coding_without_a_code_is_no_value_to_compare_with() -> None:
    source = "%resource.item.where(linkId = 'b').answer.value"
    questionnaire = form(
        {"id": "b", "options": ["x", "y"]}, {"id": "a", "options": ["x", "y"], "calculated": source}
    )
    undecided, differs = ["?calculated-undecided .item[1]"], ["~calculated-differs .item[1]"]
    for value, expected in (({"display": "X"}, undecided), (Y["valueCoding"], differs)):
        sent = copied(response(questionnaire, {"b": {"valueCoding": value}, "a": "x"}))
        found = [one for one in shown(validate(sent, questionnaire)) if "uncoded" not in one]
        assert found == expected


def test_the_words_repeat_nothing_of_the_answer() -> None:
    questionnaire = form({"id": "a", "type": "quantity", "min": "1 h"}, {"id": "b", "options": ["x"]})
    quantity = {"value": 777, "comparator": "<", "system": UCUM, "code": "h"}
    given = {"a": {"valueQuantity": quantity}, "b": {"valueCoding": {"display": "secret"}}}
    texts = " ".join(
        problem.text for problem in validate(copied(response(questionnaire, given)), questionnaire)
    )
    assert "comparator" in texts
    assert "777" not in texts
    assert "secret" not in texts
