"""The samples are responses that a person could send, and the form asks little where little matters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B.parameters import Parameters
from fhir.resources.R4B.questionnaireresponse import QuestionnaireResponse

from service.datatypes.answers import Answers
from service.questionnaire import CompiledQuestionnaire, compile_questionnaire
from service.terminology import value_sets_from

Json = dict[str, Any]
Given = dict[str, list[Json]]

OBEDIENT = ("empty", "parameters-with-chart-data", "partial", "plain-eyelid", "professional-with-labs")
ANSWERED = ("parameters-with-chart-data", "plain-eyelid", "professional-with-labs", "progressive-weakness")
PLAIN_EYELID_MEETS = 38


@pytest.fixture(scope="module")
def compiled(questionnaire: Json, terminology: dict[str, Json]) -> CompiledQuestionnaire:
    return compile_questionnaire(questionnaire, value_sets_from(terminology.values()))


def leaves(items: list[Json]) -> Iterator[Json]:
    """The answered items of a response, in order."""
    for item in items:
        if "answer" in item:
            yield item
        yield from leaves(item.get("item", []))


def given(response: Json) -> Given:
    """The answers of a response by linkId."""
    return {item["linkId"]: item["answer"] for item in leaves(response.get("item", []))}


def holds(condition: Json, answers: list[Json]) -> bool:
    """One enableWhen condition, as FHIR words it: at least one answer stands in the relation."""
    if condition["operator"] == "exists":
        return bool(answers) is condition["answerBoolean"]
    if condition["operator"] == "=":
        wanted = condition["answerCoding"]
        found = [answer["valueCoding"] for answer in answers]
        return any((each["system"], each["code"]) == (wanted["system"], wanted["code"]) for each in found)
    assert condition["operator"] == ">="
    return any(answer["valueInteger"] >= condition["answerInteger"] for answer in answers)


def enabled(items: list[Json], answers: Given) -> dict[str, Json]:
    """The enabled questions by linkId, found in reading order without the service."""
    found: dict[str, Json] = {}

    def visit(item: Json) -> None:
        conditions = item.get("enableWhen", [])
        known = [holds(each, answers.get(each["question"], [])) for each in conditions]
        shown = [each["question"] in found for each in conditions]
        open_ = [a and b for a, b in zip(known, shown, strict=True)]
        if conditions and not (any(open_) if item.get("enableBehavior", "all") == "any" else all(open_)):
            return
        if item["type"] not in ("group", "display"):
            found[item["linkId"]] = item
        for child in item.get("item", []):
            visit(child)

    for item in items:
        visit(item)
    return found


def exact(node: Any) -> Any:
    """The same JSON with decimal numbers, as the service reads it."""
    if isinstance(node, dict):
        return {key: exact(value) for key, value in node.items()}
    if isinstance(node, list):
        return [exact(value) for value in node]
    return Decimal(str(node)) if isinstance(node, float) else node


def answers_of(compiled: CompiledQuestionnaire, response: Json) -> Answers:
    """The answers of a response as the service reads them."""
    return compiled.check(exact(response)).answers


def errors(compiled: CompiledQuestionnaire, response: Json) -> list[str]:
    """What the service objects to in a response, warnings and notes left out."""
    problems = compiled.check(exact(response)).problems
    return [problem.text for problem in problems if problem.severity in ("fatal", "error")]


def test_the_resource_library_reads_every_sample(samples: dict[str, Json]) -> None:
    models = {"Parameters": Parameters, "QuestionnaireResponse": QuestionnaireResponse}
    for sample in samples.values():
        models[sample["resourceType"]].model_validate(sample)


def test_every_response_names_this_version_of_the_questionnaire_and_somebody(
    responses: dict[str, Json], questionnaire: Json
) -> None:
    for response in responses.values():
        assert response["questionnaire"] == f"{questionnaire['url']}|{questionnaire['version']}"
        assert response["subject"] == {"reference": "Patient/example"}
        assert response["authored"].endswith("Z")


def test_items_stand_where_the_questionnaire_has_them_with_the_same_text(
    responses: dict[str, Json], questionnaire: Json
) -> None:
    def same(answered: list[Json], asked: list[Json]) -> None:
        order = [item["linkId"] for item in asked]
        assert sorted(answered, key=lambda item: order.index(item["linkId"])) == answered
        for item in answered:
            question = asked[order.index(item["linkId"])]
            assert item["text"] == question["text"]
            same(item.get("item", []), question.get("item", []))

    for response in responses.values():
        same(response.get("item", []), questionnaire["item"])


@pytest.mark.parametrize("name", OBEDIENT)
def test_the_service_finds_no_error_in_the_sample(
    name: str, responses: dict[str, Json], compiled: CompiledQuestionnaire
) -> None:
    assert errors(compiled, responses[name]) == []


def test_plain_eyelid_twitching_for_three_days_meets_few_questions(
    responses: dict[str, Json], questionnaire: Json, questions: dict[str, Json]
) -> None:
    met = enabled(questionnaire["item"], given(responses["plain-eyelid"]))
    assert len(met) == PLAIN_EYELID_MEETS
    assert len(met) < len(questions) / 3


def test_the_plain_eyelid_sample_answers_everything_but_the_free_notes(
    responses: dict[str, Json], questionnaire: Json
) -> None:
    answers = given(responses["plain-eyelid"])
    assert set(enabled(questionnaire["item"], answers)) - set(answers) == {"notes"}


@pytest.mark.parametrize("name", ANSWERED)
def test_completed_samples_answer_every_required_question(
    name: str, responses: dict[str, Json], questionnaire: Json
) -> None:
    answers = given(responses[name])
    met = enabled(questionnaire["item"], answers)
    assert set(answers) <= set(met)
    assert [link for link, item in met.items() if item.get("required") and link not in answers] == []


def test_the_service_opens_the_same_questions_as_a_plain_reading_does(
    responses: dict[str, Json],
    questionnaire: Json,
    questions: dict[str, Json],
    compiled: CompiledQuestionnaire,
) -> None:
    for response in responses.values():
        shown, _ = compiled.enabled(everything(answers_of(compiled, response)))
        assert shown & set(questions) == set(enabled(questionnaire["item"], given(response)))


def everything(answers: Answers) -> Mapping[str, Any]:
    """All answers that were sent, those of disabled items included."""
    return {**answers.ignored, **answers.given}


def test_every_question_is_met_by_somebody(
    questionnaire: Json, questions: dict[str, Json], items: dict[str, Json]
) -> None:
    opening: dict[str, list[Json]] = {}
    for item in items.values():
        for condition in item.get("enableWhen", []):
            if "answerCoding" in condition:
                opening.setdefault(condition["question"], []).append(
                    {"valueCoding": condition["answerCoding"]}
                )
            elif "answerInteger" in condition:
                opening.setdefault(condition["question"], []).append(
                    {"valueInteger": condition["answerInteger"]}
                )

    def answers(number: int) -> Given:
        single = {link: [found[number % len(found)]] for link, found in opening.items()}
        return {link: opening[link] if questions[link].get("repeats") else single[link] for link in opening}

    met = {link for number in range(6) for link in enabled(questionnaire["item"], answers(number))}
    assert met == set(questions)


def test_the_contradictory_sample_gives_an_answer_that_its_own_answers_hide(
    responses: dict[str, Json], compiled: CompiledQuestionnaire
) -> None:
    answers = answers_of(compiled, responses["contradictory"])
    assert dict(answers.ignored) == {"cramp-severity": (8,)}
    assert "cramp-severity" not in answers.given


def test_the_partial_sample_leaves_warning_questions_open(
    responses: dict[str, Json], questionnaire: Json, section_of: dict[str, str]
) -> None:
    answers = given(responses["partial"])
    met = enabled(questionnaire["item"], answers)
    warnings = ("strength", "speech-breathing", "senses")
    open_ = {link for link in met if link not in answers and section_of[link] in warnings}
    assert responses["partial"]["status"] == "in-progress"
    assert open_ >= {"speech", "swallowing", "breathing", "vision", "other-nerve-signs"}


def test_the_empty_sample_has_no_items(responses: dict[str, Json]) -> None:
    assert "item" not in responses["empty"]
    assert responses["empty"]["status"] == "in-progress"


def test_chart_values_are_final_and_about_the_same_person(samples: dict[str, Json]) -> None:
    [first, *data] = samples["parameters-with-chart-data"]["parameter"]
    assert first["name"] == "questionnaire-response"
    assert {parameter["name"] for parameter in data} == {"data"}
    for parameter in data:
        assert parameter["resource"]["status"] == "final"
        assert parameter["resource"]["subject"] == first["resource"]["subject"]
    potassium = data[0]["resource"]
    assert potassium["code"]["coding"][0]["code"] == "2823-3"
    assert potassium["valueQuantity"]["value"] == 3.1
