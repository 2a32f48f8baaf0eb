"""Parameters, modifiers, prefixes and includes against what is declared of them, checks CS03 and CS04."""

import re

import pytest
from capability_probes import (
    RESPONSE,
    Declared,
    element_of,
    rich,
    search_values,
    values_at,
)
from fhir_client import PUBLISHED, STORED, included, issues_of, matches, names_used

STRICT = "handling=strict"
SERVICES = pytest.mark.parametrize("service", ["ehr", "stateless"])
UNDECLARED = {
    *("_text", "_content", "_list", "_filter", "_query", "_source"),
    *("_type", "_has", "patient.name", "subject:Patient.name", "_has:Provenance:target:agent"),
}
NOWHERE = {
    "reference": "Basic/nowhere",
    "token": "nowhere",
    "date": "1850",
    "string": "nowhere",
    "uri": "urn:nowhere",
    "number": "-7",
    "quantity": "-7",
}


EVERY = [("ehr", kind) for kind in (*PUBLISHED, *STORED)] + [("stateless", kind) for kind in PUBLISHED]


@pytest.mark.parametrize(("service", "kind"), EVERY)
def test_cs04_every_parameter_finds_what_has_its_value_and_nothing_else(caller, existing, service, kind):
    ehr, example = caller(service), existing[service].get(kind)
    for name, parameter in Declared(ehr).parameters(kind).items():
        nowhere = ehr.get(f"{kind}?{name}={NOWHERE[parameter['type']]}", prefer=STRICT)
        assert nowhere.status == 200, (name, nowhere.data)
        assert nowhere.json["total"] == 0
        assert names_used(nowhere.json) == {name}
        if example:
            found_by_its_values(ehr, example, name, parameter["type"])


def found_by_its_values(ehr, example, name, type_):
    kind, id_ = example["resourceType"], example["id"]
    values = values_of(example, name, type_)
    for value in values:
        found = ehr.search(f"{kind}?_id={id_}&{name}={value.replace('|', '%7C').replace('+', '%2B')}")
        assert [each["id"] for each in matches(found)] == [id_], (name, value)
    if name in ("_id", "_lastUpdated") or element_of(kind, name) == "-":
        return
    if values or not values_at(example, element_of(kind, name)):
        missing = "false" if values else "true"
        assert ehr.total(f"{kind}?_id={id_}&{name}:missing={missing}") == 1, name


def values_of(example, name, type_):
    if name == "_id":
        return [example["id"]]
    if name == "_lastUpdated":
        return [example["meta"]["lastUpdated"][:10], "ge2026", f"le{example['meta']['lastUpdated']}"]
    elements = values_at(example, element_of(example["resourceType"], name))
    if name == "patient":
        elements = [each for each in elements if each.get("reference", "").startswith("Patient/")]
    return [value for each in elements for value in search_values(type_, each)]


MODIFIERS = (
    *(
        "missing",
        "not",
        "exact",
        "contains",
        "text",
        "above",
        "below",
        "in",
        "not-in",
        "of-type",
        "identifier",
    ),
    *("iterate", "nonsense"),
)


def modifiers_said(parameter):
    """Returns the modifiers that the statement gives a parameter; it has no element of its own for them."""
    said = re.search(r"Modifiers?: ([^.]+)\.", parameter.get("documentation", ""))
    assert said is not None, f"{parameter['name']}: no modifiers are documented"
    return set(re.findall(r"[A-Za-z-]+", said[1])) - {"and", "none"}


@SERVICES
def test_cs03_modifiers_work_where_they_are_said_and_are_refused_elsewhere(caller, service):
    ehr = caller(service)
    declared = Declared(ehr)
    for kind in declared.resources:
        for name, parameter in declared.parameters(kind).items():
            said = modifiers_said(parameter)
            for modifier in MODIFIERS:
                value = "true" if modifier == "missing" else NOWHERE[parameter["type"]]
                answer = ehr.get(f"{kind}?_count=0&{name}:{modifier}={value}")
                assert answer.status == (200 if modifier in said else 400), (kind, name, modifier)


SOONER = {"lt": 0, "le": 0, "eb": 0, "eq": 0, "ap": 0, "gt": 1, "ge": 1, "sa": 1, "ne": 1}
"""How many of the resources that have a date or number lie so to one that is before all of them."""


@SERVICES
def test_cs03_every_prefix_works_on_dates_and_numbers(caller, existing, service):
    ehr = caller(service)
    declared = Declared(ehr)
    for kind, example in existing[service].items():
        for name, parameter in declared.parameters(kind).items():
            if parameter["type"] not in ("date", "number"):
                continue
            here = values_of(example, name, parameter["type"]) != []
            for prefix, expected in SOONER.items():
                query = f"{kind}?_id={example['id']}&{name}={prefix}{NOWHERE[parameter['type']]}"
                assert ehr.total(query) == (expected if here else 0), (kind, name, prefix)


@SERVICES
def test_cs04_no_parameter_works_that_is_not_declared(caller, service):
    ehr = caller(service)
    declared = Declared(ehr)
    every = {name for kind in declared.resources for name in declared.parameters(kind)}
    for kind in declared.resources:
        if "search-type" not in declared.interactions(kind):
            continue
        for name in (every | UNDECLARED) - set(declared.parameters(kind)):
            issues_of(ehr.get(f"{kind}?{name}=x", prefer=STRICT), 400)
            lenient = ehr.get(f"{kind}?_count=1&{name}=x")
            assert lenient.status == 400 or name not in names_used(lenient.json)


def test_cs03_every_include_that_is_declared_brings_something(ehr):
    made = ehr.create(rich())
    at = f"{RESPONSE}/{made['id']}"
    ehr.put(at, made | {"status": "amended"})
    queries = {RESPONSE: "_id", "RiskAssessment": "basis", "Provenance": "target", "AuditEvent": "entity"}
    for kind, resource in Declared(ehr).resources.items():
        said = [("_include", each) for each in resource.get("searchInclude", ())]
        said += [("_revinclude", each) for each in resource.get("searchRevInclude", ())]
        assert kind in queries or not said
        for parameter, value in said:
            match = f"{kind}?{queries[kind]}={made['id'] if kind == RESPONSE else at}"
            bundle = ehr.get(f"{match}&{parameter}={value}", prefer=STRICT).json
            assert included(bundle), (kind, parameter, value)
            assert parameter in names_used(bundle)


def test_cs03_no_include_works_that_is_not_declared(ehr):
    declared = Declared(ehr)
    every = {f"{kind}:{name}" for kind in declared.resources for name in declared.parameters(kind)}
    for kind, resource in declared.resources.items():
        if "search-type" not in declared.interactions(kind):
            continue
        for parameter, said in (("_include", "searchInclude"), ("_revinclude", "searchRevInclude")):
            others = sorted((every | {"Foo:bar", f"{kind}:nonsense"}) - set(resource.get(said, ())))
            for some in (others[:80], others[80:], ["*"], ["x"]):
                query = "&".join(f"{parameter}={value}" for value in some)
                bundle = ehr.get(f"{kind}?_count=1&{query}")
                assert bundle.status == 400 or parameter not in names_used(bundle.json)
                issues_of(ehr.get(f"{kind}?_count=1&{parameter}={some[-1]}", prefer=STRICT), 400)
