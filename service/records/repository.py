"""Responses with their results: one version is stored in one transaction, or not at all."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from service.assess import OF_RESPONSE, Assessed, Assessor, Judged, Languages, check_detail
from service.audit import Event, RecordedRequest, link_of, named, patients_in
from service.datatypes.values import replace
from service.errors import (
    Malformed,
    NotFound,
    NotScorable,
    PreconditionFailed,
    Problem,
    ServiceError,
    Unavailable,
)
from service.fhir.dates import instant
from service.questionnaire import asked_form
from service.records.compartment import (
    Limited,
    ReachOf,
    check_identifiers,
    check_stored,
    check_subject,
    criteria_of,
)
from service.records.drafts import AUDIT, PROVENANCE, RESPONSE, RISK, Content, drafts_of
from service.records.meta import members, presentable, stamped
from service.records.reach import EVERYTHING, Reach
from service.results import BUNDLE, FULL, guidance_hash_in, language_in
from service.results import RISK as SHORT
from service.search import Query, entries_of, query_from
from service.storage.model import (
    ALWAYS,
    Criterion,
    Draft,
    History,
    MultipleMatches,
    Period,
    Reading,
    Record,
    Search,
    Store,
    StoreBusy,
    StoreFault,
    StoreFull,
    StoreUnavailable,
    TokenIs,
    TooManyRecords,
    UnknownRecord,
    VersionConflict,
    Writing,
    claim_one,
)

KINDS: Final = (RESPONSE, RISK, PROVENANCE, AUDIT)
"""The types of resource that are stored."""
_IDENTIFIER: Final = "identifier"
APPEND_ONLY: Final = (PROVENANCE, AUDIT)
"""Those of them that never change."""


class Foreseen(NamedTuple):
    """What was made of a response before the transaction began that stores it.

    Args:
        of_id: the id that it is to have. data: the response.
        found: the result, or why there is none.
    """

    of_id: str
    data: bytes
    found: Judged | ServiceError


class Unit(msgspec.Struct, frozen=True):
    """The transaction that a request of a Bundle is part of.

    Args:
        writing: the open transaction.
        new_id: id that is reserved for what the request creates; empty if it creates nothing.
        foreseen: what was made of its response before; None if that could not be done.
    """

    writing: Writing
    new_id: str = ""
    foreseen: Foreseen | None = None


class Stored(NamedTuple):
    """A stored response, and its result.

    Args:
        record: its version.
        is_new: whether this version was stored just now, not found.
        risk: the version of its result; None if it has none.
        guidance: `url|version` of the guidance that made the result; empty if it was not scored now.
        notices: what the sender should know of it.
    """

    record: Record
    is_new: bool
    risk: Record | None
    guidance: str
    notices: tuple[Problem, ...] = ()


class Detailed(NamedTuple):
    """A stored result, and the same in another detail."""

    record: Record
    body: bytes


def microseconds() -> int:
    """Returns the time in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def ordered_id() -> str:
    """Returns an id that nobody can guess, greater than those of milliseconds before.

    In order, new entries of an index stand side by side, and a commit writes fewer pages.

    Source:
        RFC 9562, section 5.7 (UUID version 7).
    """
    milliseconds = time.time_ns() // 1_000_000
    chance = int.from_bytes(os.urandom(10))
    number = (milliseconds & (1 << 48) - 1) << 80 | chance
    number = number & ~(0xF << 76) | 7 << 76
    return str(uuid.UUID(int=number & ~(0b11 << 62) | 0b10 << 62))


