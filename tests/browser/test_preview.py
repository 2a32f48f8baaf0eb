"""The preview for authors in a browser: it follows each answer and each change of the files."""

import re
import shutil

import pytest
from gunicorn_server import ROOT, serving
from playwright.sync_api import expect
from watched_pages import watched_contexts

APP = "service.app:from_environment()"
FOLDERS = ROOT, ROOT / "tests/second_pair", ROOT / "tests/instruments", ROOT / "docs/authoring/phq-9"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of some mappings, one of them a draft, for their author to write in."""
    folder = tmp_path_factory.mktemp("authors")
    for source in FOLDERS:
        for kind in ("questionnaires", "mappings"):
            shutil.copytree(source / kind, folder / kind, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def address(folder):
    named = {f"{kind.upper()}_DIR": str(folder / kind) for kind in ("questionnaires", "mappings")}
    with serving(APP, STORE_URL="none", WORKERS="1", RELOAD="true", **named) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def opened(browser, address):
    """Opens the preview of a mapping: `opened(slug, width)`, or without script."""
    with watched_contexts(browser, [address]) as make:

        def preview(slug, width=1500, query="", **settings):
            context, _ = make(viewport={"width": width, "height": 900}, **settings)
            page = context.new_page()
            page.goto(f"{address}/questionnaires/{slug}/preview{query}")
            return page

        yield preview


def step(page):
    return page.locator("#why dd").first


def shows(page, code):
    expect(step(page)).to_have_text(code)


def stopped(page):
    """Stops the clock of a page, which goes on only where a test says so."""
    page.clock.install(time=0)
    page.clock.pause_at(1)


@pytest.mark.parametrize("width", [320, 1500])
def test_a_worked_case_and_then_another_answer(opened, judge, width):
    page = opened("phq-9", width)
    expect(page.locator("[data-update]")).to_be_hidden()
    page.select_option("#case", "total-nine")
    shows(page, "watch")
    judge(page)
    answer = page.locator('[name="q.self-harm"][value="LA6571-9"]')
    answer.check()
    shows(page, "same-day")
    expect(answer).to_be_focused()
    expect(page.locator("main.live")).to_be_visible()
    expect(page.locator("#case")).to_have_value("total-nine")
    judge(page)


def test_what_somebody_looks_at_stays_while_the_page_follows(opened):
    """What is unfolded, how far a column is scrolled, and where in a text somebody writes."""
    page = opened("curb-65")
    age = page.locator('input[name="q.age"]')
    page.set_viewport_size({"width": 1500, "height": 300})
    unknown = page.locator("#why details[data-state=unknown]")
    unknown.locator("summary").click()
    many = unknown.locator("summary").inner_text()
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        age.fill("70")
    expect(page.locator("main:not([aria-busy])")).to_be_visible()
    expect(unknown.locator("summary")).not_to_have_text(many)
    expect(unknown).to_have_attribute("open", "")
    folded = page.locator("#why details:not([open])").last
    state = folded.get_attribute("data-state")
    folded.locator("summary").click()
    page.locator("#why").evaluate("each => { each.scrollTop = 40 }")
    age.evaluate("each => { each.focus(); each.setSelectionRange(1, 1) }")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        age.press("5")
    expect(page.locator("main:not([aria-busy])")).to_be_visible()
    age.press("4")
    expect(age).to_have_value("7540")
    assert page.locator("#why").evaluate("each => each.scrollTop") == 40
    expect(page.locator(f"#why details[data-state={state}]")).to_have_attribute("open", "")
    page.select_option("#case", "three-points")
    expect(age).not_to_have_value("7540")
    assert page.locator("#why").evaluate("each => each.scrollTop") == 0


def test_an_answer_that_comes_late_is_not_shown_over_a_newer_one(opened):
    page = opened("phq-9")
    held = []

    def late(route):
        if route.request.method == "POST" and not held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/preview*", late)
    page.select_option("#case", "total-nine")
    expect(page.locator("main[aria-busy=true]")).to_be_visible()
    page.locator('[name="q.self-harm"][value="LA6571-9"]').check()
    shows(page, "same-day")
    with page.expect_response(lambda answer: answer.request == held[0].request):
        held[0].continue_()
    page.evaluate("() => new Promise(resolve => setTimeout(resolve))")
    shows(page, "same-day")
    expect(page.locator("#case")).to_have_value("total-nine")


def test_text_is_sent_once_when_nobody_types_any_more(opened):
    page = opened("curb-65")
    sent = []
    page.on("request", lambda request: request.method == "POST" and sent.append(request))
    age = page.locator('input[name="q.age"]')
    stopped(page)
    for typed in ("7", "70"):
        age.fill(typed)
        page.clock.run_for(200)
    assert sent == []
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.clock.run_for(1000)
    assert len(sent) == 1


def test_what_is_typed_while_an_answer_is_on_its_way_is_kept(opened):
    page = opened("curb-65")
    held = []
    page.route("**/preview*", lambda route: held.append(route) if route.request.method == "POST" else None)
    age = page.locator('input[name="q.age"]')
    stopped(page)
    age.fill("70")
    with page.expect_request(lambda request: request.method == "POST"):
        page.clock.run_for(1000)
    age.fill("71")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        held[0].continue_()
    page.evaluate("() => document.fonts.ready")
    expect(age).to_have_value("71")


def test_an_answer_that_is_no_preview_leaves_the_page_as_it_is(opened):
    page = opened("phq-9", query="?case=total-nine", expects=["503"])
    shows(page, "watch")
    page.route(
        "**/preview*", lambda route: route.fulfill(status=503, body="<p>away", content_type="text/html")
    )
    answer = page.locator('[name="q.self-harm"][value="LA6571-9"]')
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        answer.check()
    expect(page.locator("main:not([aria-busy])")).to_be_visible()
    shows(page, "watch")
    expect(answer).to_be_checked()


def test_columns_stand_side_by_side_and_below_one_another_where_there_is_no_room(opened):
    def places(width):
        columns = opened("workday-strain", width).locator(".col").all()
        return [column.bounding_box() for column in columns]

    wide, narrow = places(1500), places(390)
    assert [box["y"] for box in wide] == [wide[0]["y"]] * 3
    assert [box["x"] for box in wide] == sorted({box["x"] for box in wide})
    assert [box["x"] for box in narrow] == [narrow[0]["x"]] * 3
    assert [box["y"] for box in narrow] == sorted({box["y"] for box in narrow})


def test_an_open_question_of_the_result_leads_to_its_field(opened):
    page = opened("phq-9", query="?case=self-harm-open")
    page.locator('#result button[value="change:self-harm"]').first.click()
    expect(page.locator('[name="q.self-harm"]').first).to_be_focused()
    page = opened("muscle-twitching", query="?case=missing-red-flags-are-asked-before-everything-else")
    for question in ("swallowing", "vision", "duration"):
        page.locator(f'#result button[value="change:{question}"]').click()
        expect(page.locator(f'[name="q.{question}"]').first).to_be_focused()
    sign = page.locator('[name="q.vision"]').nth(1)
    with page.expect_response(lambda answer: posted(answer.request)):
        sign.check()
    expect(page.locator("main:not([aria-busy])")).to_be_visible()
    expect(sign).to_be_focused()


def posted(request):
    return request.method == "POST"


def test_the_focus_stays_on_what_has_no_name_too(opened):
    """It is found again by what it says, and nothing is scrolled to it."""
    page = opened("curb-65")
    age, column = page.locator('input[name="q.age"]'), page.locator("#form")
    stopped(page)
    page.set_viewport_size({"width": 1500, "height": 300})
    open_question = "#result button[value^='change:'] >> nth=1"
    for years, focused in enumerate(("#why summary >> nth=1", "#why a >> nth=2", "#why", open_question)):
        with page.expect_response(lambda answer: posted(answer.request)):
            age.fill(f"{70 + years}")
            page.locator(focused).focus()
            page.clock.run_for(1000)
        expect(page.locator("main:not([aria-busy])")).to_be_visible()
        expect(page.locator(focused)).to_be_focused()
    age.focus()
    column.evaluate("each => { each.scrollTop = 0 }")
    assert not age.evaluate("each => each.getBoundingClientRect().top < innerHeight"), "it is out of sight"
    with page.expect_response(lambda answer: posted(answer.request)):
        age.evaluate("each => each.dispatchEvent(new InputEvent('input', {bubbles: true}))")
        page.clock.run_for(1000)
    expect(page.locator("main:not([aria-busy])")).to_be_visible()
    expect(age).to_be_focused()
    assert column.evaluate("each => each.scrollTop") == 0


def test_an_answer_that_cannot_be_read_is_named_and_takes_no_focus(opened):
    page = opened("curb-65")
    age = page.locator('input[name="q.age"]')
    age.fill("older")
    age.blur()
    expect(page.locator("#result .errs")).to_be_visible()
    page.evaluate("() => new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)))")
    assert page.evaluate("() => document.activeElement.localName") == "body"
    with page.expect_response(lambda answer: posted(answer.request)):
        age.fill("old")
    expect(page.locator("main:not([aria-busy])")).to_be_visible()
    expect(age).to_be_focused()
    page.evaluate("() => { window.isSame = true }")
    with page.expect_response(lambda answer: posted(answer.request)):
        age.press("Enter")
    expect(page.locator("main:not([aria-busy])")).to_be_visible()
    assert page.evaluate("() => window.isSame"), "the page was loaded anew"


def test_a_case_that_is_chosen_while_somebody_types_counts(opened):
    page = opened("curb-65")
    sent = []
    page.on("request", lambda request: posted(request) and sent.append(request))
    stopped(page)
    page.locator('input[name="q.age"]').fill("7")
    with page.expect_response(lambda answer: posted(answer.request)):
        page.select_option("#case", "three-points")
    page.clock.run_for(1000)
    expect(page.locator("main:not([aria-busy])")).to_be_visible()
    expect(page.locator("#case")).to_have_value("three-points")
    assert len(sent) == 1


def test_a_chosen_answer_is_sent_at_once_and_nothing_is_sent_unasked(opened):
    page = opened("phq-9", query="?case=total-nine")
    sent, looked = [], []
    page.on("request", lambda request: (sent if posted(request) else looked).append(request))
    with page.expect_response(lambda answer: "known=" in answer.url):
        pass
    stopped(page)
    with page.expect_request(posted):
        page.locator('[name="q.self-harm"][value="LA6571-9"]').check()
        page.clock.run_for(10)
    shows(page, "same-day")
    while len(looked) < 4:
        page.clock.run_for(1000)
        page.wait_for_timeout(20)
    assert len(sent) == 1


def test_where_the_connection_is_lost_the_page_stays(opened):
    page = opened("phq-9", query="?case=total-nine", expects=["ERR_FAILED"])
    page.route("**/preview*", lambda route: route.abort() if posted(route.request) else route.continue_())
    with page.expect_event("requestfailed"):
        page.locator('[name="q.self-harm"][value="LA6571-9"]').check()
    expect(page.locator("main:not([aria-busy])")).to_be_visible()
    shows(page, "watch")


def test_it_speaks_german(opened, judge):
    page = opened("workday-strain", query="?case=total-ten", locale="de-DE")
    expect(page.locator("#why h2")).to_have_text("Warum")
    judge(page)
    page.locator(".langs button").click()
    expect(page.locator("#why h2")).to_have_text("Why")
    shows(page, "talk")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator(".skip")).to_have_text("Skip to the content")
    expect(page.locator("header")).to_have_text("Workday strain")
    expect(page).to_have_title(re.compile("Preview"))


def test_it_works_without_script(opened, measure):
    page = opened("phq-9", script=False)
    page.select_option("#case", "total-nine")
    page.locator(".pick button").click()
    shows(page, "watch")
    page.locator('[name="q.self-harm"][value="LA6571-9"]').check()
    page.locator("[data-update]").click()
    shows(page, "same-day")
    measure(page)


def test_it_follows_the_files_and_says_what_is_wrong_with_them(opened, folder):
    """While workers change hands a question of the script may find nobody: it asks again."""
    page = opened("phq-9", query="?case=total-nine", expects=["ERR_CONNECTION", "ERR_EMPTY"])
    shows(page, "watch")
    page.locator('[name="q.self-harm"][value="LA6571-9"]').check()
    shows(page, "same-day")
    rules = folder / "mappings/phq-9/rules.yaml"
    sound = rules.read_text()
    rules.write_text(sound + "- [\n")
    fault = page.locator(".errs li")
    expect(fault).to_contain_text("phq-9/rules.yaml: line ")
    shows(page, "same-day")
    said = "Ninth question answered other than not at all."
    assert said in sound
    rules.write_text(sound.replace(said, "The ninth question, changed."))
    expect(page.locator("#why")).to_contain_text("The ninth question, changed.")
    expect(fault).to_have_count(0)
    expect(page.locator('[name="q.self-harm"][value="LA6571-9"]')).to_be_checked()
