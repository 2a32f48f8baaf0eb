"""A transaction that several requests share."""

from __future__ import annotations

from dataclasses import dataclass

from service.storage import Writing


@dataclass(frozen=True, slots=True)
class Unit:
    """The transaction that a request of a Bundle is part of.

    Args:
        writing: the open transaction.
        new_id: id that is reserved for what the request creates; empty where it creates nothing.
    """

    writing: Writing
    new_id: str = ""
