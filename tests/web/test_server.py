"""The real server: what clients that stall, lie or shout get, and that others are served meanwhile.

Checks SH02, SH04 to SH07 and CO05.
"""

import signal
import threading
from contextlib import ExitStack, suppress
from types import SimpleNamespace

import fakes
import gevent
import orjson
import pytest
from gunicorn_server import answer_from, get, post, serving, started, until
from patience import PATIENCE_S

from service.web.worker import Unreader

EVIL = "evil.example"
APP = "https://app.example.org"
APP_ON_FAKES = "fakes:application()"


@pytest.fixture(scope="module")
def server():
    """It gives up nobody: who waits for a stalled client waits longer than a test does."""
    patient = {"REQUEST_TIMEOUT_S": "600", "KEEPALIVE_S": "600"}
    with serving(f"fakes:application(['{APP}'])", WORKERS="1", BASE_URL=fakes.BASE, **patient) as running:
        yield running


@pytest.mark.parametrize(
    "sent",
    [
        post(b'{"half":', "Content-Length: 100"),
        b"POST /fhir/QuestionnaireResponse/$assess HTTP/1.1\r\nHost:",
        b"",
        get("/healthz"),
    ],
    ids=["half a body", "half the headers", "nothing", "one request and no more"],
)
def test_clients_that_stall_do_not_stop_others(server, sent):
    """SH07: two hundred of them, on one worker."""
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(server.connect()).sendall(sent)
        assert server.ask(get("/healthz")).status == 200
        assert server.ask(post(b"{}")).status == 200


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"canary\r\n\r\n", 400),
        (b"GET /canary HTTP/9.9\r\n\r\n", 400),
        (get("/" + "canary" * 2000), 414),
        (get("/", "X: " + "canary" * 3000), 431),
        (get("/", *(f"X{number}: canary" for number in range(200))), 431),
        (get("/", "canary header: 1"), 400),
        (post(b"canary", "Content-Length: 3", "Transfer-Encoding: chunked"), 400),
        (post(b"canary", "Content-Length: 3", "Content-Length: 4"), 400),
        (post(b"canary", "Content-Length: -1"), 400),
        (post(b"canary", "Transfer-Encoding: canary"), 501),
    ],
)
def test_what_is_not_http_gets_an_outcome_and_leaves_no_trace_in_the_log(server, request_bytes, status):
    """SH06; CO05: any page may read why."""
    answer = server.ask(request_bytes)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.document["resourceType"] == "OperationOutcome"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert b"canary" not in answer.body
    assert "canary" not in "".join(server.log)


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (post(b"", f"Content-Length: {10**12}"), b" " * 2**20),
        (post(b"", f"Content-Length: {10**12}", path="/nothing"), b" " * 2**20),
        (post(b"", "Transfer-Encoding: chunked", path="/nothing"), b"1\r\n \r\n" * 10_000),
        (post(b"", "Transfer-Encoding: chunked"), b"1;" + b"a" * 4000 + b"\r\n \r\n"),
    ],
    ids=["refused for its length", "for its path", "for its path, in chunks", "of chunk extensions"],
)
def test_a_body_without_end_keeps_nobody_waiting(server, head, more):
    """F1: it comes more quickly than it can be read."""
    ended = threading.Event()

    def send_on():
        with server.connect() as connection, suppress(OSError):
            connection.sendall(head)
            while not ended.is_set():
                connection.sendall(more)

    sender = threading.Thread(target=send_on)
    sender.start()
    try:
        assert all(server.ask(get("/healthz")).status == 200 for _ in range(10))
    finally:
        ended.set()
        sender.join()


def test_whoever_sends_without_end_has_one_turn_after_the_other():
    turns = []
    reader = Unreader(SimpleNamespace(recv=lambda size: b" " * size))
    waiting = gevent.spawn(turns.append, 1)
    while not turns:
        assert reader.chunk() == b" " * 8192
    waiting.join()


