"""What the script of the form adds to pages that work without it: at once, in place, and nothing is lost."""

import json

import pytest
from form_by_clicking import Form
from playwright.sync_api import expect
from worked_cases import as_of_today, cases_of

from service.pages.model import Choice, Field, Frame, QuestionPage
from service.pages.templates import render

SLUG = "muscle-twitching"
REFUSED = "status of 4(00|22)"  # a page with mistakes or a refusal: the browser says so on its console
NO_SERVER = "ERR_INTERNET_DISCONNECTED|ERR_FAILED|status of 5"
NONE = "none"
PLAIN = as_of_today(cases_of(SLUG)["plain-eyelid-three-days"])


@pytest.fixture
def tab(new_context):
    """A tab with script; mistakes and lost connections are part of these tests."""
    context, _ = new_context(expects=[REFUSED, NO_SERVER])
    return context.new_page()


@pytest.fixture
def form(tab, origin):
    return Form(tab, f"{origin}/questionnaires/{SLUG}").open()


@pytest.fixture
def made_up(tab, origin):
    """Shows a page that is made here, with the files of the service."""

    def shown(*fields):
        tab.goto(origin + "/questionnaires/" + SLUG)
        names = {"form.css": "link[rel=stylesheet]", "form.js": "script"}
        assets = {
            name: tab.locator(where).evaluate("each => each.getAttribute('href') || each.getAttribute('src')")
            for name, where in names.items()
        }
        frame = Frame("Made up", "en", "/made-up", "signed", assets=assets)
        html = render("question.html", "en", page=QuestionPage(frame, "one", "Questions", fields, 1, 1))
        tab.route("**/made-up", lambda route: route.fulfill(content_type="text/html", body=html))
        tab.goto(origin + "/made-up")
        return tab

    return shown


def tick(form, link_id, value):
    control(form, link_id, value).check()


def control(form, link_id, value):
    return form.page.locator(f'[name="q.{link_id}"][value="{value}"]')


def first_page(form):
    """Answers the first page and goes on."""
    tick(form, "completed-by", "patient")
    form.page.locator('[name="q.age"]').fill("41")
    form.press("next")


def kept(page):
    """Returns what the tab keeps."""
    return page.evaluate("Object.values(sessionStorage).join()")


def has_focus(locator):
    return locator.evaluate("each => each === document.activeElement")


def focused(page, selector):
    page.wait_for_function("chosen => document.activeElement.matches(chosen)", arg=selector)
    return True


# At once.


def test_an_answer_opens_and_closes_what_depends_on_it(form):
    age, patients = form.page.locator('[name="q.age"]'), form.page.locator('[name="q.patient-age"]')
    assert not age.is_visible()
    tick(form, "completed-by", "patient")
    assert (age.is_visible(), patients.is_visible()) == (True, False)
    tick(form, "completed-by", "professional")
    assert (age.is_visible(), patients.is_visible()) == (False, True)


def test_what_depends_on_a_closed_question_is_closed_with_it(form):
    first_page(form)
    note = form.page.get_by_text("call your local emergency number now, or ask")
    tick(form, "emergency-signs", "sudden-one-sided-loss")
    tick(form, "sudden-loss-when", "last-7-days")
    assert note.is_visible()
    control(form, "emergency-signs", "sudden-one-sided-loss").uncheck()
    assert not note.is_visible()


def test_a_note_that_answers_open_is_announced(form):
    first_page(form)
    live = form.page.locator("[aria-live=assertive]", has_text="call your local emergency number now, or ask")
    assert live.inner_text() == ""
    tick(form, "emergency-signs", "severe-breathlessness")
    assert "emergency number" in live.inner_text()


def test_a_warning_is_in_sight_at_once_with_the_number_to_call(form):
    first_page(form)
    tick(form, "emergency-signs", "severe-breathlessness")
    number = form.page.locator(".warn:visible a")
    assert number.get_attribute("href") == "tel:112"
    expect(number).to_be_in_viewport()


def test_an_option_that_stands_alone_takes_back_the_others_and_they_it(form):
    first_page(form)
    for value in ("severe-breathlessness", "new-confusion", NONE):
        tick(form, "emergency-signs", value)
    ticked = form.page.locator('[name="q.emergency-signs"]:checked')
    assert [each.get_attribute("value") for each in ticked.all()] == [NONE]
    tick(form, "emergency-signs", "new-confusion")
    assert [each.get_attribute("value") for each in ticked.all()] == ["new-confusion"]


