"""A form in a page of another site: what that page gets, and what nobody else gets."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from case_responses import answers_by_link
from form_by_clicking import Form
from gunicorn_server import ROOT
from host_pages import site
from playwright.sync_api import Browser, Frame, Page, Route
from sample_responses import strain
from watched_pages import NewContext, watched_contexts
from worked_cases import as_of_today, cases_of

from service import catalogue
from service.datatypes.answers import AnswersByLink
from service.fhir.dates import date_time

Json = dict[str, Any]

PATIENT = "plain-eyelid-three-days"
EMERGENCY = "a-new-medicine-with-sweating-shaking-and-restlessness-is-an-emergency"
SMALL, LARGE = "workday-strain", "muscle-twitching"

# It loads the script twice, as a page that is put together of parts may.
HOST = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>An app</title><link rel="icon" href="data:,">
<script src="/host.js"></script><script src="{service}/embed.js"></script>
<script src="{service}/embed.js"></script>
<h1>An app</h1>
<guidance-questionnaire src="{service}/questionnaires/{form}"></guidance-questionnaire>"""
# Notes every event of the element, and every message that reaches the window, whoever sends it.
NOTES = """window.events = []; window.heard = [];
addEventListener('message', ({data, origin}) => heard.push({data, origin}));
for (const name of ['ready', 'questionnaire-response', 'result', 'changed-focus', 'done']) {
  addEventListener(name, event => events.push({name, detail: event.detail}), true);
}"""
# A host that knows the messages and has no element of ours.
BARE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>A host</title><link rel="icon" href="data:,">
<script src="/host.js"></script>
<iframe title="form" name="handle-1" src="{service}/questionnaires/{form}?parent={parent}"></iframe>"""
ASK = """([messageType, payload, messagingHandle]) => new Promise(resolve => {
  const frame = document.querySelector('iframe').contentWindow, messageId = crypto.randomUUID();
  addEventListener('message', ({data}) => data.responseToMessageId === messageId && resolve(data.payload));
  frame.postMessage({messagingHandle, messageId, messageType, payload}, '*');
})"""
# Inside the frame: it has taken on a width, and is as high as its body with its margins.
AS_HIGH = """([least, most]) => innerWidth > least && innerWidth <= most
  && Math.abs(innerHeight - document.body.getBoundingClientRect().height) < 20
  && document.documentElement.scrollHeight <= innerHeight"""
# A window that is not asked: it knows where both others are and what they say.
THIRD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Third</title><link rel="icon" href="data:,">
<script src="/third.js"></script><body></body></html>"""
MEDDLE = """window.heard = []; addEventListener('message', ({data}) => heard.push(data));
window.meddle = handle => {
  const form = parent.document.querySelector('guidance-questionnaire').shadowRoot.firstElementChild;
  const say = (window, messageType, payload) =>
    window.postMessage({messagingHandle: handle, messageId: messageType, messageType, payload}, '*');
  say(parent, 'guidance.ui.result', {riskAssessment: {}});
  say(form.contentWindow, 'status.handshake', {});
};"""
# What another site would say in the place of the form.
IMPOSTOR = """window.heard = []; addEventListener('message', ({data}) => heard.push(data));
const say = (messageType, payload) =>
  parent.postMessage({messagingHandle: name, messageId: messageType, messageType, payload}, '*');
say('status.handshake', {});
say('guidance.ui.result', {riskAssessment: {}});"""


@dataclass(frozen=True)
class Sites:
    """The service, two sites that it knows, and one that it does not, with its pages."""

    service: str
    app: str
    example: str
    stranger: str
    strange: dict[str, str]


