"""The answer to a request that the server could not even read as HTTP."""

from __future__ import annotations

import orjson
from gunicorn.http import errors

from service.errors import Problem
from service.fhir.outcome import operation_outcome
from service.web.negotiation import FHIR_JSON
from service.web.reply import STATUS_LINES

_ANSWERS: tuple[tuple[type[Exception], int, Problem], ...] = (
    (errors.LimitRequestLine, 414, Problem("header-size", "The request line is too long.")),
    (errors.LimitRequestHeaders, 431, Problem("header-size", "The headers are too many or too long.")),
    (errors.UnsupportedTransferCoding, 501, Problem("transfer-coding", "Expected transfer coding: chunked.")),
    (errors.ExpectationFailed, 417, Problem("expectation", "Expected: 100-continue.")),
    (errors.ParseException, 400, Problem("http", "The request is not well-formed HTTP.")),
)


def raw_response(exc: BaseException) -> bytes:
    """Returns a whole HTTP response with an OperationOutcome, after which the connection closes."""
    status, problem = _answer(exc)
    body = orjson.dumps(operation_outcome([problem]))
    head = (
        f"HTTP/1.1 {STATUS_LINES[status]}",
        "Connection: close",
        f"Content-Type: {FHIR_JSON}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
    )
    return "\r\n".join((*head, "", "")).encode("ascii") + body


def _answer(exc: BaseException) -> tuple[int, Problem]:
    for kind, status, problem in _ANSWERS:
        if isinstance(exc, kind):
            return status, problem
    return 500, Problem("internal", "The service failed on this request.", severity="fatal")
