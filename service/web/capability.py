"""The CapabilityStatement: what the table of routes says, in FHIR's words.

Source:
    R4 CapabilityStatement; http.html#capabilities.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson

from service.web.call import Call
from service.web.conditional import conditional
from service.web.negotiation import FHIR_JSON
from service.web.reply import REVALIDATE, VARY, Reply
from service.web.route import BASE_PATH, Route
from service.web.search import PARAMETERS

SOFTWARE = "Questionnaire guidance service"
DATE = "2026-11-22"
"""Date of the last change to what the statement says; fixed, so that every worker sends the same bytes."""


def metadata_route(routes: Sequence[Route], base: str, definitions: Mapping[str, str]) -> Route:
    """Returns the route of the CapabilityStatement for all other routes."""
    body = orjson.dumps(capability_statement(routes, base, definitions))
    etag = f'W/"{sha256(body).hexdigest()[:16]}"'

    def metadata(call: Call) -> Reply:
        headers = (("Content-Type", call.answer_type()), REVALIDATE, VARY)
        return conditional(call, Reply(200, body, headers), etag, None)

    return Route(f"{BASE_PATH}/metadata", {"GET": metadata})


def capability_statement(
    routes: Sequence[Route], base: str, definitions: Mapping[str, str]
) -> dict[str, Any]:
    """Returns the CapabilityStatement.

    Args:
        routes: everything that is answered.
        base: public FHIR base.
        definitions: canonical of the OperationDefinition by operation name.
    """
    kinds = dict.fromkeys(route.resource for route in routes if route.resource)
    resources = [_resource(kind, routes, definitions) for kind in kinds]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": DATE,
        "kind": "instance",
        "software": {"name": SOFTWARE},
        "implementation": {"description": SOFTWARE, "url": base},
        "fhirVersion": "4.0.1",
        "format": [FHIR_JSON, "json"],
        "rest": [{"mode": "server", "security": {"cors": False}, "resource": resources}],
    }


def _resource(kind: str, routes: Iterable[Route], definitions: Mapping[str, str]) -> dict[str, Any]:
    own = [route for route in routes if route.resource == kind]
    interactions = list(dict.fromkeys(code for route in own for code in route.interactions))
    operations = [route.operation for route in own if route.operation]
    resource: dict[str, Any] = {"type": kind}
    if interactions:
        resource |= {"interaction": [{"code": code} for code in interactions], "versioning": "versioned"}
        resource |= {"readHistory": False, "updateCreate": False, "conditionalCreate": False}
    if "read" in interactions:
        resource["conditionalRead"] = "full-support"
    if "search-type" in interactions:
        resource["searchParam"] = [_search_param(name) for name in PARAMETERS]
    if operations:
        resource["operation"] = [{"name": name, "definition": definitions[name]} for name in operations]
    return resource


def _search_param(name: str) -> dict[str, str]:
    parameter = PARAMETERS[name]
    return {"name": name, "type": parameter.type, "documentation": parameter.documentation}
