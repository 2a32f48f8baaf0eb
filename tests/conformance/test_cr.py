"""Creates and what they answer, checks CR01 to CR06."""

import json
from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest
from fhir_client import BASE, exact, issues_of, result_of
from sample_responses import SYSTEM, new_patient, new_value, response, small

TYPE = "QuestionnaireResponse"


def test_cr01_a_create_says_where_the_resource_is_and_when_it_was_changed(ehr):
    answer = ehr.post(TYPE, response())
    created = answer.json
    assert answer.status == 201
    assert answer.headers["Location"] == f"{BASE}/{TYPE}/{created['id']}/_history/1"
    assert answer.headers["ETag"] == 'W/"1"'
    changed = datetime.fromisoformat(created["meta"]["lastUpdated"]).replace(microsecond=0)
    assert parsedate_to_datetime(answer.headers["Last-Modified"]) == changed
    assert created["meta"]["versionId"] == "1"
    instance = answer.headers["Location"].removesuffix("/_history/1")
    assert ehr.read(answer.headers["Location"]) == ehr.read(instance) == created


def test_cr01_a_create_says_where_its_result_is(ehr):
    answer = ehr.post(TYPE, response())
    result = ehr.read(result_of(answer))
    assert result["resourceType"] == "RiskAssessment"
    assert {"reference": f"{TYPE}/{answer.json['id']}"} in [
        {"reference": each["reference"].removeprefix(f"{BASE}/")} for each in result["basis"]
    ]


def test_cr02_a_client_chooses_neither_id_nor_version_nor_date(ehr, kept):
    theirs = {"versionId": "77", "lastUpdated": "2001-01-01T00:00:00Z"}
    created = ehr.create(response(id=kept.id, meta=theirs))
    assert created["id"] != kept.id
    assert created["meta"]["versionId"] == "1"
    assert created["meta"]["lastUpdated"] > "2026"
    assert ehr.read(kept.at) == kept.response


RICH = """{
  "resourceType": "QuestionnaireResponse",
  "meta": {
    "source": "https://ehr.example.org/sent#1",
    "profile": ["https://ehr.example.org/StructureDefinition/one"],
    "security": [{"system": "https://ehr.example.org/labels", "code": "R", "display": "Restricted"}],
    "tag": [{"system": "https://ehr.example.org/tags", "code": "t"}, {"code": "u"}]
  },
  "language": "de-CH",
  "text": {"status": "additional", "div":
    "<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><p>Gr\\u00fc\\u00dfe \\ud83d\\ude00 &amp;<br/></p></div>"},
  "contained": [
    {"resourceType": "Practitioner", "id": "doctor",
      "name": [{"family": "O'N\\u00e9", "_given": [null, {"id": "g"}], "given": ["A", "B"]}]}
  ],
  "extension": [
    {"url": "https://ehr.example.org/exact", "valueDecimal": 2.00},
    {"url": "https://ehr.example.org/small", "valueDecimal": 0.000000000000000001},
    {"url": "https://ehr.example.org/large", "valueDecimal": 12345678901234567.10},
    {"url": "https://ehr.example.org/scientific", "valueDecimal": 1.50e3},
    {"url": "https://ehr.example.org/quantity", "valueQuantity": {"value": 7.0, "unit": "x"}},
    {"url": "https://ehr.example.org/nested", "extension": [{"url": "a", "valueString":
      "line\\nbreak\\ttab \\"q\\" \\\\"}]}
  ],
  "identifier": {"use": "official", "system": "SYSTEM", "value": "VALUE", "_value": {"id": "v"}},
  "_questionnaire": {"extension": [{"url":
    "http://hl7.org/fhir/StructureDefinition/display", "valueString": "Form"}]},
  "questionnaire": "https://guidance.example.org/fhir/Questionnaire/muscle-twitching|1.1.0",
  "status": "completed",
  "_status": {"id": "s"},
  "subject": {"reference": "PATIENT", "display": "Some Body", "extension": [{"url": "https://ehr.example.org/s",
    "valueBoolean": false}]},
  "authored": "2026-11-20T09:30:00.120+01:00",
  "_authored": {"extension": [{"url": "https://ehr.example.org/clock", "valueCode": "tablet"}]},
  "author": {"reference": "#doctor"},
  "item": []
}"""


@pytest.fixture
def rich():
    """A response with everything that may stand beside the answers, and a number with its digits."""
    items = json.dumps(response()["item"], ensure_ascii=False)
    noted = (
        '{"value": 3.00, "extension": [{"url": "https://ehr.example.org/x", "valueDecimal": 2.50}], "unit"'
    )
    assert '{"value": 3, "unit"' in items
    parts = {'"item": []': f'"item": {items}', '{"value": 3, "unit"': noted}
    parts |= {"SYSTEM": SYSTEM, "VALUE": new_value(), "PATIENT": new_patient()}
    text = RICH
    for mark, part in parts.items():
        text = text.replace(mark, part)
    return text.encode()


