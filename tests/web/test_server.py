"""The real server: what clients that stall, lie or shout get, and that others are served meanwhile."""

import signal
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from served import PATIENCE_S, answer_from, get, post, serving


@pytest.fixture(scope="module")
def server():
    with serving(WORKERS="1") as running:
        yield running


def is_closed(connection):
    """Whether the server closes the connection without an answer."""
    return connection.recv(1) == b""


def test_many_half_sent_bodies_do_not_stop_other_clients(server):
    stalled = [server.connect() for _ in range(40)]
    for connection in stalled:
        connection.sendall(post(b'{"half":', "Content-Length: 100"))
    assert server.ask(get("/healthz")).status == 200
    assert server.ask(post(b"{}")).status == 200
    for connection in stalled:
        connection.close()


def test_many_half_sent_headers_do_not_stop_other_clients(server):
    stalled = [server.connect() for _ in range(40)]
    for connection in stalled:
        connection.sendall(b"POST /fhir/QuestionnaireResponse/$assess HTTP/1.1\r\nHost:")
    assert server.ask(get("/healthz")).status == 200
    for connection in stalled:
        connection.close()


def test_a_body_slower_than_the_deadline_loses_its_connection():
    with serving(WORKERS="1", REQUEST_TIMEOUT_S="1") as server, server.connect() as connection:
        connection.sendall(post(b'{"half":', "Content-Length: 100"))
        assert is_closed(connection)
        assert server.ask(get("/healthz")).status == 200


def test_headers_slower_than_the_limit_lose_their_connection():
    with serving(WORKERS="1", KEEPALIVE_S="1") as server, server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert is_closed(connection)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"canary\r\n\r\n", 400),
        (b"GET /canary HTTP/9.9\r\n\r\n", 400),
        (get("/" + "canary" * 2000), 414),
        (get("/", "X: " + "canary" * 2000), 431),
        (get("/", *(f"X{number}: canary" for number in range(200))), 431),
        (get("/", "canary header: 1"), 400),
        (post(b"canary", "Content-Length: 3", "Transfer-Encoding: chunked"), 400),
        (post(b"canary", "Content-Length: 3", "Content-Length: 4"), 400),
        (post(b"canary", "Content-Length: -1"), 400),
        (post(b"canary", "Transfer-Encoding: canary"), 501),
    ],
)
def test_what_is_not_http_gets_an_outcome_and_leaves_no_trace_in_the_log(server, request_bytes, status):
    answer = server.ask(request_bytes)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.document["resourceType"] == "OperationOutcome"
    assert b"canary" not in answer.body
    assert "canary" not in "".join(server.log)


def test_a_broken_chunk_is_refused_with_an_outcome(server):
    answer = server.ask(post(b"zz\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
    assert answer.status == 400
    assert answer.document["resourceType"] == "OperationOutcome"


def test_a_chunked_body_is_read(server):
    assert server.ask(post(b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked")).status == 200


def test_a_chunked_body_over_the_limit_is_refused(server):
    chunks = b"1000\r\n" + b" " * 4096 + b"\r\n"
    answer = server.ask(post(chunks * 2 + b"0\r\n\r\n", "Transfer-Encoding: chunked"))
    assert answer.status == 413
    assert answer.document["resourceType"] == "OperationOutcome"


def test_an_announced_length_over_the_limit_is_refused_before_the_body_comes(server):
    assert server.ask(post(b"", "Content-Length: 10000000000")).status == 413


def test_a_body_that_ends_before_its_announced_length_is_refused(server):
    with server.connect() as connection:
        connection.sendall(post(b"{}", "Content-Length: 10"))
        connection.shutdown(1)
        answer = answer_from(connection)
    assert answer.status == 400
    assert answer.document["resourceType"] == "OperationOutcome"


def test_what_follows_the_announced_length_is_not_part_of_the_body(server):
    with server.connect() as connection:
        connection.sendall(post(b"{}canary", "Content-Length: 2"))
        assert answer_from(connection).status == 200


def test_no_answer_names_the_product_or_its_version(server):
    for request in (get("/healthz"), get("/nothing"), b"canary\r\n\r\n"):
        answer = server.ask(request)
        assert "unicorn" not in str(answer.headers).lower()
        assert answer.headers.get("server", "service") == "service"


def test_a_connection_is_kept_for_the_next_request(server):
    with server.connect() as connection:
        connection.sendall(get("/healthz", method="HEAD"))
        head = answer_from(connection, bodiless=True)
        connection.sendall(get("/healthz"))
        assert answer_from(connection).headers["content-length"] == head.headers["content-length"]


def test_an_encoded_dot_segment_reaches_no_file(server):
    for path in ("/fhir/..%2f..%2fetc%2fpasswd", "/fhir/%00", "/fhir/../../etc/passwd"):
        assert server.ask(get(path)).status in (400, 404)


def test_a_request_id_with_a_line_break_adds_no_header(server):
    answer = server.ask(get("/healthz", "X-Request-Id: abc\r\nX-Injected: 1"))
    assert "x-injected" not in answer.headers
    assert answer.headers["x-correlation-id"] == "abc"


def test_mixed_requests_at_once_get_the_answers_they_get_one_by_one(server):
    paths = ("/fhir/Questionnaire/questionnaire-1", "/fhir/metadata?_pretty=true")
    requests = [post(b"{}"), post(b"[]"), *map(get, paths)]
    alone = [server.ask(request).body for request in requests]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda request: server.ask(request).body, requests * 25))
    assert together == alone * 25


def test_every_line_of_the_log_is_json():
    with serving(WORKERS="1") as server:
        server.ask(get("/healthz?canary=1"))
        server.ask(get("/fhir/Patient/canary"))
    lines = [orjson.loads(line) for line in server.log]
    assert [line["route"] for line in lines if line["event"] == "request"] == ["/healthz", "unknown"]
    assert "canary" not in "".join(server.log)


def test_even_the_most_talkative_log_has_no_path():
    with serving(WORKERS="1", LOG_LEVEL="DEBUG") as server:
        server.ask(get("/fhir/Patient/canary?canary=1", "X: canary"))
    assert "canary" not in "".join(server.log)


def test_a_running_request_is_finished_when_the_service_stops():
    with serving(WORKERS="1", KEEPALIVE_S="1") as server, server.connect() as connection:
        connection.sendall(post(b'{"half":', "Content-Length: 10"))
        assert server.ask(get("/healthz")).status == 200
        server.process.send_signal(signal.SIGTERM)
        connection.sendall(b"1}")
        assert answer_from(connection).status == 200
        assert server.process.wait(PATIENCE_S) == 0


def test_guidance_that_cannot_be_read_stops_the_start(tmp_path):
    started = serving("service.app:from_environment()", QUESTIONNAIRES_DIR=str(tmp_path))
    with pytest.raises(AssertionError, match="no questionnaire found"), started:
        pass
