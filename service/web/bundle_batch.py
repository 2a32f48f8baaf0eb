"""Answers the entries of a batch: each on its own, whatever becomes of the others.

Source: R4 http.html#brules.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.errors import Malformed, Problem, ServiceError
from service.fhir.canonicals import Canonicals
from service.fhir.paths import expression, shown
from service.web.bundle_answers import Answers, environ_of
from service.web.bundle_entries import Entry
from service.web.bundle_links import Target, links_in, relinked, root_of
from service.web.bundle_rules import in_order, repeated
from service.web.problems import breakdown, refusal
from service.web.reply import Reply
from service.web.route import BASE_PATH
from service.web.router import Router, answered

REQUESTS = logging.getLogger("service.request")

_NOWHERE = Target("", 0)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that is about to be processed.

    Args:
        router: finds the route of each entry.
        prefer: what the caller prefers, for every entry.
        urls: the canonical urls of what this service defines itself.
    """

    router: Router
    prefer: str | None
    urls: Canonicals

    def process(self, entries: Sequence[Entry], answers: Answers) -> None:
        """Answers every entry; what goes wrong with one is its answer.

        Entries that depend on each other are refused: two that change one resource, and one that has a link
        to what another creates.
        """
        twice = repeated(entries, {})
        targets = {each.full_url: _NOWHERE for each in entries if each.creates and each.full_url}
        for entry in in_order(entries):
            problems = [*entry.problems, *_dependencies(entry, targets)]
            problems += [twice[entry.place]] if entry.place in twice else []
            answers.add(entry, self._alone(entry, problems, answers))

    def _alone(self, entry: Entry, problems: Sequence[Problem], answers: Answers) -> Reply:
        try:
            _refuse(problems)
            answers.check_room()
            return answered(*self.router.matched(environ_of(entry, entry.body, self.prefer)))
        except ServiceError as error:
            return refusal(error, self.urls)
        except Exception:  # noqa: BLE001 - the last resort: the others are answered, the log has the places
            request_id = os.urandom(16).hex()
            REQUESTS.exception({"event": "failed", "id": request_id, "route": BASE_PATH})
            return breakdown(request_id, self.urls)


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise Malformed(*problems)


def _dependencies(entry: Entry, targets: Mapping[str, Target]) -> Iterator[Problem]:
    """Yields a problem for each link to what another entry creates: in a batch nobody knows its id yet."""
    resource = entry.resource if targets and entry.writes else None
    here, root = f"{entry.place}.resource", root_of(entry.full_url)
    for link in links_in(resource or {}):
        if relinked(link, targets, root) != link.text:
            expected = "expected no link to another entry; a transaction replaces such links"
            text = f"{shown(here, link.place)}: {expected}."
            yield Problem("bundle-reference", text, expression(here, link.place))
