"""Responses and what was made of them, stored together in one transaction. Knows no HTTP and no SQL."""

from service.records.compartment import Limited, check_subject
from service.records.drafts import AUDIT, PROVENANCE, RESPONSE, RISK
from service.records.meta import stamped
from service.records.reach import EVERYTHING, Reach
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
    "EVERYTHING",
    "KINDS",
    "PROVENANCE",
    "RESPONSE",
    "RISK",
    "Foreseen",
    "Limited",
    "Reach",
    "Repository",
    "Stored",
    "Unit",
    "check_subject",
    "microseconds",
    "service_errors",
    "stamped",
]
