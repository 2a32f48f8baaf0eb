"""The CapabilityStatement: what the table of routes says, in FHIR's words.

Source:
    R4 CapabilityStatement; http.html#capabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Any, Final

import orjson

from service.fhir.definitions import AS_WRITTEN, Canonicals
from service.search import SearchParameter, includes_of, parameters_of, revincludes_of
from service.web.conditional import conditional
from service.web.negotiation import FHIR_JSON
from service.web.reply import REVALIDATE, VARY, Reply
from service.web.request import Call
from service.web.routing import BASE_PATH, Route

SOFTWARE: Final = "Questionnaire guidance service"
DATE: Final = "2026-11-22"
"""Date of the last change to what the statement says; fixed, so that every worker sends the same bytes."""

DEVIATIONS: Final = (
    "JSON only. "
    "A search parameter that is not known is left out, and missing from the self link; "
    "with Prefer: handling=strict it is refused. What looks like a misspelt or chained patient or subject, "
    "or is one without a value, is always refused, since leaving it out would return everybody's; "
    "so are _filter, _list, _query and _has. "
    "What is stored is 304 by If-None-Match alone; "
    "includes bring the current version, also where one is named; "
    "a response tagged SUBSETTED is refused; an update takes If-Match as its only condition. "
    "A local reference finds local references alone: the same id on another server is another resource. "
    "`questionnaire` without a version finds every version. Dates without a zone count as UTC. "
    "Nothing is deleted over REST: erasure is a command of the operator, after which a read is 404. "
    "Only QuestionnaireResponse is written by callers; "
    "RiskAssessment, Provenance and AuditEvent follow from it. "
    "In a Bundle, request.url is relative to the base; references of type oid and uuid are no links; "
    "operations and _search stand in batches only. "
    "$expand returns at most 2000 codes and refuses valueSet, context, contextDirection and date. "
    "A request is never answered 429: throttling is left to the proxy in front, which knows the callers."
)
"""Where this server chooses or differs; README says why."""

_WRITTEN: Final = "create"
_STORED: Final = "vread"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the statement speaks of.

    Args:
        routes: everything that is answered about resources.
        definitions: canonical of the OperationDefinition by operation name.
        system: interactions of the whole system, such as `batch`.
        cors: whether apps of other origins may call.
        urls: the canonical urls of what this service defines itself.
    """

    routes: Sequence[Route]
    definitions: Mapping[str, str]
    system: Sequence[str] = ()
    cors: bool = False
    urls: Canonicals = AS_WRITTEN


def metadata_route(offer: Offer, base: str) -> Route:
    """Returns the route of the CapabilityStatement; it is public, whoever may see the rest."""
    body = orjson.dumps(capability_statement(offer, base))
    etag = f'W/"{sha256(body).hexdigest()[:16]}"'

    def metadata(call: Call) -> Reply:
        headers = (("Content-Type", call.answer_type()), REVALIDATE, VARY)
        return conditional(call, Reply(200, body, headers), etag, None)

    return Route(f"{BASE_PATH}/metadata", {"GET": metadata}, public=True)


def capability_statement(offer: Offer, base: str) -> dict[str, Any]:
    """Returns the CapabilityStatement of a service whose public FHIR base is `base`."""
    kinds = dict.fromkeys(route.resource for route in offer.routes if route.resource)
    rest: dict[str, Any] = {
        "mode": "server",
        "documentation": DEVIATIONS,
        "security": {"cors": offer.cors},
        "resource": [_resource(kind, offer) for kind in kinds],
    }
    if offer.system:
        rest["interaction"] = [{"code": code} for code in offer.system]
    return {
        "resourceType": "CapabilityStatement",
        "language": "en",
        "text": {"status": "generated", "div": _narrative()},
        "status": "active",
        "date": DATE,
        "kind": "instance",
        "software": {"name": SOFTWARE},
        "implementation": {"description": SOFTWARE, "url": base},
        "fhirVersion": "4.0.1",
        "format": [FHIR_JSON, "json"],
        "rest": [rest],
    }


def _narrative() -> str:
    opening = '<div xmlns="http://www.w3.org/1999/xhtml">'
    return f"{opening}<p>{SOFTWARE}</p><p>{escape(DEVIATIONS, quote=False)}</p></div>"


def _resource(kind: str, offer: Offer) -> dict[str, Any]:
    own = [route for route in offer.routes if route.resource == kind]
    interactions = list(dict.fromkeys(code for route in own for code in route.interactions))
    operations = [route.operation for route in own if route.operation]
    resource: dict[str, Any] = {"type": kind}
    if interactions:
        resource |= _interactions(interactions)
    if "search-type" in interactions:
        resource |= _search(kind, offer.urls)
    if operations:
        resource["operation"] = [
            {"name": name, "definition": offer.definitions[name]} for name in dict.fromkeys(operations)
        ]
    return resource


def _interactions(codes: list[str]) -> dict[str, Any]:
    is_written = "update" in codes
    return {
        "interaction": [{"code": code} for code in codes],
        "versioning": "versioned-update" if is_written else "versioned",
        "readHistory": _STORED in codes,
        "updateCreate": False,
        "conditionalCreate": _WRITTEN in codes,
        "conditionalRead": "not-match" if _STORED in codes else "full-support",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
    }


def _search(kind: str, urls: Canonicals) -> dict[str, Any]:
    found = {
        "searchInclude": list(includes_of(kind)),
        "searchRevInclude": list(revincludes_of(kind)),
        "searchParam": [_search_param(each, urls) for each in parameters_of(kind).values()],
    }
    return {name: value for name, value in found.items() if value}


def _search_param(parameter: SearchParameter, urls: Canonicals) -> dict[str, str]:
    return {
        "name": parameter.name,
        "definition": urls.restated(parameter.definition),
        "type": parameter.type,
        "documentation": f"{parameter.documentation} {_modifiers(parameter)}",
    }


def _modifiers(parameter: SearchParameter) -> str:
    """Says what may stand behind the colon."""
    said = f"Modifiers: {', '.join(parameter.modifiers) or 'none'}."
    takes_types = parameter.type == "reference" and not parameter.canonical
    return f"{said} The type of what is named may stand there too, before its id." if takes_types else said
