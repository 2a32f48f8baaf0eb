"""The Bundle of a result: what a chart files; whatever comes later takes the place of what came before."""

import json
from base64 import b64decode
from types import SimpleNamespace
from typing import Any

import pytest

from service.datatypes.answers import Answers, Coding
from service.datatypes.values import replace
from service.guidance import model
from service.guidance.result import Due, Fired, Interval
from service.results import BUNDLE, Renderer, withdrawn

OWN = "https://example.org/fhir/CodeSystem/demo"
KINDS = ["RiskAssessment", "Observation", "ServiceRequest", "DocumentReference"]


@pytest.fixture
def refers(guidance) -> Renderer:
    """A renderer of a guidance whose two highest steps ask for a referral."""
    priorities = ("", "", "routine", "stat")
    tiers = tuple(
        replace(tier, referral=priority)
        for tier, priority in zip(guidance.written.tiers, priorities, strict=True)
    )
    own = {"own": model.Says("your doctor", "Usual doctor")}
    written = replace(guidance.written, tiers=tiers, addressees=own)
    return Renderer(
        SimpleNamespace(
            written=written, form=guidance.form, contradictions=guidance.contradictions, language="en"
        )
    )


@pytest.fixture
def bundle(refers, make_assessment):
    """Writes the Bundle of a result; keywords change the context."""

    def written(result: Any, **more: Any) -> Any:
        result = replace(result, tiers=refers._bundle._written.tiers)
        return json.loads(refers.document(make_assessment(result, Answers({}), **more), BUNDLE))

    return written


def by_kind(bundle: Any) -> dict[str, Any]:
    return {entry["resource"]["resourceType"]: entry["resource"] for entry in bundle["entry"]}


def names(bundle: Any) -> dict[str, str]:
    return {entry["resource"]["resourceType"]: entry["fullUrl"] for entry in bundle["entry"]}


def test_it_holds_what_a_chart_can_file_and_all_of_it_is_right_r4(
    bundle, make_result, unsettled, troubled, union
):
    bundles = [bundle(result) for result in (make_result(), unsettled, troubled)]
    assert union(bundles) == [[], [], []]
    assert bundles[0]["type"] == "collection"
    assert list(by_kind(bundles[0])) == KINDS
    for entry in bundles[0]["entry"]:
        assert entry["resource"]["identifier"] == [{"system": "urn:ietf:rfc:3986", "value": entry["fullUrl"]}]
        assert entry["resource"]["subject"] == {"reference": "Patient/p1"}


def test_the_assessment_in_it_is_the_one_that_is_answered_alone(bundle, refers, make_assessment, make_result):
    result = make_result(tiers=refers._bundle._written.tiers)
    assert by_kind(bundle(result))["RiskAssessment"] == json.loads(refers.document(make_assessment(result)))


def test_the_step_is_an_observation_of_a_survey(bundle, make_result):
    step = by_kind(bundle(make_result()))["Observation"]
    assert step["category"][0]["coding"][0]["code"] == "survey"
    assert step["code"]["coding"][0] == {"system": OWN, "code": "step-of-care", "display": "Step of care"}
    assert step["valueCodeableConcept"] == {
        "text": "Now",
        "coding": [{"system": OWN, "code": "now", "display": "Now"}],
    }
    assert step["effectiveDateTime"] == "2026-01-05T10:00:00+01:00"
    assert step["derivedFrom"] == [{"reference": "QuestionnaireResponse/r1"}]
    assert step["status"] == "final"


def test_a_step_that_is_open_has_words_and_no_code(bundle, troubled):
    step = by_kind(bundle(replace(troubled, totals=())))["Observation"]
    assert step["valueCodeableConcept"] == {"text": "At least: Soon; open questions could raise it to: Now"}
    assert step["status"] == "preliminary"


def scores(bundle: Any) -> list[Any]:
    found = [entry["resource"] for entry in bundle["entry"]]
    return [each for each in found if each["resourceType"] == "Observation"][1:]