class Repository:
    """Creates, updates and reads what is stored."""

    def __init__(
        self,
        store: Store,
        assessor: Assessor,
        base: str,
        *,
        clock: Callable[[], int] = microseconds,
        new_id: Callable[[], str] = ordered_id,
        audited: bool = False,
    ) -> None:
        self._store = store
        self._assessor = assessor
        self._base = base
        self._clock = clock
        self.new_id = new_id
        self._audited = audited

    def ping(self) -> None:
        """Raises Unavailable unless the store answers."""
        with service_errors():
            self._store.ping()

    def close(self) -> None:
        """Closes the connections of this process."""
        self._store.close()

    @contextmanager
    def reading(
        self, unit: Unit | None = None, *, reach: Reach = EVERYTHING, reach_of: ReachOf | None = None
    ) -> Iterator[Reading]:
        """Opens a view of one moment, or the unit's own; raises Unavailable.

        Args:
            unit: the transaction to read in.
            reach: what exists in the view.
            reach_of: what exists of each type, where that differs.
        """
        with service_errors():
            if unit is not None:
                yield self._limited(unit.writing, reach, reach_of)
                return
            with self._store.reading(reach.tenant) as view:
                yield self._limited(view, reach, reach_of)

    def _limited(self, view: Reading, reach: Reach, reach_of: ReachOf | None) -> Reading:
        if reach_of is not None:
            return Limited(view, reach_of, self._base)
        return Limited(view, lambda _: reach, self._base) if reach.patients or reach.criteria else view

    @contextmanager
    def writing(self, unit: Unit | None = None, *, tenant: str = "") -> Iterator[Writing]:
        """Opens a transaction of the tenant that is undone when the block raises, or goes on in the unit's.

        Raises:
            Unavailable, PreconditionFailed: at the end too.
        """
        with service_errors():
            if unit is not None:
                yield unit.writing
                return
            with self._store.writing(tenant) as transaction:
                yield transaction

    def create(
        self,
        data: bytes,
        condition: Search | None = None,
        unit: Unit | None = None,
        *,
        languages: Languages = (OF_RESPONSE,),
        reach: Reach = EVERYTHING,
        asked: RecordedRequest | None = None,
    ) -> Stored:
        """Stores a response with its result, unless one that meets the condition is there.

        Args:
            data: a QuestionnaireResponse; its id, versionId and lastUpdated are replaced.
            condition: of If-None-Exist; one match is returned as it is, nothing is stored.
            unit: the transaction to go on in.
            languages: in which its result is wanted.
            reach: what may be touched; what is beyond it meets no condition.
            asked: the request, for the audit trail; None if it is a form that somebody has sent.

        Raises:
            Malformed, TooLarge, NotScorable: the body cannot be stored and scored; every fault.
            Forbidden: the response is beyond the reach.
            PreconditionFailed: several match the condition.
            Unavailable: the store cannot be used.
        """
        of_id = unit.new_id if unit is not None and unit.new_id else self.new_id()
        judged = self._judged(data, of_id, unit, languages)
        check_subject(data, reach, self._base)
        check_identifiers(data, reach, self._base)
        with self.writing(unit, tenant=reach.tenant) as transaction:
            found = None
            if condition is not None:
                found = claim_one(
                    transaction, self._within(condition, reach), _claimed(condition, data, self._base)
                )
            if found is not None:
                stored = Stored(found, is_new=False, risk=transaction.read(RISK, found.id), guidance="")
            else:
                stored = self._store_version(transaction, self._content(of_id, data, judged), None)
                check_stored(transaction, of_id, reach, self._base)
            self._record(transaction, stored, asked, reach)
            return stored

    def _within(self, condition: Search, reach: Reach) -> Search:
        own = criteria_of(condition.type, reach, self._base)
        return replace(condition, criteria=(*condition.criteria, *own))

    def update(
        self,
        of_id: str,
        data: bytes,
        *,
        expected: Collection[int] | None = None,
        unit: Unit | None = None,
        languages: Languages = (OF_RESPONSE,),
        reach: Reach = EVERYTHING,
        asked: RecordedRequest | None = None,
    ) -> Stored:
        """Stores the next version of a response, and of its result.

        Args:
            of_id: id of the response; the body must have it too.
            data: the whole QuestionnaireResponse.
            expected: the versions of which one must be the current one; None takes any.
            unit: the transaction to go on in.
            languages: in which its result is wanted.
            reach: what may be touched.
            asked: the request, for the audit trail; None if it is a form that somebody has sent.

        Raises:
            Malformed, TooLarge, NotScorable: the body cannot be stored and scored; every fault.
            Forbidden: the new version is beyond the reach.
            NotFound: there is no such response; an update does not create.
            PreconditionFailed: the current version is another one.
            Unavailable: the store cannot be used.
        """
        judged = self._judged(data, of_id, unit, languages)
        _check_id(data, of_id)
        check_subject(data, reach, self._base)
        with self.writing(unit, tenant=reach.tenant) as transaction:
            current = transaction.read_to_update(RESPONSE, of_id)
            if current is not None and (reach.patients or reach.criteria):
                current = self._limited(transaction, reach, None).read(RESPONSE, of_id)
            if current is None:
                raise NotFound(UNKNOWN_ID)
            if expected is not None and current.version not in expected:
                raise PreconditionFailed(OTHER_VERSION)
            check_identifiers(data, reach, self._base, current.body)
            content = self._content(of_id, data, judged, current.updated)
            stored = self._store_version(transaction, content, current)
            check_stored(transaction, of_id, reach, self._base)
            self._record(transaction, stored, asked, reach)
            return stored

    def _record(
        self, transaction: Writing, stored: Stored, asked: RecordedRequest | None, reach: Reach
    ) -> None:
        """Adds the entry of the audit trail, in the same transaction."""
        if not self._audited:
            return
        record = stored.record
        interaction = "update" if stored.is_new and record.version > 1 else "create"
        form = RecordedRequest(kind="form", tenant=reach.tenant, interaction=interaction, resource=RESPONSE)
        now = self._clock()
        transaction.chain(
            link_of(
                Event(
                    asked=asked or form,
                    at=now,
                    status=201 if stored.is_new and record.version == 1 else 200,
                    patient=next(iter(patients_in(record.body, self._base)), {}),
                    references=[
                        named(made.type, made.id, str(made.version))
                        for made in (record, stored.risk)
                        if made is not None
                    ],
                )
            ),
            now,
        )

    def foresee(self, data: bytes, of_id: str, languages: Languages = (OF_RESPONSE,)) -> Foreseen:
        """Judges a response that a transaction will store, or refuse, when its turn comes.

        While a transaction is open, others may have to wait; nobody waits for this.
        """
        try:
            return Foreseen(of_id, data, self._assessor.judge(data, of_id, languages=languages))
        except ServiceError as refused:
            return Foreseen(of_id, data, refused)

    def _judged(self, data: bytes, of_id: str, unit: Unit | None, languages: Languages) -> Judged:
        foreseen = unit.foreseen if unit is not None else None
        if foreseen is None or (foreseen.of_id, foreseen.data) != (of_id, data):
            return self._assessor.judge(data, of_id, languages=languages)
        if isinstance(foreseen.found, ServiceError):
            raise foreseen.found
        return foreseen.found

    def read(self, kind: str, of_id: str, unit: Unit | None = None, *, reach: Reach = EVERYTHING) -> Record:
        """Returns the current version; raises NotFound and Unavailable."""
        with self.reading(unit, reach=reach) as view:
            found = view.read(kind, of_id)
        if found is None:
            raise NotFound(UNKNOWN_ID)
        return found

    def read_with_earlier(self, of_id: str, most: int, *, reach: Reach = EVERYTHING) -> tuple[Record, ...]:
        """Returns the current version of a response, and behind it earlier ones of the same subject.

        Those are to the same questionnaire, in any version, were written before (`authored`), and have a
        subject that is named in the same way, by reference or else by identifier. Of a response that does
        not say when it was written, or whose subject is contained, there are none.

        Args:
            of_id: the response.
            most: so many earlier ones, the newest.
            reach: what may be touched.

        Raises:
            NotFound, Unavailable: as `read` does.
        """
        with self.reading(reach=reach) as view:
            found = view.read(RESPONSE, of_id)
            if found is None:
                raise NotFound(UNKNOWN_ID)
            query = _earlier(found.body, self._base)
            page = None if query is None else view.search(query.search)
        form = _form_of(found.body)
        others = (record for record in (page.records if page else ()) if record.id != of_id)
        return (found, *islice((one for one in others if _form_of(one.body) == form), most))

    def read_result(
        self, of_id: str, detail: str, unit: Unit | None = None, *, reach: Reach = EVERYTHING
    ) -> Detailed:
        """Returns the current result of a response in one of the details; only the shortest is stored.

        The others are made anew of the stored response, in the language of what is stored. Of a result
        that is withdrawn nothing more is left than is stored; its Bundle withdraws whatever was filed of it.

        Raises:
            Malformed: there is no such detail.
            NotFound: there is no such result, or the guidance that made it is not served any more.
            Unavailable: the store cannot be used.
        """
        check_detail(detail)
        result, response = self._with_response(of_id, unit, reach)
        return Detailed(result, result.body if detail == SHORT else self._made_anew(result, response, detail))

    def read_explained(
        self, of_id: str, unit: Unit | None = None, *, reach: Reach = EVERYTHING
    ) -> tuple[Record, Assessed]:
        """Returns the current result of a response, and the Parameters of `$explain` for it.

        Raises:
            NotFound: there is no such result, it is withdrawn, or the guidance that made it is not served any
                more.
            Unavailable: the store cannot be used, or there is too much to work out at the moment.
        """
        result, response = self._with_response(of_id, unit, reach)
        told = (language_in(result.body),)
        try:
            again = self._assessor.judge(response.body, of_id, languages=told, again=True).risk
        except NotScorable as refused:
            raise NotFound(DETAIL_GONE) from refused
        if again is None or guidance_hash_in(again) != guidance_hash_in(result.body):
            raise NotFound(DETAIL_GONE)
        return result, self._assessor.explain_body(response.body, told)

    def _with_response(self, of_id: str, unit: Unit | None, reach: Reach) -> tuple[Record, Record]:
        """Returns a result within reach, and the response that it was made of."""
        with self.reading(unit, reach=Reach(reach.tenant)) as view:
            result = self._limited(view, reach, None).read(RISK, of_id)
            response = view.read(RESPONSE, of_id)
        if result is None or response is None:
            raise NotFound(UNKNOWN_ID)
        return result, response

    def _made_anew(self, result: Record, response: Record, detail: str) -> bytes:
        try:
            told = (language_in(result.body),)
            judged = self._assessor.judge(response.body, result.id, detail, languages=told, again=True)
            again = self._assessor.judge(response.body, result.id, languages=told, again=True).risk
        except NotScorable as refused:
            raise NotFound(DETAIL_GONE) from refused
        if again is None:
            bundle = self._assessor.withdrawn_bundle(result.body) if detail == BUNDLE else result.body
        else:
            is_same = guidance_hash_in(again) == guidance_hash_in(result.body)
            bundle = judged.risk if is_same else None
        if bundle is None:
            raise NotFound(DETAIL_GONE)
        return (
            stamped(bundle, result.id, result.version, instant(result.updated)) if detail == FULL else bundle
        )

    def read_version(
        self, kind: str, of_id: str, version: int, unit: Unit | None = None, *, reach: Reach = EVERYTHING
    ) -> Record:
        """Returns that version; raises NotFound and Unavailable."""
        with self.reading(unit, reach=reach) as view:
            found = view.read_version(kind, of_id, version)
        if found is None:
            raise NotFound(Problem("version-unknown", "The resource has no such version, or does not exist."))
        return found

    def history(
        self,
        kind: str,
        of_id: str,
        *,
        limit: int,
        before: int | None = None,
        period: Period = ALWAYS,
        unit: Unit | None = None,
        reach: Reach = EVERYTHING,
    ) -> History:
        """Returns versions of the period below `before`, newest first; raises NotFound and Unavailable."""
        with self.reading(unit, reach=reach) as view:
            found = view.history(kind, of_id, limit=limit, before=before, period=period)
            is_known = found.total > 0 or view.read(kind, of_id) is not None
        if not is_known:
            raise NotFound(UNKNOWN_ID)
        return found

    def _content(self, of_id: str, data: bytes, judged: Judged, before: int = 0) -> Content:
        """Returns what is to be stored, never older than the version before it, whatever the clock says."""
        given = members(data)
        shown = presentable(given)
        notices = () if shown is given else (NARRATIVE_CHANGED,)
        return Content(of_id, shown, judged, max(self._clock(), before), notices)

    def _store_version(self, transaction: Writing, content: Content, current: Record | None) -> Stored:
        # What is new has no result yet, so the store is not asked for it.
        risk_before = None if current is None else transaction.read(RISK, content.of_id)
        drafts = drafts_of(content, self._base, before=current, risk_before=risk_before)
        guidance = content.judged.guidance
        if current is None:
            new = [draft for draft in (drafts.response, drafts.risk, *drafts.trail) if draft is not None]
            records = transaction.create_all(new)
            risk = records[1] if drafts.risk else None
            return Stored(records[0], is_new=True, risk=risk, guidance=guidance, notices=content.notices)
        response = transaction.update(drafts.response, expected=current.version)
        risk = None if drafts.risk is None else _create_or_update(transaction, drafts.risk, risk_before)
        transaction.create_all(drafts.trail)
        return Stored(response, is_new=True, risk=risk, guidance=guidance, notices=content.notices)


