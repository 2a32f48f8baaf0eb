"""How a form behaves: its pages, what it takes, what it refuses, and what it never does."""

import gzip
import io
import re
import time
from datetime import datetime, timedelta

import orjson
import pytest
from form_driver import FormDriver, ParsedPage

from service import app
from service.datatypes.answers import Coding, Quantity
from service.datatypes.values import replace
from service.errors import SettingsError
from service.pages.static_files import FOLDER, without_comments
from service.questionnaire import compile_questionnaire, not_shown
from service.sandbox import Sandbox
from service.settings import ROOT
from service.terminology import value_sets_from

PATH = "/questionnaires/muscle-twitching"
SAMPLE = ROOT / "samples/plain-eyelid.json"
BELOW = {"linkId": "b", "text": "b", "type": "string"}
YES, NO, NOT_SURE = "LA33-6", "LA32-8", "LA12688-0"


@pytest.fixture
def plain(served):
    """Answers of somebody at whom nothing alarming is found."""
    pair = next(pair for pair in served.pairs.values() if pair.slug == "muscle-twitching" and pair.is_active)
    return pair.guidance.cases[0].answers


@pytest.fixture
def some(served):
    """Answers to the six questions of a short form."""
    pair = next(pair for pair in served.pairs.values() if pair.slug == "workday-strain")
    return pair.guidance.cases[0].answers


def start(driver: FormDriver, age: str = "30") -> ParsedPage:
    """Fills in the first page, on which somebody says who answers; the age is asked next on the same page."""
    driver.press("next", {"q.completed-by": ["patient"]})
    return driver.press("next", {"q.age": [age]})


# pages


def test_a_question_that_an_answer_opens_is_asked_next_and_is_not_missing_before(person):
    driver = person()
    assert "q.age" in driver.page.closed
    page = driver.press("next", {"q.completed-by": ["patient"]})
    assert page.main["data-page"] == "start"
    assert "q.age" in page.controls
    assert driver.answered.status_code == 200
    page = driver.press("next")
    assert driver.answered.status_code == 422
    assert page.main["data-page"] == "start"


def test_with_a_script_a_question_that_was_opened_is_missing_at_once(person):
    driver = person()
    driver.press("next", {"q.completed-by": ["patient"]}, live="1")
    assert driver.answered.status_code == 422
    assert any(link.startswith("#q") for link in driver.page.links)


def test_what_was_typed_stays_in_its_box_and_every_fault_of_a_page_is_said_at_once(person):
    driver = person()
    driver.press("next", {"q.completed-by": ["patient"]})
    page = driver.press("next", {"q.age": ["forty"]})
    assert page.controls["q.age"].chosen == ["forty"]
    assert driver.answered.status_code == 422
    driver = person("curb-65")
    driver.press("next")
    page = driver.press("next")
    assert driver.answered.status_code == 422
    (problem,) = [link for link in page.links if link.startswith("#q")]
    assert f'id="{problem[1:]}"' in driver.answered.get_data(as_text=True)


def test_back_shows_the_page_before_with_its_answers_and_forgets_nothing(person):
    driver = person()
    start(driver)
    page = driver.press("back", {"q.emergency-signs": ["none"]})
    assert page.main["data-page"] == "start"
    assert page.controls["q.completed-by"].chosen == ["patient"]
    page = driver.press("next")
    assert page.main["data-page"] == "urgent"
    assert page.controls["q.emergency-signs"].chosen == ["none"]


def test_what_cannot_be_read_is_no_answer_and_stands_in_its_box_again_until_it_is_mended(person, plain):
    """Somebody who changes an answer goes back from the middle of that: the one before counts no longer."""
    driver = person()
    while driver.page.main["data-kind"] != "check":
        driver.answer(plain)
    page = driver.press("change:place-time")
    assert page.controls["q.duration"].chosen == ["3"]
    driver.press("back", {"q.duration": ["forty"]})
    driver.press("back")
    assert "forty" not in driver.post("save").get_data(as_text=True)
    driver.press("show", page="check")
    assert driver.page.main["data-page"] == "place-time"
    assert driver.page.controls["q.duration"].chosen == ["forty"]
    assert driver.press("next").controls["q.duration"].chosen == ["forty"]
    assert driver.answered.status_code == 422
    driver.press("next", {"q.duration": ["4"]})
    assert driver.press("change:place-time").controls["q.duration"].chosen == ["4"]


def test_answers_of_a_closed_question_are_dropped(person):
    driver = person()
    start(driver, "30")
    driver.press("back")
    driver.press("next", {"q.completed-by": ["professional"]})
    driver.press("next")
    driver.press("back")
    page = driver.press("next", {"q.completed-by": ["patient"]})
    assert page.controls["q.age"].chosen == [""]


