"""The published Questionnaire, unchanged, in form renderers of others: filled in, exported and scored."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from case_responses import answers_by_link, answers_in_order, questions_of, response_of
from foreign_renderers import LhcForms, Renderer, SmartForms
from playwright.sync_api import Browser

from service.assess import Assessor
from service.catalogue import Pair
from service.errors import NotScorable
from service.results import explained
from service.settings import ROOT

Json = dict[str, Any]

RENDERERS = [LhcForms, SmartForms]
CASES = [
    "plain-eyelid-three-days",  # self-care
    "a-medicine-changed-8-weeks-before-is-a-reason-for-review",
    "another-new-symptom-alone-is-for-the-usual-doctor-first",  # consult, with a text
    "cramps-elsewhere-are-for-a-neurologist",  # with two sliders
    "speech-that-got-worse-for-28-days-leads-to-prompt-evaluation",
    "a-seizure-is-urgent",
    "a-new-medicine-with-sweating-shaking-and-restlessness-is-an-emergency",
    "stopped-after-the-first-signs-were-denied",  # not assessable yet
    "benign-fasciculation-for-two-years-after-a-normal-examination",  # by a professional
]
SAMPLES = ["professional-with-labs"]
TIERS = 7
SIGHT = {"width": 1000, "height": 1200}


@pytest.fixture(scope="module")
def patients(pair: Pair) -> dict[str, Json]:
    """Responses of worked patients by name."""
    cases = {case.name: case for case in pair.guidance.cases}
    found = {name: response_of(pair, cases[name]) for name in CASES}
    return found | {name: json.loads((ROOT / f"samples/{name}.json").read_bytes()) for name in SAMPLES}


@pytest.fixture(params=RENDERERS, ids=lambda kind: kind.name)
def renderer(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Renderer]:
    """A renderer in a tab of its own, before it shows anything; it must ask no other server."""
    asked: list[str] = []
    with browser.new_context(viewport=SIGHT) as context:
        context.on("request", lambda sent: asked.append(sent.url))
        yield request.param(context.new_page(), address)
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def reasoning(assessor: Assessor, response: Json) -> tuple[Any, str]:
    """Returns step, levels, intervals and everything else that the guidance makes of a response, and why."""
    scored = assessor.scored(json.dumps(response).encode())
    result = scored.assessment().result
    return result, explained(scored.pair.guidance, result, scored.answers)


def sent(exported: Json, original: Json) -> Json:
    """Returns an exported response as its host sends it: whom it is about and when is for the host to say."""
    stated = ("id", "identifier", "subject", "author", "source", "authored", "status")
    return exported | {name: original[name] for name in stated if name in original}


@pytest.mark.parametrize("name", [*CASES, *SAMPLES])
def test_a_patient_filled_in_by_clicking_gets_the_same_result_for_the_same_reasons(
    renderer: Renderer, patients: dict[str, Json], name: str, pair: Pair, assessor: Assessor
) -> None:
    original, questions = patients[name], questions_of(pair.compiled.resource)
    renderer.open()
    for link_id, answers in answers_in_order(original):
        renderer.answer(questions[link_id], answers)
    exported = renderer.response()
    assert answers_by_link(exported) == answers_by_link(original)
    assert exported["questionnaire"] == pair.compiled.canonical
    assert reasoning(assessor, sent(exported, original)) == reasoning(assessor, original)
    if original["status"] == "completed":
        assert renderer.problems() == []


@pytest.mark.parametrize("name", [*CASES, *SAMPLES])
def test_a_response_that_is_given_comes_back_as_it_was(
    renderer: Renderer, patients: dict[str, Json], name: str, files: Path
) -> None:
    original = patients[name]
    (files / "response.json").write_text(json.dumps(original))
    renderer.open("/response.json")
    assert answers_by_link(renderer.response()) == answers_by_link(original)


def test_an_untouched_form_answers_nothing(renderer: Renderer) -> None:
    renderer.open()
    assert answers_by_link(renderer.response()) == {}


def test_the_patients_reach_every_step_and_every_type_of_question(
    patients: dict[str, Json], pair: Pair, assessor: Assessor
) -> None:
    results = [reasoning(assessor, response)[0] for response in patients.values()]
    questions = questions_of(pair.compiled.resource)
    answered = {
        questions[link]["type"] for response in patients.values() for link in answers_by_link(response)
    }
    assert {result.tier.at_least for result in results} == set(range(TIERS))
    assert answered == {item["type"] for item in questions.values()} - {"group", "display"}


def test_an_option_that_stands_alone_is_kept_beside_others_and_the_service_says_so(
    renderer: Renderer, patients: dict[str, Json], pair: Pair, assessor: Assessor
) -> None:
    original, question = (
        patients["plain-eyelid-three-days"],
        questions_of(pair.compiled.resource)["emergency-signs"],
    )
    renderer.open()
    renderer.answer(
        question, [{"valueCoding": option["valueCoding"]} for option in question["answerOption"][-3:-1]]
    )
    exported = renderer.response()
    assert len(answers_by_link(exported)["emergency-signs"]) == 2
    with pytest.raises(NotScorable) as refused:
        assessor.scored(json.dumps(sent(exported, original)).encode())
    assert "answer-exclusive" in {problem.kind for problem in refused.value.problems}