@pytest.fixture(scope="module")
def sites(served: Callable[..., str]) -> Iterator[Sites]:
    """Four sites: all of them under a name that is another site than the service's."""
    pages: dict[str, str] = {"/host.js": NOTES, "/third.js": MEDDLE, "/third.html": THIRD}
    examples: dict[str, str] = {}
    strange: dict[str, str] = {"/host.js": NOTES}
    headers: dict[str, str] = {}
    with site(pages, headers=headers) as app, site(examples) as example, site(strange) as stranger:
        service = served(EMBED_ORIGINS=f"https://other.example.org,{app},{example}")
        # The strictest policy that docs/embedding.md asks for.
        headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'self' {service}; frame-src {service} 'self'; img-src data:; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )
        for form in (SMALL, LARGE):
            pages[f"/{form}.html"] = HOST.format(service=service, form=form)
        pages["/bare.html"] = BARE.format(service=service, form=SMALL, parent=app)
        written = (ROOT / "docs/examples/embed.html").read_text(encoding="utf-8")
        # The second site has no policy, and a form that is given out for the first one.
        examples |= {path: pages[path] for path in ("/host.js", "/bare.html", f"/{SMALL}.html")}
        strange |= {"/impostor.js": IMPOSTOR, "/impostor.html": THIRD.replace("third.js", "impostor.js")}
        examples["/embed.html"] = written.replace("https://guidance.example.org", service)
        yield Sites(service, app, example, stranger, strange)


@pytest.fixture
def contexts(browser: Browser, sites: Sites) -> Iterator[NewContext]:
    with watched_contexts(browser, [sites.service, sites.app, sites.example, sites.stranger]) as make:
        yield make


@pytest.fixture
def page(contexts: NewContext) -> Page:
    context, _ = contexts()
    return context.new_page()


@pytest.fixture(scope="module")
def answers() -> Callable[[str], AnswersByLink]:
    """Gives what the person of a worked case answers."""
    pairs = catalogue.read(ROOT / "questionnaires", ROOT / "mappings").pairs.values()
    cases = {case.name: case for pair in pairs for case in pair.guidance.cases}
    return lambda name: cases[name].answers


def embedded(page: Page, address: str) -> Frame:
    """Opens a page and returns the frame in it, once the page knows that it is ready."""
    page.goto(address)
    page.wait_for_function("() => events.some(({name}) => name === 'ready')")
    return framed(page)


def framed(page: Page) -> Frame:
    (frame,) = [frame for frame in page.frames if "/questionnaires/" in frame.url]
    frame.locator("main[data-kind]").wait_for()
    return frame


def form_in(frame: Frame) -> Form:
    return Form(frame, "")  # type: ignore[arg-type] - a frame has what the form asks of a page


def details(page: Page, name: str) -> list[Any]:
    """Returns the details of the events of this name, in order."""
    found: list[Any] = page.evaluate("name => events.filter(e => e.name === name).map(e => e.detail)", name)
    return found


def wait_for(page: Page, name: str) -> Any:
    """Waits for an event and returns its detail."""
    page.wait_for_function("name => events.some(e => e.name === name)", arg=name)
    return details(page, name)[-1]


def assessed(service: str, response: Json) -> Json:
    """Returns what `$assess` makes of a response."""
    request = urllib.request.Request(
        f"{service}/fhir/QuestionnaireResponse/$assess",
        json.dumps(response).encode(),
        {"Content-Type": "application/fhir+json"},
    )
    with urllib.request.urlopen(request) as answer:
        found = json.load(answer)
    assert isinstance(found, dict)
    return found


ELEMENT = "document.querySelector('guidance-questionnaire')"


# ---- A page that may show the form -----------------------------------------------------------------------


def test_a_page_on_the_list_gets_response_and_result_that_are_those_of_assess(
    page: Page, sites: Sites, answers: Callable[[str], AnswersByLink]
) -> None:
    frame = embedded(page, f"{sites.app}/{LARGE}.html")
    assert form_in(frame).finish(answers(PATIENT)) == "result"
    risk, response = wait_for(page, "result"), details(page, "questionnaire-response")[-1]
    assert (risk["resourceType"], response["status"]) == ("RiskAssessment", "completed")
    assert risk == assessed(sites.service, response)
    before = details(page, "questionnaire-response")[0]
    assert before["status"] == "in-progress"
    assert answers_by_link(before).items() <= answers_by_link(response).items()
    made = page.evaluate(f"() => {ELEMENT}.requestResources()")
    assert made[0] == risk
    close = frame.get_by_role("button", name="Close the form")
    assert (close.bounding_box() or {"height": 0})["height"] >= 44
    close.click()
    wait_for(page, "done")


def today() -> str:
    return date_time(datetime.now(UTC))


