"""Calls from browser apps of other origins, checks CO01 to CO05 and CS06."""

import pytest
from fhir_client import ORIGIN, break_route
from sample_responses import response

TYPE = "QuestionnaireResponse"
SENT = ("authorization", "content-type", "prefer", "if-none-exist", "if-match", "x-request-id")
EXPOSED = {"location", "etag", "last-modified", "content-location", "x-request-id", "x-correlation-id"}
# What every browser lets an app read, and what is said to browsers and caches alone.
SAFE = {"cache-control", "content-language", "content-length", "content-type", "expires", "last-modified"}
NOT_FOR_APPS = {"vary", "x-content-type-options", "strict-transport-security", "content-security-policy"}
STRANGERS = (
    "https://evil.example.org",
    "null",
    f"{ORIGIN}.evil.example.org",
    f"{ORIGIN}:8443",
    f"{ORIGIN}/",
    f"{ORIGIN}, https://evil.example.org",
    ORIGIN.upper(),
    "http://app.example.org",
    "",
)


def listed(answer, name):
    return {each.strip().lower() for each in answer.headers.get(name, "").split(",") if each.strip()}


def preflight(ehr, where, method, headers=SENT, origin=ORIGIN):
    asked = {"access_control_request_method": method, "access_control_request_headers": ", ".join(headers)}
    return ehr.ask("OPTIONS", where, origin=origin, **asked)


@pytest.mark.parametrize(
    ("where", "method"),
    [
        (TYPE, "POST"),
        (TYPE, "GET"),
        (f"{TYPE}/some-id", "PUT"),
        (f"{TYPE}/some-id", "GET"),
        (f"{TYPE}/_search", "POST"),
        (f"{TYPE}/$assess", "POST"),
        (f"{TYPE}/$validate", "POST"),
        ("RiskAssessment", "GET"),
        ("Questionnaire", "GET"),
        ("metadata", "GET"),
        ("", "POST"),
    ],
)
def test_co01_a_preflight_allows_what_will_be_sent(ehr, where, method):
    answer = preflight(ehr, where, method)
    assert (answer.status, answer.data) == (204, b"")
    assert method.lower() in listed(answer, "Allow")
    assert answer.headers["Access-Control-Allow-Origin"] in (ORIGIN, "*")
    assert method.lower() in listed(answer, "Access-Control-Allow-Methods")
    assert set(SENT) <= listed(answer, "Access-Control-Allow-Headers")
    assert int(answer.headers["Access-Control-Max-Age"]) > 0


def test_co01_a_preflight_allows_the_header_that_a_client_library_adds(ehr):
    answer = preflight(ehr, TYPE, "POST", (*SENT, "x-medplum"))
    assert "x-medplum" in listed(answer, "Access-Control-Allow-Headers")
    assert answer.headers["Access-Control-Allow-Headers"].count("authorization") == 1


@pytest.mark.parametrize("origin", STRANGERS[:-1])
def test_co01_a_preflight_of_a_stranger_allows_nothing(ehr, origin):
    answer = preflight(ehr, TYPE, "POST", origin=origin)
    assert answer.status == 204
    assert not [name for name in answer.headers.keys() if name.startswith("Access-Control-")]  # noqa: SIM118


@pytest.mark.parametrize("service", ["ehr", "stateless"])
def test_co01_a_preflight_names_the_methods_of_the_routes_and_no_other(caller, service):
    """DELETE and PATCH are answered nowhere; where nothing is stored, PUT is not either."""
    ehr = caller(service)
    answered = {
        method
        for methods in ehr.read("/openapi.json")["paths"].values()
        for method in methods
        if method != "parameters"
    }
    where = "metadata"  # is for every origin
    assert listed(preflight(ehr, where, "GET"), "Access-Control-Allow-Methods") == {*answered, "head"}
    assert answered == ({"get", "post", "put"} if service == "ehr" else {"get", "post"})


def test_co01_an_options_request_that_is_no_preflight_names_the_methods(ehr):
    answer = ehr.ask("OPTIONS", TYPE)
    assert answer.status in (200, 204)
    assert {"get", "post"} <= listed(answer, "Allow")


@pytest.fixture(params=[TYPE, "{at}", "{at}/_history", "RiskAssessment", f"{TYPE}/none", "/nothing"])
def where(request, known):
    return request.param.format(at=known.at)


def test_co03_a_known_origin_is_named_and_caches_are_told(ehr, where):
    answer = ehr.get(where, origin=ORIGIN)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "origin" in listed(answer, "Vary")


