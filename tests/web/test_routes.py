"""The table of routes, and the two sides that answer it: Flask, and the FHIR application before it."""

import io
import logging
import re
from base64 import b64encode
from hashlib import sha256

import fakes
import orjson
import pytest
from click.testing import CliRunner
from flask.cli import FlaskGroup
from werkzeug.exceptions import abort
from werkzeug.test import EnvironBuilder

from service import app
from service.auth.principal import ANONYMOUS, Principal
from service.settings import Settings
from service.web.access import Access
from service.web.bundles import Bundles
from service.web.descriptions import READ
from service.web.reply import Reply
from service.web.request import Request
from service.web.routing import Route, Router

OWN = ("X-Request-Id",)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    file = tmp_path_factory.mktemp("store") / "service.db"
    return app.create_app(Settings(store_url=f"sqlite:///{file}"))


def requested(route):
    return route.path.replace("<id:id>", "some-id").replace("<id:version>", "1")


def told(answer):
    headers = [header for header in answer.headers if header[0] not in OWN]
    return answer.status, headers, answer.data


def test_every_rule_of_both_sides_is_a_route_with_an_access_rule(service):
    table = {(route.method, route.path): route.access for route in service.routes}
    assert all(isinstance(access, Access) for access in table.values())
    assert len(table) == len(service.routes)
    for url_map in (service.url_map, service.fhir.router.url_map):
        for rule in url_map.iter_rules():
            for method in rule.methods - {"HEAD", "OPTIONS"}:
                assert (method, rule.rule) in table


def test_flask_has_every_route_of_the_table(service):
    known = {(method, rule.rule) for rule in service.url_map.iter_rules() for method in rule.methods}
    assert {(route.method, route.path) for route in service.routes} <= known


def test_a_route_that_asks_for_a_token_says_what_it_must_permit(service):
    """What is about resources needs a scope on their type; a Bundle is asked about entry by entry."""
    asked = [route for route in service.routes if route.access in (Access.TOKEN, Access.PUBLISHED)]
    without = {route.path for route in asked if not route.scope}
    assert without == {"/fhir", "/openapi.json"}
    letters = {route.scope.partition(".")[2] for route in asked if route.scope}
    assert letters == {"c", "r", "s", "u"}
    scoped = [route for route in asked if route.scope]
    of_others = {route.operation for route in scoped if route.scope.partition(".")[0] != route.resource}
    assert of_others == {"process-response", "populate", "next-question", "apply"}
    assert {route.scope for route in service.routes if route not in asked} == {""}


def test_flask_lists_the_routes(service):
    command = FlaskGroup(create_app=lambda: service)
    listed = CliRunner().invoke(command, ["routes"]).output
    for path in ("/fhir/metadata", "/healthz", "/fhir/QuestionnaireResponse/$assess"):
        assert path in listed


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
def test_flask_itself_gives_the_same_answers_as_the_application_before_it(assessor, method):
    """Only the dispatch differs: routes, views, headers and errors are the same."""
    before, flask = fakes.composed(assessor), fakes.composed(assessor)
    flask.wsgi_app = flask.fhir.other
    for route in before.routes:
        path = requested(route)
        if path.startswith("/fhir"):
            answers = [each.test_client().open(path, method=method) for each in (before, flask)]
            assert told(answers[0]) == told(answers[1]), path


def test_the_application_before_flask_answers_what_begins_with_the_base_path_alone(client, monkeypatch):
    monkeypatch.setattr(client.application.fhir, "other", lambda _environ, _start: 1 / 0)
    for path in ("/fhir", "/fhir/", "/fhir/metadata", "/fhir//metadata", "/fhir/none"):
        assert client.get(path).status_code in (200, 404)
    for path in ("/", "/fhirx", "/healthz", "//fhir"):
        with pytest.raises(ZeroDivisionError):
            client.get(path)


def test_a_request_carries_a_principal_and_so_does_every_entry_of_its_bundle():
    seen = []

    def view(request):
        seen.append(request.principal)
        return Reply(200, b"{}", ())

    router = Router([Route("GET", "/fhir/Thing", view, Access.TOKEN, READ, "Thing")])
    bundles = Bundles(router, None, fakes.DEPLOYMENT)
    entry = {"request": {"method": "GET", "url": "Thing"}}
    body = orjson.dumps({"resourceType": "Bundle", "type": "batch", "entry": [entry]})
    for principal in (ANONYMOUS, Principal("user")):
        environ = {"wsgi.input": io.BytesIO(body), "CONTENT_TYPE": fakes.FHIR}
        bundles.answer(Request(environ, {}, principal=principal))
    assert seen == [Principal("anonymous"), Principal("user")]
    environ = EnvironBuilder("/fhir/Thing").get_environ()
    assert router.match(environ)[1].principal == Principal("anonymous")


def test_options_of_a_path_is_public_only_where_all_of_it_is():
    def access(*rules):
        routes = [
            Route(method, "/fhir/x", print, rule, READ)
            for method, rule in zip(("GET", "POST"), rules, strict=False)
        ]
        return Router(routes).paths["/fhir/x"]["OPTIONS"].access

    assert access(Access.PUBLIC) is Access.PUBLIC
    assert access(Access.PUBLIC, Access.PUBLIC) is Access.PUBLIC
    assert access(Access.PUBLIC, Access.TOKEN) is Access.TOKEN


# Flask's side


