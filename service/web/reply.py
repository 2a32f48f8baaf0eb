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
