"""What a response of an adaptive form contains is compared with the Questionnaire that it is derived from."""

from copy import deepcopy

import pytest

from service.errors import NotScorable
from service.questionnaire import asked_form, compile_questionnaire
from service.terminology import value_sets_from

DERIVED = "https://example.org/q|1"
TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"


def in_german(words: str) -> dict:
    parts = [{"url": "lang", "valueCode": "de"}, {"url": "content", "valueString": words}]
    return {"extension": [{"url": TRANSLATION, "extension": parts}]}


def option(code: str, display: str, german: str) -> dict:
    coding = {"system": "https://example.org/s", "code": code, "display": display}
    return {"valueCoding": {**coding, "_display": in_german(german)}}


PAIN = {
    "linkId": "pain",
    "text": "Do you have pain?",
    "_text": in_german("Haben Sie Schmerzen?"),
    "type": "choice",
    "answerOption": [option("y", "Yes", "Ja"), option("n", "No", "Nein")],
}
BARE = {"valueCoding": {"system": "https://example.org/s", "code": "y"}}
ITEMS = [PAIN, {"linkId": "group", "type": "group", "item": [{"linkId": "fever", "type": "boolean"}]}]
SERVED = {"resourceType": "Questionnaire", "url": "https://example.org/q", "version": "1", "status": "active"}


@pytest.fixture(scope="module")
def compiled():
    return compile_questionnaire({**SERVED, "item": ITEMS}, value_sets_from(()))


def response(*items: dict, **more: object) -> dict:
    form = {"resourceType": "Questionnaire", "id": "f", "derivedFrom": [DERIVED], "item": [*items], **more}
    return {"questionnaire": "#f", "contained": [{"resourceType": "Patient", "id": "p"}, form]}


def faults(compiled, *items: dict) -> list[tuple[str, str]]:
    asked = asked_form(response(*items), "QuestionnaireResponse")
    return [(found.kind, found.expression) for found in asked.faults(compiled)]


AT = "QuestionnaireResponse.contained[1].item[0]"


def test_what_was_cut_of_the_served_one_is_taken_and_named_by_its_items(compiled):
    assert faults(compiled, *ITEMS) == []
    asked = asked_form(response(*ITEMS), "QuestionnaireResponse")
    assert asked.questions(compiled) == {"pain", "group", "fever"}
    answered = asked.answered(response(*ITEMS), DERIVED)
    assert answered == {"questionnaire": DERIVED, "contained": [{"resourceType": "Patient", "id": "p"}]}


@pytest.mark.parametrize(
    "change",
    [
        {"text": "Haben Sie Schmerzen?"},
        {"text": "do you have  pain"},
        {
            "answerOption": [
                option("n", "Nein", ""),
                {"valueCoding": {"system": "https://example.org/s", "code": "y"}},
            ]
        },
    ],
)
def test_another_published_language_and_other_spelling_are_no_fault(compiled, change):
    assert faults(compiled, {**PAIN, **change}) == []


def test_what_it_does_not_state_is_no_fault(compiled):
    assert faults(compiled, {"linkId": "pain", "type": "choice"}) == []


@pytest.mark.parametrize(
    ("change", "kind", "at"),
    [
        ({"linkId": "other"}, "item-unknown", AT),
        ({"linkId": None}, "item-unknown", AT),
        ({"text": "Are you free of pain?"}, "item-text", f"{AT}.text"),
        ({"text": 7}, "item-text", f"{AT}.text"),
        ({"type": "boolean"}, "canonical-mismatch", AT),
        ({"answerOption": PAIN["answerOption"][:1]}, "canonical-mismatch", AT),
        ({"answerOption": [*PAIN["answerOption"], option("m", "Maybe", "")]}, "canonical-mismatch", AT),
        ({"answerOption": [option("y", "No", ""), option("n", "Yes", "")]}, "canonical-mismatch", AT),
        ({"answerOption": [{"valueCoding": 7}, *PAIN["answerOption"]]}, "canonical-mismatch", AT),
        ({"answerValueSet": "https://example.org/v"}, "canonical-mismatch", AT),
    ],
)
def test_what_asks_something_else_is_a_fault_at_its_place(compiled, change, kind, at):
    changed = deepcopy({**PAIN, **change})
    assert faults(compiled, changed) == [(kind, at)]


def test_a_question_without_options_has_none(compiled):
    asked = {"linkId": "fever", "type": "boolean", "answerOption": PAIN["answerOption"]}
    assert faults(compiled, {"linkId": "group", "type": "group", "item": [asked]}) == [
        ("canonical-mismatch", f"{AT}.item[0]")
    ]


def test_a_url_names_no_contained_one_and_other_names_are_refused():
    assert asked_form({"questionnaire": DERIVED}, "QuestionnaireResponse") is None
    for sent, kind in (
        ({**response(), "questionnaire": "#p"}, "canonical-unknown"),
        (response(derivedFrom=[]), "canonical-missing"),
        (response(derivedFrom=[DERIVED, DERIVED]), "canonical-missing"),
    ):
        with pytest.raises(NotScorable) as refused:
            asked_form(sent, "QuestionnaireResponse")
        assert [found.kind for found in refused.value.problems] == [kind]
