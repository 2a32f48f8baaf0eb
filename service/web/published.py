"""The views on published resources, and on the documents that describe the service: these never change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import orjson

from service.clinical_reasoning.cql_answers import CannotBeWritten
from service.clinical_reasoning.definitions import DEFINITIONS, resources_of
from service.errors import NotFound, Problem
from service.fhir.definitions import Artifact, artifact
from service.fhir.json import read_published
from service.sandbox import in_child
from service.search import PublishedResources, query_from, shape_from
from service.web.conditional import conditional
from service.web.reply import NO_VERSION, REVALIDATE, VARY, Reply, Version
from service.web.request import is_strict, search_parameters

if TYPE_CHECKING:
    from service.catalogue import Catalogue, Pair
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
"""The types of published resource that are made, or read, at the start."""

_POLL_S: Final = 0.02


class Document:
    """A document of the service about itself, which is written once, when everything is composed.

    Args:
        media_type: of the answer, whatever is accepted; empty if the caller chooses.
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
    """The views on the published resources of one type, which are the same for every type.

    Args:
        kind: the type.
        published: returns the resources of this type and others.
        deployment: what all views share.
    """

    def __init__(
        self, kind: str, published: Callable[[], PublishedResources], deployment: Deployment
    ) -> None:
        self.kind = kind
        self._published = published
        self._deployment = deployment

    def read(self, request: Request) -> Reply:
        """Returns one resource, or the part of it that is wanted; raises NotFound, Malformed."""
        content_type = request.answer_type()
        artifact = self._published().artifacts.get((self.kind, request.args["id"]))
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
        body = self._published().searchset(query)
        return Reply(200, body, (("Content-Type", content_type), REVALIDATE, VARY))


class Definitions:
    """The definitions of every guidance, made in a child when somebody first asks for one.

    To write the CQL of a guidance takes a good part of a second, and few ask for it: so neither the start
    nor any other request waits for that. Each process then keeps what was made.

    Args:
        catalogue: the guidances. A definition that a file states is among its artifacts.
        deployment: its base, and where the work is done.
    """

    def __init__(self, catalogue: Catalogue, deployment: Deployment) -> None:
        self._catalogue = catalogue
        self._deployment = deployment
        self._published: PublishedResources | None = None
        self._are_being_made = False

    def published(self) -> PublishedResources:
        """Returns all definitions; raises Unavailable if there is too much to do now, NotScorable."""
        while self._published is None and self._are_being_made:
            time.sleep(_POLL_S)
        if self._published is None:
            self._are_being_made = True
            try:
                self._published = PublishedResources(self._artifacts(), self._deployment.base)
            finally:
                self._are_being_made = False
        return self._published

    def _artifacts(self) -> Iterator[Artifact]:
        yield from (one for one in self._catalogue.artifacts.values() if one.type in DEFINITIONS)
        expected = "Expected a guidance whose CQL takes at most {allowed} to write."
        for pair in self._catalogue.guidances:
            work, kind = partial(_definitions_of, pair), tuple[bytes, ...]
            bodies = in_child(self._deployment.sandbox, work, kind, expected=expected)
            yield from (artifact(read_published(body)) for body in bodies)


def _definitions_of(pair: Pair) -> tuple[bytes, ...]:
    """Returns the definitions of a guidance as JSON; none if its CQL cannot be written."""
    try:
        return tuple(map(orjson.dumps, resources_of(pair.guidance, pair.compiled)))
    except CannotBeWritten:
        return ()
