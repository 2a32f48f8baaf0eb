"""What is no strict FHIR JSON is refused by every route that takes a body, checks RB01 to RB10.

tests/fhir/test_body.py looks at the reader alone, case by case; tests/web/test_fuzz.py and tests/clients look
for what nobody thought of (RB11).
"""

import json
import re
from collections.abc import Iterator

import pytest
from fhir_client import issues_of
from sample_responses import response

CANARY = "canary-4711"
CDS = "/cds-services/"
# What is broken stands beside a text that no answer may repeat.
BROKEN = {
    "rb01-nan": b'{"note":"%s","a":NaN}',
    "rb01-infinity": b'{"note":"%s","a":-Infinity}',
    "rb01-exponent": b'{"note":"%s","a":1e999}',
    "rb02-twice": b'{"note":"%s","status":"completed","status":"entered-in-error"}',
    "rb02-twice-below": b'{"note":"%s","item":[{"linkId":"a","linkId":"b"}]}',
    "rb04-bytes": b'{"note":"%s","a":"\xff"}',
    "rb04-overlong": b'{"note":"%s","a":"\xc0\x80"}',
    "rb04-surrogate": b'{"note":"%s","a":"\\ud800"}',
    "rb04-nul": b'{"note":"%s","a":"\\u0000"}',
    "rb05-arrays": b'{"note":"%s","a":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "rb05-objects": b'{"note":"%s","a":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
    "rb05-unclosed": b'{"note":"%s","a":' + b'{"item":[' * 5_000,
    "rb06-integer": b'{"note":"%s","a":' + b"9" * 5_000 + b"}",
    "rb06-decimal": b'{"note":"%s","a":0.' + b"1" * 10_000 + b"}",
    "rb07-trailing": b'{"note":"%s"} x',
    "rb07-comment": b'{/*%s*/"a":1}',
    "rb07-comma": b'{"note":"%s",}',
    "rb07-quotes": b"{'note':'%s'}",
    "rb07-blank": b" \n",
    "rb08-array": b'["%s"]',
    "rb08-string": b'"%s"',
    "rb08-number": b"1",
    "rb08-null": b"null",
    "rb08-true": b"true",
}
EMPTY = {
    "null": b'{"resourceType":"QuestionnaireResponse","note":"%s","a":null}',
    "string": b'{"resourceType":"QuestionnaireResponse","note":"%s","a":""}',
    "array": b'{"resourceType":"QuestionnaireResponse","note":"%s","a":[]}',
    "object": b'{"resourceType":"QuestionnaireResponse","note":"%s","a":{}}',
    "null-inside": b'{"resourceType":"QuestionnaireResponse","note":"%s","a":["x",null]}',
}


def broken(body):
    return body.replace(b"%s", CANARY.encode())


@pytest.fixture(scope="module")
def places(app, ehr, known, one_of_each):
    """Every method and path that takes JSON."""
    service = ehr.ask("GET", CDS.rstrip("/")).json["services"][0]["id"]
    ids = one_of_each | {"QuestionnaireResponse": known.id}

    def filled() -> Iterator[tuple[str, str]]:
        for route in app.routes:
            if route.method in ("POST", "PUT") and not route.path.endswith(("/_search", "<id:slug>")):
                yield route.method, route.path.replace("<id:id>", ids.get(route.resource, service))

    found = list(filled())
    assert ("PUT", f"/fhir/QuestionnaireResponse/{known.id}") in found
    assert ("POST", "/fhir") in found
    assert ("POST", CDS + service) in found
    assert all("<" not in path for _, path in found)
    return found


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_rb01_rb02_rb04_rb05_rb06_rb07_rb08_every_route_refuses_what_is_no_strict_json(ehr, places, body):
    for method, where in places:
        answer = ehr.ask(method, where, broken(body))
        issues_of(answer, 400)
        assert CANARY.encode() not in answer.data


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-32-be"])
def test_rb03_every_route_refuses_another_encoding(ehr, places, encoding):
    for method, where in places:
        issues_of(ehr.ask(method, where, json.dumps(response()).encode(encoding)), 400, 415)


@pytest.mark.parametrize("body", EMPTY.values(), ids=EMPTY)
def test_rb09_no_route_takes_what_is_empty(ehr, places, body):
    """But for calls of CDS Hooks, which are no resources: prefetch that was not found is null there."""
    for method, where in places:
        if not where.startswith(CDS):
            answer = ehr.ask(method, where, broken(body))
            issues_of(answer, 400)
            assert CANARY.encode() not in answer.data


def test_rb07_every_route_refuses_an_empty_body(ehr, places):
    """But to expand, extract or explain what the path names: that needs no more."""
    for method, where in places:
        if not re.search(
            r"ValueSet/.+/\$expand|QuestionnaireResponse/.+/\$extract|RiskAssessment/.+/\$explain", where
        ):
            issues_of(ehr.ask(method, where, b""), 400)


def test_rb10_every_route_refuses_a_body_over_the_limit(ehr, places):
    for method, where in places:
        issues_of(ehr.ask(method, where, b'{"a":"' + b"x" * 1_048_576 + b'"}'), 413)


@pytest.mark.parametrize("where", ["$assess", "$validate", ""])
def test_rb10_a_link_id_as_long_as_the_body_is_refused(ehr, where):
    document = response()
    document["item"].append({"linkId": "x" * 900_000, "answer": [{"valueInteger": 1}]})
    answer = ehr.post(f"QuestionnaireResponse/{where}".rstrip("/"), document)
    assert answer.status in (200, 413, 422)
    assert '"error"' in answer.data.decode()
    assert len(answer.data) < 100_000


def test_rb06_numbers_are_stored_as_they_were_written(ehr):
    written = b'[{"url":"https://example.org/number","valueDecimal":2.00},'
    written += b'{"url":"https://example.org/number","valueDecimal":0.10}]'
    body = (
        json.dumps(response() | {"extension": 0})
        .encode()
        .replace(b'"extension": 0', b'"extension":' + written)
    )
    answer = ehr.post("QuestionnaireResponse", body)
    assert answer.status == 201, answer.data
    read = ehr.get(f"QuestionnaireResponse/{answer.json['id']}").data
    assert b'"valueDecimal":2.00' in read.replace(b" ", b"")
    assert b'"valueDecimal":0.10' in read.replace(b" ", b"")
