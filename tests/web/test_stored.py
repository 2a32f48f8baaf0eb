"""What HTTP adds to stored resources, on the whole service with a SQLite file."""

import re
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import parse_qsl

import orjson
import pytest

from service import app
from service.errors import SettingsError
from service.settings import Settings

FHIR = {"Content-Type": "application/fhir+json"}
TYPE = "/fhir/QuestionnaireResponse"
BASE = "https://fhir.example.org/r4"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'x.db'}"
    return app.create_app(Settings(store_url=url, base_url=BASE)).test_client()


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


def detailed(client, kept, detail):
    return client.get(f"/fhir/RiskAssessment/{kept.json['id']}?_detail={detail}")


def test_more_of_a_stored_result_is_made_of_the_stored_response(client, kept):
    stored = client.get(f"/fhir/RiskAssessment/{kept.json['id']}")
    full, bundle = detailed(client, kept, "full"), detailed(client, kept, "bundle")
    assert detailed(client, kept, "risk").data == stored.data
    assert len(full.data) > 3 * len(stored.data)
    for name in ("id", "meta", "identifier", "basis"):
        assert full.json[name] == stored.json[name]
    assert full.headers["ETag"] == bundle.headers["ETag"] == stored.headers["ETag"]
    assert bundle.json["entry"][0]["fullUrl"] == stored.json["identifier"][0]["value"]
    part = client.get(f"/fhir/RiskAssessment/{kept.json['id']}?_detail=full&_elements=mitigation")
    assert "prediction" not in part.json
    assert part.json["mitigation"] == full.json["mitigation"]


def test_a_stored_result_is_not_read_in_a_detail_that_there_is_not(client, kept):
    answer = detailed(client, kept, "all")
    assert (answer.status_code, kinds(answer)) == (400, ["parameter"])
    nowhere = client.get("/fhir/RiskAssessment/nowhere?_detail=full")
    assert (nowhere.status_code, kinds(nowhere)) == (404, ["id-unknown"])


def test_what_was_filed_of_a_withdrawn_result_is_withdrawn(client, kept):
    before = detailed(client, kept, "bundle").json
    put(client, kept.json | {"status": "entered-in-error"})
    after = detailed(client, kept, "bundle").json
    filed = {entry["fullUrl"] for entry in before["entry"]}
    states = {entry["fullUrl"]: entry["resource"]["status"] for entry in after["entry"]}
    assert filed <= states.keys()
    assert set(states.values()) == {"entered-in-error"}
    assert detailed(client, kept, "full").json["status"] == "entered-in-error"


def test_an_amended_response_takes_the_place_of_what_it_was(client, kept):
    before = detailed(client, kept, "bundle").json
    put(client, kept.json | {"status": "amended"})
    after = detailed(client, kept, "bundle").json
    assert {entry["fullUrl"] for entry in before["entry"]} <= {entry["fullUrl"] for entry in after["entry"]}


@pytest.mark.slow
def test_no_more_is_made_of_a_result_whose_guidance_is_gone(root, tmp_path, sample):
    """The mapping is changed in place, so that another hash stands for the same version."""
    mappings = Path(shutil.copytree(root / "mappings", tmp_path / "mappings"))
    settings = Settings(store_url=f"sqlite:///{tmp_path / 'x.db'}", base_url=BASE, mappings_dir=mappings)
    made = app.create_app(settings).test_client().post(TYPE, data=orjson.dumps(sample), headers=FHIR)
    written = mappings / "muscle-twitching" / "guidance.yaml"
    written.write_text(
        re.sub(r"^date: .*$", 'date: "2001-01-01"', written.read_text(), count=1, flags=re.MULTILINE)
    )
    client = app.create_app(settings).test_client()
    answers = [detailed(client, made, detail) for detail in ("full", "bundle")]
    assert [(answer.status_code, kinds(answer)) for answer in answers] == [(404, ["detail-gone"])] * 2


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


