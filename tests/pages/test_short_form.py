"""The short form: asks only what can still change the result, and has the result of the full form."""

import io
import os
import re
from datetime import datetime

import orjson
import pytest
from examples import IN_CI
from form_driver import FormDriver
from interviews import verdict
from typed_cases import can_be_typed, pair_of

from service import app
from service.catalogue import Pair, outcome_of
from service.datatypes.values import replace
from service.guidance.cases import Case

PART = 1 if os.environ.get("FORM_CASES") == "all" else 24 if IN_CI else 72
SHORT = "?length=short"
MOST_PAGES = 60
YES = "LA33-6"


@pytest.fixture(scope="module")
def twitching(served) -> Pair:
    return pair_of(served, "muscle-twitching")


def case_of(pair: Pair, name: str) -> Case:
    return next(case for case in pair.guidance.cases if case.name == name)


def exported(driver: FormDriver) -> dict:
    return orjson.loads(driver.post("export").data)


def response_of(driver: FormDriver) -> dict:
    return exported(driver)["entry"][0]["resource"]


def asked_in(response: dict) -> list[str]:
    """LinkIds of the questions that the response says were asked."""
    (form,) = [one for one in response["contained"] if one["id"] == response["questionnaire"][1:]]
    waiting, found = [form], []
    while waiting:
        item = waiting.pop(0)
        waiting = [*item.get("item", []), *waiting]
        found += [item["linkId"]] if item.get("type") not in (None, "group", "display") else []
    return found


def of_result(driver: FormDriver, pair: Pair):
    """The result of what the form says was answered, as the engine makes it."""
    response = response_of(driver)
    plain = {**response, "questionnaire": pair.compiled.canonical}
    checked = pair.compiled.check(plain, "in-progress")
    assert [found.text for found in checked.problems if found.severity == "error"] == []
    answers = pair.compiled.answers_of(checked.answers.given, authored=response["authored"])
    return pair.guidance.evaluate(answers)


def differs(driver: FormDriver, case: Case, pair: Pair) -> list[str]:
    """What of the result is not as in the full form."""
    page = driver.finish(case.answers)
    status = exported(driver)["entry"][1]["resource"]["status"]
    response = response_of(driver)
    is_stopped = page.main["data-kind"] == "emergency"
    of_full = outcome_of(case, pair.guidance, pair.compiled)
    wanted = ("in-progress", "preliminary") if is_stopped else ("completed", "preliminary")
    wanted = (wanted[0], "final") if of_full.settled and not is_stopped else wanted
    full, short = verdict(of_full), verdict(of_result(driver, pair))
    if is_stopped:  # the form stops before everything is said
        full, short = (full[0].at_least, full[1]), (short[0].at_least, short[1])
    same = full == short and (response["status"], status) == wanted
    return [] if same else [f"{case.name}: {short} {full} {response['status']} {status}"]


def typed(pair: Pair) -> list[Case]:
    return [case for case in pair.guidance.cases if can_be_typed(case, pair)]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_worked_patients_have_the_result_of_the_full_form(twitching, person, clock, part):
    faults = []
    for case in typed(twitching)[part::3][::PART]:
        clock.at = datetime.fromisoformat(f"{case.authored}T12:00:00+00:00")
        faults += differs(person(query=SHORT), case, twitching)
    assert faults == []


@pytest.mark.parametrize("slug", ["workday-strain", "curb-65", "gad-7", "phq-4"])
def test_patients_of_other_questionnaires_do_too(served, person, clock, slug):
    pair = pair_of(served, slug)
    cases = typed(pair)[:: 1 if PART == 1 else 4]
    assert cases
    faults = []
    for case in cases:
        clock.at = datetime.fromisoformat(f"{case.authored}T12:00:00+00:00")
        faults += differs(person(slug, SHORT), case, pair)
    assert faults == []


CALM = "plain-eyelid-three-days"


def test_it_asks_less_than_the_full_form_and_says_what_it_did_not_ask(twitching, person, clock):
    case = case_of(twitching, CALM)
    clock.at = datetime.fromisoformat(f"{case.authored}T12:00:00+00:00")
    driver = person(query=SHORT)
    to_check(driver, case.answers)
    check = driver.answered.text
    driver.press("send")
    result = driver.answered.text
    response = response_of(driver)
    enabled, _ = twitching.compiled.enabled(case.answers)
    questions = {link for link in enabled if twitching.compiled.items[link].answerable}
    asked = set(asked_in(response))
    assert asked < questions
    unasked = [link for link in questions - asked if not twitching.compiled.items[link].read_only]
    assert unasked
    for page in (check, result):
        assert f"Questions that were not asked: {len(unasked)}" in page
        assert "No answer to them could change the result" in page
        for link in unasked:
            assert escaped(twitching.compiled.items[link].text) in page
    assert check.count("Not answered") == len([link for link in asked if link not in case.answers])


