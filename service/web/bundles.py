"""Batches and transactions: several requests in one body, answered apart or all together.

What is in them takes the way of any other request: an entry becomes one, and the router finds its view.
`bundle_entries` reads a Bundle, `bundle_links` replaces the links of a transaction.

Source:
    R4 http.html#transaction, #brules, #trules, #transaction-response; Bundle.entry.response.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from service.errors import Malformed, Problem, ServiceError, TooLarge, Unavailable
from service.fhir.json import MutableJson, expression, relative_path
from service.fhir.primitives import ID
from service.fhir.structure import check_response
from service.records import RESPONSE, Foreseen, Limited, Unit
from service.sandbox import LimitExceeded, Sandbox
from service.search import condition_from
from service.web.bundle_entries import (
    BATCH,
    Entry,
    bundle_from,
    duplicate_changes,
    in_processing_order,
    located,
)
from service.web.bundle_links import LinkReplacement, Target, links_in, relinked, root_of, stays
from service.web.deployment import Deployment
from service.web.logs import REQUESTS
from service.web.negotiation import FHIR_JSON
from service.web.problems import breakdown, refusal
from service.web.reply import NO_STORE, STATUS_LINES, Reply, Version
from service.web.request import FORM
from service.web.routing import BASE_PATH

if TYPE_CHECKING:
    from service.records import Repository
    from service.storage.model import Writing
    from service.web.auditing import Audit
    from service.web.request import Request
    from service.web.routing import Router


_INSTANCE: Final = re.compile(rf"([A-Z][A-Za-z]+/{ID})(?:/_history/{ID})?")
_NOWHERE: Final = Target("", 0)
_OF_ALL: Final = ("HTTP_PREFER", "HTTP_ACCEPT_LANGUAGE")
_OUTCOME: Final = b'{"resourceType":"OperationOutcome"'


class Bundles(msgspec.Struct, frozen=True):
    """The view on `POST [base]`.

    Args:
        router: over all routes below the base; what is not among them cannot be asked for in a Bundle.
        repository: what is stored; None if nothing is.
        deployment: its base and limits.
    """

    router: Router
    repository: Repository | None
    deployment: Deployment

    def answer(self, request: Request) -> Reply:
        """Returns a batch-response or transaction-response.

        Raises:
            Malformed, TooLarge: the body is no batch and no transaction, or over a limit.
            ServiceError: an entry of a transaction is refused, and so is all of it.
        """
        request.check_body_type()
        content_type = request.answer_type()
        posted = bundle_from(request.body(self.deployment.body.body_bytes), self.deployment)
        response_entries = ResponseEntries(self.deployment)
        self._processing(posted.type, request).process(posted.entries, response_entries)
        body = response_entries.bundle(posted.type, posted.entries)
        return Reply(200, body, (("Content-Type", content_type), NO_STORE))

    def _processing(self, kind: str, request: Request) -> Batch | Transaction:
        if kind == BATCH:
            return Batch(self.router, self.deployment, request)
        if self.repository is None:
            text = "type: expected batch. Nothing is stored here, so there are no transactions."
            raise Malformed(Problem("bundle-type", text, "Bundle.type"))
        return Transaction(self.router, self.deployment, request, self.repository)


class Batch(msgspec.Struct, frozen=True):
    """A batch that is about to be processed.

    Args:
        router: finds the route of each entry.
        deployment: its canonicals.
        request: the request that brought it.
    """

    router: Router
    deployment: Deployment
    request: Request

    def process(self, entries: Sequence[Entry], response_entries: ResponseEntries) -> None:
        """Answers every entry; what goes wrong with one is its answer.

        Entries that depend on each other are refused: two that change one resource, and one that has a link
        to what another creates.
        """
        twice = duplicate_changes(entries, {})
        targets = {entry.full_url: _NOWHERE for entry in entries if entry.creates and entry.full_url}
        for entry in in_processing_order(entries):
            problems = [*entry.problems, *_dependencies(entry, targets)]
            problems += [twice[entry.place]] if entry.place in twice else []
            response_entries.add(entry, self._reply(entry, problems, response_entries))
            time.sleep(0)  # others have their turn

    def _reply(self, entry: Entry, problems: Sequence[Problem], response_entries: ResponseEntries) -> Reply:
        try:
            _refuse(problems)
            response_entries.check_room()
            return _answered(self.router, entry, entry.body, self.request, audit=self.deployment.audit)
        except ServiceError as error:
            refused = refusal(error, self.deployment)
            if self.deployment.audit is not None and self.request.asked is not None:
                self.deployment.audit.refused_entry(self.request.asked, refused.status)
            return refused
        except Exception:  # noqa: BLE001 - the last resort: the others are answered, the log has the places
            request_id = os.urandom(16).hex()
            REQUESTS.exception({"event": "failed", "id": request_id, "route": BASE_PATH})
            return breakdown(request_id, self.deployment)


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise Malformed(*problems)


def _dependencies(entry: Entry, targets: Mapping[str, Target]) -> Iterator[Problem]:
    """Yields a problem for each link to what another entry creates: in a batch nobody knows its id yet."""
    resource = entry.resource if targets and entry.writes else None
    here, root = f"{entry.place}.resource", root_of(entry.full_url)
    for link in links_in(resource or {}):
        if relinked(link, targets, root) != link.text:
            expected = "expected no link to another entry; a transaction replaces such links"
            text = f"{relative_path(here, link.place)}: {expected}."
            yield Problem("bundle-reference", text, expression(here, link.place))


class Transaction(msgspec.Struct, frozen=True):
    """A transaction that is about to be processed.

    Args:
        router: finds the route of each entry.
        deployment: its base.
        request: the request that brought it.
        repository: what is stored.
    """

    router: Router
    deployment: Deployment
    request: Request
    repository: Repository

    def process(self, entries: Sequence[Entry], response_entries: ResponseEntries) -> None:
        """Answers every entry in one transaction of the store.

        Raises:
            ServiceError: of the first entry that is refused; nothing is stored then. Each problem has its
                place in the Bundle. Faults of structure are those of all entries.
        """
        problems = [problem for entry in entries for problem in (*entry.problems, *_misplaced(entry))]
        problems += duplicate_changes(entries, {}).values()
        if problems:
            raise Malformed(*problems)
        for entry in entries:
            with located(entry):
                self.router.match(_environ(entry, b"", {}), sender=self.request.principal)
        ordered = in_processing_order(entries)
        new_ids = {entry.place: self.repository.new_id() for entry in ordered if entry.creates}
        foreseen = self._foreseen(ordered, new_ids, response_entries)
        with self.repository.writing(tenant=self.request.reach.tenant) as writing:
            plan = Planner(writing, self._limited(writing), new_ids, self.deployment.base).plan(entries)
            for entry in ordered:
                planned = plan.writes.get(entry.place)
                new_id = "" if planned is None else planned.new_id
                unit = Unit(writing, new_id, foreseen.get(entry.place))
                with _all_structure(entry, entries, self.deployment.sandbox):
                    response_entries.add(entry, self._answer(entry, plan, unit, response_entries))
                time.sleep(0)  # others have their turn

    def _limited(self, writing: Writing) -> Limited:
        """Returns the transaction as conditions see it: they find only what may be read and searched."""
        principal = self.request.principal
        return Limited(writing, lambda kind: principal.may_reach(kind, "rs"), self.deployment.base)

    def _foreseen(
        self, entries: Sequence[Entry], new_ids: Mapping[str, str], response_entries: ResponseEntries
    ) -> dict[str, Foreseen]:
        """Scores the responses before the store is locked, up to the first that is refused.

        A response with a link to another entry, or a conditional reference, is judged when its turn comes:
        what it says is settled only in the transaction.

        Args:
            entries: in the order in which they are processed.
            new_ids: for what they create, by place.
            response_entries: says when there is no more time.
        """
        targets = {entry.full_url: _NOWHERE for entry in entries if entry.writes and entry.full_url}
        found: dict[str, Foreseen] = {}
        for entry in entries:
            if not entry.writes or entry.segments[0] != RESPONSE:
                continue
            if stays(entry.resource or {}, targets, root_of(entry.full_url)):
                with located(entry):
                    response_entries.check_room()
                of_id = new_ids[entry.place] if entry.creates else entry.segments[1]
                found[entry.place] = self.repository.foresee(entry.body, of_id, self.request.languages())
                if isinstance(found[entry.place].found, ServiceError):
                    break
            time.sleep(0)  # others have their turn
        return found

    def _answer(self, entry: Entry, plan: Plan, unit: Unit, response_entries: ResponseEntries) -> Reply:
        planned = plan.writes.get(entry.place)
        body = plan.bodies.get(entry.place, entry.body)
        with located(entry):
            response_entries.check_room()
            audit = self.deployment.audit
            reply = _answered(self.router, entry, body, self.request, unit, audit=audit)
            if planned is not None and f"/{planned.target.reference}/" not in reply.version.location:
                text = "request.ifNoneExist: expected a condition that no other entry meets."
                raise Malformed(Problem("bundle-duplicate", text))
        return reply


def _misplaced(entry: Entry) -> Iterator[Problem]:
    request = f"{entry.place}.request"
    if "$" in entry.path or entry.searches:
        text = "An operation or a search by POST is no part of a transaction. Expected: a batch."
        yield Problem("bundle-entry", text, request)
    elif entry.creates and entry.query:
        text = "request.url: expected the condition of a create in request.ifNoneExist."
        yield Problem("bundle-entry", text, request)


@contextmanager
def _all_structure(entry: Entry, entries: Sequence[Entry], sandbox: Sandbox | None) -> Iterator[None]:
    """Adds the faults of structure of all other entries to those of the one that is refused for its own."""
    try:
        yield
    except Malformed as error:
        others = [
            other
            for other in entries
            if other is not entry and other.writes and other.segments[0] == RESPONSE
        ]
        error.problems = (*error.problems, *_structure_of(others, sandbox))
        raise


def _structure_of(entries: Sequence[Entry], sandbox: Sandbox | None) -> tuple[Problem, ...]:
    """Returns the faults of structure of these entries, as far as they are found in time."""

    def check(**_: bool) -> tuple[Problem, ...]:
        return tuple(
            fault
            for entry in entries
            for fault in check_response(entry.resource or {}, f"{entry.place}.resource")
        )

    if sandbox is None:
        return check()
    with suppress(LimitExceeded, Unavailable):
        return sandbox.small_or_apart(sum(len(entry.body) for entry in entries), check, tuple[Problem, ...])
    return ()


# What a transaction depends on is settled before anything is written: identities, and where links point to.


class PlannedWrite(msgspec.Struct, frozen=True):
    """What an entry stores; `new_id` is its id where that is made for it."""

    target: Target
    new_id: str = ""


class Plan(msgspec.Struct, frozen=True):
    """What was settled, by place of the entry.

    Args:
        writes: of entries that create or update.
        bodies: their resources, with links replaced.
    """

    writes: Mapping[str, PlannedWrite]
    bodies: Mapping[str, bytes]


class Planner(msgspec.Struct, frozen=True):
    """Makes the plan of one transaction; it writes nothing.

    Args:
        writing: until it ends, no other transaction creates or changes what was settled.
        limited: the same, as far as conditions may find anything.
        new_ids: for what entries create, by place.
        base: public FHIR base.
    """

    writing: Writing
    limited: Limited
    new_ids: Mapping[str, str]
    base: str

    def plan(self, entries: Sequence[Entry]) -> Plan:
        """Returns the plan.

        Args:
            entries: without problems, each with a route.

        Raises:
            Malformed: a condition cannot be read, a link not be replaced, or two entries are about the same.
            PreconditionFailed: a conditional reference does not lead to one resource.
            TooLarge: there are too many conditional references.
        """
        writes = [entry for entry in in_processing_order(entries) if entry.writes]
        planned = {
            entry.place: self._created(entry) if entry.creates else self._updated(entry) for entry in writes
        }
        twice = duplicate_changes(
            entries, {place: write.target.reference for place, write in planned.items()}
        )
        if twice:
            raise Malformed(*twice.values())
        targets = {entry.full_url: planned[entry.place].target for entry in writes if entry.full_url}
        replacement = LinkReplacement(targets, self.limited, self.base)
        bodies = {entry.place: replacement.body(entry) for entry in entries if entry.writes}
        replacement.refuse()
        return Plan(planned, bodies)

    def _created(self, entry: Entry) -> PlannedWrite:
        condition = entry.headers.get("IF_NONE_EXIST")
        if condition is not None:
            with located(entry):
                search = condition_from(entry.path, condition, base=self.base)
            within = self.limited.within(search)
            found = () if within is None else self.writing.claim(within).records
            if found:  # where there are several, the create is refused when its turn comes
                return PlannedWrite(Target(f"{entry.path}/{found[0].id}", found[0].version))
        of_id = self.new_ids[entry.place]
        return PlannedWrite(Target(f"{entry.path}/{of_id}", 1), of_id)

    def _updated(self, entry: Entry) -> PlannedWrite:
        """Returns the identity after an update; if there is nothing to update, it fails later."""
        kind, of_id = entry.segments
        current = self.writing.read_to_update(kind, of_id)
        return PlannedWrite(Target(entry.changes, 1 if current is None else current.version + 1))


# From an entry to its request, and to the entry of the answer.


def _answered(
    router: Router,
    entry: Entry,
    body: bytes,
    request: Request,
    unit: Unit | None = None,
    *,
    audit: Audit | None = None,
) -> Reply:
    """Calls the view of an entry; raises what the router and the view raise.

    Args:
        router: over the routes that an entry may name.
        entry: without problems.
        body: its resource, with links replaced.
        request: the request that brought the Bundle; who sends it and what it prefers hold for every entry.
        unit: the transaction that the entry is part of.
        audit: records it, where that is done.
    """
    kept = {name: request.environ[name] for name in _OF_ALL if name in request.environ}
    environ = _environ(entry, body, kept)
    route, inner = router.match(environ, unit, request.principal)
    if audit is None or request.asked is None:
        return route.view(inner)
    return audit.of_entry(route, inner, request.asked)


def _environ(entry: Entry, body: bytes, of_all: dict[str, Any]) -> dict[str, Any]:
    """Returns the request of an entry as a WSGI environment, as far as views read one.

    Args:
        entry: without problems.
        body: its resource, with links replaced.
        of_all: headers of the request that brought the Bundle; they hold for every entry.
    """
    environ = {
        "REQUEST_METHOD": entry.method,
        "PATH_INFO": f"{BASE_PATH}/{entry.path}",
        "QUERY_STRING": entry.query,
        "CONTENT_TYPE": FORM if entry.searches else FHIR_JSON,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
    }
    environ |= {f"HTTP_{name}": text for name, text in entry.headers.items()}
    return {**environ, **of_all}


class ResponseEntries:
    """The entries of the answer, which come in any order and are written in the Bundle's."""

    def __init__(self, deployment: Deployment) -> None:
        self._base = deployment.base
        self._left = deployment.bundle_answer_bytes
        self._deadline = time.monotonic() + deployment.bundle_s
        self._entries: dict[str, MutableJson] = {}
        self._named: set[tuple[str, str]] = set()

    def check_room(self) -> None:
        """Refuses another entry where those so far took all that a Bundle may take.

        Raises:
            TooLarge: their answers are as long as an answer may be.
            Unavailable: they took as long as a Bundle may take.
        """
        if self._left <= 0:
            text = "The answers to other entries are too long. Expected: fewer entries, or smaller pages."
            raise TooLarge(Problem("bundle-size", text))
        if time.monotonic() >= self._deadline:
            text = (
                "Other entries took all the time that a Bundle may take. Expected: it alone, or with fewer."
            )
            raise Unavailable(Problem("too-costly", text))

    def add(self, entry: Entry, reply: Reply) -> None:
        """Takes the answer to an entry."""
        body = b"" if entry.method == "HEAD" else reply.body
        self._left -= len(body)
        response: MutableJson = {"status": STATUS_LINES[reply.status], **_response_of(reply.version)}
        answer: MutableJson = {"response": response}
        if body and _is_outcome(entry, reply):
            response["outcome"] = orjson.Fragment(body)
        elif body:
            answer = {**self._full_url(entry, reply.version), "resource": orjson.Fragment(body), **answer}
        self._entries[entry.place] = {**_links_of(reply.version), **answer}

    def bundle(self, kind: str, entries: tuple[Entry, ...]) -> bytes:
        """Returns the whole answer.

        Args:
            kind: `batch` or `transaction`.
            entries: of the request, each of them answered.
        """
        bundle: MutableJson = {"resourceType": "Bundle", "type": f"{kind}-response"}
        if entries:
            bundle["entry"] = [self._entries[entry.place] for entry in entries]
        return orjson.dumps(bundle)

    def _full_url(self, entry: Entry, version: Version) -> dict[str, str]:
        """Returns the fullUrl of what has an identity; the same version has it once in a Bundle (bdl-7)."""
        found = _INSTANCE.fullmatch(version.location.removeprefix(f"{self._base}/") or entry.path)
        if found is None:
            return {}
        named = (found[1], version.etag)
        if named in self._named:
            return {}
        self._named.add(named)
        return {"fullUrl": f"{self._base}/{found[1]}"}


def _links_of(version: Version) -> MutableJson:
    """Returns the link from a response to its result as a link of the entry."""
    return {"link": [{"relation": "related", "url": version.related}]} if version.related else {}


def _response_of(version: Version) -> dict[str, str]:
    found = {"location": version.location, "etag": version.etag, "lastModified": version.updated}
    return {name: text for name, text in found.items() if text}


def _is_outcome(entry: Entry, reply: Reply) -> bool:
    """Says whether the body tells how it went, rather than being what was asked for (as for $validate)."""
    return reply.status >= 400 or (entry.writes and reply.body.startswith(_OUTCOME))
