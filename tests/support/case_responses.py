"""Responses of worked patients, as a form would send them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from service.catalogue import Pair
from service.datatypes.answers import Answer, Coding, Quantity
from service.guidance.cases import Case

Json = dict[str, Any]

_UNITS = "http://hl7.org/fhir/StructureDefinition/questionnaire-unitOption"
_VALUES = {
    "integer": "valueInteger",
    "decimal": "valueDecimal",
    "date": "valueDate",
    "text": "valueString",
    "string": "valueString",
    "boolean": "valueBoolean",
}
_TELLING = ("value", "comparator", "system", "code")
"""Parts of an answer that are not there for people."""


def response_of(pair: Pair, case: Case, *, closed_too: bool = False) -> Json:
    """Returns what the person of a case answers: the questions that are asked, nested as in the form.

    With `closed_too` the answers to questions that are closed stand there as well.
    """
    questionnaire = pair.compiled.resource
    asked = pair.compiled.answers_of(case.answers, authored=case.authored).given
    given = case.answers if closed_too else asked
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": pair.compiled.canonical,
        "status": case.status,
        "subject": {"reference": "Patient/example"},
        "authored": f"{case.authored}T12:00:00Z",
        "item": _items(questionnaire["item"], given),
    }


def questions_of(questionnaire: Json) -> dict[str, Json]:
    """Returns all items of a Questionnaire by linkId, in order."""
    found: dict[str, Json] = {}
    for item in questionnaire["item"]:
        found |= {item["linkId"]: item} | questions_of({"item": item.get("item", [])})
    return found


def answers_in_order(response: Json) -> list[tuple[str, list[Json]]]:
    """Returns linkId and answers of each question that is answered, in the order of the response."""
    found: list[tuple[str, list[Json]]] = []
    for item in response.get("item", []):
        if "answer" in item:
            found.append((item["linkId"], item["answer"]))
        found += answers_in_order(item)
    return found


def answers_by_link(response: Json) -> dict[str, list[Json]]:
    """Returns the answers of a response by linkId, wherever they stand, without texts for people."""
    found: dict[str, list[Json]] = {}
    for item in response.get("item", []):
        answers = item.get("answer", [])
        if answers:
            found[item["linkId"]] = sorted((_plain(answer) for answer in answers), key=str)
        for part in (item, *answers):
            found |= answers_by_link(part)
    return found


def _plain(answer: Json) -> Json:
    ((name, value),) = ((name, value) for name, value in answer.items() if name.startswith("value"))
    if isinstance(value, dict):
        value = {part: text for part, text in value.items() if part in _TELLING}
    return {name: value}


def _items(items: list[Json], given: Mapping[str, tuple[Answer, ...]]) -> list[Json]:
    found = []
    for item in items:
        below = _items(item.get("item", []), given)
        answers = [_answer(item, answer) for answer in given.get(item["linkId"], ())]
        if answers or below:
            stated = {"linkId": item["linkId"], "text": item["text"]}
            found.append(stated | ({"answer": answers} if answers else {"item": below}))
    return found


def _answer(item: Json, answer: Answer) -> Json:
    if isinstance(answer, Coding):
        options = (option["valueCoding"] for option in item["answerOption"])
        return {"valueCoding": next(o for o in options if (o.get("system"), o["code"]) == answer)}
    if isinstance(answer, Quantity):
        return {"valueQuantity": _quantity(item, answer)}
    return {_VALUES[item["type"]]: float(answer) if isinstance(answer, Decimal) else answer}


def _quantity(item: Json, answer: Quantity) -> Json:
    units = (each["valueCoding"] for each in item["extension"] if each["url"] == _UNITS)
    unit = next(each for each in units if each["code"] == answer.unit)
    value = int(answer.value) if answer.value == int(answer.value) else float(answer.value)
    quantity = {"value": value, "unit": unit["display"], "system": unit["system"], "code": unit["code"]}
    return quantity | ({"comparator": answer.comparator} if answer.comparator else {})
