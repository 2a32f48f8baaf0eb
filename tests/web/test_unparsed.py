"""What the server refuses before the application sees it leaves as an OperationOutcome too."""

import orjson
import pytest
from gunicorn.http import errors

from service.web.unparsed import raw_response


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
    head, _, body = raw_response(fault).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status + b" ")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"Content-Type: application/fhir+json" in head
    assert b"Connection: close" in head
    assert orjson.loads(body)["issue"][0]["code"] == code
    assert b"canary" not in head + body
