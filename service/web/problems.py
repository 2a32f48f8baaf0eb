"""Which HTTP status an error becomes, and the OperationOutcome that carries it.

So does a request that the server could not even read as HTTP. Who asks is not known then, so pages of every
origin may read that answer: it is a fixed text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import orjson
from gunicorn.http import errors

from service.errors import (
    Forbidden,
    Misdirected,
    NotAllowed,
    Problem,
    ServiceError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from service.web.access import ANY_ORIGIN
from service.web.deployment import Deployment
from service.web.negotiation import FHIR_JSON
from service.web.reply import NO_STORE, STATUS, STATUS_LINES, Header, Reply, json_reply

if TYPE_CHECKING:
    from service.web.metrics import Metrics


def refusal(error: ServiceError, deployment: Deployment) -> Reply:
    """Returns the answer to a request that was refused: one issue per problem."""
    _count(deployment.metrics, error.problems)
    headers: tuple[Header, ...] = (NO_STORE,)
    if isinstance(error, NotAllowed):
        headers = (("Allow", ", ".join(error.allow)), *headers)
    if isinstance(error, Unauthenticated | Forbidden):
        headers = (("WWW-Authenticate", _challenge(error.error)), *headers)
    if isinstance(error, Unavailable | TooManyRequests):
        headers = (("Retry-After", str(error.retry_after_s)), *headers)
    return json_reply(deployment.outcome(error.problems), FHIR_JSON, *headers, status=STATUS[type(error)])


def _count(metrics: Metrics | None, problems: Iterable[Problem]) -> None:
    if metrics is not None:
        metrics.count_refusal(problems)


def _challenge(error: str) -> str:
    """Returns how a request is to say who sends it, and what was wrong with how it did.

    Source:
        RFC 6750, section 3: where no token came, no error is named.
    """
    return f'Bearer realm="fhir", error="{error}"' if error else 'Bearer realm="fhir"'


def breakdown(request_id: str, deployment: Deployment) -> Reply:
    """Returns the answer where the program itself failed: a fixed text and the id to ask for."""
    text = f"The service failed on this request. Its operator finds the cause under request id {request_id}."
    problem = Problem("internal", text, severity="fatal")
    _count(deployment.metrics, [problem])
    return json_reply(deployment.outcome([problem]), FHIR_JSON, NO_STORE, status=500)


_ANSWERS: tuple[tuple[type[Exception], int, Problem], ...] = (
    (errors.LimitRequestLine, 414, Problem("header-size", "The request line is too long.")),
    (errors.LimitRequestHeaders, 431, Problem("header-size", "The headers are too many or too long.")),
    (errors.UnsupportedTransferCoding, 501, Problem("transfer-coding", "Expected transfer coding: chunked.")),
    (errors.ExpectationFailed, 417, Problem("expectation", "Expected: 100-continue.")),
    (errors.ParseException, 400, Problem("http", "The request is not well-formed HTTP.")),
)


def raw_response(exc: BaseException, deployment: Deployment) -> bytes:
    """Returns a whole HTTP response with an OperationOutcome, after which the connection closes.

    Args:
        exc: raised by gunicorn, the worker or the application.
        deployment: its base, canonicals and metrics.
    """
    status, problem = _answer(exc)
    _count(deployment.metrics, [problem])
    body = orjson.dumps(deployment.outcome([problem]))
    headers: tuple[Header, ...] = (
        *((("Retry-After", str(exc.retry_after_s)),) if isinstance(exc, Unavailable) else ()),
        ("Connection", "close"),
        ("Content-Type", FHIR_JSON),
        ("Content-Length", str(len(body))),
        NO_STORE,
        *deployment.standing_headers,
        *ANY_ORIGIN,
    )
    lines = (f"HTTP/1.1 {STATUS_LINES[status]}", *(f"{name}: {value}" for name, value in headers), "", "")
    return "\r\n".join(lines).encode("ascii") + body


def _answer(exc: BaseException) -> tuple[int, Problem]:
    if isinstance(exc, Unavailable | Misdirected):
        return STATUS[type(exc)], exc.problems[0]
    for kind, status, problem in _ANSWERS:
        if isinstance(exc, kind):
            return status, problem
    return 500, Problem("internal", "The service failed on this request.", severity="fatal")
