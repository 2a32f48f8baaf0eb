"""The whole form without a mouse: Tab, Space, the arrows and Enter, with the focus in sight all the way."""

import pytest
from form_by_clicking import Form
from worked_cases import as_of_today, cases_of

from service.datatypes.answers import Coding, Quantity

MOST_KEYS = 80
FOCUSED = """() => {
  const each = document.activeElement, shown = each.nextElementSibling;
  const rings = [each, each.closest("label"), shown].filter(Boolean).map(one => getComputedStyle(one));
  return {
    name: each.getAttribute("name") || "", value: each.value || "", type: each.type || "",
    is_checked: Boolean(each.checked),
    is_seen: rings.some(ring => ring.outlineStyle !== "none" || ring.boxShadow !== "none"),
    is_in_view: each.getBoundingClientRect().bottom > 0 && each.getBoundingClientRect().top < innerHeight,
  };
}"""


def wanted(name, answers):
    """Returns what belongs into a control of this name, in words that the control could have as its value."""
    letter, _, link_id = name.partition(".")
    given = answers.get(link_id, ())
    if letter == "u":
        return [each.unit for each in given if isinstance(each, Quantity)]
    return [plain(each) for each in given]


def plain(answer):
    if isinstance(answer, Coding):
        return answer.code
    return str(answer.value if isinstance(answer, Quantity) else answer)


def answer(page, focus, values):
    """Does with keys what the control that has the focus needs: nothing where it was answered before."""
    if focus["type"] == "checkbox" and focus["value"] in values and not focus["is_checked"]:
        page.keyboard.press("Space")
    elif focus["type"] == "radio" and values:
        if focus["value"] == values[0]:
            page.keyboard.press("Space")
        for _ in range(20):
            if page.evaluate(FOCUSED)["value"] == values[0]:
                return
            page.keyboard.press("ArrowDown")
        raise AssertionError(f"no arrow leads to {values[0]} of {focus['name']}")
    elif focus["type"] in ("text", "textarea") and values and not focus["value"]:
        page.keyboard.type(values[0])


def through_a_page(form, answers):
    """Tabs through the page, answers what the focus comes to, and goes on with Enter."""
    for _ in range(MOST_KEYS):
        form.page.keyboard.press("Tab")
        focus = form.page.evaluate(FOCUSED)
        assert focus["is_seen"], f"no ring around {focus}"
        assert focus["is_in_view"], f"out of view: {focus}"
        if focus["name"] == "action" and focus["value"] in ("next", "send"):
            with form.leaving():
                form.page.keyboard.press("Enter")
            return
        answer(form.page, focus, wanted(focus["name"], answers))
    raise AssertionError(f"no button after {MOST_KEYS} keys on {form.name}")


@pytest.mark.parametrize("script", [True, False], ids=["with-script", "without-script"])
@pytest.mark.parametrize(
    ("slug", "name"),
    [("muscle-twitching", "strong-calf-cramps-keep-the-expedited-date"), ("curb-65", "three-points")],
)
def test_the_whole_form_is_filled_in_by_keys_alone(new_context, origin, slug, name, script):
    context, _ = new_context(script=script)
    form = Form(context.new_page(), f"{origin}/questionnaires/{slug}").open()
    answers = as_of_today(cases_of(slug)[name])
    for _ in range(40):
        if form.kind not in ("question", "check"):
            break
        through_a_page(form, answers)
        assert form.problems == []
    assert form.kind in ("result", "emergency")
