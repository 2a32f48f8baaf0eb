"""Text as it stands inside JSON, made once: what is joined on the request path needs no escaping there."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import orjson


def in_json(text: str) -> bytes:
    """Returns text as it stands between the quotation marks of a JSON string."""
    return orjson.dumps(text)[1:-1]


def in_xhtml(text: str) -> bytes:
    """Returns text as it stands in XHTML that itself stands in a JSON string."""
    return in_json(escape(text, quote=False))


def element(name: str, text: str) -> bytes:
    """Returns an XHTML element around text, inside a JSON string; nothing where there is no text."""
    return f"<{name}>".encode() + in_xhtml(text) + f"</{name}>".encode() if text else b""


def array(members: Iterable[bytes]) -> bytes:
    """Returns a JSON array of members that are JSON already."""
    return b"[%b]" % b",".join(members)


def ends(length: int) -> list[tuple[int, int]]:
    """Returns every interval of a ladder as (at least, at most)."""
    return [(least, most) for least in range(length) for most in range(least, length)]
