"""References: how they are written, and whether they lead to a type that the question permits.

Source: FHIR R4 references.html (literal references, contained resources); extension
questionnaire-referenceResource.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from service.questionnaire.extensions import mappings, text
from service.questionnaire.item import Limits
from service.questionnaire.limits import Fault

_LITERAL = re.compile(
    r"(?:https?://[^\s?#|]+/)?(?P<type>[A-Z][A-Za-z]{1,63})/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
_URN = re.compile(
    r"urn:(?:uuid:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|oid:[0-2](?:\.(?:0|[1-9][0-9]*))+)"
)
_OTHER_URL = re.compile(r"https?://\S+")


def reference_faults(
    limits: Limits, reference: Mapping[str, Any], response: Mapping[str, Any]
) -> Iterator[Fault]:
    """Yields (kind, expectation) for every fault of one Reference.

    Args:
        response: the whole response, in which `#id` must be contained.
    """
    literal, named = text(reference.get("reference")), text(reference.get("type"))
    target = named
    if literal.startswith("#"):
        contained = _contained(literal[1:], response)
        if contained is None:
            yield "reference-contained", "a reference to a resource that the response contains"
            return
        target = text(contained.get("resourceType"))
    elif literal:
        match = _LITERAL.fullmatch(literal)
        if match is None and not _URN.fullmatch(literal) and not _OTHER_URL.fullmatch(literal):
            yield "reference-syntax", "a reference such as Patient/1, an absolute url, a urn or #id"
            return
        target = match["type"] if match is not None else named
    if limits.targets and target and target not in limits.targets:
        yield "reference-type", "a reference to " + " or ".join(limits.targets)


def _contained(id_: str, response: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((one for one in mappings(response.get("contained")) if one.get("id") == id_), None)