def test_a_page_without_an_enabled_question_is_left_out(person, plain):
    driver = person()
    driver.finish(plain)
    assert not {"examination", "tests", "chart"} & set(driver.visited)


def test_a_change_leads_back_to_the_answers_unless_it_opens_a_question(person, plain):
    driver = person()
    while driver.page.main["data-kind"] != "check":
        driver.answer(plain)
    page = driver.press("change:start")
    assert page.main["data-page"] == "start"
    page = driver.press("next", {"q.age": ["31"]})
    assert page.main["data-kind"] == "check"
    assert "31" in page.text
    driver.press("change:strength")
    page = driver.press("next", {"q.weakness": [YES]})
    assert page.main["data-page"] == "strength"
    assert "q.weakness-sites" in page.controls


def test_a_result_can_be_changed_and_is_amended_then(person, some):
    driver = person("workday-strain")
    driver.finish(some)
    first = orjson.loads(driver.post("response.json").data)
    driver.press("change:effect")
    driver.press("next")
    driver.press("send")
    second = orjson.loads(driver.post("response.json").data)
    assert (first["status"], second["status"]) == ("completed", "amended")
    assert first["identifier"] == second["identifier"]


def test_send_asks_for_what_is_missing(person, plain):
    driver = person()
    while driver.page.main["data-kind"] != "check":
        driver.answer(plain)
    driver.press("change:strength")
    driver.press("back", {"q.weakness": [YES]})
    page = driver.press("send")
    assert driver.answered.status_code == 422
    assert page.main["data-page"] == "strength"


def test_a_page_can_be_shown_again_and_the_result_too(person, some):
    driver = person("workday-strain")
    driver.answer(some)
    name = driver.page.main["data-page"]
    assert driver.press("show").main["data-page"] == name
    driver.finish(some)
    before = driver.answered.get_data(as_text=True)
    assert driver.press("show").main["data-kind"] == "result"
    assert _without_state(driver.answered.get_data(as_text=True)) == _without_state(before)


def _without_state(html: str) -> str:
    return re.sub(r'name="state" value="[^"]*"', "", html)


# the safety steps


def test_an_emergency_sign_ends_the_form_at_once(person):
    driver = person()
    start(driver)
    page = driver.press("next", {"q.emergency-signs": ["severe-breathlessness"]})
    assert page.main["data-kind"] == "emergency"
    assert page.main["data-status"] == "in-progress"
    assert not [name for name in page.buttons if name.startswith(("next", "back", "change", "send"))]
    assert orjson.loads(driver.post("export").data)["entry"][0]["resource"]["status"] == "in-progress"
    assert driver.press("show").main["data-kind"] == "emergency"


def test_an_emergency_sign_that_stands_on_a_page_is_not_passed_over_on_the_way_back(person):
    driver = person()
    start(driver)
    page = driver.press("back", {"q.emergency-signs": ["severe-breathlessness"]})
    assert page.main["data-kind"] == "emergency"


def test_an_emergency_sign_ends_the_form_although_something_else_on_its_page_is_wrong(person):
    driver = person()
    start(driver)
    driver.press("next", {"q.emergency-signs": ["none"]})
    signs = {"q.new-medicine": [YES], "q.medicine-signs": ["fever"]}
    page = driver.press("next", signs, live="1")  # nothing is said about the urgent signs, which must be
    assert page.main["data-kind"] == "emergency"


def test_at_an_urgent_sign_only_questions_that_could_lead_higher_are_asked(person, plain):
    driver = person()
    start(driver)
    driver.press("next", {"q.emergency-signs": ["none"]})
    page = driver.press("next", {"q.urgent-signs": ["seizure"], "q.new-medicine": [NO]})
    assert page.main["data-kind"] == "question"
    urgent_at = len(driver.visited)
    page = driver.finish(plain)
    assert page.main["data-kind"] == "emergency"
    asked = set(driver.visited[urgent_at - 1 : -1])
    assert asked
    assert not asked & {"place-time", "pattern", "triggers-habits", "concerns", "check"}


# saving, going on, starting again


def resumed(driver: FormDriver, data: bytes) -> ParsedPage:
    return driver.press("resume", file=(io.BytesIO(data), "saved.json"))


