"""Finds what belongs to a person or a response in the data of one tenant, and deletes it for good.

To two tenants one reference may be two people: nothing here reaches from one tenant into another.

A person is found where a response names the person as subject, author or source: by reference, by
identifier, or as a contained resource with identifiers; in any version. With the response goes what was
made of it. Nobody is found by a display, a name in free text or an answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from typing import Any, Final, NamedTuple

import orjson

from service.audit import erasure_links, expiry_link, names_of, records_expiry_link
from service.audit.feed import DESTROY
from service.cds_hooks import CARD, cards_of
from service.errors import StartupError
from service.fhir.dates import instant
from service.fhir.primitives import ID
from service.records import APPEND_ONLY, AUDIT, KINDS, PROVENANCE, RESPONSE, RISK, stamped
from service.search import PERSON, entries_of, target_of
from service.storage.model import (
    AnyReference,
    Draft,
    Erasing,
    Name,
    ReferenceTo,
    ReferenceToIdentifier,
    ReferenceToUrl,
    Store,
)

# A person as an operator names one, as the references by which a store knows the person.

Person = tuple[AnyReference, ...]

_NAME = re.compile(rf"[A-Z][A-Za-z]+/{ID}|[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_IDENTIFIER = re.compile(r"[^|]*\|.+", re.DOTALL)
_PATIENT = re.compile(rf"(?:^|/)Patient/({ID})$")
_A_NAME = "expected a type with an id, such as Patient/123, or an absolute URL"
_AN_IDENTIFIER = "expected system|value"


def person_from(names: Sequence[str], identifiers: Sequence[str], base: str) -> Person:
    """Returns everything that refers to the person who is named so, in one way or in several.

    Args:
        names: `Patient/123` or absolute urls.
        identifiers: `system|value`; `|value` for an identifier that has no system.
        base: public FHIR base; an absolute url below it is the relative reference.

    Raises:
        StartupError: a name is neither; the fault says which one it is, and does not repeat it.
    """
    wrong_names = (f"PERSON {place}: {_A_NAME}." for place in _misfits(names, _NAME))
    wrong = (f"--identifier {place}: {_AN_IDENTIFIER}." for place in _misfits(identifiers, _IDENTIFIER))
    faults = [*wrong_names, *wrong]
    if faults:
        raise StartupError(faults)
    literal = [reference for name in names for reference in _references(name, base)]
    return (*literal, *map(_identified, identifiers))


def _misfits(texts: Sequence[str], pattern: re.Pattern[str]) -> Iterator[int]:
    return (place for place, text in enumerate(texts, start=1) if not pattern.fullmatch(text))


def _references(name: str, base: str) -> Iterator[AnyReference]:
    target = target_of(name, base)
    if not target.id:
        yield ReferenceToUrl(target.url)
        return
    yield ReferenceTo(target.id, target.type)
    # Stored while the base was another one, the same reference is a foreign url.
    yield ReferenceToUrl(f"{base}/{target.type}/{target.id}")


def _identified(identifier: str) -> AnyReference:
    system, _, value = identifier.partition("|")
    return ReferenceToIdentifier(value, system)


# What is deleted: records of a person, or all that was made of a response.

Selector = Callable[[Erasing], Set[Name]]
"""What is to be deleted, found in the transaction that deletes it."""


def of_person(person: Sequence[AnyReference]) -> Selector:
    """Selects everything of which one version refers to the person, and the rest of those responses."""

    def selected(view: Erasing) -> Set[Name]:
        found = view.named([PERSON], person)
        responses = [of_id for kind, of_id in found if kind == RESPONSE]
        return {*found, *_families(view, responses, APPEND_ONLY)}

    return selected


def of_cards(key: str, tenant: str, names: Sequence[str]) -> Selector:
    """Selects the records of cards that were shown about patients.

    Args:
        key: the secret key of the digests; without one nobody can tell whom cards are about.
        tenant: whose data it is.
        names: `Patient/123` or absolute urls that end so; others name no patient.
    """
    patients = [found[1] for name in names if (found := _PATIENT.search(name))]

    def selected(view: Erasing) -> Set[Name]:
        return cards_of(view, key.encode(), tenant, patients) if key else set()

    return selected


def of_response(of_id: str) -> Selector:
    """Selects a response and everything that was made of it."""

    def selected(view: Erasing) -> Set[Name]:
        return set(_families(view, [of_id], APPEND_ONLY))

    return selected


def _families(view: Erasing, responses: Sequence[str], trail: Collection[str]) -> Iterator[Name]:
    """Yields responses, their results, and what of their trail there is: `X.1`, `X.2` ... of response `X`."""
    for of_id in responses:
        yield RESPONSE, of_id
        yield RISK, of_id
        for kind in trail:
            for name in view.beginning(kind, f"{of_id}."):
                if name[1].removeprefix(f"{of_id}.").isdecimal():
                    yield name


# Erasure of what is selected, and expiry of what is old.

_DAY = 24 * 60 * 60 * 1_000_000  # microseconds
_BATCH = 100  # responses that one transaction deletes; others wait for it


class Periods(NamedTuple):
    """How many days after their last change records are kept; 0 keeps them for ever.

    Args:
        responses: responses, with their results and provenance; and the cards that were shown.
        audit: audit records.
    """

    responses: int
    audit: int


class EventStamp(NamedTuple):
    """What the record of an erasure is given.

    Args:
        id: its id.
        now: microseconds since 1970 UTC.
        base: public FHIR base.
        by: who had it erased, in words that name nobody.
    """

    id: str
    now: int
    base: str
    by: str = "Operator, by the command erase"


def tenants(store: Store) -> tuple[str, ...]:
    """Returns the tenants of whom something is stored, in order; the first may be the one without a name."""
    of_records = (tenant for kind in (*KINDS, CARD) for tenant in store.tenants(kind))
    return tuple(sorted({*of_records, *(head.tenant for head in store.heads())}))


def count(store: Store, selectors: Sequence[Selector], tenant: str = "") -> Mapping[str, int]:
    """Returns how many versions `erase` would delete, by type."""
    with store.erasing(tenant) as transaction:
        return transaction.count(_selected(transaction, selectors))


def erase(
    store: Store, selectors: Sequence[Selector], event: EventStamp, tenant: str = "", *, person: Person = ()
) -> Mapping[str, int]:
    """Deletes what is selected, and records how much it was, but not whom it was about.

    What the audit trail says of the person and of the records is erased too; that something was done, when
    and through which app stays in it.

    Args:
        store: where.
        selectors: what.
        event: the record of it, which is the tenant's too.
        tenant: whose data it is.
        person: who is to be forgotten in the audit trail, also as the sender of requests.

    Returns:
        How many versions were deleted, by type. Their bytes stay in files until `Store.scrub` has run.
    """
    with store.erasing(tenant) as transaction:
        names = _selected(transaction, selectors)
        counts = transaction.erase(names)
        emptied = transaction.empty(names_of(person, names))
        if counts:
            transaction.create(_record(counts, event))
        if counts or emptied:
            for link in erasure_links(counts, emptied, event.now):
                transaction.chain(link, event.now)
    return counts


def _selected(view: Erasing, selectors: Sequence[Selector]) -> Set[Name]:
    return {name for selector in selectors for name in selector(view)}


def expire(store: Store, periods: Periods, now: int) -> Mapping[str, int]:
    """Deletes what was last changed longer ago than the periods allow, of all tenants.

    A response and what was made of all its versions end together; audit records have their own period. What
    a transaction deletes, it records in the audit trail of the tenant: numbers, and nobody's name.

    Args:
        store: where.
        periods: how long.
        now: microseconds since 1970 UTC.

    Returns:
        How many versions were deleted, by type. What a short transaction deleted stays deleted when a
        later one fails.
    """
    total: Counter[str] = Counter()
    kinds = (RESPONSE, periods.responses), (CARD, periods.responses), (AUDIT, periods.audit)
    for kind, days in kinds:
        for tenant in store.tenants(kind) if days else ():
            for counts in _expired(store, tenant, kind, (now - days * _DAY, now)):
                total.update(counts)
    if periods.audit:
        expire_trail(store, now - periods.audit * _DAY, now)
    return dict(total)


def expire_trail(store: Store, before: int, now: int) -> None:
    """Deletes the oldest entries of every tenant's audit trail, and records which was the last of them."""
    for head in store.heads():
        with store.erasing(head.tenant) as transaction:
            cut = transaction.cut(before)
            if cut is not None:
                transaction.chain(expiry_link(cut, now), now)


