"""Responses of worked patients, as a form would send them."""

import json
from typing import Any

from service.authoring.generator import CaseResponses
from service.catalogue import Pair
from service.fhir.json import encoded
from service.guidance.cases import Case

Json = dict[str, Any]

_TELLING = ("value", "comparator", "system", "code")
"""Parts of an answer that are not there for people."""


def response_of(pair: Pair, case: Case, *, closed_too: bool = False) -> Json:
    """Returns what the person of a case answers: the questions that are asked, nested as in the form.

    With `closed_too` the answers to questions that are closed stand there as well. Decimals are floats.
    """
    return json.loads(encoded(CaseResponses(pair).of(case, closed_too=closed_too)))


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
