"""The app inside an EHR, checks AP01 to AP10.

People sign in at npm `oidc-provider`, and the record is a FHIR server on another origin. What the EHR is told
to refuse, the app says in plain words; nothing that was answered is lost.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import jwt
import pytest
from case_responses import response_of
from cryptography.hazmat.primitives.asymmetric import rsa
from ehr_authorization import SCOPES, running_authorization
from ehr_fhir_server import EhrServer, running_ehr
from form_by_clicking import Form
from gunicorn_server import serving
from playwright.sync_api import Browser, BrowserContext, Error, Frame, Page, Request, expect
from sample_responses import strain
from watched_pages import watched_contexts

from benchmarks import chromium
from benchmarks.http import free_port
from service import catalogue
from service.datatypes.answers import Coding
from service.settings import Settings

APP = "service.app:from_environment()"
SHORT = "workday-strain"
LONG = "muscle-twitching"
CALM, WORSE = "plain-eyelid-three-days", "growing-weakness-with-wasting-makes-the-als-pattern-high"
PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "name": [{"use": "official", "given": ["Ada"], "family": "<b>Lovelace</b>"}],
    "birthDate": "1980-12-10",
}
DOCTOR = {"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Doctor"}]}
USER = "Practitioner/d1"
POTASSIUM = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": (datetime.now(UTC).date() - timedelta(days=2)).isoformat(),
    "valueQuantity": {
        "value": 3.1,
        "unit": "mmol/L",
        "system": "http://unitsofmeasure.org",
        "code": "mmol/L",
    },
}
READ_ONLY = [scope for scope in (*SCOPES, "launch", "launch/patient") if not scope.endswith(".crus")]
FEWER = [*READ_ONLY, "patient/QuestionnaireResponse.crus"]
IN = {"patient": "p1", "encounter": "e1"}
LAUNCHES: dict[str, dict[str, Any]] = {
    "": {"user": USER, "context": {"patient": "p1"}},
    "plain": {"user": USER, "context": IN},
    "denied": {"user": USER, "context": IN, "denied": True},
    "read-only": {"user": USER, "context": IN, "scopes": READ_ONLY},
    "fewer": {"user": USER, "context": IN, "scopes": FEWER},
    "nobody": {"user": USER, "context": {}},
    "absolute": {"user": "ABSOLUTE", "context": IN},
    "herself": {"user": "Patient/p1", "context": IN},
    "named": {
        "user": USER,
        "context": {
            **IN,
            "fhirContext": [
                {"reference": "ImagingStudy/1"},
                {"identifier": {"value": "x"}},
                {"canonical": f"https://guidance.example.org/fhir/Questionnaire/{LONG}", "role": "urn:other"},
                {
                    "type": "Questionnaire",
                    "canonical": f"https://guidance.example.org/fhir/Questionnaire/{SHORT}",
                },
            ],
        },
    },
    "card": {"user": USER, "context": {**IN, "appContext": f'{{"form":"{SHORT}"}}'}},
    "no-card": {"user": USER, "context": {**IN, "appContext": "null"}},
    "old-context": {"user": USER, "context": {**IN, "fhirContext": "ImagingStudy/1"}},
    "strings": {"user": USER, "context": {**IN, "fhirContext": ["ImagingStudy/1", None, 3]}},
}
ANSWERED = "main[data-kind=question]"
STOPPED = re.compile("We cannot go on")
OLD_SCOPES = "patient/*.read user/QuestionnaireResponse.write"
COOKIES = r"^cookie _(session|interaction|grant)"
"""Those of the authorisation server; the app has none."""


@dataclass
class World:
    """An EHR, its authorisation server and the service, all running."""

    ehr: EhrServer
    app: str
    launches: dict[str, dict[str, Any]] = field(default_factory=dict)

    def address(self, launch: str, **more: str) -> str:
        query = "".join(f"&{name}={quote(value)}" for name, value in more.items())
        return f"{self.app}/app/launch?iss={quote(self.ehr.base, safe='')}&launch={launch}{query}"


@pytest.fixture(scope="module")
def running(folders: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    port = free_port()
    app = f"http://127.0.0.1:{port}"
    with running_ehr() as ehr:
        LAUNCHES["absolute"]["user"] = f"{ehr.base}/{USER}"
        with running_authorization(ehr.base, [f"{app}/app"], LAUNCHES) as authorization:
            ehr.authorization = authorization
            origin = f"http://{urlsplit(authorization).netloc}"
            file = tmp_path_factory.mktemp("ehrs") / "ehrs.yaml"
            file.write_text(registry(ehr.base, f"{app}/app", origin, pages_of(ehr)))
            settings = folders | {"STORE_URL": "none", "EHRS_FILE": str(file), "EMERGENCY_NUMBER": "112"}
            with serving(APP, port=port, **settings):
                yield World(ehr, app)


def pages_of(ehr: EhrServer) -> str:
    """Returns the origin of the EHR's own pages: it is on another site than the app."""
    return f"http://localhost:{urlsplit(ehr.base).port}"


def registry(issuer: str, redirect: str, authorization: str, frame: str) -> str:
    return f"""
ehrs:
  - issuer: {issuer}
    name: General Hospital
    client-id: the-app
    redirect-url: {redirect}
    authorization-origins: ["{authorization}"]
    frame-origins: ["{frame}"]
    scopes: [launch, {", ".join(SCOPES)}]
    forms: [{SHORT}, {LONG}]
"""


@pytest.fixture
def world(running: World) -> World:
    """The EHR as it is in the beginning, with one patient."""
    running.ehr.forget()
    for resource in (PATIENT, DOCTOR, {"resourceType": "Encounter", "id": "e1"}):
        running.ehr.add(resource)
    return running


@pytest.fixture
def tab(browser: Any, world: World) -> Iterator[Callable[..., Page]]:
    """Opens a tab; what its pages must not do fails the test."""
    origins = [world.app, world.ehr.base.removesuffix("/fhir"), world.ehr.authorization]
    with watched_contexts(browser, origins) as make:

        def opened(*expects: str, **options: Any) -> Page:
            context, _ = make(expects=[COOKIES, *expects], **options)
            return context.new_page()

        yield opened


def launched(page: Page, world: World, launch: str = "plain", **more: str) -> Page:
    """Opens the app as the EHR does, and waits until the form or a message stands there."""
    page.goto(world.address(launch, **{"questionnaire": SHORT, **more}))
    page.wait_for_url(f"{world.app}/app")
    page.locator("main[data-kind=question], main [role=alert], main button").first.wait_for()
    return page


