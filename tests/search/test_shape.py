"""Parts of resources, check RD22: the wanted ones, marked as parts, and valid."""

from decimal import Decimal

import msgspec
import orjson
import pytest

from service.fhir.definitions import own_definitions
from service.search import shape_from

SUBSETTED = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
ALWAYS = ["resourceType", "id", "meta"]
QR, RISK = "QuestionnaireResponse", "RiskAssessment"
TEXT = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}

RESPONSE = {
    "resourceType": QR,
    "id": "a",
    "meta": {"versionId": "1", "tag": [{"system": "urn:t", "code": "x"}]},
    "language": "en",
    "text": TEXT,
    "contained": [
        {"resourceType": "Patient", "id": "p", "managingOrganization": {"reference": "#o"}},
        {"resourceType": "Organization", "id": "o", "name": "Clinic"},
        {"resourceType": "Practitioner", "id": "d"},
    ],
    "extension": [{"url": "urn:e", "valueDecimal": Decimal("1.50")}],
    "questionnaire": "http://q.example/1|1.0",
    "_questionnaire": {"extension": [{"url": "urn:e", "valueReference": {"reference": "#d"}}]},
    "status": "completed",
    "subject": {"reference": "#p"},
    "authored": "2026-01-01",
    "item": [{"linkId": "1", "answer": [{"valueDecimal": Decimal("2.00")}]}],
}

ASSESSMENT = {
    "resourceType": RISK,
    "id": "r",
    "text": TEXT,
    "contained": [{"resourceType": "Device", "id": "assessor"}],
    "status": "final",
    "method": {"text": "Guidance"},
    "subject": {"reference": "Patient/1"},
    "occurrenceDateTime": "2026-01-01",
    "performer": {"reference": "#assessor"},
    "basis": [{"reference": "QuestionnaireResponse/a"}],
    "prediction": [{"qualitativeRisk": {"text": "low"}}],
}

PROVENANCE = {
    "resourceType": "Provenance",
    "id": "p",
    "target": [{"reference": "QuestionnaireResponse/a"}],
    "occurredDateTime": "2026-01-01",
    "recorded": "2026-01-01T00:00:00Z",
    "agent": [{"who": {"display": "This service"}}],
}

AUDIT = {
    "resourceType": "AuditEvent",
    "id": "e",
    "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
    "action": "C",
    "recorded": "2026-01-01T00:00:00Z",
    "outcome": "0",
    "agent": [{"requestor": True}],
    "source": {"observer": {"display": "This service"}},
    "entity": [{"what": {"reference": "QuestionnaireResponse/a"}}],
}


def encoded(resource):
    return msgspec.json.Encoder(decimal_format="number").encode(resource)


def part(resource, query):
    pairs = [tuple(pair.split("=")) for pair in query.split("&")]
    shape = shape_from(resource["resourceType"], pairs, strict=False, base="")
    return orjson.loads(shape.applied(encoded(resource)))


@pytest.mark.parametrize(
    ("resource", "query", "rest"),
    [
        (RESPONSE, "_elements=item", "status item"),
        (RESPONSE, "_elements=status,item", "status item"),
        (RESPONSE, "_elements=questionnaire", "contained questionnaire _questionnaire status"),
        (RESPONSE, "_elements=subject,authored", "contained status subject authored"),
        (RESPONSE, "_elements=extension,language", "language extension status"),
        (RESPONSE, "_summary=text", "text status"),
        (
            RESPONSE,
            "_summary=true",
            "contained questionnaire _questionnaire status subject authored",
        ),
        (
            RESPONSE,
            "_summary=data",
            "language contained extension questionnaire _questionnaire status subject authored item",
        ),
        (ASSESSMENT, "_elements=occurrence", "status subject occurrenceDateTime"),
        (ASSESSMENT, "_elements=performer", "contained status subject performer"),
        (ASSESSMENT, "_summary=text", "text status subject"),
        (ASSESSMENT, "_summary=true", "contained status method subject occurrenceDateTime performer"),
        (PROVENANCE, "_elements=occurred", "target occurredDateTime recorded agent"),
        (PROVENANCE, "_summary=true", "target recorded agent"),
        (AUDIT, "_elements=entity", "type recorded agent source entity"),
        (AUDIT, "_summary=true", "type action recorded outcome agent source"),
    ],
)
def test_rd22_what_is_wanted_and_what_is_mandatory_remains_in_its_order(resource, query, rest):
    found = part(resource, query)
    assert list(found) == [*ALWAYS, *rest.split()]
    *_, last = found["meta"]["tag"]
    assert (last["system"], last["code"]) == (SUBSETTED, "SUBSETTED")
    assert last["display"] == "subsetted"


def test_rd22_only_what_is_still_referred_to_stays_contained():
    def contained(query):
        return [each["id"] for each in part(RESPONSE, query).get("contained", ())]

    assert contained("_elements=questionnaire") == ["d"]
    assert contained("_elements=subject") == ["p", "o"]
    assert contained("_elements=contained") == []
    assert contained("_summary=data") == ["p", "o", "d"]


def test_rd22_other_tags_and_the_digits_of_numbers_stay():
    shape = shape_from(QR, [("_elements", "item,extension")], strict=False, base="")
    body = shape.applied(encoded(RESPONSE))
    assert b'"valueDecimal":2.00' in body
    assert b'"valueDecimal":1.50' in body
    assert [each["code"] for each in orjson.loads(body)["meta"]["tag"]] == ["x", "SUBSETTED"]


@pytest.mark.parametrize("query", ["_summary=false", "_summary=count", "_elements=foo", "status=completed"])
def test_rd22_a_resource_stays_as_it_is_where_no_part_is_wanted(query):
    body = encoded(RESPONSE)
    pairs = [tuple(query.split("="))]
    assert shape_from(QR, pairs, strict=False, base="").applied(body) is body


def published():
    seen = {each.type: each.resource for each in own_definitions()}
    form = {"resourceType": "Questionnaire", "id": "f", "text": TEXT, "status": "active", "url": "urn:uuid:1"}
    form["contained"] = [{"resourceType": "ValueSet", "id": "v", "status": "active"}]
    form["item"] = [{"linkId": "1", "type": "choice", "answerValueSet": "#v"}]
    values = {"resourceType": "ValueSet", "id": "v", "text": TEXT, "status": "active", "url": "urn:uuid:2"}
    return [*seen.values(), form, values]


@pytest.mark.parametrize("query", ["_summary=true", "_summary=text", "_summary=data", "_elements=text"])
@pytest.mark.parametrize(
    "resource", [RESPONSE, ASSESSMENT, PROVENANCE, AUDIT, *published()], ids=lambda each: each["resourceType"]
)
def test_rd22_every_part_is_a_valid_resource(union, resource, query):
    assert union([part(resource, query)]) == [[]]
