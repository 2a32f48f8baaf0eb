"""A poor line, a lost one, changed state, a shared tablet: nothing is lost, and nothing shown to others."""

from contextlib import suppress

import pytest
from form_by_clicking import Form
from playwright.sync_api import Error
from worked_cases import as_of_today, cases_of

SLUG = "workday-strain"
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["with-script", "without-script"])
LOST = "net::ERR_INTERNET_DISCONNECTED"


@pytest.fixture(scope="session")
def answers():
    """Fifteen points of the second questionnaire; `?` asks for whom, since the form does not."""
    return as_of_today(cases_of(SLUG)["total-fifteen"]) | {"?": ("self",)}


@pytest.fixture
def opened(new_context, origin):
    """Opens the form in a browser of its own."""

    def form(script=True, expects=()):
        context, _ = new_context(script=script, expects=expects)
        return Form(context.new_page(), f"{origin}/questionnaires/{SLUG}").open()

    return form


def to_the_check_page(form, answers):
    for _ in form.walk(answers):
        pass
    assert form.kind == "check"
    return form


def test_answers_that_cannot_be_sent_wait_for_the_line_to_come_back(opened, answers):
    form = to_the_check_page(opened(expects=[LOST]), answers)
    form.page.context.set_offline(True)
    form.button("send").click()
    form.page.get_by_role("alert").wait_for()
    assert form.kind == "check"
    form.page.context.set_offline(False)
    form.press("send")
    assert form.kind == "result"


def test_without_script_the_browser_sends_the_answers_again(opened, answers):
    """It shows a page of its own; reloading that one sends what could not be sent."""
    form = to_the_check_page(opened(script=False, expects=[LOST]), answers)
    form.page.context.set_offline(True)
    form.button("send").click()
    form.page.wait_for_url("chrome-error://**")
    form.page.context.set_offline(False)
    form.page.reload()
    form.main.wait_for()
    assert form.kind == "result"


@SCRIPT
def test_on_a_slow_line_impatience_sends_a_page_once(opened, answers, script):
    form = opened(script)
    session = form.page.context.new_cdp_session(form.page)
    line = {"offline": False, "latency": 400, "downloadThroughput": 20_000, "uploadThroughput": 20_000}
    session.send("Network.emulateNetworkConditions", line)
    first = form.name
    form.answer(answers)
    with form.leaving():
        form.button("next").dblclick()
    assert form.name != first
    form.press("back")
    assert form.name == first


@SCRIPT
@pytest.mark.parametrize(
    "change",
    [
        lambda state: state[:-3] + ("B" if state[-3] == "A" else "A") + state[-2:],
        lambda state: "x" + state,
        lambda state: "",
    ],
)
def test_state_that_was_changed_is_not_read(opened, answers, script, change):
    form = to_the_check_page(opened(script, expects=["status of 4"]), answers)
    hidden = form.main.locator("input[name=state]")
    hidden.evaluate("(each, state) => { each.value = state }", change(hidden.input_value()))
    form.press("send")
    assert form.kind == "message"
    assert form.main.locator("button[value=send], [name^='q.']").count() == 0


def test_state_of_another_form_is_not_read(opened, new_context, origin, answers):
    other, _ = new_context()
    strange = (
        Form(other.new_page(), f"{origin}/questionnaires/gad-7").open().main.locator("input[name=state]")
    )
    form = to_the_check_page(opened(expects=["status of 4"]), answers)
    state = strange.input_value()
    form.main.locator("input[name=state]").evaluate("(each, state) => { each.value = state }", state)
    form.press("send")
    assert form.kind == "message"


@SCRIPT
def test_starting_again_on_a_shared_tablet_shows_nobody_the_answers(opened, answers, script):
    form = opened(script)
    first = form.name
    form.answer(answers)
    form.press("next")
    form.answer(answers)
    former = form.main.locator("input[name=state]").input_value()
    form.page.locator("details:has(button[value=restart]) > summary").first.click()
    form.press("restart")
    assert form.name == first
    kept = form.page.evaluate("() => JSON.stringify(globalThis.sessionStorage)")
    assert former not in kept
    assert "most-days" not in kept
    for leave in (form.page.reload, form.page.go_back, form.page.go_back):
        with suppress(Error):  # the browser says that the page is not kept
            leave()
        assert form.page.locator("main :checked").count() == 0


@SCRIPT
def test_no_answer_stands_in_an_address_and_none_may_be_kept(opened, answers, script):
    form = opened(script)
    addresses, kept = [], []
    form.page.on("request", lambda request: addresses.append(request.url))
    form.page.on("response", lambda response: kept.append((response.request.method, response.headers)))
    assert form.finish(answers) == "result"
    assert {each for each in addresses if "/static/" not in each} == {form.url}
    assert {headers["cache-control"] for method, headers in kept if method == "POST"} == {"no-store"}
    assert form.page.url == form.url
