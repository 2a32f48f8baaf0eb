"""Retention of what is stored, erasure of what is known of a person, and its export; no HTTP, no SQL."""

from service.retention.commands import NAMES, Console, add_to, run

__all__ = ["NAMES", "Console", "add_to", "run"]
