"""What of a response its result repeats: who it is about, where it comes from, when it was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from msgspec import UNSET, UnsetType

from service.fhir.accept import AcceptedResponse, Identifier, Reference
from service.fhir.json import Json, MutableJson

DATA_ABSENT_REASON: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


@dataclass(frozen=True, slots=True)
class ResponseContext:
    """The part of a response that its result repeats, as plain JSON values; None is not stated.

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
    """Returns the header of a response that the accept path has read."""
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
    """Returns the header of a response that `response.check` has found sound."""
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
    kept = {name: reference[name] for name in ("reference", "type", "display") if name in reference}
    if kept.get("reference", "").startswith("#"):
        del kept["reference"]
    identifier = portable_identifier(reference.get("identifier"))
    if identifier is not None:
        kept["identifier"] = identifier
    if kept.keys() & {"reference", "identifier", "display"}:
        return kept
    return _absent(reference)


def portable_identifier(identifier: Json | None) -> Json | None:
    """Returns use, system and value of an identifier, or None where it has no value."""
    if identifier is None or "value" not in identifier:
        return None
    return {name: identifier[name] for name in ("use", "system", "value") if name in identifier}


def _absent(reference: Json) -> Json | None:
    reasons = [each for each in reference.get("extension", ()) if each.get("url") == DATA_ABSENT_REASON]
    codes = [each["valueCode"] for each in reasons if "valueCode" in each]
    return {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": codes[0]}]} if codes else None


def _accepted_reference(reference: Reference | UnsetType) -> Json | None:
    if reference is UNSET:
        return None
    kept: MutableJson = {}
    if reference.reference is not UNSET:
        kept["reference"] = reference.reference
    if reference.type is not UNSET:
        kept["type"] = reference.type
    if reference.display is not UNSET:
        kept["display"] = reference.display
    if reference.identifier is not UNSET:
        kept["identifier"] = _accepted_identifier(reference.identifier)
    return kept if len(kept) > ("type" in kept) else None


def _accepted_identifier(identifier: Identifier | UnsetType) -> Json | None:
    if identifier is UNSET:
        return None
    kept: MutableJson = {}
    if identifier.use is not UNSET:
        kept["use"] = identifier.use
    if identifier.system is not UNSET:
        kept["system"] = identifier.system
    return kept | {"value": identifier.value}
