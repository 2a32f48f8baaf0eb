"""initialExpression and initial values: SDC populate.html#exp-pop; extensions variable and launchContext."""

from decimal import Decimal
from typing import Any

import pytest
from populate_requests import (
    NOW,
    PATIENT,
    SUBJECT,
    answers,
    asking,
    bundle,
    context,
    initially,
    issues,
    items_of,
    launching,
    observation,
    origins,
    part,
    populated,
    populator,
    variable,
)
from small_forms import CANONICAL, SYSTEM, form

Json = dict[str, Any]

ALL = launching(
    ("patient", "Patient"), ("encounter", "Encounter"), ("user", "Practitioner"), ("clinical", "Condition")
)
NAMED = {"name": "questionnaire", "valueCanonical": CANONICAL}
ENCOUNTER: Json = {"resourceType": "Encounter", "id": "e1", "subject": SUBJECT, "status": "in-progress"}


def filled(*items: Json, given: tuple[Json, ...] = (context("patient", PATIENT),), **root: Any) -> Json:
    """The answer to a form with these items; `root` adds to its extensions."""
    extensions = [*ALL, *root.pop("extension", [])]
    data = root.pop("data", None)
    of = form(*items, extension=extensions, **root)
    return populated(populator(of), asking(NAMED, *given, data=data))


def one(type_: str, expression: str, **more: Any) -> Json:
    """The answer to a form with one question, `a`, with this initialExpression."""
    given = more.pop("given", (context("patient", PATIENT),))
    extension = [initially(expression), *more.pop("extension", [])]
    item = {"id": "a", "type": type_, "raw": {"extension": extension, **more.pop("raw", {})}, **more}
    return filled(item, given=given)


@pytest.mark.parametrize(
    ("type_", "expression", "expected"),
    [
        ("date", "%patient.birthDate", "1980-11-30"),
        ("string", "%patient.gender", "female"),
        ("text", "%patient.gender", "female"),
        ("boolean", "%patient.gender = 'female'", True),
        ("integer", "%patient.birthDate.toString().length()", 10),
        ("integer", "7.0", 7),
        ("decimal", "1.50", 1.5),
        ("decimal", "7", 7),
        ("dateTime", "now()", NOW),
        ("date", "today()", "2026-11-29"),
        ("time", "@T10:00:00", "10:00:00"),
        ("url", "'https://example.org'", "https://example.org"),
        ("reference", "%patient", SUBJECT),
        ("reference", "%encounter.subject", SUBJECT),
        ("quantity", "2 'mg'", {"value": 2, "system": "http://unitsofmeasure.org", "code": "mg"}),
    ],
)
def test_the_result_of_an_expression_answers_a_question_of_its_type(
    type_: str, expression: str, expected: Any
) -> None:
    """The initial answer is set to an item of the appropriate type; a resource may be a Reference."""
    given = (context("patient", PATIENT), context("encounter", ENCOUNTER))
    answer = one(type_, expression, given=given)
    assert (answers(answer), issues(answer)) == ({"a": expected}, [])


@pytest.mark.parametrize(
    ("type_", "expression"),
    [
        ("integer", "'canary'"),
        ("integer", "1.5"),
        ("integer", "3000000000"),
        ("boolean", "'canary'"),
        ("date", "'canary'"),
        ("quantity", "'canary'"),
        ("reference", "'canary'"),
        ("reference", "%patient.gender"),
        ("string", "%patient"),
        ("string", "' '"),
        ("attachment", "%patient"),
        ("integer", "2 'mg'"),
        ("choice", "%patient"),
    ],
)
def test_a_result_of_another_type_is_left_out_and_named(type_: str, expression: str) -> None:
    """It is an error if the types disagree; systems log it and still populate other elements."""
    answer = one(type_, expression, **({"options": ["x"]} if type_ == "choice" else {}))
    assert answers(answer) == {}
    [issue] = issues(answer)
    assert issue.startswith("populate-left-out: Item a: not filled in: ")
    assert "canary" not in issue


