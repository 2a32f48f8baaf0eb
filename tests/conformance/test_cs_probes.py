"""The CapabilityStatement against what the service does, both ways, check CS03."""

import pytest
from capability_probes import (
    OPERATIONS,
    RESPONSE,
    TYPES,
    Declared,
    instances,
    works_on_system,
    works_on_type,
)
from fhir_client import FHIR
from interviews import begun
from sample_responses import SYSTEM, identified, new_value, response, small

SERVICES = pytest.mark.parametrize("service", ["ehr", "stateless"])


@SERVICES
def test_cs03_each_type_answers_what_it_declares_and_nothing_else(caller, service):
    ehr = caller(service)
    declared = Declared(ehr)
    examples = instances(ehr)
    for kind in declared.resources:
        example = examples.get(kind)
        works, said = works_on_type(ehr, kind, example), declared.interactions(kind)
        assert works <= said, kind
        assert said - works <= (set() if example else {"read", "vread", "history-instance"}), kind


@SERVICES
def test_cs03_a_type_that_is_not_declared_answers_nothing(caller, service):
    ehr = caller(service)
    for kind in (*TYPES, "Foo", "questionnaire", "Resource", "DomainResource"):
        if kind not in Declared(ehr).resources:
            assert works_on_type(ehr, kind, None) == set(), kind


@SERVICES
def test_cs03_the_system_answers_what_it_declares_and_nothing_else(caller, service):
    ehr = caller(service)
    assert works_on_system(ehr) == Declared(ehr).system()


def test_cs03_without_a_store_nothing_that_is_stored_is_declared(stateless):
    declared = Declared(stateless)
    assert not {"RiskAssessment", "Provenance", "AuditEvent"} & set(declared.resources)
    assert declared.interactions(RESPONSE) == set()
    assert declared.operations(RESPONSE) >= {"assess", "validate"}


@SERVICES
def test_cs03_conditions_are_kept_where_they_are_declared_and_only_there(caller, existing, service):
    ehr = caller(service)
    for kind, resource in Declared(ehr).resources.items():
        example = existing[service].get(kind)
        where = f"{kind}/{example['id']}" if example else f"{kind}/none"
        conditional_update = ehr.put(f"{kind}?identifier={SYSTEM}|none", example or {"resourceType": kind})
        assert (conditional_update.status < 400) == resource.get("conditionalUpdate", False)
        conditional_delete = ehr.ask("DELETE", f"{kind}?_id=none")
        assert (conditional_delete.status < 400) == (
            resource.get("conditionalDelete", "not-supported") != "not-supported"
        )
        if example:
            assert kept_conditions(ehr, where) == resource.get("conditionalRead", "not-supported")


def kept_conditions(ehr, where):
    whole = ehr.get(where)
    by_tag = ehr.get(where, if_none_match=whole.headers["ETag"]).status == 304
    by_date = ehr.get(where, if_modified_since=whole.headers["Last-Modified"]).status == 304
    names = {(True, True): "full-support", (True, False): "not-match", (False, True): "modified-since"}
    return names.get((by_tag, by_date), "not-supported")


def test_cs03_a_conditional_create_is_declared_and_works(ehr):
    assert Declared(ehr).resources[RESPONSE]["conditionalCreate"] is True
    value = new_value()
    headers = {"if_none_exist": f"identifier={SYSTEM}|{value}"}
    statuses = [ehr.post(RESPONSE, small(identifier=identified(value)), **headers).status for _ in range(2)]
    assert statuses == [201, 200]


def test_cs03_an_update_creates_only_where_that_is_declared(ehr):
    resource = Declared(ehr).resources[RESPONSE]
    answer = ehr.put(f"{RESPONSE}/chosen-by-client", small(id="chosen-by-client"))
    assert (answer.status == 201) == resource["updateCreate"]


def test_cs03_versions_are_kept_and_compared_as_declared(ehr, kept):
    resource = Declared(ehr).resources[RESPONSE]
    wrong = ehr.put(kept.at, kept.response, if_match='W/"7"')
    assert (wrong.status == 412) == (resource["versioning"] == "versioned-update")
    assert ehr.put(kept.at, kept.response, if_match='W/"1"').json["meta"]["versionId"] == "2"
    assert resource["readHistory"] == (ehr.get(f"{kept.at}/_history/1").status == 200)


@SERVICES
def test_cs03_every_format_that_is_declared_is_written_and_no_other(caller, service):
    ehr = caller(service)
    formats = Declared(ehr).statement["format"]
    for each in formats:
        assert ehr.get(f"metadata?_format={each.replace('+', '%2B')}").status == 200
        if "/" in each:
            assert ehr.get("metadata", accept=each).status == 200
    for each in ("xml", "application/fhir+xml", "ttl", "text/turtle", "html", "text/html", "ndjson"):
        if each not in formats:
            assert ehr.get(f"metadata?_format={each.replace('+', '%2B')}").status == 406
    assert FHIR in formats


def applied(document):
    plan = document["questionnaire"].partition("|")[0].replace("/Questionnaire/", "/PlanDefinition/")
    data = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": document}]}
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "url", "valueUri": plan},
            {"name": "subject", "valueString": document["subject"]["reference"]},
            {"name": "data", "resource": data},
        ],
    }


def bodies(name):
    return {
        "assess": response(),
        "validate": response(),
        "process-response": response(),
        "extract": response(),
        "next-question": begun(response()["questionnaire"]),
        "explain": response(),
        "expand": {"resourceType": "Parameters", "parameter": [{"name": "url", "valueUri": "URL"}]},
        "populate": {
            "resourceType": "Parameters",
            "parameter": [{"name": "questionnaire", "valueCanonical": response()["questionnaire"]}],
        },
        "apply": applied(response()),
    }[name]


@SERVICES
def test_cs03_every_operation_that_is_declared_works(caller, existing, service):
    ehr = caller(service)
    declared = Declared(ehr)
    for kind, resource in declared.resources.items():
        for operation in resource.get("operation", ()):
            name = operation["name"]
            body = bodies(name)
            if name == "expand":
                url = existing[service]["ValueSet"]["url"]
                assert ehr.get(f"{kind}/$expand?url={url}").json["expansion"]
                body["parameter"][0]["valueUri"] = url
            where = f"{kind}/{existing[service][kind]['id']}" if kind == "RiskAssessment" else kind
            body = {"resourceType": "Parameters"} if where != kind else body
            assert ehr.post(f"{where}/${name}", body).status == 200, (kind, name)


@SERVICES
def test_cs03_no_operation_works_that_is_not_declared(caller, existing, service):
    ehr = caller(service)
    declared = Declared(ehr)
    on_system = {each["name"] for each in declared.rest.get("operation", ())}
    for name in OPERATIONS:
        for method in ("GET", "POST", "PUT", "DELETE"):
            body = response() if method in ("POST", "PUT") else None
            if name not in on_system:
                assert ehr.ask(method, f"${name}", body).status in (404, 405)
            for kind in (*declared.resources, "Patient"):
                if name in declared.operations(kind):
                    continue
                id_ = existing[service].get(kind, {}).get("id", "1")
                for where in (f"{kind}/${name}", f"{kind}/{id_}/${name}"):
                    assert ehr.ask(method, where, body).status in (404, 405), where
