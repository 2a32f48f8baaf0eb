"""From bytes to the RiskAssessment, through both ways in."""

import copy
import re
from collections.abc import Callable
from decimal import Decimal
from itertools import product
from typing import Any

import orjson
import pytest

from service.assess import OUTPUTS, Assessor
from service.catalogue import Catalogue
from service.datatypes.values import replace
from service.errors import Malformed, NotScorable, ServiceError, TooLarge
from service.fhir.json import BodyLimits
from service.fhir.structure import check_response
from service.results import BUNDLE, DETAILS, FULL

Json = dict[str, Any]
Sample = Callable[[str], Json]
Assessed = Callable[[Json], Json]

ANSWERS = "https://guidance.example.org/fhir/CodeSystem/muscle-twitching-answers"
BASE = "https://guidance.example.org/fhir/StructureDefinition/"


def extensions(document: Json, name: str) -> list[Json]:
    return [each for each in document["extension"] if each["url"] == BASE + name]


def parts(extension: Json) -> dict[str, Any]:
    """The simple parts of an extension, by their url."""
    return {
        part["url"]: value
        for part in extension["extension"]
        for key, value in part.items()
        if key.startswith("value")
    }


def tier(document: Json) -> tuple[str, str]:
    (found,) = extensions(document, "assessment-tier")
    values = parts(found)
    return values["at-least"]["code"], values["at-most"]["code"]


def levels(document: Json) -> dict[str, str]:
    return {
        each["outcome"]["coding"][0]["code"]: each["qualitativeRisk"]["coding"][0]["code"]
        for each in document["prediction"][1:]
        if "coding" in each["qualitativeRisk"]
    }


UNSURE = {"system": "http://loinc.org", "code": "LA12688-0"}


def coded(code: str) -> Json:
    return {"system": ANSWERS, "code": code}


def item(items: list[Json], link_id: str) -> Json:
    for each in items:
        if each["linkId"] == link_id:
            return each
        for inner in each.get("item", []):
            if inner["linkId"] == link_id:
                return inner
    raise AssertionError(link_id)


def problems(assessor: Assessor, document: Json | bytes) -> list[tuple[str, str]]:
    data = document if isinstance(document, bytes) else orjson.dumps(document)
    with pytest.raises(ServiceError) as refused:
        assessor.assess_body(data)
    return [(each.kind, each.expression) for each in refused.value.problems]


def test_plain_eyelid_twitching_for_three_days_is_self_care_and_final(
    sample: Sample, assessed: Assessed
) -> None:
    document = assessed(sample("plain-eyelid"))
    assert document["status"] == "final"
    assert tier(document) == ("self-care", "self-care")
    assert levels(document) == {"als": "low", "ms": "negligible", "benign": "fits-well"}


def test_progressive_weakness_is_prompt_and_never_benign(sample: Sample, assessed: Assessed) -> None:
    document = assessed(sample("progressive-weakness"))
    assert tier(document) == ("prompt", "prompt")
    assert levels(document)["als"] == "high"
    assert levels(document)["benign"] == "fits-poorly"


def test_an_empty_response_is_not_assessable_and_asks_red_flags_first(
    sample: Sample, assessed: Assessed
) -> None:
    document = assessed(sample("empty"))
    assert document["status"] == "preliminary"
    assert tier(document) == ("not-assessable", "emergency")
    asked = [parts(each)["linkId"] for each in extensions(document, "open-question")]
    assert asked[:4] == ["completed-by", "emergency-signs", "urgent-signs", "new-medicine"]
    assert "\n\nNot assessable yet" in document["mitigation"]
    assert all("coding" not in each["qualitativeRisk"] for each in document["prediction"])


def test_a_partial_response_has_intervals_and_never_says_self_care(
    sample: Sample, assessed: Assessed
) -> None:
    document = assessed(sample("partial"))
    assert document["status"] == "preliminary"
    assert tier(document) == ("review", "emergency")  # not sure about a thinner muscle; much is open
    assert extensions(document, "open-question")


def test_a_red_flag_answered_not_sure_leads_somewhere_and_is_listed_as_open(
    sample: Sample, assessed: Assessed
) -> None:
    response = sample("plain-eyelid")
    asked = item(response["item"], "speech-breathing")["item"]
    codes = {"speech": UNSURE, "speech-since-known": UNSURE, "speech-course": coded("same")}
    asked[:1] = [{"linkId": link, "answer": [{"valueCoding": code}]} for link, code in codes.items()]
    document = assessed(response)
    assert tier(document) == ("review", "prompt")
    assert [parts(each)["linkId"] for each in extensions(document, "open-question")] == ["speech"]


def test_contradictory_answers_are_named_and_the_worse_one_counts(sample: Sample, assessed: Assessed) -> None:
    document = assessed(sample("contradictory"))
    names = {parts(each)["code"] for each in extensions(document, "contradiction")}
    assert "no-cramps-but-severity" in names
    assert tier(document)[0] == "consult"
    assert any(
        "does not count" in note["text"] or "Contradiction" in note["text"] for note in document["note"]
    )