def test_a_score_is_an_observation_with_its_own_code_or_that_of_the_guidance(bundle, troubled, union):
    (total,) = troubled.totals
    coded = replace(total.score, code=Coding("http://loinc.org", "44261-6"), code_display="PHQ-9 total")
    known = replace(total, score=coded, value=total.at_most, bands=("severe", "severe"))
    refused = replace(total, score=replace(total.score, missing=model.Missing("refuse")))
    bundles = [bundle(replace(troubled, totals=(each,))) for each in (total, known, refused)]
    found = [scores(each)[0] for each in bundles]
    assert [each["code"]["coding"][0]["code"] for each in found] == ["sum", "44261-6", "sum"]
    assert found[0]["valueRange"]["low"] == {
        "value": 0,
        "unit": "score",
        "system": "http://unitsofmeasure.org",
        "code": "{score}",
    }
    assert found[1]["valueQuantity"]["value"] == 3.0
    assert found[1]["interpretation"] == [{"text": "Severe"}]
    assert found[2]["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    assert "interpretation" not in found[2]
    assert union(bundles) == [[], [], []]


def test_a_referral_is_proposed_with_priority_period_and_whom_it_is_for(bundle, make_result, guidance):
    rule = guidance.written.rules[0]
    result = make_result(due=Due(7, "", rule), step_due=Due(14, "own", rule))
    request = by_kind(bundle(result))["ServiceRequest"]
    assert (request["intent"], request["status"], request["priority"]) == ("proposal", "active", "stat")
    assert request["code"]["coding"][0]["code"] == "3457005"
    assert request["occurrencePeriod"] == {"start": "2026-01-05", "end": "2026-01-19"}
    assert request["performerType"] == {"text": "Usual doctor"}
    assert request["reasonCode"][0] == {"text": "Clinician: rule fever-is-urgent"}
    assert "occurrencePeriod" not in by_kind(bundle(result, authored="2026"))["ServiceRequest"]


def test_a_reason_that_asks_for_haste_raises_the_priority(bundle, make_result, guidance):
    soon = replace(guidance.written.rules[1], priority="")
    for rule, priority in ((guidance.written.rules[1], "urgent"), (soon, "routine")):
        result = make_result(tier=Interval(2, 2), fired=(Fired(rule, ()),))
        assert by_kind(bundle(result))["ServiceRequest"]["priority"] == priority


def test_a_proposal_is_a_draft_until_the_result_is_final(bundle, make_result):
    assert by_kind(bundle(make_result(), status="in-progress"))["ServiceRequest"]["status"] == "draft"


def test_a_step_that_asks_for_none_has_none_unless_it_may_have_had_one(bundle, make_result, union):
    result = make_result(tier=Interval(1, 1))
    assert "ServiceRequest" not in by_kind(bundle(result))
    amended = bundle(result, status="amended")
    assert by_kind(amended)["ServiceRequest"]["status"] == "revoked"
    assert by_kind(amended)["Observation"]["status"] == "amended"
    assert union([amended]) == [[]]


def test_what_an_amended_response_makes_takes_the_place_of_what_was_made(bundle, make_result):
    first, amended = bundle(make_result()), bundle(make_result(tier=Interval(1, 1)), status="amended")
    assert names(first) == names(amended)
    other = bundle(make_result(), identifier={"value": "2"})
    assert not set(names(first).values()) & set(names(other).values())


def test_a_response_that_nothing_tells_apart_is_named_by_its_result(bundle, make_result, union):
    nameless = {"identifier": None, "id": None, "authored": None}
    one, other = bundle(make_result(), **nameless), bundle(make_result(fired=()), **nameless)
    assert not set(names(one).values()) & set(names(other).values())
    assert names(one) == names(bundle(make_result(), **nameless))
    assert union([one]) == [[]]


def test_the_text_is_there_for_a_chart_that_takes_nothing_else(bundle, refers, make_assessment, make_result):
    document = by_kind(bundle(make_result()))["DocumentReference"]
    attachment = document["content"][0]["attachment"]
    text = b64decode(attachment["data"]).decode()
    assert attachment["contentType"] == "text/plain; charset=utf-8"
    assert (document["status"], document["docStatus"]) == ("current", "final")
    assert document["date"] == attachment["creation"] == "2026-01-05T10:00:00+01:00"
    assert text.index("FOR THE PATIENT") < text.index("You: tier now") < text.index("FOR THE CLINICIAN")
    assert "Findings: Clinician: rule fever-is-urgent. Cough <b>&</b> more.\n" in text
    assert "date" not in by_kind(bundle(make_result(), authored="2026-01-05"))["DocumentReference"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("entered-in-error", ["entered-in-error"] * 4),
        ("cancelled", ["cancelled", "cancelled", "revoked", "superseded"]),
    ],
)
def test_of_a_withdrawn_result_everything_that_was_filed_is_withdrawn(
    bundle, refers, make_assessment, make_result, troubled, status, expected, union
):
    for result in (make_result(), troubled):
        before = bundle(result)
        risk = withdrawn(json.dumps(by_kind(before)["RiskAssessment"]).encode(), status)
        after = json.loads(refers.withdrawn_bundle(risk))
        assert union([after]) == [[]]
        filed, ended = ({entry["fullUrl"] for entry in each["entry"]} for each in (before, after))
        assert filed <= ended
        found = [by_kind(after)[kind]["status"] for kind in KINDS]
        assert found == expected
        texts = [
            b64decode(each["content"][0]["attachment"]["data"])
            for each in by_kind(after).values()
            if "content" in each
        ]
        assert b"Withdrawn" in texts[0]
    assert len(scores(after)) == 1


def test_a_contained_person_is_contained_in_each_resource(bundle, make_result, union):
    person = {"resourceType": "Patient", "id": "subject", "name": [{"text": "Ada"}]}
    visit = {"resourceType": "Encounter", "id": "encounter", "status": "finished", "class": {"code": "AMB"}}
    context = {"subject": {"reference": "#subject"}, "encounter": {"reference": "#encounter"}}
    made = bundle(make_result(), **context, contained=(person, visit))
    assert union([made]) == [[]]
    assert all(person in entry["resource"]["contained"] for entry in made["entry"])
