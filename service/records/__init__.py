"""Responses and what was made of them, stored together in one transaction. Knows no HTTP and no SQL."""

from service.records.drafts import AUDIT, PROVENANCE, RESPONSE, RISK
from service.records.meta import instant, stamped
from service.records.repository import (
    APPEND_ONLY,
    KINDS,
    Foreseen,
    Repository,
    Stored,
    Unit,
    microseconds,
    service_errors,
)

__all__ = [
    "APPEND_ONLY",
    "AUDIT",
    "KINDS",
    "PROVENANCE",
    "RESPONSE",
    "RISK",
    "Foreseen",
    "Repository",
    "Stored",
    "Unit",
    "instant",
    "microseconds",
    "service_errors",
    "stamped",
]