@pytest.fixture
def calm(twitching, clock):
    """Answers of somebody who may look after themselves, on the day on which they give them."""
    case = case_of(twitching, CALM)
    clock.at = datetime.fromisoformat(f"{case.authored}T12:00:00+00:00")
    return case.answers


def to_check(driver: FormDriver, answers) -> list[str]:
    """Goes on to the check page, and returns the pages before it in their order."""
    before = len(driver.visited) - 1
    for _ in range(MOST_PAGES):
        if driver.page.main["data-kind"] == "question":
            driver.answer(answers)
    assert driver.page.main["data-kind"] == "check"
    return list(dict.fromkeys(driver.visited[before:-1]))


def left(driver: FormDriver) -> int:
    found = re.search(r"At most ([0-9]+) questions left", driver.answered.text)
    assert found, driver.page.main
    return int(found[1])


def test_it_says_how_many_questions_are_left_at_most(person, calm):
    """Whoever goes on is never asked more than was said, and the number never grows."""
    driver = person(query=SHORT)
    assert "questions left" not in driver.answered.text
    numbers: list[int] = []
    for _ in range(2):  # the first page says nothing yet
        driver.answer(calm)
    asked = len(driver.asked)
    while driver.page.main["data-kind"] == "question" and len(numbers) < MOST_PAGES:
        numbers.append(left(driver) + len(driver.asked))
        driver.answer(calm)
    assert driver.page.main["data-kind"] == "check"
    assert numbers == sorted(numbers, reverse=True)
    assert min(numbers) >= len(driver.asked) > asked


def test_back_leads_to_the_page_that_was_sent_before_whatever_its_place_in_the_form(person, calm):
    driver = person(query=SHORT)
    pages = to_check(driver, calm)
    assert pages.index("urgent") < pages.index("pattern")
    for page in reversed(pages):
        assert driver.press("back").main["data-page"] == page
    assert "back" not in driver.page.buttons
    assert driver.press("next").main["data-kind"] == "check"


def test_a_changed_answer_opens_what_it_makes_matter_and_leads_back(person, calm):
    driver = person(query=SHORT)
    to_check(driver, calm)
    known = set(asked_in(response_of(driver)))
    page = driver.press("change:urgent")
    assert page.main["data-page"] == "urgent"
    assert driver.press("next").main["data-kind"] == "check"
    driver.press("change:strength")
    page = driver.press("next", {"q.weakness": [YES]})
    assert page.main["data-kind"] == "question"
    assert {name[2:] for name in page.controls if name.startswith("q.")} - known


def test_a_page_of_which_nothing_was_asked_leads_to_the_answers(person, calm):
    driver = person(query=SHORT)
    asked = to_check(driver, calm)
    for page in {"eyelid-face", "examination", "tests"} - set(asked):
        assert driver.press(f"change:{page}").main["data-kind"] == "check"


def test_why_the_result_is_as_it_is_can_be_asked_of_a_short_form_too(person, calm):
    driver = person(query=SHORT)
    driver.finish(calm)
    assert "why" in driver.page.buttons
    assert driver.press("why").main["data-page"] == "why"
    assert driver.answered.status_code == 200


def test_a_page_is_shown_again_as_it_was(person, calm):
    driver = person(query=SHORT)
    for _ in range(5):
        driver.answer(calm)
    controls = set(driver.page.controls)
    for action in ("show", "language:de", "language:en"):
        assert set(driver.press(action).controls) == controls


def test_what_is_wrong_is_said_on_the_page_with_all_its_questions(person, calm):
    driver = person(query=SHORT)
    for _ in range(MOST_PAGES):
        if len([name for name in driver.page.controls if name.startswith("q.")]) < 3:
            driver.answer(calm)
    links = [name[2:] for name in driver.page.controls if name.startswith("q.")]
    driver.answer({link: calm[link] for link in links[:1]})
    assert driver.answered.status_code == 422
    assert [name[2:] for name in driver.page.controls if name.startswith("q.")] == links
    assert driver.page.controls[f"q.{links[0]}"].chosen
    driver.answer(calm)
    assert driver.answered.status_code == 200


