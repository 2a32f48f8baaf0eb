"""What a call does not bring is read from the FHIR server of a registered EHR, and from no other (CH06-CH08).

The server is a stand-in of these tests; none was recorded from an EHR.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from cds_calls import sample, with_answer
from gunicorn_server import get, post, serving
from loopback_servers import QuietHandler, listening
from patience import PATIENCE_S

from service import app
from service.auth.ehrs import Ehr
from service.auth.principal import CLIENT_KIND, Principal
from service.cds_hooks import Needed
from service.outbound import Outbound, OutboundFault
from service.settings import Settings
from service.web.cds_hooks import SMALL_CALL_BYTES
from service.web.chart_servers import ALL_S, EACH_S, MOST_BYTES, MOST_PAGES, ChartServers, next_page

ROOT = Path(__file__).resolve().parents[2]
VIEW = "/cds-services/muscle-twitching-patient-view"
TOKEN = "canary-token-of-the-ehr"
KEYS = ["patient", "responses", "laboratory", "conditions", "observations"]
CHART = orjson.loads((ROOT / "samples/parameters-with-chart-data.json").read_bytes())["parameter"]
RESPONSE, POTASSIUM, TSH = (found["resource"] for found in CHART)
PATIENT = {"resourceType": "Patient", "id": "example"}


def searchset(*resources: Any, following: str = "") -> dict[str, Any]:
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if following:
        bundle["link"] = [{"relation": "next", "url": following}]
    return bundle | {"entry": [{"resource": resource} for resource in resources]}


class Chart(QuietHandler):
    """Answers from `server.pages`: by the type of resource, or by the whole path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        kind = self.path.removeprefix("/fhir/").partition("?")[0].partition("/")[0]
        found = self.server.pages.get(self.path, self.server.pages.get(kind, searchset()))
        if found == "slow":
            self.server.ended.wait(PATIENCE_S)
            found = searchset()
        found = found() if callable(found) else found
        status, body = found if isinstance(found, tuple) else (200, found)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body)
            body = b""
        sent = body if isinstance(body, bytes) else orjson.dumps(body)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(sent)


@contextmanager
def charts() -> Iterator[ThreadingHTTPServer]:
    with listening(Chart) as server:
        server.asked, server.pages, server.ended = [], {"Patient": PATIENT}, threading.Event()
        server.base = f"http://127.0.0.1:{server.server_port}/fhir"
        try:
            yield server
        finally:
            server.ended.set()


@pytest.fixture(scope="module")
def served():
    with charts() as server:
        yield server


@pytest.fixture
def ehr(served):
    served.asked.clear()
    served.pages.clear()
    served.pages["Patient"] = PATIENT
    return served


@pytest.fixture(scope="module")
def other():
    """Another EHR that is registered: what is meant for one never goes to the other."""
    with charts() as server:
        yield server


@pytest.fixture
def unknown():
    """A server that is not registered."""
    with charts() as server:
        yield server


@pytest.fixture(scope="module")
def client(served, other, tmp_path_factory):
    registry = tmp_path_factory.mktemp("ehrs") / "ehrs.yaml"
    entry = "client-id: forms\n    scopes: [launch, openid, fhirUser, patient/Patient.r]\n"
    bases = (served.base, other.base, "http://127.0.0.1:9/fhir")
    registry.write_text("ehrs:\n" + "".join(f"  - issuer: {base}\n    {entry}" for base in bases))
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    settings = Settings(store_url="none", ehrs_file=registry)
    return app.create_app(settings, lambda: now).test_client()


def call_of(server: str, *, token: str = TOKEN, **prefetch: Any) -> dict[str, Any]:
    """Returns a call with these keys of the prefetch and no others."""
    body = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/example", "patientId": "example"},
        "prefetch": prefetch,
        "fhirServer": server,
    }
    if token:
        granted = {"access_token": token, "token_type": "Bearer", "expires_in": 300}
        body["fhirAuthorization"] = granted | {"scope": "patient/*.rs", "subject": "cds"}
    return body


# What is read.


