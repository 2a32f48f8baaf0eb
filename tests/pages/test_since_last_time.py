"""Answers that are compared with those of last time: a file that people choose, or the chart's response."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime, timedelta
from shutil import copytree
from typing import Any

import orjson
import pytest
from case_responses import response_of
from form_driver import FormDriver

from service import app
from service.datatypes.answers import Coding
from service.datatypes.values import replace
from service.earlier import asked_alike
from service.languages import words_in
from service.pages import scoring
from service.pages.forms import FormSettings, forms_of
from service.results import Numbers
from service.settings import Settings

SLUG = "muscle-twitching"
BEFORE, NOW = "plain-eyelid-three-days", "growing-weakness-with-wasting-makes-the-als-pattern-high"
EN = words_in("en")
SINCE = EN["patient.since"].removesuffix(":")
WORSE = EN["clinician.since"]
"""How the narrative of a RiskAssessment begins its line about it."""
MARY, OTHER = {"reference": "Patient/mary"}, {"reference": "Patient/other"}
CODES = "https://guidance.example.org/fhir/CodeSystem/muscle-twitching-answers"
GENDERS = "http://hl7.org/fhir/administrative-gender"
OCTOBER = datetime.fromisoformat("2026-10-01T12:00:00+00:00")


@pytest.fixture(scope="session")
def answers(served: Any) -> dict[str, Any]:
    pair = next(pair for pair in served.pairs.values() if pair.slug == SLUG and pair.is_active)
    return {case.name: case.answers for case in pair.guidance.cases}


@pytest.fixture(scope="session")
def files(client: Any, session_clock: Any, answers: dict[str, Any]) -> dict[str, bytes]:
    """What somebody has answered in October, and what they answer now: each as the file of the result."""
    found, now = {}, session_clock.at
    for name, at in ((BEFORE, OCTOBER), (NOW, now)):
        session_clock.at = at
        form = FormDriver(client, f"/questionnaires/{SLUG}")
        form.open("?language=en")
        form.finish(answers[name])
        found[name] = bytes(form.post("response.json").data)
    session_clock.at = now
    return found


@pytest.fixture
def form(person: Callable[..., FormDriver]) -> FormDriver:
    return person(SLUG, "?language=en")


def sent_beside(form: FormDriver, response: bytes, earlier: bytes) -> Any:
    """Goes on with one response, beside another, and sends it."""
    form.press("resume", response=response.decode(), earlier=earlier.decode())
    return form.press("send") if form.page.main["data-kind"] == "check" else form.page


def without_name(file: bytes) -> dict[str, Any]:
    """The same answers as another response, of October."""
    response = orjson.loads(file) | {"authored": "2026-10-01"}
    return {name: value for name, value in response.items() if name != "identifier"}


def compare(form: FormDriver, file: bytes) -> Any:
    return form.press("compare", file=(io.BytesIO(file), "answers.json"))


def risk_of(form: FormDriver) -> Any:
    return form.post("risk.json").get_data(as_text=True)


def test_what_got_worse_since_the_file_is_told_and_counts(
    form: FormDriver, files: dict[str, bytes], answers: dict[str, Any]
) -> None:
    page = compare(form, files[BEFORE])
    assert page.main["data-kind"] == "question"
    assert EN.say("form.compare.will", date="1 October 2026") in page.text
    assert not any(control.chosen for control in page.controls.values())
    saved = orjson.loads(form.post("save").data)
    assert "item" not in saved
    assert saved["identifier"] != orjson.loads(files[BEFORE])["identifier"]
    page = form.finish(answers[NOW])
    assert EN.say("form.compare.done", date="1 October 2026") in page.text
    assert SINCE in page.text
    assert EN["clinician.since"] in page.text
    assert WORSE in risk_of(form)
    assert orjson.loads(files[BEFORE])["identifier"]["value"] in risk_of(form)
    assert WORSE in form.post("export").get_data(as_text=True)
    assert SINCE not in form.press("why").text
    assert SINCE in form.press("show").text


def test_what_was_so_before_is_not_worse_and_is_not_said_to_be_fine(
    form: FormDriver, files: dict[str, bytes]
) -> None:
    page = sent_beside(form, files[NOW], orjson.dumps(without_name(files[NOW])))
    assert EN.say("form.compare.done", date="1 October 2026") in page.text
    assert SINCE not in page.text
    assert f"{WORSE}:</b> {EN.say('clinician.compared', dates='1 October 2026')}" in risk_of(form)


def test_a_response_is_not_compared_with_itself(form: FormDriver, files: dict[str, bytes]) -> None:
    itself = {**orjson.loads(files[NOW]), "authored": "2026-10-01"}
    page = sent_beside(form, files[NOW], orjson.dumps(itself))
    assert form.answered.status_code == 422
    assert "another version of the response itself" in page.text


def test_a_response_that_has_no_name_but_its_id_is_not_compared_with_itself(
    form: FormDriver, files: dict[str, bytes]
) -> None:
    itself = orjson.dumps(without_name(files[NOW]) | {"id": "r1"})
    page = sent_beside(form, itself, itself)
    assert form.answered.status_code == 422
    assert "another version of the response itself" in page.text


def test_without_an_earlier_response_the_result_is_as_before(
    form: FormDriver, files: dict[str, bytes]
) -> None:
    page = sent_beside(form, files[NOW], b"")
    assert page.main["data-kind"] == "result"
    assert SINCE not in page.text
    assert EN["form.compare.done"].partition("{")[0] not in page.text
    assert WORSE not in risk_of(form)


def test_starting_again_forgets_the_file(form: FormDriver, files: dict[str, bytes]) -> None:
    compare(form, files[BEFORE])
    page = form.press("restart")
    assert EN["form.compare.will"].partition("{")[0] not in page.text
    form.press("resume", response=files[NOW].decode())
    form.press("send")
    assert WORSE not in risk_of(form)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"authored": None}, "when it was written"),
        ({"authored": "2030-01-01"}, "not certainly written before"),
        ({"questionnaire": "https://guidance.example.org/other|1"}, "Expected: questionnaire"),
        ({"status": "entered-in-error"}, "status"),
    ],
)
def test_a_file_that_cannot_be_compared_is_named_and_nothing_of_it_is_taken(
    form: FormDriver, files: dict[str, bytes], change: dict[str, Any], said: str
) -> None:
    changed = orjson.loads(files[BEFORE]) | change
    before = form.page.hidden["state"]
    page = compare(form, orjson.dumps({name: value for name, value in changed.items() if value is not None}))
    assert form.answered.status_code == 422
    assert EN["form.message.file.heading"] in page.text
    assert said in page.text
    assert EN["form.compare.will"].partition("{")[0] not in page.text
    assert page.hidden["state"].split(".")[0] == before.split(".")[0]


def test_no_file_is_a_file_that_cannot_be_used(form: FormDriver) -> None:
    form.press("compare")
    assert form.answered.status_code == 422


@pytest.mark.parametrize(("of", "is_compared"), [(MARY, True), (OTHER, False), (None, False)])
def test_a_response_of_the_chart_is_compared_with_one_of_the_same_person_only(
    form: FormDriver, files: dict[str, bytes], of: dict[str, str] | None, *, is_compared: bool
) -> None:
    now = orjson.loads(files[NOW]) | {"subject": MARY}
    earlier = orjson.loads(files[BEFORE]) | ({"subject": of} if of else {})
    page = sent_beside(form, orjson.dumps(now), orjson.dumps(earlier))
    assert (form.answered.status_code == 200) is is_compared
    assert ("subject: expected" in page.text) is not is_compared
    if is_compared:
        assert WORSE in risk_of(form)
        assert orjson.loads(form.post("response.json").data)["subject"] == MARY


@pytest.mark.parametrize(("strength", "is_worse"), [("normal", True), ("not-tested", False)])
def test_what_nobody_examined_before_is_not_worse(
    form: FormDriver, served: Any, strength: str, *, is_worse: bool
) -> None:
    """A normal examination denied what is weak now; one that did not test it denied nothing."""
    pair = next(pair for pair in served.pairs.values() if pair.slug == SLUG and pair.is_active)
    case = next(case for case in pair.guidance.cases if case.name == "no-weakness-but-weak-on-examination")
    before = {**case.answers, "exam-strength": (Coding(CODES, strength),)}
    earlier = response_of(pair, replace(case, answers=before)) | {"authored": "2026-10-01"}
    now = response_of(pair, case)
    page = sent_beside(form, orjson.dumps(now), orjson.dumps(earlier))
    assert EN.say("form.compare.done", date="1 October 2026") in page.text
    says = f"{WORSE}:</b> {EN.say('clinician.compared', dates='1 October 2026')}" not in risk_of(form)
    assert says is is_worse


def chart_of(*responses: dict[str, Any]) -> bytes:
    listed = [{"resource": one} for one in responses]
    return orjson.dumps({"resourceType": "Bundle", **({"entry": listed} if listed else {})})


def of_mary(file: bytes, **changes: Any) -> dict[str, Any]:
    return {**without_name(file), "subject": MARY, **changes}


def test_of_the_responses_of_a_chart_the_newest_that_can_be_compared_are(
    form: FormDriver, files: dict[str, bytes]
) -> None:
    """Who has answered twice loses no reason by it: what the newest says as well, the one before denied."""
    now = orjson.loads(files[NOW]) | {"subject": MARY}
    chart = chart_of(
        *(of_mary(files[BEFORE], id=f"r{month}", authored=f"2026-0{month}-01") for month in range(1, 6)),
        of_mary(files[BEFORE], authored="2030-01-01"),
        of_mary(files[BEFORE], item="canary"),
        of_mary(files[NOW], id="r9", authored="2026-09-01"),
    )
    page = sent_beside(form, orjson.dumps(now), chart)
    days = "1 September 2026, 1 May 2026, 1 April 2026, 1 March 2026, 1 February 2026"
    assert EN.say("form.compare.done", date=days) in page.text
    assert SINCE in page.text
    basis = [one.get("reference") for one in orjson.loads(form.post("risk.json").data)["basis"]]
    assert basis[1:] == [f"QuestionnaireResponse/r{month}" for month in (9, 5, 4, 3, 2)]


@pytest.mark.parametrize(
    ("chart", "said"),
    [
        ([{"subject": OTHER}, {}], "subject: expected"),
        ([{"subject": {"display": "Mary"}}, {}], "subject: expected"),
        ([{"authored": "2030-01-01"}], "not certainly written before"),
        ([], "Expected a Bundle of earlier responses"),
    ],
)
def test_a_chart_of_somebody_else_or_without_anything_to_compare_is_refused(
    form: FormDriver, files: dict[str, bytes], chart: list[dict[str, Any]], said: str
) -> None:
    now = orjson.dumps(orjson.loads(files[NOW]) | {"subject": MARY})
    page = sent_beside(form, now, chart_of(*(of_mary(files[BEFORE], **changes) for changes in chart)))
    assert form.answered.status_code == 422
    assert said in page.text


def test_a_chart_is_not_compared_with_answers_of_nobody(form: FormDriver, files: dict[str, bytes]) -> None:
    page = sent_beside(form, files[NOW], chart_of(of_mary(files[BEFORE])))
    assert form.answered.status_code == 422
    assert "subject: expected" in page.text


def short_form_of(response: dict[str, Any], *links: str, **asked: Any) -> dict[str, Any]:
    """The answers to some questions, with what was asked beside them as an adaptive form has it."""
    form = {"resourceType": "Questionnaire", "id": "asked", "status": "active"}
    form |= {"derivedFrom": [response["questionnaire"]], **asked}
    kept = [
        {**group, "item": [one for one in group["item"] if one["linkId"] in links]}
        for group in response["item"]
    ]
    return response | {
        "contained": [form],
        "questionnaire": "#asked",
        "item": [one for one in kept if one["item"]],
    }


def test_a_short_form_of_the_chart_is_compared_in_what_it_asked(
    form: FormDriver, files: dict[str, bytes]
) -> None:
    now = orjson.dumps(orjson.loads(files[NOW]) | {"subject": MARY})
    short = short_form_of(of_mary(files[BEFORE], id="short"), "weakness")
    page = sent_beside(form, now, chart_of(short))
    assert EN.say("form.compare.done", date="1 October 2026") in page.text
    assert SINCE in page.text
    basis = [one.get("reference") for one in orjson.loads(form.post("risk.json").data)["basis"]]
    assert basis[1:] == ["QuestionnaireResponse/short"]


@pytest.mark.parametrize(
    "asked",
    [
        {"derivedFrom": ["https://guidance.example.org/other|1"]},
        {"derivedFrom": []},
        {"item": [{"linkId": "weakness", "text": "Are you well?", "type": "choice"}]},
    ],
)
def test_a_short_form_that_asked_something_else_is_not_compared(
    form: FormDriver, files: dict[str, bytes], asked: dict[str, Any]
) -> None:
    now = orjson.dumps(orjson.loads(files[NOW]) | {"subject": MARY})
    stated = {name: value for name, value in asked.items() if value}
    short = short_form_of(of_mary(files[BEFORE]), "weakness", **stated)
    if not asked.get("derivedFrom", ["x"]):
        del short["contained"][0]["derivedFrom"]
    page = sent_beside(form, now, chart_of(short))
    assert form.answered.status_code == 422
    assert SINCE not in page.text


# Another version of the form.

FORM_URL = "https://guidance.example.org/fhir/Questionnaire/muscle-twitching"


@pytest.fixture(scope="module")
def of_two_versions(root: Any, session_clock: Any, tmp_path_factory: Any) -> Any:
    """A client of a service that knows an older version of the questionnaire too."""
    folder = tmp_path_factory.mktemp("versions")
    copytree(root / "questionnaires", folder / "questionnaires")
    older = orjson.loads(
        (root / "tests/muscle_twitching_1_0_0/questionnaires/muscle-twitching.json").read_bytes()
    )
    (folder / "questionnaires" / "older.json").write_bytes(orjson.dumps(older | {"id": "older"}))
    given = Settings(questionnaires_dir=folder / "questionnaires", mappings_dir=root / "mappings")
    return app.create_app(given, session_clock).test_client()


def older_answers(**changes: Any) -> dict[str, Any]:
    """Answers of Mary to the older version: no weakness."""
    no = {"system": "http://loinc.org", "code": "LA32-8", "display": "No"}
    items = [{"linkId": "weakness", "answer": [{"valueCoding": no}]}]
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "older",
        "questionnaire": f"{FORM_URL}|1.0.0",
        "status": "in-progress",
        "authored": "2026-10-01",
        "subject": MARY,
        "item": [{"linkId": "red-flags", "item": items}],
        **changes,
    }


def test_answers_to_another_version_are_compared_in_what_both_ask_alike(
    of_two_versions: Any, files: dict[str, bytes]
) -> None:
    form = FormDriver(of_two_versions, f"/questionnaires/{SLUG}")
    form.open("?language=en")
    now = orjson.dumps(orjson.loads(files[NOW]) | {"subject": MARY})
    page = sent_beside(form, now, chart_of(older_answers()))
    assert EN.say("form.compare.done", date="1 October 2026") in page.text
    assert SINCE in page.text


def test_a_finished_short_form_of_another_version_demands_nothing_that_it_did_not_ask(
    of_two_versions: Any, files: dict[str, bytes]
) -> None:
    form = FormDriver(of_two_versions, f"/questionnaires/{SLUG}")
    form.open("?language=en")
    now = orjson.dumps(orjson.loads(files[NOW]) | {"subject": MARY})
    short = short_form_of(older_answers(status="completed"), "weakness")
    page = sent_beside(form, now, chart_of(short))
    assert EN.say("form.compare.done", date="1 October 2026") in page.text
    assert SINCE in page.text


def chosen(group: str, link: str, code: str, system: str = CODES) -> dict[str, Any]:
    """One answer of a group, as older_answers takes it."""
    item = {"linkId": link, "answer": [{"valueCoding": {"system": system, "code": code}}]}
    return {"linkId": group, "item": [item]}


@pytest.mark.parametrize(
    ("link", "code", "is_worse"), [("weakness", "LA32-8", True), ("other-nerve-signs", "none", False)]
)
def test_what_another_version_asked_otherwise_was_not_denied(
    of_two_versions: Any, files: dict[str, bytes], link: str, code: str, *, is_worse: bool
) -> None:
    """Numbness has other words now: who had none of the signs in the words of before has not denied it."""
    form = FormDriver(of_two_versions, f"/questionnaires/{SLUG}")
    form.open("?language=en")
    now = orjson.loads(files[NOW]) | {"subject": MARY}
    for group in now["item"]:
        for item in group["item"]:
            if item["linkId"] == "other-nerve-signs":
                item["answer"] = [{"valueCoding": {"system": CODES, "code": "numbness"}}]
    system = "http://loinc.org" if link == "weakness" else CODES
    earlier = older_answers(item=[chosen("red-flags", link, code, system)])
    page = sent_beside(form, orjson.dumps(now), chart_of(earlier))
    assert EN.say("form.compare.done", date="1 October 2026") in page.text
    assert (SINCE in page.text) is is_worse


def test_what_only_another_version_asks_is_left_out(of_two_versions: Any, files: dict[str, bytes]) -> None:
    form = FormDriver(of_two_versions, f"/questionnaires/{SLUG}")
    form.open("?language=en")
    now = orjson.dumps(orjson.loads(files[NOW]) | {"subject": MARY})
    opens, gone = chosen("pattern", "area", "elsewhere"), chosen("risk-factors", "sex", "male", GENDERS)
    earlier = older_answers(item=[*older_answers()["item"], opens, gone])
    page = sent_beside(form, now, chart_of(earlier))
    assert EN.say("form.compare.done", date="1 October 2026") in page.text
    assert SINCE in page.text


def test_an_answer_that_only_another_version_offers_is_none_to_this_one(served: Any) -> None:
    own = next(pair for pair in served.pairs.values() if pair.slug == SLUG and pair.is_active).compiled
    link, offered = "rest-when", own.form.questions["rest-when"].options[0].coding
    gone = Coding(CODES, "jerk-falling-asleep")
    for answers, expected in (((offered,), {link: (offered,)}), ((gone,), {}), ((offered, gone), {})):
        assert asked_alike({link: answers}, frozenset((link,)), own) == expected


def test_a_short_form_of_another_version_that_asked_in_other_words_is_not_compared(
    of_two_versions: Any, files: dict[str, bytes]
) -> None:
    form = FormDriver(of_two_versions, f"/questionnaires/{SLUG}")
    form.open("?language=en")
    now = orjson.dumps(orjson.loads(files[NOW]) | {"subject": MARY})
    asked = {"item": [{"linkId": "weakness", "text": "Are you well?", "type": "choice"}]}
    sent_beside(form, now, chart_of(short_form_of(older_answers(), "weakness", **asked)))
    assert form.answered.status_code == 422


def test_which_versions_are_compared(served: Any) -> None:
    """Those of the same form that ask alike what is compared, and no other form of the same words."""
    pair = next(pair for pair in served.pairs.values() if pair.slug == SLUG and pair.is_active)
    own, items = pair.compiled, pair.compiled.items
    others = (
        replace(own, canonical=f"{FORM_URL}|0.8.0"),
        replace(own, canonical=f"{FORM_URL}|0.9.0").with_items({"notes": items["notes"]}),
        replace(own, canonical=f"{FORM_URL}-too|0.8.0"),
    )
    known = {**served.questionnaires, **{other.canonical: other for other in others}}
    settings = FormSettings(lambda: OCTOBER, Numbers())
    forms = forms_of(replace(served, questionnaires=known), settings)
    (form,) = (form for form in forms if form.slug == SLUG)
    assert [*form.versions] == [f"{FORM_URL}|0.8.0"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"questionnaire": "https://guidance.example.org/fhir/Questionnaire/muscle-twitching|0.9"},
            "Expected: q",
        ),
        ({"status": "entered-in-error"}, "status"),
        ({"status": "stopped"}, "status"),
        ({"subject": OTHER}, "subject: expected"),
        ({"authored": "2030-01-01"}, "not certainly written before"),
        ({"item": [{"linkId": "no-such-question"}]}, "linkId"),
    ],
)
def test_answers_to_another_version_that_cannot_be_used_are_refused(
    of_two_versions: Any, files: dict[str, bytes], changes: dict[str, Any], said: str
) -> None:
    form = FormDriver(of_two_versions, f"/questionnaires/{SLUG}")
    form.open("?language=en")
    now = orjson.dumps(orjson.loads(files[NOW]) | {"subject": MARY})
    page = sent_beside(form, now, chart_of(older_answers(**changes)))
    assert form.answered.status_code == 422
    assert said in page.text


def test_what_is_compared_stays_as_small_as_a_response_to_go_on_with(
    form: FormDriver, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest are left out first."""
    monkeypatch.setattr(scoring, "MOST_RESUMED_BYTES", 12_000)
    now = orjson.dumps(orjson.loads(files[NOW]) | {"subject": MARY})
    months = ("2026-03", "2026-05", "2026-04")
    chart = chart_of(*(of_mary(files[NOW], authored=f"{month}-01") for month in months))
    page = sent_beside(form, now, chart)
    assert EN.say("form.compare.done", date="1 May 2026") in page.text


