"""Read and search of the published resources: the same for every type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from service.errors import NotFound, Problem
from service.search import PublishedResources, query_from, subset
from service.web.conditional import conditional, http_date
from service.web.reply import REVALIDATE, VARY, Reply
from service.web.request import asked, is_strict
from service.web.routing import BASE_PATH, Route

if TYPE_CHECKING:
    from service.fhir.definitions import Artifact
    from service.web.request import Call

TYPES: Final = (
    "Questionnaire",
    "CodeSystem",
    "ValueSet",
    "StructureDefinition",
    "OperationDefinition",
    "SearchParameter",
)


def published_routes(artifacts: Iterable[Artifact], base: str, limit: int) -> tuple[Route, ...]:
    """Returns the routes that read and search published resources.

    Args:
        artifacts: everything that is published; other types than TYPES are not served.
        base: public FHIR base for absolute links.
        limit: longest form body of a search in bytes.
    """
    served = {(each.type, each.id): each for each in artifacts if each.type in TYPES}
    resources = PublishedResources(served.values(), base)
    routes: list[Route] = []
    for kind in TYPES:
        own = {id_: each for (type_, id_), each in served.items() if type_ == kind}
        published = PublishedType(kind, own, resources, base, limit)
        path = f"{BASE_PATH}/{kind}"
        routes += (
            Route(path, {"GET": published.search}, kind, ("search-type",)),
            Route(f"{path}/_search", {"POST": published.search}, kind, ("search-type",)),
            Route(f"{path}/<id:id>", {"GET": published.read}, kind, ("read",)),
        )
    return tuple(routes)


class PublishedType:
    """The views on the published resources of one type."""

    def __init__(
        self,
        kind: str,
        artifacts: Mapping[str, Artifact],
        resources: PublishedResources,
        base: str,
        limit: int,
    ) -> None:
        self._kind = kind
        self._artifacts = artifacts
        self._resources = resources
        self._base = base
        self._limit = limit

    def read(self, call: Call) -> Reply:
        """Returns one resource, or the part of it that is wanted; raises NotFound, Malformed."""
        content_type = call.answer_type()
        artifact = self._artifacts.get(call.args["id"])
        if artifact is None:
            raise NotFound(Problem("id-unknown", "No resource of this type has this id."))
        query = query_from(self._kind, call.query(), strict=is_strict(call), base=self._base)
        body = subset(artifact.body, query)
        reply = Reply(200, body, (("Content-Type", content_type), REVALIDATE, VARY))
        return conditional(call, reply, artifact.etag, _last_modified(artifact))

    def search(self, call: Call) -> Reply:
        """Returns a Bundle of the resources that the parameters find; raises Malformed, Unsupported."""
        content_type = call.answer_type()
        query = query_from(self._kind, asked(call, self._limit), strict=is_strict(call), base=self._base)
        body = self._resources.searchset(query)
        return Reply(200, body, (("Content-Type", content_type), REVALIDATE, VARY))


def _last_modified(artifact: Artifact) -> str | None:
    updated = artifact.resource.get("meta", {}).get("lastUpdated")
    return None if updated is None else http_date(updated)
