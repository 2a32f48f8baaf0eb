"""A random form, a valid response to it, and one planted fault: exactly that fault is found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from json_mutations import mutated
from small_forms import ENCODE, SYSTEM, UCUM, compiled, copied, form, response, served, shown, structs

from service.fhir.extensions import DATA_ABSENT_REASON
from service.questionnaire import validate

TYPES = [
    "boolean",
    "integer",
    "decimal",
    "date",
    "string",
    "choice",
    "open-choice",
    "quantity",
    "time",
    "url",
]
Response = dict[str, Any]
Mutation = tuple[str, Callable[[Response], None], str]
"""What is planted (for the reader of a failure), how, and the fault that must be found."""


@st.composite
def questions(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """A question of any type with limits, an option list, or numbers of answers."""
    type_ = draw(st.sampled_from(TYPES))
    one: dict[str, Any] = {"id": name, "type": type_, "required": draw(st.booleans())}
    if type_ in ("choice", "open-choice"):
        one["options"] = ["red", "green", "blue"]
    if type_ in ("integer", "decimal"):
        low = draw(st.integers(-50, 50))
        one |= {"min": low, "max": low + draw(st.integers(1, 9))}
    if type_ == "decimal":
        one["places"] = draw(st.integers(0, 3))
    if type_ == "string":
        one |= {"minLength": 2, "maxLength": draw(st.integers(4, 8))}
    if type_ == "quantity":
        one |= {"units": ["d", "wk"], "min": "7 d", "max": "3 wk"}
    if type_ == "date":
        one |= {"min": "2020-01-10", "max": "2020-12-20"}
    if draw(st.booleans()) and type_ != "boolean":
        one |= {"repeats": True, "high": draw(st.integers(1, 2))}
    return one


@st.composite
def whole_forms(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Questions at the top and in groups, some of them behind the answer of the first one."""
    items: list[dict[str, Any]] = [{"id": "t", "options": ["x", "y"], "required": True}]
    for number in range(draw(st.integers(1, 5))):
        one = draw(questions(f"q{number}"))
        if draw(st.booleans()):
            one = {"id": f"g{number}", "items": [one, draw(questions(f"p{number}"))]}
        if draw(st.booleans()):
            one["when"] = ["t", "=", draw(st.sampled_from(["x", "y"]))]
        items.append(one)
    return items


@st.composite
def valid_answers(draw: st.DrawFn, items: list[dict[str, Any]], chosen: str) -> dict[str, Any]:
    """Answers that break no rule; what the answer to t disables stays empty."""
    given: dict[str, Any] = {}
    for notation in items:
        if notation.get("when") and notation["when"][2] != chosen:
            continue
        if "items" in notation:
            given[notation["id"]] = draw(valid_answers(notation["items"], chosen))
        elif notation["id"] == "t":
            given["t"] = chosen
        elif notation.get("required") or draw(st.booleans()):
            count = draw(st.integers(1, notation.get("high", 1)))
            given[notation["id"]] = draw(
                st.lists(_answer(notation), min_size=count, max_size=count, unique_by=str)
            )
    return given


def _answer(one: dict[str, Any]) -> st.SearchStrategy[Any]:
    whole = st.integers(one["min"], one["max"]) if one["type"] in ("integer", "decimal") else st.nothing()
    return {
        "boolean": st.booleans(),
        "integer": whole,
        "decimal": whole.map(lambda n: Decimal(n).quantize(Decimal(1).scaleb(-one.get("places", 0)))),
        "date": st.sampled_from(["2020-01-10", "2020-06-15", "2020-12-20", "2020-03"]),
        "string": st.text("abcdefg", min_size=2, max_size=one.get("maxLength", 4)),
        "choice": st.sampled_from(["red", "green", "blue"]),
        "open-choice": st.sampled_from(["red", "green", "own: purple"]),
        "quantity": st.sampled_from(["7 d", "8.5 d", "21 d", "1 wk", "3 wk"]),
        "time": st.sampled_from(["00:00:00", "12:30:00", "23:59:59"]),
        "url": st.sampled_from(["https://example.org", "urn:oid:1.2.3", "mailto:a@example.org"]),
    }[one["type"]]


