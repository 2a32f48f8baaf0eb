"""The views on what is stored: read, vread, history and search of four types; create and update of one.

Source:
    R4 http.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import msgspec
import orjson

from service.datatypes.values import replace
from service.errors import Forbidden, Malformed, NotFound, PreconditionFailed, Problem
from service.fhir.dates import instant, is_instant, time_range
from service.fhir.json import MutableJson
from service.fhir.parameters import DETAIL
from service.records import RISK, Stored
from service.results import BUNDLE
from service.search import (
    LAYOUT,
    Shape,
    condition_from,
    date_range,
    in_words,
    query_from,
    searchset,
    shape_from,
)
from service.storage.entries import HIGHEST, LOWEST
from service.storage.model import Period
from service.web.conditional import VERSION_ID, conditional, expected_versions, validators_of
from service.web.reply import NO_STORE, VARY, Header, Reply, Version, json_reply
from service.web.request import is_strict, search_parameters, wanted_return

if TYPE_CHECKING:
    from service.records import Reach, Repository
    from service.storage.model import History, Record
    from service.web.deployment import Deployment
    from service.web.request import Query, Request

STORED: Final = Problem(
    "stored", "The response was stored, and assessed where its status allows.", severity="information"
)
FOUND: Final = Problem(
    "stored", "A response that meets the condition was there already.", severity="information"
)

_FINDS: Final = Problem(
    "beyond-access", "A condition finds what is stored: expected a scope to read and search as well."
)
_LONGEST_PAGE: Final = 100
_COUNT, _BEFORE, _SINCE, _AT = "_count", "_before", "_since", "_at"
_HISTORY: Final = (_COUNT, _SINCE, _AT, _BEFORE)
_WHOLE: Final = re.compile(r"[0-9]{1,9}")


class StoredType:
    """The views on one type of stored resource."""

    def __init__(self, kind: str, repository: Repository, deployment: Deployment) -> None:
        self.kind = kind
        self._repository = repository
        self._deployment = deployment
        self._base = deployment.base
        self._most_bytes = deployment.body.body_bytes

    def read(self, request: Request) -> Reply:
        """Returns the current version, of a result in the wanted detail; raises NotFound, Malformed."""
        query, detail = request.query(), request.option(DETAIL) if self.kind == RISK else None
        pairs = query if detail is None else tuple(pair for pair in query if pair[0] != DETAIL)
        shape = shape_from(self.kind, pairs, strict=is_strict(request), base=self._base)
        of_id = request.args["id"]
        if detail:
            record, body = self._repository.read_result(of_id, detail, request.unit, reach=request.reach)
        else:
            record = self._repository.read(self.kind, of_id, request.unit, reach=request.reach)
            body = record.body
        if not shape.is_whole:
            request.record_read(body)
        return self._read(request, record, body if detail == BUNDLE else shape.applied(body))

    def read_version(self, request: Request) -> Reply:
        """Returns one version; raises NotFound."""
        version = request.args["version"]
        if not VERSION_ID.fullmatch(version):
            raise NotFound(Problem("version-unknown", "The resource has no such version, or does not exist."))
        record = self._repository.read_version(
            self.kind, request.args["id"], int(version), request.unit, reach=request.reach
        )
        return self._read(request, record, record.body)

    def search(self, request: Request) -> Reply:
        """Returns a Bundle of what the parameters find; raises Malformed."""
        content_type = request.answer_type()
        pairs = search_parameters(request, self._most_bytes)
        query = query_from(self.kind, pairs, strict=is_strict(request), base=self._base)
        reach_of = self._reach_of(request)
        with self._repository.reading(request.unit, reach=request.reach, reach_of=reach_of) as view:
            body = searchset(query, view)
            if request.asked is not None and not query.shape.is_whole:
                request.record_read(searchset(replace(query, shape=Shape()), view))
        return Reply(200, body, (("Content-Type", content_type), NO_STORE, VARY))

    def history(self, request: Request) -> Reply:
        """Returns a Bundle of the versions of one resource, newest first; raises NotFound, Malformed.

        `_count` sets the length of a page, and `_before` continues one. `_since` leaves out older versions,
        `_at` those that were never current in that time. Other parameters are ignored, as R4 allows, unless
        strict handling is preferred.

        Source:
            R4 http.html#history.
        """
        content_type = request.answer_type()
        wanted, of_id = _wanted_page(request), request.args["id"]
        found = self._repository.history(
            self.kind,
            of_id,
            limit=max(wanted.count, 1),
            before=wanted.before,
            period=wanted.period,
            unit=request.unit,
            reach=request.reach,
        )
        bundle = _history_bundle(found, f"{self._base}/{self.kind}/{of_id}", wanted)
        return json_reply(bundle, content_type, NO_STORE, VARY)

    def create(self, request: Request) -> Reply:
        """Stores a response with its result: 201; or 200 with the one that meets the condition."""
        request.check_body_type()
        content_type = request.answer_type()
        text = _condition(request)
        condition = None if text is None else condition_from(self.kind, text, base=self._base)
        if condition is not None and request.principal.may_reach(self.kind, "rs") is None:
            raise Forbidden(_FINDS)
        body = request.body(self._most_bytes)
        stored = self._repository.create(
            body,
            condition,
            request.unit,
            languages=request.languages(),
            reach=request.reach,
            asked=request.asked,
        )
        return self._stored_reply(request, stored, content_type)

    def update(self, request: Request) -> Reply:
        """Stores the next version of a response and of its result."""
        request.check_body_type()
        content_type = request.answer_type()
        _check_update(request)
        expected = expected_versions(request.header("IF_MATCH"))
        body = request.body(self._most_bytes)
        stored = self._repository.update(
            request.args["id"],
            body,
            expected=expected,
            unit=request.unit,
            languages=request.languages(),
            reach=request.reach,
            asked=request.asked,
        )
        return self._stored_reply(request, stored, content_type)

    def _reach_of(self, request: Request) -> Callable[[str], Reach | None]:
        """Returns the reach of a search in each type; included resources have to be read and searched."""

        def reach_of(kind: str) -> Reach | None:
            return request.reach if kind == self.kind else request.principal.may_reach(kind, "rs")

        return reach_of

    def _read(self, request: Request, record: Record, body: bytes) -> Reply:
        reply = Reply(200, body, (("Content-Type", request.answer_type()), NO_STORE, VARY))
        version = Version(f'W/"{record.version}"', instant(record.updated))
        # A result may be withdrawn within the second in which it was read: only its tag tells.
        return conditional(request, reply, version, by_time=False)

    def _stored_reply(self, request: Request, stored: Stored, content_type: str) -> Reply:
        status = 201 if stored.is_new and stored.record.version == 1 else 200
        version = self._version(stored)
        headers = (NO_STORE, VARY, *_headers(stored, version))
        wanted = wanted_return(request)
        if wanted == "minimal":
            return Reply(status, b"", headers, version)
        if wanted == "OperationOutcome":
            outcome = self._deployment.outcome([STORED if stored.is_new else FOUND, *stored.notices])
            return json_reply(outcome, content_type, *headers, status=status)._replace(version=version)
        return Reply(status, stored.record.body, (("Content-Type", content_type), *headers), version)

    def _version(self, stored: Stored) -> Version:
        record = stored.record
        return Version(
            etag=f'W/"{record.version}"',
            updated=instant(record.updated),
            location=f"{self._base}/{self.kind}/{record.id}/_history/{record.version}",
            related="" if stored.risk is None else f"{self._base}/{RISK}/{stored.risk.id}",
        )


def _headers(stored: Stored, version: Version) -> Iterator[Header]:
    yield from validators_of(version)
    is_update = stored.is_new and stored.record.version > 1
    yield "Content-Location" if is_update else "Location", version.location
    if version.related:
        yield "Link", f'<{version.related}>; rel="related"; title="{RISK}"'
    if stored.guidance:
        yield "X-Guidance", stored.guidance


def _check_update(request: Request) -> None:
    """Refuses the conditions that an update does not support; ignoring them would be wrong."""
    if any(name not in LAYOUT for name, _ in request.query()):
        raise Malformed(Problem("query", "An update takes no search parameters. Expected: PUT [type]/[id]."))
    if request.header("IF_NONE_MATCH") is not None or request.header("IF_UNMODIFIED_SINCE") is not None:
        raise PreconditionFailed(
            Problem("version-conflict", "An update takes If-Match as its only condition.")
        )


def _condition(request: Request) -> str | None:
    """Returns the condition of a create: If-None-Exist, or the query string, where some clients put it."""
    header = request.header("IF_NONE_EXIST")
    pairs = [pair for pair in request.query() if pair[0] not in LAYOUT]
    if header is not None and not header.isascii():
        expected = "If-None-Exist: expected characters beyond ASCII to be percent-encoded."
        raise Malformed(Problem("if-none-exist", expected))
    if header is not None and pairs:
        expected = "Expected the condition in If-None-Exist or in the query string, not in both."
        raise Malformed(Problem("if-none-exist", expected))
    return header if header is not None else urlencode(pairs) if pairs else None


# The history of one resource.


class _WantedPage(msgspec.Struct, frozen=True):
    """The parameters of a history, `used` as they came."""

    used: Mapping[str, str]
    count: int
    before: int | None
    period: Period


def _wanted_page(request: Request) -> _WantedPage:
    known = (*_HISTORY, *LAYOUT)
    if is_strict(request):
        _refuse_unknown(request.query(), known)
    used = {name: value for name, value in request.query() if name in known and value}
    numbers = {name: _whole(name, used[name]) for name in (_COUNT, _BEFORE) if name in used}
    count = min(numbers.get(_COUNT, _LONGEST_PAGE), _LONGEST_PAGE)
    low, high = _time(used[_AT]) if _AT in used else (LOWEST, HIGHEST)
    since = _moment(used[_SINCE]) if _SINCE in used else LOWEST
    return _WantedPage(used, count, numbers.get(_BEFORE), Period(since, low, high))


def _refuse_unknown(query: Query, known: Sequence[str]) -> None:
    """Raises Malformed for each unknown parameter of a history, other than `_format` and `_pretty`."""
    unknown = dict.fromkeys(name for name, _ in query if name not in known)
    expected = f"Expected one of {', '.join(known)}."
    problems = [
        Problem("search-parameter", f"{in_words(name)} is not known here. {expected}") for name in unknown
    ]
    if problems:
        raise Malformed(*problems)


def _whole(name: str, value: str) -> int:
    if not _WHOLE.fullmatch(value):
        text = f"Parameter {name}: expected a whole number up to nine digits."
        raise Malformed(Problem("search-value", text))
    return int(value)


def _moment(value: str) -> int:
    found = time_range(value) if is_instant(value) else None
    if found is None:
        text = f"Parameter {_SINCE}: expected an instant with a time zone."
        raise Malformed(Problem("search-value", text))
    return found[0]


def _time(value: str) -> tuple[int, int]:
    """Returns the first and the last microsecond of the time that `_at` names.

    Source:
        R4 http.html#history: a dateTime as searches read it; `ne` is refused, since it names no single time.
    """
    found = date_range(value)
    if found is None or found.comparison == "ne":
        expected = "expected a date such as 2026-01-31, behind one of eq lt gt ge le sa eb ap or none"
        text = f"Parameter {_AT}: {expected}."
        raise Malformed(Problem("search-value", text))
    match found.comparison:
        case "ge":
            return found.low, HIGHEST
        case "gt" | "sa":
            return found.high + 1, HIGHEST
        case "le":
            return LOWEST, found.high
        case "lt" | "eb":
            return LOWEST, found.low - 1
    return found.low, found.high


def _history_bundle(found: History, place: str, wanted: _WantedPage) -> MutableJson:
    records = found.records if wanted.count else ()
    bundle: MutableJson = {"resourceType": "Bundle", "type": "history", "total": found.total}
    bundle["link"] = [{"relation": "self", "url": _history_link(place, wanted.used)}]
    if found.next is not None and records:
        following = {**wanted.used, _BEFORE: str(found.next)}
        bundle["link"].append({"relation": "next", "url": _history_link(place, following)})
    return bundle | {"entry": [_history_entry(record, place) for record in records]} if records else bundle


def _history_entry(record: Record, place: str) -> MutableJson:
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


def _history_link(place: str, used: Mapping[str, str]) -> str:
    query = f"?{urlencode(used)}" if used else ""
    return f"{place}/_history{query}"
