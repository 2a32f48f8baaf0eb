"""Batches and transactions: several requests in one body, answered apart or all together.

What is in them takes the way of any other request: each entry becomes one, and the router finds its view.

Source: R4 http.html#transaction.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import orjson

from service.errors import Malformed, Problem, ServiceError, TooLarge
from service.fhir.definitions import AS_WRITTEN, Canonicals
from service.fhir.json import expression, shown
from service.fhir.primitives import ID
from service.fhir.structure import check_response
from service.records import RESPONSE, Unit
from service.search import condition_from
from service.web.bundle_entries import BATCH, BundleLimits, Entry, bundle_from, in_order, placed, repeated
from service.web.bundle_links import Replacing, Target, links_in, relinked, root_of, two
from service.web.negotiation import FHIR_JSON, check_body_type
from service.web.problems import breakdown, refusal
from service.web.reply import NO_STORE, STATUS_LINES, Reply
from service.web.request import read_body
from service.web.routing import BASE_PATH, Route, Router, answered

if TYPE_CHECKING:
    from service.records import Repository
    from service.storage import Writing
    from service.web.reply import Reply
    from service.web.request import Call


# From an entry to its request, and from the answer to that to an entry of the answer.
#
# Source: R4 http.html#transaction-response; Bundle.entry.response.

_FORM = "application/x-www-form-urlencoded"
_INSTANCE = re.compile(rf"([A-Z][A-Za-z]+/{ID})(?:/_history/{ID})?")
_LINK = re.compile(r'<([^<>]+)>; rel="([a-z-]+)"')
_OUTCOME = b'{"resourceType":"OperationOutcome"'


def environ_of(entry: Entry, body: bytes, prefer: str | None) -> dict[str, Any]:
    """Returns the request of an entry as a WSGI environment, as far as views read one.

    Args:
        entry: without problems.
        body: its resource, with links replaced.
        prefer: the header of the request that brought the Bundle; it holds for every entry.
    """
    environ = {
        "REQUEST_METHOD": entry.method,
        "PATH_INFO": f"{BASE_PATH}/{entry.path}",
        "QUERY_STRING": entry.query,
        "CONTENT_TYPE": _FORM if entry.searches else FHIR_JSON,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
    }
    environ |= {f"HTTP_{name}": text for name, text in entry.headers.items()}
    return environ if prefer is None else environ | {"HTTP_PREFER": prefer}


def location_of(reply: Reply) -> str:
    """Returns the url of the version that the reply is about, with the version; empty where it names none."""
    headers = dict(reply.headers)
    return headers.get("Location") or headers.get("Content-Location", "")


class Answers:
    """The entries of the answer, which come in any order and are written in the Bundle's."""

    def __init__(self, base: str, most_bytes: int) -> None:
        self._base = base
        self._left = most_bytes
        self._entries: dict[str, dict[str, Any]] = {}
        self._named: set[tuple[str, str | None]] = set()

    def check_room(self) -> None:
        """Raises TooLarge where the answers so far are as long as an answer may be."""
        if self._left <= 0:
            text = "The answers to other entries are too long. Expected: fewer entries, or smaller pages."
            raise TooLarge(Problem("bundle-size", text))

    def add(self, entry: Entry, reply: Reply) -> None:
        """Takes the answer to an entry."""
        body = b"" if entry.method == "HEAD" else reply.body
        self._left -= len(body)
        response: dict[str, Any] = {"status": STATUS_LINES[reply.status], **_validators(reply)}
        answer: dict[str, Any] = {"response": response}
        if body and _is_outcome(entry, reply):
            response["outcome"] = orjson.Fragment(body)
        elif body:
            answer = {**self._full_url(entry, reply), "resource": orjson.Fragment(body), **answer}
        self._entries[entry.place] = {**_links(reply), **answer}

    def bundle(self, kind: str, entries: tuple[Entry, ...]) -> bytes:
        """Returns the whole answer.

        Args:
            kind: `batch` or `transaction`.
            entries: of the request, each of them answered.
        """
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": f"{kind}-response"}
        if entries:
            bundle["entry"] = [self._entries[entry.place] for entry in entries]
        return orjson.dumps(bundle)

    def _full_url(self, entry: Entry, reply: Reply) -> dict[str, str]:
        """Returns the fullUrl of what has an identity; the same version has it once in a Bundle (bdl-7)."""
        found = _INSTANCE.fullmatch(location_of(reply).removeprefix(f"{self._base}/") or entry.path)
        if found is None:
            return {}
        named = (found[1], dict(reply.headers).get("ETag"))
        if named in self._named:
            return {}
        self._named.add(named)
        return {"fullUrl": f"{self._base}/{found[1]}"}


