"""Positions in an order as text for links. The text is not protected: sign it before it leaves."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from service.storage.criteria import Position, Search
from service.storage.errors import BadPosition


def encode_position(position: Position) -> str:
    """Returns the position in characters that need no escape in a URL."""
    return urlsafe_b64encode(json.dumps(position, separators=(",", ":")).encode()).rstrip(b"=").decode()


def decode_position(text: str, search: Search) -> Position:
    """Returns the position that the text names in the order of the search.

    Raises:
        BadPosition: it is not of `encode_position`, or from a search with other sort keys.
    """
    try:
        values = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise BadPosition("Expected a position as a search returned it.") from None
    if not _fits(values, search):
        raise BadPosition("Expected a position of a search with the same order.")
    return tuple(values)


def _fits(values: Any, search: Search) -> bool:
    if not isinstance(values, list):
        return False
    kinds = [kind for key in search.sort for kind in _KINDS[key.by]]
    return [type(value) for value in values] == [*kinds, str]


_KINDS = {"id": (str,), "updated": (int,), "text": (int, str), "range": (int, int)}
