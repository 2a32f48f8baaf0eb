"""The OpenAPI document: what the table of routes says, for tools that do not read a CapabilityStatement.

Its paths are those of the host, so that what stands beside the FHIR base (the probes, this document)
is in it as well. Schemas and parameters that several routes share are written down in `openapi.json`.

Source:
    OpenAPI 3.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from service.clinical_reasoning.definitions import DEFINITIONS
from service.fhir.json import MutableJson
from service.search import SearchParameter, includes_of, parameters_of, revincludes_of
from service.web.access import Access
from service.web.capability import DATE
from service.web.deployment import Deployment
from service.web.descriptions import EXPAND, SEARCH, FollowUp
from service.web.negotiation import FHIR_JSON, HTML, JSON
from service.web.operations import EXPAND_INPUTS
from service.web.request import FORM, MULTIPART
from service.web.routing import BASE_PATH, FhirId, Route

ALWAYS: Final = (400, 414, 417, 431, 500, 501)
"""What any request may be answered: it cannot be read as HTTP or at all, or the service fails on it."""
UNAVAILABLE: Final = 503

_REFUSED_ACCESS: Final = frozenset((401, 403, UNAVAILABLE))
_REFUSED_WORK: Final = frozenset((422, UNAVAILABLE))
_WITH_REFUSAL: Final[Mapping[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    UNAVAILABLE: ("Retry-After",),
}
_BEARER: Final = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
_SCHEMES: Final = {
    Access.TOKEN.value: "An access token whose scopes have what is named behind patient/, user/ or system/.",
    Access.CLIENT.value: "A JWT that a client of CDS Hooks signs for this call.",
}
_SHARED: Final = Path(__file__).with_name("openapi.json")
_VARIABLE: Final = re.compile(r"<id:([a-z]+)>")
_TEXT: Final = {"type": "string"}
_INPUT_SCHEMAS: Final[Mapping[str, MutableJson]] = {
    "integer": _TEXT | {"pattern": "^(-?[0-9]{1,10})?$"},
    "boolean": _TEXT | {"enum": ["", "true", "false"]},
}


def openapi_document(routes: Sequence[Route], deployment: Deployment, form: str = "") -> MutableJson:
    """Returns the document as plain values.

    Args:
        routes: everything that is answered, the document's own route among it.
        deployment: its server and base.
        form: canonical `url|version` of a questionnaire whose response is an example; empty for no examples.
    """
    shared = orjson.loads(_SHARED.read_bytes())
    stored = frozenset(route.resource for route in routes if "vread" in route.interactions)
    prefix = deployment.base.removeprefix(deployment.server)
    asking = _asking(routes, deployment)
    writer = _Operations(prefix, stored, _examples(form) if form else {}, asking)
    paths: MutableJson = {}
    for path in dict.fromkeys(route.path for route in routes):
        of_path = sorted((route for route in routes if route.path == path), key=lambda route: route.method)
        # Where a proxy shows the FHIR base as the root of the host, nobody reaches the front page behind it.
        paths.setdefault(writer.public_path(path), writer.path_item(of_path))
    return {
        "openapi": "3.1.0",
        "info": shared["info"] | {"version": DATE},
        "servers": [{"url": deployment.server}],
        "paths": paths,
        "components": _components(shared["components"], routes, asking),
    }


class _Operations(msgspec.Struct, frozen=True):
    """Writes path items: each method of each path as an operation object.

    Args:
        prefix: path of the public FHIR base on its server.
        stored: types of resource whose interactions need the store; operations do without.
        examples: what may be sent, by name of its schema.
        asking: the scheme by which a request says who sends it, by method and path; others let in everybody.
    """

    prefix: str
    stored: AbstractSet[str]
    examples: Mapping[str, Any]
    asking: Mapping[tuple[str, str], str]

    def public_path(self, path: str) -> str:
        """Returns a path as callers see it, with its variables in braces."""
        if path == BASE_PATH or path.startswith(f"{BASE_PATH}/"):
            path = self.prefix + path.removeprefix(BASE_PATH)
        return _VARIABLE.sub(r"{\1}", path) or "/"

    def path_item(self, routes: Sequence[Route]) -> MutableJson:
        """Returns the path item of the routes of one path: its variables, and an operation per method."""
        variables = [_path_parameter(name) for name in _VARIABLE.findall(routes[0].path)]
        operations = {route.method.lower(): self._operation(route) for route in routes}
        return ({"parameters": variables} if variables else {}) | operations

    def _operation(self, route: Route) -> MutableJson:
        what = route.description
        operation = {
            "operationId": _operation_id(route.method, self.public_path(route.path)),
            "tags": [route.resource or "System"],
            "summary": _named(what.summary, route),
            "parameters": list(_parameters(route)),
            "responses": self._responses(route),
        }
        if scheme := self.asking.get((route.method, route.path)):
            operation["security"] = [{scheme: [route.scope] if route.scope else []}]
        return operation | ({"requestBody": self._body(route)} if what.body else {})

    def _responses(self, route: Route) -> MutableJson:
        what = route.description
        statuses = {*what.refusals, *ALWAYS}
        if route.interactions and route.resource in self.stored:
            statuses.add(UNAVAILABLE)
        if route.interactions and route.resource in DEFINITIONS:
            statuses |= _REFUSED_WORK
        if (route.method, route.path) in self.asking:
            statuses |= _REFUSED_ACCESS
        found = {status: {"$ref": f"#/components/responses/{status}"} for status in statuses}
        found |= {status: _page(status) for status in what.refusals if HTML in what.media}
        links = self._links(route)
        answers = {status: _success(status, route) | links for status in what.successes}
        return {str(status): response for status, response in sorted((found | answers).items())}

    def _links(self, route: Route) -> MutableJson:
        path = f"{self.prefix}/{route.resource}"
        links = {}
        for following in route.description.follow_ups:
            operation_id = _operation_id(following.method, path + following.tail)
            links[operation_id] = _link(following, operation_id)
        return {"links": links} if links else {}

    def _body(self, route: Route) -> MutableJson:
        what = route.description
        if what.body == "form":
            searches = parameters_of(route.resource).values()
            properties = {search.name: _TEXT | {"description": _documented(search)} for search in searches}
            schema = {"type": "object", "properties": properties}
            return {"required": True, "content": {FORM: {"schema": schema}}}
        if what.body == "page":
            content = {kind: {"schema": _reference("schemas", "Page")} for kind in (MULTIPART, FORM)}
            return {"required": True, "content": content}
        name = _named(what.body, route)
        media: MutableJson = {"schema": _reference("schemas", name)}
        if name in self.examples:
            media["example"] = self.examples[name]
        return {"required": what.body_required, "content": {FHIR_JSON: media, JSON: media}}


def _named(text: str, route: Route) -> str:
    return text.replace("{type}", route.resource)


def _refusal(status: int) -> MutableJson:
    """Returns the response object of a refusal, which is the same wherever it is answered."""
    names = ("X-Request-Id", *_WITH_REFUSAL.get(status, ()))
    content = {FHIR_JSON: {"schema": _reference("schemas", "OperationOutcome")}}
    return {"description": HTTPStatus(status).phrase, "headers": _headers(names), "content": content}


def _page(status: int) -> MutableJson:
    """Returns the response object of a refusal that people read; a path that is none may be a program's."""
    refusal = _refusal(status)
    read_by_programs = refusal["content"] if status == HTTPStatus.NOT_FOUND else {}
    return refusal | {"content": {HTML: {"schema": _TEXT}, **read_by_programs}}


