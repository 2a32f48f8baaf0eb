"""What patients and their clinicians read in German: two of the twelve word for word, and what holds for all.

`--rewrite-golden` writes the texts anew; whoever accepts them has read them aloud.
"""

import html
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from golden_patients import BETWEEN, MOST_REASONS, MOST_THINGS, MOST_WORDS, PATIENTS, assessed, listed

from service.assess import Assessor
from service.authoring.translations import language_gaps, outdated_lines
from service.catalogue import Pair
from service.datatypes.answers import Answers, Coding
from service.fhir.response_context import ResponseContext
from service.guidance.cases import AUTHORED
from service.guidance.messages import texts_of
from service.languages import words_in
from service.results import Assessment

Json = dict[str, Any]

GOLDEN = Path(__file__).with_name("golden_german")
ACCEPTED = ("plain", "progressive-weakness")

FRIGHTENING = re.compile(r"\b(überleb|prognose|tödlich|tod\b|sterb|100\.000|prozent)|%", re.IGNORECASE)
NEVER_SAID = re.compile(r"\bmg\b|botulinum|muskelrelax|setzen sie (das|ihr) medikament ab", re.IGNORECASE)
ENGLISH = re.compile(r"\b(the|and|your|you|with|of|is)\b|\[nur auf Englisch", re.IGNORECASE)
NAMES = ("months.4", "months.8", "months.9", "months.11", "clinician.scores", "full.scores")
"""Keys whose words are the same in both languages."""
SYMBOLS = ("Cel", "[degF]", "mm[Hg]", "kg/m2")
"""Units that are written alike in both."""