@pytest.mark.parametrize("status", ["entered-in-error", "stopped"])
def test_a_response_that_must_not_be_scored_is_refused(
    status: str, sample: Sample, assessor: Assessor
) -> None:
    response = sample("plain-eyelid") | {"status": status}
    assert problems(assessor, response) == [("status-not-scorable", "QuestionnaireResponse.status")]


def test_a_wrong_type_is_refused_with_its_place(sample: Sample, assessor: Assessor) -> None:
    response = sample("plain-eyelid")
    item(response["item"], "worry")["answer"] = [{"valueString": "secret-canary"}]
    with pytest.raises(NotScorable) as refused:
        assessor.assess_body(orjson.dumps(response))
    (problem,) = refused.value.problems
    assert problem.kind == "answer-type"
    assert problem.expression.endswith(".answer[0]")
    assert "canary" not in problem.text


def test_an_answer_to_a_disabled_item_does_not_count_and_is_named(sample: Sample, assessed: Assessed) -> None:
    response = sample("plain-eyelid")
    before = assessed(response)
    answer = {"valueCoding": {"system": "http://loinc.org", "code": "LA33-6"}}
    item(response["item"], "eyelid-face")["item"].append(
        {"linkId": "other-signs-first", "answer": [answer]},
    )
    after = assessed(response)
    assert [each["valueString"] for each in extensions(after, "ignored-answer")] == ["other-signs-first"]
    assert (tier(after), levels(after)) == (tier(before), levels(before))


def test_required_questions_are_demanded_of_a_completed_response(sample: Sample, assessor: Assessor) -> None:
    response = sample("empty") | {"status": "completed"}
    kinds = {kind for kind, _ in problems(assessor, response)}
    assert kinds == {"required"}


@pytest.mark.slow
@pytest.mark.no_cover
def test_a_hundred_thousand_answers_are_refused_not_choked_on(sample: Sample, assessor: Assessor) -> None:
    response = sample("plain-eyelid")
    one = {"valueCoding": {"system": "http://loinc.org", "code": "LA33-6"}}
    item(response["item"], "weakness")["answer"] = [one] * 100_000
    with pytest.raises((NotScorable, TooLarge)):
        assessor.assess_body(orjson.dumps(response))


def test_a_body_of_five_thousand_levels_is_refused(assessor: Assessor) -> None:
    deep = b'{"resourceType":"QuestionnaireResponse","item":' + b'[{"item":' * 5000
    assert [kind for kind, _ in problems(assessor, deep)] == ["depth"]


@pytest.mark.parametrize(
    ("canonical", "kind"),
    [
        (None, "canonical-missing"),
        ("https://guidance.example.org/fhir/Questionnaire/muscle-twitching|9.9.9", "canonical-mismatch"),
        ("https://other.example.org/Questionnaire/x|1", "canonical-unknown"),
    ],
)
def test_no_other_version_ever_scores_a_response(
    canonical: str | None, kind: str, sample: Sample, assessor: Assessor
) -> None:
    response = sample("plain-eyelid")
    response.pop("questionnaire")
    if canonical is not None:
        response["questionnaire"] = canonical
    assert problems(assessor, response) == [(kind, "QuestionnaireResponse.questionnaire")]


def test_a_bare_url_stands_for_the_only_active_version(sample: Sample, assessed: Assessed) -> None:
    response = sample("plain-eyelid")
    versioned = assessed(response)
    response["questionnaire"] = response["questionnaire"].partition("|")[0]
    assert assessed(response) == versioned


def test_chart_values_count_and_stand_in_basis(sample: Sample, assessed: Assessed) -> None:
    document = assessed(sample("parameters-with-chart-data"))
    assert tier(document)[0] == "review"
    assert levels(document)["electrolyte-or-nutrient-deficiency"] == "high"
    assert any(each.get("reference", "").startswith("Observation/") for each in document["basis"])


def test_nothing_is_called_absent_while_it_is_unknown(sample: Sample, assessed: Assessed) -> None:
    response = sample("plain-eyelid")
    settled = assessed(response)
    item(response["item"], "rhythm")["answer"] = [{"valueCoding": UNSURE}]
    unsettled = assessed(response)
    assert tier(unsettled) == ("review", "consult")
    assert "no reason to consult" in settled["text"]["div"]
    assert "no reason to consult" not in unsettled["text"]["div"]
    assert "You were not sure" in unsettled["mitigation"]
    assert "You were not sure" not in settled["mitigation"]
    assert "still open" not in unsettled["mitigation"]


def potassium(parameters: Json) -> Json:
    """The Observation of potassium, alone in the Parameters."""
    data = [each for each in parameters["parameter"] if each["name"] == "data"]
    found: Json = data[0]["resource"]
    assert found["code"]["coding"][0]["code"] == "2823-3"
    parameters["parameter"] = [each for each in parameters["parameter"] if each not in data[1:]]
    return found


def test_a_chart_value_that_does_not_decide_is_no_reason_to_wait(sample: Sample, assessed: Assessed) -> None:
    """Potassium of more than 3.1 mmol/L may be high enough for an emergency."""
    parameters = sample("parameters-with-chart-data")
    potassium(parameters)["valueQuantity"]["comparator"] = ">"
    document = assessed(parameters)
    assert (document["status"], tier(document)) == ("preliminary", ("urgent", "emergency"))


