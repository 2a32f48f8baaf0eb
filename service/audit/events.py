"""What is recorded of an event: the body that stays, and the parts that erasure takes out of it.

The body says what was done, when, through which app, how it ended, and under which request id the log knows
it. Who did it (`agent`) and whose data it was (`entity`) are parts of their own: the body holds the SHA-256
of each. As every part begins with 128 bits of chance, nobody can find out by trying what an erased part
said, and the chain, which covers bodies alone, is the same before and after. No answer, search value or
token is in either.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import msgspec
import orjson

from service.storage.model import (
    AnyReference,
    Head,
    Link,
    LinkPart,
    Name,
    ReferenceTo,
    ReferenceToIdentifier,
    ReferenceToUrl,
)

AGENT: Final = "agent"
ENTITY: Final = "entity"

REQUEST: Final = "request"
ERASURE: Final = "erasure"
EXPIRY: Final = "expiry"
EXPORT: Final = "export"

_MOST_EMPTIED: Final = 500  # parts that one entry names
_SALT: Final = 16  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """A request: who sent it, from where, and what for.

    Args:
        request_id: under which the log knows it, and its answer names it.
        kind: kind of sender, such as `anonymous`, `token`, `cds-client` or `form`.
        tenant: whose data it is about.
        issuer, subject: the person or system that the token stands for, and who vouches for it.
        client: the app.
        address: network address of the sender.
        interaction: FHIR's code, such as `read`; `operation` for what has none.
        operation: its name without `$`; empty if it is none.
        resource: type of resource; empty if it belongs to none.
        route: template of the path, as the log has it.
        patient: a Reference to the one patient whom the token reaches; empty for all patients.
        bodies: what the request brought, as far as it was read.
        whole: what is read, where the answer has a part of it only, which may leave out whom it is about.
    """

    request_id: str = ""
    kind: str = "anonymous"
    tenant: str = ""
    issuer: str = ""
    subject: str = ""
    client: str = ""
    address: str = ""
    interaction: str = "operation"
    operation: str = ""
    resource: str = ""
    route: str = ""
    patient: Mapping[str, Any] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list, repr=False, compare=False)
    whole: list[bytes] = field(default_factory=list, repr=False, compare=False)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request, or of a part of it that is about one patient.

    Args:
        asked: the request.
        at: when, in microseconds since 1970 UTC.
        status: HTTP status of its answer.
        patient: a Reference by `reference` or `identifier`; empty if no patient is known.
        references: what was touched, `Type/id/_history/version` or `Type/id`.
    """

    asked: RecordedRequest
    at: int
    status: int
    patient: Mapping[str, Any] = msgspec.field(default_factory=dict)
    references: Sequence[str] = ()