def test_a_total_adds_up_what_is_answered_and_waits_for_what_it_needs(made_up):
    points = (Choice("never", "Never"), Choice("often", "Often"))
    choices, needed = '["a",{"never":0,"often":3}]', '["b",null]'
    page = made_up(
        Field("q1", "a", "radios", "How often?", choices=points),
        Field("q2", "b", "decimal", "How much?"),
        Field("q3", "c", "decimal", "All", is_read_only=True, total=f"[1,[[0,{choices},{needed},0.25]]]"),
        Field(
            "q4",
            "d",
            "integer",
            "Both",
            is_read_only=True,
            unit="points",
            total=f"[0,[[1,{choices}],[1,{needed}]]]",
        ),
        Field("q5", "e", "decimal", "Far", value="7", is_read_only=True, total="[0,[]]"),
    )
    shown = page.locator("output")
    assert shown.all_inner_texts() == ["0.3", "", "7"]
    page.get_by_label("Often").check()
    assert shown.all_inner_texts() == ["3.3", "", ""]
    page.locator('[name="q.b"]').fill("1,5")
    assert shown.all_inner_texts() == ["4.8", "5 points", ""]
    page.locator('[name="q.b"]').fill("much")
    assert shown.all_inner_texts() == ["", "", ""]


CONDITIONS = {
    "more": '[false,[["n",">","4.0"]]]',
    "as-much-or-more": '[false,[["n",">=","4"]]]',
    "less": '[false,[["n","<","4"]]]',
    "as-much-or-less": '[false,[["n","<=","4"]]]',
    "another": '[false,[["n","!=","4"]]]',
    "any": '[false,[["n","exists","true"]]]',
    "none": '[false,[["n","exists","false"]]]',
    "one-or-two": '[true,[["n","=","1"],["n","=","2"]]]',
    "one-and-two": '[false,[["n","=","1"],["n","=","2"]]]',
}


def test_conditions_hold_as_fhir_says(made_up):
    dependent = [Field(name, name, "string", name, when=when) for name, when in CONDITIONS.items()]
    page = made_up(Field("q1", "n", "decimal", "How many?"), *dependent)
    opened = {}
    for typed in ("7", "", "4,0", "10", "2"):
        page.locator('[name="q.n"]').fill(typed)
        opened[typed] = {name for name in CONDITIONS if page.locator(f'[name="q.{name}"]').is_visible()}
    assert opened == {
        "7": {"more", "as-much-or-more", "another", "any"},
        "": {"none"},
        "4,0": {"as-much-or-more", "as-much-or-less", "any"},
        "10": {"more", "as-much-or-more", "another", "any"},
        "2": {"less", "as-much-or-less", "another", "any", "one-or-two"},
    }


def test_a_date_in_three_boxes_is_compared_as_a_date(made_up):
    page = made_up(
        Field("q1", "day", "date", "When?"),
        Field("q2", "m", "string", "Why?", when='[false,[["day",">","2026-03-09"]]]', is_hidden=True),
    )
    for part, text in (("d", "10"), ("m", "3"), ("y", "2026")):
        page.locator(f'[name="{part}.day"]').fill(text)
    assert page.locator('[name="q.m"]').is_visible()
    page.locator('[name="d.day"]').fill("9")
    assert not page.locator('[name="q.m"]').is_visible()


def test_words_of_ones_own_take_back_the_choice_and_a_choice_the_words(made_up):
    page = made_up(Field("q1", "pet", "radios", "Which pet?", choices=(Choice("dog", "Dog"),), other=""))
    own = page.locator('[name="o.pet"]')
    page.get_by_label("Dog").check()
    own.fill("Budgie")
    assert not page.get_by_label("Dog").is_checked()
    page.get_by_label("Dog").check()
    assert own.input_value() == ""


def test_a_long_text_says_how_much_room_is_left(made_up):
    page = made_up(Field("q1", "n", "text", "Anything else?", max_length="20"))
    page.locator("textarea").fill("four")
    assert page.locator("#q1c").inner_text() == "Characters left: 16"


# In place.


def test_a_page_comes_in_place_with_its_title_and_the_focus_on_its_heading(form):
    form.page.evaluate("window.same = true")
    first_page(form)
    assert form.page.evaluate("window.same")
    assert focused(form.page, "h1")
    assert form.page.title().startswith(form.heading)


def test_mistakes_come_first_and_lead_to_their_fields(form):
    form.press("next")
    assert focused(form.page, ".errs")
    assert form.page.title().startswith("Error: ")
    form.page.locator(".errs a").first.click()
    assert has_focus(control(form, "completed-by", "patient"))
    assert "#" not in form.page.url


