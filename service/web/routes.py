"""The table of all routes: what is not in it is not answered.

A line says method, path, view, access rule and what it does; for FHIR also the type of resource, and its
interactions or operation. The CapabilityStatement and the OpenAPI document are made from the table, and
`flask routes` lists it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from service.records import KINDS, RESPONSE, RISK
from service.search import PublishedResources
from service.web import descriptions as does
from service.web.access import Access
from service.web.bundles import Bundles
from service.web.capability import capability_statement
from service.web.front_page import FrontPage
from service.web.health import Probes
from service.web.negotiation import JSON
from service.web.openapi import openapi_document
from service.web.operations import Assessments, Expansions, Populations, Validations
from service.web.published import TYPES, Document, PublishedType
from service.web.resources import StoredType
from service.web.routing import Route, Router

if TYPE_CHECKING:
    from service.assess import Assessor
    from service.catalogue import Catalogue
    from service.fhir.definitions import Artifact
    from service.populate import Populator
    from service.records import Repository
    from service.validate import Validator
    from service.web.deployment import Deployment

PUBLIC, OPEN = Access.PUBLIC, Access.OPEN

STANDARD: Final = {
    "validate": "http://hl7.org/fhir/OperationDefinition/Resource-validate",
    "process-response": "http://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-process-response",
    "populate": "http://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-populate",
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
        catalogue: the value sets that can be expanded.
        repository: what is stored; None where nothing is.
        pages: routes of the pages for people. forms: title and path of each form among them.
    """

    artifacts: Sequence[Artifact]
    assessor: Assessor
    validator: Validator | None = None
    populator: Populator | None = None
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
    bundles = Bundles(Router(below), parts.repository, deployment)
    front = FrontPage(deployment, parts.artifacts, parts.forms)
    probes = Probes(None if parts.repository is None else parts.repository.ping)
    system = ("batch",) if parts.repository is None else ("batch", "transaction")
    routes = (
        Route("POST", "/fhir", bundles.answer, OPEN, does.BUNDLE, interactions=system),
        *below,
        Route("GET", "/healthz", probes.alive, OPEN, does.ALIVE),
        Route("GET", "/readyz", probes.ready, OPEN, does.READY),
        Route("GET", "/openapi.json", openapi.read, PUBLIC, does.OPENAPI),
        Route("GET", "/fhir", front.base, OPEN, does.BASE),
        Route("GET", "/", front.links, OPEN, does.FRONT_PAGE),
        *parts.pages,
    )
    statement.write(capability_statement(routes, deployment, _definitions(parts.artifacts)))
    openapi.write(openapi_document(routes, deployment, _example_form(parts.artifacts)))
    return routes


def resource_routes(parts: Parts, deployment: Deployment) -> Iterator[Route]:
    """Yields the routes of every type of resource."""
    if parts.repository is not None:
        for kind in KINDS:
            yield from stored_routes(StoredType(kind, parts.repository, deployment))
    yield from assessment_routes(Assessments(parts.assessor, deployment))
    if parts.validator is not None:
        forms = (artifact.id for artifact in parts.artifacts if artifact.type == "Questionnaire")
        yield from validation_routes(Validations(parts.validator, forms, deployment))
    if parts.populator is not None:
        yield from population_routes(Populations(parts.populator, deployment))
    if parts.catalogue is not None:
        yield from expansion_routes(Expansions(parts.catalogue, deployment))
    served = (artifact for artifact in parts.artifacts if artifact.type in TYPES)
    published = PublishedResources(served, deployment.base)
    for kind in TYPES:
        yield from published_routes(PublishedType(kind, published, deployment))


def stored_routes(views: StoredType) -> Iterator[Route]:
    """Yields the routes of a type that is stored; callers write responses, the rest follows from them."""
    kind, path = views.kind, f"/fhir/{views.kind}"
    one, versions = f"{path}/<id:id>", f"{path}/<id:id>/_history"
    yield Route("GET", path, views.search, OPEN, does.SEARCH, kind, ("search-type",))
    if kind == RESPONSE:
        yield Route("POST", path, views.create, OPEN, does.CREATE, kind, ("create",))
    reads = does.READ_RESULT if kind == RISK else does.READ
    yield Route("GET", one, views.read, OPEN, reads, kind, ("read",))
    if kind == RESPONSE:
        yield Route("PUT", one, views.update, OPEN, does.UPDATE, kind, ("update",))
    if kind in (RESPONSE, RISK):
        yield Route("GET", versions, views.history, OPEN, does.HISTORY, kind, ("history-instance",))
    yield Route("POST", f"{path}/_search", views.search, OPEN, does.SEARCH_BY_FORM, kind, ("search-type",))
    version = f"{versions}/<id:version>"
    yield Route("GET", version, views.read_version, OPEN, does.READ_VERSION, kind, ("vread",))


def assessment_routes(views: Assessments) -> Iterator[Route]:
    """Yields the route of `$assess`."""
    path = f"/fhir/{RESPONSE}/$assess"
    yield Route("POST", path, views.assess, OPEN, does.ASSESS, RESPONSE, operation="assess")


def validation_routes(views: Validations) -> Iterator[Route]:
    """Yields the routes of `$validate` and `$process-response`."""
    path, form = f"/fhir/{RESPONSE}", "Questionnaire"
    processed = f"/fhir/{form}/$process-response", f"/fhir/{form}/<id:id>/$process-response"
    yield Route(
        "POST", f"{path}/$validate", views.validate, OPEN, does.VALIDATE, RESPONSE, operation="validate"
    )
    for of_type_or_one in processed:
        yield Route(
            "POST", of_type_or_one, views.process, OPEN, does.PROCESS, form, operation="process-response"
        )


def population_routes(views: Populations) -> Iterator[Route]:
    """Yields the routes of `$populate`."""
    kind = "Questionnaire"
    for path in (f"/fhir/{kind}/$populate", f"/fhir/{kind}/<id:id>/$populate"):
        yield Route("POST", path, views.populate, OPEN, does.POPULATE, kind, operation="populate")


def expansion_routes(views: Expansions) -> Iterator[Route]:
    """Yields the routes of `$expand`."""
    kind = "ValueSet"
    for path in (f"/fhir/{kind}/$expand", f"/fhir/{kind}/<id:id>/$expand"):
        yield Route("GET", path, views.expand, OPEN, does.EXPAND, kind, operation="expand")
        yield Route("POST", path, views.expand_posted, OPEN, does.EXPAND_POSTED, kind, operation="expand")


def published_routes(views: PublishedType) -> Iterator[Route]:
    """Yields the routes of a type that is published."""
    kind, path = views.kind, f"/fhir/{views.kind}"
    yield Route("GET", path, views.search, OPEN, does.SEARCH, kind, ("search-type",))
    yield Route("POST", f"{path}/_search", views.search, OPEN, does.SEARCH_BY_FORM, kind, ("search-type",))
    yield Route("GET", f"{path}/<id:id>", views.read, OPEN, does.READ, kind, ("read",))


def _definitions(artifacts: Sequence[Artifact]) -> dict[str, str]:
    """Returns the canonical of the OperationDefinition by name of the operation."""
    own = (artifact for artifact in artifacts if artifact.type == "OperationDefinition")
    return STANDARD | {definition.resource["code"]: definition.url for definition in own}


def _example_form(artifacts: Sequence[Artifact]) -> str:
    """Returns the canonical `url|version` of a Questionnaire; empty where none is published."""
    forms = (artifact for artifact in artifacts if artifact.type == "Questionnaire")
    return next((f"{form.url}|{form.version}" for form in forms), "")
