"""What each route does beyond what the table of routes says: words, statuses and headers for OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from service.web.route import BASE_PATH, Route

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