@pytest.mark.parametrize("slash", ["", "/"])
def test_what_was_not_sent_is_read_with_the_token_of_the_call_ch06(client, ehr, slash):
    ehr.pages["QuestionnaireResponse"] = searchset(RESPONSE)
    nothing = dict.fromkeys(["patient", "conditions", "observations"])
    ehr.pages["Observation"] = searchset(POTASSIUM)
    fetched = client.post(VIEW, json=call_of(ehr.base + slash, **nothing))
    brought = {"responses": searchset(RESPONSE), "laboratory": searchset(POTASSIUM)}
    sent = client.post(VIEW, json=call_of(ehr.base, **nothing, **brought))
    assert fetched.status_code == 200, fetched.data
    assert fetched.json == sent.json
    assert len(fetched.json["cards"]) == 1
    assert [(path.partition("&")[0], told) for path, told in ehr.asked] == [
        ("/fhir/QuestionnaireResponse?patient=example", f"Bearer {TOKEN}"),
        ("/fhir/Observation?patient=example", f"Bearer {TOKEN}"),
    ]
    assert "&code=http://loinc.org%7C2823-3," in ehr.asked[1][0]


def test_nothing_is_asked_where_everything_was_sent(client, ehr):
    assert client.post(VIEW, json=call_of(ehr.base, **dict.fromkeys(KEYS))).status_code == 200
    assert ehr.asked == []


def test_a_prefetch_that_failed_is_read_ch07(client, ehr):
    ehr.pages["QuestionnaireResponse"] = searchset(RESPONSE)
    failed = {"resourceType": "OperationOutcome", "issue": []}
    ehr.pages["Observation"] = searchset(POTASSIUM)
    keys = dict.fromkeys(KEYS) | {"responses": failed, "laboratory": searchset(POTASSIUM)}
    assert len(client.post(VIEW, json=call_of(ehr.base, **keys)).json["cards"]) == 1


def test_a_large_call_is_read_apart_and_completed_all_the_same(client, ehr):
    ehr.pages["QuestionnaireResponse"] = searchset(RESPONSE)
    keys = dict.fromkeys(KEYS) | {"laboratory": searchset(POTASSIUM), "more": "x" * SMALL_CALL_BYTES}
    del keys["responses"]
    assert len(client.post(VIEW, json=call_of(ehr.base, **keys)).json["cards"]) == 1


def test_a_further_page_is_read_with_the_token_on_the_same_host_ch07(client, ehr):
    ehr.pages["/fhir?page=2"] = searchset(POTASSIUM)
    keys = dict.fromkeys(KEYS) | {"responses": searchset(RESPONSE)}
    keys["laboratory"] = searchset(TSH, following=f"{ehr.base}?page=2")
    (card,) = client.post(VIEW, json=call_of(ehr.base, **keys)).json["cards"]
    assert "potassium 3" in card["detail"]
    assert ehr.asked == [("/fhir?page=2", f"Bearer {TOKEN}")]


def test_pages_that_lead_back_to_themselves_come_to_an_end_ch07(client, ehr):
    ehr.pages["Observation"] = searchset(POTASSIUM, following="Observation?again")
    ehr.pages["QuestionnaireResponse"] = searchset(RESPONSE)
    keys = dict.fromkeys(["patient", "responses", "conditions", "observations"])
    assert client.post(VIEW, json=call_of(ehr.base, **keys)).status_code == 200
    assert len(ehr.asked) == MOST_PAGES


# What was not read.

SORTED = "QuestionnaireResponse?patient=example&_sort=-authored&_count=2"
CALM, WORSE = (sample(name) | {"id": name} for name in ("plain-eyelid", "progressive-weakness"))
NOT_ALL = "Not all responses to this form could be read"
NOT_ALL_VALUES = "Not all laboratory values could be read"


def written(response: Any, day: str, **members: Any) -> dict[str, Any]:
    return response | {"authored": f"{day}T12:00:00Z", "subject": {"reference": "Patient/example"}} | members


def page(*responses: Any, following: str = "QuestionnaireResponse?page=2", used: str = "") -> dict[str, Any]:
    """Returns a page of responses that names the one after it and, where it says so, what the server used."""
    found = searchset(*responses, following=following)
    if used:
        found["link"].append({"relation": "self", "url": used})
    return found


