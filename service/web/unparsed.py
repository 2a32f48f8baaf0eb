"""The answer to a request that the server could not even read as HTTP.

Who asks is not known here, so pages of every origin may read it: it is a fixed text.
"""

from __future__ import annotations

import orjson
from gunicorn.http import errors

from service.errors import Problem
from service.fhir.canonicals import AS_WRITTEN, Canonicals
from service.fhir.outcome import operation_outcome
from service.web.cors import EVERYONE
from service.web.negotiation import FHIR_JSON
from service.web.reply import NO_STORE, STATUS_LINES, everywhere

_ANSWERS: tuple[tuple[type[Exception], int, Problem], ...] = (
    (errors.LimitRequestLine, 414, Problem("header-size", "The request line is too long.")),
    (errors.LimitRequestHeaders, 431, Problem("header-size", "The headers are too many or too long.")),
    (errors.UnsupportedTransferCoding, 501, Problem("transfer-coding", "Expected transfer coding: chunked.")),
    (errors.ExpectationFailed, 417, Problem("expectation", "Expected: 100-continue.")),
    (errors.ParseException, 400, Problem("http", "The request is not well-formed HTTP.")),
)


def raw_response(exc: BaseException, base: str = "", urls: Canonicals = AS_WRITTEN) -> bytes:
    """Returns a whole HTTP response with an OperationOutcome, after which the connection closes.

    Args:
        exc: what gunicorn, or the application, raised.
        base: public FHIR base.
        urls: the canonical urls of what this service defines itself.
    """
    status, problem = _answer(exc)
    body = orjson.dumps(operation_outcome([problem], urls))
    headers = (
        ("Connection", "close"),
        ("Content-Type", FHIR_JSON),
        ("Content-Length", str(len(body))),
        NO_STORE,
        *everywhere(base),
        *EVERYONE,
    )
    lines = (f"HTTP/1.1 {STATUS_LINES[status]}", *(f"{name}: {value}" for name, value in headers), "", "")
    return "\r\n".join(lines).encode("ascii") + body


def _answer(exc: BaseException) -> tuple[int, Problem]:
    for kind, status, problem in _ANSWERS:
        if isinstance(exc, kind):
            return status, problem
    return 500, Problem("internal", "The service failed on this request.", severity="fatal")
