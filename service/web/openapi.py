"""The OpenAPI document: what the table of routes says, for tools that do not read a CapabilityStatement.

Its paths are those of the host, so that what stands beside the FHIR base (the probes, this document)
is in it as well.

Source:
    OpenAPI 3.1.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

import orjson

from service.web.capability import DATE
from service.web.conditional import conditional
from service.web.negotiation import JSON
from service.web.openapi_described import OWN_PATH, described
from service.web.openapi_paths import ALWAYS, STORE_AWAY, Json, Paths, refusal
from service.web.reply import REVALIDATE, Reply
from service.web.route import BASE_PATH, Route

_PARTS: Final = Path(__file__).with_name("openapi.json")


def openapi_route(routes: Sequence[Route], base: str, form: str = "") -> Route:
    """Returns the route of the document, which is in it too.

    Args:
        routes: everything else that is answered.
        base: public FHIR base.
        form: canonical `url|version` of a questionnaire whose response is an example; empty for no examples.
    """
    own = Route(OWN_PATH, {"GET": lambda call: conditional(call, reply, etag, None)}, public=True)
    body = orjson.dumps(document((*routes, own), base, form))
    etag = f'W/"{sha256(body).hexdigest()[:16]}"'
    reply = Reply(200, body, (("Content-Type", JSON), REVALIDATE))
    return own


def document(routes: Sequence[Route], base: str, form: str = "") -> Json:
    """Returns the document as plain values; arguments as above, but with its own route among the routes."""
    offered = [route for route in routes if route.views]
    parts = orjson.loads(_PARTS.read_bytes())
    root = base.removesuffix(BASE_PATH) if base.endswith(BASE_PATH) else urljoin(base, "/").rstrip("/")
    stored = frozenset(route.resource for route in offered if "vread" in route.interactions)
    paths = Paths(base.removeprefix(root), stored, _examples(form) if form else {})
    return {
        "openapi": "3.1.0",
        "info": parts["info"] | {"version": DATE},
        "servers": [{"url": root}],
        "paths": {paths.path(route): paths.item(route) for route in offered},
        "components": _components(parts["components"], offered),
    }


def _components(parts: Json, routes: Sequence[Route]) -> Json:
    """Returns what the paths refer to: parts that are written down, and parts that follow from the routes."""
    whats = [(described(route, method), route) for route in routes for method in route.views]
    kinds = {what.answer.replace("{type}", route.resource): None for what, route in whats}
    refused = {status for what, _ in whats for status in what.refusals} | {*ALWAYS, STORE_AWAY}
    schemas = {kind: _resource(kind) for kind in kinds} | parts["schemas"]
    system = [code for route in routes if route.template == BASE_PATH for code in route.interactions]
    schemas["Requests"]["properties"]["type"]["enum"] = system
    responses = {str(status): refusal(status) for status in sorted(refused)}
    return parts | {"schemas": schemas, "responses": responses}


def _resource(kind: str) -> Json:
    properties = {"resourceType": {"const": kind}}
    return {"type": "object", "required": ["resourceType"], "properties": properties}


def _examples(form: str) -> Json:
    """Returns a response that has just been begun, and a batch, by the name of each schema that they fit."""
    response = {"resourceType": "QuestionnaireResponse", "questionnaire": form, "status": "in-progress"}
    request = {"request": {"method": "GET", "url": "metadata"}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [request]}
    return {"QuestionnaireResponse": response, "Input": response, "Any": response, "Requests": batch}