def test_a_form_works_where_the_browser_gives_a_frame_of_another_site_no_storage(
    page: Page, sites: Sites
) -> None:
    frame = embedded(page, f"{sites.app}/{SMALL}.html")
    has_storage = frame.evaluate("() => { try { return Boolean(sessionStorage); } catch { return false; } }")
    assert has_storage is False
    page.evaluate(f"response => {ELEMENT}.displayQuestionnaireResponse(response)", strain())
    assert form_in(frame).finish({}) == "result"
    assert wait_for(page, "result") == assessed(sites.service, details(page, "questionnaire-response")[-1])


def test_an_emergency_is_told_at_once_and_not_put_away(
    page: Page, sites: Sites, answers: Callable[[str], AnswersByLink]
) -> None:
    frame = embedded(page, f"{sites.app}/{LARGE}.html")
    assert form_in(frame).finish(answers(EMERGENCY)) == "emergency"
    risk, response = wait_for(page, "result"), details(page, "questionnaire-response")[-1]
    assert response["status"] == "in-progress"
    assert risk == assessed(sites.service, response)
    assert frame.get_by_role("button", name="Close the form").count() == 0


def test_a_response_that_is_given_is_shown_with_whom_it_is_about(page: Page, sites: Sites) -> None:
    frame = embedded(page, f"{sites.app}/{SMALL}.html")
    page.evaluate(f"response => {ELEMENT}.displayQuestionnaireResponse(response)", strain())
    assert form_in(frame).kind == "question", "what was answered on another day is asked again"
    given = strain(authored=today())
    page.evaluate(f"response => {ELEMENT}.displayQuestionnaireResponse(response)", given)
    assert form_in(frame).kind == "check"
    shown = page.evaluate(f"() => {ELEMENT}.requestResponse()")
    assert answers_by_link(shown) == answers_by_link(given)
    assert shown["subject"] == given["subject"]
    context = {"subject": {"reference": "Patient/9"}, "encounter": {"reference": "Encounter/3"}}
    page.evaluate(f"context => {ELEMENT}.configureContext(context)", context)
    shown = page.evaluate(f"() => {ELEMENT}.requestResponse()")
    assert (shown["subject"], shown["encounter"]) == (context["subject"], context["encounter"])
    assert answers_by_link(shown) == answers_by_link(given)
    author = {"author": {"reference": "Practitioner/1"}}
    page.evaluate(f"context => {ELEMENT}.configureContext(context)", author)
    shown = page.evaluate(f"() => {ELEMENT}.requestResponse()")
    assert (shown["author"], shown.keys() & context.keys()) == (author["author"], set())


@pytest.mark.parametrize(
    "changed",
    [
        {"questionnaire": "https://guidance.example.org/fhir/Questionnaire/another|1.0.0"},
        {"status": "no-status"},
    ],
    ids=["of-another-form", "that-cannot-be-read"],
)
def test_a_response_that_is_refused_costs_the_person_no_answer(
    contexts: NewContext, sites: Sites, changed: Json
) -> None:
    context, _ = contexts(expects=["the server responded with a status of 422"])
    page = context.new_page()
    frame = embedded(page, f"{sites.app}/{SMALL}.html")
    given = strain()
    page.evaluate(f"response => {ELEMENT}.displayQuestionnaireResponse(response)", given)
    refused = page.evaluate(
        f"response => {ELEMENT}.displayQuestionnaireResponse(response).catch(error => error.outcome)",
        strain(**changed),
    )
    assert refused["resourceType"] == "OperationOutcome"
    assert frame.locator("[role=alert]").count() == 0  # it was not the person's mistake
    shown = page.evaluate(f"() => {ELEMENT}.requestResponse()")
    assert answers_by_link(shown) == answers_by_link(given)


def test_what_is_asked_before_the_form_is_ready_is_asked_then(page: Page, sites: Sites) -> None:
    page.add_init_script(
        f"""addEventListener('DOMContentLoaded', () => {{
          if (window === top) window.early = {ELEMENT}.requestResponse();
        }});"""
    )
    embedded(page, f"{sites.app}/{SMALL}.html")
    assert page.evaluate("() => early.then(response => response.status)") == "in-progress"


