"""Worked patients fill a form in by clicking; what they are told is what `assess` says of their answers."""

import json

import pytest
from form_by_clicking import Form
from worked_cases import as_of_today, assessed, cases_of

PATIENTS = {
    "plain-eyelid-three-days": "self-care",
    "body-wide-for-months": "consult",
    "strong-calf-cramps-keep-the-expedited-date": "consult",
    "another-new-symptom-with-a-long-duration-is-for-a-neurologist": "consult",
    "a-new-medicine-before-onset-is-a-reason-for-review": "review",
    "growing-weakness-with-wasting-makes-the-als-pattern-high": "prompt",
    "sudden-one-sided-loss-of-an-unknown-day-is-urgent": "urgent",
    "new-confusion-is-an-emergency": "emergency",
    "the-whole-als-picture": "prompt",
    "a-low-potassium-entered-by-a-professional-counts-as-well": "review",
}
"""Every step that a form which is filled in can lead to, and every kind of item."""
NUMBERS = {"EMERGENCY_NUMBER": "112", "CRISIS_LINE": "116 123"}
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["with-script", "without-script"])


@pytest.fixture(scope="session")
def cases():
    """The worked cases of the first form by name."""
    return cases_of("muscle-twitching")


@pytest.fixture
def filled_in(new_context, origin, judge, measure):
    """Fills a form in by clicking and judges every page that comes up; gives the last page."""

    def form(slug, answers, script, query=""):
        context, _ = new_context(script=script)
        form = Form(context.new_page(), f"{origin}/questionnaires/{slug}", judge if script else measure).open(
            query
        )
        form.finish(answers)
        return form

    return form


def tier_of(risk):
    """Returns the code of the step that a RiskAssessment names, where it is not settled the least one."""
    (interval,) = risk.get("extension", ({},))
    least = [part["valueCoding"] for part in interval.get("extension", ()) if part["url"] == "at-least"]
    return (least or risk["prediction"][0]["qualitativeRisk"]["coding"])[0]["code"]


@SCRIPT
@pytest.mark.parametrize("name", PATIENTS)
def test_a_patient_is_told_what_assess_says(filled_in, cases, name, script):
    """Step, levels, reasons and dates: the whole RiskAssessment is the same."""
    form = filled_in("muscle-twitching", as_of_today(cases[name]), script)
    risk = json.loads(form.download("risk.json").read_bytes())
    assert risk == assessed("muscle-twitching", form.download("response.json"), **NUMBERS)
    assert tier_of(risk) == PATIENTS[name]
    assert form.kind == ("emergency" if PATIENTS[name] in ("emergency", "urgent") else "result")


@SCRIPT
@pytest.mark.parametrize("name", ["plain-eyelid-three-days", "new-confusion-is-an-emergency"])
def test_a_patient_is_told_the_same_by_the_short_form(filled_in, cases, name, script):
    form = filled_in("muscle-twitching", as_of_today(cases[name]), script, "?length=short")
    risk = json.loads(form.download("risk.json").read_bytes())
    assert risk == assessed("muscle-twitching", form.download("response.json"), **NUMBERS)
    assert tier_of(risk) == PATIENTS[name]
    assert "Questions that were not asked" in form.page.content()


@SCRIPT
@pytest.mark.parametrize(
    ("slug", "name", "tier"),
    [("workday-strain", "total-fifteen", "act"), ("curb-65", "three-points", "urgent")],
)
def test_a_form_that_no_code_knows_is_filled_in_the_same_way(filled_in, slug, name, tier, script):
    form = filled_in(slug, as_of_today(cases_of(slug)[name]), script)
    risk = json.loads(form.download("risk.json").read_bytes())
    assert risk == assessed(slug, form.download("response.json"), **NUMBERS)
    assert tier_of(risk) == tier
