"""IV16 to IV19, OP06: the full RiskAssessment says what the result says, names sources, invents nothing."""

import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from service.datatypes.values import replace
from service.errors import Problem
from service.fhir import definitions
from service.fhir.chart import ChartValues
from service.results import DETAILS, FULL

OWN = "https://example.org/fhir/CodeSystem/demo"
RISK = "http://terminology.hl7.org/CodeSystem/risk-probability"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
NO_CHART = ChartValues()
TRIAGE = {
    "system": OWN,
    "code": "questionnaire-triage",
    "display": "Questionnaire triage by software, not an examination",
}
CRP = {"reference": "Observation/o1"}


@pytest.fixture
def render(renderer, make_assessment):
    """Renders a result in full; keywords change the context."""

    def rendered(result: Any, chart: ChartValues = NO_CHART, problems: Any = (), **context: Any) -> Any:
        assessment = make_assessment(result, chart=chart, problems=problems, **context)
        return json.loads(renderer.document(assessment, FULL), parse_float=Decimal)

    return rendered


def extensions(element: dict[str, Any], url: str) -> list[dict[str, Any]]:
    """The parts of every extension of this url: name to value, or to a list where a part repeats."""
    return [
        parts(extension["extension"]) for extension in element.get("extension", ()) if extension["url"] == url
    ]


