"""What `$populate` says to people of questions that it did not fill in: `details.text`, in their language."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from populate_requests import (
    NOW,
    PATIENT,
    asking,
    bundle,
    context,
    linked,
    observation,
    part,
    populated,
    populator,
)
from small_forms import CANONICAL, ENCODE, form

from service import catalogue
from service.catalogue import Catalogue
from service.fhir.chart import LEFT_OUT
from service.fhir.json import BodyLimits, decoded
from service.languages import languages, words_in
from service.populate import Populator

Json = dict[str, Any]
NAMED = {"name": "questionnaire", "valueCanonical": CANONICAL}
POTASSIUM = {"id": "k", "type": "quantity", "raw": linked()}
ROOMS = Path(__file__).parents[2] / "service/questionnaire"


@pytest.fixture(scope="module")
def served(root: Path) -> Catalogue:
    return catalogue.read(root / "questionnaires", root / "mappings")


@pytest.fixture(scope="module")
def told(served: Catalogue) -> Callable[..., list[str]]:
    """Gives the texts of the issues of a served form, for people who want these languages."""
    by = Populator(served, BodyLimits())

    def of(*observations: Json, wanted: tuple[str, ...] = ()) -> list[str]:
        body = ENCODE(asking(context("patient", PATIENT), data=bundle(*observations)))
        answer = decoded(by.populate_body(body, NOW, "muscle-twitching", wanted).body)
        return [issue["details"]["text"] for issue in part(answer, "issues")["issue"]]

    return of


def test_why_a_value_of_the_record_is_not_there_is_said_with_the_question(
    told: Callable[..., list[str]],
) -> None:
    why = "it is not final yet, or not certain."
    text = f"A value for “Potassium in serum or plasma” was not filled in: {why}"
    assert text in told(observation(status="preliminary"))


def test_it_is_said_in_the_language_that_is_wanted(told: Callable[..., list[str]]) -> None:
    why = "er ist noch nicht endgültig oder nicht sicher."
    text = f"Ein Wert für „Kalium in Serum oder Plasma“ wurde nicht übernommen: {why}"
    assert text in told(observation(status="preliminary"), wanted=("de-AT",))


def test_a_language_without_words_of_the_service_is_answered_in_english() -> None:
    """The form has the language; the service has no words of it."""
    french = form(POTASSIUM, language="fr")
    request = asking(NAMED, data=bundle(observation(status="preliminary")))
    answer = populated(populator(french), request, languages=("fr",))
    (issue,) = part(answer, "issues")["issue"]
    assert issue["details"]["text"].endswith("was not filled in: it is not final yet, or not certain.")


def test_a_form_that_came_along_is_not_quoted() -> None:
    sent = {"name": "questionnaire", "resource": form(POTASSIUM)}
    answer = populated(populator(), asking(sent, data=bundle(observation(status="preliminary"))))
    (issue,) = part(answer, "issues")["issue"]
    assert issue["details"]["text"] == "A question was not filled in: it is not final yet, or not certain."


def test_what_is_about_somebody_else_is_said_without_saying_whom(told: Callable[..., list[str]]) -> None:
    other = observation(subject={"reference": "Patient/canary"})
    text = "Something from the record was not used, since it does not show that it is about this person."
    assert [said for said in told(other) if said.startswith("Something")] == [text]


@pytest.mark.parametrize("language", languages())
def test_every_reason_has_words(language: str) -> None:
    sources = "".join((ROOMS / f"{room}.py").read_text() for room in ("population", "chart_answers"))
    names = set(re.findall(r'Reason\(\s*"([a-z0-9-]+)"', sources))
    texts = words_in(language).texts
    assert names <= {
        key.rpartition(".")[2] for key in texts if key.startswith(("not-filled.why.", "left-out."))
    }
    said = {key.rpartition(".")[2] for key in texts if key.startswith("not-filled.why.")}
    assert said <= names
    assert {f"left-out.{name}" for name in LEFT_OUT} <= texts.keys()