def copied(observation: Any, **quantity: Any) -> dict[str, Any]:
    return observation | {"valueQuantity": observation["valueQuantity"] | quantity}


def cards_of(client: Any, server: str, token: str = TOKEN, language: str = "en", **keys: Any) -> list[Any]:
    body = call_of(server, token=token, **(dict.fromkeys(KEYS) | keys))
    answer = client.post(VIEW, json=body, headers={"Accept-Language": language})
    assert answer.status_code == 200, answer.data
    return answer.json["cards"]


def test_the_newest_response_counts_on_whichever_page_it_stands(client, ehr):
    ehr.pages["/fhir/QuestionnaireResponse?page=2"] = searchset(written(WORSE, "2026-11-20"))
    first = page(written(CALM, "2026-11-19"), following=f"{ehr.base}/QuestionnaireResponse?page=2")
    (card,) = cards_of(client, ehr.base, responses=first)
    assert card["indicator"] == "critical" or "neurologist" in card["summary"]
    (alone,) = cards_of(client, ehr.base, responses=searchset(*[written(WORSE, "2026-11-20")]))
    assert alone["summary"] == card["summary"]
    assert NOT_ALL not in card["detail"]


@pytest.mark.parametrize(
    ("language", "summary", "detail"),
    [
        ("en", "not all of the record could be read", NOT_ALL),
        ("de", "Nicht alles in der Akte konnte gelesen werden", "Nicht alle Antworten auf diesen Fragebogen"),
    ],
)
def test_a_page_that_was_not_read_is_told_where_there_would_be_no_card(
    client, ehr, language, summary, detail
):
    """The server ignores _sort: what says that all is well may be years old."""
    calm = written(CALM, "2026-11-19")
    assert cards_of(client, ehr.base, responses=searchset(calm)) == []
    (card,) = cards_of(client, ehr.base, "", language, responses=page(calm))
    assert summary in card["summary"]
    assert detail in card["detail"]
    assert card["indicator"] == "info"


@pytest.mark.parametrize(
    ("used", "days", "is_told"),
    [
        (SORTED, ("2026-11-19", "2026-11-01"), False),
        (SORTED, ("2026-11-19", "2026-11-20"), True),  # it says so, and has not
        (SORTED.replace("-authored", "authored"), ("2026-11-19", "2026-11-01"), True),
        ("QuestionnaireResponse?patient=example", ("2026-11-19", "2026-11-01"), True),
        ("", ("2026-11-19", "2026-11-01"), True),
        ("https://[", ("2026-11-19", "2026-11-01"), True),
    ],
)
def test_a_server_that_sorts_has_nothing_newer_on_a_later_page(client, ehr, used, days, is_told):
    found = page(*[written(CALM, day, id=day) for day in days], used=used)
    assert bool(cards_of(client, ehr.base, "", responses=found)) is is_told


def test_a_later_page_may_have_the_finished_one_where_the_newest_are_only_begun(client, ehr):
    begun = written(CALM, "2026-11-20", status="in-progress")
    begun["item"] = begun["item"][:2]
    told = [
        NOT_ALL in cards_of(client, ehr.base, "", responses=page(*found, used=SORTED))[0]["detail"]
        for found in ([begun], [begun, written(CALM, "2026-11-01")])
    ]
    assert told == [True, False]


def test_a_total_that_is_larger_than_what_is_shown_is_a_page_that_was_not_read(client, ehr):
    calm = searchset(written(CALM, "2026-11-19"))
    assert cards_of(client, ehr.base, "", responses=calm | {"total": 1}) == []
    (card,) = cards_of(client, ehr.base, "", responses=calm | {"total": 2})
    assert NOT_ALL in card["detail"]


def test_responses_to_other_forms_are_no_reason_to_say_that_there_is_none(client, ehr):
    other = written(CALM, "2026-11-19", questionnaire="https://example.org/another|1")
    assert cards_of(client, ehr.base, "", responses=searchset(other)) == []
    (card,) = cards_of(client, ehr.base, "", responses=page(other, used=SORTED))
    assert NOT_ALL in card["detail"]


