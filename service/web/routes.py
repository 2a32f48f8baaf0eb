"""The table of all routes: what is not in it is not answered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

from service.errors import Malformed, Problem
from service.web.call import Call
from service.web.capability import metadata_route
from service.web.health import health_routes
from service.web.operations import operation_routes
from service.web.published import published_routes
from service.web.route import BASE_PATH, Route

if TYPE_CHECKING:
    from service.assess import Assessor
    from service.fhir.artifacts import Artifact

STANDARD = {
    "validate": "http://hl7.org/fhir/OperationDefinition/Resource-validate",
    "process-response": "http://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-process-response",
}
"""Operations that HL7 defines, by name, with the canonicals of their definitions."""


def all_routes(
    artifacts: Iterable[Artifact],
    assessor: Assessor,
    base: str,
    limit: int,
    more: Sequence[Route] = (),
) -> tuple[Route, ...]:
    """Returns every route.

    Args:
        artifacts: published resources; each operation that is offered has its OperationDefinition among them.
        assessor: turns the bytes of a body into the bytes of a result.
        base: public FHIR base.
        limit: longest request body in bytes.
        more: further routes under the FHIR base.
    """
    shelved = tuple(artifacts)
    routes = (*operation_routes(assessor, limit), *more, *published_routes(shelved, base, limit))
    definitions = STANDARD | {
        each.resource["code"]: each.url for each in shelved if each.type == "OperationDefinition"
    }
    system = (Route(BASE_PATH, {"POST": _no_bundles}), metadata_route(routes, base, definitions))
    return (*system, *routes, *health_routes())


def _no_bundles(_call: Call) -> NoReturn:
    text = "Batches and transactions are not processed here. Expected: one request per resource."
    raise Malformed(Problem("interaction-unknown", text))