def _claimed(condition: Search, data: bytes, base: str) -> set[str]:
    """Returns the identifiers that a conditional create is about; none if it may be about anything.

    They are those of the condition, and the response's own: another create whose condition it would meet by
    that one claims it too. So creates that each name another identifier do not wait for each other.
    """
    by_identifier = (
        {value.code for value in found.any_of if isinstance(value, TokenIs)}
        for found in condition.criteria
        if isinstance(found, Criterion) and found.parameter == _IDENTIFIER and not found.negated
    )
    looked_for = next(by_identifier, set())
    if not looked_for or None in looked_for:
        return set()
    given = members(data)
    named = {_IDENTIFIER: msgspec.json.decode(given[_IDENTIFIER])} if _IDENTIFIER in given else {}
    entries = entries_of({"resourceType": RESPONSE, **named}, base)
    own = {code for entry in entries for parameter, _, code in entry.texts() if parameter == _IDENTIFIER}
    return {code for code in looked_for if code is not None} | own


def _create_or_update(transaction: Writing, draft: Draft, current: Record | None) -> Record:
    if current is None:
        return transaction.create(draft)
    return transaction.update(draft, expected=current.version)


def _check_id(data: bytes, of_id: str) -> None:
    given = members(data)
    if "id" not in given or msgspec.json.decode(given["id"]) != of_id:
        raise Malformed(Problem("id-mismatch", "id: expected the id that the path names.", f"{RESPONSE}.id"))


