"""Responses and what was made of them, kept together in one transaction. Knows no HTTP and no SQL."""

from service.records.drafting import AUDIT, PROVENANCE, RESPONSE, RISK
from service.records.meta import instant, stamped
from service.records.repository import APPEND_ONLY, KINDS, Kept, Repository, Unit

__all__ = [
    "APPEND_ONLY",
    "AUDIT",
    "KINDS",
    "PROVENANCE",
    "RESPONSE",
    "RISK",
    "Kept",
    "Repository",
    "Unit",
    "instant",
    "stamped",
]
