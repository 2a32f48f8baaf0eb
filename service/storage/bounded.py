"""Texts cut to what every database can keep in an index, so that equal texts stay equal."""

from __future__ import annotations

from hashlib import sha256

LONGEST = 700  # bytes; PostgreSQL refuses an index row above 2,712, and one row holds two texts and two names
_MARK = "\x01"


def bounded(text: str) -> str:
    """Returns the text itself, or its beginning and hash where it is too long.

    A text that no database keeps (it holds NUL or half a character) becomes its hash alone.
    """
    if text.isascii() and len(text) <= LONGEST and "\0" not in text:
        return text
    data = text.encode("utf-8", "surrogatepass")
    if b"\0" in data or not _is_well_formed(text):
        return _MARK + sha256(data).hexdigest()
    if len(data) <= LONGEST:
        return text
    return _beginning(data) + _MARK + sha256(data).hexdigest()


def prefix(text: str) -> str:
    """Returns what every bounded text begins with whose original begins with this text."""
    kept = bounded(text)
    return kept if kept == text or kept.startswith(_MARK) else kept.rpartition(_MARK)[0]


def after(text: str) -> str | None:
    """Returns the least text that is greater than all that begin with this one; None if there is none."""
    for place in range(len(text) - 1, -1, -1):
        point = ord(text[place])
        if point < 0x10FFFF:
            return text[:place] + chr(0xE000 if point == 0xD7FF else point + 1)
    return None


def _beginning(data: bytes) -> str:
    return data[:LONGEST].decode("utf-8", "ignore")


def _is_well_formed(text: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in text)
