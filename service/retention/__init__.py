"""Retention of what is stored, erasure of what is known of a person, and its export; no HTTP, no SQL."""

from service.retention.commands import Console, Named, erase, expire, export, migrate

__all__ = ["Console", "Named", "erase", "expire", "export", "migrate"]
