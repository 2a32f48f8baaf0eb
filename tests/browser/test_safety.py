"""At a sign of danger the form stops: what to do and a number to press, and nothing that invites to go on."""

from contextlib import suppress

import pytest
from form_by_clicking import Form
from playwright.sync_api import Error
from worked_cases import as_of_today, cases_of

SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["with-script", "without-script"])


@pytest.fixture
def stopped(new_context, origin):
    """Ticks a sign that is an emergency and goes on."""

    def form(script, language="en"):
        context, _ = new_context(script=script)
        form = Form(context.new_page(), f"{origin}/questionnaires/muscle-twitching").open(
            f"?language={language}"
        )
        form.finish(as_of_today(cases_of("muscle-twitching")["new-confusion-is-an-emergency"]))
        return form

    return form


@SCRIPT
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_number_to_call_is_one_press_away(stopped, script, language):
    form = stopped(script, language)
    assert (form.kind, form.main.get_attribute("data-status")) == ("emergency", "in-progress")
    call = form.main.locator("a.call[href='tel:112']")
    box = call.bounding_box()
    assert box["height"] >= 44
    assert box["y"] + box["height"] <= form.page.viewport_size["height"], "in sight without scrolling"


@SCRIPT
def test_nothing_leads_on(stopped, script):
    """What is left: to call, to take along what was answered, to print, to start anew."""
    form = stopped(script)
    actions = form.page.locator("button[name=action]").evaluate_all("all => all.map(each => each.value)")
    assert set(actions) <= {"restart", "response.json", "risk.json"}
    links = form.page.locator("a[href]").evaluate_all("all => all.map(each => each.getAttribute('href'))")
    assert {link for link in links if not link.startswith("tel:")} == {"#main"}
    assert form.page.locator("main [name^='q.']").count() == 0


@SCRIPT
def test_going_back_does_not_lead_on_either(stopped, script):
    """The browser's own button shows the question again at most; answered the same way, it stops again."""
    form = stopped(script)
    with suppress(Error):  # without script the browser says that the page is not kept
        form.page.go_back()
    if form.main.count() and form.kind == "question":
        form.finish(as_of_today(cases_of("muscle-twitching")["new-confusion-is-an-emergency"]))
    assert form.main.count() == 0 or form.kind == "emergency"