INFORMAL = re.compile(r"\b(du|dich|dir|dein|deine)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def german(pair: Pair) -> Pair:
    return pair.further["de"]


@pytest.fixture(params=PATIENTS)
def patient(request: pytest.FixtureRequest, german: Pair) -> tuple[str, Assessment]:
    """A name, and what is made of the answers."""
    return request.param, assessed(german, PATIENTS[request.param])


def test_german_lacks_nothing_and_says_what_the_english_says(pair: Pair, root: Path) -> None:
    assert list(language_gaps(pair)) == []
    assert list(outdated_lines(pair, root / "mappings" / pair.slug)) == []


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_texts_are_those_that_were_accepted(name: str, german: Pair, rewrites_golden: bool) -> None:
    assessment = assessed(german, PATIENTS[name])
    shown = german.renderer.patient.text(assessment) + BETWEEN + german.renderer.summary.text(assessment)
    file = GOLDEN / f"{name}.txt"
    if rewrites_golden:
        file.write_text(shown, "utf-8")
    assert shown == file.read_text("utf-8")


def test_every_golden_file_is_of_a_patient() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == set(ACCEPTED)


def test_what_to_watch_for_in_an_emergency_is_the_same_as_in_english(pair: Pair, german: Pair) -> None:
    """The form stops at an urgent sign, so the question behind the other emergency line is still open."""
    stopped = Answers({"emergency-signs": (Coding("http://loinc.org", "LA12688-0"),)})
    context = ResponseContext("x", None, pair.compiled.canonical, "in-progress", None, None, AUTHORED)
    said = [
        language.renderer.patient.text(Assessment(language.guidance.evaluate(stopped), stopped, context))
        for language in (pair, german)
    ]
    general = [language.guidance.written.advice[0].says.patient for language in (pair, german)]
    assert [line in text for line, text in zip(general, said, strict=True)] == [True, True]


def test_what_comes_first_is_short(patient: tuple[str, Assessment], german: Pair) -> None:
    first, _, _ = german.renderer.patient.text(patient[1]).partition("\n\nMehr lesen\n")
    assert len(first.split()) <= MOST_WORDS
    assert len(listed(first, "Warum:")) <= MOST_REASONS
    assert len(listed(first, "Was Sie tun können:")) <= MOST_THINGS


def test_everything_is_said_in_german(patient: tuple[str, Assessment], german: Pair) -> None:
    _, assessment = patient
    identity = german.guidance.written.identity
    for text in (german.renderer.patient.text(assessment), german.renderer.summary.text(assessment)):
        assert ENGLISH.findall(text) == []
        assert INFORMAL.findall(text) == []
    full = german.renderer.document(assessment, "full").decode()
    narrative = full.partition('"div":"')[2].partition("</div>")[0]
    for source in (identity.source_note, *identity.secondary_sources):  # they name texts by their titles
        narrative = narrative.replace(source, "")
    assert ENGLISH.findall(re.sub(r"<[^>]*>|Regel: [a-z-]+", " ", narrative)) == []


def test_nothing_frightens_and_nothing_is_prescribed(patient: tuple[str, Assessment], german: Pair) -> None:
    text = german.renderer.patient.text(patient[1])
    assert FRIGHTENING.findall(text) == []
    assert NEVER_SAID.findall(text) == []


def test_a_chart_shows_each_of_them_in_little_room(patient: tuple[str, Assessment], german: Pair) -> None:
    name, assessment = patient
    most = 6 if name == "plain" else 10
    assert len(german.renderer.risk(assessment)) <= most * 1024


def test_the_same_answers_lead_to_the_same_step(
    patient: tuple[str, Assessment], pair: Pair, german: Pair
) -> None:
    name, told = patient
    english = assessed(pair, PATIENTS[name]).result
    assert [fired.rule.name for fired in told.result.fired] == [fired.rule.name for fired in english.fired]
    assert (told.result.tier, told.result.recheck) == (english.tier, english.recheck)


@pytest.fixture
def noted(root: Path) -> Json:
    """An option that is called otherwise, and values of the chart that cannot be used."""
    sent: Json = orjson.loads((root / "samples" / "parameters-with-chart-data.json").read_bytes())
    response, first, second = (part["resource"] for part in sent["parameter"])
    response["language"] = "de"
    first["status"] = "cancelled"
    second["valueQuantity"]["code"] = "furlong"
    other = {**second, "code": {"text": "Something else"}, "id": "other"}
    sent["parameter"].append({"name": "data", "resource": other})
    questions = [item for group in response["item"] for item in group["item"]]
    named = next(item for item in questions if "valueCoding" in item["answer"][0])
    named["answer"][0]["valueCoding"]["display"] = "A name that nobody gave it"
    return sent


def test_warnings_about_a_response_are_in_german_too(noted: Json, assessor: Assessor) -> None:
    body = orjson.dumps(noted)
    risk, full = (orjson.loads(assessor.shown(body, output)) for output in ("risk", "full"))
    notes = [note["text"] for note in risk["note"]]
    assert notes == [note["text"] for note in full["note"]]
    assert [note.partition(": ")[2] for note in notes if note.startswith("„")] == [
        "Der Text der gewählten Antwort ist kein Name ihres Codes."
    ]
    assert "Ein Wert der Akte wurde nicht verwendet: keine Frage hat seinen Code." in notes
    assert "nicht verwendet: seine Einheit lässt sich in keine der Frage umrechnen" in assessor.shown(
        body, "clinician"
    )
    remarks = [note for note in notes if note.startswith(("„", "Ein Wert der Akte"))]
    assert [note in html.unescape(full["text"]["div"]) for note in remarks] == [True] * 4
    assert ENGLISH.findall(" ".join(notes) + assessor.shown(body, "clinician")) == []


def test_no_german_text_is_the_english_one(pair: Pair, german: Pair) -> None:
    """But for names and abbreviations, which are one word."""
    english, told = texts_of(pair.guidance.written), texts_of(german.guidance.written)
    same = [key for key, text in english.items() if told.get(key) == text and len(text.split()) > 2]
    assert same == []
    own, ours = words_in("de").texts, words_in("en").texts
    said = {key for key in own if re.search(r"\w", re.sub(r"\{.*?\}", "", own[key]))}
    units = {f"units.{unit}.{number}" for unit in SYMBOLS for number in ("one", "other")}
    assert {key for key in said if own[key] == ours[key]} <= {*NAMES, *units, "style.decimal-mark"}