@pytest.fixture
def versions(client, kept):
    """Returns the path of the history of three versions, and the moments at which they were stored."""
    path = f"{TYPE}/{kept.json['id']}"
    for _ in range(2):
        assert put(client, kept.json).status_code == 200
    entries = client.get(f"{path}/_history").json["entry"]
    moments = [entry["resource"]["meta"]["lastUpdated"] for entry in entries]
    assert len(set(moments)) == 3
    return f"{path}/_history", moments[::-1]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("{0}", "1"),
        ("{1}", "2"),
        ("{2}", "3"),
        ("eq{1}", "2"),
        ("ge{1}", "32"),
        ("gt{1}", "32"),
        ("sa{2}", "3"),
        ("ge{0}", "321"),
        ("le{1}", "21"),
        ("lt{1}", "1"),
        ("eb{1}", "1"),
        ("lt{0}", ""),
        ("{year}", "321"),
        ("ap{year}", "321"),
        ("1999", ""),
        ("lt1999-12", ""),
        ("2999", "3"),
        ("2999-01-01T00:00:00Z", "3"),
        ("gt2999", "3"),
    ],
)
def test_the_history_at_a_time_has_the_versions_that_were_current_in_it(client, versions, asked, found):
    """R4 http.html#history: at some point during the time of the date, which is read as searches read it."""
    path, moments = versions
    at = asked.format(*moments, year=moments[0][:4])
    bundle = client.get(path, query_string={"_at": at}).json
    assert [entry["resource"]["meta"]["versionId"] for entry in bundle.get("entry", ())] == list(found)
    assert bundle["total"] == len(found)
    assert client.get(bundle["link"][0]["url"].replace(BASE, "/fhir")).json == bundle


def test_the_history_at_a_time_is_read_on_the_hour_of_a_place_too(client, versions):
    path, moments = versions
    there = datetime.fromisoformat(moments[1]).astimezone(timezone(timedelta(hours=-9))).isoformat()
    (entry,) = client.get(path, query_string={"_at": there}).json["entry"]
    assert entry["resource"]["meta"]["versionId"] == "2"


def test_all_that_a_history_is_asked_for_must_hold_on_every_page(client, versions):
    path, moments = versions
    asked = {"_at": f"le{moments[1]}", "_count": "1", "_format": "json", "_pretty": "true"}
    first = client.get(path, query_string=asked)
    assert first.data.startswith(b"{\n")
    assert first.json["total"] == 2
    (following,) = (link["url"] for link in first.json["link"] if link["relation"] == "next")
    assert asked.items() <= dict(parse_qsl(following.partition("?")[2])).items()
    last = client.get(following.replace(BASE, "/fhir"))
    assert last.data.startswith(b"{\n")
    assert [entry["resource"]["meta"]["versionId"] for entry in last.json["entry"]] == ["1"]
    assert [link["relation"] for link in last.json["link"]] == ["self"]
    both = client.get(path, query_string={"_at": f"le{moments[1]}", "_since": moments[1]}).json
    assert [entry["resource"]["meta"]["versionId"] for entry in both["entry"]] == ["2"]


@pytest.mark.parametrize(
    "value", ["yesterday", "2026-13", "ne2026", "2026-01-01T25:00:00Z", "xx2026", "2026,2027"]
)
def test_a_time_that_cannot_be_read_is_refused(client, versions, value):
    answer = client.get(versions[0], query_string={"_at": value})
    assert answer.status_code == 400
    assert "Parameter _at: expected a date" in answer.json["issue"][0]["diagnostics"]


@pytest.mark.parametrize("name", ["foo", "_sort", "_list", "_at:missing", "status", "_summary"])
def test_a_history_is_strict_where_that_is_preferred(client, versions, name):
    """RD16: as a search is."""
    path, _ = versions
    known = {
        "_count": "2",
        "_since": "2026-01-01T00:00:00Z",
        "_at": "ge2026",
        "_before": "9",
        "_format": "json",
    }
    strict = {"Prefer": "handling=strict"}
    assert client.get(path, query_string={name: "1"}).status_code == 200
    assert client.get(path, query_string=known, headers=strict).status_code == 200
    refused = client.get(path, query_string={**known, name: "1"}, headers=strict)
    assert refused.status_code == 400
    (issue,) = refused.json["issue"]
    assert issue["diagnostics"].startswith(
        f"Parameter {name} is not known here. Expected one of _count, _since"
    )
    assert name not in str(client.get(path, query_string={name: "1"}).json["link"])


def test_the_history_of_what_is_not_there_is_not_found_at_any_time(client):
    for query in ({}, {"_at": "1999"}, {"_since": "2999-01-01T00:00:00Z"}):
        assert client.get("/fhir/RiskAssessment/none/_history", query_string=query).status_code == 404


@pytest.mark.parametrize("query", [{"_since": "yesterday"}, {"_since": "2026-01-01"}, {"_count": "x"}])
def test_a_history_that_cannot_be_meant_is_refused(client, kept, query):
    answer = client.get(f"{TYPE}/{kept.json['id']}/_history", query_string=query)
    assert (answer.status_code, kinds(answer)) == (400, ["search-value"])


def test_a_store_that_cannot_be_reached_stops_the_start(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SettingsError) as fault:
        app.create_app(Settings(store_url=f"sqlite:///{tmp_path / 'file' / 'x.db'}"))
    assert "SERVICE_STORE_URL" in fault.value.faults[0]
