"""The probes: alive, ready, about to stop, without a store; checks PX03 and PX04."""

import fakes
import orjson
import pytest

from service.errors import Problem, Unavailable
from service.web.application import Application
from service.web.routes import Parts, all_routes


class Store:
    """A store that can be taken away."""

    def __init__(self):
        self.asked = 0
        self.is_away = False

    def ping(self):
        self.asked += 1
        if self.is_away:
            raise Unavailable(Problem("store-unavailable", "The store does not answer."), retry_after_s=7)


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def probed(store):
    """The application on a store that can be taken away."""
    parts = Parts(fakes.artifacts(), fakes.FakeAssessor(), repository=store)
    return Application(all_routes(parts, fakes.DEPLOYMENT), fakes.DEPLOYMENT)


@pytest.fixture
def away(store):
    store.is_away = True
    return store


def said(answer):
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status_code, orjson.loads(answer.data)


def test_a_process_whose_store_answers_is_ready(probed, store):
    assert said(probed.test_client().get("/readyz")) == (200, {"status": "ok"})
    assert store.asked == 1


def test_a_process_without_any_store_is_ready(client):
    assert said(client.get("/readyz")) == (200, {"status": "ok"})


def test_without_its_store_a_process_is_not_ready_but_alive(probed, away):
    """PX04."""
    client = probed.test_client()
    answer = client.get("/readyz")
    assert said(answer) == (503, {"status": "store unavailable"})
    assert answer.headers["Retry-After"] == "7"
    assert said(client.get("/healthz")) == (200, {"status": "ok"})


def test_whether_it_lives_is_never_asked_of_the_store(probed, store):
    """PX04: a process is not started anew because its store is away."""
    assert probed.test_client().get("/healthz").status_code == 200
    assert store.asked == 0


def test_the_capability_statement_is_there_without_a_store(probed, away):
    """PX04."""
    assert probed.test_client().get("/fhir/metadata").status_code == 200


def test_a_process_is_ready_again_when_its_store_is_back(probed, away):
    """PX04: recovery without restart."""
    client = probed.test_client()
    assert client.get("/readyz").status_code == 503
    away.is_away = False
    assert client.get("/readyz").status_code == 200


def test_a_process_that_is_about_to_stop_is_not_ready_and_still_answers(probed, store):
    """PX03."""
    probed.stopping = True
    client = probed.test_client()
    assert said(client.get("/readyz")) == (503, {"status": "stopping"})
    assert store.asked == 0
    assert client.get("/healthz").status_code == 200
    assert client.get("/fhir/Questionnaire/questionnaire-1").status_code == 200
