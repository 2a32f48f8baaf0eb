"""The other views of one result: words for the patient, every reason as JSON, a Bundle."""

import json
from decimal import Decimal

from service.results.explanation import explained, view
from service.results.risk_assessment import collection, indented
from service.results.wording import patient_text


def test_the_text_for_the_patient_says_step_reasons_advice_and_intended_use(guidance, make_result):
    assert patient_text(guidance, make_result()) == (
        "Demo <guidance>\n\n"
        "Now. Target now.\nYou: tier now\nWhy:\n- You: rule fever-is-urgent\n"
        "What you can do:\n- You: rest & drink\n- Come back\n\n"
        "You: decision support\n"
    )


def test_nothing_meant_for_clinicians_is_in_the_text_for_the_patient(
    guidance, make_result, unsettled, troubled
):
    for result in (make_result(), unsettled, troubled):
        assert "linician" not in patient_text(guidance, result)


def test_the_patient_is_asked_the_open_questions_in_their_order(guidance, unsettled, troubled):
    text = patient_text(guidance, unsettled)
    assert "Not assessable yet. Target unknown." in text
    assert "in this order:\n1. Fever above 38 °C & chills <today>?\n2. " in text
    assert "both cannot be\nQuestions" in patient_text(guidance, troubled)


def test_an_unsettled_level_alone_asks_the_patient_nothing(guidance, make_result, unsettled):
    result = make_result(settled=False, open=unsettled.open)
    assert "still open" not in patient_text(guidance, result)


def test_explain_has_every_part_of_the_result(guidance, troubled, answers):
    shown = json.loads(explained(guidance, troubled, answers), parse_float=Decimal)
    assert shown["guidance"]["canonical"] == f"{guidance.written.identity.url}|1.2.0"
    assert shown["tier"] == {"at-least": "soon", "at-most": "now", "settled": False, "assessable": True}
    assert shown["reasons"][0]["rule"] == "cough-is-soon"
    assert shown["reasons"][0]["tier"] == "soon"
    assert shown["risks"][1] == {
        "outcome": "other",
        "at-least": "some",
        "at-most": "some",
        "settled": True,
        "listed": True,
        "reasons": [shown["risks"][1]["reasons"][0]],
    }
    assert shown["risks"][1]["reasons"][0]["tier"] is None
    assert shown["open"] == [{"linkId": "fever", "moves": ["tier", "a-score"], "red-flag": True}]
    assert shown["contradictions"] == [{"code": "fever-and-none", "between": ["fever", "no-fever"]}]
    assert shown["tables"][0]["rows"]["row-2"] == "both"
    assert shown["scores"][0]["at-most"] == Decimal("3.0")
    assert [advice["name"] for advice in shown["advice"]] == ["rest", "outlook", "film"]
    assert shown["ignored"] == ["pain", "not-in-the-form"]
    assert shown["findings"] == {"fever": "present", "rash": "unknown"}
    assert shown["settled"] is False


def test_explain_shows_the_answers_as_they_were_read(guidance, troubled, answers):
    assert view(guidance, troubled, answers)["answers"] == {
        "given": {
            "fever": [{"system": "http://loinc.org", "code": "LA33-6"}],
            "days": [{"value": Decimal("2.50"), "unit": "d"}],
            "pain": [0],
            "note": ["free text"],
        },
        "chart": {"crp": [{"value": Decimal(12), "unit": "mg/L"}]},
        "ignored": {"cough": [{"system": "http://loinc.org", "code": "LA32-8"}]},
        "closed": ["ph"],
    }
    assert '"value": 2.50' in explained(guidance, troubled, answers)


def test_iv20_a_bundle_holds_the_assessment_under_a_name_made_from_its_content(
    renderer, make_context, make_result, troubled, union
):
    risk = renderer.render(make_result(), make_context())
    text = collection(risk, make_context())
    bundle = json.loads(text)
    assert (bundle["type"], bundle["entry"][0]["resource"]) == ("collection", json.loads(risk))
    assert text == collection(risk, make_context())
    assert text.count("\n") > 50
    names = {
        json.loads(collection(each, make_context(id=name)))["entry"][0]["fullUrl"]
        for each in (risk, renderer.render(troubled, make_context()))
        for name in ("r1", None)
    }
    assert len(names) == 4
    assert union([bundle]) == [[]]


def test_indented_json_keeps_the_digits_of_its_numbers():
    assert indented(b'{"a":2.00}') == '{\n  "a": 2.00\n}\n'
