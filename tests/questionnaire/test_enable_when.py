"""Which items are enabled, and which are closed for certain."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from small_forms import SYSTEM, compiled, copied, form, response

from service.datatypes.answers import Coding

X, Y = Coding(SYSTEM, "x"), Coding(SYSTEM, "y")


def choice(id_: str, when: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": id_, "options": ["x", "y"]} | ({"when": when} if when else {}) | more


def closed_by(given: dict[str, Any], *items: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Returns enabled and closed items by bits, which the walk over occurrences must agree with."""
    known = compiled(form(*items))
    enabled, closed = known.enabled(given)
    sent = copied(
        response(known.resource, _nested(list(items), {name: said[0].code for name, said in given.items()}))
    )
    answers = known.check(sent).answers
    assert set(answers.given) == {name for name in given if name in enabled}
    assert answers.closed == closed
    return set(enabled), set(closed)


def test_an_unanswered_question_leaves_what_depends_on_it_disabled_but_not_closed() -> None:
    assert closed_by({}, choice("t"), choice("a", ["t", "=", "x"])) == ({"t"}, set())


def test_an_answer_that_rules_it_out_closes_a_question() -> None:
    assert closed_by({"t": (Y,)}, choice("t"), choice("a", ["t", "=", "x"])) == ({"t"}, {"a"})


def test_what_depends_on_a_closed_question_is_closed() -> None:
    items = (choice("t"), choice("a", ["t", "=", "x"]), choice("b", ["a", "=", "x"]))
    assert closed_by({"t": (Y,)}, *items) == ({"t"}, {"a", "b"})


def test_what_depends_on_an_unanswered_question_is_not_closed() -> None:
    items = (choice("t"), choice("a", ["t", "=", "x"]), choice("b", ["a", "=", "x"]))
    assert closed_by({"t": (X,)}, *items) == ({"t", "a"}, set())


def test_a_closed_group_closes_everything_in_it() -> None:
    items = (
        choice("t"),
        {"id": "g", "when": ["t", "=", "x"], "items": [choice("a"), choice("b", ["a", "=", "x"])]},
    )
    assert closed_by({"t": (Y,)}, *items) == ({"t"}, {"g", "a", "b"})


def test_that_there_is_no_answer_is_certain_only_when_the_question_is_closed() -> None:
    items = (choice("t"), choice("a", ["t", "=", "x"]), choice("b", ["a", "exists", False]))
    assert closed_by({"t": (Y,)}, *items) == ({"t", "b"}, {"a"})
    assert closed_by({}, *items) == ({"t", "b"}, set())
    assert closed_by({"t": (X,), "a": (X,)}, *items) == ({"t", "a"}, {"b"})


def test_an_answer_that_may_yet_be_hidden_closes_nothing_by_its_presence() -> None:
    items = (choice("t"), choice("a", ["t", "exists", False]), choice("b", ["a", "exists", False]))
    assert closed_by({"a": (X,)}, *items) == ({"t", "a"}, set())


def test_an_answer_of_a_question_that_may_yet_open_closes_nothing() -> None:
    items = (choice("u"), choice("t", ["u", "=", "x"]), choice("a", ["t", "=", "x"]))
    assert closed_by({"t": (Y,)}, *items) == ({"u"}, set())
    assert closed_by({"u": (Y,), "t": (X,)}, *items) == ({"u"}, {"t", "a"})


def test_an_answer_in_a_group_that_may_yet_open_closes_nothing() -> None:
    group = {"id": "g", "when": ["u", "=", "x"], "items": [choice("t"), choice("s", ["t", "exists", False])]}
    items = (choice("u"), group, choice("a", ["t", "=", "x"]))
    assert closed_by({"t": (Y,)}, *items) == ({"u"}, set())


def test_one_undecided_condition_of_any_keeps_a_question_from_being_closed() -> None:
    items = (choice("t"), choice("u"), choice("a", [["t", "=", "x"], ["u", "=", "x"]], enableBehavior="any"))
    assert closed_by({"t": (Y,)}, *items) == ({"t", "u"}, set())
    assert closed_by({"t": (Y,), "u": (Y,)}, *items) == ({"t", "u"}, {"a"})


def test_one_failed_condition_of_all_closes_a_question() -> None:
    items = (choice("t"), choice("u"), choice("a", [["t", "=", "x"], ["u", "=", "x"]]))
    assert closed_by({"t": (Y,)}, *items) == ({"t", "u"}, {"a"})


def test_an_answer_of_a_closed_question_opens_nothing() -> None:
    items = (choice("t"), choice("a", ["t", "=", "x"]), choice("b", ["a", "=", "x"]))
    assert closed_by({"t": (Y,), "a": (X,)}, *items) == ({"t"}, {"a", "b"})


