"""Whether a caller already has the current version of what it reads.

Source:
    RFC 9110, section 13; R4 http.html#cread.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from service.errors import Malformed, Problem
from service.web.reply import Header, Reply
from service.web.request import Call

_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_TAGS = re.compile(r'[ ]*(?:W/)?"[^"]*"[ ]*(?:,[ ]*(?:W/)?"[^"]*"[ ]*)*')
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


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


def conditional(
    call: Call, reply: Reply, etag: str, last_modified: str | None, *, by_time: bool = True
) -> Reply:
    """Returns the reply with its validators, or 304 without a body where the caller has it already.

    Args:
        call: the request.
        reply: the whole answer.
        etag, last_modified: its validators.
        by_time: whether If-Modified-Since may decide; it tells no changes within one second apart.
    """
    validators: tuple[Header, ...] = (("ETag", etag),)
    if last_modified is not None:
        validators += (("Last-Modified", last_modified),)
    if not_modified(call, etag, last_modified if by_time else None):
        kept = tuple(header for header in reply.headers if header[0] != "Content-Type")
        return Reply(304, b"", (*kept, *validators))
    return reply._replace(headers=(*reply.headers, *validators))


def expected_versions(if_match: str | None) -> frozenset[int] | None:
    """Returns the versions of which one must be the current one; None where any may be.

    Raises:
        Malformed: the header names no entity tag.

    Source:
        R4 http.html#concurrency; tags are compared by their text, weak or not.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    if not _TAGS.fullmatch(if_match):
        raise Malformed(Problem("if-match", 'If-Match: expected an entity tag such as W/"1".'))
    return frozenset(int(tag) for tag in _TAG.findall(if_match) if _VERSION.fullmatch(tag))


def _opaque(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None
