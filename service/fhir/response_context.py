"""What a result repeats of its response: its id, whom it is about, where and when it was written.

A response comes typed from the accept path or as plain JSON from the full path; both give the same context.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from service.fhir.accept import AcceptedResponse, Identifier, Reference
from service.fhir.extensions import DATA_ABSENT_REASON
from service.fhir.json import Json, MutableJson


@dataclass(frozen=True, slots=True)
class ResponseContext:
    """What a result repeats of its response, as plain JSON values; None where the response does not state it.

    References and identifiers are cut to what can stand in another resource: reference, type,
    identifier (use, system, value) and display, or the reason why there is none. A reference to a
    contained resource is left out, since the result does not contain it.
    """

    id: str | None
    identifier: Json | None
    questionnaire: str | None
    status: str
    subject: Json | None
    encounter: Json | None
    authored: str | None


def context_from_accepted(response: AcceptedResponse) -> ResponseContext:
    """Returns the context of a response that the accept path has read."""
    return ResponseContext(
        id=response.id if response.id is not UNSET else None,
        identifier=_accepted_identifier(response.identifier),
        questionnaire=response.questionnaire if response.questionnaire is not UNSET else None,
        status=response.status,
        subject=_accepted_reference(response.subject),
        encounter=_accepted_reference(response.encounter),
        authored=response.authored if response.authored is not UNSET else None,
    )


def context_from_resource(response: Json) -> ResponseContext:
    """Returns the context of a response in which `structure.check_response` has found no problem."""
    return ResponseContext(
        id=response.get("id"),
        identifier=portable_identifier(response.get("identifier")),
        questionnaire=response.get("questionnaire"),
        status=response["status"],
        subject=portable_reference(response.get("subject")),
        encounter=portable_reference(response.get("encounter")),
        authored=response.get("authored"),
    )


def portable_reference(reference: Json | None) -> Json | None:
    """Returns of a reference what can stand in another resource, or None where nothing can."""
    if reference is None:
        return None
    copied = {name: reference[name] for name in ("reference", "type", "display") if name in reference}
    if copied.get("reference", "").startswith("#"):
        del copied["reference"]
    identifier = portable_identifier(reference.get("identifier"))
    if identifier is not None:
        copied["identifier"] = identifier
    if copied.keys() & {"reference", "identifier", "display"}:
        return copied
    return _absent_reason(reference)


def portable_identifier(identifier: Json | None) -> Json | None:
    """Returns use, system and value of an identifier, or None where it has no value."""
    if identifier is None or "value" not in identifier:
        return None
    return {name: identifier[name] for name in ("use", "system", "value") if name in identifier}


def _absent_reason(reference: Json) -> Json | None:
    reasons = (
        extension.get("valueCode")
        for extension in reference.get("extension", ())
        if extension.get("url") == DATA_ABSENT_REASON
    )
    reason = next((code for code in reasons if code is not None), None)
    return {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": reason}]} if reason else None


def _accepted_reference(reference: Reference | UnsetType) -> Json | None:
    if reference is UNSET:
        return None
    copied = _stated(reference, ("reference", "type", "display"))
    if reference.identifier is not UNSET:
        copied["identifier"] = _accepted_identifier(reference.identifier)
    return copied if len(copied) > ("type" in copied) else None


def _accepted_identifier(identifier: Identifier | UnsetType) -> Json | None:
    return None if identifier is UNSET else _stated(identifier, ("use", "system", "value"))


def _stated(element: Reference | Identifier, names: tuple[str, ...]) -> MutableJson:
    """Returns those of the properties that the element states, in this order."""
    return {name: value for name in names if (value := getattr(element, name)) is not UNSET}
