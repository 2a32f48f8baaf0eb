"""The record that data was erased, which says how much, and nothing of whose it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

_TYPE: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle",
    "code": "destroy",
    "display": "Destroy/Delete Record Lifecycle Event",
}
_RESOURCE_TYPES: Final = "http://hl7.org/fhir/resource-types"
_DIV: Final = '<div xmlns="http://www.w3.org/1999/xhtml"><p>What was stored of a person was erased.</p></div>'


def erasure_event(counts: Mapping[str, int], recorded: str) -> bytes:
    """Returns the AuditEvent of an erasure, without id.

    Args:
        counts: versions that were deleted, by type of resource.
        recorded: FHIR instant.

    Source:
        R4 auditevent.html; type of event from ISO 21089, as the value set that R4 binds has it.
    """
    document = {
        "resourceType": "AuditEvent",
        "text": {"status": "generated", "div": _DIV},
        "type": _TYPE,
        "action": "D",
        "recorded": recorded,
        "outcome": "0",
        "agent": [{"who": {"display": "Operator, by the command erase"}, "requestor": True}],
        "source": {"observer": {"display": "Questionnaire guidance service"}},
        "entity": [_entity(kind, versions) for kind, versions in sorted(counts.items())],
    }
    return orjson.dumps(document)


def _entity(kind: str, versions: int) -> dict[str, Any]:
    return {
        "type": {"system": _RESOURCE_TYPES, "code": kind, "display": kind},
        "lifecycle": _TYPE,
        "detail": [{"type": "versions deleted", "valueString": str(versions)}],
    }