def test_a_preliminary_chart_value_counts_where_it_is_abnormal_and_never_reassures(
    sample: Sample, assessed: Assessed
) -> None:
    parameters = sample("parameters-with-chart-data")
    potassium(parameters)["status"] = "preliminary"
    low = assessed(parameters)
    assert (low["status"], tier(low)) == ("final", ("review", "review"))
    potassium(parameters)["valueQuantity"]["value"] = 4.2
    usual = assessed(parameters)
    assert usual["status"] == "preliminary"
    assert "\n\nSelf-care" not in usual["mitigation"]


def test_a_newer_value_that_was_measured_otherwise_denies_nothing_and_lets_nothing_be_denied(
    sample: Sample, assessed: Assessed
) -> None:
    """Many charts have potassium in blood (6298-4), where the form asks for that in serum."""
    parameters = sample("parameters-with-chart-data")
    in_serum, in_blood = potassium(parameters), copy.deepcopy(potassium(parameters))
    in_serum["valueQuantity"]["value"] = 4.2
    in_blood |= {"id": "in-blood", "effectiveDateTime": "2026-11-19"}
    in_blood["code"]["coding"][0] = {"system": "http://loinc.org", "code": "6298-4"}
    in_blood["valueQuantity"]["value"] = 7.1
    assert assessed(parameters)["status"] == "final"
    parameters["parameter"].append({"name": "data", "resource": in_blood})
    document = assessed(parameters)
    assert document["status"] == "preliminary"
    assert "potassium 7.1 millimole per liter, 19 November 2026" in document["text"]["div"]
    in_blood["effectiveDateTime"] = "2026-11-16"
    assert tier(assessed(parameters)) == ("self-care", "self-care")


def test_every_value_of_the_chart_is_printed_and_the_same_remark_is_made_once(
    sample: Sample, assessed: Assessed, assessor: Assessor
) -> None:
    """A record has hundreds of values that no form asks for; of one that it asks for one may have no unit."""
    parameters = sample("parameters-with-chart-data")
    value = potassium(parameters)
    bare = copy.deepcopy(value) | {"id": "bare", "valueQuantity": {"value": 6.9, "unit": "mmol/L"}}
    others = [copy.deepcopy(value) | {"id": f"other-{number}"} for number in range(40)]
    for other in others:
        other["code"]["coding"] = [{"system": "http://loinc.org", "code": "2951-2"}]
    parameters["parameter"] += [{"name": "data", "resource": found} for found in (bare, *others)]
    full = assessed(parameters)
    short = orjson.loads(assessor.assess_body(orjson.dumps(parameters)).body)
    for document in (full, short):
        assert "potassium 6.9 mmol/L, 18 November 2026 (left out: its unit is not" in document["text"]["div"]
        remarks = [note["text"] for note in document["note"] if "left out" in note["text"]]
        assert remarks == [
            "A value from the chart was left out: its unit is not coded in UCUM.",
            "A value from the chart was left out: no question has its code. (40 times)",
        ]
    assert full["text"]["div"].count("no question has its code") == 1


def test_the_values_of_the_chart_that_matter_are_printed_before_the_others_which_are_counted(
    sample: Sample, assessed: Assessed, assessor: Assessor
) -> None:
    """Those that count, then the newest of each that was left out; years of values hide neither."""
    parameters = sample("parameters-with-chart-data")
    tsh = parameters["parameter"][2]
    bare = copy.deepcopy(potassium(parameters)) | {"valueQuantity": {"value": 4.1, "unit": "mmol/L"}}
    many = [bare | {"id": f"bare-{number}", "effectiveDateTime": f"{1980 + number}"} for number in range(40)]
    calcium = copy.deepcopy(bare) | {"id": "calcium", "effectiveDateTime": "1979"}
    calcium["code"]["coding"] = [{"system": "http://loinc.org", "code": "2000-8"}]
    data = [{"name": "data", "resource": one} for one in (*many, calcium)]
    parameters["parameter"] = [parameters["parameter"][0], *data, tsh]
    short = orjson.loads(assessor.assess_body(orjson.dumps(parameters)).body)["text"]["div"]
    (listed,) = re.findall("<b>Chart:</b> (.*?)</p>", short)
    assert [part.split(" (")[0] for part in listed.split("; ")[:3]] == [
        "TSH 1.8 milli international unit per liter, 18 November 2026",
        "potassium 4.1 mmol/L, 2019",
        "calcium 4.1 mmol/L, 1979",
    ]
    (full,) = re.findall("<h3>Values from the chart</h3><ul>(.*?)</ul>", assessed(parameters)["text"]["div"])
    assert full.count("<li>") == 21
    assert full.endswith("<li>and 22 more</li>")


