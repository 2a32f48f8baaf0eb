"""Creation on the condition that nothing like it is there."""

from __future__ import annotations

from dataclasses import replace

from service.storage.criteria import Search
from service.storage.errors import MultipleMatches
from service.storage.protocol import Writing
from service.storage.records import Draft, Record


def create_if_none(transaction: Writing, search: Search, draft: Draft) -> tuple[Record, bool]:
    """Returns the record that the search finds, or the one made of the draft, and whether it was made.

    Raises:
        MultipleMatches: the search finds several.
        ValueError: the search has no criteria, so anything would count as a match.
    """
    if not search.criteria:
        raise ValueError("Expected a search with criteria.")
    found = transaction.claim(replace(search, limit=2, after=None, total=False)).records
    if len(found) > 1:
        raise MultipleMatches("More than one record meets the condition.")
    return (found[0], False) if found else (transaction.create(draft), True)