def _expired(store: Store, tenant: str, kind: str, period: tuple[int, int]) -> Iterator[Mapping[str, int]]:
    since, now = period
    counts: Mapping[str, int] = {kind: 1}
    while counts:
        with store.erasing(tenant) as transaction:
            names = transaction.unchanged(kind, since=since, limit=_BATCH)
            responses = [of_id for found, of_id in names if found == RESPONSE]
            counts = transaction.erase({*names, *_families(transaction, responses, [PROVENANCE])})
            if counts:
                transaction.chain(records_expiry_link(counts, now), now)
        yield counts


# The record that data was erased: it says how much was, and nothing of whose it was.


def _record(counts: Mapping[str, int], event: EventStamp) -> Draft:
    recorded = instant(event.now)
    body = stamped(erasure_event(counts, recorded, event.by), event.id, 1, recorded)
    return Draft(AUDIT, event.id, event.now, body, entries_of(orjson.loads(body), event.base))


_A_CARD: Final = {"display": "Card of CDS Hooks"}  # no resource has this type
_RESOURCE_TYPES: Final = "http://hl7.org/fhir/resource-types"
_DIV: Final = '<div xmlns="http://www.w3.org/1999/xhtml"><p>What was stored of a person was erased.</p></div>'


def erasure_event(counts: Mapping[str, int], recorded: str, by: str) -> bytes:
    """Returns the AuditEvent of an erasure, without id.

    Args:
        counts: versions that were deleted, by type of resource.
        recorded: FHIR instant.
        by: who had it erased.

    Source:
        R4 auditevent.html; type of event from ISO 21089, as the value set that R4 binds has it.
    """
    document = {
        "resourceType": "AuditEvent",
        "text": {"status": "generated", "div": _DIV},
        "type": DESTROY,
        "action": "D",
        "recorded": recorded,
        "outcome": "0",
        "agent": [{"who": {"display": by}, "requestor": True}],
        "source": {"observer": {"display": "Questionnaire guidance service"}},
        "entity": [_entity(kind, versions) for kind, versions in sorted(counts.items())],
    }
    return orjson.dumps(document)


def _entity(kind: str, versions: int) -> dict[str, Any]:
    return {
        "type": _A_CARD if kind == CARD else {"system": _RESOURCE_TYPES, "code": kind, "display": kind},
        "lifecycle": DESTROY,
        "detail": [{"type": "versions deleted", "valueString": str(versions)}],
    }