def test_a_result_says_what_was_not_read_but_for_a_safety_step(client, ehr):
    worse = written(WORSE, "2026-11-19")
    (card,) = cards_of(client, ehr.base, "", responses=page(worse))
    (alone,) = cards_of(client, ehr.base, "", responses=searchset(worse))
    assert card["detail"].partition("Not all")[0].rstrip("\n- ") == alone["detail"]
    emergency = with_answer(sample("partial"), "emergency-signs", "severe-breathlessness")
    (card,) = cards_of(client, ehr.base, "", responses=page(written(emergency, "2026-11-19")))
    assert card["indicator"] == "critical"
    assert NOT_ALL not in card["detail"]


@pytest.mark.parametrize("broken", [(500, b""), b"{"])
def test_laboratory_values_on_a_page_that_cannot_be_read_may_be_later(client, ehr, broken):
    ehr.pages["/fhir?page=2"] = broken
    values = searchset(POTASSIUM, following=f"{ehr.base}?page=2")
    (card,) = cards_of(client, ehr.base, responses=searchset(RESPONSE), laboratory=values)
    assert "Not all laboratory values could be read" in card["detail"]
    normal = searchset(copied(POTASSIUM, value=4.2), following=f"{ehr.base}?page=2")
    (card,) = cards_of(client, ehr.base, responses=searchset(RESPONSE), laboratory=normal)
    assert "it is from a search of which not all is there" in card["detail"]
    ehr.pages["/fhir?page=2"] = searchset(following=f"{ehr.base}?page=3")
    ehr.pages["/fhir?page=3"] = searchset(OF_STRANGER, following=f"{ehr.base}?page=4")
    ehr.pages["/fhir?page=4"] = searchset(TSH)
    (card,) = cards_of(client, ehr.base, responses=searchset(RESPONSE), laboratory=values)
    assert "Not all laboratory values could be read" in card["detail"]
    values["link"].append({"relation": "self", "url": "Observation?patient=example&_sort=-date"})
    (card,) = cards_of(client, ehr.base, responses=searchset(RESPONSE), laboratory=values)
    assert "Not all" not in card["detail"]


# What is not asked, and what does not count.


@pytest.mark.parametrize(
    ("issue", "is_told"),
    [
        ({"severity": "warning", "code": "suppressed"}, True),
        ({"severity": "warning", "code": "incomplete"}, True),
        ({"severity": "error", "code": "processing"}, True),
        ({"severity": "warning", "code": "processing"}, False),
        ({"severity": "information", "code": "informational"}, False),
    ],
)
def test_a_search_that_says_itself_that_not_all_is_there_denies_nothing(client, ehr, issue, is_told):
    """An EHR leaves out what a client may not see, and says so beside what it found, sorted or not."""
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    normal = searchset(copied(POTASSIUM, value=4.2), outcome)
    normal["link"] = [{"relation": "self", "url": "Observation?patient=example&_sort=-date"}]
    found = cards_of(client, ehr.base, responses=searchset(RESPONSE), laboratory=normal)
    assert [NOT_ALL_VALUES in card["detail"] for card in found] == [True] * is_told
    calm = searchset(written(CALM, "2026-11-19"), outcome)
    found = cards_of(client, ehr.base, responses=calm)
    assert [NOT_ALL in card["detail"] for card in found] == [True] * is_told


def test_a_further_page_elsewhere_is_not_read_ch07_ch08(client, ehr, other):
    keys = dict.fromkeys(KEYS) | {"responses": searchset(RESPONSE, following=f"{other.base}?page=2")}
    assert client.post(VIEW, json=call_of(ehr.base, **keys)).status_code == 200
    del keys["laboratory"]
    ehr.pages["Observation"] = searchset(following=f"{other.base}?page=2")
    assert client.post(VIEW, json=call_of(ehr.base, **keys)).status_code == 200
    assert other.asked == []


def is_412(answer: Any, key: str) -> bool:
    assert TOKEN not in answer.text
    places = [issue["expression"] for issue in answer.json["issue"]]
    return answer.status_code == 412 and places == [[f"prefetch.{key}"]]


def without(key: str) -> dict[str, Any]:
    return {name: None for name in KEYS if name != key}