def test_an_emergency_stops_it_at_once(twitching, person, clock):
    case = case_of(twitching, "shaking-after-stopping-alcohol-is-an-emergency")
    clock.at = datetime.fromisoformat(f"{case.authored}T12:00:00+00:00")
    driver = person(query=SHORT)
    page = driver.finish(case.answers)
    assert (page.main["data-kind"], page.main["data-status"]) == ("emergency", "in-progress")
    assert len(asked_in(response_of(driver))) <= 4
    assert "No answer to them could change what to do now" in driver.answered.text
    assert not [name for name in page.buttons if name.startswith(("change", "next", "back", "length"))]


def test_nobody_sees_the_result_before_everything_that_matters_was_asked(person, calm):
    driver = person(query=SHORT)
    for _ in range(3):
        driver.answer(calm)
    assert driver.press("send").main["data-kind"] == "question"


def test_who_saves_goes_on_where_they_were(person, calm):
    first = person(query=SHORT)
    for _ in range(6):
        first.answer(calm)
    page, controls = first.page.main["data-page"], set(first.page.controls)
    saved = first.post("save")
    assert saved.status_code == 200
    again = person()
    again.press("resume", file=(io.BytesIO(saved.data), "saved.json"))
    assert (again.page.main["data-page"], set(again.page.controls)) == (page, controls)
    assert response_of(again)["contained"] == response_of(first)["contained"]
    rest = to_check(again, calm)
    assert page in rest
    again.press("send")
    assert response_of(again)["status"] == "completed"
    done = again.post("response.json").data
    for later in (person(), person(query=SHORT)):
        later.press("resume", file=(io.BytesIO(done), "done.json"))
        assert later.page.main["data-kind"] == "check"
        later.press("send")
        assert response_of(later)["status"] == "amended"


def test_a_file_that_asked_something_else_is_not_taken(person, calm):
    driver = person(query=SHORT)
    driver.answer(calm)
    saved = orjson.loads(driver.post("save").data)
    saved["contained"][0]["item"][0]["text"] = "Something else?"
    other = orjson.loads(driver.post("save").data)
    other["contained"][0]["derivedFrom"] = ["https://elsewhere.example.org/q|1"]
    for body in (saved, other):
        driver.press("resume", file=(io.BytesIO(orjson.dumps(body)), "saved.json"))
        assert driver.answered.status_code == 422


def test_a_response_with_answers_here_and_there_is_asked_for_the_rest_that_matters(twitching, person, calm):
    """A chart may know a late answer: what stands before it in the form was not passed over."""
    full = person()
    full.finish(calm)
    response = response_of(full)
    response = {**response, "status": "in-progress", "item": response["item"][-1:]}
    driver = person(query=SHORT)
    driver.press("resume", file=(io.BytesIO(orjson.dumps(response)), "chart.json"))
    assert driver.page.main["data-page"] == "start"
    known = {item["linkId"] for item in response["item"][0]["item"]}
    to_check(driver, calm)
    assert {"completed-by", "emergency-signs", *known} <= set(asked_in(response_of(driver)))


def test_it_can_be_made_longer_and_shorter(person, calm):
    driver = person()
    assert "length:short" in driver.page.buttons
    page = driver.press("length:short")
    assert "length:full" in page.buttons
    to_check(driver, calm)
    assert "length:full" in driver.page.buttons
    page = driver.press("length:full")
    assert page.main["data-kind"] == "question"
    further = to_check(driver, calm)
    assert further
    assert "not asked" not in driver.answered.text
    driver.press("send")
    response = response_of(driver)
    assert "contained" not in response
    assert response["status"] == "completed"


def test_settings_say_which_length_people_meet_first_and_an_address_goes_before(settings, clock, calm):
    client = app.create_app(replace(settings, form_short=True), clock).test_client()
    for query, other in (("", "full"), (SHORT, "full"), ("?length=full", "short"), ("?length=7", "full")):
        driver = FormDriver(client, "/questionnaires/muscle-twitching")
        driver.open(query)
        assert [name for name in driver.page.buttons if name.startswith("length")] == [f"length:{other}"]
    driver.open()
    driver.answer(calm)
    assert "length:full" in driver.press("restart").buttons


def test_a_form_that_calculates_is_always_full(served, settings, clock):
    calculating = {pair.slug for pair in served.pairs.values() if pair.is_active and pair.compiled.calculates}
    client = app.create_app(settings, clock).test_client()
    for slug in calculating:
        driver = FormDriver(client, f"/questionnaires/{slug}")
        driver.open(SHORT)
        assert not [name for name in driver.page.buttons if name.startswith("length")]
        assert "length:full" not in driver.press("length:short").buttons


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("'", "&#39;").replace('"', "&#34;")
