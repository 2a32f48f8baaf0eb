"""What conditional creates begin with: the one record that is like it, if there is one."""

from __future__ import annotations

from dataclasses import replace

from service.storage.criteria import Search
from service.storage.errors import MultipleMatches
from service.storage.protocol import Writing
from service.storage.records import Record


def claim_one(transaction: Writing, search: Search) -> Record | None:
    """Returns the only record that the search finds; until the end no other transaction may claim its type.

    Raises:
        MultipleMatches: the search finds several.
        ValueError: the search has no criteria, so anything would count as a match.
    """
    if not search.criteria:
        raise ValueError("Expected a search with criteria.")
    found = transaction.claim(replace(search, limit=2, after=None, total=False)).records
    if len(found) > 1:
        raise MultipleMatches("More than one record meets the condition.")
    return found[0] if found else None
