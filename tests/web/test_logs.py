"""The log: one JSON line per request, and never a word of what a caller sent."""

import logging
import sys

import orjson
import pytest

from service.web.logs import JsonLines, logging_config


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


@pytest.mark.parametrize("failure", [RuntimeError, KeyError, ValueError])
def test_a_failure_is_logged_by_its_class_and_places_only(assess, assessor, log, failure):
    assessor.raises = failure("canary-answer")
    answer = assess()
    failed, _ = lines(log)
    assert (failed["event"], failed["exception"]) == ("failed", failure.__name__)
    assert "canary" not in log.getvalue()
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