def test_a_broken_chunk_is_refused_with_an_outcome(server):
    answer = server.ask(post(b"zz\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
    assert answer.status == 400
    assert answer.document["resourceType"] == "OperationOutcome"


def test_a_chunked_body_is_read(server):
    assert server.ask(post(b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked")).status == 200


def test_a_chunked_body_over_the_limit_is_refused(server):
    """SH05."""
    chunks = b"1000\r\n" + b" " * 4096 + b"\r\n"
    answer = server.ask(post(chunks * 2 + b"0\r\n\r\n", "Transfer-Encoding: chunked"))
    assert answer.status == 413
    assert answer.document["resourceType"] == "OperationOutcome"


def test_an_announced_length_over_the_limit_is_refused_before_the_body_comes(server):
    """SH05: a lie about the length costs no memory."""
    answer = server.ask(post(b"", "Content-Length: 10000000000"))
    assert answer.status == 413
    assert answer.document["resourceType"] == "OperationOutcome"


def test_a_body_that_ends_before_its_announced_length_is_refused(server):
    """SH05."""
    with server.connect() as connection:
        connection.sendall(post(b"{}", "Content-Length: 10"))
        connection.shutdown(1)
        answer = answer_from(connection)
    assert answer.status == 400
    assert answer.document["resourceType"] == "OperationOutcome"


def test_what_follows_the_announced_length_is_not_part_of_the_body(server):
    """SH05."""
    with server.connect() as connection:
        connection.sendall(post(b"{}canary", "Content-Length: 2"))
        assert answer_from(connection).status == 200


def test_every_answer_keeps_to_https_and_names_neither_product_nor_version(server):
    """SH02."""
    requests = (get("/healthz"), get("/nothing"), get("/fhir/metadata"), post(b"{}"), b"canary\r\n\r\n")
    for answer in map(server.ask, requests):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert answer.headers["content-type"] in (fakes.FHIR, "application/json")
        assert answer.headers.get("server", "service") == "service"
        assert not {"unicorn", "werkzeug", "python"} & set(str(answer.headers).lower().split())
        assert "unicorn" not in str(answer.headers).lower()


def test_over_plain_http_nothing_is_said_about_https():
    """SH02."""
    with serving(WORKERS="1") as server:
        assert "strict-transport-security" not in server.ask(b"canary\r\n\r\n").headers


def test_a_connection_is_kept_for_the_next_request(server):
    with server.connect() as connection:
        connection.sendall(get("/healthz", method="HEAD"))
        head = answer_from(connection, bodiless=True)
        connection.sendall(get("/healthz"))
        assert answer_from(connection).headers["content-length"] == head.headers["content-length"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        get("/fhir/Questionnaire").replace(b"Host: localhost", f"Host: {EVIL}".encode()),
        get("/fhir/Questionnaire").replace(b"Host: localhost", b"Host:"),
        get("/fhir/Questionnaire").replace(b" /fhir", f" http://{EVIL}/fhir".encode()),
        get("/fhir/Questionnaire", f"X-Forwarded-Host: {EVIL}", "X-Forwarded-Proto: ftp"),
        get("/fhir/Questionnaire", f"Forwarded: host={EVIL};proto=ftp", "X-Forwarded-Port: 666"),
        get("/fhir/Questionnaire", "X-Forwarded-Prefix: /evil", "SCRIPT_NAME: /evil", "PATH_INFO: /evil"),
        get("/fhir/Questionnaire", "X-Original-URL: /evil", "X-Rewrite-URL: /evil"),
        get("/fhir/Questionnaire", "X-HTTP-Method-Override: DELETE"),
    ],
)
def test_links_come_from_the_settings_whatever_a_request_says_of_its_host(server, request_bytes):
    """SH04."""
    answer = server.ask(request_bytes)
    assert answer.status == 200
    assert answer.body == server.ask(get("/fhir/Questionnaire")).body
    assert answer.document["link"][0]["url"] == f"{fakes.BASE}/Questionnaire"
    assert "evil" not in str(answer.headers)


HERE = ("localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.1.2.3", "[::1]:8000", "forms.localhost:1")
ELSEWHERE = (EVIL, f"{EVIL}:8000", "localhost.evil.example", "127.0.0.1.evil.example", "x@[", "10.0.0.1")


@pytest.mark.parametrize("own", [{}, {"BASE_URL": "http://localhost:8000/fhir"}], ids=["no url", "own url"])
def test_only_who_means_this_machine_is_let_in_where_nothing_else_keeps_others_out(own):
    """A page whose own name leads here is of our origin to its browser, and would read all that is stored."""
    with serving(WORKERS="1", **own) as server:
        for host in HERE:
            assert server.ask(get("/fhir/metadata").replace(b"localhost", host.encode())).status == 200
        for host in ELSEWHERE:
            answer = server.ask(get("/fhir/metadata").replace(b"localhost", host.encode()))
            assert answer.status == 421
            assert answer.document["issue"][0]["details"]["coding"][0]["code"] == "host"
            assert answer.headers["connection"] == "close"
        assert server.ask(b"GET /fhir/metadata HTTP/1.0\r\n\r\n").status == 200


def test_a_request_for_two_hosts_is_refused(server):
    """SH04."""
    assert server.ask(get("/fhir/Questionnaire", f"Host: {EVIL}")).status == 400


def test_a_request_is_never_sent_back_to_who_sent_it(server):
    """SH04."""
    answer = server.ask(get("/fhir/metadata", "X: canary", method="TRACE"))
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert b"canary" not in answer.body


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/..%2f..%2fetc%2fpasswd",
        "/fhir/Questionnaire/..%2fmetadata",
        "/fhir/Questionnaire/%2e%2e/metadata",
        "/fhir/Questionnaire/..%5c..%5cetc",
        "/fhir/../../etc/passwd",
        "/fhir/%00",
        "/fhir/Questionnaire/questionnaire-1%00",
        "/fhir/metadata%0d%0aX-Injected:1",
        "/fhir//metadata",
        f"//{EVIL}/fhir/metadata",
    ],
)
def test_no_path_leads_outside_the_routes(server, path):
    """SH04."""
    answer = server.ask(get(path))
    assert answer.status == 404
    assert answer.document["resourceType"] == "OperationOutcome"
    assert "x-injected" not in answer.headers


def test_two_slashes_at_the_beginning_are_one(server):
    """SH04: gunicorn reads them so; they name no other host."""
    assert server.ask(get("//fhir/metadata")).body == server.ask(get("/fhir/metadata")).body


def test_a_request_id_with_a_line_break_adds_no_header(server):
    answer = server.ask(get("/healthz", "X-Request-Id: abc\r\nX-Injected: 1"))
    assert "x-injected" not in answer.headers
    assert answer.headers["x-correlation-id"] == "abc"


def test_every_line_of_the_most_talkative_log_is_json_and_has_no_path():
    with serving(WORKERS="1", LOG_LEVEL="DEBUG") as server:
        server.ask(get("/healthz?canary=1"))
        server.ask(get("/fhir/Patient/canary?canary=1", "Origin: https://canary", "X-Forwarded-For: canary"))
        server.ask(get("/healthz", "Authorization: Basic /cv/yw=="))  # bytes that are no UTF-8
        with server.connect() as connection:
            connection.sendall(get("/canary", "Authorization: canary").rstrip())
    lines = [orjson.loads(line) for line in server.log]
    routes = [line["route"] for line in lines if line["event"] == "request"]
    assert routes == ["/healthz", "unknown", "/healthz"]
    assert "canary" not in "".join(server.log)
    assert "0xfd" not in "".join(server.log)


ANY_ADDRESS = ("--bind", "0.0.0.0:0")


def test_a_server_that_others_reach_by_its_own_option_does_not_start_before_it_is_told_that_they_may():
    """What gunicorn is told on its command line goes past the settings."""
    with started(APP_ON_FAKES, *ANY_ADDRESS, OPEN="false") as process:
        try:
            _, log = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 1
    assert log.splitlines()[-1].startswith("error: There is no access control.")
    assert "Booting worker" not in log


def test_a_server_that_others_reach_says_so_when_it_starts():
    with serving(APP_ON_FAKES, *ANY_ADDRESS, WORKERS="1", OPEN="true") as server:
        assert server.ask(get("/healthz")).status == 200
    (line,) = (line for line in map(orjson.loads, server.log) if line["event"] == "open")
    assert (line["level"], line["logger"]) == ("WARNING", "service.start")
    assert line["note"].startswith(
        "There is no access control: whoever reaches this service may read and write"
    )


def test_a_server_that_only_this_machine_reaches_says_nothing_of_it():
    with serving(APP_ON_FAKES, WORKERS="1", OPEN="true") as server:
        assert server.ask(get("/healthz")).status == 200
    assert "access control" not in "".join(server.log)


def test_workers_collect_garbage_from_the_start_and_after_the_settings_were_read_again():
    with serving("fakes:collecting", WORKERS="1") as server:
        first, collects = server.ask(get("/")).document
        assert collects
        server.process.send_signal(signal.SIGHUP)
        until(lambda: first not in {server.ask(get("/")).document[0] for _ in range(3)})
        assert server.ask(get("/")).document[1]


def test_guidance_that_cannot_be_read_stops_the_start(tmp_path):
    started = serving("service.app:from_environment()", QUESTIONNAIRES_DIR=str(tmp_path))
    with pytest.raises(AssertionError, match="no questionnaire found"), started:
        pass
