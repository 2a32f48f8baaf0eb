"""The CapabilityStatement: what the table of routes says, in FHIR's words.

Source:
    R4 CapabilityStatement; http.html#capabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from service.fhir.json import MutableJson
from service.search import SearchParameter, includes_of, parameters_of, revincludes_of
from service.web.deployment import Deployment
from service.web.negotiation import FHIR_JSON
from service.web.routing import BASE_PATH, Route
from service.web.smart_configuration import security

SOFTWARE: Final = "Questionnaire guidance service"
DATE: Final = "2026-11-29"
"""Date of the last change to what the statement says; fixed, so that every worker sends the same bytes."""

DEVIATIONS: Final = (
    "JSON only. "
    "A search parameter that is not known is left out, and missing from the self link; "
    "with Prefer: handling=strict it is refused. What looks like a misspelt or chained patient or subject, "
    "or is one without a value, is always refused, since leaving it out would return everybody's; "
    "so are _filter, _list, _query and _has. "
    "So is a search on a stored type of which no criterion takes effect although one was sent: "
    "each is unknown, or has no value. "
    "What is stored is 304 by If-None-Match alone; "
    "includes bring the current version, also where one is named; "
    "a response tagged SUBSETTED is refused; an update takes If-Match as its only condition. "
    "A local reference finds local references alone: the same id on another server is another resource. "
    "`questionnaire` without a version finds every version. Dates without a zone count as UTC. "
    "Nothing is deleted over REST: erasure is a command of the operator, after which a read is 404. "
    "Only QuestionnaireResponse is written by callers; "
    "RiskAssessment, Provenance and AuditEvent follow from it. "
    "In a Bundle, request.url is relative to the base; elements of type oid and uuid are no links; "
    "in a transaction, a reference by urn:uuid or urn:oid to no entry is refused; "
    "operations and _search stand in batches only. "
    "$expand returns at most 2000 codes and refuses valueSet, context, contextDirection and date."
)
"""Where this server chooses or differs; README says why."""


def capability_statement(
    routes: Sequence[Route], deployment: Deployment, definitions: Mapping[str, str]
) -> MutableJson:
    """Returns the CapabilityStatement.

    Args:
        routes: everything that is answered.
        deployment: its base, whether apps of other origins may call, and where they get tokens.
        definitions: canonical of the OperationDefinition by name of the operation.
    """
    kinds = dict.fromkeys(route.resource for route in routes if route.resource)
    system = [code for route in routes if route.path == BASE_PATH for code in route.interactions]
    rest: MutableJson = {
        "mode": "server",
        "documentation": DEVIATIONS,
        "security": security(deployment.tokens, cors=bool(deployment.origins)),
        "resource": [
            _resource(kind, [route for route in routes if route.resource == kind], definitions, deployment)
            for kind in kinds
        ],
    }
    if system:
        rest["interaction"] = [{"code": code} for code in system]
    return {
        "resourceType": "CapabilityStatement",
        "language": "en",
        "text": {"status": "generated", "div": _narrative()},
        "status": "active",
        "date": DATE,
        "kind": "instance",
        "software": {"name": SOFTWARE},
        "implementation": {"description": SOFTWARE, "url": deployment.base},
        "fhirVersion": "4.0.1",
        "format": [FHIR_JSON, "json"],
        "rest": [rest],
    }


def _narrative() -> str:
    opening = '<div xmlns="http://www.w3.org/1999/xhtml">'
    return f"{opening}<p>{SOFTWARE}</p><p>{escape(DEVIATIONS, quote=False)}</p></div>"


def _resource(
    kind: str, routes: Sequence[Route], definitions: Mapping[str, str], deployment: Deployment
) -> MutableJson:
    """Describes one type of resource by its routes."""
    interactions = list(dict.fromkeys(code for route in routes for code in route.interactions))
    operations = dict.fromkeys(route.operation for route in routes if route.operation)
    resource: MutableJson = {"type": kind}
    if interactions:
        resource |= _interactions(interactions)
    if "search-type" in interactions:
        resource |= _search(kind, deployment)
    if operations:
        resource["operation"] = [{"name": name, "definition": definitions[name]} for name in operations]
    return resource


def _interactions(codes: Sequence[str]) -> MutableJson:
    is_stored = "vread" in codes
    return {
        "interaction": [{"code": code} for code in codes],
        "versioning": "versioned-update" if "update" in codes else "versioned",
        "readHistory": is_stored,
        "updateCreate": False,
        "conditionalCreate": "create" in codes,
        "conditionalRead": "not-match" if is_stored else "full-support",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
    }


def _search(kind: str, deployment: Deployment) -> MutableJson:
    found = {
        "searchInclude": list(includes_of(kind)),
        "searchRevInclude": list(revincludes_of(kind)),
        "searchParam": [_search_param(parameter, deployment) for parameter in parameters_of(kind).values()],
    }
    return {name: value for name, value in found.items() if value}


def _search_param(parameter: SearchParameter, deployment: Deployment) -> dict[str, str]:
    return {
        "name": parameter.name,
        "definition": deployment.canonicals.restated(parameter.definition),
        "type": parameter.type,
        "documentation": f"{parameter.documentation} {_modifiers(parameter)}",
    }


def _modifiers(parameter: SearchParameter) -> str:
    """Lists the modifiers of a search parameter."""
    said = f"Modifiers: {', '.join(parameter.modifiers) or 'none'}."
    takes_types = parameter.type == "reference" and not parameter.canonical
    return f"{said} The type of what is named may stand there too, before its id." if takes_types else said