def test_a_failure_on_flasks_side_says_nothing_of_its_inside(client, is_outcome, monkeypatch, caplog):
    def fail(_request):
        raise KeyError("secret-answer")

    methods = client.application._paths["/healthz"]
    monkeypatch.setitem(methods, "GET", Route("GET", "/healthz", fail, Access.TOKEN, READ))
    with caplog.at_level(logging.INFO):
        answer = client.get("/healthz?canary=1")
    assert answer.status_code == 500
    is_outcome(answer)
    assert b"secret" not in answer.data
    failed = [each.msg for each in caplog.records if each.msg["event"] == "failed"]
    assert failed == [{"event": "failed", "id": answer.headers["X-Request-Id"], "route": "/healthz"}]


@pytest.mark.parametrize(("code", "status"), [(413, 413), (415, 415), (400, 400), (503, 500)])
def test_what_flask_refuses_leaves_as_an_outcome(client, is_outcome, monkeypatch, code, status):
    methods = client.application._paths["/healthz"]
    view = lambda _request: abort(code)  # noqa: E731 - a view
    monkeypatch.setitem(methods, "GET", Route("GET", "/healthz", view, Access.TOKEN, READ))
    answer = client.get("/healthz")
    assert answer.status_code == status
    is_outcome(answer)


def test_a_browser_gets_a_page_where_there_is_none(client):
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    answer = client.get("/canary-x", headers=browser)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"Nothing is served" in answer.data
    assert b"canary" not in answer.data
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_browser_gets_a_page_where_the_program_fails_in_a_language_that_it_asks_for(client, monkeypatch):
    def broken(_request):
        raise KeyError("canary")

    methods = client.application._paths["/healthz"]
    monkeypatch.setitem(methods, "GET", Route("GET", "/healthz", broken, Access.TOKEN, READ))
    answer = client.get("/healthz", headers={"Accept": "text/html", "Accept-Language": "de-CH, en;q=0.5"})
    assert (answer.status_code, answer.mimetype) == (500, "text/html")
    assert '<html lang="de">' in answer.text
    assert "laden Sie diese Seite dann neu" in answer.text
    assert "canary" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/nothing"])
def test_the_policy_of_a_page_lets_in_its_own_style_and_no_other(client, path):
    answer = client.get(path, headers={"Accept": "text/html"})
    (style,) = re.findall("<style>(.*)</style>", answer.text)
    hashed = b64encode(sha256(style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{hashed}'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/json", "text/html;q=0", "text/html;q=0.1, application/json"]
)
def test_any_other_client_gets_an_outcome(client, is_outcome, accept):
    headers = {} if accept is None else {"Accept": accept}
    answer = client.get("/nothing", headers=headers)
    assert answer.status_code == 404
    is_outcome(answer)


def test_a_browser_that_asks_for_what_the_api_does_not_have_gets_an_outcome(client, is_outcome):
    is_outcome(client.get("/fhir/nothing", headers={"Accept": "text/html, */*"}))


# the front door


def test_a_browser_finds_the_questionnaires_the_statement_and_the_document(service):
    answer = service.test_client().get("/", headers={"Accept": "text/html"})
    page = answer.data.decode()
    base = Settings().public_base
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for link in (f"{base}/Questionnaire/", f"{base}/metadata", base.replace("/fhir", "/openapi.json")):
        assert f'href="{link}' in page
    found = service.test_client().get("/fhir/Questionnaire").json
    for entry in found["entry"]:
        assert entry["resource"]["title"] in page
    assert "README" in page


def test_another_client_finds_the_same_links_as_json(client):
    answer = client.get("/")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Vary"] == "Accept"
    links = answer.json
    assert len(links["questionnaires"]) == 6
    for link in (links["metadata"], links["questionnaires"][0]["url"]):
        path = link.removeprefix("https://fhir.example.org/r4")
        assert client.get(f"/fhir{path}").status_code == 200
    assert client.get(links["openapi"].removeprefix("https://fhir.example.org")).status_code == 200


def test_a_title_is_text_on_the_page_and_never_markup():
    form = fakes.published("Questionnaire", 1, title="<script>alert(1)</script>")
    page = (
        fakes.composed(resources=[*fakes.artifacts(), form])
        .test_client()
        .get("/", headers={"Accept": "text/html"})
        .data
    )
    assert b"<script>" not in page
    assert b"&lt;script&gt;" in page


def test_a_page_is_not_laid_out_as_json(client):
    answer = client.get("/?_pretty=true", headers={"Accept": "text/html"})
    assert answer.data.startswith(b"<!doctype html>")
    assert b"\n" in client.get("/?_pretty=true").data


def test_the_base_says_where_the_capability_statement_is(client, is_outcome):
    answer = client.get("/fhir")
    assert answer.status_code == 200
    is_outcome(answer)
    (issue,) = orjson.loads(answer.data)["issue"]
    assert issue["severity"] == "information"
    assert issue["diagnostics"].endswith(" https://fhir.example.org/r4/metadata")
    assert answer.headers["Link"] == '<https://fhir.example.org/r4/metadata>; rel="service-desc"'
    assert client.get("/fhir/?_format=json&_pretty=true").status_code == 200


def test_a_search_over_everything_is_refused_and_not_left_out(client, is_outcome):
    answer = client.get("/fhir?_lastUpdated=gt2020")
    assert answer.status_code == 400
    is_outcome(answer)


def test_a_path_without_variables_is_found_as_werkzeug_finds_it(service):
    """It is looked up first; a path with variables must not have been meant."""
    router = service.fhir.router
    for path, methods in router.paths.items():
        if "<" in path:
            continue
        for method in methods:
            environ = {"PATH_INFO": path, "REQUEST_METHOD": method}
            assert router.url_map.bind("").match(path, method) == (path, {})
            assert router.find(environ) == (methods[method], {})