def test_the_time_of_a_sudden_loss_counts_beside_no_emergency_sign(
    sample: Sample, assessed: Assessed
) -> None:
    """Both cannot be true; for a safety step what does not fit is a not sure."""
    response = sample("plain-eyelid")
    (signs,) = [group for group in response["item"] if group["linkId"] == "urgent"]
    system = signs["item"][0]["answer"][0]["valueCoding"]["system"]
    when = {"valueCoding": {"system": system, "code": "last-7-days"}}
    signs["item"].append({"linkId": "sudden-loss-when", "answer": [when]})
    document = assessed(response)
    assert (document["status"], tier(document)) == ("preliminary", ("urgent", "emergency"))


def test_of_a_preliminary_chart_value_that_does_not_decide_nobody_says_that_it_reassures(
    sample: Sample, assessed: Assessed
) -> None:
    """Potassium of more than 5 mmol/L may be high enough for an emergency."""
    parameters = sample("parameters-with-chart-data")
    value = potassium(parameters)
    value["status"] = "preliminary"
    value["valueQuantity"] |= {"value": 5, "comparator": ">"}
    document = assessed(parameters)
    assert (document["status"], tier(document)) == ("preliminary", ("not-assessable", "emergency"))
    assert "its status is preliminary, and nothing in it raises the result" in document["text"]["div"]


def test_a_page_of_a_search_never_reassures_where_the_next_one_is_missing(
    sample: Sample, assessed: Assessed
) -> None:
    """What is missing may be newer and worse: searches are in no order of time unless they say so."""
    parameters = sample("parameters-with-chart-data")
    (response, potassium, _) = parameters["parameter"]
    page = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": potassium["resource"]}],
    }
    parameters["parameter"] = [response, {"name": "data", "resource": page}]
    value = potassium["resource"]["valueQuantity"]

    def found(number: float, **links: str) -> tuple[str, tuple[str, str]]:
        value["value"] = number
        named = [{"relation": relation, "url": url} for relation, url in links.items()]
        page.update({"link": named} if named else {})
        document = assessed(parameters)
        return document["status"], tier(document)

    following = "https://example.org/fhir/Observation?page=2"
    newest_first = "https://example.org/fhir/Observation?patient=example&_sort=-date"
    whole = found(4.2)
    assert whole == found(4.2, self=newest_first, next=following) == ("final", ("self-care", "self-care"))
    assert found(4.2, next=following)[0] == "preliminary"
    assert found(6.9, next=following)[1] == ("emergency", "emergency")


def test_a_chart_value_that_is_a_range_counts_as_far_as_it_reaches(
    sample: Sample, assessed: Assessed
) -> None:
    """Potassium of less than 3.1 mmol/L is low, and may be very low."""
    parameters = sample("parameters-with-chart-data")
    value = assessed(parameters)
    potassium(parameters)["valueQuantity"]["comparator"] = "<"
    below = assessed(parameters)
    assert (tier(value), tier(below)) == (("review", "review"), ("urgent", "urgent"))
    assert levels(below)["electrolyte-or-nutrient-deficiency"] == "high"
    assert below["basis"][1] == value["basis"][1]


@pytest.mark.parametrize(
    ("value", "unit", "hours"),
    [(450, "min", "7.5"), (Decimal("7.5"), "h", "7.5"), (450, "kg", None), (450, "1", None)],
)
def test_minutes_of_sleep_are_never_read_as_hours(
    sample: Sample, assessor: Assessor, value: Any, unit: str, hours: str | None
) -> None:
    parameters = sample("parameters-with-chart-data")
    habits = item(parameters["parameter"][0]["resource"]["item"], "triggers-habits")["item"]
    habits[:] = [each for each in habits if each["linkId"] != "sleep-hours"]
    sleep = potassium(parameters)
    sleep["code"] = {"coding": [{"system": "http://loinc.org", "code": "93832-4"}]}
    sleep["valueQuantity"] = {"value": float(value), "system": "http://unitsofmeasure.org", "code": unit}
    shown = orjson.loads(assessor.shown(orjson.dumps(parameters), "explain"))["answers"]
    assert shown["chart"].get("sleep-hours") == ([float(hours)] if hours else None)


def declined() -> Json:
    url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    return {"extension": [{"url": url, "valueCode": "asked-declined"}]}


@pytest.mark.parametrize("status", ["completed", "in-progress"])
@pytest.mark.parametrize("value", [declined(), {"system": "http://loinc.org", "display": "No"}])
def test_a_required_question_without_a_code_is_answered_for_the_form_and_open_for_the_guidance(
    sample: Sample, assessed: Assessed, status: str, value: Json
) -> None:
    response = sample("plain-eyelid") | {"status": status}
    item(response["item"], "weakness")["answer"] = [{"valueCoding": value}]
    document = assessed(response)
    assert document["status"] == "preliminary"
    assert tier(document)[0] == "not-assessable"
    asked = [parts(each)["linkId"] for each in extensions(document, "open-question")]
    assert asked[0] == "weakness"
    assert "declined" not in document["text"]["div"]


