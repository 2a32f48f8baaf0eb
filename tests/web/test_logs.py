"""The log: one JSON line per request, and never a word of what a caller sent."""

import logging
import sys

import orjson
import pytest

from service.web.logs import JsonLines, logging_config

CANARIES = ("canary-answer", "canary-identifier", "canary-token")


def lines(stream):
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_a_request_is_one_line_with_the_route_instead_of_the_path(client, log):
    answer = client.get("/fhir/Questionnaire/questionnaire-1?x=y")
    (line,) = lines(log)
    assert line.pop("ms") >= 0
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "service.request",
        "event": "request",
        "id": answer.headers["X-Request-Id"],
        "method": "GET",
        "route": "/fhir/Questionnaire/<id:id>",
        "status": 200,
    }


def test_a_method_that_is_no_method_is_not_repeated(client, log):
    client.open("/healthz", method="CANARY")
    assert lines(log)[0]["method"] == "other"


def test_nothing_is_logged_above_the_level_asked_for(client, log):
    requests = logging.getLogger("service.request")
    requests.setLevel(logging.WARNING)
    try:
        client.get("/healthz")
    finally:
        requests.setLevel(logging.NOTSET)
    assert lines(log) == []


@pytest.mark.parametrize("failure", [None, KeyError("canary-answer"), ValueError("canary-token")])
def test_no_canary_sent_through_any_route_reaches_the_log(application, assessor, client, log, failure):
    assessor.raises = failure
    headers = {
        "Authorization": "Bearer canary-token",
        "X-Request-Id": "canary-identifier",
        "Accept": "canary-token/x, */*",
        "Content-Type": "application/json",
        "Cookie": "canary-token",
        "Prefer": "canary-token",
    }
    unknown = ("/fhir/Patient/<id:id>", "/<id:id>", "/fhir/$<id:id>")
    for template in (*(route.path for route in application.routes), *unknown):
        path = template.replace("<id:id>", "canary-identifier")
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            query = {"patient": "canary-identifier", "name": "canary-answer", "_count": "canary-answer"}
            client.open(path, method=method, query_string=query, headers=headers, data=b'{"canary-answer":1}')
    assert lines(log)
    for canary in CANARIES:
        assert canary not in log.getvalue()


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/Questionnaire/canary-x",
        "/fhir/canary-x",
        "/canary-x",
        "/fhir/Questionnaire?canary-7=1&_count=canary-x",  # RD16 names plain words
    ],
)
def test_no_error_repeats_what_was_sent(client, path):
    answer = client.get(path, headers={"Prefer": "handling=strict"})
    assert answer.status_code in (400, 404)
    assert b"canary" not in answer.data


def test_a_failure_is_logged_by_its_class_and_places_only(assess, assessor, log):
    assessor.raises = RuntimeError("canary-answer")
    answer = assess()
    failed, _ = lines(log)
    assert (failed["event"], failed["exception"]) == ("failed", "RuntimeError")
    assert failed["id"] == answer.headers["X-Request-Id"]
    assert any("assess_body" in place for place in failed["places"])


def test_a_plain_message_is_an_event():
    record = logging.LogRecord("x", logging.INFO, "", 0, "Listening at: %s", ("here",), None)
    assert orjson.loads(JsonLines().format(record))["event"] == "Listening at: here"


def test_a_line_break_in_a_message_does_not_break_the_line():
    record = logging.LogRecord("x", logging.INFO, "", 0, "a\nb", (), None)
    assert "\n" not in JsonLines().format(record)


def test_an_exception_that_is_not_there_is_left_out():
    record = logging.LogRecord("x", logging.INFO, "", 0, "a", (), sys.exc_info())
    assert "exception" not in orjson.loads(JsonLines().format(record))


def test_the_configuration_covers_the_server_and_the_service():
    config = logging_config("WARNING")
    assert {config["loggers"][name]["level"] for name in ("service", "gunicorn.error")} == {"WARNING"}