def test_who_waits_for_a_form_that_goes_away_is_told(page: Page, sites: Sites) -> None:
    embedded(page, f"{sites.app}/{SMALL}.html")
    gone = page.evaluate(
        f"""async src => {{
          const form = {ELEMENT}, told = [form.requestResponse().catch(error => error.message)];
          form.setAttribute('src', src);
          told.push(form.requestResponse().catch(error => error.message));
          form.remove();
          return Promise.all(told);
        }}""",
        f"{sites.service}/questionnaires/{LARGE}",
    )
    assert gone == ["The element shows another form.", "The element was removed."]


def test_who_waits_for_a_form_that_is_loaded_anew_is_told(page: Page, sites: Sites) -> None:
    """What was asked of the page before reached nobody who could still answer it."""
    frame = embedded(page, f"{sites.app}/{SMALL}.html")
    posts = "**/questionnaires/*"
    page.route(posts, lambda route: route.request.method == "POST" or route.fallback())  # no answer to a POST
    with page.expect_request(lambda sent: sent.method == "POST"):
        page.evaluate(
            f"() => {{ {ELEMENT}.requestResponse().catch(({{message}}) => {{ window.said = message; }}); }}"
        )
    frame.evaluate("() => location.reload()")
    assert page.wait_for_function("() => window.said").json_value() == "The form was loaded anew."
    page.unroute(posts)
    assert page.evaluate(f"() => {ELEMENT}.requestResponse().then(({{status}}) => status)") == "in-progress"


def test_what_could_not_be_told_is_told_with_the_next_answer(contexts: NewContext, sites: Sites) -> None:
    context, _ = contexts(expects=["ERR_FAILED"])
    page = context.new_page()
    frame = embedded(page, f"{sites.app}/{LARGE}.html")
    form, failed = form_in(frame), []

    def lost(route: Route) -> None:
        is_export = "fhir+json" in route.request.headers["accept"]
        failed.extend([1] * is_export)
        route.abort() if is_export else route.continue_()

    page.route("**/questionnaires/*", lost)
    for link, value in ("completed-by", "patient"), ("age", "41"):
        control = frame.locator(f'[name="q.{link}"]')
        control.fill(value) if link == "age" else control.and_(frame.locator(f"[value={value}]")).check()
    with page.expect_event("requestfailed"):
        form.press("next")
    assert (len(failed), details(page, "questionnaire-response")) == (1, [])
    page.unroute_all()
    frame.locator('[name="q.emergency-signs"][value=none]').check()
    form.press("next")
    wait_for(page, "questionnaire-response")


def test_the_language_of_the_form_is_the_one_that_the_element_names(page: Page, sites: Sites) -> None:
    embedded(page, f"{sites.app}/{LARGE}.html")
    page.evaluate(
        f"""() => {{
          events.length = 0;
          {ELEMENT}.setAttribute('language', 'de');
          {ELEMENT}.requestResponse().then(response => {{ window.early = response; }});
        }}"""
    )
    wait_for(page, "ready")
    page.wait_for_function("() => window.early?.language === 'de'")
    assert framed(page).locator("html").get_attribute("lang") == "de"


def test_the_frame_is_as_high_as_its_page_and_not_higher(page: Page, sites: Sites) -> None:
    frame = embedded(page, f"{sites.app}/{LARGE}.html")
    heights = []
    for width in (300, 900, 300):
        page.set_viewport_size({"width": width, "height": 700})
        frame.wait_for_function(AS_HIGH, arg=[width - 100, width])
        heights.append(frame.evaluate("() => innerHeight"))
    assert heights[0] > heights[1] < heights[2]


def test_after_a_long_page_the_heading_of_the_next_one_is_in_sight(
    page: Page, sites: Sites, answers: Callable[[str], AnswersByLink]
) -> None:
    frame = embedded(page, f"{sites.app}/{LARGE}.html")
    form, given = form_in(frame), answers(PATIENT)
    while form.name != "strength":
        form.answer(given)
        form.press("next")
    form.answer(given)
    assert page.evaluate("() => scrollY") > 500
    form.press("next")
    top = frame.locator("h1").evaluate("each => each.getBoundingClientRect().top")
    page.wait_for_function(
        f"""top => {{
          const inSight = {ELEMENT}.getBoundingClientRect().top + top;
          return inSight > 0 && inSight < innerHeight / 2;
        }}""",
        arg=top,
    )


