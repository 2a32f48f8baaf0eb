"""The real server while all of its places are taken: who else is answered, and how; check SH07.

A place is taken by who has a request running. The connections of those who wait make room for others.
"""

import os
import signal
from contextlib import ExitStack

import orjson
import pytest
from gunicorn_server import answer_from, get, post, serving, until
from patience import PATIENCE_S

from service.web.worker import RESERVE

HALF, REST = post(b'{"half":', "Content-Length: 10"), b"1}"
PATIENT = {"REQUEST_TIMEOUT_S": "600", "KEEPALIVE_S": "600"}
IDLE = {
    "nothing": b"",
    "half a line": b"POST /fhir/QuestionnaireResp",
    "half the headers": b"POST /fhir/QuestionnaireResponse/$assess HTTP/1.1\r\nHost:",
    "one request and no more": get("/healthz"),
}


def is_closed(connection):
    """Whether the server has ended a connection; what it said before is read."""
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True  # the server had not read what was sent
    return True


PLACES, WORKERS = 3, 2
MOST_OPEN = WORKERS * (PLACES + RESERVE)


@pytest.fixture(scope="module")
def server():
    with serving(WORKERS=str(WORKERS), CONNECTIONS=str(PLACES), **PATIENT) as running:
        yield running


@pytest.mark.parametrize("sent", IDLE.values(), ids=IDLE)
def test_a_connection_that_has_been_idle_for_the_longest_makes_room(server, sent):
    """On every worker, for the probes and for all other requests."""
    with ExitStack() as stack:
        idle = [stack.enter_context(server.connect()) for _ in range(3 * MOST_OPEN)]
        for connection in idle:
            connection.sendall(sent)
        until(lambda: sum(map(is_closed, idle)) >= len(idle) - MOST_OPEN)
        for _ in range(20):
            assert server.ask(get("/healthz")).status == 200
            assert server.ask(post(b"{}")).status == 200
        with server.connect() as kept:
            for _ in range(2):
                kept.sendall(get("/readyz"))
                assert answer_from(kept).status == 200


def refused(server):
    return server.ask(post(b"{}")).status == 503


def test_the_probes_are_answered_while_half_sent_requests_have_all_places_of_all_workers(server):
    with ExitStack() as stack:

        def all_taken():
            stack.enter_context(server.connect()).sendall(HALF)
            return all(refused(server) for _ in range(10))

        until(all_taken)
        for path in ("/healthz", "/readyz"):
            assert [server.ask(get(path)).status for _ in range(20)] == [200] * 20


def test_who_finds_all_places_taken_is_told_to_come_again_and_then_is_answered():
    with serving(WORKERS="1", CONNECTIONS="1", **PATIENT) as server, server.connect() as running:
        running.sendall(HALF)
        until(lambda: refused(server))
        answer = server.ask(post(b"{}"))
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["connection"] == "close"
        (issue,) = answer.document["issue"]
        assert issue["code"] == "throttled"
        assert issue["details"]["coding"][0]["code"] == "server-busy"
        running.sendall(REST)
        assert answer_from(running).status == 200
        until(lambda: not refused(server))


def test_idle_connections_do_not_keep_a_half_sent_request_from_being_finished():
    with serving(WORKERS="1", CONNECTIONS="1", **PATIENT) as server, ExitStack() as stack:
        running = stack.enter_context(server.connect())
        running.sendall(HALF)
        until(lambda: refused(server))
        idle = [stack.enter_context(server.connect()) for _ in range(3 * RESERVE)]
        until(lambda: sum(map(is_closed, idle)) >= 2 * RESERVE)
        assert is_closed(idle[0])
        assert not is_closed(running)
        running.setblocking(True)
        running.sendall(REST)
        assert answer_from(running).status == 200


def test_a_server_whose_places_are_all_taken_still_stops_when_it_is_told_to():
    """PX03: the half-sent requests have the time for running requests, the idle connections none."""
    settings = {"WORKERS": "1", "CONNECTIONS": "2", "GRACEFUL_TIMEOUT_S": "1", **PATIENT}
    with serving(**settings) as server, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(server.connect()).sendall(HALF)
        until(lambda: refused(server))  # before that, a busy server may take them for idle
        idle = [stack.enter_context(server.connect()) for _ in range(2 * RESERVE)]
        until(lambda: sum(map(is_closed, idle)) >= RESERVE)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("length", [8192, 9000], ids=["whole", "with a part of the next"])
def test_who_sends_one_request_after_the_other_leaves_their_turn_to_others(length):
    """The worker is held while requests arrive, so that all of them are there when it goes on.

    What is read at once is a whole request, or is part of the next one, too.
    """
    plain = post(b"{}".ljust(4000), "X-Padding: ")
    request = plain.replace(b"X-Padding: ", b"X-Padding: ".ljust(length - len(plain) + 11, b"x"))
    with serving(WORKERS="1", **PATIENT) as server, ExitStack() as stack:
        first, quick, last = (stack.enter_context(server.connect()) for _ in range(3))
        for connection in (first, quick, last):
            connection.sendall(get("/readyz"))
            answer_from(connection)
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)
        try:
            first.sendall(get("/healthz"))
            quick.sendall(request * 4)
            last.sendall(get("/healthz"))
        finally:
            os.kill(worker, signal.SIGCONT)
        for _ in range(4):
            assert answer_from(quick).status == 200
        for connection in (first, last):
            assert answer_from(connection).status == 200
        until(lambda: len(requested(server)) == 6)
    routes = requested(server)
    assert sorted(routes[:3]) == ["/fhir/QuestionnaireResponse/$assess", "/healthz", "/healthz"]


def requested(server):
    """Returns the routes that were asked for, in the order of their answers; the first requests left out."""
    lines = [orjson.loads(line) for line in [*server.log]]
    return [line["route"] for line in lines if line["event"] == "request" and line["route"] != "/readyz"]


def test_a_request_right_behind_another_one_is_answered():
    """It has been read with the one before, and nothing more arrives."""
    with serving(WORKERS="1", **PATIENT) as server, server.connect() as connection:
        connection.sendall(post(b"{}") * 3 + get("/healthz"))
        for _ in range(3):
            assert answer_from(connection).status == 200
        assert answer_from(connection).status == 200


def test_a_request_right_behind_a_body_in_chunks_is_answered():
    chunked = post(b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked")
    with serving(WORKERS="1", **PATIENT) as server, server.connect() as connection:
        connection.sendall(chunked + get("/healthz") + chunked)
        for _ in range(3):
            assert answer_from(connection).status == 200


def test_a_connection_on_which_nothing_comes_any_more_is_closed():
    with serving(WORKERS="1", KEEPALIVE_S="1") as server, server.connect() as connection:
        connection.sendall(get("/healthz"))
        assert answer_from(connection).status == 200
        assert connection.recv(1) == b""