def _links(reply: Reply) -> dict[str, Any]:
    """Returns the links of the answer, such as that from a response to its result, as links of the entry."""
    header = dict(reply.headers).get("Link", "")
    found = [{"relation": each[2], "url": each[1]} for each in _LINK.finditer(header)]
    return {"link": found} if found else {}


def _validators(reply: Reply) -> dict[str, str]:
    headers = dict(reply.headers)
    modified = headers.get("Last-Modified", "")
    found = {
        "location": location_of(reply),
        "etag": headers.get("ETag", ""),
        "lastModified": _instant(modified) if modified else "",
    }
    return {name: text for name, text in found.items() if text}


def _instant(http_date: str) -> str:
    return parsedate_to_datetime(http_date).astimezone(UTC).isoformat().replace("+00:00", "Z")


def _is_outcome(entry: Entry, reply: Reply) -> bool:
    """Whether the body says how it went, rather than being what was asked for (as that of $validate is)."""
    return reply.status >= 400 or (entry.writes and reply.body.startswith(_OUTCOME))


# Settles what a transaction depends on before anything is written: identities, and where links point to.
#
# Source: R4 http.html#trules.


@dataclass(frozen=True, slots=True)
class Becoming:
    """What an entry becomes; `new_id` is its id where that is made for it."""

    target: Target
    new_id: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was settled, by place of the entry.

    Args:
        becoming: of entries that create or update.
        bodies: their resources, with links replaced.
    """

    becoming: Mapping[str, Becoming]
    bodies: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes the plan of one transaction; it writes nothing.

    Args:
        writing: until it ends, no other transaction creates or changes what was settled.
        new_id: makes an id.
        base: public FHIR base.
    """

    writing: Writing
    new_id: Callable[[], str]
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
        writes = [each for each in in_order(entries) if each.writes]
        becoming = {
            each.place: self._created(each) if each.creates else self._updated(each) for each in writes
        }
        twice = repeated(entries, {place: each.target.reference for place, each in becoming.items()})
        if twice:
            raise Malformed(*twice.values())
        targets = {each.full_url: becoming[each.place].target for each in writes if each.full_url}
        replacing = Replacing(targets, self.writing, self.base)
        bodies = {each.place: replacing.body(each) for each in entries if each.writes}
        replacing.refuse()
        return Plan(becoming, bodies)

    def _created(self, entry: Entry) -> Becoming:
        condition = entry.headers.get("IF_NONE_EXIST")
        if condition is not None:
            with placed(entry):
                search = two(condition_from(entry.path, condition, base=self.base))
            found = self.writing.claim(search).records
            if found:  # where there are several, the create is refused when its turn comes
                return Becoming(Target(f"{entry.path}/{found[0].id}", found[0].version))
        of_id = self.new_id()
        return Becoming(Target(f"{entry.path}/{of_id}", 1), of_id)

    def _updated(self, entry: Entry) -> Becoming:
        """Returns what an update leads to; where there is nothing to update, it fails later."""
        kind, of_id = entry.segments
        current = self.writing.read_to_update(kind, of_id)
        return Becoming(Target(entry.changes, 1 if current is None else current.version + 1))


# Answers the entries of a batch: each on its own, whatever becomes of the others.
#
# Source: R4 http.html#brules.

REQUESTS = logging.getLogger("service.request")