def test_enter_in_a_box_goes_on_and_not_back(form):
    first_page(form)
    form.press("back")
    form.page.locator('[name="q.age"]').press("Enter")
    form.page.locator("main[data-page=urgent]").wait_for()


def test_pressing_twice_sends_once(form):
    posts = []
    form.page.on("request", lambda request: posts.append(request) if request.method == "POST" else None)
    tick(form, "completed-by", "patient")
    form.page.locator('[name="q.age"]').fill("41")
    form.page.locator("button[value=next]:not([aria-hidden])").dblclick()
    form.page.locator("main[data-page=urgent]").wait_for()
    assert len(posts) == 1


# Nothing is lost.


def test_a_reload_keeps_the_page_and_what_was_typed_on_it(form):
    first_page(form)
    tick(form, "emergency-signs", NONE)
    form.page.reload()
    form.page.locator("main[data-page=urgent]").wait_for()
    ticked = form.page.locator("main :checked")
    assert [each.get_attribute("value") for each in ticked.all()] == [NONE]


def test_back_and_forward_of_the_browser_turn_the_pages(form):
    first_page(form)
    tick(form, "emergency-signs", NONE)
    form.page.go_back()
    form.page.locator("main[data-page=start]").wait_for()
    assert form.page.locator('[name="q.age"]').input_value() == "41"
    form.page.go_forward()
    form.page.locator("main[data-page=urgent]").wait_for()
    assert control(form, "emergency-signs", NONE).is_checked()


@pytest.mark.parametrize("fault", ["offline", "server"])
def test_where_a_page_cannot_be_sent_it_stays_and_says_so(form, fault):
    tick(form, "completed-by", "patient")
    form.page.locator('[name="q.age"]').fill("41")
    if fault == "offline":
        form.page.context.set_offline(True)
    else:
        form.page.route(
            "**/questionnaires/*",
            lambda route: route.fulfill(status=503, content_type="text/html", body="busy"),
        )
    form.button("next").click()
    assert focused(form.page, ".errs")
    assert "No connection" in form.page.locator("main [role=alert]").inner_text()
    assert form.page.locator('[name="q.age"]').input_value() == "41"
    form.page.context.set_offline(False)
    form.page.unroute_all()
    form.press("next")
    assert (form.name, form.page.locator(".errs").count()) == ("urgent", 0)


def test_a_reload_keeps_what_was_sent_and_not_taken(form):
    tick(form, "completed-by", "patient")
    form.page.locator('[name="q.age"]').fill("forty")
    form.press("next")
    assert form.problems
    form.page.reload()
    expect(form.page.locator('[name="q.age"]')).to_have_value("forty")


def test_what_cannot_be_read_stands_in_its_box_again_after_back(form):
    form.answer(PLAIN)
    while form.name != "place-time":
        form.press("next")
        form.answer(PLAIN)
    form.page.locator('[name="q.duration"]').fill("forty")
    for turn in ("back", "next"):
        form.press(turn)
    expect(form.page.locator('[name="q.duration"]')).to_have_value("forty")
    form.press("next")
    assert (form.name, len(form.problems)) == ("place-time", 1)


def test_a_link_in_another_language_goes_on_with_the_answers_of_the_tab(form):
    first_page(form)
    tick(form, "emergency-signs", NONE)
    for query, language in (("?language=de", "de"), ("", "de"), ("?language=en", "en")):
        form.open(query)
        form.page.locator("main[data-page=urgent]").wait_for()
        expect(form.page.locator("html")).to_have_attribute("lang", language)
        assert control(form, "emergency-signs", NONE).is_checked()


def test_a_reload_keeps_the_language_that_was_chosen_on_the_page(form):
    first_page(form)
    form.press("back")
    form.open("?language=en")
    form.page.locator("main[data-page=start]").wait_for()
    form.press("language:de")
    form.page.reload()
    expect(form.page.locator("html")).to_have_attribute("lang", "de")
    expect(control(form, "completed-by", "patient")).to_be_checked()


def test_two_tabs_know_nothing_of_each_other(form, origin):
    first_page(form)
    other = Form(form.page.context.new_page(), form.url).open()
    assert other.name == "start"
    assert not control(other, "completed-by", "patient").is_checked()


# Start again.


