"""The table of all routes: what is not in it is not answered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from service.fhir.definitions import AS_WRITTEN, Canonicals
from service.web.bundles import BundleLimits, bundle_route
from service.web.capability import Offer, metadata_route
from service.web.health import health_routes
from service.web.openapi import openapi_route
from service.web.operations import RESPONSE, operation_routes
from service.web.published import published_routes
from service.web.resources import stored_routes
from service.web.routing import BASE_PATH, Route, Router

if TYPE_CHECKING:
    from service.assess import Assessor
    from service.fhir.definitions import Artifact
    from service.records import Repository

STANDARD = {
    "validate": "http://hl7.org/fhir/OperationDefinition/Resource-validate",
    "process-response": "http://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-process-response",
    "expand": "http://hl7.org/fhir/OperationDefinition/ValueSet-expand",
}
"""Operations that HL7 defines, by name, with the canonicals of their definitions."""


def all_routes(
    artifacts: Iterable[Artifact],
    assessor: Assessor,
    base: str,
    limits: BundleLimits,
    *,
    more: Sequence[Route] = (),
    repository: Repository | None = None,
    cors: bool = False,
    urls: Canonicals = AS_WRITTEN,
) -> tuple[Route, ...]:
    """Returns every route.

    Args:
        artifacts: published resources; each operation that is offered has its OperationDefinition among them.
        assessor: turns the bytes of a body into the bytes of a result.
        base: public FHIR base.
        limits: of request bodies, and of Bundles.
        more: further routes under the FHIR base.
        repository: what is stored; None where nothing is.
        cors: whether apps of other origins may call.
        urls: the canonical urls of what this service defines itself.
    """
    shelved, limit = tuple(artifacts), limits.body_bytes
    nothing = (Route(f"{BASE_PATH}/{RESPONSE}", {}, RESPONSE),)
    stored = nothing if repository is None else stored_routes(repository, base, limit, urls)
    routes = (*stored, *operation_routes(assessor, limit), *more, *published_routes(shelved, base, limit))
    definitions = STANDARD | {
        each.resource["code"]: each.url for each in shelved if each.type == "OperationDefinition"
    }
    system = ("batch",) if repository is None else ("batch", "transaction")
    inner = (metadata_route(Offer(routes, definitions, system, cors, urls), base), *routes)
    everything = (
        bundle_route(Router(inner), repository, limits, base=base, urls=urls),
        *inner,
        *health_routes(None if repository is None else repository.ping),
    )
    forms = (f"{each.url}|{each.version}" for each in shelved if each.type == "Questionnaire")
    return (*everything, openapi_route(everything, base, next(forms, "")))
