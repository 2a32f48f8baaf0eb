"""What the audit trail says of requests: an entry for each read, search, create, score and denial (AU16)."""

import json

import orjson
import pytest
import tenants_with_tokens
from cds_calls import VIEW, call_of
from sample_responses import new_patient, response, small
from tenants_with_tokens import API, registry_of

from service import app
from service.audit import Trail, line_of
from service.errors import SettingsError
from service.settings import Settings
from service.storage.model import StoreUnavailable

FHIR = "application/fhir+json"
RESPONSES, RISKS = "/fhir/QuestionnaireResponse", "/fhir/RiskAssessment"
ISSUER = "https://north.example.org/fhir"
EVERYTHING = "user/*.cruds"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    return registry_of(tmp_path_factory.mktemp("registry"), "north")


@pytest.fixture(scope="module")
def service(registry, tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "service.db"
    return app.create_app(
        Settings(
            store_url=f"sqlite:///{store}", ehrs_file=registry, base_url=API, trusted_proxies="127.0.0.1"
        )
    )


def by(scope=EVERYTHING, patient=None, **claims):
    said = {"sub": "practitioner-1", "client_id": "growth-chart"} | claims
    return tenants_with_tokens.by(scope, patient, **said)


class Ehr:
    """Sends requests, and knows what the trail says of each."""

    def __init__(self, application):
        self.client = application.test_client()
        self.trail = application.audit.trail
        self.store = application.audit.trail._store

    def entries(self, tenant="north"):
        assert self.trail.flush()
        with self.store.reading(tenant) as view:
            return view.links_after(0, limit=10_000)

    def events(self, answer):
        """Returns the AuditEvents of a request."""
        links = [*self.entries(), *((link) for link in self.entries(""))]
        lines = [(link, json.loads(line_of("north", link))) for link in links]
        of_request = answer.headers["X-Request-Id"]
        return [line for link, line in lines if json.loads(link.body).get("request") == of_request]

    def event(self, answer):
        (event,) = self.events(answer)
        return event

    def get(self, path, headers=None, **more):
        return self.client.get(path, headers=by() if headers is None else headers, **more)

    def post(self, path, resource, headers=None, **more):
        own = {"Content-Type": FHIR, **(by() if headers is None else headers)}
        return self.client.post(path, data=orjson.dumps(resource), headers=own, **more)


@pytest.fixture
def ehr(service):
    return Ehr(service)


def what(event):
    return [entity["what"].get("reference") for entity in event["entity"] if "reference" in entity["what"]]


def codes(event):
    return event["type"]["code"], event["subtype"][0]["code"], event["action"], event["outcome"]


def test_a_create_is_recorded_with_what_it_stored(ehr):
    patient = new_patient()
    answer = ehr.post(RESPONSES, small(patient))
    event, of_id = ehr.event(answer), answer.json["id"]
    assert codes(event) == ("rest", "create", "C", "0")
    assert what(event) == [
        patient,
        f"QuestionnaireResponse/{of_id}/_history/1",
        f"RiskAssessment/{of_id}/_history/1",
    ]
    user, client = event["agent"]
    assert user["who"]["identifier"] == {"system": ISSUER, "value": "practitioner-1"}
    assert client["who"]["identifier"]["value"] == "growth-chart"
    assert client["network"]["address"] == "127.0.0.1"
    assert event["source"]["site"] == "north"


@pytest.mark.parametrize(("peer", "recorded"), [("127.0.0.1", "192.0.2.8"), ("192.0.2.1", "192.0.2.1")])
def test_the_address_is_the_one_that_a_proxy_of_ours_names(ehr, peer, recorded):
    headers = by() | {"X-Forwarded-For": "203.0.113.5, 192.0.2.8"}
    answer = ehr.get(f"{RESPONSES}/none", headers, environ_base={"REMOTE_ADDR": peer})
    assert {agent["network"]["address"] for agent in ehr.event(answer)["agent"] if "network" in agent} == {
        recorded
    }


def test_a_create_that_finds_what_is_there_is_recorded_too(ehr):
    document = small(new_patient(), identifier={"system": "urn:a", "value": "once-for-all"})
    condition = {**by(), "If-None-Exist": "identifier=urn:a|once-for-all"}
    first, second = (ehr.post(RESPONSES, document, condition) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert what(ehr.event(second)) == what(ehr.event(first))


def test_an_update_names_both_new_versions(ehr):
    document = small(new_patient())
    of_id = ehr.post(RESPONSES, document).json["id"]
    own = {**by(), "Content-Type": FHIR}
    answer = ehr.client.put(f"{RESPONSES}/{of_id}", data=orjson.dumps({**document, "id": of_id}), headers=own)
    event = ehr.event(answer)
    assert codes(event)[1:3] == ("update", "U")
    assert f"QuestionnaireResponse/{of_id}/_history/2" in what(event)


@pytest.fixture
def stored(ehr):
    patient = new_patient()
    return patient, ehr.post(RESPONSES, small(patient)).json["id"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_names_the_patient_and_the_version(ehr, stored, method):
    patient, of_id = stored
    event = ehr.event(ehr.client.open(f"{RISKS}/{of_id}", method=method, headers=by()))
    assert codes(event) == ("rest", "read", "R", "0")
    assert what(event) == [patient, f"RiskAssessment/{of_id}/_history/1"]


@pytest.mark.parametrize("detail", ["full", "bundle"])
def test_a_read_in_another_detail_names_the_patient(ehr, stored, detail):
    patient, of_id = stored
    assert patient in [
        name for event in ehr.events(ehr.get(f"{RISKS}/{of_id}?_detail={detail}")) for name in what(event)
    ]


def test_a_version_and_a_history_are_recorded(ehr, stored):
    patient, of_id = stored
    one = ehr.event(ehr.get(f"{RESPONSES}/{of_id}/_history/1"))
    all_ = ehr.event(ehr.get(f"{RESPONSES}/{of_id}/_history"))
    assert (codes(one)[1], codes(all_)[1]) == ("vread", "history-instance")
    assert what(one) == what(all_) == [patient, f"QuestionnaireResponse/{of_id}/_history/1"]


def test_a_search_is_recorded_once_for_each_patient_and_says_no_value(ehr):
    patients = [new_patient() for _ in range(2)]
    for patient in patients:
        ehr.post(RESPONSES, small(patient))
    answer = ehr.get(f"{RESPONSES}?subject={','.join(patients)}&authored=ge2001-canary")
    answer = ehr.get(f"{RESPONSES}?subject={','.join(patients)}")
    events = ehr.events(answer)
    assert {what(event)[0] for event in events} == set(patients)
    assert {codes(event)[1:3] for event in events} == {("search-type", "E")}


@pytest.mark.parametrize("part", ["_elements=item", "_summary=text", "_summary=true"])
def test_a_part_that_leaves_out_whom_it_is_about_is_recorded_with_the_patient(ehr, stored, part):
    patient, of_id = stored
    read = [patient, f"QuestionnaireResponse/{of_id}/_history/1"]
    assert what(ehr.event(ehr.get(f"{RESPONSES}/{of_id}?{part}"))) == read
    assert what(ehr.event(ehr.get(f"{RESPONSES}?_id={of_id}&{part}"))) == read


def test_a_search_without_a_match_is_recorded_without_a_patient(ehr):
    answer = ehr.client.post(
        f"{RESPONSES}/_search",
        data="subject=Patient/canary-nobody",
        headers={**by(), "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.json["total"] == 0
    assert what(ehr.event(answer)) == []


def test_a_token_for_one_patient_names_the_patient_where_nothing_else_does(ehr):
    patient = new_patient()
    answer = ehr.get(f"{RESPONSES}?status=completed", by("patient/*.rs", patient))
    assert what(ehr.event(answer)) == [patient]


def test_what_is_only_scored_is_recorded_with_its_patient(ehr):
    patient = new_patient()
    event = ehr.event(ehr.post(f"{RESPONSES}/$assess", small(patient)))
    assert codes(event) == ("rest", "operation", "E", "0")
    assert what(event) == [patient]
    assert {"type": "operation", "valueString": "assess"} in event["entity"][-1]["detail"]


@pytest.mark.parametrize("operation", ["QuestionnaireResponse/$validate", "Questionnaire/$process-response"])
def test_what_is_only_looked_at_is_recorded_with_the_patient_whom_it_was_about(ehr, operation):
    patient = new_patient()
    event = ehr.event(ehr.post(f"/fhir/{operation}", response(patient)))
    assert what(event) == [patient]


def test_what_is_populated_is_recorded_with_its_patient(ehr):
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {
                "name": "canonical",
                "valueCanonical": "https://guidance.example.org/fhir/Questionnaire/muscle-twitching",
            },
            {"name": "subject", "valueReference": {"reference": "Patient/populated-1"}},
        ],
    }
    answer = ehr.post("/fhir/Questionnaire/$populate", parameters)
    assert answer.status_code == 200, answer.data
    assert what(ehr.event(answer)) == ["Patient/populated-1"]


def test_what_is_extracted_is_recorded_with_its_patient_and_the_response_that_was_read(ehr):
    patient = new_patient()
    event = ehr.event(ehr.post(f"{RESPONSES}/$extract", response(patient)))
    assert what(event) == [patient]
    of_id = ehr.post(RESPONSES, response(patient)).json["id"]
    answer = ehr.get(f"{RESPONSES}/{of_id}/$extract")
    assert answer.status_code == 200, answer.data
    assert what(ehr.event(answer)) == [patient, f"QuestionnaireResponse/{of_id}/_history/1"]


def test_what_is_compared_with_earlier_responses_is_recorded_with_each_that_was_read(ehr):
    patient = new_patient()
    before, now = (
        ehr.post(RESPONSES, response(patient, authored=f"2026-{month}-20T10:00:00Z")).json["id"]
        for month in ("09", "10")
    )
    answer = ehr.get(f"{RESPONSES}/{now}/$assess?_earlier=stored")
    assert answer.status_code == 200, answer.data
    read = [f"QuestionnaireResponse/{of_id}/_history/1" for of_id in (now, before)]
    assert what(ehr.event(answer)) == [patient, *read]


def test_every_entry_of_a_bundle_is_recorded_under_the_same_request(ehr, stored):
    patient, of_id = stored
    other = new_patient()
    entries = [
        {"request": {"method": "GET", "url": f"RiskAssessment/{of_id}"}},
        {"request": {"method": "POST", "url": "QuestionnaireResponse"}, "resource": small(other)},
    ]
    for kind in ("batch", "transaction"):
        answer = ehr.post("/fhir", {"resourceType": "Bundle", "type": kind, "entry": entries})
        assert answer.status_code == 200
        events = ehr.events(answer)
        assert {(codes(event)[1], what(event)[0]) for event in events} == {
            ("read", patient),
            ("create", other),
        }


# What went wrong.


def test_a_denial_without_a_token_is_there_once_it_is_answered(ehr):
    answer = ehr.get(f"{RESPONSES}?subject=Patient/canary", {})
    assert answer.status_code == 401
    event = written_by_now(ehr, answer, "")
    assert codes(event) == ("110113", "search-type", "E", "4")
    assert event["agent"][0]["network"]["address"] == "127.0.0.1"


def written_by_now(ehr, answer, tenant):
    """Returns the event of a request from what the store has, though nobody wrote what waits."""
    with ehr.store.reading(tenant) as view:
        links = view.links_after(0, limit=10_000)
    of_request = answer.headers["X-Request-Id"]
    (found,) = [link for link in links if json.loads(link.body)["request"] == of_request]
    return json.loads(line_of(tenant, found))


def test_a_denial_with_a_token_says_whose_it_was(ehr, stored):
    answer = ehr.get(f"{RESPONSES}/{stored[1]}", by("user/RiskAssessment.rs"))
    assert answer.status_code == 403
    event = written_by_now(ehr, answer, "north")
    assert event["type"]["code"] == "110113"
    assert event["agent"][0]["who"]["identifier"]["value"] == "practitioner-1"
    assert what(event) == [], "what was not seen is not named"


def test_a_denied_entry_of_a_batch_is_recorded(ehr, stored):
    entries = [{"request": {"method": "GET", "url": f"QuestionnaireResponse/{stored[1]}"}}]
    answer = ehr.post(
        "/fhir", {"resourceType": "Bundle", "type": "batch", "entry": entries}, by("user/RiskAssessment.rs")
    )
    assert answer.json["entry"][0]["response"]["status"].startswith("403")
    assert ehr.event(answer)["type"]["code"] == "110113"


def test_an_entry_of_a_batch_that_came_to_nothing_is_recorded(ehr):
    """Nobody tries ids, a hundred at a time, without a trace."""
    entries = [
        {"request": {"method": "GET", "url": "RiskAssessment/nobody-has-it"}},
        {"request": {"method": "GET", "url": "QuestionnaireResponse?status:canary=x"}},
        {"request": {"method": "GET", "url": "Questionnaire/nobody-has-it"}},
    ]
    answer = ehr.post("/fhir", {"resourceType": "Bundle", "type": "batch", "entry": entries})
    statuses = [entry["response"]["status"][:3] for entry in answer.json["entry"]]
    assert statuses == ["404", "400", "404"]
    found = sorted((event["subtype"][0]["code"], event["outcome"]) for event in ehr.events(answer))
    assert found == [("read", "4"), ("search-type", "4")]


@pytest.mark.parametrize(
    ("path", "body", "outcome"),
    [(f"{RESPONSES}/nobody-has-it", None, "4"), (f"{RESPONSES}/$assess", {"resourceType": "Canary"}, "4")],
)
def test_a_request_that_came_to_nothing_is_recorded(ehr, path, body, outcome):
    answer = ehr.get(path) if body is None else ehr.post(path, body)
    assert answer.status_code >= 400
    event = ehr.event(answer)
    assert (event["type"]["code"], event["outcome"], what(event)) == ("rest", outcome, [])


def test_what_is_the_same_for_everybody_is_not_recorded(ehr):
    for path in ("/fhir/metadata", "/healthz", "/fhir/Questionnaire", "/openapi.json", "/fhir/nowhere"):
        assert ehr.events(ehr.get(path)) == []
    assert ehr.events(ehr.client.options(RESPONSES)) == []


def test_an_unstored_create_leaves_one_entry_that_says_so(ehr):
    answer = ehr.post(RESPONSES, {"resourceType": "QuestionnaireResponse"})
    assert answer.status_code in (400, 422)
    event = ehr.event(answer)
    assert codes(event)[1:] == ("create", "C", "4")


def test_one_request_cannot_fill_the_trail(ehr):
    """It would have others refused until all of that is written."""
    entries = [{"resource": {"subject": {"reference": f"Patient/{number}"}}} for number in range(9000)]
    answer = ehr.post(f"{RESPONSES}/$validate", {"resourceType": "Bundle", "entry": entries})
    assert answer.status_code == 200
    assert len(ehr.events(answer)) <= 100


@pytest.mark.parametrize("more", [{}, {"subject": 1}, {"id": 1}, {"entry": {}}])
def test_a_call_of_cds_hooks_names_its_patient_whatever_else_it_brings(tmp_path, more):
    ehr = Ehr(app.create_app(Settings(store_url=f"sqlite:///{tmp_path / 'service.db'}", audit=True)))
    body = call_of() | more
    answer = ehr.client.post(VIEW, json=body)
    assert answer.status_code == 200
    assert what(ehr.event(answer)) == [f"Patient/{body['context']['patientId']}"]


@pytest.mark.parametrize(
    ("proxies", "expected"), [("", "10.1.2.3"), ("10.0.0.0/8", "2001:db8::7"), ("192.0.2.1", "10.1.2.3")]
)
def test_the_address_is_what_a_proxy_says_only_of_trusted_ones(tmp_path, proxies, expected):
    store = f"sqlite:///{tmp_path / 'service.db'}"
    ehr = Ehr(app.create_app(Settings(store_url=store, audit=True, trusted_proxies=proxies)))
    forwarded = {"X-Forwarded-For": "203.0.113.9, 2001:db8::7"}
    answer = ehr.get(RISKS, forwarded, environ_overrides={"REMOTE_ADDR": "10.1.2.3"})
    assert ehr.event(answer)["agent"][0]["network"]["address"] == expected


# Nothing that a caller sent but who it is about.


def test_no_answer_search_value_or_token_is_in_the_trail(ehr, caplog):
    caplog.set_level("DEBUG")
    canary = "canary-7f3a"
    document = response(new_patient())
    concerns = next(item for item in document["item"] if item["linkId"] == "concerns")
    concerns["item"].append({"linkId": "notes", "answer": [{"valueString": canary}]})
    document["subject"]["display"] = canary
    headers = by(jti=canary)
    of_id = ehr.post(RESPONSES, document, headers).json["id"]
    for path in (f"{RESPONSES}/{of_id}", f"{RESPONSES}?_tag={canary}", f"{RESPONSES}?{canary}={canary}"):
        ehr.get(path, headers)
    ehr.post(f"{RESPONSES}/$assess", document, headers)
    ehr.get(RESPONSES, {"Authorization": f"Bearer {canary}.{canary}.{canary}"})
    token = headers["Authorization"].split(".")[1]
    links = [*ehr.entries(), *ehr.entries("")]
    text = "".join(f"{link.body!r}{link.parts!r}" for link in links)
    assert of_id in text
    assert canary not in text
    assert token not in text
    assert document["subject"]["reference"] not in caplog.text
    assert "practitioner-1" not in caplog.text


# When it is on, and what happens when it cannot be written.


def test_it_is_on_once_access_is_controlled_and_something_is_stored(registry, tmp_path):
    store = f"sqlite:///{tmp_path / 'service.db'}"
    assert app.create_app(Settings(store_url=store, ehrs_file=registry)).audit is not None
    assert app.create_app(Settings(store_url=store, ehrs_file=registry, audit=False)).audit is None
    assert app.create_app(Settings(store_url="none", ehrs_file=registry)).audit is None
    assert app.create_app(Settings(store_url=store)).audit is None


def test_it_needs_a_store():
    with pytest.raises(SettingsError, match="SERVICE_AUDIT: expected a store"):
        app.create_app(Settings(store_url="none", audit=True))


def test_without_access_control_it_may_be_on_too(tmp_path):
    ehr = Ehr(app.create_app(Settings(store_url=f"sqlite:///{tmp_path / 'service.db'}", audit=True)))
    answer = ehr.post(RESPONSES, small(new_patient()), {})
    event = ehr.event(answer)
    assert event["agent"][0]["who"] == {"display": "Sender: anonymous"}
    assert len(what(event)) == 3


class Broken:
    """A store that does not take anything."""

    def writing(self, tenant=""):
        raise StoreUnavailable


def test_a_denial_is_answered_though_the_store_does_not_take_it(ehr, monkeypatch, caplog):
    monkeypatch.setattr(ehr.trail, "_store", Broken())
    assert ehr.get(RESPONSES, {}).status_code == 401
    assert "audit-waits" in caplog.text


def test_what_cannot_be_recorded_is_not_read(ehr, stored, monkeypatch):
    """Once as much waits as may wait: nobody reads what nobody will know of."""
    monkeypatch.setattr(ehr.trail, "_most", 0)
    answer = ehr.get(f"{RISKS}/{stored[1]}")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert stored[0].encode() not in answer.data


def test_what_waits_is_written_once_the_store_takes_it_again(ehr, stored, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(ehr.trail, "_store", Broken())
        answer = ehr.get(f"{RISKS}/{stored[1]}")
        assert answer.status_code == 200
        assert not ehr.trail.flush()
    assert what(ehr.event(answer)) == [stored[0], f"RiskAssessment/{stored[1]}/_history/1"]


def test_a_trail_of_another_process_is_left_to_it(ehr, monkeypatch):
    trail = Trail(ehr.store, pause_s=3600)
    assert trail.flush()
    trail.record([])
    assert trail._state is None