@pytest.mark.parametrize("origin", STRANGERS)
def test_co03_a_stranger_is_not_named(ehr, where, origin):
    answer = ehr.get(where, origin=origin)
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_co03_caches_are_told_also_where_no_origin_was_sent(ehr, where):
    assert "origin" in listed(ehr.get(where), "Vary") or "no-store" in listed(ehr.get(where), "Cache-Control")


def test_co03_everybody_is_never_let_in_with_credentials(ehr, where):
    for path in (where, "metadata"):
        answer = ehr.get(path, origin=ORIGIN)
        if answer.headers["Access-Control-Allow-Origin"] == "*":
            assert "Access-Control-Allow-Credentials" not in answer.headers


def test_co04_an_app_may_read_the_headers_that_fhir_needs(ehr, where):
    for answer in (ehr.get(where, origin=ORIGIN), ehr.post(TYPE, response(), origin=ORIGIN)):
        assert listed(answer, "Access-Control-Expose-Headers") >= EXPOSED


def test_co04_an_app_may_read_every_header_that_is_sent(ehr, known):
    document = response()
    answers = [
        ehr.get(known.at, origin=ORIGIN, x_request_id="abc"),
        ehr.get(known.at, origin=ORIGIN, if_none_match="*"),
        ehr.get(f"{known.at}/_history", origin=ORIGIN),
        ehr.post(TYPE, document, origin=ORIGIN),
        ehr.put(known.at, known.response, origin=ORIGIN, if_match='W/"9"'),
        ehr.post(f"{TYPE}/$assess", document, origin=ORIGIN),
        ehr.post(TYPE, b"{", origin=ORIGIN),
        ehr.ask("DELETE", known.at, origin=ORIGIN),
        ehr.ask("OPTIONS", known.at, origin=ORIGIN),
        ehr.get("Questionnaire", origin=ORIGIN),
        ehr.get("metadata", origin=ORIGIN),
        *(ehr.get(path, origin=ORIGIN) for path in ("/healthz", "/readyz", "/openapi.json", "/nothing")),
    ]
    sent = {name.lower() for answer in answers for name in answer.headers.keys()}  # noqa: SIM118
    assert sent > {"x-correlation-id", "allow", "etag", "location", "link", "x-guidance"}
    for answer in answers:
        readable = listed(answer, "Access-Control-Expose-Headers") | SAFE | NOT_FOR_APPS
        assert {name for name in sent if not name.startswith("access-control-")} <= readable


def test_co04_an_app_may_read_every_header_that_is_described(ehr):
    components = ehr.read("/openapi.json")["components"]
    described = {name.lower() for name in components["headers"]}
    described |= {
        name.lower() for answer in components["responses"].values() for name in answer.get("headers", ())
    }
    answer = ehr.get("metadata", origin=ORIGIN)
    assert described <= listed(answer, "Access-Control-Expose-Headers") | SAFE


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", TYPE, b"{", {}, 400),
        ("POST", TYPE, {"resourceType": TYPE}, {"content_type": "text/plain"}, 415),
        ("POST", TYPE, b" " * 1_100_000, {}, 413),
        ("GET", f"{TYPE}/none", None, {}, 404),
        ("GET", "/nothing", None, {}, 404),
        ("DELETE", TYPE, None, {}, 405),
        ("GET", TYPE, None, {"accept": "image/png"}, 406),
        ("POST", TYPE, {"resourceType": TYPE}, {"if_none_exist": "x=1"}, 400),
    ],
)
def test_co05_a_refusal_reaches_the_app(ehr, method, path, body, headers, status):
    answer = ehr.ask(method, path, body, origin=ORIGIN, **headers)
    assert answer.status == status
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "x-request-id" in listed(answer, "Access-Control-Expose-Headers")


def test_co05_a_fault_of_the_program_reaches_the_app(app, ehr, monkeypatch):
    break_route(app, monkeypatch, "GET", "/fhir/RiskAssessment", lambda call: 1 / 0)
    answer = ehr.get("RiskAssessment", origin=ORIGIN)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (500, ORIGIN)


def test_cs06_browser_apps_are_declared_where_they_are_let_in_and_only_there(ehr, stateless):
    declared = [each.read("metadata")["rest"][0]["security"]["cors"] for each in (ehr, stateless)]
    assert declared == [True, False]
    answer = stateless.get("Questionnaire", origin=ORIGIN)
    assert "Access-Control-Allow-Origin" not in answer.headers