def test_a_duration_with_a_comparator_is_a_range(sample: Sample, assessed: Assessed) -> None:
    response = sample("plain-eyelid")
    item(response["item"], "course")["answer"] = [{"valueCoding": coded("same")}]
    duration = item(response["item"], "duration")["answer"][0]["valueQuantity"]
    for comparator, days, ends in (
        ("<", 5, ("self-care", "self-care")),
        (">", 5, ("consult", "consult")),  # it does not decide, and not sure counts as over the cut-off
        (">=", 22, ("consult", "consult")),
        ("<=", 21, ("self-care", "self-care")),
        (">", 21, ("consult", "consult")),
        (">=", 21, ("consult", "consult")),
    ):
        duration |= {"value": days, "comparator": comparator}
        document = assessed(response)
        assert (comparator, days, tier(document)) == (comparator, days, ends)
        assert any("comparator" in note["text"] for note in document["note"])


def test_answers_that_do_not_fit_count_where_they_are_worse(sample: Sample, assessed: Assessed) -> None:
    response = sample("plain-eyelid")
    when = {"system": ANSWERS, "code": "lying-flat"}
    flags = item(response["item"], "speech-breathing")["item"]
    place = [each["linkId"] for each in flags].index("breathing") + 1
    flags.insert(place, {"linkId": "breathing-when", "answer": [{"valueCoding": when}]})
    document = assessed(response)
    assert tier(document) == ("prompt", "prompt")
    assert "unfit-breathing-when" in {parts(each)["code"] for each in extensions(document, "contradiction")}
    assert extensions(document, "ignored-answer") == []
    assert "does not fit" in document["mitigation"]


def test_an_answer_to_a_closed_question_that_cannot_be_read_is_refused(
    sample: Sample, assessor: Assessor
) -> None:
    """It may be the worse one of two that contradict each other: dropped, it ended in self-care."""
    document = sample("contradictory")
    item(document["item"], "cramp-severity")["answer"] = [{"valueDecimal": 8}]
    assert [kind for kind, _ in problems(assessor, document)] == ["answer-type", "disabled-item"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"valueInteger": 11}, "above-maximum"),
        ({"valueInteger": -8}, "below-minimum"),
    ],
)
def test_an_answer_to_a_closed_question_that_is_outside_of_its_limits_is_refused(
    sample: Sample, assessor: Assessor, value: Json, kind: str
) -> None:
    document = sample("contradictory")
    item(document["item"], "cramp-severity")["answer"] = [value]
    assert [kind for kind, _ in problems(assessor, document)] == ["disabled-item", kind]


def test_an_answer_to_a_closed_question_that_is_no_option_is_refused_and_without_a_code_leaves_it_open(
    sample: Sample, assessor: Assessor, assessed: Assessed
) -> None:
    """Nobody knows what was meant: passed over, it ended in self-care."""
    document = sample("plain-eyelid")
    flags = item(document["item"], "speech-breathing")["item"]
    place = [each["linkId"] for each in flags].index("breathing") + 1
    flags.insert(place, {"linkId": "breathing-when", "answer": [{"valueCoding": coded("lying")}]})
    assert [kind for kind, _ in problems(assessor, document)] == ["disabled-item", "answer-option"]
    flags[place]["answer"] = [{"valueCoding": {"display": "Lying down, mostly"}}]
    found = assessed(document)
    assert found["status"] == "preliminary"
    assert tier(found) != ("self-care", "self-care")
    assert "breathing-when" in [parts(each)["linkId"] for each in extensions(found, "open-question")]
    flags[place]["answer"] = [{"valueCoding": declined() | {"display": "Not applicable"}}]
    assert tier(assessed(document)) == ("self-care", "self-care")  # a reason why there is no answer is none


def test_the_same_response_gives_the_same_bytes_by_either_way_in(
    root, sample: Sample, assessor: Assessor
) -> None:
    """OP06, and the accept path and the full way are one meaning."""
    for name in ("plain-eyelid", "progressive-weakness", "partial", "professional-with-labs"):
        data = orjson.dumps(sample(name))
        accepted, full = assessor.accepted(data), assessor.scored(data)
        assert accepted is not None
        assert accepted.answers == full.answers
        reordered = orjson.dumps(sample(name), option=orjson.OPT_SORT_KEYS)
        for detail in DETAILS:
            written = [each.document(detail) for each in (accepted, full)]
            assert written[0] == written[1] == assessor.assess_body(data, detail).body
            assert assessor.assess_body(reordered, detail).body == written[0]


NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>x</p></div>'}
UNUSUAL: dict[str, Json] = {
    "a narrative": {"text": NARRATIVE},
    "an extension": {"extension": [{"url": "https://example.org/x", "valueString": "x"}]},
    "a tag": {"meta": {"tag": [{"system": "https://example.org/tags", "code": "x"}]}},
    "a subject that it contains": {
        "contained": [{"resourceType": "Patient", "id": "p"}],
        "subject": {"reference": "#p"},
    },
}


@pytest.mark.parametrize("unusual", UNUSUAL)
@pytest.mark.parametrize("name", ["plain-eyelid", "progressive-weakness", "partial"])
def test_what_is_unusual_at_the_head_of_a_response_does_not_send_its_items_to_the_full_check(
    served: Catalogue, sample: Sample, assessor: Assessor, name: str, unusual: str
) -> None:
    document = sample(name) | UNUSUAL[unusual]
    form = served.pairs[document["questionnaire"]].compiled
    in_full = replace(form).check(document)
    assert assessor.accepted(orjson.dumps(document)) is None
    assert form.accept_parsed(document, document["status"]) == in_full.answers
    assert form.check(document) == in_full
    assert in_full.problems == ()
    escaped = orjson.dumps(document).replace(b'"linkId"', b'"l\\u0069nkId"')
    assert assessor.assess_body(escaped) == assessor.assess_body(orjson.dumps(document))