def test_a_form_that_compares_nothing_does_not_offer_it(person: Callable[..., FormDriver]) -> None:
    assert "compare" in person(SLUG).page.buttons
    assert "compare" not in person("workday-strain").page.buttons


@pytest.mark.parametrize("is_compared", [False, True])
def test_what_is_compared_is_not_stored(
    files: dict[str, bytes], clock: Any, tmp_path: Any, *, is_compared: bool
) -> None:
    """The store would score it by itself, without the earlier response."""
    settings = Settings(store_url=f"sqlite:///{tmp_path / 'forms.db'}", form_stores=True)
    form = FormDriver(app.create_app(settings, clock).test_client(), f"/questionnaires/{SLUG}")
    form.open("?language=en")
    earlier = files[BEFORE].decode() if is_compared else ""
    page = form.press("resume", response=files[NOW].decode(), earlier=earlier)
    assert (EN["form.consent.text"] in page.text) is not is_compared
    page = form.press("send", {"consent": ["yes"]})
    assert (EN["form.result.not-kept"] in page.text) is is_compared


def test_a_file_of_this_very_moment_is_not_certainly_earlier(
    form: FormDriver, files: dict[str, bytes], clock: Any
) -> None:
    for apart, status in ((0, 422), (1, 200)):
        clock.at = OCTOBER + timedelta(seconds=apart)
        compare(form, files[BEFORE])
        assert form.answered.status_code == status
