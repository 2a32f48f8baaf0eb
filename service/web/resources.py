"""The views on what is stored: read, vread, history and search of four types; create and update of one.

Source: R4 http.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson

from service.errors import Malformed, NotFound, PreconditionFailed, Problem
from service.fhir.definitions import AS_WRITTEN, Canonicals
from service.fhir.outcome import operation_outcome
from service.records import KINDS, RESPONSE, RISK, Stored, instant
from service.search import condition_from, query_from, searchset, subset
from service.web.conditional import conditional, expected_versions, http_date
from service.web.negotiation import check_body_type
from service.web.reply import NO_STORE, VARY, Header, Reply, json_reply
from service.web.request import QUIET, asked, is_strict, read_body, wanted_return
from service.web.routing import BASE_PATH, Route

if TYPE_CHECKING:
    from service.records import Repository
    from service.storage import History, Record
    from service.web.request import Call
    from service.web.routing import View


# The history of one stored resource: a Bundle of its versions, newest first.
#
# Source: R4 http.html#history.

_LONGEST_PAGE = 100
_COUNT, _BEFORE, _SINCE = "_count", "_before", "_since"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE = re.compile(r"[0-9]{1,9}")


def history_view(kind: str, repository: Repository, base: str) -> View:
    """Returns the view of `GET [base]/[kind]/[id]/_history`.

    `_count` sets the length of a page, `_since` leaves out what is older, and `_before` continues a
    page; other parameters are ignored, as R4 allows.
    """

    def history(call: Call) -> Reply:
        content_type = call.answer_type()
        asked = _asked(call)
        of_id = call.args["id"]
        found = repository.history(
            kind, of_id, limit=max(asked.count, 1), before=asked.before, unit=call.unit
        )
        return json_reply(_bundle(found, f"{base}/{kind}/{of_id}", asked), content_type, NO_STORE, VARY)

    return history


@dataclass(frozen=True, slots=True)
class _Asked:
    """The parameters, `used` as they came; `since` in microseconds since 1970 UTC."""

    used: Mapping[str, str]
    count: int
    before: int | None
    since: int


def _asked(call: Call) -> _Asked:
    used = {name: value for name, value in call.query() if name in (_COUNT, _BEFORE, _SINCE) and value}
    numbers = {name: _whole(name, value) for name, value in used.items() if name != _SINCE}
    count = min(numbers.get(_COUNT, _LONGEST_PAGE), _LONGEST_PAGE)
    since = _moment(used[_SINCE]) if _SINCE in used else 0
    return _Asked(used, count, numbers.get(_BEFORE), since)


def _whole(name: str, value: str) -> int:
    if not _WHOLE.fullmatch(value):
        text = f"Parameter {name}: expected a whole number up to nine digits."
        raise Malformed(Problem("search-value", text))
    return int(value)


def _moment(value: str) -> int:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - without a zone, refused below
    if moment.tzinfo is None:
        text = f"Parameter {_SINCE}: expected an instant with a time zone."
        raise Malformed(Problem("search-value", text))
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _bundle(found: History, place: str, asked: _Asked) -> dict[str, Any]:
    records = [record for record in found.records if record.updated >= asked.since] if asked.count else []
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "history"}
    if not asked.since:
        bundle["total"] = found.total
    bundle["link"] = [{"relation": "self", "url": _link(place, asked.used)}]
    if found.next is not None and len(records) == len(found.records):
        following = {**asked.used, _BEFORE: str(found.next)}
        bundle["link"].append({"relation": "next", "url": _link(place, following)})
    return bundle | {"entry": [_entry(record, place) for record in records]} if records else bundle


def _entry(record: Record, place: str) -> dict[str, Any]:
    created = record.version == 1
    return {
        "fullUrl": place,
        "resource": orjson.Fragment(record.body),
        "request": {
            "method": "POST" if created else "PUT",
            "url": record.type if created else f"{record.type}/{record.id}",
        },
        "response": {
            "status": "201" if created else "200",
            "etag": f'W/"{record.version}"',
            "lastModified": instant(record.updated),
        },
    }


def _link(place: str, used: Mapping[str, str]) -> str:
    query = f"?{urlencode(used)}" if used else ""
    return f"{place}/_history{query}"


_VERSION = re.compile(r"[1-9][0-9]{0,8}")

STORED = Problem(
    "stored", "The response was stored, and assessed where its status allows.", severity="information"
)
FOUND = Problem("stored", "A response that meets the condition was there already.", severity="information")


def stored_routes(
    repository: Repository, base: str, limit: int, urls: Canonicals = AS_WRITTEN
) -> tuple[Route, ...]:
    """Returns the routes of everything that is stored.

    Args:
        repository: what is stored.
        base: public FHIR base for links.
        limit: longest body in bytes.
        urls: the canonical urls of what this service defines itself.
    """
    kinds = (StoredType(kind, repository, base, limit, urls) for kind in KINDS)
    return tuple(route for stored in kinds for route in _routes(stored))


def _routes(stored: StoredType) -> Iterator[Route]:
    kind, path = stored.kind, f"{BASE_PATH}/{stored.kind}"
    instance, versions = f"{path}/<id:id>", f"{path}/<id:id>/_history"
    if kind == RESPONSE:
        yield Route(path, {"GET": stored.search, "POST": stored.create}, kind, ("search-type", "create"))
        yield Route(instance, {"GET": stored.read, "PUT": stored.update}, kind, ("read", "update"))
    else:
        yield Route(path, {"GET": stored.search}, kind, ("search-type",))
        yield Route(instance, {"GET": stored.read}, kind, ("read",))
    if kind in (RESPONSE, RISK):
        history = history_view(kind, stored.repository, stored.base)
        yield Route(versions, {"GET": history}, kind, ("history-instance",))
    yield Route(f"{path}/_search", {"POST": stored.search}, kind, ("search-type",))
    yield Route(f"{versions}/<id:version>", {"GET": stored.read_version}, kind, ("vread",))


class StoredType:
    """The views on one type of stored resource."""

    def __init__(
        self, kind: str, repository: Repository, base: str, limit: int, urls: Canonicals = AS_WRITTEN
    ) -> None:
        self.kind = kind
        self.repository = repository
        self.base = base
        self._limit = limit
        self._urls = urls

    def read(self, call: Call) -> Reply:
        """Returns the current version; raises NotFound."""
        query = query_from(self.kind, call.query(), strict=is_strict(call), base=self.base)
        record = self.repository.read(self.kind, call.args["id"], call.unit)
        return self._shown(call, record, subset(record.body, query))

    def read_version(self, call: Call) -> Reply:
        """Returns one version; raises NotFound."""
        version = call.args["version"]
        if not _VERSION.fullmatch(version):
            raise NotFound(Problem("version-unknown", "The resource has no such version, or does not exist."))
        record = self.repository.read_version(self.kind, call.args["id"], int(version), call.unit)
        return self._shown(call, record, record.body)

    def search(self, call: Call) -> Reply:
        """Returns a Bundle of what the parameters find; raises Malformed."""
        content_type = call.answer_type()
        query = query_from(self.kind, asked(call, self._limit), strict=is_strict(call), base=self.base)
        with self.repository.reading(call.unit) as view:
            body = searchset(query, view)
        return Reply(200, body, (("Content-Type", content_type), NO_STORE, VARY))

    def create(self, call: Call) -> Reply:
        """Stores a response with its result: 201; or 200 with the one that meets the condition."""
        check_body_type(call.environ.get("CONTENT_TYPE"))
        content_type = call.answer_type()
        text = _condition(call)
        condition = None if text is None else condition_from(self.kind, text, base=self.base)
        kept = self.repository.create(read_body(call.environ, self._limit), condition, call.unit)
        return self._kept(call, kept, content_type)

    def update(self, call: Call) -> Reply:
        """Stores the next version of a response and of its result."""
        check_body_type(call.environ.get("CONTENT_TYPE"))
        content_type = call.answer_type()
        _check_update(call)
        expected = expected_versions(call.header("IF_MATCH"))
        body = read_body(call.environ, self._limit)
        kept = self.repository.update(call.args["id"], body, expected=expected, unit=call.unit)
        return self._kept(call, kept, content_type)

    def _shown(self, call: Call, record: Record, body: bytes) -> Reply:
        headers = (("Content-Type", call.answer_type()), NO_STORE, VARY)
        reply = Reply(200, body, headers)
        # A result may be withdrawn within the second in which it was read: only its tag tells.
        return conditional(call, reply, _etag(record), _last_modified(record), by_time=False)

    def _kept(self, call: Call, kept: Stored, content_type: str) -> Reply:
        status = 201 if kept.is_new and kept.record.version == 1 else 200
        headers = tuple(self._headers(kept, content_type))
        wanted = wanted_return(call)
        if wanted == "minimal":
            return Reply(status, b"", headers[1:])
        if wanted == "OperationOutcome":
            outcome = operation_outcome([STORED if kept.is_new else FOUND], self._urls)
            return json_reply(outcome, content_type, *headers[1:], status=status)
        return Reply(status, kept.record.body, headers)

    def _headers(self, kept: Stored, content_type: str) -> Iterator[Header]:
        record = kept.record
        location = f"{self.base}/{self.kind}/{record.id}/_history/{record.version}"
        yield "Content-Type", content_type
        yield NO_STORE
        yield VARY
        yield "ETag", _etag(record)
        yield "Last-Modified", _last_modified(record)
        is_update = kept.is_new and record.version > 1
        yield "Content-Location" if is_update else "Location", location
        if kept.risk is not None:
            yield "Link", f'<{self.base}/{RISK}/{kept.risk.id}>; rel="related"; title="{RISK}"'
        if kept.guidance:
            yield "X-Guidance", kept.guidance


def _check_update(call: Call) -> None:
    """Refuses conditions of an update that are not kept: what is asked for must not be left out."""
    if any(name not in QUIET for name, _ in call.query()):
        raise Malformed(Problem("query", "An update takes no search parameters. Expected: PUT [type]/[id]."))
    if call.header("IF_NONE_MATCH") is not None or call.header("IF_UNMODIFIED_SINCE") is not None:
        raise PreconditionFailed(
            Problem("version-conflict", "An update takes If-Match as its only condition.")
        )


def _condition(call: Call) -> str | None:
    """Returns the condition of a create: If-None-Exist, or the query string, where some clients put it."""
    header = call.header("IF_NONE_EXIST")
    pairs = [pair for pair in call.query() if pair[0] not in QUIET]
    if header is not None and not header.isascii():
        expected = "If-None-Exist: expected characters beyond ASCII to be percent-encoded."
        raise Malformed(Problem("if-none-exist", expected))
    if header is not None and pairs:
        expected = "Expected the condition in If-None-Exist or in the query string, not in both."
        raise Malformed(Problem("if-none-exist", expected))
    return header if header is not None else urlencode(pairs) if pairs else None


def _etag(record: Record) -> str:
    return f'W/"{record.version}"'


def _last_modified(record: Record) -> str:
    return http_date(instant(record.updated))