def test_a_quantity_that_cannot_be_compared_neither_disables_nor_closes() -> None:
    items = ({"id": "t", "type": "quantity"}, choice("a", ["t", ">", {"quantity": "3 wk"}]))
    known = compiled(form(*items))
    sent = copied(response(known.resource, {"t": "9 kg"}))
    checked = known.check(sent)
    assert "a" not in checked.answers.closed
    assert known.enabled(dict(checked.answers.given)) == (frozenset({"t", "a"}), frozenset())


def test_a_condition_on_a_later_question_is_evaluated_all_the_same() -> None:
    items = (choice("a", ["t", "=", "x"]), choice("t"))
    assert closed_by({"t": (X,)}, *items) == ({"a", "t"}, set())
    assert closed_by({"t": (Y,)}, *items) == ({"t"}, {"a"})


def test_conditions_in_a_circle_do_not_crash() -> None:
    items = (choice("a", ["b", "=", "x"]), choice("b", ["a", "=", "x"]))
    enabled, closed = closed_by({}, *items)
    assert (enabled, closed) == (set(), set())


def test_worked_cases_ignore_answers_of_disabled_items() -> None:
    known = compiled(form(choice("t"), choice("a", ["t", "=", "x"])))
    answers = known.answers_of({"t": (Y,), "a": (X,)}, chart={"c": (5,)})
    assert (answers.given, answers.ignored, answers.closed) == ({"t": (Y,)}, {"a": (X,)}, {"a"})
    assert answers.chart == {"c": (5,)}


@pytest.mark.parametrize("t", ["x", "y", None])
def test_a_repeating_group_closes_a_question_only_if_it_is_closed_in_every_occurrence(t: str | None) -> None:
    group = {"id": "g", "repeats": True, "items": [choice("t"), choice("a", ["t", "=", "x"])]}
    known = compiled(form(group))
    sent = copied(response(known.resource, {"g": [{"t": "y"}, {"t": t} if t else {}]}))
    assert ("a" in known.check(sent).answers.closed) is (t == "y")


@pytest.mark.parametrize(
    "said", [{"t": "y"}, {"t": "y", "u": "y"}, {"t": "x", "u": "y"}, {"u": "x"}, {"t": "y", "u": "x"}]
)
@pytest.mark.parametrize("is_group_first", [False, True])
def test_items_with_the_same_conditions_are_closed_each_with_what_holds_it(
    said: dict[str, str], is_group_first: bool
) -> None:
    same = ["t", "=", "x"]
    group = {"id": "g", "when": ["u", "=", "x"], "items": [choice("inside", same), choice("further", same)]}
    beside = [group, choice("outside", same)]
    items = [choice("t"), choice("u"), *(beside if is_group_first else beside[::-1])]
    reading = [choice("reads-inside", ["inside", "=", "x"]), choice("reads-outside", ["outside", "=", "x"])]
    known = compiled(form(*items, *reading))
    enabled, closed = known.enabled(typed(said))
    checked = known.check(copied(response(known.resource, said)))
    assert closed == checked.answers.closed
    assert ("inside" in enabled) is ("further" in enabled) is (said == {"t": "x", "u": "x"})
    assert ("reads-inside" in closed) is ("y" in said.values())
    assert ("reads-outside" in closed) is (said.get("t") == "y")


# Random forms against a plain evaluation, and against every completion of the open questions.

_NAMES = [f"q{n}" for n in range(5)]


