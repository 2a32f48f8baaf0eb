"""Reads media ranges: `type/subtype; parameter=value; q=0.8`, in lists, with quoted strings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

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
        """Whether FHIR version and character set, where given, are R4 and UTF-8."""
        version = self.parameters.get("fhirversion", _FHIR_VERSIONS[0])
        charset = self.parameters.get("charset", _CHARSETS[0]).lower()
        return version in _FHIR_VERSIONS and charset in _CHARSETS


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
    pieces = [piece.strip() for piece in _PARAMETER.findall(text)]
    parameters = dict(_parameter(piece) for piece in pieces[1:])
    quality = parameters.pop("q", "1")
    if not pieces or not _QUALITY.fullmatch(quality):
        return None
    return MediaRange(pieces[0].lower(), parameters, float(quality))


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip().strip('"')