# What went wrong in the store, as an error that may be shown to the caller.

UNKNOWN_ID = Problem("id-unknown", "No resource of this type has this id.")
DETAIL_GONE = Problem(
    "detail-gone",
    "The guidance that made this result is not served any more, so that no more of it can be made. "
    "Expected: a read without _detail.",
)
NARRATIVE_CHANGED = Problem(
    "narrative-changed",
    "The narrative was stored without style and without the addresses of images on other servers.",
    severity="information",
)
OTHER_VERSION = Problem(
    "version-conflict", "The resource has another version by now. Expected: If-Match with its current ETag."
)


@contextmanager
def service_errors() -> Iterator[None]:
    """Turns a fault of the store into the ServiceError that says it to the caller."""
    try:
        yield
    except StoreFault as fault:
        raise _error(fault) from fault


def _error(fault: StoreFault) -> ServiceError:
    match fault:
        case StoreFull():
            text = "The store has no space left: nothing was stored."
            return Unavailable(Problem("store-full", text), retry_after_s=fault.retry_after_s)
        case StoreUnavailable():
            text = "The store cannot be reached at the moment: nothing was stored."
            return Unavailable(Problem("store-unavailable", text), retry_after_s=fault.retry_after_s)
        case StoreBusy():
            text = "The store is busy: nothing was stored. The same request may succeed in a moment."
            return Unavailable(Problem("store-busy", text), retry_after_s=fault.retry_after_s)
        case MultipleMatches() | TooManyRecords():
            return PreconditionFailed(_too_wide(fault))
        case UnknownRecord():
            return NotFound(UNKNOWN_ID)
        case VersionConflict():
            return PreconditionFailed(OTHER_VERSION)
    raise fault