def test_the_frame_asks_for_no_permission_and_sends_no_referrer(page: Page, sites: Sites) -> None:
    frame = embedded(page, f"{sites.app}/{SMALL}.html")
    element = page.locator("guidance-questionnaire iframe")
    assert element.get_attribute("allow") == ""
    assert element.get_attribute("referrerpolicy") == "no-referrer"
    assert element.get_attribute("title") == frame.title()
    assert frame.evaluate("() => document.referrer") == ""
    handle = element.get_attribute("name")
    assert handle
    assert handle not in frame.url


def test_the_example_page_of_the_docs_receives_answers_and_result(
    contexts: NewContext, sites: Sites, answers: Callable[[str], AnswersByLink]
) -> None:
    context, _ = contexts(expects=["status of 404"])  # it has no icon
    page = context.new_page()
    page.goto(f"{sites.example}/embed.html")
    page.locator("guidance-questionnaire iframe").wait_for()
    form = form_in(framed(page))
    form.answer(answers(EMERGENCY))
    form.press("next")
    page.locator("#summary", has_text="not complete yet").wait_for()
    # By keyboard: a button below the frame moves when the frame takes on the height of its next page.
    page.get_by_role("button", name="Save what was answered so far").press("Enter")
    page.wait_for_function("() => typeof saved === 'object'")
    form.press("back")
    page.get_by_role("button", name="Go on with what was saved").press("Enter")
    framed(page).locator("main[data-page=urgent]").wait_for()
    assert form.finish(answers(EMERGENCY)) == "emergency"
    page.locator("#summary", has_text="their result").wait_for()
    page.get_by_text("Result, as a RiskAssessment").click()
    page.locator("#result", has_text='"RiskAssessment"').wait_for()


# ---- A host that has no element of ours --------------------------------------------------------------------


def test_any_host_of_sdc_smart_web_messaging_can_use_the_form(page: Page, sites: Sites) -> None:
    page.goto(f"{sites.app}/bare.html")
    hello = heard(page, "status.handshake")
    assert hello["data"]["messagingHandle"] == "handle-1"
    form = framed(page)
    named = {"protocolVersion": "1.0", "fhirVersion": "R4", "application": {"name": form.title()}}
    assert hello["data"]["payload"] == named
    assert hello["origin"] == sites.service

    def ask(message_type: str, payload: Json | None) -> Json:
        answer = page.evaluate(ASK, [message_type, payload, "handle-1"])
        assert isinstance(answer, dict)
        return answer

    capabilities = {"extraction": True, "focusChangeNotifications": True}
    assert ask("status.handshake", {}) == named | {"capabilities": capabilities}
    assert ask("sdc.configure", {"terminologyServer": "https://tx.example.org"}) == {"status": "success"}
    given = strain(authored=today())
    canonical, _, version = given["questionnaire"].partition("|")
    author = {"reference": "Practitioner/1"}
    assert ask("sdc.configureContext", {"context": {"author": author}}) == {"status": "success"}
    before = form.locator("main").get_attribute("data-page")
    form.locator("main").evaluate("main => main.setAttribute('data-left', '')")
    for questionnaire in (canonical, given["questionnaire"], {"url": canonical, "version": version}):
        assert ask("sdc.displayQuestionnaire", {"questionnaire": questionnaire}) == {"status": "success"}
    for questionnaire in (f"{canonical}|0", {"url": canonical, "version": "0"}, "https://example.org/other"):
        refused = ask("sdc.displayQuestionnaire", {"questionnaire": questionnaire})
        assert refused["outcome"]["issue"][0]["diagnostics"] == f"This form is {canonical}|{version}."
    assert ask("sdc.displayQuestionnaire", None) == {"status": "success"}
    assert form.locator("main[data-left]").get_attribute("data-page") == before, "it was shown already"
    shown = ask("sdc.requestCurrentQuestionnaireResponse", {})["questionnaireResponse"]
    assert shown["author"] == author
    encounter = {"reference": "Encounter/3"}
    assert ask("sdc.displayQuestionnaire", {"context": {"encounter": encounter}}) == {"status": "success"}
    shown = ask("sdc.requestCurrentQuestionnaireResponse", {})["questionnaireResponse"]
    assert shown["encounter"] == encounter
    assert ask("sdc.configureContext", None) == {"status": "success"}
    shown = ask("sdc.requestCurrentQuestionnaireResponse", {})["questionnaireResponse"]
    assert shown.keys() & {"author", "encounter"} == set()
    other = strain(questionnaire=f"{canonical}|0")
    refused = ask("sdc.displayQuestionnaire", {"questionnaireResponse": other})
    assert refused["outcome"]["issue"][0]["code"] == "not-supported"
    payload = {"questionnaire": canonical, "questionnaireResponse": given, "context": {"author": author}}
    assert ask("sdc.displayQuestionnaire", payload) == {"status": "success"}
    shown = ask("sdc.requestCurrentQuestionnaireResponse", {})["questionnaireResponse"]
    assert answers_by_link(shown) == answers_by_link(given)
    assert (shown["subject"], shown["author"]) == (given["subject"], author)
    extracted = ask("sdc.requestExtract", {})
    assert extracted["extractedResources"][0]["resourceType"] == "RiskAssessment"
    assert extracted["outcome"]["issue"][0]["severity"] == "information"
    for unknown in ("scratchpad.create", "toString"):
        assert ask(unknown, {})["outcome"]["issue"][0]["code"] == "not-supported"
    ids = [each["data"]["messageId"] for each in page.evaluate("() => heard")]
    assert len({*ids}) == len(ids) > 10


