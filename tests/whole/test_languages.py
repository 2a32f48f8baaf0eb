"""A second language of a mapping, from its files to what is answered, listed and refused."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from service import app, catalogue, check
from service.assess import Assessor
from service.fhir.json import BodyLimits
from service.results import FULL
from service.settings import ROOT, Settings

SECOND = ROOT / "tests/second_pair"

ITEMS = ("tense", "rushed", "sleep-work", "short-temper", "no-break", "concentration", "drained")
CANONICAL = "https://guidance.example.org/fhir/Questionnaire/workday-strain|2.1.0"
SYSTEM = "https://guidance.example.org/fhir/CodeSystem/workday-strain-answers"
ASSESS = "/fhir/QuestionnaireResponse/$assess"
RESPONSES = "/fhir/QuestionnaireResponse"
GERMAN = "Darüber sprechen"
ENGLISH = "Talk about it"

Json = dict[str, Any]


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> Path:
    """A copy of the second pair that a test may change."""
    return Path(shutil.copytree(root / "tests" / "second_pair", tmp_path / "pair"))


@pytest.fixture
def settings(folder: Path, tmp_path: Path) -> Settings:
    return Settings(
        questionnaires_dir=folder / "questionnaires",
        mappings_dir=folder / "mappings",
        store_url=f"sqlite:///{tmp_path / 'store.db'}",
    )


@pytest.fixture
def assessor(settings: Settings) -> Callable[[], Assessor]:
    return lambda: Assessor(catalogue.read(settings.questionnaires_dir, settings.mappings_dir), BodyLimits())


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    """The service on the second pair as it is."""
    store = tmp_path_factory.mktemp("second") / "store.db"
    settings = Settings(
        questionnaires_dir=SECOND / "questionnaires",
        mappings_dir=SECOND / "mappings",
        store_url=f"sqlite:///{store}",
    )
    return app.create_app(settings).test_client()


def response(**members: Any) -> Json:
    """Ten points: the tier in the middle."""
    codes = dict(
        zip(ITEMS, ("every-day", "every-day", "every-day", "some-days", *["never"] * 3), strict=True)
    )
    items = [
        {"linkId": link, "answer": [{"valueCoding": {"system": SYSTEM, "code": code}}]}
        for link, code in codes.items()
    ]
    return {
        "resourceType": "QuestionnaireResponse",
        **members,
        "questionnaire": CANONICAL,
        "status": "completed",
        "item": [{"linkId": "strain", "item": items}],
    }


def in_german() -> Json:
    """The same, filled in on a German rendering."""
    sent = response(language="de")
    first = sent["item"][0]["item"][0]
    first["text"] = "haben Sie sich bei der Arbeit angespannt gefühlt?"
    first["answer"][0]["valueCoding"]["display"] = "Jeden Tag"
    return sent


def step(result: Json) -> str:
    return str(result["prediction"][0]["qualitativeRisk"]["coding"][0]["display"])


def ask(client: FlaskClient, path: str, document: Json, accept: str = "") -> Any:
    headers = {"Accept-Language": accept} if accept else {}
    body = orjson.dumps(document)
    return client.post(path, data=body, content_type="application/fhir+json", headers=headers)


@pytest.mark.parametrize(
    ("stated", "accept", "language"),
    [
        ({}, "", "en"),
        ({"language": "de"}, "", "de"),
        ({"language": "de-AT"}, "en", "de"),
        ({"language": "en"}, "de", "en"),
        ({"language": "fr"}, "de;q=0.5, en;q=0.4", "de"),
        ({"language": "fr"}, "es", "en"),
        ({}, "fr, de;q=0.9", "de"),
    ],
)
def test_the_response_decides_on_the_language_before_the_request(
    stated: Json, accept: str, language: str, client: FlaskClient
) -> None:
    answer = ask(client, ASSESS, response(**stated), accept)
    assert answer.headers["Content-Language"] == answer.json["language"] == language
    assert answer.headers["Vary"] == "Accept, Accept-Language"
    assert step(answer.json) == {"en": ENGLISH, "de": GERMAN}[language]


def test_the_setting_decides_where_nothing_else_does(settings: Settings, assessor: Any) -> None:
    served = catalogue.read(settings.questionnaires_dir, settings.mappings_dir)
    german = Assessor(served, BodyLimits(), language="de")
    assert step(orjson.loads(german.assess_body(orjson.dumps(response())).body)) == GERMAN


def test_both_paths_say_the_same_in_german(assessor: Callable[[], Assessor]) -> None:
    sent = orjson.dumps(in_german())
    here = assessor()
    accepted = here.accepted(sent)
    assert accepted is not None
    assert accepted.document(FULL) == here.scored(sent).document(FULL)


def test_answers_in_a_german_rendering_score_the_same(assessor: Callable[[], Assessor]) -> None:
    here = assessor()
    german, english = (
        orjson.loads(here.assess_body(orjson.dumps(sent), FULL, ("en",)).body)
        for sent in (in_german(), response())
    )
    assert german == english


def test_a_german_document_has_german_words_alone(assessor: Callable[[], Assessor]) -> None:
    text = assessor().shown(orjson.dumps(in_german()), "text")
    assert text.startswith("Belastung im Arbeitsalltag\n\nDarüber sprechen.")
    assert "Warum:\nIhre Summe ist zehn bis vierzehn." in text
    full = assessor().assess_body(orjson.dumps(in_german()), FULL).body.decode()
    assert "Antworten auf: haben Sie sich bei der Arbeit angespannt gefühlt" in full
    assert "nur auf Englisch" not in full


def test_codes_of_others_keep_their_names(assessor: Callable[[], Assessor]) -> None:
    result = orjson.loads(assessor().assess_body(orjson.dumps(in_german())).body)
    assert result["prediction"][1]["qualitativeRisk"] == {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/risk-probability",
                "code": "moderate",
                "display": "Moderate likelihood",
            }
        ],
        "text": "Mittel",
    }


def test_our_own_codes_have_names_in_every_language(settings: Settings) -> None:
    served = catalogue.read(settings.questionnaires_dir, settings.mappings_dir)
    (published,) = (
        orjson.loads(artifact.body)
        for (kind, name), artifact in served.artifacts.items()
        if (kind, name) == ("CodeSystem", "workday-strain-guidance")
    )
    names = {concept["code"]: concept.get("designation") for concept in published["concept"]}
    assert names["talk"] == [{"language": "de", "value": GERMAN}]
    assert names["needs-evaluation"] == [{"language": "de", "value": "Abklärung erforderlich"}]
    assert None not in names.values()


def test_a_message_about_an_answer_names_the_question_in_the_language(client: FlaskClient) -> None:
    sent = in_german()
    sent["item"][0]["item"][0]["answer"] *= 2
    answer = ask(client, ASSESS, sent)
    assert answer.status_code == 422
    assert "“haben Sie sich bei der Arbeit angespannt gefühlt?”" in answer.json["issue"][0]["diagnostics"]


# What is stored.


def test_a_stored_result_keeps_its_language(client: FlaskClient) -> None:
    created = ask(client, RESPONSES, response(), "de")
    place = f"/fhir/RiskAssessment/{created.json['id']}"
    for accept in ("en", "de", "fr"):
        read = client.get(place, headers={"Accept-Language": accept})
        assert (read.json["language"], step(read.json)) == ("de", GERMAN)
        again = client.get(place, headers={"If-None-Match": read.headers["ETag"], "Accept-Language": accept})
        assert again.status_code == 304
    full = client.get(f"{place}?_detail=full", headers={"Accept-Language": "en"})
    assert full.json["language"] == "de"
    assert "Warum diese Stufe" in full.json["text"]["div"]


def test_a_stored_result_keeps_its_language_though_its_response_has_another_by_now(
    folder: Path, settings: Settings
) -> None:
    """It was made before there were words of that language."""
    messages = folder / "mappings" / "workday-strain" / "messages"
    messages.rename(folder / "later")
    created = ask(app.create_app(settings).test_client(), RESPONSES, response(language="de"))
    (folder / "later").rename(messages)
    client = app.create_app(settings).test_client()
    found = client.get(f"/fhir/RiskAssessment/{created.json['id']}?_detail=full")
    assert (found.status_code, found.json["language"]) == (200, "en")


def test_a_withdrawn_result_says_so_in_its_language(client: FlaskClient) -> None:
    created = ask(client, RESPONSES, response(), "de").json
    gone = client.put(
        f"{RESPONSES}/{created['id']}",
        data=orjson.dumps(response(id=created["id"]) | {"status": "entered-in-error"}),
        content_type="application/fhir+json",
    )
    assert gone.status_code == 200
    place = f"/fhir/RiskAssessment/{created['id']}"
    for document in (
        client.get(place).json,
        client.get(f"{place}?_detail=bundle").json["entry"][1]["resource"],
    ):
        assert document["language"] == "de"
        assert "Zurückgezogen: " in document["text"]["div"]


def test_the_language_of_a_bundle_holds_for_every_entry(client: FlaskClient) -> None:
    request = {"method": "POST", "url": "QuestionnaireResponse"}
    entries = [{"resource": response(), "request": request}]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    made = ask(client, "/fhir", bundle, "de").json["entry"][0]["resource"]
    assert client.get(f"/fhir/RiskAssessment/{made['id']}").json["language"] == "de"


# What a language lacks.


def without(folder: Path, line: str, instead: str = "") -> None:
    path = folder / "mappings" / "workday-strain" / "messages" / "de.yaml"
    text = path.read_text("utf-8")
    assert text.count(line) == 1
    path.write_text(text.replace(line, instead), "utf-8")


def test_a_text_that_the_language_lacks_is_english_and_says_so(
    folder: Path, assessor: Callable[[], Assessor]
) -> None:
    without(
        folder, "patient: Ihre Summe ist zehn bis vierzehn., clinician: Deutliches Band.", "patient: Zehn."
    )
    result = orjson.loads(assessor().assess_body(orjson.dumps(in_german())).body)
    assert result["language"] == "de"
    assert "[nur auf Englisch: Marked band" in result["prediction"][0]["rationale"]
    marked = '<span lang="en" xml:lang="en">Marked band.</span>'
    full = orjson.loads(assessor().assess_body(orjson.dumps(in_german()), FULL).body)
    assert marked in full["text"]["div"]


def test_check_lists_what_a_language_lacks_and_what_is_gone(folder: Path, settings: Settings) -> None:
    without(folder, "  act: {", "  acts: {")
    form = folder / "questionnaires" / "workday-strain.json"
    german = orjson.loads(form.read_bytes())
    del german["item"][0]["item"][6]["_text"]
    form.write_bytes(orjson.dumps(german))
    out = io.StringIO()
    assert check.run(settings, out) == check.SOUND
    gaps = [line.strip() for line in out.getvalue().splitlines() if "lacks" in line or "translates" in line]
    assert [gap.partition("messages/de.yaml: ")[2] or gap for gap in gaps] == [
        *(f"tiers.act.{name}: lacks this text" for name in ("display", "target", "patient", "clinician")),
        *(
            f"tiers.acts.{name}: translates no text of the guidance"
            for name in ("display", "target", "patient", "clinician")
        ),
        "warning: Questionnaire workday-strain: drained: text: lacks this text in de",
    ]


def test_a_language_without_words_of_the_service_is_not_spoken_but_listed(
    folder: Path, settings: Settings
) -> None:
    messages = folder / "mappings" / "workday-strain" / "messages"
    shutil.copy(messages / "de.yaml", messages / "gsw.yaml")
    assert (
        ask(app.create_app(settings).test_client(), ASSESS, response(language="gsw")).json["language"] == "en"
    )
    out = io.StringIO()
    assert check.run(settings, out) == check.SOUND
    assert "service/languages/gsw.yaml: expected this file" in out.getvalue()


def test_a_questionnaire_in_a_language_that_its_guidance_lacks_is_listed(
    folder: Path, settings: Settings
) -> None:
    (folder / "mappings" / "workday-strain" / "messages" / "de.yaml").unlink()
    out = io.StringIO()
    assert check.run(settings, out) == check.SOUND
    assert "messages/de.yaml: expected this file" in out.getvalue()


def test_a_messages_file_that_is_no_such_file_stops_the_start(folder: Path, settings: Settings) -> None:
    without(folder, "version: 2.1.0", "versions: 2.1.0")
    out = io.StringIO()
    assert check.run(settings, out) == check.FAULTY
    assert "fault: workday-strain/messages/de.yaml: version: expected" in out.getvalue()
