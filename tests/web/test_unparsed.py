"""What the server refuses before the application sees it is an OperationOutcome too: SH02, SH06, CO05."""

import orjson
import pytest
from gunicorn.http import errors

from service.web.deployment import Deployment
from service.web.problems import raw_response


def headers_of(response):
    lines = response.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (errors.LimitRequestLine(9000, 8190), b"414", "too-long"),
        (errors.LimitRequestHeaders("canary"), b"431", "too-long"),
        (errors.UnsupportedTransferCoding("canary"), b"501", "not-supported"),
        (errors.ExpectationFailed("canary"), b"417", "not-supported"),
        (errors.InvalidRequestLine("canary"), b"400", "structure"),
        (errors.InvalidHeader("canary"), b"400", "structure"),
        (RuntimeError("canary"), b"500", "exception"),
    ],
)
def test_a_request_that_is_not_http_gets_an_outcome_that_repeats_nothing(fault, status, code):
    head, _, body = raw_response(fault, Deployment()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status + b" ")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"Content-Type: application/fhir+json" in head
    assert b"Connection: close" in head
    assert orjson.loads(body)["issue"][0]["code"] == code
    assert b"canary" not in head + body


def test_a_page_of_any_origin_may_read_it_because_it_is_a_fixed_text():
    """CO05: whose page it is, is in the part of the request that could not be read."""
    headers = headers_of(raw_response(errors.LimitRequestHeaders("canary"), Deployment()))
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize(
    ("base", "said"), [("https://fhir.example.org/r4", "max-age=31536000"), ("http://[::1]:8000/fhir", None)]
)
def test_it_says_what_every_answer_says(base, said):
    """SH02."""
    headers = headers_of(raw_response(RuntimeError(), Deployment(base)))
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers.get("Strict-Transport-Security") == said
    assert headers["Cache-Control"] == "no-store"
