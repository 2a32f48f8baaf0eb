"""Retention of what is stored, erasure of what is known of a person, and its export; no HTTP, no SQL."""

from service.retention.commands import (
    Console,
    Named,
    erase,
    expire,
    export,
    feedback,
    migrate,
    rescore,
)
from service.retention.trail import feed, verify_trail

__all__ = [
    "Console",
    "Named",
    "erase",
    "expire",
    "export",
    "feed",
    "feedback",
    "migrate",
    "rescore",
    "verify_trail",
]
