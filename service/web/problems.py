"""Which HTTP status an error becomes, and the OperationOutcome that carries it."""

from __future__ import annotations

from service.errors import (
    Malformed,
    NotAcceptable,
    NotAllowed,
    NotFound,
    NotScorable,
    PreconditionFailed,
    Problem,
    ServiceError,
    TooLarge,
    Unavailable,
    Unsupported,
)
from service.fhir.canonicals import AS_WRITTEN, Canonicals
from service.fhir.outcome import operation_outcome
from service.web.negotiation import FHIR_JSON
from service.web.reply import NO_STORE, Header, Reply, json_reply

STATUS: dict[type[ServiceError], int] = {
    Malformed: 400,
    NotFound: 404,
    NotAllowed: 405,
    NotAcceptable: 406,
    PreconditionFailed: 412,
    TooLarge: 413,
    Unsupported: 415,
    NotScorable: 422,
    Unavailable: 503,
}


def refusal(error: ServiceError, urls: Canonicals = AS_WRITTEN) -> Reply:
    """Returns the answer to a request that was refused: one issue per problem."""
    headers: tuple[Header, ...] = (NO_STORE,)
    if isinstance(error, NotAllowed):
        headers = (("Allow", ", ".join(error.allow)), *headers)
    if isinstance(error, Unavailable):
        headers = (("Retry-After", str(error.retry_after_s)), *headers)
    outcome = operation_outcome(error.problems, urls)
    return json_reply(outcome, FHIR_JSON, *headers, status=STATUS[type(error)])


def breakdown(request_id: str, urls: Canonicals = AS_WRITTEN) -> Reply:
    """Returns the answer where the program itself failed: a fixed text and the id to ask for."""
    text = f"The service failed on this request. Its operator finds the cause under request id {request_id}."
    problem = Problem("internal", text, severity="fatal")
    return json_reply(operation_outcome([problem], urls), FHIR_JSON, NO_STORE, status=500)
