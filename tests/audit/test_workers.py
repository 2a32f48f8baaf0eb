"""One chain from several workers at once, what a stop writes, and what outlives a kill (AU16)."""

import json
import os
import signal
from threading import Thread

import orjson
import pytest
from audit_trail import links, verdict
from gunicorn_server import get, post, serving
from sample_responses import new_patient, sample
from store_fixtures import PATIENT

RESPONSES = "/fhir/QuestionnaireResponse"
CLIENTS, TURNS = 4, 8


def a_response():
    document = sample("plain-eyelid") | {"subject": {"reference": new_patient()}}
    del document["id"]
    return orjson.dumps(document)


def served(url, *options):
    settings = {"STORE_URL": url, "WORKERS": "2", "AUDIT": "true", "PUBLIC_FORM": "false"}
    return serving("service.app:from_environment()", *options, **settings)


def interactions(store):
    return [json.loads(link.body)["interaction"] for link in links(store)]


@pytest.mark.slow
def test_two_workers_make_one_chain_and_a_stop_writes_what_waits(url, open_one):
    answers = []

    def client(server):
        for _ in range(TURNS):
            created = server.ask(post(a_response(), path=RESPONSES))
            read = server.ask(get(f"{RESPONSES}/{created.document['id']}"))
            answers.append((created.status, read.status))

    with served(url) as server:
        threads = [Thread(target=client, args=(server,)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == CLIENTS * TURNS * [(201, 200)]
    store = open_one(url, PATIENT)
    found = verdict(store)
    assert (found.faults, found.entries) == ([], 2 * CLIENTS * TURNS)
    assert sorted(interactions(store)) == sorted(CLIENTS * TURNS * ["create", "read"])


@pytest.mark.slow
def test_what_was_stored_is_recorded_though_its_worker_is_killed(url, open_one):
    with served(url) as server:
        created = server.ask(post(a_response(), path=RESPONSES))
        for worker in server.workers():
            os.kill(worker, signal.SIGKILL)
    assert created.status == 201
    store = open_one(url, PATIENT)
    assert verdict(store).faults == []
    (link,) = links(store)
    assert json.loads(link.body)["request"] == created.headers["x-request-id"]
