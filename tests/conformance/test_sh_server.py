"""Requests that are forged, too long, half sent or no HTTP: checks SH02, SH04 to SH07 and CO05."""

import json
import socket

import pytest
from fhir_client import BASE, ORIGIN
from gunicorn_server import answer_from, get, post
from running_service import running
from sample_responses import strain

TYPE = "QuestionnaireResponse"
LIMIT = 1_048_576
SAMPLE = json.dumps(strain()).encode()


@pytest.fixture(scope="module")
def server(database):
    with running(database("sqlite"), WORKERS="1", REQUEST_TIMEOUT_S="4", KEEPALIVE_S="4") as (started, _):
        yield started


def is_outcome(answer, *statuses):
    assert answer.status in statuses, (answer.status, answer.body)
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.document["resourceType"] == "OperationOutcome"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "unicorn" not in str(answer.headers).lower()


def request(line, *headers):
    return "\r\n".join((line, *headers, "", "")).encode("latin-1")


@pytest.mark.parametrize(
    "headers",
    [
        ("Host: evil.example.org",),
        ("Host: evil.example.org", "X-Forwarded-Host: evil.example.org", "X-Forwarded-Proto: gopher"),
        (
            "Host: x",
            "Forwarded: host=evil.example.org",
            "X-Forwarded-Prefix: /evil",
            "X-Forwarded-For: 1.2.3.4",
        ),
        (
            "Host: x",
            "X-Forwarded-Port: 99",
            "X-Original-URL: /evil",
            "X-Rewrite-URL: /evil",
            "SCRIPT_NAME: /evil",
        ),
    ],
)
def test_sh04_a_forged_host_changes_no_link(server, headers):
    body = (f"Content-Length: {len(SAMPLE)}", "Content-Type: application/fhir+json")
    created = server.ask(request(f"POST /fhir/{TYPE} HTTP/1.1", *headers, *body) + SAMPLE)
    assert created.status == 201
    assert created.headers["location"].startswith(f"{BASE}/{TYPE}/")
    found = server.ask(request(f"GET /fhir/{TYPE}?_count=1 HTTP/1.1", *headers))
    assert found.document["link"][0]["url"].startswith(f"{BASE}/{TYPE}")
    assert b"evil" not in found.body


def test_sh04_a_whole_address_in_the_request_line_changes_no_link(server):
    answer = server.ask(
        request(f"GET http://evil.example.org/fhir/{TYPE}?_count=1 HTTP/1.1", "Host: evil.example.org")
    )
    if answer.status == 200:
        assert answer.document["link"][0]["url"].startswith(f"{BASE}/{TYPE}")
    else:
        is_outcome(answer, 400, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/..%2f..%2fetc%2fpasswd",
        "/fhir/../../etc/passwd",
        "/fhir/%00",
        "//fhir/metadata",
        "/fhir//metadata",
        "/%2e%2e/fhir",
        "/fhir/metadata/../../etc",
        "/fhir/%c0%ae%c0%ae/",
        "/fhir\\metadata",
        "*",
    ],
)
def test_sh04_no_path_reaches_a_file(server, path):
    answer = server.ask(get(path))
    if path == "//fhir/metadata" and answer.status == 200:
        return
    is_outcome(answer, 400, 404, 405)


@pytest.mark.parametrize(
    "raw",
    [
        request("GET /fhir/metadata HTTP/1.1", "Host: x", "Host: evil.example.org"),
        request(f"POST /fhir/{TYPE} HTTP/1.1", "Host: x", "Content-Length: 3", "Transfer-Encoding: chunked")
        + b"0\r\n\r\n",
        request(f"POST /fhir/{TYPE} HTTP/1.1", "Host: x", "Content-Length: 3", "Content-Length: 4") + b"abc",
        request("TRACE /fhir/metadata HTTP/1.1", "Host: x", "Cookie: canary"),
    ],
)
def test_sh04_what_reads_two_ways_is_refused(server, raw):
    answer = server.ask(raw)
    is_outcome(answer, 400, 405)
    assert b"canary" not in answer.body


