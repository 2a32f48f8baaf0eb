"""Replaces the links of a transaction, and collects those that cannot be replaced.

Conditional references are resolved by what was stored before the transaction. A link to nothing in the Bundle
stays as it is, as R4 asks.

Source: R4 http.html#trules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from service.errors import Malformed, PreconditionFailed, Problem, TooLarge
from service.fhir.paths import expression, shown
from service.repository import KINDS
from service.search import condition_from
from service.web.bundle_entries import Entry
from service.web.bundle_links import FIXED, REFERENCE, Link, Target, links_in, relinked, root_of

if TYPE_CHECKING:
    from service.storage import Record, Search, Writing

MOST_SEARCHES: Final = 100
"""Most different conditional references of one transaction."""

_CONDITIONAL = re.compile(r"[A-Z][A-Za-z]{0,63}\?.+")


def two(search: Search) -> Search:
    """Returns a search that says whether there is none, one or several."""
    return replace(search, limit=2, after=None, total=False)


class Replacing:
    """What links are replaced by in one transaction.

    Args:
        targets: what the entries become, by fullUrl.
        writing: where conditional references are looked up.
        base: public FHIR base.
    """

    def __init__(self, targets: Mapping[str, Target], writing: Writing, base: str) -> None:
        self._targets = targets
        self._writing = writing
        self._base = base
        self._found: dict[str, Sequence[Record] | None] = {}
        self._malformed: list[Problem] = []
        self._failed: list[Problem] = []

    def body(self, entry: Entry) -> bytes:
        """Returns the resource of an entry; to the byte as it came where no link of it is replaced."""
        root, changed = root_of(entry.full_url), False
        for link in links_in(entry.resource or {}):
            new = self._new(entry, link, root)
            if new != link.text:
                link.holder[link.key], changed = new, True
        if not changed:
            return entry.body
        return msgspec.json.Encoder(decimal_format="number").encode(entry.resource)

    def refuse(self) -> None:
        """Raises Malformed or PreconditionFailed where a link could not be replaced."""
        if self._malformed:
            raise Malformed(*self._malformed, *self._failed)
        if self._failed:
            raise PreconditionFailed(*self._failed)

    def _new(self, entry: Entry, link: Link, root: str) -> str:
        if link.sort == REFERENCE and _CONDITIONAL.fullmatch(link.text):
            return self._resolved(entry, link)
        new = relinked(link, self._targets, root)
        if link.sort == FIXED and new != link.text:
            self._malformed.append(_problem(entry, link, "expected an element of type uri for a link"))
        return new

    def _resolved(self, entry: Entry, link: Link) -> str:
        text = link.text
        if text not in self._found:
            self._check_room(entry)
            self._found[text] = self._search(text)
        found = self._found[text]
        if found is not None and len(found) == 1:
            return f"{found[0].type}/{found[0].id}"
        self._failed.append(_unresolved(entry, link, found))
        return text

    def _check_room(self, entry: Entry) -> None:
        """Each different one is a search of its own, during which nobody else can write."""
        if len(self._found) == MOST_SEARCHES:
            text = f"Expected at most {MOST_SEARCHES} different conditional references in a transaction."
            raise TooLarge(Problem("bundle-size", text, entry.place))

    def _search(self, text: str) -> Sequence[Record] | None:
        """Returns at most two matches of a conditional reference, or None where it is no search here."""
        kind, _, query = text.partition("?")
        if kind not in KINDS:
            return None
        try:
            search = condition_from(kind, query, base=self._base)
        except Malformed:
            return None
        return self._writing.search(two(search)).records


def _unresolved(entry: Entry, link: Link, found: Sequence[Record] | None) -> Problem:
    if found is None:
        return _problem(entry, link, "expected a literal reference, or a search among what is stored here")
    if found:
        expected = "expected a search that finds one resource; it finds several"
        return replace(_problem(entry, link, expected), kind="multiple-matches")
    return _problem(entry, link, "expected a search that finds a resource; it finds none")


def _problem(entry: Entry, link: Link, expected: str) -> Problem:
    root = f"{entry.place}.resource"
    return Problem(
        "bundle-reference", f"{shown(root, link.place)}: {expected}.", expression(root, link.place)
    )
