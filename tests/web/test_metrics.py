"""What a monitoring system is told, and who may ask."""

import os
import re
import signal
from urllib.parse import quote

import pytest
from gunicorn_server import get, until
from running_service import running
from sample_responses import strain

from service import app
from service.settings import Settings

TOKEN = "operator-canary-" + "x" * 32
ELSEWHERE = {"REMOTE_ADDR": "192.0.2.7"}
FHIR = {"Content-Type": "application/fhir+json"}
ASSESS = "/fhir/QuestionnaireResponse/$assess"


@pytest.fixture
def client(root):
    folders = root / "tests" / "second_pair"
    return app.create_app(
        Settings(
            store_url="none",
            questionnaires_dir=folders / "questionnaires",
            mappings_dir=folders / "mappings",
            metrics=True,
            metrics_token=TOKEN,
        )
    ).test_client()


def numbers(text):
    """Returns each number by the name of its metric and its labels."""
    lines = re.findall(r"^(service_\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE)
    return {(name, *re.findall(r'"([^"]*)"', labels)): float(value) for name, labels, value in lines}


def test_requests_results_and_refusals_are_counted(client):
    assert client.post(ASSESS, json=strain(), headers=FHIR).status_code == 200
    assert client.post(ASSESS, data=b"{", headers=FHIR).status_code == 400
    assert client.get("/fhir/Nothing").status_code == 404
    said = numbers(client.get("/metrics").text)
    assert said["service_requests_total", "POST", ASSESS, "2xx"] == 1
    assert said["service_requests_total", "POST", ASSESS, "4xx"] == 1
    assert said["service_requests_total", "other", "unknown", "4xx"] == 1
    assert said["service_request_seconds_count", ASSESS] == 2
    assert said["service_refusals_total", "type-unknown"] == 1
    assert sum(value for (name, *_), value in said.items() if name == "service_results_total") == 1


def test_without_the_setting_there_is_no_such_route(real):
    assert real.get("/metrics").status_code == 404


@pytest.mark.parametrize(
    ("environ", "headers", "status"),
    [
        ({"REMOTE_ADDR": "127.0.0.1"}, {}, 200),
        ({"REMOTE_ADDR": "::1"}, {}, 200),
        ({"REMOTE_ADDR": "127.0.0.1"}, {"X-Forwarded-For": "127.0.0.1"}, 401),
        ({"REMOTE_ADDR": "127.0.0.1"}, {"Via": "1.1 proxy"}, 401),
        ({"REMOTE_ADDR": "127.0.0.1"}, {"Host": "127.0.0.1:8000"}, 200),
        ({"REMOTE_ADDR": "127.0.0.1"}, {"Host": "forms.example.org"}, 401),
        ({"REMOTE_ADDR": ""}, {}, 401),
        (ELSEWHERE, {}, 401),
        (ELSEWHERE, {"Authorization": TOKEN}, 401),
        (ELSEWHERE, {"Authorization": "Bearer "}, 401),
        (ELSEWHERE, {"Authorization": f"Bearer {TOKEN}x"}, 401),
        (ELSEWHERE, {"Authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        (ELSEWHERE, {"Authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
def test_who_may_read_them(client, environ, headers, status):
    answer = client.get("/metrics", environ_base=environ, headers=headers)
    assert answer.status_code == status
    assert TOKEN not in answer.text
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert "service_requests" not in answer.text


def test_nobody_from_elsewhere_is_let_in_without_a_token():
    closed = app.create_app(Settings(store_url="none", metrics=True)).test_client()
    for given in ("Bearer ", "Bearer", "Bearer x"):
        asked = closed.get("/metrics", environ_base=ELSEWHERE, headers={"Authorization": given})
        assert asked.status_code == 401


def test_nothing_that_a_caller_sent_is_shown(client):
    canary = "canary-4711"
    body = strain() | {
        "id": canary,
        "identifier": {"system": "urn:x", "value": canary},
        "subject": {"reference": f"Patient/{canary}"},
        "questionnaire": f"https://example.org/{canary}",
        canary: canary,
    }
    headers = FHIR | {"Authorization": f"Bearer {canary}", "X-Request-Id": canary, "Accept-Language": canary}
    client.post(f"{ASSESS}?{canary}={canary}", json=body, headers=headers)
    client.post(ASSESS, json=strain() | {"id": canary}, headers=headers)
    client.get(f"/fhir/QuestionnaireResponse/{canary}", headers=headers)
    client.get(f"/fhir/{canary}?identifier={quote(canary)}", headers=headers)
    client.open("/fhir/metadata", method=canary.upper(), headers=headers)
    client.get(f"/{canary}", headers=headers)
    said = client.get("/metrics").text
    assert "service_requests_total" in said
    assert canary not in said.lower()


@pytest.fixture
def server(tmp_path):
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with running(store, WORKERS="2", METRICS="true") as (started, _):
        yield started


def workers(server):
    text = server.ask(get("/metrics")).body.decode()
    return numbers(text)


def test_the_numbers_are_those_of_all_workers_and_outlast_them(server):
    until(lambda: workers(server)["service_workers",] == 2)
    asked = 12
    for _ in range(asked):
        assert server.ask(get("/fhir/metadata")).status == 200
    assert server.ask(b"nonsense\r\n\r\n").status == 400
    before = workers(server)
    assert before["service_requests_total", "GET", "/fhir/metadata", "2xx"] == asked
    assert before["service_refusals_total", "http"] == 1
    killed = server.workers()[0]
    os.kill(killed, signal.SIGKILL)
    until(lambda: len(server.workers()) == 3)
    until(lambda: workers(server)["service_workers",] == 2)
    after = workers(server)
    assert after["service_requests_total", "GET", "/fhir/metadata", "2xx"] == asked
