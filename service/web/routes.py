"""The table of all routes: what is not in it is not answered.

A line says method, path, view, access rule and what it does; for FHIR also the type of resource, its
interactions or operation, and the scope that a token must have. The CapabilityStatement and the OpenAPI
document are made from the table, and `flask routes` lists it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from service.clinical_reasoning.definitions import DEFINITIONS
from service.records import KINDS, RESPONSE, RISK
from service.search import PublishedResources
from service.web import descriptions as does
from service.web.access import Access
from service.web.bundles import Bundles
from service.web.capability import capability_statement
from service.web.deployment import BASE_PATH
from service.web.front_page import FrontPage
from service.web.health import Probes
from service.web.negotiation import JSON
from service.web.openapi import openapi_document
from service.web.operations import (
    Applications,
    Assessments,
    Expansions,
    Extractions,
    Interviews,
    Populations,
    Validations,
)
from service.web.published import TYPES, Definitions, Document, PublishedType
from service.web.resources import StoredType
from service.web.routing import Route, Router
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


@dataclass(frozen=True, slots=True)
class Parts:
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
    assessments = Assessments(parts.assessor, deployment, parts.repository)
    yield from assessment_routes(assessments, is_stored=parts.repository is not None)
    if parts.catalogue is not None:
        yield from explanation_routes(assessments, is_stored=parts.repository is not None)
    if parts.validator is not None:
        forms = (artifact.id for artifact in parts.artifacts if artifact.type == "Questionnaire")
        yield from validation_routes(Validations(parts.validator, forms, deployment))
    yield from operation_routes(parts, deployment)
    if parts.catalogue is not None:
        yield from expansion_routes(Expansions(parts.catalogue, deployment))
    served = (artifact for artifact in parts.artifacts if artifact.type in TYPES)
    published = PublishedResources(served, deployment.base)
    for kind in TYPES:
        yield from published_routes(PublishedType(kind, lambda: published, deployment))
    if parts.catalogue is not None:
        definitions = Definitions(parts.catalogue, deployment)
        for kind in DEFINITIONS:
            yield from published_routes(PublishedType(kind, definitions.published, deployment))


def operation_routes(parts: Parts, deployment: Deployment) -> Iterator[Route]:
    """Yields the routes of `$populate`, `$extract`, `$next-question` and `$apply`."""
    if parts.populator is not None:
        yield from population_routes(Populations(parts.populator, deployment))
    if parts.extractor is not None:
        is_stored = parts.repository is not None
        extractions = Extractions(parts.extractor, deployment, parts.repository)
        yield from extraction_routes(extractions, is_stored=is_stored)
    if parts.interviewer is not None:
        yield interview_route(Interviews(parts.interviewer, deployment))
    if parts.applier is not None:
        yield from application_routes(Applications(parts.applier, deployment))


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
        yield Route(
            "GET",
            versions,
            views.history,
            TOKEN,
            does.HISTORY,
            kind,
            ("history-instance",),
            scope=f"{kind}.r",
        )
    yield Route(
        "POST",
        f"{path}/_search",
        views.search,
        TOKEN,
        does.SEARCH_BY_FORM,
        kind,
        ("search-type",),
        scope=f"{kind}.s",
    )
    version = f"{versions}/<id:version>"
    yield Route(
        "GET", version, views.read_version, TOKEN, does.READ_VERSION, kind, ("vread",), scope=f"{kind}.r"
    )


def assessment_routes(views: Assessments, *, is_stored: bool) -> Iterator[Route]:
    """Yields the routes of `$assess`; on one response only where responses are stored."""
    path, one = f"/fhir/{RESPONSE}/$assess", f"/fhir/{RESPONSE}/<id:id>/$assess"
    yield Route("POST", path, views.assess, TOKEN, does.ASSESS, RESPONSE, operation="assess", scope=SCORES)
    if is_stored:
        what, scope = does.ASSESS_STORED, f"{RESPONSE}.s"
        yield Route("GET", one, views.assess_stored, TOKEN, what, RESPONSE, operation="assess", scope=scope)


def explanation_routes(views: Assessments, *, is_stored: bool) -> Iterator[Route]:
    """Yields the routes of `$explain`; on a result only where results are stored."""
    path, one = f"/fhir/{RESPONSE}/$explain", f"/fhir/{RISK}/<id:id>/$explain"
    yield Route("POST", path, views.explain, TOKEN, does.EXPLAIN, RESPONSE, operation="explain", scope=SCORES)
    described = {"GET": does.EXPLAIN_STORED, "POST": does.EXPLAIN_STORED_POSTED} if is_stored else {}
    for method, what in described.items():
        yield Route(
            method, one, views.explain_stored, TOKEN, what, RISK, operation="explain", scope=f"{RISK}.r"
        )


def validation_routes(views: Validations) -> Iterator[Route]:
    """Yields the routes of `$validate` and `$process-response`."""
    path, form = f"/fhir/{RESPONSE}", "Questionnaire"
    processed = f"/fhir/{form}/$process-response", f"/fhir/{form}/<id:id>/$process-response"
    yield Route(
        "POST",
        f"{path}/$validate",
        views.validate,
        TOKEN,
        does.VALIDATE,
        RESPONSE,
        operation="validate",
        scope=SCORES,
    )
    for of_type_or_one in processed:
        yield Route(
            "POST",
            of_type_or_one,
            views.process,
            TOKEN,
            does.PROCESS,
            form,
            operation="process-response",
            scope=SCORES,
        )


def population_routes(views: Populations) -> Iterator[Route]:
    """Yields the routes of `$populate`."""
    kind = "Questionnaire"
    for path in (f"/fhir/{kind}/$populate", f"/fhir/{kind}/<id:id>/$populate"):
        yield Route(
            "POST", path, views.populate, TOKEN, does.POPULATE, kind, operation="populate", scope=SCORES
        )


def interview_route(views: Interviews) -> Route:
    """Returns the route of `$next-question`."""
    kind = "Questionnaire"
    path, asks = f"/fhir/{kind}/$next-question", "next-question"
    return Route("POST", path, views.ask, TOKEN, does.NEXT_QUESTION, kind, operation=asks, scope=SCORES)


def application_routes(views: Applications) -> Iterator[Route]:
    """Yields the routes of `$apply`."""
    kind = "PlanDefinition"
    for path in (f"/fhir/{kind}/$apply", f"/fhir/{kind}/<id:id>/$apply"):
        yield Route("POST", path, views.apply, TOKEN, does.APPLY, kind, operation="apply", scope=SCORES)


def extraction_routes(views: Extractions, *, is_stored: bool) -> Iterator[Route]:
    """Yields the routes of `$extract`; on one response only where responses are stored."""
    path, one = f"/fhir/{RESPONSE}/$extract", f"/fhir/{RESPONSE}/<id:id>/$extract"
    yield Route("POST", path, views.extract, TOKEN, does.EXTRACT, RESPONSE, operation="extract", scope=SCORES)
    described = {"GET": does.EXTRACT_STORED, "POST": does.EXTRACT_STORED_POSTED} if is_stored else {}
    for method, what in described.items():
        yield Route(
            method,
            one,
            views.extract_stored,
            TOKEN,
            what,
            RESPONSE,
            operation="extract",
            scope=f"{RESPONSE}.r",
        )


def expansion_routes(views: Expansions) -> Iterator[Route]:
    """Yields the routes of `$expand`."""
    kind = "ValueSet"
    for path in (f"/fhir/{kind}/$expand", f"/fhir/{kind}/<id:id>/$expand"):
        yield Route(
            "GET", path, views.expand, PUBLISHED, does.EXPAND, kind, operation="expand", scope=f"{kind}.r"
        )
        yield Route(
            "POST",
            path,
            views.expand_posted,
            PUBLISHED,
            does.EXPAND_POSTED,
            kind,
            operation="expand",
            scope=f"{kind}.r",
        )


def published_routes(views: PublishedType) -> Iterator[Route]:
    """Yields the routes of a type that is published."""
    kind, path, search = views.kind, f"/fhir/{views.kind}", ("search-type",)
    yield Route("GET", path, views.search, PUBLISHED, does.SEARCH, kind, search, scope=f"{kind}.s")
    yield Route(
        "POST",
        f"{path}/_search",
        views.search,
        PUBLISHED,
        does.SEARCH_BY_FORM,
        kind,
        search,
        scope=f"{kind}.s",
    )
    yield Route(
        "GET", f"{path}/<id:id>", views.read, PUBLISHED, does.READ, kind, ("read",), scope=f"{kind}.r"
    )


def _definitions(artifacts: Sequence[Artifact]) -> dict[str, str]:
    """Returns the canonical of the OperationDefinition by name of the operation."""
    own = (artifact for artifact in artifacts if artifact.type == "OperationDefinition")
    return STANDARD | {definition.resource["code"]: definition.url for definition in own}


def _example_form(artifacts: Sequence[Artifact]) -> str:
    """Returns the canonical `url|version` of a Questionnaire; empty if none is published."""
    forms = (artifact for artifact in artifacts if artifact.type == "Questionnaire")
    return next((f"{form.url}|{form.version}" for form in forms), "")
