"""The served questionnaires, end to end: what a chart knows is filled in, answered on, and assessed."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from populate_requests import (
    NOW,
    PATIENT,
    SUBJECT,
    answers,
    asking,
    bundle,
    context,
    issues,
    items_of,
    linked,
    observation,
    origins,
    part,
    populated,
    populator,
)
from small_forms import CANONICAL, ENCODE, UCUM, form

from service import catalogue
from service.assess import Assessor
from service.catalogue import Catalogue
from service.fhir.definitions import ANSWER_ORIGIN, own_definitions
from service.fhir.json import BodyLimits, decoded
from service.fhir.resource_models import faults_in
from service.languages import languages, words_in
from service.populate import Populator
from service.questionnaire.chart_answers import ChartQuery, chart_queries
from service.results import FULL
from service.validate import Validator

Json = dict[str, Any]

SERVED = "https://guidance.example.org/fhir/Questionnaire/muscle-twitching|1.1.0"
AUTHORED = "2026-11-20T12:20:00Z"
PERSON: Json = {"resourceType": "Patient", "id": "p1", "birthDate": "1992-03-01"}
PRACTITIONER: Json = {"resourceType": "Practitioner", "id": "u1"}
CONTEXTS = (context("patient", PERSON), context("user", PRACTITIONER))
LIMITS = BodyLimits()


@pytest.fixture(scope="module")
def populate(served: Catalogue) -> Callable[..., Json]:
    by = Populator(served, LIMITS)

    def of(
        *observations: Json, contexts: tuple[Json, ...] = CONTEXTS, languages: tuple[str, ...] = ()
    ) -> Json:
        body = ENCODE(asking(*contexts, data=bundle(*observations)))
        return decoded(by.populate_body(body, AUTHORED, "muscle-twitching", languages).body)

    return of


@pytest.fixture(scope="module")
def assess(served: Catalogue) -> Callable[[Json], bytes]:
    assessor = Assessor(served, LIMITS)
    return lambda response: assessor.assess_body(ENCODE(response), FULL).body


@pytest.fixture(scope="module")
def typed(root: Path) -> Json:
    """A response of a professional who has typed every laboratory value."""
    sample = decoded((root / "samples" / "professional-with-labs.json").read_bytes())
    return sample | {"subject": SUBJECT}


def lab(code: str, value: Any, unit: str, date: str = "2026-11-16", **more: Any) -> Json:
    return observation(value, unit, code=code, id=f"lab-{code}", effectiveDateTime=date, **more)


def charted(response: Json, served: Catalogue) -> Iterator[Json]:
    """The typed laboratory values of a response, as Observations of a chart."""
    items = served.questionnaires[SERVED].items
    by_link = {item["linkId"]: item["answer"][0] for item in items_of(response) if "answer" in item}
    for link, answer in by_link.items():
        if link.startswith("lab-") and "valueQuantity" in answer:
            value = answer["valueQuantity"]
            date = by_link[f"{link}-date"]["valueDate"]
            yield lab(items[link].codes[0].code, value["value"], value["code"], date)


def without_origins(value: Any) -> Any:
    """A response as if every answer had been typed."""
    if isinstance(value, list):
        return [without_origins(member) for member in value]
    if not isinstance(value, dict):
        return value
    kept = {name: without_origins(member) for name, member in value.items()}
    listed = [one for one in kept.get("extension", ()) if one["url"] != ANSWER_ORIGIN]
    return {name: member for name, member in kept.items() if name != "extension"} | (
        {"extension": listed} if listed else {}
    )


def answered_on(begun: Json, given: Json, **root: Any) -> Json:
    """A response that was begun, with the answers of another one to the questions that it leaves open."""
    by_link = {item["linkId"]: item["answer"] for item in items_of(given) if "answer" in item}

    def filled(item: Json) -> Json:
        if "item" in item:
            return item | {"item": [filled(inner) for inner in item["item"]]}
        found = item.get("answer", by_link.get(item["linkId"]))
        return item | ({"answer": found} if found else {})

    return begun | {"item": [filled(item) for item in begun["item"]]} | root


def test_a_professional_types_no_laboratory_value_again(
    populate: Callable[..., Json], typed: Json, served: Catalogue
) -> None:
    """The filled-in response has the laboratory answers of the typed one, ticks and dates included."""
    answer = populate(*charted(typed, served))
    assert issues(answer) == ["populate-closed: Item age: not filled in: other answers close the question."]
    by_hand = {
        item["linkId"]: [without_origins(one) for one in item["answer"]]
        for item in items_of(typed)
        if "answer" in item and item["linkId"].startswith(("lab", "completed-by"))
    }
    filled = {
        item["linkId"]: [without_origins(one) for one in item["answer"]]
        for item in items_of(part(answer, "response"))
        if "answer" in item
    }
    assert filled.pop("patient-age") == [{"valueInteger": 34}]
    assert filled == by_hand


def test_what_is_filled_in_scores_as_if_it_was_typed(
    populate: Callable[..., Json], typed: Json, served: Catalogue, assess: Callable[[Json], bytes]
) -> None:
    begun = part(populate(*charted(typed, served)), "response")
    assert assess(begun) == assess(without_origins(begun))
    head = {name: typed[name] for name in ("identifier", "status", "author", "source")}
    finished = answered_on(begun, typed, **head)
    by_hand = {name: element for name, element in typed.items() if name != "id"}
    assert orjson.loads(assess(finished)) == orjson.loads(assess(by_hand)) | {"language": "en"}


def test_a_critical_value_of_the_chart_is_an_emergency(
    populate: Callable[..., Json], assess: Callable[[Json], bytes]
) -> None:
    """Clinical decisions, section 1: potassium of 6.5 mmol/L or more, at most 7 days old."""

    def steps(value: str) -> list[str]:
        begun = part(populate(lab("2823-3", Decimal(value), "mmol/L", "2026-11-19")), "response")
        step = orjson.loads(assess(begun))["prediction"][0]["qualitativeRisk"]
        return [coding["code"] for coding in step.get("coding", ())]

    assert steps("6.8") == ["emergency"]
    assert steps("4.1") == [], "not settled while everything else is open"


def test_an_older_value_that_raises_the_result_is_filled_in_although_a_newer_one_cannot_be_used(
    populate: Callable[..., Json],
) -> None:
    """Clinical decisions, section 3: it never takes back a present finding, and denies nothing."""
    newer = lab("2823-3", 4, "mmol/L", "2026-11-19", status="preliminary") | {"id": "newer"}
    low = populate(newer, lab("2823-3", Decimal("2.4"), "mmol/L"))
    assert answers(low)["lab-potassium"]["value"] == Decimal("2.4")
    assert answers(low)["lab-potassium-date"] == "2026-11-16"
    told = [issue for issue in issues(low) if "lab-potassium" in issue]
    assert [issue.partition("not filled in: ")[2] for issue in told] == [
        "a newer value cannot be used, and an older one may no longer hold.",
        "the status of the value is not final, amended or corrected.",
    ], "it may raise the result further"
    normal = populate(newer, lab("2823-3", Decimal("4.1"), "mmol/L"))
    assert "lab-potassium" not in answers(normal)
    assert "lab-potassium-date" not in answers(normal)
    assert "labs-available" not in answers(normal)


def test_a_newer_value_that_was_measured_otherwise_keeps_an_older_one_that_denies_out(
    populate: Callable[..., Json],
) -> None:
    in_blood = lab("6298-4", 7, "mmol/L", "2026-11-18")
    begun = populate(lab("2823-3", 4, "mmol/L", "2026-11-10"), in_blood)
    assert "lab-potassium" not in answers(begun)
    said = [issue for issue in issues(begun) if "another specimen" in issue]
    assert len(said) == 1
    low = populate(lab("2823-3", 3, "mmol/L", "2026-11-10"), in_blood)
    assert answers(low)["lab-potassium"]["value"] == 3
    newest = populate(lab("2823-3", 4, "mmol/L", "2026-11-19"), in_blood)
    assert answers(newest)["lab-potassium"]["value"] == 4


@pytest.mark.parametrize(
    "left_out",
    [
        {"status": "preliminary"},
        {"status": "registered"},
        {"effectiveDateTime": None},
        {"effectiveDateTime": "2026"},
        {"effectiveDateTime": None, "effectivePeriod": {"start": "2026-01-01"}},
        {"valueQuantity": {"value": 6.8, "unit": "mg", "system": UCUM, "code": "mg"}},
        {"valueQuantity": {"value": 68, "unit": "mmol/L", "system": UCUM, "code": "mmol/L"}},
    ],
)
def test_a_list_of_the_values_that_there_are_is_not_filled_in_where_one_was_left_out(
    left_out: Json, populate: Callable[..., Json]
) -> None:
    """What is not ticked would count as not measured; `$assess` leaves the same value open, or reads it."""
    potassium = {**lab("2823-3", Decimal("6.8"), "mmol/L"), **left_out}
    potassium = {name: element for name, element in potassium.items() if element is not None}
    answer = populate(potassium, lab("17861-6", Decimal("9.2"), "mg/dL"))
    assert "lab-calcium" in answers(answer)
    assert answers(answer).keys().isdisjoint({"lab-potassium", "labs-available"})
    assert "labs-available: not filled in: it follows from a question that was" in str(issues(answer))


@pytest.mark.parametrize("nothing", [{"effectiveDateTime": "2026-01-01"}, {"status": "entered-in-error"}])
def test_what_says_nothing_of_today_is_not_in_the_list_of_the_values_that_there_are(
    nothing: Json, populate: Callable[..., Json]
) -> None:
    potassium = lab("2823-3", Decimal("6.8"), "mmol/L") | nothing
    answer = populate(potassium, lab("17861-6", Decimal("9.2"), "mg/dL"))
    assert answers(answer)["labs-available"]["code"] == "calcium"


def test_a_worse_value_whose_date_is_vaguer_may_be_the_newest(populate: Callable[..., Json]) -> None:
    normal = lab("2823-3", 4, "mmol/L", "2026-11-19T08:00:00Z") | {"id": "timed"}
    asked = [populate(normal, lab("2823-3", value, "mmol/L", "2026-11-19")) for value in (Decimal("6.8"), 5)]
    assert [answers(each).get("lab-potassium", {}).get("value") for each in asked] == [None, 4]


@pytest.mark.parametrize(
    ("code", "value", "unit", "link", "expected"),
    [
        ("2823-3", Decimal("4.1"), "meq/L", "lab-potassium", (Decimal("4.1"), "mmol/L")),
        ("17861-6", Decimal("9.2"), "mg/dL", "lab-calcium", (Decimal("9.2"), "mg/dL")),
        ("17861-6", Decimal(92), "mg/L", "lab-calcium", (Decimal("9.2"), "mg/dL")),
        ("3016-3", Decimal("1.80"), "u[IU]/mL", "lab-tsh", (Decimal("1.8"), "m[IU]/L")),
    ],
)
def test_units_of_laboratories_are_brought_to_those_of_the_form(
    populate: Callable[..., Json], code: str, value: Decimal, unit: str, link: str, expected: tuple[Any, str]
) -> None:
    found = answers(populate(lab(code, value, unit)))[link]
    assert (found["value"], found["code"]) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Patient", "patient"),
        ("RelatedPerson", "helper"),
        ("Practitioner", "professional"),
        ("PractitionerRole", "professional"),
    ],
)
def test_who_uses_the_app_says_who_fills_in_the_form(
    populate: Callable[..., Json], kind: str, expected: str
) -> None:
    contexts = (context("patient", PERSON), context("user", {"resourceType": kind, "id": "u1"}))
    answer = populate(lab("2823-3", 4, "mmol/L"), contexts=contexts)
    assert answers(answer)["completed-by"]["code"] == expected
    assert origins(answer)["completed-by"] == [f"{kind}/u1"]
    is_professional = expected == "professional"
    assert ("lab-potassium" in answers(answer)) is is_professional
    assert ("age" in answers(answer)) is not is_professional
    assert any(issue.startswith("populate-closed: Item lab-potassium") for issue in issues(answer)) is not (
        is_professional
    )


def test_while_nobody_says_who_fills_it_in_every_value_is_kept(populate: Callable[..., Json]) -> None:
    answer = populate(lab("2823-3", 4, "mmol/L"), contexts=(context("patient", PERSON),))
    assert {"age", "patient-age", "labs-available", "lab-potassium"} <= answers(answer).keys()
    assert issues(answer) == [
        "populate-not-sent: Item completed-by: not filled in: the context user was not sent."
    ]


def test_what_is_ticked_comes_from_the_values_that_it_follows_from(populate: Callable[..., Json]) -> None:
    answer = populate(lab("2823-3", 4, "mmol/L"), lab("1920-8", 22, "U/L"))
    assert [coding["code"] for coding in answers(answer)["labs-available"]] == ["potassium", "liver-enzymes"]
    assert origins(answer)["labs-available"] == [
        "Observation/lab-2823-3",
        "Observation/lab-1920-8",
        "2026-11-16",
    ]


@pytest.mark.parametrize(
    ("born", "age"),
    [
        ("1980-11-20", 46),
        ("1980-11-21", 45),
        ("2026-11-20", 0),
        ("1800-01-01", None),
        ("1980", None),
        ("2027-01-01", None),
    ],
)
def test_the_age_is_that_on_the_day_of_the_response(
    populate: Callable[..., Json], born: str, age: int | None
) -> None:
    answer = populate(contexts=(context("patient", PERSON | {"birthDate": born}),))
    assert answers(answer).get("age") == age
    assert born not in str(issues(answer))


def test_german_is_spoken(populate: Callable[..., Json], assess: Callable[[Json], bytes]) -> None:
    response = part(populate(lab("2823-3", 4, "mmol/L"), languages=("de-AT",)), "response")
    assert response["language"] == "de"
    ticked = next(item for item in items_of(response) if item["linkId"] == "labs-available")
    assert ticked["answer"][0]["valueCoding"]["display"] == "Kalium"
    assert orjson.loads(assess(response))["language"] == "de"


def test_the_answer_is_right_r4_and_right_for_its_questionnaire(
    populate: Callable[..., Json], served: Catalogue, typed: Json
) -> None:
    answer = populate(*charted(typed, served), lab("2157-6", 3, "kg"))
    assert faults_in(answer) == ()
    problems = Validator(served, LIMITS).problems(part(answer, "response"))
    assert [problem for problem in problems if problem.severity == "error"] == []


def test_where_an_answer_comes_from_is_written_as_it_is_defined(populate: Callable[..., Json]) -> None:
    """StructureDefinition answer-origin: source 1..* Reference, date 0..1 dateTime, on an answer."""
    definition = next(one for one in own_definitions() if one.url == ANSWER_ORIGIN).resource
    assert [each["expression"] for each in definition["context"]] == ["QuestionnaireResponse.item.answer"]
    parts = {
        element["sliceName"]: element
        for element in definition["differential"]["element"]
        if "sliceName" in element
    }
    assert parts.keys() == {"source", "date"}
    seen = set()
    for item in items_of(part(populate(lab("2823-3", 4, "mmol/L")), "response")):
        for extension in (one for answer in item.get("answer", ()) for one in answer["extension"]):
            assert extension["url"] == ANSWER_ORIGIN
            listed = [(one["url"], name) for one in extension["extension"] for name in one if name != "url"]
            assert listed.count(("date", "valueDateTime")) <= 1
            seen.update(listed)
    assert seen == {("source", "valueReference"), ("date", "valueDateTime")}


@pytest.mark.parametrize("folder", ["tests/second_pair", "tests/instruments"])
def test_every_served_questionnaire_can_be_begun_and_assessed(root: Path, folder: str) -> None:
    """A questionnaire needs no code of its own."""
    served = catalogue.read(root / folder / "questionnaires", root / folder / "mappings")
    populator, assessor = Populator(served, LIMITS), Assessor(served, LIMITS)
    assert served.pairs
    for canonical in served.pairs:
        named = {"name": "questionnaire", "valueCanonical": canonical}
        body = ENCODE(asking(named, *CONTEXTS))
        response = part(decoded(populator.populate_body(body, AUTHORED).body), "response")
        assert response["questionnaire"] == canonical
        result = orjson.loads(assessor.assess_body(ENCODE(response)).body)
        assert result["status"] == "preliminary"


def test_the_searches_find_all_that_is_filled_in(served: Catalogue) -> None:
    """Each launch context, and Observations with every code of a question that has a period."""
    compiled = served.questionnaires[SERVED]
    guidance = served.pairs[SERVED].guidance
    patient, user, *searches = chart_queries(compiled, AUTHORED, guidance)
    assert patient == ChartQuery("patient", "Patient/{{%patient.id}}")
    assert user == ChartQuery("user", "{{%user}}")
    codes = []
    for observations in searches:
        assert observations.context == ""
        path, _, query = observations.query.partition("?")
        parameters = dict(pair.split("=", 1) for pair in query.split("&"))
        codes += parameters.pop("code").split(",")
        assert path == "Observation"
        assert parameters == {"patient": "{{%patient.id}}", "date": "ge2026-08-22", "_sort": "-date"}
    linked = [item for item in compiled.items.values() if "observationLinkPeriod" in str(item.source)]
    read = [code for item in linked for code in (*item.codes, *guidance.other_codes(item.link_id))]
    assert codes == [f"http://loinc.org%7C{code.code}" for code in read]
    assert "http://loinc.org%7C6298-4" in codes


# What people are told of questions that were not filled in: `details.text`, in their language.


NAMED = {"name": "questionnaire", "valueCanonical": CANONICAL}
POTASSIUM = {"id": "k", "type": "quantity", "raw": linked()}
ROOMS = Path(__file__).parents[2] / "service/questionnaire"


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
