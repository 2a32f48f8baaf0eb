"""What a view returns: status, body, headers and the version that they are about; nothing computed later."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
import orjson

from service.errors import (
    Forbidden,
    Malformed,
    Misdirected,
    NotAcceptable,
    NotAllowed,
    NotFound,
    NotScorable,
    PreconditionFailed,
    ServiceError,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    Unsupported,
)

Header = tuple[str, str]

STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
STATUS: dict[type[ServiceError], int] = {
    Malformed: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    NotAllowed: 405,
    NotAcceptable: 406,
    PreconditionFailed: 412,
    TooLarge: 413,
    Unsupported: 415,
    Misdirected: 421,
    NotScorable: 422,
    TooManyRequests: 429,
    Unavailable: 503,
}
"""The status that answers each kind of error."""
NO_STORE: Header = ("Cache-Control", "no-store")
REVALIDATE: Header = ("Cache-Control", "no-cache")
VARY: Header = ("Vary", "Accept")
VARY_BY_LANGUAGE: Header = ("Vary", "Accept, Accept-Language")


class Version(msgspec.Struct, frozen=True):
    """The version of a resource that a reply is about: its headers say it, and so does an entry of a Bundle.

    Args:
        etag: entity tag; empty if it has none.
        updated: FHIR instant of the last change, all its digits; empty if it is not known.
        location: absolute url of the version, for what was stored; empty for what was read.
        related: absolute url of what was made of it.
    """

    etag: str = ""
    updated: str = ""
    location: str = ""
    related: str = ""


NO_VERSION = Version()


class Reply(NamedTuple):
    """One answer. `headers` leaves out Content-Length and what every answer carries."""

    status: int
    body: bytes
    headers: tuple[Header, ...]
    version: Version = NO_VERSION


def json_reply(document: Any, content_type: str, *headers: Header, status: int = 200) -> Reply:
    """Returns a document of plain values as a reply."""
    return Reply(status, orjson.dumps(document), (("Content-Type", content_type), *headers))


def indented(body: bytes) -> bytes:
    """Returns JSON text with line breaks; every number keeps its digits."""
    return msgspec.json.format(body, indent=2)