def often(world: World) -> dict[str, tuple[Coding]]:
    """Answers every question of the short form with its second option."""
    resource = json.loads(
        (Path(__file__).parents[1] / f"second_pair/questionnaires/{SHORT}.json").read_text()
    )
    questions = [*resource["item"][0]["item"], *resource["item"][1:]]
    return {
        each["linkId"]: (Coding(option["system"], option["code"]),)
        for each in questions
        if each["type"] == "choice"
        for option in [each["answerOption"][1]["valueCoding"]]
    }


def finished(page: Page, world: World) -> Page:
    """Fills in the short form to its result."""
    form = Form(page, world.app)
    assert form.finish(often(world)) == "result"
    return page


def save(page: Page) -> str:
    """Saves, and returns what the app says about it."""
    page.get_by_role("button", name="Save to the record").click()
    return told(page)


def told(page: Page) -> str:
    after = page.locator("#app-save")
    expect(after.locator("h2")).to_have_text(re.compile("Saved|record"))
    expect(after.locator("button", has_text="Save to the record")).to_have_count(0)
    return after.inner_text()


def stopped(page: Page) -> str:
    expect(page.locator("main h1")).to_have_text(STOPPED)
    return page.locator("main [role=alert]").inner_text()


def keys_of(page: Page) -> list[str]:
    return page.evaluate("() => Object.keys(sessionStorage)")


def requests_of(page: Page) -> list[Request]:
    """Returns the requests that a page sends from now on."""
    sent: list[Request] = []
    page.on("request", lambda each: sent.append(each))  # noqa: PLW0108 - a built-in method is not taken
    return sent


def asked_for(sent: list[Request], part: str) -> list[str]:
    """Returns the addresses among those that were asked for in which this stands."""
    return [each.url for each in sent if part in each.url]


# The way in.


def test_ap01_ap03_ap06_a_launch_asks_the_ehr_for_a_code_with_pkce_and_then_for_a_token(tab, world):
    page = tab()
    sent = requests_of(page)
    launched(page, world, clientId="evil", patientId="p9", fhirServiceUrl="https://evil.example.org")
    expect(page.locator("#app-record")).to_contain_text("Ada <b>Lovelace</b>, born 10 December 1980")

    discovery, authorization, token = (
        next(each for each in sent if part in each.url)
        for part in ("/.well-known/smart-configuration", "/auth?", "/token")
    )
    assert discovery.url == f"{world.ehr.base}/.well-known/smart-configuration"
    assert discovery.headers["accept"] == "application/json"
    asked = {name: values[0] for name, values in parse_qs(urlsplit(authorization.url).query).items()}
    assert asked.keys() == {
        "response_type", "client_id", "redirect_uri", "scope", "state", "aud", "launch", "nonce",
        "code_challenge", "code_challenge_method",
    }  # fmt: skip
    assert asked["response_type"] == "code"
    assert asked["client_id"] == "the-app"
    assert asked["redirect_uri"] == f"{world.app}/app"
    assert asked["aud"] == world.ehr.base
    assert asked["launch"] == "plain"
    assert asked["code_challenge_method"] == "S256"
    assert {"launch", *SCOPES} == set(asked["scope"].split())
    form = {name: values[0] for name, values in parse_qs(token.post_data).items()}
    assert form["redirect_uri"] == asked["redirect_uri"]
    assert form["client_id"] == "the-app"
    assert re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", form["code_verifier"])
    assert "authorization" not in token.headers


def test_ap04_state_nonce_and_verifier_are_long_and_never_the_same(tab, world):
    asked = []
    for _ in range(2):
        page = tab()
        sent = requests_of(page)
        launched(page, world)
        asked += asked_for(sent, "/auth?")
    first, second = (parse_qs(urlsplit(url).query) for url in asked)
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", first[name][0])
    kept = {name for name in keys_of(page) if "." not in name and ":" not in name}
    assert kept == {"SMART_KEY", second["state"][0]}, "what the library named by fewer letters is gone"


def test_ap04_a_state_that_was_not_given_here_ends_it_without_asking_for_a_token(tab, world):
    page = tab()
    sent = requests_of(page)
    for query in ("code=x&state=wrong", "code=x", "state=x", "code=x&state=a&state=b"):
        page.goto(f"{world.app}/app?{query}")
        assert "was not started here" in stopped(page)
        assert page.url == f"{world.app}/app"
    assert not asked_for(sent, "/token")


def test_ap04_an_answer_of_the_sign_in_works_once(tab, world):
    page = tab()
    before = requests_of(page)
    launched(page, world)
    (back,) = asked_for(before, "/app?code=")
    sent = requests_of(page)
    page.goto(back)
    assert "used before" in stopped(page)
    assert not asked_for(sent, "/token")


def test_ap04_an_answer_to_the_sign_in_of_another_tab_is_not_taken(tab, world):
    back = way_back(tab(), world)
    other = tab()
    other.goto(back)
    assert "was not started here" in stopped(other)


def test_ap04_an_answer_with_another_state_than_the_one_that_waits_is_not_taken(tab, world):
    page = tab()
    back = way_back(page, world)
    sent = requests_of(page)
    page.goto(re.sub(r"state=[^&]*", "state=wrong", back))
    assert "was not started here" in stopped(page)
    assert not asked_for(sent, "/token")
    page.goto(back)
    assert "used before" in stopped(page), "the first answer has used it up"
    page.goto(re.sub(r"code=[^&]*", "code=", way_back(page, world)))
    assert "was not started here" in stopped(page)
    assert not asked_for(sent, "/token")


def test_ap04_an_answer_that_says_to_come_from_another_server_is_not_taken(tab, world):
    """What RFC 9207 has against mixing up servers; without the change the same answer is taken."""
    page = tab()
    back = way_back(page, world)
    page.goto(re.sub(r"iss=[^&]*", "iss=https%3A%2F%2Fevil.example.org", back))
    assert "was not started here" in stopped(page)
    assert page.url == f"{world.app}/app"
    again = way_back(page, world)
    page.goto(again)
    expect(page.locator("main button").first).to_be_visible()


def way_back(page: Page, world: World) -> str:
    """Signs in without the page that asked for it; returns the address that leads back there.

    The page stays at an empty one of the server: one that failed would be tried once more, at any time.
    """
    page.route(
        "**/auth?*", lambda route: route.fulfill(content_type="text/html", body="<title>Sign in</title>")
    )
    page.goto(world.address("plain"), wait_until="commit")
    page.wait_for_url("**/auth?*")
    back = page.context.request.get(page.url).url
    assert "code=" in back
    return back