def test_an_option_is_found_by_coding_or_by_its_code_alone() -> None:
    """A coding as an expression has it, with the display of the form; a code that exactly one option has."""
    option = {"system": SYSTEM, "code": "female", "display": "Female"}
    assert answers(one("choice", "%patient.gender", options=["female", "male"])) == {"a": option}
    coding = f"%questionnaire.item.answerOption.value.where(code = 'female' and system = '{SYSTEM}')"
    assert answers(one("choice", coding, options=["female", "male"])) == {"a": option}
    twice = ["female", {"code": "female", "system": "urn:other"}]
    assert answers(one("choice", "%patient.gender", options=twice)) == {}
    unknown = one("choice", "%patient.gender", options=["male"])
    assert (answers(unknown), len(issues(unknown))) == ({}, 1)


def test_what_passes_a_limit_of_its_question_is_left_out_and_named() -> None:
    """Answers that do not fit the item: limits, length, options, pattern."""
    for short, expression in [
        ({"type": "integer", "max": 5}, "6"),
        ({"type": "integer", "min": 5}, "4"),
        ({"type": "decimal", "places": 1}, "1.25"),
        ({"type": "string", "maxLength": 3}, "'canary'"),
        ({"type": "string", "regex": "[0-9]+"}, "'canary'"),
        ({"type": "choice", "options": ["x"]}, "%questionnaire.code"),
        ({"type": "reference", "targets": ["Device"]}, "%patient"),
        ({"type": "integer", "computed": {"max": "5"}}, "6"),
    ]:
        limits = form({"id": "a", **short})["item"][0].get("extension", [])
        item = {"id": "a", **short, "raw": {"extension": [initially(expression), *limits]}}
        answer = filled(item, code=[{"system": SYSTEM, "code": "canary"}])
        assert answers(answer) == {}, short
        assert "canary" not in str(issues(answer))
        assert len(issues(answer)) == 1


def test_several_results_fill_a_question_that_takes_several_and_no_other() -> None:
    """A collection larger than the maximum cardinality: the system may choose not to populate."""
    two = "%patient.gender | 'x'"
    assert answers(one("string", two, repeats=True)) == {"a": ["female", "x"]}
    single = one("string", two)
    assert answers(single) == {}
    assert issues(single) == [
        "populate-left-out: Item a: not filled in: there are more values than the question takes."
    ]
    most = one("string", two, repeats=True, extension=form({"id": "a", "high": 1})["item"][0]["extension"])
    assert answers(most) == {}


def test_of_several_results_those_that_fit_stay() -> None:
    answer = one("integer", "1 | 'x' | 3", repeats=True)
    assert (answers(answer), len(issues(answer))) == ({"a": [1, 3]}, 1)
    limit = form({"id": "a", "type": "integer", "max": 5})["item"][0]["extension"]
    answer = one("integer", "1 | 9 | 3", repeats=True, extension=limit)
    assert (answers(answer), len(issues(answer))) == ({"a": [1, 3]}, 1)


def test_options_that_exclude_each_other_are_all_left_out() -> None:
    options = ["x", {"code": "none", "exclusive": True}]
    answer = one("choice", "%questionnaire.item.answerOption.value", options=options, repeats=True)
    assert answers(answer) == {}
    assert "answer-exclusive" in issues(answer)[0]


def test_an_empty_result_fills_nothing_and_is_no_issue() -> None:
    """Some context may say nothing of a question: then it is asked."""
    answer = one("date", "%patient.deceasedDateTime")
    assert (answers(answer), issues(answer)) == ({}, [])


def test_what_an_expression_needs_and_nobody_sent_is_named() -> None:
    """Context variables that are not populated: best efforts for whatever does not depend on them."""
    born = {"id": "b", "type": "date", "raw": {"extension": [initially("%patient.birthDate")]}}
    where = {"id": "w", "type": "string", "raw": {"extension": [initially("%encounter.status")]}}
    answer = filled(born, where)
    assert answers(answer) == {"b": "1980-11-30"}
    assert issues(answer) == ["populate-not-sent: Item w: not filled in: the context encounter was not sent."]


@pytest.mark.parametrize(
    "expression", ["((", "no-such-function()", "iif(true, $this.foo(), 1)", "%resource.ofType("]
)
def test_an_expression_that_cannot_be_read_is_named(expression: str) -> None:
    answer = one("string", expression)
    assert issues(answer) == ["populate-left-out: Item a: not filled in: its expression cannot be read."]