def test_starting_again_forgets(form):
    first_page(form)
    tick(form, "emergency-signs", NONE)
    form.page.locator("footer summary").click()
    form.press("restart")
    assert form.name == "start"
    assert not control(form, "completed-by", "patient").is_checked()
    form.page.reload()
    form.page.locator("main[data-page=start]").wait_for()
    assert form.page.locator('[name="q.age"]').input_value() == ""
    form.page.go_back()
    form.page.wait_for_function("() => document.readyState === 'complete'")
    assert form.page.locator("main :checked:not(option)").count() == 0


def test_of_a_file_that_is_gone_on_with_nothing_else_stands_in_the_boxes(form, tmp_path):
    first_page(form)
    response = form.page.evaluate("window.questionnaireForm.export()")["entry"][0]["resource"]
    tick(form, "emergency-signs", NONE)
    form.press("back")
    file = tmp_path / "saved.json"
    file.write_text(json.dumps(response))
    form.page.locator("summary", has_text="saved file").click()
    form.page.locator("#file").set_input_files(file)
    form.press("resume")
    assert (form.name, control(form, "emergency-signs", NONE).is_checked()) == ("urgent", False)


def test_starting_again_forgets_without_a_connection_too(form):
    first_page(form)
    tick(form, "emergency-signs", "new-confusion")
    form.page.locator("footer summary").click()
    form.page.route("**", lambda each: each.abort() if each.request.method == "POST" else each.continue_())
    form.button("restart").click()
    form.page.locator("main[data-page=start]").wait_for()
    assert form.page.locator('[name="q.age"]').input_value() == ""
    assert "new-confusion" not in kept(form.page)


def test_a_page_that_is_refused_on_the_way_to_a_file_is_forgotten_too(form):
    first_page(form)
    form.page.locator("input[name=state]").evaluate("each => { each.value = 'changed' }")
    form.button("save").click()
    form.page.locator("main[data-kind=message]").wait_for()
    assert kept(form.page) == ""
    form.page.locator("main a").click()
    form.page.locator("main[data-page=start]").wait_for()
    assert form.page.locator('[name="q.age"]').input_value() == ""


def test_an_emergency_leaves_nothing_in_the_tab(form):
    first_page(form)
    tick(form, "emergency-signs", "severe-breathlessness")
    assert "severe-breathlessness" in kept(form.page)
    form.press("next")
    assert form.kind == "emergency"
    assert kept(form.page) == ""


# What others hear and ask.


def test_pages_answers_and_results_are_told(tab, origin):
    tab.add_init_script(
        """window.heard = [];
        for (const name of ['page', 'answers', 'result'])
          document.addEventListener('questionnaire:' + name, (told) => heard.push([name, told.detail]));"""
    )
    form = Form(tab, f"{origin}/questionnaires/{SLUG}").open()
    first_page(form)
    tick(form, "emergency-signs", "severe-breathlessness")
    form.press("next")
    heard = tab.evaluate("window.heard")
    assert [detail["page"] for name, detail in heard if name == "page"] == ["start", "urgent", "result"]
    assert len({detail["state"] for name, detail in heard if name == "answers"}) == 3
    (result,) = [detail for name, detail in heard if name == "result"]
    assert result["status"] == "in-progress"


def test_the_answers_can_be_taken_out_and_gone_on_with(form):
    first_page(form)
    tick(form, "emergency-signs", NONE)
    form.press("next")
    bundle = form.page.evaluate("window.questionnaireForm.export()")
    response = bundle["entry"][0]["resource"]
    assert response["resourceType"] == "QuestionnaireResponse"
    form.page.evaluate("sessionStorage.clear()")
    form.open()
    assert form.name == "start"
    form.page.evaluate("response => window.questionnaireForm.resume(response)", response)
    assert form.name == "same-day"


def test_a_response_to_other_questions_is_not_taken_and_changes_nothing(form):
    tick(form, "completed-by", "patient")
    told = form.page.evaluate(
        "window.questionnaireForm.resume({resourceType: 'Patient'}).catch((error) => error.message)"
    )
    assert "We cannot use this file" in told
    assert (form.problems, control(form, "completed-by", "patient").is_checked()) == ([], True)


def test_a_form_is_opened_in_a_page_of_another_address(form):
    first_page(form)
    went_on = form.page.evaluate("address => window.questionnaireForm.open(address)", form.url)
    assert (went_on, form.name) == (True, "urgent")


def test_what_is_kept_is_the_state_and_no_answer_of_a_page_that_was_taken(form):
    first_page(form)
    (stored,) = form.page.evaluate("Object.values(sessionStorage)")
    assert set(json.loads(stored)) == {"drafts", "state", "page", "query"}
    assert json.loads(stored)["drafts"] == {}