@st.composite
def forms(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Five questions, some in a conditional group; conditions read any question that is not below them."""
    order = draw(st.permutations(_NAMES))
    items = []
    for place, name in enumerate(order):
        items.append(
            choice(
                name, draw(_conditions(order[:place])), enableBehavior=draw(st.sampled_from(["all", "any"]))
            )
        )
    if draw(st.booleans()):
        cut = draw(st.integers(1, 4))
        condition = draw(_conditions(order[:cut]))
        items = [*items[:cut], {"id": "g", "items": items[cut:]} | ({"when": condition} if condition else {})]
    if draw(st.booleans()):
        items.reverse()
    return items


@st.composite
def _conditions(draw: st.DrawFn, questions: list[str]) -> list[list[Any]] | None:
    if not questions:
        return None
    condition = st.tuples(
        st.sampled_from(questions),
        st.sampled_from([("=", "x"), ("!=", "x"), ("=", "y"), ("exists", True), ("exists", False)]),
    )
    found = draw(st.lists(condition, max_size=2))
    return [[question, *rest] for question, rest in found] or None


def plainly_enabled(items: list[dict[str, Any]], given: dict[str, str]) -> set[str]:
    """The rules of FHIR, read off the page: no bits, no order, no third value."""
    by_id: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {}
    for item in items:
        by_id[item["id"]] = (item, None)
        by_id |= {inner["id"]: (inner, item) for inner in item.get("items", [])}

    def enabled(id_: str) -> bool:
        item, parent = by_id[id_]
        verdicts = [holds(*condition) for condition in item.get("when") or []]
        combine = any if item.get("enableBehavior") == "any" and len(verdicts) > 1 else all
        return combine(verdicts) and (parent is None or enabled(parent["id"]))

    def holds(question: str, operator: str, expected: Any) -> bool:
        said = given.get(question) if enabled(question) else None
        if operator == "exists":
            return (said is not None) is expected
        return said is not None and ((said == expected) is (operator == "="))

    return {id_ for id_ in by_id if enabled(id_)}


answers = st.dictionaries(st.sampled_from(_NAMES), st.sampled_from(["x", "y"]))


def typed(said: dict[str, str]) -> dict[str, tuple[Coding, ...]]:
    return {name: (Coding(SYSTEM, code),) for name, code in said.items()}


@examples(150)
@given(forms(), answers)
def test_enabled_is_what_fhir_says(items: list[dict[str, Any]], said: dict[str, str]) -> None:
    enabled, closed = compiled(form(*items)).enabled(typed(said))
    assert set(enabled) == plainly_enabled(items, said)
    assert not enabled & closed


@examples(80)
@given(forms(), answers)
def test_no_completion_opens_what_is_closed_for_certain(
    items: list[dict[str, Any]], said: dict[str, str]
) -> None:
    _, closed = compiled(form(*items)).enabled(typed(said))
    now = plainly_enabled(items, said)
    free = [name for name in _NAMES if name not in said or name not in now]
    for choices in product([None, "x", "y"], repeat=len(free)):
        completed = {name: code for name, code in said.items() if name not in free}
        completed |= {name: code for name, code in zip(free, choices, strict=True) if code is not None}
        assert not closed & plainly_enabled(items, completed)


@examples(150)
@given(forms(), answers)
def test_bits_and_occurrences_agree(items: list[dict[str, Any]], said: dict[str, str]) -> None:
    known = compiled(form(*items))
    sent = copied(response(known.resource, _nested(items, said)))
    by_occurrences, by_bits = known.check(sent).answers, known.answers_of(typed(said))
    assert by_occurrences.given == by_bits.given
    assert by_occurrences.ignored == by_bits.ignored
    assert by_occurrences.closed == by_bits.closed


def _nested(items: list[dict[str, Any]], said: dict[str, str]) -> dict[str, Any]:
    given = {}
    for item in items:
        if "items" in item:
            given[item["id"]] = _nested(item["items"], said)
        elif item["id"] in said:
            given[item["id"]] = said[item["id"]]
    return given


# What is undecided: never closed, its answers given, and no fault that is not one in either case.

CANNOT_KNOW = "%patient.active"


def undecided_form(expression: str) -> Any:
    return form(
        {"id": "q", "options": ["x", "y"], "enable": expression},
        {"id": "d", "required": True, "when": ["q", "=", "x"]},
        {"id": "n", "required": True, "when": ["q", "exists", False]},
        {"id": "e", "required": True, "when": ["d", "exists", True]},
        {"id": "g", "when": ["q", "!=", "y"], "items": [{"id": "i", "required": True, "maxLength": 1}]},
    )


def faults_of(expression: str, given: dict[str, Any]) -> set[tuple[str, str]]:
    questionnaire = undecided_form(expression)
    sent = copied(response(questionnaire, given))
    return {
        (problem.kind, problem.expression)
        for problem in compiled(questionnaire).check(sent).problems
        if problem.severity != "information"
    }


@pytest.mark.parametrize("q", [None, "x", "y"])
@pytest.mark.parametrize("d", [None, "z"])
@pytest.mark.parametrize("n", [None, "z"])
@pytest.mark.parametrize("e", [None, "z"])
@pytest.mark.parametrize("i", [None, "z", "zz"])
def test_a_fault_beside_what_is_undecided_is_one_whichever_way_it_is(
    q: str | None, d: str | None, n: str | None, e: str | None, i: str | None
) -> None:
    given = {"q": q, "d": d, "n": n, "e": e, "g": {"i": i} if i else None}
    sent = {link: value for link, value in given.items() if value is not None}
    found = faults_of(CANNOT_KNOW, sent)
    for decided in ("true", "false"):
        faults = faults_of(decided, sent)
        not_expected = tuple(path for kind, path in faults if kind == "disabled-item")
        assert {fault for fault in found if not fault[1].startswith(not_expected)} <= faults


def test_answers_of_an_undecided_item_are_given_and_it_is_never_closed() -> None:
    known = compiled(undecided_form(CANNOT_KNOW))
    answers = known.check(copied(response(known.resource, {"q": "x", "d": "z"}))).answers
    assert set(answers.given) == {"q", "d"}
    assert answers.ignored == {}
    assert answers.closed == frozenset()
    assert known.check(copied(response(known.resource, {}))).answers.closed == frozenset()
