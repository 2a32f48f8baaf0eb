"""The OpenAPI document is valid, has every route and nothing else, and says the truth."""

import fakes
import jsonschema_rs
import orjson
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from service import app
from service.search import parameters_of
from service.settings import Settings
from service.validate import MODES
from service.web.access import WITHOUT_TOKEN, Access
from service.web.deployment import Deployment
from service.web.descriptions import ALIVE
from service.web.descriptions import BASE as BASE_OF_THE_API
from service.web.gate import Gate
from service.web.openapi import ALWAYS, openapi_document
from service.web.operations import EXPAND_INPUTS
from service.web.problems import _ANSWERS
from service.web.reply import STATUS
from service.web.routing import Route

BASE = "http://127.0.0.1:8000/fhir"
METHODS = {"get", "post", "put", "patch", "delete"}
VARIABLES = {f"<id:{name}>": f"{{{name}}}" for name in ("id", "version", "slug", "name")}


@pytest.fixture(scope="module", params=["none", "sqlite"])
def service(request, tmp_path_factory):
    """The whole service, without and with a store."""
    file = tmp_path_factory.mktemp("store") / "service.db"
    return app.create_app(Settings(store_url="none" if request.param == "none" else f"sqlite:///{file}"))


@pytest.fixture(scope="module")
def said(service):
    return orjson.loads(service.test_client().get("/openapi.json").data)


@pytest.fixture(scope="module")
def has_store(service):
    return "/fhir/RiskAssessment" in {route.path for route in service.routes}