def places(items: list[Any], path: str) -> Iterator[tuple[list[Any], int, str]]:
    """Every response item: the list that it stands in, its index, and its path."""
    for index, one in enumerate(items):
        here = f"{path}.item[{index}]"
        yield items, index, here
        yield from places(one.get("item", []), here)


def mutations(questionnaire: dict[str, Any], sent: Response, chosen: str) -> Iterator[Mutation]:
    """Every single fault that can be planted in this response."""
    forms = {source["linkId"]: source for source in _flat(questionnaire["item"])}
    for steps, one in _located(sent):
        path = _path(steps)
        source = forms[one["linkId"]]
        yield "another text", _set(steps, "text", "Other words"), f"item-text {path}"
        if one["linkId"] == "t":
            continue
        yield "an unknown linkId", _set(steps, "linkId", "nowhere"), f"item-unknown {path}"
        yield from _doubled(steps, source, path)
        for index, answer in enumerate(one.get("answer", [])):
            for name, value, fault in _wrong_values(source, answer):
                yield name, _replaced(steps, index, value), f"{fault} {path}.answer[{index}]"
        if "answer" in one:
            yield "one answer too many", _extended(steps, source), f"too-many {path}"
        if source.get("required") and "answer" in one:
            yield "no answer to a required question", _removed(steps), f"required {_parent(steps)}"
    yield from _disabled(questionnaire, sent, chosen)
    if len(sent["item"]) > 1:
        yield "another order", _moved_last, f"item-order .item[{len(sent['item']) - 1}]"


def _flat(items: list[Any]) -> Iterator[Any]:
    for source in items:
        yield source
        yield from _flat(source.get("item", []))


def _located(sent: Response) -> Iterator[tuple[tuple[int, ...], Any]]:
    def walk(items: list[Any], above: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Any]]:
        for index, source in enumerate(items):
            yield (*above, index), source
            yield from walk(source.get("item", []), (*above, index))

    return walk(sent["item"], ())


def _at(sent: Response, steps: tuple[int, ...]) -> Any:
    here: Any = sent
    for step in steps:
        here = here["item"][step]
    return here


def _path(steps: tuple[int, ...]) -> str:
    return "".join(f".item[{step}]" for step in steps)


def _parent(steps: tuple[int, ...]) -> str:
    return _path(steps[:-1]) or "-"


def _set(steps: tuple[int, ...], key: str, value: Any) -> Callable[[Response], None]:
    return lambda sent: _at(sent, steps).update({key: value})


def _replaced(steps: tuple[int, ...], index: int, value: Any) -> Callable[[Response], None]:
    def plant(sent: Response) -> None:
        _at(sent, steps)["answer"][index] = value

    return plant


def _removed(steps: tuple[int, ...]) -> Callable[[Response], None]:
    return lambda sent: _at(sent, steps[:-1])["item"].pop(steps[-1])


def _doubled(steps: tuple[int, ...], source: dict[str, Any], path: str) -> Iterator[Mutation]:
    def plant(sent: Response) -> None:
        items = _at(sent, steps[:-1])["item"]
        items.insert(steps[-1] + 1, {"linkId": source["linkId"]})

    yield "an item twice", plant, f"item-repeated {_path((*steps[:-1], steps[-1] + 1))}"


def _extended(steps: tuple[int, ...], source: dict[str, Any]) -> Callable[[Response], None]:
    high = next(
        (
            extension["valueInteger"]
            for extension in source.get("extension", [])
            if "maxOccurs" in extension["url"]
        ),
        1,
    )

    def plant(sent: Response) -> None:
        answers = _at(sent, steps)["answer"]
        spare = answers * 3
        if source["type"] in ("choice", "open-choice"):
            codes = [{"valueCoding": {"system": SYSTEM, "code": code}} for code in ("red", "green", "blue")]
            spare = [code for code in codes if code not in answers]
        answers.extend(copy.deepcopy(spare[: high + 1 - len(answers)]))

    return plant


