"""Content negotiation of everything that is read, found and written, checks CN01 to CN11."""

import gzip
import json
import zlib

import pytest
from fhir_client import FHIR, issues_of
from sample_responses import small

TYPE = "QuestionnaireResponse"
HAPI = (
    "application/fhir+xml;q=1.0, application/fhir+json;q=1.0, "
    "application/xml+fhir;q=0.9, application/json+fhir;q=0.9"
)
WHERE = [
    "metadata",
    "Questionnaire",
    "Questionnaire/muscle-twitching",
    TYPE,
    "{at}",
    "{at}/_history",
    "{at}/_history/1",
    "RiskAssessment",
]


def media_type(answer):
    return answer.headers["Content-Type"].replace(" ", "").lower().removesuffix(";charset=utf-8")


@pytest.fixture(params=WHERE)
def where(request, known):
    return request.param.format(at=known.at)


@pytest.mark.parametrize(
    "accept",
    [
        FHIR,
        None,
        "*/*",
        "application/*",
        HAPI,
        "application/fhir+json; fhirVersion=4.0",
        "application/fhir+json;fhirVersion=4.0;charset=utf-8",
        'application/fhir+json; charset="UTF-8"',
        "application/fhir+json, */*; q=0.1",
        "text/html, application/fhir+json;q=0.5",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "APPLICATION/FHIR+JSON",
        "",
    ],
)
def test_cn01_cn03_cn04_cn05_fhir_json_is_what_clients_get(ehr, where, accept):
    answer = ehr.get(where, **({} if accept is None else {"accept": accept}))
    assert (answer.status, media_type(answer)) == (200, FHIR)


@pytest.mark.parametrize(
    ("accept", "type_"),
    [
        ("application/json", "application/json"),
        ("text/json", "text/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("application/json;q=0.5, application/fhir+json;q=0.4", "application/json"),
        ("application/fhir+json;q=0, */*", "application/json"),
        ("application/fhir+json;fhirVersion=5.0, application/json;q=0.1", "application/json"),
    ],
)
def test_cn02_plain_json_is_the_same_under_the_name_that_was_asked_for(ehr, where, accept, type_):
    answer = ehr.get(where, accept=accept)
    assert (answer.status, media_type(answer)) == (200, type_)
    assert answer.data == ehr.get(where).data


def test_cn02_a_create_answers_in_plain_json_too(ehr):
    answer = ehr.post(TYPE, small(), accept="application/json", content_type="application/json")
    assert (answer.status, media_type(answer)) == (201, "application/json")


@pytest.mark.parametrize("version", ["5.0", "3.0", "1.0", "x"])
def test_cn06_another_version_of_fhir_is_refused(ehr, where, version):
    issues_of(ehr.get(where, accept=f"application/fhir+json; fhirVersion={version}"), 406)
    issues_of(ehr.post(TYPE, small(), content_type=f"application/fhir+json; fhirVersion={version}"), 400, 415)


def test_cn06_two_different_versions_in_one_request_are_refused(ehr):
    before = ehr.totals()
    for one, other in (("4.0", "3.0"), ("3.0", "4.0")):
        headers = {"accept": f"{FHIR}; fhirVersion={one}", "content_type": f"{FHIR}; fhirVersion={other}"}
        issues_of(ehr.post(TYPE, small(), **headers), 400, 406, 415)
    assert ehr.totals() == before


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+xml",
        "image/png",
        "application/fhir+json;q=0",
        "application/fhir+json;q=high",
        "application/fhir+json; charset=utf-16",
        "text/html",
        "nonsense",
        ",;,",
    ],
)
def test_cn07_what_is_not_written_is_refused_in_json(ehr, where, accept):
    issues_of(ehr.get(where, accept=accept), 406)


def test_cn07_nothing_is_stored_whose_answer_cannot_be_written(ehr):
    before = ehr.totals()
    issues_of(ehr.post(TYPE, small(), accept="application/fhir+xml"), 406)
    issues_of(ehr.post(f"{TYPE}?_format=xml", small()), 406)
    assert ehr.totals() == before


