"""The paths of the OpenAPI document: each method of each route as an operation object."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from service.search import SearchParameter, includes_of, parameters_of, revincludes_of
from service.web.expansion_inputs import INPUTS
from service.web.negotiation import FHIR_JSON, JSON
from service.web.openapi_described import SEARCH, Described, Link, described
from service.web.route import BASE_PATH, Route
from service.web.router import FhirId

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
