"""Why a result is as it is, and what is worse since last time: by clicking, with and without script."""

import pytest
from form_by_clicking import Form

from service.settings import ROOT

SLUG = "muscle-twitching"
NOW, BEFORE = (ROOT / f"samples/{name}.json" for name in ("progressive-weakness", "plain-eyelid"))


def at_result(page, origin, judge):
    """Goes on with a saved file, and sends it."""
    form = Form(page, f"{origin}/questionnaires/{SLUG}", judge).open()
    form.unfold("resume")
    page.locator("#file").set_input_files(NOW)
    form.press("resume")
    while form.kind == "question":
        form.press("next")
    form.press("send")
    return form


@pytest.mark.parametrize("script", [True, False], ids=["with-script", "without-script"])
def test_a_reason_is_one_step_from_the_result_and_its_answer_one_more(
    new_context, origin, judge, measure, script
):
    context, _ = new_context(script=script, viewport={"width": 320, "height": 640})
    form = at_result(context.new_page(), origin, judge if script else measure)
    told = form.heading
    form.press("why")
    assert form.kind == "why"
    form.press("show")
    assert (form.kind, form.heading) == ("result", told)
    form.press("why")
    if script:  # without one, what was posted is the browser's to keep
        with form.leaving():
            form.page.go_back()
        assert form.kind == "result"
        with form.leaving():
            form.page.go_forward()
        assert form.kind == "why"
    form.main.locator('button[value^="change:"]').first.click()
    form.page.locator('main[data-kind="question"]').wait_for()
    assert "weakness" in form.questions()
    assert form.page.locator('[name="q.weakness"]:checked').count() == 1


def test_a_file_of_last_time_is_compared_and_the_answers_are_given_anew(new_context, origin, judge):
    context, _ = new_context(viewport={"width": 320, "height": 640})
    page = context.new_page()
    form = Form(page, f"{origin}/questionnaires/{SLUG}", judge).open()
    form.unfold("compare")
    judge(page)
    page.locator("#file").set_input_files(BEFORE)
    form.press("compare")
    assert form.kind == "question"
    assert page.locator("main p.h").first.inner_text().endswith(".")
    assert page.locator("main :checked").count() == 0
    assert not form.problems
