"""Whether a caller already has the current version of what it reads.

Source:
    RFC 9110, section 13; R4 http.html#cread.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from service.web.call import Call
from service.web.reply import Header, Reply

_TAG = re.compile(r'(?:W/)?"([^"]*)"')


def http_date(instant: str) -> str:
    """Returns a FHIR instant as an HTTP date."""
    moment = datetime.fromisoformat(instant)
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def not_modified(call: Call, etag: str, last_modified: str | None) -> bool:
    """Whether the answer may be 304.

    Args:
        call: the request; If-None-Match decides alone where it is given.
        etag: the current tag; compared weakly.
        last_modified: the current HTTP date, where it is known.
    """
    tags = call.header("IF_NONE_MATCH")
    if tags is not None:
        return tags.strip() == "*" or _opaque(etag) in _TAG.findall(tags)
    since = call.header("IF_MODIFIED_SINCE")
    if since is None or last_modified is None:
        return False
    asked = _moment(since)
    current = _moment(last_modified)
    return asked is not None and current is not None and asked >= current


def conditional(call: Call, reply: Reply, etag: str, last_modified: str | None) -> Reply:
    """Returns the reply with its validators, or 304 without a body where the caller has it already."""
    validators: tuple[Header, ...] = (("ETag", etag),)
    if last_modified is not None:
        validators += (("Last-Modified", last_modified),)
    if not_modified(call, etag, last_modified):
        kept = tuple(header for header in reply.headers if header[0] != "Content-Type")
        return Reply(304, b"", (*kept, *validators))
    return reply._replace(headers=(*reply.headers, *validators))


def _opaque(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
