"""The table of all routes: what is not in it is not answered.

A line says method, path, view, access rule and what it does; for FHIR also the type of resource, its
interactions or operation, and the scope that a token must have. The CapabilityStatement and the OpenAPI
document are made from the table, and `flask routes` lists it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from service.clinical_reasoning.definitions import DEFINITIONS
from service.records import KINDS, RESPONSE, RISK
from service.search import PublishedResources
from service.web import descriptions as does
from service.web.access import Access
from service.web.bundles import Bundles
from service.web.capability import capability_statement
from service.web.descriptions import Description
from service.web.front_page import FrontPage
from service.web.health import Probes
from service.web.negotiation import JSON
from service.web.openapi import openapi_document
from service.web.operations import (
    Assessments,
    Expansions,
    Extractions,
    Validations,
    applied,
    next_question,
    populated,
)
from service.web.published import TYPES, Definitions, Document, PublishedType
from service.web.resources import StoredType
from service.web.routing import BASE_PATH, Route, Router, View
from service.web.smart_configuration import CONFIGURATION_PATH, smart_configuration

if TYPE_CHECKING:
    from service.apply import Applier
    from service.assess import Assessor
    from service.catalogue import Catalogue
    from service.extract import Extractor
    from service.fhir.definitions import Artifact
    from service.interview import Interviewer
    from service.populate import Populator
    from service.records import Repository
    from service.validate import Validator
    from service.web.deployment import Deployment

PUBLIC, PUBLISHED, TOKEN = Access.PUBLIC, Access.PUBLISHED, Access.TOKEN

FORM: Final = "Questionnaire"
SCORES: Final = f"{RESPONSE}.c"
"""What a token must permit for a response to be checked, scored or begun."""

STANDARD: Final = {
    "validate": "http://hl7.org/fhir/OperationDefinition/Resource-validate",
    "process-response": "http://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-process-response",
    "populate": "http://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-populate",
    "next-question": "http://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-next-question",
    "extract": "http://hl7.org/fhir/uv/sdc/OperationDefinition/QuestionnaireResponse-extract",
    "apply": "http://hl7.org/fhir/uv/cpg/OperationDefinition/cpg-plandefinition-apply",
    "expand": "http://hl7.org/fhir/OperationDefinition/ValueSet-expand",
}
"""Operations that HL7 defines, by name, with the canonicals of their definitions."""


class Parts(msgspec.Struct, frozen=True):
    """What the views stand on; a part that is not there has no routes.

    Args:
        artifacts: published resources; each operation of our own has its OperationDefinition among them.
        assessor: turns the bytes of a body into the bytes of a result.
        validator: finds the problems of a body.
        populator: fills in what a chart knows.
        extractor: makes Observations of answers.
        interviewer: asks the next question.
        applier: says what a plan proposes.
        catalogue: the value sets that can be expanded, and the guidances that definitions are made of.
        repository: what is stored; None if nothing is.
        pages: routes of the pages for people. forms: title and path of each form among them.
    """

    artifacts: Sequence[Artifact]
    assessor: Assessor
    validator: Validator | None = None
    populator: Populator | None = None
    extractor: Extractor | None = None
    interviewer: Interviewer | None = None
    applier: Applier | None = None
    catalogue: Catalogue | None = None
    repository: Repository | None = None
    pages: Sequence[Route] = ()
    forms: Sequence[tuple[str, str]] = ()


def all_routes(parts: Parts, deployment: Deployment) -> tuple[Route, ...]:
    """Returns every route."""
    statement, openapi = Document(), Document(JSON)
    below = (
        Route("GET", "/fhir/metadata", statement.read, PUBLIC, does.METADATA),
        *resource_routes(parts, deployment),
    )
    bundles = Bundles(Router(below, deployment.gate), parts.repository, deployment)
    front = FrontPage(deployment, parts.artifacts, parts.forms)
    probes = Probes(None if parts.repository is None else parts.repository.ping)
    system = ("batch",) if parts.repository is None else ("batch", "transaction")
    routes = (
        Route("POST", "/fhir", bundles.answer, TOKEN, does.BUNDLE, interactions=system),
        *below,
        Route("GET", "/healthz", probes.alive, PUBLIC, does.ALIVE),
        Route("GET", "/readyz", probes.ready, PUBLIC, does.READY),
        Route("GET", "/openapi.json", openapi.read, PUBLISHED, does.OPENAPI),
        Route("GET", "/fhir", front.base, PUBLISHED, does.BASE),
        Route("GET", "/", front.links, Access.PUBLIC_FORM if parts.forms else PUBLISHED, does.FRONT_PAGE),
        *configuration_routes(deployment),
        *parts.pages,
        *operator_routes(deployment),
    )
    statement.write(capability_statement(routes, deployment, _definitions(parts.artifacts)))
    openapi.write(openapi_document(routes, deployment, _example_form(parts.artifacts)))
    return routes


def configuration_routes(deployment: Deployment) -> Iterator[Route]:
    """Yields the route that says where apps get tokens, where requests need one."""
    if deployment.tokens is not None:
        document = Document(JSON)
        document.write(smart_configuration(deployment.tokens))
        path = f"{BASE_PATH}{CONFIGURATION_PATH}"
        yield Route("GET", path, document.read, PUBLIC, does.SMART_CONFIGURATION)


def operator_routes(deployment: Deployment) -> Iterator[Route]:
    """Yields the route of the metrics, where they are counted."""
    if deployment.metrics is not None:
        yield Route("GET", "/metrics", deployment.metrics.read, Access.OPERATOR, does.METRICS)


def resource_routes(parts: Parts, deployment: Deployment) -> Iterator[Route]:
    """Yields the routes of every type of resource."""
    if parts.repository is not None:
        for kind in KINDS:
            yield from stored_routes(StoredType(kind, parts.repository, deployment))
    yield from operation_routes(parts, deployment)
    served = (artifact for artifact in parts.artifacts if artifact.type in TYPES)
    published = PublishedResources(served, deployment.base)
    for kind in TYPES:
        yield from published_routes(PublishedType(kind, lambda: published, deployment))
    if parts.catalogue is not None:
        definitions = Definitions(parts.catalogue, deployment)
        for kind in DEFINITIONS:
            yield from published_routes(PublishedType(kind, definitions.published, deployment))


def operation_routes(parts: Parts, deployment: Deployment) -> Iterator[Route]:
    """Yields the routes of the operations; those on what is stored, only where something is."""
    is_stored = parts.repository is not None
    assessments = Assessments(parts.assessor, deployment, parts.repository)
    yield from assessment_routes(assessments, is_stored=is_stored)
    if parts.catalogue is not None:
        yield from explanation_routes(assessments, is_stored=is_stored)
    if parts.validator is not None:
        forms = frozenset(artifact.id for artifact in parts.artifacts if artifact.type == FORM)
        yield from validation_routes(Validations(parts.validator, forms, deployment))
    if parts.populator is not None:
        populate = partial(populated, parts.populator, deployment)
        yield from _on_type_and_one(FORM, "populate", populate, does.POPULATE)
    if parts.extractor is not None:
        extractions = Extractions(parts.extractor, deployment, parts.repository)
        yield from extraction_routes(extractions, is_stored=is_stored)
    if parts.interviewer is not None:
        ask = partial(next_question, parts.interviewer, deployment)
        yield _operation(FORM, "next-question", ask, does.NEXT_QUESTION)
    if parts.applier is not None:
        apply = partial(applied, parts.applier, deployment)
        yield from _on_type_and_one("PlanDefinition", "apply", apply, does.APPLY)
    if parts.catalogue is not None:
        yield from expansion_routes(Expansions(parts.catalogue, deployment))


def stored_routes(views: StoredType) -> Iterator[Route]:
    """Yields the routes of a type that is stored; callers write responses, the rest follows from them."""
    kind, path = views.kind, f"/fhir/{views.kind}"
    one, versions = f"{path}/<id:id>", f"{path}/<id:id>/_history"
    yield Route("GET", path, views.search, TOKEN, does.SEARCH, kind, ("search-type",), scope=f"{kind}.s")
    if kind == RESPONSE:
        yield Route("POST", path, views.create, TOKEN, does.CREATE, kind, ("create",), scope=f"{kind}.c")
    reads = does.READ_RESULT if kind == RISK else does.READ
    yield Route("GET", one, views.read, TOKEN, reads, kind, ("read",), scope=f"{kind}.r")
    if kind == RESPONSE:
        yield Route("PUT", one, views.update, TOKEN, does.UPDATE, kind, ("update",), scope=f"{kind}.u")
    if kind in (RESPONSE, RISK):
        listed = ("history-instance",)
        yield Route("GET", versions, views.history, TOKEN, does.HISTORY, kind, listed, scope=f"{kind}.r")
    form = f"{path}/_search"
    yield Route(
        "POST", form, views.search, TOKEN, does.SEARCH_BY_FORM, kind, ("search-type",), scope=f"{kind}.s"
    )
    version, what = f"{versions}/<id:version>", does.READ_VERSION
    yield Route("GET", version, views.read_version, TOKEN, what, kind, ("vread",), scope=f"{kind}.r")


def _operation(
    kind: str,
    name: str,
    view: View,
    what: Description,
    *,
    method: str = "POST",
    on_one: bool = False,
    scope: str = SCORES,
    access: Access = TOKEN,
) -> Route:
    """Returns the route of an operation on a type of resource, or on one resource of it."""
    path = f"/fhir/{kind}/<id:id>/${name}" if on_one else f"/fhir/{kind}/${name}"
    return Route(method, path, view, access, what, kind, operation=name, scope=scope)


def _on_type_and_one(kind: str, name: str, view: View, what: Description) -> tuple[Route, ...]:
    return tuple(_operation(kind, name, view, what, on_one=on_one) for on_one in (False, True))


def assessment_routes(views: Assessments, *, is_stored: bool) -> Iterator[Route]:
    """Yields the routes of `$assess`."""
    yield _operation(RESPONSE, "assess", views.assess, does.ASSESS)
    if is_stored:
        of_one, scope = does.ASSESS_STORED, f"{RESPONSE}.s"
        yield _operation(
            RESPONSE, "assess", views.assess_stored, of_one, method="GET", on_one=True, scope=scope
        )


def explanation_routes(views: Assessments, *, is_stored: bool) -> Iterator[Route]:
    """Yields the routes of `$explain`: on a response that is sent, and on a result that is stored."""
    yield _operation(RESPONSE, "explain", views.explain, does.EXPLAIN)
    described = {"GET": does.EXPLAIN_STORED, "POST": does.EXPLAIN_STORED_POSTED} if is_stored else {}
    for method, what in described.items():
        yield _operation(
            RISK, "explain", views.explain_stored, what, method=method, on_one=True, scope=f"{RISK}.r"
        )


def validation_routes(views: Validations) -> Iterator[Route]:
    """Yields the routes of `$validate` and `$process-response`."""
    yield _operation(RESPONSE, "validate", views.validate, does.VALIDATE)
    yield from _on_type_and_one(FORM, "process-response", views.process, does.PROCESS)


def extraction_routes(views: Extractions, *, is_stored: bool) -> Iterator[Route]:
    """Yields the routes of `$extract`."""
    yield _operation(RESPONSE, "extract", views.extract, does.EXTRACT)
    described = {"GET": does.EXTRACT_STORED, "POST": does.EXTRACT_STORED_POSTED} if is_stored else {}
    for method, what in described.items():
        yield _operation(
            RESPONSE, "extract", views.extract_stored, what, method=method, on_one=True, scope=f"{RESPONSE}.r"
        )


def expansion_routes(views: Expansions) -> Iterator[Route]:
    """Yields the routes of `$expand`."""
    kind, scope = "ValueSet", "ValueSet.r"
    methods = {"GET": (views.expand, does.EXPAND), "POST": (views.expand_posted, does.EXPAND_POSTED)}
    for on_one in (False, True):
        for method, (view, what) in methods.items():
            yield _operation(
                kind, "expand", view, what, method=method, on_one=on_one, scope=scope, access=PUBLISHED
            )


def published_routes(views: PublishedType) -> Iterator[Route]:
    """Yields the routes of a type that is published."""
    kind, path, search = views.kind, f"/fhir/{views.kind}", ("search-type",)
    form, one = f"{path}/_search", f"{path}/<id:id>"
    yield Route("GET", path, views.search, PUBLISHED, does.SEARCH, kind, search, scope=f"{kind}.s")
    yield Route("POST", form, views.search, PUBLISHED, does.SEARCH_BY_FORM, kind, search, scope=f"{kind}.s")
    yield Route("GET", one, views.read, PUBLISHED, does.READ, kind, ("read",), scope=f"{kind}.r")


def _definitions(artifacts: Sequence[Artifact]) -> dict[str, str]:
    """Returns the canonical of the OperationDefinition by name of the operation."""
    own = (artifact for artifact in artifacts if artifact.type == "OperationDefinition")
    return STANDARD | {definition.resource["code"]: definition.url for definition in own}


def _example_form(artifacts: Sequence[Artifact]) -> str:
    """Returns the canonical `url|version` of a Questionnaire; empty if none is published."""
    forms = (artifact for artifact in artifacts if artifact.type == FORM)
    return next((f"{form.url}|{form.version}" for form in forms), "")