def _wrong_values(
    source: dict[str, Any], answer: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any], str]]:
    type_ = source["type"]
    limits = {
        extension["url"].rpartition("/")[2]: value
        for extension in source.get("extension", [])
        for key, value in extension.items()
        if key != "url"
    }
    yield "another type", {"valueAttachment": {"url": "https://x.example.org"}}, "answer-type"
    if type_ in ("integer", "decimal"):
        ((name, _),) = answer.items()
        yield "one below the minimum", {name: limits["minValue"] - 1}, "below-minimum"
        yield "one above the maximum", {name: limits["maxValue"] + 1}, "above-maximum"
        yield "a number as a text", {name: "7"}, "answer-format"
    if type_ == "decimal":
        more = Decimal(limits["minValue"]).quantize(Decimal(1).scaleb(-limits["maxDecimalPlaces"] - 1))
        yield "one decimal place too many", {"valueDecimal": more}, "decimal-places"
    if type_ == "string":
        yield "one character too many", {"valueString": "x" * (source["maxLength"] + 1)}, "too-long"
        yield "one character too few", {"valueString": "x"}, "too-short"
    if type_ in ("choice", "open-choice"):
        yield "an unknown code", {"valueCoding": {"system": SYSTEM, "code": "mauve"}}, "answer-option"
        yield "another system", {"valueCoding": {"system": "http://x", "code": "red"}}, "answer-option"
    if type_ == "date":
        yield "a day too early", {"valueDate": "2020-01-09"}, "below-minimum"
        yield "a day too late", {"valueDate": "2020-12-21"}, "above-maximum"
        yield "a day that does not exist", {"valueDate": "2020-02-30"}, "answer-format"
    if type_ == "quantity":
        yield "a day too few", {"valueQuantity": {"value": 6, "system": UCUM, "code": "d"}}, "below-minimum"
        yield "a day too many", {"valueQuantity": {"value": 22, "system": UCUM, "code": "d"}}, "above-maximum"
        yield (
            "a unit that is no option",
            {"valueQuantity": {"value": 200, "system": UCUM, "code": "h"}},
            "unit-option",
        )
    if type_ == "time":
        yield "a time without seconds", {"valueTime": "12:30"}, "answer-format"
    if type_ == "url":
        yield "a url with a blank", {"valueUri": "https://example.org/a b"}, "url-syntax"


def _disabled(questionnaire: dict[str, Any], sent: Response, chosen: str) -> Iterator[Mutation]:
    """An answer for a question that the other answer to t would enable, put where it belongs."""
    order = [source["linkId"] for source in questionnaire["item"]]
    for source in questionnaire["item"]:
        (condition,) = source.get("enableWhen", [{}])
        code = condition.get("answerCoding", {}).get("code", chosen)
        if code == chosen or source["type"] != "boolean":
            continue
        before = sum(order.index(there["linkId"]) < order.index(source["linkId"]) for there in sent["item"])
        extra = {"linkId": source["linkId"], "answer": [{"valueBoolean": False}]}
        yield (
            "an answer that is not asked",
            lambda sent, at=before, new=extra: sent["item"].insert(at, new),
            f"disabled-item .item[{before}]",
        )


def _moved_last(sent: Response) -> None:
    sent["item"].append(sent["item"].pop(0))


@examples(100)
@given(st.data())
def test_a_valid_response_has_no_fault_and_both_paths_read_the_same_answers(data: st.DataObject) -> None:
    items, chosen = data.draw(whole_forms()), data.draw(st.sampled_from(["x", "y"]))
    questionnaire = copied(form(*items))
    sent = copied(response(questionnaire, data.draw(valid_answers(items, chosen))))
    known = compiled(questionnaire)
    assert shown(known.lint) == []
    checked = known.check(sent)
    assert shown(checked.problems) == []
    typed = structs(sent)
    accepted = known.accept(typed, complete=True) if typed is not None else None
    if accepted is not None:
        assert accepted == checked.answers
    elif typed is not None:
        slow = {"url", "open-choice"} & {source["type"] for source in _flat(questionnaire["item"])}
        assert slow, "a plain valid response must take the accept path"


@examples(200)
@given(st.data())
def test_exactly_the_planted_fault_is_found(data: st.DataObject) -> None:
    items, chosen = data.draw(whole_forms()), data.draw(st.sampled_from(["x", "y"]))
    questionnaire = copied(form(*items))
    sent = copied(response(questionnaire, data.draw(valid_answers(items, chosen))))
    planted = list(mutations(questionnaire, sent, chosen))
    name, plant, fault = data.draw(st.sampled_from(planted), label="fault")
    broken = copy.deepcopy(sent)
    plant(broken)
    broken = copied(broken)
    found = shown(validate(broken, questionnaire))
    assert found == _consequences(name, fault, found), name
    typed = structs(broken)
    if typed is not None:
        assert compiled(questionnaire).accept(typed, complete=True) is None
    assert served(questionnaire).accept_parsed(broken, "completed") is None


