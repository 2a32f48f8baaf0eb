"""Which media type and language an answer is written in, and whether a body's media type is read.

JSON is the only format. Werkzeug's own matching finds nothing for the parameters that FHIR puts
on its media types, so the headers are read here. Every distinct header is worked out once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from service.errors import NotAcceptable, Problem, Unsupported

FHIR_JSON = "application/fhir+json"
JSON = "application/json"
HTML = "text/html"

# Read and written alike; of those that a caller accepts equally, the first is chosen.
_TYPES = (FHIR_JSON, JSON, "text/json", "application/json+fhir")
# In a query string a plus sign that was not escaped arrives as a blank.
_FORMATS = {"json": FHIR_JSON, **{media_type.replace("+", " "): media_type for media_type in _TYPES}}
_CACHED = 512

_PART = re.compile(r'(?:[^",]|"[^"]*")+')
_PARAMETER = re.compile(r'(?:[^";]|"[^"]*")+')
_QUALITY = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
_FHIR_VERSIONS = ("4.0", "4.0.1")
_CHARSETS = ("utf-8", "utf8")


class MediaRange(NamedTuple):
    """One media type or range; names are lower case, `quality` is the text of `q`."""

    essence: str
    parameters: Mapping[str, str]
    quality: float = 1.0

    @property
    def is_ours(self) -> bool:
        """Says whether FHIR version and character set, where given, are R4 and UTF-8."""
        version = self.parameters.get("fhirversion", _FHIR_VERSIONS[0])
        charset = self.parameters.get("charset", _CHARSETS[0]).lower()
        return version in _FHIR_VERSIONS and charset in _CHARSETS


def answer_type(accept: str | None, wanted: str | None = None) -> str:
    """Returns the media type of the answer.

    Args:
        accept: the Accept header; None or empty accepts everything.
        wanted: the parameter `_format`, which overrides the header.

    Raises:
        NotAcceptable: nothing that is written here was asked for.

    Source:
        R4 http.html#mime-type, #version-parameter, #parameters.
    """
    found = _of_format(wanted) if wanted else _of_accept(accept) if accept else FHIR_JSON
    if found is None:
        expected = f"Expected: {FHIR_JSON} or {JSON}, FHIR version 4.0, UTF-8."
        raise NotAcceptable(Problem("accept", f"The answer is wanted in a form not written here. {expected}"))
    return found


def check_body_type(content_type: str | None) -> None:
    """Makes sure that a request body is JSON, FHIR R4 and UTF-8 by its Content-Type.

    Raises:
        Unsupported: the header is missing or names anything else.
    """
    if content_type is None or not _is_read(content_type):
        expected = f"Expected Content-Type: {FHIR_JSON} or {JSON}, FHIR version 4.0, UTF-8."
        raise Unsupported(Problem("content-type", f"The body's media type is not read here. {expected}"))


def prefers_html(accept: str | None) -> bool:
    """Says whether a browser asks: HTML is accepted, and no less gladly than JSON."""
    quality = {media.essence: media.quality for media in media_ranges(accept or "")}
    return quality.get(HTML, 0.0) > 0 and quality[HTML] >= max(
        quality.get(JSON, 0.0), quality.get(FHIR_JSON, 0.0)
    )


@lru_cache(maxsize=_CACHED)
def preferred_languages(accept_language: str) -> tuple[str, ...]:
    """Returns the ranges of an Accept-Language header, the dearest first; those refused are left out.

    Source:
        RFC 9110, section 12.5.4.
    """
    found = parse_accept_header(accept_language, LanguageAccept)
    return tuple(language for language, quality in found if quality > 0)


def _of_format(wanted: str) -> str | None:
    found = media_range(wanted)
    if found is None or not found.is_ours:
        return None
    return found.essence if found.essence in _TYPES else _FORMATS.get(found.essence)


@lru_cache(maxsize=_CACHED)
def _is_read(content_type: str) -> bool:
    found = media_range(content_type)
    return found is not None and found.essence in _TYPES and found.is_ours


@lru_cache(maxsize=_CACHED)
def _of_accept(accept: str) -> str | None:
    ranges = list(media_ranges(accept))
    ranked = [(*_rank(offer, ranges), -place, offer) for place, offer in enumerate(_TYPES)]
    quality, _, _, offer = max(ranked)
    return offer if quality > 0 else None


def _rank(offer: str, ranges: list[MediaRange]) -> tuple[float, int]:
    """Returns quality and closeness of the closest range that covers the offer; quality 0 if none does."""
    covering = [(_closeness(offer, media), media.quality) for media in ranges if media.is_ours]
    closeness, quality = max(covering, default=(0, 0.0))
    return (quality, closeness) if closeness else (0.0, 0)


def _closeness(offer: str, media: MediaRange) -> int:
    """Returns 0 where the range does not cover the offer, 1 for `*/*`, up to 4 for type and parameters."""
    if media.essence == offer:
        return 3 + bool(media.parameters)
    if media.essence == f"{offer.partition('/')[0]}/*":
        return 2
    return int(media.essence in ("*/*", "*"))


# Media ranges: `type/subtype; parameter=value; q=0.8`, in lists, with quoted strings.


def media_ranges(header: str) -> Iterator[MediaRange]:
    """Yields the ranges of an Accept header; one whose quality cannot be read is left out.

    Source:
        RFC 9110, section 12.5.1.
    """
    for part in _PART.findall(header):
        found = media_range(part)
        if found is not None:
            yield found


def media_range(text: str) -> MediaRange | None:
    """Returns one media type or range, or None where the text is none."""
    parts = [part.strip() for part in _PARAMETER.findall(text)]
    parameters = dict(_parameter(part) for part in parts[1:])
    quality = parameters.pop("q", "1")
    if not parts or not _QUALITY.fullmatch(quality):
        return None
    return MediaRange(parts[0].lower(), parameters, float(quality))


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip().strip('"')
