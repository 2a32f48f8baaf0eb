"""A store of published resources: in memory, read only, with the same searches as a database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from service.fhir.dates import stretch
from service.search.comparing import Indexed, directions, holds, indexed, is_beyond, place_of
from service.search.entries import entries_of
from service.storage import Entry, History, Page, Position, Record, Search

if TYPE_CHECKING:
    from service.fhir.definitions import Artifact

_VERSION = 1


class Shelf:
    """Records that never change, each in one version; see storage.Reading."""

    def __init__(self, records: Iterable[tuple[Record, Iterable[Entry]]]) -> None:
        self._records: dict[str, dict[str, Indexed]] = {}
        for record, entries in records:
            self._records.setdefault(record.type, {})[record.id] = indexed(record, tuple(entries))

    def read(self, type: str, id: str) -> Record | None:  # noqa: A002 - the words of the record
        """Returns the only version."""
        found = self._records.get(type, {}).get(id)
        return None if found is None else found.record

    def read_version(self, type: str, id: str, version: int) -> Record | None:  # noqa: A002
        """Returns that version."""
        return self.read(type, id) if version == _VERSION else None

    def history(self, type: str, id: str, *, limit: int, before: int | None = None) -> History:  # noqa: A002
        """Returns versions below `before`, newest first."""
        record = self.read(type, id)
        if record is None:
            return History((), 0)
        is_past = before is not None and before <= _VERSION
        return History(() if is_past else (record,)[:limit], 1)

    def search(self, search: Search) -> Page:
        """Returns one page of what the search finds."""
        found = self._found(search)
        total = len(found) if search.total else None
        if search.limit == 0:
            return Page((), total)
        down, after = directions(search.sort), search.after
        rest = found if after is None else [each for each in found if is_beyond(each[0], after, down)]
        page = rest[: search.limit]
        more = page[-1][0] if len(rest) > search.limit else None
        return Page(tuple(record for _, record in page), total, more)

    def _found(self, search: Search) -> list[tuple[Position, Record]]:
        """Returns all matches in their order, each behind its place."""
        everything = self._records.get(search.type, {}).values()
        found = [each for each in everything if all(holds(criterion, each) for criterion in search.criteria)]
        ordered = [(place_of(each, search.sort), each.record) for each in found]
        for part, down in reversed(list(enumerate(directions(search.sort)))):
            ordered.sort(key=_part_of_place(part), reverse=down)
        return ordered


def _part_of_place(part: int) -> Callable[[tuple[Position, Record]], Any]:
    return lambda placed: placed[0][part]


def shelf_of(artifacts: Iterable[Artifact], base: str) -> Shelf:
    """Returns a shelf of published resources; what has no date counts as last changed in 1970.

    Args:
        artifacts: resources of types that are searched.
        base: public FHIR base.
    """
    return Shelf((_record(each), entries_of(each.resource, base)) for each in artifacts)


def _record(artifact: Artifact) -> Record:
    updated = stretch(artifact.resource.get("meta", {}).get("lastUpdated", ""))
    return Record(
        artifact.type, artifact.id, _VERSION, updated[0] if updated else 0, deleted=False, body=artifact.body
    )
