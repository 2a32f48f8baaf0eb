"""The CapabilityStatement declares every route; tests/conformance compares it with what is answered."""

import orjson
import pytest

MEANS = {("GET", ""): "search-type", ("POST", "/_search"): "search-type", ("GET", "/<id:id>"): "read"}


@pytest.fixture
def statement(client):
    return orjson.loads(client.get("/fhir/metadata").data)


@pytest.fixture
def resources(statement):
    return {each["type"]: each for each in statement["rest"][0]["resource"]}


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


def test_updates_and_history_are_declared_absent(resources):
    for resource in resources.values():
        if "interaction" in resource:
            absent = ("readHistory", "updateCreate", "conditionalCreate")
            assert [resource[name] for name in absent] == [False, False, False]
