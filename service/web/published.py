"""The views on what never changes: published resources, and the documents that describe the service."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import orjson

from service.errors import NotFound, Problem
from service.search import query_from, shape_from
from service.web.conditional import conditional
from service.web.reply import NO_VERSION, REVALIDATE, VARY, Reply, Version
from service.web.request import is_strict, search_parameters

if TYPE_CHECKING:
    from service.search import PublishedResources
    from service.web.deployment import Deployment
    from service.web.request import Request

TYPES: Final = (
    "Questionnaire",
    "CodeSystem",
    "ValueSet",
    "StructureDefinition",
    "OperationDefinition",
    "SearchParameter",
)
"""The types of published resource that are served."""


class Document:
    """A document of the service about itself, which is written once, when everything is composed.

    Args:
        media_type: of the answer, whatever is accepted; empty where the caller chooses.
    """

    def __init__(self, media_type: str = "") -> None:
        self._media_type = media_type
        self._body = b""
        self._version = NO_VERSION

    def write(self, document: Any) -> None:
        """Takes the document as plain values."""
        self._body = orjson.dumps(document)
        self._version = Version(f'W/"{sha256(self._body).hexdigest()[:16]}"')

    def read(self, request: Request) -> Reply:
        """Returns the document."""
        content_type = self._media_type or request.answer_type()
        varies = () if self._media_type else (VARY,)
        reply = Reply(200, self._body, (("Content-Type", content_type), REVALIDATE, *varies))
        return conditional(request, reply, self._version)


class PublishedType:
    """The views on the published resources of one type, which are the same for every type."""

    def __init__(self, kind: str, published: PublishedResources, deployment: Deployment) -> None:
        self.kind = kind
        self._published = published
        self._deployment = deployment

    def read(self, request: Request) -> Reply:
        """Returns one resource, or the part of it that is wanted; raises NotFound, Malformed."""
        content_type = request.answer_type()
        artifact = self._published.artifacts.get((self.kind, request.args["id"]))
        if artifact is None:
            raise NotFound(Problem("id-unknown", "No resource of this type has this id."))
        shape = shape_from(self.kind, request.query(), strict=is_strict(request), base=self._deployment.base)
        reply = Reply(200, shape.applied(artifact.body), (("Content-Type", content_type), REVALIDATE, VARY))
        updated = artifact.resource.get("meta", {}).get("lastUpdated", "")
        return conditional(request, reply, Version(artifact.etag, updated))

    def search(self, request: Request) -> Reply:
        """Returns a Bundle of the resources that the parameters find; raises Malformed, Unsupported."""
        content_type = request.answer_type()
        pairs = search_parameters(request, self._deployment.body.body_bytes)
        query = query_from(self.kind, pairs, strict=is_strict(request), base=self._deployment.base)
        body = self._published.searchset(query)
        return Reply(200, body, (("Content-Type", content_type), REVALIDATE, VARY))
