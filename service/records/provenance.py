"""Provenance and AuditEvent of a stored version.

Source: R4 provenance.html, auditevent.html; codes of the value sets that R4 binds there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from service.audit.feed import REST, ROLE
from service.fhir.json import Json, MutableJson
from service.fhir.response_context import referred

_SERVICE: Final = {"display": "Questionnaire guidance service"}
_NOT_STATED: Final = {"display": "Not stated in the response"}
_PARTICIPANT: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_OPERATION: Final = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"


class Step(msgspec.Struct, frozen=True):
    """One stored version of a response.

    Args:
        response: its reference with version, `QuestionnaireResponse/x/_history/2`.
        before: reference of the version that it follows; empty for the first.
        risk: reference of the result that was stored with it; empty if there is none.
        guidance: `url|version` of the guidance that was used; empty if none was.
        recorded: FHIR instant.
    """

    response: str
    before: str
    risk: str
    guidance: str
    recorded: str


def provenance(step: Step, resource: Mapping[str, Any]) -> Json:
    """Returns the Provenance of a stored version and its result, without id.

    Args:
        step: what was stored.
        resource: the response; its author and source are named as they stand there.
    """
    activity = ("UPDATE", "revise") if step.before else ("CREATE", "create")
    document: MutableJson = {
        "resourceType": "Provenance",
        "text": _text("A response was stored, with the result that the guidance makes of it."),
        "target": [{"reference": target} for target in (step.response, step.risk) if target],
        "recorded": step.recorded,
        "activity": {"coding": [{"system": _OPERATION, "code": activity[0], "display": activity[1]}]},
        "agent": list(_agents(resource)),
        "entity": list(_entities(step)),
    }
    if step.guidance:
        document["policy"] = [step.guidance.partition("|")[0]]
    return {name: value for name, value in document.items() if value}


def audit_event(step: Step, resource: Mapping[str, Any]) -> Json:
    """Returns the AuditEvent of a stored version, without id; arguments as `provenance` has them."""
    code, action = ("update", "U") if step.before else ("create", "C")
    subject = referred(resource.get("subject"), resource)
    return {
        "resourceType": "AuditEvent",
        "text": _text("A response was received and stored."),
        "type": REST,
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": code, "display": code}],
        "action": action,
        "recorded": step.recorded,
        "outcome": "0",
        "agent": [{"who": {"display": "Caller, not authenticated by this service"}, "requestor": True}],
        "source": {"observer": _SERVICE},
        "entity": [
            *({"what": {"reference": entity}} for entity in (step.response, step.risk) if entity),
            *([{"what": subject, "role": _PATIENT}] if subject is not None else []),
        ],
    }


_PATIENT: Final = {"system": ROLE, "code": "1", "display": "Patient"}


def _agents(resource: Mapping[str, Any]) -> Iterator[Json]:
    author = referred(resource.get("author"), resource)
    source = referred(resource.get("source"), resource)
    if author is None and source is None:
        yield _agent("author", "Author", _NOT_STATED)
    if author is not None:
        yield _agent("author", "Author", author)
    if source is not None:
        yield _agent("informant", "Informant", source)
    yield _agent("assembler", "Assembler", _SERVICE)


def _agent(code: str, display: str, who: Mapping[str, Any]) -> Json:
    return {"type": {"coding": [{"system": _PARTICIPANT, "code": code, "display": display}]}, "who": who}


def _entities(step: Step) -> Iterator[Json]:
    if step.before:
        yield {"role": "revision", "what": {"reference": step.before}}
    if step.risk:
        yield {"role": "source", "what": {"reference": step.response}}


def _text(words: str) -> Json:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{words}</p></div>'
    return {"status": "generated", "div": div}