def test_what_was_saved_can_be_gone_on_with(person, plain):
    driver = person()
    for _ in range(5):
        driver.answer(plain)
    name = driver.page.main["data-page"]
    saved = driver.post("save")
    assert saved.headers["Content-Disposition"].startswith("attachment")
    assert saved.headers["Cache-Control"] == "no-store"
    response = orjson.loads(saved.data)
    assert response["status"] == "in-progress"
    other = person()
    assert resumed(other, saved.data).main["data-page"] == name
    assert other.finish(plain).main["data-kind"] == "result"
    driver.finish(plain)
    ends = [orjson.loads(each.post("response.json").data) for each in (driver, other)]
    assert ends[0]["item"] == ends[1]["item"]
    assert ends[0]["identifier"] == ends[1]["identifier"]


def test_a_finished_response_goes_on_at_its_answers_and_keeps_whose_it_is(person, some):
    driver = person("workday-strain")
    driver.finish(some)
    response = orjson.loads(driver.post("response.json").data)
    head = {"id": "r1", "subject": {"reference": "Patient/7"}, "encounter": {"reference": "Encounter/8"}}
    other = person("workday-strain")
    page = other.press("resume", response=orjson.dumps(response | head).decode())
    assert page.main["data-kind"] == "check"
    other.press("send")
    again = orjson.loads(other.post("response.json").data)
    assert again["status"] == "amended"
    assert {name: again[name] for name in head} == head
    assert again["item"] == response["item"]


AS_OF = "These answers are of 1 November 2026."


def test_answers_of_another_day_are_asked_for_again(person, plain, clock):
    """ "For 3 days" of three weeks ago is not for 3 days; nor is it after the file was saved once more."""
    driver = person()
    while driver.page.main["data-kind"] != "check":
        driver.answer(plain)
    saved = driver.post("save").data
    clock.at += timedelta(hours=23)
    assert AS_OF not in resumed(person(), saved).text
    clock.at += timedelta(days=20)
    again = person()
    resumed(again, saved)
    exported = orjson.loads(again.post("export").data)["entry"][0]["resource"]
    for file in (saved, again.post("save").data, orjson.dumps(exported)):
        other = person()
        page = resumed(other, file)
        assert (page.main["data-page"], AS_OF in page.text) == ("start", True)
        assert "patient" in page.controls["q.completed-by"].chosen
        assert other.press("send").main["data-kind"] == "question"
        before = len(other.visited)
        while other.page.main["data-kind"] != "check":
            other.press("next")
        assert {"urgent", "place-time", "concerns"} <= {*other.visited[before:]}
        assert AS_OF in other.page.text
        assert orjson.loads(other.post("save").data)["authored"] == "2026-11-22T11:00:00Z"
        assert AS_OF not in other.press("send").text
        assert orjson.loads(other.post("response.json").data)["authored"] == "2026-11-22T11:00:00Z"


@pytest.mark.parametrize(
    ("authored", "said"),
    [(None, "of an earlier day"), ("2026-10", "of October 2026"), ("2027-03-01", "of 1 March 2027")],
)
def test_so_are_those_of_a_finished_response_and_of_an_unknown_day(person, some, authored, said):
    driver = person("workday-strain")
    driver.finish(some)
    response = orjson.loads(driver.post("response.json").data) | {"authored": authored}
    response = {name: value for name, value in response.items() if value is not None}
    page = person("workday-strain").press("resume", response=orjson.dumps(response).decode())
    assert (page.main["data-kind"], said in page.text) == ("question", True)


def test_a_page_that_was_left_open_for_a_day_asks_again_what_stands_there(settings, some, clock):
    lasting = app.create_app(replace(settings, form_max_age_h=720), clock).test_client()
    driver = FormDriver(lasting, "/questionnaires/workday-strain")
    driver.open()
    driver.answer(some)
    driver.finish(some)
    clock.at += timedelta(days=20)
    page = driver.press("show")
    assert page.main["data-kind"] == "result", "what was sent stays what it was"
    assert AS_OF in driver.press(f"change:{driver.visited[1]}").text
    assert driver.press("send").main["data-kind"] == "question"


def test_the_day_of_an_answer_is_that_of_the_zone_of_the_machine(monkeypatch, person, plain, clock):
    """Late in the evening in New York it is the next day in London: that would be a day too many."""
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    try:
        assert app._now().isoformat().endswith("-05:00")
    finally:
        monkeypatch.undo()
        time.tzset()
    clock.at = datetime.fromisoformat("2026-11-05T21:30:00-05:00")
    driver = person()
    driver.finish(plain)
    response = orjson.loads(driver.post("response.json").data)
    assert response["authored"] == "2026-11-05T21:30:00-05:00"
    risk = orjson.loads(driver.post("risk.json").data)
    day = re.search(r"([0-9]+) November", risk["mitigation"])[1]
    assert f";VALUE=DATE:202611{day}" in driver.post("calendar.ics").text
    clock.at = datetime.fromisoformat("2026-11-05T12:00:00+00:00")
    other = person()
    other.finish(plain)
    assert orjson.loads(other.post("risk.json").data)["mitigation"] == risk["mitigation"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"resourceType":"Patient"}',
        b'{"resourceType":"QuestionnaireResponse","status":"in-progress","status":"completed"}',
        b'{"resourceType":"QuestionnaireResponse","status":"in-progress","questionnaire":"urn:other|1"}',
    ],
)
def test_a_file_that_does_not_fit_is_said_to_and_nothing_of_the_page_is_lost(person, data):
    driver = person()
    page = driver.press("resume", {"q.completed-by": ["helper"]}, file=(io.BytesIO(data), "saved.json"))
    assert driver.answered.status_code == 422
    assert page.main["data-kind"] == "question"
    assert page.controls["q.completed-by"].chosen == ["helper"]


