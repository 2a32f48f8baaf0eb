"""The parts of a response that its result repeats, such as its id, its subject and its time.

A response comes typed from the accept path or as plain JSON from the full path; both give the same context.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from service.fhir.accept import AcceptedResponse, Identifier, Reference
from service.fhir.extensions import DATA_ABSENT_REASON, mappings
from service.fhir.json import Json, MutableJson
from service.fhir.shapes import Element, Shape, shape_of
from service.fhir.structure import is_of_type

_CODING: Final = ("system", "version", "code", "display")
_QUANTITY: Final = ("value", "comparator", "unit", "system", "code")
CONTAINED: Final = "Named in the response, which contains it"


class ResponseContext(msgspec.Struct, frozen=True):
    """The parts of a response that its result repeats, as plain JSON; None if the response lacks them.

    References and identifiers are cut to what can stand in another resource: reference, type,
    identifier (use, system, value) and display, or the reason why there is none. A subject or encounter
    that the response contains stands in `contained`, cut to what says who or what it is, under the name of
    its element as id. The labels of its meta stand in `security`: they hold for what is made of it.
    """

    id: str | None
    identifier: Json | None
    questionnaire: str | None
    status: str
    subject: Json | None
    encounter: Json | None
    authored: str | None
    contained: tuple[Json, ...] = ()
    security: tuple[Json, ...] = ()


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
    subject, encounter = (_about(response, name) for name in ("subject", "encounter"))
    return ResponseContext(
        id=response.get("id"),
        identifier=portable_identifier(response.get("identifier")),
        questionnaire=response.get("questionnaire"),
        status=response["status"],
        subject=subject.reference,
        encounter=encounter.reference,
        authored=response.get("authored"),
        contained=tuple(kept for _, kept in (subject, encounter) if kept is not None),
        security=security_labels(response),
    )


def security_labels(resource: Json) -> tuple[Json, ...]:
    """Returns the security labels of a resource as another one can have them, each once.

    Source: R4 security-labels.html: what is made of a resource is no less sensitive than that.
    """
    meta = resource.get("meta")
    labels = mappings(meta.get("security")) if isinstance(meta, dict) else ()
    return distinct(label for label in map(portable_coding, labels) if "code" in label)


def distinct(labels: Iterable[Json]) -> tuple[Json, ...]:
    """Returns labels in order, those with the same system and code once."""
    return tuple({(label.get("system"), label.get("code")): label for label in labels}.values())


def referred(reference: Json | None, response: Json) -> Json | None:
    """Returns of a reference in a response what can stand elsewhere, or None where nothing can.

    What the response contains is named by its type and identifier, else as what it is: contained.
    """
    inside = _inside(reference, response)
    if reference is None or inside is None:
        return portable_reference(reference)
    identifiers = (portable_identifier(found) for found in _identifiers(inside))
    identifier = next((found for found in identifiers if found is not None), None)
    named = {"type": inside["resourceType"], **({"identifier": identifier} if identifier else {})}
    named |= portable_reference(reference) or {}
    return named if named.keys() & {"identifier", "display"} else named | {"display": CONTAINED}


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


def portable_coding(coding: Json) -> MutableJson:
    """Returns of a Coding what can stand in another resource."""
    return {name: coding[name] for name in _CODING if name in coding}


def portable_quantity(quantity: Json) -> MutableJson:
    """Returns of a Quantity what can stand in another resource."""
    return {name: quantity[name] for name in _QUANTITY if name in quantity}


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


# Whom and what a response is about, where it contains them.

_KEPT: Final = {
    "Patient": "identifier:Identifier* active:boolean name:HumanName* birthDate:date "
    "gender:code{male|female|other|unknown}",
    "Group": "identifier:Identifier* active:boolean name:string actual:boolean! quantity:unsignedInt "
    "type:code!{person|animal|practitioner|device|medication|substance}",
    "Encounter": "identifier:Identifier* class:Coding! type:CodeableConcept* period:Period "
    "status:code!{planned|arrived|triaged|in-progress|onleave|finished|cancelled|entered-in-error|unknown}",
}
"""What a result keeps of a contained resource: who or what it is; no picture, text, address or contact."""

_NOT_KEPT: Final = frozenset({"id", "extension", "assigner"})


class _About(NamedTuple):
    """A Reference as a result has it, and what the result contains for it."""

    reference: Json | None
    contained: Json | None


@cache
def _kept_shapes() -> Mapping[str, Shape]:
    return {name: shape_of(name, body) for name, body in _KEPT.items()}


def _about(response: Json, name: str) -> _About:
    reference = response.get(name)
    inside = _inside(reference, response)
    kept = None if inside is None else _kept(inside, name)
    if reference is None or kept is None:
        return _About(referred(reference, response), None)
    stated = {key: reference[key] for key in ("type", "display") if key in reference}
    identifier = portable_identifier(reference.get("identifier"))
    stated |= {} if identifier is None else {"identifier": identifier}
    return _About({"reference": f"#{name}", **stated}, kept)


def _inside(reference: Json | None, response: Json) -> Json | None:
    """Returns the contained resource that a Reference leads to, or None."""
    literal = "" if reference is None else reference.get("reference", "")
    found = (inside for inside in mappings(response.get("contained")) if literal == f"#{inside.get('id')}")
    return next(found, None)


def _identifiers(resource: Json) -> Iterator[Json]:
    """Yields the identifiers of a contained resource of any type; one that is none of R4 is passed over."""
    stated = resource.get("identifier")
    listed = stated if isinstance(stated, list) else [stated]
    return (found for found in listed if isinstance(found, dict) and is_of_type(found, "Identifier"))


def _kept(resource: Json, name: str) -> Json | None:
    """Returns a contained resource as a result contains it, or None where it would not be one of R4."""
    shape = _kept_shapes().get(resource["resourceType"])
    if shape is None:
        return None
    plain = _plain({key: member for key, member in resource.items() if key in shape.elements})
    kept = {key: member for key, member in plain.items() if _is_sound(member, shape.elements[key])}
    if any(names.isdisjoint(kept) for _, names in shape.required):
        return None
    return {"resourceType": resource["resourceType"], "id": name, **kept}


def _plain(value: Any) -> Any:
    """Returns a value without ids, extensions and what refers to something else."""
    if isinstance(value, list):
        return [plain for member in value if (plain := _plain(member)) not in (None, {}, [])]
    if not isinstance(value, dict):
        return value
    members = ((name, _plain(member)) for name, member in value.items() if _is_plain(name))
    return {name: member for name, member in members if member not in (None, {}, [])}


def _is_plain(name: str) -> bool:
    return name not in _NOT_KEPT and not name.startswith("_")


def _is_sound(member: Any, element: Element) -> bool:
    if element.many is not isinstance(member, list):
        return False
    return all(_is_of(value, element) for value in (member if element.many else [member]))


def _is_of(value: Any, element: Element) -> bool:
    if type(value) not in element.types:
        return False
    if element.shape:
        return is_of_type(value, element.shape)
    return element.accepts is None or bool(element.accepts(value))
