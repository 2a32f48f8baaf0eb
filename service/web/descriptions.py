"""What the routes do, in the words of OpenAPI: summaries, statuses, headers, parameters and bodies.

Each route in the table of routes names its description. They stand here because many routes share one, and
because the table is to be read on one screen. `{type}` stands for the type of resource of a route.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from service.datatypes.values import replace
from service.fhir.parameters import DETAIL
from service.search import LAYOUT


class FollowUp(msgspec.Struct, frozen=True):
    """A request that can follow, about what was answered: a Link Object of OpenAPI.

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


class Description(msgspec.Struct, frozen=True):
    """What one method of a path does.

    Args:
        summary: one sentence.
        answer: name of the schema of what it answers.
        successes: the headers of the answer by status.
        refusals: statuses of its own refusals; what every request may be answered is left out.
        parameters: names of header and query parameters.
        body: name of the schema of the request body; `form` for search parameters; empty for none.
        follow_ups: requests that can follow.
        is_plain: whether the answer is JSON that is not FHIR.
        body_required: whether it needs the body.
        also: further media types of the answer.
        media: its media types where it is no JSON at all; a page refuses by a page.
    """

    summary: str
    answer: str
    successes: Mapping[int, tuple[str, ...]]
    refusals: tuple[int, ...] = ()
    parameters: tuple[str, ...] = ()
    body: str = ""
    follow_ups: tuple[FollowUp, ...] = ()
    is_plain: bool = False
    body_required: bool = True
    also: tuple[str, ...] = ()
    media: tuple[str, ...] = ()


_PART: Final = ("_summary", "_elements")
_LANGUAGE: Final = "Accept-Language"
_TAGS: Final = ("If-Match", "If-None-Match")
_CONDITIONS: Final = (*_TAGS, "If-Modified-Since")
_VALIDATORS: Final = ("ETag", "Last-Modified")
_CREATED: Final = (*_VALIDATORS, "Location", "Link", "X-Guidance")
_FOUND: Final = (*_VALIDATORS, "Content-Location", "Link", "X-Guidance")
_BODY: Final = (400, 406, 413, 415)
_WORK: Final = (*_BODY, 422, 503)
"""Refusals of an operation on what is sent."""
_WORK_ON_ONE: Final = (*_BODY, 404, 422, 503)
_WORK_ON_STORED: Final = (400, 404, 406, 422, 503)

_OK: Final[Mapping[int, tuple[str, ...]]] = {200: ()}
_READABLE: Final[Mapping[int, tuple[str, ...]]] = {200: _VALIDATORS, 304: _VALIDATORS}
_TAGGED: Final[Mapping[int, tuple[str, ...]]] = {200: ("ETag",), 304: ("ETag",)}
_RESULT: Final[Mapping[int, tuple[str, ...]]] = {200: ("X-Guidance", "Content-Language")}

_SAME: Final = {"id": "$response.body#/id"}
_TO_SAME: Final = (
    FollowUp("GET", "/{id}", _SAME),
    FollowUp("PUT", "/{id}", _SAME, "$response.body"),
    FollowUp("GET", "/{id}/_history", _SAME),
    FollowUp("GET", "/{id}/_history/{version}", _SAME | {"version": "$response.body#/meta/versionId"}),
)
_TO_FIRST: Final = (FollowUp("GET", "/{id}", {"id": "$response.body#/entry/0/resource/id"}),)


def _posted(what: Description) -> Description:
    """Returns the same by a POST that may bring Parameters."""
    return replace(what, refusals=_WORK_ON_ONE, body="Parameters", body_required=False)


# Every path.

ALLOWED_METHODS: Final = Description("Says which methods the path answers.", "Any", {204: ("Allow",)})

# The service itself.

METRICS: Final = Description(
    "Counts what was answered, for a monitoring system.", "Any", _OK, (401,), media=("text/plain",)
)

FRONT_PAGE: Final = Description(
    "Says where to go: a page for browsers, links for other clients.",
    "Any",
    _OK,
    is_plain=True,
    also=("text/html",),
)
ALIVE: Final = Description("Says whether the process lives.", "Probe", _OK, is_plain=True)
READY: Final = Description(
    "Says whether requests are welcome.", "Probe", {200: (), 503: ("Retry-After",)}, is_plain=True
)
OPENAPI: Final = Description("Returns this document.", "Any", _TAGGED, (400, 412), _TAGS, is_plain=True)
SMART_CONFIGURATION: Final = Description(
    "Says where apps get access tokens.", "Any", _TAGGED, (400, 412), _TAGS, is_plain=True
)

