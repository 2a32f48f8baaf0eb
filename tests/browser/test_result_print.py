"""A result on paper: two pages of A4 at most, with the doctor's lines and every answer, folded on screen."""

import re

import pytest
from form_driver import FormDriver

from service import app
from service.pages.static_files import FOLDER
from service.settings import ROOT, Settings

PATH = "/questionnaires/muscle-twitching"
MOST_PAGES = 2
LOADED = re.compile(r'<link rel="stylesheet" href="/static/(\w+)\.\w+\.css">')
A_PAGE = re.compile(rb"/Type\s*/Page\b")


@pytest.fixture(scope="module")
def client():
    numbers = {"emergency_number": "112", "crisis_line": "116 123"}
    return app.create_app(Settings(store_url="none", **numbers)).test_client()


def style_of(loaded):
    return f"<style>{(FOLDER / loaded[1]).with_suffix('.css').read_text()}</style>"


@pytest.fixture
def printed(browser, client):
    """Gives the result page of a sample as it is printed; its style stands in it: nothing is loaded."""
    page = browser.new_page(viewport={"width": 718, "height": 1000})

    def opened(sample, language, *, says_why=False):
        form = FormDriver(client, PATH)
        form.open(f"?language={language}")
        form.press("resume", response=(ROOT / f"samples/{sample}.json").read_text())
        while form.page.main["data-kind"] == "question":
            form.press("next")
        form.press("send")
        if says_why:
            form.press("why")
        html = re.sub(r"<script.*?</script>", "", form.answered.get_data(as_text=True))
        page.set_content(LOADED.sub(style_of, html))
        page.emulate_media(media="print")
        return page

    yield opened
    page.close()


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("sample", ["plain-eyelid", "professional-with-labs", "progressive-weakness"])
@pytest.mark.parametrize("says_why", [False, True])
def test_a_result_is_printed_on_two_pages(printed, sample, language, says_why):
    page = printed(sample, language, says_why=says_why)
    pages = len(A_PAGE.findall(page.pdf(format="A4", prefer_css_page_size=True)))
    assert 1 <= pages <= MOST_PAGES


def test_what_is_folded_on_screen_is_on_paper_and_buttons_are_not(printed):
    page = printed("progressive-weakness", "en")
    answers = page.locator(".all dd")
    assert answers.count() > 20
    assert all(each.is_visible() for each in [*answers.all()[:3], *page.locator(".lines dd").all()])
    assert page.locator(".paper", has_text="Name and date of birth:").is_visible()
    assert page.locator("details.doctor").get_attribute("open") is None
    assert not any(each.is_visible() for each in page.locator("button, .tw, svg").all())
    assert page.locator("h1").is_visible()
    page.emulate_media(media="screen")
    assert not page.locator(".paper").is_visible()


def test_no_question_is_torn_from_its_answer(printed):
    page = printed("professional-with-labs", "de")
    torn = """() => [...document.querySelectorAll('.all dl > *')].filter(row =>
      new Set([...row.getClientRects()].map(part => part.x)).size > 1).length"""
    assert page.locator(".all dl > *").count() > 20
    assert page.evaluate(torn) == 0
