"""Content negotiation, checks CN01 to CN11."""

import gzip

import pytest

HAPI = (
    "application/fhir+xml;q=1.0, application/fhir+json;q=1.0, "
    "application/xml+fhir;q=0.9, application/json+fhir;q=0.9"
)
METADATA = "/fhir/metadata"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/fhir+json", "application/fhir+json"),
        ("application/json", "application/json"),
        ("text/json", "text/json"),
        (None, "application/fhir+json"),
        ("", "application/fhir+json"),
        ("*/*", "application/fhir+json"),
        ("application/*", "application/fhir+json"),
        (HAPI, "application/fhir+json"),
        ("application/json, text/plain, */*", "application/json"),
        ("application/fhir+json, */*; q=0.1", "application/fhir+json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/fhir+json"),
        ("application/fhir+json; fhirVersion=4.0", "application/fhir+json"),
        ("application/fhir+json;fhirVersion=4.0;charset=utf-8", "application/fhir+json"),
        ('application/fhir+json; charset="UTF-8"', "application/fhir+json"),
        ("APPLICATION/FHIR+JSON", "application/fhir+json"),
        ("application/json;q=0.5, application/fhir+json;q=0.4", "application/json"),
        ("application/fhir+json;q=0, */*", "application/json"),
        ("application/fhir+json;fhirVersion=5.0, application/json;q=0.1", "application/json"),
    ],
)
def test_an_acceptable_type_is_answered_in_the_type_asked_for(client, accept, content_type):
    answer = client.get(METADATA, headers={} if accept is None else {"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == content_type


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+xml",
        "image/png",
        "application/fhir+json;q=0",
        "application/fhir+json; fhirVersion=5.0",
        "application/fhir+json; fhirVersion=3.0",
        "application/fhir+json; charset=utf-16",
        "application/fhir+json;q=high",
        "nonsense",
        ",;,",
    ],
)
def test_a_type_that_is_not_written_is_refused_with_an_outcome(client, is_outcome, accept):
    answer = client.get(METADATA, headers={"Accept": accept})
    assert answer.status_code == 406
    is_outcome(answer)


@pytest.mark.parametrize(
    "wanted",
    [
        "json",
        "application/json",
        "application/fhir%2Bjson",
        "application/fhir+json",
        "text/json",
        "application/json%2Bfhir",
    ],
)
def test_the_parameter_format_overrides_accept(client, wanted):
    answer = client.get(f"{METADATA}?_format={wanted}", headers={"Accept": "application/fhir+xml"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "wanted", ["xml", "application/fhir%2Bxml", "html", "application/fhir%2Bjson;fhirVersion=5.0"]
)
def test_a_format_that_is_not_written_is_refused(client, is_outcome, wanted):
    answer = client.get(f"{METADATA}?_format={wanted}", headers={"Accept": "application/json"})
    assert answer.status_code == 406
    is_outcome(answer)


def test_an_empty_format_leaves_the_choice_to_accept(client):
    answer = client.get(f"{METADATA}?_format=", headers={"Accept": "application/json"})
    assert answer.headers["Content-Type"] == "application/json"


def test_pretty_adds_line_breaks_and_keeps_the_digits_of_numbers(assess):
    answer = assess(query="?_pretty=true")
    assert answer.data.count(b"\n") > 1
    assert b"1.50" in answer.data


def test_pretty_false_changes_nothing(assess):
    assert assess(query="?_pretty=false").data == assess().data


@pytest.mark.parametrize("charset", ["", ";charset=utf-8", "; charset=UTF-8", "; fhirVersion=4.0"])
@pytest.mark.parametrize(
    "kind", ["application/fhir+json", "application/json", "application/json+fhir", "text/json"]
)
def test_a_json_body_is_read(assess, kind, charset):
    assert assess(headers={"Content-Type": kind + charset}).status_code == 200


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/xml",
        "application/fhir+xml",
        "multipart/form-data; boundary=x",
        "application/fhir+json; charset=utf-16",
        "application/fhir+json; fhirVersion=5.0",
        "",
        ";",
        "application/fhir+json;q=2",
    ],
)
def test_a_body_of_another_type_is_refused_unread(assess, assessor, is_outcome, kind):
    answer = assess(headers={"Content-Type": kind})
    assert answer.status_code == 415
    is_outcome(answer)
    assert assessor.seen == []


def test_a_body_without_content_type_is_refused(client, is_outcome):
    answer = client.post("/fhir/QuestionnaireResponse/$assess", data=b"{}")
    assert answer.status_code == 415
    is_outcome(answer)


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZIP"])
def test_a_gzip_body_is_decompressed(assess, assessor, name):
    answer = assess(gzip.compress(b'{"a":1}'), headers={"Content-Encoding": name})
    assert answer.status_code == 200
    assert assessor.seen == [b'{"a":1}']


def test_identity_is_no_encoding(assess):
    assert assess(headers={"Content-Encoding": "identity"}).status_code == 200


def test_a_small_body_that_decompresses_over_the_limit_is_refused(assess, assessor, is_outcome):
    answer = assess(gzip.compress(b" " * 1_000_000), headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413
    is_outcome(answer)
    assert assessor.seen == []


@pytest.mark.parametrize(
    "data",
    [b"plain", gzip.compress(b"{}")[:-4], gzip.compress(b"{}") + b"more", gzip.compress(b"{}") * 2, b""],
)
def test_a_body_that_is_not_one_gzip_member_is_refused(assess, is_outcome, data):
    answer = assess(data, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 400
    is_outcome(answer)
