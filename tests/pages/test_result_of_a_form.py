"""A form from its first page to its result: what is told there, its files, what is stored with consent."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from copy import copy
from pathlib import Path
from typing import Any

import orjson
import pytest
from form_driver import FormDriver
from result_pages import Reader

from service import app, catalogue
from service.assess import Assessor
from service.catalogue import Pair
from service.errors import SettingsError
from service.fhir.json import BodyLimits
from service.languages import words_in
from service.settings import Settings
from service.storage.model import StoreUnavailable

PATH = "/questionnaires/muscle-twitching"
PLAIN = "plain-eyelid-three-days"
EMERGENCY = "shaking-after-stopping-alcohol-is-an-emergency"
NOTICE = "https://clinic.example.org/privacy"
EN = words_in("en")


@pytest.fixture(scope="session")
def served() -> catalogue.Catalogue:
    settings = Settings()
    return catalogue.read(settings.questionnaires_dir, settings.mappings_dir)


@pytest.fixture(scope="session")
def pair(served: catalogue.Catalogue) -> Pair:
    (found,) = [pair for pair in served.pairs.values() if pair.is_active]
    return found


@pytest.fixture(scope="session")
def client() -> Any:
    return app.create_app(Settings(store_url="none", emergency_number="112")).test_client()


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("forms") / "forms.db"


@pytest.fixture(scope="session")
def storing(file: Path) -> Any:
    settings = Settings(store_url=f"sqlite:///{file}", form_stores=True, privacy_notice_url=NOTICE)
    return app.create_app(settings).test_client()


@pytest.fixture(autouse=True)
def _nothing_is_stored_before(file: Path) -> Iterator[None]:
    yield
    if file.exists():
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            for (name,) in connection.execute(
                "select name from sqlite_master where type = 'table'"
            ).fetchall():
                if name not in ("alembic_version", "sqlite_sequence"):
                    connection.execute(f'delete from "{name}"')


@pytest.fixture
def answers(pair: Pair) -> Callable[[str], Any]:
    return lambda name: next(case.answers for case in pair.guidance.cases if case.name == name)


def stored(file: Path) -> list[tuple[str, str, int]]:
    with closing(sqlite3.connect(file)) as connection:
        return sorted(connection.execute("select type, id, version from record"))


def responses(file: Path) -> list[tuple[str, int]]:
    return [(of_id, version) for kind, of_id, version in stored(file) if kind == "QuestionnaireResponse"]


_FILLED_IN: dict[tuple[int, str], FormDriver] = {}


def filled_in(client: Any, answers: Any) -> FormDriver:
    """A form with these answers at the page on which they are checked, or where it has stopped.

    What was answered travels with the page: a form that was filled in once can be sent by every test.
    """
    key = id(client), repr(answers)
    if key not in _FILLED_IN:
        form = FormDriver(client, PATH)
        form.open("?language=en")
        while form.page.main["data-kind"] == "question":
            form.answer(answers)
        _FILLED_IN[key] = form
    return copy(_FILLED_IN[key])


def finished(client: Any, answers: Any, **controls: list[str]) -> FormDriver:
    """A form that was filled in and sent; `controls` are ticked on the page on which answers are checked."""
    form = filled_in(client, answers)
    if form.page.main["data-kind"] == "check":
        form.press("send", controls)
    return form


# Without a store.


def test_the_result_is_that_of_assess_and_so_are_its_files(client, answers, served):
    form = finished(client, answers(PLAIN))
    response = form.post("response.json")
    assert response.headers["Content-Disposition"] == 'attachment; filename="questionnaire-response.json"'
    assert response.headers["Cache-Control"] == "no-store"
    assessor = Assessor(served, BodyLimits())
    assert form.post("risk.json").data.decode() == assessor.shown(response.data, "risk", ("en",))
    text = Reader(form.answered.get_data(as_text=True)).text(outside="details.doctor")
    for line in assessor.shown(response.data, "text", ("en",)).splitlines():
        assert " ".join(line.removeprefix("- ").removesuffix(":").split()) in text


def test_the_calendar_is_a_file_of_its_own_kind(client, answers):
    calendar = finished(client, answers(PLAIN)).post("calendar.ics")
    assert calendar.headers["Content-Type"] == "text/calendar; charset=utf-8"
    assert calendar.data.startswith(b"BEGIN:VCALENDAR\r\n")


def test_a_calendar_that_there_is_not_is_the_result_again(client, answers):
    form = finished(client, answers(EMERGENCY))
    again = form.press("calendar.ics")
    assert again.main["data-kind"] == "emergency"
    assert form.answered.headers["Content-Type"].startswith("text/html")


def test_every_answer_stands_on_the_page_with_its_question(client, answers, pair):
    given = answers(PLAIN)
    form = finished(client, given)
    text = Reader(form.answered.get_data(as_text=True)).text(inside="div.all")
    asked = [link for link in given if link in form.asked]
    assert len(asked) > 20
    assert all(" ".join(pair.guidance.form.questions[link].text.split()) in text for link in asked)


def test_an_emergency_ends_the_form_and_leads_nowhere_but_to_help(client, answers):
    form = finished(client, answers(EMERGENCY))
    assert form.page.main["data-kind"] == "emergency"
    assert form.page.main["data-status"] == "in-progress"
    assert sorted(form.page.buttons) == ["response.json", "restart", "risk.json"]
    assert "tel:112" in form.page.links


@pytest.mark.parametrize(
    ("name", "left_open"),
    [
        ("normal-examination-since-onset-lifts-duration-and-several-areas", "exam-observations"),
        ("brisk-reflexes-lead-to-prompt-evaluation", "exam-observations"),
    ],
)
def test_an_open_question_leads_to_its_page_and_from_there_to_the_result(client, answers, name, left_open):
    given = dict(answers(name))
    given.pop(left_open, None)
    form = finished(client, given)
    changes = [button for button in form.page.buttons if button.startswith("change:")]
    pages = {form.press(change).main["data-page"]: change for change in changes}
    asking = next(
        page for page in pages if form.press(pages[page]) and f"q.{left_open}" in form.page.controls
    )
    form.press(pages[asking])
    form.press("next", {f"q.{left_open}": ["none"]})
    assert form.page.main["data-kind"] == "check"
    assert form.press("send").main["data-status"] == "amended"
    assert pages[asking] not in form.page.buttons


@pytest.mark.parametrize(("who", "is_told"), [("professional-base", True), (PLAIN, False)])
def test_an_outlook_is_told_to_the_professional_who_filled_in(client, answers, pair, who, is_told):
    form = finished(client, answers(who))
    only = [row for table in pair.guidance.written.comparisons for row in table.rows if row.informs_only]
    assert {" ".join(row.left.says.split()) in " ".join(form.page.text.split()) for row in only} == {is_told}


def test_starting_again_forgets_every_answer(client, answers):
    form = finished(client, answers(PLAIN))
    page = form.press("restart")
    assert page.main["data-kind"] == "question"
    assert not any(control.chosen for control in page.controls.values())
    saved = orjson.loads(form.post("save").data)
    assert "item" not in saved


def test_nothing_is_stored_unless_the_deployment_says_so(client, answers):
    form = filled_in(client, answers(PLAIN))
    assert "consent" not in form.page.controls
    page = form.press("send", {"consent": ["yes"]})
    assert EN["form.result.not-kept"] in page.text
    assert form.press("delete").main["data-kind"] == "result"


# With a store.


def test_without_a_store_forms_cannot_be_stored():
    with pytest.raises(SettingsError) as refused:
        app.form_store_from(Settings(store_url="none", form_stores=True), None, None)
    assert refused.value.faults == ["SERVICE_FORM_STORES: expected a store, but SERVICE_STORE_URL is none."]


def test_who_checks_the_answers_is_asked_for_consent(storing, answers):
    form = filled_in(storing, answers(PLAIN))
    assert EN["form.consent.text"] in form.page.text
    assert form.page.controls["consent"].chosen == []
    assert NOTICE in form.page.links


def test_without_consent_the_result_is_shown_and_nothing_is_stored(storing, answers, file):
    form = finished(storing, answers(PLAIN))
    assert form.page.main["data-kind"] == "result"
    assert EN["form.result.not-kept"] in form.page.text
    assert stored(file) == []


def test_with_consent_it_is_stored_once_and_the_page_has_its_number(storing, answers, file):
    form = finished(storing, answers(PLAIN), consent=["yes"])
    number = Reader(form.answered.get_data(as_text=True)).text(inside="code.")
    assert responses(file) == [(number, 1)]
    assert {kind for kind, _, _ in stored(file)} == {
        "QuestionnaireResponse",
        "RiskAssessment",
        "Provenance",
        "AuditEvent",
    }
    assert form.press("show").main["data-kind"] == "result"
    assert number in form.page.text
    assert responses(file) == [(number, 1)]


def test_a_double_click_stores_once(storing, answers, file):
    form = filled_in(storing, answers(PLAIN))
    for _ in range(2):
        assert form.post("send", {"consent": ["yes"]}).status_code == 200
    assert [version for _, version in responses(file)] == [1]


def test_changed_answers_take_the_place_of_those_that_were_stored(storing, answers, file):
    form = finished(storing, answers(PLAIN), consent=["yes"])
    (change,) = [f"change:{form.visited[0]}"]
    form.press(change)
    form.press("next")
    assert form.page.main["data-kind"] == "check"
    assert "consent" not in form.page.controls
    form.press("send")
    assert [version for _, version in responses(file)] == [1, 2]


def test_an_emergency_takes_the_place_of_calm_answers_that_were_stored(storing, answers, file):
    form = finished(storing, answers(PLAIN), consent=["yes"])
    changes = [f"change:{page}" for page in dict.fromkeys(form.visited)]
    asking = next(
        change for change in changes if form.press(change) and "q.emergency-signs" in form.page.controls
    )
    form.press(asking)
    sign = next(one for one in form.page.controls["q.emergency-signs"].options if one != "none")
    form.press("next", {"q.emergency-signs": [sign]})
    assert form.page.main["data-kind"] == "emergency"
    assert [version for _, version in responses(file)] == [1, 2]
    assert "delete" in form.page.buttons


def test_an_emergency_is_not_stored_as_nobody_has_agreed(storing, answers, file):
    form = finished(storing, answers(EMERGENCY), consent=["yes"])
    assert form.page.main["data-kind"] == "emergency"
    assert stored(file) == []


def test_deleting_erases_the_record_and_forgets_the_form(storing, answers, file):
    form = finished(storing, answers(PLAIN), consent=["yes"])
    old = dict(form.page.hidden)
    page = form.press("delete")
    assert (page.main["data-kind"], page.main["data-status"]) == ("message", "deleted")
    assert EN["form.message.deleted.text"] in page.text
    assert "state" not in page.hidden
    assert [kind for kind, _, _ in stored(file)] == ["AuditEvent"]
    again = storing.post(PATH, data={**old, "action": "delete"})
    assert again.status_code == 200
    assert len(stored(file)) == 1


def test_a_page_that_is_sent_again_does_not_store_what_was_deleted(storing, answers, file):
    """Without script Back asks the browser to send it again, and the tick under the consent goes with it."""
    finished(storing, answers(PLAIN), consent=["yes"]).press("delete")
    again = finished(storing, answers(PLAIN), consent=["yes"])
    assert EN["form.result.not-kept"] in again.page.text
    assert [kind for kind, _, _ in stored(file)] == ["AuditEvent"]
    assert "consent" not in filled_in(storing, answers(PLAIN)).press("show").controls
    other = FormDriver(storing, PATH)
    other.open("?language=en")
    while other.page.main["data-kind"] == "question":
        other.answer(answers(PLAIN))
    other.press("send", {"consent": ["yes"]})
    assert len(responses(file)) == 1


def test_another_form_deletes_nothing_of_this_one(storing, answers, file):
    finished(storing, answers(PLAIN), consent=["yes"])
    other = filled_in(storing, answers(EMERGENCY))
    before = stored(file)
    assert other.press("delete").main["data-status"] == "deleted"
    assert stored(file) == before


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://elsewhere.example"}]
)
@pytest.mark.parametrize("action", ["delete", "send"])
def test_a_page_of_another_site_neither_stores_nor_deletes(storing, answers, file, headers, action):
    form = finished(storing, answers(PLAIN), **({"consent": ["yes"]} if action == "delete" else {}))
    before = stored(file)
    sent = {**form.page.hidden, "action": action, "consent": "yes"}
    assert storing.post(PATH, data=sent, headers=headers).status_code == 403
    assert stored(file) == before


def test_a_state_that_was_tampered_with_deletes_nothing(storing, answers, file):
    form = finished(storing, answers(PLAIN), consent=["yes"])
    before = stored(file)
    state = form.page.hidden["state"]
    changed = state[:10] + ("A" if state[10] != "A" else "B") + state[11:]
    assert storing.post(PATH, data={"state": changed, "action": "delete"}).status_code == 400
    assert stored(file) == before


def test_a_store_that_is_away_keeps_nobody_from_the_result(storing, answers, file, monkeypatch):
    form = filled_in(storing, answers(PLAIN))

    def away(*_: object) -> None:
        raise StoreUnavailable("The database cannot be reached.")

    for name in ("reading", "writing", "erasing"):
        monkeypatch.setattr(f"service.storage.store.SqlStore.{name}", away)
    assert form.press("show").main["data-kind"] == "check"
    assert "consent" not in form.page.controls
    page = form.press("send", {"consent": ["yes"]})
    assert page.main["data-kind"] == "result"
    assert EN["form.result.not-kept"] in page.text
    gone = form.press("delete")
    assert (form.answered.status_code, gone.main["data-status"]) == (503, "failed")
    monkeypatch.undo()
    assert stored(file) == []
