"""Errors and their OperationOutcomes, checks ER01 to ER07, and what no error gives away."""

import gzip
import re

import pytest
from fhir_client import BASE, FHIR, break_route, codes_of, issues_of
from sample_responses import answered, new_value, response, small

TYPE = "QuestionnaireResponse"
ASSESS = f"{TYPE}/$assess"
TOO_LONG = b'{"resourceType": "QuestionnaireResponse", "language": "' + b"x" * 1_100_000 + b'"}'
UNKNOWN_QUESTION = response() | {"item": [{"linkId": "no-such-question", "answer": [{"valueInteger": 1}]}]}
WRONG = answered(response(), "concerns", "worry", {"valueString": "much"})

PROVOKED = [
    ("GET", "/nothing", None, {}, 404),
    ("POST", "/", {}, {}, 405),
    ("GET", "?_id=1", None, {}, 400),
    ("POST", "/nothing", {}, {}, 404),
    ("GET", "/fhirx", None, {}, 404),
    ("DELETE", "", None, {}, 405),
    ("PUT", "", {}, {}, 405),
    ("DELETE", "metadata", None, {}, 405),
    ("GET", "Patient/1", None, {}, 404),
    ("POST", "Patient", {"resourceType": "Patient"}, {}, 404),
    ("GET", "Foo", None, {}, 404),
    ("GET", "$nothing", None, {}, 404),
    ("POST", f"{TYPE}/$nothing", {}, {}, 404),
    ("POST", "Questionnaire/$assess", {}, {}, 404),
    ("GET", ASSESS, None, {}, 405),
    ("POST", ASSESS, {}, {}, 400),
    ("POST", ASSESS, small(status="stopped"), {}, 422),
    ("POST", ASSESS, b"{}", {"content_type": "text/plain"}, 415),
    ("POST", ASSESS, small(), {"accept": "image/png"}, 406),
    ("POST", ASSESS, TOO_LONG, {}, 413),
    ("POST", f"{TYPE}/$validate", b"x", {"content_type": "application/xml"}, 415),
    ("POST", "Questionnaire/none/$process-response", small(), {}, 404),
    ("GET", "metadata", None, {"accept": "application/fhir+xml"}, 406),
    ("GET", "Questionnaire?_format=xml", None, {}, 406),
    ("GET", "Questionnaire?_count=x", None, {}, 400),
    ("GET", "Questionnaire?foo=1", None, {"prefer": "handling=strict"}, 400),
    ("POST", "Questionnaire/_search", b"", {}, 415),
    ("GET", "Questionnaire/none", None, {}, 404),
    ("PATCH", "Questionnaire/none", {}, {}, 405),
    ("GET", "SearchParameter/none", None, {}, 404),
    ("GET", "ValueSet/none", None, {}, 404),
    ("GET", f"{TYPE}/none", None, {}, 404),
    ("GET", f"{TYPE}/none/_history", None, {}, 404),
    ("GET", f"{TYPE}/none/_history/1", None, {}, 404),
    ("GET", f"{TYPE}?_count=x", None, {}, 400),
    ("GET", f"{TYPE}?status:no=1", None, {}, 400),
    ("GET", f"{TYPE}?authored=x", None, {}, 400),
    ("GET", f"{TYPE}?foo=1", None, {"prefer": "handling=strict"}, 400),
    ("GET", f"{TYPE}?%ff=1", None, {}, 400),
    ("GET", TYPE, None, {"accept": "text/turtle"}, 406),
    ("POST", f"{TYPE}/_search", b"x", {"content_type": "text/plain"}, 415),
    ("POST", TYPE, {"resourceType": "Patient"}, {}, 400),
    ("POST", TYPE, UNKNOWN_QUESTION, {}, 422),
    ("POST", TYPE, WRONG, {}, 422),
    ("POST", TYPE, small(questionnaire="https://other.example.org/Questionnaire/x|1"), {}, 422),
    ("POST", TYPE, small(), {"content_type": "application/fhir+xml"}, 415),
    ("POST", TYPE, small(), {"content_encoding": "br"}, 415),
    ("POST", TYPE, TOO_LONG, {}, 413),
    ("POST", TYPE, gzip.compress(TOO_LONG), {"content_encoding": "gzip"}, 413),
    ("POST", TYPE, small(), {"if_none_exist": "foo=1"}, 400),
    ("POST", f"{TYPE}/none", small(), {}, 405),
    ("PUT", f"{TYPE}/none", small(id="none"), {}, 404),
    ("PUT", f"{TYPE}/none", small(id="other"), {}, 400),
    ("DELETE", f"{TYPE}/none", None, {}, 405),
    ("GET", "RiskAssessment/none", None, {}, 404),
    ("GET", "RiskAssessment?probability=x", None, {}, 400),
    ("POST", "RiskAssessment", {"resourceType": "RiskAssessment"}, {}, 405),
    ("GET", "Provenance/none", None, {}, 404),
    ("GET", "AuditEvent/none", None, {}, 404),
    ("PUT", "AuditEvent/none", {"resourceType": "AuditEvent"}, {}, 405),
    ("POST", "", {"resourceType": "Bundle"}, {}, 400),
    ("POST", "", {"resourceType": "Bundle", "type": "searchset"}, {}, 400),
    ("POST", "", small(), {}, 400),
    ("POST", "", b"x", {}, 400),
    ("POST", "", b"x", {"content_type": "text/plain"}, 415),
    ("POST", "", TOO_LONG, {}, 413),
    ("TRACE", "metadata", None, {}, 405),
    ("POST", "/healthz", {}, {}, 405),
]
NAMES = [
    f"{method} {where} {status} {number}" for number, (method, where, _, _, status) in enumerate(PROVOKED)
]