@pytest.mark.parametrize("query", ["", "&code=x"])
def test_ap05_a_refusal_is_told_plainly_and_nothing_is_asked_for(tab, world, query):
    page = tab()
    sent = requests_of(page)
    script = quote("<script>alert(1)</script>")
    page.goto(f"{world.app}/app?error=access_denied&error_description={script}&state=x{query}")
    assert "did not allow" in stopped(page)
    assert "alert(1)" not in page.content()
    assert page.url == f"{world.app}/app"
    assert not asked_for(sent, "/token")


def test_ap05_somebody_who_does_not_allow_it_comes_back_to_plain_words(tab, world):
    page = tab()
    page.goto(world.address("denied"))
    assert "did not allow" in stopped(page)
    assert not {"app.session", "app.launch"} & set(keys_of(page))


def test_ap04_without_pkce_there_is_no_sign_in(tab, world):
    world.ehr.pkce = False
    page = tab()
    sent = requests_of(page)
    page.goto(world.address("plain"))
    stopped(page)
    assert not asked_for(sent, "/auth?")


def test_a_sign_in_at_an_origin_that_is_not_registered_is_not_gone_to(tab, world):
    before, world.ehr.authorization = world.ehr.authorization, "http://localhost:9"
    try:
        page = tab()
        sent = requests_of(page)
        page.goto(world.address("plain"))
        assert "not registered" in stopped(page)
        assert not asked_for(sent, "localhost:9")
    finally:
        world.ehr.authorization = before


def test_nobody_signs_in_on_a_page_that_is_not_secure(tab, world):
    page = tab()
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false})")
    page.goto(world.address("plain"))
    assert "secure connection" in stopped(page)
    assert not any(each.startswith("GET /.well-known") for each in world.ehr.seen)


def test_nobody_signs_in_at_an_address_to_which_the_ehr_does_not_lead_back(tab, world):
    """What the tab keeps does not go from one origin to another."""
    elsewhere = world.address("plain").replace("127.0.0.1", "localhost", 1)
    page = tab(further=[f"http://localhost:{urlsplit(world.app).port}"])
    page.goto(elsewhere)
    assert "another address" in stopped(page)
    assert not any(each.startswith("GET /.well-known") for each in world.ehr.seen)


# What the token says.


def test_ap07_a_launch_without_a_patient_is_told(tab, world, judge):
    page = tab()
    page.goto(world.address("nobody"))
    assert "whose record" in stopped(page)
    judge(page)


def test_ap07_the_token_stays_in_the_tab_and_never_reaches_the_service(tab, world):
    page = tab()
    sent = requests_of(page)
    finished(launched(page, world), world)
    save(page)
    (token,) = world.ehr.tokens
    ours = [each for each in sent if each.url.startswith(world.app)]
    assert len(ours) > 10
    assert [each.url for each in ours if token in f"{each.url} {each.headers} {each.post_data}"] == []
    told = [each for each in sent if token in each.headers.get("authorization", "")]
    assert told
    assert {each.all_headers().get("cache-control") for each in told} == {"no-cache"}, (
        "nothing of a record stays"
    )
    assert token not in page.url
    assert page.evaluate("() => document.cookie") == ""


@pytest.mark.parametrize(
    ("kind", "scope"),
    [
        ("bearer", None),
        ("BEARER", OLD_SCOPES),
        ("BEARER", "patient/*.*"),
    ],
)
def test_ap07_type_and_scopes_of_the_token_may_be_written_as_they_may(tab, world, kind, scope):
    """In any case, as SMART 1 named them, or not at all where all were granted that were asked for."""
    page = tab()
    page.route("**/token", changed(lambda answer: answer | {"token_type": kind, "scope": scope}))
    launched(page, world)
    expect(page.locator(ANSWERED)).to_be_visible()
    expect(page.locator("#app-record")).to_contain_text("Lovelace")
    expect(page.locator("#app-notice")).to_be_empty()
    assert any(each.startswith("GET /QuestionnaireResponse?") for each in world.ehr.seen)


def test_ap07_a_token_of_another_type_is_not_used(tab, world):
    page = tab()
    page.route("**/token", changed(lambda answer: answer | {"token_type": "DPoP"}))
    page.goto(world.address("plain"))
    assert "did not let us in" in stopped(page)
    assert not world.ehr.tokens


@pytest.mark.parametrize("lost", ["**/smart-configuration", "**/token", "**/jwks", "**/fhir/Patient/p1"])
def test_an_ehr_that_takes_a_request_and_never_answers_is_given_up_and_can_be_tried_again(tab, world, lost):
    """Its clock runs ahead; without a limit the page says `One moment, please.` for as long as it is open."""
    page = tab()
    page.clock.install()
    page.route(lost, lambda _: None)
    with page.expect_request(lost):
        page.goto(world.address("card"))
    page.clock.fast_forward("02:00")
    assert "Try again in a moment" in stopped(page)
    page.unroute(lost)
    page.get_by_role("button", name="Sign in again").click()
    page.locator("main[data-kind=question], main button").first.wait_for()
    assert "Lovelace" in page.locator("#app-record").inner_text()


@pytest.mark.parametrize("status", [200, 404, 500])
def test_an_ehr_whose_sign_in_cannot_be_read_is_not_said_to_send_people_elsewhere(tab, world, status):
    page = tab(f"console .*{status}")
    page.route(
        "**/fhir/.well-known/smart-configuration", lambda route: route.fulfill(status=status, body="<h1>Away")
    )
    page.goto(world.address("plain"))
    assert "cannot be reached, or did not answer as expected" in stopped(page)


def test_a_client_that_the_token_endpoint_refuses_is_told_so(tab, world):
    page = tab("console .*401")
    page.route("**/token", lambda route: route.fulfill(status=401, json={"error": "invalid_client"}))
    page.goto(world.address("plain"))
    assert "did not let us in" in stopped(page)


@pytest.mark.parametrize("token", ["rubbish", "a.b", 7])
def test_an_id_token_that_cannot_be_read_is_named_as_the_reason(tab, world, token):
    page = tab()
    page.route("**/token", changed(lambda answer: answer | {"id_token": token}))
    page.goto(world.address("plain"))
    assert "who signed in" in stopped(page)


@pytest.mark.parametrize("patient", ["Patient/p1", "../Practitioner/d1", ""])
def test_a_patient_that_is_no_id_is_no_patient(tab, world, patient):
    """The result would be written about nobody."""
    page = tab()
    page.route("**/token", changed(lambda answer: answer | {"patient": patient}))
    page.goto(world.address("plain"))
    assert "whose record" in stopped(page)


@pytest.mark.parametrize("kind", ["failed", "not permitted"])
def test_earlier_answers_that_cannot_be_read_are_said_not_to_be_compared(tab, world, kind):
    page = tab("console .*500")
    if kind == "failed":
        world.ehr.refusals["GET QuestionnaireResponse"] = 500
    else:
        scope = "patient/Patient.rs patient/QuestionnaireResponse.cru"
        page.route("**/token", changed(lambda answer: answer | {"scope": scope}))
    launched(page, world, questionnaire=LONG)
    expect(page.locator("#app-notice")).to_contain_text("could not be used to compare")


