"""Settles what a transaction depends on before anything is written: identities, and where links point to.

Source: R4 http.html#trules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.errors import Malformed
from service.search import condition_from
from service.web.bundle_entries import Entry
from service.web.bundle_links import Target
from service.web.bundle_replacing import Replacing, two
from service.web.bundle_rules import in_order, placed, repeated

if TYPE_CHECKING:
    from service.storage import Writing


@dataclass(frozen=True, slots=True)
class Becoming:
    """What an entry becomes; `new_id` is its id where that is made for it."""

    target: Target
    new_id: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was settled, by place of the entry.

    Args:
        becoming: of entries that create or update.
        bodies: their resources, with links replaced.
    """

    becoming: Mapping[str, Becoming]
    bodies: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes the plan of one transaction; it writes nothing.

    Args:
        writing: until it ends, no other transaction creates or changes what was settled.
        new_id: makes an id.
        base: public FHIR base.
    """

    writing: Writing
    new_id: Callable[[], str]
    base: str

    def plan(self, entries: Sequence[Entry]) -> Plan:
        """Returns the plan.

        Args:
            entries: without problems, each with a route.

        Raises:
            Malformed: a condition cannot be read, a link not be replaced, or two entries are about the same.
            PreconditionFailed: a conditional reference does not lead to one resource.
            TooLarge: there are too many conditional references.
        """
        writes = [each for each in in_order(entries) if each.writes]
        becoming = {
            each.place: self._created(each) if each.creates else self._updated(each) for each in writes
        }
        twice = repeated(entries, {place: each.target.reference for place, each in becoming.items()})
        if twice:
            raise Malformed(*twice.values())
        targets = {each.full_url: becoming[each.place].target for each in writes if each.full_url}
        replacing = Replacing(targets, self.writing, self.base)
        bodies = {each.place: replacing.body(each) for each in entries if each.writes}
        replacing.refuse()
        return Plan(becoming, bodies)

    def _created(self, entry: Entry) -> Becoming:
        condition = entry.headers.get("IF_NONE_EXIST")
        if condition is not None:
            with placed(entry):
                search = two(condition_from(entry.path, condition, base=self.base))
            found = self.writing.claim(search).records
            if found:  # where there are several, the create is refused when its turn comes
                return Becoming(Target(f"{entry.path}/{found[0].id}", found[0].version))
        of_id = self.new_id()
        return Becoming(Target(f"{entry.path}/{of_id}", 1), of_id)

    def _updated(self, entry: Entry) -> Becoming:
        """Returns what an update leads to; where there is nothing to update, it fails later."""
        kind, of_id = entry.segments
        current = self.writing.read_to_update(kind, of_id)
        return Becoming(Target(entry.changes, 1 if current is None else current.version + 1))