def test_a_host_is_told_once_which_question_somebody_has_come_to(page: Page, sites: Sites) -> None:
    page.goto(f"{sites.app}/bare.html")
    heard(page, "status.handshake")
    form = framed(page)
    assert page.evaluate(
        ASK, ["sdc.displayQuestionnaireResponse", {"questionnaireResponse": strain()}, "handle-1"]
    )
    form.locator("main").evaluate(
        """main => { for (const name of ['state', 'd.day-of-it', 'state'])
          main.append(Object.assign(document.createElement('input'), {name})); }"""
    )
    radios, others = form.locator("main input[type=radio]"), form.locator("main > input")
    question = (radios.first.get_attribute("name") or "").removeprefix("q.")
    for control in (others.first, radios.first, form.locator("main .btn").first, radios.nth(1)):
        control.focus()
    for control in (others.nth(1), others.last):
        control.focus()
    page.evaluate(ASK, ["status.handshake", {}, "handle-1"])  # what was told before has come by now
    told = [each["data"] for each in page.evaluate("() => heard")]
    focused = [each["payload"] for each in told if each.get("messageType") == "sdc.ui.changedFocus"]
    assert focused == [{"linkId": question}, {"linkId": "day-of-it"}]


def test_what_changes_while_a_change_is_being_told_is_told_once_and_after_it(
    page: Page, sites: Sites, answers: Callable[[str], AnswersByLink]
) -> None:
    frame = embedded(page, f"{sites.app}/{LARGE}.html")
    form, given = form_in(frame), answers(PATIENT)
    exports: list[Route] = []

    def first_late(route: Route) -> None:
        is_export = "fhir+json" in route.request.headers["accept"]
        exports.extend([route] * is_export)
        if not is_export or len(exports) > 1:
            route.continue_()

    page.evaluate(f"() => {ELEMENT}.requestResponse()")  # what the first page had to tell is told
    page.route("**/questionnaires/*", first_late)
    for _ in range(3):
        form.answer(given)
        form.press("next")
    assert (len(exports), details(page, "questionnaire-response")) == (1, [])
    exports[0].continue_()
    page.wait_for_function("() => events.filter(({name}) => name === 'questionnaire-response').length > 1")
    first, second = (answers_by_link(each) for each in details(page, "questionnaire-response"))
    assert first.items() < second.items()
    assert len(exports) == 2
    form.button("restart").evaluate("each => each.click()")
    page.wait_for_function(
        "() => !events.findLast(({name}) => name === 'questionnaire-response').detail.item"
    )


