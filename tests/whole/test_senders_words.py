"""F4: what a sender wrote never stands in words of ours: errors, narratives, results, logs.

Every place of a response that takes free text gets a word of its own (a canary) with a control that turns
the direction of text. None of them may come back, whatever the service is asked to do with the response.
"""

import io
import logging
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from service.assess import Assessor
from service.errors import ServiceError
from service.fhir import extensions
from service.fhir.outcome import operation_outcome
from service.validate import Validator

Json = dict[str, Any]
Sample = Callable[[str], Json]

TURN = "\u202e"
CANARY = "canary"
ITEM = {"linkId": f"{CANARY} link{TURN}", "text": f"{CANARY} text{TURN}"}
CODING = {"system": "urn:x", "code": f"{CANARY}-code"}


def word(name: str) -> str:
    return f"{CANARY} {name}{TURN}"


def first_item(response: Json) -> Json:
    item = response["item"][0]
    while "answer" not in item:
        item = item["item"][0]
    return item


def answered(**answer: Any) -> Callable[[Json], Any]:
    return lambda response: first_item(response).update(answer=[answer])


def form(**more: Any) -> Json:
    return {
        "resourceType": "Questionnaire",
        "id": "form",
        "status": word("status"),
        "item": [{"linkId": word("link"), "text": word("text"), "type": "integer", "required": True, **more}],
    }


def with_form(**more: Any) -> Callable[[Json], Any]:
    answer = VALUES.get(more.get("type", ""), {"valueString": word("answer")})
    item = {"linkId": word("link"), "text": word("other"), "answer": [answer]}
    return lambda response: response.update(contained=[form(**more)], questionnaire="#form", item=[item])


VALUES: dict[str, Json] = {
    "choice": {"valueCoding": CODING},
    "quantity": {"valueQuantity": {"value": 1, "code": "kg"}},
    "date": {"valueDate": "2024-01-01"},
    "attachment": {"valueAttachment": {"contentType": "text/plain", "url": "urn:x"}},
    "reference": {"valueReference": {"reference": "Patient/1"}},
}


def limit(url: str, **value: Any) -> list[Json]:
    return [{"url": url, **value}]


def constraint(expression: str) -> list[Json]:
    found = {"language": "text/fhirpath", "expression": expression}
    parts = [
        {"url": "key", "valueId": f"{CANARY}-key"},
        {"url": "severity", "valueCode": "error"},
        {"url": "expression", "valueExpression": found},
        {"url": "human", "valueString": word("human")},
    ]
    return [{"url": extensions.TARGET_CONSTRAINT, "extension": parts}]


def with_display_of_another(response: Json) -> None:
    """A coding with the display of another option, of a form whose options are named by the sender."""
    options = [
        {"valueCoding": {"system": "urn:x", "code": code, "display": word(code)}} for code in ("a", "b")
    ]
    with_form(type="choice", answerOption=options)(response)
    coding = {"system": "urn:x", "code": "a", "display": word("b")}
    response["item"][0]["answer"] = [{"valueCoding": coding}]