def test_an_expression_in_another_language_is_named() -> None:
    """SDC expressions.html#expressionerrors: lack of support is reported."""
    item = {"id": "a", "type": "string", "initially": "cql: Patient.gender"}
    answer = populated(populator(form(item)), asking(NAMED))
    assert "not in text/fhirpath" in issues(answer)[0]


def test_the_user_and_the_encounter_are_contexts_too() -> None:
    user = {"resourceType": "Practitioner", "id": "u1", "active": True}
    items = [
        {"id": "u", "type": "boolean", "raw": {"extension": [initially("%user.active")]}},
        {"id": "e", "type": "string", "raw": {"extension": [initially("%encounter.status")]}},
    ]
    given = (context("user", user), context("encounter", ENCOUNTER))
    answer = filled(*items, given=given)
    assert answers(answer) == {"u": True, "e": "in-progress"}
    assert origins(answer) == {"u": ["Practitioner/u1"], "e": ["Encounter/e1"]}


def test_a_clinical_context_may_have_several_resources() -> None:
    """SDC launchContext: `clinical` is a collection."""
    conditions = [
        {
            "resourceType": "Condition",
            "id": f"c{number}",
            "subject": SUBJECT,
            "recordedDate": f"2026-0{number}-01",
        }
        for number in (1, 2)
    ]
    item = {
        "id": "a",
        "type": "date",
        "raw": {"extension": [initially("%clinical.recordedDate")]},
        "repeats": True,
    }
    answer = filled(item, given=(context("clinical", *conditions),))
    assert answers(answer) == {"a": ["2026-01-01", "2026-02-01"]}
    assert origins(answer) == {"a": ["Condition/c1", "Condition/c2"]}


def test_variables_of_form_and_item_are_used_in_order() -> None:
    """Variables: those of the root first, then those of the items down to the question."""
    group = {
        "id": "g",
        "variable": {"length": "%birth.length()"},
        "items": [{"id": "a", "type": "integer", "initially": "%length + %more"}],
    }
    of = form(group, variable={"birth": "%patient.birthDate.toString()", "more": "%birth.length()"})
    of["extension"] += ALL
    answer = populated(populator(of), asking(NAMED, context("patient", PATIENT)))
    assert answers(answer) == {"a": 20}
    assert origins(answer) == {"a": ["Patient/p1"]}


def test_the_result_of_a_search_is_handed_over_as_a_context() -> None:
    """Root-level x-fhir-query variables: the name is the variable's, the value the search result Bundle."""
    expression = "%conditions.entry.resource.where(clinicalStatus.coding.code = 'active').count()"
    item = {"id": "a", "type": "integer", "raw": {"extension": [initially(expression)]}}
    found = bundle(
        *(
            {
                "resourceType": "Condition",
                "id": f"c{number}",
                "subject": {"reference": f"Patient/p{number}"},
                "clinicalStatus": {"coding": [{"code": "active"}]},
            }
            for number in (1, 2)
        )
    )
    query = variable("conditions", "Condition?patient={{%patient.id}}")
    answer = filled(item, given=(context("conditions", found),), extension=[query])
    assert answers(answer) == {"a": 1}
    assert origins(answer) == {"a": ["Condition/c1"]}
    assert issues(answer) == [
        "chart-subject: A Bundle of a context: left out what is not provably about the subject."
    ]
    absent = filled(item, extension=[query])
    assert issues(absent) == [
        "populate-not-sent: Item a: not filled in: the context conditions was not sent."
    ]


def test_of_a_long_search_the_first_sources_are_named() -> None:
    item = {"id": "a", "type": "integer", "raw": {"extension": [initially("%conditions.entry.count()")]}}
    many = bundle(
        *({"resourceType": "Condition", "id": f"c{number}", "subject": SUBJECT} for number in range(2000))
    )
    answer = filled(
        item, given=(context("conditions", many),), extension=[variable("conditions", "Condition?")]
    )
    assert answers(answer) == {"a": 2000}
    assert origins(answer)["a"] == [f"Condition/c{number}" for number in range(20)]


