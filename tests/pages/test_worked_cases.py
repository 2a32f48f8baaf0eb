"""Worked patients type their answers page by page, and get what `assess` makes of the same answers.

Some of the patients of the project's own mapping take a minute; FORM_CASES=all takes every one.
"""

import os
from datetime import datetime

import orjson
import pytest
from form_driver import FormDriver
from typed_cases import can_be_typed, pair_of

from service.catalogue import Pair, outcome_of
from service.guidance.cases import Case

PART = 1 if os.environ.get("FORM_CASES") == "all" else 12
SLUGS = ["workday-strain", "curb-65", "gad-7", "phq-4", "pss-4", "wells-dvt"]


def check(driver: FormDriver, case: Case, pair: Pair) -> list[str]:
    """Returns what differs from the result of the same answers."""
    page = driver.finish(case.answers)
    bundle = orjson.loads(driver.post("export").data)
    response = bundle["entry"][0]["resource"]
    checked = pair.compiled.check(response)
    faults = [found.text for found in checked.problems if found.severity == "error"]
    result = pair.guidance.evaluate(
        checked.answers.__class__(**{**_fields(checked.answers), "authored": response["authored"]})
    )
    wanted = outcome_of(case, pair.guidance, pair.compiled)
    if page.main["data-kind"] == "emergency":
        assert page.main["data-status"] == response["status"] == "in-progress"
        same = result.tier == wanted.tier and result.due.days == wanted.due.days
        return [*faults, *([] if same else [f"{case.name}: {result.tier} {wanted.tier}"])]
    assert page.main["data-status"] == response["status"] == "completed"
    return [f"{case.name}: {fault}" for fault in (*faults, *case.faults(result))]


def _fields(answers):
    return {name: getattr(answers, name) for name in ("given", "closed", "ignored", "chart")}


@pytest.mark.parametrize("slug", SLUGS)
def test_every_case_of_another_questionnaire_gets_its_result(served, person, slug):
    pair = pair_of(served, slug)
    cases = [case for case in pair.guidance.cases if can_be_typed(case, pair)]
    assert cases
    assert [fault for case in cases for fault in check(person(slug), case, pair)] == []


@pytest.mark.parametrize("part", range(4))
def test_cases_of_the_project_get_their_results(served, person, clock, part):
    pair = pair_of(served, "muscle-twitching")
    cases = [case for case in pair.guidance.cases if can_be_typed(case, pair)]
    some = cases[part::4][::PART]
    assert len(some) > 5
    faults = []
    for case in some:
        clock.at = datetime.fromisoformat(f"{case.authored}T12:00:00+00:00")
        faults += check(person(), case, pair)
    assert faults == []


def test_a_case_at_a_safety_step_stops_the_form(served, person):
    pair = pair_of(served, "muscle-twitching")
    stopping = {tier.code for tier in pair.guidance.written.tiers if tier.overlay}
    cases = [
        case
        for case in pair.guidance.cases
        if can_be_typed(case, pair) and set(case.expect.tier or ()) <= stopping and case.expect.tier
    ]
    some = cases[::PART]
    assert len(some) > 3
    for case in some:
        driver = person()
        assert check(driver, case, pair) == []
        assert driver.page.main["data-kind"] == "emergency", case.name
        assert "check" not in driver.visited
        assert not [name for name in driver.page.buttons if name.startswith(("change", "next", "back"))]
