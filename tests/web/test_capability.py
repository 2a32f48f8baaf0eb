"""The CapabilityStatement and the routes say the same, checks CS01 to CS07."""

import fakes
import orjson
import pytest

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
MEANS = {("GET", ""): "search-type", ("POST", "/_search"): "search-type", ("GET", "/<id:id>"): "read"}


@pytest.fixture
def statement(client):
    return orjson.loads(client.get("/fhir/metadata").data)


@pytest.fixture
def resources(statement):
    return {each["type"]: each for each in statement["rest"][0]["resource"]}


def test_it_says_what_a_client_asks_first(statement):
    assert statement["resourceType"] == "CapabilityStatement"
    assert (statement["fhirVersion"], statement["kind"], statement["status"]) == (
        "4.0.1",
        "instance",
        "active",
    )
    assert {"application/fhir+json", "json"} <= set(statement["format"])
    assert statement["implementation"]["url"] == "https://fhir.example.org/r4"
    assert statement["rest"][0]["mode"] == "server"
    assert statement["date"]


def test_its_tag_is_the_same_for_every_application_of_one_content(client):
    other = fakes.composed().test_client()
    assert client.get("/fhir/metadata").headers["ETag"] == other.get("/fhir/metadata").headers["ETag"]


def test_its_tag_changes_with_its_content(client):
    other = fakes.composed(base="https://other.example.org").test_client()
    assert client.get("/fhir/metadata").headers["ETag"] != other.get("/fhir/metadata").headers["ETag"]


def test_it_is_not_sent_again_to_who_has_it(client):
    tag = client.get("/fhir/metadata").headers["ETag"]
    assert client.get("/fhir/metadata", headers={"If-None-Match": tag}).status_code == 304


def test_every_declared_interaction_is_answered(client, resources):
    for kind, resource in resources.items():
        for interaction in resource.get("interaction", ()):
            if interaction["code"] == "search-type":
                assert client.get(f"/fhir/{kind}").status_code == 200
            else:
                assert client.get(f"/fhir/{kind}/none").status_code == 404


def test_every_route_of_a_type_is_declared(application, resources):
    for route in application.routes:
        if not route.resource:
            continue
        declared = {each["code"] for each in resources[route.resource].get("interaction", ())}
        operations = {each["name"] for each in resources[route.resource].get("operation", ())}
        tail = route.path.removeprefix(f"/fhir/{route.resource}")
        if tail.startswith("/$"):
            assert tail[2:] in operations
        else:
            assert MEANS[route.method, tail] in declared


@pytest.mark.parametrize("tail", ["", "/questionnaire-1", "/questionnaire-1/_history/v1"])
def test_no_verb_works_that_is_not_declared(client, resources, tail):
    for kind in resources:
        for method in METHODS:
            if (method, tail) not in {("GET", ""), ("GET", "/questionnaire-1")}:
                assert client.open(f"/fhir/{kind}{tail}", method=method).status_code in (404, 405)


def test_every_declared_search_parameter_narrows_a_search(client, resources):
    for kind in ("Questionnaire", "CodeSystem"):
        types = {each["name"]: each["type"] for each in resources[kind]["searchParam"]}
        assert len(types) == len(resources[kind]["searchParam"])
        for name, of_type in types.items():
            value = "1900" if of_type == "date" else "no-such-value"
            bundle = orjson.loads(client.get(f"/fhir/{kind}?{name}={value}").data)
            assert bundle["total"] == 0
            assert f"{name}=" in bundle["link"][0]["url"]


def test_every_declared_operation_names_a_definition_that_can_be_read(client, resources):
    operations = [each for resource in resources.values() for each in resource.get("operation", ())]
    assert [each["name"] for each in operations] == ["assess"]
    for operation in operations:
        bundle = orjson.loads(
            client.get("/fhir/OperationDefinition", query_string={"url": operation["definition"]}).data
        )
        assert bundle["total"] == 1
        assert bundle["entry"][0]["resource"]["code"] == operation["name"]


def test_updates_and_history_are_declared_absent(resources):
    for resource in resources.values():
        if "interaction" in resource:
            absent = ("readHistory", "updateCreate", "conditionalCreate")
            assert [resource[name] for name in absent] == [False, False, False]