REASON = {
    "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "not-asked"}
    ]
}


STATED_AND_MISSING: dict[str, Callable[[Json], Json]] = {
    "an item": lambda document: item(document["item"], "weakness"),
    "its linkId": lambda document: beside(item(document["item"], "weakness"), "linkId"),
    "a group": lambda document: item(document["item"], "strength"),
    "an answer": lambda document: answer_in(document, "weakness"),
    "a coding": lambda document: answer_in(document, "weakness")["valueCoding"],
    "its code": lambda document: beside(answer_in(document, "weakness")["valueCoding"], "code"),
    "its system": lambda document: beside(answer_in(document, "weakness")["valueCoding"], "system"),
    "its display": lambda document: beside(answer_in(document, "weakness")["valueCoding"], "display"),
    "the value of a quantity": lambda document: beside(
        answer_in(document, "duration")["valueQuantity"], "value"
    ),
    "its unit": lambda document: beside(answer_in(document, "duration")["valueQuantity"], "unit"),
    "its unit's code": lambda document: beside(answer_in(document, "duration")["valueQuantity"], "code"),
    "a comparator": lambda document: beside(answer_in(document, "duration")["valueQuantity"], "comparator"),
    "the response": lambda document: document,
    "its questionnaire": lambda document: beside(document, "questionnaire"),
    "its status": lambda document: beside(document, "status"),
    "its date": lambda document: beside(document, "authored"),
    "its subject": lambda document: document["subject"],
    "the reference of its subject": lambda document: beside(document["subject"], "reference"),
}


def answer_in(document: Json, link_id: str) -> Json:
    (answer,) = item(document["item"], link_id)["answer"]
    return answer


def beside(element: Json, name: str) -> Json:
    return element.setdefault(f"_{name}", {})


@pytest.mark.parametrize("url", ["data-absent-reason", "iso21090-nullFlavor"])
@pytest.mark.parametrize("place", STATED_AND_MISSING)
def test_what_is_stated_beside_a_reason_why_it_is_missing_is_refused_wherever_that_stands(
    served: Catalogue, sample: Sample, assessor: Assessor, place: str, url: str
) -> None:
    """Section 8 of the clinical decisions: nobody knows whether such a "no" was said."""
    document = sample("plain-eyelid")
    reason = {"url": f"http://hl7.org/fhir/StructureDefinition/{url}", "valueCode": "unknown"}
    STATED_AND_MISSING[place](document)["extension"] = [reason]
    form = served.pairs[document["questionnaire"]].compiled
    assert form.accept_parsed(document, "completed") is None
    assert [kind for kind, _ in problems(assessor, document)] == ["answer-absent-value"]


@pytest.mark.parametrize(
    "unit", ["weeks", "Wochen", "Woche(n)", "semaines", "wk", "Mon.", "hours", "J", "d", "Tage", "x"]
)
def test_ten_days_that_are_called_weeks_in_any_language_are_not_scored(
    served: Catalogue, sample: Sample, assessor: Assessor, unit: str
) -> None:
    document = sample("plain-eyelid")
    quantity = {"value": 10, "unit": unit, "system": "http://unitsofmeasure.org", "code": "d"}
    answer_in(document, "duration")["valueQuantity"] = quantity
    form, typed = served.pairs[document["questionnaire"]].compiled, assessor.accepted(orjson.dumps(document))
    parsed = form.accept_parsed(document, "completed")
    if unit in ("d", "Tage", "x"):
        assert typed is not None
        assert parsed is not None
    else:
        assert (typed, parsed) == (None, None)
        assert [kind for kind, _ in problems(assessor, document)] == ["display-of-another"]


LABELS = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def labelled(document: Json, *codes: str, kind: str = "security") -> Json:
    meta = {kind: [{"system": LABELS, "code": code, "display": code, "userSelected": True} for code in codes]}
    return document | {"meta": meta}


@pytest.mark.parametrize("code", ["REDACTED", "MASKED", "SUBSETTED"])
def test_a_response_of_which_something_was_left_out_is_not_scored(
    sample: Sample, assessor: Assessor, code: str
) -> None:
    """An option that was taken out of a list would be read as "no"."""
    refused = [("subsetted", "QuestionnaireResponse.meta")]
    assert problems(assessor, labelled(sample("plain-eyelid"), code)) == refused


