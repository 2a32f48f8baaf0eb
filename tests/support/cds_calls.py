"""Calls of CDS services, written from the tables of CDS Hooks 2.0.1; none was recorded from an EHR."""

import copy
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parents[2]
VIEW = "/cds-services/muscle-twitching-patient-view"
START = "/cds-services/muscle-twitching-encounter-start"
TWITCHING = {"coding": [{"system": "http://snomed.info/sct", "code": "82470000"}]}


def sample(name: str) -> dict[str, Any]:
    return orjson.loads((ROOT / f"samples/{name}.json").read_bytes())


def searchset(*resources: Any) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": resource} for resource in resources],
    }


def about(kind: str, **members: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": "x", "subject": {"reference": "Patient/example"}} | members


def call_of(hook: str = "patient-view", **prefetch: Any) -> dict[str, Any]:
    keys = ["patient", "responses", "laboratory", "conditions", "observations"]
    keys += ["encounter"] if hook == "encounter-start" else []
    return {
        "hook": hook,
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/example", "patientId": "example", "encounterId": "89284"},
        "prefetch": dict.fromkeys(keys) | prefetch,
    }


def with_answer(response: dict[str, Any], link: str, code: str) -> dict[str, Any]:
    """Returns a response with another coded answer to one question."""
    changed = copy.deepcopy(response)
    waiting = [*changed["item"]]
    while waiting:
        item = waiting.pop()
        waiting.extend(item.get("item", []))
        if item["linkId"] == link:
            item["answer"] = [{"valueCoding": item["answer"][0]["valueCoding"] | {"code": code}}]
            item["answer"][0]["valueCoding"].pop("display", None)
    return changed