def test_a_frame_without_a_name_has_its_handle_from_its_address(page: Page, sites: Sites) -> None:
    page.goto(f"{sites.app}/bare.html")
    page.evaluate(
        """src => {
          heard.length = 0;
          const nameless = Object.assign(document.createElement('iframe'), {src});
          document.querySelector('iframe').replaceWith(nameless);
        }""",
        f"{sites.service}/questionnaires/{SMALL}?parent={sites.app}&messaging_handle=handle-2",
    )
    page.wait_for_function("() => heard.some(({data}) => data.messagingHandle === 'handle-2')")


def test_a_message_without_the_handle_of_the_frame_or_that_is_an_answer_is_not_answered(
    page: Page, sites: Sites
) -> None:
    page.goto(f"{sites.app}/bare.html")
    heard(page, "status.handshake")
    page.evaluate(f"() => {{ ({ASK})(['status.handshake', {{}}, 'another']); }}")
    for other in (None, {"messagingHandle": "handle-1", "messageId": "1", "responseToMessageId": "2"}):
        page.evaluate("data => document.querySelector('iframe').contentWindow.postMessage(data, '*')", other)
    page.evaluate(ASK, ["status.handshake", {}, "handle-1"])  # what was sent before would be answered by now
    answered = [
        each["data"] for each in page.evaluate("() => heard") if "responseToMessageId" in each["data"]
    ]
    assert len(answered) == 1


def heard(page: Page, message_type: str) -> Json:
    """Waits for a message of this type at the window, and returns it with its origin."""
    page.wait_for_function("type => heard.some(({data}) => data.messageType === type)", arg=message_type)
    found = page.evaluate("type => heard.filter(({data}) => data.messageType === type).at(-1)", message_type)
    assert isinstance(found, dict)
    return found


# ---- Everybody else ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("parent", ["its own", "that of the app"])
def test_a_page_that_is_not_on_the_list_gets_no_form_and_no_message(
    contexts: NewContext, sites: Sites, parent: str
) -> None:
    context, watch = contexts(expects=["frame-ancestors", "status of 403"])
    page = context.new_page()
    named = sites.stranger if parent == "its own" else sites.app
    sites.strange["/bare.html"] = BARE.format(service=sites.service, form=SMALL, parent=named)
    page.goto(f"{sites.stranger}/bare.html")
    assert any("frame-ancestors" in report for report in watch.reports)
    (frame,) = page.main_frame.child_frames
    assert frame.locator("main").count() == 0
    # A message that was sent would have come before this answer of a form that may be shown.
    page.goto(f"{sites.app}/bare.html")
    heard(page, "status.handshake")
    page.go_back()
    assert page.evaluate("() => heard") == []


def test_a_page_that_is_not_on_the_list_gets_no_form_by_a_page_that_is(
    contexts: NewContext, sites: Sites
) -> None:
    """Whoever frames a hospital's page could cover the form in it with something else to click on."""
    context, watch = contexts(expects=["frame-ancestors"])
    page = context.new_page()
    outer = f'<!doctype html><link rel="icon" href="data:,"><iframe src="{sites.app}/bare.html"></iframe>'
    sites.strange["/outer.html"] = outer
    page.goto(f"{sites.stranger}/outer.html")
    assert any("frame-ancestors" in report for report in watch.reports)
    (middle,) = page.main_frame.child_frames
    (frame,) = middle.child_frames
    assert frame.locator("main").count() == 0
    assert middle.evaluate("() => heard") == []


def test_the_service_refuses_the_form_to_a_parent_that_is_not_on_the_list(page: Page, sites: Sites) -> None:
    for parent in (sites.stranger, sites.app + "/", sites.app.upper(), "null", "*", "https://example.org"):
        answer = page.request.get(f"{sites.service}/questionnaires/{SMALL}", params={"parent": parent})
        assert (answer.status, "frame.js" in answer.text()) == (403, False)
        assert sites.stranger not in answer.headers["content-security-policy"]
    answer = page.request.get(f"{sites.service}/questionnaires/{SMALL}", params={"parent": sites.app})
    assert (answer.status, "frame." in answer.text()) == (200, True)


def test_a_form_for_a_frame_that_is_opened_by_itself_speaks_with_nobody(page: Page, sites: Sites) -> None:
    """Whatever it would say to itself, the browser would complain of."""
    page.goto(f"{sites.service}/questionnaires/{SMALL}?parent={sites.app}")
    answers = as_of_today(cases_of(SMALL)["total-fifteen"]) | {"?": ("self",)}
    assert Form(page, "").finish(answers) == "result"
    assert page.get_by_role("button", name="Close the form").count() == 0