@pytest.mark.parametrize("action", ["resume", "compare"])
def test_without_a_file_one_is_asked_for_where_it_can_be_chosen(person, action):
    html = pressed(person(), action)
    assert '<a href="#file">Choose the file first</a>' in html
    assert "<details open>" in html
    assert 'name="file" accept=".json,application/json" aria-invalid="true"' in html
    assert "JSON" not in ParsedPage(html).text


def pressed(driver: FormDriver, action: str, data: bytes = b"") -> str:
    driver.press(action, file=(io.BytesIO(data), "saved.json"))
    assert driver.answered.status_code == 422
    return driver.answered.get_data(as_text=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"questionnaire": "urn:other|1"}, "Diese Datei können wir nicht verwenden"),
        ({"questionnaire": None}, "Die Fragen haben sich geändert"),
    ],
)
def test_what_is_said_in_english_of_a_file_is_folded_away_and_named_as_english(person, change, said):
    driver = person(query="?language=de")
    saved = orjson.loads(driver.post("save").data)
    older = {"questionnaire": saved["questionnaire"].replace("|1.", "|0.")}
    html = pressed(driver, "resume", orjson.dumps(saved | (change if change["questionnaire"] else older)))
    summary, _, technical = html.partition('<ul lang="en">')
    assert f'<a href="#file">{said}</a>' in summary
    assert "Expected" not in summary
    assert "Expected: questionnaire" in technical
    assert summary.rstrip().endswith("</summary>")


def test_a_file_that_does_not_fit_is_told_on_the_page_that_asks_for_whom_one_answers(person):
    driver = person("workday-strain")
    assert driver.page.main["data-page"] == "?"
    html = pressed(driver, "resume", b"{}")
    assert driver.page.main["data-page"] == "?"
    assert "We cannot use this file" in html


def test_an_answer_in_a_file_that_does_not_fit_is_named_without_the_answer(person, some):
    driver = person("workday-strain")
    driver.finish(some)
    response = orjson.loads(driver.post("response.json").data)
    response["item"][0]["item"][0]["answer"] = [{"valueCoding": {"system": "urn:x", "code": "canary-answer"}}]
    other = person("workday-strain")
    page = other.press("resume", response=orjson.dumps(response).decode())
    assert other.answered.status_code == 422
    assert response["item"][0]["item"][0]["text"] in page.text
    assert "canary-answer" not in page.text


def with_the_age_of_a_patient(driver: FormDriver) -> dict:
    """Returns a response in progress with an answer to a question that its other answers close."""
    start(driver)
    response = orjson.loads(driver.post("save").data)
    page = response["item"][0]
    age = next(item for item in page["item"] if item["linkId"] == "age")
    page["item"].append(age | {"linkId": "patient-age", "text": "How old is the patient?"})
    return response


def test_an_answer_to_a_closed_question_is_filled_in_when_that_opens(person):
    response = with_the_age_of_a_patient(person())
    other = person()
    page = other.press("resume", response=orjson.dumps(response).decode())
    assert "How old is the patient?" not in page.text
    again = orjson.loads(other.post("save").data)
    assert [item["linkId"] for item in again["item"][0]["item"]] == ["completed-by", "age"]
    other.press("back")
    page = other.press("next", {"q.completed-by": ["professional"]})
    assert page.controls["q.patient-age"].chosen == ["30"]
    again = orjson.loads(other.post("save").data)
    assert [item["linkId"] for item in again["item"][0]["item"]] == ["completed-by", "patient-age"]


def test_an_answer_that_was_offered_and_taken_out_does_not_come_back(person):
    response = with_the_age_of_a_patient(person())
    other = person()
    other.press("resume", response=orjson.dumps(response).decode())
    other.press("back")
    other.press("next", {"q.completed-by": ["professional"], "q.patient-age": [""]}, live="1")
    again = orjson.loads(other.post("save").data)
    assert [item["linkId"] for item in again["item"][0]["item"]] == ["completed-by"]


