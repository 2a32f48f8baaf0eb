"""Makes all records to store for one version of a response.

Version n of response X is four records: `QuestionnaireResponse/X`, the next version of
`RiskAssessment/X` (a result has the id of its response), `Provenance/X.n` and `AuditEvent/X.n`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from service.assess import Judged
from service.errors import Problem
from service.fhir.dates import instant
from service.records.meta import Members, members, stamped_members
from service.records.provenance import Step, audit_event, provenance
from service.results import withdrawn
from service.search import elements_of, entries_of, person_entries, subject_entries
from service.storage.entries import Entry
from service.storage.model import Draft, Record

RESPONSE: Final = "QuestionnaireResponse"
RISK: Final = "RiskAssessment"
PROVENANCE: Final = "Provenance"
AUDIT: Final = "AuditEvent"


class Content(NamedTuple):
    """A response as it was sent, and its result.

    Args:
        of_id: the id that it is stored under.
        given: its members, known to be strict JSON.
        judged: its result.
        updated: microseconds since 1970 UTC.
        notices: what its sender should know of how it is stored.
    """

    of_id: str
    given: Members
    judged: Judged
    updated: int
    notices: tuple[Problem, ...] = ()


class Drafts(NamedTuple):
    """The records to store; `risk` is None if the response has no result and had none."""

    response: Draft
    risk: Draft | None
    trail: tuple[Draft, Draft]


def drafts_of(content: Content, base: str, *, before: Record | None, risk_before: Record | None) -> Drafts:
    """Returns the records of the next version.

    Every one of them is found by each person that the response is about: whoever is to be forgotten
    is forgotten in all of them.

    Args:
        content: the response.
        base: public FHIR base, for references in the index.
        before, risk_before: the current versions of the response and of its result; None if there is none.
    """
    recorded = instant(content.updated)
    version, risk_version = _next(before), _next(risk_before)
    body = stamped_members(content.given, content.of_id, version, recorded)
    resource = _searched(RESPONSE, content.given)
    risk = _risk(content, risk_before)
    step = Step(
        response=_versioned(RESPONSE, content.of_id, version),
        before="" if before is None else _versioned(RESPONSE, content.of_id, before.version),
        risk="" if risk is None else _versioned(RISK, content.of_id, risk_version),
        guidance=content.judged.guidance,
        recorded=recorded,
    )
    new = _Version(content.updated, recorded, base, person_entries(resource, base))
    trail_id = f"{content.of_id}.{version}"
    return Drafts(
        new.draft(resource, content.of_id, body),
        None if risk is None else new.of_risk(risk, content.of_id, risk_version),
        (
            new.of_trail(provenance(step, resource), trail_id, subject_entries(resource, base)),
            new.of_trail(audit_event(step, resource), trail_id),
        ),
    )


class _Version(NamedTuple):
    """What all records of one version of a response share; makes a draft of each."""

    updated: int
    recorded: str
    base: str
    persons: tuple[Entry, ...]

    def of_risk(self, risk: bytes, of_id: str, version: int) -> Draft:
        given = members(risk)
        body = stamped_members(given, of_id, version, self.recorded)
        return self.draft(_searched(RISK, given), of_id, body)

    def of_trail(self, document: Mapping[str, Any], of_id: str, subject: Sequence[Entry] = ()) -> Draft:
        own = {"id": of_id, "meta": {"versionId": "1", "lastUpdated": self.recorded}}
        whole = {"resourceType": document["resourceType"], **own, **document}
        # Of its id and its meta, in which there is nothing else, nobody finds it.
        return self.draft(document, of_id, orjson.dumps(whole), subject)

    def draft(
        self, resource: Mapping[str, Any], of_id: str, body: bytes, more: Sequence[Entry] = ()
    ) -> Draft:
        entries = (*entries_of(resource, self.base), *self.persons, *more)
        return Draft(resource["resourceType"], of_id, self.updated, body, entries)


def _searched(kind: str, given: Members) -> dict[str, Any]:
    """Returns the members that a resource is found by; the rest, most of it, is not decoded.

    Of its id, version and time, which are put into it when it is stored, nobody finds it.
    """
    wanted = elements_of(kind)
    return {name: _decoded(raw) for name, raw in given.items() if name in wanted}


_decoded = msgspec.json.Decoder().decode


def _risk(content: Content, before: Record | None) -> bytes | None:
    """Returns the new result, or the withdrawn one of a response that is no longer scored."""
    if content.judged.risk is not None or before is None:
        return content.judged.risk
    return withdrawn(before.body, content.judged.withdraws)


def _next(before: Record | None) -> int:
    return 1 if before is None else before.version + 1


def _versioned(kind: str, of_id: str, version: int) -> str:
    return f"{kind}/{of_id}/_history/{version}"