@pytest.mark.parametrize("key", KEYS)
def test_without_a_token_nothing_is_asked_ch06(client, ehr, key):
    assert is_412(client.post(VIEW, json=call_of(ehr.base, token="", **without(key))), key)
    assert ehr.asked == []


def test_a_server_that_is_not_registered_is_not_asked_ch08(client, ehr, unknown):
    for server in (unknown.base, f"{ehr.base}/x", ehr.base.removesuffix("/fhir"), ehr.base.upper()):
        assert client.post(VIEW, json=call_of(server, **without("patient"))).status_code in (400, 412)
    assert (ehr.asked, unknown.asked) == ([], [])


@pytest.mark.parametrize(
    "server",
    [
        "http://10.0.0.1/fhir",
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/latest/meta-data",
        "https://[fe80::1]/fhir",
        "https://192.168.0.1/fhir",
        "https://127.0.0.1/fhir",
        "https://localhost/fhir",
        "file:///etc/passwd",
        "gopher://ehr.example.org/",
        "https://ehr.example.org@127.0.0.1/fhir",
        "https://ehr.example.org/fhir?x=https://127.0.0.1",
        "https://elsewhere.example.org/fhir",
    ],
)
def test_no_address_of_a_caller_is_asked_ch08(client, monkeypatch, server):
    asked = []
    monkeypatch.setattr(Outbound, "request", lambda *told, **_: asked.append(told))
    answer = client.post(VIEW, json=call_of(server, **without("responses")))
    assert answer.status_code in (400, 412)
    assert TOKEN not in answer.text
    assert asked == []


def ehr_at(issuer: str, tenant: str = "") -> Ehr:
    return Ehr(issuer, "", "", (), "", (), tenant=tenant)


def test_a_client_has_no_server_of_another_tenant_asked_ch08():
    servers = ChartServers(
        [ehr_at("https://a.example.org/fhir", "a"), ehr_at("https://b.example.org/fhir", "b")]
    )
    client = Principal(CLIENT_KIND, tenant="a")
    assert servers.may_ask("https://a.example.org/fhir", client)
    assert not servers.may_ask("https://b.example.org/fhir", client)


def test_an_address_in_a_private_network_may_be_registered_ch08():
    assert ChartServers([ehr_at("https://10.1.2.3/fhir")]).may_ask("https://10.1.2.3/fhir")
    with pytest.raises(ValueError, match="not a registered server"):
        ChartServers([]).fetched(Needed("https://ehr.example.org/fhir", TOKEN, {"patient": "Patient/x"}))


def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else_ch08(client, ehr, other):
    ehr.pages["Patient"] = (302, f"{other.base}/Patient/example")
    assert is_412(client.post(VIEW, json=call_of(ehr.base, **without("patient"))), "patient")
    assert other.asked == []


STRANGER = PATIENT | {"id": "canary"}
OF_STRANGER = POTASSIUM | {"subject": {"reference": "Patient/canary"}}


@pytest.mark.parametrize(
    ("key", "kind", "page"),
    [
        ("patient", "Patient", (401, {})),
        ("patient", "Patient", (403, PATIENT)),
        ("patient", "Patient", (404, {"resourceType": "OperationOutcome"})),
        ("patient", "Patient", (500, b"<html>")),
        ("patient", "Patient", b"{"),
        ("patient", "Patient", b""),
        ("patient", "Patient", b"[]"),
        ("patient", "Patient", b"[" * 100_000),
        ("patient", "Patient", STRANGER),
        ("patient", "Patient", searchset(PATIENT)),
        ("laboratory", "Observation", searchset(OF_STRANGER)),
        ("laboratory", "Observation", searchset(PATIENT)),
        ("laboratory", "Observation", POTASSIUM),
        ("laboratory", "Observation", {"resourceType": "OperationOutcome"}),
        ("laboratory", "Observation", b'{"resourceType":"Bundle","x":"' + b"x" * MOST_BYTES + b'"}'),
        ("responses", "QuestionnaireResponse", "slow"),
    ],
)
def test_a_server_that_gives_nothing_that_can_be_used_is_412_ch06_ch07_ch14(client, ehr, key, kind, page):
    ehr.pages[kind] = page
    answer = client.post(VIEW, json=call_of(ehr.base, **without(key)))
    assert is_412(answer, key)
    assert "canary" not in answer.text


