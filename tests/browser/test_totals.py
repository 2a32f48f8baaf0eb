"""Totals of a form: immediate with script where they are sums, there after the next page without."""

import pytest
from form_with_totals import SLUG, folders_with_totals
from playwright.sync_api import expect
from watched_pages import watched_contexts

NINE = (
    "interest", "mood", "sleep", "energy", "appetite", "self-worth", "concentration", "movement", "self-harm",
)  # fmt: skip
SEVERAL_DAYS, NEARLY_EVERY_DAY = "LA6569-3", "LA6571-9"


@pytest.fixture(scope="module")
def totalled(served, tmp_path_factory):
    """The origin of a service whose form calculates."""
    folders = folders_with_totals(tmp_path_factory.mktemp("totals"))
    return served(**{f"{kind.upper()}_DIR": str(path) for kind, path in folders.items()})


@pytest.fixture
def questions(browser, totalled):
    """Opens the page of the nine questions: `questions(width)`, or without script."""
    with watched_contexts(browser, [totalled]) as make:

        def opened(width=320, **settings):
            context, _ = make(viewport={"width": width, "height": 800}, **settings)
            page = context.new_page()
            page.goto(f"{totalled}/questionnaires/{SLUG}")
            page.locator(".acts button").click()
            page.locator('[name="q.mood"]').first.wait_for(state="attached")
            return page

        yield opened


def choose(page, link, code):
    page.locator(f'[name="q.{link}"][value="{code}"]').check()


@pytest.mark.parametrize("width", [320, 768])
def test_a_sum_follows_each_answer_at_once(questions, judge, width):
    page = questions(width)
    total = page.locator("output")
    assert total.inner_text() == "0"
    choose(page, "mood", NEARLY_EVERY_DAY)
    choose(page, "sleep", SEVERAL_DAYS)
    assert total.inner_text() == "4"
    choose(page, "mood", SEVERAL_DAYS)
    assert total.inner_text() == "2"
    judge(page)


def test_the_service_comes_to_the_same_total_and_to_what_follows_from_it(questions, judge):
    page = questions()
    for link in NINE:
        choose(page, link, SEVERAL_DAYS)
    page.locator(".acts button").click()
    expect(page.locator("output")).to_have_text("1")  # the mean, which no script works out
    judge(page)
    page.locator(".acts button").click()
    expect(page.locator("div", has=page.get_by_text("Total", exact=True)).locator("dd").first).to_have_text(
        "9"
    )
    judge(page)


def test_without_script_a_total_stands_where_it_belongs_after_the_page_was_sent(questions, measure):
    page = questions(script=False)
    for link in NINE:
        choose(page, link, SEVERAL_DAYS)
    page.locator(".acts button").click()
    expect(page.locator("output")).to_have_text("1")
    page.locator("button.back").click()
    expect(page.locator("output")).to_have_text("9")
    measure(page)
