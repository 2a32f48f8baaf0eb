"""Every code is a verified one or one of our own, and our own code systems are complete."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

BASE = "https://guidance.example.org/fhir"
ANSWERS = f"{BASE}/CodeSystem/muscle-twitching-answers"
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
FORM_CODES = {
    "http://hl7.org/fhir/questionnaire-item-control": {
        "check-box",
        "help",
        "lower",
        "page",
        "radio-button",
        "slider",
        "upper",
    },
    "http://hl7.org/fhir/questionnaire-display-category": {"instructions"},
    "http://hl7.org/fhir/version-algorithm": {"semver"},
    "http://hl7.org/fhir/uv/sdc/CodeSystem/launchContext": {"patient", "user"},
    "http://terminology.hl7.org/CodeSystem/usage-context-type": {"age", "focus"},
}
"""Codes that say how a form is drawn, versioned or found; they are FHIR's own, without clinical meaning."""


def codings(node: object) -> Iterator[tuple[str, str, str | None]]:
    """Every (system, code, display or unit) below a JSON node, those of ValueSet.compose included."""
    if isinstance(node, list):
        for each in node:
            yield from codings(each)
    if not isinstance(node, dict):
        return
    if "system" in node and "code" in node:
        yield node["system"], node["code"], node.get("display", node.get("unit"))
    if "system" in node and "concept" in node:
        yield from ((node["system"], each["code"], each["display"]) for each in node["concept"])
    for value in node.values():
        yield from codings(value)


def concepts(code_system: Json) -> dict[str, str]:
    """The displays of a code system by code."""
    return {concept["code"]: concept["display"] for concept in code_system["concept"]}


def units_of(item: Json) -> set[str]:
    """The units that a quantity may have."""
    offered = [each for each in item["extension"] if each["url"].endswith("unitOption")]
    return {code for system, code, _ in codings(offered) if system == UCUM}


def everything(*documents: Json) -> set[tuple[str, str, str | None]]:
    """The codings of several documents, without those that only draw the form."""
    return {each for document in documents for each in codings(document) if each[0] not in FORM_CODES}


def test_every_code_is_verified_or_local_and_carries_its_right_display(
    questionnaire: Json,
    terminology: dict[str, Json],
    samples: dict[str, Json],
    verified_codes: set[tuple[str, str, str]],
) -> None:
    local = {
        (ANSWERS, *pair) for pair in concepts(terminology["CodeSystem-muscle-twitching-answers"]).items()
    }
    known = verified_codes | local
    bare = {(system, code) for system, code, _ in known}
    for system, code, display in everything(questionnaire, *terminology.values(), *samples.values()):
        assert (system, code) in bare
        assert display is None or (system, code, display) in known


def test_the_table_of_verified_codes_holds_no_row_that_is_not_used(
    questionnaire: Json,
    terminology: dict[str, Json],
    samples: dict[str, Json],
    verified_codes: set[tuple[str, str, str]],
) -> None:
    used = everything(questionnaire, *terminology.values(), *samples.values())
    assert {row for row in verified_codes if row not in used} == set()


def test_codes_that_draw_the_form_are_the_ones_that_renderers_know(questionnaire: Json) -> None:
    drawn = {each[:2] for each in codings(questionnaire) if each[0] in FORM_CODES}
    assert drawn == {(system, code) for system, codes in FORM_CODES.items() for code in codes}


def test_standard_codes_have_the_shape_of_their_system(verified_codes: set[tuple[str, str, str]]) -> None:
    shapes = {LOINC: r"\d{1,6}-\d|LA\d+-\d", "http://snomed.info/sct": r"\d{6,18}"}
    for system, code, _ in verified_codes:
        assert re.fullmatch(shapes.get(system, r"\S+"), code), code


def test_local_answers_are_exactly_the_ones_that_the_questionnaire_offers(
    questions: dict[str, Json], terminology: dict[str, Json]
) -> None:
    options = [
        option["valueCoding"] for item in questions.values() for option in item.get("answerOption", [])
    ]
    offered = {each["code"]: each["display"] for each in options if each["system"] == ANSWERS}
    assert offered == concepts(terminology["CodeSystem-muscle-twitching-answers"])


def test_code_systems_are_complete_counted_and_defined(terminology: dict[str, Json]) -> None:
    for document in terminology.values():
        if document["resourceType"] != "CodeSystem":
            continue
        codes = [concept["code"] for concept in document["concept"]]
        assert document["content"] == "complete"
        assert document["caseSensitive"] is True
        assert document["count"] == len(codes) == len(set(codes))
        assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code) for code in codes)
        assert all(concept["definition"].endswith(".") for concept in document["concept"])


def test_code_systems_name_a_value_set_that_is_published(terminology: dict[str, Json]) -> None:
    sets = {document["url"] for document in terminology.values() if document["resourceType"] == "ValueSet"}
    assert terminology["CodeSystem-muscle-twitching-answers"]["valueSet"] in sets


def test_value_sets_name_options_as_the_questionnaire_does(
    questions: dict[str, Json], terminology: dict[str, Json]
) -> None:
    offered = everything(*questions.values())
    for document in terminology.values():
        if document["resourceType"] == "ValueSet":
            assert everything(document) <= offered, document["id"]


def test_every_set_of_options_that_is_used_twice_is_published_as_a_value_set(
    questions: dict[str, Json], terminology: dict[str, Json]
) -> None:
    used = Counter(
        frozenset(codings(item["answerOption"])) for item in questions.values() if "answerOption" in item
    )
    published = {
        frozenset(codings(document["compose"]))
        for document in terminology.values()
        if document["resourceType"] == "ValueSet"
    }
    assert {options for options, times in used.items() if times > 1} <= published


def test_codes_that_match_chart_values_belong_to_one_question_each(questions: dict[str, Json]) -> None:
    found = Counter(
        (each["system"], each["code"]) for item in questions.values() for each in item.get("code", [])
    )
    assert {code for code, times in found.items() if times > 1} == set()


def test_laboratory_values_have_a_loinc_code_and_units_that_fit(questions: dict[str, Json]) -> None:
    units = {
        "lab-potassium": {"mmol/L"},
        "lab-calcium": {"mmol/L", "mg/dL"},
        "lab-magnesium": {"mmol/L", "mg/dL"},
        "lab-vitamin-d": {"ng/mL"},
        "lab-vitamin-d-molar": {"nmol/L"},
        "lab-tsh": {"m[IU]/L"},
        "lab-ck": {"U/L"},
        "lab-alt": {"U/L"},
        "lab-ast": {"U/L"},
    }
    values = {link for link, item in questions.items() if link.startswith("lab-") and item["type"] != "date"}
    assert values == set(units)
    for link, expected in units.items():
        systems = {each["system"] for each in questions[link].get("code", [])}
        assert systems == (set() if link == "lab-vitamin-d-molar" else {LOINC})  # no molar code is verified
        assert units_of(questions[link]) == expected, link


def test_a_code_says_the_property_that_the_units_of_its_question_measure(questions: dict[str, Json]) -> None:
    of_unit = {
        "mmol/L": "Moles/volume",
        "nmol/L": "Moles/volume",
        "mg/dL": "Mass/volume",
        "ng/mL": "Mass/volume",
    }
    of_unit |= {"m[IU]/L": "Units/volume", "U/L": "Enzymatic activity/volume"}
    for link, item in questions.items():
        if not link.startswith("lab-") or "code" not in item:
            continue
        said = {each["display"].partition("[")[2].partition("]")[0] for each in item["code"]}
        assert said == {of_unit[unit] for unit in units_of(item)}, link
