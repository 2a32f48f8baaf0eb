"""Bodies for `$populate`, and what is read out of its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from small_forms import ENCODE, UCUM

from service.catalogue import Catalogue
from service.fhir.definitions import artifact
from service.fhir.extensions import INITIAL_EXPRESSION, LAUNCH_CONTEXT, OBSERVATION_LINK_PERIOD, VARIABLE
from service.fhir.json import BodyLimits
from service.populate import Populator
from service.questionnaire import compile_leniently
from service.terminology import value_sets_from

Json = dict[str, Any]

NOW = "2026-11-29T10:00:00Z"
LOINC = "http://loinc.org"
CODE = "2823-3"
PATIENT: Json = {"resourceType": "Patient", "id": "p1", "birthDate": "1980-11-30", "gender": "female"}
SUBJECT: Json = {"reference": "Patient/p1"}


def populator(*forms: Json) -> Populator:
    """A populator that serves these Questionnaires, none with guidance."""
    sets = value_sets_from(())
    compiled = {found.canonical: found for found in (compile_leniently(form, sets) for form in forms)}
    artifacts = {("Questionnaire", form["id"]): artifact(form) for form in forms if "id" in form}
    return Populator(Catalogue(artifacts, sets, compiled, {}, {}), BodyLimits())


def launching(*contexts: tuple[str, str]) -> list[Json]:
    """Extensions launchContext: name and type each."""
    return [
        {
            "url": LAUNCH_CONTEXT,
            "extension": [
                {"url": "name", "valueCoding": {"code": name}},
                {"url": "type", "valueCode": kind},
            ],
        }
        for name, kind in contexts
    ]


def variable(name: str, query: str) -> Json:
    """A variable of the form that is a search."""
    found = {"name": name, "language": "application/x-fhir-query", "expression": query}
    return {"url": VARIABLE, "valueExpression": found}


def linked(code: str = CODE, days: int = 90, **more: Any) -> Json:
    """What an item needs so that an Observation answers it; `extension` adds to it."""
    period = {"value": days, "system": UCUM, "code": "d"}
    extension = {"url": OBSERVATION_LINK_PERIOD, "valueDuration": period}
    return {
        "code": [{"system": LOINC, "code": code}],
        "extension": [extension, *more.pop("extension", [])],
        **more,
    }


def initially(expression: str) -> Json:
    """The extension initialExpression."""
    return {
        "url": INITIAL_EXPRESSION,
        "valueExpression": {"language": "text/fhirpath", "expression": expression},
    }


def observation(value: Any = 4.1, unit: str = "mmol/L", *, code: str = CODE, **more: Any) -> Json:
    """An Observation of the subject, final and nine days old; keywords replace elements, None removes one."""
    written = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": SUBJECT,
        "effectiveDateTime": "2026-11-20",
        "valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit},
    } | more
    return {name: element for name, element in written.items() if element is not None}


def bundle(*resources: Json) -> Json:
    """A Bundle of type collection."""
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "collection", **({"entry": entries} if entries else {})}


def context(name: str, *contents: Json) -> Json:
    """The parameter `context`: resources, or References where they have no resourceType."""
    parts = [
        {"name": "content", "resource" if "resourceType" in content else "valueReference": content}
        for content in contents
    ]
    return {"name": "context", "part": [{"name": "name", "valueString": name}, *parts]}


def parameters(*entries: Json) -> Json:
    """Parameters with these entries."""
    return {"resourceType": "Parameters", "parameter": list(entries)}


def asking(*entries: Json, data: Json | None = None, subject: Json | None = SUBJECT) -> Json:
    """Parameters about the subject, with a Bundle of data."""
    stated = [{"name": "subject", "valueReference": subject}] if subject else []
    held = [{"name": "data", "resource": data}] if data else []
    return parameters(*stated, *entries, *held)


def populated(by: Populator, body: Json, form: str = "", languages: tuple[str, ...] = ()) -> Json:
    """The Parameters that are answered."""
    return orjson.loads(by.populate_body(ENCODE(body), NOW, form, languages).body)


def part(answer: Json, name: str) -> Json:
    """One of the resources of the answer; empty where it is not there."""
    return next((entry["resource"] for entry in answer["parameter"] if entry["name"] == name), {})


def items_of(resource: Mapping[str, Any]) -> Iterator[Json]:
    """Every item of a response."""
    for item in resource.get("item", ()):
        yield item
        yield from items_of(item)
        for answer in item.get("answer", ()):
            yield from items_of(answer)


def answers(answer: Json) -> Json:
    """What was filled in, by linkId: the value, or several; without where it comes from."""
    found = {}
    for item in items_of(part(answer, "response")):
        values = [
            value for one in item.get("answer", ()) for name, value in one.items() if name.startswith("value")
        ]
        if values:
            found[item["linkId"]] = values[0] if len(values) == 1 else values
    return found


def issues(answer: Json) -> list[str]:
    """The kinds of the issues, each with its text."""
    listed = part(answer, "issues").get("issue", ())
    return [f"{issue['details']['coding'][0]['code']}: {issue['diagnostics']}" for issue in listed]


def origins(answer: Json) -> Json:
    """Where each answer comes from, by linkId: the references, then the date if there is one."""
    found = {}
    for item in items_of(part(answer, "response")):
        for one in item.get("answer", ()):
            for extension in one.get("extension", ()):
                parts = extension["extension"]
                found[item["linkId"]] = [
                    inner.get("valueDateTime") or inner["valueReference"].get("reference") for inner in parts
                ]
    return found
