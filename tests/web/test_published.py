"""Read and search of published resources, checks RD01 to RD10, RD15 to RD20, RD22 and RD24."""

import orjson
import pytest

BASE = "https://fhir.example.org/r4"
FORMS = "/fhir/Questionnaire"


def found(answer):
    bundle = orjson.loads(answer.data)
    return [entry["resource"]["id"] for entry in bundle.get("entry", ())]


def links(answer):
    return {link["relation"]: link["url"] for link in orjson.loads(answer.data)["link"]}


def test_a_read_returns_the_resource_with_its_validators(client):
    answer = client.get(f"{FORMS}/questionnaire-1")
    resource = orjson.loads(answer.data)
    assert (answer.status_code, resource["resourceType"], resource["id"]) == (
        200,
        "Questionnaire",
        "questionnaire-1",
    )
    assert answer.headers["ETag"] == f'W/"{resource["meta"]["versionId"]}"'
    assert answer.headers["Last-Modified"] == "Fri, 02 Jan 2026 03:04:05 GMT"
    assert answer.headers["Content-Type"] == "application/fhir+json"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Vary"] == "Accept"


def test_a_resource_without_a_known_change_has_no_last_modified(client):
    assert "Last-Modified" not in client.get(f"{FORMS}/questionnaire-9").headers


@pytest.mark.parametrize("tags", ['W/"v0"', "v1", '"V1"', ""])
def test_another_tag_gives_the_resource(client, tags):
    assert client.get(f"{FORMS}/questionnaire-1", headers={"If-None-Match": tags}).status_code == 200


@pytest.mark.parametrize(
    ("since", "status"),
    [
        ("Fri, 02 Jan 2026 03:04:05 GMT", 304),
        ("Sat, 03 Jan 2026 00:00:00 GMT", 304),
        ("Fri, 02 Jan 2026 03:04:04 GMT", 200),
        ("yesterday", 200),
        ("Fri, 02 Jan 2026 03:04:05 -0000", 304),
    ],
)
def test_a_date_decides_only_without_a_tag(client, since, status):
    path = f"{FORMS}/questionnaire-1"
    assert client.get(path, headers={"If-Modified-Since": since}).status_code == status
    both = {"If-Modified-Since": since, "If-None-Match": '"old"'}
    assert client.get(path, headers=both).status_code == 200


def test_a_date_decides_nothing_where_no_change_is_known(client):
    headers = {"If-Modified-Since": "Fri, 02 Jan 2026 03:04:05 GMT"}
    assert client.get(f"{FORMS}/questionnaire-9", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("_id=questionnaire-1", ["questionnaire-1"]),
        ("_id=questionnaire-1,questionnaire-3", ["questionnaire-1", "questionnaire-3"]),
        ("_id=questionnaire-1&_id=questionnaire-3", []),
        ("url=https://example.org/Questionnaire/1|1.0", ["questionnaire-1"]),
        ("url=https://example.org/Questionnaire/1%7C1.0", ["questionnaire-1"]),
        ("url=https://example.org/Questionnaire/1|2.0", []),
        ("url=https://example.org/Questionnaire/1&version=1.0", ["questionnaire-1"]),
        ("version=2.0", ["questionnaire-9"]),
        ("status=draft", ["questionnaire-9"]),
        ("status=|draft", ["questionnaire-9"]),
        ("status=http://hl7.org/fhir/publication-status|draft", ["questionnaire-9"]),
        ("status=http://other.example|draft", []),
        ("name=name3", ["questionnaire-3"]),
        ("name:exact=name3", []),
        ("name:exact=Name3", ["questionnaire-3"]),
        ("name:contains=AME3", ["questionnaire-3"]),
        ("title=uber title 4", ["questionnaire-4"]),
        ("title=%C3%BCber+title+4", ["questionnaire-4"]),
        ("title=title", []),
        ("status=nothing", []),
        ("title=one\\, two", ["questionnaire-9"]),
        ("title=one, two", ["questionnaire-9"]),
        ("title=two\\,one", []),
        ("status=&name=name3", ["questionnaire-3"]),
    ],
)
def test_a_search_finds_what_meets_every_parameter(client, query, ids):
    answer = client.get(f"{FORMS}?{query}")
    assert answer.status_code == 200
    assert found(answer) == ids


@pytest.mark.parametrize(
    "prefer", ["handling=strict", "return=minimal; handling=strict", "return=minimal, handling=strict"]
)
def test_an_unknown_parameter_is_refused_when_strictness_is_preferred(client, is_outcome, prefer):
    answer = client.get(f"{FORMS}?foo=1&name=x", headers={"Prefer": prefer})
    assert answer.status_code == 400
    is_outcome(answer)


@pytest.mark.parametrize("prefer", ["handling=lenient", "", "handling=strictly"])
def test_an_unknown_parameter_is_left_out_otherwise(client, prefer):
    assert client.get(f"{FORMS}?foo=1", headers={"Prefer": prefer}).status_code == 200


@pytest.mark.parametrize("path", [f"{FORMS}/questionnaire-1?", f"{FORMS}?_id=questionnaire-1&"])
@pytest.mark.parametrize(
    ("query", "rest"),
    [
        ("_elements=title", ["title", "status"]),
        ("_summary=text", ["status"]),
        ("_summary=true", ["url", "version", "name", "title", "status"]),
    ],
)
def test_rd22_a_part_of_a_resource_is_read_and_found(client, path, query, rest):
    answer = client.get(f"{path}{query}")
    document = orjson.loads(answer.data)
    resource = document["entry"][0]["resource"] if "entry" in document else document
    assert list(resource) == ["resourceType", "id", "meta", *rest]
    assert [each["code"] for each in resource["meta"]["tag"]] == ["SUBSETTED"]


def test_rd22_a_part_that_cannot_be_read_is_refused(client, is_outcome):
    answer = client.get(f"{FORMS}/questionnaire-1?_summary=some")
    assert answer.status_code == 400
    is_outcome(answer)


def test_a_slash_at_the_end_of_an_operation_keeps_the_body(client, assessor):
    answer = client.post(
        "/fhir/QuestionnaireResponse/$assess/", data=b"{}", headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 200
    assert assessor.seen == [b"{}"]


def test_a_dollar_sign_may_be_percent_encoded(client):
    answer = client.post(
        "/fhir/QuestionnaireResponse/%24assess", data=b"{}", headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/fhir", FORMS, "/fhir/QuestionnaireResponse/$assess", "/healthz"])
def test_options_names_the_methods(client, path):
    answer = client.options(path)
    assert (answer.status_code, answer.data) == (204, b"")
    assert "OPTIONS" in answer.headers["Allow"]
