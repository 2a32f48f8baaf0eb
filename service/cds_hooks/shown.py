"""Remembers which cards were shown and what became of them: one that was overridden is not shown again.

A card is known by a keyed digest of its uuid, which is made of the patient and of all that gave a reason for
it: once something changes it is another card. The patient too is known by a keyed digest only, so that
erasure finds what is about somebody whose name the operator knows. Neither can be read back out of the store,
nor be tried out without the key, which does not stand in it.

Source:
    CDS Hooks 2.0.1, section "Feedback".
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from hashlib import sha256
from typing import Final
from uuid import UUID, uuid5

import msgspec

from service.cds_hooks.cards import SUGGESTIONS, ShownCard
from service.cds_hooks.feedback import ACCEPTED, OTHER, OVERRIDDEN, Feedback
from service.storage.entries import Reference
from service.storage.model import (
    AlreadyExists,
    Draft,
    Erasing,
    Name,
    ReferenceToIdentifier,
    Store,
    StoreFault,
    Writing,
)

CARD: Final = "CdsCard"
"""The type of the records: one for each card."""

MOST_OUTCOMES: Final = 50
"""Most that is kept about one card."""

_PATIENT: Final = "card-patient"
_PAGE: Final = 500
_LOG: Final = logging.getLogger("service.cds")

_Outcome = tuple[str, str, tuple[str, ...]]


class Kept(msgspec.Struct, frozen=True):
    """What the store keeps of a card: digest of the patient, and of each outcome what, when and details."""

    patient: str
    guidance: str
    says: str
    outcomes: tuple[_Outcome, ...] = ()

    @property
    def is_overridden(self) -> bool:
        """Whether somebody said no."""
        return any(outcome == OVERRIDDEN for outcome, _, _ in self.outcomes)


_DECODER: Final = msgspec.json.Decoder(Kept)


def kept_in(body: bytes) -> Kept:
    """Reads the card of a record."""
    return _DECODER.decode(body)


class ShownCards:
    """The cards that were shown.

    Args:
        store: where it stands; each tenant has its own.
        key: of the digests; at least 32 bytes.
        now: microseconds since 1970 UTC.
    """

    def __init__(self, store: Store, key: bytes, now: Callable[[], int]) -> None:
        self._store = store
        self._key = key
        self._now = now

    def shows(self, card: ShownCard) -> bool:
        """Returns whether a card is to be shown, and notes that it is.

        Where the store cannot be had it is shown: rather twice than never.
        """
        tenant, name = card.tenant, self._digest("card", card.tenant, card.uuid)
        try:
            with self._store.reading(tenant) as view:
                found = view.read(CARD, name)
            if found is not None:
                return not kept_in(found.body).is_overridden
            with self._store.writing(tenant) as transaction:
                transaction.create(self._draft(card, name))
        except AlreadyExists:  # another call for the same card was first
            return True
        except StoreFault:
            _LOG.warning({"event": "cds-cards", "note": "The store cannot be had: overrides are not seen."})
        return True

    def _draft(self, card: ShownCard, name: str) -> Draft:
        patient = patient_digest(self._key, card.tenant, card.patient)
        return self._written(name, Kept(patient, card.guidance, card.says))

    def _written(self, name: str, kept: Kept) -> Draft:
        entries = (Reference(_PATIENT, identifier=("", kept.patient)),)
        return Draft(CARD, name, self._now(), msgspec.json.encode(kept), entries)

    def take(self, tenant: str, feedback: Iterable[Feedback]) -> None:
        """Keeps what became of cards of a tenant, all of it or nothing; the same again changes nothing.

        Cards that were not shown to this tenant are passed over: there is nothing that they could be
        counted for, and nobody can fill the store with them.

        Raises:
            StoreFault: nothing was kept.
        """
        named = sorted((self._digest("card", tenant, given.card), given) for given in feedback)
        with self._store.writing(tenant) as transaction:
            for name, given in named:
                self._add(transaction, name, given)

    def _add(self, transaction: Writing, name: str, given: Feedback) -> None:
        found = transaction.read_to_update(CARD, name)
        if found is None or found.deleted:
            return
        kept = kept_in(found.body)
        added: _Outcome = (given.outcome, given.at, _details(given))
        if added in kept.outcomes or len(kept.outcomes) >= MOST_OUTCOMES:
            return
        changed = msgspec.structs.replace(kept, outcomes=(*kept.outcomes, added))
        transaction.update(self._written(name, changed))

    def _digest(self, *parts: str) -> str:
        return _digest(self._key, *parts)


def _details(given: Feedback) -> tuple[str, ...]:
    """Returns reasons as they are, and the names of suggestions: their ids are made of the card's."""
    if given.outcome != ACCEPTED:
        return given.details
    names = {str(uuid5(UUID(given.card), name)): name for name in SUGGESTIONS}
    return tuple(sorted({names.get(of_id, OTHER) for of_id in given.details}))


def _digest(key: bytes, *parts: str) -> str:
    return hmac.new(key, msgspec.json.encode(parts), sha256).hexdigest()


# Erasure.


def patient_digest(key: bytes, tenant: str, patient: str) -> str:
    """Returns the digest that stands for the patient with this id."""
    return _digest(key, "patient", tenant, patient)


def cards_of(view: Erasing, key: bytes, tenant: str, patients: Iterable[str]) -> AbstractSet[Name]:
    """Returns the cards of patients of a tenant, to be erased in the same transaction.

    Args:
        view: the transaction, of that tenant.
        key: that of the service: cards from the time of another key cannot be told apart any more.
        tenant: its name.
        patients: their ids, whatever the server: an erasure too many shows a card again.
    """
    references = [ReferenceToIdentifier(patient_digest(key, tenant, of_id), "") for of_id in patients]
    return set(view.named([_PATIENT], references)) if references else set()
