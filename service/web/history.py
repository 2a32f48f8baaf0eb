"""The history of one stored resource: a Bundle of its versions, newest first.

Source: R4 http.html#history.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson

from service.errors import Malformed, Problem
from service.repository import instant
from service.web.reply import NO_STORE, VARY, Reply, json_reply

if TYPE_CHECKING:
    from service.repository import Repository
    from service.storage import History, Record
    from service.web.call import Call
    from service.web.route import View

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
