"""Texts of searches: what a backslash escapes, and what counts as the same letters."""

from __future__ import annotations

import re
import unicodedata

_ESCAPED = re.compile(r"\\([\\,|$])")


def split(text: str, separator: str) -> list[str]:
    """Returns the parts between separators that no backslash escapes; escapes stay in the parts.

    Source: FHIR R4 search.html 3.1.1.4.19
    """
    found = re.finditer(rf"\\.|{re.escape(separator)}", text, re.DOTALL)
    cuts = [match.start() for match in found if match[0] == separator]
    starts, ends = [0, *(cut + 1 for cut in cuts)], [*cuts, len(text)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def unescaped(text: str) -> str:
    r"""Returns the text that was meant: `\,`, `\|`, `\$` and `\\` stand for their second character."""
    return _ESCAPED.sub(r"\1", text)


def folded(text: str) -> str:
    """Returns the text without case and accents: two texts that fold alike are found alike."""
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