@pytest.mark.parametrize("partly", ["", " patient/Observation.rs?category=laboratory"])
def test_what_may_not_be_read_is_not_asked_for_and_is_named(tab, world, partly):
    """Nor what may be read in part: what is left out may be the newer and the worse value."""
    page = tab()
    scope = "patient/Patient.rs patient/QuestionnaireResponse.crus" + partly
    page.route("**/token", changed(lambda answer: answer | {"scope": scope}))
    launched(page, world, questionnaire=LONG)
    said = "without them: details of who signed in and measurements and results"
    expect(page.locator("#app-notice")).to_contain_text(said)
    assert not any("Observation" in each or "Practitioner" in each for each in world.ehr.seen)


@pytest.mark.parametrize("place", ["service", "beside"])
def test_no_link_of_a_record_leads_the_token_out_of_it(tab, world, place):
    """Neither to this service, nor to what else the EHR has on its host."""
    page = tab()
    next_page = {"service": f"{world.app}/fhir/Patient/p1", "beside": world.ehr.base + "/../other"}[place]
    page.route("**/QuestionnaireResponse?*", changed(with_link(next_page)))
    sent = requests_of(page)
    page.goto(world.address("plain", questionnaire=SHORT))
    assert "not registered" in stopped(page)
    assert not asked_for(sent, "/fhir/Patient/p1?") + asked_for(sent, "/other")
    assert not [each for each in sent if each.url == next_page and place == "service"]


def test_every_page_of_a_search_is_read(tab, world):
    found = {"resource": strain(id="s1", subject={"reference": "Patient/p1"}), "search": {"mode": "match"}}
    page, further = tab(), {"resourceType": "Bundle", "entry": [found]}

    def answered(route: Any) -> None:
        is_second = "page=2" in route.request.url
        link = {"relation": "next", "url": f"{world.ehr.base}/QuestionnaireResponse?page=2"}
        body = further if is_second else {"resourceType": "Bundle", "link": [link]}
        route.fulfill(json=body, headers={"Access-Control-Allow-Origin": "*"})

    page.route("**/QuestionnaireResponse?*", answered)
    launched(page, world)
    expect(page.get_by_role("button", name=re.compile("Change the answers"))).to_have_count(1)


def with_link(url: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda found: found | {"link": [{"relation": "next", "url": url}]}


def changed(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Any], None]:
    """Returns a route that changes the JSON of an answer."""

    def answer(route: Any) -> None:
        fetched = route.fetch()
        route.fulfill(response=fetched, json=change(fetched.json()))

    return answer


@pytest.mark.parametrize("launch", ["named", "card", "no-card", "old-context", "strings"])
def test_ap08_fhir_context_names_the_questionnaire_and_never_breaks_a_launch(tab, world, judge, launch):
    page = tab()
    page.goto(world.address(launch))
    if launch in ("named", "card"):
        expect(page.locator("main")).to_have_attribute("data-kind", "question")
        assert page.evaluate("() => document.querySelector('main form').getAttribute('action')").endswith(
            SHORT
        )
    else:
        expect(page.locator("main h1")).to_have_text("Which form?")
        judge(page)
        page.locator("main button").first.click()
        expect(page.locator(ANSWERED)).to_be_visible()