def test_the_labels_of_a_response_and_of_the_values_that_count_stand_on_all_that_is_made_of_it(
    sample: Sample, assessor: Assessor
) -> None:
    document = sample("parameters-with-chart-data")
    response, *observations = [parameter["resource"] for parameter in document["parameter"]]
    response |= labelled({}, "R", "PSY", "R")
    for place, one in enumerate(observations):
        one.update(labelled({}, "R", f"V{place}"))
    bundle = orjson.loads(assessor.assess_body(orjson.dumps(document), BUNDLE).body)
    risk = bundle["entry"][0]["resource"]
    labels = risk["meta"]["security"]
    assert [label["code"] for label in labels][:2] == ["R", "PSY"]
    assert len(labels) == 2 + len([one for one in risk["basis"] if "Observation" in one["reference"]])
    assert labels[0] == {"system": LABELS, "code": "R", "display": "R"}
    assert {orjson.dumps(entry["resource"]["meta"]) for entry in bundle["entry"]} == {
        orjson.dumps(bundle["meta"])
    }
    full = orjson.loads(assessor.assess_body(orjson.dumps(document), FULL).body)
    assert full["meta"] == risk["meta"]


def test_what_was_made_for_a_test_is_called_so_in_its_result(sample: Sample, assessor: Assessor) -> None:
    body = orjson.dumps(labelled(sample("plain-eyelid"), "HTEST"))
    risk = orjson.loads(assessor.assess_body(body).body)
    assert [label["code"] for label in risk["meta"]["security"]] == ["HTEST"]
    assert any("made for a test" in note["text"] for note in risk["note"])


def test_a_status_that_only_says_why_it_is_missing_is_refused(sample: Sample, assessor: Assessor) -> None:
    document = sample("plain-eyelid")
    beside(document, "status")["extension"] = REASON["extension"]
    del document["status"]
    assert problems(assessor, document) == [("missing", "QuestionnaireResponse.status")]


def test_nobody_is_invented_where_the_response_names_nobody(sample: Sample, assessed: Assessed) -> None:
    response = sample("plain-eyelid")
    response.pop("subject")
    reason = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    assert assessed(response)["subject"] == {"extension": [{"url": reason, "valueCode": "unknown"}]}


def test_no_probability_is_ever_stated(sample: Sample, assessed: Assessed) -> None:
    for name in ("plain-eyelid", "progressive-weakness", "partial", "professional-with-labs"):
        for prediction in assessed(sample(name))["prediction"]:
            assert not {key for key in prediction if key.startswith("probability")}
            assert prediction["rationale"]


SAMPLES = (
    "contradictory",
    "empty",
    "parameters-with-chart-data",
    "partial",
    "plain-eyelid",
    "professional-with-labs",
    "progressive-weakness",
)
PLAIN_BYTES, LONGEST_BYTES, NARRATIVE_BYTES = 6 * 1024, 10 * 1024, 1536


@pytest.mark.parametrize("detail", DETAILS)
def test_a_result_is_valid_r4_in_every_detail(
    sample: Sample, assessor: Assessor, union: Any, detail: str
) -> None:
    documents = [
        orjson.loads(assessor.assess_body(orjson.dumps(sample(name)), detail).body) for name in SAMPLES
    ]
    assert union(documents) == [[] for _ in documents]


@pytest.mark.parametrize("name", SAMPLES)
def test_what_a_chart_shows_is_short(name: str, sample: Sample, assessor: Assessor) -> None:
    body = assessor.assess_body(orjson.dumps(sample(name))).body
    document = orjson.loads(body)
    assert len(body) <= (PLAIN_BYTES if name == "plain-eyelid" else LONGEST_BYTES)
    assert len(document["text"]["div"].encode()) <= NARRATIVE_BYTES
    assert max(len(each["rationale"]) for each in document["prediction"]) <= 120
    assert len(document["mitigation"]) <= 300
    assert ("extension" in document) is (name in ("empty", "partial"))


def test_every_code_of_its_own_that_a_result_names_is_published(
    sample: Sample, assessor: Assessor, served: Catalogue
) -> None:
    system = served.artifacts["CodeSystem", "muscle-twitching-guidance"].resource
    published = {concept["code"] for concept in system["concept"]}
    named = set()
    for name, detail in product(SAMPLES, DETAILS):
        pending: list[Any] = [orjson.loads(assessor.assess_body(orjson.dumps(sample(name)), detail).body)]
        for value in pending:
            if isinstance(value, dict) and value.get("system") == system["url"]:
                named.add(value["code"])
            inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            pending += [each for each in inside if isinstance(each, dict | list)]
    assert {"needs-evaluation", "questionnaire-triage", "step-of-care", "als", "prompt"} <= named
    assert named <= published


def test_every_output_of_the_command_line_can_be_made(sample: Sample, assessor: Assessor) -> None:
    data = orjson.dumps(sample("progressive-weakness"))
    for detail in DETAILS:
        assert orjson.loads(assessor.shown(data, detail)) == orjson.loads(
            assessor.assess_body(data, detail).body
        )
    explained = orjson.loads(assessor.shown(data, "explain"))
    assert explained["tier"]["at-least"] == "prompt"
    assert explained["findings"]["new-weakness"] == "present"
    [step] = [found for found in explained["minimal-reasons"] if found["of"] == "tier"]
    assert (step["forces"], step["finished"]) == ("prompt", True)
    assert ["weakness"] in step["answers"]
    assert "twitching" in assessor.shown(data, "text").splitlines()[0]
    assert assessor.shown(data, "clinician").startswith("Step: ")


