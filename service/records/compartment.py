"""A view of the store in which everything beyond a reach does not exist.

A resource is in the compartment of its subject, a patient: a response and its result by what they
say, a Provenance by the subject of its response, an AuditEvent by an entity that is the patient. R4 counts
author and source in as well; here they do not give access, since what somebody answered about another person
is that person's. The current version must be in the compartment, and so must an older one that is asked for:
what was filed with the wrong patient is not shown to either of them by way of its history.

Source:
    R4 compartmentdefinition-patient.html, security.html#AccessDenied; SMART App Launch 2.2, finer-grained
    resource constraints using search parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from service.datatypes.values import replace
from service.errors import Forbidden, Malformed, Problem
from service.records.drafts import AUDIT, PROVENANCE, RESPONSE, RISK
from service.records.meta import Members, members
from service.records.reach import Reach
from service.search import SUBJECT, parameters_of, subject_entries, target_of
from service.search.query import criterion_from
from service.storage.model import (
    ALWAYS,
    AnyCriterion,
    AnyReference,
    Criterion,
    History,
    IdIs,
    Page,
    Period,
    Reading,
    Record,
    ReferenceTo,
    ReferenceToUrl,
    Search,
)

ReachOf = Callable[[str], Reach | None]
"""What may be touched of a type of resource; None for nothing."""

_BY: Final = {RESPONSE: "subject", RISK: "subject", PROVENANCE: SUBJECT, AUDIT: "entity"}
_TRAIL: Final = (PROVENANCE, AUDIT)  # of each version of a response, whose id is part of theirs
_COUNTED_AT_ONCE: Final = 200
_OTHER_PATIENT: Final = Problem(
    "beyond-access",
    "subject: expected the patient whom the token names.",
    f"{RESPONSE}.subject",
)
_OTHER_IDENTIFIER: Final = Problem(
    "beyond-access",
    "subject.identifier: expected none, or the one that is stored: the token does not say whose it is.",
    f"{RESPONSE}.subject.identifier",
)
_NOT_COVERED: Final = Problem(
    "beyond-access",
    "The token does not permit this. Expected a resource that its scope covers.",
)
_SUBJECT_IN: Final = frozenset(("resourceType", "subject", "contained"))


@lru_cache(maxsize=256)  # as many tokens as are likely to be in use at a time
def criteria_of(kind: str, reach: Reach, base: str) -> tuple[AnyCriterion, ...]:
    """Returns the criteria that every resource of the type must meet.

    Args:
        kind: type of resource.
        reach: what may be touched.
        base: public FHIR base.

    Raises:
        Forbidden: a criterion of the scope is not understood; left out, it would widen access.
    """
    narrowed = tuple(_criterion(kind, name, value, base) for name, value in reach.criteria)
    if not reach.patients:
        return narrowed
    patients = tuple(_reference(name, base) for name in reach.patients)
    by_id = sorted(patients, key=lambda found: not isinstance(found, ReferenceTo))  # the search begins there
    return (Criterion(_BY[kind], tuple(by_id)), *narrowed)


def _criterion(kind: str, name: str, value: str, base: str) -> AnyCriterion:
    first, _, modifier = name.partition(":")
    parameter = parameters_of(kind).get(first)
    try:
        found = None if parameter is None else criterion_from(parameter, modifier, value, base)
    except Malformed:
        found = None
    if found is None:
        raise Forbidden(_NOT_COVERED)
    return found


def _reference(name: str, base: str) -> AnyReference:
    target = target_of(name, base)
    return ReferenceTo(target.id, target.type) if target.id else ReferenceToUrl(target.url)


def check_subject(data: bytes, reach: Reach, base: str) -> None:
    """Returns if the response is about the one patient of the reach, or the reach is of all patients.

    Args:
        data: a QuestionnaireResponse, known to be valid.
        reach: what may be touched.
        base: public FHIR base.

    Raises:
        Forbidden: it is about somebody else, or about nobody.
    """
    if reach.patients and not _is_about_patient(members(data), reach, base):
        raise Forbidden(_OTHER_PATIENT)


def check_identifiers(data: bytes, reach: Reach, base: str, current: bytes = b"{}") -> None:
    """Returns if the subject is named by no identifier of which only the sender says whose it is.

    Whoever may write about one patient could otherwise have a response found, exported and erased as that of
    whoever has the identifier. One that stands in the current version was written by somebody who may.

    Args:
        data: a QuestionnaireResponse, known to be valid.
        reach: what may be touched.
        base: public FHIR base.
        current: the version that it takes the place of, within the reach.

    Raises:
        Forbidden: it has such an identifier, and the reach is of one patient.
    """
    if reach.patients and not _identifiers(data, base) <= _identifiers(current, base):
        raise Forbidden(_OTHER_IDENTIFIER)


def _identifiers(response: bytes, base: str) -> set[tuple[str, str]]:
    entries = subject_entries(_subject_in(members(response)), base)
    return {entry.identifier for entry in entries if entry.identifier}


def check_subjects(data: bytes, reach: Reach, base: str) -> None:
    """Raises Forbidden if a response in a body that is not stored is about somebody beyond the reach.

    A response that names no subject passes: what it comes to is attributed to nobody, and is not stored.

    Args:
        data: a QuestionnaireResponse or Parameters with some, known to be strict JSON.
        reach: what may be touched.
        base: public FHIR base.

    Raises:
        Forbidden: a response is about somebody else than the one patient of the reach.
    """
    if not reach.patients:
        return
    for response in _responses(data):
        if "subject" in response and not _is_about_patient(response, reach, base):
            raise Forbidden(_OTHER_PATIENT)


def _is_about_patient(response: Members, reach: Reach, base: str) -> bool:
    patients = [_reference(name, base) for name in reach.patients]
    named = (
        ReferenceTo(entry.id, entry.type) if entry.id else ReferenceToUrl(entry.url)
        for entry in subject_entries(_subject_in(response), base)
    )
    return any(reference in patients for reference in named)


def _subject_in(response: Members) -> dict[str, Any]:
    return {name: msgspec.json.decode(raw) for name, raw in response.items() if name in _SUBJECT_IN}


def _responses(data: bytes) -> Iterator[Members]:
    whole = members(data)
    if _kind(whole) == RESPONSE:
        yield whole
    for parameter in msgspec.json.decode(whole.get("parameter", b"[]"), type=list[Members]):
        resource = members(parameter.get("resource", b"{}"))
        if _kind(resource) == RESPONSE:
            yield resource


def _kind(resource: Members) -> Any:
    return msgspec.json.decode(resource.get("resourceType", b"null"))


def check_stored(view: Reading, of_id: str, reach: Reach, base: str) -> None:
    """Returns if the response that was just stored is within the reach; raises Forbidden."""
    if reach.criteria and Limited(view, lambda _: reach, base).read(RESPONSE, of_id) is None:
        raise Forbidden(_NOT_COVERED)


def _response_of(told: Record) -> str:
    return told.id.rpartition(".")[0]


class Limited(msgspec.Struct, frozen=True):
    """A view in which only what may be touched exists; see model.Reading.

    Args:
        view: of one tenant.
        reach_of: what of each type may be touched.
        base: public FHIR base.
    """

    view: Reading
    reach_of: ReachOf
    base: str

    def read(self, type: str, id: str) -> Record | None:
        """Returns the current version; of a limited type no tombstone."""
        criteria = self._criteria(type)
        if not criteria:
            return None if criteria is None else self.view.read(type, id)
        found = self.view.search(Search(type, (IdIs((id,)), *criteria), limit=1)).records
        if self._is_of_one_patient(type):
            found = self._still_theirs(found)
        return found[0] if found else None

    def read_version(
        self, type: str, id: str, version: int, criteria: Sequence[AnyCriterion] = ()
    ) -> Record | None:
        """Returns that version, if it meets the criteria."""
        own = self._criteria(type)
        if own is None or (own and self.read(type, id) is None):
            return None
        return self.view.read_version(type, id, version, (*criteria, *own))

    def history(
        self,
        type: str,
        id: str,
        *,
        limit: int,
        before: int | None = None,
        period: Period = ALWAYS,
        criteria: Sequence[AnyCriterion] = (),
    ) -> History:
        """Returns versions of the period below `before` that meet the criteria, newest first."""
        own = self._criteria(type)
        if own is None or (own and self.read(type, id) is None):
            return History((), 0)
        whole = (*criteria, *own)
        return self.view.history(type, id, limit=limit, before=before, period=period, criteria=whole)

    def search(self, search: Search) -> Page:
        """Returns one page of what the search finds."""
        within = self.within(search)
        if within is None:
            return Page((), 0 if search.total else None)
        page = self.view.search(within)
        if not self._is_of_one_patient(search.type):
            return page
        total = self._count(within) if page.total else page.total
        return replace(page, records=self._still_theirs(page.records), total=total)

    def within(self, search: Search) -> Search | None:
        """Returns the search limited to the reach; None if the reach has nothing of its type."""
        own = self._criteria(search.type)
        if own is None:
            return None
        return replace(search, criteria=(*search.criteria, *own)) if own else search

    def _is_of_one_patient(self, kind: str) -> bool:
        """Returns whether only the trail of one patient's responses may be read of this kind."""
        reach = self.reach_of(kind) if kind in _TRAIL else None
        return reach is not None and bool(reach.patients)

    def _still_theirs(self, told: tuple[Record, ...]) -> tuple[Record, ...]:
        """Returns the records without those of versions of a response that is another patient's by now."""
        reach = self.reach_of(told[0].type) if told else None
        if reach is None:
            return ()
        ids = tuple(dict.fromkeys(map(_response_of, told)))
        theirs = criteria_of(RESPONSE, Reach(reach.tenant, reach.patients), self.base)
        found = self.view.search(Search(RESPONSE, (IdIs(ids), *theirs), limit=len(ids))).records
        still = {response.id for response in found}
        return tuple(record for record in told if _response_of(record) in still)

    def _count(self, within: Search) -> int:
        """Returns how many records a search finds on all of its pages; one patient has few."""
        count, search = 0, replace(within, limit=_COUNTED_AT_ONCE, after=None, total=False)
        while True:
            page = self.view.search(search)
            count += len(self._still_theirs(page.records))
            if page.next is None:
                return count
            search = replace(search, after=page.next)

    def _criteria(self, kind: str) -> tuple[AnyCriterion, ...] | None:
        reach = self.reach_of(kind)
        return None if reach is None else criteria_of(kind, reach, self.base)