WHERE: dict[str, Callable[[Json], Any]] = {
    "the text of an item": lambda response: first_item(response).update(text=word("text")),
    "the text of a group": lambda response: response["item"][0].update(text=word("text")),
    "a linkId": lambda response: response["item"].append(ITEM),
    "a text as answer": answered(valueString=word("answer")),
    "a code": answered(valueCoding={"system": "urn:x", "code": f"{CANARY}-code", "display": word("display")}),
    "a display": answered(valueCoding={"display": word("display")}),
    "a unit": answered(valueQuantity={"value": 1, "unit": word("unit"), "code": f"{CANARY}-unit"}),
    "a uri": answered(valueUri=word("uri")),
    "a property": lambda response: response.update({word("property"): 1}),
    "an extension": lambda response: response.update(extension=[{"url": word("url"), word("value"): "x"}]),
    "a status": lambda response: response.update(status=word("status")),
    "an id": lambda response: response.update(id=word("id")),
    "a canonical": lambda response: response.update(questionnaire=f"urn:{CANARY}|{CANARY}"),
    "a reference": lambda response: response.update(subject={"reference": word("reference")}),
    "a type of reference": lambda response: response.update(subject={"type": f"{CANARY}Type"}),
    "a reference to a type": lambda response: response.update(encounter={"reference": f"X{CANARY}/1"}),
    "a narrative": lambda response: response.update(text={"status": "generated", "div": word("div")}),
    "a contained form": with_form(),
    "a contained form with a pattern": with_form(
        type="string", extension=[{"url": extensions.REGEX, "valueString": "x"}]
    ),
}
WHERE |= {
    "a value set that is not at hand": with_form(type="choice", answerValueSet=f"urn:{CANARY}"),
    "a value set of units that is not at hand": with_form(
        type="quantity", extension=[{"url": extensions.UNIT_VALUE_SET, "valueCanonical": f"urn:{CANARY}"}]
    ),
}
WHERE |= {
    "a pattern that a contained form has": with_form(
        type="string", extension=limit(extensions.REGEX, valueString=f"{CANARY}[0-9]")
    ),
    "the unit of a limit": with_form(
        type="quantity",
        extension=limit(extensions.MIN_QUANTITY, valueQuantity={"value": 1, "code": f"{CANARY}-unit"}),
    ),
    "a limit that is a text": with_form(
        type="date", extension=limit(extensions.MIN_VALUE, valueString=word("limit"))
    ),
    "a unit that is permitted": with_form(
        type="quantity", extension=limit(extensions.UNIT_OPTION, valueCoding={"code": f"{CANARY}-unit"})
    ),
    "the system of units that are permitted": with_form(
        type="quantity",
        extension=[
            *limit(extensions.UNIT_OPTION, valueCoding={"code": "g"}),
            *limit(extensions.UNIT_OPEN, valueCode="optionsOrType"),
            *limit(extensions.UNIT_SUPPLEMENTAL_SYSTEM, valueCanonical=f"urn:{CANARY}"),
        ],
    ),
    "a type of attachment that is permitted": with_form(
        type="attachment", extension=limit(extensions.MIME_TYPE, valueCode=f"{CANARY}/x")
    ),
    "a type of reference that is permitted": with_form(
        type="reference", extension=limit(extensions.REFERENCE_RESOURCE, valueCode=f"{CANARY}Type")
    ),
    "a constraint": with_form(type="string", extension=constraint("false")),
    "a function of a constraint": with_form(type="string", extension=constraint(f"`{CANARY} f`()")),
    "a type of item": with_form(type=word("type"), answerOption=[{"valueString": "x"}]),
    "the display of another option": with_display_of_another,
}


@pytest.fixture(params=sorted(WHERE))
def sent(request: pytest.FixtureRequest, sample: Sample) -> bytes:
    response = sample("plain-eyelid")
    WHERE[request.param](response)
    body = orjson.dumps(response)
    assert CANARY.encode() in body
    return body


def spoken(work: Callable[[], Any]) -> str:
    """What the work returns or refuses, as a client sees it."""
    try:
        said = work()
    except ServiceError as refused:
        said = orjson.dumps(operation_outcome(refused.problems))
    else:
        said = said if isinstance(said, bytes) else orjson.dumps(operation_outcome(said))
    return said.decode()


def test_what_was_sent_is_not_repeated_by_validation(sent: bytes, validator: Validator) -> None:
    said = spoken(lambda: validator.validated(sent))
    assert "No problem was found." not in said
    assert (CANARY in said, TURN in said) == (False, False)


def test_what_was_sent_is_not_repeated_by_an_assessment(sent: bytes, assessor: Assessor) -> None:
    said = spoken(lambda: assessor.assess_body(sent).body)
    assert (CANARY in said, TURN in said) == (False, False)


def test_the_words_for_another_text_name_the_item_and_show_our_text(
    assessor: Assessor, sample: Sample
) -> None:
    response = sample("plain-eyelid")
    item = first_item(response)
    ours, item["text"] = item["text"], word("text")
    said = spoken(lambda: assessor.assess_body(orjson.dumps(response)).body)
    assert f"item {item['linkId']}: expected the text “{ours}”, or none." in said


def test_a_limit_of_a_contained_form_is_named_as_the_forms(validator: Validator, sample: Sample) -> None:
    response = sample("plain-eyelid")
    extension = [*limit(extensions.MAX_OCCURS, valueInteger=1), *limit(extensions.REGEX, valueString="x")]
    with_form(type="string", repeats=True, maxLength=2, extension=extension)(response)
    response["item"][0]["answer"] *= 2
    said = {problem.kind: problem.text for problem in validator.validated(orjson.dumps(response))}
    assert said["too-long"] == "item at this place: expected at most as many characters as the form permits."
    assert said["pattern"] == (
        "item at this place: expected a text that matches the regular expression of the form."
    )
    assert said["too-many"] == "item at this place: expected no more answers than the form permits."


def test_an_error_in_the_log_has_no_text(sample: Sample, assessor: Assessor, log: io.StringIO) -> None:
    try:
        assessor.assess_body(orjson.dumps(sample("plain-eyelid") | {"status": word("status")}))
    except ServiceError:
        logging.getLogger("service.test").exception("refused")
    assert '"exception":"Malformed"' in log.getvalue()
    assert CANARY not in log.getvalue()