PASSED_OVER = {"id": "a1", "extension": [{"url": "https://example.org/x", "valueString": "x"}]}
BESIDE_A_VALUE: tuple[dict[str, Any], ...] = (
    {"_valueBoolean": {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": "unknown"}]}},
    {"_valueCoding": PASSED_OVER},
    {"valueTime": "10:00:00"},
    {"value": 1},
    {"item": []},
    {"item": [{"linkId": "x"}]},
    PASSED_OVER,
    {"comment": True},
)
IN_A_VALUE: tuple[dict[str, Any], ...] = (
    {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": "unknown"}]},
    {"_value": {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": "unknown"}]}},
    {"_code": {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": "unknown"}]}},
    {"_display": {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": "unknown"}]}},
    {"display": 3},
    {"display": "Crimson"},
    {"display": "Red "},
    {"system": None},
    {"code": ["red"]},
    {"comparator": "<"},
    {"value": "7"},
    {"value": True},
    {"unit": ["d"]},
    {"version": "2", "userSelected": True} | PASSED_OVER,
)


def _decorated(sent: Response, draw: Callable[[Any], Any]) -> bool:
    """Adds what the check passes over, and perhaps one thing that it may not; returns whether."""
    answers = [answer for item in _flat(sent["item"]) for answer in item.get("answer", [])]
    for element in (*_flat(sent["item"]), *answers):
        if draw(st.booleans()):
            element.update(PASSED_OVER)
    odd = draw(st.sampled_from((None, *BESIDE_A_VALUE, *IN_A_VALUE))) if answers else None
    if odd is None:
        return False
    answer = draw(st.sampled_from(answers))
    values = [value for name, value in answer.items() if name.startswith("value") and isinstance(value, dict)]
    (values[0] if values and odd in IN_A_VALUE else answer).update(copy.deepcopy(odd))
    return True


@examples(150)
@given(st.data())
def test_a_parsed_response_is_taken_by_a_walk_only_where_the_full_check_reads_the_same(
    data: st.DataObject,
) -> None:
    items, chosen = data.draw(whole_forms()), data.draw(st.sampled_from(["x", "y"]))
    questionnaire = copied(form(*items))
    known, in_full = served(questionnaire), compiled(questionnaire)
    sent = copied(response(questionnaire, data.draw(valid_answers(items, chosen))))
    is_odd = _decorated(sent, data.draw)
    taken = known.accept_parsed(sent, "completed")
    assert known.check(sent) == in_full.check(sent)
    if not is_odd:
        assert taken is not None, "what the check passes over must not send a plain response to it"
    changed = _parsed(mutated(json.loads(ENCODE(sent)), Random(data.draw(st.integers(0, 9999)))))
    for status in ("completed", "in-progress", "mistyped"):
        assert known.check(changed, status) == in_full.check(changed, status)


def _parsed(body: bytes) -> dict[str, Any]:
    """What a body holds, whatever it is; nothing where it is no JSON object."""
    try:
        found = json.loads(body, parse_float=Decimal)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _consequences(name: str, fault: str, found: list[str]) -> list[str]:
    """An item under a wrong name is also missing under its own; nothing else follows from one fault."""
    missing = (
        [problem for problem in found if problem.startswith("required ")]
        if name == "an unknown linkId"
        else []
    )
    return sorted([fault, *missing])


@pytest.mark.parametrize(
    "kind", ["item-unknown", "answer-type", "required", "too-many", "item-order", "disabled-item"]
)
def test_the_mutations_can_plant(kind: str) -> None:
    items = [
        {"id": "t", "options": ["x", "y"], "required": True},
        {"id": "a", "required": True, "type": "boolean"},
    ]
    items.append({"id": "b", "type": "boolean", "when": ["t", "=", "y"]})
    questionnaire = copied(form(*items))
    sent = copied(response(questionnaire, {"t": "x", "a": True}))
    assert kind in {fault.split()[0] for _, _, fault in mutations(questionnaire, sent, "x")}
