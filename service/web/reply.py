"""What a view returns: status, body and headers, nothing computed later."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
import orjson

Header = tuple[str, str]

STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
NO_STORE: Header = ("Cache-Control", "no-store")
REVALIDATE: Header = ("Cache-Control", "no-cache")
VARY: Header = ("Vary", "Accept")

_NOSNIFF: Header = ("X-Content-Type-Options", "nosniff")
_TLS_ONLY: Header = ("Strict-Transport-Security", "max-age=31536000")


class Reply(NamedTuple):
    """One answer. `headers` leaves out Content-Length and what every answer carries."""

    status: int
    body: bytes
    headers: tuple[Header, ...]


def json_reply(document: Any, content_type: str, *headers: Header, status: int = 200) -> Reply:
    """Returns a document of plain values as a reply."""
    return Reply(status, orjson.dumps(document), (("Content-Type", content_type), *headers))


def indented(body: bytes) -> bytes:
    """Returns JSON text with line breaks; every number keeps its digits."""
    return msgspec.json.format(body, indent=2)


def everywhere(base: str) -> tuple[Header, ...]:
    """Returns what every answer carries: its type is not to be guessed; https, once used, is kept for a year.

    Args:
        base: public FHIR base; browsers heed the year only where they came by https.

    Source:
        RFC 6797, section 7.2: the header is left out of answers over plain http.
    """
    return (_NOSNIFF, _TLS_ONLY) if base.startswith("https://") else (_NOSNIFF,)