class _Said(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The body of the entry of a request."""

    event: str
    at: int
    interaction: str = ""
    operation: str = ""
    resource: str = ""
    route: str = ""
    status: int
    request: str = ""
    sender: str = ""
    client: str = ""
    issuer: str = ""
    parts: dict[str, str] = {}


class _Agent(msgspec.Struct, omit_defaults=True):
    salt: str
    issuer: str = ""
    subject: str = ""
    address: str = ""


class _Entity(msgspec.Struct, omit_defaults=True):
    salt: str
    patient: dict[str, Any] = {}
    references: list[str] = []


_encode: Final = msgspec.json.Encoder().encode


def link_of(event: Event) -> Link:
    """Returns the entry of an event."""
    asked = event.asked
    parts = {}
    if asked.issuer or asked.subject or asked.address:
        parts[AGENT] = _encode(_Agent(_salt(), asked.issuer, asked.subject, asked.address))
    if event.patient or event.references:
        parts[ENTITY] = _encode(_Entity(_salt(), dict(event.patient), list(event.references)))
    said = _Said(
        event=REQUEST,
        at=event.at,
        interaction=asked.interaction,
        operation=asked.operation,
        resource=asked.resource,
        route=asked.route,
        status=event.status,
        request=asked.request_id,
        sender=asked.kind,
        client=asked.client,
        issuer=asked.issuer,
        parts=_digests(parts),
    )
    subject = [(AGENT, _identified(asked.issuer, asked.subject))] if asked.subject else []
    names = [(ENTITY, name) for name in (*_named(event.patient), *map(_unversioned, event.references))]
    return Link(_encode(said), parts, [*subject, *names])


def _body(body: Mapping[str, Any], parts: Mapping[str, bytes]) -> bytes:
    return orjson.dumps(_filled({**body, "parts": _digests(parts)}))


def _digests(parts: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sha256(part).hexdigest() for name, part in parts.items()}


def _sealed(part: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"salt": _salt(), **part})


def _salt() -> str:
    return os.urandom(_SALT).hex()


def _filled(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in ("", [], {})}


# The names by which a part is found when it is to be erased.


def _named(reference: Mapping[str, Any]) -> Iterator[str]:
    if "reference" in reference:
        yield reference["reference"]
    identifier = reference.get("identifier", {})
    if "value" in identifier:
        yield _identified(identifier.get("system", ""), identifier["value"])


def _identified(system: str, value: str) -> str:
    return f"{system}|{value}"


def _unversioned(reference: str) -> str:
    return reference.partition("/_history/")[0]


def names_of(person: Sequence[AnyReference], erased: Collection[Name]) -> set[str]:
    """Returns the names by which parts are found that are about a person, or about what is erased.

    Args:
        person: everything that refers to the person. One who sends requests is found by the identifier
            `issuer|subject` of the person's tokens.
        erased: the records, as pairs of type and id.
    """
    return {*map(_name_of, person), *(f"{of_type}/{of_id}" for of_type, of_id in erased)}


def _name_of(reference: AnyReference) -> str:
    match reference:
        case ReferenceTo(id=of_id, type=of_type):
            return f"{of_type}/{of_id}"
        case ReferenceToUrl(url=url):
            return url
        case ReferenceToIdentifier(value=value, system=system):
            return _identified(system or "", value)
    raise AssertionError(reference)  # pragma: no cover - there is no other kind


# What operators do.


def erasure_links(counts: Mapping[str, int], emptied: Sequence[LinkPart], at: int) -> Iterator[Link]:
    """Yields the entries of an erasure: how much was erased, and which parts of the chain became empty.

    Nothing of them says whose data it was. A part that is missing and that no such entry names was not
    erased by this program.

    Args:
        counts: versions of records that were erased, by type.
        emptied: number of the entry and name of the part.
        at: when, in microseconds since 1970 UTC.
    """
    for first in range(0, max(len(emptied), 1), _MOST_EMPTIED):
        places = [[seq, part] for seq, part in emptied[first : first + _MOST_EMPTIED]]
        own = counts if first == 0 else {}
        body = {"event": ERASURE, "at": at, "sender": "operator", "counts": own, "emptied": places}
        yield Link(_body(body, {}))


def expiry_link(cut: Head, at: int) -> Link:
    """Returns the entry of an expiry of the trail; it holds number and hash of the last entry that went."""
    base = [cut.base_seq, cut.base_hash.hex()]
    return Link(_body({"event": EXPIRY, "at": at, "sender": "operator", "base": base}, {}))


def records_expiry_link(counts: Mapping[str, int], at: int) -> Link:
    """Returns the entry of records whose term is over; it says how many went, and nothing of whose they were.

    Args:
        counts: versions of records that were deleted, by type.
        at: when, in microseconds since 1970 UTC.
    """
    return Link(_body({"event": EXPIRY, "at": at, "sender": "operator", "counts": counts}, {}))


def export_link(person: Sequence[AnyReference], at: int) -> Link:
    """Returns the entry that says that a person's data were exported."""
    names = sorted(names_of(person, ()))
    part = {ENTITY: _sealed({"references": names})}
    body = {"event": EXPORT, "at": at, "sender": "operator"}
    return Link(_body(body, part), part, [(ENTITY, name) for name in names])


def results_export_link(at: int) -> Link:
    """Returns the entry of an export of the results of all stored responses; it names nobody."""
    return Link(_body({"event": EXPORT, "at": at, "sender": "operator", "resource": "RiskAssessment"}, {}))