_PAGE: Final = ("text/html",)
FORM: Final = Description(
    "Shows the first page of a form.", "Any", _OK, (403, 404), ("language", "parent", "length"), media=_PAGE
)
FORM_PAGE: Final = Description(
    "Takes a page of a form and shows the next one, or gives a file; nothing is kept.",
    "Any",
    {200: (), 422: ()},
    (400, 403, 404, 413, 415),
    body="page",
    media=(*_PAGE, "application/fhir+json"),
)
PREVIEW: Final = Description(
    "Shows authors a form beside its result beside why, where changed files are served at once.",
    "Any",
    {200: (), 204: ()},
    (404,),
    ("language", "case", "known"),
    media=_PAGE,
)
PREVIEW_ANSWERED: Final = Description(
    "Shows the same for what was answered on it; nothing is kept.",
    "Any",
    _OK,
    (400, 404, 413, 415),
    body="page",
    media=_PAGE,
)
APP_LAUNCH: Final = Description(
    "Opens the app from a record: goes to the sign-in of the EHR that is named, if it is registered.",
    "Any",
    _OK,
    (400,),
    ("iss", "launch", "language"),
    media=_PAGE,
)
APP: Final = Description(
    "Shows the app: where people come back to from the sign-in of an EHR, or choose where to sign in.",
    "Any",
    _OK,
    parameters=("language",),
    media=_PAGE,
)
STATIC_FILE: Final = Description(
    "Returns a style sheet or a script of the pages.",
    "Any",
    _TAGGED,
    (404,),
    media=("text/css", "text/javascript", "image/svg+xml"),
)
EMBED: Final = Description(
    "Returns the script that shows a form in a page of another site.",
    "Any",
    _TAGGED,
    media=("text/javascript",),
)

# The whole FHIR API.

BASE: Final = Description(
    "Says where the CapabilityStatement is.", "OperationOutcome", _OK, (400, 406), LAYOUT
)
BUNDLE: Final = Description(
    "Answers the requests of a Bundle.",
    "Bundle",
    _OK,
    (*_BODY, 404, 405, 412, 422, 503),
    ("Prefer", _LANGUAGE, *LAYOUT),
    "Requests",
)
METADATA: Final = Description(
    "Says what is offered.", "CapabilityStatement", _TAGGED, (400, 406, 412), (*_TAGS, *LAYOUT)
)

# Interactions with a type of resource.

SEARCH: Final = Description(
    "Searches {type}.",
    "Bundle",
    _OK,
    (400, 406),
    ("Prefer", *LAYOUT, *_PART, "_count", "_sort", "_total", "_include", "_revinclude"),
    follow_ups=_TO_FIRST,
)
SEARCH_BY_FORM: Final = Description(
    "Searches {type} by a form, by the query string, or by both.",
    "Bundle",
    _OK,
    _BODY,
    ("Prefer", *LAYOUT),
    "form",
    _TO_FIRST,
)
CREATE: Final = Description(
    "Stores and assesses a {type}, unless one meets the condition.",
    "{type}",
    {201: _CREATED, 200: _FOUND},
    (*_BODY, 412, 422),
    ("Prefer", "If-None-Exist", _LANGUAGE, *LAYOUT),
    "{type}",
    _TO_SAME,
)
READ: Final = Description(
    "Reads a {type}.", "{type}", _READABLE, (400, 404, 406, 412), ("Prefer", *_CONDITIONS, *LAYOUT, *_PART)
)
READ_RESULT: Final = Description(
    "Reads a {type}, or more of the result that it is.",
    "Result",
    _READABLE,
    (400, 404, 406, 412),
    ("Prefer", *_CONDITIONS, *LAYOUT, *_PART, DETAIL),
)
UPDATE: Final = Description(
    "Stores and assesses the next version of a {type}; its id is that of the path.",
    "{type}",
    {200: _FOUND},
    (*_BODY, 404, 412, 422),
    ("Prefer", "If-Match", _LANGUAGE, *LAYOUT),
    "{type}",
)
HISTORY: Final = Description(
    "Lists the versions of a {type}.",
    "Bundle",
    _OK,
    (400, 404, 406),
    ("Prefer", *LAYOUT, "_count", "_since", "_at", "_before"),
)
READ_VERSION: Final = Description(
    "Reads one version of a {type}.", "{type}", _READABLE, (400, 404, 406, 412), (*_CONDITIONS, *LAYOUT)
)