def test_a_quantity_becomes_a_number_in_the_unit_of_the_question() -> None:
    """A Quantity can map to an integer or decimal where questionnaire-unit says the unit."""
    unit = {
        "url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unit",
        "valueCoding": {"system": "http://unitsofmeasure.org", "code": "h"},
    }
    assert answers(one("decimal", "450 'min'", extension=[unit])) == {"a": 7.5}
    assert answers(one("integer", "120 'min'", extension=[unit])) == {"a": 2}
    assert answers(one("integer", "90 'min'", extension=[unit])) == {}
    other = one("decimal", "2 'mg'", extension=[unit])
    assert "cannot be converted" in issues(other)[0]


def test_a_quantity_comes_in_a_unit_that_the_question_permits() -> None:
    def units(*codes: str) -> list[Json]:
        return form({"id": "a", "type": "quantity", "units": codes})["item"][0]["extension"]

    own = {"value": 2, "unit": "g", "system": "http://unitsofmeasure.org", "code": "g"}
    assert answers(one("quantity", "2 'g'", extension=units("mg", "g"))) == {"a": own}
    brought = own | {"value": 2000, "unit": "mg", "code": "mg"}
    assert answers(one("quantity", "2 'g'", extension=units("mg"))) == {"a": brought}
    assert "cannot be converted" in issues(one("quantity", "2 'g'", extension=units("mL")))[0]


def test_initial_values_go_before_everything_else_and_come_from_no_chart() -> None:
    """R4 Questionnaire.item.initial, answerOption.initialSelected: the default answer is populated."""
    selected = {"valueCoding": {"system": SYSTEM, "code": "x", "display": "X"}, "initialSelected": True}
    answer = filled(
        {"id": "a", "type": "integer", "initial": 4, "raw": {"extension": [initially("5")]}},
        {"id": "b", "type": "string", "initial": ["u", "v"], "repeats": True},
        {"id": "c", "options": [selected, "y"]},
        {"id": "d", "type": "decimal", "initial": Decimal("1.50")},
    )
    assert answers(answer) == {"a": 4, "b": ["u", "v"], "c": selected["valueCoding"], "d": 1.5}
    assert origins(answer) == {}


def test_an_expression_waits_for_the_questions_that_it_names() -> None:
    """Expressions dependent on other answers: only if those can be pre-populated."""
    first = "%resource.repeat(item).where(linkId = 'b').answer.value + 1"
    second = "%resource.repeat(item).where(linkId = 'c').answer.value + 1"
    answer = filled(
        {"id": "a", "type": "integer", "raw": {"extension": [initially(first)]}},
        {"id": "b", "type": "integer", "raw": {"extension": [initially(second)]}},
        {
            "id": "c",
            "type": "integer",
            "raw": {"extension": [initially("%patient.birthDate.toString().length()")]},
        },
    )
    assert answers(answer) == {"a": 12, "b": 11, "c": 10}
    assert origins(answer) == {link: ["Patient/p1"] for link in "abc"}


def test_expressions_that_wait_for_each_other_are_evaluated_all_the_same() -> None:
    def counting(link: str) -> str:
        return f"%resource.repeat(item).where(linkId = '{link}').answer.count()"

    answer = filled(
        {"id": "a", "type": "integer", "raw": {"extension": [initially(counting("b"))]}},
        {"id": "b", "type": "integer", "raw": {"extension": [initially(counting("a"))]}},
    )
    assert answers(answer) == {"a": 0, "b": 0}


def test_a_chain_longer_than_the_rounds_ends() -> None:
    items = [
        {
            "id": f"q{number}",
            "type": "integer",
            "raw": {
                "extension": [
                    initially(
                        f"iif(%resource.repeat(item).where(linkId = 'q{number + 1}').answer.exists(), 1, 2)"
                    )
                ]
            },
        }
        for number in range(30)
    ]
    assert len(answers(filled(*items))) == 30


def test_every_group_and_question_stands_in_the_response_and_no_text() -> None:
    """Comment of the operation: one item for every item of the Questionnaire; texts have nothing to say."""
    answer = filled(
        {
            "id": "g",
            "items": [
                {"id": "a"},
                {"id": "t", "type": "display"},
                {"id": "r", "items": [{"id": "b"}], "repeats": True},
            ],
        },
        {"id": "q", "type": "boolean", "items": [{"id": "inside"}]},
        {"id": "hidden", "type": "string", "when": ["q", "=", True]},
    )
    response = part(answer, "response")
    assert [item["linkId"] for item in items_of(response)] == ["g", "a", "r", "b", "q", "hidden"]
    assert response["item"][0]["text"] == "Question g?"