def test_a_finished_response_with_an_answer_that_is_closed_is_refused_and_the_question_named(person):
    response = with_the_age_of_a_patient(person()) | {"status": "completed"}
    driver = person()
    page = driver.press("resume", response=orjson.dumps(response).decode())
    assert driver.answered.status_code == 422
    assert "How old is the patient?" in page.text


@pytest.mark.parametrize(
    "change",
    [
        {"status": "entered-in-error"},
        {"status": "stopped"},
        {"subject": {"reference": "Practitioner/1"}},
        {"meta": {"tag": [{"code": "SUBSETTED"}]}},
        {"authored": "yesterday"},
    ],
)
def test_what_is_gone_on_with_is_checked_as_strictly_as_what_is_assessed(person, change):
    driver = person()
    start(driver)
    response = orjson.loads(driver.post("save").data) | change
    other = person()
    other.press("resume", response=orjson.dumps(response).decode())
    assert other.answered.status_code == 422


def test_where_an_answer_was_filled_in_from_is_shown_until_it_is_changed(person):
    driver = person()
    start(driver)
    response = orjson.loads(driver.post("save").data)
    url = "https://guidance.example.org/fhir/StructureDefinition/answer-origin"
    origin = {
        "url": url,
        "extension": [
            {"url": "source", "valueReference": {"reference": "Patient/1"}},
            {"url": "date", "valueDateTime": "2026-10-03"},
        ],
    }
    response["item"][0]["item"][1]["answer"][0]["extension"] = [origin]
    other = person()
    page = other.press("resume", response=orjson.dumps(response).decode())
    assert page.main["data-page"] == "start", "nobody has confirmed it"
    assert "3 October 2026" in page.text
    kept = orjson.loads(other.post("save").data)["item"][0]["item"][1]["answer"][0]
    assert kept["extension"] == [origin]
    changed = orjson.loads(other.post("save", {"q.age": ["44"]}).data)["item"][0]["item"][1]["answer"][0]
    assert changed == {"valueInteger": 44}


def test_start_again_forgets_everything(person):
    driver = person()
    start(driver)
    identifier = orjson.loads(driver.post("save").data)["identifier"]
    page = driver.press("restart")
    assert page.main["data-page"] == "start"
    assert page.controls["q.completed-by"].chosen == []
    response = orjson.loads(driver.post("save").data)
    assert "item" not in response
    assert response["identifier"] != identifier
    page = driver.press("show", page="concerns")  # the browser's own way back
    assert page.main["data-page"] == "start", "nobody else goes on where they were"


# the response and who answers


@pytest.mark.parametrize(
    ("who", "kind"), [("patient", "Patient"), ("helper", "RelatedPerson"), ("professional", "Practitioner")]
)
def test_the_response_says_who_answered_as_the_guidance_names_it(person, who, kind):
    driver = person()
    driver.press("next", {"q.completed-by": [who]})
    assert orjson.loads(driver.post("save").data)["source"]["type"] == kind


@pytest.mark.parametrize(("who", "kind"), [("self", "Patient"), ("other", "RelatedPerson")])
def test_a_form_that_does_not_ask_who_answers_asks_it_first(person, some, who, kind):
    driver = person("workday-strain")
    assert driver.page.main["data-page"] == "?"
    page = driver.press("next", {"q.?": [who]})
    assert "q.tense" in page.controls or page.main["data-page"] != "?"
    assert driver.press("back").controls["q.?"].chosen == [who]
    driver.press("next")
    assert orjson.loads(driver.post("save").data)["source"]["type"] == kind
    driver.finish(some)
    assert orjson.loads(driver.post("response.json").data)["source"]["type"] == kind


def test_for_whom_somebody_answers_stands_among_the_answers_and_can_be_changed(person, some):
    driver = person("workday-strain")
    driver.press("next", {"q.?": ["self"]})
    while driver.page.main["data-kind"] != "check":
        driver.answer(some)
    assert "For myself" in driver.page.text
    driver.press("change:?")
    page = driver.press("next", {"q.?": ["other"]})
    assert page.main["data-kind"] == "check"
    assert "For somebody else" in page.text


def test_the_export_is_a_bundle_with_the_response_first(person, some):
    driver = person("workday-strain")
    driver.finish(some)
    answer = driver.post("export")
    assert answer.headers["Content-Type"] == "application/fhir+json"
    assert answer.headers["Cache-Control"] == "no-store"
    kinds = [entry["resource"]["resourceType"] for entry in orjson.loads(answer.data)["entry"]]
    assert kinds[:2] == ["QuestionnaireResponse", "RiskAssessment"]
    assert {"Observation", "DocumentReference"} <= set(kinds)


