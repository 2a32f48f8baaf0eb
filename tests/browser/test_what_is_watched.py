"""The tests of pages see what they are there to see: each fault, made on purpose, is reported."""

import pytest
from page_checks import geometry
from watched_pages import watched_contexts

HERE, ELSEWHERE = "https://form.example.org", "https://elsewhere.example.org"
POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
}
SOUND = """<!doctype html><html lang="en"><title>A page</title><main data-page="a"><h1>A page</h1>{}</main>"""


def shown(context, body, headers=POLICY):
    """Opens a page that no server has."""
    answer = {"content_type": "text/html; charset=utf-8", "headers": headers, "body": SOUND.format(body)}
    context.route(f"{HERE}/page", lambda route: route.fulfill(**answer))
    page = context.new_page()
    page.goto(f"{HERE}/page")
    return page


def reports_of(browser, body, headers=POLICY, do=None, **options):
    """Returns what a page reported, once it and what `do` does with it are done."""
    with watched_contexts(browser, [HERE]) as new_context:
        context, watch = new_context(expects=["."], **options)
        page = shown(context, body, headers)
        if do:
            do(page)
        page.wait_for_load_state("networkidle")
    return watch.reports


@pytest.mark.parametrize("script", [True, False])
def test_a_style_that_the_policy_refuses_is_reported(browser, script):
    (report,) = reports_of(browser, '<p style="color: red">Text</p>', script=script)
    assert report.startswith("CSP ")


def test_a_string_that_becomes_markup_is_reported(browser):
    reports = reports_of(
        browser,
        "<p>Text</p>",
        do=lambda page: page.evaluate(
            "() => new Promise(done => setTimeout(() => {"
            "try { document.querySelector('p').innerHTML = '<b>Text</b>' } catch {} done() }))"
        ),
    )
    assert [report.partition(" ")[0] for report in reports] == ["CSP"]


def test_an_exception_that_a_script_does_not_catch_is_reported(browser):
    throw = "() => void setTimeout(() => { throw new Error('lost') })"
    assert "exception lost" in reports_of(browser, "", do=lambda page: page.evaluate(throw))


def test_an_error_in_the_console_is_reported(browser):
    assert reports_of(browser, "", do=lambda page: page.evaluate("() => console.error('odd')")) == [
        "console odd"
    ]


def test_a_request_to_another_host_is_reported(browser):
    reports = reports_of(browser, f'<img alt="" src="{ELSEWHERE}/dot.png">', headers={})
    assert f"request GET {ELSEWHERE}/dot.png" in reports


def test_a_cookie_is_reported(browser):
    assert reports_of(browser, "", headers=POLICY | {"Set-Cookie": "visit=1"}) == ["cookie visit"]


def test_what_a_test_does_not_expect_fails_it(browser):
    def visit():
        with watched_contexts(browser, [HERE]) as new_context:
            context, _ = new_context(expects=["console"])
            shown(context, "", POLICY | {"Set-Cookie": "visit=1"})

    with pytest.raises(AssertionError, match="cookie visit"):
        visit()


def test_axe_judges_a_page_under_its_own_policy(browser, axe):
    with watched_contexts(browser, [HERE]) as new_context:
        context, _ = new_context()
        assert axe.problems(shown(context, "<p>Text</p>")) == []
        (problem,) = axe.problems(shown(context, '<p><input type="text"></p>'))
    assert problem.startswith("label: input")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<button type="button">Go</button>', "target of "),
        ('<p>See <a href="/page" class="short">it</a></p>', "target of "),
        ('<img alt="" width="500" height="10">', "scrolls sideways: "),
    ],
)
def test_what_is_too_small_or_too_wide_is_measured(browser, body, fault):
    with watched_contexts(browser, [HERE]) as new_context:
        context, _ = new_context(viewport={"width": 320, "height": 600})
        faults = geometry(shown(context, body))
    assert faults
    assert faults[0].startswith(fault)


def test_a_label_belongs_to_the_target(browser):
    style = "<style>label {display: block; padding: 12px 30px}</style>"
    big = f'{style}<label><input type="radio"> Yes, always</label>'
    with watched_contexts(browser, [HERE]) as new_context:
        context, _ = new_context()
        assert geometry(shown(context, big, headers={})) == []
