"""Content negotiation, checks CN01 to CN11."""

import gzip

import pytest

METADATA = "/fhir/metadata"


def test_an_empty_format_leaves_the_choice_to_accept(client):
    answer = client.get(f"{METADATA}?_format=", headers={"Accept": "application/json"})
    assert answer.headers["Content-Type"] == "application/json"


def test_pretty_adds_line_breaks_and_keeps_the_digits_of_numbers(assess):
    answer = assess(query="?_pretty=true")
    assert answer.data.count(b"\n") > 1
    assert b"1.50" in answer.data


def test_pretty_false_changes_nothing(assess):
    assert assess(query="?_pretty=false").data == assess().data


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