def test_sh05_an_announced_length_over_the_limit_is_refused_unread(server):
    for length in (LIMIT + 1, 10**12):
        is_outcome(server.ask(post(b"", f"Content-Length: {length}", path=f"/fhir/{TYPE}")), 413)


def test_sh05_a_chunked_body_over_the_limit_is_refused(server):
    chunks = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    raw = post(chunks * 17 + b"0\r\n\r\n", "Transfer-Encoding: chunked", path=f"/fhir/{TYPE}")
    is_outcome(server.ask(raw), 413)


def test_sh05_a_body_that_ends_early_is_refused_and_stores_nothing(server):
    with server.connect() as connection:
        connection.sendall(post(SAMPLE, f"Content-Length: {len(SAMPLE) + 5}", path=f"/fhir/{TYPE}"))
        connection.shutdown(socket.SHUT_WR)
        is_outcome(answer_from(connection), 400)


def test_sh05_a_body_that_goes_on_is_cut_where_it_was_said_to_end(server):
    with server.connect() as connection:
        connection.sendall(post(SAMPLE + b"canary", f"Content-Length: {len(SAMPLE)}", path=f"/fhir/{TYPE}"))
        assert answer_from(connection).status == 201


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (get("/fhir/" + "x" * 8192), 414),
        (get(f"/fhir/{TYPE}?" + "x" * 8192), 414),
        (get("/fhir/metadata", "X-Long: " + "x" * 16_384), 431),
        (get("/fhir/metadata", *(f"X-{number}: x" for number in range(200))), 431),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /fhir/metadata HTTP/9.9\r\n\r\n", 400),
        (get("/fhir/metadata", "no colon"), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
def test_sh06_co05_what_is_no_request_gets_an_outcome_that_an_app_may_read(server, raw, status):
    answer = server.ask(raw)
    is_outcome(answer, status)
    assert answer.headers["access-control-allow-origin"] in ("*", ORIGIN)


def test_er07_a_line_break_in_a_number_adds_no_header(server):
    answer = server.ask(get("/fhir/metadata", "X-Request-Id: abc\r\nX-Injected: 1"))
    assert "x-injected" not in answer.headers
    answer = server.ask(get("/fhir/metadata", "X-Request-Id: abc\rX-Injected: 1"))
    assert "x-injected" not in answer.headers


def test_sh07_idle_and_stalled_connections_do_not_stop_others_and_are_closed(server):
    """tests/web/test_server.py shows the first on a server that does not give them up meanwhile."""
    idle = [server.connect() for _ in range(200)]
    stalled = [server.connect() for _ in range(40)]
    slow = [server.connect() for _ in range(20)]
    for connection in stalled:
        connection.sendall(post(SAMPLE[:20], f"Content-Length: {len(SAMPLE)}", path=f"/fhir/{TYPE}"))
    for connection in slow:
        connection.sendall(f"POST /fhir/{TYPE} HTTP/1.1\r\nHost:".encode())
    assert server.ask(get("/fhir/metadata")).status == 200
    assert server.ask(post(SAMPLE, path=f"/fhir/{TYPE}")).status == 201
    for connection in (*stalled[:3], *slow[:3], *idle[:3]):
        assert connection.recv(1) == b""
    for connection in (*idle, *stalled, *slow):
        connection.close()
    assert server.ask(get("/healthz")).status == 200


def test_nothing_that_was_sent_stands_in_the_log_of_the_server(server):
    server.ask(get("/fhir/Patient/canary?canary=1", "Authorization: Bearer canary", "X-Request-Id: canary"))
    server.ask(post(SAMPLE.replace(b"Patient/", b"Patient/canary"), path=f"/fhir/{TYPE}?identifier=canary"))
    server.ask(get("/" + "canary" * 2000))
    assert "canary" not in "".join(server.log)
