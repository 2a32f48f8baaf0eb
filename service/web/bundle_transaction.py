"""Answers the entries of a transaction: all of them, or none.

Source: R4 http.html#trules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.errors import Malformed, Problem
from service.fhir.response import check
from service.repository import RESPONSE, Unit
from service.web.bundle_answers import Answers, environ_of, location_of
from service.web.bundle_entries import Entry
from service.web.bundle_plan import Plan, Planner
from service.web.bundle_rules import in_order, placed, repeated
from service.web.router import Router, answered

if TYPE_CHECKING:
    from service.repository import Repository
    from service.storage import Writing
    from service.web.reply import Reply


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction that is about to be processed.

    Args:
        router: finds the route of each entry.
        repository: what is stored.
        base: public FHIR base.
        prefer: what the caller prefers, for every entry.
    """

    router: Router
    repository: Repository
    base: str
    prefer: str | None

    def process(self, entries: Sequence[Entry], answers: Answers) -> None:
        """Answers every entry in one transaction of the store.

        Raises:
            ServiceError: of the first entry that is refused; nothing is stored then. Each problem has its
                place in the Bundle. Faults of structure are those of all entries.
        """
        problems = [problem for entry in entries for problem in (*entry.problems, *_misplaced(entry))]
        problems += repeated(entries, {}).values()
        if problems:
            raise Malformed(*problems)
        for entry in entries:
            with placed(entry):
                self.router.matched(environ_of(entry, b"", None))
        with self.repository.writing() as writing:
            plan = Planner(writing, self.repository.new_id, self.base).plan(entries)
            for entry in in_order(entries):
                with _all_structure(entry, entries):
                    answers.add(entry, self._answer(entry, plan, writing, answers))

    def _answer(self, entry: Entry, plan: Plan, writing: Writing, answers: Answers) -> Reply:
        becoming = plan.becoming.get(entry.place)
        unit = Unit(writing, "" if becoming is None else becoming.new_id)
        environ = environ_of(entry, plan.bodies.get(entry.place, entry.body), self.prefer)
        with placed(entry):
            answers.check_room()
            reply = answered(*self.router.matched(environ, unit))
            if becoming is not None and f"/{becoming.target.reference}/" not in location_of(reply):
                text = "request.ifNoneExist: expected a condition that no other entry meets."
                raise Malformed(Problem("bundle-duplicate", text))
        return reply


def _misplaced(entry: Entry) -> Iterator[Problem]:
    request = f"{entry.place}.request"
    if "$" in entry.path or entry.searches:
        text = "An operation or a search by POST is no part of a transaction. Expected: a batch."
        yield Problem("bundle-entry", text, request)
    elif entry.creates and entry.query:
        text = "request.url: expected the condition of a create in request.ifNoneExist."
        yield Problem("bundle-entry", text, request)


@contextmanager
def _all_structure(entry: Entry, entries: Sequence[Entry]) -> Iterator[None]:
    """Adds the faults of structure of all other entries to those of the one that is refused for its own."""
    try:
        yield
    except Malformed as error:
        others = [
            each for each in entries if each is not entry and each.writes and each.segments[0] == RESPONSE
        ]
        faults = [fault for each in others for fault in check(each.resource or {}, f"{each.place}.resource")]
        error.problems = (*error.problems, *faults)
        raise