@pytest.mark.parametrize(
    "format_",
    [
        "json",
        "application/json",
        "application/fhir+json",
        "application/fhir%2Bjson",
        "text/json",
        "application/json%2Bfhir",
    ],
)
def test_cn08_the_format_in_the_address_goes_before_the_header(ehr, where, format_):
    sign = "&" if "?" in where else "?"
    answer = ehr.get(f"{where}{sign}_format={format_}", accept="application/fhir+xml")
    assert answer.status == 200
    assert media_type(answer) in (FHIR, "application/json", "text/json", "application/json+fhir")


def test_cn08_another_format_in_the_address_is_refused(ehr, where):
    for format_ in ("xml", "application/fhir%2Bxml", "ttl", "application/fhir%2Bjson;fhirVersion=5.0"):
        issues_of(ehr.get(f"{where}?_format={format_}"), 406)


def test_cn08_the_format_of_the_answer_does_not_change_how_a_body_is_read(ehr):
    assert ehr.post(f"{TYPE}?_format=json", small()).status == 201
    issues_of(ehr.post(f"{TYPE}?_format=json", small(), content_type="application/fhir+xml"), 415)


def test_cn08_line_breaks_are_only_that(ehr, where):
    pretty, plain = ehr.get(f"{where}?_pretty=true"), ehr.get(where)
    assert pretty.status == 200
    assert json.loads(pretty.data).get("resourceType") == plain.json["resourceType"]
    if "entry" not in plain.json:
        assert pretty.json == plain.json


@pytest.mark.parametrize(
    "charset", ["", ";charset=utf-8", "; charset=UTF-8", ';charset="utf-8"', "; fhirVersion=4.0"]
)
@pytest.mark.parametrize("type_", [FHIR, "application/json", "application/json+fhir", "text/json"])
@pytest.mark.parametrize("target", [TYPE, f"{TYPE}/$assess"])
def test_cn09_every_name_of_json_is_read(ehr, target, type_, charset):
    assert ehr.post(target, small(), content_type=type_ + charset).status in (200, 201)


UNREAD = [
    "text/plain",
    "application/xml",
    "application/fhir+xml",
    "multipart/form-data; boundary=x",
    "",
    "application/fhir+json; charset=utf-16",
    "application/x-www-form-urlencoded",
    "application/json-patch+json",
]


@pytest.mark.parametrize("type_", UNREAD)
@pytest.mark.parametrize("target", [TYPE, f"{TYPE}/$assess", f"{TYPE}/$validate", ""])
def test_cn10_json_under_another_name_is_not_run(ehr, target, type_):
    before = ehr.totals()
    issues_of(ehr.post(target, small(), content_type=type_), 415)
    assert ehr.totals() == before


def test_cn10_an_update_under_another_name_is_not_run(ehr, kept):
    issues_of(ehr.put(kept.at, kept.response, content_type="text/plain"), 415)
    assert ehr.read(kept.at) == kept.response


def test_cn11_a_compressed_body_is_read(ehr):
    body = gzip.compress(json.dumps(small()).encode())
    assert ehr.post(TYPE, body, content_encoding="gzip").status == 201


def test_cn11_a_compressed_body_is_measured_as_it_unfolds(ehr):
    bomb = gzip.compress(b" " * 50_000_000)
    issues_of(ehr.post(TYPE, bomb, content_encoding="gzip"), 413)


@pytest.mark.parametrize("encoding", ["deflate", "br", "gzip, gzip", "nonsense"])
def test_cn11_other_encodings_are_refused(ehr, encoding):
    issues_of(ehr.post(TYPE, zlib.compress(b"{}"), content_encoding=encoding), 415)


def test_cn11_an_answer_that_depends_on_the_encoding_says_so(ehr, where):
    answer = ehr.get(where, accept_encoding="gzip")
    if answer.headers.get("Content-Encoding") == "gzip":
        assert "accept-encoding" in answer.headers["Vary"].lower()
    else:
        assert answer.json
