"""A walk of every route, with and without a token: checks AU15, AU01 and CO01 to CO05.

It walks the table of routes and the maps of both sides that answer it, so that a route that is forgotten in
one of them is found in the other; pages and static files are among them.
"""

import re
from functools import cache

import pytest
import yaml
from examples import IN_CI
from fhir_client import BASE, ORIGIN, PUBLISHED, STORED, issues_of, through
from issuers import Issuer, serving_issuers
from populate_requests import SUBJECT, asking
from sample_responses import SECOND

from service.app import create_app
from service.settings import Settings
from service.web.access import Access

FREE = {
    "/fhir/metadata",
    "/.well-known/smart-configuration",
    "/fhir/.well-known/smart-configuration",
    "/healthz",
    "/readyz",
    "/cds-services",
    "/static/<id:name>",
    "/embed.js",
}
"""What anybody may have (AU15): metadata, smart-configuration, health, discovery and static files."""
FORMS = {"/questionnaires/<id:slug>", "/"}
"""What is open with the forms: they themselves, and the page that leads to them."""
DESCRIPTIONS = {"/", "/fhir", "/openapi.json"}
"""What is open with the published definitions: what says where they are."""
DEFINITIONS = re.compile(
    r"/fhir/(Questionnaire|CodeSystem|ValueSet|StructureDefinition|OperationDefinition|SearchParameter"
    r"|PlanDefinition|ActivityDefinition|Library)(/<id:id>|/_search|/(<id:id>/)?\$expand)?"
)
APP = {"/app", "/app/launch", "/app/populate/<id:id>"}
"""What is open with the SMART app: itself, where an EHR launches it, what fills in a form from a chart."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
STRANGER = "https://evil.example.org"


class Walk:
    """Every path that the application knows, with a value for each part that varies."""

    def __init__(self, application):
        self.application = application
        client = application.test_client()
        client.environ_base["REMOTE_ADDR"] = "192.0.2.7"  # another machine
        self.ehr = through(client)
        maps = (application.url_map, application.fhir.router.url_map)
        rules = {rule.rule for url_map in maps for rule in url_map.iter_rules()}
        self.paths = sorted(rules | {route.path for route in application.routes})

    def places(self, path):
        """Returns addresses that a path answers, those of things that are there among them."""
        known = ("some-id", "workday-strain", "form.css", "workday-strain-patient-view")
        filled = path.replace("<id:version>", "1")
        return list(dict.fromkeys(re.sub("<[^>]+>", id_, filled) for id_ in known))

    def open_to(self, *methods, **headers):
        """Returns the paths that answer 2xx or 3xx to these methods."""
        return {
            path
            for path in self.paths
            for place in self.places(path)
            for method in methods
            if self.asked(method, place, headers).status < 400
        }

    def asked(self, method, place, headers):
        return self.ehr.ask(method, place, None if method in ("GET", "HEAD") else b"{}", **headers)


@pytest.fixture(scope="module")
def issuers():
    with serving_issuers(Issuer("north"), Issuer("asked", introspects=True)) as registered:
        yield registered


@pytest.fixture(scope="module")
def walk_of(issuers, tmp_path_factory):
    """Returns a function that returns a walk of the service with access control and these settings.

    What a walk finds is what is open, and nothing is stored through it: one service for all who ask alike.
    """

    @cache
    def walk(*, has_app=False, **settings):
        folder = tmp_path_factory.mktemp("walk")
        registry = issuers.registry(folder)
        if has_app:
            listed = yaml.safe_load(registry.read_text())
            listed["ehrs"][0] |= {"client-id": "app", "scopes": ["patient/Patient.r"]}
            registry.write_text(yaml.safe_dump(listed))
        given = Settings(
            questionnaires_dir=SECOND / "questionnaires",
            mappings_dir=SECOND / "mappings",
            store_url=f"sqlite:///{folder / 'service.db'}",
            base_url=BASE,
            cors_origins=ORIGIN,
            ehrs_file=registry,
            **settings,
        )
        return Walk(create_app(given))

    return walk


@pytest.fixture(scope="module")
def walk(walk_of):
    return walk_of()


@pytest.fixture(scope="module")
def token(issuers):
    return issuers["north"].token()


def test_au15_only_what_the_contract_names_needs_no_token(walk):
    assert walk.open_to(*METHODS) - FREE == set()


NO_TOKENS = ["Bearer garbage", "Basic YWRtaW46YWRtaW4=", "Bearer", "Bearer eyJhbGciOiJub25lIn0.e30."]


@pytest.mark.parametrize("header", NO_TOKENS if IN_CI else NO_TOKENS[:1])
def test_au15_a_token_that_is_none_opens_nothing_more(walk, header):
    assert walk.open_to(*METHODS, authorization=header) - FREE == set()


def test_au15_no_header_of_a_proxy_or_of_this_machine_opens_anything(walk):
    forged = {
        "x_forwarded_for": "127.0.0.1",
        "x_real_ip": "127.0.0.1",
        "x_forwarded_user": "admin",
        "x_remote_user": "admin",
        "forwarded": "for=127.0.0.1",
        "x_original_url": "/healthz",
        "x_rewrite_url": "/healthz",
        "x_http_method_override": "OPTIONS",
        "host": "127.0.0.1",
        "origin": ORIGIN,
        "cookie": "session=admin",
    }
    assert walk.open_to(*METHODS, **forged) - FREE == set()


def test_au15_the_walk_would_find_an_open_door(walk, token):
    """It finds what is free, and with a token everything that can be read."""
    assert walk.open_to("GET") >= {"/fhir/metadata", "/healthz", "/cds-services"}
    readable = {f"/fhir/{kind}" for kind in (*STORED, *PUBLISHED)} | {"/fhir/Questionnaire/<id:id>"}
    assert walk.open_to("GET", authorization=f"Bearer {token}") >= readable


def test_au15_published_definitions_are_open_where_a_setting_says_so(walk_of):
    opened = walk_of(public_definitions=True).open_to(*METHODS) - FREE
    assert opened >= {"/fhir/Questionnaire", "/fhir/ValueSet", "/fhir/Questionnaire/<id:id>"}
    assert {path for path in opened if not DEFINITIONS.fullmatch(path)} == DESCRIPTIONS


def test_au15_forms_are_open_where_a_setting_says_so(walk_of):
    with_forms = walk_of(public_form=True)
    assert with_forms.open_to(*METHODS) - FREE == FORMS


def test_au15_the_app_is_open_beside_access_control_and_opens_nothing_else(walk_of, issuers):
    """Without a token it is a page, the same for everybody; whose record it is, it learns from the EHR."""
    with_app = walk_of(has_app=True, public_form=True)
    assert {path for path in with_app.paths if path.startswith("/app")} == APP
    assert with_app.open_to(*METHODS) - FREE - FORMS == {"/app"}
    base = issuers["north"].base
    for place, status in (
        ("/app", 200),
        (f"/app/launch?iss={base}&launch=x", 200),
        ("/app/launch?iss=https://evil.example.org&launch=x", 400),
    ):
        page, again = (with_app.asked("GET", place, cookie) for cookie in ({}, {"cookie": "session=admin"}))
        assert page.status == status
        assert page.data == again.data


def test_au15_what_the_app_has_filled_in_comes_from_what_it_sends(walk_of):
    """Its one operation is as stateless as the scoring of the forms: nothing stored is read, nothing kept."""
    with_app = walk_of(has_app=True, public_form=True)
    answer = with_app.ehr.post("/app/populate/workday-strain", asking())
    assert answer.status == 200
    (filled,) = (each["resource"] for each in answer.json["parameter"] if each["name"] == "response")
    assert filled["subject"] == SUBJECT
    (route,) = (each for each in with_app.application.routes if each.path.startswith("/app/populate"))
    assert (route.method, route.access, route.resource) == ("POST", Access.PUBLIC_FORM, "")


@pytest.mark.parametrize(
    "path",
    [
        "/app/none",
        "/app/populate",
        "/app/populate/workday-strain/fhir",
        "/app/launch/fhir/QuestionnaireResponse",
        "/app/fhir/QuestionnaireResponse",
        "/app/../fhir/QuestionnaireResponse",
        "/app%2F..%2Ffhir%2FQuestionnaireResponse",
        "/app/static/form.css",
    ],
)
def test_au15_nothing_else_is_below_the_app(walk_of, path):
    with_app = walk_of(has_app=True, public_form=True)
    for method in METHODS:
        assert with_app.asked(method, path, {}).status in (401, 404, 405), method


def test_every_route_has_an_access_rule_and_its_scope(walk):
    """AU15: what is stored, and what is done with it, is under the rule for tokens and names a scope."""
    routes = walk.application.routes
    assert all(isinstance(route.access, Access) for route in routes)
    for route in routes:
        if route.resource in ("QuestionnaireResponse", "RiskAssessment", "Provenance", "AuditEvent"):
            assert route.access is Access.TOKEN, route.path
            kind, _, letters = route.scope.partition(".")
            assert kind == route.resource
            assert letters in [*"crus"], route.path
        if route.path.startswith("/fhir/") and route.path not in FREE:
            assert route.access in (Access.TOKEN, Access.PUBLISHED), route.path


@pytest.mark.parametrize(
    "path", ["/fhir/Patient", "/fhir/Patient/1", "/fhir/none", "/none", "/fhir/$export", "/admin"]
)
def test_au15_what_is_not_there_tells_nothing(walk, path):
    for method in METHODS:
        assert walk.asked(method, path, {}).status in (401, 404, 405)


@pytest.mark.parametrize(
    "path",
    [
        "/fhir//QuestionnaireResponse",
        "//fhir/QuestionnaireResponse",
        "/fhir/QuestionnaireResponse/",
        "/fhir/./QuestionnaireResponse",
        "/fhir/metadata/../QuestionnaireResponse",
        "/fhir/%51uestionnaireResponse",
        "/fhir/QuestionnaireResponse;x=/fhir/metadata",
        "/fhir/QuestionnaireResponse%3Fmetadata",
        "/fhir/QuestionnaireResponse%2F",
        "/fhir/QuestionnaireResponse?/fhir/metadata",
        "/static/../fhir/QuestionnaireResponse",
        "/fhir/metadata%2F..%2FQuestionnaireResponse",
        "/FHIR/QuestionnaireResponse",
        "/fhir/questionnaireresponse",
        "/fhir/QuestionnaireResponse/metadata",
        "/fhir/QuestionnaireResponse/.well-known/smart-configuration",
        "/fhir/AuditEvent/",
        "/metrics/",
    ],
)
def test_au15_no_way_of_writing_a_path_goes_round_the_door(walk, path):
    for method in ("GET", "HEAD", "POST"):
        answer = walk.asked(method, path, {})
        assert answer.status in (301, 308, 400, 401, 404, 405), (method, path, answer.status)
        assert b"searchset" not in answer.data


def test_au15_metrics_are_the_operators(walk_of, token):
    """A token of an EHR opens them as little as none."""
    secret = "metrics-secret-of-this-test"
    counted = walk_of(metrics=True, metrics_token=secret)
    assert counted.ehr.get("/metrics", authorization=f"Bearer {secret}").status == 200
    for headers in ({}, {"authorization": f"Bearer {token}"}):
        assert counted.ehr.get("/metrics", **headers).status in (401, 403, 404)


# Browser apps: checks CO01 to CO05 with tokens.


def preflight(walk, place, method, origin=ORIGIN):
    headers = "authorization, content-type, prefer, if-none-exist, if-match, x-request-id"
    asked = {"access_control_request_method": method, "access_control_request_headers": headers}
    return walk.ehr.ask("OPTIONS", place, origin=origin, **asked)


def test_co01_a_preflight_needs_no_token_anywhere(walk):
    for route in walk.application.routes:
        if not route.path.startswith("/fhir"):
            continue
        for place in walk.places(route.path)[:1]:
            answer = preflight(walk, place, route.method)
            assert answer.status in (200, 204), place
            assert answer.headers["Access-Control-Allow-Origin"] in (ORIGIN, "*")
            assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()
            assert "WWW-Authenticate" not in answer.headers


def test_co02_everybodys_pages_may_read_what_is_free(walk):
    for place in ("/fhir/metadata", "/cds-services"):
        answer = walk.ehr.get(place, origin=STRANGER)
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] in (STRANGER, "*")


def refusals(walk):
    return [
        walk.ehr.get("QuestionnaireResponse", origin=ORIGIN),
        walk.ehr.get("QuestionnaireResponse", origin=ORIGIN, authorization="Bearer garbage"),
        walk.ehr.post("QuestionnaireResponse", b"{", origin=ORIGIN),
        walk.ehr.post("", b"{", origin=ORIGIN),
        walk.ehr.get("Questionnaire/none", origin=ORIGIN),
        walk.ehr.get("AuditEvent", origin=ORIGIN),
    ]


def test_co03_co04_co05_an_app_can_read_why_it_was_refused(walk):
    for answer in refusals(walk):
        issues_of(answer, 401)
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Origin" in answer.headers["Vary"]
        exposed = answer.headers["Access-Control-Expose-Headers"].lower()
        assert "www-authenticate" in exposed
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", [STRANGER, "null", f"{ORIGIN}.evil.example.org", ORIGIN.replace("https", "http")]
)
def test_co03_a_stranger_reads_no_refusal(walk, origin):
    for headers in ({}, {"authorization": "Bearer garbage"}):
        answer = walk.ehr.get("QuestionnaireResponse", origin=origin, **headers)
        assert answer.status == 401
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_co05_a_403_can_be_read_too(walk, issuers):
    token = issuers["north"].token("user/RiskAssessment.rs", aud=BASE)
    answer = walk.ehr.get("QuestionnaireResponse", origin=ORIGIN, authorization=f"Bearer {token}")
    issues_of(answer, 401, 403)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