def forged(part: int, text: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(answer: dict[str, Any]) -> dict[str, Any]:
        parts = answer["id_token"].split(".")
        parts[part] = text
        return answer | {"id_token": ".".join(parts)}

    return change


@pytest.mark.parametrize(
    "change",
    [
        forged(2, "AAAA"),
        forged(0, "eyJhbGciOiJub25lIn0"),
        forged(1, "eyJpc3MiOiJodHRwOi8vZWxzZXdoZXJlIiwic3ViIjoieCJ9"),
    ],
    ids=["signature", "algorithm-none", "claims"],
)
def test_ap09_an_id_token_that_is_not_what_it_says_ends_the_sign_in(tab, world, change):
    page = tab()
    page.route("**/token", changed(change))
    page.goto(world.address("plain"))
    assert "who signed in" in stopped(page)


def test_ap09_an_id_token_for_another_sign_in_is_not_taken(tab, world):
    """Its nonce is not ours: the authorisation server is asked with another one than the page keeps."""
    page = tab()

    def other_nonce(route: Any) -> None:
        route.continue_(url=re.sub(r"nonce=[^&]*", "nonce=other", route.request.url))

    page.route("**/auth?*", other_nonce)
    page.goto(world.address("plain"))
    assert "who signed in" in stopped(page)


def test_ap09_an_id_token_counts_for_who_gave_it_whom_it_is_for_and_how_long(tab, world):
    """Signed by a key that the authorisation server lists, with one thing changed at a time."""
    key, other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    listed = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": "k"}
    claims: dict[str, Any] = {}
    header: dict[str, Any] = {}

    def signed(answer: dict[str, Any]) -> dict[str, Any]:
        own = jwt.decode(answer["id_token"], options={"verify_signature": False}) | claims
        how = {"algorithm": "RS256", "headers": {"kid": "k"}} | header
        return answer | {"id_token": jwt.encode(own, how.pop("key", key), **how)}

    page = tab()
    page.route("**/token", changed(signed))
    page.route(
        "**/jwks", changed(lambda found: {"keys": [{"kty": "EC", "kid": "k"}, *found["keys"], listed]})
    )
    past = datetime.now(UTC).timestamp() - 60
    for claims, header, is_taken in (
        ({}, {}, True),
        ({"aud": ["the-app", "other"], "azp": "the-app"}, {}, True),
        ({"aud": ["the-app", "other"]}, {}, False),
        ({"aud": "other"}, {}, False),
        ({"iss": "https://evil.example.org"}, {}, False),
        ({"exp": past}, {}, False),
        ({}, {"algorithm": "RS512"}, False),
        ({}, {"headers": {"kid": "unknown"}}, False),
        ({}, {"key": other}, False),
    ):
        page.goto(world.address("plain", questionnaire=SHORT))
        page.locator("main[data-kind=question], main [role=alert]").wait_for()
        assert page.locator(ANSWERED).count() == is_taken, (claims, header)


@pytest.mark.parametrize(("launch", "user"), [("plain", USER), ("absolute", USER), ("herself", "Patient/p1")])
def test_ap09_fhir_user_is_the_author_whether_absolute_or_relative(tab, world, launch, user):
    """A person who is no professional is the source of the answers too."""
    page = finished(launched(tab(), world, launch), world)
    save(page)
    (response,) = world.ehr.stored("QuestionnaireResponse")
    assert response["author"] == {"reference": user}
    assert response.get("source") == ({"reference": user} if launch == "herself" else None)


# What is read and what is written.


def test_the_answers_and_the_result_stand_in_the_record_after_somebody_has_said_so(tab, world, judge):
    page = launched(tab(), world)
    judge(page)
    finished(page, world)
    assert world.ehr.stored("QuestionnaireResponse") == []
    expect(page.locator("#app-save p")).to_contain_text("the record of Ada <b>Lovelace</b>, born 10 December")
    judge(page)
    said = save(page)
    judge(page)
    assert "app.pending" not in keys_of(page)
    assert "Saved to the record" in said
    (response,) = world.ehr.stored("QuestionnaireResponse")
    (risk,) = world.ehr.stored("RiskAssessment")
    assert response["status"] == "completed"
    assert response["subject"] == {"reference": "Patient/p1"}
    assert response["encounter"] == {"reference": "Encounter/e1"}
    assert response["identifier"]["value"].startswith("urn:uuid:")
    assert risk["performer"]["reference"].startswith("#")
    assert risk["contained"][0]["resourceType"] == "Device"
    assert risk["basis"][0]["reference"] == f"QuestionnaireResponse/{response['id']}"
    assert world.ehr.stored("Observation")
    assert world.ehr.stored("DocumentReference")
    assert [each.rstrip("/") for each in world.ehr.seen if each.startswith("POST")] == ["POST "]


def test_where_the_ehr_takes_no_transactions_each_resource_is_written_by_itself(tab, world):
    world.ehr.transactions = False
    page = finished(launched(tab(), world), world)
    assert "Saved to the record" in save(page)
    (response,) = world.ehr.stored("QuestionnaireResponse")
    (risk,) = world.ehr.stored("RiskAssessment")
    assert risk["basis"][0]["reference"] == f"QuestionnaireResponse/{response['id']}"
    assert [each for each in world.ehr.seen if each.startswith("POST")] == [
        f"POST /{type_}"
        for type_ in (
            "QuestionnaireResponse",
            "RiskAssessment",
            "Observation",
            "Observation",
            "DocumentReference",
        )
    ]


def test_fewer_scopes_than_asked_are_told_before_the_first_question_and_at_the_end(tab, world, judge):
    page = launched(tab(color_scheme="dark"), world, "read-only")
    expect(page.locator("#app-notice")).to_contain_text("may not write")
    judge(page)
    finished(page, world)
    said = save(page)
    judge(page)
    assert "Nothing is in the record yet" in said
    assert "may not write this" in said
    with page.expect_download() as awaited:
        page.get_by_role("button", name="Download instead").click()
    bundle = json.loads(awaited.value.path().read_text())
    assert [each["resource"]["resourceType"] for each in bundle["entry"]][:2] == [
        "QuestionnaireResponse",
        "RiskAssessment",
    ]
    assert not [each for each in world.ehr.seen if each.startswith(("POST", "PUT"))]


def test_saving_is_in_sight_above_a_result_on_a_phone(tab, world, judge):
    page = finished(launched(tab(), world), world)
    expect(page.get_by_role("button", name="Save to the record")).to_be_in_viewport(ratio=1)
    assert page.evaluate("() => document.querySelector('main').previousElementSibling.id") == "app-save"
    judge(page)
    save(page)
    judge(page)


def test_what_was_permitted_is_written_and_the_rest_is_named(tab, world):
    said = save(finished(launched(tab(), world, "fewer"), world))
    assert "Not everything is in the record" in said
    assert "answers saved" in said
    assert "result: you may not write this" in said
    assert len(world.ehr.stored("QuestionnaireResponse")) == 1


def test_a_record_without_risk_assessments_gets_the_rest(tab, world):
    world.ehr.types = tuple(each for each in world.ehr.types if each != "RiskAssessment")
    said = save(finished(launched(tab(), world), world))
    assert "result: this record system does not take it" in said
    assert "answers saved" in said


@pytest.mark.parametrize(("status", "words"), [(403, "you may not write this"), (422, "refused it")])
def test_a_create_that_is_refused_is_told_and_the_rest_is_written_one_by_one(tab, world, status, words):
    """Nothing is written twice, although an EHR may neither search nor say where something is."""
    world.ehr.finds = status == 403
    world.ehr.refusals = {"POST RiskAssessment": status}
    page = finished(launched(tab(f"console .*{status}"), world), world)
    said = save(page)
    assert f"result: {'you may not write this' if status == 403 else 'the record system refused it'}" in said
    assert words in said
    assert len(world.ehr.stored("QuestionnaireResponse")) == 1
    assert world.ehr.stored("RiskAssessment") == []

    world.ehr.refusals = {}
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#app-save h2")).to_have_text("Saved to the record")
    assert [len(world.ehr.stored(each)) for each in ("QuestionnaireResponse", "RiskAssessment")] == [1, 1]


def test_an_ehr_that_fails_gets_everything_once_it_is_back(tab, world):
    world.ehr.refusals = {"POST RiskAssessment": 503}
    page = finished(launched(tab("console .*503"), world), world)
    assert "cannot be reached" in save(page)
    assert world.ehr.stored("QuestionnaireResponse") == []
    world.ehr.refusals = {}
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#app-save h2")).to_have_text("Saved to the record")
    assert [len(world.ehr.stored(each)) for each in ("QuestionnaireResponse", "RiskAssessment")] == [1, 1]


def test_an_answer_that_is_lost_on_the_way_makes_no_duplicate(tab, world):
    world.ehr.transactions = False
    page = finished(launched(tab("console .*ERR_FAILED"), world), world)

    def lost(route: Any) -> None:
        route.fetch()
        route.abort()

    page.route("**/fhir/RiskAssessment", lost)
    said = save(page)
    assert "cannot be reached" in said
    page.unroute("**/fhir/RiskAssessment")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#app-save h2")).to_have_text("Saved to the record")
    assert [len(world.ehr.stored(each)) for each in ("QuestionnaireResponse", "RiskAssessment")] == [1, 1]


def test_a_token_that_ends_in_the_middle_of_the_form_loses_nothing(tab, world, judge):
    """Enlarged four times, too."""
    page = launched(tab("console .*401", viewport={"width": 320, "height": 256}), world)
    finished(page, world)
    world.ehr.expire_tokens()
    said = save(page)
    assert "sign-in has ended" in said
    judge(page)
    assert page.get_by_role("button", name="Download instead").is_visible()
    page.get_by_role("button", name="Sign in again").click()
    expect(page.locator("#app-save h2")).to_have_text("A result is not in the record yet")
    judge(page)
    assert "Saved to the record" in save(page)
    assert "not in the record yet" not in page.locator("body").inner_text()
    (response,) = world.ehr.stored("QuestionnaireResponse")
    assert response["status"] == "completed"


def test_a_result_is_not_written_for_another_person_than_it_was_made_for(tab, world):
    world.ehr.add({**PATIENT, "id": "p2"})
    page = launched(tab("console .*401"), world)
    finished(page, world)
    world.ehr.expire_tokens()
    save(page)
    page.route("**/token", changed(lambda answer: answer | {"patient": "p2"}))
    page.get_by_role("button", name="Sign in again").click()
    assert "another person" in stopped(page)
    assert page.get_by_role("button", name="Download instead").is_visible()
    assert world.ehr.stored("QuestionnaireResponse") == []


def test_a_person_of_another_record_is_another_person(tab, world):
    """The page on which one chooses where to sign in may come back out of the history."""
    page = tab()
    page.goto(f"{world.app}/app?questionnaire={SHORT}")
    before = {"issuer": "https://other.example.org", "patient": "p1", "scope": "", "form": SHORT}
    for name, value in ("session", before), ("pending", {"bundle": {"entry": []}}):
        page.evaluate(
            "([name, value]) => sessionStorage.setItem(name, value)", [f"app.{name}", json.dumps(value)]
        )
    page.get_by_role("button", name="General Hospital").click()
    assert "another person" in stopped(page)


def test_a_launch_from_a_record_forgets_what_the_tab_kept_of_another_one(tab, world):
    world.ehr.add({**PATIENT, "id": "p2", "name": [{"text": "Grace"}]})
    page = finished(launched(tab(), world), world)
    page.route("**/token", changed(lambda answer: answer | {"patient": "p2"}))
    launched(page, world)
    expect(page.locator(ANSWERED)).to_be_visible()
    expect(page.locator("#app-record")).to_contain_text("Grace")
    assert page.locator("main :checked").count() == 0
    assert "app.pending" not in keys_of(page)


def test_answers_of_one_person_are_forgotten_where_another_one_is_signed_in_for(tab, world):
    world.ehr.add({**PATIENT, "id": "p2"})
    page = launched(tab("console .*401"), world)
    form = Form(page, world.app)
    first = form.name
    form.answer(often(world))
    form.press("next")
    assert form.name != first
    world.ehr.expire_tokens()
    page.reload()
    page.route("**/token", changed(lambda answer: answer | {"patient": "p2"}))
    page.get_by_role("button", name="Sign in again").click()
    expect(page.locator("main[data-kind=question]")).to_be_visible()
    assert form.name == first


def test_a_changed_answer_takes_the_place_of_what_was_written(tab, world, judge):
    page = launched(tab(), world)
    finished(page, world)
    save(page)
    before = {
        each: len(world.ehr.stored(each))
        for each in ("QuestionnaireResponse", "RiskAssessment", "Observation")
    }
    launched(page, world)
    judge(page)
    page.get_by_role("button", name=re.compile("Change the answers")).click()
    expect(page.locator("main")).to_have_attribute("data-kind", "check")
    assert Form(page, world.app).finish(often(world)) == "result"
    assert "has been replaced" in save(page)
    assert {each: len(world.ehr.stored(each)) for each in before} == before
    (response,), (risk,) = (world.ehr.stored(each) for each in ("QuestionnaireResponse", "RiskAssessment"))
    assert response["status"] == "amended"
    assert risk["occurrenceDateTime"] == response["authored"]


def test_what_got_worse_since_the_answers_of_the_record_is_told_and_written(tab, world, judge):
    for number, month in enumerate(("2026-06", "2026-09")):
        world.ehr.add(response_in(f"r{number}", CALM, authored=f"{month}-01T12:00:00Z"))
    world.ehr.add(response_in("other", CALM, authored="2026-10-01T12:00:00Z", patient="p2"))
    world.ehr.add(response_in("nobody", CALM, authored="2026-10-02T12:00:00Z", subject={}))
    world.ehr.add(response_in("now", WORSE, authored="2026-11-01T12:00:00Z", status="in-progress"))
    page = tab()
    page.route("**/QuestionnaireResponse?*", changed(lambda found: with_all(found, world)))
    launched(page, world, questionnaire=LONG)
    box = page.get_by_role("checkbox")
    expect(box).to_be_checked()
    days = "1 September 2026, 1 June 2026"
    said = "Say what is new or worse since the answers of 1 September 2026 and 1 June 2026"
    expect(page.locator("label")).to_have_text(said)
    expect(page.get_by_role("button", name=re.compile("1 October"))).to_have_count(0)
    expect(page.locator("main .btn:not(.second)")).to_have_text("Go on with the form of 1 November 2026")
    judge(page)
    went_on(page, world)
    expect(page.locator("main")).to_contain_text(f"Compared with your answers of {days}")
    expect(page.locator("main")).to_contain_text("What is new or worse since last time")
    assert "Saved to the record" in save(page)
    (risk,) = world.ehr.stored("RiskAssessment")
    basis = [each["reference"] for each in risk["basis"]]
    assert basis == [f"QuestionnaireResponse/{name}" for name in ("now", "r1", "r0")]
    assert "Since earlier responses" in risk["text"]["div"]
    assert world.ehr.resources["QuestionnaireResponse"]["r1"]["authored"] == "2026-09-01T12:00:00Z"
    (now,) = (each for each in world.ehr.stored("QuestionnaireResponse") if each["id"] == "now")
    assert now["status"] == "completed"


@pytest.mark.parametrize("is_indexed", [True, False])
def test_answers_of_a_short_form_are_found_and_compared(tab, world, *, is_indexed):
    """Some records find them by the form that they are derived from, others by the name inside."""
    short = short_of(response_in("short", CALM, authored="2026-09-01T12:00:00Z"), "weakness")
    foreign = short_of(response_in("foreign", CALM, authored="2026-10-01T12:00:00Z"), "weakness")
    foreign["contained"][0]["derivedFrom"] = ["https://guidance.example.org/fhir/Questionnaire/another|1"]
    now = response_in("now", WORSE, authored="2026-11-01T12:00:00Z", status="in-progress")
    for each in (short, foreign, now):
        world.ehr.add(each)
    page = tab()
    if is_indexed:
        page.route("**/QuestionnaireResponse?*", changed(lambda found: with_all(found, world)))
    launched(page, world, questionnaire=LONG)
    expect(page.locator("label")).to_have_text(
        "Say what is new or worse since the answers of 1 September 2026"
    )
    expect(page.get_by_role("button", name=re.compile("Change the answers"))).to_have_count(1)
    if not is_indexed:
        went_on(page, world)
        expect(page.locator("main")).to_contain_text("Compared with your answers of 1 September 2026")


def test_who_does_not_want_it_compares_nothing(tab, world):
    world.ehr.add(response_in("before", CALM, authored="2026-09-01T12:00:00Z"))
    world.ehr.add(response_in("now", WORSE, authored="2026-11-01T12:00:00Z", status="in-progress"))
    page = launched(tab(), world, questionnaire=LONG)
    page.get_by_role("checkbox").uncheck()
    went_on(page, world)
    expect(page.locator("main")).not_to_contain_text("Compared with your answers")
    expect(page.locator("main")).not_to_contain_text("What is new or worse since last time")


def test_answers_that_are_changed_are_not_compared_with_themselves(tab, world):
    world.ehr.add(response_in("before", CALM, authored="2026-09-01T12:00:00Z"))
    page = launched(tab(), world, questionnaire=LONG)
    page.get_by_role("button", name=re.compile("Change the answers")).click()
    expect(page.locator("main[data-kind]")).to_be_visible()
    expect(page.locator("main")).not_to_contain_text("We will compare")
    expect(page.locator("#app-notice")).to_be_empty()


def test_answers_of_the_record_that_cannot_be_compared_are_said_to_be_left_out(tab, world):
    """Whoever fills in goes on without them; those are of today, and perhaps not from before."""
    today = datetime.now(UTC).date().isoformat()
    world.ehr.add(response_in("before", CALM, authored=today))
    page = launched(tab("console .*422"), world, questionnaire=LONG)
    page.get_by_role("button", name="Start a new form").click()
    expect(page.locator(ANSWERED)).to_be_visible()
    expect(page.locator("#app-notice")).to_contain_text("could not be used to compare")
    expect(page.locator("main")).not_to_contain_text("We will compare")


def test_a_form_that_compares_nothing_does_not_ask_for_it(tab, world):
    page = launched(tab(), world)
    finished(page, world)
    save(page)
    launched(page, world)
    expect(page.get_by_role("button", name="Start a new form")).to_be_visible()
    expect(page.get_by_role("checkbox")).to_have_count(0)


def went_on(page: Page, world: World) -> None:
    """Goes on with the form that was begun, and sends it."""
    page.get_by_role("button", name=re.compile("Go on with")).click()
    expect(page.locator("main[data-kind]")).to_be_visible()
    assert Form(page, world.app).finish(case(WORSE)) == "result"


def short_of(response: dict[str, Any], *links: str) -> dict[str, Any]:
    """Returns the answers to some questions as a short form has them."""
    form = {"resourceType": "Questionnaire", "id": "asked", "status": "active"}
    form |= {"derivedFrom": [response["questionnaire"]]}
    groups = response["item"]
    kept = [group | {"item": [one for one in group["item"] if one["linkId"] in links]} for group in groups]
    items = [group for group in kept if group["item"]]
    return response | {"contained": [form], "questionnaire": "#asked", "item": items}


def with_all(found: dict[str, Any], world: World) -> dict[str, Any]:
    """Returns what an EHR finds that does not look whose it is."""
    return found | {"entry": [{"resource": each} for each in world.ehr.stored("QuestionnaireResponse")]}


def response_in(name: str, of: str, *, authored: str, patient: str = "p1", **more: Any) -> dict[str, Any]:
    """Returns a worked case of the long form as it stands in the record."""
    pair = long_pair()
    (found,) = (each for each in pair.guidance.cases if each.name == of)
    own = {"id": name, "authored": authored, "subject": {"reference": f"Patient/{patient}"}}
    return {**response_of(pair, found), **own, **more}


def test_a_sign_of_danger_is_sent_at_once_and_nobody_is_asked(tab, world, judge):
    page = launched(tab(), world, questionnaire=LONG)
    form, answers = Form(page, world.app), danger()
    while form.kind == "question":
        form.answer(answers)
        form.press("next")
    assert form.kind == "emergency"
    expect(page.locator("#app-save h2")).to_have_text("Saved to the record")
    judge(page)
    (response,) = world.ehr.stored("QuestionnaireResponse")
    assert response["status"] == "in-progress"


def test_what_the_chart_knows_stands_in_the_form_and_can_be_corrected(tab, world):
    world.ehr.add(POTASSIUM)
    page = tab()
    said = {"resource": {"resourceType": "OperationOutcome", "issue": []}, "search": {"mode": "outcome"}}
    page.route("**/Observation?*", changed(lambda found: found | {"entry": [*found["entry"], said]}))
    with page.expect_request("**/app/populate/*") as asked:
        launched(page, world, questionnaire=LONG)
    assert "2823-3" in asked.value.post_data
    assert "OperationOutcome" not in asked.value.post_data, "what is said beside a search is no data"
    form, answers = Form(page, world.app), case("a-low-potassium-entered-by-a-professional-counts-as-well")
    while form.name != "chart":
        form.answer(answers)
        form.press("next")
    box = page.locator('[name="q.lab-potassium"]')
    expect(box).to_have_value("3.1")
    expect(page.locator(".src").first).to_contain_text(str(datetime.now(UTC).year))
    box.fill("3.3")
    form.press("next")
    form.press("send")
    save(page)
    (response,) = world.ehr.stored("QuestionnaireResponse")
    assert '"value": 3.3' in json.dumps(response)
    assert '"value": 3.1' not in json.dumps(response)


def test_what_the_chart_has_and_cannot_be_used_is_named_in_the_language_of_the_reader(tab, world, judge):
    world.ehr.add(POTASSIUM | {"status": "preliminary"})
    page = launched(tab(locale="de-DE"), world, questionnaire=LONG)
    unused = page.locator("#app-notice details")
    unused.locator("summary", has_text="Werte der Akte, die nicht übernommen wurden: 2").click()
    potassium = "er ist noch nicht endgültig oder nicht sicher."
    # A tick for what is known would say of potassium that nobody has measured it.
    available = "er hängt von etwas ab, das nicht ausgefüllt wurde."
    said = [
        f"Ein Wert für „Kalium in Serum oder Plasma“ wurde nicht übernommen: {potassium}",
        f"Ein Wert für „Welche Laborwerte liegen vor?“ wurde nicht übernommen: {available}",
    ]
    expect(unused.locator("li")).to_have_text(said)
    judge(page)
    page.reload()
    expect(unused.locator("li")).to_have_text(said)


@pytest.mark.parametrize("says_so", [False, True])
def test_a_chart_of_which_a_page_cannot_be_read_fills_in_nothing(tab, world, says_so):
    """The value that is missing may be the newer and the worse one; an EHR may say that it left some out."""
    world.ehr.add(POTASSIUM)
    suppressed = {"severity": "warning", "code": "suppressed"}
    told = {
        "resource": {"resourceType": "OperationOutcome", "issue": [suppressed]},
        "search": {"mode": "outcome"},
    }

    def first_page(found: dict[str, Any]) -> dict[str, Any]:
        if not found["total"]:
            return found
        following = {"relation": "next", "url": f"{world.ehr.base}/Nowhere?page=2"}
        return found | ({"entry": [*found["entry"], told]} if says_so else {"link": [following]})

    page = tab(*([] if says_so else ["console .*404"]))
    page.route(lambda url: "/Observation?" in url, changed(first_page))
    launched(page, world, questionnaire=LONG)
    expect(page.locator("#app-notice")).to_contain_text("could not be read from the record")
    form, answers = Form(page, world.app), case("a-low-potassium-entered-by-a-professional-counts-as-well")
    while form.name != "chart":
        form.answer(answers)
        form.press("next")
    expect(page.locator('[name="q.lab-potassium"]')).to_have_value("")


def test_people_read_it_in_their_language(tab, world):
    page = launched(tab(locale="de-DE"), world)
    expect(page.locator("#app-record")).to_have_text(
        "Akte von Ada <b>Lovelace</b>, geboren 10. Dezember 1980"
    )
    finished(page, world)
    page.get_by_role("button", name="In die Akte schreiben").click()
    expect(page.locator("#app-save h2")).to_have_text("Steht in der Akte")


def danger() -> dict[str, tuple[Any, ...]]:
    """Returns answers at which the form stops."""
    return case("new-confusion-is-an-emergency")


def case(name: str) -> dict[str, tuple[Any, ...]]:
    """Returns the answers of a worked case of the long form."""
    return dict(next(found for found in long_pair().guidance.cases if found.name == name).answers)


@cache
def long_pair() -> catalogue.Pair:
    paths = Settings()
    pairs = catalogue.read(paths.questionnaires_dir, paths.mappings_dir).pairs.values()
    (pair,) = (each for each in pairs if each.slug == LONG and each.is_active)
    return pair


def test_reloading_goes_on_where_it_was(tab, world):
    page = launched(tab(), world)
    form = Form(page, world.app)
    form.answer(often(world))
    form.press("next")
    before = page.locator("main").get_attribute("data-page")
    page.reload()
    expect(page.locator(f"main[data-page='{before}']")).to_be_visible()
    expect(page.locator("#app-record")).to_be_visible()


def test_somebody_who_opens_the_app_alone_chooses_where_to_sign_in(tab, world, judge):
    page = tab()
    page.goto(f"{world.app}/app?questionnaire={SHORT}")
    expect(page.locator("main h1")).to_have_text("Which record do you use?")
    judge(page)
    sent = requests_of(page)
    page.get_by_role("button", name="General Hospital").click()
    expect(page.locator(ANSWERED)).to_be_visible()
    asked = parse_qs(urlsplit(asked_for(sent, "/auth?")[0]).query)
    assert "launch/patient" in asked["scope"][0].split()
    assert "launch" not in asked["scope"][0].split()
    assert "launch" not in asked


def test_signing_out_leaves_nothing_in_the_tab(tab, world):
    page = finished(launched(tab(), world), world)
    save(page)
    page.get_by_role("button", name="Finish and sign out").click()
    expect(page.locator("main h1")).to_have_text(re.compile("You are signed out"))
    assert keys_of(page) == []
    expect(page.locator("#app-record")).to_be_hidden()


# In a frame.


@pytest.fixture(scope="module")
def as_people_have_it(browser: Browser) -> Iterator[Browser]:
    """Chromium without Playwright's list of features that are off.

    With that list a frame of another site has no storage at all. Without it, it has one of its own for each
    site around it, and no cookie but partitioned ones.
    """
    features = "--disable-features=Translate"
    found = browser.browser_type.launch(
        executable_path=chromium.where(), args=[*chromium.arguments(), features]
    )
    yield found
    found.close()


def in_frame(page: Page, world: World, launch: str = "plain") -> Frame:
    """Opens the EHR's own page, which launches the app in a frame, and waits for the form there."""
    world.ehr.framed = world.address(launch, questionnaire=SHORT)
    page.goto(f"{pages_of(world.ehr)}/record")
    expect(page.frame_locator("iframe").locator(ANSWERED)).to_be_visible()
    (frame,) = page.main_frame.child_frames
    assert frame.url == f"{world.app}/app"
    return frame


def test_ap10_a_whole_launch_in_a_frame_of_another_site(as_people_have_it, world):
    """Signing in, filling in, a reload in the middle, and saving; the app sets no cookie."""
    origins = [world.app, pages_of(world.ehr), world.ehr.base.removesuffix("/fhir"), world.ehr.authorization]
    with watched_contexts(as_people_have_it, origins) as make:
        context, _ = make(expects=[COOKIES])
        page = context.new_page()
        frame = in_frame(page, world)
        with pytest.raises(Error, match=r"cross-origin|SecurityError"):
            page.evaluate("frames[0].sessionStorage")
        form = Form(frame, world.app)
        form.answer(often(world))
        form.press("next")
        left = form.name
        frame.evaluate("setTimeout(() => location.reload())")
        page.wait_for_event("framenavigated")
        expect(frame.locator(f"main[data-page={left}]")).to_be_visible()
        assert form.finish(often(world)) == "result"
        frame.get_by_role("button", name="Save to the record").click()
        expect(frame.locator("#app-save h2")).to_have_text("Saved to the record")
        assert [each["status"] for each in world.ehr.stored("QuestionnaireResponse")] == ["completed"]
        assert len(world.ehr.stored("RiskAssessment")) == 1


def test_ap10_a_frame_that_may_keep_nothing_offers_a_tab_of_its_own(browser, world):
    world.ehr.framed = world.address("plain", questionnaire=SHORT)
    context: BrowserContext = browser.new_context()
    try:
        page = context.new_page()
        page.goto(f"{pages_of(world.ehr)}/record")
        link = page.frame_locator("iframe").get_by_role("link", name="Open in a new tab")
        with context.expect_page() as opened:
            link.click()
        expect(opened.value.locator(ANSWERED)).to_be_visible()
        assert "Saved to the record" in save(finished(opened.value, world))
    finally:
        context.close()


def test_ap10_a_page_that_is_not_registered_cannot_show_it_in_a_frame(browser, world):
    world.ehr.framed = world.address("plain")
    context: BrowserContext = browser.new_context()
    try:
        page = context.new_page()
        with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
            page.goto(f"{world.ehr.base.removesuffix('/fhir')}/record")
        expect(page.frame_locator("iframe").locator("main")).to_have_count(0)
    finally:
        context.close()
