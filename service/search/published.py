"""Searches among published resources: the engine of the store, on a database in memory.

Published resources never change while the service runs, so neither does the answer to a query.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from service.fhir.dates import time_range
from service.search.bundle import searchset
from service.search.entries import entries_of
from service.search.query import Query
from service.storage.model import Draft
from service.storage.opening import store_in_memory

if TYPE_CHECKING:
    from service.fhir.definitions import Artifact

_MOST_ANSWERS: Final = 64
_LONGEST_ANSWER: Final = 256 * 1024  # bytes; pages of Libraries are longer, and would fill it too
_LONGEST_QUERY: Final = 1000  # characters; a longer one is hardly asked twice, and would fill the memory


class PublishedResources:
    """Published resources, searched as those of a store are; the latest answers are kept.

    Args:
        artifacts: resources of types that are searched.
        base: public FHIR base.

    `artifacts` has each of them by type and id.
    """

    def __init__(self, artifacts: Iterable[Artifact], base: str) -> None:
        self.artifacts = {(artifact.type, artifact.id): artifact for artifact in artifacts}
        self._store = store_in_memory([_draft(artifact, base) for artifact in self.artifacts.values()])
        self._kept: dict[Query, bytes] = {}

    def searchset(self, query: Query) -> bytes:
        """Returns the Bundle of one page, the same bytes for the same query."""
        answer = self._kept.pop(query, None) or self._searched(query)
        length = sum(len(name) + len(value) for name, value in query.used)
        if length <= _LONGEST_QUERY and len(answer) <= _LONGEST_ANSWER:
            self._kept[query] = answer  # the one asked for last stands last
            if len(self._kept) > _MOST_ANSWERS:
                del self._kept[next(iter(self._kept))]
        return answer

    def _searched(self, query: Query) -> bytes:
        with self._store.reading() as view:
            return searchset(query, view)


def _draft(artifact: Artifact, base: str) -> Draft:
    """Returns the resource as a record; one that has no date counts as last changed in 1970."""
    updated = time_range(artifact.resource.get("meta", {}).get("lastUpdated", ""))
    entries = entries_of(artifact.resource, base)
    return Draft(artifact.type, artifact.id, updated[0] if updated else 0, artifact.body, entries)
