"""Where the next page starts, as text for a link that nobody has to understand.

A cursor is bound to its query by a digest. It gives no right to anything: the criteria of the query
hold on every page, whatever the cursor says.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from service.errors import Malformed, Problem
from service.storage import BadPosition, Position, Search, decode_position, encode_position

_DIGITS: Final = 16
_LEAST, _MOST = -(2**63), 2**63 - 1


def cursor_of(position: Position, kind: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Returns the cursor of a position among what the pairs find and order."""
    text = encode_position(position)
    return f"{_digest(text, kind, pairs)}{text}"


def position_of(cursor: str, search: Search, pairs: Sequence[tuple[str, str]]) -> Position:
    """Returns the position that a cursor names.

    Raises:
        Malformed: it was not made for this search, or was changed.
    """
    digest, text = cursor[:_DIGITS], cursor[_DIGITS:]
    if digest == _digest(text, search.type, pairs):
        try:
            position = decode_position(text, search)
        except (BadPosition, RecursionError):
            position = ()
        if position and all(_can_be_stored(each) for each in position):
            return position
    raise Malformed(
        Problem("search-cursor", "Parameter _cursor: expected the cursor of a link to a page of this search.")
    )


def _digest(text: str, kind: str, pairs: Sequence[tuple[str, str]]) -> str:
    whole = json.dumps([text, kind, list(pairs)])
    return sha256(whole.encode()).hexdigest()[:_DIGITS]


def _can_be_stored(value: int | str) -> bool:
    """Whether a database takes the value: anybody can compute a digest."""
    if isinstance(value, int):
        return _LEAST <= value <= _MOST
    return "\0" not in value and not any(0xD800 <= ord(character) <= 0xDFFF for character in value)
