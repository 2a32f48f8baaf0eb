"""When two texts say the same: of a name, case and blanks do not count; of a question, nor does punctuation.

Source: Unicode Standard Annex 15 (NFKC) and chapter 3.13 (matching without case); general categories.
"""

from __future__ import annotations

import re
from unicodedata import category, normalize

_BETWEEN_WORDS = re.compile(r"[\W_]+")
_DASHES = re.compile("[\u2010-\u2015\u2212]")
_NEGATIVE = re.compile(r"(?:\A|\W)-\Z")
_KEPT = frozenset({"Mn", "Mc", "Me", "Sm", "Sc", "So"})
"""Categories of marks and symbols that count: a mark is part of its letter, and `<` is not `>`."""
_OF_NUMBERS = frozenset("%‰")


def folded(name: str) -> str:
    """Returns a name without the differences that do not count: case, and blanks between words."""
    return " ".join(normalize("NFKC", name).casefold().split())


def spelled(text: str) -> str:
    """Returns a text without the differences of spelling that do not count.

    What stands between two digits counts, without blanks around it, and so does a sign before one: 1.5 is
    not 15, nor 3-5 the same as 35.
    """
    plain = normalize("NFKC", normalize("NFKC", text).casefold())
    return _BETWEEN_WORDS.sub(_counted, _DASHES.sub("-", plain))


def _counted(between: re.Match[str]) -> str:
    """Returns what counts of the characters between two words."""
    found, whole, start, end = between[0], between.string, between.start(), between.end()
    before, after = whole[max(start - 1, 0) : start], whole[end : end + 1]
    if before.isdecimal() and after.isdecimal():
        return "".join(found.split()) or " "
    kept = "".join(one for one in found if category(one) in _KEPT or one in _OF_NUMBERS)
    is_sign = after.isdecimal() and _NEGATIVE.search(found) and (not before or len(found) > 1)
    return f"{kept}-" if is_sign else kept