def without_own(document):
    """Leaves out what the server sets."""
    meta = {
        key: value
        for key, value in document.get("meta", {}).items()
        if key not in ("versionId", "lastUpdated")
    }
    return {key: value for key, value in document.items() if key not in ("id", "meta")} | {"meta": meta}


def test_cr03_everything_that_was_sent_is_read_again_to_the_digit(ehr, rich):
    answer = ehr.post(TYPE, rich)
    assert answer.status == 201, answer.data
    sent = without_own(exact(rich))
    instance = answer.headers["Location"].removesuffix("/_history/1")
    for data in (answer.data, ehr.get(instance).data, ehr.get(answer.headers["Location"]).data):
        assert without_own(exact(data)) == sent
    bundle = exact(ehr.get(f"{TYPE}?_id={answer.json['id']}").data)
    assert without_own(bundle["entry"][0]["resource"]) == sent


def test_cr03_an_update_keeps_everything_too(ehr, rich, kept):
    body = rich.replace(b'{\n  "resourceType"', b'{"id": "%s", "resourceType"' % kept.id.encode(), 1)
    answer = ehr.put(kept.at, body)
    assert answer.status == 200, answer.data
    assert without_own(exact(ehr.get(kept.at).data)) == without_own(exact(rich))


def test_cr03_profile_tag_and_security_label_stay_in_meta(ehr, rich):
    created = ehr.post(TYPE, rich).json["meta"]
    assert set(created) >= {"profile", "tag", "security", "source", "versionId", "lastUpdated"}


@pytest.mark.parametrize(
    "sample", ["contradictory", "empty", "partial", "professional-with-labs", "progressive-weakness"]
)
def test_cr03_every_sample_is_read_as_it_was_sent(ehr, sample):
    sent = response(like=sample)
    assert without_own(ehr.create(sent)) == without_own(sent)


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Patient", "id": "p"},
        {"resourceType": "RiskAssessment", "status": "final", "subject": {"reference": "Patient/1"}},
        {"status": "completed"},
        {"resourceType": None},
        {"resourceType": 1},
        {},
        [],
        [{"resourceType": TYPE}],
        "QuestionnaireResponse",
        1,
        True,
        b"null",
        b"",
        b" ",
        b"{",
        b"{} {}",
        b"\xff",
    ],
)
def test_cr04_what_is_not_a_response_is_refused(ehr, body):
    before = ehr.totals()
    issues_of(ehr.post(TYPE, body), 400)
    assert ehr.totals() == before


MINIMAL = (
    "return=minimal",
    "return=minimal; handling=strict",
    "handling=strict, return=minimal",
    "foo, return=minimal; x=y",
)
WHOLE = (
    "",
    "return=representation",
    "return=representation; handling=strict",
    "foo=bar",
    "return=nonsense",
    "handling=lenient",
)


@pytest.mark.parametrize("prefer", MINIMAL)
def test_cr05_a_minimal_answer_has_headers_only(ehr, prefer):
    answer = ehr.post(TYPE, small(), prefer=prefer)
    assert (answer.status, answer.data) == (201, b"")
    assert answer.headers["ETag"] == 'W/"1"'
    location = answer.headers["Location"]
    assert ehr.get(location).status == 200
    updated = ehr.put(location.removesuffix("/_history/1"), ehr.read(location), prefer=prefer)
    assert (updated.status, updated.data, updated.headers["ETag"]) == (200, b"", 'W/"2"')


@pytest.mark.parametrize("prefer", WHOLE)
def test_cr05_the_representation_is_the_stored_resource(ehr, prefer):
    answer = ehr.post(TYPE, small(), prefer=prefer)
    assert answer.status == 201
    assert answer.data == ehr.get(answer.headers["Location"]).data
    assert answer.headers["ETag"] == 'W/"1"'


@pytest.mark.parametrize("prefer", [*MINIMAL, *WHOLE, "return=OperationOutcome"])
def test_cr05_a_refusal_is_explained_whatever_is_preferred(ehr, prefer):
    issues_of(ehr.post(TYPE, {"resourceType": TYPE}, prefer=prefer), 400, 422)


def test_cr06_an_outcome_is_given_to_who_asks_for_it(ehr):
    answer = ehr.post(TYPE, small(), prefer="return=OperationOutcome")
    assert answer.status == 201
    assert answer.json["resourceType"] == "OperationOutcome"
    assert not {"error", "fatal"} & {issue["severity"] for issue in answer.json["issue"]}
    assert ehr.get(answer.headers["Location"]).status == 200
    assert answer.headers["ETag"] == 'W/"1"'
    updated = ehr.put(
        answer.headers["Location"].removesuffix("/_history/1"),
        ehr.read(answer.headers["Location"]),
        prefer="return=OperationOutcome",
    )
    assert (updated.status, updated.json["resourceType"]) == (200, "OperationOutcome")
