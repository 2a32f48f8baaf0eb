"""An entry of the trail as a FHIR AuditEvent, for other systems to read.

Source:
    R4 auditevent.html and the value sets it binds; IHE ITI, Basic Audit Log Patterns (BALP) 1.1, whose
    patterns for RESTful interactions and OAuth the codes and slices follow. The query of a search is left
    out: its values are those of patients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

import orjson

from service.audit.events import AGENT, ENTITY, ERASURE, EXPIRY, EXPORT
from service.fhir.dates import instant
from service.storage.model import StoredLink

_DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_OBJECT: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"

REST: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
    "code": "rest",
    "display": "RESTful Operation",
}
_ALERT: Final = {"system": _DICOM, "code": "110113", "display": "Security Alert"}
_EXPORT: Final = {"system": _DICOM, "code": "110106", "display": "Export"}
DESTROY: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle",
    "code": "destroy",
    "display": "Destroy/Delete Record Lifecycle Event",
}
_TYPES: Final = {ERASURE: DESTROY, EXPIRY: DESTROY, EXPORT: _EXPORT}
_ACTIONS: Final = {
    "create": "C",
    "update": "U",
    "read": "R",
    "vread": "R",
    "history-instance": "R",
    ERASURE: "D",
    EXPIRY: "D",
    EXPORT: "R",
}
_CLIENT: Final = {"system": _DICOM, "code": "110153", "display": "Source Role ID"}
_BALP: Final = "https://profiles.ihe.net/ITI/BALP/CodeSystem"
_USER: Final = {
    "system": f"{_BALP}/UserAgentTypes",
    "code": "UserOauthAgent",
    "display": "User OAuth Agent participant",
}
_TRANSACTION: Final = {"system": f"{_BALP}/BasicAuditEntityType", "code": "XrequestId"}
_OTHER: Final = {"system": _OBJECT, "code": "4", "display": "Other"}
_IP_ADDRESS: Final = "2"
DENIED: Final = (401, 403)
_DIGITS: Final = 40  # of the digest of a tenant's name in an id, beside the longest number


def line_of(tenant: str, link: StoredLink) -> bytes:
    """Returns an entry as one line of NDJSON."""
    return orjson.dumps(audit_event(tenant, link), option=orjson.OPT_APPEND_NEWLINE)


def audit_event(tenant: str, link: StoredLink) -> dict[str, Any]:
    """Returns an entry as an AuditEvent; what is erased of it is not there.

    Args:
        tenant: whose chain it is from.
        link: the entry.
    """
    body = orjson.loads(link.body)
    agent, entity = (orjson.loads(link.parts.get(part, b"{}")) for part in (AGENT, ENTITY))
    kind, status = body["event"], body.get("status", 200)
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": f"{sha256(tenant.encode()).hexdigest()[:_DIGITS]}.{link.seq}",
        "meta": {"versionId": "1", "lastUpdated": instant(link.written)},
        "type": _ALERT if status in DENIED else _TYPES.get(kind, REST),
    }
    if "interaction" in body:
        event["subtype"] = [_interaction(body["interaction"])]
    event |= {
        "action": _ACTIONS.get(body.get("interaction", kind), "E"),
        "recorded": instant(body["at"]),
        "outcome": _outcome(status),
        "agent": list(_agents(body, agent)),
        "source": _source(tenant),
    }
    entities = list(_entities(body, entity))
    return event | ({"entity": entities} if entities else {})


def _interaction(code: str) -> dict[str, str]:
    return {"system": "http://hl7.org/fhir/restful-interaction", "code": code, "display": code}


def _outcome(status: int) -> str:
    if status < 400:
        return "0"
    return "4" if status < 500 else "8"


def _source(tenant: str) -> dict[str, Any]:
    observer = {"display": "Questionnaire guidance service"}
    return {"site": tenant, "observer": observer} if tenant else {"observer": observer}


def _agents(body: Mapping[str, Any], agent: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the subject of the token, with who vouches for it, and the app with its network address."""
    if "subject" in agent:
        who = {"identifier": {"system": agent["issuer"], "value": agent["subject"]}}
        yield {"type": {"coding": [_USER]}, "who": who, "requestor": True}
    client: dict[str, Any] = {"display": f"Sender: {body['sender']}"}
    if "client" in body:
        client = {"identifier": {"system": body["issuer"], "value": body["client"]}}
    found: dict[str, Any] = {
        "type": {"coding": [_CLIENT]},
        "who": client,
        "requestor": "subject" not in agent,
    }
    if "address" in agent:
        found["network"] = {"address": agent["address"], "type": _IP_ADDRESS}
    yield found


def _entities(body: Mapping[str, Any], entity: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "patient" in entity:
        yield {
            "what": entity["patient"],
            "type": {"system": _OBJECT, "code": "1", "display": "Person"},
            "role": {"system": ROLE, "code": "1", "display": "Patient"},
        }
    for reference in entity.get("references", ()):
        yield {
            "what": _reference(reference),
            "type": {"system": _OBJECT, "code": "2", "display": "System Object"},
            "role": {"system": ROLE, "code": "4", "display": "Domain Resource"},
        }
    details = list(_details(body))
    if "request" in body:
        what = {"identifier": {"value": body["request"]}}
        yield {"what": what, "type": _TRANSACTION, "detail": details}
    elif details:
        yield {"type": _OTHER, "detail": details}


def _reference(name: str) -> dict[str, Any]:
    """Returns a name as a Reference: an export has identifiers `system|value` among its names."""
    system, bar, value = name.partition("|")
    return {"identifier": {"system": system, "value": value}} if bar else {"reference": name}


def _details(body: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for name in ("operation", "resource", "route", "status"):
        if name in body:
            yield {"type": name, "valueString": str(body[name])}
    for of_type, versions in sorted(body.get("counts", {}).items()):
        yield {"type": f"{of_type} versions deleted", "valueString": str(versions)}
    if body.get("emptied"):
        yield {"type": "parts of audit events erased", "valueString": str(len(body["emptied"]))}