# Operations.

ASSESS: Final = Description(
    "Assesses a response; nothing is kept.", "Result", _RESULT, _WORK, (_LANGUAGE, *LAYOUT, DETAIL), "Input"
)
EXPLAIN: Final = Description(
    "Says why a response has its result, and what would change it; nothing is kept.",
    "Parameters",
    _RESULT,
    _WORK,
    (_LANGUAGE, *LAYOUT),
    "Input",
)
EXPLAIN_STORED: Final = Description(
    "Says why a stored result is what it is, and what would change it.",
    "Parameters",
    _RESULT,
    _WORK_ON_STORED,
    LAYOUT,
)
EXPLAIN_STORED_POSTED: Final = _posted(EXPLAIN_STORED)
ASSESS_STORED: Final = Description(
    "Assesses a stored response, beside earlier ones where that is asked; nothing is kept.",
    "Result",
    _RESULT,
    _WORK_ON_STORED,
    (_LANGUAGE, *LAYOUT, DETAIL, "_earlier"),
)
VALIDATE: Final = Description(
    "Says what is wrong with a response: 200 whether anything is or not.",
    "OperationOutcome",
    _OK,
    _WORK,
    ("mode", "profile", *LAYOUT),
    "Any",
)
PROCESS: Final = Description(
    "Checks a response and takes it.", "OperationOutcome", _OK, _WORK_ON_ONE, LAYOUT, "Input"
)
POPULATE: Final = Description(
    "Begins a response with what a chart knows; nothing is fetched or kept.",
    "Parameters",
    {200: ("Content-Language",)},
    _WORK_ON_ONE,
    (_LANGUAGE, *LAYOUT),
    "Parameters",
)
NEXT_QUESTION: Final = Description(
    "Asks the next question of a response; nothing is kept.",
    "QuestionnaireResponse",
    _OK,
    _WORK,
    LAYOUT,
    "Interview",
)
APPLY: Final = Description(
    "Returns what a plan proposes for the person of a response; nothing is kept.",
    "Bundle",
    _RESULT,
    _WORK_ON_ONE,
    (_LANGUAGE, *LAYOUT),
    "Parameters",
)
EXTRACT: Final = Description(
    "Makes Observations of the answers of a response; nothing is kept.",
    "Parameters",
    _OK,
    _WORK,
    LAYOUT,
    "Parameters",
)
EXTRACT_STORED: Final = Description(
    "Makes Observations of the answers of a stored response; they are not kept.",
    "Parameters",
    _OK,
    _WORK_ON_STORED,
    LAYOUT,
)
EXTRACT_STORED_POSTED: Final = _posted(EXTRACT_STORED)
EXPAND: Final = Description(
    "Lists the codes of a value set.", "ValueSet", _TAGGED, (400, 404, 406, 412, 422), (*_TAGS, *LAYOUT)
)
EXPAND_POSTED: Final = Description(
    "Lists the codes of a value set.",
    "ValueSet",
    _OK,
    (*_BODY, 404, 422),
    LAYOUT,
    "Parameters",
    body_required=False,
)

# CDS Hooks.

CDS_SERVICES: Final = Description("Lists the CDS services.", "CdsServices", _OK, is_plain=True)
CDS_CALL: Final = Description(
    "Answers a call of a CDS service with cards; nothing of the chart is kept.",
    "CdsCards",
    _OK,
    (400, 404, 412, 413, 415, 503),
    (_LANGUAGE,),
    "CdsCall",
    is_plain=True,
)
CDS_FEEDBACK: Final = Description(
    "Takes what became of the cards of a CDS service.",
    "Any",
    _OK,
    (400, 404, 413, 415, 503),
    body="CdsFeedback",
    is_plain=True,
)
