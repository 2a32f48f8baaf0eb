"""Responses and what was made of them, kept together in one transaction. Knows no HTTP and no SQL."""

from service.repository.drafting import AUDIT, PROVENANCE, RESPONSE, RISK
from service.repository.repository import APPEND_ONLY, KINDS, Kept, Repository
from service.repository.stamp import instant, stamped
from service.repository.unit import Unit

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
