"""Forms that ask for Observations, and what `$extract` makes of responses to them."""

from __future__ import annotations

from typing import Any

import orjson
from small_forms import ENCODE, response

from service.catalogue import Catalogue
from service.errors import ServiceError
from service.extract import Extractor
from service.fhir.extensions import (
    DEFINITION_EXTRACT,
    DEFINITION_EXTRACT_VALUE,
    OBSERVATION_EXTRACT,
    OBSERVATION_EXTRACT_CATEGORY,
)
from service.fhir.json import BodyLimits
from service.questionnaire import compile_leniently
from service.sandbox import Sandbox
from service.terminology import value_sets_from

Json = dict[str, Any]

BASE = "http://hl7.org/fhir/StructureDefinition/"
LOINC = "http://loinc.org"
HEAD: Json = {
    "id": "r1",
    "subject": {"reference": "Patient/p1"},
    "authored": "2026-11-29T10:00:00+01:00",
    "author": {"reference": "Practitioner/d1"},
}
AMY: Json = {
    "name": [{"given": ["Amy", "Lee"], "family": "Shaw"}, {"family": "Baxter"}],
    "gender": "female",
    "ihi": "8003608833357361",
}
"""Answers about the patient of SDC's complex examples."""
AMY_MADE: Json = {
    "resourceType": "Patient",
    "identifier": [
        {
            "type": {"text": "National Identifier (IHI)"},
            "system": "http://example.org/nhio",
            "value": "8003608833357361",
        }
    ],
    "name": [
        {"text": "Amy Lee Shaw", "family": "Shaw", "given": ["Amy", "Lee"]},
        {"text": "Baxter", "family": "Baxter"},
    ],
    "gender": "female",
}
"""The Patient that is made of them, by definitions and by templates."""


def asking(value: bool | str = True) -> Json:
    """The extension observationExtract."""
    name = "valueBoolean" if isinstance(value, bool) else "valueCode"
    return {"url": OBSERVATION_EXTRACT, name: value}


def category(code: str) -> Json:
    """The extension observation-extract-category."""
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {
        "url": OBSERVATION_EXTRACT_CATEGORY,
        "valueCodeableConcept": {"coding": [{"system": system, "code": code}]},
    }


def code(name: str, *extensions: Json) -> Json:
    """A code of an item."""
    return {"system": LOINC, "code": name, **({"extension": list(extensions)} if extensions else {})}


def coded(id_: str, *extensions: Json, codes: list[Json] | None = None, **more: Any) -> Json:
    """An item in the short notation with a code of the same name."""
    raw = {"code": [code(id_)] if codes is None else codes}
    return {"id": id_, **more, "raw": raw | ({"extension": list(extensions)} if extensions else {})}


def begins(kind: str, **said: str) -> Json:
    """The extension definitionExtract for a type of R4; `said`: expressions for its entry, by name."""
    parts: list[Json] = [{"url": "definition", "valueCanonical": BASE + kind}]
    parts += [{"url": name, "valueString": expression} for name, expression in said.items()]
    return {"url": DEFINITION_EXTRACT, "extension": parts}


def gives(element: str, expression: str = "", **fixed: Any) -> Json:
    """The extension definitionExtractValue: what an expression gives, or a fixed value."""
    stated = {"url": "definition", "valueUri": f"{BASE}{element.partition('.')[0]}#{element}"}
    language = "text/cql" if expression.startswith("cql: ") else "text/fhirpath"
    written = {"language": language, "expression": expression.removeprefix("cql: ")}
    parts: list[Json] = [{"url": "expression", "valueExpression": written}] if expression else []
    parts += [{"url": "fixed-value", **fixed}] if fixed else []
    return {"url": DEFINITION_EXTRACT_VALUE, "extension": [stated, *parts]}


def extractor(*forms: Json, sandbox: Sandbox | None = None) -> Extractor:
    """An extractor that serves these Questionnaires."""
    sets = value_sets_from(())
    compiled = {found.canonical: found for found in (compile_leniently(form, sets) for form in forms)}
    return Extractor(Catalogue({}, sets, compiled, {}, {}), BodyLimits(), sandbox)


def parameters(**resources: Json) -> Json:
    """Parameters with resources; an underscore in a name stands for a hyphen."""
    listed = [{"name": name.replace("_", "-"), "resource": each} for name, each in resources.items()]
    return {"resourceType": "Parameters", "parameter": listed}


def answered(form: Json, given: Json, **head: Any) -> Json:
    """What `$extract` returns for a response that gives these answers."""
    sent = response(form, given, **(HEAD | head))
    found: Json = orjson.loads(extractor(form).extract_body(ENCODE(sent)))
    return found


def part(found: Json, name: str) -> Json:
    """One resource of the returned Parameters; empty where it is not there."""
    resources = (each["resource"] for each in found["parameter"] if each["name"] == name)
    return next(resources, {})


def resources(form: Json, given: Json, **head: Any) -> list[Json]:
    """The resources of the returned Bundle."""
    return [entry["resource"] for entry in part(answered(form, given, **head), "return").get("entry", ())]


observations = resources


def issues(found: Json) -> list[str]:
    """The kinds of the returned issues."""
    listed = part(found, "issues").get("issue", ())
    return [issue["details"]["coding"][0]["code"] for issue in listed]


def problems_of(form: Json, given: Json, **head: Any) -> list[tuple[str, str, str]]:
    """Kind, place and words of every problem that the response is refused for."""
    try:
        answered(form, given, **head)
    except ServiceError as error:
        return [(problem.kind, problem.expression, problem.text) for problem in error.problems]
    return []


def refused(form: Json, given: Json, **head: Any) -> list[tuple[str, str]]:
    """The same without the words."""
    return [(kind, place) for kind, place, _ in problems_of(form, given, **head)]