def test_a_third_window_is_neither_heard_nor_told(page: Page, sites: Sites) -> None:
    embedded(page, f"{sites.app}/{SMALL}.html")
    page.evaluate(
        """() => new Promise(resolve => {
          const third = document.createElement('iframe');
          document.body.append(Object.assign(third, {src: '/third.html', onload: resolve}));
        })"""
    )
    (third,) = [frame for frame in page.frames if frame.url.endswith("/third.html")]
    handle = page.locator("guidance-questionnaire iframe").get_attribute("name")
    third.evaluate("handle => meddle(handle)", handle)
    page.evaluate(f"() => {ELEMENT}.requestResponse()")  # what was sent before would be answered by now
    assert details(page, "result") == []
    assert third.evaluate("() => heard") == []
    assert "status.handshake" not in [
        each["data"].get("responseToMessageId") for each in page.evaluate("() => heard")
    ]


def test_another_window_of_the_service_is_not_heard(page: Page, sites: Sites) -> None:
    embedded(page, f"{sites.app}/{SMALL}.html")
    handle = page.locator("guidance-questionnaire iframe").get_attribute("name")
    own = framed(page)
    page.evaluate(
        """src => new Promise(resolve => {
          const other = document.createElement('iframe');
          document.body.append(Object.assign(other, {src, onload: resolve}));
        })""",
        f"{sites.service}/questionnaires/{LARGE}",
    )
    (other,) = [frame for frame in page.frames if frame.url.endswith(f"/questionnaires/{LARGE}")]
    for window, stated in (other, handle), (own, "another"):
        page.evaluate("() => { heard.length = 0; }")
        window.evaluate(
            """messagingHandle => parent.postMessage({messagingHandle, messageId: '1',
              messageType: 'guidance.ui.result', payload: {riskAssessment: {}}}, '*')""",
            stated,
        )
        heard(page, "guidance.ui.result")
        assert details(page, "result") == []


def test_another_site_in_the_place_of_the_form_is_neither_heard_nor_told(
    contexts: NewContext, sites: Sites
) -> None:
    context, _ = contexts(expects=["target origin provided"])
    page = context.new_page()
    frame = embedded(page, f"{sites.example}/{SMALL}.html")
    before = page.evaluate("() => events.length")
    frame.evaluate("url => { location = url; }", f"{sites.stranger}/impostor.html")
    assert heard(page, "guidance.ui.result")["origin"] == sites.stranger
    assert page.evaluate("() => events.length") == before
    page.evaluate(
        f"""response => {{ {ELEMENT}.displayQuestionnaireResponse(response);
          {ELEMENT}.shadowRoot.firstElementChild.contentWindow.postMessage('end', '*'); }}""",
        strain(),
    )
    frame.wait_for_function("() => heard.includes('end')")
    assert frame.evaluate("() => heard") == ["end"]


def test_a_form_that_was_given_out_for_one_page_is_silent_in_another(
    contexts: NewContext, sites: Sites
) -> None:
    context, _ = contexts(expects=["target origin provided"])
    page = context.new_page()
    page.goto(f"{sites.example}/bare.html")
    frame = framed(page)
    frame.evaluate("() => { addEventListener('message', ({source}) => source.postMessage('end', '*')); }")
    posts: list[str] = []
    context.on("request", lambda sent: posts.append(sent.url) if sent.method == "POST" else None)
    page.evaluate(f"() => {{ ({ASK})(['sdc.requestCurrentQuestionnaireResponse', {{}}, 'handle-1']); }}")
    page.wait_for_function("() => heard.some(({data}) => data === 'end')")
    assert [each["data"] for each in page.evaluate("() => heard")] == ["end"]
    assert posts == []


def test_the_script_may_be_loaded_by_every_site_and_is_kept_for_an_hour(page: Page, sites: Sites) -> None:
    answer = page.request.get(f"{sites.service}/embed.js")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert answer.headers["content-type"].startswith("text/javascript")
    same = page.request.get(f"{sites.service}/embed.js", headers={"If-None-Match": answer.headers["etag"]})
    assert same.status == 304