def _too_wide(fault: MultipleMatches | TooManyRecords) -> Problem:
    if isinstance(fault, MultipleMatches):
        text = "Expected: a condition that at most one resource meets. Several do; nothing was stored."
        return Problem("multiple-matches", text)
    text = "Expected: a condition that narrows the search, such as identifier; nothing was stored. More than"
    return Problem("too-costly", f"{text} {fault.most:,} records would have to be looked at for this one.")


# Which stored responses came before another one of the same subject.

_SPECIAL: Final = re.compile(r"([\\,|$])")
_LOOKED_AT: Final = "200"
"""Of the newest so many responses those to the same questionnaire are looked for."""


class _Named(msgspec.Struct):
    """The elements that say whom a response is about, when it was written, and which form it answers."""

    questionnaire: str = ""
    contained: list[dict[str, Any]] = []
    authored: str = ""
    subject: dict[str, Any] = {}


_named = msgspec.json.Decoder(_Named).decode


def _form_of(response: bytes) -> str:
    """Returns the url of the Questionnaire that a response answers, or that an adaptive form asked of."""
    known = _named(response)
    try:
        asked = asked_form(msgspec.structs.asdict(known), RESPONSE)
    except NotScorable:  # one that was entered in error may contain anything
        asked = None
    return (known.questionnaire if asked is None else asked.canonical).partition("|")[0]


def _earlier(response: bytes, base: str) -> Query | None:
    """Returns the search for earlier responses about the same subject; None if no subject is stated."""
    known = _named(response)
    reference, identifier = known.subject.get("reference", ""), known.subject.get("identifier", {})
    if reference and not reference.startswith("#"):
        subject = ("subject", _escaped(reference))
    elif not reference and "value" in identifier:
        system = _escaped(identifier.get("system", ""))
        subject = ("subject:identifier", f"{system}|{_escaped(identifier['value'])}")
    else:
        return None
    if not known.authored:
        return None
    pairs = (subject, ("authored", f"lt{known.authored}"), ("_sort", "-authored"), ("_count", _LOOKED_AT))
    return query_from(RESPONSE, pairs, strict=True, base=base)


def _escaped(text: str) -> str:
    """Returns a text as the value of a search parameter, in which some signs have a meaning of their own."""
    return _SPECIAL.sub(r"\\\1", text)