def _success(status: int, route: Route) -> MutableJson:
    what = route.description
    names = ("X-Request-Id", *what.successes[status])
    answer: MutableJson = {"description": HTTPStatus(status).phrase, "headers": _headers(names)}
    if status == HTTPStatus.NOT_MODIFIED:
        return answer
    if what.media:
        return answer | {"content": {media_type: {"schema": _TEXT} for media_type in what.media}}
    media = {"schema": _reference("schemas", _named(what.answer, route))}
    content: MutableJson = {JSON: media} if what.is_plain else {FHIR_JSON: media, JSON: media}
    return answer | {"content": content | {media_type: {"schema": _TEXT} for media_type in what.also}}


def _link(following: FollowUp, operation_id: str) -> MutableJson:
    link = {"operationId": operation_id, "parameters": following.parameters}
    return link | ({"requestBody": following.body} if following.body else {})


def _operation_id(method: str, path: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{method.lower()}{path}").strip("-")


def _headers(names: Iterable[str]) -> MutableJson:
    return {name: _reference("headers", name) for name in names}


def _reference(part: str, name: str) -> MutableJson:
    return {"$ref": f"#/components/{part}/{name}"}


def _path_parameter(name: str) -> MutableJson:
    schema = _TEXT | {"pattern": f"^{FhirId.regex}$"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _parameters(route: Route) -> Iterator[MutableJson]:
    offered = {"_include": includes_of(route.resource), "_revinclude": revincludes_of(route.resource)}
    for name in route.description.parameters:
        if offered.get(name, True):
            yield _reference("parameters", name)
    if route.description is SEARCH:
        for search in parameters_of(route.resource).values():
            yield {"name": search.name, "in": "query", "description": _documented(search), "schema": _TEXT}
    if route.description is EXPAND:
        yield from _inputs(is_url_required=not _VARIABLE.search(route.path))


def _inputs(*, is_url_required: bool) -> Iterator[MutableJson]:
    for declared in EXPAND_INPUTS:
        yield {
            "name": declared.name,
            "in": "query",
            "required": is_url_required and declared.name == "url",
            "schema": _INPUT_SCHEMAS.get(declared.type, _TEXT),
        }


def _documented(parameter: SearchParameter) -> str:
    names = (*parameter.modifiers, *parameter.targets)
    modifiers = ", ".join(f"`:{name}`" for name in names)
    return f"{parameter.documentation} Modifiers: {modifiers}." if modifiers else parameter.documentation


def _components(
    shared: MutableJson, routes: Sequence[Route], asking: Mapping[tuple[str, str], str]
) -> MutableJson:
    """Returns the components: those that are written down, and those that follow from the routes."""
    names = dict.fromkeys(_named(route.description.answer, route) for route in routes)
    refused = {*ALWAYS, UNAVAILABLE, *(_REFUSED_ACCESS if asking else ())}
    for route in routes:
        refused.update(() if HTML in route.description.media else route.description.refusals)
    schemas = {name: _resource(name) for name in names} | shared["schemas"]
    system = [code for route in routes if route.path == BASE_PATH for code in route.interactions]
    schemas["Requests"]["properties"]["type"]["enum"] = system
    responses = {str(status): _refusal(status) for status in sorted(refused)}
    schemes = {
        scheme: _BEARER | {"description": _SCHEMES[scheme]} for scheme in dict.fromkeys(asking.values())
    }
    parts = {"schemas": schemas, "responses": responses}
    return shared | parts | ({"securitySchemes": schemes} if schemes else {})


def _asking(routes: Iterable[Route], deployment: Deployment) -> dict[tuple[str, str], str]:
    """Returns the scheme by method and path of the routes that ask who sends a request."""
    gate = deployment.gate
    if gate is None:
        return {}
    asking = (route for route in routes if not gate.lets_all_in(route))
    client, token = Access.CLIENT.value, Access.TOKEN.value
    return {
        (route.method, route.path): client if route.access is Access.CLIENT else token for route in asking
    }


def _resource(name: str) -> MutableJson:
    properties = {"resourceType": {"const": name}}
    return {"type": "object", "required": ["resourceType"], "properties": properties}


def _examples(form: str) -> MutableJson:
    """Returns responses that have just been begun, and a batch, by the name of each schema that they fit."""
    response = {"resourceType": "QuestionnaireResponse", "questionnaire": form, "status": "in-progress"}
    derived = {"resourceType": "Questionnaire", "id": "asked", "status": "active", "derivedFrom": [form]}
    interview = {**response, "contained": [derived], "questionnaire": "#asked"}
    request = {"request": {"method": "GET", "url": "metadata"}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [request]}
    return {
        "QuestionnaireResponse": response,
        "Input": response,
        "Interview": interview,
        "Any": response,
        "Requests": batch,
    }