# languages


def test_a_form_is_in_the_language_that_is_wanted_and_can_be_switched(person, client):
    german = client.get(PATH, headers={"Accept-Language": "de-CH,en;q=0.5"})
    assert 'lang="de"' in german.get_data(as_text=True)
    driver = person(query="?language=de")
    driver.press("next", {"q.completed-by": ["patient"]})
    assert "Wie alt sind Sie?" in driver.page.text
    page = driver.press("language:en")
    assert "How old are you?" in page.text
    assert page.controls["q.completed-by"].chosen == ["patient"]
    page = driver.press("language:de", {"q.age": ["forty-one"]})
    assert page.controls["q.age"].chosen == ["forty-one"]
    assert driver.press("language:en", {"q.age": ["41"]}).controls["q.age"].chosen == ["41"]
    response = orjson.loads(driver.post("save").data)
    assert response["language"] == "en"


def test_a_decimal_is_read_as_the_language_writes_it(person):
    driver = person(query="?language=de")
    page = driver.press("next", {"q.completed-by": ["patient"], "q.age": ["30,5"]}, live="1")
    assert "ganze Zahl" in page.text


# refusals


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://["},
    ],
)
def test_a_form_that_a_page_of_another_origin_sends_is_refused(client, person, headers):
    driver = person()
    sent = {**driver.page.hidden, "action": "next", "q.completed-by": "patient"}
    answer = client.post(PATH, data=sent, headers=headers)
    assert answer.status_code == 403
    assert 'data-kind="message"' in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost"},
        {"Origin": "http://127.0.0.1:8000"},
        {},
    ],
)
def test_a_form_that_its_own_page_sends_is_taken(client, person, headers):
    driver = person()
    sent = {**driver.page.hidden, "action": "next", "q.completed-by": "patient"}
    assert client.post(PATH, data=sent, headers=headers).status_code == 200


def test_a_page_that_is_too_old_says_so(person, clock):
    driver = person()
    clock.at += timedelta(hours=24, seconds=1)
    page = driver.press("next", {"q.completed-by": ["patient"]})
    assert driver.answered.status_code == 400
    assert page.main["data-kind"] == "message"
    assert page.main["data-status"] == "old"


@pytest.mark.parametrize("action", ["next", "send", "show", "export", "save", "response.json", "resume"])
def test_a_state_that_was_changed_is_refused_and_nothing_is_evaluated(person, action):
    driver = person()
    driver.page.hidden["state"] = driver.page.hidden["state"][:-3] + "AAA"
    answer = driver.post(action)
    assert answer.status_code == 400
    assert 'data-status="refused"' in answer.get_data(as_text=True)


def test_a_state_of_another_form_is_refused(person, client):
    driver = person("workday-strain")
    answer = client.post(PATH, data={**driver.page.hidden, "action": "next"})
    assert answer.status_code == 400
    assert 'data-status="other-version"' in answer.get_data(as_text=True)


def test_what_is_no_form_or_too_long_is_refused(client, person):
    state = person().page.hidden["state"]
    assert client.post(PATH, data=b"{}", content_type="application/json").status_code == 415
    assert client.post(PATH, data={"state": state, "q.x": "y" * 1_100_000}).status_code == 413
    cut = client.post(PATH, data=b"--x\r\nbroken", content_type="multipart/form-data; boundary=x")
    assert cut.status_code == 400


def test_a_form_may_have_many_controls_and_a_file_any_name_and_content(client):
    hidden = ParsedPage(client.get(PATH).get_data(as_text=True)).hidden | {"action": "show"}
    many = {f"q.{number}": "x" for number in range(1900)}
    assert client.post(PATH, data=hidden | many).status_code == 200
    assert client.post(PATH, data=hidden | many, content_type="multipart/form-data").status_code == 200
    saved = {**orjson.loads(SAMPLE.read_bytes()), "status": "in-progress"}
    data = orjson.dumps(saved, option=orjson.OPT_INDENT_2).replace(b"\n", b"\r\n\r\n" * 20)
    sent = hidden | {"action": "resume", "file": (io.BytesIO(data), "a; b=c; d;;" * 20 + ".json")}
    assert client.post(PATH, data=sent, content_type="multipart/form-data").status_code == 200


@pytest.mark.parametrize("method", ["get", "post"])
def test_there_is_no_form_of_another_name(client, method):
    answer = getattr(client, method)("/questionnaires/none", headers={"Accept": "text/html"})
    assert answer.status_code == 404