def test_a_server_that_is_down_is_412_ch06_ch08(client):
    assert is_412(client.post(VIEW, json=call_of("http://127.0.0.1:9/fhir", **without("patient"))), "patient")


@pytest.mark.parametrize("page", [(500, b""), b"{", searchset(OF_STRANGER)])
def test_a_further_page_that_cannot_be_used_is_left_ch07(client, ehr, page):
    ehr.pages["/fhir?page=2"] = page
    keys = dict.fromkeys(KEYS) | {"responses": searchset(RESPONSE)}
    keys["laboratory"] = searchset(POTASSIUM, following=f"{ehr.base}?page=2")
    answer = client.post(VIEW, json=call_of(ehr.base, **keys))
    assert len(answer.json["cards"]) == 1
    assert "canary" not in answer.text


def test_one_call_has_so_much_time_for_all_its_questions_ch14(monkeypatch):
    """A clock that goes on by itself: each question takes half of the time that there is for all."""
    times, given = iter(range(100)), []

    def slow(_self: Outbound, _url: str, _headers: Any, *, timeout_s: float) -> Any:
        given.append(timeout_s)
        raise OutboundFault

    monkeypatch.setattr(Outbound, "get", slow)
    servers = ChartServers([ehr_at("https://ehr.example.org/fhir")], lambda: next(times) * ALL_S / 2.5)
    queries = {key: f"Observation?{key}" for key in KEYS}
    assert servers.fetched(Needed("https://ehr.example.org/fhir", TOKEN, queries)) == {}
    assert given == [EACH_S, pytest.approx(ALL_S / 5)]


def test_neither_token_nor_chart_is_logged_or_printed_ch08(client, ehr, caplog):
    caplog.set_level(logging.DEBUG)
    ehr.pages["Observation"] = searchset(OF_STRANGER)
    client.post(VIEW, json=call_of(ehr.base, **without("laboratory")))
    client.post(VIEW, json=call_of("http://127.0.0.1:9/fhir", **without("patient")))
    assert len(ehr.asked) == 1
    assert "canary" not in caplog.text
    assert TOKEN not in repr(Needed("https://ehr.example.org", TOKEN, {}, {}))


@pytest.mark.parametrize(
    ("page", "url"),
    [
        (b'{"link":[{"relation":"self","url":"a"},{"relation":"next","url":"?b"}]}', "https://e.org/fhir?b"),
        (b'{"link":[{"relation":"next"}]}', ""),
        (b'{"link":[{"relation":"next","url":7}]}', ""),
        (b'{"link":[{"relation":"next","url":"https://["}]}', ""),
        (b'{"link":{}}', ""),
        (b'{"entry":[]}', ""),
        (b"\xff", ""),
    ],
)
def test_the_url_of_the_page_after_this_one(page, url):
    assert next_page(page, "https://e.org/fhir") == url


@pytest.mark.slow
def test_a_worker_serves_others_while_it_waits_for_a_chart_ch14(tmp_path):
    """The EHR asks the only worker for something before it answers it; one that waited idly could not say it.

    A busy machine may take longer than the EHR is given, so it is tried several times.
    """
    registry = tmp_path / "ehrs.yaml"
    with charts() as ehr:
        entry = "client-id: forms\n    scopes: [launch, openid, fhirUser, patient/Patient.r]\n"
        registry.write_text(f"ehrs:\n  - issuer: {ehr.base}\n    {entry}")
        settings = {"WORKERS": "1", "STORE_URL": "none", "EHRS_FILE": str(registry)}
        with serving("service.app:from_environment()", **settings) as server:

            def asked_first() -> dict[str, Any]:
                ehr.answers.append(server.ask(get("/readyz")).status)
                return PATIENT

            ehr.answers = []
            ehr.pages["Patient"] = asked_first
            body = orjson.dumps(call_of(ehr.base, **without("patient")))
            statuses = [server.ask(post(body, path=VIEW)).status for _ in range(20)]
    assert 200 in statuses
    assert set(statuses) <= {200, 412}
    assert set(ehr.answers) == {200}
    assert TOKEN not in "".join(server.log)
