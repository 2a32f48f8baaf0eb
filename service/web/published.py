"""Read and search of the published resources: the same for every type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson

from service.errors import NotFound, Problem, Unsupported
from service.web.body import read_body
from service.web.call import Call, Query, parameters
from service.web.conditional import conditional, http_date
from service.web.reply import REVALIDATE, VARY, Reply, json_reply
from service.web.route import BASE_PATH, Route
from service.web.search import Search, is_strict, search_from

if TYPE_CHECKING:
    from service.fhir.artifacts import Artifact

TYPES = ("Questionnaire", "CodeSystem", "ValueSet", "StructureDefinition", "OperationDefinition")

_FORM = "application/x-www-form-urlencoded"


def published_routes(artifacts: Iterable[Artifact], base: str, limit: int) -> tuple[Route, ...]:
    """Returns the routes that read and search published resources.

    Args:
        artifacts: everything that is published; other types than TYPES are not served.
        base: public FHIR base for absolute links.
        limit: longest form body of a search in bytes.
    """
    everything = sorted(artifacts, key=lambda each: (each.url, each.version, each.id))
    routes: list[Route] = []
    for kind in TYPES:
        shelf = Shelf(kind, [each for each in everything if each.type == kind], base, limit)
        path = f"{BASE_PATH}/{kind}"
        routes += (
            Route(path, {"GET": shelf.search}, kind, ("search-type",)),
            Route(f"{path}/_search", {"POST": shelf.search_by_form}, kind, ("search-type",)),
            Route(f"{path}/<id:id>", {"GET": shelf.read}, kind, ("read",)),
        )
    return tuple(routes)


class Shelf:
    """The published resources of one type, and the views on them."""

    def __init__(self, kind: str, artifacts: Iterable[Artifact], base: str, limit: int) -> None:
        self._artifacts: Mapping[str, Artifact] = {each.id: each for each in artifacts}
        self._base = f"{base}/{kind}"
        self._limit = limit

    def read(self, call: Call) -> Reply:
        """Returns one resource; raises NotFound."""
        content_type = call.answer_type()
        artifact = self._artifacts.get(call.args["id"])
        if artifact is None:
            raise NotFound(Problem("id-unknown", "No resource of this type has this id."))
        reply = Reply(200, artifact.body, (("Content-Type", content_type), REVALIDATE, VARY))
        return conditional(call, reply, artifact.etag, _last_modified(artifact))

    def search(self, call: Call) -> Reply:
        """Returns a Bundle of the resources that the query string finds; raises Malformed."""
        return self._found(call, call.query())

    def search_by_form(self, call: Call) -> Reply:
        """Returns the same for parameters in a form body, in the query string or in both."""
        content_type: str = call.environ.get("CONTENT_TYPE", "")
        if content_type.partition(";")[0].strip().lower() != _FORM:
            raise Unsupported(Problem("content-type", f"Expected Content-Type: {_FORM}."))
        return self._found(call, (*call.query(), *parameters(read_body(call.environ, self._limit))))

    def _found(self, call: Call, query: Query) -> Reply:
        content_type = call.answer_type()
        search = search_from(query, strict=is_strict(call.header("PREFER")))
        matches = [each for each in self._artifacts.values() if search.finds(each.resource)]
        return json_reply(self._bundle(search, matches), content_type, REVALIDATE, VARY)

    def _bundle(self, search: Search, matches: list[Artifact]) -> dict[str, Any]:
        page = matches[search.offset : search.offset + search.count]
        links = [{"relation": "self", "url": self._link(search.used)}]
        following = search.offset + len(page)
        if page and following < len(matches):
            rest = tuple(pair for pair in search.used if pair[0] != "_offset")
            links.append({"relation": "next", "url": self._link((*rest, ("_offset", str(following))))})
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(matches), "link": links}
        return bundle | {"entry": [self._entry(each) for each in page]} if page else bundle

    def _entry(self, artifact: Artifact) -> dict[str, Any]:
        return {
            "fullUrl": f"{self._base}/{artifact.id}",
            "resource": orjson.Fragment(artifact.body),
            "search": {"mode": "match"},
        }

    def _link(self, used: Query) -> str:
        return f"{self._base}?{urlencode(used)}" if used else self._base


def _last_modified(artifact: Artifact) -> str | None:
    updated = artifact.resource.get("meta", {}).get("lastUpdated")
    return None if updated is None else http_date(updated)