def test_a_form_is_shown_in_the_frames_of_listed_origins_alone(client):
    assert client.get(f"{PATH}?parent=https://app.example.org").status_code == 200
    assert client.get(f"{PATH}?parent=https://evil.example").status_code == 403
    policy = client.get(PATH).headers["Content-Security-Policy"]
    assert "frame-ancestors https://app.example.org" in policy


# headers, access, logs


def test_pages_run_nothing_but_their_own_files_and_are_kept_nowhere(person, client):
    driver = person()
    driver.press("next")
    for answer in (client.get(PATH), driver.answered):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in answer.headers
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_pages_of_other_origins_may_not_read_a_form_even_if_they_are_registered(settings, served):
    allowed = app.create_app(replace(settings, cors_origins="https://app.example.org")).test_client()
    origin = {"Origin": "https://app.example.org"}
    assert "Access-Control-Allow-Origin" not in allowed.get(PATH, headers=origin).headers
    asked = origin | {"Access-Control-Request-Method": "POST"}
    assert "Access-Control-Allow-Origin" not in allowed.options(PATH, headers=asked).headers


def test_a_page_is_compressed_where_the_browser_takes_that(client):
    plain, packed = client.get(PATH), client.get(PATH, headers={"Accept-Encoding": "br, gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert "Content-Encoding" not in client.get(PATH, headers={"Accept-Encoding": "gzip;q=0"}).headers
    assert b"<main" in gzip.decompress(packed.data)
    assert plain.headers["Vary"] == "Accept-Encoding"


def test_styles_and_scripts_are_kept_for_a_year_under_names_of_their_own(client):
    html = client.get(PATH).get_data(as_text=True)
    for path in re.findall(r'"(/static/[^"]+)"', html):
        answer = client.get(path, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
        assert gzip.decompress(answer.data)
    plain = client.get("/static/form.css")
    assert plain.headers["Cache-Control"] == "no-cache"
    tag = {"If-None-Match": plain.headers["ETag"]}
    assert client.get("/static/form.css", headers=tag).status_code == 304
    assert client.get("/static/model.py").status_code == 404


def test_styles_and_scripts_come_without_their_comments_and_with_the_licence_of_others(client):
    script = client.get("/static/form.js").get_data(as_text=True)
    written = (FOLDER / "form.js").read_text()
    code = [line for line in written.splitlines() if line and not line.strip().startswith(("//", "/*"))]
    assert "Every page works without this script" in written
    assert script.splitlines() == [line for line in code if "Every page works" not in line]
    assert "/*" not in client.get("/static/form.css").get_data(as_text=True)
    assert without_comments(b"/* a */ .b{}\n.c{}\n/* d\n * e */\n.f{}\n") == b"/* a */ .b{}\n.c{}\n.f{}\n"
    foreign = "fhir-client.pure.min.js"
    assert client.get(f"/static/{foreign}").data == (FOLDER / foreign).read_bytes()


def test_below_a_path_of_its_host_a_form_leads_there(settings):
    below = replace(settings, base_url="https://clinic.example.org/ask/fhir")
    client = app.create_app(below).test_client()
    html = client.get(PATH).get_data(as_text=True)
    assert f'action="/ask{PATH}"' in html
    assert re.findall(r'"(/[a-z]+/static/)', html)
    page = ParsedPage(html)
    for origin, status in (("https://clinic.example.org", 200), ("http://clinic.example.org", 403)):
        sent = {**page.hidden, "action": "next", "q.completed-by": "patient"}
        assert client.post(PATH, data=sent, headers={"Origin": origin}).status_code == status


def test_without_the_setting_there_is_no_form(settings):
    closed = app.create_app(replace(settings, public_form=False)).test_client()
    assert closed.get(PATH).status_code == 404
    assert closed.get("/static/form.css").status_code == 404
    assert orjson.loads(closed.get("/").data)["forms"] == []


def test_what_the_script_puts_into_a_page_may_do_nothing_alone(client):
    page = ParsedPage(client.get(PATH).get_data(as_text=True))
    sent = {**page.hidden, "action": "next", "part": "1", "live": "1"}
    answer = client.post(PATH, data=sent)
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["Cache-Control"] == "no-store"
    del sent["part"]
    assert "script-src 'self'" in client.post(PATH, data=sent).headers["Content-Security-Policy"]


def test_a_large_file_is_read_in_a_child_and_its_faults_are_told_in_few_lines(client, monkeypatch):
    """Reading one took half a second in which nobody else was answered."""
    children = []
    call = Sandbox.call
    monkeypatch.setattr(Sandbox, "call", lambda *args: (children.append(1), call(*args))[1])
    page = ParsedPage(client.get(PATH).get_data(as_text=True))
    saved = orjson.loads(SAMPLE.read_bytes()) | {"status": "in-progress"}
    many = orjson.dumps(saved | {"item": saved["item"] * 40})
    for data, status, made in ((orjson.dumps(saved), 200, 0), (many, 422, 1)):
        sent = {**page.hidden, "action": "resume", "file": (io.BytesIO(data), "saved.json")}
        answer = client.post(PATH, data=sent, content_type="multipart/form-data")
        assert (answer.status_code, len(children)) == (status, made)
    assert len(answer.data) < 20_000


def test_a_file_that_would_make_every_page_heavy_is_refused(client):
    page = ParsedPage(client.get(PATH).get_data(as_text=True))
    saved = orjson.loads(SAMPLE.read_bytes()) | {"status": "in-progress"}
    basics = [{"resourceType": "Basic", "id": f"b{i}", "code": {"text": "z" * 90}} for i in range(1000)]
    named = [{"reference": f"#b{i}"} for i in range(1000)]
    heavy = orjson.dumps(saved | {"contained": basics, "partOf": named})
    sent = {**page.hidden, "action": "resume", "file": (io.BytesIO(heavy), "saved.json")}
    answer = client.post(PATH, data=sent, content_type="multipart/form-data")
    assert answer.status_code == 422
    assert "Expected at most 65536 bytes" in answer.get_data(as_text=True)


def test_ehrs_without_forms_to_launch_stop_the_start(settings, tmp_path):
    named = replace(settings, public_form=False, ehrs_file=tmp_path / "ehrs.yaml")
    entry = "issuer: https://ehr.example.org/fhir\n    client-id: app\n    scopes: [patient/Patient.r]\n"
    named.ehrs_file.write_text(f"ehrs:\n  - {entry}")
    with pytest.raises(SettingsError, match="SERVICE_EHRS_FILE: expected SERVICE_PUBLIC_FORM=true"):
        app.create_app(named)


def test_the_front_page_links_to_the_forms(client):
    html = client.get("/", headers={"Accept": "text/html"}).get_data(as_text=True)
    assert f'href="http://127.0.0.1:8000{PATH}"' in html
    assert [form["url"] for form in orjson.loads(client.get("/").data)["forms"]]


def test_nothing_that_was_answered_is_logged_or_said_in_an_error(person, log):
    driver = person()
    driver.press("next", {"q.completed-by": ["patient"], "q.age": ["canary-answer"]}, live="1")
    said = [line for line in driver.page.text.splitlines() if "canary" in line]
    driver.press("next", {"q.completed-by": ["canary-option"]})
    head = '{"resourceType":"QuestionnaireResponse","id":"canary-id","status":"canary-status"}'
    driver.press("resume", response=head)
    driver.post("canary-action", {"canary-control": ["canary-value"]})
    assert said == []
    assert "canary" not in driver.page.text
    assert "service.request" in log.getvalue()
    assert "canary" not in log.getvalue()


# forms that cannot be shown


ENABLE_WHEN_EXPRESSION = {
    "url": "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression",
    "valueExpression": {"language": "text/fhirpath", "expression": "%resource.item.exists()"},
}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"type": "attachment"}, "file"),
        ({"type": "reference"}, "record"),
        (
            {"type": "group", "repeats": True, "item": [BELOW]},
            "group",
        ),
        ({"type": "date", "repeats": True}, "type date"),
        ({"type": "choice", "answerValueSet": "http://example.org/unknown"}, "options"),
        ({"type": "string", "extension": [ENABLE_WHEN_EXPRESSION]}, "enableWhenExpression"),
    ],
)
def test_what_cannot_be_shown_is_named(item, reason):
    resource = {
        "resourceType": "Questionnaire",
        "url": "https://example.org/q",
        "version": "1",
        "status": "active",
        "item": [{"linkId": "a", "text": "a", **item}],
    }
    (said,) = not_shown(compile_questionnaire(resource, value_sets_from(())).items)
    assert said.startswith("a: ")
    assert reason in said


def test_quantities_with_a_unit_of_several_and_a_coded_answer_come_back(person, plain):
    driver = person()
    driver.finish({**plain, "duration": (Quantity(plain["duration"][0].value, "wk"),)})
    response = orjson.loads(driver.post("response.json").data)
    pages = {item["linkId"]: item for item in response["item"]}
    duration = next(i for i in pages["place-time"]["item"] if i["linkId"] == "duration")
    assert duration["answer"][0]["valueQuantity"]["code"] == "wk"
    assert Coding("http://loinc.org", NO) in plain["weakness"]