@pytest.mark.parametrize(("method", "where", "body", "headers", "status"), PROVOKED, ids=NAMES)
def test_er01_every_refusal_is_an_outcome_in_fhir_json(ehr, method, where, body, headers, status):
    answer = ehr.ask(method, where, body, **headers)
    issues_of(answer, status)
    assert answer.headers["Content-Type"].partition(";")[0] == FHIR


def test_er01_a_refusal_is_fhir_json_whatever_was_asked_for(ehr):
    for accept in ("application/json", "text/html", "image/png", "text/json"):
        assert ehr.get("Patient/1", accept=accept).json["resourceType"] == "OperationOutcome"
    assert "json" in ehr.get("Patient/1", accept="text/html").headers["Content-Type"]


def test_er02_every_outcome_is_valid_r4(ehr, union):
    outcomes = [ehr.ask(method, where, body, **headers).json for method, where, body, headers, _ in PROVOKED]
    different = {str(outcome): outcome for outcome in outcomes}
    assert union(list(different.values())) == [[]] * len(different)


@pytest.mark.parametrize(
    ("method", "where", "body", "headers", "status", "codes"),
    [
        ("GET", f"{TYPE}/none", None, {}, 404, {"not-found"}),
        ("GET", "Patient/1", None, {}, 404, {"not-supported"}),
        ("GET", "Questionnaire/$nothing", None, {}, 404, {"not-supported"}),
        ("DELETE", f"{TYPE}/none", None, {}, 405, {"not-supported"}),
        ("POST", TYPE, b"{", {}, 400, {"structure", "invalid"}),
        (
            "POST",
            TYPE,
            small(questionnaire=None),
            {},
            422,
            {"required", "business-rule", "processing", "not-found"},
        ),
        ("POST", TYPE, WRONG, {}, 422, {"value", "structure", "invalid", "code-invalid"}),
        ("POST", TYPE, TOO_LONG, {}, 413, {"too-long", "too-costly"}),
        ("GET", "metadata", None, {"accept": "image/png"}, 406, {"not-supported"}),
        ("PUT", f"{TYPE}/none", small(id="other"), {}, 400, {"value", "invalid", "structure", "invariant"}),
        ("GET", f"{TYPE}?_count=x", None, {}, 400, {"value", "invalid"}),
    ],
)
def test_er02_the_code_says_what_kind_of_fault_it_is(ehr, method, where, body, headers, status, codes):
    assert codes_of(ehr.ask(method, where, body, **headers), status) <= codes


