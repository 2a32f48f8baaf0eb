"""The element that embeds a form, beside a page that speaks the messages of a form and is none."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from host_pages import site
from playwright.sync_api import Browser, Frame, Page
from watched_pages import watched_contexts

from service.pages.static_files import FOLDER

HOST = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>An app</title><link rel="icon" href="data:,">
<base href="/deep/">
<script src="/embed.js"></script><script src="/host.js"></script><body></body></html>"""
NOTES = """window.events = [];
for (const name of ['ready', 'questionnaire-response', 'result', 'changed-focus', 'done']) {
  addEventListener(name, event => events.push({name, detail: event.detail}), true);
}
window.add = attributes => {
  const form = document.createElement('guidance-questionnaire');
  for (const [name, value] of Object.entries(attributes)) form.setAttribute(name, value);
  document.body.append(form);
};"""
FORM = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>A form</title><link rel="icon" href="data:,">
<script src="/form.js"></script></html>"""
SPEAKS = """window.heard = []; addEventListener('message', ({data}) => heard.push(data));
window.say = (messageType, payload) =>
  parent.postMessage({messagingHandle: name, messageId: messageType, messageType, payload}, '*');
window.answer = payload =>
  parent.postMessage({responseToMessageId: heard.at(-1).messageId, payload}, '*');"""
ELEMENT = "document.querySelector('guidance-questionnaire')"
FRAME = f"{ELEMENT}.shadowRoot.firstElementChild"

Json = dict[str, Any]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    files = {"/form.html": FORM, "/form.js": SPEAKS, "/host.html": HOST, "/host.js": NOTES}
    files |= {"/embed.js": (FOLDER / "embed.js").read_text(), "/deep/form.html": FORM}
    with site(files) as app, watched_contexts(browser, [app]) as make:
        context, _ = make()
        opened = context.new_page()
        opened.goto(f"{app}/host.html")
        yield opened


@pytest.fixture
def shown(page: Page) -> Callable[..., Frame]:
    """Adds an element with these attributes, and gives the page in its frame."""

    def added(**attributes: str) -> Frame:
        page.evaluate("attributes => add(attributes)", {"src": "form.html"} | attributes)
        return spoken_with(page)

    return added


def spoken_with(page: Page) -> Frame:
    frame = page.locator("guidance-questionnaire iframe").element_handle().content_frame()
    assert frame is not None
    frame.wait_for_function("() => window.say")
    return frame


def events(page: Page) -> list[Json]:
    found: list[Json] = page.evaluate("() => events")
    return found


def said(form: Frame, message_type: str, payload: Json) -> Json:
    """Says something as the form, and returns what the element answers."""
    before = form.evaluate("() => heard.length")
    form.evaluate("([type, payload]) => say(type, payload)", [message_type, payload])
    form.wait_for_function("before => heard.length > before", arg=before)
    (answer,) = form.evaluate("before => heard.slice(before)", before)
    assert answer["responseToMessageId"] == message_type
    payload = answer["payload"]
    assert isinstance(payload, dict)
    return payload


def handshake(form: Frame, name: str = "Check") -> Json:
    return said(form, "status.handshake", {"application": {"name": name}})


def test_a_form_is_told_with_whom_it_speaks_and_that_it_was_heard(
    page: Page, shown: Callable[..., Frame]
) -> None:
    form = shown()
    name = {"name": "guidance-questionnaire"}
    assert handshake(form) == {"protocolVersion": "1.0", "fhirVersion": "R4", "application": name}
    assert said(form, "sdc.ui.changedFocus", {"linkId": "a"}) == {"status": "success"}
    assert said(form, "guidance.ui.changedSize", {"height": 321}) == {"status": "success"}
    assert page.evaluate(f"() => {FRAME}.getBoundingClientRect().height") == 321
    unknown = {"status": "error", "statusDetail": {"text": "scratchpad.create is not known here."}}
    assert said(form, "scratchpad.create", {}) == unknown
    assert said(form, "ui.done", {}) == {"status": "success"}
    focus = {"name": "changed-focus", "detail": {"linkId": "a"}}
    assert events(page) == [{"name": "ready", "detail": None}, focus, {"name": "done", "detail": None}]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"status": "error"}, "The form refused this."),
        ({"outcome": {"issue": [{"severity": "error", "diagnostics": "It is away."}]}}, "It is away."),
        ({"status": "error", "outcome": {"issue": [{"diagnostics": "It is away."}]}}, "It is away."),
        ({"outcome": {"issue": [{"severity": "warning"}]}, "extractedResources": []}, "taken"),
    ],
)
def test_a_refusal_is_one_whichever_of_both_ways_says_so(
    page: Page, shown: Callable[..., Frame], payload: Json, expected: str
) -> None:
    form = shown()
    handshake(form)
    page.evaluate(
        f"() => {{ {ELEMENT}.requestResources().then(() => 'taken', ({{message}}) => message)"
        ".then(said => { window.said = said; }); }"
    )
    form.wait_for_function("() => heard.at(-1).messageType === 'sdc.requestExtract'")
    form.evaluate("payload => answer(payload)", payload)
    assert page.wait_for_function("() => window.said").json_value() == expected


def test_what_was_not_asked_for_is_passed_over(page: Page, shown: Callable[..., Frame]) -> None:
    form = shown()
    handshake(form)
    form.evaluate(
        "() => { for (const data of [null, 'a', {responseToMessageId: '?'}]) parent.postMessage(data, '*'); }"
    )
    page.evaluate("() => postMessage('end', '*')")
    said(form, "ui.done", {})
    assert [each["name"] for each in events(page)] == ["ready", "done"]


def test_what_waited_for_the_form_is_asked_once(page: Page, shown: Callable[..., Frame]) -> None:
    form = shown()
    page.evaluate(f"() => {{ {ELEMENT}.requestResponse().catch(() => {{}}); }}")
    form.evaluate("() => say('status.handshake', {})")
    form.wait_for_function("() => heard.length === 2")
    form.evaluate("() => say('status.handshake', {})")
    form.wait_for_function("() => heard.length > 2")
    assert [each.get("messageType") for each in form.evaluate("() => heard")] == [
        None,
        "sdc.requestCurrentQuestionnaireResponse",
        None,
    ]


def test_what_waited_for_another_form_is_not_asked_of_this_one(
    page: Page, shown: Callable[..., Frame]
) -> None:
    shown()
    page.evaluate(
        f"""() => {{
          {ELEMENT}.requestResponse().catch(() => {{}});
          {ELEMENT}.setAttribute('src', 'form.html?other');
        }}"""
    )
    form = spoken_with(page)
    assert "?other" in form.url
    handshake(form)
    said(form, "ui.done", {})
    assert all("responseToMessageId" in each for each in form.evaluate("() => heard"))


def test_the_frame_has_the_name_that_the_page_gives_it_or_the_form(
    page: Page, shown: Callable[..., Frame]
) -> None:
    form = shown(title="Before your visit")
    title = f"() => {FRAME}.title"
    assert page.evaluate(title) == "Before your visit"
    handshake(form)
    assert page.evaluate(title) == "Before your visit"
    page.evaluate(f"() => {ELEMENT}.remove()")
    form = shown()
    assert page.evaluate(title) == "Questionnaire"
    said(form, "status.handshake", {})
    assert page.evaluate(title) == "Questionnaire"
    handshake(form)
    assert page.evaluate(title) == "Check"


def test_the_address_is_read_from_the_base_of_the_page_and_a_same_one_loads_nothing(
    page: Page, shown: Callable[..., Frame]
) -> None:
    form = shown(src="form.html")
    assert "/deep/form.html?parent=" in form.url
    handshake(form)
    page.evaluate(f"() => {ELEMENT}.setAttribute('src', 'form.html')")
    said(form, "ui.done", {})
    assert [each["name"] for each in events(page)] == ["ready", "done"]


def test_an_element_that_is_not_in_a_page_or_names_no_form_shows_none(page: Page) -> None:
    assert page.evaluate(
        """() => {
          const apart = document.createElement('guidance-questionnaire');
          apart.setAttribute('src', 'form.html');
          add({});
          postMessage({messagingHandle: '', messageType: 'ui.done'}, '*');
          return [apart.shadowRoot, document.querySelector('guidance-questionnaire').shadowRoot];
        }"""
    ) == [None, None]
    page.evaluate("() => new Promise(resolve => setTimeout(resolve))")
    assert events(page) == []


@pytest.mark.parametrize(("style", "display"), [("", "block"), ("display:flex", "flex")])
def test_the_element_takes_the_width_that_there_is_unless_the_page_says_otherwise(
    page: Page, shown: Callable[..., Frame], style: str, display: str
) -> None:
    shown(**({"style": style} if style else {}))
    assert page.evaluate(f"() => {ELEMENT}.style.display") == display
    frame = page.evaluate(
        f"""() => {{
          const {{ borderWidth, display, height }} = getComputedStyle({FRAME});
          return [borderWidth, display, height];
        }}"""
    )
    assert frame == ["0px", "block", "320px"]
