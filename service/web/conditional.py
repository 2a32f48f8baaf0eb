"""Conditional requests: If-Match for reads and updates; If-None-Match and If-Modified-Since for reads.

Source:
    RFC 9110, section 13; R4 http.html#cread, http.html#concurrency.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from werkzeug.datastructures import ETags
from werkzeug.http import http_date, parse_date, parse_etags, unquote_etag

from service.errors import Malformed, PreconditionFailed, Problem
from service.records.repository import OTHER_VERSION
from service.web.reply import Header, Reply, Version
from service.web.request import Request

VERSION_ID = re.compile(r"[1-9][0-9]{0,8}")
"""The version ids of what is stored; whatever else a tag says, it names no version."""

# Werkzeug also takes tags without quotes, which name no version of anything here.
_TAGS = re.compile(r'[ ]*(?:W/)?"[^"]*"[ ]*(?:,[ ]*(?:W/)?"[^"]*"[ ]*)*')


def conditional(request: Request, reply: Reply, version: Version, *, by_time: bool = True) -> Reply:
    """Returns the reply with its validators, or 304 without a body where the caller has it already.

    Args:
        request: a read.
        reply: the whole answer.
        version: what it is about.
        by_time: whether If-Modified-Since may decide; it tells no changes within one second apart.

    Raises:
        PreconditionFailed: If-Match names other versions alone.
        Malformed: it names no entity tag.
    """
    if_match = request.header("IF_MATCH")
    if if_match is not None and not _names(if_match, version.etag):
        raise PreconditionFailed(OTHER_VERSION)
    validators = validators_of(version)
    if _is_known(request, version, by_time=by_time):
        kept = tuple(header for header in reply.headers if header[0] != "Content-Type")
        return Reply(304, b"", (*kept, *validators), version)
    return reply._replace(headers=(*reply.headers, *validators), version=version)


def validators_of(version: Version) -> tuple[Header, ...]:
    """Returns ETag and, where it is known, Last-Modified."""
    etag: Header = ("ETag", version.etag)
    return (etag, ("Last-Modified", http_date_of(version.updated))) if version.updated else (etag,)


def http_date_of(instant: str) -> str:
    """Returns a FHIR instant as an HTTP date.

    Raises:
        ValueError, OverflowError: the calendar of HTTP does not have it.
    """
    return http_date(datetime.fromisoformat(instant).astimezone(UTC))


def expected_versions(if_match: str | None) -> frozenset[int] | None:
    """Returns the versions of which one must be the current one; None if any may be.

    Tags are compared by their text, weak or not, as R4 asks.

    Raises:
        Malformed: the header names no entity tag.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tags = _tags_of(if_match)
    texts = (tag or "" for tag in tags.as_set(include_weak=True))  # Werkzeug reads "" as None
    return frozenset(int(text) for text in texts if VERSION_ID.fullmatch(text))


def _names(if_match: str, etag: str) -> bool:
    return if_match.strip() == "*" or _tags_of(if_match).contains_weak(unquote_etag(etag)[0])


def _tags_of(if_match: str) -> ETags:
    """Returns the tags of If-Match; raises Malformed."""
    tags = _tags(if_match)
    if tags is None:
        raise Malformed(Problem("if-match", 'If-Match: expected an entity tag such as W/"1".'))
    return tags


def _is_known(request: Request, version: Version, *, by_time: bool) -> bool:
    """Says whether the answer may be 304; If-None-Match decides alone where it is given."""
    if_none_match = request.header("IF_NONE_MATCH")
    if if_none_match is not None:
        tags = _tags(if_none_match)
        is_listed = tags is not None and tags.contains_weak(unquote_etag(version.etag)[0])
        return is_listed or if_none_match.strip() == "*"
    since = _moment(request.header("IF_MODIFIED_SINCE")) if by_time and version.updated else None
    return since is not None and since >= datetime.fromisoformat(version.updated).replace(microsecond=0)


def _tags(text: str) -> ETags | None:
    """Returns the tags of a header; None if it is no list of entity tags."""
    return parse_etags(text) if _TAGS.fullmatch(text) else None


def _moment(http_date: str | None) -> datetime | None:
    try:
        return parse_date(http_date)
    except OverflowError:  # an offset beyond what a machine counts; Werkzeug lets it through
        return None