def test_er02_a_stale_version_is_a_conflict(ehr, kept):
    answer = ehr.put(kept.at, kept.response, if_match='W/"9"')
    assert codes_of(answer, 412) <= {"conflict", "duplicate"}


@pytest.mark.parametrize("where", [TYPE, ASSESS])
def test_er03_every_fault_has_its_own_issue_with_its_place(ehr, where):
    document = answered(response(), "concerns", "worry", {"valueString": "much"})
    document = answered(document, "triggers-habits", "calm-response", {"valueInteger": 1})
    issues = [each for each in issues_of(ehr.post(where, document), 400, 422) if each["severity"] == "error"]
    places = [each["expression"][0] for each in issues]
    assert len(set(places)) >= 2
    assert all(re.fullmatch(r"QuestionnaireResponse(\.\w+(\[\d+\])?)+", place) for place in places)
    assert all(each["diagnostics"] for each in issues)


@pytest.mark.parametrize("where", [TYPE, ASSESS, "{at}", ""])
@pytest.mark.parametrize(
    "body",
    [b"{", b'{"resourceType":"QuestionnaireResponse","nobody":"knows"}', b"[" * 100_000],
)
def test_er04_a_body_that_cannot_be_parsed_is_400(ehr, known, where, body):
    """What else is no strict JSON: test_rb.py."""
    where = where.format(at=known.at)
    issues_of(ehr.ask("PUT" if where == known.at else "POST", where, body), 400)


NOT_OURS = [
    small(questionnaire="https://other.example.org/Questionnaire/x|1"),
    small(questionnaire="https://guidance.example.org/fhir/Questionnaire/muscle-twitching|9.9.9"),
    UNKNOWN_QUESTION,
    WRONG,
]


@pytest.mark.parametrize("document", NOT_OURS)
def test_er05_one_rule_refuses_what_breaks_a_rule_of_the_questionnaire_everywhere(ehr, kept, document):
    assert ehr.post(ASSESS, document).status == 422
    assert ehr.post(TYPE, document).status == 422
    assert ehr.put(kept.at, document | {"id": kept.id}).status == 422
    request = {"method": "POST", "url": TYPE}
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": document, "request": request}],
    }
    assert ehr.post("", bundle).status == 422
    batch = ehr.post("", bundle | {"type": "batch"}).json
    assert batch["entry"][0]["response"]["status"].startswith("422")


@pytest.fixture
def broken(app, monkeypatch):
    """Breaks one of the views as a fault of the program would."""

    def fail(_call):
        raise RuntimeError(f"/srv/secret.py SELECT patient {new_value()}")

    break_route(app, monkeypatch, "GET", "/fhir/metadata", fail)
    return "metadata"


def test_er06_a_fault_of_the_program_says_its_number_and_nothing_else(ehr, broken, union, caplog):
    answer = ehr.get(f"{broken}?canary=1")
    issues = issues_of(answer, 500)
    assert [each["code"] for each in issues] == ["exception"]
    assert answer.headers["X-Request-Id"] in str(issues)
    for word in (
        b"RuntimeError",
        b"Traceback",
        b".py",
        b"SELECT",
        b"secret",
        b"sqlalchemy",
        b"flask",
        b"canary",
    ):
        assert word.lower() not in answer.data.lower()
    assert union([answer.json]) == [[]]


@pytest.mark.parametrize("where", ["metadata", f"{TYPE}/none", f"{TYPE}?_count=1", "/nothing", "/healthz"])
def test_er07_every_answer_has_a_number_and_names_the_callers(ehr, where):
    answer = ehr.get(where, x_request_id="abc")
    assert answer.headers["X-Request-Id"]
    assert "abc" in (answer.headers["X-Request-Id"], answer.headers.get("X-Correlation-Id"))
    assert ehr.get(where).headers["X-Request-Id"] != answer.headers["X-Request-Id"]


def test_er07_a_create_has_a_number_too(ehr):
    answer = ehr.post(TYPE, small(), x_request_id="abc-1")
    assert (answer.status, answer.headers["X-Correlation-Id"]) == (201, "abc-1")


def test_the_fault_of_an_address_does_not_show_the_address_of_the_server(ehr):
    assert BASE.encode() not in ehr.get(f"{TYPE}/none").data