def operations(said):
    """Yields path, method and operation."""
    for path, item in said["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def members(node):
    """Yields every name and value of a document."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in inner:
        yield name, value
        yield from members(value)


def resolved(said, node):
    """Returns what a reference stands for."""
    while "$ref" in node:
        found = said
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        node = found
    return node


def fits(said, schema, instance):
    jsonschema_rs.validator_for({**schema, "components": said["components"]}).validate(instance)


def check(said, operation, answer):
    """Asserts that an answer is one of those that the operation is said to give."""
    response = resolved(said, operation["responses"][str(answer.status_code)])
    for name, header in response["headers"].items():
        assert name in answer.headers or not resolved(said, header).get("required")
        if name in answer.headers and resolved(said, header)["schema"]["type"] == "string":
            fits(said, resolved(said, header)["schema"], answer.headers[name])
    if answer.headers.get("Content-Type", "").startswith("text/"):
        assert answer.headers["Content-Type"].partition(";")[0] in response["content"]
    elif answer.data or "content" in response:
        fits(said, response["content"][answer.headers["Content-Type"]]["schema"], orjson.loads(answer.data))


def test_it_is_a_valid_document(said):
    jsonschema_rs.validator_for(OPENAPI_31).validate(said)
    for schema in said["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_every_reference_in_it_leads_somewhere(said):
    for name, value in members(said):
        if name == "$ref":
            assert resolved(said, {"$ref": value})


def test_it_has_every_route_with_its_methods_and_nothing_else(service, said):
    table = {}
    for route in service.routes:
        path = route.path
        for variable, name in VARIABLES.items():
            path = path.replace(variable, name)
        table.setdefault(path, set()).add(route.method.lower())
    assert {path: METHODS & item.keys() for path, item in said["paths"].items()} == table
    assert "/openapi.json" in table


def test_operations_have_names_of_their_own_and_links_lead_to_them(said):
    names = [operation["operationId"] for _, _, operation in operations(said)]
    assert len(names) == len(set(names))
    links = [value for name, value in members(said) if name == "operationId" and value not in names]
    assert links == []


def test_every_variable_of_a_path_is_declared_with_its_pattern(said):
    for path, item in said["paths"].items():
        declared = {each["name"]: each for each in item.get("parameters", ())}
        assert set(declared) == {name for name in ("id", "version", "slug", "name") if f"{{{name}}}" in path}
        for each in declared.values():
            fits(said, each["schema"], "A-1.b")
            assert not jsonschema_rs.is_valid(each["schema"], "a_b")
            assert not jsonschema_rs.is_valid(each["schema"], "x" * 65)


def test_every_search_parameter_is_declared(said):
    for path, method, operation in operations(said):
        kind = operation["tags"][0]
        if path == f"/fhir/{kind}" and method == "get":
            names = [resolved(said, each)["name"] for each in operation["parameters"]]
            assert len(names) == len(set(names))
            assert set(parameters_of(kind)) | {"_count", "_sort", "_summary", "Prefer"} <= set(names)
        if path.endswith("/_search"):
            (form,) = operation["requestBody"]["content"].values()
            assert list(form["schema"]["properties"]) == list(parameters_of(kind))


def test_includes_are_declared_where_there_are_any(said, has_store):
    with_includes = {
        operation["tags"][0]
        for _, _, operation in operations(said)
        if {"$ref": "#/components/parameters/_include"} in operation["parameters"]
    }
    assert ("RiskAssessment" in with_includes) == has_store
    assert "CodeSystem" not in with_includes


def test_the_values_of_a_parameter_are_those_that_are_taken(said):
    assert said["components"]["parameters"]["mode"]["schema"]["enum"] == list(MODES)
    for path, needed in (("/fhir/ValueSet/$expand", ["url"]), ("/fhir/ValueSet/{id}/$expand", [])):
        declared = [each for each in said["paths"][path]["get"]["parameters"] if "$ref" not in each]
        assert [each["name"] for each in declared] == [each.name for each in EXPAND_INPUTS]
        assert [each["name"] for each in declared if each["required"]] == needed


def test_every_refusal_has_a_status_that_is_given_and_is_an_outcome(said):
    given = {*STATUS.values(), 500, *(status for _, status, _ in _ANSWERS)}
    assert {status for _, status, _ in _ANSWERS} <= set(ALWAYS)
    for name, response in said["components"]["responses"].items():
        assert int(name) in given
        assert response["content"] == {
            fakes.FHIR: {"schema": {"$ref": "#/components/schemas/OperationOutcome"}}
        }
    for _, _, operation in operations(said):
        assert {str(status) for status in ALWAYS} <= operation["responses"].keys()


def test_only_what_needs_the_store_or_checks_is_said_to_be_unavailable_at_times(said, has_store):
    failing = {path for path, _, operation in operations(said) if "503" in operation["responses"]}
    assert {"/readyz", "/fhir"} <= failing
    assert ("/fhir/RiskAssessment/{id}" in failing) == has_store
    assert not {"/fhir/metadata", "/fhir/Questionnaire", "/fhir/ValueSet/$expand"} & failing


def test_bundles_are_of_the_types_that_are_answered(said, has_store):
    types = said["components"]["schemas"]["Requests"]["properties"]["type"]["enum"]
    assert types == (["batch", "transaction"] if has_store else ["batch"])


def test_every_get_answers_as_it_is_said_to(service, said):
    client = service.test_client()
    for path, method, operation in operations(said):
        if method == "get":
            there = path.format(id="none", version="1", slug="none", name="form.css")
            check(said, operation, client.get(there))
            check(said, operation, client.get(f"{there}?_format=json"))
            check(said, operation, client.get(there, headers={"If-None-Match": "*"}))


def test_every_example_is_taken(service, said):
    client = service.test_client()
    taken = 0
    for path, _, operation in operations(said):
        for kind, media in operation.get("requestBody", {"content": {}})["content"].items():
            if "example" in media and "{" not in path:
                fits(said, media["schema"], media["example"])
                answer = client.post(path, data=orjson.dumps(media["example"]), content_type=kind)
                assert answer.status_code in (200, 201), path
                check(said, operation, answer)
                taken += 1
    assert taken >= 8


def test_what_is_stored_can_be_followed_as_it_is_said(service, said, has_store):
    if not has_store:
        assert "post" not in said["paths"].get("/fhir/QuestionnaireResponse", {})
        return
    client = service.test_client()
    create = said["paths"]["/fhir/QuestionnaireResponse"]["post"]
    example = create["requestBody"]["content"][fakes.FHIR]["example"]
    made = client.post("/fhir/QuestionnaireResponse", json=example)
    for kind in ("QuestionnaireResponse", "RiskAssessment"):
        for tail in ("", "/_history", "/_history/1"):
            path = f"/fhir/{kind}/{{id}}" + tail.replace("/1", "/{version}")
            answer = client.get(f"/fhir/{kind}/{made.json['id']}{tail}")
            assert answer.status_code == 200
            check(said, said["paths"][path]["get"], answer)
    link = create["responses"]["201"]["links"]["put-fhir-QuestionnaireResponse-id"]
    assert link["parameters"] == {"id": "$response.body#/id"}
    again = client.put(
        f"/fhir/QuestionnaireResponse/{made.json['id']}", data=made.data, content_type=fakes.FHIR
    )
    check(said, said["paths"]["/fhir/QuestionnaireResponse/{id}"]["put"], again)
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("base", "server", "paths"),
    [
        (BASE, "http://127.0.0.1:8000", {"/fhir", "/fhir/metadata", "/healthz", "/openapi.json"}),
        ("https://x.org/a/fhir", "https://x.org/a", {"/fhir", "/fhir/metadata", "/healthz", "/openapi.json"}),
        ("https://x.org/r4", "https://x.org", {"/r4", "/r4/metadata", "/healthz", "/openapi.json"}),
        ("https://x.org", "https://x.org", {"/", "/metadata", "/healthz", "/openapi.json"}),
    ],
)
def test_its_paths_are_those_below_the_public_base(base, server, paths):
    own = ("/fhir", "/fhir/metadata", "/healthz", "/openapi.json")
    routes = [Route("GET", path, print, Access.TOKEN, ALIVE) for path in own]
    said = openapi_document(routes, Deployment(base))
    assert said["servers"] == [{"url": server}]
    assert set(said["paths"]) == paths


def test_it_is_json_whatever_is_accepted_and_not_sent_again_to_who_has_it(client):
    """It stands beside the FHIR base, so Accept changes nothing."""
    answer = client.get("/openapi.json", headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    tag = {"If-None-Match": answer.headers["ETag"]}
    assert client.get("/openapi.json", headers=tag).status_code == 304


def test_where_the_base_is_the_root_of_the_host_the_front_page_is_not_in_it(application):
    said = openapi_document(application.routes, Deployment("https://x.org"))
    assert set(said["paths"]["/"]) == {"get", "post"}
    assert said["paths"]["/"]["get"]["summary"] == BASE_OF_THE_API.summary


def test_its_tag_changes_with_its_content():
    def tag(base):
        return fakes.composed(base=base).test_client().get("/openapi.json").headers["ETag"]

    assert tag(fakes.BASE) == tag(fakes.BASE)
    assert tag(fakes.BASE) != tag(BASE)


def test_without_a_questionnaire_there_are_no_examples(application):
    document = openapi_document(application.routes, Deployment(BASE))
    assert "example" not in {name for name, _ in members(document)}


def asked(service, *, public_definitions):
    """Returns what a service with access control says, and the scopes by scheme of each operation."""
    gate = Gate(None, public_definitions)
    said = openapi_document(service.routes, Deployment(BASE, gate=gate))
    return said, {(method, path): each.get("security") for path, method, each in operations(said)}


def test_without_access_control_nobody_is_asked(said):
    assert "securitySchemes" not in said["components"]
    assert [path for path, _, operation in operations(said) if "security" in operation] == []


def test_every_operation_that_asks_for_a_token_says_so_with_its_scope(service):
    """AU01 AU03: 401 and 403 are declared where they can come, and nowhere else."""
    said, security = asked(service, public_definitions=False)
    jsonschema_rs.validator_for(OPENAPI_31).validate(said)
    for route in service.routes:
        path = route.path
        for variable, name in VARIABLES.items():
            path = path.replace(variable, name)
        operation = said["paths"][path][route.method.lower()]
        scheme = "cds-client" if route.access is Access.CLIENT else "token"
        expected = None if route.access in WITHOUT_TOKEN else [{scheme: [route.scope] if route.scope else []}]
        assert operation.get("security") == expected, path
        if route.access in (Access.TOKEN, Access.PUBLISHED):
            assert {"401", "403", "503"} <= operation["responses"].keys(), path
    assert security["get", "/fhir/Questionnaire/{id}"] == [{"token": ["Questionnaire.r"]}]
    assert said["components"]["securitySchemes"].keys() == {"token", "cds-client"}
    assert "WWW-Authenticate" in said["components"]["responses"]["401"]["headers"]
    for name, value in members(said):
        if name == "$ref":
            assert resolved(said, {"$ref": value})


def test_published_definitions_ask_for_nothing_where_a_setting_says_so(service):
    _, security = asked(service, public_definitions=True)
    assert security["get", "/fhir/Questionnaire/{id}"] is None
    assert security["post", "/fhir/QuestionnaireResponse/$assess"] == [{"token": ["QuestionnaireResponse.c"]}]
