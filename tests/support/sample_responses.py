"""Responses to questionnaires as callers send them, each new in what a search would find it by."""

import json
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any

Json = dict[str, Any]

CANONICAL = "https://guidance.example.org/fhir/Questionnaire/muscle-twitching"
SYSTEM = "https://ehr.example.org/answers"
SECOND = Path(__file__).resolve().parents[1] / "second_pair"
"""A questionnaire and its guidance that are read in no time, for servers that are started often."""

_SAMPLES = Path(__file__).resolve().parents[2] / "samples"
_STRAIN = "https://guidance.example.org/fhir/Questionnaire/workday-strain|2.1.0"
_ITEMS = ("tense", "rushed", "sleep-work", "short-temper", "no-break", "concentration", "drained")
_numbers = count(1)


def new_patient() -> str:
    """Returns a reference to a patient that nobody else has."""
    return f"Patient/person-{next(_numbers)}"


def new_value() -> str:
    return f"value-{next(_numbers)}"


def sample(name: str) -> Json:
    document = json.loads((_SAMPLES / f"{name}.json").read_bytes())
    assert isinstance(document, dict)
    return document


def response(patient: str | None = None, like: str = "plain-eyelid", **changes: Any) -> Json:
    """Returns a response that nobody has sent before; a change to None leaves an element out."""
    document = sample(like)
    document |= {"id": None, "identifier": None, "subject": {"reference": patient or new_patient()}}
    return {name: value for name, value in (document | changes).items() if value is not None}


def small(patient: str | None = None, **changes: Any) -> Json:
    """Returns a response without answers, which costs little and is in progress."""
    return response(patient, "empty", **changes)


def strain(patient: str | None = None, **changes: Any) -> Json:
    """Returns a whole response to the second questionnaire."""
    coding = {
        "system": "https://guidance.example.org/fhir/CodeSystem/workday-strain-answers",
        "code": "most-days",
    }
    items = [{"linkId": each, "answer": [{"valueCoding": coding}]} for each in _ITEMS]
    document = {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": _STRAIN,
        "status": "completed",
        "subject": {"reference": patient or new_patient()},
        "authored": "2026-11-20T10:00:00Z",
        "item": [{"linkId": "strain", "item": items}],
    }
    return document | changes


def answered(document: Json, group: str, link_id: str, *answers: Json) -> Json:
    """Returns the response with other answers to one question."""
    changed = deepcopy(document)
    items = next(each for each in changed["item"] if each["linkId"] == group)["item"]
    stated = [{"linkId": link_id, "answer": list(answers)}] if answers else []
    places = [place for place, each in enumerate(items) if each["linkId"] == link_id]
    at = slice(places[0], places[0] + 1) if places else slice(len(items), None)
    items[at] = stated
    return changed


def identified(value: str, system: str | None = SYSTEM) -> Json:
    return {"value": value} if system is None else {"system": system, "value": value}