def test_questions_inside_an_answer_are_filled_in_where_the_answer_is() -> None:
    """R4 QuestionnaireResponse.item.answer.item."""
    inside = {"id": "b", "type": "integer", "raw": {"extension": [initially("3")]}}
    held = {"id": "a", "type": "boolean", "raw": {"extension": [initially("true")]}, "items": [inside]}
    assert answers(filled(held)) == {"a": True, "b": 3}
    empty = filled({"id": "a", "type": "boolean", "items": [inside]})
    assert answers(empty) == {}
    assert issues(empty) == [
        "populate-left-out: Item b: not filled in: the answer that would hold it is not there."
    ]


def test_a_question_that_answers_close_stays_empty_and_one_that_is_open_yet_does_not() -> None:
    """populate.html, caveat on enableWhen: fill in as much as possible; but what is closed never counts."""
    follow_up = {
        "id": "b",
        "type": "integer",
        "when": ["a", "=", True],
        "raw": {"extension": [initially("3")]},
    }
    undecided = filled({"id": "a", "type": "boolean"}, follow_up)
    assert (answers(undecided), issues(undecided)) == ({"b": 3}, [])
    opened = filled({"id": "a", "type": "boolean", "raw": {"extension": [initially("true")]}}, follow_up)
    assert answers(opened) == {"a": True, "b": 3}
    closed = filled({"id": "a", "type": "boolean", "raw": {"extension": [initially("false")]}}, follow_up)
    assert answers(closed) == {"a": False}
    assert issues(closed) == ["populate-closed: Item b: not filled in: other answers close the question."]


def test_texts_come_in_the_language_that_is_wanted() -> None:
    """Texts and names of options have the translations of the form; the response says its language."""
    german = {"extension": [{"url": "lang", "valueCode": "de"}, {"url": "content", "valueString": "Frage"}]}
    translated = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/translation", **german}]}
    option = {
        "valueCoding": {"system": SYSTEM, "code": "female", "display": "Female", "_display": translated}
    }
    item = {
        "id": "a",
        "options": [option],
        "raw": {"extension": [initially("%patient.gender")], "_text": translated},
    }
    of = populator(form(item, {"id": "b"}, extension=ALL))
    body = asking(NAMED, context("patient", PATIENT))
    response = part(populated(of, body, languages=("", "fr", "de-CH")), "response")
    assert response["language"] == "de"
    assert [found["text"] for found in items_of(response)] == ["Frage", "Question b?"]
    assert response["item"][0]["answer"][0]["valueCoding"]["display"] == "Frage"
    assert part(populated(of, body, languages=("fr",)), "response")["language"] == "en"


def test_observations_are_read_by_no_expression_that_was_not_given_them() -> None:
    """Only what the Questionnaire asks for is read."""
    answer = filled(
        {"id": "a", "type": "integer", "raw": {"extension": [initially("%data.count()")]}},
        data=bundle(observation()),
    )
    assert answers(answer) == {}


def test_a_source_is_named_once_and_an_item_without_text_has_none() -> None:
    first = {"id": "a", "type": "date", "raw": {"extension": [initially("%patient.birthDate")]}}
    again = "%resource.repeat(item).where(linkId = 'a').answer.exists() and %patient.exists()"
    second = {"id": "b", "type": "boolean", "text": "", "raw": {"extension": [initially(again)]}}
    answer = filled(first, second)
    assert origins(answer)["b"] == ["Patient/p1"]
    assert "text" not in part(answer, "response")["item"][1]


def test_a_range_is_no_quantity_that_could_be_filled_in() -> None:
    """Quantity.comparator: never the bare number; clinical-decisions, section 2."""
    value = {"value": 2, "comparator": ">", "system": "http://unitsofmeasure.org", "code": "mg"}
    ranged = PATIENT | {"extension": [{"url": "urn:x", "valueQuantity": value}]}
    answer = one("quantity", "%patient.extension.value", given=(context("patient", ranged),))
    assert answers(answer) == {}
    assert "comparator" in issues(answer)[0]