def parts(members: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for extension in members:
        (value,) = [
            parts(held) if name == "extension" else held for name, held in extension.items() if name != "url"
        ]
        found.setdefault(extension["url"], []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def cut(coding: dict[str, Any]) -> str:
    return f"{coding['system']}|{coding['code']}"


def test_iv17_a_settled_result_of_a_complete_response_is_final(render, make_result, union):
    risk = render(make_result(), ChartValues({}, {"crp": (CRP,)}))
    assert risk["status"] == "final"
    assert risk["subject"] == {"reference": "Patient/p1"}
    assert risk["encounter"] == {"reference": "Encounter/e1"}
    assert risk["occurrenceDateTime"] == "2026-01-05T10:00:00+01:00"
    assert risk["basis"] == [{"reference": "QuestionnaireResponse/r1"}, CRP]
    assert risk["code"]["coding"] == [
        TRIAGE,
        {"system": "http://snomed.info/sct", "code": "1", "display": "Assessment"},
    ]
    assert "id" not in risk
    assert union([risk]) == [[]]


@pytest.mark.parametrize(
    ("status", "final"), [("completed", True), ("amended", True), ("in-progress", False)]
)
def test_iv17_only_a_complete_response_makes_a_result_final(render, make_result, status, final):
    assert render(make_result(), status=status)["status"] == ("final" if final else "preliminary")


def test_iv18_an_unsettled_result_is_preliminary_and_settles_nothing(render, unsettled, union):
    risk = render(unsettled)
    assert risk["status"] == "preliminary"
    _, flu = risk["prediction"]
    assert flu["qualitativeRisk"] == {"text": "between low likelihood and high likelihood, not settled"}
    (interval,) = extensions(flu, definitions.LEVEL_INTERVAL)
    assert (cut(interval["at-least"]), cut(interval["at-most"])) == (f"{RISK}|low", f"{RISK}|high")
    assert interval["settled"] is False
    assert union([risk]) == [[]]


def test_iv18_while_the_lowest_step_is_not_settled_it_says_not_assessable_yet(render, unsettled):
    risk = render(unsettled)
    (step,) = extensions(risk, definitions.ASSESSMENT_TIER)
    assert (step["settled"], step["assessable"]) == (False, False)
    assert (step["at-least"]["code"], step["at-most"]["code"]) == ("unknown", "now")
    assert "Not assessable yet" in risk["text"]["div"]
    assert risk["mitigation"].startswith(
        "Demo <guidance>\n\nNot assessable yet. Answer the open questions first."
    )
    assert any(note["text"].startswith("Not assessable yet") for note in risk["note"])
    places = [risk["mitigation"].index(text) for text in ("We cannot say yet", "Fever above")]
    assert places == sorted(places)


def test_iv18_a_reason_for_an_unsettled_level_says_that_open_questions_may_change_it(render, unsettled):
    risk = render(unsettled)
    assert risk["prediction"][1]["rationale"] == (
        "Between low likelihood and high likelihood, not settled. If the open questions change nothing: "
        "Clinician: rule flu-low Rule: flu-low."
    )
    assert "not settled. If the open questions change nothing: Clinician: rule flu-low" in risk["text"]["div"]


def test_iv18_a_level_without_a_rule_says_so(render, troubled):
    _, flu, _ = render(troubled)["prediction"]
    assert flu["rationale"].endswith("If the open questions change nothing: no rule for this outcome holds.")


def test_at_least_a_step_is_never_called_not_assessable(render, troubled):
    risk = render(troubled)
    (step,) = extensions(risk, definitions.ASSESSMENT_TIER)
    assert (step["assessable"], step["settled"]) == (True, False)
    assert "Not assessable" not in str(risk)
    assert "At least: Soon; open questions could raise it to: Now." in risk["text"]["div"]
    assert "This is the least that we advise" in risk["mitigation"]


def test_iv17_the_method_names_guidance_version_and_hash(render, make_result, guidance):
    identity = guidance.written.identity
    method = render(make_result())["method"]
    named = {"system": "urn:ietf:rfc:3986", "version": "1.2.0", "code": identity.url}
    assert method["coding"] == [named | {"display": identity.title}]
    assert {extension["url"]: extension for extension in method["extension"]} == {
        definitions.GUIDANCE_CANONICAL: {
            "url": definitions.GUIDANCE_CANONICAL,
            "valueCanonical": f"{identity.url}|1.2.0",
        },
        definitions.GUIDANCE_HASH: {"url": definitions.GUIDANCE_HASH, "valueString": identity.hash},
    }


def test_iv17_the_performer_is_the_contained_device_with_its_version(render, make_result):
    risk = render(make_result())
    (device,) = risk["contained"]
    assert risk["performer"] == {"reference": f"#{device['id']}"}
    assert (device["resourceType"], device["version"][0]["value"]) == ("Device", "1.2.0")


@pytest.mark.parametrize("detail", DETAILS)
def test_iv16_no_probability_is_ever_written(
    renderer, make_assessment, make_result, unsettled, troubled, detail
):
    for result in (make_result(), unsettled, troubled):
        assert b'"probability' not in renderer.document(make_assessment(result), detail)


def test_iv17_a_prediction_names_outcome_level_rule_answers_and_statements(render, make_result):
    _, flu = render(make_result())["prediction"]
    assert flu["outcome"]["coding"][0]["display"] == "Flu pattern"
    assert [cut(coding) for coding in flu["outcome"]["coding"]] == [
        f"{OWN}|flu",
        "http://snomed.info/sct|6142004",
    ]
    assert flu["qualitativeRisk"] == {
        "coding": [{"system": RISK, "code": "high", "display": "High likelihood"}]
    }
    assert flu["rationale"] == (
        "Clinician: rule flu-high Rule: flu-high. Answers: fever, cough. Statements: S1, S2."
    )
    (reason,) = extensions(flu, definitions.REASON)
    assert reason == {
        "rule": "flu-high",
        "answer": ["fever", "cough"],
        "statement": ["S1", "S2"],
        "origin": "article",
    }


def test_an_outcome_is_listed_from_its_level_on_and_may_have_a_code_of_our_own(render, troubled):
    _, _, other = render(troubled)["prediction"]
    assert [cut(coding) for coding in other["qualitativeRisk"]["coding"]] == [f"{OWN}|some"]
    assert other["rationale"] == "Only you Rule: other-some. Answers: note. Statements: S1, S2."


def test_without_a_listed_outcome_the_step_is_the_only_prediction(render, make_result, union):
    risk = render(make_result(risks=()))
    assert [cut(each["outcome"]["coding"][0]) for each in risk["prediction"]] == [f"{OWN}|needs-evaluation"]
    assert union([risk]) == [[]]


def test_a_reason_names_rule_kind_step_priority_answers_statements_and_wording(render, make_result):
    first, second = extensions(render(make_result()), definitions.REASON)
    assert first == {
        "rule": "fever-is-urgent",
        "kind": "red-flag",
        "tier": "now",
        "answer": "fever",
        "statement": ["S1", "S2"],
        "origin": "article",
        "wording": "Clinician: rule fever-is-urgent",
    }
    assert (second["priority"], second["origin"], second["wording"]) == (
        "expedited",
        "project",
        "Cough <b>&</b> more",
    )
    assert len(second["answer"]) == 6


def test_a_table_is_reported_with_its_counts_and_every_row(render, make_result):
    (table,) = extensions(render(make_result()), definitions.COMPARISON)
    counts = {name: table[name] for name in ("matched-left", "matched-right", "answered", "open")}
    assert counts == {"matched-left": 2, "matched-right": 2, "answered": 3, "open": 0}
    assert [(row["code"], row["side"]) for row in table["row"]] == [
        ("row-0", "left"),
        ("row-1", "right"),
        ("row-2", "both"),
        ("row-3", "informs-only"),
    ]
    assert (table["table"], table["left"], table["right"]) == ("flu-or-cold", "Flu", "Cold")


def test_open_questions_stand_in_the_order_in_which_to_ask_them(render, unsettled):
    first, second = extensions(render(unsettled), definitions.OPEN_QUESTION)
    assert first == {
        "linkId": "fever",
        "text": "Fever above 38 °C & chills <today>?",
        "moves": ["tier", "flu"],
        "red-flag": True,
    }
    assert second == {"linkId": "note", "moves": "other", "red-flag": False}


def test_contradictions_ignored_answers_and_scores_are_reported(render, troubled, union):
    risk = render(troubled)
    (clash,) = extensions(risk, definitions.CONTRADICTION)
    assert clash == {
        "code": "fever-and-none",
        "between": ["fever", "no-fever"],
        "wording": "Clinician: both cannot be",
    }
    ignored = [extension for extension in risk["extension"] if extension["url"] == definitions.IGNORED_ANSWER]
    assert ignored == [{"url": definitions.IGNORED_ANSWER, "valueString": "pain"}]
    (score,) = extensions(risk, definitions.SCORE)
    assert score == {
        "code": "sum",
        "display": "Sum of two",
        "at-least": 0,
        "at-most": Decimal("3.0"),
        "band-at-least": "mild",
        "band-at-most": "severe",
        "answered": 1,
    }
    notes = [note["text"] for note in risk["note"]]
    assert notes[1:] == [
        "Contradiction; the worse answer counts: Clinician: both cannot be",
        (
            "Answers that did not count, because other answers close these questions: "
            "\u201cPain from 0 to 10?\u201d."
        ),
    ]
    assert union([risk]) == [[]]


def test_a_score_keeps_its_digits(renderer, make_assessment, troubled):
    assert b'"url":"at-most","valueDecimal":3.0}' in renderer.document(make_assessment(troubled), FULL)


def test_warnings_about_the_response_become_notes(render, make_result, union):
    risk = render(make_result(), problems=(Problem("item-text", "Say <this> & that.", "", "warning"),))
    assert risk["note"][-1] == {"text": "Say <this> & that."}
    assert "<li>Say &lt;this&gt; &amp; that.</li>" in risk["text"]["div"]
    assert union([risk]) == [[]]


def test_the_intended_use_comes_first_in_the_notes(render, make_result):
    assert render(make_result())["note"][0] == {"text": "Intended use: Clinician: decision support"}


SUBJECTS = (
    {"reference": "Patient/p1", "type": "Patient", "display": "Somebody"},
    {"identifier": {"use": "official", "system": "urn:x", "value": "1"}},
    {"display": "Somebody"},
    {"extension": [{"url": ABSENT, "valueCode": "asked-declined"}]},
)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_iv17_the_subject_is_what_the_response_says(render, make_result, subject, union):
    risk = render(make_result(), subject=subject)
    assert risk["subject"] == subject
    assert union([risk]) == [[]]


def test_iv17_nobody_named_is_said_and_not_invented(render, make_result, union):
    risk = render(make_result(), subject=None, encounter=None, authored=None)
    assert risk["subject"] == {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}
    assert not {"encounter", "occurrenceDateTime"} & risk.keys()
    assert union([risk]) == [[]]


@pytest.mark.parametrize(
    ("context", "reference"),
    [
        ({}, {"reference": "QuestionnaireResponse/r1"}),
        (
            {"id": None, "identifier": {"value": "1"}},
            {"type": "QuestionnaireResponse", "identifier": {"value": "1"}},
        ),
        (
            {"id": None, "identifier": None, "questionnaire": "urn:q|1"},
            {
                "type": "QuestionnaireResponse",
                "display": "Response to urn:q|1, written 2026-01-05T10:00:00+01:00",
            },
        ),
        (
            {"id": None, "identifier": None, "questionnaire": "urn:q|1", "authored": None},
            {"type": "QuestionnaireResponse", "display": "Response to urn:q|1"},
        ),
    ],
)
def test_iv17_the_basis_names_the_response_as_well_as_it_can(render, make_result, context, reference, union):
    risk = render(make_result(), **context)
    assert risk["basis"] == [reference]
    assert union([risk]) == [[]]


@pytest.mark.parametrize("detail", DETAILS)
def test_op06_the_same_result_gives_the_same_bytes(
    guidance, renderer, make_assessment, make_result, unsettled, troubled, detail
):
    again = type(renderer)(guidance)
    for result in (make_result(), unsettled, troubled):
        assessment = make_assessment(result)
        assert again.document(assessment, detail) == renderer.document(assessment, detail)


def test_a_code_without_display_is_written_without_one(
    guidance, make_assessment, make_result, renderer, union
):
    identity = replace(guidance.written.identity, code_display="")
    written = replace(guidance.written, identity=identity)
    bare = SimpleNamespace(
        written=written, form=guidance.form, contradictions=guidance.contradictions, language="en"
    )
    risk = json.loads(type(renderer)(bare).document(make_assessment(make_result())))
    assert risk["code"]["coding"] == [TRIAGE, {"system": "http://snomed.info/sct", "code": "1"}]
    assert union([risk]) == [[]]
