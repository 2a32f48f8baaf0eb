"""What a form calculates: worked out when a page is sent, shown where it stands, and part of the response."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from form_driver import FormDriver
from form_with_totals import SLUG, folders_with_totals

from service import app
from service.datatypes.answers import Quantity
from service.pages.downloads import RESPONSE_FILE
from service.pages.fields import Fields
from service.pages.totals import totals_of
from service.questionnaire import compile_questionnaire
from service.questionnaire.constraints import Term, plain_sum
from service.questionnaire.fhirpath import parse_expression
from service.settings import Settings
from service.terminology import value_sets_from

NEARLY_EVERY_DAY = "LA6571-9"
SEVERAL_DAYS = "LA6569-3"


@pytest.fixture(scope="module")
def totalled(tmp_path_factory):
    """A client of a service whose form calculates."""
    folders = folders_with_totals(tmp_path_factory.mktemp("totals"))
    settings = Settings(
        questionnaires_dir=folders["questionnaires"], mappings_dir=folders["mappings"], store_url="none"
    )
    return app.create_app(settings, lambda: datetime(2026, 11, 29, 12, tzinfo=UTC)).test_client()


@pytest.fixture
def filler(totalled):
    driver = FormDriver(totalled, f"/questionnaires/{SLUG}")
    driver.open()
    return driver


NINE = (
    "interest", "mood", "sleep", "energy", "appetite", "self-worth", "concentration", "movement", "self-harm",
)  # fmt: skip


def every(code):
    return {f"q.{link}": [code] for link in NINE}


def values(response):
    """Returns the calculated values of a response, by linkId."""
    found = {}
    pending = list(response["item"])
    while pending:
        item = pending.pop()
        pending += item.get("item", [])
        if item["linkId"] in ("total", "mean", "hidden-total"):
            found[item["linkId"]] = [next(iter(answer.values())) for answer in item["answer"]]
    return found


def saved(filler):
    return values(json.loads(filler.post("save").data, parse_float=Decimal))


def test_what_is_calculated_is_shown_and_not_asked(filler):
    page = filler.press("next")
    assert "Total" in page.text
    assert not {"q.total", "q.mean", "q.hidden-total"} & page.controls.keys()
    assert "Kept for the record" not in page.text


def test_a_page_that_is_sent_makes_the_totals_and_those_that_follow_from_them(filler):
    filler.press("next")
    page = filler.press("next", {**every(SEVERAL_DAYS), "q.mood": [NEARLY_EVERY_DAY]})
    assert "Mean of the nine" in page.text
    assert "1.2" in page.text.split("Mean of the nine")[1][:20]
    assert saved(filler) == {"total": [11], "mean": [Decimal("1.2")], "hidden-total": [11]}


def test_a_changed_answer_changes_the_totals(filler):
    filler.press("next")
    filler.press("next", every(SEVERAL_DAYS))
    filler.press("back")
    filler.press("next", every(NEARLY_EVERY_DAY))
    assert saved(filler) == {"total": [27], "mean": [3], "hidden-total": [27]}


def test_totals_are_checked_with_the_answers_and_cannot_be_changed_there(filler):
    filler.press("next")
    filler.press("next", every(SEVERAL_DAYS))
    page = filler.press("next")
    assert page.main["data-kind"] == "check"
    rows = filler.answered.get_data(as_text=True).split("<div>")
    (total,) = [row for row in rows if "<dt>Total</dt>" in row]
    assert "<p>9</p>" in total
    assert "change:" not in total
    assert "Kept for the record" not in page.text


def test_a_finished_response_with_totals_is_accepted(filler):
    filler.press("next")
    filler.press("next", every(SEVERAL_DAYS))
    filler.press("next")
    page = filler.press("send")
    assert page.main["data-kind"] == "result"
    sent = json.loads(filler.post(RESPONSE_FILE).data, parse_float=Decimal)
    assert (sent["status"], values(sent)["total"]) == ("completed", [9])


def test_a_file_with_a_wrong_total_goes_on_with_the_right_one(filler):
    filler.press("next")
    filler.press("next", every(SEVERAL_DAYS))
    file = json.loads(filler.post("save").data)
    (group,) = [item for item in file["item"] if item["linkId"] == "phq-9"]
    (mood,) = [item for item in group["item"] if item["linkId"] == "mood"]
    mood["answer"][0]["valueCoding"] = {"system": "http://loinc.org", "code": NEARLY_EVERY_DAY}
    filler.press("resume", response=json.dumps(file))
    assert saved(filler)["total"] == [11]


@pytest.mark.parametrize(
    ("kind", "element", "value", "expected"),
    [
        ("decimal", "valueDecimal", Decimal(10), Decimal("3.3333333")),
        (
            "quantity",
            "valueQuantity",
            {"value": Decimal("2.50"), "system": "http://unitsofmeasure.org", "code": "kg"},
            Quantity(Decimal("2.5"), "kg"),
        ),
        ("decimal", "valueDecimal", Decimal(300), Decimal(100)),
    ],
)
def test_a_value_has_as_many_digits_as_it_is_compared_to(kind, element, value, expected):
    own = f"%resource.item.where(linkId='given').answer.value{'' if kind == 'quantity' else ' / 3'}"
    form = compiled({"linkId": "given", "text": "Given", "type": kind}, calculated("t", kind, own))
    response = {
        "resourceType": "QuestionnaireResponse",
        "status": "in-progress",
        "item": [{"linkId": "given", "answer": [{element: value}]}],
    }
    assert str(form.calculated(response)) == str({"t": (expected,)})


# What the script is told.

WEIGHT = "http://hl7.org/fhir/StructureDefinition/itemWeight"
OPTIONS = [
    {"extension": [{"url": WEIGHT, "valueDecimal": n}], "valueCoding": {"system": "s", "code": c}}
    for n, c in enumerate("xyz")
]
ITEMS = [
    {
        "linkId": "g",
        "text": "G",
        "type": "group",
        "item": [
            {"linkId": "a", "text": "A", "type": "choice", "answerOption": OPTIONS},
            {"linkId": "b", "text": "B", "type": "choice", "answerOption": OPTIONS},
            {"linkId": "n", "text": "N", "type": "integer"},
        ],
    },
    {"linkId": "m", "text": "M", "type": "decimal"},
]


def compiled(*more):
    resource = {"resourceType": "Questionnaire", "url": "https://e/q", "version": "1", "status": "active"}
    return compile_questionnaire({**resource, "item": [*ITEMS, *more]}, value_sets_from(()))


OF_M = "%resource.item.where(linkId='m').answer.value"
OF_N = "%rootResource.item.item.where(linkId='n').answer.value"


@pytest.mark.parametrize(
    ("expression", "terms"),
    [
        (
            "%resource.item.where(linkId='g').item.where(linkId='a').answer.value.ordinal().sum()",
            [("a", 1, 1)],
        ),
        ("%resource.descendants().where(linkId in ('a' | 'b')).answer.value.weight().sum()", [("ab", 1, 1)]),
        ("(%resource.repeat(item).where(linkId='a' or linkId='b').answer.weight()).sum()", [("ab", 1, 1)]),
        ("%resource.item.item.answer.value.ordinal().sum()", [("ab", 1, 1)]),
        (
            f"({OF_M} + {OF_N})",
            [("m", 0, 0), ("n", 0, 0)],
        ),
    ],
)
def test_sums_over_link_ids_are_plain(expression, terms):
    expected = tuple(Term(tuple(links), bool(weights), bool(is_sum)) for links, weights, is_sum in terms)
    assert plain_sum(parse_expression(expression), compiled().items) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "%resource.item.where(linkId='a').answer.value.ordinal().sum()",  # no such item at the top
        "%resource.item.item.where(linkId='n').answer.value * 2",
        "%resource.item.item.where(linkId='n').answer.value - %resource.item.where(linkId='m').answer.value",
        "%resource.item.item.answer.value.sum()",  # codes cannot be added up
        "%resource.item.item.answer.value.ordinal()",  # several, not added up
        "%resource.item.item.answer.value.ordinal().sum() + 1",
        "%resource.descendants().answer.value.ordinal().sum()",
        "%resource.item.item.where(linkId='n').answer.sum()",  # no values
        "%score.sum()",
        "iif(%resource.item.item.where(linkId='n').answer.value > 1, 1, 0)",
    ],
)
def test_anything_else_is_left_to_the_service(expression):
    assert plain_sum(parse_expression(expression), compiled().items) == ()


def calculated(link, kind, expression):
    url = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-calculatedExpression"
    own = {"url": url, "valueExpression": {"language": "text/fhirpath", "expression": expression}}
    return {"linkId": link, "text": link, "type": kind, "readOnly": True, "extension": [own]}


def told(form, link, shown, **answers):
    """Returns what the script is told of a total on a page that shows these questions."""
    given = {name: (answer,) for name, answer in answers.items()}
    found = totals_of(form, Fields(form, "en").controls)[link].on(given, shown)
    return json.loads(found) if found else None


def test_the_script_gets_points_for_questions_of_its_page_and_numbers_for_others():
    form = compiled(calculated("t", "integer", "%resource.item.item.answer.value.ordinal().sum()"))
    (option, *_) = [answer for answer in form.items["b"].options.choices if answer.code == "z"]
    points = ["a", {"x": 0.0, "y": 1.0, "z": 2.0}]
    assert told(form, "t", {"a"}, b=option) == [0, [[0, points, 2.0]]]
    assert told(form, "t", {"m"}, b=option) is None


def test_the_script_is_told_to_empty_what_it_cannot_follow():
    half = calculated("t", "integer", "%resource.item.item.where(linkId='n').answer.value / 2")
    of_total = calculated("u", "integer", "%resource.item.where(linkId='t').answer.value")
    form = compiled(half, of_total)
    assert told(form, "t", {"n"}) == told(form, "u", {"n"}) == [0, []]


def test_a_whole_total_of_decimals_is_left_to_the_service():
    sum_of = "%resource.item.where(linkId='m').answer.value.sum()"
    form = compiled(calculated("t", "integer", sum_of), calculated("d", "decimal", sum_of))
    assert told(form, "t", {"m"}) == [0, []]
    assert told(form, "d", {"m"}) == [8, [[0, ["m", None]]]]
