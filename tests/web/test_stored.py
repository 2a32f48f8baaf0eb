"""What HTTP adds to stored resources, on the whole service with a SQLite file."""

import orjson
import pytest

from service import app
from service.errors import SettingsError
from service.settings import Settings

FHIR = {"Content-Type": "application/fhir+json"}
TYPE = "/fhir/QuestionnaireResponse"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'x.db'}"
    return app.create_app(Settings(store_url=url, base_url="https://fhir.example.org/r4")).test_client()


@pytest.fixture
def sample(root):
    return orjson.loads((root / "samples" / "plain-eyelid.json").read_bytes())


@pytest.fixture
def kept(client, sample):
    return client.post(TYPE, data=orjson.dumps(sample), headers=FHIR)


def put(client, document, **headers):
    return client.put(f"{TYPE}/{document['id']}", data=orjson.dumps(document), headers=FHIR | headers)


def kinds(answer):
    return [each["details"]["coding"][0]["code"] for each in answer.json["issue"]]


def test_a_result_that_was_withdrawn_within_the_second_is_never_304(client, kept):
    path = f"/fhir/RiskAssessment/{kept.json['id']}"
    seen = client.get(path).headers["Last-Modified"]
    put(client, kept.json | {"status": "entered-in-error"})
    again = client.get(path, headers={"If-Modified-Since": seen})
    assert (again.status_code, again.json["status"]) == (200, "entered-in-error")


@pytest.mark.parametrize("name", ["If-None-Match", "If-Unmodified-Since"])
def test_a_condition_of_an_update_that_is_not_kept_is_refused(client, kept, name):
    value = {"If-None-Match": "*", "If-Unmodified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}[name]
    answer = put(client, kept.json, **{name: value})
    assert (answer.status_code, kinds(answer)) == (412, ["version-conflict"])


def test_an_update_by_search_is_refused(client, kept):
    answer = client.put(f"{TYPE}/{kept.json['id']}?status=completed", data=kept.data, headers=FHIR)
    assert (answer.status_code, kinds(answer)) == (400, ["query"])


@pytest.mark.parametrize("tag", ['junk"1"x', "1", 'W/"1" W/"2"', ""])
def test_cr14_what_is_no_entity_tag_is_refused(client, kept, tag):
    assert put(client, kept.json, **{"If-Match": tag}).status_code == 400


def test_cr14_a_tag_is_compared_by_its_letters(client, kept):
    assert put(client, kept.json, **{"If-Match": 'W/"01"'}).status_code == 412
    assert put(client, kept.json, **{"If-Match": '""'}).status_code == 412
    assert put(client, kept.json, **{"If-Match": 'W/"7", "1"'}).status_code == 200


def test_a_date_beyond_all_dates_is_no_failure(client, kept):
    headers = {"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 +99999999999999999999"}
    assert client.get("/fhir/Questionnaire/muscle-twitching", headers=headers).status_code in (200, 404)


def test_cr10_a_condition_in_raw_bytes_is_refused(client, sample):
    answer = client.post(
        TYPE, data=orjson.dumps(sample), headers=FHIR | {"If-None-Exist": "identifier=K\u00fc"}
    )
    assert (answer.status_code, kinds(answer)) == (400, ["if-none-exist"])


def test_cr10_a_condition_stands_in_one_place(client, sample):
    headers = FHIR | {"If-None-Exist": "identifier=a"}
    answer = client.post(f"{TYPE}?identifier=a", data=orjson.dumps(sample), headers=headers)
    assert (answer.status_code, kinds(answer)) == (400, ["if-none-exist"])


@pytest.mark.parametrize(
    "written", ["/Patient/odd", "./Patient/odd", "Patient/odd/", "Patient/odd#x", "Patient/odd?x=1"]
)
def test_rd12_a_reference_that_is_written_oddly_is_found_by_the_person_who_is_meant(client, sample, written):
    subject = sample | {"subject": {"reference": written}}
    made = client.post(TYPE, data=orjson.dumps(subject), headers=FHIR)
    found = client.get(f"{TYPE}?patient=odd&_id={made.json['id']}")
    assert found.json["total"] == 1


@pytest.mark.parametrize("identifier", [[{"value": 5}], [5], "abc", {"value": ["x"]}])
def test_an_identifier_of_a_contained_resource_that_is_none_is_no_failure(client, sample, identifier):
    person = {"resourceType": "Patient", "id": "p", "identifier": identifier}
    document = sample | {"contained": [person], "subject": {"reference": "#p"}}
    assert client.post(TYPE, data=orjson.dumps(document), headers=FHIR).status_code in (201, 400)


def test_an_included_result_is_the_one_that_stands(client, kept):
    put(client, kept.json | {"status": "entered-in-error"})
    query = f"target=RiskAssessment/{kept.json['id']}&_include=Provenance:target"
    entries = client.get(f"/fhir/Provenance?{query}").json["entry"]
    results = [each["resource"] for each in entries if each["resource"]["resourceType"] == "RiskAssessment"]
    assert [each["status"] for each in results] == ["entered-in-error"]


def test_the_history_since_a_moment_leaves_out_what_is_older(client, kept):
    path, first = f"{TYPE}/{kept.json['id']}/_history", kept.json["meta"]["lastUpdated"]
    later = put(client, kept.json).json["meta"]["lastUpdated"]
    assert len(client.get(path, query_string={"_since": first}).json["entry"]) == 2
    assert len(client.get(path, query_string={"_since": later}).json["entry"]) == 1
    assert "entry" not in client.get(path, query_string={"_since": "2999-01-01T00:00:00Z"}).json


@pytest.mark.parametrize("query", [{"_since": "yesterday"}, {"_since": "2026-01-01"}, {"_count": "x"}])
def test_a_history_that_cannot_be_meant_is_refused(client, kept, query):
    answer = client.get(f"{TYPE}/{kept.json['id']}/_history", query_string=query)
    assert (answer.status_code, kinds(answer)) == (400, ["search-value"])


def test_a_store_that_cannot_be_reached_stops_the_start(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SettingsError) as fault:
        app.create_app(Settings(store_url=f"sqlite:///{tmp_path / 'file' / 'x.db'}"))
    assert "SERVICE_STORE_URL" in fault.value.faults[0]
