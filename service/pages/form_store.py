"""Keeps a finished form where the deployment wants that and the person agreed, and deletes it again.

Nothing is kept unless SERVICE_FORM_STORES is true, there is a store, and the box under the consent text was
ticked; without the tick the result is shown all the same.

What keeps others from storing or deleting: there is no cookie and no session that a foreign page could ride
on. A form is known by a random id inside its signed state, which only the pages of this person hold; nobody
can make a state for another form, and none is ever in an address or a log. On top of that a POST from another
site is refused by Sec-Fetch-Site and Origin before it is read.

The record has the id of the form. So a form that is sent twice is stored once, and answers that were changed
afterwards become its next version. One that was deleted is not stored again: a page that was sent before
still says that the person agreed, and a browser sends it again where somebody goes back.

Where tokens say who may touch what, nobody vouches for who fills in a public form. What it stores belongs to
the tenant that the deployment names, is in the compartment of no patient, and so is reached by scopes for all
patients of that tenant alone. A form that names somebody, as one begun from a record does, is not stored:
otherwise anybody could file answers with a patient, or with another tenant's.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from service.errors import Unavailable
from service.fhir.dates import instant
from service.fhir.json import encoded
from service.records import RESPONSE, Reach, Unit, service_errors, stamped
from service.records.meta import members
from service.retention.erasure import EventStamp, erase, of_response
from service.storage.model import AlreadyExists

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.assess import Languages
    from service.fhir.json import Json
    from service.records import Foreseen, Repository
    from service.storage.model import Store

_BY_PERSON: Final = "Person who filled in the form, by the button on its result"
_AT_A_MOMENT: Final = ("id", "meta", "authored", "text")
"""Members that tell two sendings of the same answers apart."""

_REMEMBERED_S: Final = 720 * 3600
"""How long it is known that a form was deleted: as long as its pages can be taken at most."""

_NAMING: Final = frozenset(("subject", "author", "encounter", "basedOn", "partOf"))
"""Members by which a response belongs to somebody; the kind of its source is none."""


class _WasDeleted(Exception):
    """Somebody has deleted the form."""


class FormStore:
    """The store of finished forms.

    Args:
        repository: stores a response with its result.
        store: what the repository stores in.
        base: public FHIR base.
        clock: microseconds since 1970 UTC.
        tenant: whose data it is; empty if there is no access control.
    """

    def __init__(
        self, repository: Repository, store: Store, base: str, clock: Callable[[], int], *, tenant: str = ""
    ) -> None:
        self._repository = repository
        self._store = store
        self._base = base
        self._clock = clock
        self._reach = Reach(tenant)

    def takes(self, head: Json) -> bool:
        """Returns whether a form may be stored, by whom it names.

        Args:
            head: elements of a response, or of the earlier one that a form goes on with.
        """
        names_somebody = _NAMING & head.keys() or {"reference", "identifier"} & head.get("source", {}).keys()
        return not self._reach.tenant or not names_somebody

    def keep(self, form: str, data: bytes, languages: Languages) -> str:
        """Stores what was answered, with its result, and returns the id of the record.

        Of a form that was deleted it stores nothing, and returns an empty text.

        Args:
            form: id of the form, from its signed state.
            data: the response in bytes.
            languages: in which its result is wanted.

        Raises:
            NotScorable, Malformed: it cannot be scored.
            Unavailable: the store cannot be used.
        """
        named = stamped(data, form, 1, instant(self._clock()))
        foreseen = self._repository.foresee(named, form, languages)
        try:
            with suppress(AlreadyExists):  # else it was sent twice, and the other one was faster
                self._put(form, named, foreseen)
                return form
            self._put(form, named, foreseen)
        except _WasDeleted:
            return ""
        return form

    def _put(self, form: str, data: bytes, foreseen: Foreseen) -> None:
        with self._repository.writing(tenant=self._reach.tenant) as transaction:
            unit = Unit(transaction, form, foreseen)
            current = transaction.read_to_update(RESPONSE, form)
            if current is None:
                self._repository.create(data, unit=unit, reach=self._reach)
            elif _answers(current.body) != _answers(data):
                self._repository.update(form, data, unit=unit, reach=self._reach)
            if transaction.is_used(_deleted(form)):  # asked last: what is deleted from now on goes with this
                raise _WasDeleted

    def kept(self, form: str, response: Json, languages: Languages, *, agrees: bool) -> str:
        """Stores what was answered where the person agrees, and returns the id of what is stored, if any.

        Who agreed once, and changes an answer, has the changed answers stored too: old ones would mislead.
        A store that cannot be reached keeps nobody from the result: then nothing is stored.

        Args:
            form, languages: as `keep` takes them.
            response: what was answered.
            agrees: the person has agreed just now.
        """
        if not self.takes(response):
            return ""
        try:
            return self.keep(form, encoded(response), languages) if agrees or self.has(form) else ""
        except Unavailable:
            return ""

    def asks_for_consent(self, form: str, head: Json) -> bool:
        """Returns whether the form may be stored, and nobody has agreed to that yet.

        Args:
            form: its id.
            head: elements of the earlier response that it goes on with.
        """
        try:
            return self.takes(head) and not self.has(form) and not self._was_deleted(form)
        except Unavailable:
            return False

    def has(self, form: str) -> bool:
        """Returns whether a form is stored; raises Unavailable."""
        with self._repository.reading(reach=self._reach) as view:
            return view.read(RESPONSE, form) is not None

    def delete(self, form: str) -> bool:
        """Erases a form with everything that was made of it, for good; returns whether there was any.

        The rows are overwritten. What a database file may still hold in free space goes with the next
        `python -m service expire` or `erase`: writing the file anew would keep everybody waiting.

        Raises:
            Unavailable: the store cannot be used.
        """
        if not self.has(form):
            return False
        event = EventStamp(str(uuid.uuid4()), self._clock(), self._base, _BY_PERSON)
        now = self._clock() // 1_000_000
        with service_errors():
            self._store.use_once(_deleted(form), until=now + _REMEMBERED_S, now=now)
            return bool(erase(self._store, [of_response(form)], event, self._reach.tenant))

    def _was_deleted(self, form: str) -> bool:
        with service_errors(), self._store.reading(self._reach.tenant) as view:
            return view.is_used(_deleted(form))


def _deleted(form: str) -> str:
    """Returns the name under which it is remembered that a form was deleted; nobody reads the id in it."""
    return sha256(f"deleted form\n{form}".encode()).hexdigest()


def _answers(body: bytes) -> Mapping[str, bytes]:
    """Returns the members of a response but for those that tell one sending from another."""
    return {name: bytes(raw) for name, raw in members(body).items() if name not in _AT_A_MOMENT}
