"""A RiskAssessment for files and terminals: with line breaks, or in a Bundle with what it stands on."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

import msgspec
import orjson

from service.fhir.header import ResponseHeader


def indented(resource: bytes) -> str:
    """Returns JSON with line breaks; every number keeps its digits."""
    return msgspec.json.format(resource, indent=2).decode() + "\n"


def collection(risk: bytes, header: ResponseHeader) -> str:
    """Returns a Bundle of type collection with the RiskAssessment, indented.

    Its fullUrl is made from its content and the response's id, so the same result has the same name.
    """
    name = uuid5(NAMESPACE_URL, f"{header.id or ''}\n{risk.decode()}")
    entry = {"fullUrl": name.urn, "resource": orjson.Fragment(risk)}
    return indented(orjson.dumps({"resourceType": "Bundle", "type": "collection", "entry": [entry]}))
