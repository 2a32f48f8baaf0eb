"""Which resources an answer holds, in which versions and of which patients, but nothing of what they say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from service.search import target_of

_HISTORY: Final = "/_history/"


class Content(NamedTuple):
    """Resources of one patient.

    Args:
        patient: a Reference by `reference` or `identifier`, without the name of the person; empty for none.
        references: `Type/id/_history/version`, or what of it is known.
    """

    patient: Mapping[str, Any]
    references: tuple[str, ...]


class _Reference(msgspec.Struct):
    reference: str = ""
    identifier: dict[str, Any] = {}


class _Meta(msgspec.Struct):
    versionId: str = ""  # noqa: N815 - as FHIR has it


class _Resource(msgspec.Struct):
    resourceType: str = ""  # noqa: N815 - as FHIR has it
    id: str = ""
    meta: _Meta | None = None
    subject: _Reference | None = None
    entry: list[_Entry] = []
    parameter: list[_Entry] = []


class _Entry(msgspec.Struct):
    resource: _Resource | None = None


class _Context(msgspec.Struct):
    patientId: str = ""  # noqa: N815 - as CDS Hooks has it


class _Call(msgspec.Struct):
    """A call of CDS Hooks; it may have further members, whatever they are called and hold."""

    context: _Context | None = None


_decode: Final = msgspec.json.Decoder(_Resource).decode
_decode_call: Final = msgspec.json.Decoder(_Call).decode


def contents_of(body: bytes, base: str) -> tuple[Content, ...]:
    """Returns the contents of an answer, grouped by patient.

    Args:
        body: JSON; of a Bundle, what its entries hold counts.
        base: public FHIR base, below which an absolute url is a relative reference.

    Returns:
        Nothing for what is no resource, and for resources that have no id and are about nobody.
    """
    resource = _read(body)
    found: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for held in _resources(resource):
        patient = patient_of(_plain(held.subject), base)
        _, references = found.setdefault(repr(patient), (patient, []))
        references += [named(held.resourceType, held.id, held.meta.versionId if held.meta else "")]
    contents = (Content(patient, tuple(filter(None, names))) for patient, names in found.values())
    return tuple(content for content in contents if content.patient or content.references)


def patients_in(body: bytes, base: str) -> tuple[dict[str, Any], ...]:
    """Returns the patients whom a request is about that brings resources, or calls a service of CDS Hooks."""
    found = [patient_of(_plain(sent.subject), base) for sent in _resources(_read(body))]
    found += [patient_of({"reference": f"Patient/{of_id}"}, base) for of_id in _called_for(body)]
    return tuple({repr(patient): patient for patient in found if patient}.values())


def _called_for(body: bytes) -> Iterator[str]:
    """Yields the id of the patient of a call of CDS Hooks."""
    try:
        context = _decode_call(body).context
    except (msgspec.MsgspecError, RecursionError):
        return
    if context is not None and context.patientId:
        yield context.patientId


def _read(body: bytes) -> _Resource:
    """Reads as much of a body as is JSON with the types of FHIR."""
    try:
        return _decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return _Resource()


def _resources(resource: _Resource) -> Iterable[_Resource]:
    inside = [
        entry.resource for entry in (*resource.entry, *resource.parameter) if entry.resource is not None
    ]
    return inside if resource.resourceType in ("Bundle", "Parameters") else (resource,)


def _plain(reference: _Reference | None) -> Mapping[str, Any]:
    return {} if reference is None else msgspec.to_builtins(reference)


def named(of_type: str, of_id: str, version: str = "") -> str:
    """Returns a reference; empty if there is no id."""
    if not of_id:
        return ""
    return f"{of_type}/{of_id}{_HISTORY}{version}" if version else f"{of_type}/{of_id}"


def patient_of(reference: Mapping[str, Any], base: str) -> dict[str, Any]:
    """Returns the patient's reference without the display, which is a person's name."""
    return dict(_members(reference, base))


def _members(reference: Mapping[str, Any], base: str) -> Iterator[tuple[str, Any]]:
    text = reference.get("reference", "")
    if text and not text.startswith("#"):
        target = target_of(text, base)
        yield "reference", f"{target.type}/{target.id}" if target.id else target.url
    identifier = reference.get("identifier") or {}
    known = {name: identifier[name] for name in ("system", "value") if isinstance(identifier.get(name), str)}
    if "value" in known:
        yield "identifier", known
