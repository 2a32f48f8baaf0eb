"""The OpenAPI document: what the table of routes says, for tools that do not read a CapabilityStatement.

Its paths are those of the host, so that what stands beside the FHIR base (the probes, this document)
is in it as well.

Source:
    OpenAPI 3.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import orjson

from service.search import SearchParameter, includes_of, parameters_of, revincludes_of
from service.web.capability import DATE
from service.web.conditional import conditional
from service.web.negotiation import FHIR_JSON, JSON
from service.web.operations import INPUTS
from service.web.reply import REVALIDATE, Reply
from service.web.routing import BASE_PATH, FhirId, Route

# What each route does beyond what the table of routes says: words, statuses and headers for OpenAPI.

OWN_PATH: Final = "/openapi.json"

_LAYOUT: Final = ("_format", "_pretty")
_PART: Final = ("_summary", "_elements")
_VALIDATORS: Final = ("If-None-Match", "If-Modified-Since")
_VERSION: Final = ("ETag", "Last-Modified")
_CREATED: Final = (*_VERSION, "Location", "Link", "X-Guidance")
_FOUND: Final = (*_VERSION, "Content-Location", "Link", "X-Guidance")
_READ: Final[Mapping[int, tuple[str, ...]]] = {200: _VERSION, 304: _VERSION}
_BODY: Final = (400, 406, 413, 415)


@dataclass(frozen=True, slots=True)
class Link:
    """A request that can follow, about what was answered.

    Args:
        method: its method.
        tail: its path below that of the type of resource.
        parameters: where in the answer the variables of its path stand.
        body: where its body does; empty for none.
    """

    method: str
    tail: str
    parameters: Mapping[str, str]
    body: str = ""


@dataclass(frozen=True, slots=True)
class Described:
    """One method of one route.

    Args:
        summary: what it does.
        answer: name of the schema of what it answers; `{type}` stands for the type of the route.
        successes: the headers of the answer by status.
        refusals: statuses of its own refusals; what every request may be answered is left out.
        parameters: names of header and query parameters.
        body: name of the schema of the request body; `form` for search parameters; empty for none.
        links: requests that can follow.
        plain: whether the answer is JSON that is not FHIR.
    """

    summary: str
    answer: str
    successes: Mapping[int, tuple[str, ...]]
    refusals: tuple[int, ...] = ()
    parameters: tuple[str, ...] = ()
    body: str = ""
    links: tuple[Link, ...] = ()
    plain: bool = False


_SAME: Final = {"id": "$response.body#/id"}
_FIRST: Final = {"id": "$response.body#/entry/0/resource/id"}
_TO_FIRST: Final = (Link("GET", "/{id}", _FIRST),)
_TO_SAME: Final = (
    Link("GET", "/{id}", _SAME),
    Link("PUT", "/{id}", _SAME, "$response.body"),
    Link("GET", "/{id}/_history", _SAME),
    Link("GET", "/{id}/_history/{version}", _SAME | {"version": "$response.body#/meta/versionId"}),
)
_OK: Final[Mapping[int, tuple[str, ...]]] = {200: ()}
_PROBE: Final = Described("Says whether the process lives.", "Probe", _OK, plain=True)
SEARCH: Final = Described(
    "Searches {type}.",
    "Bundle",
    _OK,
    (400, 406),
    ("Prefer", *_LAYOUT, *_PART, "_count", "_sort", "_total", "_include", "_revinclude"),
    links=_TO_FIRST,
)
OTHER: Final = Described("Answers what its specification says.", "Any", _OK, (400, 404, 406), plain=True)

_ON_TYPES: Final[Mapping[tuple[str, str], Described]] = {
    ("GET", ""): SEARCH,
    ("POST", "/_search"): Described(
        "Searches {type} by a form, by the query string, or by both.",
        "Bundle",
        _OK,
        _BODY,
        ("Prefer", *_LAYOUT),
        "form",
        _TO_FIRST,
    ),
    ("POST", ""): Described(
        "Stores and assesses a {type}, unless one meets the condition.",
        "{type}",
        {201: _CREATED, 200: _FOUND},
        (*_BODY, 412, 422),
        ("Prefer", "If-None-Exist", *_LAYOUT),
        "{type}",
        _TO_SAME,
    ),
    ("GET", "/<id:id>"): Described(
        "Reads a {type}.", "{type}", _READ, (400, 404, 406), ("Prefer", *_VALIDATORS, *_LAYOUT, *_PART)
    ),
    ("PUT", "/<id:id>"): Described(
        "Stores and assesses the next version of a {type}; its id is that of the path.",
        "{type}",
        {200: _FOUND},
        (*_BODY, 404, 412, 422),
        ("Prefer", "If-Match", *_LAYOUT),
        "{type}",
    ),
    ("GET", "/<id:id>/_history"): Described(
        "Lists the versions of a {type}.",
        "Bundle",
        _OK,
        (400, 404, 406),
        (*_LAYOUT, "_count", "_since", "_before"),
    ),
    ("GET", "/<id:id>/_history/<id:version>"): Described(
        "Reads one version of a {type}.", "{type}", _READ, (400, 404, 406), (*_VALIDATORS, *_LAYOUT)
    ),
}

_OPERATIONS: Final[Mapping[tuple[str, str], Described]] = {
    ("POST", "assess"): Described(
        "Assesses a response; nothing is kept.",
        "RiskAssessment",
        {200: ("X-Guidance",)},
        (*_BODY, 422),
        _LAYOUT,
        "Input",
    ),
    ("POST", "validate"): Described(
        "Says what is wrong with a response: 200 whether anything is or not.",
        "OperationOutcome",
        _OK,
        (*_BODY, 422),
        ("mode", "profile", *_LAYOUT),
        "Any",
    ),
    ("POST", "process-response"): Described(
        "Checks a response and takes it.", "OperationOutcome", _OK, (*_BODY, 404, 422), _LAYOUT, "Input"
    ),
    ("GET", "expand"): Described(
        "Lists the codes of a value set.",
        "ValueSet",
        {200: ("ETag",), 304: ("ETag",)},
        (400, 404, 406, 422),
        ("If-None-Match", *_LAYOUT),
    ),
    ("POST", "expand"): Described(
        "Lists the codes of a value set.", "ValueSet", _OK, (*_BODY, 404, 422), _LAYOUT, "Parameters"
    ),
}

_ON_SYSTEM: Final[Mapping[tuple[str, str], Described]] = {
    ("POST", BASE_PATH): Described(
        "Answers the requests of a Bundle.",
        "Bundle",
        _OK,
        (*_BODY, 404, 405, 412, 422),
        ("Prefer", *_LAYOUT),
        "Requests",
    ),
    ("GET", f"{BASE_PATH}/metadata"): Described(
        "Says what is offered.",
        "CapabilityStatement",
        {200: ("ETag",), 304: ("ETag",)},
        (400, 406),
        ("If-None-Match", *_LAYOUT),
    ),
    ("GET", "/healthz"): _PROBE,
    ("GET", "/readyz"): Described(
        "Says whether requests are welcome.", "Probe", {200: (), 503: ("Retry-After",)}, plain=True
    ),
    ("GET", OWN_PATH): Described(
        "Returns this document.",
        "Any",
        {200: ("ETag",), 304: ("ETag",)},
        (),
        ("If-None-Match",),
        plain=True,
    ),
}


def described(route: Route, method: str) -> Described:
    """Returns what one method of a route does; OTHER where nothing more is known of it."""
    tail = route.template.removeprefix(f"{BASE_PATH}/{route.resource}")
    if not route.resource:
        return _ON_SYSTEM.get((method, route.template), OTHER)
    if "/$" in tail:
        return _OPERATIONS.get((method, tail.partition("$")[2]), OTHER)
    return _ON_TYPES.get((method, tail), OTHER)


# The paths of the OpenAPI document: each method of each route as an operation object.

Json = dict[str, Any]

ALWAYS: Final = (400, 414, 417, 431, 500, 501)
"""What any request may be answered: it cannot be read as HTTP or at all, or the service fails on it."""
STORE_AWAY: Final = 503

_VARIABLE: Final = re.compile(r"<id:([a-z]+)>")
_FORM: Final = "application/x-www-form-urlencoded"
_EXPAND: Final = "$expand"
_TEXT: Final = {"type": "string"}
_INPUT_SCHEMAS: Final[Mapping[str, Json]] = {
    "integer": _TEXT | {"pattern": "^(-?[0-9]{1,10})?$"},
    "boolean": _TEXT | {"enum": ["", "true", "false"]},
}


@dataclass(frozen=True, slots=True)
class Paths:
    """Writes path items.

    Args:
        prefix: path of the public FHIR base on its server.
        stored: types of resource whose interactions need the store; operations do without.
        examples: what may be sent, by name of its schema.
    """

    prefix: str
    stored: AbstractSet[str]
    examples: Mapping[str, Any]

    def path(self, route: Route) -> str:
        """Returns the path as callers see it, with its variables in braces."""
        template = route.template
        if template == BASE_PATH or template.startswith(f"{BASE_PATH}/"):
            template = self.prefix + template.removeprefix(BASE_PATH)
        return _VARIABLE.sub(r"{\1}", template) or "/"

    def item(self, route: Route) -> Json:
        """Returns the path item: the variables of the path, and an operation for each method."""
        variables = [_path_parameter(name) for name in _VARIABLE.findall(route.template)]
        operations = {method.lower(): self._operation(route, method) for method in sorted(route.views)}
        return ({"parameters": variables} if variables else {}) | operations

    def _operation(self, route: Route, method: str) -> Json:
        what = described(route, method)
        operation = {
            "operationId": _operation_id(method, self.path(route)),
            "tags": [route.resource or "System"],
            "summary": what.summary.replace("{type}", route.resource),
            "parameters": list(_parameters(what, route, method)),
            "responses": self._responses(what, route),
        }
        return operation | ({"requestBody": self._body(what, route)} if what.body else {})

    def _responses(self, what: Described, route: Route) -> Json:
        statuses = {*what.refusals, *ALWAYS}
        if route.interactions and (route.resource in self.stored or "transaction" in route.interactions):
            statuses.add(STORE_AWAY)
        found = {status: {"$ref": f"#/components/responses/{status}"} for status in statuses}
        answers = {
            status: _success(status, what, route) | self._links(what, route) for status in what.successes
        }
        return {str(status): each for status, each in sorted((found | answers).items())}

    def _links(self, what: Described, route: Route) -> Json:
        path = f"{self.prefix}/{route.resource}"
        links = [_link(each, _operation_id(each.method, path + each.tail)) for each in what.links]
        return {"links": {each["operationId"]: each for each in links}} if links else {}

    def _body(self, what: Described, route: Route) -> Json:
        if what.body == "form":
            schema = {"type": "object", "properties": dict(_form_properties(route.resource))}
            return {"required": True, "content": {_FORM: {"schema": schema}}}
        name = what.body.replace("{type}", route.resource)
        media: Json = {"schema": _reference("schemas", name)}
        if name in self.examples:
            media["example"] = self.examples[name]
        is_needed = _EXPAND not in route.template
        return {"required": is_needed, "content": {FHIR_JSON: media, JSON: media}}


def refusal(status: int) -> Json:
    """Returns the response object of a refusal, which is the same wherever it is answered."""
    names = ("X-Request-Id", "Retry-After") if status == STORE_AWAY else ("X-Request-Id",)
    content = {FHIR_JSON: {"schema": _reference("schemas", "OperationOutcome")}}
    return {"description": HTTPStatus(status).phrase, "headers": _headers(names), "content": content}


def _success(status: int, what: Described, route: Route) -> Json:
    names = ("X-Request-Id", *what.successes[status])
    answer: Json = {"description": HTTPStatus(status).phrase, "headers": _headers(names)}
    if status == HTTPStatus.NOT_MODIFIED:
        return answer
    media = {"schema": _reference("schemas", what.answer.replace("{type}", route.resource))}
    return answer | {"content": {JSON: media} if what.plain else {FHIR_JSON: media, JSON: media}}


def _link(link: Link, operation_id: str) -> Json:
    found = {"operationId": operation_id, "parameters": link.parameters}
    return found | ({"requestBody": link.body} if link.body else {})


def _operation_id(method: str, path: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{method.lower()}{path}").strip("-")


def _headers(names: Iterable[str]) -> Json:
    return {name: _reference("headers", name) for name in names}


def _reference(part: str, name: str) -> Json:
    return {"$ref": f"#/components/{part}/{name}"}


def _path_parameter(name: str) -> Json:
    schema = _TEXT | {"pattern": f"^{FhirId.regex}$"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _parameters(what: Described, route: Route, method: str) -> Iterator[Json]:
    offered = {"_include": includes_of(route.resource), "_revinclude": revincludes_of(route.resource)}
    for name in what.parameters:
        if offered.get(name, True):
            yield _reference("parameters", name)
    if what is SEARCH:
        for each in parameters_of(route.resource).values():
            yield {"name": each.name, "in": "query", "description": _documentation(each), "schema": _TEXT}
    if method == "GET" and route.template.endswith(_EXPAND):
        yield from _inputs(route)


def _inputs(route: Route) -> Iterator[Json]:
    is_named = not _VARIABLE.search(route.template)
    for each in INPUTS:
        schema = _INPUT_SCHEMAS.get(each.type, _TEXT)
        yield {
            "name": each.name,
            "in": "query",
            "required": is_named and each.name == "url",
            "schema": schema,
        }


def _form_properties(kind: str) -> Iterator[tuple[str, Json]]:
    for each in parameters_of(kind).values():
        yield each.name, _TEXT | {"description": _documentation(each)}


def _documentation(parameter: SearchParameter) -> str:
    modifiers = ", ".join(f"`:{each}`" for each in (*parameter.modifiers, *parameter.targets))
    return f"{parameter.documentation} Modifiers: {modifiers}." if modifiers else parameter.documentation


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