_NOWHERE = Target("", 0)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that is about to be processed.

    Args:
        router: finds the route of each entry.
        prefer: what the caller prefers, for every entry.
        urls: the canonical urls of what this service defines itself.
    """

    router: Router
    prefer: str | None
    urls: Canonicals

    def process(self, entries: Sequence[Entry], answers: Answers) -> None:
        """Answers every entry; what goes wrong with one is its answer.

        Entries that depend on each other are refused: two that change one resource, and one that has a link
        to what another creates.
        """
        twice = repeated(entries, {})
        targets = {each.full_url: _NOWHERE for each in entries if each.creates and each.full_url}
        for entry in in_order(entries):
            problems = [*entry.problems, *_dependencies(entry, targets)]
            problems += [twice[entry.place]] if entry.place in twice else []
            answers.add(entry, self._alone(entry, problems, answers))

    def _alone(self, entry: Entry, problems: Sequence[Problem], answers: Answers) -> Reply:
        try:
            _refuse(problems)
            answers.check_room()
            return answered(*self.router.matched(environ_of(entry, entry.body, self.prefer)))
        except ServiceError as error:
            return refusal(error, self.urls)
        except Exception:  # noqa: BLE001 - the last resort: the others are answered, the log has the places
            request_id = os.urandom(16).hex()
            REQUESTS.exception({"event": "failed", "id": request_id, "route": BASE_PATH})
            return breakdown(request_id, self.urls)


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
            text = f"{shown(here, link.place)}: {expected}."
            yield Problem("bundle-reference", text, expression(here, link.place))


# Answers the entries of a transaction: all of them, or none.
#
# Source: R4 http.html#trules.


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction that is about to be processed.

    Args:
        router: finds the route of each entry.
        repository: what is stored.
        base: public FHIR base.
        prefer: what the caller prefers, for every entry.
    """

    router: Router
    repository: Repository
    base: str
    prefer: str | None

    def process(self, entries: Sequence[Entry], answers: Answers) -> None:
        """Answers every entry in one transaction of the store.

        Raises:
            ServiceError: of the first entry that is refused; nothing is stored then. Each problem has its
                place in the Bundle. Faults of structure are those of all entries.
        """
        problems = [problem for entry in entries for problem in (*entry.problems, *_misplaced(entry))]
        problems += repeated(entries, {}).values()
        if problems:
            raise Malformed(*problems)
        for entry in entries:
            with placed(entry):
                self.router.matched(environ_of(entry, b"", None))
        with self.repository.writing() as writing:
            plan = Planner(writing, self.repository.new_id, self.base).plan(entries)
            for entry in in_order(entries):
                with _all_structure(entry, entries):
                    answers.add(entry, self._answer(entry, plan, writing, answers))

    def _answer(self, entry: Entry, plan: Plan, writing: Writing, answers: Answers) -> Reply:
        becoming = plan.becoming.get(entry.place)
        unit = Unit(writing, "" if becoming is None else becoming.new_id)
        environ = environ_of(entry, plan.bodies.get(entry.place, entry.body), self.prefer)
        with placed(entry):
            answers.check_room()
            reply = answered(*self.router.matched(environ, unit))
            if becoming is not None and f"/{becoming.target.reference}/" not in location_of(reply):
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
def _all_structure(entry: Entry, entries: Sequence[Entry]) -> Iterator[None]:
    """Adds the faults of structure of all other entries to those of the one that is refused for its own."""
    try:
        yield
    except Malformed as error:
        others = [
            each for each in entries if each is not entry and each.writes and each.segments[0] == RESPONSE
        ]
        faults = [
            fault
            for each in others
            for fault in check_response(each.resource or {}, f"{each.place}.resource")
        ]
        error.problems = (*error.problems, *faults)
        raise


__all__ = ["BundleLimits", "bundle_route"]


def bundle_route(
    router: Router,
    repository: Repository | None,
    limits: BundleLimits,
    *,
    base: str,
    urls: Canonicals = AS_WRITTEN,
) -> Route:
    """Returns the route of batches and, with a repository, transactions.

    Args:
        router: over all other routes; what is not among them cannot be asked for in a Bundle.
        repository: what is stored; None where nothing is.
        limits: what a Bundle may cost.
        base: public FHIR base.
        urls: the canonical urls of what this service defines itself.
    """
    interactions = ("batch",) if repository is None else ("batch", "transaction")
    view = Bundles(router, repository, limits, base=base, urls=urls)
    return Route(BASE_PATH, {"POST": view.answer}, interactions=interactions)


@dataclass(frozen=True, slots=True)
class Bundles:
    """The view on `POST [base]`; fields as in bundle_route."""

    router: Router
    repository: Repository | None
    limits: BundleLimits
    base: str
    urls: Canonicals

    def answer(self, call: Call) -> Reply:
        """Returns a batch-response or transaction-response.

        Raises:
            Malformed, TooLarge: the body is no batch and no transaction, or over a limit.
            ServiceError: an entry of a transaction is refused, and so is all of it.
        """
        check_body_type(call.environ.get("CONTENT_TYPE"))
        content_type = call.answer_type()
        posted = bundle_from(read_body(call.environ, self.limits.body_bytes), self.limits)
        answers = Answers(self.base, self.limits.answer_bytes)
        self._way(posted.type, call.header("PREFER")).process(posted.entries, answers)
        body = answers.bundle(posted.type, posted.entries)
        return Reply(200, body, (("Content-Type", content_type), NO_STORE))

    def _way(self, kind: str, prefer: str | None) -> Batch | Transaction:
        if kind == BATCH:
            return Batch(self.router, prefer, self.urls)
        if self.repository is None:
            text = "type: expected batch. Nothing is stored here, so there are no transactions."
            raise Malformed(Problem("bundle-type", text, "Bundle.type"))
        return Transaction(self.router, self.repository, self.base, prefer)
