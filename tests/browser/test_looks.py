"""Every kind of page, narrow, much enlarged, dark, in German: axe-core and a ruler find nothing."""

import pytest
from form_by_clicking import Form
from worked_cases import as_of_today, cases_of

SLUG = "muscle-twitching"
LOOKS = {
    "narrow": ("en", "body-wide-for-months", {"viewport": {"width": 320, "height": 640}}),
    "enlarged-four-times": (
        "en",
        "strong-calf-cramps-keep-the-expedited-date",
        {"viewport": {"width": 320, "height": 256}},
    ),
    "short": ("en&length=short", "plain-eyelid-three-days", {"viewport": {"width": 320, "height": 640}}),
    "dark": ("en", "growing-weakness-with-wasting-makes-the-als-pattern-high", {"color_scheme": "dark"}),
    "german": ("de", "the-whole-als-picture", {"locale": "de-DE", "viewport": {"width": 320, "height": 640}}),
}


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_is_found_on_any_page(new_context, origin, judge, look):
    language, name, options = LOOKS[look]
    context, _ = new_context(expects=["status of 4"], **options)
    form = Form(context.new_page(), f"{origin}/questionnaires/{SLUG}", judge).open(f"?language={language}")
    form.press("next")
    assert form.problems, "an error page"
    form.answer(as_of_today(cases_of(SLUG)[name]))
    judge(form.page)
    form.press("next")
    form.finish(as_of_today(cases_of(SLUG)[name]))
    assert form.kind == "result"
    form.press("why")
    assert form.kind == "why"
    folded = form.main.locator("details:not([open]) > summary:visible")
    while folded.count():
        folded.first.click()
    judge(form.page)
    form.press("show")
    for summary in form.main.locator("summary").all():
        summary.click()
    judge(form.page)


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_is_found_on_the_page_of_an_emergency_or_a_refusal(new_context, origin, judge, look):
    language, _, options = LOOKS[look]
    context, _ = new_context(expects=["status of 4"], **options)
    form = Form(context.new_page(), f"{origin}/questionnaires/{SLUG}", judge).open(f"?language={language}")
    form.finish(as_of_today(cases_of(SLUG)["new-confusion-is-an-emergency"]))
    assert form.kind == "emergency"
    for summary in form.main.locator("summary").all():
        summary.click()
    judge(form.page)
    form.open(f"?language={language}")
    form.main.locator("input[name=state]").evaluate("each => { each.value = 'changed' }")
    form.press("next")
    assert form.kind == "message"


MOVING = """() => [...document.querySelectorAll('*')].flatMap(each => ['', '::before', '::after'].map(part =>
  getComputedStyle(each, part))).filter(style => !/^0s(, 0s)*$/.test(style.transitionDuration) ||
  style.animationName !== 'none' || style.scrollBehavior !== 'auto').length"""


@pytest.mark.parametrize(("wish", "moves"), [("reduce", False), ("no-preference", True)])
def test_nothing_moves_where_somebody_does_not_want_it(new_context, origin, wish, moves):
    context, _ = new_context(reduced_motion=wish)
    form = Form(context.new_page(), f"{origin}/questionnaires/{SLUG}").open()
    assert (form.page.evaluate(MOVING) > 0) is moves
    form.finish(as_of_today(cases_of(SLUG)["new-confusion-is-an-emergency"]))
    assert (form.page.evaluate(MOVING) > 0) is moves


WIDER = """* { line-height: 1.5 !important; letter-spacing: .12em !important; }
* { word-spacing: .16em !important; }
p { margin-bottom: 2em !important; }"""


def test_text_that_somebody_spaces_wider_fits_too(new_context, origin, measure):
    """WCAG 2.2, 1.4.12, where words are long and the window is narrow."""
    context, _ = new_context(bypass_csp=True, locale="de-DE", viewport={"width": 320, "height": 640})

    def wider(page):
        page.add_style_tag(content=WIDER)
        measure(page)

    form = Form(context.new_page(), f"{origin}/questionnaires/{SLUG}", wider).open()
    form.finish(as_of_today(cases_of(SLUG)["growing-weakness-with-wasting-makes-the-als-pattern-high"]))
    assert form.kind == "result"
