"""What a validation costs, as a ratio to `orjson.loads` of the same bytes, and how it grows.

Every figure of a line comes from the same run on the same machine; compare ratios, not microseconds.

    python -m benchmarks.validation [--largest 10000]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

from service.fhir.accept import decoder
from service.questionnaire import CompiledQuestionnaire, compile_leniently, validate
from service.terminology import value_sets_from

SYSTEM = "https://forms.example.org/CodeSystem/answers"
URL = "https://forms.example.org/Questionnaire/bench"
ROUNDS = 5


def form(count: int) -> dict[str, Any]:
    """A form of `count` items of five types in groups of ten, a third of them behind another answer."""
    groups = [
        {
            "linkId": f"g{first}",
            "type": "group",
            "text": f"Group {first}",
            "item": [_item(number, first) for number in range(first, min(first + 10, count))],
        }
        for first in range(0, count, 10)
    ]
    return {"resourceType": "Questionnaire", "url": URL, "version": "1", "status": "active", "item": groups}


def _item(number: int, first: int) -> dict[str, Any]:
    kind = ("choice", "integer", "quantity", "string", "boolean")[number % 5]
    item: dict[str, Any] = {
        "linkId": f"q{number}",
        "text": f"Question {number}?",
        "type": kind,
        "required": True,
    }
    if kind == "choice":
        item["answerOption"] = [{"valueCoding": {"system": SYSTEM, "code": code}} for code in ("yes", "no")]
    if kind == "integer":
        item["extension"] = [
            {"url": "http://hl7.org/fhir/StructureDefinition/minValue", "valueInteger": 0},
            {"url": "http://hl7.org/fhir/StructureDefinition/maxValue", "valueInteger": 10},
        ]
    if kind == "quantity":
        limit = {"value": 52, "system": "http://unitsofmeasure.org", "code": "wk"}
        unit = {"system": "http://unitsofmeasure.org", "code": "d"}
        item["extension"] = [
            {"url": "http://hl7.org/fhir/StructureDefinition/maxValue", "valueQuantity": limit},
            {"url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unitOption", "valueCoding": unit},
        ]
    if number % 3 == 2 and number > first:
        expected = {"answerCoding": {"system": SYSTEM, "code": "yes"}}
        item["enableWhen"] = [{"question": f"q{first}", "operator": "=", **expected}]
    return item


def response(questionnaire: dict[str, Any]) -> dict[str, Any]:
    """A completed response that answers everything and breaks nothing."""
    values = {
        "choice": {"valueCoding": {"system": SYSTEM, "code": "yes"}},
        "integer": {"valueInteger": 7},
        "quantity": {"valueQuantity": {"value": 12.5, "system": "http://unitsofmeasure.org", "code": "d"}},
        "string": {"valueString": "a few words"},
        "boolean": {"valueBoolean": False},
    }
    groups = [
        {
            "linkId": group["linkId"],
            "item": [
                {"linkId": item["linkId"], "text": item["text"], "answer": [values[item["type"]]]}
                for item in group["item"]
            ],
        }
        for group in questionnaire["item"]
    ]
    head = {"resourceType": "QuestionnaireResponse", "questionnaire": f"{URL}|1", "status": "completed"}
    return head | {"item": groups}


def best(work: Callable[[], object], seconds: float = 0.2) -> float:
    """Returns the time of one call in microseconds: the best of several rounds."""
    start = time.perf_counter()
    work()
    calls = max(1, int(seconds / ROUNDS / max(time.perf_counter() - start, 1e-7)))
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(calls):
            work()
        rounds.append((time.perf_counter() - start) / calls)
    return min(rounds) * 1e6


def measure(count: int) -> tuple[float, ...]:
    """Returns microseconds of loads, fast path (0 where there is none), check, validate and compiling."""
    questionnaire = form(count)
    data = orjson.dumps(response(questionnaire))
    known: CompiledQuestionnaire = compile_leniently(questionnaire, value_sets_from([]))
    parsed = json.loads(data, parse_float=Decimal)
    problems = validate(parsed, known)
    if problems:
        raise SystemExit(f"the response of the benchmark must be valid: {problems[0]}")
    typed = decoder([known.form])(data)
    return (
        best(lambda: orjson.loads(data)),
        best(lambda: known.accept(typed.item, complete=True)) if typed is not None else 0.0,
        best(lambda: known.check(parsed)),
        best(lambda: validate(parsed, known)),
        best(lambda: compile_leniently(questionnaire, value_sets_from([]))),
    )


def main() -> None:
    """Prints one line per size."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--largest", type=int, default=10_000, help="items of the largest form")
    largest = arguments.parse_args().largest
    print("  items  loads us  accept us  check us  validate us  ratio  us/item  compile ms")
    for count in (size for size in (10, 60, 100, 1_000, 10_000) if size <= largest):
        loads, accept, check, whole, compiling = measure(count)
        times = f"{count:7} {loads:9.0f} {accept:10.0f} {check:9.0f} {whole:12.0f}"
        print(f"{times} {whole / loads:6.1f} {whole / count:8.2f} {compiling / 1e3:11.1f}")


if __name__ == "__main__":
    main()