def test_not_a_response_at_all_is_malformed(assessor: Assessor) -> None:
    for body in (b"", b"[]", b"{}", b'{"resourceType":"Patient"}', b"\xff"):
        with pytest.raises(Malformed):
            assessor.assess_body(body)


def test_a_body_over_the_limit_is_too_large(served, sample: Sample) -> None:
    small = Assessor(served, BodyLimits(body_bytes=100))
    with pytest.raises(TooLarge):
        small.assess_body(orjson.dumps(sample("plain-eyelid")))


@pytest.mark.parametrize(
    ("head", "kind", "at"),
    [
        ({"subject": {"reference": "Device/1"}}, "subject-type", "subject"),
        ({"subject": {"reference": "Group/1"}}, "subject-type", "subject"),
        ({"subject": {"type": "Practitioner", "display": "x"}}, "subject-type", "subject"),
        ({"subject": {"reference": "Patient/ 1"}}, "reference-syntax", "subject.reference"),
        ({"subject": {"reference": "Patient/1", "type": "Group"}}, "reference-type", "subject.type"),
        ({"encounter": {"reference": "Patient/1"}}, "reference-type", "encounter"),
        ({"author": {"reference": "Encounter/1"}}, "reference-type", "author"),
        ({"source": {"reference": "Device/1"}}, "reference-type", "source"),
        ({"basedOn": [{"reference": "Patient/ 1"}]}, "reference-syntax", "basedOn[0].reference"),
        (
            {"partOf": [{"reference": "Procedure/1", "type": "Observation"}]},
            "reference-type",
            "partOf[0].type",
        ),
    ],
)
def test_a_reference_that_r4_or_the_form_does_not_permit_is_refused_by_name(
    assessor: Assessor, sample: Sample, head: Json, kind: str, at: str
) -> None:
    response = sample("plain-eyelid") | head
    for body in (response, parameters_with(response)):
        with pytest.raises(ServiceError) as refused:
            assessor.assess_body(orjson.dumps(body))
        (problem,) = refused.value.problems
        assert (problem.kind, problem.expression.partition("resource.")[2] or problem.expression) in (
            (kind, at),
            (kind, f"QuestionnaireResponse.{at}"),
        )


@pytest.mark.parametrize("name", ["basedOn", "partOf"])
def test_a_target_of_another_type_is_a_warning_where_no_result_repeats_it(
    assessor: Assessor, sample: Sample, name: str
) -> None:
    response = sample("plain-eyelid") | {name: [{"reference": "QuestionnaireResponse/1"}]}
    assert assessor.assess_body(orjson.dumps(response))
    found = [problem for problem in check_response(response) if problem.kind == "reference-type"]
    assert [(problem.severity, problem.expression) for problem in found] == [
        ("warning", f"QuestionnaireResponse.{name}[0]")
    ]


def parameters_with(response: Json) -> Json:
    entry = {"name": "questionnaire-response", "resource": response}
    return {"resourceType": "Parameters", "parameter": [entry]}


@pytest.mark.parametrize(
    "subject",
    [
        {"identifier": {"value": "1"}},
        {"display": "Somebody"},
        {"reference": "https://example.org/people/1"},
        {"reference": "https://ehr.example.org/fhir/Patient/1"},
    ],
)
def test_a_subject_that_may_be_a_patient_is_assessed_and_kept(
    assessed: Assessed, sample: Sample, subject: Json
) -> None:
    assert assessed(sample("plain-eyelid") | {"subject": subject})["subject"] == subject


def test_k16_a_contained_subject_stays_in_the_result_byte_for_byte_the_same(
    assessor: Assessor, sample: Sample, union: Any
) -> None:
    patient = {"resourceType": "Patient", "id": "assessor", "name": [{"text": "Ada"}], "gender": "female"}
    visit = {"resourceType": "Encounter", "id": "v", "status": "finished", "class": {"code": "AMB"}}
    head = {"subject": {"reference": "#assessor"}, "encounter": {"reference": "#v"}}
    response = sample("plain-eyelid") | head | {"contained": [visit, patient]}
    body = assessor.assess_body(orjson.dumps(response)).body
    assert body == assessor.assess_body(orjson.dumps(response | {"contained": [patient, visit]})).body
    risk = orjson.loads(body)
    assert (risk["subject"], risk["encounter"]) == ({"reference": "#subject"}, {"reference": "#encounter"})
    assert risk["contained"][1:] == [patient | {"id": "subject"}, visit | {"id": "encounter"}]
    assert union([risk]) == [[]]


@pytest.mark.parametrize("authored", ["0001-01-01T00:00:00Z", "9999-12-31T10:00:00Z", "9999-12-31"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_response_of_the_first_or_the_last_day_has_a_result(
    authored: str, output: str, assessor: Assessor, sample: Sample
):
    response = sample("progressive-weakness") | {"authored": authored}
    shown = assessor.shown(orjson.dumps(response), output)
    if output == "clinician":
        is_last = authored.startswith("9")  # a date after it has no day, so that it is told as a span
        assert ("within 2 weeks" in shown) is is_last
        assert ("by 15 January 0001" in shown) is not is_last
    assert assessor.outlined(orjson.dumps(response)).code == "prompt"
