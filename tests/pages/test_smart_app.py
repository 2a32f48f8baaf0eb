"""What the server does of the SMART app: it refuses what no registered EHR opened, and gives the page."""

import hashlib
import json
import logging
import re
from html import unescape
from urllib.parse import quote, urlencode

import pytest

from service import app
from service.languages import languages, words_in
from service.pages.smart_app import LAUNCH_PATH
from service.pages.static_files import FOLDER
from service.settings import Settings

ISSUER = "https://ehr.example.org/fhir"
PINNED = (
    "96ae43bbcf431b8fc9260977ad8b84f54c3d187ce107601a22d1b07eac396efa"
    "73a3a02993b35ec6d21448e0d7054ccf327c65fdd1c18113cf7e11a950afaaff"
)
"""SHA-512 of the file in the package fhirclient 2.6.3; scripts/vendor fetches it."""
REGISTRY = f"""
ehrs:
  - issuer: {ISSUER}
    name: <i>General</i> Hospital
    client-id: the-app
    redirect-url: https://forms.example.org/app
    frame-origins: [https://portal.example.org]
    authorization-origins: [https://login.example.org]
    scopes: [openid, fhirUser, patient/Observation.rs]
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    file = tmp_path_factory.mktemp("ehrs") / "ehrs.yaml"
    file.write_text(REGISTRY)
    base = "https://forms.example.org/fhir"
    return app.create_app(Settings(store_url="none", base_url=base, ehrs_file=file)).test_client()


def settings_in(answer):
    """Returns what a page tells its script."""
    return json.loads(unescape(re.search(r'data-settings="([^"]*)"', answer.text)[1]))


def policy_of(answer):
    parts = answer.headers["Content-Security-Policy"].split("; ")
    return {name: values for name, _, values in (part.partition(" ") for part in parts)}


def launch(client, **query):
    return client.get(f"{LAUNCH_PATH}?{urlencode(query)}")


def test_ap01_a_registered_ehr_gets_the_page_that_goes_to_its_sign_in(client):
    answer = launch(client, iss=ISSUER, launch="xyz")
    assert answer.status_code == 200
    told = settings_in(answer)
    assert told["launch"] is True
    (ehr,) = told["ehrs"]
    assert ehr == {
        "issuer": ISSUER,
        "name": "<i>General</i> Hospital",
        "client": "the-app",
        "redirect": "https://forms.example.org/app",
        "scopes": ["openid", "fhirUser", "patient/Observation.rs"],
        "origins": ["https://ehr.example.org", "https://login.example.org"],
        "forms": ehr["forms"],
    }
    assert "muscle-twitching" in ehr["forms"]


@pytest.mark.parametrize(
    "issuer",
    [
        "https://other.example.org/fhir",
        f"{ISSUER}/",
        ISSUER.upper(),
        "http://ehr.example.org/fhir",
        "https://user@ehr.example.org/fhir",
        "http://localhost/fhir",
        "http://169.254.169.254/latest",
        "javascript:alert(1)",
        f"{ISSUER} ",
    ],
)
def test_ap02_an_issuer_that_is_not_registered_is_refused_and_the_page_has_no_script(client, issuer):
    """PageRefused by the server, so before anything goes out; it makes no request of its own in any case."""
    answer = launch(client, iss=issuer, launch="xyz")
    assert answer.status_code == 400
    assert words_in("en")["app.unknown-issuer"] in answer.text
    assert "app." not in str(re.findall(r"<script[^>]*>", answer.text))
    assert "data-settings" not in answer.text


NAMED = f"iss={quote(ISSUER, safe='')}"


@pytest.mark.parametrize(
    "query", ["", "iss=", "launch=a", NAMED, f"{NAMED}&launch=", f"{NAMED}&launch=a&launch=b"]
)
def test_ap02_an_address_that_lacks_what_a_launch_sends_along_is_refused(client, query):
    """Such as the launch url as it was registered, opened by hand: no record system sent anybody."""
    answer = client.get(f"{LAUNCH_PATH}?{query}")
    assert answer.status_code == 400
    assert words_in("en")["app.no-launch"] in answer.text
    assert "data-settings" not in answer.text


def test_ap02_two_issuers_are_refused(client):
    issuer = quote(ISSUER, safe="")
    assert client.get(f"{LAUNCH_PATH}?iss={issuer}&iss={issuer}&launch=x").status_code == 400


def test_ap05_what_the_address_says_stands_on_no_page(client):
    canary = "<script>canary</script>"
    for path in ("/app?" + urlencode({"error": canary, "error_description": canary, "state": canary}),):
        assert "canary" not in client.get(path).text
    assert "canary" not in launch(client, iss=canary, launch=canary).text


def test_ap05_neither_a_code_nor_a_launch_stands_in_the_log(client, caplog):
    with caplog.at_level(logging.DEBUG):
        client.get("/app?code=canary&state=canary")
        launch(client, iss=ISSUER, launch="canary")
        launch(client, iss="https://canary.example.org", launch="canary")
    assert "canary" not in caplog.text
    assert "'/app/launch'" in caplog.text


@pytest.mark.parametrize(
    "path", ["/app", f"{LAUNCH_PATH}?iss={quote(ISSUER, safe='')}&launch=x", LAUNCH_PATH]
)
def test_ap10_registered_ehrs_may_show_it_in_a_frame_and_nobody_else(client, path):
    answer = client.get(path)
    policy = policy_of(answer)
    assert policy["frame-ancestors"] == "https://portal.example.org"
    assert policy["connect-src"] == "'self' https://ehr.example.org https://login.example.org"
    assert policy["script-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "X-Frame-Options" not in answer.headers
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_the_app_knows_every_form_and_what_it_asks_of_the_chart(client):
    told = settings_in(client.get("/app"))
    assert told["launch"] is False
    form = next(each for each in told["forms"] if each["slug"] == "muscle-twitching")
    assert form["canonical"].startswith("https://guidance.example.org/fhir/Questionnaire/muscle-twitching|")
    assert form["populate"] == "/app/populate/muscle-twitching"
    assert client.get(form["address"]).status_code == 200
    contexts = {each["context"] for each in form["queries"]}
    assert {"", "patient"} <= contexts


@pytest.mark.parametrize("language", languages())
def test_the_app_has_all_of_its_words_in_every_language(client, language):
    told = settings_in(client.get(f"/app?language={language}"))
    assert told["language"] == language
    assert told["words"]["save"] == words_in(language)["app.save"]
    assert told["words"].keys() == settings_in(client.get("/app"))["words"].keys()


def test_every_word_of_the_app_is_said_and_the_script_says_no_others():
    script = (FOLDER / "app.js").read_text()
    pages = (FOLDER.parent / "templates/app.html").read_text() + (FOLDER.parent / "smart_app.py").read_text()
    called = set(re.findall(r'(?:say|button|Stop)\(\s*"([a-z.-]+)"', script))
    quoted = set(re.findall(r'"(?:app\.)?([a-z.-]+)"', script + pages))
    known = {key.removeprefix("app.") for key in words_in("en").texts if key.startswith("app.")}
    assert len(called) > 30
    assert called - known == set()
    plain = {key for key in known if not key.startswith("type.")}  # these are named by what is written
    assert {key for key in plain - quoted if key.removeprefix("outcome.") not in quoted} == set()


def test_without_registered_ehrs_there_is_no_app():
    client = app.create_app(Settings(store_url="none")).test_client()
    assert client.get("/app").status_code == 404
    assert client.get(LAUNCH_PATH).status_code == 404


def test_the_client_library_is_the_one_that_was_looked_at():
    body = (FOLDER / "fhir-client.pure.min.js").read_bytes()
    assert hashlib.sha512(body).hexdigest() == PINNED
    assert "Apache License, Version 2.0" in (FOLDER / "fhir-client.LICENSE.txt").read_text()
